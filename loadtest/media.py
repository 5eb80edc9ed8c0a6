"""What a leg costs the media core: thousands of legs at once, each bound to a slot, heard and spoken on.

    python loadtest/media.py --legs 3000                a table
    python loadtest/media.py --legs 1500 --srtp         encrypted, with SDES's usual suite
    python loadtest/media.py --legs 150 --codec opus --srtp     as browsers' legs are, but for ICE and DTLS
    python loadtest/media.py --legs 500,1000,2000,3000 --json --plot FILE.png

For each number of legs one core with that many ports, the far ends in a process of their own (`legs.c`), and a stand-in
for the speech worker that fills every slot's play ring and reads its cursors. Everything shares this machine. First
plain, then with both tracks of every leg recorded, then plain again, in one run, so that the two can be compared: the
plain figures are of both times together. CPU is of the core's threads alone, as the kernel accounts it: what the kernel
does itself to bring files to the disk is not in it.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from offhook.media import Keys, MediaCore, MediaError, Port, Remote, slots
from offhook.media.counters import CoreCounters
from offhook.media.port import Codec
from offhook.speech.contract import HOP_SAMPLES
from offhook.speech.slots import Segment as Rows

REPOSITORY = Path(__file__).resolve().parents[1]
BUILD = REPOSITORY / "build" / "loadtest"
UDP_PORTS = (16_384, 65_534)
SUITES = {"AES_CM_128_HMAC_SHA1_80": 30, "AES_CM_128_HMAC_SHA1_32": 30, "AEAD_AES_128_GCM": 28, "AEAD_AES_256_GCM": 44}
"""Bytes of each suite's master key and salt together."""
OPUS_PAYLOAD_TYPE = 111
WARM_S = 3
MARGIN_S = 2.0
MOST_S = 3600
"""How long the far ends speak at most, where nobody ends it."""


class LoadError(Exception):
    """It cannot be measured here; the text says why."""


@dataclass(frozen=True, slots=True)
class Window:
    """What one stretch of time cost."""

    seconds: float
    media_percent: float
    """Of a core, all media threads."""
    busiest_percent: float
    """Of a core, the busiest media thread."""
    disk_percent: float
    """Of a core, the thread that writes tracks."""
    packets_in: int
    packets_out: int
    kernel_drops: int
    disk_drops: int
    ticks_overrun: int


@dataclass(frozen=True, slots=True)
class Result:
    """One number of legs."""

    legs: int
    codec: Codec
    suite: str | None
    plain: Window
    recorded: Window | None
    pacing_p50_ms: float
    pacing_p99_ms: float
    pacing_max_ms: float
    interval_p99_ms: float
    """How far from 20 ms packets of one leg came apart, by the kernel's stamps at the far end."""
    lost_in: int
    """Sent by the far ends and not taken by the core."""
    lost_out: int
    """Missing in what came back."""
    legs_a_core: int
    """What one media thread could carry at this price."""
    us_a_leg_tick: float
    """Time of a media thread for 20 ms of one leg: a packet in, a packet out, both rings."""
    memory_a_leg_kib: float
    """The process's own, without the rings (516 KiB a slot, shared with the worker)."""
    far_ends_percent: float
    """Of a core: what the far ends cost beside it."""

    @property
    def recording_ratio(self) -> float | None:
        """Cost with both tracks recorded over the cost without."""
        if self.recorded is None:
            return None
        return (self.recorded.media_percent + self.recorded.disk_percent) / self.plain.media_percent


def main() -> None:
    arguments = _arguments()
    try:
        found = [measure(legs, arguments) for legs in arguments.legs]
    except (LoadError, MediaError, OSError) as error:
        raise SystemExit(f"media.py: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit("stopped") from None
    print(table(found))
    if arguments.plot is not None:
        plot(found, arguments.plot)
    if arguments.json:
        print(json.dumps([asdict(result) | {"recording_ratio": result.recording_ratio} for result in found]))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What a leg costs the media core.")
    parser.add_argument(
        "--legs",
        type=_numbers,
        default=[3000],
        metavar="N[,N...]",
        help="legs at once (3000); several: one after another",
    )
    parser.add_argument("--seconds", type=int, default=15, help="of each of the two windows (15)")
    parser.add_argument("--threads", type=int, default=1, help="media threads (1)")
    parser.add_argument("--codec", choices=["ulaw", "opus"], default="ulaw", help="of every leg (ulaw)")
    parser.add_argument("--srtp", action="store_true", help="encrypt both ways")
    parser.add_argument("--suite", choices=SUITES, default="AES_CM_128_HMAC_SHA1_80", help="with --srtp")
    parser.add_argument("--no-recording", action="store_true", help="leave out the second window")
    parser.add_argument("--folder", type=Path, help="where tracks are written (a temporary folder)")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON list")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="a picture, as PNG")
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number, nor several with commas between") from None
    if not all(0 < number <= 16_000 for number in found):
        raise argparse.ArgumentTypeError("legs are 1 to 16000")
    return found


def measure(legs: int, arguments: argparse.Namespace) -> Result:
    """One core with `legs` legs, from start to stop."""
    suite = arguments.suite if arguments.srtp else None
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="offhook-media-", dir=arguments.folder)))
        segment = slots.create(legs)
        stack.callback(segment.close)
        before_kib = _anonymous_kib()
        core = stack.enter_context(MediaCore("127.0.0.1", UDP_PORTS, threads=arguments.threads))
        far_ends = stack.enter_context(_far_ends(legs, arguments.codec, suite))
        ports = _open(core, core.attach(segment), legs, far_ends, (arguments.codec, suite))
        stack.enter_context(_worker(Rows(segment.fd)))
        began = time.monotonic()
        time.sleep(WARM_S)
        memory_kib = (_anonymous_kib() - before_kib) / legs
        plain = _window(core, arguments.seconds)
        recorded = None
        if not arguments.no_recording:
            for index, port in enumerate(ports):
                port.record(folder / f"{index}-caller.wav", folder / f"{index}-agent.wav")
            time.sleep(MARGIN_S)
            recorded = _window(core, arguments.seconds)
            for port in ports:
                port.stop_recording()
            time.sleep(MARGIN_S)
            plain = _together(plain, _window(core, arguments.seconds))
        far_percent = 100 * _children_cpu_s(far_ends) / (time.monotonic() - began)
        _end(far_ends.stdin)
        said = _answer(far_ends.stdout)
        counted = core.counters()
    busiest_s = plain.busiest_percent / 100
    return Result(
        legs=legs,
        codec=arguments.codec,
        suite=suite,
        plain=plain,
        recorded=recorded,
        pacing_p50_ms=counted.pacing_p50_us / 1e3,
        pacing_p99_ms=counted.pacing_p99_us / 1e3,
        pacing_max_ms=counted.pacing_max_us / 1e3,
        interval_p99_ms=said["interval_p99_us"] / 1e3,
        lost_in=said["sent"] - counted.packets_in,
        lost_out=said["lost"],
        legs_a_core=round(legs / max(plain.media_percent / 100, 1e-9)),
        us_a_leg_tick=1e6 * busiest_s / (legs * 50),
        memory_a_leg_kib=memory_kib,
        far_ends_percent=far_percent,
    )


# --- the legs


@contextmanager
def _far_ends(legs: int, codec: Codec, suite: str | None) -> Iterator[subprocess.Popen[str]]:
    command = [str(_built()), "--legs", str(legs), "--seconds", str(MOST_S), "--warm", str(WARM_S), "--codec", codec]
    if suite is not None:
        command += ["--suite", suite]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _built() -> Path:
    """The far ends' program, built where it is not."""
    for step in (
        ["cmake", "-S", str(REPOSITORY), "-B", str(BUILD), "-DOH_LOADTEST=ON", "-DOH_MODULE=OFF"],
        ["cmake", "--build", str(BUILD), "--target", "legs"],
    ):
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(step, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path})
        if done.returncode != 0:
            raise LoadError(f"{' '.join(step)} failed:\n{done.stdout}{done.stderr}")
    return BUILD / "legs"


def _open(
    core: MediaCore, segment: Any, legs: int, far_ends: subprocess.Popen[str], sound: tuple[Codec, str | None]
) -> list[Port]:
    """All ports, pointed at their far ends and bound to their slots; the far ends are told where they are."""
    codec, suite = sound
    payload_type = OPUS_PAYLOAD_TYPE if codec == "opus" else 0
    theirs = _answer(far_ends.stdout)["ports"]
    ports: list[Port] = []
    size = SUITES[suite] if suite else 0
    socket_keys = [secrets.token_bytes(size) for _ in theirs]
    lines = []
    for index in range(legs):
        port = core.open(f"leg {index}")
        there = index % len(theirs)
        line = str(port.address[1])
        if suite is None:
            port.remote(Remote(("127.0.0.1", theirs[there]), codec, payload_type))
        else:
            heard = secrets.token_bytes(size)
            port.keys(Keys(suite, send=socket_keys[there], receive=heard))
            port.remote(Remote(("127.0.0.1", theirs[there]), codec, payload_type, secure=True))
            line += f" {heard.hex()} {socket_keys[there].hex()}"
        port.bind(segment, index)
        ports.append(port)
        lines.append(line)
    _ask(far_ends.stdin, lines)
    return ports


def _ask(pipe: IO[str] | None, lines: list[str]) -> None:
    assert pipe is not None
    try:
        pipe.write("".join(f"{line}\n" for line in lines))
        pipe.flush()
    except BrokenPipeError:
        raise LoadError("the far ends' program ended early; the lines above say why") from None


def _end(pipe: IO[str] | None) -> None:
    assert pipe is not None
    pipe.close()


def _answer(pipe: IO[str] | None) -> dict[str, Any]:
    assert pipe is not None
    line = pipe.readline()
    if not line:
        raise LoadError("the far ends' program ended early; the lines above say why")
    answer: dict[str, Any] = json.loads(line)
    return answer


def _voice() -> np.ndarray:
    """Two seconds of a voice-like sound, hop by hop: harmonics of 120 Hz that come and go four times a second."""
    t = np.arange(25 * HOP_SAMPLES) / 16_000
    sound = sum(np.sin(2 * np.pi * 120 * h * t) / h for h in range(1, 50))
    return (6000 * sound * (0.5 + 0.5 * np.sin(2 * np.pi * 4 * t))).astype(np.int16).reshape(25, HOP_SAMPLES)


@contextmanager
def _worker(rows: Rows) -> Iterator[None]:
    """Stands in for a speech worker: every 80 ms, 80 ms more in every play ring."""
    over = threading.Event()
    voice = _voice()

    def work() -> None:
        rows.speak_epoch[:] = rows.epoch
        rows.speaking[:] = 1
        written = 0
        due = time.monotonic()
        ring = rows.play.shape[1]
        while not over.wait(max(0.0, due - time.monotonic())):
            ahead = 3 if written == 0 else 1
            for _ in range(ahead):
                at = written % ring
                first = min(HOP_SAMPLES, ring - at)
                hop = voice[written // HOP_SAMPLES % len(voice)]
                rows.play[:, at : at + first] = hop[:first]
                rows.play[:, : HOP_SAMPLES - first] = hop[first:]
                written += HOP_SAMPLES
            rows.fence()
            rows.spoken[:] = written
            due += 0.08

    thread = threading.Thread(target=work, name="worker", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


# --- what it costs


def _window(core: MediaCore, seconds: float) -> Window:
    counters, cpu, began = core.counters(), _threads_cpu_s(), time.monotonic()
    time.sleep(seconds)
    after, cpu_after, took = core.counters(), _threads_cpu_s(), time.monotonic() - began
    spent = {name: cpu_after[name] - cpu.get(name, 0.0) for name in cpu_after}
    media = [spent[name] for name in spent if name[0].startswith("oh-media")]

    def grown(of: Callable[[CoreCounters], int]) -> int:
        return of(after) - of(counters)

    return Window(
        seconds=took,
        media_percent=100 * sum(media) / took,
        busiest_percent=100 * max(media) / took,
        disk_percent=100 * sum(spent[name] for name in spent if name[0].startswith("oh-disk")) / took,
        packets_in=grown(lambda c: c.packets_in),
        packets_out=grown(lambda c: c.packets_out),
        kernel_drops=grown(lambda c: c.kernel_drops),
        disk_drops=grown(lambda c: c.disk_drops),
        ticks_overrun=grown(lambda c: c.ticks_overrun),
    )


def _together(one: Window, other: Window) -> Window:
    """Two windows as one."""
    seconds = one.seconds + other.seconds

    def share(of: Callable[[Window], float]) -> float:
        return (of(one) * one.seconds + of(other) * other.seconds) / seconds

    return Window(
        seconds=seconds,
        media_percent=share(lambda w: w.media_percent),
        busiest_percent=share(lambda w: w.busiest_percent),
        disk_percent=share(lambda w: w.disk_percent),
        packets_in=one.packets_in + other.packets_in,
        packets_out=one.packets_out + other.packets_out,
        kernel_drops=one.kernel_drops + other.kernel_drops,
        disk_drops=one.disk_drops + other.disk_drops,
        ticks_overrun=one.ticks_overrun + other.ticks_overrun,
    )


def _threads_cpu_s() -> dict[tuple[str, int], float]:
    """CPU seconds of this process's threads, by name and number."""
    found = {}
    for task in Path("/proc/self/task").iterdir():
        try:
            name = (task / "comm").read_text().strip()
            found[(name, int(task.name))] = int((task / "schedstat").read_text().split()[0]) / 1e9
        except OSError:  # it ended meanwhile
            continue
    return found


def _children_cpu_s(process: subprocess.Popen[str]) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _anonymous_kib() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1])
    return 0


# --- what is shown


def table(found: list[Result]) -> str:
    """A line for each number of legs."""
    rows = [
        ("legs", "media CPU", "us a leg tick", "legs a core", "pacing p50/p99/max ms", "far p99 ms", "lost in/out",
         "kernel drops", "recording", "KiB a leg", "far ends CPU"),
    ]  # fmt: skip
    for result in found:
        windows = [result.plain] + ([result.recorded] if result.recorded else [])
        ratio = result.recording_ratio
        rows.append((
            f"{result.legs} {result.codec}" + (" SRTP" if result.suite else ""),
            f"{result.plain.media_percent:.1f} %",
            f"{result.us_a_leg_tick:.2f}",
            str(result.legs_a_core),
            f"{result.pacing_p50_ms:.2f}/{result.pacing_p99_ms:.2f}/{result.pacing_max_ms:.1f}",
            f"{result.interval_p99_ms:.2f}",
            f"{result.lost_in}/{result.lost_out}",
            str(sum(window.kernel_drops for window in windows)),
            "-" if ratio is None else f"x {ratio:.2f} (drops {result.recorded.disk_drops})" if result.recorded else "-",
            f"{result.memory_a_leg_kib:.0f}",
            f"{result.far_ends_percent:.0f} %",
        ))  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def plot(found: list[Result], path: Path) -> None:
    """CPU and pacing against legs."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4))
    legs = [result.legs for result in found]
    left.plot(legs, [result.plain.media_percent for result in found], "o-", label="media thread")
    if all(result.recorded for result in found):
        left.plot(
            legs,
            [r.recorded.media_percent + r.recorded.disk_percent for r in found if r.recorded],
            "s--",
            label="with both tracks recorded (and the disk thread)",
        )
    left.set(xlabel="legs", ylabel="% of a core", ylim=(0, None), title="CPU")
    left.legend(frameon=False)
    right.plot(legs, [result.pacing_p99_ms for result in found], "o-", label="p99")
    right.plot(legs, [result.pacing_p50_ms for result in found], "s-", label="p50")
    right.axhline(2.0, color="grey", linewidth=0.8, linestyle=":")
    right.set(xlabel="legs", ylabel="packets leave late by, ms", ylim=(0, None), title="pacing")
    right.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()

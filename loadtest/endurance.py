"""An hour of calls coming and going while the speech worker is killed every minute: nobody hears anybody else, no slot
is lost, memory stays flat.

    python loadtest/endurance.py --minutes 60 --kill-every 60
    python loadtest/endurance.py --minutes 2 --kill-every 15 --json

Every call says a marker of its own, a pseudo-random sequence repeated without end, to a server whose model echoes; what
each call receives is correlated with the markers of all calls there are and of those that were lately. A call hears
its own and no other. Ends with status 1 on any violation, each of which is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from calls import PLAN, usage
from offhook.calls.caller import CallerError, Line, Phone
from offhook.speech.contract import HOP_SAMPLES, RATE_HZ, Pcm
from offhook.speech.slots import RING_SAMPLES, Segment
from offhook.telemetry import logs
from served import Served, ServerError, plainly, served

PERIOD = 8192
"""Samples of a marker at 16 kHz: 512 ms. A stretch of that length is looked at: a marker turned round is still it."""
OWN = 0.35
"""Correlation from which a marker is taken to be there whole; one through G.711 and back correlates at about 0.9."""
FOREIGN = 0.10
"""Correlation from which something of a marker may be there: a single hop of it comes to 0.16, chance to about 0.1."""
FOREIGN_HOP = 0.4
"""Then it is looked for hop by hop where it would lie: what is there correlates at about 0.9, what is not at 0.15."""
LOUD_RMS = 200.0
"""What is softer than this is no marker, and no speech either."""
SETTLE_S = 5.0
"""After a kill a call may be turned away for so long, by the plan's exit for a worker that is down."""
DEAF_S = 12.0
"""A call that hears nothing of itself for longer than this is lost."""
RSS_GROWTH_MIB = 12.0
"""Resident memory may lie so much higher at the end than when it was warm, or this share of it."""
RSS_GROWTH_SHARE = 0.06

Spectra = npt.NDArray[np.complex128]


@dataclass(slots=True)
class Findings:
    """What an hour came to."""

    minutes: float = 0.0
    calls: int = 0
    kills: int = 0
    reloads: int = 0
    turned_away: int = 0
    """Calls that came while the worker was being replaced, and were told so."""
    refused: dict[str, int] = field(default_factory=dict)
    """Calls that came at other times and were not taken, by the scheduler's reason: `too slow` on a busy machine."""
    windows: int = 0
    """Half seconds of received audio that were looked at."""
    own: int = 0
    """Of those, with the call's own marker in them."""
    strongest_foreign: float = 0.0
    """The highest correlation of half a second with another call's marker."""
    clearest_foreign_hop: float = 0.0
    """The highest of one hop in such a half second; a violation from 0.4 on."""
    longest_deaf_s: float = 0.0
    """The longest a call went without hearing itself: a worker's death, and its replacement."""
    edge_rss_mib: tuple[float, float] = (0.0, 0.0)
    """Warm, and at the end."""
    worker_rss_mib: tuple[float, float] = (0.0, 0.0)
    """The highest of the workers in the first half, and in the second."""
    edge_descriptors: tuple[int, int] = (0, 0)
    """Open files of the edge with nobody on the line: before, and after."""
    late_hops: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)


class Markers:
    """A pool of markers, and what of them is in a stretch of audio."""

    def __init__(self, count: int) -> None:
        # White over 300 to 3,300 Hz, which a telephone line carries, with every frequency equally strong.
        frequencies = np.fft.rfftfreq(PERIOD, 1 / RATE_HZ)
        inside = (frequencies > 300) & (frequencies < 3300)
        phases = np.random.default_rng(2024).uniform(0, 2 * np.pi, (count, len(frequencies)))
        self._spectra: Spectra = np.where(inside, np.exp(1j * phases), 0)
        waves = np.fft.irfft(self._spectra, PERIOD)
        self._norm = np.sqrt((waves**2).sum(axis=1))
        self._inside = inside
        self.sounds: list[Pcm] = [(wave / np.abs(wave).max() * 15_000).astype(np.int16) for wave in waves]

    def correlations(self, heard: Pcm) -> npt.NDArray[np.float64]:
        """For each marker, how much of `heard` ([PERIOD]) is it, whichever way it is turned round: 0 to 1."""
        spectrum = np.where(self._inside, np.fft.rfft(heard.astype(np.float64)), 0)
        energy = np.sqrt((np.fft.irfft(spectrum, PERIOD) ** 2).sum()) + 1e-9
        turned = np.fft.irfft(spectrum * self._spectra.conj(), PERIOD)
        found: npt.NDArray[np.float64] = np.abs(turned).max(axis=1) / (self._norm * energy)
        return found

    def clearest_hop(self, heard: Pcm, marker: int) -> float:
        """The correlation of the hop of `heard` that is most like what the marker would have there."""
        spectrum = np.where(self._inside, np.fft.rfft(heard.astype(np.float64)), 0)
        turn = int(np.abs(np.fft.irfft(spectrum * self._spectra[marker].conj(), PERIOD)).argmax())
        within = np.fft.irfft(spectrum, PERIOD)
        wave = np.roll(np.fft.irfft(self._spectra[marker], PERIOD), turn)
        clearest = 0.0
        for start in range(0, PERIOD - HOP_SAMPLES + 1, HOP_SAMPLES // 4):
            one, other = within[start : start + HOP_SAMPLES], wave[start : start + HOP_SAMPLES]
            like = abs(float(one @ other)) / float(np.linalg.norm(one) * np.linalg.norm(other) + 1e-9)
            clearest = max(clearest, like)
        return clearest


class Window:
    """What a line receives, half a second at a time."""

    def __init__(self, rows: Segment, row: int) -> None:
        self._rows, self._row = rows, row
        self._read = int(rows.heard[row])

    def next(self) -> Pcm | None:
        """The next stretch, once it is there."""
        heard = int(self._rows.heard[self._row])
        if heard - self._read > RING_SAMPLES - PERIOD:  # looked at too late: go on with what is still there
            self._read = heard - PERIOD
        if heard - self._read < PERIOD:
            return None
        at = (self._read + np.arange(PERIOD)) % RING_SAMPLES
        self._read += PERIOD
        whole: Pcm = self._rows.listen[self._row, at]
        return whole


class Watch:
    """The run: callers, killer, and what they found."""

    def __init__(self, server: Served, lines: int, seconds: float, seed: int) -> None:
        self.server, self.lines = server, lines
        self.found = Findings()
        self.markers = Markers(3 * lines)
        self._free = deque(range(3 * lines))
        self._dice = random.Random(seed)
        self._end = time.monotonic() + seconds
        self._disturbed = -1e9
        self._ended_early = 0
        self._edge: list[tuple[float, float]] = []
        self._workers: list[tuple[float, float]] = []

    @property
    def left_s(self) -> float:
        return self._end - time.monotonic()

    async def run(self, kill_every_s: float, reload_every_s: float) -> None:
        """Everything at once until the time is over; then every slot once more."""
        edge = self.server.process.pid
        began = time.monotonic()
        async with Phone.plugged_in(lines=self.lines, name="endures") as phone:
            prompts = [phone.core.load_prompt(sound, RATE_HZ) for sound in self.markers.sounds]
            await self._all_at_once(phone, prompts, "at the beginning")
            await self._idle()
            before = _descriptors(edge)
            async with asyncio.TaskGroup() as tasks:
                for number in range(self.lines):
                    tasks.create_task(self._caller(phone, prompts, number))
                tasks.create_task(self._disturb(kill_every_s, self._kill))
                tasks.create_task(self._disturb(reload_every_s, self._reload))
                tasks.create_task(self._weigh())
            await self._idle()
            await self._all_at_once(phone, prompts, "at the end")
            await self._idle()
        self.found.minutes = round((time.monotonic() - began) / 60, 2)
        self._judge_memory(before, _descriptors(edge))
        figures = await asyncio.to_thread(self.server.metrics)
        label = 'offhook_hops_late_by_cause_total{cause="'
        self.found.late_hops = {name[len(label) : -2]: int(n) for name, n in figures.items() if name.startswith(label)}
        label = 'offhook_admissions_refused_total{reason="'
        self.found.refused = {name[len(label) : -2]: int(n) for name, n in figures.items() if name.startswith(label)}
        if self._ended_early > sum(self.found.refused.values()):
            self._violated(f"{self._ended_early} calls were not taken, and the scheduler refused {self.found.refused}")
        if used := (await asyncio.to_thread(self.server.get, "/status"))["worker"]["slots_used"]:
            self._violated(f"{used} slots are held with nobody on the line")

    async def _idle(self) -> None:
        """Wait until nobody is on the line, and what is told of that once a second has been told."""
        await asyncio.to_thread(self.server.wait_idle)
        await asyncio.sleep(SETTLE_S)

    # --- calls

    async def _caller(self, phone: Phone, prompts: list[int], number: int) -> None:
        """One line's calls, one after the other."""
        await asyncio.sleep(self._dice.uniform(0, 3))
        while self.left_s > 3:
            seconds = min(self._dice.uniform(4, 30), self.left_s)
            await self._call(phone, prompts, seconds, f"line {number}")
            await asyncio.sleep(self._dice.uniform(0.1, 2))

    async def _all_at_once(self, phone: Phone, prompts: list[int], when: str) -> None:
        """Every slot there is has a call in it, and each hears itself."""
        async with asyncio.TaskGroup() as tasks:
            calls = [tasks.create_task(self._call(phone, prompts, 8.0, f"line {n} {when}")) for n in range(self.lines)]
        if deaf := sum(not call.result() for call in calls):
            self._violated(f"{when} {deaf} of {self.lines} slots had no call that heard itself")

    async def _call(self, phone: Phone, prompts: list[int], seconds: float, who: str) -> bool:
        """One call; whether it heard itself."""
        marker = self._free.popleft()  # the one that was silent longest
        try:
            async with phone.ring(self.server.uri("600")) as line:
                self.found.calls += 1
                line.port.play(prompts[marker], loop=True)
                return await self._listen(line, phone, marker, seconds, who)
        except CallerError as error:
            self._violated(f"{who}: {error}")
            return False
        finally:
            self._free.append(marker)

    async def _listen(self, line: Line, phone: Phone, marker: int, seconds: float, who: str) -> bool:
        window = Window(phone.rows, line.row)
        began = heard_itself = time.monotonic()
        ever = False
        while (now := time.monotonic()) - began < seconds:
            await asyncio.sleep(0.1)
            if line.gone is not None:
                if ever:
                    self._violated(f"{who}: the call was ended by the far end after {now - began:.1f} s")
                elif began - self._disturbed < SETTLE_S:
                    self.found.turned_away += 1
                else:
                    self._ended_early += 1
                return ever
            audio = window.next()
            if audio is None:
                continue
            self.found.windows += 1
            if float(np.sqrt((audio.astype(np.float64) ** 2).mean())) >= LOUD_RMS:
                there = await asyncio.to_thread(self.markers.correlations, audio)
                if there[marker] >= OWN:
                    self.found.own += 1
                    deaf_s = round(now - heard_itself, 1) if ever else 0.0
                    self.found.longest_deaf_s = max(self.found.longest_deaf_s, deaf_s)
                    heard_itself, ever = now, True
                there[marker] = 0.0
                self.found.strongest_foreign = max(self.found.strongest_foreign, round(float(there.max()), 3))
                for other in np.flatnonzero(there >= FOREIGN).tolist():
                    clear = await asyncio.to_thread(self.markers.clearest_hop, audio, other)
                    self.found.clearest_foreign_hop = max(self.found.clearest_foreign_hop, round(clear, 3))
                    if clear >= FOREIGN_HOP:
                        self._violated(f"{who} hears marker {other} ({clear:.2f}), its own is {marker}")
            if now - heard_itself > DEAF_S:
                self._violated(f"{who} has not heard itself for {DEAF_S:.0f} s")
                return ever
        return ever

    # --- what disturbs them

    async def _disturb(self, every_s: float, how: Callable[[], None]) -> None:
        while every_s > 0 and self.left_s > every_s + SETTLE_S:
            await asyncio.sleep(every_s)
            self._disturbed = time.monotonic()
            await asyncio.to_thread(how)

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, TypeError, OSError):
            os.kill(self.server.worker_pid, signal.SIGKILL)
            self.found.kills += 1

    def _reload(self) -> None:
        self.server.process.send_signal(signal.SIGHUP)
        self.found.reloads += 1

    # --- memory

    async def _weigh(self) -> None:
        began = time.monotonic()
        while self.left_s > 0:
            await asyncio.sleep(2.0)
            with contextlib.suppress(OSError, TypeError, ServerError):
                at = time.monotonic() - began
                self._edge.append((at, usage(self.server.process.pid).rss_mib))
                worker = await asyncio.to_thread(lambda: self.server.worker_pid)
                self._workers.append((at, usage(worker).rss_mib))

    def _judge_memory(self, descriptors_before: int, descriptors_after: int) -> None:
        if len(self._edge) < 8 or len(self._workers) < 4:
            return
        quarter = len(self._edge) // 4
        warm = statistics.median(rss for _, rss in self._edge[quarter : 2 * quarter])
        end = statistics.median(rss for _, rss in self._edge[-quarter:])
        half = len(self._workers) // 2
        first, second = (max(rss for _, rss in part) for part in (self._workers[:half], self._workers[half:]))
        self.found.edge_rss_mib = round(warm, 1), round(end, 1)
        self.found.worker_rss_mib = round(first, 1), round(second, 1)
        self.found.edge_descriptors = descriptors_before, descriptors_after
        for what, before, after in (("the edge", warm, end), ("the speech worker", first, second)):
            if after - before > max(RSS_GROWTH_MIB, RSS_GROWTH_SHARE * before):
                self._violated(f"{what} grew from {before:.0f} to {after:.0f} MiB")
        if descriptors_after > descriptors_before + 8:
            self._violated(f"the edge had {descriptors_before} files open and has {descriptors_after}")

    def _violated(self, what: str) -> None:
        self.found.violations.append(what)
        print(f"VIOLATION: {what}", file=sys.stderr, flush=True)


def _descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--kill-every", type=float, default=60.0, help="seconds; 0: never")
    parser.add_argument("--reload-every", type=float, default=0.0, help="seconds; a fresh worker takes over; 0: never")
    parser.add_argument("--calls", type=int, default=10, help="lines, and slots")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    logs.configure("warning")
    with tempfile.TemporaryDirectory(prefix="offhook-") as home:
        plan = Path(home) / "plan.yaml"
        plan.write_text(PLAN, encoding="utf-8")
        with served(
            Path(home),
            dialplan=str(plan),
            speech={"model": "echo", "slots": arguments.calls},
            limits={"calls": 2 * arguments.calls},
        ) as server:
            watch = Watch(server, arguments.calls, arguments.minutes * 60, arguments.seed)
            asyncio.run(watch.run(arguments.kill_every, arguments.reload_every))
            trouble = Counter(word for word in ("Traceback", "ended by an error") if word in server.said())
    found = watch.found
    found.violations += [f"the server's log has a `{word}`" for word in trouble]
    if arguments.json:
        print(json.dumps(asdict(found)))
    else:
        for name, value in asdict(found).items():
            print(f"{name.replace('_', ' '):20} {value}")
    sys.exit(1 if found.violations else 0)


if __name__ == "__main__":
    with plainly():
        main()

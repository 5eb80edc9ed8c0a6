"""Calls that come and go at the media core: opened, pointed, fed, recorded, closed; memory and descriptors stay flat.

    python loadtest/churn.py --calls 10000            a table; ends with 1 where something grew
    python loadtest/churn.py --calls 10000 --json     the last line is one object

No server and no signalling: a media core in this process, bare UDP sockets as the far ends, `--at-once` calls at a
time. A closed port keeps its sockets until nothing has come for three seconds. The core is given so few UDP ports that
calls have to wait for those: memory and descriptors rise with the first calls and then stand. What is compared is the
most of the first half with the most of the second.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import shutil
import socket
import struct
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from offhook.media import MediaCore, MediaError, Port, RecordClosed, Remote, slots

PACKETS = 10
"""Sent to each port; as many again may come back."""

PAIRS = 4
"""Of UDP ports, for each call that is on at once: the others drain."""

GROWTH_MIB = 4.0
"""How much more memory the second half may have than the first: the allocator's own breathing."""

GROWTH_DESCRIPTORS = 16

LOWEST_PORT = 20_000

PATIENCE_S = 30.0


@dataclass(slots=True)
class Found:
    """Memory in MiB, resident. Descriptors of the whole process."""

    calls: int = 0
    seconds: float = 0.0
    calls_per_second: float = 0.0
    rss_first_mib: float = 0.0
    rss_last_mib: float = 0.0
    descriptors_first: int = 0
    descriptors_last: int = 0
    descriptors_after: int = 0
    """When all ports had drained."""
    packets_in: int = 0
    packets_out: int = 0
    kernel_drops: int = 0
    events_dropped: int = 0
    violations: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Call:
    port: Port
    far_end: socket.socket
    folder: Path


class Churn:
    """Runs the calls and weighs the process meanwhile."""

    def __init__(self, core: MediaCore, folder: Path, at_once: int) -> None:
        self.found = Found()
        self._core = core
        self._folder = folder
        self._at_once = at_once
        self._segment = slots.create(at_once)
        self._mapped = core.attach(self._segment)
        self._prompt = core.load_prompt(_tone(), 8_000)
        self._weights: list[tuple[float, int]] = []

    def run(self, calls: int) -> None:
        """Bring `calls` calls up and down."""
        before = len(os.listdir("/proc/self/fd"))
        began = time.monotonic()
        while self.found.calls < calls:
            self._batch(min(self._at_once, calls - self.found.calls))
            self._weights.append((_rss_mib(), len(os.listdir("/proc/self/fd"))))
        self.found.seconds = round(time.monotonic() - began, 1)
        self.found.calls_per_second = round(self.found.calls / max(0.1, self.found.seconds), 1)
        self._judge(before)
        self._segment.close()

    def _batch(self, n: int) -> None:
        """`n` calls at once, from opening to closing."""
        up = [self._up(number) for number in range(n)]
        for seq in range(PACKETS):
            for call in up:
                head = struct.pack("!BBHII", 0x80, 0, seq, 160 * seq, call.port.number)
                call.far_end.sendto(head + b"\xd5" * 160, call.port.address)
        for one, other in zip(up[::2], up[1::2], strict=False):
            one.port.bridge(other.port)
        for call in up:
            self._until_fed(call.port)
        ports = {call.port.number for call in up}
        for call in up:
            call.port.close()
            call.far_end.close()
        self._until_closed(ports)
        for call in up:
            shutil.rmtree(call.folder)
        self.found.calls += n

    def _up(self, number: int) -> _Call:
        far_end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        far_end.bind(("127.0.0.1", 0))
        port = self._open()
        folder = self._folder / str(port.number)
        folder.mkdir()
        port.remote(Remote(far_end.getsockname(), "ulaw", 0, 101))
        port.bind(self._mapped, number)
        port.record(folder / "caller.wav", folder / "agent.wav")
        port.play(self._prompt)
        return _Call(port, far_end, folder)

    def _open(self) -> Port:
        """A port, once the ones that drain have made room for it."""
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self._core.open()
            except MediaError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def _until_fed(self, port: Port) -> None:
        end = time.monotonic() + PATIENCE_S
        while (counters := port.counters()).packets_in < PACKETS or counters.packets_out == 0:
            if time.monotonic() > end:
                self.found.violations.append(f"{port} took {counters.packets_in} of {PACKETS} packets")
                return
            time.sleep(0.001)

    def _until_closed(self, ports: set[int]) -> None:
        """Wait until the tracks of all are written."""
        end = time.monotonic() + PATIENCE_S
        with selectors.DefaultSelector() as waits:
            waits.register(self._core.fileno(), selectors.EVENT_READ)
            while ports:
                waits.select(1.0)
                ports -= {event.port for event in self._core.events() if isinstance(event, RecordClosed)}
                if time.monotonic() > end:
                    self.found.violations.append(f"the tracks of {len(ports)} calls were never finished")
                    return

    def _judge(self, descriptors_before: int) -> None:
        found, counters = self.found, self._core.counters()
        half = (len(self._weights) + 1) // 2
        first, last = self._weights[:half], self._weights[half:] or self._weights
        found.rss_first_mib, found.rss_last_mib = (round(max(rss for rss, _ in part), 1) for part in (first, last))
        found.descriptors_first, found.descriptors_last = (max(fds for _, fds in part) for part in (first, last))
        end = time.monotonic() + PATIENCE_S
        while (now := len(os.listdir("/proc/self/fd"))) > descriptors_before and time.monotonic() < end:
            time.sleep(0.1)
        found.descriptors_after = now
        found.packets_in, found.packets_out = counters.packets_in, counters.packets_out
        found.kernel_drops, found.events_dropped = counters.kernel_drops, counters.events_dropped
        if found.rss_last_mib - found.rss_first_mib > GROWTH_MIB:
            found.violations.append(f"memory grew from {found.rss_first_mib} to {found.rss_last_mib} MiB")
        if found.descriptors_last - found.descriptors_first > GROWTH_DESCRIPTORS:
            found.violations.append(f"{found.descriptors_first} descriptors were open, then {found.descriptors_last}")
        if now > descriptors_before:
            found.violations.append(f"{now - descriptors_before} descriptors are left of {found.calls} calls")
        if counters.ports:
            found.violations.append(f"{counters.ports} ports are still open")


def _tone() -> npt.NDArray[np.int16]:
    return (8_000 * np.sin(np.arange(800) / 3)).astype(np.int16)


def _rss_mib() -> float:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def churn(calls: int, at_once: int) -> Found:
    """Run it with a core and a folder of its own."""
    ports = (LOWEST_PORT, LOWEST_PORT + 2 * PAIRS * at_once - 1)
    with tempfile.TemporaryDirectory(prefix="offhook-") as folder, MediaCore("127.0.0.1", ports) as core:
        churned = Churn(core, Path(folder), at_once)
        churned.run(calls)
        return churned.found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--at-once", type=int, default=50)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = churn(arguments.calls, arguments.at_once)
    if arguments.json:
        print(json.dumps(asdict(found)))
    else:
        for name, value in asdict(found).items():
            print(f"{name.replace('_', ' '):20} {value}")
    sys.exit(1 if found.violations else 0)


if __name__ == "__main__":
    main()

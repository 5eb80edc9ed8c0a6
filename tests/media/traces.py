"""Recorded networks as flows of 20 ms packets, and the programs that replay them, built as they would ship."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.data import data
from tests.media import building

PACKET_MS = 20


@dataclass(frozen=True, slots=True)
class Flow:
    """Packets that left every 20 ms."""

    name: str
    delays_ns: list[int]
    lost: frozenset[int]
    """Which of them never came."""

    def arrivals(self) -> list[tuple[int, int]]:
        """When each came that did, and its number; in order of arrival."""
        return sorted(
            (number * PACKET_MS * 1_000_000 + delay_ns, number)
            for number, delay_ns in enumerate(self.delays_ns)
            if number not in self.lost
        )


def built(program: str) -> Path:
    """One of `native/tests`' programs."""
    return building.built("trace", "-DCMAKE_BUILD_TYPE=Release", target=program) / "tests" / program


def queued_behind(deliveries_ms: list[int]) -> list[int]:
    """Delays in nanoseconds of a flow of 50 packets a second behind a link that delivers one at each given moment."""
    delays: list[int] = []
    opportunity = 0
    while opportunity < len(deliveries_ms):
        leaves_ms = len(delays) * PACKET_MS
        while opportunity < len(deliveries_ms) and deliveries_ms[opportunity] < leaves_ms:
            opportunity += 1
        if opportunity == len(deliveries_ms):
            break
        delays.append((deliveries_ms[opportunity] - leaves_ms) * 1_000_000)
        opportunity += 1
    return delays


def starlink(direction: str) -> Flow:
    """A satellite link, measured every 10 ms; skips the test without the data."""
    delays, losses = (
        data("traces", f"starlink_{direction}_{what}.txt").read_text().split() for what in ("delay", "loss")
    )
    lost = frozenset(number for number, flag in enumerate(losses[::2]) if float(flag))
    return Flow(f"starlink {direction}", [int(float(delay)) for delay in delays[::2]], lost)


def mobile(link: str) -> Flow:
    """A mobile link, by its recorded delivery opportunities; skips the test without the data."""
    recorded = data("traces", f"mahimahi_{link}.txt").read_text().split()
    return Flow(link, queued_behind([int(moment) for moment in recorded]), frozenset())


MEMORYLESS: dict[str, Callable[[random.Random], float]] = {
    "normal": lambda chance: chance.gauss(30, 20),
    "uniform": lambda chance: chance.uniform(0, 60),
}
"""Delays in ms as netem makes them (`delay 30ms 20ms distribution normal`, `delay 30ms 30ms`)."""


def memoryless(kind: str) -> Flow:
    """A made network where no packet's delay tells anything of the next one's, and packets overtake each other."""
    chance = random.Random(7)
    delays = [int(max(0.0, MEMORYLESS[kind](chance)) * 1_000_000) for _ in range(10_000)]
    return Flow(f"made jitter, {kind}", delays, frozenset())

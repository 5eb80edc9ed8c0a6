"""NetEq's rule for its target delay, stated again from its description, to compare with; not its time stretching.

Every packet's delay relative to the fastest of the last 2 s; the largest of each 500 ms goes into a histogram of 20 ms
buckets that forgets at first quickly, then with a half-life of 20 s; the target is its 95 % quantile, 80 ms at first. A
packet is played at the first of the pulls, 10 ms apart, that is the target or more behind the fastest; one that comes
after that is late.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.media.traces import PACKET_MS

_FASTEST_MS = 2_000
_PEAK_MS = 500
_BUCKET_MS = 20
_BUCKETS = 100
_QUANTILE = 0.95
_FORGET = 0.983
_START_MS = 80.0
_PULL_MS = 10


@dataclass(slots=True)
class _Histogram:
    shares: list[float] = field(default_factory=lambda: [0.0] * _BUCKETS)
    heard: int = 0

    def hear(self, delay_ms: float) -> float:
        """The target after one more."""
        self.heard += 1
        keep = min(_FORGET, 1 - 2 / (self.heard + 1))
        self.shares = [share * keep for share in self.shares]
        self.shares[min(_BUCKETS - 1, int(delay_ms // _BUCKET_MS))] += 1 - keep
        below = 0.0
        for bucket, share in enumerate(self.shares):
            below += share
            if below >= _QUANTILE:
                return (bucket + 1.0) * _BUCKET_MS
        return float(_BUCKETS * _BUCKET_MS)


@dataclass(frozen=True, slots=True)
class Ruled:
    """What the rule would have done."""

    mean_delay_ms: float
    """From arrival to playing, of packets that were in time."""
    late_percent: float


def ruled(arrivals: Sequence[tuple[int, int]]) -> Ruled:
    """Play these (moment in ns, number of the packet) by the rule."""
    histogram, target_ms = _Histogram(), _START_MS
    fastest: deque[tuple[float, float]] = deque()
    peak_ms, since_ms = 0.0, arrivals[0][0] / 1e6
    waits_ms: list[float] = []
    for at_ns, number in arrivals:
        at_ms = at_ns / 1e6
        transit_ms = at_ms - number * PACKET_MS
        while fastest and fastest[-1][1] >= transit_ms:
            fastest.pop()
        fastest.append((at_ms, transit_ms))
        while fastest[0][0] < at_ms - _FASTEST_MS:
            fastest.popleft()
        plays_ms = math.ceil((number * PACKET_MS + fastest[0][1] + target_ms) / _PULL_MS) * _PULL_MS
        if plays_ms >= at_ms:
            waits_ms.append(plays_ms - at_ms)
        peak_ms = max(peak_ms, transit_ms - fastest[0][1])
        if at_ms - since_ms >= _PEAK_MS:
            target_ms = histogram.hear(peak_ms)
            peak_ms, since_ms = 0.0, at_ms
    late = len(arrivals) - len(waits_ms)
    return Ruled(sum(waits_ms) / max(1, len(waits_ms)), 100 * late / len(arrivals))

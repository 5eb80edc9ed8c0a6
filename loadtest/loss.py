"""Which packets of a stream are lost: at random, or in bursts (Gilbert and Elliott's two states)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BURST_PACKETS = 4
"""How long the bad state lasts, on average."""
BAD = 0.75
"""The share lost in it; none in the good one."""
PATTERNS = ("random", "bursty")


NEAR = 0.02
"""A pattern drawn at random loses as much as was asked for within this share of it, or is drawn again."""


def lost(pattern: str, percent: float, packets: int, seed: int = 1) -> npt.NDArray[np.bool_]:
    """For each of `packets`, whether it is lost: `percent` of them in all, as nearly as a hundred draws come."""
    if percent <= 0:
        return np.zeros(packets, bool)
    rng = np.random.default_rng([seed, round(percent * 100), PATTERNS.index(pattern)])
    if pattern == "random":
        return rng.permutation(packets) < round(packets * percent / 100)
    best = np.zeros(packets, bool)
    for _ in range(100):
        drawn = _in_bursts(rng, percent / 100, packets)
        if abs(drawn.mean() - percent / 100) < abs(best.mean() - percent / 100):
            best = drawn
        if abs(best.mean() - percent / 100) <= NEAR * percent / 100:
            break
    return best


def _in_bursts(rng: np.random.Generator, share: float, packets: int) -> npt.NDArray[np.bool_]:
    into_bad = share / BAD / (1 - share / BAD) / BURST_PACKETS
    out = np.zeros(packets, bool)
    bad = False
    for number, (moves, drops) in enumerate(rng.random((packets, 2))):
        bad = moves >= 1 / BURST_PACKETS if bad else moves < into_bad
        out[number] = bad and drops < BAD
    return out

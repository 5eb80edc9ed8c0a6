"""Which packets of a stream are lost: at random, or in bursts (Gilbert and Elliott's two states)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BURST_PACKETS = 4
"""How long the bad state lasts, on average."""
BAD = 0.75
"""The share lost in it; none in the good one."""
PATTERNS = ("random", "bursty")


def lost(pattern: str, percent: float, packets: int, seed: int = 1) -> npt.NDArray[np.bool_]:
    """For each of `packets`, whether it is lost; close to `percent` of them in all."""
    rng = np.random.default_rng([seed, round(percent * 100), PATTERNS.index(pattern)])
    if percent <= 0:
        return np.zeros(packets, bool)
    if pattern == "random":
        return rng.permutation(packets) < round(packets * percent / 100)
    bad_share = percent / 100 / BAD
    into_bad = bad_share / (1 - bad_share) / BURST_PACKETS
    draws = rng.random((packets, 2))
    out = np.zeros(packets, bool)
    bad = False
    for number, (moves, drops) in enumerate(draws):
        bad = moves >= 1 / BURST_PACKETS if bad else moves < into_bad
        out[number] = bad and drops < BAD
    return out

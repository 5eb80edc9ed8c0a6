"""How well a score tells the end of a turn from a pause within it, by the definitions of LiveKit's eot-bench.

Every silence of a caller is a span: a `hold` (their turn goes on after it; counted from 200 ms to 5 s) or an end of
turn. A policy has three knobs: the score from which it acts (threshold), the silence before which it never does
(action delay), and the silence after which it does in any case (time-out). A false cut-off is a hold in which it acts
before speech goes on; latency is the silence until it acts after an end. All policies are tried, and what counts is
the best latency within a budget of false cut-offs, and the fewest cut-offs within a budget of latency (mean). Time is
the caller's; computing is not in it. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LEAST_HOLD_MS, MOST_HOLD_MS = 200.0, 5_000.0
DELAYS_MS = tuple(float(ms) for ms in range(0, 1_001, 100))
TIMEOUTS_MS = (*(float(ms) for ms in range(100, 2_000, 50)), *(float(ms) for ms in range(2_000, 5_001, 250)))
THRESHOLDS = 80
"""Tried at most; they lie where the scores do."""


@dataclass(frozen=True, slots=True)
class Span:
    """One silence of a caller, and what a system made of it while it lasted."""

    ends_turn: bool
    lasts_ms: float
    """Until speech goes on; of an end, until the recording is over."""
    at_ms: tuple[float, ...]
    """When it was scored, since the silence began, ascending."""
    scores: tuple[float, ...]
    """The higher, the likelier an end."""

    @property
    def counts(self) -> bool:
        """Whether eot-bench takes it in."""
        return self.ends_turn or LEAST_HOLD_MS <= self.lasts_ms <= MOST_HOLD_MS


@dataclass(frozen=True, slots=True)
class Policy:
    """Knobs of one operating point."""

    threshold: float
    delay_ms: float
    timeout_ms: float


@dataclass(frozen=True, slots=True)
class Point:
    """What a policy comes to."""

    cut_off: float
    """Share of holds it acts in."""
    latency_ms: float
    """Mean, over ends of turns."""
    policy: Policy


def acts_ms(span: Span, policy: Policy) -> float:
    """The silence after which the policy acts."""
    for at, score in zip(span.at_ms, span.scores, strict=True):
        if at >= policy.timeout_ms:
            break
        if at >= policy.delay_ms and score >= policy.threshold:
            return at
    return policy.timeout_ms


def measured(spans: Sequence[Span], policy: Policy) -> Point:
    """What one policy comes to. Raises ValueError where there is no hold or no end."""
    holds, ends = _parted(spans)
    cut = [acts_ms(span, policy) < span.lasts_ms for span in holds]
    return Point(float(np.mean(cut)), float(np.mean([acts_ms(span, policy) for span in ends])), policy)


def frontier(spans: Sequence[Span]) -> list[Point]:
    """The policies that no other betters in both, by rising latency. Raises ValueError where there is no hold or no
    end."""
    holds, ends = _parted(spans)
    thresholds = _thresholds(spans)
    latency = _first_acts(ends, thresholds)
    held = _first_acts(holds, thresholds)
    lasts = np.array([span.lasts_ms for span in holds])
    points: list[tuple[float, float, Policy]] = []
    for timeout_ms in TIMEOUTS_MS:
        late = np.minimum(latency, timeout_ms).mean(axis=2)
        cut = (np.minimum(held, timeout_ms) < lasts).mean(axis=2)
        for i, threshold in enumerate(thresholds):
            for j, delay_ms in enumerate(DELAYS_MS):
                policy = Policy(float(threshold), delay_ms, timeout_ms)
                points.append((float(late[i, j]), float(cut[i, j]), policy))
    best: list[Point] = []
    for late_ms, cut_off, policy in sorted(points, key=lambda point: point[:2]):
        if not best or cut_off < best[-1].cut_off:
            best.append(Point(cut_off, late_ms, policy))
    return best


def cut_off_at(points: Sequence[Point], latency_ms: float) -> float | None:
    """The fewest false cut-offs of a policy whose mean latency is within the budget; None where there is none."""
    return min((point.cut_off for point in points if point.latency_ms <= latency_ms), default=None)


def latency_at(points: Sequence[Point], cut_off: float) -> float | None:
    """The least mean latency of a policy that cuts off no more than that; None where there is none."""
    return min((point.latency_ms for point in points if point.cut_off <= cut_off + 1e-9), default=None)


def _parted(spans: Sequence[Span]) -> tuple[list[Span], list[Span]]:
    holds = [span for span in spans if span.counts and not span.ends_turn]
    ends = [span for span in spans if span.ends_turn]
    if not holds or not ends:
        raise ValueError(f"{len(holds)} pauses within turns and {len(ends)} ends of turns: both are needed to compare")
    return holds, ends


def _thresholds(spans: Sequence[Span]) -> Floats:
    """Where the scores lie; the last is never reached, so that the time-out alone is tried too."""
    scores = np.unique([score for span in spans for score in span.scores])
    if len(scores) > THRESHOLDS:
        scores = np.unique(np.quantile(scores, np.linspace(0, 1, THRESHOLDS)))
    return np.append(scores, np.inf)


def _first_acts(spans: Sequence[Span], thresholds: Floats) -> Floats:
    """[thresholds, delays, spans]: the silence after which the score alone would have one act; infinite for never."""
    width = max(len(span.at_ms) for span in spans)
    at = np.full((len(spans), width), np.inf)
    score = np.full((len(spans), width), -np.inf)
    for row, span in enumerate(spans):
        at[row, : len(span.at_ms)] = span.at_ms
        score[row, : len(span.scores)] = span.scores
    out = np.empty((len(thresholds), len(DELAYS_MS), len(spans)))
    for i, threshold in enumerate(thresholds):
        for j, delay_ms in enumerate(DELAYS_MS):
            out[i, j] = np.where((score >= threshold) & (at >= delay_ms), at, np.inf).min(axis=1)
    return out

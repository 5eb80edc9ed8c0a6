"""How many calls a model can serve on time, from how long its steps take: pure arithmetic, no clock, no state.

A step's cost is a curve over the rows in it, known from a rehearsal where the model offers one and else a straight line
through what was measured; what the machine does to it at the moment (slower by a factor, disturbed now and then) is
taken from the steps of the last seconds alone, so that the answer shrinks while something else has the machine, and
grows again afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from offhook.speech.contract import HOP_MS

PHASES = (4, 2, 1)
"""Phase groups there can be. With more of them a call waits less for its tick, and the model steps more often."""
BUSY = 0.75
"""Share of a tick that a step may take at its 99th percentile: 60 ms of 80."""

Figures = npt.NDArray[np.float64]


def phases_for(step_ms: float, present: int, most: int = max(PHASES)) -> int:
    """The phase groups to use, `most` at most, where a step takes `step_ms` (p95) with `present` of them. More groups
    than now are only taken up where a step would leave over half of the shorter tick idle, so that the choice does not
    flap."""
    for phases in PHASES:
        share = 0.6 if phases <= present else 0.4
        if phases <= most and step_ms <= share * HOP_MS / phases:
            return phases
    return 1


@dataclass(frozen=True, slots=True)
class StepCost:
    """What a step takes by the rows in it."""

    rows: Figures
    """[n], growing, the first 0."""
    times_ms: Figures
    """[n]: what a step with so many rows usually takes; never less with more of them."""
    factor: float
    """How much longer steps take at the moment."""
    spread_ms: float
    """How much longer than that one step in a hundred takes."""

    @classmethod
    def rehearsed(cls, steps: Sequence[tuple[int, float]]) -> StepCost:
        """What a rehearsal promised: (rows, ms) of steps, 0 rows first."""
        usual = np.maximum.accumulate(np.array([ms for _, ms in steps], np.float64))
        return cls(np.array([row for row, _ in steps], np.float64), usual, 1.0, 0.0)

    def p99_ms(self, rows: Figures) -> Figures:
        """For each number of rows; beyond the last known one the cost grows as it did on the way there."""
        usual = np.interp(rows, self.rows, self.times_ms)
        if len(self.rows) > 1:
            # From half of the last one on: the last two points alone may lie too close together.
            half = float(np.interp(self.rows[-1] / 2, self.rows, self.times_ms))
            slope = (float(self.times_ms[-1]) - half) / (float(self.rows[-1]) / 2)
            usual = usual + np.maximum(0.0, rows - self.rows[-1]) * slope
        figures: Figures = usual * self.factor + self.spread_ms
        return figures


def cost_of(rehearsed: Sequence[tuple[int, float]], rows: Figures, times_ms: Figures) -> StepCost:
    """The cost of a step: `rehearsed` holds (rows, ms) with 0 rows first, measured when nobody was there; `rows` and
    `times_ms` are the steps of the last seconds."""
    promised = StepCost.rehearsed(rehearsed)
    known, usual = promised.rows, promised.times_ms
    if len(rows):
        # The step furthest above is left out: where there are few yet, one mishap is neither a price nor a rate.
        worst = int(np.argmax(times_ms - promised.p99_ms(rows)))
        rows, times_ms = np.delete(rows, worst), np.delete(times_ms, worst)
    if not len(rows):
        return promised
    if len(known) == 1:
        known, usual = _line(float(usual[0]), rows, times_ms)
    expected = np.maximum(StepCost(known, usual, 1.0, 0.0).p99_ms(rows), 1e-6)
    factor = float(np.median(times_ms / expected))
    spread_ms = max(0.0, float(np.percentile(times_ms - factor * expected, 99)))
    return StepCost(known, usual, factor, spread_ms)


def calls_held(cost: StepCost, limit: int, most: int = max(PHASES)) -> int:
    """How many calls can be served on time, `limit` at most, spread evenly over any number of phase groups up to
    `most`: of each group's step, p99 within `BUSY` of its tick."""
    held = 0
    for phases in PHASES:
        if phases > most:
            continue
        rows = np.arange(1, -(-limit // phases) + 1, dtype=np.float64)
        over = np.flatnonzero(cost.p99_ms(rows) > BUSY * HOP_MS / phases)
        held = max(held, phases * (int(over[0]) if len(over) else len(rows)))
    return min(held, limit)


def _line(fixed_ms: float, rows: Figures, times_ms: Figures) -> tuple[Figures, Figures]:
    """The straight line through the medians of steps with as many rows, and through what an empty step took."""
    counts, which = np.unique(rows, return_inverse=True)
    medians = np.array([np.median(times_ms[which == each]) for each in range(len(counts))])
    weights = np.bincount(which).astype(np.float64)
    # All of it may be slower now than when the empty step was measured: only what exceeds that grows with rows.
    above = np.maximum(0.0, medians - fixed_ms)
    slope = float((weights * counts * above).sum() / max(1e-9, (weights * counts * counts).sum()))
    most = max(1.0, float(counts[-1]))
    return np.array([0.0, most]), np.array([fixed_ms, fixed_ms + slope * most])

"""How many calls a model can serve on time, from how long its steps take: pure arithmetic, no clock, no state.

A step's time is taken as a fixed part (what a step with nobody in it takes) and a part that grows with the rows in it.
For a model of fixed shape the second is nothing; for one that works row by row the first is.
"""

from __future__ import annotations

from offhook.speech.contract import HOP_MS

PHASES = (4, 2, 1)
"""Phase groups there can be. With more of them a call waits less for its tick, and the model steps more often."""
BUSY = 0.75
"""Share of a tick that a step may take: 60 ms of 80."""


def phases_for(step_ms: float, present: int) -> int:
    """The phase groups to use, where a step takes `step_ms` (p95) with `present` of them. More groups than now are only
    taken up where a step would leave over half of the shorter tick idle, so that the choice does not flap."""
    for phases in PHASES:
        share = 0.6 if phases <= present else 0.4
        if step_ms <= share * HOP_MS / phases:
            return phases
    return 1


def fits(step_ms: float, fixed_ms: float, rows: float, in_use: int, phases: int) -> bool:
    """Whether one call more than the `in_use` can be served on time: a step takes `step_ms` (p99) with `rows` in it on
    average and `fixed_ms` with none, in `phases` groups now; with fewer groups a step has more rows and more time."""
    fixed_ms = min(fixed_ms, step_ms)
    per_row_ms = (step_ms - fixed_ms) / max(1.0, rows)
    return any(
        fixed_ms + per_row_ms * (in_use / fewer + 1) <= BUSY * HOP_MS / fewer for fewer in PHASES if fewer <= phases
    )

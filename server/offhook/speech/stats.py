"""What the scheduler counts, and the two small instruments it counts with.

`SchedulerStats` is the one record that leaves the worker, once a second; counters in it only grow, percentiles are of
the last few seconds. Nothing here decides anything: admission reads these figures, it does not live here.
"""

from __future__ import annotations

import dataclasses
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

BUCKETS_MS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 40.0, 60.0, 80.0, 160.0)
"""Upper bounds of the histograms' buckets; one more bucket holds what is above the last."""

HORIZON_S = 10.0
"""What is older does not enter a percentile."""


@dataclass(frozen=True, slots=True)
class SchedulerStats:
    """One worker's figures. Times in milliseconds, `_samples` at 16 kHz, everything else a count since start."""

    slots: int = 0
    """Rows of the batch."""
    in_use: int = 0
    """Rows with a conversation in them."""
    capacity: int = 0
    """Conversations that could be held on time as things are."""
    phases: int = 4
    """Phase groups in force: 4, 2 or 1."""
    refusal: str = ""
    """Empty while one more call would be taken; else `full` or `too slow`."""
    hops: int = 0
    """Hops served, over all rows."""
    late: int = 0
    """Hops served at a later tick than the one they were due at, for whatever reason."""
    late_by: Mapping[str, int] = field(default_factory=dict)
    """Those hops by `lateness.Cause`: `unfed` (their samples had not come by then), `step`, `admission`, `collection`,
    `descheduled`."""
    skipped_samples: int = 0
    """Caller's samples that no model heard because the row had fallen more than two hops behind."""
    clipped_samples: int = 0
    """Agent's samples thrown away because the play ring was full: the model ran too far ahead."""
    starved_samples: int = 0
    """Samples of silence that callers were sent in the middle of an utterance: its audio came too late."""
    cuts: int = 0
    steps: int = 0
    """Times the model was stepped."""
    overruns: int = 0
    """Ticks that were missed altogether because a step took too long."""
    lateness_p50_ms: float = 0.0
    """Lateness: from the tick a hop was due at to the beginning of the step that served it."""
    lateness_p99_ms: float = 0.0
    step_p50_ms: float = 0.0
    step_p99_ms: float = 0.0
    lateness_counts: Sequence[int] = field(default_factory=lambda: [0] * (len(BUCKETS_MS) + 1))
    """Hops by lateness, one count a bucket of `BUCKETS_MS` (not cumulative)."""
    step_counts: Sequence[int] = field(default_factory=lambda: [0] * (len(BUCKETS_MS) + 1))
    """Steps by duration, likewise."""
    refused: Mapping[str, int] = field(default_factory=dict)
    """Admissions refused, by reason; with those that the edge refused by itself: `full`, `too slow`, `down`."""
    released: Mapping[str, int] = field(default_factory=dict)
    """Rows released, by cause: `asked`, `unbound` (port gone), `rebound` (new epoch), `failed` (model raised)."""
    stage_runs: Mapping[str, int] = field(default_factory=dict)
    """What the model says of its stages (`floor.StageTimes`): how often each was gone through ..."""
    stage_ms: Mapping[str, float] = field(default_factory=dict)
    """... and how long that took altogether."""
    pid: int = 0
    """The worker's process."""
    restarts: int = 0
    """Times the edge had to replace the worker."""
    load_ms: float = 0.0
    """How long the present worker took to load its model."""

    def on_top_of(self, earlier: SchedulerStats) -> SchedulerStats:
        """These figures with `earlier`'s counters added: a replaced worker's counts are not forgotten."""
        return dataclasses.replace(
            self,
            hops=self.hops + earlier.hops,
            late=self.late + earlier.late,
            late_by=_merged(self.late_by, earlier.late_by),
            skipped_samples=self.skipped_samples + earlier.skipped_samples,
            clipped_samples=self.clipped_samples + earlier.clipped_samples,
            starved_samples=self.starved_samples + earlier.starved_samples,
            cuts=self.cuts + earlier.cuts,
            steps=self.steps + earlier.steps,
            overruns=self.overruns + earlier.overruns,
            lateness_counts=_added(self.lateness_counts, earlier.lateness_counts),
            step_counts=_added(self.step_counts, earlier.step_counts),
            refused=_merged(self.refused, earlier.refused),
            released=_merged(self.released, earlier.released),
            stage_runs=_merged(self.stage_runs, earlier.stage_runs),
            stage_ms={
                stage: self.stage_ms.get(stage, 0.0) + earlier.stage_ms.get(stage, 0.0)
                for stage in {*self.stage_ms, *earlier.stage_ms}
            },
        )


class Timings:
    """Durations in milliseconds: a histogram since start, and percentiles of those of the last `HORIZON_S`."""

    def __init__(self, window: int) -> None:
        self._values: npt.NDArray[np.float64] = np.zeros(window)
        self._times_s: npt.NDArray[np.float64] = np.full(window, -np.inf)
        self._counts = [0] * (len(BUCKETS_MS) + 1)
        self._seen = 0

    def add(self, value_ms: float, now_s: float) -> None:
        """Count one duration, measured now; of too many, the window keeps the newest."""
        self._counts[bisect_left(BUCKETS_MS, value_ms)] += 1
        place = self._seen % len(self._values)
        self._values[place] = value_ms
        self._times_s[place] = now_s
        self._seen += 1

    def recent(self, now_s: float, after_s: float = -np.inf) -> npt.NDArray[np.float64]:
        """What was measured lately, and after `after_s`, in no order."""
        return self._values[(self._times_s >= now_s - HORIZON_S) & (self._times_s > after_s)]

    def percentile(self, percent: float, now_s: float) -> float:
        """Of the recent ones; 0.0 where nothing was measured."""
        recent = self.recent(now_s)
        return float(np.percentile(recent, percent)) if len(recent) else 0.0

    @property
    def counts(self) -> list[int]:
        return list(self._counts)


def _added(one: Sequence[int], other: Sequence[int]) -> list[int]:
    return [a + b for a, b in zip(one, other, strict=True)]


def _merged(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {cause: one.get(cause, 0) + other.get(cause, 0) for cause in {*one, *other}}

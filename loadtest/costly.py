"""A speech model with a known price: it echoes, and every row of a step takes a given time. How many calls it can hold
is plain arithmetic, so that what a scheduler finds out by measuring can be held against it."""

from __future__ import annotations

import time
from collections.abc import Mapping

from offhook.speech.contract import Hop, Json, Step
from offhook.speech.echo import EchoModel


class Costly(EchoModel):
    """Options: `step_ms`, what a step takes with nobody in it, and `row_ms`, what each row adds."""

    def __init__(self, slots: int, step_ms: float, row_ms: float) -> None:
        super().__init__(slots)
        self._step_s, self._row_s = step_ms / 1000, row_ms / 1000

    @classmethod
    def load(cls, slots: int, options: Mapping[str, Json]) -> Costly:
        step_ms, row_ms = options.get("step_ms", 0), options.get("row_ms", 0)
        if not isinstance(step_ms, int | float) or not isinstance(row_ms, int | float):
            raise ValueError("the costly model's step_ms and row_ms are numbers")
        return cls(slots, step_ms, row_ms)

    def step(self, hop: Hop) -> Step:
        self.rehearsal(int(hop.mask.sum()))
        return super().step(hop)

    def rehearsal(self, rows: int) -> None:
        """What a step with so many rows costs, and nothing else."""
        time.sleep(self._step_s + rows * self._row_s)

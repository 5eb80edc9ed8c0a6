"""What a speech model may tell the scheduler of itself, beyond the contract: all of it optional attributes.

A model that says nothing is served as most are: in as many phase groups as its steps leave time for, by as many calls
as its step times allow. Nothing here is asked while calls are served; the hints are read once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from offhook.speech.capacity import PHASES
from offhook.speech.contract import SpeechModel


@dataclass(frozen=True, slots=True)
class Hints:
    """A model's optional attributes of the same names."""

    capacity: int | None = None
    """Conversations at most, where the time of a step does not tell (work in threads of its own); an upper bound."""
    every_tick: bool = False
    """Step it at each tick with anybody admitted, if only with an empty mask, to say sooner what it has ready."""
    phases: int = max(PHASES)
    """Phase groups at most. 1 for a model that steps all its rows in lock step, whatever the mask says."""
    rehearsal: Callable[[int], None] | None = None
    """`rehearsal(rows)` does the work of a step with so many rows in it and changes no conversation. It is timed before
    the first call comes; without it the cost of a row is learnt from calls."""
    stages: Callable[[], tuple[Mapping[str, int], Mapping[str, float]]] | None = None
    """How often each of its stages was gone through and how many ms that took altogether: `times.totals` of models
    that have `floor.StageTimes` as `times`."""


def hints_of(model: SpeechModel) -> Hints:
    """What `model` says of itself. Raises ValueError for a number of phase groups that there is not."""
    hints = Hints(
        capacity=getattr(model, "capacity", None),
        every_tick=bool(getattr(model, "every_tick", False)),
        phases=int(getattr(model, "phases", max(PHASES))),
        rehearsal=getattr(model, "rehearsal", None),
        stages=getattr(getattr(model, "times", None), "totals", None),
    )
    if hints.phases not in PHASES:
        raise ValueError(f"{type(model).__name__}.phases is {hints.phases}; phase groups are 4, 2 or 1")
    return hints

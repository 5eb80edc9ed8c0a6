"""Where the caller's samples, as a model counts them, lie in the listen rings.

A model counts from the first sample it was given; a row's ring counts from its binding, and a row that fell behind has
had samples skipped. Events leave the scheduler in cursors of the ring, which the call can place on its own clock.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from offhook.speech import contract
from offhook.speech.contract import Event

Places = npt.NDArray[np.int64]
"""[n] of rows or of cursors."""


class StreamPositions:
    """For each row: sample p of the model's count lies at cursor p + shift, before its last skip p + shift_before."""

    def __init__(self, slots: int) -> None:
        self._given = np.zeros(slots, np.int64)
        self._shift = np.zeros(slots, np.int64)
        self._shift_before = np.zeros(slots, np.int64)
        self._skipped_at = np.zeros(slots, np.int64)

    def begin(self, rows: Places, cursors: Places) -> None:
        """The model's count begins at these cursors."""
        self._given[rows] = self._skipped_at[rows] = 0
        self._shift[rows] = self._shift_before[rows] = cursors

    def give(self, rows: Places, samples: int) -> None:
        """The model was given the next `samples` of these rows."""
        self._given[rows] += samples

    def skip(self, rows: Places, samples: Places) -> None:
        """The model will never be given the next `samples` of these rows."""
        self._shift_before[rows] = self._shift[rows]
        self._skipped_at[rows] = self._given[rows]
        self._shift[rows] += samples

    def cursor(self, slot: int, position: int) -> int:
        """Of a position in the model's count; behind the last skip but one it is off by that one."""
        before = position < self._skipped_at[slot]
        return int(position) + int((self._shift_before if before else self._shift)[slot])

    def placed(self, event: Event) -> Event:
        """The event with its positions in the caller's stream turned into cursors."""
        slot = event.slot
        match event:
            case contract.TurnStarted() | contract.Interrupted():
                return dataclasses.replace(event, at=self.cursor(slot, event.at))
            case contract.WordsHeard():
                start, end = self.cursor(slot, event.start), self.cursor(slot, event.end)
                return dataclasses.replace(event, start=start, end=end)
            case contract.TurnEnded():
                at, decided_at = self.cursor(slot, event.at), self.cursor(slot, event.decided_at)
                return dataclasses.replace(event, at=at, decided_at=decided_at)
        return event

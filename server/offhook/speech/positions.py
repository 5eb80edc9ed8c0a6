"""Where the caller's samples, as a model counts them, lie in the listen rings.

A model counts from the first sample it was given; a row's ring counts from its binding, and a row that fell behind has
had samples skipped. Events leave the scheduler in cursors of the ring, which the call can place on its own clock.
"""

from __future__ import annotations

import dataclasses

from offhook.speech import contract
from offhook.speech.contract import Event


class StreamPositions:
    """For each row: sample p of the model's count lies at cursor p + shift, before its last skip p + shift_before."""

    def __init__(self, slots: int) -> None:
        self._shift = [0] * slots
        self._shift_before = [0] * slots
        self._skipped_at = [0] * slots

    def begin(self, slot: int, cursor: int) -> None:
        """The model's count begins at this cursor."""
        self._skipped_at[slot] = 0
        self._shift[slot] = self._shift_before[slot] = cursor

    def skip(self, slot: int, cursor: int, samples: int) -> None:
        """The model will never be given the `samples` that lie at this cursor, where it would have gone on."""
        self._skipped_at[slot] = cursor - self._shift[slot]
        self._shift_before[slot] = self._shift[slot]
        self._shift[slot] += samples

    def cursor(self, slot: int, position: int) -> int:
        """Of a position in the model's count; behind the last skip but one it is off by that one."""
        before = position < self._skipped_at[slot]
        return int(position) + (self._shift_before if before else self._shift)[slot]

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

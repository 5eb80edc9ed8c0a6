"""Puts what a model said in one step into the play rings: cuts first, then audio, then whether more follows.

A row is written to only while the binding it was admitted with stands, and only for the conversation the step was made
for; whatever else a model hands over is dropped here.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from offhook.speech.contract import Step
from offhook.speech.slots import RING_SAMPLES, Segment, binding_of

Flags = npt.NDArray[np.bool_]


class PlayRings:
    """The worker's side of the play rings of `slots` rows."""

    def __init__(self, segment: Segment, slots: int) -> None:
        self.clipped_samples = 0
        """Agent's samples thrown away because a ring was full."""
        self.cuts = 0
        self._segment = segment
        self._bound = [-1] * slots  # the binding that each row's conversation has
        self._speaking: Flags = np.zeros(slots, np.bool_)  # as the rows say it
        self._starved = [0] * slots  # counted already
        self._starved_samples = 0

    def open(self, slot: int, epoch: int) -> None:
        """A conversation begins in the row: from here on the core plays it. It is freshly bound, its cursors at
        nought, so nothing of an earlier one can be heard."""
        segment = self._segment
        segment.speaking[slot] = 0
        segment.spoken[slot] = 0
        segment.cut_before[slot] = 0
        segment.cut_seq[slot] = segment.cut_done[slot]
        self._speaking[slot] = False
        self._starved[slot] = 0
        self._bound[slot] = binding_of(epoch)
        segment.fence()
        segment.speak_epoch[slot] = epoch

    def close(self, slot: int) -> None:
        """The conversation is over: where its binding stands, nothing more of it is played."""
        self._count_starved(slot)
        if self._ours(slot):
            self._segment.speaking[slot] = 0
            self._segment.cut(slot)
        self._bound[slot] = -1

    def say(self, step: Step, stepped: Flags) -> None:
        """Carry out a step, in the rows that are still bound as their conversation was opened."""
        segment = self._segment
        if step.cut.any():
            for slot in step.cut.nonzero()[0].tolist():
                if self._ours(slot):
                    segment.cut(slot)
                    self.cuts += 1
        rows, samples, limit = [], [], step.audio.shape[1]
        saying = step.samples.nonzero()[0]
        wanted = zip(saying.tolist(), step.samples[saying].tolist(), segment.heads[saying].tolist(), strict=True)
        for slot, n, (binding, *_, taken, _played, spoken) in wanted:
            if binding == self._bound[slot]:
                said = max(0, min(n, limit))
                room = max(0, RING_SAMPLES - spoken + taken)
                self.clipped_samples += max(0, said - room)
                rows.append(slot)
                samples.append(min(said, room))
        turned = []
        if (step.speaking != self._speaking).any():
            # A row that was not stepped and says nothing is not spoken of: what its flag held still holds.
            heeded = (stepped | (step.samples > 0) | step.cut) & (step.speaking != self._speaking)
            turned = [slot for slot in heeded.nonzero()[0].tolist() if self._ours(slot)]
            self._speaking[turned] = step.speaking[turned]
        for slot in turned:  # said before the audio where more follows, and after it where none does
            if step.speaking[slot]:
                segment.speaking[slot] = 1
        segment.scatter(rows, step.audio, samples)
        for slot in turned:
            if not step.speaking[slot]:
                segment.speaking[slot] = 0

    def starved_samples(self) -> int:
        """Samples of silence that were sent in the middle of utterances."""
        for slot in range(len(self._bound)):
            self._count_starved(slot)
        return self._starved_samples

    def _count_starved(self, slot: int) -> None:
        if self._bound[slot] >= 0 and self._ours(slot):
            starved = int(self._segment.starved[slot])
            self._starved_samples += max(0, starved - self._starved[slot])
            self._starved[slot] = starved

    def _ours(self, slot: int) -> bool:
        return bool(self._segment.heads["binding"][slot] == self._bound[slot])

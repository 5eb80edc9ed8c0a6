"""The media core's side of a slots segment, for tests: binds rows, speaks into them, plays what is said back.

It does with NumPy, on the same shared memory, exactly what `oh_slots.h` says the core does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from offhook.speech.contract import Pcm, Persona
from offhook.speech.slots import RING_SAMPLES, Segment, create_segment

PERSONA = Persona("echo@1", "en-US", "joe", "none:none", {})


class Core:
    """Whoever owns the segment: hears callers and plays to them."""

    def __init__(self, slots: int) -> None:
        self.fd = create_segment(slots)
        self.segment = Segment(self.fd)

    def bind(self, slot: int) -> int:
        """A new epoch for the row, all its cursors at nought."""
        s = self.segment
        s.live[slot] = 0
        cursors = (s.heard, s.concealed, s.missing, s.taken, s.played, s.starved, s.cut_done, s.cut_played)
        for cursor in (*cursors, s.spoken, s.cut_before, s.cut_seq):
            cursor[slot] = 0
        s.epoch[slot] += 1
        s.live[slot] = 1
        return int(s.epoch[slot])

    def unbind(self, slot: int) -> None:
        self.segment.live[slot] = 0

    def hear(self, slot: int, audio: Pcm, at_ns: int = 0) -> None:
        """The caller says this."""
        s = self.segment
        cursor = int(s.heard[slot])
        s.listen[slot, (cursor + np.arange(len(audio))) % RING_SAMPLES] = audio
        s.heard_ns[slot] = at_ns
        s.fence()
        s.heard[slot] = cursor + len(audio)

    def play(self, slot: int, samples: int = RING_SAMPLES) -> Pcm:
        """What goes to the caller: at most `samples` of what the worker has said to the present epoch."""
        s = self.segment
        if s.speak_epoch[slot] != s.epoch[slot]:
            return np.zeros(0, np.int16)
        if s.cut_seq[slot] != s.cut_done[slot]:
            s.taken[slot] = max(int(s.taken[slot]), int(s.cut_before[slot]))
            s.cut_played[slot] = s.played[slot]
            s.cut_done[slot] = s.cut_seq[slot]
        taken = int(s.taken[slot])
        n = min(samples, int(s.spoken[slot]) - taken)
        audio: Pcm = s.play[slot, (taken + np.arange(n)) % RING_SAMPLES]
        s.taken[slot] = taken + n
        s.played[slot] += n
        return audio


@contextmanager
def core(slots: int) -> Iterator[Core]:
    made = Core(slots)
    try:
        yield made
    finally:
        os.close(made.fd)


def noise(seed: int, samples: int) -> Pcm:
    """Samples that no other seed has."""
    return np.random.default_rng(seed).integers(-20_000, 20_000, samples, dtype=np.int16)

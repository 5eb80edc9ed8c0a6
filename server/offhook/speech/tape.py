"""The last half minute of one caller, kept so that a turn can be recognised from its beginning."""

from __future__ import annotations

import numpy as np

from offhook.speech.contract import RATE_HZ, Pcm

_SAMPLES = 32 * RATE_HZ


class Tape:
    """A ring of samples with positions that never wrap."""

    def __init__(self) -> None:
        self.end = 0
        """Samples written since the beginning."""
        self._ring = np.zeros(_SAMPLES, np.int16)

    def write(self, audio: Pcm) -> None:
        """Append `audio` ([n] int16, n at most the ring's length)."""
        place = self.end % _SAMPLES
        first = min(len(audio), _SAMPLES - place)
        self._ring[place : place + first] = audio[:first]
        self._ring[: len(audio) - first] = audio[first:]
        self.end += len(audio)

    def read(self, start: int, end: int) -> Pcm:
        """A copy of the samples from `start` to `end`, as far as they are still (and already) there."""
        end = min(end, self.end)
        start = max(start, 0, self.end - _SAMPLES)
        return self._ring.take(np.arange(start, max(start, end)), mode="wrap")

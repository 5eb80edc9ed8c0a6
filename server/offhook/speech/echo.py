"""A speech model that says back what it hears. It serves load tests and tests of the parts around a model, and does no
work per call: one step is the same few array operations for one slot as for hundreds.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from offhook.speech.contract import HOP_SAMPLES, RATE_HZ, Delivery, Hop, Json, Pcm, Persona, Step


class EchoModel:
    """Each row's hop is played back as soon as it was heard, so one hop after it was said."""

    def __init__(self, slots: int, *, cushion_ms: float = 0.0, greeting_ms: float = 0.0) -> None:
        """`cushion_ms` of silence goes before the first hop, to be queued in case a later one is late. With
        `greeting_ms`, a tone of that length is played first, and nothing is said back until it is over."""
        self.slots = slots
        self._opening: Pcm = _tone(greeting_ms) if greeting_ms else np.zeros(_samples(cushion_ms), np.int16)
        self._greeting = len(self._opening) if greeting_ms else 0
        self._held = np.zeros(slots, np.bool_)
        self._opened = np.zeros(slots, np.bool_)

    @classmethod
    def load(cls, slots: int, options: Mapping[str, Json]) -> EchoModel:
        """From a worker's options: `cushion_ms`, `greeting_ms`. Raises ValueError for any other."""
        numbers = {}
        for name, value in options.items():
            if name not in ("cushion_ms", "greeting_ms"):
                raise ValueError(f"the echo model has no option `{name}`; it has cushion_ms and greeting_ms")
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 4000:
                raise ValueError(f"the echo model's {name} is a number from 0 to 4000, not {value!r}")
            numbers[name] = float(value)
        return cls(slots, **numbers)

    def admit(self, slot: int, persona: Persona) -> None:
        self._held[slot] = True
        self._opened[slot] = False

    def deliver(self, slot: int, delivery: Delivery) -> None:
        """Nothing is wanted, so nothing is heeded."""

    def step(self, hop: Hop) -> Step:
        hears = hop.mask & self._held
        opens = hears & ~self._opened
        says = hears & (hop.played >= self._greeting)
        samples = np.where(says, HOP_SAMPLES, 0).astype(np.int32)
        audio = hop.audio
        if len(self._opening) and opens.any():
            audio = np.zeros((self.slots, len(self._opening) + HOP_SAMPLES), np.int16)
            audio[:, :HOP_SAMPLES] = hop.audio
            audio[opens, : len(self._opening)] = self._opening
            audio[opens, len(self._opening) :] = hop.audio[opens]
            samples[opens] += len(self._opening)
        self._opened |= opens
        return Step(audio=audio, samples=samples, cut=np.zeros(self.slots, np.bool_), speaking=self._held.copy())

    def release(self, slot: int) -> None:
        self._held[slot] = False


def _samples(ms: float) -> int:
    return round(ms * RATE_HZ / 1000)


def _tone(ms: float) -> Pcm:
    """440 Hz at about -20 dBFS."""
    wave: Pcm = (4600 * np.sin(2 * np.pi * 440 / RATE_HZ * np.arange(_samples(ms)))).astype(np.int16)
    return wave

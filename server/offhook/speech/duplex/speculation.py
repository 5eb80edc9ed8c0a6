"""An answer made ready before it is sure that the caller is done, and thrown away should they go on.

A guess holds what was heard up to a moment: the meaning, the gist as it is written, and what the mind makes of both.
It is good as long as nothing was said after that moment. It decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from offhook.speech.contract import RATE_HZ, Reading, Understood, Vector
from offhook.speech.duplex.listening import NOTHING, Writing

_UNDERSTOOD = 0.9


class Told(Enum):
    """What the mind is told of a turn."""

    MEANING = "meaning"
    """Its meaning and the gist."""
    TEXT = "text"
    """Its meaning and all the words, where free text was asked for."""
    WORDS = "words"
    """The words alone: to a mind that knows nothing else, or one that is not sure of the meaning."""


class Stage(Enum):
    """How far a guess has come."""

    WRITING = "writing"
    """Its gist, or its words, are being written."""
    WEIGHING = "weighing"
    """The mind is looking at it."""
    READY = "ready"


@dataclass(frozen=True, slots=True)
class Stretch:
    """What was heard in one row of the model."""

    words: str
    meaning: Vector


@dataclass(slots=True)
class Guess:
    """One answer in the making."""

    until: int
    """Samples of the caller's stream that it was made from."""
    meaning: Vector
    told: Told
    stage: Stage = Stage.WRITING
    writing: Writing = NOTHING
    tokens: int = 0
    """Times that it was written at."""
    complete: float = 0.5
    """What the mind made of it, once it is READY."""

    def outlived(self, speech_end: int, tail_ms: int) -> bool:
        """Whether the caller has spoken on since."""
        return (speech_end - self.until) * 1000 > tail_ms * RATE_HZ

    def whole(self, before: list[Stretch], ended: float, likely: float, sure: float) -> Understood:
        """The whole turn: what was heard in rows that were full, and this."""
        words = " ".join(filter(None, [*(stretch.words for stretch in before), self.writing.text]))
        meaning = self.meaning
        if before:
            total = np.sum([*(stretch.meaning for stretch in before), self.meaning], axis=0)
            meaning = (total / max(float(np.linalg.norm(total)), 1e-6)).astype(np.float32)
        return Understood(words, meaning, ended, likely, sure)


def understood(reading: Reading) -> bool:
    """Whether a mind that was told a meaning is sure of it: else it is given the words."""
    return bool(reading.facts) or reading.complete >= _UNDERSTOOD


@dataclass(slots=True)
class Guesses:
    """How many were made, for whoever measures."""

    made: int = 0
    void: int = 0
    """Thrown away, as the caller spoke on."""

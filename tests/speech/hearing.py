"""A stand-in for the duplex model's ear and mind: it hears loud and soft, and understands what the test has told it.

For tests of turn taking only, which must not hang on what a model understands; the model itself is tested with its own
weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from offhook.speech.contract import Pcm, Vector
from offhook.speech.duplex.listening import Opening, Writing


@dataclass(frozen=True, slots=True)
class Meant:
    """What a caller is going to say, as the model would understand it."""

    gist: str = ""
    words: str = ""
    ended: float = 0.97
    """How sure the model is, in a pause, that they are done."""
    backchannel: float = 0.0
    addressed: float = 0.9
    """How sure it is, while they speak over the agent, that they speak to it."""
    direction: int = 0
    """Their meaning is the unit vector along this axis ..."""
    meaning: Vector | None = None
    """... or this."""


@dataclass(slots=True)
class _Row:
    hops: int = 0
    quiet: int = 0
    """Quiet hops in a row."""
    opening: Opening | None = None
    since: int = 0
    """Hop at which the row begins."""
    gist: int = 0
    words: int = 0
    loud: int = 0
    """Loud hops in the row."""


@dataclass(slots=True)
class StandIn:
    """Implements `Listening`."""

    most_hops: int = 100
    meant: dict[int, Meant] = field(default_factory=dict)
    listened: list[tuple[int, ...]] = field(default_factory=list)
    """The slots of each call of `listen`."""
    openings: list[tuple[int, Opening]] = field(default_factory=list)
    rows: dict[int, _Row] = field(default_factory=dict)

    def hear(self, slots: Sequence[int], audio: Pcm) -> None:
        for slot, hop in zip(slots, audio, strict=True):
            row = self.rows.setdefault(slot, _Row())
            row.hops += 1
            loud = float(np.abs(hop.astype(np.float32)).mean()) > 60
            row.quiet = 0 if loud else row.quiet + 1
            row.loud += loud

    def begin(self, slots: Sequence[int], openings: Sequence[Opening]) -> None:
        for slot, opening in zip(slots, openings, strict=True):
            row = self.rows[slot]
            assert 0 < opening.back <= row.hops, "there are not so many hops to look back on"
            row.opening, row.since, row.loud = opening, row.hops - opening.back, 0
            self.openings.append((slot, opening))

    def listen(self, slots: Sequence[int]) -> tuple[npt.NDArray[np.float32], Vector]:
        self.listened.append(tuple(slots))
        states = np.zeros((len(slots), 4), np.float32)
        meanings = np.zeros((len(slots), 384), np.float32)
        for i, slot in enumerate(slots):
            row, meant = self.rows[slot], self.meant.get(slot, Meant())
            assert row.opening is not None and row.hops - row.since <= self.most_hops
            row.gist = row.words = 0
            if meant.meaning is not None:
                meanings[i] = meant.meaning
            else:
                meanings[i, meant.direction] = 1.0
            speaking = row.opening.speaking
            if row.quiet:
                states[i, 1] = meant.ended
            elif speaking:
                states[i, 3] = meant.addressed
            states[i, 2] = meant.backchannel * (1 - states[i].sum())
            states[i, 0] = 1 - states[i].sum()
        return states, meanings

    def gist(self, slots: Sequence[int]) -> Sequence[Writing]:
        return [self._write(slot, "gist") for slot in slots]

    def words(self, slots: Sequence[int]) -> Sequence[Writing]:
        return [self._write(slot, "words") for slot in slots]

    def forget(self, slot: int) -> None:
        self.rows.pop(slot, None)

    def _write(self, slot: int, branch: str) -> Writing:
        row, meant = self.rows[slot], self.meant.get(slot, Meant())
        text = (meant.gist if branch == "gist" else meant.words).split()
        at = getattr(row, branch) + 1
        setattr(row, branch, at)
        return Writing(" ".join(text[:at]), at > len(text), 0.9)

"""What a duplex conversation asks of the model's hearing half: ear, mind and heads, for many slots in one call.

The contract between turn taking, which knows no weights, and the runtime that holds them. A turn is one row of the
model: `begin` puts what the agent said last before it, `listen` feeds what was heard since and answers how it stands,
`gist` and `words` then write, token by token, from there. The rows of one call are computed as one batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from offhook.speech.contract import Pcm, Vector


class Heard(IntEnum):
    """The columns of `Listening.listen`'s states."""

    LISTEN = 0
    """The caller is not done, or is not speaking to the agent."""
    ENDED = 1
    BACKCHANNEL = 2
    """They only say that they are listening."""
    INTERRUPTED = 3
    """They speak to the agent while it speaks."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What stands before a turn."""

    said: str
    """The agent's last words, as it said them."""
    speaking: bool
    """Whether the agent is speaking while the caller begins."""
    back: int
    """Hops heard already that the row begins with: those of the turn so far, and a few from before it."""
    expected: str = ""
    """The kind of fact that the agent asked for, as `contract.Expected.kind`: what is written may lean towards it."""


@dataclass(frozen=True, slots=True)
class Writing:
    """How far a branch has come."""

    text: str
    """All its words so far; the last may be in the making until `over`."""
    over: bool
    likelihood: float
    """Probability of its least likely token so far, 0..1."""


NOTHING = Writing("", False, 1.0)
"""A branch not begun."""


class Listening(Protocol):
    """Rows of a duplex model, one a slot. Called from one thread."""

    most_hops: int
    """Hops that one turn can hold; a longer one must be begun anew."""

    def hear(self, slots: Sequence[int], audio: Pcm) -> None:
        """One hop more of each of `slots`, [len(slots), 1280]: kept, and computed no further than its spectrum."""

    def begin(self, slots: Sequence[int], openings: Sequence[Opening]) -> None:
        """Begin a turn in each of `slots`, forgetting the turn before."""

    def listen(self, slots: Sequence[int]) -> tuple[npt.NDArray[np.float32], Vector]:
        """Take in all that was heard since, at least one hop in each of `slots`: probabilities of `Heard`'s members
        [n, 4], and meanings [n, 384]. Both branches begin anew."""

    def gist(self, slots: Sequence[int]) -> Sequence[Writing]:
        """One token more of each row's gist, from what it had listened to."""

    def words(self, slots: Sequence[int]) -> Sequence[Writing]:
        """One token more of each row's transcript."""

    def forget(self, slot: int) -> None:
        """The call is over: nothing of it stays, its audio neither."""

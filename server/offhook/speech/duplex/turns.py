"""When a turn heard by the duplex model is over, and what a sound over the agent's voice was: policy, pure functions.

Three things speak for an end: what the model hears (`ended`), what the mind finds said so far (`complete`: every digit
that was asked for, or a number that broke off), and how long it has been silent. The surer the first two, the less of
the third is waited for. No audio, no clock and no model comes in here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class EndOptions:
    """When a turn is over."""

    soonest_ms: int = 160
    """Silence before which no turn ends."""
    sure: float = 0.9
    """Evidence that ends a turn so soon."""
    patient_ms: int = 800
    """From `soonest_ms` to this, the evidence that is asked for falls ..."""
    doubtful: float = 0.35
    """... to this."""
    longest_ms: int = 1_400
    """Silence that ends any turn that was meant for the agent."""
    aside: float = 0.1
    """Where the model's `ended` is still below this by then, the agent was not spoken to."""
    complete_adds: float = 1.0
    """Log-odds that words which are complete add to the evidence."""
    incomplete_takes: float = 4.0
    """Log-odds that words which broke off take from it."""
    keeps: float = 0.9
    """Share of `ended` that stays from hop to hop of a silence, where less is heard: what was heard at its beginning
    fades."""
    guess: float = 0.3
    """From this `ended` on, an answer is made ready, to be thrown away should the caller go on."""
    guess_speaking: float = 0.6
    """The same while the voice activity still has them speaking: it is some frames late."""
    guess_ms: int = 320
    """After this much silence, one is made ready whatever the model hears."""
    tail_ms: int = 64
    """Speech that may follow what an answer was made from without making it void: the voice activity's lag."""
    backchannel: float = 0.5
    """From this on, a sound over the agent's voice only says that the caller listens."""
    settled_ms: int = 160
    """Silence after which that is believed."""
    meant: float = 0.25
    """A caller who is heard to address the agent, or to be done, less than this, for ..."""
    unmeant_ms: int = 480
    """... this long while it was speaking, has not spoken to it: it goes on."""

    def asked(self, silence_ms: float) -> float:
        """Evidence that ends a turn after that much silence."""
        if silence_ms < self.soonest_ms:
            return 2.0
        waited = min(1.0, (silence_ms - self.soonest_ms) / max(1, self.patient_ms - self.soonest_ms))
        return self.sure + (self.doubtful - self.sure) * waited

    def kept(self, ended: float, before: float) -> float:
        """`ended` in a silence, where it was `before` a hop ago."""
        return max(ended, self.keeps * before)

    def evidence(self, ended: float, complete: float) -> float:
        """How likely the turn is over, 0..1: the model's `ended`, with the mind's `complete` (0..1) beside it."""
        said = 2 * min(1.0, max(0.0, complete)) - 1
        odds = _log_odds(ended) + said * (self.complete_adds if said > 0 else self.incomplete_takes)
        return 1 / (1 + math.exp(-odds))


class Verdict(Enum):
    """What a pause is."""

    WAIT = "wait"
    OVER = "over"
    BACKCHANNEL = "backchannel"
    ASIDE = "aside"
    """Not meant for the agent."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A caller's pause, as far as it has come."""

    silence_ms: float
    """Really heard: packets that were lost are not silence."""
    ended: float
    backchannel: float
    complete: float | None
    """What the mind makes of it; None where that is not known yet."""
    over_agent: bool = False
    """The turn began while the agent was speaking, and not over a question of its."""
    unmeant: bool = False
    """The agent speaks on over it: so far it was not meant for it."""


def judge(pause: Pause, options: EndOptions) -> Verdict:
    """Whether the turn is over."""
    if pause.over_agent and pause.backchannel >= options.backchannel:
        return Verdict.BACKCHANNEL if pause.silence_ms >= options.settled_ms else Verdict.WAIT
    if pause.complete is None:
        return Verdict.WAIT
    if pause.silence_ms >= options.longest_ms:
        return Verdict.OVER if pause.ended >= (options.meant if pause.unmeant else options.aside) else Verdict.ASIDE
    over = options.evidence(pause.ended, pause.complete) >= options.asked(pause.silence_ms)
    return Verdict.OVER if over else Verdict.WAIT


def _log_odds(probability: float) -> float:
    probability = min(1 - 1e-4, max(1e-4, probability))
    return math.log(probability / (1 - probability))

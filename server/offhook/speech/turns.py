"""When the caller's turn begins, when it is over, and when they cut the agent off: policy, and the clock it runs on.

Everything is decided from voice activity frames and what the mind makes of the words so far; no audio, no thread and
no wall clock comes in here, so a conversation can be replayed to the frame.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from offhook.speech.contract import RATE_HZ
from offhook.speech.voiceactivity import FRAME_SAMPLES

_SPENT = RATE_HZ * 5  # of sound without a pause that a turn ends in


@dataclass(frozen=True, slots=True)
class TurnOptions:
    """How turns are taken."""

    speech_above: float = 0.5
    """Voice activity above this begins speech."""
    silence_below: float = 0.35
    """Voice activity below this ends it; between the two it goes on as it was."""
    start_ms: int = 96
    """Speech in a row that makes a turn."""
    interrupt_ms: int = 64
    """Speech in a row that begins one while the agent speaks, and cuts it off. Shorter than `start_ms`: what turns out
    to be a noise costs the agent one clause said again, what is noticed late costs the caller's patience."""
    interrupt_sure: float = 0.7
    """Over the agent, a single frame above this is enough."""
    look_ms: int = 96
    """Silence after which what was said is recognised. Shorter: earlier answers, more recognising for nothing."""
    partial_ms: int = 800
    """New speech after which it is recognised while the caller still speaks."""
    complete_ms: int = 250
    """Silence that ends a turn whose words are complete (`Reading.complete` 1.0)."""
    unsure_ms: int = 600
    """The same where they may be (0.5)."""
    incomplete_ms: int = 1_400
    """The same where they broke off (0.0)."""
    longest_ms: int = 2_000
    """Silence that ends any turn that has words."""
    longest_turn_ms: int = 60_000
    """A caller who speaks on for this long is answered all the same: it may be music on hold. Where no words were found
    in it, it was no turn."""
    no_packets_ms: int = 3_000
    """No packets at all for this long are taken for silence from then on: a phone that stopped sending."""
    hangover_ms: int = 96
    """After this much silence that was really heard, packets that stop coming are silence too: a phone that sends none
    (silence suppression, RFC 3551 4.1) first lets the sound die away. Packets that stop in mid-word were lost."""
    noise_ms: int = 1_200
    """Sound in which no words are found for this long is no turn: the agent goes on."""
    ask_ms: int = 6_000
    """Silence after the agent spoke until it speaks up again."""
    key_gap_ms: int = 1_500
    """Pause that ends a run of pressed keys; `#` ends it at once."""
    lead_ms: int = 240
    """Agent speech kept ahead of what is played. More survives a longer stall, and costs nothing to cut."""

    def wait_ms(self, complete: float) -> float:
        """Silence that ends a turn whose words are as complete as that (0..1): a line through the three points."""
        complete = min(1.0, max(0.0, complete))
        if complete >= 0.5:
            wait = self.unsure_ms + (self.complete_ms - self.unsure_ms) * (complete - 0.5) * 2
        else:
            wait = self.incomplete_ms + (self.unsure_ms - self.incomplete_ms) * complete * 2
        return min(wait, self.longest_ms)


class Speech(Enum):
    """What a frame changed."""

    NOTHING = "nothing"
    BEGAN = "began"
    """A turn began."""
    RESUMED = "resumed"
    """Speech went on after a pause inside the turn."""


class TurnClock:
    """Follows one caller, frame by frame. Positions are samples of the caller's stream.

    `missing` audio is not silence: it does not move `silence`, but for what a phone leaves out that has let silence be
    heard first (`hangover_ms`), or after no packets came for `no_packets_ms`."""

    def __init__(self, options: TurnOptions) -> None:
        self.options = options
        self.now = 0
        self.in_turn = False
        self.turn_start = 0
        self.speech_end = 0
        """End of the last speech frame."""
        self.silence = 0.0
        """Samples of silence since then."""
        self.quiet = 0.0
        """Samples of silence since `hush`: counted on while the agent is silent too."""
        self._run = 0
        self._gone = 0.0
        self._heard_silence = 0.0
        self._quiet_before = 0.0  # the turn in progress
        self._over_at = 0  # the turn before
        self._spent = False  # the sound that is going on has had its turn

    @property
    def run_ms(self) -> float:
        """Length of the speech going on at this moment; 0 in silence."""
        return self._run * 1000 / RATE_HZ

    @property
    def silence_ms(self) -> float:
        return self.silence * 1000 / RATE_HZ

    @property
    def quiet_ms(self) -> float:
        return self.quiet * 1000 / RATE_HZ

    def frame(self, probability: float, missing: float = 0.0, agent_speaks: bool = False) -> Speech:
        """Take in one frame: how likely it is speech (0..1), the part of it (0..1) that no packet brought, and
        whether the agent is speaking at the same time."""
        self.now += FRAME_SAMPLES
        suppressed = self._heard_silence * 1000 >= self.options.hangover_ms * RATE_HZ
        self._gone = self._gone + FRAME_SAMPLES * missing if missing else 0.0
        speaking = probability >= (self.options.silence_below if self._run else self.options.speech_above)
        if not speaking or missing > 0.5:
            self._run = 0
            self._spent = False
            stopped = self._gone * 1000 / RATE_HZ >= self.options.no_packets_ms
            lapse = FRAME_SAMPLES if stopped or suppressed else FRAME_SAMPLES * (1.0 - missing)
            self._heard_silence += FRAME_SAMPLES * (1.0 - missing)
            self.silence += lapse
            self.quiet += lapse
            return Speech.NOTHING
        self._run += FRAME_SAMPLES
        if self.in_turn:
            resumed = self.silence > 0
            self._still_speaking()
            return Speech.RESUMED if resumed else Speech.NOTHING
        if self._spent:
            self.quiet += FRAME_SAMPLES
            return Speech.NOTHING
        sure = agent_speaks and probability >= self.options.interrupt_sure
        if sure or self.run_ms >= (self.options.interrupt_ms if agent_speaks else self.options.start_ms):
            self.in_turn = True
            self.turn_start = max(self.now - self._run, self._over_at)
            self._quiet_before = self.quiet
            self._still_speaking()
            return Speech.BEGAN
        return Speech.NOTHING

    def end_turn(self, spoken: bool = True) -> None:
        """The turn is over; not `spoken`: it was none, and the caller has been quiet all the while.

        A turn that lasted too long is ended in the middle of a sound. Where that has not paused for seconds, nobody
        speaks so: it begins no other turn before it pauses."""
        self.in_turn = False
        self._over_at = self.now
        self._spent = self._run >= _SPENT
        if not spoken:
            self.quiet = self._quiet_before + self.now - self.turn_start

    def hush(self) -> None:
        """Begin to wait for the caller anew: the agent has just spoken, or something else happened."""
        self.quiet = 0.0

    def _still_speaking(self) -> None:
        self.speech_end = self.now
        self.silence = 0.0
        self._heard_silence = 0.0
        self.quiet = 0.0


_BACKCHANNELS = frozenset(
    """ah aha alright cool fine good great hm hmm huh i i'm listening mhm mm mmhm mmhmm mm-hmm nice oh ok okay perfect
    right sure see thanks uh uhuh uhhuh uh-huh um understood yeah yep yes yup""".split()
)
_LONGEST_BACKCHANNEL = 4
_WORD = re.compile(r"[a-z][a-z'-]*|\d+")


def is_backchannel(words: str) -> bool:
    """Whether `words` only say "I am listening", as people do while another speaks. English."""
    said = _WORD.findall(words.lower()[:200])
    return 0 < len(said) <= _LONGEST_BACKCHANNEL and all(word.strip("-'") in _BACKCHANNELS for word in said)

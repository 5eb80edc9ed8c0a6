"""The duplex model's listener: one caller's row of the model, and what its states mean for who has the floor.

While the caller speaks, each hop goes into the row, and the model says how likely they are done. When that is likely
enough an answer is made ready (`speculation`); when the policy (`turns`) says so it is given, and the words are written
down afterwards, for the record. What is computed, and when, is `batch`'s business: it asks each listener what it needs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from offhook.speech.contract import (
    HOP_SAMPLES,
    RATE_HZ,
    Act,
    Expected,
    Mind,
    Pcm,
    Reading,
    UnderstandingMind,
    Understood,
    Vector,
)
from offhook.speech.duplex.listening import NOTHING, Heard, Opening, Writing
from offhook.speech.duplex.speculation import Guess, Guesses, Stage, Stretch, Told, understood
from offhook.speech.duplex.turns import EndOptions, Pause, Verdict, judge
from offhook.speech.floor import Floor, ListenerJob
from offhook.speech.thinking import Thinking

_BEFORE = 3  # hops before the turn began that its row begins with
_FORESEEN = 2  # sentences made ready
_MOST_GIST, _MOST_WORDS = 32, 80  # tokens; what is longer runs in a circle
_YES_NO = "yes-no"  # `Expected.kind` of a question
_LATE = RATE_HZ  # words that an answer is still ahead of are written down in any case after this
_WAITED = 40  # hops that pile up unheard while a row writes, before what it has written must do


class Branch(Enum):
    """What a row is to write."""

    GIST = "gist"
    WORDS = "words"


@dataclass(frozen=True, slots=True)
class Scale:
    """From which cosine on a meaning is likely and sure: the trained model's own measure."""

    likely: float = 0.42
    sure: float = 0.6


@dataclass(frozen=True, slots=True)
class RowLimits:
    """Hops of a row of the model."""

    most: int
    """What it can hold."""
    spare: int = 0
    """Of them, those kept for the silence in which it is seen whether a turn that filled the rest is over."""
    at_once: int = 1
    """What is taken in together while the caller speaks on."""
    long: int = 75
    """From here on a row is not gone on with after a pause: another is begun, for the model has learnt from turns that
    are shorter."""


@dataclass(slots=True)
class _Transcript:
    """Words of a turn that is over, written down while the agent answers already."""

    start: int
    end: int
    before: str
    """Written from rows that were full."""
    gist: str = ""
    """Stands for the words where the row is wanted before any was written."""
    writing: Writing = NOTHING
    tokens: int = 0


class DuplexListener:
    """Hears one caller. See `conversation.Listener`."""

    def __init__(self, floor: Floor, options: EndOptions, scale: Scale, rows: RowLimits, guesses: Guesses) -> None:
        self.floor = floor
        floor.before_done = self._write_down
        self.fresh: Pcm | None = None
        """The newest hop, until it is taken by whoever computes."""
        self._options = options
        self._scale = scale
        self._rows = rows
        self._guesses = guesses
        self._clock = floor.clock
        self._opening = False  # the row is to begin
        self._open = False  # it has begun
        self._length = 0  # hops in it, those not listened to yet among them
        self._unheard = 0  # hops not listened to yet
        self._states: npt.NDArray[np.float32] | None = None
        self._meaning: Vector | None = None
        self._guess: Guess | None = None
        self._before: list[Stretch] = []
        self._full = False  # the row is to be settled, and begun anew
        self._overdue = False  # the turn has lasted long enough
        self._transcript: _Transcript | None = None

    @property
    def slot(self) -> int:
        return self.floor.slot

    # --- called by the conversation

    def hear(self, audio: Pcm) -> None:
        self.fresh = audio
        if self._open or self._opening:
            self._unheard += 1
            self._length += 1
            self._full |= self._open and self._length >= self._rows.most - self._rows.spare

    def began(self) -> None:
        self._write_down()  # as far as it came: the row is wanted
        self._guess, self._before = None, []
        self._full = self._overdue = False
        spoken = -(-(self.floor.now - self._clock.turn_start) // HOP_SAMPLES)
        self._begin_row(min(_BEFORE + spoken, self.floor.now // HOP_SAMPLES))

    def consider(self) -> None:
        if not self._clock.in_turn:
            return
        length_ms = (self.floor.now - self._clock.turn_start) * 1000 / RATE_HZ
        self._overdue = length_ms >= self.floor.parts.turns.longest_turn_ms
        guess = self._guess
        if guess is not None and not (self._full or self._overdue) and self._outlived(guess):
            if guess.stage is not Stage.WRITING and self._length >= self._rows.long:
                self._settle(guess)
            else:
                self._guess = None
                self._guesses.void += 1
        elif guess is not None and guess.stage is Stage.WRITING and self._unheard >= _WAITED:
            self._written(guess)
        self._decide()

    # --- called by whoever computes

    def opening(self) -> Opening | None:
        """How the row is to begin, where it is."""
        if not self._opening:
            return None
        expected = self.floor.expected or Expected()
        return Opening(expected.said or self.floor.said, self.floor.turn.broke_in, self._length, expected.kind)

    def opened(self) -> None:
        """The row has begun."""
        self._opening, self._open = False, True

    @property
    def due(self) -> bool:
        """There is something to listen to, and nothing being written from what was."""
        writing = self._guess is not None and self._guess.stage is Stage.WRITING
        full = self._full and not (self._clock.silence and self._length <= self._rows.most)
        if not self._open or not self._clock.in_turn or writing or full:
            return False
        flowing = not self._clock.silence and not self.floor.turn.broke_in
        return self._unheard >= (self._rows.at_once if flowing else 1)

    def listened(self, states: npt.NDArray[np.float32], meaning: Vector) -> None:
        """All that was heard is in the row: `states` [4], `meaning` [384]."""
        if self._clock.silence and self._states is not None:
            states = states.copy()
            states[Heard.ENDED] = self._options.kept(states[Heard.ENDED], self._states[Heard.ENDED])
        self._states, self._meaning, self._unheard = states, meaning, 0
        self._decide()

    @property
    def writes(self) -> Branch | None:
        """What a caller waits for to be written."""
        guess = self._guess
        if guess is None or guess.stage is not Stage.WRITING:
            return None
        return Branch.GIST if guess.told is Told.MEANING else Branch.WORDS

    @property
    def transcribes(self) -> bool:
        """Whether words are to be written that nobody waits for: once the answer is on its way, which they would only
        hold up, or there is none."""
        if self._transcript is None:
            return False
        late = self.floor.now - self._transcript.end >= _LATE
        return late or self.floor.playout.audible or not self.floor.busy

    def wrote(self, writing: Writing) -> None:
        """One token more."""
        guess = self._guess
        if guess is not None and guess.stage is Stage.WRITING:
            guess.writing, guess.tokens = writing, guess.tokens + 1
            if writing.over or guess.tokens >= (_MOST_GIST if guess.told is Told.MEANING else _MOST_WORDS):
                self._written(guess)
        elif self._transcript is not None:
            self._transcript.writing = writing
            self._transcript.tokens += 1
            if writing.over or self._transcript.tokens >= _MOST_WORDS:
                self._write_down()

    @property
    def awaits(self) -> bool:
        """An answer is nearly there: the mind is looking at a guess, or has been told of a turn that is over."""
        weighing = self._guess is not None and self._guess.stage is Stage.WEIGHING
        return weighing or (not self._clock.in_turn and self.floor.about_to_speak)

    # --- deciding

    def _decide(self) -> None:
        """What the turn needs, with what is known now."""
        states, meaning, clock, options = self._states, self._meaning, self._clock, self._options
        if states is None or meaning is None or not clock.in_turn or self._opening:
            return
        ended = self._ended(states)
        self._mind_the_agent(states)
        guess = self._guess
        ready = guess if guess is not None and guess.stage is Stage.READY else None
        if ready is not None and self._full and (clock.silence_ms < options.settled_ms or self._outlived(ready)):
            self._settle(ready)
        elif ready is not None and self._overdue and _wordless(ready) and not self._before:
            self._dismiss("no words")
        elif ready is not None and self._overdue:
            self._end(ready, ended, f"a turn of {self.floor.parts.turns.longest_turn_ms} ms")
        elif clock.silence and self._judged(ready, states, ended):
            return
        elif guess is None:
            quiet = clock.silence_ms >= options.guess_ms
            likely = ended >= (options.guess if clock.silence else options.guess_speaking)
            # What was thought before the newest hops is no ground for a guess: writing it, they would not be heard.
            if ((likely or quiet) and self._unheard == 0) or self._full or self._overdue:
                self._begin_guess(meaning)

    def _judged(self, guess: Guess | None, states: npt.NDArray[np.float32], ended: float) -> bool:
        """In a pause: whether it is more than that, and was dealt with."""
        turn, silence_ms = self.floor.turn, self._clock.silence_ms
        backchannel = float(states[Heard.BACKCHANNEL])
        complete = guess.complete if guess is not None else None
        over_agent = turn.broke_in and not turn.over_question
        verdict = judge(Pause(silence_ms, ended, backchannel, complete, over_agent, turn.noise), self._options)
        if verdict is Verdict.BACKCHANNEL:
            self._dismiss(f"backchannel {backchannel:.0%}")
        elif guess is None or verdict is Verdict.WAIT:
            return False
        elif verdict is Verdict.ASIDE:
            self._dismiss(f"not meant for the agent, ended {ended:.0%}")
        elif _wordless(guess) and not self._before:
            self._dismiss("no words")
        else:
            figures = f"ended {ended:.0%}, complete {guess.complete:.0%}"
            self._end(guess, ended, f"{silence_ms:.0f} ms of silence, {figures}")
        return True

    def _ended(self, states: npt.NDArray[np.float32]) -> float:
        """How likely the caller is done. `Yeah` or `okay` to a question of the agent's is an answer."""
        expected = self.floor.expected
        asked = self.floor.turn.over_question or (expected is not None and expected.kind == _YES_NO)
        return float(states[Heard.ENDED] + (states[Heard.BACKCHANNEL] if asked else 0.0))

    def _mind_the_agent(self, states: npt.NDArray[np.float32]) -> None:
        """Over the agent's voice: whether it goes on, as this is not meant for it."""
        turn, options = self.floor.turn, self._options
        if not turn.broke_in:
            return
        meant = float(states[Heard.INTERRUPTED] + states[Heard.ENDED])
        heard_ms = (self.floor.now - self._clock.turn_start) * 1000 / RATE_HZ
        if turn.noise and meant >= 2 * options.meant:
            self.floor.listen_after_all()
        elif not turn.noise and meant < options.meant and heard_ms >= options.unmeant_ms and self._unheard == 0:
            self.floor.go_on()

    def _begin_guess(self, meaning: Vector) -> None:
        expected = self.floor.expected
        heard = self.floor.now - self._unheard * HOP_SAMPLES
        told = Told.WORDS if expected is None else Told.TEXT if expected.words else Told.MEANING
        self._guess = Guess(heard, meaning, told)
        self._guesses.made += 1

    def _outlived(self, guess: Guess) -> bool:
        return guess.outlived(self._clock.speech_end, self._options.tail_ms)

    def _written(self, guess: Guess) -> None:
        """Have the mind look at it, and the voice make what it would say."""
        guess.stage = Stage.WEIGHING
        floor, ended = self.floor, self._ended(self._states) if self._states is not None else 0.0
        heard = guess.whole(self._before, ended, self._scale.likely, self._scale.sure)

        def job() -> None:
            reading, foreseen = _look(floor.thinking, heard, guess.told)
            floor.post(ListenerJob(lambda: self._weighed(guess, reading, foreseen)))

        floor.parts.minds.submit(job)

    def _weighed(self, guess: Guess, reading: Reading | None, foreseen: tuple[str, ...]) -> None:
        if guess is not self._guess:
            return  # the caller has spoken on
        guess.stage = Stage.READY
        if reading is not None:
            guess.complete = reading.complete
            if guess.told is Told.MEANING and not understood(reading):
                # Before the mind says that it did not understand, or takes it for the wrong thing, it gets the words.
                guess.told, guess.stage, guess.tokens = Told.WORDS, Stage.WRITING, 0
                return
        for text in foreseen[:_FORESEEN]:
            self.floor.prepare(text)
        self._decide()

    def _settle(self, guess: Guess) -> None:
        """The row is long enough and the caller speaks on: keep what it holds, and begin another."""
        if not _wordless(guess):
            self._before.append(Stretch(guess.writing.text, guess.meaning))
        self._guess, self._full = None, False
        since = (self.floor.now - guess.until) // HOP_SAMPLES
        self._begin_row(min(max(1, since), self._rows.most // 2))

    def _begin_row(self, back: int) -> None:
        self._opening, self._open = True, False
        self._length = self._unheard = back
        self._states = self._meaning = None

    # --- the end of a turn

    def _end(self, guess: Guess, ended: float, why: str) -> None:
        heard = guess.whole(self._before, ended, self._scale.likely, self._scale.sure)
        figures = {"ended": round(ended, 3), "complete": round(guess.complete, 3)}
        if heard.words:
            figures["gist" if guess.told is Told.MEANING else "words"] = round(guess.writing.likelihood, 3)
        words, told = heard.words, guess.told
        if told is Told.MEANING:
            self._transcribe(guess.writing.text)
        else:
            self.floor.heard(words, self._clock.speech_end, final=True)
        self._close_row()

        def call(mind: Mind) -> Iterable[Act]:
            if told is not Told.WORDS and isinstance(mind, UnderstandingMind):
                return mind.understand(heard)
            return mind.hear(words)

        self.floor.end_turn(why, words, call, figures)

    def _dismiss(self, why: str) -> None:
        self._transcribe()
        self._close_row()
        self.floor.dismiss(why)

    def _transcribe(self, gist: str = "") -> None:
        """Have the words written down for the record. Of rows that were full there is the gist only."""
        before = " ".join(filter(None, (stretch.words for stretch in self._before)))
        self._transcript = _Transcript(self._clock.turn_start, self._clock.speech_end, before, gist)

    def _write_down(self) -> None:
        done, self._transcript = self._transcript, None
        if done is not None and (text := f"{done.before} {done.writing.text or done.gist}".strip()):
            self.floor.heard_before(text, done.start, done.end)

    def _close_row(self) -> None:
        self._guess, self._before = None, []
        self._open = self._opening = False
        self._length = self._unheard = 0
        self._states = self._meaning = None


def _wordless(guess: Guess) -> bool:
    """Words were looked for, and there were none."""
    return guess.told is not Told.MEANING and not guess.writing.text


def _look(thinking: Thinking, heard: Understood, told: Told) -> tuple[Reading | None, tuple[str, ...]]:
    """What a mind makes of it, and would say to it. From any thread."""

    def look(mind: Mind) -> tuple[Reading, tuple[str, ...]]:
        if told is not Told.WORDS and isinstance(mind, UnderstandingMind):
            return mind.weigh(heard), tuple(mind.foresee(heard))
        return mind.read(heard.words), ()

    if told is not Told.MEANING and not heard.words:
        return Reading(0.0, None, {}), ()
    return thinking.look(look) or (None, ())

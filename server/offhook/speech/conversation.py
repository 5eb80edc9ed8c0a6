"""One call of the cascade: hears a hop, decides whose turn it is, asks the mind, says what it answers.

Its state moves only in the thread that steps; recognising, thinking and speaking are jobs elsewhere whose results come
back through `take`. It waits for nobody.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

from offhook.speech import contract
from offhook.speech.contract import RATE_HZ, Act, Event, Keys, Mind, MindFactory, Pcm, Persona, Reading, ToolResult
from offhook.speech.crew import Crew
from offhook.speech.playout import Began, Playout, Utterance
from offhook.speech.recogniser import Heard, Recogniser
from offhook.speech.saying import clauses
from offhook.speech.tape import Tape
from offhook.speech.thinking import ActMade, MindFailed, MindReady, Thinking, Thought
from offhook.speech.turns import Speech, TurnClock, TurnOptions, is_backchannel
from offhook.speech.voice import Clause, Voice
from offhook.speech.voiceactivity import Ear, VoiceActivity

_BEFORE = RATE_HZ * 250 // 1000  # what is recognised begins this much before the voice was noticed
_SETTLED_MS = 200  # silence after which "no words" and "mhm" are believed
_LONG = RATE_HZ * 20  # a turn longer than this is recognised in parts
_UNREAD = Reading(0.5, None, {})
_PAUSE, _PARTIAL = 0, 1  # urgency of recognition
_FIRST, _LATER, _AHEAD = 0, 1, 9  # urgency of synthesis


class StageTimes:
    """How long the stages took lately, in ms, for whoever measures: `voice activity`, `recognise`, `think`, `speak`."""

    def __init__(self) -> None:
        self._times: dict[str, deque[float]] = {}

    def add(self, stage: str, began_s: float) -> None:
        """Book a stage that began at `began_s` of `time.perf_counter` and ends now."""
        self._times.setdefault(stage, deque(maxlen=1_000)).append((time.perf_counter() - began_s) * 1000)

    def of(self, stage: str) -> list[float]:
        return list(self._times.get(stage, ()))


@dataclass(frozen=True, slots=True)
class Parts:
    """What the conversations of one model share."""

    activity: VoiceActivity
    recogniser: Recogniser
    ears: Crew
    mouths: Crew
    minds: Executor
    turns: TurnOptions
    times: StageTimes


@dataclass(frozen=True, slots=True)
class Recognised:
    """The words between `start` and `end` of the caller's stream, and what the mind makes of all words so far."""

    start: int
    end: int
    heard: Heard
    reading: Reading


@dataclass(frozen=True, slots=True)
class ClauseMade:
    """A clause of an utterance, in order; None where an utterance has none."""

    utterance: Utterance
    clause: Clause | None
    last: bool


@dataclass(frozen=True, slots=True)
class JobFailed:
    why: str


Result = MindReady | ActMade | Thought | MindFailed | Recognised | ClauseMade | JobFailed


class Conversation:
    """The state of one slot."""

    def __init__(
        self,
        slot: int,
        persona: Persona,
        factory: MindFactory,
        voice: Voice,
        parts: Parts,
        post: Callable[[Conversation, Result], None],
    ) -> None:
        """`post(self, result)` is called from other threads; whoever drives this calls `take` with the result, or
        drops it when the conversation is over."""
        self.events: list[Event] = []
        """What happened since they were last taken."""
        self._slot = slot
        self._persona = persona
        self._voice = voice
        self._parts = parts
        self._post: Callable[[Result], None] = partial(post, self)
        self._thinking = Thinking(persona, factory, parts.minds, self._post)
        self._options = parts.turns
        self._clock = TurnClock(parts.turns)
        self._ear = Ear()
        self._tape = Tape()
        self._playout = Playout(RATE_HZ * parts.turns.lead_ms // 1000)
        self._vocabulary: tuple[str, ...] = ()
        # recognition of the turn in progress
        self._asked_end = 0  # how far the newest recognition reaches
        self._recognising = False
        self._newest: Recognised | None = None
        self._from = 0  # what is recognised next begins here; before it lies `_settled`
        self._settled: list[str] = []
        self._noise = False  # this turn had no words for long: the agent goes on meanwhile
        self._broke_in = False  # it began while the agent was speaking ...
        self._asked_something = False  # ... a question
        # the mind and the agent's words
        self._answer = 0  # what the mind was asked under an earlier number is not said any more
        self._calls = 0  # calls of the mind not answered yet
        self._tools = 0  # tools not answered yet
        self._silences = 0
        self._utterances = 0
        self._finish: contract.Finish | None = None
        self._done = False
        self._keys = ""
        self._keys_at = 0
        self._cut = False
        self._memo: object = None

    def begin(self) -> None:
        """Say the first words."""
        self._ask("", lambda mind: mind.greet())

    def close(self) -> None:
        """The slot is free: nothing more of this conversation is made."""
        self._done = True
        self._thinking.close()
        self._playout.hold()
        self._playout.abandon()

    # --- hearing

    def hear(self, audio: Pcm, missing: int) -> None:
        """One hop of the caller: [1280] int16, `missing` of its samples made up for packets that never came."""
        if self._done:
            return
        began = time.perf_counter()
        self._tape.write(audio)
        for probability in self._parts.activity.hear(self._ear, audio):
            change = self._clock.frame(probability, missing / len(audio), self._playout.audible)
            if change is Speech.BEGAN:
                self._begin_turn()
            self._give_way()
        self._parts.times.add("voice activity", began)
        if self._playout.pending or self._calls or self._tools:
            self._clock.hush()
        self._consider()
        self._consider_keys()
        self._consider_silence()

    def _begin_turn(self) -> None:
        self.events.append(contract.TurnStarted(self._slot, self._clock.turn_start))
        self._newest, self._settled, self._noise = None, [], False
        self._from = max(self._clock.turn_start - _BEFORE, 0)
        self._asked_end = self._clock.turn_start
        self._broke_in = self._playout.audible
        self._asked_something = self._playout.asking()

    def _give_way(self) -> None:
        """Fall silent while the caller speaks."""
        if self._clock.in_turn and not self._noise and not self._playout.held:
            self._cut |= self._playout.hold()

    def _consider(self) -> None:
        """Decide what the turn in progress needs: recognition, patience, or an end."""
        clock, options = self._clock, self._options
        if not clock.in_turn:
            return
        newest = self._newest
        if newest is not None and newest.end >= clock.speech_end and clock.silence:
            self._judge(newest)
        elif not self._recognising:
            if clock.silence_ms >= options.look_ms:
                self._recognise(_PAUSE)
            elif (clock.now - self._asked_end) * 1000 >= options.partial_ms * RATE_HZ and not clock.silence:
                self._recognise(_PARTIAL)

    def _judge(self, newest: Recognised) -> None:
        """All that was said is recognised and the caller pauses: is that all?"""
        silence_ms, words = self._clock.silence_ms, self._words(newest)
        if not words:
            if silence_ms >= _SETTLED_MS:
                self._dismiss("no words")
        elif self._playout.held and self._broke_in and not self._asked_something and is_backchannel(words):
            if silence_ms >= _SETTLED_MS:
                self._heard(words)
                self._dismiss("backchannel")
        elif silence_ms >= self._options.wait_ms(newest.reading.complete):
            complete = newest.reading.complete
            self._end_turn(words, f"{silence_ms:.0f} ms of silence, words {complete:.0%} complete")

    def _dismiss(self, why: str) -> None:
        """It was no turn: the agent goes on where it was."""
        self.events.append(contract.TurnEnded(self._slot, self._clock.speech_end, self._tape.end, why))
        self._clock.end_turn()
        if self._playout.held:
            self._playout.resume()

    def _end_turn(self, words: str, why: str) -> None:
        self._heard(words)
        self.events.append(contract.TurnEnded(self._slot, self._clock.speech_end, self._tape.end, why))
        began_at = self._clock.turn_start
        self._clock.end_turn()
        self._silences = 0
        self._take_floor(began_at)
        self._ask(words, lambda mind: mind.hear(words))

    def _heard(self, words: str) -> None:
        self.events.append(
            contract.WordsHeard(self._slot, words, self._clock.turn_start, self._clock.speech_end, final=True)
        )

    def _words(self, newest: Recognised) -> str:
        return " ".join([*self._settled, newest.heard.text]).strip()

    def _recognise(self, urgency: int) -> None:
        start, end = self._from, self._tape.end
        audio = self._tape.read(start, end)
        before, vocabulary, times = " ".join(self._settled), self._vocabulary, self._parts.times
        self._recognising = True
        self._asked_end = end

        def job() -> None:
            began = time.perf_counter()
            try:
                heard = self._parts.recogniser.recognise(
                    audio, self._persona.language, vocabulary, thorough=urgency == _PAUSE
                )
            except Exception as error:
                self._post(JobFailed(f"recognition failed: {type(error).__name__}: {error}"))
                raise
            times.add("recognise", began)
            began = time.perf_counter()
            words = f"{before} {heard.text}".strip()
            reading = self._thinking.read(words) if words else None
            times.add("read", began)
            self._post(Recognised(start, end, heard, reading or _UNREAD))

        self._parts.ears.do(job, urgency)

    def _recognised(self, result: Recognised) -> None:
        self._recognising = False
        if not self._clock.in_turn or result.start != self._from:
            return  # of a turn that is over
        self._newest = result
        words = self._words(result)
        if words and result.end < self._clock.speech_end:
            self.events.append(contract.WordsHeard(self._slot, words, self._clock.turn_start, result.end, final=False))
        if words and self._noise:
            self._noise = False
            self._give_way()
        elif not words and (result.end - self._clock.turn_start) * 1000 >= self._options.noise_ms * RATE_HZ:
            self._noise = True
            if self._playout.held:
                self._playout.resume()
        if words and (result.end - self._clock.turn_start) * 1000 >= self._options.longest_turn_ms * RATE_HZ:
            self._end_turn(words, f"a turn of {self._options.longest_turn_ms} ms")
            return
        if result.end - result.start > _LONG and result.end < self._clock.speech_end:
            self._settled.append(result.heard.text)
            self._from = result.end
            self._newest = None
        self._consider()

    def _consider_silence(self) -> None:
        busy = self._clock.in_turn or self._playout.pending or self._calls or self._tools or self._finish
        if busy or self._clock.quiet_ms < self._options.ask_ms:
            return
        self._silences += 1
        times = self._silences
        self._clock.hush()
        self._ask("", lambda mind: mind.silence(times))

    # --- keys and tools

    def deliver(self, delivery: contract.Delivery) -> None:
        """A tool's answer, or keys."""
        if self._done:
            return
        if isinstance(delivery, ToolResult):
            self._tools = max(0, self._tools - 1)
            result = delivery
            self._ask("", lambda mind: mind.tool(result))
        elif isinstance(delivery, Keys):
            self._keys = (self._keys + delivery.digits)[:64]
            self._keys_at = self._tape.end
            self._clock.hush()
            self._cut |= self._playout.hold()
            if "#" in self._keys:
                self._press()

    def _consider_keys(self) -> None:
        if self._keys and (self._tape.end - self._keys_at) * 1000 >= self._options.key_gap_ms * RATE_HZ:
            self._press()

    def _press(self) -> None:
        digits, self._keys = self._keys.rstrip("#") or "#", ""
        self._silences = 0
        self._take_floor(self._keys_at)
        self._ask(digits, lambda mind: mind.keys(digits))

    # --- thinking

    def _take_floor(self, at: int) -> None:
        """The caller has said something: what the agent still had to say is void."""
        self._answer += 1
        self._finish = None
        if not self._playout.pending:
            self._playout.abandon()
            return
        self._cut |= self._playout.hold()
        broken = self._playout.abandon()
        if broken is None:
            return
        number = broken.utterance.number
        if broken.utterance.begun:
            if broken.unsaid:
                self.events.append(contract.Interrupted(self._slot, number, at, broken.heard, broken.unsaid))
            self.events.append(contract.WordsSpoken(self._slot, number, broken.heard, broken.end))
        if broken.unsaid:
            self._ask("", lambda mind: mind.interrupted(broken.heard, broken.unsaid))

    def _ask(self, words: str, call: Callable[[Mind], Iterable[Act] | None]) -> None:
        self._calls += 1
        times = self._parts.times
        asked = time.perf_counter()

        def timed(mind: Mind) -> Iterable[Act]:
            made = call(mind)
            first = True
            for act in made or ():
                if first:
                    times.add("think", asked)
                    first = False
                yield act

        self._thinking.ask(self._answer, words, timed)

    def take(self, result: Result) -> None:
        """What a job has brought."""
        if self._done:
            return
        if isinstance(result, Recognised):
            self._recognised(result)
        elif isinstance(result, ClauseMade):
            if result.clause is not None and len(result.clause.audio):
                result.utterance.clauses.append(result.clause)
            result.utterance.whole |= result.last
        elif isinstance(result, ActMade):
            self._act(result)
        elif isinstance(result, Thought):
            self._calls = max(0, self._calls - 1)
            if result.memo != self._memo:
                self._memo = result.memo
                self.events.append(contract.Memo(self._slot, result.memo))
        elif isinstance(result, MindReady):
            self._vocabulary = result.vocabulary
            for phrase in result.phrases:
                self._parts.mouths.do(partial(self._voice.prepare, phrase), _AHEAD)
        else:
            self._calls = 0
            self._finish = contract.Finish("failed", result.why)

    def _act(self, made: ActMade) -> None:
        act, slot = made.act, self._slot
        current = made.answer == self._answer
        if isinstance(act, contract.Say):
            if current and act.text.strip():
                self._say(act.text)
        elif isinstance(act, contract.UseTool):
            self._tools += 1
            self.events.append(contract.ToolWanted(slot, act.id, act.tool, act.arguments))
        elif isinstance(act, contract.Decide):
            self.events.append(contract.Decided(slot, act.kind, act.skill, act.facts, act.scores, made.words))
        elif isinstance(act, contract.Achieve):
            self.events.append(contract.OutcomeReached(slot, act.outcome, act.evidence))
        elif current:
            self._finish = act

    # --- speaking

    def _say(self, text: str) -> None:
        utterance = Utterance(self._utterances, " ".join(text.split()))
        self._utterances += 1
        self._playout.say(utterance)
        parts, times = clauses(utterance.text), self._parts.times
        if not parts:
            utterance.whole = True
            return

        def job(index: int) -> None:
            if utterance.dropped:
                return
            began = time.perf_counter()
            try:
                clause = self._voice.clause(parts[index])
            except Exception as error:
                self._post(JobFailed(f"synthesis failed: {type(error).__name__}: {error}"))
                raise
            if index == 0:
                times.add("speak", began)
            last = index == len(parts) - 1
            self._post(ClauseMade(utterance, clause, last))
            if not last:
                self._parts.mouths.do(partial(job, index + 1), _LATER)

        self._parts.mouths.do(partial(job, 0), _FIRST)

    def speak(self, played: int, room: Pcm) -> tuple[int, bool, bool]:
        """`played` samples have reached the caller. Fills `room` with what is to be queued; answers how many samples
        that is, whether what was queued before must be cut, and whether more of the utterance follows."""
        if self._done:
            return 0, False, False
        self._give_way()
        count, happened = self._playout.advance(played, room)
        for change in happened:
            if isinstance(change, Began):
                said = change.utterance
                self.events.append(contract.SpeechStarted(self._slot, said.number, said.text, change.at))
            else:
                said = change.utterance
                self.events.append(contract.WordsSpoken(self._slot, said.number, said.text, change.end))
        cut, self._cut = self._cut, False
        if self._finish and not self._playout.pending and not self._calls:
            self._done = True
            self._thinking.close()
            self.events.append(contract.Done(self._slot, self._finish.exit, self._finish.reason))
        return count, cut, self._playout.speaking

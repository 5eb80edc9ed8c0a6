"""The agent's side of one call: what it says, when it gives way, goes on or is cut off, its tools, keys and silences.

Both kinds of listener drive it, the cascade's with words and the duplex model's with meanings; it knows neither. Its
state moves only in the thread that steps; thinking and speaking are jobs elsewhere whose results come back through
`take`. It waits for nobody.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass

from offhook.speech import contract
from offhook.speech.contract import RATE_HZ, Act, Event, Expected, Keys, Mind, MindFactory, Pcm, Persona, ToolResult
from offhook.speech.playout import Began, Playout, Utterance
from offhook.speech.thinking import ActMade, MindFailed, MindReady, Thinking, Thought
from offhook.speech.turns import TurnClock, TurnOptions
from offhook.speech.uttering import Mouths
from offhook.speech.voice import Clause, Voice
from offhook.speech.voiceactivity import VoiceActivity


class StageTimes:
    """How long the stages took, in ms, for whoever measures. Safe to use from several threads.

    Work, wherever it is done: `voice activity`, `recognise`, `listen`, `gist`, `think`, `speak` and others. And what an
    answer waits for, one after the other: `wait`, the caller's silence until the turn was over, in their audio;
    `conclude`, from taking up the hop in which it was, until it was; `reply`, from then until the agent's first words
    were chosen, its tools among it; `voice`, from then until their first sound was handed on to be played."""

    def __init__(self) -> None:
        self._times: dict[str, deque[float]] = {}
        self._runs: dict[str, int] = {}
        self._totals_ms: dict[str, float] = {}
        self._lock = threading.Lock()

    def add(self, stage: str, began_s: float) -> None:
        """Book a stage that began at `began_s` of `time.perf_counter` and ends now."""
        self.book(stage, (time.perf_counter() - began_s) * 1000)

    def book(self, stage: str, took_ms: float) -> None:
        """Book a stage that took so long."""
        with self._lock:
            self._times.setdefault(stage, deque(maxlen=1_000)).append(took_ms)
            self._runs[stage] = self._runs.get(stage, 0) + 1
            self._totals_ms[stage] = self._totals_ms.get(stage, 0.0) + took_ms

    def of(self, stage: str) -> list[float]:
        """The newest of a stage."""
        with self._lock:
            return list(self._times.get(stage, ()))

    def totals(self) -> tuple[dict[str, int], dict[str, float]]:
        """How often each stage was booked since the start, and how long it took altogether."""
        with self._lock:
            return dict(self._runs), dict(self._totals_ms)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the conversations of one model share."""

    activity: VoiceActivity
    mouths: Mouths
    minds: Executor
    turns: TurnOptions
    times: StageTimes


@dataclass(frozen=True, slots=True)
class ClauseMade:
    """A clause of an utterance, in order; None where an utterance has none."""

    utterance: Utterance
    clause: Clause | None
    last: bool


@dataclass(frozen=True, slots=True)
class JobFailed:
    """A job of the conversation's raised: it cannot go on."""

    why: str


@dataclass(frozen=True, slots=True)
class ListenerJob:
    """What a job of the listener's has brought: to be taken in by `taken`, in the thread that steps."""

    taken: Callable[[], None]


Result = MindReady | ActMade | Thought | MindFailed | ClauseMade | JobFailed | ListenerJob


@dataclass(slots=True)
class Turn:
    """The caller's turn in progress, as far as the agent's side is concerned."""

    broke_in: bool = False
    """It began while the agent was speaking ..."""
    over_question: bool = False
    """... a question."""
    noise: bool = False
    """It is taken for a noise: the agent goes on meanwhile."""


@dataclass(slots=True)
class _Pressed:
    digits: str = ""
    at: int = 0


@dataclass(slots=True)
class _AnswerDue:
    """A turn that is over and not yet answered, for `StageTimes`. Seconds of `time.perf_counter`."""

    over_s: float
    chosen_s: float | None = None
    """When the first words were chosen."""


@dataclass(slots=True)
class _Waiting:
    """What the agent has to wait for before it may speak up by itself."""

    calls: int = 0  # of the mind
    tools: int = 0
    silences: int = 0  # in a row


class Floor:
    """One call's agent, and who of the two has the floor."""

    def __init__(
        self,
        slot: int,
        persona: Persona,
        factory: MindFactory,
        voice: Voice,
        parts: Parts,
        post: Callable[[Result], None],
    ) -> None:
        """`post` is called from other threads; whoever drives this calls `take` with the result, or drops it when the
        conversation is over."""
        self.events: list[Event] = []
        """What happened since they were last taken."""
        self.slot = slot
        self.persona = persona
        self.parts = parts
        self.post = post
        self.thinking = Thinking(persona, factory, parts.minds, post, lambda answer: answer != self._answer)
        self.clock = TurnClock(parts.turns)
        self.playout = Playout(RATE_HZ * parts.turns.lead_ms // 1000)
        self.turn = Turn()
        self.now = 0
        """Samples of the caller's stream heard."""
        self.vocabulary: tuple[str, ...] = ()
        """Words the mind expects to hear."""
        self.expected: Expected | None = None
        """What the mind waits for; None where it is not one to say."""
        self.said = ""
        """The agent's newest utterance."""
        self.done = False
        self.before_done: Callable[[], None] = lambda: None
        """Called when all is said and done, before that is told."""
        self.hop_began_s = time.perf_counter()
        """When the newest hop was taken up."""
        self._voice = voice
        self._answer = 0  # what the mind was asked under an earlier number is not said any more
        self._figures: Mapping[str, float] = {}  # of the turn that is being answered
        self._waiting = _Waiting()
        self._pressed = _Pressed()
        self._utterances = 0
        self._saying: Utterance | None = None  # the newest
        self._finish: contract.Finish | None = None
        self._cut = False
        self._memo: object = None
        self._answer_due: _AnswerDue | None = None

    def begin(self) -> None:
        """Say the first words."""
        self._ask("", lambda mind: mind.greet())

    def close(self) -> None:
        """The slot is free: nothing more of this conversation is made."""
        self.done = True
        self.thinking.close()
        self.playout.hold()
        self.playout.abandon()

    def fail(self, why: str) -> None:
        """End the conversation here and now: it cannot be gone on with."""
        self._over("failed", why)

    # --- the caller's turn

    def turn_began(self) -> None:
        """The caller began to speak, as the clock has it."""
        self._answer_due = None
        self.events.append(contract.TurnStarted(self.slot, self.clock.turn_start))
        self.turn = Turn(self.playout.audible, self.playout.asking())

    def give_way(self) -> None:
        """Fall silent while the caller speaks."""
        if self.clock.in_turn and not self.turn.noise and not self.playout.held:
            self._cut |= self.playout.hold()

    def go_on(self) -> None:
        """The turn in progress seems to be a noise: speak on, if there was something to say."""
        self.turn.noise = True
        if self.playout.held:
            self.playout.resume()

    def listen_after_all(self) -> None:
        """It was no noise."""
        self.turn.noise = False
        self.give_way()

    def heard(self, words: str, end: int, final: bool) -> None:
        """Report the words of the turn in progress."""
        self.events.append(contract.WordsHeard(self.slot, words, self.clock.turn_start, end, final))

    def heard_before(self, words: str, start: int, end: int) -> None:
        """Report the words of an earlier turn, between those positions of the caller's stream."""
        self.events.append(contract.WordsHeard(self.slot, words, start, end, final=True))

    def dismiss(self, why: str) -> None:
        """It was no turn: the agent goes on where it was."""
        self.events.append(contract.TurnEnded(self.slot, self.clock.speech_end, self.now, why))
        self.clock.end_turn(spoken=False)
        if self.playout.held:
            self.playout.resume()

    def end_turn(
        self,
        why: str,
        words: str,
        call: Callable[[Mind], Iterable[Act] | None],
        figures: Mapping[str, float] | None = None,
    ) -> None:
        """The caller's turn is over: have the mind called with it. `words` and `figures` are for the record."""
        self.events.append(contract.TurnEnded(self.slot, self.clock.speech_end, self.now, why))
        self._answer_due = _AnswerDue(time.perf_counter())
        self.parts.times.book("wait", (self.now - self.clock.speech_end) * 1000 / RATE_HZ)
        self.parts.times.add("conclude", self.hop_began_s)
        began_at = self.clock.turn_start
        self.clock.end_turn()
        self._waiting.silences = 0
        self._take_floor(began_at)
        self._figures = figures or {}
        self._ask(words, call)

    def after_hop(self) -> None:
        """A hop was heard and considered: keys that nothing follows, and silence that goes on, have their time."""
        options, pressed = self.parts.turns, self._pressed
        if pressed.digits and (self.now - pressed.at) * 1000 >= options.key_gap_ms * RATE_HZ:
            self._press()
        if self.clock.in_turn or self.busy or self._finish or self.clock.quiet_ms < options.ask_ms:
            return
        self._waiting.silences += 1
        times = self._waiting.silences
        self.clock.hush()
        self._ask("", lambda mind: mind.silence(times))

    @property
    def busy(self) -> bool:
        """The agent speaks, thinks, or waits for a tool."""
        return bool(self.playout.pending or self._waiting.calls or self._waiting.tools)

    @property
    def about_to_speak(self) -> bool:
        """The mind is at work, or the voice has not begun yet with what it said: a sound may come in no time."""
        said = self._saying
        return self._waiting.calls > 0 or (said is not None and not (said.clauses or said.whole or said.dropped))

    # --- keys and tools

    def deliver(self, delivery: contract.Delivery) -> None:
        """A tool's answer, or keys."""
        if isinstance(delivery, ToolResult):
            self._waiting.tools = max(0, self._waiting.tools - 1)
            result = delivery
            self._ask("", lambda mind: mind.tool(result))
        elif isinstance(delivery, Keys):
            self._pressed = _Pressed((self._pressed.digits + delivery.digits)[:64], self.now)
            self.clock.hush()
            self._cut |= self.playout.hold()
            if "#" in self._pressed.digits:
                self._press()

    def _press(self) -> None:
        digits, at = self._pressed.digits.rstrip("#") or "#", self._pressed.at
        self._pressed = _Pressed()
        self._waiting.silences = 0
        self._take_floor(at)
        self._ask(digits, lambda mind: mind.keys(digits))

    # --- thinking

    def _take_floor(self, at: int) -> None:
        """The caller has said something: what the agent still had to say is void."""
        self._answer += 1
        self._finish = None
        self._figures = {}
        if not self.playout.pending:
            self.playout.abandon()
            return
        self._cut |= self.playout.hold()
        broken = self.playout.abandon()
        if broken is None:
            return
        number = broken.utterance.number
        if broken.utterance.begun:
            if broken.unsaid:
                self.events.append(contract.Interrupted(self.slot, number, at, broken.heard, broken.unsaid))
            self.events.append(contract.WordsSpoken(self.slot, number, broken.heard, broken.end))
        for utterance in broken.begun:
            self.events.append(contract.WordsSpoken(self.slot, utterance.number, "", broken.end))
        if broken.unsaid:
            self._ask("", lambda mind: mind.interrupted(broken.heard, broken.unsaid))

    def _ask(self, words: str, call: Callable[[Mind], Iterable[Act] | None]) -> None:
        self._waiting.calls += 1
        times = self.parts.times
        asked = time.perf_counter()

        def timed(mind: Mind) -> Iterable[Act]:
            made = call(mind)
            first = True
            for act in made or ():
                if first:
                    times.add("think", asked)
                    first = False
                yield act

        self.thinking.ask(self._answer, words, timed)

    def take(self, result: Result) -> None:
        """What a job has brought."""
        if self.done:
            return
        if isinstance(result, ListenerJob):
            result.taken()
        elif isinstance(result, ClauseMade):
            if result.clause is not None and len(result.clause.audio):
                result.utterance.clauses.append(result.clause)
            result.utterance.whole |= result.last
        elif isinstance(result, ActMade):
            self._act(result)
        elif isinstance(result, Thought):
            self._waiting.calls = max(0, self._waiting.calls - 1)
            self.expected = result.expected
            if result.memo != self._memo:
                self._memo = result.memo
                self.events.append(contract.Memo(self.slot, result.memo))
        elif isinstance(result, MindReady):
            self.vocabulary = result.vocabulary
            for phrase in result.phrases:
                self.parts.mouths.prepare(phrase, self._voice)
        else:
            self._waiting.calls = 0
            if isinstance(result, JobFailed) and self.playout.held:
                self._take_floor(self.now)  # the turn may never end that it is held for
            self._finish = contract.Finish("failed", result.why)

    def _act(self, made: ActMade) -> None:
        act, slot = made.act, self.slot
        current = made.answer == self._answer
        if isinstance(act, contract.Say):
            if current and act.text.strip():
                self._say(act.text)
        elif isinstance(act, contract.UseTool):
            self._waiting.tools += 1
            self.events.append(contract.ToolWanted(slot, act.id, act.tool, act.arguments))
        elif isinstance(act, contract.Decide):
            scores = act.scores
            if current and self._figures:  # they are of the turn, and told with the first decision on it
                scores, self._figures = {**self._figures, **act.scores}, {}
            self.events.append(contract.Decided(slot, act.kind, act.skill, act.facts, scores, made.words))
        elif isinstance(act, contract.Achieve):
            self.events.append(contract.OutcomeReached(slot, act.outcome, act.evidence))
        elif current:
            self._finish = act

    # --- speaking

    def prepare(self, text: str) -> None:
        """Have the beginning of `text` made, as it may be said next."""
        self.parts.mouths.foresee(text, self._voice)

    def _say(self, text: str) -> None:
        due = self._answer_due
        if due is not None and due.chosen_s is None:
            self.parts.times.add("reply", due.over_s)
            due.chosen_s = time.perf_counter()
        utterance = Utterance(self._utterances, " ".join(text.split()))
        self._utterances += 1
        self.said, self._saying = utterance.text, utterance
        self.playout.say(utterance)
        asked = time.perf_counter()
        first = True

        def made(clause: Clause | None, last: bool) -> None:
            nonlocal first
            if first:
                self.parts.times.add("speak", asked)
                first = False
            self.post(ClauseMade(utterance, clause, last))

        def failed(error: Exception) -> None:
            self.post(JobFailed(f"synthesis failed: {type(error).__name__}: {error}"))
            self.post(ClauseMade(utterance, None, last=True))

        self.parts.mouths.utter(utterance, self._voice, made, failed)

    def speak(self, played: int, room: Pcm) -> tuple[int, bool, bool]:
        """`played` samples have reached the caller. Fills `room` with what is to be queued; answers how many samples
        that is, whether what was queued before must be cut, and whether more of the utterance follows."""
        if self.done:
            return 0, False, False
        self.give_way()
        count, happened = self.playout.advance(played, room)
        for change in happened:
            said = change.utterance
            if isinstance(change, Began):
                if self._answer_due is not None and self._answer_due.chosen_s is not None:
                    self.parts.times.add("voice", self._answer_due.chosen_s)
                    self._answer_due = None
                self.events.append(contract.SpeechStarted(self.slot, said.number, said.text, change.at))
            else:
                self.events.append(contract.WordsSpoken(self.slot, said.number, said.text, change.end))
        cut, self._cut = self._cut, False
        if self._finish and not self.playout.pending and not self._waiting.calls:
            self._over(self._finish.exit, self._finish.reason)
        return count, cut, self.playout.speaking

    def _over(self, exit: str, reason: str) -> None:
        self.before_done()
        self.done = True
        self.thinking.close()
        self.events.append(contract.Done(self.slot, exit, reason))

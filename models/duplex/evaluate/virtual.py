"""One call in virtual time: the conversation that serves, hop by hop, with its jobs done at once instead of in threads.

What is computed takes no time here, so the same call goes the same way on any machine, and what remains is when the
conversation wants to speak, and when it falls silent. Made of the product's own parts; only threads are replaced.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np

from models.duplex.evaluate import hearing
from offhook.agents.mind import SkillMind
from offhook.speech.contract import (
    HOP_SAMPLES,
    RATE_HZ,
    Act,
    Decide,
    Event,
    Expected,
    Interrupted,
    Json,
    Pcm,
    Persona,
    Reading,
    Say,
    SpeechStarted,
    ToolResult,
    TurnEnded,
    Understood,
)
from offhook.speech.conversation import Conversation, Listener
from offhook.speech.crew import Crew
from offhook.speech.duplex.batch import Batch
from offhook.speech.duplex.listener import DuplexListener, RowLimits, Scale
from offhook.speech.duplex.listening import Listening
from offhook.speech.duplex.speculation import Guesses
from offhook.speech.duplex.turns import EndOptions
from offhook.speech.floor import Floor, Parts, Result, StageTimes
from offhook.speech.recogniser import Recogniser
from offhook.speech.recognising import RecognisingListener
from offhook.speech.turns import TurnOptions
from offhook.speech.uttering import Mouths
from offhook.speech.voice import Voice
from offhook.speech.voiceactivity import VoiceActivity

MONOLOGUE = (
    "I have looked at everything that we have here under your name. The parcel left our warehouse on Monday evening, "
    "went through the sorting centre on Tuesday, and should be with you on Thursday before noon. The driver rings "
    "once, and leaves it with a neighbour where nobody comes to the door."
)
"""What an agent says that is spoken over: about fourteen seconds, and no question."""
REPLY = "Certainly, I can help you with that. Let me see what there is, it takes a moment."
_ALL_DAY_MS = 60_000.0
L = TypeVar("L", bound=Listener)


class Talker:
    """Says a monologue or nothing at first, and the same reply to whatever it is told; what is complete and what it
    waits for, an agent's own mind says. See `contract.UnderstandingMind`."""

    def __init__(self, mind: SkillMind, said: str, monologue: bool) -> None:
        self._mind, self._said, self._monologue = mind, said, monologue

    def greet(self) -> Iterable[Act]:
        return [Say(MONOLOGUE)] if self._monologue else []

    def hear(self, words: str) -> Iterable[Act]:
        return [Decide("skill"), Say(REPLY)]

    def understand(self, heard: Understood) -> Iterable[Act]:
        return self.hear(heard.words)

    def read(self, words: str) -> Reading:
        return self._mind.read(words)

    def weigh(self, heard: Understood) -> Reading:
        return self._mind.weigh(heard)

    def foresee(self, heard: Understood) -> Sequence[str]:
        return [REPLY]

    def expected(self) -> Expected:
        wanted = self._mind.expected()
        return Expected(self._said, wanted.kind, wanted.words)

    def keys(self, digits: str) -> Iterable[Act]:
        return []

    def tool(self, result: ToolResult) -> Iterable[Act]:
        return []

    def silence(self, times: int) -> Iterable[Act]:
        return []

    def interrupted(self, heard: str, unsaid: str) -> None:
        """It goes on with its reply."""

    def vocabulary(self) -> Sequence[str]:
        return self._mind.vocabulary()

    def phrases(self) -> Sequence[str]:
        return []

    def memo(self) -> Mapping[str, Json]:
        return {}


@dataclass(slots=True)
class Course:
    """How a call went. Samples of the caller's stream."""

    events: list[tuple[int, Event]] = field(default_factory=list)
    """Each with how much of the caller had been heard by then."""
    cut: int | None = None
    """When the agent first fell silent for the caller."""

    def answers(self) -> list[int]:
        """When the agent began to say something that was no monologue."""
        return [at for at, event in self.events if isinstance(event, SpeechStarted) and event.text == REPLY]

    def broken_off(self) -> bool:
        """Whether the agent gave up what it was saying."""
        return any(isinstance(event, Interrupted) for _, event in self.events)

    def turns(self) -> list[TurnEnded]:
        """Turns, and sounds that were none, as they ended."""
        return [event for _, event in self.events if isinstance(event, TurnEnded)]


class _Jobs:
    """Done at once, those that a job asks for after it."""

    def __init__(self) -> None:
        self._jobs: deque[Callable[[], None]] = deque()
        self._at_work = False

    def do(self, job: Callable[[], None]) -> None:
        self._jobs.append(job)
        if self._at_work:
            return
        self._at_work = True
        try:
            while self._jobs:
                self._jobs.popleft()()
        finally:
            self._at_work = False


class _AtOnce(Executor):
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class _Mouths(Mouths):
    def __init__(self) -> None:
        super().__init__(threads=0)
        self._now = _Jobs()

    def do(self, job: Callable[[], None], urgency: int = 0) -> None:
        if urgency < 9:  # what may be said some day is not made
            self._now.do(job)


class _Crew(Crew):
    def __init__(self) -> None:
        super().__init__("at once", 0)
        self._now = _Jobs()

    def do(self, job: Callable[[], None], urgency: int = 0) -> None:
        self._now.do(job)


class VirtualCalls:
    """Makes calls with the cascade or the duplex model, one after the other."""

    def __init__(self, activity: VoiceActivity, voice: Voice) -> None:
        self.times = StageTimes()
        self._voice = voice
        self._parts = Parts(activity, _Mouths(), _AtOnce(), TurnOptions(), self.times)
        self._posted: deque[Result] = deque()

    def cascade(self, recogniser: Recogniser, mind: Talker, persona: Persona, audio: Pcm) -> Course:
        """A call over `audio`, heard by recognition."""
        ears = _Crew()

        def listener(floor: Floor) -> RecognisingListener:
            return RecognisingListener(floor, recogniser, ears)

        return self._call(listener, mind, persona, audio, lambda listener: None)

    def duplex(
        self, model: Listening, options: EndOptions, scale: Scale, mind: Talker, persona: Persona, audio: Pcm
    ) -> Course:
        """A call over `audio`, heard by the duplex model (its slot 0)."""
        model.forget(0)
        rows = RowLimits(model.most_hops, spare=model.most_hops // 10, at_once=2)
        batch = Batch(model, _ALL_DAY_MS, self._parts.times)

        def listener(floor: Floor) -> DuplexListener:
            return DuplexListener(floor, options, scale, rows, Guesses())

        return self._call(listener, mind, persona, audio, lambda listener: batch.work([listener]))

    def _call(
        self,
        listener: Callable[[Floor], L],
        mind: Talker,
        persona: Persona,
        audio: Pcm,
        work: Callable[[L], object],
    ) -> Course:
        self._posted.clear()
        call: Conversation[L] = Conversation(
            0, persona, lambda persona: mind, self._voice, self._parts, listener, partial(_post, self._posted)
        )
        course = Course()
        call.begin()
        room = np.zeros(RATE_HZ * self._parts.turns.lead_ms // 1000, np.int16)
        queued = played = 0
        for number, hop in enumerate(hearing.hops(audio), 1):
            call.hear(hop, 0)
            work(call.listener)
            while self._posted:
                call.take(self._posted.popleft())
            count, cut, _ = call.speak(played, room)
            if cut:
                queued = 0
                course.cut = number * HOP_SAMPLES if course.cut is None else course.cut
            queued += count
            played += min(queued, HOP_SAMPLES)
            queued -= min(queued, HOP_SAMPLES)
            course.events += [(number * HOP_SAMPLES, event) for event in call.events()]
        call.close()
        return course


def _post(posted: deque[Result], _: object, result: Result) -> None:
    posted.append(result)

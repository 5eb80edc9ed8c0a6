"""What the models that hold conversations of their own share: slots, voices, minds and the threads they work in.

The cascade and the duplex model are this with a listener each. A slot's conversation is `conversation.Conversation`;
how a caller is heard is the model's own. Nothing here knows a telephone.
"""

from __future__ import annotations

import abc
import importlib
import os
import queue
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

import numpy as np
import structlog

from offhook.speech.contract import RATE_HZ, Delivery, Hop, MindFactory, Persona, Step
from offhook.speech.conversation import Conversation, Listener
from offhook.speech.floor import Floor, Parts, Result, StageTimes
from offhook.speech.turns import TurnOptions
from offhook.speech.uttering import Mouths
from offhook.speech.voice import Voice
from offhook.speech.voiceactivity import VoiceActivity

_log = structlog.get_logger(__name__)


L = TypeVar("L", bound=Listener)


@dataclass(frozen=True, slots=True)
class Work:
    """What a step has done for all slots together; see `contract.Step`."""

    rows: int
    spare_ms: float


class Conversing(abc.ABC, Generic[L]):
    """Serves `slots` conversations. See `contract.SpeechModel`."""

    every_tick = True
    """Step it at every tick, if only with an empty mask: answers are then said up to 60 ms sooner."""

    def __init__(
        self, slots: int, calls: int, turns: TurnOptions, activity: VoiceActivity, voices: Mapping[str, Voice]
    ) -> None:
        """`calls`: conversations at once that this machine can answer in time; 0: two for each core it has."""
        self.slots = slots
        self.capacity = min(slots, calls or 2 * (os.cpu_count() or 1))
        self.times = StageTimes()
        self._voices = voices
        self._mouths = Mouths()
        self._minds = ThreadPoolExecutor(max_workers=2 * slots, thread_name_prefix="mind")  # to think, and to look
        self._parts = Parts(activity, self._mouths, self._minds, turns, self.times)
        self._conversations: list[Conversation[L] | None] = [None] * slots
        self._results: queue.SimpleQueue[tuple[Conversation[L], Result]] = queue.SimpleQueue()
        self._room = RATE_HZ * turns.lead_ms // 1000

    @abc.abstractmethod
    def _listener(self, floor: Floor) -> L:
        """What hears the caller of a new conversation."""

    @abc.abstractmethod
    def _check_language(self, language: str) -> None:
        """Raises ValueError with a sentence where `language` is not one it understands."""

    def _work(self) -> Work | None:
        """What is done in a step for all slots together, between hearing and speaking."""
        return None

    def admit(self, slot: int, persona: Persona) -> None:
        """Begin a conversation; the mind is made in the background, and a mind that fails ends it with `Done`."""
        if self._conversations[slot] is not None:
            raise ValueError(f"slot {slot} is taken; release it first")
        voice = self._voices.get(persona.voice)
        if voice is None:
            raise ValueError(
                f"{persona.name} wants the voice {persona.voice!r}; loaded are {', '.join(self._voices)} "
                f"(the model's option `voices`)"
            )
        self._check_language(persona.language)
        factory = _factory(persona)
        conversation = Conversation(slot, persona, factory, voice, self._parts, self._listener, self._post)
        self._conversations[slot] = conversation
        conversation.begin()

    def rehearse(self, persona: Persona) -> None:
        """Prepare for a persona that will be admitted: its mind is made once, so that what it caches is there, and what
        it often says is synthesised. In the background; a persona that cannot be served says so when it is admitted."""
        voice = self._voices.get(persona.voice)
        if voice is not None:
            self._minds.submit(self._rehearsed, persona, voice)

    def _rehearsed(self, persona: Persona, voice: Voice) -> None:
        try:
            phrases = [str(phrase) for phrase in _factory(persona)(persona).phrases()]
        except Exception as error:
            _log.warning("persona not rehearsed", agent=persona.name, why=str(error))
            return
        for phrase in phrases:
            self._mouths.prepare(phrase, voice)

    def deliver(self, slot: int, delivery: Delivery) -> None:
        """Hand on a tool's answer or keys; without a conversation it is dropped."""
        conversation = self._conversations[slot]
        if conversation is not None:
            conversation.deliver(delivery)

    def step(self, hop: Hop) -> Step:
        """Take what the threads have brought, hear the hops of the mask, and speak in every slot."""
        self._collect()
        for slot, conversation in self._held():
            if hop.mask[slot]:
                conversation.hear(hop.audio[slot], int(hop.missing[slot]))
        work = self._work()
        step = Step(
            audio=np.zeros((self.slots, self._room), np.int16),
            samples=np.zeros(self.slots, np.int32),
            cut=np.zeros(self.slots, np.bool_),
            speaking=np.zeros(self.slots, np.bool_),
        )
        if work is not None:
            step.rows, step.spare_ms = work.rows, work.spare_ms
        for slot, conversation in self._held():
            spoken = conversation.speak(int(hop.played[slot]), step.audio[slot])
            step.samples[slot], step.cut[slot], step.speaking[slot] = spoken
            step.events += conversation.events()
        return step

    def release(self, slot: int) -> None:
        """End the slot's conversation, if there is one; results of it that are still being made go nowhere."""
        conversation, self._conversations[slot] = self._conversations[slot], None
        if conversation is not None:
            conversation.close()

    def close(self) -> None:
        """Let the threads go."""
        for slot in range(self.slots):
            self.release(slot)
        self._mouths.close()
        self._minds.shutdown(wait=False, cancel_futures=True)

    def _held(self) -> Iterator[tuple[int, Conversation[L]]]:
        return ((slot, each) for slot, each in enumerate(self._conversations) if each is not None)

    def _post(self, conversation: Conversation[L], result: Result) -> None:
        self._results.put((conversation, result))

    def _collect(self, wait_s: float = 0.0) -> bool:
        """Take in what the threads have brought, waiting so long for the first of it. False where that was nothing."""
        taken = False
        try:
            while True:
                wait = wait_s > 0 and not taken
                conversation, result = self._results.get(wait, wait_s if wait else None)
                conversation.take(result)  # one that was released takes nothing
                taken = True
        except queue.Empty:
            return taken


def _factory(persona: Persona) -> MindFactory:
    module, _, name = persona.mind.partition(":")
    try:
        factory = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ValueError(f"the mind {persona.mind!r} of {persona.name} does not load: {error}") from error
    if not callable(factory):
        raise ValueError(f"the mind {persona.mind!r} of {persona.name} is not a factory (package.module:function)")
    return cast(MindFactory, factory)

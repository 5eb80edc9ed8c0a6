"""One call: the caller's voice on one side, the agent's on the other, and a listener that says what was meant.

What both models share of hearing stands here: whether somebody speaks. Who says what is the floor's business, what
was said and when it is all the listener's: `recognising` for the cascade, `duplex.listener` for the duplex model.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Generic, Protocol, TypeVar

from offhook.speech.contract import Delivery, Event, MindFactory, Pcm, Persona
from offhook.speech.floor import Floor, Parts, Result
from offhook.speech.turns import Speech
from offhook.speech.voice import Voice
from offhook.speech.voiceactivity import Ear


class Listener(Protocol):
    """Makes of the caller's voice what the mind can be told. Moves only in the thread that steps."""

    def hear(self, audio: Pcm) -> None:
        """One hop, [1280] int16, before the clock has it."""

    def began(self) -> None:
        """A turn began in this hop."""

    def consider(self) -> None:
        """The hop is taken in: decide what the turn in progress needs, and whether it is over."""


L = TypeVar("L", bound=Listener)


class Conversation(Generic[L]):
    """The state of one slot."""

    def __init__(
        self,
        slot: int,
        persona: Persona,
        factory: MindFactory,
        voice: Voice,
        parts: Parts,
        listener: Callable[[Floor], L],
        post: Callable[[Conversation[L], Result], None],
    ) -> None:
        """`post(self, result)` is called from other threads; whoever drives this calls `take` with the result, or
        drops it when the conversation is over."""
        self._floor = Floor(slot, persona, factory, voice, parts, partial(post, self))
        self.listener = listener(self._floor)
        self._ear = Ear()
        self.close = self._floor.close
        self.take = self._floor.take
        self.speak = self._floor.speak
        self.begin = self._floor.begin

    def events(self) -> list[Event]:
        """What happened since this was last asked."""
        events, self._floor.events = self._floor.events, []
        return events

    def hear(self, audio: Pcm, missing: int) -> None:
        """One hop of the caller: [1280] int16, `missing` of its samples made up for packets that never came."""
        floor = self._floor
        if floor.done:
            return
        began = floor.hop_began_s = time.perf_counter()
        floor.now += len(audio)
        self.listener.hear(audio)
        for probability in floor.parts.activity.hear(self._ear, audio):
            if floor.clock.frame(probability, missing / len(audio), floor.playout.audible) is Speech.BEGAN:
                floor.turn_began()
                self.listener.began()
            floor.give_way()
        floor.parts.times.add("voice activity", began)
        if floor.busy:
            floor.clock.hush()
        self.listener.consider()
        floor.after_hop()

    def deliver(self, delivery: Delivery) -> None:
        """A tool's answer, or keys."""
        if not self._floor.done:
            self._floor.deliver(delivery)

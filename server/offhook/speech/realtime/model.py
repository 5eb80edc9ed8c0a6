"""The slots of the model `realtime`; a slot's conversation is `talk.Talk`, its connection lives in a thread beside."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Self

import numpy as np

from offhook.speech.contract import RATE_HZ, Delivery, Hop, Json, Persona, Step
from offhook.speech.realtime.briefing import brief
from offhook.speech.realtime.connection import Network
from offhook.speech.realtime.options import RealtimeOptions
from offhook.speech.realtime.parts import Counts, Parts
from offhook.speech.realtime.talk import Talk
from offhook.speech.voiceactivity import VoiceActivity


class RealtimeModel:
    """Serves `slots` conversations by a far end. See `contract.SpeechModel`."""

    every_tick = True
    """Step it at every tick, if only with an empty mask: what the far end says is then heard up to 60 ms sooner."""

    def __init__(self, slots: int, options: RealtimeOptions, activity: VoiceActivity) -> None:
        self.slots = slots
        self.capacity = min(slots, options.calls or slots)
        self.counts = Counts()
        self._network = Network()
        self._parts = Parts(options, activity, self._network, time.monotonic, self.counts)
        self._talks: list[Talk | None] = [None] * slots
        self._room = RATE_HZ * options.lead_ms // 1000

    @classmethod
    def load(cls, slots: int, options: Mapping[str, Json]) -> Self:
        """Raises `WeightsMissing` where voice activity detection was not pulled, and ValueError for a wrong option or
        a key that is not there. Whether the far end takes calls is seen when one comes."""
        return cls(slots, RealtimeOptions.read(options), VoiceActivity.load())

    def admit(self, slot: int, persona: Persona) -> None:
        """Begin a conversation; the connection is made in the background, and one that fails ends it with `Done`."""
        if self._talks[slot] is not None:
            raise ValueError(f"slot {slot} is taken; release it first")
        talk = Talk(slot, persona, brief(persona), self._parts)
        self._talks[slot] = talk
        talk.begin()

    def deliver(self, slot: int, delivery: Delivery) -> None:
        """Hand on a tool's answer or keys; without a conversation it is dropped."""
        talk = self._talks[slot]
        if talk is not None:
            talk.deliver(delivery)

    def step(self, hop: Hop) -> Step:
        """Take what the far ends have said, hear the hops of the mask, and speak in every slot."""
        step = Step(
            audio=np.zeros((self.slots, self._room), np.int16),
            samples=np.zeros(self.slots, np.int32),
            cut=np.zeros(self.slots, np.bool_),
            speaking=np.zeros(self.slots, np.bool_),
        )
        for slot, talk in enumerate(self._talks):
            if talk is None:
                continue
            talk.take_in()
            if hop.mask[slot]:
                talk.hear(hop.audio[slot], int(hop.missing[slot]))
            spoken = talk.speak(int(hop.played[slot]), step.audio[slot])
            step.samples[slot], step.cut[slot], step.speaking[slot] = spoken
            step.events += talk.events
            talk.events = []
        return step

    def release(self, slot: int) -> None:
        """End the slot's conversation, if there is one."""
        talk, self._talks[slot] = self._talks[slot], None
        if talk is not None:
            talk.close()

    def close(self) -> None:
        """Let the connections and their thread go."""
        for slot in range(self.slots):
            self.release(slot)
        self._network.close()

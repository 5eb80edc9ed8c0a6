"""The cascade: recognise, decide, synthesise, behind the contract of a speech model.

This holds the slots and the threads; a slot's conversation is `conversation.Conversation`. Whisper, Silero and Piper
run on the processor. Nothing here knows a telephone.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import queue
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Self, cast

import numpy as np
import structlog

from offhook.speech.contract import RATE_HZ, Delivery, Hop, Json, MindFactory, Persona, Step
from offhook.speech.conversation import Conversation, Parts, Result, StageTimes
from offhook.speech.crew import Crew
from offhook.speech.recogniser import Recogniser
from offhook.speech.turns import TurnOptions
from offhook.speech.voice import Voice
from offhook.speech.voiceactivity import VoiceActivity

_log = structlog.get_logger(__name__)

_AHEAD = 9  # urgency of synthesis: after all that a caller waits for


@dataclass(frozen=True, slots=True)
class CascadeOptions:
    """What an operator may set; names and defaults of the `options` of `CascadeModel.load`."""

    voices: tuple[str, ...] = ("joe",)
    """Voices of the weights registry to load; a persona with another is refused."""
    recogniser: str = "whisper-base"
    """Recogniser of the weights registry."""
    recogniser_threads: int = 2
    """Cores for one recognition. Two turns are recognised one after the other, the sooner the more cores."""
    voice_threads: int = 2
    """Cores for one clause."""
    calls: int = 0
    """Conversations at once that this machine can answer in time; 0: two for each core it has."""
    minds: tuple[str, ...] = ()
    """Modules to import when loading rather than at the first call."""
    turns: TurnOptions = field(default_factory=TurnOptions)
    """How turns are taken."""

    @classmethod
    def read(cls, options: Mapping[str, Json]) -> CascadeOptions:
        """Options as they come from settings: turn taking as a table `turns` or as `turns.ask_ms` and the like, names
        as a list or parted by commas. Raises ValueError naming the option that is wrong."""
        values = {name: value for name, value in options.items() if not name.startswith("turns.")}
        turns = values.pop("turns", {})
        if not isinstance(turns, Mapping):
            raise ValueError("the cascade's option turns must be a table")
        dotted = {name.removeprefix("turns."): value for name, value in options.items() if name.startswith("turns.")}
        policy = dataclasses.replace(TurnOptions(), **_checked(TurnOptions(), {**turns, **dotted}, "turns."))  # type: ignore[arg-type]
        fixed: dict[str, object] = {"turns": policy}
        for name in ("voices", "minds"):
            if name in values:
                names = values.pop(name)
                if isinstance(names, str):
                    names = names.split(",")
                if not isinstance(names, (list, tuple)):
                    raise ValueError(f"the cascade's option {name} must be a list of names")
                fixed[name] = tuple(str(each).strip() for each in names)
        return dataclasses.replace(cls(), **_checked(cls(), values, ""), **fixed)  # type: ignore[arg-type]


class CascadeModel:
    """Serves `slots` conversations by a cascade. See `contract.SpeechModel`."""

    every_tick = True
    """Step it at every tick, if only with an empty mask: answers are then said up to 60 ms sooner."""

    def __init__(
        self,
        slots: int,
        options: CascadeOptions,
        activity: VoiceActivity,
        recogniser: Recogniser,
        voices: Mapping[str, Voice],
    ) -> None:
        self.slots = slots
        self.capacity = min(slots, options.calls or 2 * (os.cpu_count() or 1))
        self.times = StageTimes()
        self._voices = voices
        self._recogniser = recogniser
        self._ears = Crew("ear", 1)
        self._mouths = Crew("mouth", 1)
        self._minds = ThreadPoolExecutor(max_workers=slots, thread_name_prefix="mind")
        self._parts = Parts(
            activity, recogniser, self._ears, self._mouths, self._minds, options.turns, self.times
        )  # fmt: skip
        self._conversations: list[Conversation | None] = [None] * slots
        self._results: queue.SimpleQueue[tuple[Conversation, Result]] = queue.SimpleQueue()
        self._room = RATE_HZ * options.turns.lead_ms // 1000

    @classmethod
    def load(cls, slots: int, options: Mapping[str, Json]) -> Self:
        """Load the weights and warm them up (about 3 s). Raises `WeightsMissing`, and ValueError for a wrong option."""
        chosen = CascadeOptions.read(options)
        for module in chosen.minds:
            importlib.import_module(module.split(":")[0])
        with ThreadPoolExecutor(3) as pool:
            activity = pool.submit(VoiceActivity.load)
            recogniser = pool.submit(Recogniser.load, chosen.recogniser, chosen.recogniser_threads)
            voices = {name: pool.submit(Voice.load, name, chosen.voice_threads) for name in chosen.voices}
            return cls(
                slots,
                chosen,
                activity.result(),
                recogniser.result(),
                {name: voice.result() for name, voice in voices.items()},
            )

    def admit(self, slot: int, persona: Persona) -> None:
        """Begin a conversation; the mind is made in the background, and a mind that fails ends it with `Done`."""
        if self._conversations[slot] is not None:
            raise ValueError(f"slot {slot} is taken; release it first")
        voice = self._voices.get(persona.voice)
        if voice is None:
            raise ValueError(
                f"{persona.name} wants the voice {persona.voice!r}; loaded are {', '.join(self._voices)} "
                f"(the cascade's option `voices`)"
            )
        self._recogniser.check_language(persona.language)
        conversation = Conversation(slot, persona, _factory(persona), voice, self._parts, self._post)
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
            mind = _factory(persona)(persona)
        except Exception as error:
            _log.warning("persona not rehearsed", agent=persona.name, why=str(error))
            return
        for phrase in mind.phrases():
            self._mouths.do(partial(voice.prepare, phrase), urgency=_AHEAD)

    def deliver(self, slot: int, delivery: Delivery) -> None:
        """Hand on a tool's answer or keys; without a conversation it is dropped."""
        conversation = self._conversations[slot]
        if conversation is not None:
            conversation.deliver(delivery)

    def step(self, hop: Hop) -> Step:
        """Take what the threads have brought, hear the hops of the mask, and speak in every slot."""
        self._collect()
        step = Step(
            audio=np.zeros((self.slots, self._room), np.int16),
            samples=np.zeros(self.slots, np.int32),
            cut=np.zeros(self.slots, np.bool_),
            speaking=np.zeros(self.slots, np.bool_),
        )
        for slot, conversation in enumerate(self._conversations):
            if conversation is None:
                continue
            if hop.mask[slot]:
                conversation.hear(hop.audio[slot], int(hop.missing[slot]))
            spoken = conversation.speak(int(hop.played[slot]), step.audio[slot])
            step.samples[slot], step.cut[slot], step.speaking[slot] = spoken
            step.events += conversation.events
            conversation.events = []
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
        self._ears.close()
        self._mouths.close()
        self._minds.shutdown(wait=False, cancel_futures=True)

    def _post(self, conversation: Conversation, result: Result) -> None:
        self._results.put((conversation, result))

    def _collect(self) -> None:
        while True:
            try:
                conversation, result = self._results.get_nowait()
            except queue.Empty:
                return
            conversation.take(result)  # one that was released takes nothing


def _factory(persona: Persona) -> MindFactory:
    module, _, name = persona.mind.partition(":")
    try:
        factory = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ValueError(f"the mind {persona.mind!r} of {persona.name} does not load: {error}") from error
    if not callable(factory):
        raise ValueError(f"the mind {persona.mind!r} of {persona.name} is not a factory (package.module:function)")
    return cast(MindFactory, factory)


def _checked(defaults: object, values: Mapping[str, object], prefix: str) -> dict[str, object]:
    """`values` where each names a field of `defaults` and is of its type."""
    checked: dict[str, object] = {}
    for name, value in values.items():
        default = getattr(defaults, name, None)
        if default is None or not isinstance(default, (int, float, str)):
            raise ValueError(f"the cascade has no option {prefix}{name}")
        if isinstance(default, float) and isinstance(value, int):
            value = float(value)
        if type(value) is not type(default) or (not isinstance(value, str) and cast(float, value) < 0):
            raise ValueError(f"the cascade's option {prefix}{name} is {value!r}; it must be like {default!r}")
        checked[name] = value
    return checked

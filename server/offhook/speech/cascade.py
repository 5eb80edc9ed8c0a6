"""The cascade: recognise, decide, synthesise, behind the contract of a speech model.

Whisper, Silero and Piper run on the processor. What it shares with other models is `conversing`; hearing by words is
`recognising`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Self

from offhook.speech.contract import Json
from offhook.speech.conversing import Conversing
from offhook.speech.crew import Crew
from offhook.speech.floor import Floor
from offhook.speech.options import read_options
from offhook.speech.recogniser import Recogniser
from offhook.speech.recognising import RecognisingListener
from offhook.speech.turns import TurnOptions
from offhook.speech.voice import Voice
from offhook.speech.voiceactivity import VoiceActivity


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
        """Options as they come from settings. Raises ValueError naming the option that is wrong."""
        return read_options("the cascade", cls(), options)


class CascadeModel(Conversing[RecognisingListener]):
    """Serves `slots` conversations by a cascade. See `contract.SpeechModel`."""

    def __init__(
        self,
        slots: int,
        options: CascadeOptions,
        activity: VoiceActivity,
        recogniser: Recogniser,
        voices: Mapping[str, Voice],
    ) -> None:
        super().__init__(slots, options.calls, options.turns, activity, voices)
        self._recogniser = recogniser
        self._ears = Crew("ear", 1)

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

    def close(self) -> None:
        """Let the threads go."""
        super().close()
        self._ears.close()

    def _listener(self, floor: Floor) -> RecognisingListener:
        return RecognisingListener(floor, self._recogniser, self._ears)

    def _check_language(self, language: str) -> None:
        self._recogniser.check_language(language)

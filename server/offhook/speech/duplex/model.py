"""The duplex model behind the contract of a speech model: speech heard and answered with no transcript in between.

Ear and mind take in the callers of all slots as one batch, in the thread that steps, so that the times of its steps
tell how many calls it can hold; agents' logic and mouth are the ones the cascade has. Knows no weights' layout: that
is the runtime's (`Listening`). Nothing here knows a telephone.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import structlog

from offhook.speech.contract import HOP_SAMPLES, Json, Persona
from offhook.speech.conversing import Conversing, Work
from offhook.speech.duplex.batch import Batch
from offhook.speech.duplex.built import check_built, load_duplex
from offhook.speech.duplex.listener import DuplexListener, RowLimits, Scale
from offhook.speech.duplex.listening import Listening, Opening
from offhook.speech.duplex.speculation import Guesses
from offhook.speech.duplex.turns import EndOptions
from offhook.speech.floor import Floor
from offhook.speech.options import read_options
from offhook.speech.turns import TurnOptions
from offhook.speech.voice import Voice
from offhook.speech.voiceactivity import VoiceActivity

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DuplexOptions:
    """What an operator may set; names and defaults of the `options` of `DuplexModel.load`."""

    voices: tuple[str, ...] = ("joe",)
    """Voices of the weights registry to load; a persona with another is refused."""
    device: str = "cpu"
    """`cpu` or `cuda`: what `offhook models build --device` was run for."""
    threads: int = 2
    """Cores for one step of ear and mind; on the CPU only."""
    voice_threads: int = 1
    """Cores for one clause."""
    calls: int = 0
    """Conversations at most; 0: as many as there are slots. How many are taken is measured, not set."""
    budget_ms: float = 40.0
    """A step begins no further token after this."""
    patience_ms: float = 10.0
    """A step in which a turn may have ended waits this long for the agent's logic and voice, to speak at once."""
    listen_hops: int = 2
    """Hops taken in at once while a caller speaks on undisturbed. In pauses, and over the agent, it is every one."""
    minds: tuple[str, ...] = ()
    """Modules to import when loading rather than at the first call."""
    turns: TurnOptions = field(default_factory=TurnOptions)
    """When a turn begins, and silence and keys; when one ends is `end`'s."""
    end: EndOptions = field(default_factory=EndOptions)
    """When a turn is over."""
    scale: Scale = field(default_factory=Scale)
    """How near a meaning has to be to an agent's examples."""


_MIDDLE = 40  # hops of a turn that is in its middle


class DuplexModel(Conversing[DuplexListener]):
    """Serves `slots` conversations by the duplex model. See `contract.SpeechModel`."""

    def __init__(
        self,
        slots: int,
        options: DuplexOptions,
        activity: VoiceActivity,
        listening: Listening,
        voices: Mapping[str, Voice],
    ) -> None:
        super().__init__(slots, options.calls or slots, options.turns, activity, voices)
        self.guesses = Guesses()
        """Answers made ready before the end of a turn was sure."""
        self._options = options
        self._rows = RowLimits(
            listening.most_hops, spare=listening.most_hops // 10, at_once=max(1, options.listen_hops)
        )
        self._listening = listening
        self._batch = Batch(listening, options.budget_ms, self.times)
        self._warm: dict[int, int] = {}  # hops that rehearsals have put into rows

    @classmethod
    def load(cls, slots: int, options: Mapping[str, Json]) -> Self:
        """Load what `offhook models build` made, voices and voice activity (some seconds).

        Raises DuplexUnavailable where it was not built, `WeightsMissing`, and ValueError for a wrong option."""
        chosen = read_options("the duplex model", DuplexOptions(), options)
        check_built(chosen.device)
        for module in chosen.minds:
            importlib.import_module(module.split(":")[0])
        with ThreadPoolExecutor(2) as pool:
            activity = pool.submit(VoiceActivity.load)
            voices = {
                name: pool.submit(Voice.load, name, chosen.voice_threads, chosen.device) for name in chosen.voices
            }
            listening = load_duplex(slots, device=chosen.device, threads=chosen.threads)
            loaded = {name: voice.result() for name, voice in voices.items()}
            return cls(slots, chosen, activity.result(), listening, loaded)

    def rehearsal(self, rows: int) -> None:
        """The work of a step with `rows` callers in the middle of a turn, for the scheduler to time. Only while nobody
        is there: it uses their slots."""
        slots = range(min(rows, self.slots))
        hop = np.zeros((1, HOP_SAMPLES), np.int16)
        for slot in slots:
            if not _MIDDLE <= self._warm.get(slot, 0) < self._rows.long:
                self._listening.forget(slot)
                for _ in range(_MIDDLE):
                    self._listening.hear([slot], hop)
                self._listening.begin([slot], [Opening("How can I help you?", False, _MIDDLE)])
                self._warm[slot] = _MIDDLE
            self._warm[slot] += 1
        self._listening.hear(slots, np.repeat(hop, len(slots), axis=0))
        self._listening.listen(slots)
        self._listening.gist(slots)

    def admit(self, slot: int, persona: Persona) -> None:
        """As of `contract.SpeechModel`; the mind is made in the background, and one that fails ends it with `Done`."""
        if self._warm.pop(slot, 0):
            self._listening.forget(slot)
        super().admit(slot, persona)

    def release(self, slot: int) -> None:
        """End the slot's conversation, if there is one; nothing of what it heard stays."""
        super().release(slot)
        self._listening.forget(slot)

    def _work(self) -> Work:
        listeners = [each.listener for _, each in self._held() if not each.listener.floor.done]
        before = [each for each in listeners if each.awaits]  # for them the threads have had their time
        try:
            done = self._batch.work(listeners)
        except Exception:
            if len(listeners) < 2:
                raise  # the scheduler knows whose it is
            done = self._work_apart(listeners)
        waits_s = time.perf_counter()
        hurried = [each for each in listeners if each.awaits and each not in before]
        # What the threads have ready in a moment is said in this step rather than the next.
        until = time.perf_counter() + self._options.patience_ms / 1000
        self._collect()
        while any(each.awaits for each in hurried) and (left_s := until - time.perf_counter()) > 0:
            self._collect(left_s)
        return Work(done.rows, done.spare_ms + (time.perf_counter() - waits_s) * 1000)

    def _work_apart(self, listeners: Sequence[DuplexListener]) -> Work:
        """Work for one row at a time, to end the conversation of whichever fails and no other. Raises what the first
        raised where all do: then it is no row's doing."""
        failed: list[tuple[DuplexListener, Exception]] = []
        for each in listeners:
            try:
                self._batch.work([each])
            except Exception as error:
                failed.append((each, error))
        if len(failed) == len(listeners):
            raise failed[0][1]
        for each, reason in failed:
            why = f"the speech model failed: {type(reason).__name__}: {reason}"
            _log.error("duplex.row_failed", slot=each.slot, why=why)
            each.floor.fail(why)
        return Work(0, 0.0)  # no step to go by

    def _listener(self, floor: Floor) -> DuplexListener:
        options = self._options
        return DuplexListener(floor, options.end, options.scale, self._rows, self.guesses)

    def _check_language(self, language: str) -> None:
        if language.split("-")[0].lower() != "en":
            raise ValueError(f"the duplex model has learnt English only, not {language!r}; use the cascade")

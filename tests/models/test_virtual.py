"""Calls in virtual time: the conversations that serve, with a model whose judgement is known, over sounds that are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest
from models.duplex.evaluate import desks
from models.duplex.evaluate.virtual import MONOLOGUE, Course, Talker, VirtualCalls

from offhook.agents.embedding import EmbeddingUnavailable, check_embedding
from offhook.speech.contract import HOP_SAMPLES, RATE_HZ, Pcm, Vector, WordsSpoken
from offhook.speech.duplex.listener import Scale
from offhook.speech.duplex.listening import Heard, Opening, Writing
from offhook.speech.duplex.turns import EndOptions
from offhook.speech.voice import Clause, Making, Voice
from offhook.speech.voiceactivity import FRAME_SAMPLES, Ear, VoiceActivity

LEAD_S, SPEECH_S, TAIL_S = 1.6, 1.0, 3.0


class Loud(VoiceActivity):
    """Voice activity by loudness."""

    def __init__(self) -> None:
        pass

    def hear(self, ear: Ear, audio: Pcm) -> list[float]:
        samples = np.concatenate([ear.rest, np.abs(audio.astype(np.float32))])
        whole = len(samples) // FRAME_SAMPLES * FRAME_SAMPLES
        ear.rest = samples[whole:]
        return [float(frame.mean() > 300) for frame in samples[:whole].reshape(-1, FRAME_SAMPLES)]


class Plain:
    """A voice whose clauses are a tone of 60 ms a letter."""

    batch = 1

    def begin(self, text: str) -> Making:
        return Making(Clause(text, np.full(len(text) * 960, 900, np.int16), 0), text, None)


class Known:
    """Knows what every sound was: `sound` while it lasts, `after` when it is over."""

    most_hops = 200

    def __init__(self, sound: Heard, after: Heard) -> None:
        self._sound, self._after = sound, after
        self._silent = True

    def hear(self, slots: Sequence[int], audio: Pcm) -> None:
        self._silent = not audio.any()

    def begin(self, slots: Sequence[int], openings: Sequence[Opening]) -> None:
        pass

    def listen(self, slots: Sequence[int]) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.float32]], Vector]:
        states = np.full((1, 4), 0.01, np.float32)
        states[0, self._after if self._silent else self._sound] = 0.97
        return states, np.eye(1, 384, dtype=np.float32)

    def gist(self, slots: Sequence[int]) -> Sequence[Writing]:
        return [Writing("", True, 1.0)]

    def words(self, slots: Sequence[int]) -> Sequence[Writing]:
        return [Writing("where is my order", True, 1.0)]

    def forget(self, slot: int) -> None:
        self._silent = True


def a_call(sound: Heard, after: Heard, monologue: bool) -> tuple[VirtualCalls, Course]:
    try:
        check_embedding()
    except EmbeddingUnavailable as missing:
        pytest.skip(f"skipped: no weights ({missing})")
    parts = [np.zeros(int(LEAD_S * RATE_HZ)), np.full(int(SPEECH_S * RATE_HZ), 3_000), np.zeros(int(TAIL_S * RATE_HZ))]
    audio = np.concatenate([*parts, np.zeros(20 * RATE_HZ if monologue else 0)]).astype(np.int16)
    calls = VirtualCalls(Loud(), cast(Voice, Plain()))
    talker = Talker(desks.fresh("order-desk"), "", monologue)
    persona = desks.agent("order-desk").persona({"now": desks.NOW})
    prompt = EndOptions(soonest_ms=80, sure=0.9, doubtful=0.35)  # for one who knows what every sound was
    course = calls.duplex(Known(sound, after), prompt, Scale(), talker, persona, audio)
    return calls, course


FIRST, END = int(LEAD_S * RATE_HZ), int((LEAD_S + SPEECH_S) * RATE_HZ)


def test_a_turn_that_is_over_is_answered_once_and_soon() -> None:
    calls, course = a_call(Heard.LISTEN, Heard.ENDED, monologue=False)
    (answer,) = course.answers()
    assert END < answer <= END + 5 * HOP_SAMPLES
    runs, took_ms = calls.times.totals()
    assert {runs[stage] for stage in ("wait", "conclude", "reply", "voice")} == {1}
    assert 80 <= took_ms["wait"] <= 320


def test_a_turn_that_is_not_over_is_waited_for() -> None:
    _, course = a_call(Heard.LISTEN, Heard.LISTEN, monologue=False)
    assert not course.answers()


def test_a_backchannel_leaves_the_agent_its_floor() -> None:
    _, course = a_call(Heard.BACKCHANNEL, Heard.BACKCHANNEL, monologue=True)
    assert not course.answers() and not course.broken_off()
    said = [event.text for _, event in course.events if isinstance(event, WordsSpoken)]
    assert " ".join(said) == MONOLOGUE


def test_an_interruption_silences_the_agent_and_is_answered() -> None:
    _, course = a_call(Heard.INTERRUPTED, Heard.ENDED, monologue=True)
    assert course.broken_off() and course.answers()[0] > END
    assert course.cut is not None and FIRST < course.cut <= FIRST + 4 * HOP_SAMPLES

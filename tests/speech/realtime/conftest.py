"""What the tests of the realtime model share: the model connected to a far end, and a line into it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offhook import weights
from offhook.agents.job import Agent
from offhook.agents.schema import load_agent
from offhook.speech.contract import RATE_HZ, Pcm, Persona
from offhook.speech.realtime.model import RealtimeModel
from offhook.speech.realtime.options import RealtimeOptions
from offhook.speech.voiceactivity import VoiceActivity
from tests.speech.line import Line
from tests.speech.realtime.farend import FarEnd
from tests.speech.voices import spoken

DESK = Path(__file__).resolve().parents[3] / "dialplans" / "order-desk" / "agent.yaml"
SPEED = 2.5
"""Calls here go so much faster than people talk."""
KEY = "sk-test-0123456789abcdef"

Rings = Callable[..., Line]


@pytest.fixture(scope="session")
def activity() -> VoiceActivity:
    try:
        return VoiceActivity.load()
    except weights.WeightsMissing as missing:
        pytest.skip(f"skipped: {missing}")


@pytest.fixture(scope="session")
def desk() -> Agent:
    """The order desk, as it ships."""
    return load_agent(DESK)


@pytest.fixture
def ring(activity: VoiceActivity, desk: Agent) -> Iterator[Rings]:
    """`ring(far)` is a caller on the line with the order desk, spoken for by `far`."""
    with contextlib.ExitStack() as models:

        def connect(far: FarEnd, memo: Mapping[str, Any] | None = None, slots: int = 1, **options: Any) -> Line:
            chosen = RealtimeOptions.read({"url": far.address, "key_env": "", **options})
            model = RealtimeModel(slots, chosen, activity)
            models.callback(model.close)
            line = Line(model, SPEED)
            for slot in range(slots):
                model.admit(slot, persona(desk, memo))
            return line

        yield connect


def persona(desk: Agent, memo: Mapping[str, Any] | None = None) -> Persona:
    return desk.persona({"caller": "5551234", "now": "2026-05-04T10:00:00+00:00"}, memo)


def saying(words: str) -> Pcm:
    """`words` in our own voice, as loud as people are on the telephone."""
    return spoken(words)


def burst(hz: float, audio: Pcm) -> float:
    """Seconds of `audio` in which there is a tone of `hz`, to 10 ms."""
    frame = RATE_HZ // 100
    frames = audio[: len(audio) // frame * frame].reshape(-1, frame).astype(np.float64)
    wave = np.exp(-2j * np.pi * hz * np.arange(frame) / RATE_HZ)
    strength = np.abs(frames @ wave) * 2 / frame
    return float((strength > 3000).sum() / 100)

"""The duplex model with its own weights, as `offhook models build` put them together: what it makes of spoken turns.

Skipped with a line where it was not built.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from offhook import weights
from offhook.agents.embedding import EmbeddingUnavailable
from offhook.agents.mind import skill_mind
from offhook.agents.schema import load_agent
from offhook.speech.contract import (
    RATE_HZ,
    Decided,
    Event,
    SpeechStarted,
    ToolWanted,
    TurnEnded,
    WordsHeard,
    WordsSpoken,
)
from offhook.speech.duplex.built import DuplexUnavailable
from offhook.speech.duplex.model import DuplexModel
from tests.speech.line import Line
from tests.speech.voices import over_g711, spoken

AGENT = load_agent(Path(__file__).resolve().parents[2] / "dialplans" / "order-desk" / "agent.yaml")


@pytest.fixture(scope="module")
def model() -> Iterator[DuplexModel]:
    try:
        loaded = DuplexModel.load(2, {})
        skill_mind(AGENT.persona()).desk.understanding  # noqa: B018 (loaded before the calls, as it is rehearsed)
    except (DuplexUnavailable, weights.WeightsMissing, EmbeddingUnavailable) as missing:
        pytest.skip(f"skipped: {missing}")
    yield loaded
    for stage in ("spectrum", "listen", "gist", "words", "think", "speak"):
        if times := loaded.times.of(stage):
            print(f"{stage}: p50 {np.percentile(times, 50):.1f} ms, p95 {np.percentile(times, 95):.1f} ms")
    print(f"answers made ready: {loaded.guesses.made}, void: {loaded.guesses.void}")
    loaded.close()


@pytest.fixture
def line(model: DuplexModel) -> Iterator[Line]:
    line = Line(model)
    model.admit(0, AGENT.persona())
    line.until(lambda event: isinstance(event, WordsSpoken), 15)
    line.run(0.3)
    yield line
    for slot in range(model.slots):
        model.release(slot)


def after(line: Line, words: str, by: str) -> list[Event]:
    """The caller says `words`; what came of it in the three seconds after."""
    seen = len(line.events)
    line.say(over_g711(spoken(words, by)))
    line.until(lambda event: isinstance(event, TurnEnded))
    line.run(3.0)
    return line.events[seen:]


def response_ms(line: Line, events: list[Event]) -> float:
    at = next(i for i, event in enumerate(line.events) if event in events and isinstance(event, SpeechStarted))
    return (line.at[at] - line.callers[0].spoke_until) / RATE_HZ * 1000


@pytest.mark.figures
@pytest.mark.parametrize("voice", ["joe", "flite"])
def test_an_order_is_asked_for_and_looked_up(line: Line, voice: str) -> None:
    asked = after(line, "Where is my order?", voice)
    decided = [event for event in asked if isinstance(event, Decided)]
    assert decided and decided[0].skill == "order-status"
    print(f"{voice}: asked back {response_ms(line, asked):.0f} ms after the last word")
    looked = after(line, "Four one seven two.", voice)
    wanted = [event for event in looked if isinstance(event, ToolWanted)]
    assert wanted and wanted[0].arguments == {"order": "4172"}
    words = [event for event in looked if isinstance(event, WordsHeard) and event.final]
    assert words and "4172" in words[0].text.replace(" ", "")


def test_a_person_is_handed_to(line: Line) -> None:
    events = after(line, "I want to talk to a real person, please.", "joe")
    assert any(isinstance(event, Decided) and event.kind == "hand-over" for event in events)

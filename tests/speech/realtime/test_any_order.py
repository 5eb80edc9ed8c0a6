"""Whatever the far end says, in whatever order, a conversation keeps its own: no network and no clock here, so that
thousands of steps run in a moment."""

from __future__ import annotations

import dataclasses
import json
import random
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from offhook.agents.job import Agent
from offhook.speech.contract import (
    HOP_SAMPLES,
    RATE_HZ,
    Done,
    Event,
    Keys,
    Pcm,
    SpeechStarted,
    ToolResult,
    ToolWanted,
    TurnEnded,
    TurnStarted,
    WordsSpoken,
)
from offhook.speech.realtime import incoming, talk
from offhook.speech.realtime.briefing import brief
from offhook.speech.realtime.connection import Arrival, Lost, Opened, Spoken
from offhook.speech.realtime.options import RealtimeOptions, Turns
from offhook.speech.realtime.parts import Counts, Parts
from offhook.speech.voiceactivity import Ear
from tests.speech.realtime.conftest import persona

ROOM = 3840


class Babble:
    """In the place of a connection: says anything."""

    chance: random.Random
    made: list[Babble]

    def __init__(self, network: object, options: object, session: str) -> None:
        self.dropped_samples = 0
        self.sent: list[dict[str, Any]] = []
        self.sounded: dict[str, int] = {}
        self.waiting: deque[Arrival] = deque([Opened()])
        self.made.append(self)

    def send(self, message: str) -> None:
        self.sent.append(json.loads(message))

    def hear(self, position: int, audio: Pcm, kept: bool = False) -> None:
        pass

    def position(self, at_ms: int) -> int:
        return at_ms * 16

    def close(self) -> None:
        self.waiting.clear()

    def take(self) -> list[Arrival]:
        if self.chance.random() < 0.4:
            self.waiting.append(self.anything())
        taken, self.waiting = list(self.waiting), deque()
        for one in taken:
            if isinstance(one, Spoken):
                self.sounded[one.item] = self.sounded.get(one.item, 0) + len(one.audio)
        return taken

    def anything(self) -> Arrival:
        chance = self.chance
        about = len(self.sent) // 6  # what was cut off stays void: new names come up as the talk goes on
        response, item = chance.choice(["", f"r{about}", f"r{about + 1}"]), f"i{about + chance.randrange(3)}"
        tool = chance.choice(["order_status", "cancel_order", "finish", "hand_over", "outcome", "nonsense"])
        call = incoming.Called(
            f"c{chance.randrange(40)}", tool, chance.choice(["{}", '{"order": "1"}', "[", '{"name": 3}'])
        )
        at_ms = chance.randrange(60_000)
        status = chance.choices(["completed", "cancelled", "failed"], [60, 20, 1])[0]
        code = chance.choices(["what", "session_expired"], [200, 1])[0]
        weighted: list[tuple[float, Arrival]] = [
            (6, Spoken(response, item, np.full(chance.randrange(1, 9000), 1000, np.int16))),
            (4, incoming.Words(response, item, chance.choice([" one", " two three"]), chance.random() < 0.2)),
            (2, incoming.SoundOver(response, item)),
            (4, incoming.AnswerBegan(response)),
            (5, incoming.AnswerOver(response, status, "", (call,)[: at_ms % 2])),
            (2, incoming.CallMade(response, call)),
            (2, incoming.SpeechBegan(item, at_ms)),
            (2, incoming.SpeechOver(item, at_ms)),
            (1, incoming.Committed(item)),
            (2, incoming.Transcribed(item, " words", chance.random() < 0.5)),
            (1, incoming.Retrieved(item, "words")),
            (1, incoming.Complaint("server_error", code, "?")),
            (1, incoming.Limits(0.01)),
            (0.02, Lost("broke off", chance.random() < 0.1)),
        ]
        return chance.choices([one for _, one in weighted], [weight for weight, _ in weighted])[0]


class Guess:
    """In the place of voice activity detection: whatever chance says, for a while."""

    def __init__(self, chance: random.Random) -> None:
        self.chance, self.level = chance, 0.0

    def hear(self, ear: Ear, audio: Pcm) -> list[float]:
        if self.chance.random() < 0.1:
            self.level = self.chance.choice([0.0, 0.0, 0.9])
        return [self.level] * self.chance.choice([2, 3])


def conversation(seed: int, desk: Agent, turns: Turns) -> Iterator[tuple[Event, int]]:
    """The events of one conversation, each with what of the agent was played by then."""
    chance = random.Random(seed)
    Babble.chance, Babble.made = chance, []
    now = 0.0
    options = dataclasses.replace(RealtimeOptions(), turns=turns, answer_ms=40_000, ask_ms=3000)
    parts = Parts(options, Guess(chance), None, lambda: now, Counts())  # type: ignore[arg-type]
    who = persona(desk)
    call = talk.Talk(0, who, brief(who), parts)
    call.begin()
    queued = played = 0
    for _ in range(1_500):
        now += HOP_SAMPLES / RATE_HZ
        call.take_in()
        call.hear(np.zeros(HOP_SAMPLES, np.int16), chance.choice([0, 0, 0, 1280]))
        room = np.zeros(ROOM, np.int16)
        count, cut, _ = call.speak(played, room)
        assert 0 <= count <= ROOM and (room[:count] == 1000).all() and not room[count:].any()
        queued = (0 if cut else queued) + count
        step = min(queued, HOP_SAMPLES)
        queued, played = queued - step, played + step
        for event in call.events:
            yield event, played
            if isinstance(event, ToolWanted) and chance.random() < 0.8:
                call.deliver(ToolResult(event.id, chance.random() < 0.7, {"status": "packing"}, "no"))
        call.events = []
        if chance.random() < 0.01:
            call.deliver(Keys(chance.choice("12#")))
    call.close()
    for made in Babble.made:
        for message in made.sent:
            if message["type"] == "conversation.item.truncate":
                assert 0 < message["audio_end_ms"] <= made.sounded[message["item_id"]] / 16


@pytest.mark.parametrize("turns", [Turns.SEMANTIC, Turns.LOCAL])
@pytest.mark.parametrize("seed", range(12))
def test_events_keep_their_order_whatever_comes(
    seed: int, turns: Turns, desk: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(talk, "Connection", Babble)
    in_turn = done = False
    open_utterances: set[int] = set()
    wanted: set[str] = set()
    for event, _ in conversation(seed, desk, turns):
        assert not done, f"after the end: {event}"
        match event:
            case TurnStarted():
                assert not in_turn
                in_turn = True
            case TurnEnded():
                assert in_turn
                in_turn = False
            case SpeechStarted(utterance=number):
                assert number not in open_utterances
                open_utterances.add(number)
            case WordsSpoken(utterance=number):
                open_utterances.remove(number)
            case ToolWanted(id=id):
                assert id not in wanted
                wanted.add(id)
            case Done():
                done = True

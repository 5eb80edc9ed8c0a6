"""Messages between edge and worker: there and back unchanged, and nothing else understood."""

from __future__ import annotations

import json

import numpy as np
import pytest

from offhook.speech import contract, wire
from offhook.speech.contract import Persona
from offhook.speech.stats import SchedulerStats
from offhook.speech.wire import LINE_LIMIT, WireError, decode, decode_command, decode_report, encode

PERSONA = Persona(
    "order-desk@1",
    "en-US",
    "joe",
    "offhook.agents.mind:Skills",
    {"skills": [{"when": "„Grüß Gott“\n", "examples": [], "weight": 0.5}], "greeting": None},
    {"caller": "+49 30 1", "now": "2025-01-01T10:00:00+01:00"},
    {"turns": 3, "facts": {"order": "4172"}, "sure": True},
)
EVENTS: list[contract.Event] = [
    contract.TurnStarted(3, 16_000),
    contract.WordsHeard(3, "where is\u2028my order \U0001f600", 16_000, 32_000, False),
    contract.TurnEnded(3, 40_000, 44_000, "complete"),
    contract.SpeechStarted(3, 1, "Let me look.", 8_000),
    contract.WordsSpoken(3, 1, "Let me", 9_000),
    contract.Interrupted(3, 1, 50_000, "Let me", "look."),
    contract.Decided(3, "skill", "order-status", {"order": "4172"}, {"similarity": 0.83}, "my order 4172"),
    contract.Decided(3, "not-understood", None, {}, {}, ""),
    contract.ToolWanted(3, "t1", "orders.find", {"number": 4172, "deep": [[1, None], {"a": 1.5}]}),
    contract.OutcomeReached(3, "order-told", {"order": "4172"}),
    contract.Memo(3, {"any": {"thing": [True, None, -1.25e-9]}}),
    contract.Done(3, "human", "asked for a person"),
]
MESSAGES: list[wire.Command | wire.Report] = [
    wire.Admit(1, 3, 7, PERSONA),
    wire.Admit(2, 3, 8, PERSONA, again=True),
    wire.Deliver(3, 7, contract.ToolResult("t1", True, {"state": "sent", "items": [1, 2]})),
    wire.Deliver(3, 7, contract.ToolResult("t1", False, None, "no answer in 2 s")),
    wire.Deliver(3, 7, contract.Keys("12#")),
    wire.Release(3, 7),
    wire.Ping(2),
    wire.Stop(),
    wire.Ready(1234.5, 8),
    wire.LoadFailed("no weights"),
    wire.Admitted(1),
    wire.Refused(1, "full", "8 of 8"),
    wire.Pong(2),
    wire.Counted(SchedulerStats(slots=8, hops=12, lateness_p99_ms=1.5, refused={"full": 2})),
    wire.Beat(12.5, "tick"),
    *(wire.Happened(7, event) for event in EVENTS),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_every_message_comes_back_as_it_went(message: wire.Command | wire.Report) -> None:
    line = encode(message)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert decode(line) == message


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_event_comes_back_as_it_went(event: contract.Event) -> None:
    assert decode(encode(event)) == event


def test_every_event_of_the_contract_is_among_those_tried() -> None:
    assert {type(event) for event in EVENTS} == set(contract.Event.__args__)


def test_messages_do_not_travel_in_the_wrong_direction() -> None:
    with pytest.raises(WireError, match="from the edge"):
        decode_command(encode(wire.Ready(1.0, 8)))
    with pytest.raises(WireError, match="from a worker"):
        decode_report(encode(wire.Stop()))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"", "not a line of JSON"),
        (b"\xff\xfe\n", "not a line of JSON"),
        (b"[1,2]\n", "expected an object"),
        (b'{"type":"Nothing"}\n', "is not one of"),
        (b'{"type":["Stop"]}\n', "is not one of"),
        (b'{"type":"Ping"}\n', "missing or unknown 'ask'"),
        (b'{"type":"Stop","now":true}\n', "missing or unknown 'now'"),
        (b'{"type":"Ping","ask":true}\n', "Ping.ask: expected a whole number"),
        (b'{"type":"Ping","ask":1.0}\n', "Ping.ask: expected a whole number"),
        (b'{"type":"Ready","capacity":1,"load_ms":"1"}\n', "Ready.load_ms: expected a number"),
        (b'{"type":"Ready","capacity":1,"load_ms":NaN}\n', "no number that JSON can say"),
        (b'{"type":"Ready","capacity":1,"load_ms":1' + b"0" * 400 + b"}\n", "Ready.load_ms: expected a number"),
        (b'{"type":"Deliver","slot":1,"epoch":1,"delivery":{"type":"Stop"}}\n', "is not one of ToolResult, Keys"),
        (b'{"type":"LoadFailed","why":null}\n', "expected text"),
        (b"[" * 100_000 + b"\n", "not a line of JSON"),
        (b'{"type":"LoadFailed","why":"' + b"a" * LINE_LIMIT + b'"}\n', "over the limit"),
    ],
)
def test_what_is_no_message_is_refused_with_a_sentence(line: bytes, said: str) -> None:
    with pytest.raises(WireError, match=said):
        decode(line)


def test_values_nested_without_end_are_refused_and_do_not_exhaust_the_stack() -> None:
    deep: contract.Json = 1
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(WireError, match="nested"):
        encode(contract.ToolResult("t", True, deep))


def test_a_message_too_large_is_refused_where_it_is_made() -> None:
    with pytest.raises(WireError, match="over the limit"):
        encode(contract.ToolResult("t", True, "x" * LINE_LIMIT))


def test_numpy_scalars_are_made_plain_and_no_number_is_refused() -> None:
    line = encode(contract.TurnStarted(np.int64(3), np.int32(5)))  # type: ignore[arg-type]
    assert json.loads(line) == {"type": "TurnStarted", "slot": 3, "at": 5}
    score = contract.Decided(1, "skill", "x", {}, {"similarity": np.float32(0.5)}, "")  # type: ignore[dict-item]
    assert json.loads(encode(score))["scores"] == {"similarity": 0.5}
    with pytest.raises(WireError, match=r"Decided\.scores"):
        encode(contract.Decided(1, "skill", "x", {}, {"similarity": float("nan")}, ""))

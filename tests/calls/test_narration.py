"""A call told while it goes on, held against what its whole timeline says in the end."""

from __future__ import annotations

from typing import Any

from offhook.calls import folds
from offhook.calls.narration import MOST_TURNS, Narration
from offhook.calls.timeline import (
    CallHeld,
    CallResumed,
    Happening,
    PromptEnded,
    PromptStarted,
    SpeechStarted,
    TalkBegan,
    TurnEnded,
    TurnStarted,
    WordsHeard,
    WordsSpoken,
)
from tests.calls.written import ORDER_CALL, entries


def told(*happenings: tuple[float, Happening]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    narration = Narration(lambda message: messages.append(dict(message)))
    for entry in entries(*happenings):
        narration.take(entry)
    return messages


def words(who: str, text: str, turn: int, final: bool) -> dict[str, Any]:
    return {"type": "words", "who": who, "text": text, "turn": turn, "final": final}


def test_words_are_told_as_they_come() -> None:
    greeting = "You are talking to an AI. This call is recorded."
    assert told(*ORDER_CALL) == [
        words("agent", greeting, 1, False),
        words("agent", greeting, 1, True),
        words("agent", "Hello, this is the order desk.", 2, False),
        words("agent", "Hello, this is the order desk.", 2, True),
        words("caller", "Where is my order", 3, False),
        words("caller", "Where is my order four one seven two", 3, False),
        words("caller", "Where is my order four one seven two", 3, True),
        words("agent", "Order 4 1 7 2 was shipped.", 4, False),
        {"type": "response", "turn": 4, "ms": 600},
        words("agent", "Order 4 1 7 2 was shipped.", 4, True),
        words("agent", "Is there anything else I can help you with?", 5, False),
        words("agent", "Is there anything", 5, True),
        words("agent", "Is there anything", 5, True),
        words("caller", "No, thanks, bye", 6, False),
        words("caller", "No, thanks, bye", 6, True),
        words("agent", "Goodbye.", 7, False),
        {"type": "response", "turn": 7, "ms": 800},
        words("agent", "Goodbye.", 7, True),
    ]


def test_in_the_end_it_said_what_the_timeline_says() -> None:
    last = {message["turn"]: message for message in told(*ORDER_CALL) if message["type"] == "words"}
    said = " ".join(message["text"] for message in last.values())
    whole = " ".join(turn.text for turn in folds.turns(entries(*ORDER_CALL)) if turn.who is not folds.Who.KEYS)
    assert said == whole and all(message["final"] for message in last.values())
    responses = [message["ms"] for message in told(*ORDER_CALL) if message["type"] == "response"]
    assert responses == list(folds.summary(entries(*ORDER_CALL)).responses_ms)


def test_a_response_that_is_heard_before_its_words_are_reported_is_told_with_them() -> None:
    assert told(
        (1_000, TurnStarted()),
        (1_500, WordsHeard("hello", 1_000, 1_400)),
        (1_600, TurnEnded(1_400, "silence")),
        (1_750, TalkBegan()),
        (1_740, SpeechStarted(1, "Hi.")),
    )[-2:] == [words("agent", "Hi.", 2, False), {"type": "response", "turn": 2, "ms": 350}]


def test_words_recognised_late_belong_to_the_turn_before() -> None:
    assert told(
        (1_000, TurnStarted()),
        (1_600, TurnEnded(1_400, "silence")),
        (1_700, WordsHeard("hello", 1_000, 1_390)),
        (2_000, TurnStarted()),
        (2_500, WordsHeard("there", 2_000, 2_300)),
    ) == [words("caller", "hello", 1, True), words("caller", "there", 2, False)]


def test_an_agent_that_was_talking_all_the_while_did_not_respond() -> None:
    messages = told(
        (100, SpeechStarted(1, "A long story")),
        (200, TalkBegan()),
        (1_000, TurnStarted()),
        (1_300, WordsHeard("aha", 1_000, 1_200)),
        (1_400, TurnEnded(1_200, "silence")),
        (3_000, TalkBegan()),
    )
    assert [message["type"] for message in messages] == ["words"] * 3


def test_hold_is_told() -> None:
    assert told((1, CallHeld()), (2, CallResumed())) == [{"type": "held"}, {"type": "resumed"}]


def test_a_page_that_comes_back_is_told_the_newest_turns_again() -> None:
    messages: list[Any] = []
    narration = Narration(messages.append)
    many: list[tuple[float, Happening]] = [(0, PromptStarted("Hello.")), (1, PromptEnded(1, True))]
    for number in range(2 * MOST_TURNS):
        many += [(number, SpeechStarted(number, f"word {number}")), (number, WordsSpoken(number, f"word {number}"))]
    for entry in entries(*many, (9_999, CallHeld())):
        narration.take(entry)
    messages.clear()
    narration.again()
    assert len(messages) == MOST_TURNS + 1
    assert messages[-2]["text"] == f"word {2 * MOST_TURNS - 1}" and messages[-1] == {"type": "held"}

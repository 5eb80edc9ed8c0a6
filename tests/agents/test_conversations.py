"""Whole conversations with the order desk, in writing: what is said, decided, done and counted."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from offhook.agents.job import Agent
from offhook.agents.mind import skill_mind
from offhook.agents.rehearsal import Rehearsal
from offhook.speech.contract import Achieve, Decide, ToolResult, UseTool
from tests.agents.conftest import Rehearse


@dataclass(frozen=True, slots=True)
class Talk:
    """What a caller says, turn by turn, and what each answer has to contain; and what has come of it in the end."""

    turns: tuple[tuple[str, str], ...]
    outcomes: tuple[str, ...] = ()
    exit: str | None = None


TALKS = {
    "status in one breath": Talk(
        (
            ("I'd like to know where order 4172 is", "Order 4 1 7 2 is on its way. It should arrive on "),
            ("no thanks", "Goodbye"),
        ),
        ("status-told",),
        "resolved",
    ),
    "status, asked for the number": Talk(
        (
            ("where's my stuff", "What's your order number?"),
            ("forty-one seventy-three", "Order 4 1 7 3 is being packed"),
        ),
        ("status-told",),
    ),
    "a number in two halves": Talk(
        (
            ("where is my order", "What's your order number?"),
            ("four one seven", "I have 4 1 7 so far. What comes next?"),
            ("two", "Order 4 1 7 2 is on its way"),
        ),
        ("status-told",),
    ),
    "a delayed order": Talk(
        (("when will order one three five zero arrive", "I'm sorry, order 1 3 5 0 is late. Northline now expects it"),),
        ("status-told",),
    ),
    "corrected after the answer": Talk(
        (
            ("where is my order", "What's your order number?"),
            ("four one seven nine", "I can't find order 4 1 7 9"),
            ("no, I said three at the end", "Order 4 1 7 3 is being packed"),
        ),
        ("status-told",),
    ),
    "corrected by one digit": Talk(
        (("where is order 5172", "Order 5 1 7 2"), ("no, I said four", "Order 4 1 7 2 is on its way")),
        ("status-told", "status-told"),
    ),
    "the same with another number": Talk(
        (("where is order 4172", "on its way"), ("and 4173?", "Order 4 1 7 3 is being packed")),
        ("status-told", "status-told"),
    ),
    "a return with everything in one sentence": Talk(
        (
            (
                "hi, the paper from order 1187 arrived broken",
                "Return order 1 1 8 7 because it came damaged, is that right?",
            ),
            ("yes", "Your return is registered"),
            ("that's all", "Goodbye"),
        ),
        ("return-registered",),
        "resolved",
    ),
    "a return, asked step by step": Talk(
        (
            ("I want to send something back", "Which order is it?"),
            ("one one eight seven", "What's the reason"),
            ("it came damaged", "because it came damaged, is that right?"),
            ("no, it's the wrong size", "because it is the wrong size, is that right?"),
            ("correct", "Your return is registered"),
        ),
        ("return-registered",),
    ),
    "a return refused is no outcome": Talk(
        (("I'd like to return order 2999, I changed my mind", "is that right?"), ("yes", "hasn't been delivered yet")),
    ),
    "the number goes from one skill to the next": Talk(
        (
            ("where is order 1187", "was delivered"),
            ("I want to return it", "What's the reason"),
            ("it doesn't work", "Return order 1 1 8 7"),
            ("go ahead", "registered"),
        ),
        ("status-told", "return-registered"),
    ),
    "two wishes in one turn": Talk(
        (
            ("I'd like to cancel order 4173 and what are your opening hours", "Cancel order 4 1 7 3, is that right?"),
            ("yes", "We're open Monday to Friday"),
        ),
        ("order-cancelled", "hours-told"),
    ),
    "a no changes what was wrong": Talk(
        (
            ("cancel order 4172", "Cancel order 4 1 7 2, is that right?"),
            ("no", "What should I change?"),
            ("it's 1903", "Cancel order 1 9 0 3, is that right?"),
            ("yes please", "Order 1 9 0 3 is cancelled"),
        ),
        ("order-cancelled",),
    ),
    "too late to cancel": Talk(
        (("cancel order 4172 please", "is that right?"), ("yes", "has already left")),
    ),
    "a robot, truthfully": Talk((("are you a robot?", "I'm an AI agent, not a person"),)),
    "waiting for the caller": Talk(
        (("where is my order", "order number"), ("hold on, let me look", "Take your time"), ("4172", "on its way")),
        ("status-told",),
    ),
    "okay before the number": Talk(
        (("where is my order", "order number"), ("okay", "four digits"), ("4172", "on its way")), ("status-told",)
    ),
    "yes before the wish": Talk(
        (("yes", "What can I do for you?"), ("where is order 4172", "on its way")), ("status-told",)
    ),
    "a repeat": Talk(
        (("what are your opening hours", "nine to six"), ("can you repeat that", "nine to six")), ("hours-told",)
    ),
    "a change of mind in the middle": Talk(
        (("I want to cancel my order", "Which order"), ("what are your opening hours?", "nine to six")), ("hours-told",)
    ),
    "never mind": Talk(
        (("I want to return something", "Which order"), ("oh never mind", "I've left it. Is there anything"))
    ),
    "only a number": Talk(
        (("4172", "What would you like to know about it?"), ("where is it", "Order 4 1 7 2 is on its way")),
        ("status-told",),
    ),
    "a number offered with the wish": Talk(
        (("could you check on my order, the number is three five eight oh", "Order 3 5 8 0 is being packed"),),
        ("status-told",),
    ),
    "a price": Talk((("how much is a desk lamp", "I can't tell prices"),)),
    "a person at once": Talk((("let me talk to a human please", "put you through"),), (), "human"),
    "a person in the middle": Talk(
        (("where is my order", "order number"), ("just give me a person", "put you through")), (), "human"
    ),
    "a topic for people": Talk((("you charged my card twice", "put you through"),), (), "human"),
    "no number at hand": Talk(
        (
            ("where is my order", "order number"),
            ("I don't have the number", "Shall I put you through"),
            ("yes please", "put you through"),
        ),
        (),
        "human",
    ),
    "not understood once": Talk(
        (("the traffic was bad", "Sorry, I didn't get that"), ("where is order 4172", "on its way")), ("status-told",)
    ),
    "not understood twice": Talk(
        (("the traffic was bad", "Sorry, I didn't get that"), ("my cat is asleep", "put you through")), (), "human"
    ),
    "a held order is for people": Talk(
        (("where is order 7007", "let a colleague look at order 7 0 0 7"),), (), "human"
    ),
    "a number that is never found": Talk(
        (
            ("where is order 9999", "I can't find order 9 9 9 9"),
            ("9998", "I can't find order 9 9 9 8"),
            ("9997", "put you through"),
        ),
        (),
        "human",
    ),
}


async def held(rehearsal: Rehearsal, talk: Talk) -> None:
    await rehearsal.greet()
    for words, wanted in talk.turns:
        answer = await rehearsal.say(words)
        assert wanted in answer, f"to {words!r} the agent said {answer!r}"
    assert tuple(act.outcome for act in rehearsal.acts if isinstance(act, Achieve)) == talk.outcomes
    assert (rehearsal.finish.exit if rehearsal.finish else None) == talk.exit


@pytest.mark.parametrize("talk", TALKS.values(), ids=TALKS.keys())
async def test_conversation(order_desk: Agent, rehearse: Rehearse, talk: Talk) -> None:
    await held(rehearse(order_desk), talk)


@pytest.mark.parametrize("talk", TALKS.values(), ids=TALKS.keys())
async def test_conversation_goes_on_in_another_process_after_any_turn(
    order_desk: Agent, rehearse: Rehearse, talk: Talk, tmp_path: Path
) -> None:
    """The memo of every turn makes a fresh mind that says the same from there on."""
    for moved_after in range(len(talk.turns)):
        rehearsal = rehearse(order_desk)
        # Data that earlier rounds wrote is not part of this conversation.
        shutil.rmtree(tmp_path / "order-desk", ignore_errors=True)
        await rehearsal.greet()
        for turn, (words, wanted) in enumerate(talk.turns):
            assert wanted in await rehearsal.say(words)
            if turn == moved_after and rehearsal.finish is None:
                persona = order_desk.persona({}, rehearsal.mind.memo())
                rehearsal.mind = skill_mind(persona)
                assert "I'm back" in await rehearsal.greet()
        assert (rehearsal.finish.exit if rehearsal.finish else None) == talk.exit


async def test_every_turn_is_explained_by_a_decision(order_desk: Agent, rehearse: Rehearse) -> None:
    for talk in TALKS.values():
        rehearsal = rehearse(order_desk)
        for words, _ in talk.turns:
            before = len(rehearsal.acts)
            await rehearsal.say(words)
            assert any(isinstance(act, Decide) for act in rehearsal.acts[before:]), words


async def test_an_outcome_names_its_evidence(order_desk: Agent, rehearse: Rehearse) -> None:
    rehearsal = rehearse(order_desk)
    await rehearsal.say("where is order 4172")
    used = next(act for act in rehearsal.acts if isinstance(act, UseTool))
    result = next(act for act in rehearsal.acts if isinstance(act, ToolResult))
    reached = next(act for act in rehearsal.acts if isinstance(act, Achieve))
    assert reached.evidence["id"] == used.id == result.id
    assert reached.evidence["facts"] == {"order": "4172"} and reached.evidence["tool"] == "order_status"

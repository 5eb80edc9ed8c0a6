"""The rules of a conversation: confirmations, hand-over, failing tools, silence, keys, interruptions, reading ahead."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offhook.agents.job import Agent
from offhook.agents.mind import SkillMind, skill_mind
from offhook.agents.rehearsal import Rehearsal
from offhook.agents.state import Asked
from offhook.speech.contract import Achieve, Act, Finish, Say, ToolResult, UseTool
from tests.agents.conftest import NOW, Rehearse


def words_of(acts: list[Act]) -> str:
    return " ".join(act.text for act in acts if isinstance(act, Say))


@pytest.fixture
def mind(order_desk: Agent, embedding: object) -> SkillMind:
    return skill_mind(order_desk.persona({"now": NOW}))


BOOKING = {
    "agent": "booking@2",
    "job": "Books tables.",
    "greeting": "Hello!",
    "skills": {
        "book": {
            "when": "The caller wants to book a table.",
            "examples": ["book a table", "I'd like a reservation", "do you have a table"],
            "needs": {
                "phone": {
                    "type": "digits",
                    "length": "4-8",
                    "ask": "Your number?",
                    "confirm": "{phone}, is that right?",
                },
                "day": {"type": "date", "ask": "For which day?"},
                "people": {"type": "number", "ask": "For how many?", "least": 1, "most": 20},
                "window": {"type": "yes-no", "ask": "By the window?"},
                "name": {"type": "name", "ask": "In what name?"},
                "wish": {"type": "text", "ask": "Any wishes?", "optional": True},
            },
            "confirm": "{people} people {on day} for {name}, shall I book it?",
            "while": "One moment.",
            "tool": "book",
            "say": {
                "booked": "Done, {on day}.",
                "full": {"say": "We are full {on day}.", "ask": "day"},
                "other": "Hm.",
            },
            "outcome": "booked",
        }
    },
    "tools": {"book": {"http": {"url": "http://127.0.0.1:9/"}}},
    "hand-over": {"not-understood": 2, "tool-failures": 2},
}


@pytest.fixture
def booking(embedding: object) -> SkillMind:
    return skill_mind(Agent.model_validate(BOOKING).persona({"now": NOW}))


def test_every_kind_of_fact_is_asked_confirmed_and_handed_to_the_tool(booking: SkillMind) -> None:
    assert words_of(list(booking.hear("I'd like to book a table for four people"))) == "Your number?"
    assert words_of(list(booking.hear("double five five one two"))) == "5 5 5 1 2, is that right?"
    assert words_of(list(booking.hear("no, it ends in three"))) == "5 5 5 1 3, is that right?"
    assert words_of(list(booking.hear("yes"))) == "For which day?"
    assert words_of(list(booking.hear("next tuesday"))) == "By the window?"
    assert words_of(list(booking.hear("yes please"))) == "In what name?"
    assert words_of(list(booking.hear("Jane Miller"))) == "4 people on Tuesday for Jane Miller, shall I book it?"
    acts = list(booking.hear("sure"))
    assert words_of(acts) == "One moment."
    used = next(act for act in acts if isinstance(act, UseTool))
    assert used.arguments == {
        "phone": "55513",
        "day": "2026-11-24",
        "people": 4,
        "window": True,
        "name": "Jane Miller",
    }
    full = list(booking.tool(ToolResult(used.id, True, {"status": "full"})))
    assert words_of(full) == "We are full on Tuesday. For which day?"
    assert words_of(list(booking.hear("then thursday"))).startswith("4 people on Thursday")
    used = next(act for act in booking.hear("yes") if isinstance(act, UseTool))
    done = list(booking.tool(ToolResult(used.id, True, {"status": "booked"})))
    assert words_of(done) == "Done, on Thursday. Is there anything else?"
    assert [act.outcome for act in done if isinstance(act, Achieve)] == ["booked"]


def test_a_late_or_foreign_tool_answer_counts_for_nothing(mind: SkillMind) -> None:
    used = next(act for act in mind.hear("where is order 4172") if isinstance(act, UseTool))
    assert list(mind.tool(ToolResult("other-1", True, {"status": "delivered", "day": "2026-11-20"}))) == []
    assert "on its way" in words_of(
        list(mind.tool(ToolResult(used.id, True, {"status": "on-its-way", "day": "2026-11-24"})))
    )
    assert list(mind.tool(ToolResult(used.id, True, {"status": "delivered"}))) == []


def test_a_failing_tool_is_told_truthfully_tried_once_more_and_handed_over(mind: SkillMind) -> None:
    used = next(act for act in mind.hear("where is order 4172") if isinstance(act, UseTool))
    said = words_of(list(mind.tool(ToolResult(used.id, False, error="the database is gone"))))
    assert said == "I'm sorry, I can't look at the orders right now. Shall I try again?"
    again = next(act for act in mind.hear("yes please") if isinstance(act, UseTool))
    assert again.arguments == {"order": "4172"} and again.id != used.id
    acts = list(mind.tool(ToolResult(again.id, False, error="still gone")))
    assert "put you through" in words_of(acts) and acts[-1] == Finish("human", "tool failed")
    assert not any(isinstance(act, Achieve) for act in acts)


def test_a_caller_may_leave_a_failed_tool_be(mind: SkillMind) -> None:
    used = next(act for act in mind.hear("where is order 4172") if isinstance(act, UseTool))
    list(mind.tool(ToolResult(used.id, False, error="gone")))
    assert "Is there anything else?" in words_of(list(mind.hear("no")))


def test_words_during_a_tools_work_are_answered_and_its_result_still_told(mind: SkillMind) -> None:
    used = next(act for act in mind.hear("where is order 4172") if isinstance(act, UseTool))
    assert "still looking" in words_of(list(mind.hear("hello?")))
    assert "was delivered" in words_of(list(mind.tool(ToolResult(used.id, True, {"status": "delivered"}))))


@pytest.mark.parametrize("value", [None, [], "text", 7, {"status": 7}, {"status": {"a": 1}}, {"other": "x"}, {}])
def test_an_answer_of_an_unforeseen_kind_goes_to_a_person_not_into_a_claim(mind: SkillMind, value: object) -> None:
    used = next(act for act in mind.hear("where is order 4172") if isinstance(act, UseTool))
    acts = list(mind.tool(ToolResult(used.id, True, value)))  # type: ignore[arg-type]
    assert isinstance(acts[-1], Finish) and acts[-1].exit == "human"
    assert not any(isinstance(act, Achieve) for act in acts)


def test_a_doubtful_number_is_read_back_before_it_is_used(mind: SkillMind) -> None:
    list(mind.hear("where is my order"))
    assert words_of(list(mind.hear("2 9 9 9 9"))) == "2 9 9 9, is that right?"
    assert words_of(list(mind.hear("no, it's four one seven two"))) == ""
    assert mind.state.asked is Asked.TOOL and mind.state.facts == {"order": "4172"}


def test_silence_asks_then_helps_then_says_goodbye(mind: SkillMind) -> None:
    list(mind.greet())
    assert "Are you still there?" in words_of(list(mind.silence(1)))
    assert "I can help you with where your order is" in words_of(list(mind.silence(2)))
    assert list(mind.silence(3))[-1] == Finish("resolved", "the caller said nothing any more")
    assert words_of(list(mind.hear("hello"))) == "Yes, I'm here. Is there anything else?"


def test_silence_in_a_question_asks_it_again(mind: SkillMind) -> None:
    list(mind.hear("where is my order"))
    assert words_of(list(mind.silence(1))).endswith("Please tell me the four digits of your order number.")


def test_keys_fill_digits_answer_questions_and_ask_for_a_person(mind: SkillMind) -> None:
    list(mind.hear("I want to cancel my order"))
    assert words_of(list(mind.keys("41"))).startswith("Sorry, I didn't get that.")
    assert words_of(list(mind.keys("4173"))) == "Cancel order 4 1 7 3, is that right?"
    assert any(isinstance(act, UseTool) for act in mind.keys("1"))


def test_zero_asks_for_a_person(mind: SkillMind) -> None:
    assert list(mind.keys("0"))[-1] == Finish("human", "asked by key")


def test_what_an_interruption_cut_off_is_said_when_asked_for(mind: SkillMind) -> None:
    list(mind.hear("what are your opening hours"))
    mind.interrupted("We're open Monday to", "Friday from nine to six, and Saturdays from ten to two.")
    whole = "We're open Monday to Friday from nine to six, and Saturdays from ten to two. Is there anything else?"
    assert words_of(list(mind.hear("sorry, what was that?"))) == whole


def test_after_an_aside_the_sentence_that_was_cut_is_said_again(mind: SkillMind) -> None:
    used = next(act for act in mind.hear("where is order 4172") if isinstance(act, UseTool))
    list(mind.tool(ToolResult(used.id, True, {"status": "packing", "day": "2026-11-24"})))
    mind.interrupted("Order 4 1 7 2 is being packed. It should", "arrive on Tuesday. Is there anything else?")
    said = words_of(list(mind.hear("hello?")))
    assert said == "Yes, I'm here. It should arrive on Tuesday. Is there anything else?"
    mind.interrupted("Yes, I'm here. It should arrive", "on Tuesday. Is there anything else?")
    said = words_of(list(mind.hear("blue banana telephone window")))
    assert said == "Sorry, I didn't get that. It should arrive on Tuesday. Is there anything else?"


@pytest.mark.parametrize("over_it", ["bye", "thank you", "okay", "hm", "blue banana telephone window"])
def test_speaking_over_the_goodbye_ends_the_call_all_the_same(mind: SkillMind, over_it: str) -> None:
    assert list(mind.hear("that's all, goodbye"))[-1] == Finish("resolved", "the caller is done")
    mind.interrupted("", "Thank you for calling. Goodbye!")
    assert list(mind.hear(over_it)) == [Finish("resolved", "the caller is done")]
    assert list(mind.keys("5")) == [Finish("resolved", "the caller is done")]


@pytest.mark.parametrize("over_it", ["thanks", "where is my order", "okay bye", "are you there"])
def test_speaking_over_the_hand_over_still_leads_to_a_person(mind: SkillMind, over_it: str) -> None:
    assert list(mind.hear("let me talk to a person"))[-1] == Finish("human", "asked")
    mind.interrupted("I'll put you", "through to a colleague. One moment, please.")
    assert list(mind.hear(over_it)) == [Finish("human", "asked")]


def test_who_thinks_of_something_at_the_goodbye_is_heard(mind: SkillMind) -> None:
    list(mind.hear("goodbye"))
    mind.interrupted("Thank you", "for calling. Goodbye!")
    used = next(act for act in mind.hear("oh wait, where is order 4172") if isinstance(act, UseTool))
    assert "on its way" in words_of(list(mind.tool(ToolResult(used.id, True, {"status": "on-its-way"}))))
    list(mind.hear("goodbye"))
    mind.interrupted("Thank you", "for calling. Goodbye!")
    used = next(act for act in mind.hear("no, I said four one seven three") if isinstance(act, UseTool))
    assert used.arguments == {"order": "4173"}


@pytest.mark.parametrize("yes", ["yes, please cancel it", "cancel it", "yes cancel order 4173", "yes, please cancel"])
def test_the_questions_own_words_said_back_are_no_refusal(mind: SkillMind, yes: str) -> None:
    assert words_of(list(mind.hear("cancel order 4173"))) == "Cancel order 4 1 7 3, is that right?"
    assert any(isinstance(act, UseTool) for act in mind.hear(yes))


@pytest.mark.parametrize(
    "no", ["no, don't cancel it", "don't cancel it", "no, cancel", "please do not cancel", "good bye"]
)
def test_what_cannot_be_undone_is_not_done_on_a_no_or_a_goodbye(mind: SkillMind, no: str) -> None:
    list(mind.hear("cancel order 4173"))
    assert not any(isinstance(act, UseTool) for act in mind.hear(no))


@pytest.mark.parametrize("word", ["please", "okay, thanks", "yes"])
def test_a_yes_to_a_question_that_was_not_heard_does_nothing_yet(mind: SkillMind, word: str) -> None:
    asked = words_of(list(mind.hear("cancel order 4173")))
    mind.interrupted("", asked)
    assert words_of(again := list(mind.hear(word))) == asked and not any(isinstance(act, UseTool) for act in again)
    mind.interrupted("Cancel order 4 1 7 3, is that", "right?")
    assert any(isinstance(act, UseTool) for act in mind.hear(word))


def test_a_request_said_in_two_breaths_is_one(mind: SkillMind) -> None:
    list(mind.hear("cancel order 4173"))
    used = next(act for act in mind.hear("yes") if isinstance(act, UseTool))
    done = words_of(list(mind.tool(ToolResult(used.id, True, {"status": "cancelled"}))))
    mind.interrupted("", done)
    assert (
        words_of(list(mind.hear("please cancel it")))
        == done
        == ("Order 4 1 7 3 is cancelled. You won't be charged. Is there anything else?")
    )
    assert words_of(list(mind.hear("cancel order 1903"))) == "Cancel order 1 9 0 3, is that right?"


def test_goodbye_instead_of_a_change_is_a_goodbye(mind: SkillMind) -> None:
    list(mind.hear("cancel order 4173"))
    assert words_of(list(mind.hear("no"))) == "All right. What should I change?"
    acts = list(mind.hear("goodbye"))
    assert words_of(acts) == "All right, I've left it. Thank you for calling. Goodbye!"
    assert acts[-1] == Finish("resolved", "the caller is done")


def test_a_question_in_between_is_answered_and_the_matter_in_hand_goes_on(mind: SkillMind) -> None:
    list(mind.hear("where is my order"))
    said = words_of(list(mind.hear("wait, are you open on Saturday?")))
    assert said.startswith("We're open Monday to Friday") and said.endswith("What's your order number?")
    used = next(act for act in mind.hear("okay, four one seven two") if isinstance(act, UseTool))
    assert used.arguments == {"order": "4172"}


@pytest.mark.parametrize("no", ["no", "nope", "I don't have it"])
def test_who_says_no_to_a_question_for_a_fact_has_not_got_it(mind: SkillMind, no: str) -> None:
    list(mind.hear("where is my order"))
    assert words_of(list(mind.hear(no))) == "I can't go on without it. Shall I put you through to a colleague?"
    assert list(mind.hear("yes please"))[-1] == Finish("human", "the caller has no order")


def test_a_matter_that_cannot_go_on_is_not_come_back_to(mind: SkillMind) -> None:
    list(mind.hear("where is my order"))
    list(mind.hear("I don't have it"))
    assert words_of(list(mind.hear("when are you open on Saturday?"))).endswith("Is there anything else?")


def test_digits_before_a_pause_for_thought_are_kept(mind: SkillMind) -> None:
    list(mind.hear("where is my order"))
    assert words_of(list(mind.hear("let me see, it is four"))) == "Take your time."
    used = next(act for act in mind.hear("one seven two") if isinstance(act, UseTool))
    assert used.arguments == {"order": "4172"}


@pytest.mark.parametrize(
    ("before", "partial", "least", "most"),
    [
        ([], "where is order four one seven two", 1.0, 1.0),
        ([], "where is order four one", 0.0, 0.15),
        ([], "I want to return my order because", 0.0, 0.15),
        ([], "my order number is", 0.0, 0.15),
        ([], "what are your opening hours", 0.85, 1.0),
        ([], "what are your opening hours and", 0.0, 0.15),
        ([], "where is my order", 0.6, 0.9),
        ([], "um", 0.0, 0.4),
        ([], "", 0.0, 0.0),
        (["where is my order"], "four one", 0.0, 0.1),
        (["where is my order"], "four one seven two", 1.0, 1.0),
        (["where is my order"], "forty-one seventy-two", 1.0, 1.0),
        (["where is my order"], "it's", 0.0, 0.2),
        (["where is my order", "four one seven"], "two", 1.0, 1.0),
        (["cancel order 4173"], "yes", 1.0, 1.0),
        (["cancel order 4173"], "no", 0.4, 0.7),
        (["where is my order", "9999"], "no I said eight at the end", 0.85, 1.0),
    ],
)
async def test_reading_tells_how_complete_words_are(
    order_desk: Agent, rehearse: Rehearse, before: list[str], partial: str, least: float, most: float
) -> None:
    rehearsal: Rehearsal = rehearse(order_desk)
    for words in before:
        await rehearsal.say(words)
    state = rehearsal.mind.memo()
    reading = rehearsal.mind.read(partial)
    assert least <= reading.complete <= most, reading
    assert rehearsal.mind.memo() == state, "reading changes nothing"


def test_reading_gives_skill_and_facts_so_far(mind: SkillMind) -> None:
    reading = mind.read("hi I'd like to know where my order 4172 is")
    assert (reading.skill, reading.facts) == ("order-status", {"order": "4172"})


def test_phrases_have_no_place_to_fill_and_the_vocabulary_holds_the_options(mind: SkillMind) -> None:
    assert "Is there anything else?" in mind.phrases() and "What's your order number?" in mind.phrases()
    assert not any("{" in phrase for phrase in mind.phrases())
    assert "broken" in mind.vocabulary()


def test_a_tool_that_was_waited_for_is_asked_again_under_its_own_id(order_desk: Agent, mind: SkillMind) -> None:
    used = next(act for act in mind.hear("where is order 4172") if isinstance(act, UseTool))
    fresh = skill_mind(order_desk.persona({"now": NOW}, json.loads(json.dumps(mind.memo()))))
    assert list(fresh.greet()) == [Say("Sorry, I'm back."), used]


def test_the_memo_of_every_state_comes_back_as_it_was(order_desk: Agent, mind: SkillMind) -> None:
    seen = set()
    turns = ["I want to return something", "four one", "1187", "it's broken", "no", "the wrong size", "yes"]
    for words in turns:
        list(mind.hear(words))
        seen.add(mind.state.asked)
        fresh = skill_mind(order_desk.persona({"now": NOW}, json.loads(json.dumps(mind.memo()))))
        assert fresh.state == mind.state
    assert seen >= {Asked.FACT, Asked.SKILL_RIGHT, Asked.CHANGE, Asked.TOOL}


@pytest.mark.parametrize("memo", [{"asked": "nonsense"}, {"asked": None}, {"facts": 7}, {"new": 1}, {"misses": "x"}])
def test_a_memo_that_is_none_is_refused_with_a_sentence(
    order_desk: Agent, embedding: object, memo: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match="memo"):
        skill_mind(order_desk.persona({}, memo))  # type: ignore[arg-type]


def test_a_document_that_is_no_agent_is_refused(order_desk: Agent) -> None:
    import dataclasses

    with pytest.raises(ValueError, match="greeting"):
        skill_mind(dataclasses.replace(order_desk.persona(), document={"agent": "a@1", "job": {"purpose": "p"}}))


@pytest.mark.parametrize("words", ["not 4 ", "no, ", "a b ", "forty one hundred ", "12/3/", "  ", "my name is "])
def test_a_flood_of_words_takes_no_longer_than_a_turn(mind: SkillMind, words: str) -> None:
    list(mind.hear("where is my order"))
    mind.read(words * 200_000)
    assert isinstance(list(mind.hear(words * 200_000)), list)
    list(mind.keys("4" * 100_000))
    assert len(json.dumps(mind.memo())) < 4_000


_TURNS = st.lists(
    st.one_of(
        st.text(max_size=60),
        st.sampled_from(
            "yes|no|where is my order|4172|four one|no I said four|cancel it|never mind|repeat that|thanks|9999|"
            "it's broken|I want to return order 1187|hold on|the last one is five|what can you do|not that".split("|")
        ),
    ),
    max_size=8,
)


@given(turns=_TURNS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_conversation_at_all_makes_the_mind_stumble_or_fall_silent(
    order_desk: Agent, embedding: object, turns: list[str]
) -> None:
    mind = skill_mind(order_desk.persona({"now": NOW}))
    list(mind.greet())
    for words in turns:
        mind.read(words)
        acts = list(mind.hear(words))
        over = mind.state.over
        for use in [act for act in acts if isinstance(act, UseTool)]:
            acts += list(mind.tool(ToolResult(use.id, True, {"status": "not-found"})))
        assert json.loads(json.dumps(mind.memo())) == mind.memo()
        if not over:
            assert words_of(acts), f"nothing was said to {words!r}"

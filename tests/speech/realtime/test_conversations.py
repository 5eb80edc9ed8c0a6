"""Conversations with a far end: greeting, answers, tools, cutting in, ending."""

from __future__ import annotations

import numpy as np
import pytest

from offhook.speech.contract import (
    RATE_HZ,
    Decided,
    Done,
    Event,
    Interrupted,
    Keys,
    Memo,
    OutcomeReached,
    SpeechStarted,
    ToolResult,
    ToolWanted,
    TurnEnded,
    TurnStarted,
    WordsHeard,
    WordsSpoken,
)
from tests.speech.realtime.conftest import Rings, burst, saying
from tests.speech.realtime.farend import Answer, far_end

GREETING = "Offhook Supplies, hello! How can I help you?"
ORDER = {"order": "4172"}


def test_the_greeting_is_said_first_and_a_question_is_answered(ring: Rings) -> None:
    with far_end(Answer("We are open from nine to six.", 1.5, 700.0), heard=("when are you open",)) as far:
        line = ring(far)
        greeted = line.until(lambda e: isinstance(e, WordsSpoken))
        assert isinstance(greeted, WordsSpoken) and greeted.text == GREETING
        line.say(saying("when are you open"))
        answered = line.until(lambda e: isinstance(e, WordsSpoken))
        assert isinstance(answered, WordsSpoken) and answered.text == "We are open from nine to six."
        assert abs(burst(700.0, line.agent()) - 1.5) < 0.1
        (heard,) = [e for e in line.of(WordsHeard) if isinstance(e, WordsHeard) and e.final]
        assert isinstance(heard, WordsHeard) and heard.text == "when are you open"
        (began,), (ended,) = line.of(TurnStarted), line.of(TurnEnded)
        assert isinstance(began, TurnStarted) and isinstance(ended, TurnEnded)
        assert 0.5 * RATE_HZ < ended.at - began.at < 2.5 * RATE_HZ and heard.end == ended.at <= ended.decided_at
        assert abs(ended.at - line.callers[0].spoke_until) < 0.3 * RATE_HZ
        assert not far.refused


def test_the_far_end_is_told_the_job_and_the_tools(ring: Rings) -> None:
    with far_end() as far:
        line = ring(far)
        line.until(lambda e: isinstance(e, WordsSpoken))
        (session,) = far.sessions
        told = session["instructions"]
        for piece in ("orders, day and night", "prices and discounts", "4 digits", "wrong-size", "5551234", "card"):
            assert piece in told, piece
        tools = {tool["name"]: tool for tool in session["tools"]}
        assert {"order_status", "return_order", "cancel_order", "hand_over", "finish", "outcome"} == set(tools)
        assert tools["order_status"]["parameters"]["required"] == ["order"]
        assert tools["outcome"]["parameters"]["properties"]["name"]["enum"] == ["hours-told"]


def test_a_tool_is_used_and_its_answer_spoken_of(ring: Rings) -> None:
    look = Answer(calls=(("order_status", ORDER),))
    with far_end(look, Answer("It comes on Thursday.", 1.0, 700.0), heard=("where is order 4172",)) as far:
        line = ring(far)
        line.until(lambda e: isinstance(e, WordsSpoken))
        line.say(saying("where is my order number 4172"))
        wanted = line.until(lambda e: isinstance(e, ToolWanted))
        assert isinstance(wanted, ToolWanted) and (wanted.tool, wanted.arguments) == ("order_status", ORDER)
        line.model.deliver(0, ToolResult(wanted.id, True, {"status": "on-its-way", "day": "2026-05-07"}))
        line.until(lambda e: isinstance(e, WordsSpoken) and "Thursday" in e.text)
        (reached,) = line.of(OutcomeReached)
        assert isinstance(reached, OutcomeReached) and reached.outcome == "status-told"
        assert reached.evidence["status"] == "on-its-way"
        (decided,) = [e for e in line.of(Decided) if isinstance(e, Decided) and e.kind == "skill"]
        assert (decided.skill, decided.words) == ("order-status", "where is order 4172")
        (output,) = far.items("function_call_output")
        assert "on-its-way" in output["output"] and not far.refused


def test_an_outcome_without_the_word_for_it_in_the_tools_answer_is_not_reached(ring: Rings) -> None:
    with far_end(Answer(calls=(("order_status", ORDER),)), Answer("I can't find it.")) as far:
        line = ring(far)
        line.until(lambda e: isinstance(e, WordsSpoken))
        line.say(saying("where is my order number 4172"))
        wanted = line.until(lambda e: isinstance(e, ToolWanted))
        assert isinstance(wanted, ToolWanted)
        line.model.deliver(0, ToolResult(wanted.id, True, {"status": "not-found"}))
        line.until(lambda e: isinstance(e, WordsSpoken) and "find" in e.text)
        assert not line.of(OutcomeReached)


def test_a_tool_that_fails_and_one_that_is_not_there_are_told_to_the_far_end(ring: Rings) -> None:
    calls: tuple[tuple[str, object], ...] = (("order_status", ORDER), ("teleport", {}), ("cancel_order", "[no object"))
    with far_end(Answer(calls=calls), Answer("Sorry, not now.")) as far:
        line = ring(far)
        line.until(lambda e: isinstance(e, WordsSpoken))
        line.say(saying("where is my order"))
        wanted = line.until(lambda e: isinstance(e, ToolWanted))
        assert isinstance(wanted, ToolWanted)
        line.model.deliver(0, ToolResult(wanted.id, False, error="order_status did not answer within 3 s"))
        line.until(lambda e: isinstance(e, WordsSpoken) and "Sorry" in e.text)
        outputs = " ".join(item["output"] for item in far.items("function_call_output"))
        assert "within 3 s" in outputs and "no function teleport" in outputs and "not a JSON object" in outputs
        assert len(line.of(ToolWanted)) == 1 and not far.refused


@pytest.mark.parametrize("pace_s", [0.0, 0.03], ids=["all at once", "as it is heard"])
def test_a_caller_who_cuts_in_is_given_the_floor_and_the_far_end_learns_what_was_heard(
    ring: Rings, pace_s: float
) -> None:
    story = Answer("one two three four five six seven eight nine ten", 5.0, 700.0, pace_s=pace_s)
    with far_end(story, Answer("Yes?", 0.5, 900.0), heard=("tell me", "stop please")) as far:
        line = ring(far)
        line.until(lambda e: isinstance(e, WordsSpoken))
        line.say(saying("tell me about it"))
        line.until(lambda e: isinstance(e, SpeechStarted))
        line.run(1.5)
        cut_in = line.now
        line.say(saying("stop please I have another question"))
        cut = line.until(lambda e: isinstance(e, Interrupted))
        assert isinstance(cut, Interrupted)
        line.until(lambda e: isinstance(e, WordsSpoken) and e.text == "Yes?")
        # The voice begins some 50 ms into the sentence; a hop and a packet later it is quiet.
        assert burst(700.0, line.agent()[cut_in + RATE_HZ * 3 // 10 :]) < 0.02
        heard_s = burst(700.0, line.agent())
        (truncated,) = far.of("conversation.item.truncate")
        assert abs(truncated["audio_end_ms"] / 1000 - heard_s) < 0.12
        assert 2 <= len(cut.heard.split()) <= 7 and cut.heard.startswith("one two")
        assert f"{cut.heard} {cut.unsaid}".strip().startswith("one two three four")
        spoken = [e.text for e in line.of(WordsSpoken) if isinstance(e, WordsSpoken)]
        assert spoken[1] == cut.heard
        assert not far.refused


def test_a_noise_that_the_far_end_takes_for_no_turn_does_not_end_what_the_agent_says(ring: Rings) -> None:
    story = Answer("one two three four five six", 3.0, 700.0)
    with far_end(story, heard=("tell me",)) as far:
        line = ring(far)
        line.until(lambda e: isinstance(e, WordsSpoken))
        line.say(saying("tell me about it"))
        line.until(lambda e: isinstance(e, SpeechStarted))
        far.no_vad = True  # from here on the far end hears nothing in it
        line.run(1.0)
        line.say(saying("yes"))
        line.until(lambda e: isinstance(e, WordsSpoken) and e.text == story.words)
        sounded = burst(700.0, line.agent())
        assert abs(sounded - 3.0) < 0.15, "nothing of it is lost, nothing is said twice"
        assert not line.of(Interrupted) and not far.of("conversation.item.truncate")
        assert [e for e in line.of(TurnEnded) if isinstance(e, TurnEnded)][-1].why == "the far end heard no turn"


def test_handing_over_says_so_first_and_then_ends_the_conversation(ring: Rings) -> None:
    with far_end(Answer(calls=(("hand_over", {"reason": "wants a person"}),)), heard=("a person please",)) as far:
        line = ring(far)
        line.until(lambda e: isinstance(e, WordsSpoken))
        line.say(saying("a person please"))
        done = line.until(lambda e: isinstance(e, Done))
        assert isinstance(done, Done) and (done.exit, done.reason) == ("human", "wants a person")
        last = [e for e in line.of(WordsSpoken) if isinstance(e, WordsSpoken)][-1]
        assert last.text == "I'll put you through to a colleague. One moment, please."
        assert burst(300.0, line.agent()) > 1.5, "greeting and farewell were heard"


def test_a_farewell_said_with_the_call_is_not_said_again(ring: Rings) -> None:
    goodbye = Answer("Goodbye then!", 1.0, 700.0, calls=(("finish", {"reason": "done"}),))
    with far_end(goodbye, heard=("that is all",)) as far:
        line = ring(far)
        line.until(lambda e: isinstance(e, WordsSpoken))
        line.say(saying("no that is all goodbye"))
        done = line.until(lambda e: isinstance(e, Done))
        assert isinstance(done, Done) and done.exit == "resolved"
        assert [e.text for e in line.of(WordsSpoken) if isinstance(e, WordsSpoken)] == [GREETING, "Goodbye then!"]
        assert abs(burst(700.0, line.agent()) - 1.0) < 0.1


def test_an_outcome_that_only_the_far_end_can_tell_is_put_on_record(ring: Rings) -> None:
    told = Answer("Nine to six.", 0.8, calls=(("outcome", {"name": "hours-told", "evidence": "told the hours"}),))
    with far_end(told, heard=("when are you open",)) as far:
        line = ring(far)
        line.until(lambda e: isinstance(e, WordsSpoken))
        line.say(saying("when are you open"))
        reached = line.until(lambda e: isinstance(e, OutcomeReached))
        assert isinstance(reached, OutcomeReached) and reached.outcome == "hours-told"
        assert reached.evidence == {"claimed": "told the hours", "heard": "when are you open"}
        line.until(lambda e: isinstance(e, WordsSpoken) and "Nine" in e.text)
        line.run(0.5)
        assert len(far.of("response.create")) == 1, "the greeting; nothing more is to be said about an outcome"


def test_pressed_keys_reach_the_far_end_as_words(ring: Rings) -> None:
    with far_end(Answer("Thank you.", 0.5)) as far:
        line = ring(far)
        line.until(lambda e: isinstance(e, SpeechStarted))
        line.run(0.4)
        for key in "4172#":
            line.model.deliver(0, Keys(key))
        line.until(lambda e: isinstance(e, WordsSpoken) and e.text == "Thank you.")
        assert any("4172" in item["content"][0]["text"] for item in far.items("message"))
        assert far.of("input_audio_buffer.clear") and not far.refused


def test_a_caller_who_says_nothing_is_asked_twice_and_then_told_goodbye(ring: Rings) -> None:
    with far_end(Answer("Are you there?", 0.4), Answer("Hello?", 0.4)) as far:
        line = ring(far, ask_ms=1500)
        done = line.until(lambda e: isinstance(e, Done), 25.0)
        assert isinstance(done, Done) and (done.exit, done.reason) == ("resolved", "the caller said nothing any more")
        spoken = [e.text for e in line.of(WordsSpoken) if isinstance(e, WordsSpoken)]
        assert spoken == [GREETING, "Are you there?", "Hello?", "Thank you for calling. Goodbye!"]


@pytest.mark.parametrize(
    "options",
    [
        {"format": "audio/pcm"},
        {"dialect": "beta"},
        {"dialect": "beta", "format": "audio/pcm", "turns": "server_vad"},
        {"turns": "local"},
    ],
    ids=str,
)
def test_every_dialect_and_format_and_way_of_taking_turns_works(ring: Rings, options: dict[str, str]) -> None:
    look = Answer(calls=(("order_status", ORDER),))
    story = Answer("It comes on Thursday with a van, in a box.", 4.0, 700.0)
    dialect = options.get("dialect", "ga")
    with far_end(look, story, Answer("Bye."), heard=("where is it", "thanks"), dialect=dialect) as far:
        line = ring(far, **options)
        line.until(lambda e: isinstance(e, WordsSpoken))
        line.say(saying("where is my order number 4172"))
        wanted = line.until(lambda e: isinstance(e, ToolWanted))
        assert isinstance(wanted, ToolWanted)
        line.model.deliver(0, ToolResult(wanted.id, True, {"status": "packing", "day": "2026-05-07"}))
        line.until(lambda e: isinstance(e, SpeechStarted))
        line.run(1.0)
        line.say(saying("thanks that is enough for me"))
        line.until(lambda e: isinstance(e, Interrupted))
        line.until(lambda e: isinstance(e, WordsSpoken) and e.text == "Bye.")
        finals = [e.text for e in line.of(WordsHeard) if isinstance(e, WordsHeard) and e.final]
        assert finals == ["where is it", "thanks"] and not far.refused, far.refused
        rate = 24_000 if options.get("format") == "audio/pcm" else 8_000
        heard_s = len(far.sound[0]) / rate
        assert abs(heard_s - line.callers[0].sent / RATE_HZ) < 0.6, "all that the caller said has arrived"


def test_the_callers_sound_arrives_unbroken(ring: Rings) -> None:
    with far_end() as far:
        line = ring(far, format="audio/pcm")
        line.until(lambda e: isinstance(e, WordsSpoken))
        seconds = np.arange(2 * RATE_HZ) / RATE_HZ
        line.say((8000 * np.sin(2 * np.pi * 1000 * seconds)).astype(np.int16))
        line.run(3.0)
        sound = far.sound[0].astype(np.float64)
        loud = np.flatnonzero(np.abs(sound) > 4000)
        tone = sound[loud[0] + 240 : loud[-1] - 240]
        # A seam between two pieces would show as a sample that does not follow from the two before it.
        step = 2 * np.cos(2 * np.pi * 1000 / 24_000)
        assert np.abs(tone[2:] - step * tone[1:-1] + tone[:-2]).max() < 120
        assert abs(len(tone) / 24_000 - 2.0) < 0.1


def test_two_callers_at_once_are_kept_apart(ring: Rings) -> None:
    with far_end(Answer("First.", 1.0, 700.0), Answer("Second.", 1.0, 900.0), heard=("one", "two")) as far:
        line = ring(far, slots=2)
        line.until(lambda e: isinstance(e, WordsSpoken) and e.slot == 0)
        line.run(0.5)
        line.say(saying("when are you open"), slot=0)
        first = line.until(lambda e: isinstance(e, WordsSpoken) and e.text == "First.")
        line.say(saying("when are you open"), slot=1)
        second = line.until(lambda e: isinstance(e, WordsSpoken) and e.text == "Second.")
        assert (first.slot, second.slot) == (0, 1)
        assert burst(700.0, line.agent(1)) == 0 and burst(900.0, line.agent(0)) == 0
        line.model.release(0)
        line.run(0.3)
        assert not [e for e in line.events[-3:] if e.slot == 0 and isinstance(e, Done)]


def memo_of(events: list[Event]) -> object:
    return [e for e in events if isinstance(e, Memo)][-1].memo


def test_a_memo_tells_a_fresh_model_what_was_said(ring: Rings) -> None:
    with far_end(Answer("Nine to six.", 0.5), heard=("when are you open",)) as far:
        line = ring(far)
        line.until(lambda e: isinstance(e, WordsSpoken))
        line.say(saying("when are you open"))
        line.until(lambda e: isinstance(e, WordsSpoken))
        memo = memo_of(line.events)
    with far_end(Answer("Sorry. Anything else?", 0.5)) as far:
        line = ring(far, memo=memo)
        line.until(lambda e: isinstance(e, WordsSpoken) and "Sorry" in e.text)
        retold = [(item["role"], item["content"][0]["text"]) for item in far.items("message")]
        assert retold == [("assistant", GREETING), ("user", "when are you open"), ("assistant", "Nine to six.")]
        assert not far.refused


def test_a_tool_that_was_running_when_the_model_died_is_wanted_again_under_its_id(ring: Rings) -> None:
    with far_end(Answer(calls=(("order_status", ORDER),))) as far:
        line = ring(far)
        line.until(lambda e: isinstance(e, WordsSpoken))
        line.say(saying("where is my order"))
        wanted = line.until(lambda e: isinstance(e, ToolWanted))
        line.run(0.4)
        memo = memo_of(line.events)
    with far_end(Answer("It is packed.", 0.5)) as far:
        line = ring(far, memo=memo)
        again = line.until(lambda e: isinstance(e, ToolWanted))
        assert again == wanted and isinstance(again, ToolWanted)
        line.model.deliver(0, ToolResult(again.id, True, {"status": "packing"}))
        line.until(lambda e: isinstance(e, WordsSpoken) and "packed" in e.text)
        assert not far.refused


def test_a_caller_who_speaks_over_the_farewell_still_gets_the_person(ring: Rings) -> None:
    gives = Answer("I'll put you through to a colleague", 4.0, 700.0, calls=(("hand_over", {"reason": "asked"}),))
    with far_end(gives) as far:
        line = ring(far)
        line.until(lambda e: isinstance(e, WordsSpoken))
        line.say(saying("a person please"))
        line.until(lambda e: isinstance(e, SpeechStarted))
        line.run(0.5)
        line.say(saying("okay thank you very much"))
        done = line.until(lambda e: isinstance(e, Done))
        assert isinstance(done, Done) and (done.exit, done.reason) == ("human", "asked")
        assert burst(700.0, line.agent()) < 2.0, "and does not have to hear it to its end"


def test_a_caller_who_speaks_over_the_goodbye_is_not_done_after_all(ring: Rings) -> None:
    ends = Answer("Goodbye and thank you for calling", 4.0, 700.0, calls=(("finish", {"reason": "done"}),))
    with far_end(ends, Answer("Nine to six.", 0.6, 900.0)) as far:
        line = ring(far)
        line.until(lambda e: isinstance(e, WordsSpoken))
        line.say(saying("that is all"))
        line.until(lambda e: isinstance(e, SpeechStarted))
        line.run(0.5)
        line.say(saying("wait when are you open"))
        line.until(lambda e: isinstance(e, WordsSpoken) and e.text == "Nine to six.")
        line.run(1.0)
        assert not line.of(Done)


def test_a_caller_who_speaks_before_the_greeting_is_listened_to(ring: Rings) -> None:
    with far_end(Answer("Nine to six.", 0.6, 900.0), heard=("hello when are you open",)) as far:
        line = ring(far)
        line.say(saying("hello when are you open"))
        line.until(lambda e: isinstance(e, WordsSpoken) and e.text == "Nine to six.")
        assert burst(300.0, line.agent()) < 0.9 and not far.refused

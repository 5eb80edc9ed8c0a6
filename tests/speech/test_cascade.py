"""Conversations with the cascade, in real time: what a caller hears, and what the record says of it.

The mind is the test's own, the other side of the contract; ears and voice are the real ones.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from offhook import weights
from offhook.speech import contract
from offhook.speech.cascade import CascadeModel, CascadeOptions
from offhook.speech.contract import (
    RATE_HZ,
    Act,
    Decided,
    Done,
    Event,
    Interrupted,
    Json,
    Keys,
    Memo,
    OutcomeReached,
    Pcm,
    Persona,
    Reading,
    Say,
    SpeechStarted,
    ToolResult,
    ToolWanted,
    TurnEnded,
    TurnStarted,
    WordsHeard,
    WordsSpoken,
)
from tests.speech.line import Line
from tests.speech.voices import our_voice, over_g711, spoken

GREETING = "Order desk, how can I help?"
OPTIONS = {"turns": {"ask_ms": 2_000, "longest_turn_ms": 6_000}}


class ScriptedMind:
    """Says what the script has for the words it hears; keeps what it was told."""

    made: list[ScriptedMind]

    def __init__(self, persona: Persona) -> None:
        self.told: list[tuple[str, ...]] = []
        self.greeting = str(persona.document.get("greeting", GREETING))
        ScriptedMind.made.append(self)

    def greet(self) -> Iterable[Act]:
        yield Say(self.greeting)

    def read(self, words: str) -> Reading:
        digits = sum(letter.isdigit() for letter in words)
        return Reading(0.0 if 0 < digits < 4 or words.rstrip(".").endswith("number is") else 1.0, None, {})

    def hear(self, words: str) -> Iterable[Act]:
        self.told.append(("hear", words))
        said = words.lower()
        yield contract.Decide("skill", "test", {"words": words}, {"similarity": 0.9})
        if "order" in said:
            yield contract.UseTool("t1", "lookup", {"order": "4172"})
        elif "bye" in said:
            yield contract.Achieve("goodbye", {"words": words})
            yield Say("Goodbye, and thank you for calling.")
            yield contract.Finish("resolved", "the caller said goodbye")
        elif "crash" in said or "broken" in said:
            raise RuntimeError("the script is torn")
        elif "question" in said:
            yield Say("Shall I send it to your home address or rather to the office?")
        else:
            yield Say("I see. Let me tell you a rather long story about parcels in the rain.")

    def keys(self, digits: str) -> Iterable[Act]:
        self.told.append(("keys", digits))
        yield Say("Thank you.")

    def tool(self, result: ToolResult) -> Iterable[Act]:
        self.told.append(("tool", result.id, str(result.value)))
        yield Say("It is on its way.")

    def silence(self, times: int) -> Iterable[Act]:
        self.told.append(("silence", str(times)))
        yield Say("Are you there?")

    def interrupted(self, heard: str, unsaid: str) -> None:
        self.told.append(("interrupted", heard, unsaid))

    def vocabulary(self) -> Sequence[str]:
        return ()

    def phrases(self) -> Sequence[str]:
        return ("Are you there?",)

    def memo(self) -> Mapping[str, Json]:
        return {"told": len(self.told)}


def scripted(persona: Persona) -> ScriptedMind:
    return ScriptedMind(persona)


def torn(persona: Persona) -> ScriptedMind:
    raise RuntimeError("this mind cannot be made")


def persona(**changes: str) -> Persona:
    chosen = {"voice": "joe", "mind": f"{__name__}:scripted", "language": "en-US"} | changes
    document: dict[str, Json] = {"greeting": changes["greeting"]} if "greeting" in changes else {}
    return Persona("test@1", chosen["language"], chosen["voice"], chosen["mind"], document)


@pytest.fixture(scope="module")
def model() -> Iterator[CascadeModel]:
    assert __name__ in sys.modules
    our_voice().prepare(GREETING)
    try:
        loaded = CascadeModel.load(slots=2, options=OPTIONS)
    except weights.WeightsMissing as missing:
        pytest.skip(f"skipped: {missing}")
    yield loaded
    for stage in ("voice activity", "recognise", "read", "think", "speak"):
        if times := loaded.times.of(stage):
            print(f"{stage}: p50 {np.percentile(times, 50):.1f} ms, p95 {np.percentile(times, 95):.1f} ms")
    loaded.close()


@pytest.fixture
def line(model: CascadeModel) -> Iterator[Line]:
    ScriptedMind.made = []
    yield Line(model)
    for slot in range(model.slots):
        model.release(slot)


def answered(line: Line, slot: int = 0) -> ScriptedMind:
    """A conversation in `slot` whose greeting is over; its mind."""
    line.model.admit(slot, persona())
    line.until(lambda event: isinstance(event, WordsSpoken) and event.slot == slot)
    return ScriptedMind.made[-1]


def in_a_sentence(line: Line) -> ScriptedMind:
    """A conversation in which the agent is in the middle of a long sentence."""
    mind = answered(line)
    line.say(phone("Tell me a story."))
    line.until(lambda event: isinstance(event, SpeechStarted))
    line.run(1.3)
    return mind


def phone(words: str, by: str = "joe") -> Pcm:
    return over_g711(spoken(words, by))


def first_sound(audio: Pcm, after: int) -> int:
    loud = np.flatnonzero(np.abs(audio[after:].astype(np.int32)) > 300)
    assert len(loud), "nothing was heard"
    return int(loud[0])


def is_final(event: Event) -> bool:
    return isinstance(event, WordsHeard) and event.final


def test_the_greeting_is_heard_at_once_and_whole(line: Line) -> None:
    line.model.admit(0, persona())
    began = line.now
    started = line.until(lambda event: isinstance(event, SpeechStarted))
    spoken_ = line.until(lambda event: isinstance(event, WordsSpoken))
    assert isinstance(started, SpeechStarted) and (started.at, started.text) == (0, GREETING)
    assert isinstance(spoken_, WordsSpoken) and spoken_.text == GREETING
    heard = line.agent()
    assert first_sound(heard, 0) - began < RATE_HZ * 0.6
    greeting = our_voice().render(GREETING)
    at = int(np.flatnonzero(heard)[0] - np.flatnonzero(greeting)[0])
    assert np.array_equal(heard[at : at + len(greeting)], greeting)


def test_a_turn_is_heard_ended_decided_and_answered_after_its_tool(line: Line) -> None:
    mind = answered(line)
    line.run(0.3)
    line.say(phone("Where is my order?"))
    wanted = line.until(lambda event: isinstance(event, ToolWanted))
    assert isinstance(wanted, ToolWanted) and wanted.tool == "lookup"
    (began,) = line.of(TurnStarted)
    (words,) = [event for event in line.of(WordsHeard) if is_final(event)]
    (ended,) = line.of(TurnEnded)
    assert isinstance(began, TurnStarted) and isinstance(words, WordsHeard) and isinstance(ended, TurnEnded)
    assert "order" in words.text.lower()
    # Positions are of the caller's stream: the words end where the caller stopped, to a frame or three.
    spoke_until = line.callers[0].spoke_until
    assert abs(ended.at - spoke_until) < RATE_HZ * 0.15 and began.at < words.end <= ended.at < ended.decided_at
    line.model.deliver(0, ToolResult(wanted.id, True, "shipped"))
    line.until(lambda event: isinstance(event, SpeechStarted))
    assert mind.told[-1] == ("tool", "t1", "shipped")
    assert any(isinstance(event, Decided) and event.words == words.text for event in line.events)
    assert isinstance(line.until(lambda event: isinstance(event, WordsSpoken)), WordsSpoken)


@pytest.mark.figures
def test_the_answer_comes_soon_after_the_last_word(line: Line) -> None:
    answered(line)
    times = []
    for words in ("I have a question.", "One more question, please."):
        line.run(0.3)
        line.say(phone(words))
        line.until(is_final)
        stopped = line.callers[0].spoke_until
        line.until(lambda event: isinstance(event, SpeechStarted))
        line.run(0.5)
        times.append(first_sound(line.agent(), stopped) / RATE_HZ * 1000)
        line.until(lambda event: isinstance(event, WordsSpoken), 15)
    print(f"response times {', '.join(f'{time:.0f}' for time in times)} ms")
    # On an idle machine about 450; what other processes take from it here is not this test's subject.
    assert min(times) < 2_000


@pytest.mark.figures
def test_the_caller_cuts_the_agent_off_within_200_ms_and_the_mind_knows_how_far_it_got(line: Line) -> None:
    mind = in_a_sentence(line)
    began = line.now
    words = phone("No, wait. I want to talk about the weather.")
    line.say(words)
    speech = began + first_sound(words, 0)
    line.until(lambda event: isinstance(event, TurnStarted))
    line.run(0.5)
    after = np.flatnonzero(line.agent()[speech : speech + RATE_HZ // 2])
    silent_ms = (after[-1] + 1) / RATE_HZ * 1000
    print(f"silent {silent_ms:.0f} ms after the caller began")
    assert silent_ms <= 200
    interrupted = line.until(lambda event: isinstance(event, Interrupted))
    assert isinstance(interrupted, Interrupted)
    assert interrupted.heard.startswith("I see. Let") and interrupted.unsaid.endswith("in the rain.")
    line.until(lambda event: isinstance(event, SpeechStarted))
    assert ("interrupted", interrupted.heard, interrupted.unsaid) in mind.told
    told = [event for event in line.of(WordsSpoken) if isinstance(event, WordsSpoken)]
    assert told[-1].text == interrupted.heard and told[-1].utterance == interrupted.utterance


def test_a_listening_sound_does_not_stop_the_story(line: Line) -> None:
    mind = in_a_sentence(line)
    asked = list(mind.told)
    line.say(phone("Okay."))
    ended = line.until(lambda event: isinstance(event, TurnEnded))
    assert isinstance(ended, TurnEnded) and ended.why == "backchannel"
    finished = line.until(lambda event: isinstance(event, WordsSpoken), 15)
    assert isinstance(finished, WordsSpoken) and finished.text.endswith("in the rain.")
    assert mind.told == asked and not line.of(Interrupted)


def test_a_noise_without_words_does_not_stop_it_either(line: Line) -> None:
    mind = in_a_sentence(line)
    asked = list(mind.told)
    at = np.arange(RATE_HZ // 2) / RATE_HZ
    hum = 0.2 * np.sin(2 * np.pi * 140 * at) * np.sin(2 * np.pi * 4 * at) ** 2
    line.say((hum * 32767).astype(np.int16))
    finished = line.until(lambda event: isinstance(event, WordsSpoken), 15)
    assert isinstance(finished, WordsSpoken) and finished.text.endswith("in the rain.")
    assert mind.told == asked


def test_yes_over_a_question_is_an_answer(line: Line) -> None:
    mind = answered(line)
    line.say(phone("I have a question."))
    line.until(lambda event: isinstance(event, SpeechStarted))
    line.run(1.5)
    line.say(phone("Yes."))
    line.until(is_final)
    line.until(lambda event: isinstance(event, SpeechStarted))
    assert mind.told[-1][0] == "hear" and mind.told[-2][0] == "interrupted"


def test_a_number_broken_off_is_waited_for(line: Line) -> None:
    mind = answered(line)
    pause = np.zeros(RATE_HZ * 8 // 10, np.int16)
    line.say(np.concatenate([phone("My number is four, one."), pause, phone("Seven, two.")]))
    line.until(is_final, 15)
    line.until(lambda event: isinstance(event, SpeechStarted))
    heard = [told for told in mind.told if told[0] == "hear"]
    assert len(heard) == 1 and len([letter for letter in heard[0][1] if letter.isdigit()]) >= 3


def test_lost_packets_do_not_end_a_turn(line: Line) -> None:
    answered(line)
    line.say(phone("Tell me a story."))
    line.until(lambda event: isinstance(event, WordsHeard) or isinstance(event, TurnStarted))
    line.run(0.3)
    line.callers[0].lost = True
    line.run(1.5)
    assert not line.of(TurnEnded)
    line.callers[0].lost = False
    line.until(lambda event: isinstance(event, TurnEnded))


@pytest.mark.parametrize("voice", ["flite", "espeak-ng"])
def test_a_voice_from_elsewhere_is_served_too(line: Line, voice: str) -> None:
    mind = answered(line)
    line.say(phone("I ordered two weeks ago.", voice))
    line.until(lambda event: isinstance(event, Decided))
    assert mind.told[0][0] == "hear" and "ordered" in mind.told[0][1].lower()


def test_a_caller_who_never_stops_is_answered_in_the_end(line: Line) -> None:
    answered(line)
    line.say(np.concatenate([phone("I want to tell you about the weather and the rain and the sun,")] * 4))
    ended = line.until(lambda event: isinstance(event, TurnEnded), 15)
    assert isinstance(ended, TurnEnded) and ended.why == "a turn of 6000 ms"


def test_a_silent_caller_is_asked_again_and_again(line: Line) -> None:
    mind = answered(line)
    for _ in range(2):
        line.until(lambda event: isinstance(event, WordsSpoken) and event.text == "Are you there?")
    assert mind.told == [("silence", "1"), ("silence", "2")]
    line.say(phone("Tell me a story."))
    line.until(is_final)
    line.until(lambda event: isinstance(event, WordsSpoken) and event.text == "Are you there?", 20)
    assert mind.told[-1] == ("silence", "1")


def test_keys_are_collected_until_the_hash_or_a_pause(line: Line) -> None:
    mind = answered(line)
    for digit in "4172#":
        line.model.deliver(0, Keys(digit))
        line.run(0.1)
    line.until(lambda event: isinstance(event, WordsSpoken))
    line.model.deliver(0, Keys("12"))
    line.until(lambda event: isinstance(event, WordsSpoken))
    assert mind.told == [("keys", "4172"), ("keys", "12")]


def test_a_key_cuts_the_agent_off(line: Line) -> None:
    mind = in_a_sentence(line)
    line.model.deliver(0, Keys("0#"))
    line.until(lambda event: isinstance(event, Interrupted))
    line.until(lambda event: isinstance(event, WordsSpoken) and event.text == "Thank you.")
    assert mind.told[-2][0] == "interrupted" and mind.told[-1] == ("keys", "0")


def test_done_comes_after_the_last_words_were_heard(line: Line) -> None:
    answered(line)
    line.say(phone("Thank you, goodbye."))
    done = line.until(lambda event: isinstance(event, Done))
    assert isinstance(done, Done) and done.exit == "resolved"
    kinds = [type(event) for event in line.events]
    assert kinds.index(OutcomeReached) < kinds.index(Done)
    assert isinstance(line.events[-2], WordsSpoken)
    assert line.events[-2].end <= line.callers[0].played
    line.run(0.5)
    assert line.events[-1] is done


def test_every_turn_leaves_a_memo_to_go_on_from(line: Line) -> None:
    answered(line)
    line.say(phone("Tell me a story."))
    line.until(lambda event: isinstance(event, Memo) and event.memo == {"told": 1})


def test_the_next_caller_in_a_slot_hears_nothing_of_the_last(line: Line) -> None:
    answered(line)
    line.say(phone("Tell me a story."))
    line.until(is_final)
    # The answer is being thought of and spoken at this very moment.
    line.model.release(0)
    line.fresh(0)
    seen = len(line.events)
    line.model.admit(0, persona(greeting="Good evening."))
    line.run(3.0)
    started = [event for event in line.events[seen:] if isinstance(event, SpeechStarted)]
    assert started and all(event.text in ("Good evening.", "Are you there?") for event in started)
    assert not [event for event in line.events[seen:] if isinstance(event, Decided)]
    line.model.release(0)
    assert not line.model.step(_empty(line.model)).samples.any()


def test_two_callers_are_served_at_once_and_not_mixed_up(line: Line) -> None:
    line.model.admit(0, persona())
    line.model.admit(1, persona(greeting="Good evening."))
    for slot in (0, 1):
        line.until(lambda event, slot=slot: isinstance(event, SpeechStarted) and event.slot == slot)  # type: ignore[misc]
    line.run(2.5)
    line.say(phone("Where is my order?"), 0)
    line.say(phone("I have a question."), 1)
    line.until(lambda event: isinstance(event, ToolWanted))
    line.until(lambda event: isinstance(event, WordsSpoken) and "office" in event.text, 15)
    assert {event.slot for event in line.events if isinstance(event, ToolWanted)} == {0}


def test_a_mind_that_fails_ends_its_call_and_no_other(line: Line) -> None:
    answered(line, 0)
    answered(line, 1)
    line.say(phone("Something is broken."), 0)
    done = line.until(lambda event: isinstance(event, Done))
    assert isinstance(done, Done) and (done.slot, done.exit) == (0, "failed")
    assert "the mind of test@1 failed: RuntimeError: the script is torn" in done.reason
    line.say(phone("Tell me a story."), 1)
    line.until(lambda event: isinstance(event, SpeechStarted) and event.slot == 1)


def test_no_step_waits_for_the_recogniser(line: Line, model: CascadeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    called, may = threading.Event(), threading.Event()
    recognise = model._recogniser.recognise

    def slow(*arguments: Any, **named: Any) -> Any:
        called.set()
        may.wait(30)
        return recognise(*arguments, **named)

    answered(line)
    monkeypatch.setattr(model._recogniser, "recognise", slow)
    line.say(phone("Where is my order?"))
    line.run(3.0)
    asked, longest_ms = called.is_set(), line.longest_step_ms
    may.set()
    line.until(is_final)
    assert asked and longest_ms < 5_000


def test_a_recogniser_that_fails_while_the_agent_holds_its_tongue_ends_the_call(
    line: Line, model: CascadeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deaf(*_: object, **__: object) -> None:
        raise RuntimeError("out of memory")

    in_a_sentence(line)
    monkeypatch.setattr(model._recogniser, "recognise", deaf)
    line.say(phone("No, wait, I want to talk about the weather."))
    done = line.until(lambda event: isinstance(event, Done))
    assert isinstance(done, Done) and done.exit == "failed" and "recognition failed" in done.reason
    started = [event.utterance for event in line.events if isinstance(event, SpeechStarted)]
    assert started == [event.utterance for event in line.events if isinstance(event, WordsSpoken)]


def test_a_mind_that_cannot_be_made_ends_the_call(line: Line) -> None:
    line.model.admit(0, persona(mind=f"{__name__}:torn"))
    done = line.until(lambda event: isinstance(event, Done))
    assert isinstance(done, Done) and done.exit == "failed" and "cannot be made" in done.reason


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"voice": "carmen"}, "wants the voice 'carmen'; loaded are joe"),
        ({"mind": "offhook.nowhere:mind"}, "does not load"),
        ({"mind": f"{__name__}:nobody"}, "does not load"),
        ({"mind": ""}, "does not load"),
        ({"mind": f"{__name__}:GREETING"}, "is not a factory"),
        ({"language": "tlh"}, "does not know the language"),
    ],
)
def test_a_persona_that_cannot_be_served_is_refused_with_a_sentence(
    model: CascadeModel, wrong: dict[str, str], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        model.admit(0, persona(**wrong))
    model.release(0)


def test_options_may_be_nested_or_flat() -> None:
    nested = CascadeOptions.read({"turns": {"ask_ms": 4_000}, "voices": ["joe", "amy"], "calls": 3})
    assert nested == CascadeOptions.read({"turns.ask_ms": 4_000, "voices": "joe, amy", "calls": 3})
    assert nested.turns.ask_ms == 4_000 and nested.voices == ("joe", "amy")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"voice_threads": "many"}, "option voice_threads is 'many'"),
        ({"color": 1}, "no option color"),
        ({"turns": {"wait": 1}}, "no option turns.wait"),
        ({"turns": 3}, "turns must be a table"),
        ({"turns.wait": 1}, "no option turns.wait"),
        ({"voices": 7}, "voices must be a list"),
        ({"turns": {"ask_ms": -1}}, "option turns.ask_ms is -1"),
        ({"turns": {"speech_above": float("nan")}}, "option turns.speech_above is nan"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Json], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        CascadeOptions.read(options)


def _empty(model: contract.SpeechModel) -> contract.Hop:
    n = model.slots
    audio = np.zeros((n, contract.HOP_SAMPLES), np.int16)
    return contract.Hop(audio, np.zeros(n, np.bool_), np.zeros(n, np.int32), np.zeros(n, np.int64))

"""Conversations with the duplex model: whose turn it is, what is made ready early, and what the record says of it.

The voice, the voice activity and the minds' threads are the real ones; what a caller means is told by a stand-in, so
that turn taking is tested and not a model's hearing. The line runs four times faster than life.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pytest

from offhook import weights
from offhook.agents.embedding import EmbeddingUnavailable, load_embedding
from offhook.agents.mind import skill_mind
from offhook.agents.schema import load_agent
from offhook.speech import contract
from offhook.speech.contract import (
    HOP_SAMPLES,
    RATE_HZ,
    Act,
    Decided,
    Done,
    Event,
    Expected,
    Interrupted,
    Json,
    Keys,
    Memo,
    Pcm,
    Persona,
    Reading,
    Say,
    SpeechStarted,
    ToolResult,
    ToolWanted,
    TurnEnded,
    TurnStarted,
    Understood,
    Vector,
    WordsHeard,
    WordsSpoken,
)
from offhook.speech.duplex.model import DuplexModel, DuplexOptions
from offhook.speech.duplex.turns import Pause, Verdict, judge
from offhook.speech.options import read_options
from offhook.speech.voiceactivity import VoiceActivity
from offhook.speech.worker import model_class
from tests.speech.hearing import Meant, StandIn
from tests.speech.line import Line
from tests.speech.voices import our_voice, over_g711, spoken

GREETING = "Order desk, how can I help?"
FAREWELL = "Goodbye, and thank you for calling."
OFFER = "Shall I send it to your home address or rather to the office?"
STORY = "I see. Let me tell you a rather long story about parcels in the rain."
SENTENCES = (
    *(GREETING, "Good evening.", FAREWELL, OFFER, STORY, "Are you there?", "It is on its way.", "Thank you."),
    *("Offhook Supplies, hello! How can I help you?", "What's your order number?"),
)
E = TypeVar("E", bound=Event)
PROMPT: dict[str, Json] = {
    "end.soonest_ms": 80,
    "end.sure": 0.9,
    "end.patient_ms": 1_400,
    "end.doubtful": 0.35,
    "end.longest_ms": 1_800,
    "end.aside": 0.06,
    "end.keeps": 0.0,
    "end.complete_adds": 1.5,
    "end.incomplete_takes": 3.0,
}
"""A policy for a model as sure of itself as the scripted ears are; the one that ships is fitted to its weights."""
ORDER, STORIES, BYE, QUESTION, RIDDLE, LEAVE = range(6)
"""Directions of meanings; the mind makes nothing of a riddle, and leaves without a word."""


class ScriptedMind:
    """Says what the script has for a meaning; keeps what it was told."""

    made: list[ScriptedMind]

    def __init__(self, persona: Persona) -> None:
        self.told: list[tuple[str, ...]] = []
        self.greeting = str(persona.document.get("greeting", GREETING))
        self.said = self.greeting
        ScriptedMind.made.append(self)

    def greet(self) -> Iterable[Act]:
        yield Say(self.greeting)

    def read(self, words: str) -> Reading:
        return Reading(1.0, None, {})

    def weigh(self, heard: Understood) -> Reading:
        if int(heard.meaning.argmax()) == RIDDLE:
            return Reading(0.3, None, {})
        digits = sum(letter.isdigit() for letter in heard.words)
        return Reading(0.05 if 0 < digits < 4 else 1.0 if digits else 0.8, None, {"digits": digits})

    def foresee(self, heard: Understood) -> Sequence[str]:
        return [act.text for act in self._script(heard) if isinstance(act, Say)]

    def expected(self) -> Expected:
        return Expected(self.said)

    def understand(self, heard: Understood) -> Iterable[Act]:
        self.told.append(("understand", heard.words, str(int(heard.meaning.argmax()))))
        yield from self._script(heard)

    def _script(self, heard: Understood) -> Iterator[Act]:
        yield contract.Decide("skill", "test", {"gist": heard.words}, {"similarity": 0.9})
        direction = int(heard.meaning.argmax())
        if direction == ORDER:
            yield contract.UseTool("t1", "lookup", {"order": heard.words})
        elif direction == BYE:
            yield Say(FAREWELL)
            yield contract.Finish("resolved", "the caller said goodbye")
        elif direction == LEAVE:
            yield contract.Finish("human", "asked")
        elif direction == QUESTION:
            yield Say(OFFER)
        else:
            yield Say(STORY)

    def hear(self, words: str) -> Iterable[Act]:
        self.told.append(("hear", words))
        yield Say(STORY)

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
        return ("Are you there?", STORY, "It is on its way.")

    def memo(self) -> Mapping[str, Json]:
        return {"told": len(self.told)}


class MindOfWords(ScriptedMind):
    """One that knows nothing but words."""

    understand = None  # type: ignore[assignment]
    weigh = None  # type: ignore[assignment]
    foresee = None  # type: ignore[assignment]
    expected = None  # type: ignore[assignment]


class MindThatWantsWords(ScriptedMind):
    """One that asks for free text."""

    def expected(self) -> Expected:
        return Expected(self.said, "text", words=True)


class MindThatPonders(ScriptedMind):
    """One that does not answer before it may."""

    may = threading.Event()

    def understand(self, heard: Understood) -> Iterable[Act]:
        self.may.wait(10)
        yield from super().understand(heard)


class MindOfNonsense(ScriptedMind):
    """One that answers with what is no act."""

    def _script(self, heard: Understood) -> Iterator[Act]:
        yield "Hello?"  # type: ignore[misc]


def scripted(persona: Persona) -> ScriptedMind:
    return ScriptedMind(persona)


def persona(mind: str = "scripted", language: str = "en-US", greeting: str = GREETING) -> Persona:
    return Persona("test@1", language, "joe", f"{__name__}:{mind}", {"greeting": greeting})


def phone(words: str) -> Pcm:
    return over_g711(spoken(words, "joe"))


@pytest.fixture(scope="module")
def activity() -> VoiceActivity:
    try:
        return VoiceActivity.load()
    except weights.WeightsMissing as missing:
        pytest.skip(f"skipped: {missing}")


@pytest.fixture
def ears() -> StandIn:
    return StandIn()


@pytest.fixture
def model(activity: VoiceActivity, ears: StandIn) -> Iterator[DuplexModel]:
    assert __name__ in sys.modules
    voice = our_voice()
    for text in SENTENCES:  # at four times the speed of life no busy machine makes them in time
        voice.prepare(text)
    options = read_options("duplex", DuplexOptions(), PROMPT | {"turns": {"ask_ms": 3_000, "longest_turn_ms": 8_000}})
    made = DuplexModel(2, options, activity, ears, {"joe": voice})
    ScriptedMind.made = []
    yield made
    made.close()


@pytest.fixture
def line(model: DuplexModel) -> Line:
    return Line(model, speed=4.0)


def answered(line: Line, slot: int = 0, mind: str = "scripted") -> ScriptedMind:
    """A conversation in `slot` whose greeting is over; its mind."""
    line.model.admit(slot, persona(mind))
    line.until(lambda event: isinstance(event, WordsSpoken) and event.slot == slot)
    line.run(0.3)
    return ScriptedMind.made[-1]


def in_a_sentence(line: Line, ears: StandIn) -> ScriptedMind:
    """A conversation in which the agent is in the middle of a long sentence."""
    mind = answered(line)
    ears.meant[0] = Meant(words="tell me a story", direction=STORIES)
    line.say(phone("Tell me a story."))
    line.until(lambda event: isinstance(event, SpeechStarted))
    line.run(1.3)
    return mind


def ended(line: Line, limit_s: float = 12.0) -> TurnEnded:
    event = line.until(lambda event: isinstance(event, TurnEnded), limit_s)
    assert isinstance(event, TurnEnded)
    return event


def follows(line: Line, kind: type[E]) -> E:
    """The first of its kind after the turn that ended last; it may have come in the very step that ended it."""
    at = max(i for i, event in enumerate(line.events) if isinstance(event, TurnEnded))
    come = [event for event in line.events[at:] if isinstance(event, kind)]
    event = come[0] if come else line.until(lambda event: isinstance(event, kind))
    assert isinstance(event, kind)
    return event


def answer(line: Line) -> SpeechStarted:
    """What the agent says to the turn that ended last."""
    return follows(line, SpeechStarted)


def is_final(event: Event) -> bool:
    return isinstance(event, WordsHeard) and event.final


def test_a_turn_is_understood_answered_after_its_tool_and_written_down_afterwards(line: Line, ears: StandIn) -> None:
    mind = answered(line)
    ears.meant[0] = Meant("4173", "where is my order 4173", direction=ORDER)
    line.say(phone("Where is my order four one seven three?"))
    wanted = line.until(lambda event: isinstance(event, ToolWanted))
    assert isinstance(wanted, ToolWanted) and wanted.arguments == {"order": "4173"}
    (turn,) = line.of(TurnEnded)
    assert isinstance(turn, TurnEnded) and turn.why.endswith("ms of silence, ended 97%, complete 100%")
    # The voice activity's idea of where speech ended is a frame or three late.
    assert abs(turn.at - line.callers[0].spoke_until) < RATE_HZ * 0.15
    assert turn.decided_at - turn.at <= RATE_HZ * 0.5  # the mind has to have looked, and the line runs fast
    line.model.deliver(0, ToolResult(wanted.id, True, "shipped"))
    line.until(lambda event: isinstance(event, SpeechStarted))
    assert not any(is_final(event) for event in line.events), "the answer comes before the record"
    words = line.until(is_final)
    (began,) = line.of(TurnStarted)
    assert isinstance(words, WordsHeard) and isinstance(began, TurnStarted)
    assert (words.text, words.start, words.end) == ("where is my order 4173", began.at, turn.at)
    line.until(lambda event: isinstance(event, WordsSpoken))
    assert mind.told == [("understand", "4173", "0"), ("tool", "t1", "shipped")]
    (decided,) = line.of(Decided)
    assert isinstance(decided, Decided) and decided.words == "4173"
    assert decided.scores == {"ended": 0.97, "complete": 1.0, "gist": 0.9, "similarity": 0.9}


def test_the_model_is_told_what_the_agent_said_and_hears_from_before_the_turn(line: Line, ears: StandIn) -> None:
    answered(line)
    line.say(phone("Tell me a story."))
    began = line.until(lambda event: isinstance(event, TurnStarted))
    line.run(0.1)
    assert isinstance(began, TurnStarted)
    ((slot, opening),) = ears.openings
    assert (slot, opening.said, opening.speaking) == (0, GREETING, False)
    assert 4 <= opening.back <= 7
    assert began.at >= ears.rows[0].since * HOP_SAMPLES + 3 * HOP_SAMPLES - HOP_SAMPLES


def test_a_caller_who_speaks_on_makes_the_answer_void_and_is_answered_once(
    line: Line, ears: StandIn, model: DuplexModel
) -> None:
    mind = answered(line)
    # Likely enough to make ready, not to give.
    ears.meant[0] = Meant(ended=0.4, direction=STORIES)
    pause = np.zeros(RATE_HZ * 5 // 10, np.int16)
    line.say(np.concatenate([phone("Tell me a story"), pause, phone("about parcels in the rain.")]))
    line.until(lambda event: isinstance(event, TurnStarted))
    line.run(1.6)
    assert not line.of(TurnEnded)
    ears.meant[0] = Meant(direction=STORIES)
    ended(line)
    answer(line)
    assert len(mind.told) == 1 and model.guesses.made >= 2 and model.guesses.void >= 1


def test_a_turn_that_is_followed_at_once_by_another_is_on_the_record_by_its_gist(line: Line, ears: StandIn) -> None:
    MindThatPonders.may.clear()
    answered(line, mind="MindThatPonders")
    ears.meant[0] = Meant("4173", "my number is 4173", direction=STORIES)
    pause = np.zeros(RATE_HZ * 6 // 10, np.int16)
    line.say(np.concatenate([phone("My number is four, one, seven, three."), pause, phone("Did you get that?")]))
    first = ended(line)
    words = line.until(is_final)
    MindThatPonders.may.set()
    assert isinstance(words, WordsHeard) and (words.text, words.end) == ("4173", first.at)
    assert sum(isinstance(event, TurnStarted) for event in line.events) == 2


class SlowLine(Line):
    """It steps once a hop, as the scheduler does under load."""

    def _step(self) -> None:
        if self.now % HOP_SAMPLES == 0:
            super()._step()


def test_who_speaks_on_is_heard_at_once_where_there_is_one_step_a_hop(model: DuplexModel, ears: StandIn) -> None:
    line = SlowLine(model, speed=4.0)
    answered(line)
    ears.meant[0] = Meant("41", ended=0.85, direction=ORDER)
    pause = np.zeros(RATE_HZ * 8 // 10, np.int16)
    line.say(np.concatenate([phone("My number is four, one."), pause, phone("Seven, two, and so on and so on.")]))
    line.until(lambda event: isinstance(event, TurnStarted))
    line.run(2.2)
    listened = len(ears.listened)
    line.run(0.8)
    assert len(ears.listened) >= listened + 4


def test_writing_that_takes_too_long_is_cut_short(activity: VoiceActivity, ears: StandIn) -> None:
    options = read_options("duplex", DuplexOptions(), PROMPT | {"budget_ms": 0.0})  # a token a step
    model = DuplexModel(1, options, activity, ears, {"joe": our_voice()})
    line = SlowLine(model, speed=4.0)
    ScriptedMind.made = []
    mind = answered(line, mind="MindOfWords")
    ears.most_hops = 200
    ears.meant[0] = Meant(words=" ".join(["rain"] * 100), direction=STORIES)
    line.say(phone("Tell me a story."))
    ended(line)
    answer(line)
    model.close()
    ((told, words),) = mind.told
    assert told == "hear" and 30 <= len(words.split()) <= 45


def test_a_number_broken_off_is_waited_for(line: Line, ears: StandIn) -> None:
    mind = answered(line)
    ears.meant[0] = Meant("41", ended=0.85, direction=ORDER)
    pause = np.zeros(RATE_HZ * 8 // 10, np.int16)
    line.say(np.concatenate([phone("My number is four, one."), pause, phone("Seven, two.")]))
    line.until(lambda event: isinstance(event, TurnStarted))
    line.run(2.2)
    assert not line.of(TurnEnded)
    ears.meant[0] = Meant("4172", direction=ORDER)
    ended(line)
    assert follows(line, ToolWanted) and mind.told == [("understand", "4172", "0")]


def test_the_caller_cuts_the_agent_off_within_200_ms_and_the_mind_knows_how_far_it_got(
    line: Line, ears: StandIn
) -> None:
    mind = in_a_sentence(line, ears)
    ears.meant[0] = Meant("no", "no wait", direction=QUESTION)
    words = phone("No I want to talk about the weather.")
    speech = line.now + int(np.flatnonzero(np.abs(words.astype(np.int32)) > 300)[0])
    line.say(words)
    line.until(lambda event: isinstance(event, TurnStarted))
    line.run(0.5)
    after = np.flatnonzero(line.agent()[speech : speech + RATE_HZ // 2])
    assert (after[-1] + 1) / RATE_HZ * 1000 <= 200
    interrupted = line.until(lambda event: isinstance(event, Interrupted))
    assert isinstance(interrupted, Interrupted)
    assert interrupted.heard.startswith("I see. Let") and interrupted.unsaid.endswith("in the rain.")
    line.until(lambda event: isinstance(event, SpeechStarted))
    assert mind.told[-2:] == [("interrupted", interrupted.heard, interrupted.unsaid), ("understand", "no", "3")]
    assert ears.openings[-1][1].speaking


def test_a_listening_sound_does_not_stop_the_story_and_is_not_answered(line: Line, ears: StandIn) -> None:
    mind = in_a_sentence(line, ears)
    told = list(mind.told)
    ears.meant[0] = Meant(words="uh-huh", ended=0.1, addressed=0.1, backchannel=0.9)
    line.say(phone("Okay."))
    turn = ended(line)
    assert turn.why.startswith("backchannel 8") and turn.decided_at - turn.at <= RATE_HZ * 0.3
    finished = line.until(lambda event: isinstance(event, WordsSpoken), 15)
    assert isinstance(finished, WordsSpoken) and finished.text == STORY
    assert mind.told == told and not line.of(Interrupted)


def test_talk_with_somebody_else_lets_the_agent_speak_on(line: Line, ears: StandIn) -> None:
    mind = in_a_sentence(line, ears)
    told = list(mind.told)
    ears.meant[0] = Meant(words="where did you put the letter", ended=0.02, addressed=0.05)
    line.say(phone("Honey, where did you put the letter?"))
    finished = line.until(lambda event: isinstance(event, WordsSpoken), 15)
    assert isinstance(finished, WordsSpoken) and finished.text == STORY
    assert "not meant for the agent" in (ended(line).why if len(line.of(TurnEnded)) < 2 else str(line.of(TurnEnded)[1]))
    assert mind.told == told and not line.of(Interrupted)


def test_talk_with_somebody_else_is_not_answered_and_the_caller_asked_for_later(line: Line, ears: StandIn) -> None:
    mind = answered(line)
    ears.meant[0] = Meant(words="be quiet", ended=0.02)
    line.say(phone("Be quiet, I am on the phone."))
    assert ended(line).why.startswith("not meant for the agent")
    line.until(lambda event: isinstance(event, SpeechStarted))
    assert mind.told == [("silence", "1")]


def test_yes_over_a_question_is_an_answer(line: Line, ears: StandIn) -> None:
    mind = answered(line)
    ears.meant[0] = Meant(direction=QUESTION)
    line.say(phone("I have a question."))
    line.until(lambda event: isinstance(event, SpeechStarted))
    line.run(1.5)
    ears.meant[0] = Meant("yes", backchannel=0.9, ended=0.1, direction=STORIES)
    line.say(phone("Yes."))
    turn = ended(line)
    assert turn.decided_at - turn.at <= RATE_HZ * 0.4
    answer(line)
    assert mind.told[-1] == ("understand", "yes", "1") and mind.told[-2][0] == "interrupted"


def test_lost_packets_do_not_end_a_turn(line: Line, ears: StandIn) -> None:
    answered(line)
    ears.meant[0] = Meant(ended=0.97, direction=STORIES)
    line.say(phone("Tell me a rather long story."))
    line.until(lambda event: isinstance(event, TurnStarted))
    line.run(0.3)
    line.callers[0].lost = True
    line.run(1.5)
    assert not line.of(TurnEnded)
    line.callers[0].lost = False
    ended(line)


def test_a_mind_that_knows_words_only_is_given_the_words(line: Line, ears: StandIn) -> None:
    mind = answered(line, mind="MindOfWords")
    ears.meant[0] = Meant("4173", "tell me the story of order 4173")
    line.say(phone("Tell me the story of order four one seven three."))
    turn = ended(line)
    answer(line)
    assert mind.told == [("hear", "tell me the story of order 4173")]
    words = next(event for event in line.events if is_final(event))
    assert isinstance(words, WordsHeard) and words.end == turn.at


def test_free_text_is_understood_by_all_its_words(line: Line, ears: StandIn) -> None:
    mind = answered(line, mind="MindThatWantsWords")
    ears.meant[0] = Meant("", "the lid is cracked", direction=STORIES)
    line.say(phone("The lid is cracked."))
    ended(line)
    answer(line)
    assert mind.told == [("understand", "the lid is cracked", "1")]


def test_a_long_turn_is_parted_at_a_pause(line: Line, ears: StandIn) -> None:
    mind = answered(line)
    ears.meant[0] = Meant("1187", ended=0.35, direction=STORIES)
    long = phone(
        "I want to tell you about the weather and the rain and the sun and the wind and the snow and the fog and all "
        "the rest of it, which was really very wet,"
    )
    assert len(long) >= 76 * HOP_SAMPLES
    line.say(np.concatenate([long, np.zeros(RATE_HZ // 2, np.int16), phone("and of the parcel that got wet.")]))
    line.run(len(long) / RATE_HZ + 0.6)
    assert not line.of(TurnEnded)
    ears.meant[0] = Meant("no", direction=STORIES)
    ended(line)
    answer(line)
    assert mind.told == [("understand", "1187 no", "1")]


def test_a_meaning_of_which_the_mind_makes_nothing_is_told_in_words(line: Line, ears: StandIn) -> None:
    mind = answered(line)
    ears.meant[0] = Meant("", "the blue one with the green lid", direction=RIDDLE)
    line.say(phone("The blue one with the green lid."))
    ended(line)
    answer(line)
    assert mind.told == [("hear", "the blue one with the green lid")]


def test_a_sound_without_meaning_and_without_words_is_no_turn(line: Line, ears: StandIn) -> None:
    mind = answered(line)
    ears.meant[0] = Meant("", "", direction=RIDDLE)
    line.say(phone("Hm."))
    assert ended(line).why == "no words"
    line.run(1.0)
    assert mind.told == [] and not any(is_final(event) for event in line.events)


def test_a_long_noise_without_words_is_no_turn(line: Line, ears: StandIn) -> None:
    mind = answered(line)
    ears.meant[0] = Meant("", "", ended=0.05, direction=RIDDLE)
    line.say(np.concatenate([phone("I want to tell you about the weather and the rain and the sun,")] * 4))
    assert ended(line, 20).why == "no words"
    assert mind.told == []


def test_words_over_the_agents_last_sentence_are_on_the_record(line: Line, ears: StandIn) -> None:
    answered(line)
    ears.meant[0] = Meant("no", "no wait it is about my refund", direction=LEAVE)
    line.say(phone("No, wait. It is about my refund."))
    done = line.until(lambda event: isinstance(event, Done))
    assert isinstance(done, Done) and done.exit == "human"
    (words,) = [event for event in line.events if is_final(event)]
    assert isinstance(words, WordsHeard) and words.text in ("no", "no wait it is about my refund")


def test_a_mind_is_told_that_what_it_says_too_late_is_not_heard(line: Line, ears: StandIn) -> None:
    MindThatPonders.may.clear()
    mind = answered(line, mind="MindThatPonders")
    ears.meant[0] = Meant(direction=STORIES)
    line.say(phone("Tell me a story."))
    ended(line)
    line.run(0.3)
    line.say(phone("A long one, please."))
    line.until(lambda event: isinstance(event, TurnStarted))
    ended(line)
    MindThatPonders.may.set()
    answer(line)
    assert [told[0] for told in mind.told] == ["understand", "interrupted", "understand"]
    assert mind.told[1] == ("interrupted", "", STORY)


@pytest.mark.parametrize("ears", [StandIn(most_hops=25)])
def test_a_turn_longer_than_a_row_goes_on_in_another(line: Line, ears: StandIn) -> None:
    mind = answered(line)
    ears.meant[0] = Meant("4172", ended=0.05, direction=STORIES)
    line.say(np.concatenate([phone("I want to tell you about the weather and the rain and the sun,")] * 2)[:80_000])
    line.until(lambda event: isinstance(event, TurnStarted))
    line.run(3.5)
    ears.meant[0] = Meant("no", direction=STORIES)
    ended(line)
    answer(line)
    assert len(mind.told) == 1 and mind.told[0][1].startswith("4172 ") and mind.told[0][1].endswith(" no")


def test_a_caller_who_never_stops_is_answered_in_the_end(line: Line, ears: StandIn) -> None:
    answered(line)
    ears.meant[0] = Meant(ended=0.05, direction=STORIES)
    line.say(np.concatenate([phone("I want to tell you about the weather and the rain and the sun,")] * 4))
    assert ended(line, 20).why == "a turn of 8000 ms"


def test_a_silent_caller_is_asked_again_and_again(line: Line) -> None:
    mind = answered(line)
    for _ in range(2):
        line.until(lambda event: isinstance(event, WordsSpoken) and event.text == "Are you there?")
    assert mind.told == [("silence", "1"), ("silence", "2")]


def test_keys_go_to_the_mind(line: Line) -> None:
    mind = answered(line)
    line.model.deliver(0, Keys("4172#"))
    line.until(lambda event: isinstance(event, WordsSpoken))
    assert mind.told == [("keys", "4172")]


def test_done_comes_after_the_last_words_were_heard(line: Line, ears: StandIn) -> None:
    answered(line)
    ears.meant[0] = Meant(words="goodbye", direction=BYE)
    line.say(phone("Thank you, goodbye."))
    done = line.until(lambda event: isinstance(event, Done))
    assert isinstance(done, Done) and done.exit == "resolved"
    assert any(is_final(event) for event in line.events)
    assert any(isinstance(event, Memo) and event.memo == {"told": 1} for event in line.events)


def test_a_mind_that_answers_with_nonsense_ends_its_call_and_no_other(line: Line, ears: StandIn) -> None:
    answered(line, 1)
    answered(line, 0, mind="MindOfNonsense")
    ears.meant[0] = ears.meant[1] = Meant(direction=STORIES)
    line.say(phone("Tell me a story."), 0)
    done = line.until(lambda event: isinstance(event, Done))
    assert isinstance(done, Done) and (done.slot, done.exit) == (0, "failed") and "no act of a mind" in done.reason
    line.say(phone("Tell me a story."), 1)
    line.until(lambda event: isinstance(event, SpeechStarted) and event.slot == 1 and event.text == STORY)


class OneBadRow(StandIn):
    """Cannot listen to the row of slot 1."""

    def listen(self, slots: Sequence[int]) -> tuple[npt.NDArray[np.float32], Vector]:
        if 1 in slots:
            raise ValueError("slot 1 is to take in no hop")
        return super().listen(slots)


@pytest.mark.parametrize("ears", [OneBadRow()])
def test_a_row_that_fails_ends_its_own_call_and_no_other(line: Line, ears: StandIn) -> None:
    answered(line, 0)
    answered(line, 1)
    ears.meant[0] = Meant(direction=QUESTION)
    line.say(phone("I have a question."), 0)
    line.say(phone("I have a question."), 1)
    done = line.until(lambda event: isinstance(event, Done))
    assert isinstance(done, Done) and (done.slot, done.exit) == (1, "failed") and "no hop" in done.reason
    started = line.until(lambda event: isinstance(event, SpeechStarted) and event.slot == 0)
    assert isinstance(started, SpeechStarted) and started.text == OFFER
    line.run(0.5)
    assert len(line.of(Done)) == 1


def test_callers_who_speak_at_once_are_heard_in_one_batch(line: Line, ears: StandIn) -> None:
    line.model.admit(0, persona())
    line.model.admit(1, persona(greeting="Good evening."))
    for slot in (0, 1):
        line.until(lambda event, slot=slot: isinstance(event, SpeechStarted) and event.slot == slot)  # type: ignore[misc]
    line.run(2.5)
    ears.meant = {0: Meant("4173", direction=ORDER), 1: Meant("no", direction=QUESTION)}
    line.say(phone("Where is my order four one seven three?"), 0)
    line.say(phone("I have a question, would you please listen?"), 1)
    line.run(5.0)
    assert any(isinstance(event, SpeechStarted) and "office" in event.text for event in line.events)
    assert (0, 1) in ears.listened
    assert {event.slot for event in line.events if isinstance(event, ToolWanted)} == {0}


def test_the_next_caller_in_a_slot_hears_nothing_of_the_last(line: Line, ears: StandIn) -> None:
    answered(line)
    ears.meant[0] = Meant("4173", "where is my order 4173", direction=STORIES)
    line.say(phone("Where is my order?"))
    ended(line)
    line.model.release(0)  # the answer is being thought of, and the words written down, at this very moment
    assert 0 not in ears.rows
    line.fresh(0)
    seen = len(line.events)
    line.model.admit(0, persona(greeting="Good evening."))
    line.run(2.5)
    later = line.events[seen:]
    assert {event.text for event in later if isinstance(event, SpeechStarted)} == {"Good evening."}
    assert not [event for event in later if isinstance(event, Decided | WordsHeard | ToolWanted)]


def test_the_order_desk_serves_a_caller_by_meanings_and_a_gist(line: Line, ears: StandIn) -> None:
    agent = load_agent(Path(__file__).resolve().parents[2] / "dialplans" / "order-desk" / "agent.yaml")
    try:
        embedding = load_embedding()
    except EmbeddingUnavailable as missing:
        pytest.skip(f"skipped: {missing}")
    wish, other = embedding.of(["I'd like to know where my parcel is", "thanks that was everything"])
    assert skill_mind(agent.persona()).desk.understanding is not None, "loaded before the call, as it is rehearsed"
    line.model.admit(0, agent.persona())
    line.until(lambda event: isinstance(event, WordsSpoken), 15)
    ears.meant[0] = Meant("", "i'd like to know where my parcel is", meaning=wish)
    line.say(phone("I'd like to know where my parcel is."))
    ended(line)
    assert answer(line).text == "What's your order number?"
    line.run(2.0)
    ears.meant[0] = Meant("4172", "4172", meaning=other)  # what bare digits mean is anybody's guess
    line.say(phone("Four one seven two."))
    ended(line)
    wanted = follows(line, ToolWanted)
    assert len(line.of(ToolWanted)) == 1 and wanted.arguments == {"order": "4172"}
    assert ears.openings[-1][1].said == "What's your order number?"
    skills = [event for event in line.events if isinstance(event, Decided) and event.skill == "order-status"]
    assert skills and {"ended", "complete", "order-status"} <= set(skills[0].scores)


def test_a_language_it_has_not_learnt_is_refused(model: DuplexModel) -> None:
    with pytest.raises(ValueError, match="English only, not 'de-DE'"):
        model.admit(0, persona(language="de-DE"))


def test_steps_are_rehearsed_before_a_call_and_nobody_hears_of_it(
    line: Line, model: DuplexModel, ears: StandIn
) -> None:
    for _ in range(70):
        model.rehearsal(1)
        model.rehearsal(2)
    assert (0, 1) in ears.listened and (0,) in ears.listened
    line.model.admit(0, persona())
    assert 0 not in ears.rows and 1 in ears.rows


@pytest.mark.parametrize(
    ("pause", "verdict"),
    [
        (Pause(0, 0.99, 0.0, 1.0), Verdict.WAIT),
        (Pause(80, 0.97, 0.0, 1.0), Verdict.OVER),
        (Pause(80, 0.97, 0.0, None), Verdict.WAIT),
        (Pause(160, 0.5, 0.0, 0.5), Verdict.WAIT),
        (Pause(160, 0.7, 0.0, 1.0), Verdict.OVER),
        (Pause(700, 0.9, 0.0, 0.05), Verdict.WAIT),
        (Pause(1_400, 0.9, 0.0, 0.05), Verdict.OVER),
        (Pause(1_000, 0.3, 0.0, 0.5), Verdict.WAIT),
        (Pause(1_300, 0.5, 0.0, 0.5), Verdict.OVER),
        (Pause(1_700, 0.1, 0.0, 0.3), Verdict.WAIT),
        (Pause(1_800, 0.1, 0.0, 0.3), Verdict.OVER),
        (Pause(1_800, 0.01, 0.0, 1.0), Verdict.ASIDE),
        (Pause(1_800, 0.1, 0.0, 0.3, over_agent=True, unmeant=True), Verdict.ASIDE),
        (Pause(80, 0.2, 0.7, None, over_agent=True), Verdict.WAIT),
        (Pause(160, 0.2, 0.7, None, over_agent=True), Verdict.BACKCHANNEL),
        (Pause(160, 0.97, 0.7, 1.0), Verdict.OVER),
    ],
)
def test_the_surer_the_end_the_shorter_the_silence(pause: Pause, verdict: Verdict) -> None:
    assert judge(pause, read_options("duplex", DuplexOptions(), PROMPT).end) is verdict


def test_a_model_that_was_not_built_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "folder", lambda name: tmp_path / name)
    with pytest.raises(ValueError, match=r"not built in .*; run `offhook models build`"):
        model_class("duplex").load(1, {})
    with pytest.raises(ValueError, match="runs on cpu or cuda, not on 'tpu'"):
        model_class("duplex").load(1, {"device": "tpu"})


def test_options_reach_every_group_by_name() -> None:
    options = read_options(
        "duplex", DuplexOptions(), {"end.sure": 0.8, "turns": {"ask_ms": 4_000}, "scale.likely": 0.4}
    )
    assert (options.end.sure, options.turns.ask_ms, options.scale.likely) == (0.8, 4_000, 0.4)
    with pytest.raises(ValueError, match=r"duplex has no option end\.surely"):
        read_options("duplex", DuplexOptions(), {"end.surely": 1})

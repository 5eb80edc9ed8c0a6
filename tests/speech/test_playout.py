"""What is said, cut, said again, and how much of it counts as heard."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from offhook.speech.contract import Pcm
from offhook.speech.playout import Began, Ended, Playout, Utterance
from offhook.speech.voice import Clause

LEAD = 3_840


def clause(text: str, samples: int = 8_000, value: int = 1, pause: int = 800) -> Clause:
    return Clause(text, np.full(samples, value, np.int16), pause)


def utterance(number: int, *clauses: Clause) -> Utterance:
    return Utterance(number, " ".join(each.text for each in clauses), list(clauses), whole=True)


class Wire:
    """Plays what a playout gives, 320 samples at a time."""

    def __init__(self) -> None:
        self.playout = Playout(LEAD)
        self.queue: Pcm = np.zeros(0, np.int16)
        self.heard: Pcm = np.zeros(0, np.int16)
        self.happened: list[Began | Ended] = []

    def tick(self, count: int = 1) -> None:
        for _ in range(count):
            room = np.zeros(LEAD, np.int16)
            samples, happened = self.playout.advance(len(self.heard), room)
            self.happened += happened
            self.queue = np.concatenate([self.queue, room[:samples]])
            self.heard = np.concatenate([self.heard, self.queue[:320]])
            self.queue = self.queue[320:]

    def cut(self) -> None:
        if self.playout.hold():
            self.queue = self.queue[:0]


def test_an_utterance_is_played_whole_with_its_pause_between_clauses_only() -> None:
    wire = Wire()
    wire.playout.say(utterance(0, clause("Hello there,", value=1), clause("how are you?", value=2)))
    wire.tick(80)
    assert list(np.unique(wire.heard, return_counts=True)[1]) == [800, 8_000, 8_000]
    assert isinstance(wire.happened[0], Began) and wire.happened[0].at == 0
    assert isinstance(wire.happened[1], Ended) and wire.happened[1].end == 16_800
    assert not wire.playout.pending


def test_no_more_is_queued_than_the_lead() -> None:
    wire = Wire()
    wire.playout.say(utterance(0, clause("A long one.", samples=50_000)))
    for _ in range(100):
        wire.tick()
        assert len(wire.queue) <= LEAD


def test_clauses_may_come_while_the_first_is_played() -> None:
    wire = Wire()
    said = Utterance(0, "One, two.")
    wire.playout.say(said)
    wire.tick(3)
    assert wire.playout.speaking and not wire.playout.audible
    said.clauses.append(clause("One,"))
    wire.tick(10)
    assert wire.playout.audible
    said.clauses.append(clause("two."))
    said.whole = True
    wire.tick(60)
    assert len(wire.happened) == 2


def test_after_a_cut_the_words_are_split_where_the_wire_stopped() -> None:
    wire = Wire()
    wire.playout.say(utterance(0, clause("one two three four", samples=16_000)))
    wire.playout.say(utterance(1, clause("And more.")))
    wire.tick(25)  # 8,000 of 16,000 samples
    wire.cut()
    wire.tick(2)
    broken = wire.playout.abandon()
    assert broken is not None
    assert (broken.heard, broken.unsaid, broken.end) == ("one two", "three four And more.", 8_000)
    wire.tick(10)
    assert len(wire.heard) == 8_000


def test_what_was_cut_is_said_again_from_its_clause() -> None:
    wire = Wire()
    wire.playout.say(utterance(0, clause("First,", value=1), clause("second,", value=2), clause("third.", value=3)))
    wire.tick(40)  # in the second
    wire.cut()
    wire.tick(5)
    assert wire.playout.held
    wire.playout.resume()
    wire.tick(120)
    values, counts = np.unique(wire.heard, return_counts=True)
    told = dict(zip(values.tolist(), counts.tolist(), strict=True))
    assert told[1] == 8_000 and told[3] == 8_000 and told[2] > 8_000
    assert isinstance(wire.happened[-1], Ended) and len(wire.happened) == 2


def test_a_cut_in_the_last_breath_leaves_nothing_unsaid() -> None:
    wire = Wire()
    wire.playout.say(utterance(0, clause("All of this.", samples=16_000)))
    wire.tick(46)  # 14,720: 80 ms are left
    wire.cut()
    wire.tick()
    broken = wire.playout.abandon()
    assert broken is not None and (broken.heard, broken.unsaid) == ("All of this.", "")


def test_words_that_never_began_are_all_unsaid_and_begin_nothing() -> None:
    wire = Wire()
    wire.playout.hold()
    wire.playout.say(utterance(0, clause("Too late.")))
    wire.tick(5)
    broken = wire.playout.abandon()
    assert broken is not None and broken.heard == "" and broken.unsaid == "Too late."
    assert not broken.utterance.begun and broken.utterance.dropped and len(wire.heard) == 0


def test_a_question_in_what_was_reached_is_asking() -> None:
    wire = Wire()
    wire.playout.say(utterance(0, clause("I have it."), clause("Shall I cancel it?")))
    wire.tick(5)
    assert not wire.playout.asking()
    wire.tick(40)
    assert wire.playout.asking()


@given(st.lists(st.sampled_from("alpha be gamma delta".split()), min_size=1, max_size=12), st.integers(0, 16_000))
def test_heard_and_unsaid_together_are_what_was_said(words: list[str], played: int) -> None:
    playout = Playout(20_000)
    playout.say(utterance(0, clause(" ".join(words), samples=16_000)))
    playout.advance(0, np.zeros(20_000, np.int16))
    playout.hold()
    playout.advance(played, np.zeros(0, np.int16))
    broken = playout.abandon()
    if played == 16_000:
        assert broken is None
    else:
        assert broken is not None
        assert f"{broken.heard} {broken.unsaid}".split() == words


def test_an_utterance_that_was_queued_already_when_the_one_before_was_cut_is_told_as_begun() -> None:
    wire = Wire()
    wire.playout.say(utterance(0, clause("Hello there.", samples=2_900)))
    wire.playout.say(utterance(1, clause("How are you?")))
    wire.tick(2)
    wire.cut()
    wire.tick()
    broken = wire.playout.abandon()
    assert [each.utterance.number for each in wire.happened] == [0, 1]
    assert broken is not None and broken.unsaid == "Hello there. How are you?"
    assert [each.number for each in broken.begun] == [1]

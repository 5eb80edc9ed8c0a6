"""Digits survive every way of saying them, and corrections change the digit that was meant."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.agents.corrections import corrected
from offhook.agents.facts import Hearing, find
from offhook.agents.job import Fact, FactType
from offhook.agents.numbers import MOST_READINGS, runs
from tests.agents.saying import one_by_one, styles

ASKED = Hearing(asked=True, today=datetime.date(2026, 11, 21))
UNASKED = Hearing(asked=False, today=datetime.date(2026, 11, 21))


def digits(least: int, most: int | None = None) -> Fact:
    return Fact(type=FactType.DIGITS, ask="The number?", length=(least, most or least))


def found(words: str, length: int = 4, hearing: Hearing = ASKED) -> object:
    one = find(digits(length), words, hearing)
    return one.value if one is not None and one.whole else None


@given(st.text("0123456789", min_size=4, max_size=8))
@settings(max_examples=250, deadline=None)
def test_digits_come_back_however_they_are_said(number: str) -> None:
    for style, words in styles(number):
        assert found(words, len(number)) == number, f"{style}: {words}"


@given(st.text("0123456789", min_size=4, max_size=4))
@settings(max_examples=100, deadline=None)
def test_digits_said_without_being_asked_for_are_taken_from_a_sentence(number: str) -> None:
    assert found(f"where is my order {one_by_one(number)} it was for my wife", 4, UNASKED) == number
    assert found(f"I'd like to return order {number}.", 4, UNASKED) == number


@given(st.text("0123456789", min_size=4, max_size=8), st.integers(0, 7), st.integers(0, 9))
@settings(max_examples=150, deadline=None)
def test_a_digit_corrected_by_its_place_changes_that_digit_alone(number: str, at: int, digit: int) -> None:
    at %= len(number)
    word = one_by_one(str(digit))
    wanted = number[:at] + str(digit) + number[at + 1 :]
    said = {0: f"no, the first one is {word}", len(number) - 1: f"sorry, {word} at the end"}
    said |= {
        i: f"no, the {name} digit is {word}" for i, name in enumerate(("second", "third", "fourth"), 1) if i not in said
    }
    if at in said and wanted != number:
        changed = corrected(digits(len(number)), number, said[at], ASKED)
        assert changed is not None and changed.value == wanted, said[at]


@given(st.text("0123456789", min_size=4, max_size=4), st.integers(0, 3), st.integers(0, 9))
@settings(max_examples=150, deadline=None)
def test_not_this_but_that_replaces_this(number: str, at: int, digit: int) -> None:
    wrong = number[at]
    if number.count(wrong) > 1 or wrong == str(digit):
        return
    for words in (
        f"not {one_by_one(wrong)}, {one_by_one(str(digit))}",
        f"it's {one_by_one(str(digit))}, not {one_by_one(wrong)}",
        f"the {one_by_one(wrong)} should be {one_by_one(str(digit))}",
    ):
        changed = corrected(digits(4), number, words, ASKED)
        assert changed is not None and changed.value == number.replace(wrong, str(digit)), words


@pytest.mark.parametrize(
    ("old", "words", "new"),
    [
        ("5172", "no, I said four", "4172"),
        ("4172", "not four one, four seven", "4772"),
        ("4172", "not four one four seven", "4772"),
        ("4172", "sorry, five at the end", "4175"),
        ("4172", "no, it ends in seven five", "4175"),
        ("4172", "it starts with five", "5172"),
        ("4172", "no four one seven three", "4173"),
        ("4172", "No, I said 4 1 7 5.", "4175"),
        ("4159", "no, fifty", "4150"),
        ("4172", "no not 4172, 4173", "4173"),
        ("1024", "no one zero two five", "1025"),
    ],
)
def test_corrections_as_people_make_them(old: str, words: str, new: str) -> None:
    changed = corrected(digits(4), old, words, ASKED)
    assert changed is not None and changed.value == new


@pytest.mark.parametrize("words", ["no that's wrong", "no", "that is not my order", "I said it before"])
def test_a_correction_without_a_digit_changes_nothing(words: str) -> None:
    assert corrected(digits(4), "4172", words, ASKED) is None


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("my number is for one seven two", "4172"),
        ("four one nine, sorry, seven two", "4172"),
        ("four one, uh, then seven two", "4172"),
        ("$41.72", "4172"),
        ("41.72", "4172"),
        ("It's 40172", "4172"),
        ("417 2", "4172"),
        ("4,172.", "4172"),
        ("to ate won for", "2814"),
        ("I have one order, it's 4172 please", "4172"),
        ("oh four double two", "0422"),
        ("seven thousand seven", "7007"),
        ("Four, one... seven. Two.", "4172"),
    ],
)
def test_what_recognisers_write_for_digits_is_read(words: str, number: str) -> None:
    assert found(words) == number


@pytest.mark.parametrize(
    "words",
    [
        "I need to return two orders",
        "I called at 10:30",
        "it was on the twenty third of May 2025",
        "I paid 1200 dollars",
        "it has been two weeks",
        "are you open on Saturday to six",
    ],
)
def test_other_numbers_are_not_taken_for_one_that_was_not_asked_for(words: str) -> None:
    assert found(words, 4, UNASKED) is None


def test_too_few_digits_are_heard_as_a_number_that_broke_off() -> None:
    one = find(digits(4), "it's four one seven", ASKED)
    assert one is not None and not one.whole and one.value == "417"


@pytest.mark.parametrize("length", [4, 8])
def test_a_flood_of_numbers_is_read_in_bounded_time_and_readings(length: int) -> None:
    flood = "forty one hundred and to for double " * 2_000
    one = find(digits(length), flood, ASKED)
    assert one is None or len(str(one.value)) <= 24
    assert all(len(run.readings) <= MOST_READINGS for run in runs(flood))


@given(st.text(max_size=300))
@settings(max_examples=200, deadline=None)
def test_no_words_at_all_make_extraction_stumble(words: str) -> None:
    find(digits(4, 8), words, ASKED)
    corrected(digits(4), "4172", words, ASKED)

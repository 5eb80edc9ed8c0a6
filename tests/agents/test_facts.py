"""Dates, yes and no, choices, money, numbers and names, as callers say them."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.agents.answers import yes_or_no
from offhook.agents.dates import find_date, say_date
from offhook.agents.facts import Hearing, find, from_keys
from offhook.agents.job import Fact, FactType
from offhook.agents.wording import fill

TODAY = datetime.date(2026, 11, 21)  # a Saturday
ASKED = Hearing(asked=True, today=TODAY)


def value(fact: Fact, words: str, hearing: Hearing = ASKED) -> object:
    found = find(fact, words, hearing)
    return found.value if found else None


@pytest.mark.parametrize(
    ("words", "day"),
    [
        ("the third of december", "2026-12-03"),
        ("december third", "2026-12-03"),
        ("December 3rd, please", "2026-12-03"),
        ("3 dec", "2026-12-03"),
        ("it was on the twenty first of november", "2026-11-21"),
        ("december the twenty first", "2026-12-21"),
        ("12/3", "2026-12-03"),
        ("12/03/2026", "2026-12-03"),
        ("2026-12-03", "2026-12-03"),
        ("3.12.2026", "2026-12-03"),
        ("next tuesday", "2026-11-24"),
        ("tuesday", "2026-11-24"),
        ("last friday", "2026-11-20"),
        ("today", "2026-11-21"),
        ("yesterday", "2026-11-20"),
        ("the day after tomorrow", "2026-11-23"),
        ("the day before yesterday", "2026-11-19"),
        ("two weeks ago", "2026-11-07"),
        ("in three days", "2026-11-24"),
        ("a couple of days ago", "2026-11-19"),
        ("the fifteenth", "2026-11-15"),
        ("the 2nd of January", "2027-01-02"),
        ("twenty third of may twenty twenty five", "2025-05-23"),
        ("not monday, thursday", "2026-11-26"),
    ],
)
def test_dates_are_understood_relative_to_today(words: str, day: str) -> None:
    assert value(Fact(type=FactType.DATE, ask="When?"), words) == day


@pytest.mark.parametrize("words", ["may I ask", "the thirty second of may", "31 february", "13/13", "I don't know"])
def test_what_is_no_date_is_not_one(words: str) -> None:
    assert value(Fact(type=FactType.DATE, ask="When?"), words) is None


@given(st.dates(datetime.date(2026, 2, 1), datetime.date(2027, 9, 1)))
@settings(max_examples=150, deadline=None)
def test_a_date_that_is_spoken_is_understood_as_itself(day: datetime.date) -> None:
    found = find_date(say_date(day, TODAY, on=True), TODAY)
    assert found is not None and found.day == day


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("yes", True),
        ("Yeah, that's right.", True),
        ("yep", True),
        ("uh-huh", True),
        ("correct", True),
        ("sure, go ahead", True),
        ("no that's right", True),
        ("no problem", True),
        ("of course", True),
        ("that's fine", True),
        ("please do", True),
        ("no", False),
        ("Nope.", False),
        ("know", False),
        ("no thanks", False),
        ("not really", False),
        ("that is not right", False),
        ("that's wrong", False),
        ("please don't", False),
        ("absolutely not", False),
        ("No, I don't think so.", False),
        ("yeah no", False),
        ("dont do that", False),
        ("I don't know", None),
        ("not sure", None),
        ("the blue one", None),
        ("", None),
    ],
)
def test_yes_and_no_in_many_words(words: str, answer: bool | None) -> None:
    assert yes_or_no(words) is answer


REASON = Fact(
    type=FactType.CHOICE,
    ask="Why?",
    options={
        "damaged": ("damaged", "broken", "doesn't work"),
        "wrong-size": ("wrong size", "too small", "too big"),
        "changed-mind": ("changed my mind", "don't want it"),
    },
)


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ("it is damage", "damaged"),
        ("it was broken when it came", "damaged"),
        ("it's too small", "wrong-size"),
        ("the wrong sighs", None),
        ("I changed my mind", "changed-mind"),
        ("i change my mind", "changed-mind"),
        ("not damaged, the wrong size", "wrong-size"),
        ("hello", None),
    ],
)
def test_choices_are_known_by_their_words_and_by_what_sounds_like_them(words: str, option: str | None) -> None:
    assert value(REASON, words) == option


@pytest.mark.parametrize(
    ("words", "amount"),
    [
        ("forty one dollars and fifty cents", 41.5),
        ("$41.50", 41.5),
        ("forty one fifty", 41.5),
        ("20 euros", 20),
        ("fifty cents", 0.5),
        ("two hundred dollars", 200),
        ("1,200.50", 1200.5),
    ],
)
def test_money_is_an_amount(words: str, amount: float) -> None:
    assert value(Fact(type=FactType.MONEY, ask="How much?"), words) == amount


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("three please", 3),
        ("a couple", 2),
        ("twenty one", 21),
        ("a dozen", 12),
        ("2", 2),
        ("not two, three", 3),
        ("150", None),
    ],
)
def test_numbers_keep_to_their_bounds(words: str, number: int | None) -> None:
    assert value(Fact(type=FactType.NUMBER, ask="How many?", least=1, most=99), words) == number


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("my name is john smith", "John Smith"),
        ("it's Mary", "Mary"),
        ("S M I T H", "Smith"),
        ("John Miller speaking", "John Miller"),
        ("this is Anna from Boston", "Anna"),
        ("uh", None),
    ],
)
def test_names_lose_what_introduces_them(words: str, name: str | None) -> None:
    assert value(Fact(type=FactType.NAME, ask="Your name?"), words) == name


def test_keys_fill_digits_choices_and_answers() -> None:
    order = Fact(type=FactType.DIGITS, ask="?", length=(4, 4))
    assert (found := from_keys(order, "4172")) is not None and found.value == "4172" and found.whole
    assert (found := from_keys(order, "41")) is not None and not found.whole
    assert (found := from_keys(REASON, "2")) is not None and found.value == "wrong-size"
    assert from_keys(REASON, "9") is None
    assert (found := from_keys(Fact(type=FactType.YES_NO, ask="?"), "1")) is not None and found.value is True


def test_values_are_filled_in_as_a_voice_says_them() -> None:
    needs = {"order": Fact(type=FactType.DIGITS, ask="?", length=(4, 4)), "reason": REASON}
    text = "Order {order}, {reason}: {result.items}, {on result.day}, {on result.late}. {result.nothing}"
    result = {"items": ["a lamp", "a desk", "a chair"], "day": "2026-11-26", "late": "2026-11-22"}
    said = fill(text, {"order": "4172", "reason": "damaged"}, needs, TODAY, result)
    assert said == "Order 4 1 7 2, damaged: a lamp, a desk and a chair, on Thursday, tomorrow."


@given(st.text(max_size=400), st.sampled_from(list(FactType)))
@settings(max_examples=300, deadline=None)
def test_no_words_at_all_make_any_fact_stumble(words: str, kind: FactType) -> None:
    options = {"red": ("red",), "blue": ("blue",)} if kind is FactType.CHOICE else None
    fact = Fact(type=kind, ask="?", length=(4, 4) if kind is FactType.DIGITS else None, options=options)
    for asked in (True, False):
        found = find(fact, words, Hearing(asked=asked, today=TODAY))
        assert found is None or 0 <= found.start <= found.end <= len(words)

"""Conditions are typed and checked when they are loaded, and answer with the facts they read."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.dialplan.expressions import FACTS, Answer, Compiler, ExpressionError, Fact, clock_facts

COMPILER = Compiler(["blocked"], ["office", "night"])
EMPTY: dict[str, Fact] = {"string": "", "int": 0, "bool": False}
SAMPLE: dict[str, Fact] = {
    **{name: EMPTY[kind] for name, kind in FACTS.items()},
    **clock_facts(datetime(2026, 11, 23, 9, 5)),
    "call.from": "+442079461111",
    "call.lang": "en",
    "lists.blocked": ["+442079461111"],
}


def answer(text: str) -> Answer:
    return COMPILER.compile(text).answer(SAMPLE, lambda name: name == "office")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("call.from in lists.blocked", True),
        ('call.from.startsWith("+44") && !caller.anonymous', True),
        ("now.hour >= 9 && now.hour < 17", True),
        ('now.weekday in ["sat", "sun"]', False),
        ('now.time < "09:06" && now.date == "2026-11-23"', True),
        ('open("office") && closed("night")', True),
        ('closed("office") || open("night")', False),
        ("call.lang == 'de' ? true : false", False),
        ('call.from.matches("^[+]44(20|161)")', True),
    ],
)
def test_an_expression_is_true_or_false(text: str, value: bool) -> None:
    assert answer(text).value is value


def test_an_answer_names_what_was_read() -> None:
    found = answer('call.from in lists.blocked && closed("office") && now.hour < 5 && "call.to" != "x"')
    assert found.facts == {"call.from": "+442079461111", "now.hour": 9, 'open("office")': True}


@pytest.mark.parametrize("text", ["1 / now.minute * 0 == 1 / (now.hour - 9)", 'call.lang.matches("(" + call.lang)'])
def test_what_cannot_be_computed_is_not_true_and_says_why(text: str) -> None:
    found = answer(text)
    assert found.value is False
    assert found.facts["error"]


@pytest.mark.parametrize(
    ("text", "kind", "line", "column"),
    [
        ("call.from > 3", "type", 1, 11),
        ("call.from + 1 == 'x'", "type", 1, 11),
        ("now.hour == '9'", "type", 1, 10),
        ("open(3)", "hours", 1, 6),
        ("open(call.lang)", "hours", 1, 6),
        ("open()", "hours", 1, 6),
        ("open('office', 'x')", "hours", 1, 6),
        ("true && open('day')", "hours", 1, 14),
        ("lists.gone == []", "list", 1, 1),
        ("call.id in lists", "name", 1, 12),
        ("office", "name", 1, 1),
        ("call.from", "type", 1, 1),
        ("true &&\n  caller.anonimous", "name", 2, 3),
        ("true and false", "syntax", 1, 6),
        ('call.from == "x', "syntax", 1, 14),
        ("(" * 400 + "true" + ")" * 400, "syntax", 1, 1),
        ("true || " * 200 + "true", "syntax", 1, 1),
    ],
)
def test_a_wrong_expression_is_refused_at_its_place(text: str, kind: str, line: int, column: int) -> None:
    with pytest.raises(ExpressionError) as raised:
        COMPILER.compile(text)
    assert (raised.value.kind, raised.value.line, raised.value.column) == (kind, line, column), raised.value.what
    assert raised.value.mend and "\n" not in raised.value.what


@pytest.mark.parametrize(
    ("text", "mend"),
    [("now.hour => 18", "write >="), ("now.hour =< 18", "write <="), ("now.hour = 18", "compare with ==")],
)
def test_a_mistyped_comparison_is_set_right(text: str, mend: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        COMPILER.compile(text)
    assert raised.value.mend == mend and "token" not in raised.value.what


def test_an_expression_cannot_run_for_long() -> None:
    many = "[" + ",".join("1" * 100) + "]"
    found = answer(f"{many}.all(a, {many}.all(b, {many}.all(c, a == b || b == c || a == c)))")
    assert found.value is False
    assert "budget" in str(found.facts["error"])


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.text(max_size=80),
        st.lists(
            st.sampled_from(
                [*FACTS, "lists.blocked", "open", "(", ")", '"', "'", "office", " ", "&&", "!", "[", "1", "."]
            ),
            max_size=14,
        ).map("".join),
    )
)
def test_no_text_breaks_the_compiler(text: str) -> None:
    try:
        COMPILER.compile(text).answer(SAMPLE, lambda name: False)
    except ExpressionError as error:
        assert error.line >= 1 and error.column >= 1

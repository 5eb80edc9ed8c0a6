"""Dates as people say them: `the third of December`, `next Tuesday`, `12/3`, `in two weeks`. Relative to a given day.

A date without a year is the nearest one. Times of day are not read.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass

from offhook.agents.numbers import Token, cardinals, tokens

MONTHS = "january february march april may june july august september october november december".split()
WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
_SHORT = {m[:3]: i for i, m in enumerate(MONTHS, 1)} | {m: i for i, m in enumerate(MONTHS, 1)} | {"sept": 9}
_DAYS = {d: i for i, d in enumerate(WEEKDAYS)} | {d[:3]: i for i, d in enumerate(WEEKDAYS)} | {"tues": 1, "thurs": 3}
_ORDINALS = {
    word: i
    for i, word in enumerate(
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
        "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth".split(),
        1,
    )
} | {"thirtieth": 30}
_SPANS = {"day": 1, "days": 1, "week": 7, "weeks": 7, "fortnight": 14, "fortnights": 14}


@dataclass(frozen=True, slots=True)
class FoundDate:
    """A date and the span of the text that says it."""

    day: datetime.date
    start: int
    end: int


def find_date(words: str, today: datetime.date, month_first: bool = True, asked: bool = True) -> FoundDate | None:
    """The last date said in `words`. `month_first`: how 12/3 is read. `asked`: a bare `the fifteenth` counts too."""
    found = [*_numeric(words, today, month_first), *_said(words, today, asked)]
    return max(found, key=lambda one: (one.end, one.end - one.start), default=None)


def say_date(day: datetime.date, today: datetime.date, on: bool = False) -> str:
    """`today`, `Thursday`, `Thursday, December 3rd`; with `on` where the phrase takes one."""
    away = (day - today).days
    if away in (-1, 0, 1):
        return {-1: "yesterday", 0: "today", 1: "tomorrow"}[away]
    weekday = WEEKDAYS[day.weekday()].capitalize()
    if 1 < away < 7:
        return f"on {weekday}" if on else weekday
    ending = "th" if day.day in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
    year = f", {day.year}" if abs(away) > 150 else ""
    said = f"{weekday}, {MONTHS[day.month - 1].capitalize()} {day.day}{ending}{year}"
    return f"on {said}" if on else said


def _numeric(words: str, today: datetime.date, month_first: bool) -> Iterator[FoundDate]:
    for match in re.finditer(r"\b(\d{4})-(\d{1,2})-(\d{1,2})\b", words[:600]):
        yield from _made(int(match[1]), int(match[2]), int(match[3]), match.start(), match.end())
    for match in re.finditer(
        r"\b(\d{1,2})(?:([/])(\d{1,2})(?:/(\d{4}|\d{2}))?\b|([.])(\d{1,2})\.(\d{4}|\d{2})?(?!\d))", words[:600]
    ):
        first, second, said_year = int(match[1]), int(match[3] or match[6]), match[4] or match[7]
        month, day = (first, second) if month_first and match[2] == "/" else (second, first)
        if month > 12 >= day:
            month, day = day, month
        if said_year:
            year = int(said_year) + (2000 if len(said_year) == 2 else 0)
            yield from _made(year, month, day, match.start(), match.end())
        elif near := _nearest(month, day, today):
            yield FoundDate(near, match.start(), match.end())


def _said(words: str, today: datetime.date, asked: bool) -> Iterator[FoundDate]:
    said = tokens(words)
    text = [token.text for token in said]
    for i, word in enumerate(text):
        if word in _SHORT and not (word == "may" and not _day_near(text, i)):
            yield from _month(said, text, i, today)
        elif word in _DAYS:
            before = text[i - 1] if i else ""
            day = today + datetime.timedelta((_DAYS[word] - today.weekday()) % 7)
            if before == "next" and (day - today).days < 7 and day.isocalendar()[1] == today.isocalendar()[1]:
                day += datetime.timedelta(7)  # this week's is `this Friday`; next Friday is next week's
            elif before == "last":
                day -= datetime.timedelta(7)
            yield _found(day, said[i - 1] if before in ("next", "last", "this", "on") else said[i], said[i])
        elif word in ("today", "tomorrow", "yesterday"):
            shift = {"today": 0, "tomorrow": 1, "yesterday": -1}[word]
            first = i
            if text[max(i - 2, 0) : i] in (["day", "after"], ["day", "before"]):
                shift += 1 if text[i - 1] == "after" else -1
                first = i - 2
            yield _found(today + datetime.timedelta(shift), said[first], said[i])
        elif word in _SPANS and (count := _count(text, i)) is not None:
            days = _SPANS[word] * count[0]
            after = text[i + 1] if i + 1 < len(text) else ""
            first_at = i - count[1]
            if after == "ago":
                yield _found(today - datetime.timedelta(days), said[first_at], said[i + 1])
            elif after == "from" or (first_at and text[first_at - 1] == "in"):
                yield _found(today + datetime.timedelta(days), said[max(first_at - 1, 0)], said[i])
    if asked and not any(word in _SHORT for word in text):
        for i in range(len(text)):
            day_of_month, used = _ordinal(text, i)
            if used and (i == 0 or not _ordinal(text, i - 1)[1]) and (near := _nearest_day(day_of_month, today)):
                yield _found(near, said[i], said[i + used - 1])


def _month(said: list[Token], text: list[str], i: int, today: datetime.date) -> Iterator[FoundDate]:
    """A date around the month's name at `i`: `third of december`, `december 3rd`, `3 dec 2026`."""
    month, first, last = _SHORT[text[i]], i, i
    day = 0
    at = i - 2 if i >= 2 and text[i - 1] == "of" else i - 1
    for width in (2, 1):
        start = at - width + 1
        if start >= 0:
            value, used = _day(text, start)
            if used == width:
                day, first = value, start
                break
    if not day:
        start = i + 2 if text[i + 1 : i + 2] == ["the"] else i + 1
        day, used = _day(text, start)
        last = start + used - 1 if used else i
    if not day:
        return
    year, used = _year(text, last + 1 if last > i else i + 1)
    end = (last if last > i else i) + used
    if year:
        yield from _made(year, month, day, said[first].start, said[end].end)
    elif near := _nearest(month, day, today):
        yield FoundDate(near, said[first].start, said[end].end)


def _day(text: list[str], i: int) -> tuple[int, int]:
    """A day of the month at `i` and how many words it takes: ordinal, or a cardinal up to 31."""
    day, used = _ordinal(text, i)
    if used:
        return day, used
    if i < len(text) and text[i].isdecimal() and 1 <= int(text[i][:4]) <= 31:
        return int(text[i]), 2 if text[i + 1 : i + 2] in (["st"], ["nd"], ["rd"], ["th"]) else 1
    if i < len(text):
        options = [(int(d), n) for d, n, _ in cardinals(text, i) if len(d) <= 2 and 1 <= int(d) <= 31 and n <= 2]
        return max(options, key=lambda option: option[1], default=(0, 0))
    return 0, 0


def _ordinal(text: list[str], i: int) -> tuple[int, int]:
    if i >= len(text):
        return 0, 0
    if text[i] in _ORDINALS:
        return _ORDINALS[text[i]], 1
    if text[i] in ("twenty", "thirty") and i + 1 < len(text) and 1 <= (unit := _ORDINALS.get(text[i + 1], 0)) <= 9:
        return {"twenty": 20, "thirty": 30}[text[i]] + unit, 2
    if text[i].isdecimal() and len(text[i]) <= 2 and text[i + 1 : i + 2] in (["st"], ["nd"], ["rd"], ["th"]):
        return int(text[i]), 2
    return 0, 0


def _day_near(text: list[str], i: int) -> bool:
    """Whether the word at `i` (`may`) has a day of the month beside it."""
    before = i - 2 if i >= 2 and text[i - 1] == "of" else i - 1
    return (before >= 0 and _day(text, before)[1] > 0) or _day(text, i + 1)[1] > 0


def _year(text: list[str], i: int) -> tuple[int, int]:
    """A year from 1900 to 2099 at `i`: `2026`, `twenty twenty six`, `nineteen eighty four`."""
    if i < len(text) and text[i].isdecimal():
        return (int(text[i]), 1) if len(text[i]) == 4 and 1900 <= int(text[i]) <= 2099 else (0, 0)
    options = [(int(d), n) for d, n, _ in (cardinals(text, i) if i < len(text) else ()) if d.isdecimal()]
    for value, used in sorted(options, key=lambda option: -option[1]):
        if 1900 <= value <= 2099:
            return value, used
        if value in (19, 20) and i + used < len(text):
            for rest, rest_used, _ in sorted(cardinals(text, i + used), key=lambda option: -option[1]):
                if len(rest) == 2:
                    return value * 100 + int(rest), used + rest_used
    return 0, 0


def _count(text: list[str], i: int) -> tuple[int, int] | None:
    """The number right before `i` and its words: `two`, `a`, `a couple of`."""
    if text[max(i - 3, 0) : i] == ["a", "couple", "of"]:
        return 2, 3
    if i and text[i - 1] in ("a", "one"):
        return 1, 1
    for start in (i - 2, i - 1):
        if start >= 0:
            for digits, used, _ in cardinals(text, start):
                if start + used == i and len(digits) <= 3:
                    return int(digits), used
            if start == i - 1 and text[start].isdecimal() and len(text[start]) <= 3:
                return int(text[start]), 1
    return None


def _nearest(month: int, day: int, today: datetime.date) -> datetime.date | None:
    options = [made.day for year in (-1, 0, 1) for made in _made(today.year + year, month, day, 0, 0)]
    return min(options, key=lambda option: (abs((option - today).days), option < today), default=None)


def _nearest_day(day: int, today: datetime.date) -> datetime.date | None:
    months = [
        ((today.month - 1 + shift) % 12 + 1, today.year + (today.month - 1 + shift) // 12) for shift in (-1, 0, 1)
    ]
    options = [made.day for month, year in months for made in _made(year, month, day, 0, 0)]
    return min(options, key=lambda option: (abs((option - today).days), option < today), default=None)


def _made(year: int, month: int, day: int, start: int, end: int) -> Iterator[FoundDate]:
    try:
        yield FoundDate(datetime.date(year, month, day), start, end)
    except ValueError:
        return


def _found(day: datetime.date, first: Token, last: Token) -> FoundDate:
    return FoundDate(day, first.start, last.end)

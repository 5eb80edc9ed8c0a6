"""Opening hours: week days and times in a time zone, less the days on which the place is closed.

Whether it is open is asked of the clock on the wall there, so a day with a changed clock needs no care: in the hour
that comes twice it is open twice, and the hour that is left out opens nothing. Times that end before they begin run
past midnight and belong to the day they began on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_OPENING = re.compile(
    r"(?P<first>[a-z]{3})(?:\s*-\s*(?P<last>[a-z]{3}))?\s+"
    r"(?P<begin>[0-9]{1,2}:[0-9]{2})\s*-\s*(?P<end>[0-9]{1,2}:[0-9]{2})"
)
_CLOSURE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:\s*\.\.\s*([0-9]{4}-[0-9]{2}-[0-9]{2}))?")
_YEARLY = re.compile(r"([0-9]{2})-([0-9]{2})")


@dataclass(frozen=True, slots=True)
class Opening:
    """Open on these days of the week (0 is Monday) from `begin` to before `end`, in minutes since midnight. `end` is
    past 1,440 where it lies on the day after."""

    days: frozenset[int]
    begin_min: int
    end_min: int


@dataclass(frozen=True, slots=True)
class Closure:
    """Closed from `first` to `last`, both included; `yearly`: only month and day count."""

    first: date
    last: date
    yearly: bool = False

    def covers(self, day: date) -> bool:
        if self.yearly:
            return (day.month, day.day) == (self.first.month, self.first.day)
        return self.first <= day <= self.last


@dataclass(frozen=True, slots=True)
class Hours:
    """One set of opening hours of a plan."""

    zone: ZoneInfo
    openings: tuple[Opening, ...]
    closures: tuple[Closure, ...] = ()

    def is_open(self, at: datetime) -> bool:
        """Whether it is open at `at` (with a zone)."""
        local = at.astimezone(self.zone)
        minute = local.hour * 60 + local.minute
        today, yesterday = local.date(), local.date() - timedelta(days=1)
        return self._covers(today, minute) or self._covers(yesterday, minute + 24 * 60)

    def _covers(self, day: date, minute: int) -> bool:
        if any(closure.covers(day) for closure in self.closures):
            return False
        return any(
            day.weekday() in opening.days and opening.begin_min <= minute < opening.end_min for opening in self.openings
        )


def read_opening(text: str) -> Opening | str:
    """`mon-fri 09:00-18:00`, `sat 10:00-14:00`, `fri 22:00-06:00`; or, where it is none, what is wrong with it."""
    match = _OPENING.fullmatch(text.strip().lower())
    if match is None:
        return "is not days and times"
    first, last = match["first"], match["last"] or match["first"]
    for day in (first, last):
        if day not in WEEKDAYS:
            return f"names no day of the week ({day})"
    count = (WEEKDAYS.index(last) - WEEKDAYS.index(first)) % 7 + 1
    days = frozenset((WEEKDAYS.index(first) + step) % 7 for step in range(count))
    begin, end = _minutes(match["begin"]), _minutes(match["end"])
    if begin is None or end is None or begin == 24 * 60:
        return "holds a time that no clock shows"
    if begin == end:
        return "begins and ends at the same time"
    return Opening(days, begin, end if end > begin else end + 24 * 60)


def read_closure(text: str) -> Closure | str:
    """`2026-12-25`, `2026-12-24..2027-01-01`, or `12-25` for every year; or what is wrong with it."""
    try:
        if match := _YEARLY.fullmatch(text.strip()):
            day = date(2000, int(match[1]), int(match[2]))  # a leap year, so that 02-29 is a day
            return Closure(day, day, yearly=True)
        if match := _CLOSURE.fullmatch(text.strip()):
            first = date.fromisoformat(match[1])
            last = date.fromisoformat(match[2]) if match[2] else first
            return Closure(first, last) if first <= last else "ends before it begins"
    except ValueError:
        return "is a day that no calendar has"
    return "is not a date"


def _minutes(text: str) -> int | None:
    hour, minute = (int(part) for part in text.split(":"))
    if (hour, minute) == (24, 0):
        return 24 * 60
    try:
        at = time(hour, minute)
    except ValueError:
        return None
    return at.hour * 60 + at.minute

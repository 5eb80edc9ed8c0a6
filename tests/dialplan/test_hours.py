"""Opening hours by the clock on the wall, on days when that clock is changed and on days when the place is closed."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from offhook.dialplan.hours import Closure, Hours, Opening, read_closure, read_opening

BERLIN = ZoneInfo("Europe/Berlin")


def hours(*openings: str, closures: tuple[str, ...] = (), zone: ZoneInfo = BERLIN) -> Hours:
    read = tuple(opening for text in openings if isinstance(opening := read_opening(text), Opening))
    shut = tuple(closure for text in closures if isinstance(closure := read_closure(text), Closure))
    assert (len(read), len(shut)) == (len(openings), len(closures))
    return Hours(zone, read, shut)


def local(text: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-11-23 08:59", False),  # Monday
        ("2026-11-23 09:00", True),
        ("2026-11-23 17:59", True),
        ("2026-11-23 18:00", False),
        ("2026-11-28 10:00", True),  # Saturday
        ("2026-11-28 14:00", False),
        ("2026-11-29 11:00", False),  # Sunday
    ],
)
def test_open_from_the_first_minute_to_before_the_last(at: str, expected: bool) -> None:
    assert hours("mon-fri 09:00-18:00", "sat 10:00-14:00").is_open(local(at)) is expected


def test_open_is_told_by_the_clock_there_in_summer_and_winter() -> None:
    office = hours("mon-sun 09:00-10:00")
    assert office.is_open(datetime(2026, 7, 1, 7, 30, tzinfo=UTC))
    assert not office.is_open(datetime(2026, 7, 1, 8, 30, tzinfo=UTC))
    assert office.is_open(datetime(2026, 12, 1, 8, 30, tzinfo=UTC))
    assert not office.is_open(datetime(2026, 12, 1, 7, 30, tzinfo=UTC))


def test_the_hour_that_comes_twice_is_open_twice() -> None:
    night = hours("sun 02:00-03:00")
    first, second = local("2026-10-25 02:30"), local("2026-10-25 02:30", fold=1)
    assert (second.astimezone(UTC) - first.astimezone(UTC)).total_seconds() == 3600
    assert night.is_open(first) and night.is_open(second)
    assert not night.is_open(datetime(2026, 10, 25, 2, 0, tzinfo=UTC))  # three o'clock there


def test_the_hour_that_is_left_out_opens_nothing_and_breaks_nothing() -> None:
    night = hours("sun 02:00-03:00")
    assert not night.is_open(datetime(2026, 3, 29, 0, 59, tzinfo=UTC))  # 01:59
    assert not night.is_open(datetime(2026, 3, 29, 1, 0, tzinfo=UTC))  # 03:00
    day = hours("sun 01:00-04:00")
    assert day.is_open(datetime(2026, 3, 29, 0, 30, tzinfo=UTC)) and day.is_open(
        datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    )


def test_hours_past_midnight_belong_to_the_day_they_began_on() -> None:
    bar = hours("fri 22:00-06:00", closures=("2026-11-28",))
    assert bar.is_open(local("2026-11-27 23:00"))
    assert bar.is_open(local("2026-11-28 05:59"))  # Friday's, although Saturday is closed
    assert not bar.is_open(local("2026-11-28 06:00"))
    assert not hours("fri 22:00-06:00", closures=("2026-11-27",)).is_open(local("2026-11-28 05:00"))


def test_a_week_may_run_over_its_end() -> None:
    weekend = hours("sat-mon 10:00-12:00")
    assert [weekend.is_open(local(f"2026-11-{day} 11:00")) for day in (27, 28, 29, 30)] == [False, True, True, True]
    assert not weekend.is_open(local("2026-12-01 11:00"))


def test_all_day_reaches_midnight() -> None:
    always = hours("mon-sun 00:00-24:00")
    assert always.is_open(local("2026-11-29 23:59")) and always.is_open(local("2026-11-30 00:00"))


def test_closures_close_one_day_several_days_and_a_day_each_year() -> None:
    office = hours("mon-sun 09:00-18:00", closures=("2026-08-31", "2026-12-24..2027-01-02", "05-01", "02-29"))
    closed = ["2026-08-31", "2026-12-24", "2026-12-31", "2027-01-02", "2026-05-01", "2031-05-01", "2028-02-29"]
    opened = ["2027-08-31", "2026-12-23", "2027-01-03", "2026-05-02", "2027-02-28"]
    assert not any(office.is_open(local(f"{day} 12:00")) for day in closed)
    assert all(office.is_open(local(f"{day} 12:00")) for day in opened)


@pytest.mark.parametrize(
    "text", ["", "mon", "mon 9-17", "mon-fri", "mon 24:00-25:00", "mon 09:60-10:00", "mo 09:00-10:00"]
)
def test_what_is_no_opening_time_is_told_in_words(text: str) -> None:
    assert isinstance(read_opening(text), str)

"""The front desk's tools, over a small SQLite calendar that is made when first used.

An example to take apart: appointments last half an hour, on weekdays, in three parts of the day. The calendar begins
with a few appointments (numbers 3101 to 3106), set on the next working days; each function gives back JSON with a
`status`, by which the agent's file chooses what to say.
"""

from __future__ import annotations

import csv
import datetime
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DAYS_AHEAD = 92
TIMES = {
    "morning": ("8:00", "8:30", "9:00", "9:30", "10:00", "10:30"),
    "midday": ("11:00", "11:30"),
    "afternoon": ("14:00", "14:30", "15:00", "15:30", "16:00", "16:30", "17:00", "17:30"),
}
_FIRST = (
    ("3101", "Hanna Becker", 1, "9:00"),
    ("3102", "Samuel Osei", 1, "9:30"),
    ("3103", "Julia Romano", 2, "14:00"),
    ("3104", "Frank Novak", 3, "8:00"),
    ("3105", "Mei Tanaka", 4, "11:00"),
    ("3106", "Otto Lind", 5, "16:30"),
)
"""Number, name, how many working days from today, time."""

_TABLES = """
CREATE TABLE IF NOT EXISTS appointments (
    number TEXT PRIMARY KEY, name TEXT NOT NULL, day TEXT NOT NULL, time TEXT NOT NULL, UNIQUE (day, time)
);
CREATE TABLE IF NOT EXISTS repeats (patient TEXT NOT NULL, ordered TEXT NOT NULL);
"""


def book(name: str, day: str, part: str, home: Path | None = None) -> dict[str, str]:
    """Book the first free time of `part` (morning, midday, afternoon) of `day` (ISO date) for `name`: `booked` with
    `day`, `time` and `number`; `full` with the next free `day` and `time`; `closed`, `past`, `too-far`."""
    wanted = datetime.date.fromisoformat(day)
    with _calendar(home) as calendar:
        if refused := _refused(wanted):
            return {"status": refused}
        time = _free(calendar, wanted, TIMES[part])
        if time is None:
            return {"status": "full", **_next_free(calendar, wanted)}
        last = calendar.execute("SELECT MAX(CAST(number AS INTEGER)) FROM appointments").fetchone()[0]
        number = str(max(3106, int(last or 0)) + 1)
        calendar.execute("INSERT INTO appointments VALUES (?, ?, ?, ?)", (number, name, wanted.isoformat(), time))
    return {"status": "booked", "day": wanted.isoformat(), "time": _spoken(time), "number": " ".join(number)}


def move(appointment: str, day: str, home: Path | None = None) -> dict[str, str]:
    """Move `appointment` to the same part of another `day`, or to any free time of it: `moved` with `day` and `time`,
    `full` with the next free ones, `closed`, `past`, `too-far`, `not-found`."""
    wanted = datetime.date.fromisoformat(day)
    with _calendar(home) as calendar:
        row = calendar.execute("SELECT time FROM appointments WHERE number = ?", (appointment,)).fetchone()
        if row is None:
            return {"status": "not-found"}
        if refused := _refused(wanted):
            return {"status": refused}
        part = next(times for times in TIMES.values() if row["time"] in times)
        time = _free(calendar, wanted, part) or _free(calendar, wanted, _all_times())
        if time is None:
            return {"status": "full", **_next_free(calendar, wanted)}
        calendar.execute(
            "UPDATE appointments SET day = ?, time = ? WHERE number = ?", (wanted.isoformat(), time, appointment)
        )
    return {"status": "moved", "day": wanted.isoformat(), "time": _spoken(time)}


def cancel(appointment: str, home: Path | None = None) -> dict[str, str]:
    """Take `appointment` out of the calendar: `cancelled`, `past` or `not-found`."""
    known = look_up(appointment, home)
    if known["status"] != "found":
        return known
    with _calendar(home) as calendar:
        calendar.execute("DELETE FROM appointments WHERE number = ?", (appointment,))
    return {"status": "cancelled"}


def look_up(appointment: str, home: Path | None = None) -> dict[str, str]:
    """When `appointment` is: `found` or `past` with `day` and `time`, or `not-found`."""
    with _calendar(home) as calendar:
        row = calendar.execute("SELECT day, time FROM appointments WHERE number = ?", (appointment,)).fetchone()
    if row is None:
        return {"status": "not-found"}
    status = "past" if row["day"] < datetime.date.today().isoformat() else "found"
    return {"status": status, "day": row["day"], "time": _spoken(row["time"])}


def prescription(patient: str, pickup: str, home: Path | None = None) -> dict[str, str]:
    """Repeat a patient's prescription: `ordered` with the `day` it is ready, `too-early` with the `day` from which it
    can be, `see-doctor`, `not-found`."""
    today = datetime.date.today()
    with (Path(__file__).parent / "patients.csv").open(encoding="utf-8", newline="") as file:
        known = {row["patient"]: row for row in csv.DictReader(file)}
    if patient not in known:
        return {"status": "not-found"}
    row = known[patient]
    if row["repeat"] != "yes":
        return {"status": "see-doctor"}
    with _calendar(home) as calendar:
        ordered = calendar.execute("SELECT MAX(ordered) FROM repeats WHERE patient = ?", (patient,)).fetchone()[0]
        days_ago = (today - datetime.date.fromisoformat(ordered)).days if ordered else int(row["last_days_ago"])
        left = int(row["lasts_days"]) - days_ago
        if left > 7:
            return {"status": "too-early", "day": (today + datetime.timedelta(left - 7)).isoformat()}
        calendar.execute("INSERT INTO repeats VALUES (?, ?)", (patient, today.isoformat()))
    ready = today + datetime.timedelta(1 if pickup == "desk" else 2)
    return {"status": "ordered", "day": ready.isoformat()}


def _refused(day: datetime.date) -> str | None:
    """Why nobody can come on `day`; None where they can."""
    today = datetime.date.today()
    if day < today:
        return "past"
    if (day - today).days > DAYS_AHEAD:
        return "too-far"
    return "closed" if day.weekday() >= 5 else None


def _free(calendar: sqlite3.Connection, day: datetime.date, times: tuple[str, ...]) -> str | None:
    rows = calendar.execute("SELECT time FROM appointments WHERE day = ?", (day.isoformat(),))
    taken = {row["time"] for row in rows}
    return next((time for time in times if time not in taken), None)


def _next_free(calendar: sqlite3.Connection, day: datetime.date) -> dict[str, str]:
    for away in range(DAYS_AHEAD):
        later = day + datetime.timedelta(away)
        if later.weekday() < 5 and (time := _free(calendar, later, _all_times())):
            return {"day": later.isoformat(), "time": _spoken(time)}
    return {"day": "", "time": ""}


def _all_times() -> tuple[str, ...]:
    return tuple(time for times in TIMES.values() for time in times)


def _spoken(time: str) -> str:
    """`14:30` as a voice should say it: `2 30 PM`."""
    hour, minute = (int(part) for part in time.split(":"))
    return f"{(hour - 1) % 12 + 1}{f' {minute}' if minute else ''} {'AM' if hour < 12 else 'PM'}"


@contextmanager
def _calendar(home: Path | None) -> Iterator[sqlite3.Connection]:
    """The practice's calendar under `home`, made where needed; committed when left without error."""
    folder = (home or Path(os.environ.get("OFFHOOK_HOME", "var"))) / "clinic"
    folder.mkdir(parents=True, exist_ok=True)
    calendar = sqlite3.connect(folder / "calendar.db", timeout=2.0)
    try:
        calendar.row_factory = sqlite3.Row
        calendar.executescript(_TABLES)
        with calendar:
            calendar.execute("BEGIN IMMEDIATE")
            if calendar.execute("SELECT 1 FROM appointments").fetchone() is None:
                for number, name, away, time in _FIRST:
                    day = _working_day(away).isoformat()
                    calendar.execute(
                        "INSERT OR IGNORE INTO appointments VALUES (?, ?, ?, ?)", (number, name, day, time)
                    )
        with calendar:
            yield calendar
    finally:
        calendar.close()


def _working_day(away: int) -> datetime.date:
    """The `away`th working day from tomorrow on."""
    day = datetime.date.today()
    while away:
        day += datetime.timedelta(1)
        away -= day.weekday() < 5
    return day

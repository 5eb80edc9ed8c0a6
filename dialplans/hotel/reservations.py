"""The hotel's tools, over a small SQLite book of reservations that is made when first used.

An example to take apart: a dozen rooms of three kinds; a booking holds one of its kind for its nights. The book begins
with five bookings around today; each function gives back JSON with a `status`, by which the agent's file chooses what
to say.
"""

from __future__ import annotations

import csv
import datetime
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DAYS_AHEAD = 365
DAYS_TO_CANCEL = 2
ROOMS = {"single": 4, "double": 6, "suite": 2}
PRICES = {"single": 89, "double": 129, "suite": 240}

_TABLES = """
CREATE TABLE IF NOT EXISTS bookings (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL, room TEXT NOT NULL, arrival TEXT NOT NULL, departure TEXT NOT NULL,
    cancelled INTEGER NOT NULL DEFAULT 0
);
"""


def book(arrival: str, nights: float, room: str, name: str, home: Path | None = None) -> dict[str, str]:
    """Book a `room` (single, double, suite) from `arrival` (ISO date): `booked` with `number` and `price`, `full`,
    `past`, `too-far`."""
    first = datetime.date.fromisoformat(arrival)
    last = first + datetime.timedelta(int(nights))
    with _book(home) as bookings:
        if refused := _refused(bookings, first, last, room):
            return {"status": refused}
        cursor = bookings.execute(
            "INSERT INTO bookings (name, room, arrival, departure) VALUES (?, ?, ?, ?)",
            (name, room, first.isoformat(), last.isoformat()),
        )
        number = cursor.lastrowid or 0
    return {"status": "booked", "number": " ".join(str(number)), "price": str(PRICES[room] * int(nights))}


def change(booking: str, arrival: str, home: Path | None = None) -> dict[str, str]:
    """Move a booking, with as many nights, to another `arrival` (ISO date): `changed` with `day` and `nights`, `full`,
    `past`, `too-far`, `not-found`."""
    first = datetime.date.fromisoformat(arrival)
    with _book(home) as bookings:
        row = _known(bookings, booking)
        if row is None or row["cancelled"]:
            return {"status": "not-found"}
        last = first + datetime.timedelta(_nights(row))
        if refused := _refused(bookings, first, last, row["room"], besides=int(booking)):
            return {"status": refused}
        bookings.execute(
            "UPDATE bookings SET arrival = ?, departure = ? WHERE number = ?",
            (first.isoformat(), last.isoformat(), int(booking)),
        )
    return {"status": "changed", "day": first.isoformat(), "nights": _said(_nights(row))}


def cancel(booking: str, home: Path | None = None) -> dict[str, str]:
    """Cancel a booking: `cancelled`, `late` where the first night has to be paid, `already`, `past`, `not-found`."""
    with _book(home) as bookings:
        row = _known(bookings, booking)
        if row is None:
            return {"status": "not-found"}
        if row["cancelled"]:
            return {"status": "already"}
        ahead = (datetime.date.fromisoformat(row["arrival"]) - datetime.date.today()).days
        if ahead < 0:
            return {"status": "past"}
        bookings.execute("UPDATE bookings SET cancelled = 1 WHERE number = ?", (int(booking),))
    return {"status": "cancelled" if ahead >= DAYS_TO_CANCEL else "late"}


def look_up(booking: str, home: Path | None = None) -> dict[str, str]:
    """What is booked: `found` with `room`, `day` and `nights`, `cancelled`, `not-found`."""
    with _book(home) as bookings:
        row = _known(bookings, booking)
    if row is None:
        return {"status": "not-found"}
    if row["cancelled"]:
        return {"status": "cancelled"}
    room = {"single": "a single room", "double": "a double room", "suite": "a suite"}[row["room"]]
    return {"status": "found", "room": room, "day": row["arrival"], "nights": _said(_nights(row))}


def _known(bookings: sqlite3.Connection, booking: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = bookings.execute("SELECT * FROM bookings WHERE number = ?", (int(booking),)).fetchone()
    return row


def _nights(row: sqlite3.Row) -> int:
    return (datetime.date.fromisoformat(row["departure"]) - datetime.date.fromisoformat(row["arrival"])).days


def _said(nights: int) -> str:
    return "one night" if nights == 1 else f"{nights} nights"


def _refused(
    bookings: sqlite3.Connection, first: datetime.date, last: datetime.date, room: str, besides: int = 0
) -> str | None:
    """Why nobody can have a `room` from `first` to `last`; None where they can. `besides`: a booking not to count."""
    today = datetime.date.today()
    if first < today:
        return "past"
    if (first - today).days > DAYS_AHEAD:
        return "too-far"
    night = first
    while night < last:
        taken = bookings.execute(
            "SELECT COUNT(*) FROM bookings WHERE room = ? AND arrival <= ? AND departure > ? AND NOT cancelled "
            "AND number != ?",
            (room, night.isoformat(), night.isoformat(), besides),
        ).fetchone()[0]
        if taken >= ROOMS[room]:
            return "full"
        night += datetime.timedelta(1)
    return None


@contextmanager
def _book(home: Path | None) -> Iterator[sqlite3.Connection]:
    """The hotel's book under `home`, made where needed; committed when left without error."""
    folder = (home or Path(os.environ.get("OFFHOOK_HOME", "var"))) / "hotel"
    folder.mkdir(parents=True, exist_ok=True)
    bookings = sqlite3.connect(folder / "book.db", timeout=2.0)
    try:
        bookings.row_factory = sqlite3.Row
        bookings.executescript(_TABLES)
        with bookings:
            bookings.execute("BEGIN IMMEDIATE")
            if bookings.execute("SELECT 1 FROM bookings").fetchone() is None:
                _fill(bookings)
        with bookings:
            yield bookings
    finally:
        bookings.close()


def _fill(bookings: sqlite3.Connection) -> None:
    with (Path(__file__).parent / "bookings.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            arrival = datetime.date.today() + datetime.timedelta(int(row["arrives_in_days"]))
            departure = arrival + datetime.timedelta(int(row["nights"]))
            bookings.execute(
                "INSERT INTO bookings (number, name, room, arrival, departure) VALUES (?, ?, ?, ?, ?)",
                (int(row["number"]), row["name"], row["room"], arrival.isoformat(), departure.isoformat()),
            )

"""The card desk's tools, over a small SQLite bank of eight cards that is made when first used.

An example to take apart: a card is known here by its last four digits alone, as a caller may say them aloud; a real
bank would also know who is calling. Each function gives back JSON with a `status`, by which the agent's file chooses
what to say.
"""

from __future__ import annotations

import csv
import datetime
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DAYS_BY_MAIL = 5
DISPUTE_DAYS = 120

_TABLES = """
CREATE TABLE IF NOT EXISTS cards (
    card TEXT PRIMARY KEY, customer TEXT NOT NULL UNIQUE, name TEXT NOT NULL, born TEXT NOT NULL,
    spend_limit REAL NOT NULL, most REAL NOT NULL, new_card TEXT NOT NULL, new_card_day INTEGER NOT NULL,
    blocked TEXT
);
CREATE TABLE IF NOT EXISTS disputes (
    number INTEGER PRIMARY KEY, card TEXT NOT NULL REFERENCES cards (card), amount REAL NOT NULL, day TEXT NOT NULL,
    UNIQUE (card, amount, day)
);
"""


def block_card(card: str, home: Path | None = None) -> dict[str, str]:
    """Block the card ending in `card`: `blocked` with the `day` its successor comes, `already` or `not-found`."""
    with _bank(home) as bank:
        row = bank.execute("SELECT blocked FROM cards WHERE card = ?", (card,)).fetchone()
        if row is None:
            return {"status": "not-found"}
        if row["blocked"]:
            return {"status": "already"}
        bank.execute("UPDATE cards SET blocked = ? WHERE card = ?", (datetime.date.today().isoformat(), card))
    return {"status": "blocked", "day": _day(DAYS_BY_MAIL)}


def card_arrival(customer: str, home: Path | None = None) -> dict[str, str]:
    """Where a customer's new card is: `sent` (with `sent`), `making`, `late`, `delivered`, each with `day`; `none` or
    `not-found`."""
    with _bank(home) as bank:
        row = bank.execute("SELECT new_card, new_card_day FROM cards WHERE customer = ?", (customer,)).fetchone()
    if row is None:
        return {"status": "not-found"}
    match row["new_card"]:
        case "sent":
            sent = int(row["new_card_day"])
            return {"status": "sent", "sent": _day(sent), "day": _day(max(1, sent + DAYS_BY_MAIL))}
        case "making":
            return {"status": "making", "day": _day(2 + DAYS_BY_MAIL)}
        case "late":
            return {"status": "late", "day": _day(DAYS_BY_MAIL)}
        case "delivered":
            return {"status": "delivered", "day": _day(int(row["new_card_day"]))}
    return {"status": "none"}


def new_pin(card: str, birth: str, home: Path | None = None) -> dict[str, str]:
    """Send a PIN for `card` where `birth` (ISO date) is its owner's: `sent` with `day`, `blocked`, `mismatch`,
    `not-found`."""
    with _bank(home) as bank:
        row = bank.execute("SELECT born, blocked FROM cards WHERE card = ?", (card,)).fetchone()
    if row is None:
        return {"status": "not-found"}
    if row["born"] != birth:
        return {"status": "mismatch"}
    if row["blocked"]:
        return {"status": "blocked"}
    return {"status": "sent", "day": _day(DAYS_BY_MAIL)}


def dispute(card: str, amount: float, day: str, home: Path | None = None) -> dict[str, str]:
    """Open a dispute about `amount` charged on `day` (ISO date): `opened` or `already` with its `number`, `too-old`,
    `too-early`, `not-found`."""
    age = (datetime.date.today() - datetime.date.fromisoformat(day)).days
    with _bank(home) as bank:
        if bank.execute("SELECT 1 FROM cards WHERE card = ?", (card,)).fetchone() is None:
            return {"status": "not-found"}
        if age < 0:
            return {"status": "too-early"}
        if age > DISPUTE_DAYS:
            return {"status": "too-old"}
        same = (card, round(amount, 2), day)
        row = bank.execute("SELECT number FROM disputes WHERE card = ? AND amount = ? AND day = ?", same).fetchone()
        if row is not None:
            return {"status": "already", "number": _spoken(row["number"])}
        number = bank.execute("INSERT INTO disputes (card, amount, day) VALUES (?, ?, ?)", same).lastrowid or 0
    return {"status": "opened", "number": _spoken(number)}


def replace_card(card: str, reason: str, home: Path | None = None) -> dict[str, str]:
    """Order a new card for a damaged one: `ordered` with `day`, `blocked`, `not-found`."""
    with _bank(home) as bank:
        row = bank.execute("SELECT blocked FROM cards WHERE card = ?", (card,)).fetchone()
        if row is None:
            return {"status": "not-found"}
        if row["blocked"]:
            return {"status": "blocked"}
        bank.execute("UPDATE cards SET new_card = 'making', new_card_day = 0 WHERE card = ?", (card,))
    return {"status": "ordered", "day": _day(DAYS_BY_MAIL + (2 if reason == "misprinted" else 0))}


def set_limit(card: str, limit: float, home: Path | None = None) -> dict[str, str]:
    """Change the limit of `card`: `changed`, `too-high` with the `most` it may have, `blocked`, `not-found`."""
    with _bank(home) as bank:
        row = bank.execute("SELECT most, blocked FROM cards WHERE card = ?", (card,)).fetchone()
        if row is None:
            return {"status": "not-found"}
        if row["blocked"]:
            return {"status": "blocked"}
        if limit > row["most"]:
            return {"status": "too-high", "most": f"{row['most']:.0f}"}
        bank.execute("UPDATE cards SET spend_limit = ? WHERE card = ?", (limit, card))
    return {"status": "changed"}


def _day(away: int) -> str:
    return (datetime.date.today() + datetime.timedelta(away)).isoformat()


def _spoken(number: int) -> str:
    return " ".join(f"{7000 + number}")


@contextmanager
def _bank(home: Path | None) -> Iterator[sqlite3.Connection]:
    """The bank's database under `home`, made where needed; committed when left without error."""
    folder = (home or Path(os.environ.get("OFFHOOK_HOME", "var"))) / "bank-cards"
    folder.mkdir(parents=True, exist_ok=True)
    bank = sqlite3.connect(folder / "bank.db", timeout=2.0)
    try:
        bank.row_factory = sqlite3.Row
        bank.executescript(_TABLES)
        with bank:
            bank.execute("BEGIN IMMEDIATE")
            if bank.execute("SELECT 1 FROM cards").fetchone() is None:
                _fill(bank)
        with bank:
            yield bank
    finally:
        bank.close()


def _fill(bank: sqlite3.Connection) -> None:
    with (Path(__file__).parent / "cards.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            bank.execute("INSERT INTO cards VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)", tuple(row.values()))

"""The order desk's tools, over a small SQLite shop of 30 orders that is made when first used.

An example to take apart: each function takes what its tool's `input` says and gives back JSON with a `status`, by which
the agent's file chooses what to say. The days of the example's orders move along with the calendar, so that it never
grows old; returns and cancellations stay.
"""

from __future__ import annotations

import csv
import datetime
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RETURN_DAYS = 30

_TABLES = """
CREATE TABLE IF NOT EXISTS orders (
    number TEXT PRIMARY KEY, name TEXT NOT NULL, items TEXT NOT NULL, status TEXT NOT NULL, carrier TEXT NOT NULL,
    ordered TEXT NOT NULL, due TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS returns (
    number TEXT PRIMARY KEY REFERENCES orders (number), reason TEXT NOT NULL, registered TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS seeded (day TEXT NOT NULL);
"""


def order_status(order: str, home: Path | None = None) -> dict[str, str]:
    """Where order `order` (four digits) is: `status`, `day` (ISO date), `carrier`, `items`."""
    with _shop(home) as shop:
        row = shop.execute("SELECT * FROM orders WHERE number = ?", (order,)).fetchone()
    if row is None:
        return {"status": "not-found"}
    return {"status": row["status"], "day": row["due"], "carrier": row["carrier"], "items": row["items"]}


def return_order(order: str, reason: str, home: Path | None = None) -> dict[str, str]:
    """Register that `order` comes back: `registered`, `already`, `not-delivered`, `too-old` or `not-found`."""
    today = datetime.date.today()
    with _shop(home) as shop:
        row = shop.execute("SELECT status, due FROM orders WHERE number = ?", (order,)).fetchone()
        if row is None:
            return {"status": "not-found"}
        if shop.execute("SELECT 1 FROM returns WHERE number = ?", (order,)).fetchone():
            return {"status": "already"}
        if row["status"] != "delivered":
            return {"status": "not-delivered"}
        if (today - datetime.date.fromisoformat(row["due"])).days > RETURN_DAYS:
            return {"status": "too-old"}
        shop.execute("INSERT INTO returns VALUES (?, ?, ?)", (order, reason, today.isoformat()))
    return {"status": "registered"}


def cancel_order(order: str, home: Path | None = None) -> dict[str, str]:
    """Cancel `order` where it has not left: `cancelled`, `too-late`, `already` or `not-found`."""
    with _shop(home) as shop:
        row = shop.execute("SELECT status FROM orders WHERE number = ?", (order,)).fetchone()
        if row is None:
            return {"status": "not-found"}
        if row["status"] == "cancelled":
            return {"status": "already"}
        if row["status"] != "packing":
            return {"status": "too-late"}
        shop.execute("UPDATE orders SET status = 'cancelled' WHERE number = ?", (order,))
    return {"status": "cancelled"}


@contextmanager
def _shop(home: Path | None) -> Iterator[sqlite3.Connection]:
    """The shop's database under `home`, made and brought to today where needed; committed when left without error."""
    folder = (home or Path(os.environ.get("OFFHOOK_HOME", "var"))) / "order-desk"
    folder.mkdir(parents=True, exist_ok=True)
    shop = sqlite3.connect(folder / "shop.db", timeout=2.0)
    try:
        shop.row_factory = sqlite3.Row
        shop.executescript(_TABLES)
        with shop:
            _bring_to_today(shop)
        with shop:
            yield shop
    finally:
        shop.close()


def _bring_to_today(shop: sqlite3.Connection) -> None:
    today = datetime.date.today()
    shop.execute("BEGIN IMMEDIATE")
    seeded = shop.execute("SELECT day FROM seeded").fetchone()
    if seeded is not None and seeded["day"] == today.isoformat():
        return
    with (Path(__file__).parent / "orders.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            days = [(today + datetime.timedelta(int(row[key]))).isoformat() for key in ("ordered", "due")]
            shop.execute(
                "INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (number) DO UPDATE SET ordered = excluded.ordered, due = excluded.due",
                (row["number"], row["name"], row["items"], row["status"], row["carrier"], *days),
            )
    shop.execute("DELETE FROM seeded")
    shop.execute("INSERT INTO seeded VALUES (?)", (today.isoformat(),))

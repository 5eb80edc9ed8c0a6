"""Filling the places in an agent's texts with values as a voice should say them. Decides nothing."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence

from offhook.agents.dates import say_date
from offhook.agents.job import PLACE, Fact, FactType
from offhook.agents.numbers import spoken
from offhook.speech.contract import Json

MOST_SPOKEN = 300
"""Characters of one value that are spoken; the rest of an over-long tool answer is left out."""
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def fill(
    text: str,
    values: Mapping[str, Json],
    needs: Mapping[str, Fact],
    today: datetime.date,
    result: Json = None,
) -> str:
    """`text` with each `{fact}` and `{result.field}` replaced; what is not known is left out."""

    def value(match: re.Match[str]) -> str:
        name, on = match["name"], match["on"] is not None
        if name.startswith("result."):
            return say(_field(result, name.removeprefix("result.")), today, on)
        return say_fact(values.get(name), needs.get(name), today, on)

    filled = PLACE.sub(value, text)
    return re.sub(r"\s+([,.?!])", r"\1", re.sub(r"\s+", " ", filled)).strip()


def say_fact(value: Json, fact: Fact | None, today: datetime.date, on: bool = False) -> str:
    """A fact's value as a voice says it: digits one by one, a choice in its first way, a date by its day."""
    if fact is not None and fact.type is FactType.DIGITS and isinstance(value, str):
        return spoken(value)
    if fact is not None and fact.type is FactType.CHOICE and fact.options and isinstance(value, str):
        ways = fact.options.get(value, ())
        return ways[0] if ways else value.replace("-", " ")
    if fact is not None and fact.type is FactType.MONEY and isinstance(value, int | float):
        return f"{value:.2f}"
    return say(value, today, on)


def say(value: Json, today: datetime.date, on: bool = False) -> str:
    """Any JSON value as a voice says it; ISO dates by their day, lists with `and` before the last."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        if _DATE.fullmatch(value):
            try:
                return say_date(datetime.date.fromisoformat(value), today, on)
            except ValueError:
                return value
        return " ".join(value.split())[:MOST_SPOKEN]
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Sequence):
        parts = [say(item, today) for item in value[:8]]
        return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""
    return ", ".join(f"{key} {say(item, today)}" for key, item in list(value.items())[:6])


def _field(result: Json, path: str) -> Json:
    for part in path.split("."):
        if isinstance(result, Mapping):
            result = result.get(part, result.get(part.replace("-", "_")))
        elif isinstance(result, list | tuple) and part.isdecimal() and int(part) < len(result):
            result = result[int(part)]
        else:
            return None
    return result

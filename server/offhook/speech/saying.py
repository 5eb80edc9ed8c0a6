"""How written words are said: clauses to speak one after the other, and figures, times, dates and money as words.

English only, and only what call-centre sentences hold. It decides nothing about sound; that is `phonemes` and `voice`.
"""

from __future__ import annotations

import re
from datetime import date

LONGEST_TEXT = 2_000
"""Characters; nobody listens to more in one breath, and every pattern below is linear in it."""

_ABBREVIATION = re.compile(r"\b(?:mr|mrs|ms|dr|st|no|vs|etc|e\.g|i\.e)\.$", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.?!])[\"')\]]?\s+")
_CLAUSE_END = re.compile(r"(?<=[,;:–—])\s+|(?<=\s-)\s+")
_FIRST_WORDS = 2
_MORE_WORDS = 4

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_MONTHS = (
    "January February March April May June July August September October November December".split()
)  # fmt: skip
_MONEY = {"$": ("dollar", "cent"), "€": ("euro", "cent"), "£": ("pound", "penny")}
_SIGNS = {"&": " and ", "@": " at ", "%": " percent", "+": " plus ", "=": " equals ", "#": " number "}


def clauses(text: str) -> list[str]:
    """`text` cut where a speaker would breathe: sentences, and a long sentence at its commas.

    The pieces joined with a blank are `text` again but for the blanks. The first piece may be short, so that speech
    begins early; later ones are kept long enough to sound of one breath."""
    pieces: list[str] = []
    for sentence in _sentences(text[:LONGEST_TEXT]):
        parts: list[str] = []
        for part in (found.strip() for found in _CLAUSE_END.split(sentence)):
            least = _FIRST_WORDS if not pieces and len(parts) == 1 else _MORE_WORDS
            if parts and (_words(parts[-1]) < least or _words(part) < _MORE_WORDS):
                parts[-1] = f"{parts[-1]} {part}"
            elif part:
                parts.append(part)
        pieces.extend(parts)
    return pieces


def as_spoken(text: str) -> str:
    """`text` with figures, times, dates, money and signs as the words that are said for them.

    Digits standing apart ("4 1 7 2") are said one by one, as are long runs and runs with a leading zero."""
    text = text[:LONGEST_TEXT].replace("’", "'")
    text = re.sub(r"\b(\d{4})-(\d{2})-(\d{2})\b", _iso_date, text)
    text = re.sub(
        r"([$€£])(\d{1,3}(?:,\d{3})+|\d{1,9})(?:\.(\d{2}))?(?!\d)",
        lambda m: _money(m[1], int(m[2].replace(",", "")), int(m[3] or 0)),
        text,
    )
    text = re.sub(r"\b(\d{1,2}):(\d{2})(?!\d)(?:\s*([ap])(?:m\b|\.m\.))?", _clock, text, flags=re.IGNORECASE)
    text = re.sub(
        r"\b(\d{1,2})\s*([ap])(?:m\b|\.m\.)", lambda m: f"{_cardinal(int(m[1]))} {_half(m[2])}", text, flags=re.I
    )
    text = re.sub(
        rf"\b({'|'.join(_MONTHS)}) (\d{{1,2}})(?:st|nd|rd|th)?(?:,? (\d{{4}}))?\b",
        lambda m: " ".join(filter(None, (m[1], _ordinal(int(m[2])), _year(int(m[3])) if m[3] else ""))),
        text,
    )
    text = re.sub(r"\b(\d{1,4})(?:st|nd|rd|th)\b", lambda m: _ordinal(int(m[1])), text)
    text = re.sub(r"(?<=\d)-(?=\d)", " ", text)
    text = re.sub(r"\b\d(?: \d)+\b", lambda m: _digits(m[0]), text)
    text = re.sub(r"\b\d{1,3}(?:,\d{3})+\b", lambda m: _cardinal(int(m[0].replace(",", ""))), text)
    text = re.sub(
        r"\b(\d{1,9})\.(\d{1,9})\b", lambda m: f"{_cardinal(int(m[1]))} point {_digits(m[2])}", text
    )  # fmt: skip
    text = re.sub(r"\d+", lambda m: f" {_figure(m[0])} ", text)
    text = re.sub(r"[&@%+=#]", lambda m: _SIGNS[m[0]], text)
    text = re.sub(r"[_*/\\|<>{}\[\]()~^`\"]", " ", text)
    text = re.sub(r"\s+([,.;:?!])", r"\1", text)
    return re.sub(r"\s+", " ", text).strip()


def _sentences(text: str) -> list[str]:
    found: list[str] = []
    for piece in _SENTENCE_END.split(text):
        piece = piece.strip()
        if not piece:
            continue
        if found and _ABBREVIATION.search(found[-1]):
            found[-1] = f"{found[-1]} {piece}"
        else:
            found.append(piece)
    return found


def _words(text: str) -> int:
    return len(text.split())


def _digits(run: str) -> str:
    return " ".join(_ONES[int(digit)] for digit in run if digit.isascii() and digit.isdigit())


def _figure(run: str) -> str:
    run = "".join(str(int(digit)) for digit in run)
    if len(run) > 4 or (len(run) > 1 and run[0] == "0"):
        return _digits(run)
    return _cardinal(int(run))


def _cardinal(number: int) -> str:
    for unit, word in ((1_000_000_000, "billion"), (1_000_000, "million"), (1_000, "thousand"), (100, "hundred")):
        if number >= unit:
            rest = number % unit
            return f"{_cardinal(number // unit)} {word}" + (f" {_cardinal(rest)}" if rest else "")
    if number < 20:
        return _ONES[number]
    return _TENS[number // 10] + (f" {_ONES[number % 10]}" if number % 10 else "")


def _ordinal(number: int) -> str:
    *before, last = _cardinal(number).split()
    last = _ORDINALS.get(last) or (last[:-1] + "ieth" if last.endswith("y") else last.removesuffix("t") + "th")
    return " ".join([*before, last])


def _year(year: int) -> str:
    high, low = divmod(year, 100)
    if low == 0 or 2000 <= year < 2010:
        return _cardinal(year)
    return f"{_cardinal(high)} {'oh ' if low < 10 else ''}{_cardinal(low)}"


def _iso_date(match: re.Match[str]) -> str:
    try:
        day = date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return match[0]
    return f"{_MONTHS[day.month - 1]} {_ordinal(day.day)}, {_year(day.year)}"


def _money(sign: str, whole: int, part: int) -> str:
    unit, small = _MONEY[sign]
    said = []
    if whole or not part:
        said.append(f"{_cardinal(whole)} {unit}{'' if whole == 1 else 's'}")
    if part:
        many = "pence" if small == "penny" else small + "s"
        said.append(f"{_cardinal(part)} {small if part == 1 else many}")
    return " and ".join(said)


def _half(letter: str) -> str:
    return "A M" if letter.lower() == "a" else "P M"


def _clock(match: re.Match[str]) -> str:
    hour, minute = int(match[1]), int(match[2])
    if hour > 23 or minute > 59:
        return match[0]
    said = _cardinal(hour)
    if minute:
        said += f" {'oh ' if minute < 10 else ''}{_cardinal(minute)}"
    elif not match[3]:
        said += " o'clock" if 1 <= hour <= 12 else " hundred"
    return f"{said} {_half(match[3])}" if match[3] else said

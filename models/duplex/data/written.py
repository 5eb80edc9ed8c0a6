"""Between what is spoken and what is written: the one spelling in which the duplex model's texts are kept.

`written` gives it for anything: lower case, numbers as digits, words parted by one blank, no punctuation but the
apostrophe and `.`, `:`, `$` inside numbers. `marked_up` goes the other way for a text with figures in it and says how
they are spoken (see `numbers_said` for marks). Ordinals stay words.
"""

from __future__ import annotations

import random
import re

from models.duplex.data.numbers_said import ORDINALS, cardinal, marked, ordinal, said_amount, said_time
from offhook.agents.numbers import REPEATS, TEENS, TENS, UNITS, runs

MOST_CHARACTERS = 600
HESITATIONS = frozenset("um uh er erm hmm hm umm uhm ehm".split())
"""Sounds that are no words; they are spoken and not written."""

_MARK = re.compile(r"<([^~<>]*)~([^<>]*)>")
_HELD = "\x00"
_SCALES = frozenset(("hundred", "thousand"))
_PLAIN = frozenset({*UNITS, *TEENS, *TENS, *_SCALES} - {"o", "oh", "nil", "fife", "nought", "naught"})
_COUNTED = re.compile(
    r"day|week|month|year|hour|minute|night|dollar|pound|euro|cent|percent|person|hundred|thousand|pm|am"
)


def written(text: str) -> str:
    """`text` (marks allowed) as the model writes it. Numbers spoken in words become digits: `four one seven three` is
    `4173`. A lone `one` stays a word unless it counts something."""
    held: list[str] = []

    def hold(match: re.Match[str]) -> str:
        held.append(_spelled(match[2]))
        return f" {_HELD}{len(held) - 1}{_HELD} "

    text = _MARK.sub(hold, text[: 4 * MOST_CHARACTERS].replace(_HELD, " ")).replace("/", " ")
    words = _figures(_spelled(text).split())
    whole = " ".join(held[int(word.strip(_HELD))] if _HELD in word else word for word in words)
    whole = re.sub(r"(?<=\d) ([ap])\.? ?m\b\.?", r" \1m", whole)
    return " ".join(word for word in whole.split() if word not in HESITATIONS).replace("_", " ")[:MOST_CHARACTERS]


def spoken(text: str) -> str:
    """Marked text as it is to be spoken, the places to stop left in as ` / `."""
    text = re.sub(r"\s*/\s*", " / ", _MARK.sub(r"\1", text))
    return " ".join(re.sub(r"\s+([,.?!])", r"\1", text).split())


def _spelled(text: str) -> str:
    """Lower case, without punctuation, `3pm` parted."""
    text = text.lower().replace("’", "'").replace("`", "'").replace("&", " and ").replace("%", " percent ")
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    text = re.sub(r"(?<=\d)([ap])\.?m\b\.?", r" \1m", text)
    text = re.sub(rf"[^\w'.:${_HELD}]|_", " ", text)
    text = re.sub(r"\b(uh|mm|mhm|ah|a) (huh|hm+)\b", r"\1_\2", text)  # no hesitation but a yes
    text = re.sub(r"(?<!\d)[.:]|[.:](?!\d)|\$(?!\d)", " ", text)
    return " ".join(word for word in (word.strip("'") for word in text.split()) if word)


def _figures(words: list[str]) -> list[str]:
    """`words` with numbers in words written as digits."""
    out: list[str] = []
    i = 0
    while i < len(words):
        end = i
        while end < len(words) and _goes_on(words, i, end):
            end += 1
        while end > i and words[end - 1] in ("oh", "o") and end - i == 1:
            end -= 1
        stretch = words[i:end]
        after = words[end] if end < len(words) else ""
        alone = stretch == ["one"] and not (
            _COUNTED.match(after) and (not i or words[i - 1] not in ("the", "that", "this"))
        )
        found = runs(" ".join(stretch)) if stretch and not alone else []
        if found and (found[0].readings[0].digits or "") and len(found) == 1:
            if stretch[0] in _SCALES and out and out[-1] == "a":
                out.pop()
            out.append(found[0].readings[0].digits)
            i = end
        else:
            out += words[i : max(end, i + 1)]
            i = max(end, i + 1)
    return out


def _goes_on(words: list[str], start: int, at: int) -> bool:
    """Whether the number that begins at `start` goes on with the word at `at`."""
    word = words[at]
    after = words[at + 1] if at + 1 < len(words) else ""
    if word in _PLAIN:
        return word not in TENS or after not in ORDINALS  # `twenty third` is none
    if word in REPEATS:
        return after in _PLAIN or after in ("oh", "o")
    if word in ("oh", "o"):
        return at > start or after in UNITS
    return word == "and" and at > start and words[at - 1] in _SCALES and after in _PLAIN


_FIGURE = re.compile(
    r"(?P<money>[$£€]\s?(?P<whole>\d{1,3}(?:,\d{3})+|\d{1,7})(?:\.(?P<cents>\d{2}))?\b)|"
    r"(?P<clock>\b(?P<hour>\d{1,2}):(?P<minute>\d{2})(?:\s?(?P<half>[ap])\.?m\b\.?)?)|"
    r"(?P<hours>\b(?P<at>\d{1,2})\s?(?P<part>[ap])\.?m\b\.?)|"
    r"(?P<ordinal>\b(?P<rank>\d{1,2})(?:st|nd|rd|th)\b)|"
    r"(?P<share>\b(?P<percent>\d{1,3})\s?%)|"
    r"(?P<number>\b\d{1,3}(?:,\d{3})+\b|\b\d{1,12}\b)",
    re.IGNORECASE,
)
UNSAYABLE = re.compile(
    r"[<>~(){}\[\]|@#*\\=+^_]|\d[./-]\d|www|https?|\d(?!(?:st|nd|rd|th|[ap]\.?m)\b)[a-z]|[a-z]\d", re.IGNORECASE
)
"""What a written text may hold that cannot be said with certainty; such texts are left out."""


def marked_up(text: str, rng: random.Random) -> str:
    """A written text with its figures marked with how they are said. Only for texts without UNSAYABLE."""
    return _FIGURE.sub(lambda match: _figure(match, rng), text.replace("/", " or ").replace("’", "'"))


def _figure(match: re.Match[str], rng: random.Random) -> str:
    if match["money"]:
        unit = {"$": "dollars", "£": "pounds", "€": "euros"}[match[0][0]]
        return said_amount(rng, int(match["whole"].replace(",", "")), int(match["cents"] or 0), unit)
    if match["clock"]:
        return said_time(rng, int(match["hour"]), int(match["minute"]), match["half"])
    if match["hours"]:
        return said_time(rng, int(match["at"]), 0, match["part"])
    if match["ordinal"]:
        said = ordinal(max(1, int(match["rank"])))
        return marked(said, said)
    if match["share"]:
        return marked(f"{cardinal(int(match['percent']))} percent", f"{int(match['percent'])} percent")
    digits = match["number"].replace(",", "")
    value = int(digits)
    if len(digits) == 4 and 1900 < value < 2100 and value % 100 > 9:
        return marked(f"{cardinal(value // 100)} {cardinal(value % 100)}", digits)
    if (len(digits) > 4 and value % 100) or digits.startswith("0"):
        return marked(" ".join(cardinal(int(digit)) for digit in digits), digits)
    return marked(cardinal(value, joined=rng.random() < 0.5), str(value))

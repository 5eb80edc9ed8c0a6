"""Numbers as people say them on the telephone, and as recognisers write them down.

`four one seven two`, `forty-one seventy-two`, `four thousand one hundred and seventy two`, `double four`, `oh`, `4172`,
`41-72`, `4, 172`, and `for won seven to` are read as digits; `readings` gives every reading of a stretch with its
cost, because only the one who asked knows how many digits to expect. Dates and money build on `cardinals`.
Nothing here decides what a number is for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MOST_CHARACTERS = 600
"""A turn longer than this is cut: nobody says a number after a minute of talk, and work stays bounded."""
MOST_READINGS = 48
MOST_DIGITS = 24

UNITS = {
    **{word: str(i) for i, word in enumerate("zero one two three four five six seven eight nine".split())},
    "oh": "0",
    "o": "0",
    "nought": "0",
    "naught": "0",
    "nil": "0",
    "niner": "9",
    "fife": "5",
}
TEENS = {
    word: i + 10
    for i, word in enumerate(
        "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split(),
    )
}
TENS = {word: i * 10 for i, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)}
TENS["fourty"] = 40
REPEATS = {"double": 2, "triple": 3, "treble": 3, "quadruple": 4}
HOMOPHONES = {
    word: digit
    for digit, words in {
        "0": "owe ho hero euro narrow xero",
        "1": "won wan",
        "2": "to too tu shoe",
        "3": "tree free through",
        "4": "for fore fo or door pour for's",
        "5": "fife live hive five's",
        "6": "sex sax sics sick fix",
        "7": "heaven",
        "8": "ate hate eighth",
        "9": "nein mine nine's",
    }.items()
    for word in words.split()
}
"""What recognisers write for a digit; read so only among digits."""
FILLERS = frozenset("uh um er erm hm hmm ah and then dash hyphen space point dot comma like so".split())
"""May stand between digits without ending the number."""

_SIGHS = frozenset(("oh", "o"))
"""Zero among digits, and a sigh before them."""

_TOKEN = re.compile(r"\d+|[^\W\d_]+(?:'[^\W\d_]+)?")


@dataclass(frozen=True, slots=True)
class Token:
    """A word or numeral, lower case, and where it stands in the text."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of a text that can be read as digits: its tokens' span and readings, cheapest first."""

    start: int
    end: int
    readings: tuple[Reading, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read a run. `cost` 0: the plain way; each liberty taken adds to it."""

    digits: str
    cost: float


def tokens(text: str) -> list[Token]:
    """The words and numerals of the first 600 characters of `text`, lower case."""
    found = _TOKEN.finditer(text[:MOST_CHARACTERS].replace("’", "'"))
    return [Token(match[0].lower(), match.start(), match.end()) for match in found]


def runs(text: str, loose: bool = False) -> list[Run]:
    """The stretches of `text` that are numbers, in order. Fillers inside a stretch do not end it. `loose`: three
    words that merely sound like digits (`to ate won`) are a number too."""
    found = []
    stretch: list[Token] = []
    for token in [*tokens(text), None]:
        if token is not None and (_numeric(token.text) or _maybe(token.text)):
            stretch.append(token)
            continue
        while stretch and stretch[-1].text in FILLERS:
            stretch.pop()
        while stretch and stretch[0].text in FILLERS:
            stretch.pop(0)
        sure = any(_numeric(t.text) and t.text not in _SIGHS for t in stretch)
        sighs = sum(t.text in _SIGHS for t in stretch)
        homophones = sum(t.text in HOMOPHONES for t in stretch)
        if sure or sighs >= 2 or (loose and homophones >= 3):
            if readings := _readings([token.text for token in stretch]):  # none where it is endless
                found.append(Run(stretch[0].start, stretch[-1].end, readings))
        stretch = []
    return found


def spoken(digits: str) -> str:
    """`4172` as a voice should say it: `4 1 7 2`."""
    return " ".join(digits)


def _numeric(word: str) -> bool:
    return word.isdecimal() or word in UNITS or word in TEENS or word in TENS or word in REPEATS or word in _SCALES


def _maybe(word: str) -> bool:
    return word in HOMOPHONES or word in FILLERS


_SCALES = {"hundred": 100, "thousand": 1000}


def _readings(words: Sequence[str]) -> tuple[Reading, ...]:
    """All readings of a run, cheapest first, at most 48: dynamic programming from the right over its words."""
    words = words[:40]
    best: list[dict[str, float]] = [{} for _ in words] + [{"": 0.0}]
    for i in range(len(words) - 1, -1, -1):
        options: dict[str, float] = {}
        for digits, used, cost in _items(words, i):
            for rest, rest_cost in best[i + used].items():
                whole = digits + rest
                if len(whole) <= MOST_DIGITS:
                    options[whole] = min(options.get(whole, 99.0), cost + rest_cost)
        cheapest = sorted(options.items(), key=lambda option: option[1])[:MOST_READINGS]
        best[i] = dict(cheapest)
    return tuple(Reading(digits, cost) for digits, cost in best[0].items() if digits)


def _items(words: Sequence[str], i: int) -> Iterator[tuple[str, int, float]]:
    """What may stand at word `i`: digits, how many words they take, and the cost of reading them so."""
    word = words[i]
    if word in FILLERS:
        yield "", 1, 0.0
    if word in HOMOPHONES:
        yield HOMOPHONES[word], 1, 0.3
        yield "", 1, 0.35
    if word in _SIGHS and i == 0:
        yield "", 1, 0.5
    if word in REPEATS:
        if i + 1 < len(words) and (digit := _digit(words[i + 1])):
            yield digit * REPEATS[word], 2, 0.0
        yield "", 1, 1.0
        return
    if word.isdecimal():
        yield word, 1, 0.0
        for match in re.finditer(r"(?<=[2-9])0(?=[1-9])", word[:12]):  # `forty, one seventy two` written 40172
            yield word[: match.start()] + word[match.end() :], 1, 1.2
    if digit := UNITS.get(word):
        yield digit, 1, 0.0
    yield from cardinals(words, i)


def _digit(word: str) -> str | None:
    return word if word.isdecimal() and len(word) == 1 else UNITS.get(word, HOMOPHONES.get(word))


def cardinals(words: Sequence[str], i: int) -> Iterator[tuple[str, int, float]]:
    """The cardinal numbers that begin at word `i`: the longest for nothing, each shorter one for 0.6 more."""
    found: dict[int, int] = {}
    for value, used in _below_thousand(words, i):
        found[used] = value
        if words[i + used : i + used + 1] == ["thousand"]:
            end = i + used + 1
            found[end - i] = value * 1000
            for rest_at in (end, end + 1) if words[end : end + 1] == ["and"] else (end,):
                for rest, rest_used in _below_thousand(words, rest_at):
                    found[rest_at - i + rest_used] = value * 1000 + rest
    bare = words[i] in _SCALES  # without its `one`: unlikely where digits are told
    if words[i] == "thousand":
        found[1] = 1000
    longest = max(found, default=0)
    later = 0.6 + 0.01 * (len(words) - i)  # of two places to split, the later one: pairs leave a last digit alone
    for used, value in found.items():
        if used > 1 or not words[i].isdecimal():
            split = words[i].isdecimal() and used > 1 and words[i + 1] not in _SCALES
            yield str(value), used, (0.0 if used == longest else later) + (1.0 if split or bare else 0.0)


def _below_thousand(words: Sequence[str], i: int) -> Iterator[tuple[int, int]]:
    """Values and word counts of what begins at `i` and has no `thousand`; `forty one hundred` is 4,100."""
    if words[i : i + 1] == ["hundred"]:
        yield 100, 1
        heads = [(1, 0)]
    else:
        heads = list(_below_hundred(words, i))
        yield from heads
    for value, used in heads:
        end = i + used
        if words[end : end + 1] == ["hundred"]:
            yield value * 100, used + 1
            after = end + 1
            for rest_at in (after, after + 1) if words[after : after + 1] == ["and"] else (after,):
                for rest, rest_used in _below_hundred(words, rest_at):
                    yield value * 100 + rest, rest_at - i + rest_used


def _below_hundred(words: Sequence[str], i: int) -> Iterator[tuple[int, int]]:
    if i >= len(words):
        return
    word = words[i]
    if word in TENS or (word.isdecimal() and len(word) == 2 and word[1] == "0" and word[0] != "0" and word != "10"):
        ten = TENS.get(word) or int(word)
        yield ten, 1
        if i + 1 < len(words) and (digit := _unit(words[i + 1])) and digit != "0":
            yield ten + int(digit), 2
    elif word in TEENS:
        yield TEENS[word], 1
    elif word.isdecimal() and len(word) <= 2:
        yield int(word), 1
    elif word in UNITS:
        yield int(UNITS[word]), 1


def _unit(word: str) -> str | None:
    return word if word.isdecimal() and len(word) == 1 else UNITS.get(word)

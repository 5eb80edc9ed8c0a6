"""Taking the facts a skill needs out of what a caller said, typed, each with the place in the words that said it.

`find` looks for one fact; `corrected` changes one that was understood before (`no, I said four`). Both are pure. What
to ask, and when to believe, is the mind's business.
"""

from __future__ import annotations

import datetime
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from offhook.agents.answers import yes_or_no
from offhook.agents.dates import find_date
from offhook.agents.job import Fact, FactType
from offhook.agents.numbers import Run, Token, cardinals, runs, tokens
from offhook.agents.sounds import likeness
from offhook.speech.contract import Json

Near = Callable[[str, Sequence[str]], Sequence[float]]
"""How near a text, or what stands behind it, is in meaning to each of several others, 0..1."""

REPAIR = re.compile(
    r"\b(?:no|nope|not|sorry|i said|i meant|i mean|actually|wrong|correction|rather|scratch that|make that|"
    r"instead|my mistake|hang on|change (?:it|that)|should be|incorrect|isn'?t)\b",
    re.IGNORECASE,
)
"""Words with which people take something back."""
_NOT = re.compile(r"\b(?:not|isn'?t|wasn'?t|instead of|rather than)\s+(?:an?\s+|the\s+)?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Found:
    """A fact in a caller's words. `whole` False: it broke off, as a number with digits missing. `certain` 0..1."""

    value: Json
    start: int
    end: int
    whole: bool = True
    certain: float = 1.0


@dataclass(frozen=True, slots=True)
class Hearing:
    """What extraction needs to know of the moment."""

    asked: bool
    """The agent has just asked for this fact."""
    today: datetime.date
    month_first: bool = True
    """12/3 is December 3rd."""
    near: Near | None = None


def find(fact: Fact, words: str, hearing: Hearing) -> Found | None:
    """The fact as said in `words`, or None. What was not asked for is taken only where it cannot be anything else."""
    match fact.type:
        case FactType.DIGITS:
            return _digits(fact, words, hearing)
        case FactType.NUMBER:
            return _number(fact, words, hearing)
        case FactType.MONEY:
            return _money(fact, words, hearing)
        case FactType.DATE:
            found = find_date(words, hearing.today, hearing.month_first, hearing.asked)
            return Found(found.day.isoformat(), found.start, found.end) if found else None
        case FactType.YES_NO:
            answer = yes_or_no(words) if hearing.asked else None
            return None if answer is None else Found(answer, 0, len(words))
        case FactType.CHOICE:
            return _choice(fact, words, hearing)
        case FactType.NAME:
            return _name(words, hearing)
        case FactType.TEXT:
            text = words.strip()[:300]
            return Found(text, 0, len(words)) if hearing.asked and len(text) > 1 else None


def from_keys(fact: Fact, keys: str) -> Found | None:
    """The fact as pressed on the telephone's keys; 1 and 2 answer yes and no."""
    digits = re.sub(r"\D", "", keys)
    least, most = fact.lengths
    if fact.type is FactType.DIGITS and digits:
        return Found(digits[:most], 0, 0, whole=least <= len(digits) <= most)
    if fact.type is FactType.NUMBER and digits and _within(fact, int(digits[:9])):
        return Found(int(digits[:9]), 0, 0)
    if fact.type is FactType.YES_NO and digits in ("1", "2"):
        return Found(digits == "1", 0, 0)
    if fact.type is FactType.CHOICE and fact.options and digits.isdecimal() and 1 <= int(digits) <= len(fact.options):
        return Found(list(fact.options)[int(digits) - 1], 0, 0)
    return None


# --- digits


def _digits(fact: Fact, words: str, hearing: Hearing) -> Found | None:
    least, most = fact.lengths
    stretches = _stretches(words, hearing.asked)
    if not any(_fitting(run, least, most) for run in stretches) and (apart := _apart(words, least, most)):
        stretches = apart
    if not hearing.asked:
        day = find_date(words, hearing.today, hearing.month_first, asked=False)
        stretches = [run for run in stretches if not _something_else(words, run)]
        stretches = [run for run in stretches if day is None or run.end <= day.start or day.end <= run.start]
    whole = [(run, fit) for run in stretches if (fit := _fitting(run, least, most))]
    if whole:
        run, (digits, cost) = whole[-1]
        if hearing.asked or (cost < 1 and least >= 2):
            return Found(digits, run.start, run.end, certain=max(0.3, 1 - cost / 3))
    if not hearing.asked or not stretches:
        return None
    if len(stretches) > 1 and (joined := _joined(words, stretches, least, most)):
        return Found(joined, stretches[0].start, stretches[-1].end, certain=0.8)
    run = max(stretches, key=lambda run: len(run.readings[0].digits))
    digits = run.readings[0].digits
    if len(digits) == most + 1 and (once := _without_a_stutter(digits)):
        return Found(once, run.start, run.end, certain=0.45)
    return Found(digits, run.start, run.end, whole=False, certain=0.4)


def _stretches(words: str, asked: bool) -> list[Run]:
    return [run for run in runs(words, loose=asked) if not _NOT.search(words[: run.start])]


def _apart(words: str, least: int, most: int) -> list[Run]:
    """The numbers of each clause for itself, where one has the right length: `not 4173, 4172`."""
    found = []
    start = 0
    for end in [*(match.start() for match in re.finditer(r"[,;.!?]\s", words)), len(words)]:
        for run in runs(words[start:end]):
            moved = Run(start + run.start, start + run.end, run.readings)
            if _fitting(run, least, most) and not _NOT.search(words[: moved.start]):
                found.append(moved)
        start = end
    return found


def _fitting(run: Run, least: int, most: int) -> tuple[str, float] | None:
    """The cheapest reading of a fitting length."""
    fits = [(r.digits, r.cost) for r in run.readings if least <= len(r.digits) <= most]
    return min(fits, key=lambda fit: fit[1], default=None)


def _without_a_stutter(digits: str) -> str | None:
    """`digits` with one of a repeated digit left out, as recognisers write it once too often; None where that could
    be one of several."""
    shorter = {digits[:i] + digits[i + 1 :] for i in range(1, len(digits)) if digits[i] == digits[i - 1]}
    return shorter.pop() if len(shorter) == 1 else None


def _joined(words: str, stretches: Sequence[Run], least: int, most: int) -> str | None:
    """Stretches with words between as one number: going on (`four one ... then seven two`), or taking back the end
    (`four one nine, sorry, seven two`)."""
    digits = stretches[0].readings[0].digits
    for before, run in itertools.pairwise(stretches):
        more = run.readings[0].digits
        if REPAIR.search(words[before.end : run.start]):
            total = most if least == most else max(least, len(digits))
            digits = digits[: max(0, total - len(more))] + more
        else:
            digits += more
    return digits if least <= len(digits) <= most else None


def _something_else(words: str, run: Run) -> bool:
    """Whether a number that was not asked for is a time, a price or a count of something."""
    after, before = words[run.end : run.end + 14].lower(), words[max(0, run.start - 4) : run.start].lower()
    return bool(
        ":" in words[run.start : run.end]
        or re.match(
            r"\s*(?:o'?clock|a\.?m\b|p\.?m\b|dollars|euros|pounds|cents|percent|%|days|weeks|hours|minutes)", after
        )
        or re.search(r"[$€£]\s*$", before)
    )


# --- numbers and money


def _number(fact: Fact, words: str, hearing: Hearing) -> Found | None:
    for match in re.finditer(r"-?\d{1,9}[.]\d{1,4}", words[:600]):
        if _within(fact, float(match[0])):
            return Found(float(match[0]), match.start(), match.end())
    said = tokens(words)
    text = [token.text for token in said]
    found = None
    i = 0
    while i < len(text):
        if text[i].isdecimal() and text[i + 1 : i + 2] not in (["hundred"], ["thousand"]):
            options = [(int(text[i][:9]), 1)]
        else:
            options = [(int(d), n) for d, n, cost in cardinals(text, i) if cost == 0]
        if text[i : i + 1] == ["dozen"]:
            options = [(12, 1)]
        if text[i : i + 2] == ["a", "couple"]:
            options = [(2, 2)]
        if options:
            value, used = options[0]
            if (
                _within(fact, value)
                and (hearing.asked or fact.least is not None)
                and not _NOT.search(words[: said[i].start])
            ):
                found = Found(value, said[i].start, said[i + used - 1].end)
            i += used
        else:
            i += 1
    return found


_AMOUNT = re.compile(r"[$€£]\s?(\d{1,9}(?:,\d{3})*(?:\.\d{1,2})?)|(\d{1,9}(?:,\d{3})*\.\d{2})\b")
_COINS = re.compile(r"^(?:cents?|pence|pennies|p)$")
_NOTES = re.compile(r"^(?:dollars?|bucks?|euros?|pounds?|quid|francs?|usd|eur|gbp)$")


def _money(fact: Fact, words: str, hearing: Hearing) -> Found | None:
    """An amount as a number with two decimals; the currency is the shop's."""
    if match := _AMOUNT.search(words[:600]):
        amount = float((match[1] or match[2]).replace(",", ""))
        return Found(amount, match.start(), match.end()) if _within(fact, amount) else None
    said = tokens(words)
    text = [token.text for token in said]
    for i in range(len(text)):
        value, used = _cardinal(text, i)
        if not used:
            continue
        unit = text[i + used] if i + used < len(text) else ""
        end = i + used
        if _NOTES.match(unit):
            after = end + 2 if text[end + 1 : end + 2] == ["and"] else end + 1
            cents, cents_used = _cardinal(text, after)
            if cents_used and cents < 100:
                value, end = value + cents / 100, after + cents_used
        elif _COINS.match(unit):
            value = value / 100
        elif hearing.asked:
            cents, cents_used = _cardinal(text, end)  # `forty one fifty`
            if cents_used and 10 <= cents < 100:
                value, end = value + cents / 100, end + cents_used - 1
            else:
                end -= 1
        else:
            continue
        if _within(fact, value):
            return Found(round(value, 2), said[i].start, said[min(end, len(said) - 1)].end)
    return None


def _cardinal(text: Sequence[str], i: int) -> tuple[float, int]:
    if i >= len(text):
        return 0, 0
    if text[i].isdecimal() and text[i + 1 : i + 2] not in (["hundred"], ["thousand"]):
        return int(text[i][:9]), 1
    options = [(int(digits), used) for digits, used, cost in cardinals(text, i) if cost == 0]
    return max(options, key=lambda option: option[1], default=(0, 0))


def _within(fact: Fact, value: float) -> bool:
    return (fact.least is None or value >= fact.least) and (fact.most is None or value <= fact.most)


# --- choices and names


LIKE = 0.8
"""From this likeness on, a word is taken for an option's."""


def _choice(fact: Fact, words: str, hearing: Hearing) -> Found | None:
    """The option said last of those said best; by sound and spelling first, by meaning only where it was asked for."""
    said = [t for t in tokens(words) if not re.fullmatch(r"[a-z]", t.text) or t.text in ("a", "i")]
    best: tuple[float, int, Found] | None = None
    for value, ways in (fact.options or {}).items():
        for way in (value.replace("-", " ").replace("_", " "), *ways):
            wanted = [token.text for token in tokens(way)]
            for i in range(len(said) - len(wanted) + 1):
                window = said[i : i + len(wanted)]
                score = sum(_alike(have.text, want) for have, want in zip(window, wanted, strict=True)) / max(
                    len(wanted), 1
                )
                if score < LIKE or _NOT.search(words[: window[0].start]) or not wanted:
                    continue
                rank = (round(score, 2) + 0.02 * len(wanted), window[-1].end)
                if best is None or rank > best[:2]:
                    best = (*rank, Found(value, window[0].start, window[-1].end, certain=score))
    if best is not None:
        return best[2]
    if not hearing.asked or hearing.near is None:
        return None
    values = [(value, way) for value, ways in (fact.options or {}).items() for way in (value.replace("-", " "), *ways)]
    scores = hearing.near(words, [way for _, way in values])
    by_value: dict[str, float] = {}
    for (value, _), score in zip(values, scores, strict=True):
        by_value[value] = max(by_value.get(value, 0.0), score)
    ranked = sorted(by_value.items(), key=lambda item: -item[1])
    clear = len(ranked) == 1 or (ranked and ranked[0][1] - ranked[1][1] >= 0.06)
    if ranked and ranked[0][1] >= 0.42 and clear:
        return Found(ranked[0][0], 0, len(words), certain=min(LIKE - 0.05, ranked[0][1] + 0.2))
    return None


def _alike(have: str, want: str) -> float:
    if have == want:
        return 1.0
    return likeness(have, want) if min(len(have), len(want)) >= 4 else 0.0


_INTRODUCED = re.compile(
    r"\b(?:my name is|my name's|the name is|name's|name is|i am called|call me|this is|it's|it is|i'm|i am|under)\s+",
    re.IGNORECASE,
)
_NOT_NAMES = frozenset(
    "the a an and is it my name yes no uh um er please thanks thank you for calling here speaking that with i am "
    "about from in at of on to so well okay ok sure just looking calling wondering not sorry what where when "
    "how".split()
)


def _name(words: str, hearing: Hearing) -> Found | None:
    text = words.replace("’", "'")
    introduced = re.search(r"\b(?:name is|my name's|name's|call me)\s+", text, re.IGNORECASE)
    if not hearing.asked and not introduced:
        return None
    if spelled := re.search(r"\b[a-zA-Z](?:[\s.,-]+[a-zA-Z]\b){2,}", text):  # S M I T H
        return Found(re.sub(r"[^a-zA-Z]", "", spelled[0]).capitalize(), spelled.start(), spelled.end())
    matches = list(_INTRODUCED.finditer(text))
    start = matches[-1].end() if matches else 0
    said = [t for t in tokens(text) if t.start >= start]
    while said and said[0].text in _NOT_NAMES:
        said.pop(0)
    kept: list[Token] = []
    for token in said:
        if token.text in _NOT_NAMES or token.text.isdecimal() or len(kept) == 12:
            break
        kept.append(token)
    if not kept:
        return None
    kept = kept[:4]
    return Found(" ".join(t.text.capitalize() for t in kept), kept[0].start, kept[-1].end, certain=0.8)

"""Changing a fact that was understood before: `no, I said four`, `not four one, four seven`, `five at the end`.

People rarely say the whole number again; they say the part that was wrong. Where the part fits several places, the
place where a telephone confuses the two digits most easily is taken; where none stands out, None, and the mind asks.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

from offhook.agents.facts import Found, Hearing, find
from offhook.agents.job import Fact, FactType
from offhook.agents.numbers import runs
from offhook.speech.contract import Json

_CONFUSED = {
    frozenset(pair): weight
    for pair, weight in {
        "59": 1.0,
        "19": 0.8,
        "45": 0.8,
        "04": 0.5,
        "15": 0.4,
        "67": 0.5,
        "68": 0.5,
        "38": 0.4,
        "23": 0.6,
        "02": 0.3,
        "14": 0.2,
        "17": 0.3,
        "36": 0.2,
        "49": 0.2,
        "28": 0.3,
        "26": 0.2,
    }.items()
}
"""How easily two spoken digits are taken for each other over a telephone band; what is not here, 0.1."""
_AT_END = re.compile(r"\b(?:at the end|in the end|the last|last (?:digit|one|number|two|three)|ends?|ending|final)\b")
_AT_START = re.compile(r"\b(?:at the (?:start|beginning|front)|starts?|starting|begins?|beginning|the first|first)\b")
_PLACES = {"second": 1, "third": 2, "fourth": 3, "fifth": 4, "sixth": 5}
_COUNTED = re.compile(r"\b(first|last|second|third|fourth|fifth|sixth|final) (?:one|two|three|four)\b")
_SPLIT = re.compile(r"[,;.!?]|\b(?:but|it'?s|its|is|i said|i meant|i mean|should be|rather|instead of|rather than)\b")


def corrected(fact: Fact, old: Json, words: str, hearing: Hearing) -> Found | None:
    """The fact after a correction in `words`, or None where they hold none that can be made out."""
    text = words.lower().replace("’", "'")
    again = find(fact, words, dataclasses.replace(hearing, asked=True))
    if fact.type is not FactType.DIGITS or not isinstance(old, str):
        return again if again is not None and again.whole and again.value != old else None
    swapped = _swapped(text, old)
    if swapped is not None and swapped != old and fact.lengths[0] <= len(swapped) <= fact.lengths[1]:
        return Found(swapped, 0, len(words), certain=0.8)
    if again is not None and again.whole:
        return again if again.value != old else None
    told = [run.readings[0].digits for run in runs(_COUNTED.sub(r"\1", text))]
    if len(told) != 1 or len(told[0]) >= len(old):
        return None
    part = told[0]
    if _AT_END.search(text):
        new: str | None = old[: -len(part)] + part
    elif _AT_START.search(text):
        new = part + old[len(part) :]
    elif place := next((at for word, at in _PLACES.items() if re.search(rf"\b{word}\b", text)), None):
        new = old[:place] + part + old[place + len(part) :]
    else:
        new = _fitted(old, part)
    return Found(new, 0, len(words), certain=0.7) if new and new != old and len(new) == len(old) else None


def _swapped(text: str, old: str) -> str | None:
    """`old` with a part replaced, where the words name both the wrong part and the right one."""
    for wrong, right in _pairs(text):
        if wrong == right or not wrong or wrong not in old:
            continue
        at = old.rindex(wrong) if _AT_END.search(text) else old.index(wrong)
        return old[:at] + right + old[at + len(wrong) :]
    return None


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """Wrong part and right part: `not A, B`, `B, not A`, `A should be B`."""
    if (at := re.search(r"\b(?:not|isn't|isnt|instead of|rather than)\b", text)) is not None:
        after = [run for piece in _SPLIT.split(text[at.end() :]) for run in runs(piece)]
        before = [run for piece in _SPLIT.split(text[: at.start()]) for run in runs(piece)]
        told = [run.readings[0].digits for run in after]
        if len(told) >= 2:
            yield told[0], told[1]
        elif len(told) == 1 and before:
            yield told[0], before[-1].readings[0].digits
        elif len(told) == 1 and len(told[0]) % 2 == 0:  # `not four one four seven`, said in one breath
            half = len(told[0]) // 2
            yield told[0][:half], told[0][half:]
    if match := re.search(r"\b(?:should be|was meant to be|must be|is really)\b", text):
        left, right = runs(text[: match.start()]), runs(text[match.end() :])
        if left and right:
            yield left[-1].readings[0].digits, right[0].readings[0].digits


def _fitted(old: str, part: str) -> str | None:
    """`old` with `part` where it was most likely misheard; None where no place stands out."""
    options = []
    for at in range(len(old) - len(part) + 1):
        there = old[at : at + len(part)]
        changed = [(a, b) for a, b in zip(there, part, strict=True) if a != b]
        if changed:
            confusable = sum(_CONFUSED.get(frozenset(pair), 0.1) for pair in changed) / len(changed)
            options.append((len(part) - len(changed) + confusable, at))
    options.sort(reverse=True)
    if not options or (len(options) > 1 and options[0][0] - options[1][0] < 0.15):
        return None
    at = options[0][1]
    return old[:at] + part + old[at + len(part) :]

"""How alike two words are to the ear and to the eye: for names and choices that a recogniser spelled its own way.

A sound key keeps the consonants a telephone carries (`where`, `wear` and `were` are one), and `likeness` mixes it with
the edit distance of the spelling. For English spelling; other languages fall back on the edit distance.
"""

from __future__ import annotations

import re
from functools import lru_cache

MOST_LETTERS = 40

_RULES = (
    (r"^(kn|gn|pn)", "n"),
    (r"^wr", "r"),
    (r"^wh", "w"),
    (r"^ps", "s"),
    (r"ph", "f"),
    (r"ough", "f"),
    (r"(?<=[aeiou])gh", ""),
    (r"gh", "g"),
    (r"tch|ch|sh|ti(?=on)|ci(?=a)", "x"),
    (r"dg(?=[eiy])", "j"),
    (r"ck|q|x$", "k"),
    (r"c(?=[eiy])", "s"),
    (r"c", "k"),
    (r"th", "t"),
    (r"z", "s"),
    (r"(?<=[aeiou])[wyh](?![aeiou])", ""),
    (r"mb$", "m"),
)
_COMPILED = tuple((re.compile(pattern), to) for pattern, to in _RULES)


@lru_cache(maxsize=8192)
def sound(word: str) -> str:
    """The consonants of `word` as heard, a leading vowel as `a`; the same for words that sound the same."""
    word = re.sub(r"[^a-z]", "", word.lower()[:MOST_LETTERS])
    for pattern, to in _COMPILED:
        word = pattern.sub(to, word)
    head = "a" if word[:1] in tuple("aeiouy") else ""
    body = re.sub(r"[aeiouy]+", "", word)
    return head + re.sub(r"(.)\1+", r"\1", body)


@lru_cache(maxsize=16384)
def likeness(a: str, b: str) -> float:
    """0..1: how likely `a` is a way to spell what was said as `b`. Words or short phrases, any case."""
    a, b = a.lower()[:MOST_LETTERS], b.lower()[:MOST_LETTERS]
    if a == b:
        return 1.0
    written = 1 - distance(a, b) / max(len(a), len(b), 1)
    keys = sound(a), sound(b)
    if not all(keys) or max(map(len, keys)) < 2:
        return written
    heard = 1 - distance(*keys) / max(map(len, keys))
    return max(written, 0.5 * written + 0.5 * heard)


def distance(a: str, b: str) -> int:
    """Levenshtein's edit distance."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return row[-1]

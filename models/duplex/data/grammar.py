"""A small language for sentences with choices: `(I'd like|I want) to pay {amount} / on {date}[ please]`.

`(a|b)` takes one, `[a]` takes it or leaves it, `{name}` is filled by whoever knows the name, `/` is a place where a
speaker may stop to think; all nest. What a filler gives back may be a pattern again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from functools import lru_cache

Fill = Callable[[random.Random], str]
Node = str | tuple[str, "Sequences"]
Sequences = tuple[tuple["Node", ...], ...]

MOST_NESTED = 8


class PatternError(ValueError):
    """A pattern that cannot be read: the message says where and what is missing."""


def expand(pattern: str, rng: random.Random, fills: Mapping[str, Fill], depth: int = 0) -> str:
    """One sentence of `pattern`, with single blanks. Raises PatternError."""
    if depth > MOST_NESTED:
        raise PatternError(f'"{pattern[:60]}" goes on for ever: one of its places leads back to itself')
    return " ".join(_walk(_parsed(pattern), rng, fills, depth, pattern).split())


def _walk(nodes: tuple[Node, ...], rng: random.Random, fills: Mapping[str, Fill], depth: int, whole: str) -> str:
    out = []
    for node in nodes:
        if isinstance(node, str):
            out.append(node)
            continue
        kind, options = node
        if kind == "fill":
            name = options[0][0]
            if not isinstance(name, str) or name not in fills:
                raise PatternError(f'"{whole[:60]}" has a place {{{name}}} that nothing fills')
            text = fills[name](rng)
            out.append(expand(text, rng, fills, depth + 1) if any(c in text for c in "([{") else text)
        else:
            out.append(_walk(rng.choice(options), rng, fills, depth, whole))
    return "".join(out)


@lru_cache(maxsize=65536)
def _parsed(pattern: str) -> tuple[Node, ...]:
    options, at = _alternatives(pattern, 0, "")
    if at != len(pattern) or len(options) != 1:
        raise PatternError(f'"{pattern[:60]}" has a bracket or a bar too many, at character {at + 1}')
    return options[0]


_ENDS = {"(": ")", "[": "]"}


def _alternatives(text: str, at: int, end: str) -> tuple[Sequences, int]:
    options: list[tuple[Node, ...]] = []
    nodes: list[Node] = []
    plain = ""
    while at < len(text) and text[at] not in ")]":
        char = text[at]
        if char == "|" and end:
            options.append((*nodes, plain))
            nodes, plain = [], ""
            at += 1
        elif char in _ENDS:
            inner, close = _alternatives(text, at + 1, _ENDS[char])
            if close >= len(text) or text[close] != _ENDS[char]:
                raise PatternError(f'"{text[:60]}" lacks a "{_ENDS[char]}" for character {at + 1}')
            nodes += [plain, ("any", (*inner, ("",)) if char == "[" else inner)]
            plain = ""
            at = close + 1
        elif char == "{":
            close = text.find("}", at)
            if close < 0:
                raise PatternError(f'"{text[:60]}" lacks a "}}" for character {at + 1}')
            nodes += [plain, ("fill", ((text[at + 1 : close],),))]
            plain = ""
            at = close + 1
        else:
            plain += char
            at += 1
    options.append((*nodes, plain))
    return tuple(options), at

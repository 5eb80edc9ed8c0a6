"""A saying before it is dressed up: what every source of texts gives, and how patterns are shared out to the splits."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

TRAIN, DEV, TEST = "train", "dev", "test"


@dataclass(frozen=True, slots=True)
class Draft:
    """The core of a saying as marked text (see `numbers_said`), without greetings, hesitations and closings."""

    text: str
    kind: str
    pattern: str
    asked: str = ""
    agent: str = "any"
    agent_speaking: bool = False
    tail: str = ""
    """Said after it; no part of its meaning."""
    dress: bool = True
    """Whether greetings and closings may be put around it."""


def split_of(pattern: str) -> str:
    """Which split a pattern or a public line belongs to: a tenth each for dev and test, by its hash."""
    number = hashlib.sha256(pattern.encode()).digest()[0]
    return TEST if number < 26 else DEV if number < 52 else TRAIN


def shared_out(patterns: Sequence[str], split: str) -> tuple[str, ...]:
    """The patterns of `split`, of a list of its own: at least one for each split where there are six or more, and all
    for every split where there are fewer."""
    if len(patterns) < 6:
        return tuple(patterns)
    order = sorted(patterns, key=lambda pattern: hashlib.sha256(pattern.encode()).digest())
    tenth = max(1, len(order) // 10)
    return tuple({TEST: order[:tenth], DEV: order[tenth : 2 * tenth], TRAIN: order[2 * tenth :]}[split])

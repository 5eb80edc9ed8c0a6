"""How a turn is laid out in the mind: what the numbers of its positions stand for, and how many there can be."""

from __future__ import annotations

NOTHING = 0
"""The id of a position that is a sound."""
SPECIALS = 7
BEGIN, SILENT, SPEAKING, CALLER, MEANING, GIST, WORDS = range(1, SPECIALS + 1)
"""Ids of the learnt marks, in the order of the adapter's `specials`."""
FIRST_TOKEN = SPECIALS + 1
"""The id of kept token 0."""
END = 0
"""The kept token that ends a text."""
STATES = 4
MEANING_SIZE = 384

CONTEXT = 192
"""Positions a row can hold."""
MOST_STEPS = 64
"""New positions that one run can take."""
MOST_BLOCKS = 100
"""Blocks of 160 ms in a turn: 16 s."""
PROVISIONAL = 4
"""Blocks at the end of what was heard that are heard anew each time: their right context was short."""
PREFIX_TOKENS = 24
"""Tokens of the agent's last words that stand before a turn."""


def blocks_of(hops: int) -> int:
    """Blocks of 160 ms in `hops`; the last may be half full."""
    return -(-hops // 2)

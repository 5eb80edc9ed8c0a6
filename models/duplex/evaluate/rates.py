"""Shares with how sure they are, and how far a transcript is from what was said. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

_Z = 1.96


@dataclass(frozen=True, slots=True)
class Rate:
    """So many of so many."""

    right: int
    of: int

    @property
    def share(self) -> float:
        """0..1; 0 where there is nothing to count."""
        return self.right / self.of if self.of else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Where the true share lies with 95 % (Wilson 1927)."""
        if not self.of:
            return 0.0, 1.0
        n, p = self.of, self.share
        middle = (p + _Z * _Z / (2 * n)) / (1 + _Z * _Z / n)
        half = _Z / (1 + _Z * _Z / n) * sqrt(p * (1 - p) / n + _Z * _Z / (4 * n * n))
        return max(0.0, middle - half), min(1.0, middle + half)

    def __str__(self) -> str:
        return f"{100 * self.share:.1f} % ({self.right}/{self.of})" if self.of else "-"


def rate(right: Sequence[bool]) -> Rate:
    """The share of those that are True."""
    return Rate(sum(right), len(right))


def word_errors(said: Sequence[str], written: Sequence[str]) -> int:
    """Words to be changed, left out or put in to make `written` of `said` (Levenshtein)."""
    row = list(range(len(written) + 1))
    for i, word in enumerate(said, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(written, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != other))
    return row[-1]

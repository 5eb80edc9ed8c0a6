"""Batches that were heard before, to be learnt from again: the line and the ear cost more than what is learnt there."""

from __future__ import annotations

import numpy as np

from models.duplex.model import Batch

Pair = tuple[Batch, Batch | None]
"""A batch, and the same turns as text where they are learnt as text too."""


class Memory:
    """Keeps what it is given up to `limit` bytes, then one for another at random."""

    def __init__(self, limit: int, seed: int) -> None:
        self._limit, self._held = limit, 0
        self._rng = np.random.default_rng(seed)
        self._pairs: list[Pair] = []

    def __len__(self) -> int:
        return len(self._pairs)

    def keep(self, pair: Pair) -> None:
        """Remember a batch; it stays on the device it is on."""
        self._pairs.append(pair)
        self._held += _size(pair)
        while self._held > self._limit and len(self._pairs) > 1:
            at = int(self._rng.integers(len(self._pairs)))
            self._pairs[at], self._pairs[-1] = self._pairs[-1], self._pairs[at]
            self._held -= _size(self._pairs.pop())

    def draw(self) -> Pair:
        """Any that is kept, each as likely. Raises ValueError where none is."""
        return self._pairs[int(self._rng.integers(len(self._pairs)))]

    def forget(self) -> None:
        """Begin again with nothing."""
        self._pairs, self._held = [], 0


def _size(pair: Pair) -> int:
    return sum(getattr(batch, name).nbytes for batch in pair if batch for name in Batch.__slots__)

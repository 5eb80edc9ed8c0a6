"""When something is due: a heap over the timers that transactions and sessions hold as data."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar


class Timed(Protocol):
    """Has timers: which one, and the time it is due. Compared and hashed by identity."""

    @property
    def due(self) -> float | None: ...


T = TypeVar("T", bound=Timed)


class Schedule(Generic[T]):
    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._known: dict[T, float] = {}
        self._order = itertools.count()

    def __len__(self) -> int:
        """What it remembers, some of it for nothing."""
        return len(self._heap)

    def watch(self, owner: T) -> bool:
        """Note the earliest timer of `owner` after it changed. True where that is now the earliest of all."""
        due = owner.due
        if due is None:
            self._known.pop(owner, None)
        elif self._known.get(owner) != due:
            self._known[owner] = due
            heapq.heappush(self._heap, (due, next(self._order), owner))
        if len(self._heap) > 2 * len(self._known):  # each sweep is paid for by as many entries that it drops
            self._sweep()
        return due is not None and self._heap[0][0] == due

    def next_due(self) -> float | None:
        self._drop_stale()
        return self._heap[0][0] if self._heap else None

    def take_due(self, now: float) -> Iterator[T]:
        """Each owner with a timer due at `now`, earliest first. Whoever takes it fires it and watches it again."""
        while (due := self.next_due()) is not None and due <= now:
            owner = heapq.heappop(self._heap)[2]
            del self._known[owner]
            yield owner

    def _sweep(self) -> None:
        """Let go of whoever no longer waits: a call that is over would be held until its session timer had been due."""
        self._heap = [(due, next(self._order), owner) for owner, due in self._known.items()]
        heapq.heapify(self._heap)

    def _drop_stale(self) -> None:
        while self._heap and self._known.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)

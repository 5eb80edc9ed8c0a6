"""One step's work of the duplex model, for all slots together: begin rows, listen, write, as one batch each.

First what is due with the hop, then tokens, for as long as the step has time: those that a caller waits for before
those that are for the record. All in the thread that steps, so that its own times tell how many calls it can hold.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from offhook.speech.conversing import Work
from offhook.speech.duplex.listener import Branch, DuplexListener
from offhook.speech.duplex.listening import Listening
from offhook.speech.floor import StageTimes


class Batch:
    """Works for the listeners of one model."""

    def __init__(self, listening: Listening, budget_ms: float, times: StageTimes) -> None:
        """`budget_ms`: a token is begun no later than this in a step; one is written in any case."""
        self._listening = listening
        self._budget_s = budget_ms / 1000
        self._times = times

    def work(self, listeners: Sequence[DuplexListener]) -> Work:
        """Do what `listeners` need now."""
        until = time.perf_counter() + self._budget_s
        self._hear(listeners)
        self._begin(listeners)
        due = [each for each in listeners if each.due]
        self._listen(due)
        needed_s: float | None = None  # until what cannot wait was done: the first token is not spare
        while needed_s is None or time.perf_counter() < until:
            wanted = [(each, each.writes) for each in listeners]
            gists = [each for each, branch in wanted if branch is Branch.GIST]
            words = [each for each, branch in wanted if branch is Branch.WORDS]
            if not gists and not words:
                words = [each for each in listeners if each.transcribes]
            if not gists and not words:
                break
            self._write(gists, Branch.GIST)
            self._write(words, Branch.WORDS)
            needed_s = needed_s or time.perf_counter()
        return Work(len(due), (time.perf_counter() - needed_s) * 1000 if needed_s else 0.0)

    def _hear(self, listeners: Sequence[DuplexListener]) -> None:
        fresh = [(each, each.fresh) for each in listeners if each.fresh is not None]
        if fresh:
            began = time.perf_counter()
            self._listening.hear([each.slot for each, _ in fresh], np.stack([audio for _, audio in fresh]))
            self._times.add("spectrum", began)
        for each, _ in fresh:
            each.fresh = None

    def _begin(self, listeners: Sequence[DuplexListener]) -> None:
        openings = [(each, opening) for each in listeners if (opening := each.opening()) is not None]
        if not openings:
            return
        began = time.perf_counter()
        self._listening.begin([each.slot for each, _ in openings], [opening for _, opening in openings])
        self._times.add("begin", began)
        for each, _ in openings:
            each.opened()

    def _listen(self, listeners: Sequence[DuplexListener]) -> None:
        if not listeners:
            return
        began = time.perf_counter()
        states, meanings = self._listening.listen([each.slot for each in listeners])
        self._times.add("listen", began)
        for row, each in enumerate(listeners):
            each.listened(states[row], meanings[row])

    def _write(self, listeners: Sequence[DuplexListener], branch: Branch) -> None:
        if not listeners:
            return
        slots = [each.slot for each in listeners]
        began = time.perf_counter()
        written = self._listening.gist(slots) if branch is Branch.GIST else self._listening.words(slots)
        self._times.add(branch.value, began)
        for each, writing in zip(listeners, written, strict=True):
            each.wrote(writing)

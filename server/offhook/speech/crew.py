"""A few threads that do jobs, most pressing first: recognition and synthesis, away from the thread that steps.

A job's exception is the job's own business; one that gets out is logged and the thread goes on.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable

import structlog

_log = structlog.get_logger(__name__)


class Crew:
    """`threads` daemon threads that take jobs in order of urgency (lower is sooner), then of coming."""

    def __init__(self, name: str, threads: int) -> None:
        self._jobs: list[tuple[int, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def do(self, job: Callable[[], None], urgency: int = 0) -> None:
        """Have `job` done; returns at once."""
        with self._changed:
            heapq.heappush(self._jobs, (urgency, next(self._count), job))
            self._changed.notify()

    def close(self) -> None:
        """Let the threads go; jobs not begun are forgotten."""
        with self._changed:
            self._closed = True
            self._jobs.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(timeout=5.0)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._jobs and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                job = heapq.heappop(self._jobs)[2]
            try:
                job()
            except Exception:
                _log.exception("a job of the speech model failed")

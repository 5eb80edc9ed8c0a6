"""Why a tick came late: the ledger of what the scheduler's thread was at between a tick's deadline and its beginning.

It only adds up spans that others measured. What none of them covers, and what the kernel says the thread spent waiting
for a processor, is the machine's doing.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from enum import StrEnum
from typing import Final


class Cause(StrEnum):
    """Why a hop was served later than it was due."""

    UNFED = "unfed"
    """Its samples had not come: the network, or the caller's phone."""
    STEP = "step"
    """The model was still at an earlier step."""
    ADMISSION = "admission"
    """The thread was taking in a call, handing on a delivery or letting a call go."""
    COLLECTION = "collection"
    """Python's garbage collector had the thread."""
    DESCHEDULED = "descheduled"
    """The thread was not given a processor, or was woken late."""


SPANS_KEPT: Final = 32


class Ledger:
    """Spans of the scheduler's thread, the newest few."""

    def __init__(self) -> None:
        self._spans: deque[tuple[Cause, int, int]] = deque(maxlen=SPANS_KEPT)

    def spent(self, cause: Cause, began_ns: int, ended_ns: int) -> None:
        """The thread was at this from `began_ns` to `ended_ns`."""
        self._spans.append((cause, began_ns, ended_ns))

    def blame(self, due_ns: int, began_ns: int, waited_ns: int = 0) -> Cause:
        """What a tick due at `due_ns` that began at `began_ns` was mostly late by; `waited_ns` of the time since the
        tick before it the thread stood in the queue for a processor."""
        shares = dict.fromkeys(Cause, 0)
        for cause, began, ended in list(self._spans):  # a collection in another thread is noted at any moment
            shares[cause] += max(0, min(ended, began_ns) - max(began, due_ns))
        # A collection happens within something else.
        if shares[Cause.COLLECTION]:
            inner = max((Cause.STEP, Cause.ADMISSION), key=lambda cause: shares[cause])
            shares[inner] = max(0, shares[inner] - shares[Cause.COLLECTION])
        late_ns = max(0, began_ns - due_ns)
        shares[Cause.DESCHEDULED] = late_ns - sum(shares.values())
        if waited_ns > late_ns // 2:
            return Cause.DESCHEDULED
        return max(shares, key=lambda cause: shares[cause])


class ProcessorWait:
    """How long the thread that made this has stood in the kernel's run queue (proc(5), `schedstat`)."""

    def __init__(self) -> None:
        try:
            self._fd = os.open("/proc/thread-self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # a kernel without it
            self._fd = -1

    def __call__(self) -> int:
        """Nanoseconds since the thread began; 0 where the kernel does not say."""
        if self._fd < 0:
            return 0
        try:
            return int(os.pread(self._fd, 64, 0).split()[1])
        except (OSError, IndexError, ValueError):
            return 0

    def close(self) -> None:
        """Give the descriptor back."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with contextlib.suppress(OSError):
                os.close(fd)

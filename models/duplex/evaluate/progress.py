"""How far a measurement is, for whoever waits for it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable


def progress(what: str) -> Callable[[int, int], None]:
    """Tells on the terminal how far it is, or every tenth in a log."""
    began = time.monotonic()
    live = sys.stderr.isatty()

    def told(done: int, total: int) -> None:
        if live or done == total or done % max(1, total // 10) == 0:
            end = "\r" if live and done < total else "\n"
            seconds = time.monotonic() - began
            print(f"{what}: {done} of {total}, {seconds:.0f} s", end=end, file=sys.stderr, flush=True)

    return told

"""What the programs that hold buffers side by side have in common: whom they measure, and how loaded the machine is."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from collections.abc import Iterator, Sequence

import numpy as np

from buffers import Buffer, every
from buffers.native import BuildError
from buffers.neteq import NetEqError
from words import WordsError

COLOURS = {
    "listening": "#7fb2e5",
    "offhook": "#1f4e9c",
    "neteq": "#d9662b",
    "speex": "#5a9e4b",
    "spandsp": "#8a63b0",
    "aiortc": "#c0a020",
    "repetition": "#8a8a8a",
    "zero-fill": "#c4c4c4",
}


def tell(text: str) -> None:
    """Says how far it is, beside the results."""
    print(text, file=sys.stderr, flush=True)


def here(wanted: Sequence[str], but: Sequence[str] = (), times: int = 1) -> list[Buffer]:
    """The buffers that can be measured on this machine, of those `wanted` (all where none is named), without `but`; of
    the others it says why not. What runs in real time is measured `times` times."""
    known = {buffer.name: buffer for buffer in every(tell, times)}
    if strange := [name for name in wanted if name not in known]:
        raise SystemExit(f"there is no buffer {', '.join(strange)}; there are {', '.join(known)}")
    found = []
    for name, buffer in known.items():
        if name in but or (wanted and name not in wanted):
            continue
        if why := buffer.missing():
            tell(f"skipped: {name}: {why}")
        else:
            found.append(buffer)
    return found


def machine() -> dict[str, object]:
    """What it was measured on, and what else ran there."""
    return {
        "cores": os.cpu_count(),
        "load": [round(load, 2) for load in os.getloadavg()],
        "python": platform.python_version(),
    }


def rounded(value: float, digits: int = 2) -> float | None:
    """For JSON: None where there is no number."""
    return None if np.isnan(value) else round(float(value), digits)


@contextlib.contextmanager
def plainly() -> Iterator[None]:
    """A program that cannot go on, or is told to stop, ends with a sentence and no traceback."""
    try:
        yield
    except (BuildError, NetEqError, WordsError) as error:
        raise SystemExit(str(error)) from None
    except KeyboardInterrupt:
        raise SystemExit("stopped") from None

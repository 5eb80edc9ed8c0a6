"""Runs one parser on mutated inputs for some seconds: inputs that reach code which none before them reached are kept
and changed further. Whatever raises something that is not the parser's own refusal, takes long, or leaves memory behind
is a finding, told once for each place in the code."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import offhook
from tests.hostile.mutating import Mutator

LONG_S = 0.25
"""Of this process's time, for one input."""
TRACED_LONG_S = 2.0
"""The same while the code is watched, which slows it down; whoever takes so long is tried again without."""
MOST_GROWTH_MIB = 48.0
"""Between a quarter of a target's time and its end."""
MOST_KEPT = 1_000
WATCHED = str(Path(offhook.__file__).parent)


@dataclass(frozen=True, slots=True)
class Target:
    """A parser and what it is to be fed with."""

    open: Callable[[], AbstractContextManager[Callable[[bytes], None]]]
    """Something that takes one input after the other, and what it needs around it."""
    seeds: Sequence[bytes]
    allowed: tuple[type[Exception], ...] = ()
    """What the parser may raise."""
    pieces: Sequence[bytes] = ()
    longest: int = 4096


@dataclass(frozen=True, slots=True)
class Finding:
    what: str
    data: bytes


@dataclass(slots=True)
class Outcome:
    runs: int = 0
    kept: int = 0
    """Inputs that reached something new."""
    grown_mib: float = 0.0
    findings: dict[str, Finding] = field(default_factory=dict)
    """By the place in the code."""


class TooLong(BaseException):
    """No `Exception`, so that nobody on the way takes it for theirs."""


def fuzz(target: Target, seconds: float, seed: int) -> Outcome:
    dice = random.Random(seed)
    mutator = Mutator(dice, target.pieces, target.longest)
    outcome, coverage = Outcome(), Coverage()
    kept = list(target.seeds)
    begun = time.monotonic()
    early_mib: float | None = None
    with contextlib.ExitStack() as stack:
        take = stack.enter_context(target.open())
        waiting = list(target.seeds)
        while waiting or time.monotonic() < begun + seconds:
            data = waiting.pop() if waiting else mutator.mutated(dice.choice(kept), dice.choice(kept))
            outcome.runs += 1
            broken = _run(target, take, data, outcome, coverage)
            if coverage.grew and not broken and len(kept) < MOST_KEPT:
                kept.append(data)
                outcome.kept += 1
            if broken:  # whatever state it is in, others are to be judged by themselves
                stack.close()
                take = stack.enter_context(target.open())
            if early_mib is None and time.monotonic() > begun + seconds / 4:
                early_mib = memory_mib()
        outcome.grown_mib = max(0.0, memory_mib() - (early_mib or memory_mib()))
    if outcome.grown_mib > MOST_GROWTH_MIB and not outcome.findings:
        outcome.findings["memory"] = Finding(f"grew by {outcome.grown_mib:.0f} MiB in {outcome.runs} runs", b"")
    return outcome


def repeated(target: Target, data: bytes) -> None:
    """Run one input, such as one that was found. Raises what it raises."""
    with target.open() as take, limited(LONG_S), contextlib.suppress(*target.allowed):
        take(data)


def _run(target: Target, take: Callable[[bytes], None], data: bytes, outcome: Outcome, coverage: Coverage) -> bool:
    try:
        with limited(TRACED_LONG_S), coverage, contextlib.suppress(*target.allowed):
            take(data)
        return False
    except TooLong:
        try:
            repeated(target, data)
            return True  # what was cut off left who knows what behind
        except BaseException as error:
            _find(outcome, error, data)
    except Exception as error:
        _find(outcome, error, data)
    return True


def _find(outcome: Outcome, error: BaseException, data: bytes) -> None:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if frame.filename.startswith(WATCHED)] or frames
    place = f"{type(error).__name__} at {os.path.relpath(ours[-1].filename, WATCHED)}:{ours[-1].lineno}"
    if isinstance(error, TooLong):
        place = f"took longer than {LONG_S:g} s"
    outcome.findings.setdefault(place, Finding("".join(traceback.format_exception(error)), data))


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raises TooLong within the block once this process has computed for so long."""

    def on_alarm(number: int, frame: FrameType | None) -> None:
        raise TooLong

    before = signal.signal(signal.SIGVTALRM, on_alarm)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def memory_mib() -> float:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what was freed is not to count
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


class Coverage:
    """Which steps from line to line of our own code were taken, ever, in this thread."""

    def __init__(self) -> None:
        self.grew = False
        """By what ran last."""
        self._steps: set[tuple[CodeType, int, int]] = set()
        self._ours: dict[CodeType, bool] = {}
        self._last = 0

    def __enter__(self) -> None:
        self._before, self._last = len(self._steps), 0
        sys.settrace(self._on_call)

    def __exit__(self, *what: object) -> None:
        sys.settrace(None)
        self.grew = len(self._steps) > self._before

    def _on_call(self, frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        ours = self._ours.get(code)
        if ours is None:
            ours = self._ours[code] = code.co_filename.startswith(WATCHED)
        return self._on_line if ours else None

    def _on_line(self, frame: FrameType, event: str, argument: Any) -> Any:
        line = frame.f_lineno
        self._steps.add((frame.f_code, self._last, line))
        self._last = line
        return self._on_line

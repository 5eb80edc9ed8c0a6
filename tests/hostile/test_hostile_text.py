"""Some seconds of hostile text for each parser that is written in Python (`python -m tests.hostile` for more), and that
whoever throws it would notice."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import pytest

from tests.hostile import running
from tests.hostile.running import Target, TooLong, fuzz, repeated
from tests.hostile.targets import TARGETS

SECONDS = 2.0


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_found_in_seconds_breaks_a_parser(name: str) -> None:
    seed = time.time_ns() % 2**32
    outcome = fuzz(TARGETS[name], SECONDS, seed)
    assert outcome.runs >= len(TARGETS[name].seeds)
    for place, finding in outcome.findings.items():
        pytest.fail(f"seed {seed}: {place}\n{finding.what}\nby {finding.data[:4000]!r}")


def target(parse: Callable[[bytes], object], allowed: tuple[type[Exception], ...] = ()) -> Target:
    @contextlib.contextmanager
    def open_() -> Iterator[Callable[[bytes], None]]:
        yield lambda data: parse(data) and None

    return Target(open_, [b"v=0 12 seconds"], allowed)


def refuses(data: bytes) -> None:
    if b"12" not in data:
        raise LookupError("there is no twelve")


def test_what_a_parser_may_not_raise_is_found_once_and_can_be_repeated() -> None:
    outcome = fuzz(target(refuses, (ValueError,)), 0.5, seed=1)
    (finding,) = outcome.findings.values()
    assert b"12" not in finding.data and "there is no twelve" in finding.what
    with pytest.raises(LookupError):
        repeated(target(refuses), finding.data)
    assert not fuzz(target(refuses, (LookupError,)), 0.5, seed=1).findings


def test_what_takes_long_is_found_and_what_only_waits_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "TRACED_LONG_S", 0.3)

    def hangs(data: bytes) -> None:
        while b"v" in data:
            pass

    with pytest.raises(TooLong):
        repeated(target(hangs), b"v")
    assert any("longer" in place for place in fuzz(target(hangs), 0.1, seed=1).findings)
    repeated(target(lambda data: time.sleep(2 * running.LONG_S)), b"v")


def test_what_is_left_behind_is_found() -> None:
    kept: list[bytes] = []

    def keeps(data: bytes) -> None:
        time.sleep(0.02)
        if len(kept) < 60:
            kept.append(data.ljust(4 * 2**20, b"x"))

    assert "memory" in fuzz(target(keeps), 3.0, seed=1).findings


def test_inputs_that_reach_new_code_are_kept() -> None:
    assert fuzz(TARGETS["crypto"], 1.0, seed=1).kept >= len(TARGETS["crypto"].seeds)

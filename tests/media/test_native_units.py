"""Builds the C core under the sanitizers and runs its test programs. What each unit promises is in `native/tests`; this
file only makes `pytest` run it."""

from __future__ import annotations

import pytest

from tests.media.building import built, run


def test_every_unit_passes_its_tests_under_the_sanitizers() -> None:
    programs = built("asan", "-DOH_SANITIZE=address,undefined")
    run("ctest", "--test-dir", programs.parent, "--output-on-failure", timeout_s=300)


def test_no_two_threads_of_the_core_touch_the_same_thing_at_once() -> None:
    """The thread sanitizer ends the program with another status than 0 where two do."""
    programs = built("tsan", "-DOH_SANITIZE=thread", target="test_meetings")
    said = run(programs / "tests" / "test_meetings", "4", timeout_s=60)
    assert int(said.split()[0]) > 3, said


@pytest.mark.parametrize(("folder", "sanitizer"), [("asan", "address,undefined"), ("tsan", "thread")])
def test_whatever_is_asked_at_whatever_moment_the_core_does_it_or_says_why_not(folder: str, sanitizer: str) -> None:
    """Ten seconds of `native/tests/hammer.c`, which prints its seed; give it more seconds, and that seed, by hand."""
    programs = built(folder, f"-DOH_SANITIZE={sanitizer}", target="hammer")
    said = run(programs / "tests" / "hammer", "10", timeout_s=240)
    assert said.startswith("seed "), said

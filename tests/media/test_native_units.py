"""Builds the C core's units under the address and undefined-behaviour sanitizers and runs their test programs and fuzz
loops. What each unit promises is in `native/tests`; this file only makes `pytest` run it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = REPOSITORY / "build" / "asan"
FUZZ_RUNS = dict.fromkeys(["rtp", "rtcp", "listen", "opus", "demux", "srtp"], 20_000) | {"playout": 1_500}
"""Of each target: some ten seconds. A call through the bridge path's buffer is longer than a packet."""


def run(*command: str | Path, timeout_s: float) -> str:
    """What the command printed; fails the test with all of it where the command fails."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    if done.returncode != 0:
        pytest.fail(f"{' '.join(str(part) for part in command)} ended with {done.returncode}:\n{done.stdout}", False)
    return done.stdout


@pytest.fixture(scope="session")
def sanitized_units() -> Path:
    """The folder of the built programs."""
    run(
        "cmake",
        "-S",
        REPOSITORY,
        "-B",
        BUILD,
        "-DOH_TESTS=ON",
        "-DOH_FUZZ=ON",
        "-DOH_MODULE=OFF",
        "-DOH_SANITIZE=address,undefined",
        "-DCMAKE_BUILD_TYPE=Debug",
        timeout_s=120,
    )
    run("cmake", "--build", BUILD, "--parallel", "2", timeout_s=600)
    return BUILD / "native"


def test_every_unit_passes_its_tests_under_the_sanitizers(sanitized_units: Path) -> None:
    run("ctest", "--test-dir", BUILD, "--output-on-failure", timeout_s=300)


@pytest.mark.parametrize("unit", FUZZ_RUNS)
def test_a_unit_survives_mutated_input_under_the_sanitizers(sanitized_units: Path, unit: str) -> None:
    program = sanitized_units / "fuzz" / f"fuzz_{unit}_standalone"
    corpus = sorted((REPOSITORY / "native" / "fuzz" / "corpus" / unit).glob("*"))
    said = run(program, "-n", str(FUZZ_RUNS[unit]), *corpus, timeout_s=300)
    assert said.startswith(f"{FUZZ_RUNS[unit]} runs")

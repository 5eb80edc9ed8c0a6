"""Builds the C core's test programs under sanitizers, each kind in a folder of its own, and runs programs."""

from __future__ import annotations

import contextlib
import fcntl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


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


def built(folder: str, *options: str, target: str = "all") -> Path:
    """The folder of programs built with these CMake options: `build/<folder>/native`."""
    build = REPOSITORY / "build" / folder
    fixed = ("-DOH_TESTS=ON", "-DOH_MODULE=OFF", "-DCMAKE_BUILD_TYPE=Debug")
    with _alone_in(build):
        run("cmake", "-S", REPOSITORY, "-B", build, *fixed, *options, timeout_s=120)
        run("cmake", "--build", build, "--parallel", "2", "--target", target, timeout_s=600)
    return build / "native"


@contextlib.contextmanager
def _alone_in(build: Path) -> Iterator[None]:
    """Only one process at a time builds there."""
    build.mkdir(parents=True, exist_ok=True)
    with (build / ".building").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

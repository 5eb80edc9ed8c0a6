"""Builds the programs that play recorded arrivals through the media core's units, as these ship."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "loadtest"


class BuildError(Exception):
    """A program could not be built; the text says why."""


@functools.cache
def program(name: str) -> Path:
    """The program `name` of native/tests, built. Raises BuildError."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    cmake = shutil.which("cmake", path=path)
    if cmake is None:
        raise BuildError("cmake is not here: run make once")
    options = ["-DOH_TESTS=ON", "-DOH_MODULE=OFF", "-DCMAKE_BUILD_TYPE=Release"]
    for command in (
        [cmake, "-S", str(ROOT), "-B", str(BUILD), *options],
        [cmake, "--build", str(BUILD), "--target", name],
    ):
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PATH": path})
        if done.returncode:
            raise BuildError(f"{name} could not be built:\n{(done.stderr or done.stdout)[-2000:]}")
    return BUILD / "native" / "tests" / name


def why_not(name: str) -> str | None:
    """Why the program `name` cannot be had; None where it can."""
    try:
        program(name)
    except BuildError as error:
        return str(error).splitlines()[0]
    return None

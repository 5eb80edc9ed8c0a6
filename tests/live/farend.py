"""The telephone at the far end of a `dial` step: SIPp, which no one here wrote, answering by one of our scenarios.

SIPp ends with status 0 only where the call went as the scenario has it: that is how a test knows that the far end got
its BYE or CANCEL.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from loadtest.served import free_port

from tests.live.plans import FAR_END
from tests.live.watching import eventually

SCENARIOS = Path(__file__).resolve().parent / "sipp"


class FarEnd:
    """A running SIPp."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self._process, self._folder = process, folder

    async def done(self, limit_s: float = 20.0) -> None:
        """Wait for its call's end, and hold that it went as it should."""
        status = await asyncio.to_thread(self._process.wait, limit_s)
        errors = "".join(path.read_text(errors="replace") for path in self._folder.glob("*errors.log"))
        assert status == 0, f"sipp: {status}\n{errors}\n{(self._folder / 'sipp.out').read_text()[-3000:]}"


@contextlib.asynccontextmanager
async def far_end(scenario: str, folder: Path) -> AsyncIterator[FarEnd]:
    """Let SIPp wait for one call, which it takes by `sipp/<scenario>.xml`."""
    if shutil.which("sipp") is None:
        pytest.skip("skipped: sipp is not installed")
    process = _sipp(scenario, folder)
    try:
        await eventually(_taken, "SIPp listens", 15.0)
        yield FarEnd(process, folder)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _sipp(scenario: str, folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "sipp.out").open("wb") as out:
        return subprocess.Popen(
            [
                *("sipp", "-sf", SCENARIOS / f"{scenario}.xml", "-m", "1", "-i", "127.0.0.1", "-p", str(FAR_END)),
                *("-mp", str(free_port(socket.SOCK_DGRAM)), "-rtp_echo", "-nostdin", "-trace_err"),
                *("-timeout", "90", "-timeout_error"),
            ],
            cwd=folder,
            stdout=out,
            stderr=out,
        )


def _taken() -> bool | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", FAR_END))
        except OSError:
            return True
    return None

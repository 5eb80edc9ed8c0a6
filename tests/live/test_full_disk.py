"""The disk fills up while a call is recorded: the call goes on, it is on record, and recording resumes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
import soundfile
from loadtest.served import Served

from offhook.calls.caller import Line, Phone
from offhook.calls.timeline import AgentJoined, RecordingFailed, RecordingStarted, StepLeft
from tests.live.bare import BareCaller
from tests.live.test_dialling import tone
from tests.live.watching import Live, assert_untroubled, eventually, falls_silent, hears, live, over

Starter = Callable[..., Served]


class Disk(Protocol):
    """A disk that can be filled up."""

    def fill(self, call: Live) -> None: ...
    def free(self) -> None: ...


class SmallDisk:
    """A file system of 2 MB under the calls' folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, call: Live) -> None:
        with contextlib.suppress(OSError), (self.folder / "filler").open("wb", buffering=0) as filler:
            while filler.write(bytes(4096)):
                pass

    def free(self) -> None:
        (self.folder / "filler").unlink()


class SizeLimit:
    """A limit on the size of the files that the server writes: for who may not mount. Spares short files."""

    def __init__(self, server: Served) -> None:
        self.pid = server.process.pid

    def fill(self, call: Live) -> None:
        self._limit((call.folder / "caller.wav").stat().st_size)

    def free(self) -> None:
        self._limit(resource.RLIM_INFINITY)

    def _limit(self, size: int) -> None:
        _, hard = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (size, hard))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("skipped: no right to mount a file system")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture(params=["small disk", "size limit"])
def disk(request: pytest.FixtureRequest, echoing: Starter, tmp_path: Path) -> tuple[Served, Disk]:
    if request.param == "size limit":
        server = echoing()
        return server, SizeLimit(server)
    small: SmallDisk = request.getfixturevalue("small_disk")
    return on(small, echoing, tmp_path), small


def on(small: SmallDisk, echoing: Starter, tmp_path: Path) -> Served:
    """A server whose calls lie on the small disk."""
    (tmp_path / "home0").mkdir()
    os.symlink(small.folder, tmp_path / "home0" / "calls")
    return echoing()


@contextlib.asynccontextmanager
async def recorded(server: Served, caller: str) -> AsyncIterator[tuple[Line, Live]]:
    """A call that is being recorded, with the agent on the line."""
    async with Phone.plugged_in(name=caller) as phone, phone.ring(server.uri("100")) as line:
        call = await live(server, caller)
        await call.until(AgentJoined)
        await falls_silent(line)
        yield line, call


async def still_answers(line: Line) -> None:
    line.ear.forget()
    await line.say(tone(1.0))
    await hears(line, "the agent, which still answers", 5.0)


def faults(server: Served) -> bool | None:
    return server.metrics()["offhook_recording_faults_total"] >= 1 or None


async def test_the_call_goes_on_while_the_disk_is_full_and_recording_resumes(disk: tuple[Served, Disk]) -> None:
    server, filled = disk
    async with recorded(server, "full") as (line, call):
        filled.fill(call)
        await eventually(lambda: faults(server), "the failure is counted")
        await still_answers(line)
        assert line.gone is None
        filled.free()
        await call.until(RecordingStarted, 2)
        await still_answers(line)
    kept = await over(server, "full")
    kinds = [type(e.event).__name__ for e in kept.entries if isinstance(e.event, RecordingStarted | RecordingFailed)]
    assert kinds == ["RecordingStarted", "RecordingFailed", "RecordingStarted"]
    (failed,) = kept.of(RecordingFailed)
    assert isinstance(failed.event, RecordingFailed)
    print(failed.line())
    assert "No space left" in failed.event.why or "too large" in failed.event.why
    # What could not be kept is a hole: both tracks are as long as the call, and the end is heard.
    resumed = kept.of(RecordingStarted)[1]
    for name in ("caller.wav", "agent.wav"):
        pcm, rate_hz = soundfile.read(kept.folder / name, dtype="int16")
        assert len(pcm) / rate_hz * 1000 >= resumed.t + 900
        assert np.abs(pcm[int(resumed.t * rate_hz / 1000) :].astype(np.int32)).max() > 1000
    assert (kept.folder / "call.flac").exists()
    assert kept.ended.by == "caller"
    assert_untroubled(server)


async def test_a_call_that_the_database_had_no_room_for_is_filed_when_there_is_room(
    small_disk: SmallDisk, echoing: Starter, tmp_path: Path
) -> None:
    os.symlink(small_disk.folder, tmp_path / "home0")
    server = echoing()
    async with recorded(server, "no-row") as (line, call):
        small_disk.fill(call)
        await eventually(lambda: faults(server), "the failure is counted")
        await still_answers(line)
    await eventually(lambda: "call not filed" in server.said() or None, "the database refuses")
    with BareCaller(server) as caller:
        answer = await asyncio.to_thread(caller.invite, "400")
    assert answer is not None and answer.status == 503 and int(answer.headers["retry-after"][0]) > 0
    small_disk.free()
    kept = await over(server, "no-row")
    assert kept.ended.by == "caller" and len(kept.of(RecordingFailed)) == 1
    assert_untroubled(server)


async def test_calls_that_begin_and_end_while_the_disk_is_full_are_served_and_filed(
    small_disk: SmallDisk, echoing: Starter, tmp_path: Path
) -> None:
    server = on(small_disk, echoing, tmp_path)
    async with recorded(server, "ends-full") as (line, call):
        small_disk.fill(call)
        await eventually(lambda: faults(server), "the failure is counted")
        await still_answers(line)
    async with Phone.plugged_in(name="begins-full") as phone, phone.ring(server.uri("100")) as line:
        await eventually(lambda: server.get("/status")["worker"]["slots_used"] == 1, "the agent is on the line")
        await falls_silent(line)
        await still_answers(line)
    await asyncio.to_thread(server.wait_idle)
    rows = {row["caller"]: row for row in server.get("/api/calls")}
    for caller in ("ends-full", "begins-full"):
        assert (rows[caller]["state"], rows[caller]["ended_by"]) == ("ended", "caller"), rows
        assert rows[caller]["agent"] == "order-desk@1"
    small_disk.free()
    async with recorded(server, "after") as (line, _):
        await still_answers(line)
    kept = await over(server, "after")
    assert not kept.of(RecordingFailed)
    assert [e.event.exit for e in kept.of(StepLeft) if isinstance(e.event, StepLeft)][:2] == ["done", "recording"]
    assert_untroubled(server)

"""The server is killed in the middle of a call: what was recorded until then is there, and the call is known as cut."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from loadtest.served import Served

from offhook.calls.caller import Phone
from offhook.calls.timeline import AgentJoined
from tests.live.test_dialling import tone, tone_ms
from tests.live.watching import eventually, falls_silent, hears, live, offhook


def gone(pid: int) -> bool | None:
    """Whether a process is no more. One that nobody has waited for yet counts as gone."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return True
    return True if state == "Z" else None


@pytest.mark.figures
async def test_what_was_recorded_until_the_kill_plays_and_the_call_is_listed_as_cut(
    echoing: Callable[..., Served],
) -> None:
    server = echoing()
    async with Phone.plugged_in(name="survivor") as phone, phone.ring(server.uri("100")) as line:
        call = await live(server, "survivor")
        await call.until(AgentJoined)
        await falls_silent(line)
        line.ear.forget()
        saying = asyncio.create_task(line.say(tone(4.0)))
        heard_ms = await hears(line, "the echo")
        await line.until(lambda: line.ear.now_ms - heard_ms > 2500, 20.0)
        worker = server.worker_pid
        # The server's clock began when the INVITE came: a little after ours did.
        talked_ms = line.port.clock_ms - line.rung_at_ms
        server.kill()
        saying.cancel()
        await asyncio.gather(saying, return_exceptions=True)

    await eventually(lambda: gone(worker), "the speech worker goes with its server", 10.0)
    assert not (call.folder / "call.flac").exists()
    for name in ("caller.wav", "agent.wav"):
        pcm, rate_hz = soundfile.read(call.folder / name, dtype="int16")
        missing_ms = talked_ms - len(pcm) * 1000 / rate_hz
        print(f"{name}: {len(pcm) / rate_hz:.2f} s, {missing_ms:.0f} ms missing of {talked_ms / 1000:.2f} s")
        assert -300 <= missing_ms <= 1500
        assert tone_ms(call.folder / name) >= 1000
        assert np.abs(pcm[-rate_hz // 2 :].astype(np.int32)).max() > 1000, "no sound in the last half second"

    server.start()
    try:
        options = ("--settings", server.home / "offhook.toml")
        listed = offhook("calls", "list", *options)
        (row,) = [line for line in listed.stdout.splitlines() if line.startswith(call.id)]
        assert "cut" in row.split()
        flac, rate_hz = soundfile.read(call.folder / "call.flac", dtype="int16")
        assert flac.shape[1] == 2 and len(flac) / rate_hz * 1000 >= talked_ms - 1500
        why = offhook("calls", "explain", call.id, *options).stdout
        assert "the server stopped during the call" in why, why
        shown = offhook("calls", "show", call.id, *options).stdout
        assert "cut: the server stopped during the call" in shown, shown
        assert "call was cut" in server.said()
    finally:
        server.stop()

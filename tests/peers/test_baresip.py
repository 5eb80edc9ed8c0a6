"""baresip calls: greeted, asks, is answered, sends digits, holds, resumes, hangs up first, and last."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from loadtest.served import Served

from offhook.calls.timeline import CallHeld, CallResumed, KeyPressed, TalkEnded, ToolAnswered
from tests.live.watching import live, over
from tests.peers.baresip import Baresip, one_file
from tests.peers.record import kept

pytestmark = pytest.mark.skipif(shutil.which("baresip") is None, reason="skipped: baresip is not installed")


async def test_baresip_talks_presses_holds_resumes_and_hangs_up(server: Served, speech: Path, tmp_path: Path) -> None:
    phone = Baresip(tmp_path, "baresip", one_file(tmp_path / "silence.wav", 60.0))

    def say(sentence: str) -> None:
        said = one_file(tmp_path / f"{sentence}.wav", speech / f"{sentence}.flac", 60.0)
        phone.command("ausrc", f"aufile,{said}")

    try:
        phone.command("dial", server.uri("100"))
        phone.wait("CALL_ESTABLISHED", 10)
        call = await live(server, "baresip")
        await call.until(TalkEnded)
        say("rms-1-where-is-my-order")
        await call.until(TalkEnded, 2)
        for count, digit in enumerate("4172#", 1):
            phone.command("sndcode", digit)
            await call.until(KeyPressed, count)
        await call.until(TalkEnded, 3)
        phone.command("hold")
        await call.until(CallHeld)
        phone.command("resume")
        await call.until(CallResumed)
        say("rms-3-opening-hours")
        await call.until(TalkEnded, 4)
        phone.command("hangup")
        phone.wait("CALL_CLOSED", 5)
    finally:
        phone.close()
    kept = await over(server, "baresip")
    said = [(turn.who.value, turn.text) for turn in kept.turns]
    keys = "".join(entry.event.digit for entry in kept.of(KeyPressed) if isinstance(entry.event, KeyPressed))
    assert keys == "4172#", said
    assert any(isinstance(entry.event, ToolAnswered) and entry.event.ok for entry in kept.entries), said
    assert len(kept.of(CallHeld)) == len(kept.of(CallResumed)) == 1
    assert any("open" in text.lower() for who, text in said if who == "agent"), said
    assert kept.ended.by == "caller"


def test_baresip_listens_until_the_server_hangs_up(server: Served, tmp_path: Path) -> None:
    phone = Baresip(tmp_path, "baresip-last", one_file(tmp_path / "says.wav", 60.0))
    try:
        phone.command("dial", server.uri("600"))
        phone.wait("CALL_ESTABLISHED", 10)
        phone.wait("CALL_CLOSED", 30)
    finally:
        phone.close()
    assert kept(server, "baresip-last").ended.by == "us"

"""baresip calls: greeted, asks, is answered, sends digits, holds, resumes, hangs up first, and last."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from loadtest.served import Served

from offhook.calls.timeline import CallHeld, CallResumed, KeyPressed, ToolAnswered
from tests.peers.baresip import Baresip, one_file
from tests.peers.record import kept

pytestmark = pytest.mark.skipif(shutil.which("baresip") is None, reason="skipped: baresip is not installed")


def test_baresip_talks_presses_holds_resumes_and_hangs_up(server: Served, speech: Path, tmp_path: Path) -> None:
    says = one_file(
        tmp_path / "says.wav",
        *(12.0, speech / "rms-1-where-is-my-order.flac"),
        *(20.0, speech / "rms-3-opening-hours.flac"),
        60.0,
    )
    phone = Baresip(tmp_path, "baresip", says)
    try:
        phone.command("dial", server.uri("100"))
        phone.wait("CALL_ESTABLISHED", 10)
        established = time.monotonic()
        _until(established + 18.0)
        for digit in "4172#":
            phone.command("sndcode", digit)
            time.sleep(0.25)
        _until(established + 27.0)
        phone.command("hold")
        time.sleep(2.0)
        phone.command("resume")
        _until(established + 42.0)
        phone.command("hangup")
        phone.wait("CALL_CLOSED", 5)
    finally:
        phone.close()
    call = kept(server, "baresip")
    said = [(turn.who.value, turn.text) for turn in call.turns]
    keys = "".join(entry.event.digit for entry in call.of(KeyPressed) if isinstance(entry.event, KeyPressed))
    assert keys == "4172#", said
    assert any(isinstance(entry.event, ToolAnswered) and entry.event.ok for entry in call.entries), said
    assert len(call.of(CallHeld)) == len(call.of(CallResumed)) == 1
    assert any("open" in text.lower() for who, text in said if who == "agent"), said
    assert call.ended.by == "caller"


def test_baresip_listens_until_the_server_hangs_up(server: Served, tmp_path: Path) -> None:
    phone = Baresip(tmp_path, "baresip-last", one_file(tmp_path / "says.wav", 60.0))
    try:
        phone.command("dial", server.uri("600"))
        phone.wait("CALL_ESTABLISHED", 10)
        phone.wait("CALL_CLOSED", 30)
    finally:
        phone.close()
    assert kept(server, "baresip-last").ended.by == "us"


def _until(moment: float) -> None:
    """A person's sense of time: what is said in the file and what is pressed must not meet."""
    time.sleep(max(0.0, moment - time.monotonic()))

"""SIPp calls: greeted, asks, is answered, sends digits, holds, resumes, hangs up first, and last; over UDP and TCP."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

import pytest
import soundfile
from loadtest.served import Served, free_port

from offhook.calls.timeline import CallHeld, CallResumed, KeyPressed, ToolAnswered, ToolWanted
from tests.peers.record import kept

SCENARIOS = Path(__file__).resolve().parent / "sipp"

pytestmark = pytest.mark.skipif(shutil.which("sipp") is None, reason="skipped: sipp is not installed")


def scenario_with_keys(keys: str, target: Path) -> Path:
    """The scenario `talk` that presses `keys`."""
    one = (SCENARIOS / "key.xml").read_text(encoding="ascii")
    presses = "".join(one.replace("{cseq}", str(2 + at)).replace("{key}", key) for at, key in enumerate(keys))
    head, mark, tail = (SCENARIOS / "talk.xml").read_text(encoding="ascii").partition("  keys -->\n")
    assert mark
    target.write_text(head + mark + presses + tail, encoding="ascii")
    return target


def sipp(server: Served, scenario: Path, number: str, folder: Path, transport: str = "u1", **keys: str) -> None:
    """Run one call of a scenario; fails with what SIPp said where it did not go as the scenario has it."""
    pairs = [part for name, value in keys.items() for part in ("-key", name, value)]
    done = subprocess.run(
        [
            *("sipp", f"127.0.0.1:{server.sip_port}", "-sf", scenario, "-s", number, "-m", "1"),
            *("-t", transport, "-i", "127.0.0.1", "-nostdin", "-timeout", "90", "-timeout_error", "-trace_err"),
            *("-mp", str(free_port(socket.SOCK_DGRAM)), *pairs),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    errors = "".join(path.read_text(errors="replace") for path in folder.glob("*errors.log"))
    assert done.returncode == 0, f"sipp: {done.returncode}\n{errors}\n{done.stdout[-2500:]}"


def ulaw(path: Path, target: Path) -> None:
    """The sentence as the bare ulaw that SIPp's rtp_stream sends."""
    pcm, rate_hz = soundfile.read(path, dtype="int16")
    assert rate_hz == 8000
    with soundfile.SoundFile(target, "w", 8000, 1, "ULAW", format="RAW") as out:
        out.write(pcm)


@pytest.mark.parametrize("transport", ["u1", "t1"])
def test_sipp_talks_presses_holds_resumes_and_hangs_up(
    server: Served, speech: Path, tmp_path: Path, transport: str
) -> None:
    caller = f"sipp-{transport}"
    # SIPp reads the files that the scenario names in the folder it runs in.
    ulaw(speech / "slt-1-where-is-my-order.flac", tmp_path / "question.ulaw")
    ulaw(speech / "slt-3-opening-hours.flac", tmp_path / "second.ulaw")
    sipp(server, scenario_with_keys("4172#", tmp_path / "talk.xml"), "100", tmp_path, transport, caller=caller)
    call = kept(server, caller)
    said = [(turn.who.value, turn.text) for turn in call.turns]
    keys = "".join(entry.event.digit for entry in call.of(KeyPressed) if isinstance(entry.event, KeyPressed))
    assert keys == "4172#", said
    (wanted,) = (entry.event for entry in call.of(ToolWanted))
    assert isinstance(wanted, ToolWanted) and wanted.arguments == {"order": "4172"}, said
    (answered,) = (entry.event for entry in call.of(ToolAnswered))
    assert isinstance(answered, ToolAnswered) and answered.ok
    assert len(call.of(CallHeld)) == len(call.of(CallResumed)) == 1
    assert any("open" in text.lower() for who, text in said if who == "agent"), said
    assert call.ended.by == "caller"


def test_sipp_listens_until_the_server_hangs_up(server: Served, tmp_path: Path) -> None:
    sipp(server, SCENARIOS / "listen.xml", "600", tmp_path, caller="sipp-last")
    assert kept(server, "sipp-last").ended.by == "us"

"""JsSIP and SIP.js in Chromium, on a server as it ships: they register over a WebSocket, call the agent, are greeted,
understood, held, press keys and hang up; and they are rung, and talk with a telephone."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from loadtest.served import Served, free_port

from offhook.calls.caller import Phone, Saying
from offhook.calls.timeline import CallAnswered, CallHeld, CallResumed, DialAnswered, KeyPressed, WordsHeard
from offhook.sip import Credentials
from offhook.speech.contract import RATE_HZ
from tests.live.plans import settings, started
from tests.live.test_softphone import PLAN
from tests.live.watching import assert_untroubled, live, over
from tests.peers.desk import OURS_HZ, THEIRS_HZ, tone, tone_ms
from tests.peers.softphones import softphone

KINDS = ["jssip", "sipjs"]
AT = "phones.example.com"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, str]]:
    """A server with a trunk of phones, all of whom must prove themselves, and where its WebSocket is."""
    home = tmp_path_factory.mktemp("softphones")
    secret, port = home / "password", free_port(socket.SOCK_STREAM)
    secret.write_text("wonder\n", encoding="utf-8")
    users = dict.fromkeys(("alice", "bob", "carol"), f"file:{secret}")
    trunks = [{"name": "desk", "sources": ["127.0.0.1"], "realm": "offhook", "users": users}]
    sip = {"transports": ["udp", "ws"], "ws_port": port, "domain": AT}
    speech = {"model": "cascade", "slots": 2}
    with started(home, **settings(home, PLAN, sip=sip, trunks=trunks, speech=speech)) as server:
        yield server, f"ws://127.0.0.1:{port}"


def microphone(folder: Path, *parts: np.ndarray) -> Path:
    """A file that Chromium plays in a circle for its microphone."""
    file = folder / "microphone.wav"
    soundfile.write(file, np.concatenate(parts), 8_000, subtype="PCM_16")
    return file


@pytest.mark.parametrize("kind", KINDS)
async def test_a_softphone_registers_calls_is_greeted_understood_held_and_hangs_up(
    desk: tuple[Served, str], speech: Path, tmp_path: Path, kind: str
) -> None:
    server, ws = desk
    question, rate_hz = soundfile.read(speech / "slt-3-opening-hours.flac", dtype="int16")
    assert rate_hz == 8_000
    mouth = microphone(tmp_path, np.zeros(rate_hz * 6, np.int16), question, np.zeros(rate_hz * 6, np.int16))
    async with softphone(kind, tmp_path, mouth, ws, f"sip:carol@{AT}", "wonder") as phone:
        await phone.do("call", f"sip:100@{AT}")
        await phone.until("told.connected")
        call = await live(server, "carol")
        await phone.until("heard().rms > 0.02")
        await call.until(WordsHeard)
        for count, how in enumerate(("info", "rtp"), 1):
            await phone.do("press", str(count), how)
            pressed = await call.until(KeyPressed, count)
            assert isinstance(pressed.event, KeyPressed) and pressed.event.digit == str(count)
        await phone.do("hold")
        await call.until(CallHeld)
        await phone.do("resume")
        await call.until(CallResumed)
        await phone.until("heard().rms > 0.02")
        await phone.do("hangUp")
        kept = await over(server, "carol")
    (answered,) = kept.of(CallAnswered)
    assert isinstance(answered.event, CallAnswered) and answered.event.codec == "opus"
    words = " ".join(entry.event.text for entry in kept.of(WordsHeard) if isinstance(entry.event, WordsHeard))
    assert "open" in words.lower() or "hours" in words.lower(), words
    assert kept.ended.by == "caller"
    assert_untroubled(server)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_softphone_is_rung_and_both_hear_each_other(
    desk: tuple[Served, str], tmp_path: Path, kind: str
) -> None:
    server, ws = desk
    name, mouth = f"rings-{kind}", microphone(tmp_path, tone(THEIRS_HZ, 10.0))
    async with (
        softphone(kind, tmp_path, mouth, ws, f"sip:alice@{AT}", "wonder") as browser,
        Phone.plugged_in(name=name) as telephone,
        telephone.ring(server.uri("200"), Credentials("bob", "wonder")) as line,
    ):
        await browser.until("told.incoming === 1")
        await browser.do("answer")
        await browser.until("told.connected")
        call = await live(server, name)
        await call.until(DialAnswered)
        saying = asyncio.create_task(line.say(Saying("tone", tone(OURS_HZ, 3.0, RATE_HZ))))
        await browser.until(f"Math.abs(heard().hz - {OURS_HZ}) < 12 && heard().rms > 0.02")
        await saying
        await browser.do("hangUp")
        await line.far_end_hangs_up(20.0)
    kept = await over(server, name)
    assert tone_ms(kept.folder / "caller.wav", OURS_HZ) >= 2_500
    assert tone_ms(kept.folder / "agent.wav", THEIRS_HZ) >= 2_000
    assert_untroubled(server)

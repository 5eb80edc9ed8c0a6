"""JsSIP and SIP.js in Chromium, on a server as it ships: they register over a WebSocket, encrypted or not, call the
agent, are greeted, understood, held, press keys and hang up; they are rung, and talk with a telephone before and after
their ICE restarts; and their calls outlive a change of network."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from loadtest.network import Network, missing, network
from loadtest.served import LOOPBACK, Served, free_port

from offhook.calls.caller import Line, Phone, Saying
from offhook.calls.timeline import CallAnswered, CallHeld, CallMoved, CallResumed, DialAnswered, KeyPressed, WordsHeard
from offhook.sip import Credentials
from offhook.speech.contract import RATE_HZ
from tests.live.plans import settings, started
from tests.live.test_softphone import PLAN
from tests.live.watching import assert_untroubled, hears, live, over
from tests.peers.desk import OURS_HZ, THEIRS_HZ, tone, tone_ms
from tests.peers.softphones import Softphone, bundle, softphone
from tests.sip.certificates import self_signed

KINDS = ["jssip", "sipjs"]
AT = "phones.example.com"
AFTER_HZ = 500.0
"""What is said once ICE has restarted."""


@dataclass(frozen=True)
class Desk:
    """A server with a trunk of phones, all of whom must prove themselves."""

    server: Served
    urls: dict[str, str]
    """Where its WebSockets are, `ws` and `wss`."""
    certificate: Path

    @asynccontextmanager
    async def phone(
        self, kind: str, folder: Path, mouth: Path, user: str, over: str = "wss", **more: Any
    ) -> AsyncIterator[Softphone]:
        """A user's softphone, registered."""
        told = {"ws": self.urls[over], "address": f"sip:{user}@{AT}", "password": "wonder", **more}
        async with softphone(kind, folder, mouth, certificate=self.certificate, **told) as phone:
            yield phone


def _desk(home: Path, host: str, sources: str) -> Iterator[Desk]:
    for kind in KINDS:
        bundle(kind)  # before a server is started in vain
    certificate, key = self_signed(home, host)
    secret, ports = home / "password", {name: free_port(socket.SOCK_STREAM) for name in ("ws", "wss")}
    secret.write_text("wonder\n", encoding="utf-8")
    users = dict.fromkeys(("alice", "bob", "carol"), f"file:{secret}")
    trunks = [{"name": "desk", "sources": [sources], "realm": "offhook", "users": users}]
    sip = {
        "transports": ["udp", *ports], "ws_port": ports["ws"], "wss_port": ports["wss"], "domain": AT,
        "certificate": str(certificate), "key": str(key),
    }  # fmt: skip
    speech = {"model": "cascade", "slots": 2}
    with started(home, host=host, **settings(home, PLAN, sip=sip, trunks=trunks, speech=speech)) as server:
        yield Desk(server, {name: f"{name}://{host}:{port}" for name, port in ports.items()}, certificate)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    yield from _desk(tmp_path_factory.mktemp("softphones"), LOOPBACK, "127.0.0.1")


def microphone(folder: Path, *parts: np.ndarray) -> Path:
    """A file that Chromium plays in a circle for its microphone."""
    file = folder / "microphone.wav"
    soundfile.write(file, np.concatenate(parts), 8_000, subtype="PCM_16")
    return file


@pytest.fixture(scope="module")
def net() -> Iterator[Network]:
    if (why := missing(shaped=False)) is not None:
        pytest.skip(f"skipped: {why}")
    with network(shaped=False) as made:
        yield made


@pytest.fixture(scope="module")
def far_desk(net: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One whose phones are in another network."""
    yield from _desk(tmp_path_factory.mktemp("far-softphones"), net.near, net.sources)


async def talk(line: Line, phone: Softphone, hz: float) -> None:
    """Let each hear the other's tone."""
    line.ear.forget()
    saying = asyncio.create_task(line.say(Saying("tone", tone(hz, 3.0, RATE_HZ))))
    await phone.until(f"Math.abs(heard().hz - {hz}) < 12 && heard().rms > 0.02")
    await hears(line, "the softphone's tone")
    await saying


async def restarts(phone: Softphone) -> None:
    """Have it restart its ICE, and wait until audio flows by a pair that was found anew."""
    await phone.until("told.pair.used && told.pair.used === told.pair.described")
    before = await phone.told("pair.used")
    await phone.do("restart")
    await phone.until(f"told.pair.used === told.pair.described && told.pair.used !== '{before}'")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_softphone_registers_calls_is_greeted_understood_held_and_hangs_up(
    desk: Desk, speech: Path, tmp_path: Path, kind: str
) -> None:
    server = desk.server
    question, rate_hz = soundfile.read(speech / "slt-3-opening-hours.flac", dtype="int16")
    assert rate_hz == 8_000
    mouth = microphone(tmp_path, np.zeros(rate_hz * 6, np.int16), question, np.zeros(rate_hz * 6, np.int16))
    async with desk.phone(kind, tmp_path, mouth, "carol") as phone:
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


@pytest.mark.parametrize(("kind", "over_what"), [("jssip", "wss"), ("sipjs", "wss"), ("jssip", "ws")])
async def test_a_softphone_is_rung_and_both_hear_each_other_before_and_after_an_ice_restart(
    desk: Desk, tmp_path: Path, kind: str, over_what: str
) -> None:
    server = desk.server
    name, mouth = f"rings-{kind}-{over_what}", microphone(tmp_path, tone(THEIRS_HZ, 10.0))
    async with (
        desk.phone(kind, tmp_path, mouth, "alice", over_what) as browser,
        Phone.plugged_in(name=name) as telephone,
        telephone.ring(server.uri("200"), Credentials("bob", "wonder")) as line,
    ):
        await browser.until("told.incoming === 1")
        await browser.do("answer")
        await browser.until("told.connected")
        call = await live(server, name)
        await call.until(DialAnswered)
        await talk(line, browser, OURS_HZ)
        await restarts(browser)
        await talk(line, browser, AFTER_HZ)
        await browser.do("hangUp")
        await line.far_end_hangs_up(20.0)
    kept = await over(server, name)
    for hz in (OURS_HZ, AFTER_HZ):
        assert tone_ms(kept.folder / "caller.wav", hz) >= 1_000
    assert tone_ms(kept.folder / "agent.wav", THEIRS_HZ) >= 2_000
    assert not kept.of(CallHeld), "an ICE restart is no hold"
    assert_untroubled(server)


async def test_a_softphones_call_goes_on_in_another_network(
    far_desk: Desk, net: Network, speech: Path, tmp_path: Path
) -> None:
    """As its page would have it: a new WebSocket, and an ICE restart over it. SIP.js's `SimpleUser` drops its calls
    with its connection."""
    server = far_desk.server
    question, rate_hz = soundfile.read(speech / "slt-3-opening-hours.flac", dtype="int16")
    mouth = microphone(tmp_path, np.zeros(rate_hz * 4, np.int16), question, np.zeros(rate_hz * 3, np.int16))
    async with far_desk.phone("jssip", tmp_path, mouth, "carol", host=net.near, there=net.there) as phone:
        await phone.do("call", f"sip:100@{AT}")
        await phone.until("told.connected")
        call = await live(server, "carol")
        await call.until(WordsHeard)
        address = await asyncio.to_thread(net.move)
        await phone.do("reconnect")
        await phone.until("told.registered")
        await restarts(phone)
        moved = await call.until(CallMoved)
        assert isinstance(moved.event, CallMoved) and moved.event.address.startswith(f"{address}:"), moved
        await call.until(WordsHeard, len(call.of(WordsHeard)) + 1)
        await phone.until("heard().rms > 0.02")
        await phone.do("hangUp")
        kept = await over(server, "carol")
    assert kept.ended.by == "caller"
    assert_untroubled(server)

"""Kamailio and rtpengine in front of us: it finds us by OPTIONS, its route is kept in the dialog, media goes through
rtpengine, which turns RTP into SRTP on either side, and either end hangs up. And the other way: the plan puts a caller
through to somebody who has registered with it."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import soundfile
from loadtest.served import Served, free_port

from offhook.calls.caller import Phone, Saying
from offhook.calls.channel import Gone, Held, Resumed
from offhook.calls.timeline import DialAnswered, DialEnded
from offhook.sip import Refusal, Srtp
from tests.live.plans import settings, started
from tests.live.watching import assert_untroubled, hears, live, over
from tests.peers.baresip import Baresip, heard_in
from tests.peers.desk import LIMIT_S, OURS_HZ, RATE_HZ, THEIRS_HZ, desk, talked, tone, tone_ms, until
from tests.peers.kamailio import MEDIA, MISSING, kamailio

pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"skipped: {' and '.join(MISSING)} not installed"),
    pytest.mark.skipif(shutil.which("baresip") is None, reason="skipped: baresip is not installed"),
]
PLAIN, ENCRYPTED = "RTP/AVP", "RTP/SAVP DTLS=off pad-crypto"
"""This baresip misreads keys without their padding, as rtpengine writes them unasked."""
LIKE_BROWSERS = "UDP/TLS/RTP/SAVPF ICE=force rtcp-mux-require SDES=off"
"""Keys from DTLS, and the way found by ICE."""


@asynccontextmanager
async def telephone(folder: Path, encrypted: bool, account: str = ";regint=0") -> AsyncIterator[Baresip]:
    soundfile.write(folder / "says.wav", tone(THEIRS_HZ, 60.0), RATE_HZ, subtype="PCM_16")
    modules = ("srtp", "sndfile") if encrypted else ("sndfile",)
    account += ";mediaenc=srtp-mand" if encrypted else ""
    phone = await asyncio.to_thread(Baresip, folder, "alice", folder / "says.wav", account=account, modules=modules)
    try:
        yield phone
    finally:
        await asyncio.to_thread(phone.close)


@pytest.mark.parametrize(
    ("caller", "server"),
    [(PLAIN, PLAIN), (PLAIN, ENCRYPTED), (PLAIN, LIKE_BROWSERS), (ENCRYPTED, PLAIN)],
    ids=["plain", "srtp-to-us", "dtls-to-us", "srtp-to-caller"],
)
@pytest.mark.parametrize("who", ["caller", "we"])
async def test_a_call_through_kamailio_and_rtpengine_is_heard_both_ways_and_either_end_hangs_up(
    tmp_path: Path, caller: str, server: str, who: str
) -> None:
    srtp = Srtp.NEVER if server == PLAIN else Srtp.REQUIRED
    async with (
        desk(tmp_path, srtp, asks=False) as ours,
        kamailio(tmp_path, ours.sip.ports["udp"], server, caller) as proxy,
        telephone(tmp_path, caller == ENCRYPTED) as phone,
    ):
        await proxy.until_servers_are("AP")
        phone.command("dial", f"sip:100@127.0.0.1:{proxy.port}")
        leg = await asyncio.wait_for(ours.came.get(), LIMIT_S)
        await leg.answer()
        assert leg.agreed is not None and leg.agreed.secure == (server != PLAIN)
        assert leg.agreed.remote[1] in MEDIA, "the media does not go through rtpengine"
        ours.talk(leg)
        await asyncio.to_thread(phone.wait, "CALL_ESTABLISHED", LIMIT_S)
        await talked(leg, 2.0)
        if who == "caller":
            phone.command("hold")
            assert isinstance(await asyncio.wait_for(ours.events.get(), LIMIT_S), Held)
            phone.command("resume")
            assert isinstance(await asyncio.wait_for(ours.events.get(), LIMIT_S), Resumed)
            await talked(leg, 1.0)
            phone.command("hangup")
            gone = await asyncio.wait_for(ours.events.get(), LIMIT_S)
            assert isinstance(gone, Gone) and gone.by == "peer"
        else:
            leg.hang_up("enough")
            await asyncio.to_thread(phone.wait, "CALL_CLOSED", LIMIT_S)
            await until(lambda: proxy.came("BYE", ours.sip.ports["udp"]))
        leg.close()
    assert tone_ms(heard_in(tmp_path), OURS_HZ) >= 1500, "baresip did not hear us"
    assert tone_ms(tmp_path / "caller.wav", THEIRS_HZ) >= 1500, "we did not hear baresip"


async def test_kamailio_stops_calling_a_server_that_refuses_and_comes_back(tmp_path: Path) -> None:
    async with (
        desk(tmp_path, asks=False) as ours,
        kamailio(tmp_path, ours.sip.ports["udp"], PLAIN, PLAIN) as proxy,
    ):
        await proxy.until_servers_are("AP")
        ours.sip.refuse = Refusal(503, 5)
        await proxy.until_servers_are("IP")
        ours.sip.refuse = None
        await proxy.until_servers_are("AP")


PROXIES = {PLAIN: "127.0.0.2", ENCRYPTED: "127.0.0.3"}
"""Where it is, by what is spoken between it and us: each is a trunk of its own."""
DIALS = """\
dialplan: 1
timezone: UTC
numbers:
  "100": {{flow: plain}}
  "101": {{flow: encrypted}}
flows:
  plain:
    - disclose: recording
    - record: {{keep: 1d}}
    - dial: {{to: "sip:alice@127.0.0.2:{port}", ring: 20s, exits: {exits}}}
    - go: bye
  encrypted:
    - disclose: recording
    - record: {{keep: 1d}}
    - dial: {{to: "sip:alice@127.0.0.3:{port}", ring: 20s, exits: {exits}}}
    - go: bye
  bye: [say: bye, hangup: normal]
prompts:
  disclose-recording: {{en: "Recorded."}}
  bye: {{en: "Goodbye."}}
"""


@pytest.fixture(scope="module")
def dialling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, int]]:
    """A server that puts callers through to alice, and the UDP port of the proxy where she is."""
    home, port = tmp_path_factory.mktemp("dialling"), free_port(socket.SOCK_DGRAM)
    plan = DIALS.format(port=port, exits="{answered: next, no-answer: next, busy: next, failed: next}")
    trunks = [
        {"name": "callers", "sources": ["127.0.0.1"]},
        {"name": "proxy", "sources": [PROXIES[PLAIN]], "srtp": "never"},
        {"name": "encrypting proxy", "sources": [PROXIES[ENCRYPTED]], "srtp": "required"},
    ]
    with started(home, **settings(home, plan, trunks=trunks)) as server:
        yield server, port


@pytest.mark.parametrize(
    ("number", "ours", "theirs", "who"),
    [
        ("100", PLAIN, PLAIN, "caller"),
        ("101", ENCRYPTED, PLAIN, "alice"),
        ("101", ENCRYPTED, ENCRYPTED, "caller"),
    ],
    ids=["plain", "srtp-from-us", "srtp-throughout"],
)
async def test_a_caller_is_put_through_to_somebody_registered_behind_kamailio(
    dialling: tuple[Served, int], tmp_path: Path, number: str, ours: str, theirs: str, who: str
) -> None:
    server, port = dialling
    host, name = PROXIES[ours], f"{number}-{theirs == ENCRYPTED}"
    account = f';regint=60;outbound="sip:{host}:{port}";answermode=auto'
    async with (
        kamailio(tmp_path, server.sip_port, ours, theirs, host, port) as proxy,
        telephone(tmp_path, theirs == ENCRYPTED, account) as alice,
        Phone.plugged_in(name=name) as phone,
    ):
        await proxy.until_registered("alice")
        async with phone.ring(server.uri(number)) as line:
            call = await live(server, name)
            await call.until(DialAnswered)
            await asyncio.to_thread(alice.wait, "CALL_ESTABLISHED", LIMIT_S)
            await hears(line, "alice")
            await line.say(Saying("tone", tone(OURS_HZ, 3.0, 16_000)))
            if who == "alice":
                alice.command("hangup")
                await call.until(DialEnded)
                await line.far_end_hangs_up(LIMIT_S)
        if who == "caller":
            await asyncio.to_thread(alice.wait, "CALL_CLOSED", LIMIT_S)
        kept = await over(server, name)
    assert kept.ended.by == ("caller" if who == "caller" else "us")
    assert tone_ms(heard_in(tmp_path), OURS_HZ) >= 2000, "alice did not hear the caller"
    assert tone_ms(kept.folder / "agent.wav", THEIRS_HZ) >= 2000, "the caller did not hear alice"
    assert_untroubled(server)

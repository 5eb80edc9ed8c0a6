"""Callers put through to telephones that encrypt otherwise than they do: a browser (DTLS-SRTP, Opus) to baresip, which
has its keys from the SDP or none, and speaks G.711. Both talk, hold, press keys and hang up."""

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

from offhook.calls.timeline import CallAnswered, DialAnswered
from tests.live.pagecaller import page
from tests.live.plans import settings, started
from tests.live.watching import Live, assert_untroubled, eventually
from tests.peers import browser
from tests.peers.baresip import MODULES, Baresip, heard_in
from tests.peers.desk import LIMIT_S, RATE_HZ, THEIRS_HZ, tone, tone_ms
from tests.peers.record import Kept
from tests.sip.certificates import self_signed

pytestmark = [
    pytest.mark.skipif(shutil.which("baresip") is None, reason="skipped: baresip is not installed"),
    pytest.mark.skipif(not (MODULES / "srtp.so").exists(), reason="skipped: baresip's module srtp is not installed"),
]

OURS_HZ = 700.0
PLAN = """\
dialplan: 1
timezone: UTC
numbers:
  "200": {flow: person}
flows:
  person:
    - disclose: recording
    - record: {keep: 1d}
    - dial:
        to: sip:alice@phones.example.com
        ring: 20s
        exits: {answered: next, no-answer: next, busy: next, failed: next}
    - hangup: normal
prompts:
  disclose-recording: {en: "Recorded."}
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, int, Path]]:
    """A server at which alice registers, its port for TLS, and its certificate."""
    home, port = tmp_path_factory.mktemp("house"), free_port(socket.SOCK_STREAM)
    certificate, key = self_signed(home, "127.0.0.1")
    secret = home / "password"
    secret.write_text("wonder\n", encoding="utf-8")
    trunks = [{"name": "house", "sources": ["127.0.0.1"], "realm": "offhook"}]
    trunks[0] |= {"users": {"alice": f"file:{secret}"}, "digest": ["md5"]}  # this baresip knows no other
    sip = {
        "transports": ["udp", "tls"], "tls_port": port, "domain": "phones.example.com",
        "certificate": str(certificate), "key": str(key),
    }  # fmt: skip
    with started(home, **settings(home, PLAN, sip=sip, trunks=trunks)) as server:
        yield server, port, certificate


@asynccontextmanager
async def alice(house: tuple[Served, int, Path], folder: Path, encrypted: bool) -> AsyncIterator[Baresip]:
    server, port, certificate = house
    soundfile.write(folder / "says.wav", tone(THEIRS_HZ, 60.0), RATE_HZ, subtype="PCM_16")
    account = ";regint=60;answermode=auto;auth_pass=wonder"
    if encrypted:
        made = {"account": f"{account};mediaenc=srtp-mand", "authority": certificate, "port": port}
    else:
        made = {"account": f'{account};outbound="sip:127.0.0.1:{server.sip_port}"'}
    phone = await asyncio.to_thread(Baresip, folder, "alice", folder / "says.wav", modules=("srtp", "sndfile"), **made)
    try:
        await eventually(lambda: "200 OK" in phone.log.read_text(), "alice has registered")
        yield phone
    finally:
        await asyncio.to_thread(phone.close)


@pytest.mark.parametrize("encrypted", [True, False], ids=["srtp", "plain"])
async def test_a_browser_is_put_through_to_a_telephone_that_encrypts_otherwise(
    house: tuple[Served, int, Path], tmp_path: Path, encrypted: bool
) -> None:
    server, *_ = house
    async with alice(house, tmp_path, encrypted) as phone, page(server, "opus") as caller:
        await caller.call("200")
        (folder,) = (server.home / "calls").glob(f"*/{caller.id}")
        call = Live(server, caller.id, folder)
        await call.until(DialAnswered)
        await asyncio.to_thread(phone.wait, "CALL_ESTABLISHED", LIMIT_S)
        await caller.browser.ear.hears(THEIRS_HZ)
        caller.browser.voice.say(browser.tone(OURS_HZ, 3_000))
        await eventually(lambda: tone_ms(folder / "caller.wav", OURS_HZ) >= 2_500, "all of the tone is on the track")
        phone.command("hold")
        await caller.browser.ear.silence()
        phone.command("resume")
        await caller.browser.ear.hears(THEIRS_HZ)
        await caller.hang_up()
        await asyncio.to_thread(phone.wait, "CALL_CLOSED", LIMIT_S)
        await eventually(lambda: not server.get("/status")["calls"], "the call has ended")
    kept = Kept(folder, call.entries())
    (answered,) = kept.of(CallAnswered)
    assert isinstance(answered.event, CallAnswered) and answered.event.codec == "opus"
    assert kept.ended.by == "caller"
    assert tone_ms(heard_in(tmp_path), OURS_HZ) >= 2_000, "alice did not hear the browser"
    assert ("SRTP is Enabled" in phone.log.read_text()) == encrypted
    assert_untroubled(server)

"""Kamailio and rtpengine in front of a leg of ours: it finds us by OPTIONS, its route is kept in the dialog, media goes
through rtpengine, which turns RTP into SRTP on either side, and either end hangs up."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import soundfile

from offhook.calls.channel import Gone, Held, Resumed
from offhook.sip import Refusal, Srtp
from tests.peers.baresip import Baresip, heard_in
from tests.peers.desk import LIMIT_S, OURS_HZ, RATE_HZ, THEIRS_HZ, desk, talked, tone, tone_ms, until
from tests.peers.kamailio import MEDIA, MISSING, kamailio

pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"skipped: {' and '.join(MISSING)} not installed"),
    pytest.mark.skipif(shutil.which("baresip") is None, reason="skipped: baresip is not installed"),
]
PLAIN, ENCRYPTED = "RTP/AVP", "RTP/SAVP DTLS=off"
LIKE_BROWSERS = "UDP/TLS/RTP/SAVPF ICE=force rtcp-mux-require SDES=off"
"""Keys from DTLS, and the way found by ICE."""


@asynccontextmanager
async def telephone(folder: Path, encrypted: bool) -> AsyncIterator[Baresip]:
    soundfile.write(folder / "says.wav", tone(THEIRS_HZ, 60.0), RATE_HZ, subtype="PCM_16")
    account, modules = (
        (";regint=0;mediaenc=srtp-mand", ("srtp", "sndfile")) if encrypted else (";regint=0", ("sndfile",))
    )
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

"""baresip over TLS with SRTP, both ways and registered, against a leg of ours: keys from the SDP, tones heard at both
ends, hold and resume with the keys kept, and what is not encrypted refused."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from offhook.calls.channel import Gone, Held, Resumed
from offhook.calls.sipleg import CODECS
from offhook.sip import Cause, Srtp
from tests.peers.baresip import MODULES, Baresip, heard_in
from tests.peers.desk import LIMIT_S, OURS_HZ, THEIRS_HZ, Desk, desk, talked, tone, tone_ms, until

pytestmark = [
    pytest.mark.skipif(shutil.which("baresip") is None, reason="skipped: baresip is not installed"),
    pytest.mark.skipif(not (MODULES / "srtp.so").exists(), reason="skipped: baresip's module srtp is not installed"),
]


@asynccontextmanager
async def telephone(desk: Desk, folder: Path, account: str, codec: str = "PCMU/8000/1") -> AsyncIterator[Baresip]:
    source, (_, rate, channels) = folder / "says.wav", codec.split("/")
    said = np.repeat(tone(THEIRS_HZ, 60.0, int(rate))[:, None], int(channels), axis=1)
    soundfile.write(source, said, int(rate), subtype="PCM_16")
    phone = await asyncio.to_thread(
        Baresip,
        folder,
        "alice",
        source,
        account=f"{account};auth_pass=wonder",
        codec=codec,
        modules=("srtp", "dtls_srtp", "opus", "sndfile"),
        authority=desk.folder / "certificate.pem",
        port=desk.sip.ports["tls"],
        one_port="dtls" in account,
    )
    try:
        yield phone
    finally:
        await asyncio.to_thread(phone.close)


@pytest.mark.parametrize(
    ("account", "codec"), [("srtp-mand", "PCMU/8000/1"), ("srtp", "opus/48000/2"), ("dtls_srtp", "PCMU/8000/1")]
)
async def test_baresip_calls_over_tls_and_both_hear_each_other_over_srtp(
    tmp_path: Path, account: str, codec: str
) -> None:
    async with desk(tmp_path) as ours, telephone(ours, tmp_path, f";regint=0;mediaenc={account}", codec) as phone:
        phone.command("dial", ours.uri("tls"))
        leg = await asyncio.wait_for(ours.came.get(), LIMIT_S)
        answer = await leg.answer()
        assert leg.agreed is not None and leg.agreed.secure and answer.codec == CODECS[codec.split("/")[0].upper()]
        keys = leg.agreed.keys
        ours.talk(leg)
        await asyncio.to_thread(phone.wait, "CALL_ESTABLISHED", LIMIT_S)
        await talked(leg, 2.0)
        phone.command("hold")
        assert isinstance(await asyncio.wait_for(ours.events.get(), LIMIT_S), Held)
        phone.command("resume")
        assert isinstance(await asyncio.wait_for(ours.events.get(), LIMIT_S), Resumed)
        assert leg.agreed.keys == keys, "a key that is not changed stays"
        await talked(leg, 2.0)
        counters = leg.port.counters()
        phone.command("hangup")
        gone = await asyncio.wait_for(ours.events.get(), LIMIT_S)
        assert isinstance(gone, Gone) and gone.by == "peer"
        leg.close()
    assert counters.unauthentic == 0
    # Once held, this baresip writes down nothing more of what it hears.
    assert tone_ms(heard_in(tmp_path), OURS_HZ) >= 1500, "baresip did not hear us"
    assert tone_ms(tmp_path / "caller.wav", THEIRS_HZ) >= 3000, "we did not hear baresip before and after it held us"


@pytest.mark.parametrize("encryption", ["srtp", "srtp-mand"])
async def test_baresip_registers_over_tls_and_is_rung_down_its_own_connection(tmp_path: Path, encryption: str) -> None:
    account = f";regint=60;mediaenc={encryption};answermode=auto"
    async with desk(tmp_path) as ours, telephone(ours, tmp_path, account) as phone:
        await until(lambda: ours.sip.registered("alice"))
        leg = ours.ring("alice")
        await asyncio.wait_for(leg.answered(), LIMIT_S)
        assert leg.agreed is not None and leg.agreed.secure, "over TLS keys are offered, and baresip takes them"
        ours.talk(leg)
        await talked(leg, 2.0)
        leg.hang_up("enough")
        await asyncio.to_thread(phone.wait, "CALL_CLOSED", LIMIT_S)
        leg.close()
    assert tone_ms(heard_in(tmp_path), OURS_HZ) >= 1500, "baresip did not hear us"
    assert tone_ms(tmp_path / "caller.wav", THEIRS_HZ) >= 1500, "we did not hear baresip"


async def test_what_is_not_encrypted_is_refused_where_the_trunk_requires_it(tmp_path: Path) -> None:
    async with desk(tmp_path, Srtp.REQUIRED) as ours, telephone(ours, tmp_path, ";regint=0") as phone:
        phone.command("dial", ours.uri("tls"))
        leg = await asyncio.wait_for(ours.came.get(), LIMIT_S)
        leg.ring()
        with pytest.raises(Exception, match="plain RTP"):
            await leg.answer()
        await asyncio.to_thread(phone.wait, "CALL_CLOSED", LIMIT_S)
        assert ours.refused.empty() or (await ours.refused.get()).cause is not Cause.MALFORMED
        leg.close()

"""linphone over TLS against a leg of ours, both ways: SRTP by keys in the SDP and by DTLS, with ICE and without, tones
heard at both ends, hold and resume, registered and rung."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import soundfile

from offhook.calls.channel import Gone, Held, Resumed
from offhook.calls.sipleg import CODECS
from tests.peers.desk import LIMIT_S, OURS_HZ, RATE_HZ, THEIRS_HZ, Desk, desk, talked, tone, tone_ms, until
from tests.peers.linphone import PROGRAM, Linphone, linphone

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="skipped: linphonec is not installed")


@asynccontextmanager
async def telephone(ours: Desk, folder: Path, **more: Any) -> AsyncIterator[Linphone]:
    """alice's, which says a tone for as long as a call lasts."""
    says = folder / "says.wav"
    soundfile.write(says, tone(THEIRS_HZ, 60.0), RATE_HZ, subtype="PCM_16")
    authority, login = folder / "certificate.pem", {"user": "alice", "password": "wonder", "realm": "offhook"}
    async with linphone(folder, ours.sip.ports["tls"], authority, says, login=login, **more) as phone:
        yield phone


@pytest.mark.parametrize(
    ("encryption", "ice", "codec"),
    [("srtp", False, "PCMU"), ("srtp", False, "opus"), ("dtls", True, "opus"), ("dtls", False, "PCMU")],
)
async def test_linphone_calls_and_both_hear_each_other_over_srtp_before_and_after_a_hold(
    tmp_path: Path, encryption: str, ice: bool, codec: str
) -> None:
    more = {"encryption": encryption, "ice": ice, "codec": codec}
    async with desk(tmp_path) as ours, telephone(ours, tmp_path, **more) as phone:
        await phone.tell(f"call {ours.uri('tls')}")
        leg = await asyncio.wait_for(ours.came.get(), LIMIT_S)
        answer = await leg.answer()
        assert answer.codec == CODECS[codec.upper()]
        assert leg.agreed is not None and leg.agreed.secure
        assert (leg.agreed.dtls is not None) == (encryption == "dtls")
        assert leg.agreed.dtls is None or (leg.agreed.dtls.ice is not None) == ice
        ours.talk(leg)
        await talked(leg, 2.0)
        await phone.tell("pause")
        assert isinstance(await asyncio.wait_for(ours.events.get(), LIMIT_S), Held)
        await phone.until("is now paused")
        await phone.tell("resume")
        assert isinstance(await asyncio.wait_for(ours.events.get(), LIMIT_S), Resumed)
        await talked(leg, 2.0)
        await phone.tell("terminate")
        gone = await asyncio.wait_for(ours.events.get(), LIMIT_S)
        assert isinstance(gone, Gone) and gone.by == "peer"
        leg.close()
    assert tone_ms(phone.heard, OURS_HZ) >= 3000, "linphone did not hear us before and after it held us"
    assert tone_ms(tmp_path / "caller.wav", THEIRS_HZ) >= 3000, "we did not hear linphone before and after it held us"


async def test_linphone_registers_and_is_rung_over_tls_and_hung_up_on(tmp_path: Path) -> None:
    async with desk(tmp_path) as ours, telephone(ours, tmp_path, register=True) as phone:
        await phone.tell("autoanswer enable")
        await until(lambda: ours.sip.registered("alice"))
        leg = ours.ring("alice")
        await asyncio.wait_for(leg.answered(), LIMIT_S)
        assert leg.agreed is not None and leg.agreed.secure, "over TLS keys are offered, and linphone takes them"
        ours.talk(leg)
        await talked(leg, 2.0)
        leg.hang_up("enough")
        await phone.until("ended")
        leg.close()
    assert tone_ms(phone.heard, OURS_HZ) >= 1500, "linphone did not hear us"
    assert tone_ms(tmp_path / "caller.wav", THEIRS_HZ) >= 1500, "we did not hear linphone"

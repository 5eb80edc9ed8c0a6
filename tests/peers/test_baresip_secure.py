"""baresip over TLS with SRTP, both ways and registered, against a leg of ours: keys from the SDP, tones heard at both
ends, hold and resume with the keys kept, and what is not encrypted refused."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from offhook.calls.channel import Gone, Held, LegEvent, Resumed
from offhook.calls.sipleg import CODECS, SipLeg
from offhook.media import MediaCore
from offhook.sip import Cause, IncomingCall, Refused, SipEndpoint, SipEvent, SipSettings, Srtp, Trunk
from tests.peers.baresip import MODULES, Baresip
from tests.sip.certificates import self_signed

pytestmark = [
    pytest.mark.skipif(shutil.which("baresip") is None, reason="skipped: baresip is not installed"),
    pytest.mark.skipif(not (MODULES / "srtp.so").exists(), reason="skipped: baresip's module srtp is not installed"),
]

OURS_HZ, THEIRS_HZ = 700.0, 1100.0
RATE_HZ = 8_000
LIMIT_S = 15.0


def tone(hz: float, seconds: float, rate_hz: int = RATE_HZ) -> npt.NDArray[np.int16]:
    return (8000 * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate_hz)) / rate_hz)).astype(np.int16)


def tone_ms(track: Path, hz: float) -> float:
    """How much of a track is this tone, in blocks of 20 ms."""
    whole, rate_hz = soundfile.read(track, dtype="float32", always_2d=True)
    pcm = whole[:, 0]
    block = rate_hz // 50
    blocks = pcm[: len(pcm) // block * block].reshape(-1, block)
    wave = np.exp(-2j * np.pi * hz * np.arange(block) / rate_hz)
    power = (blocks**2).sum(axis=1)
    return 20.0 * float(((power > 0.05) & (np.abs(blocks @ wave) ** 2 * 2 / block > 0.8 * power)).sum())


class Desk:
    """Our end: a leg for each call, both tracks kept, a tone said on it."""

    def __init__(self, core: MediaCore, folder: Path, srtp: Srtp) -> None:
        self.core, self.folder = core, folder
        self.came: asyncio.Queue[SipLeg] = asyncio.Queue()
        self.events: asyncio.Queue[LegEvent] = asyncio.Queue()
        self.refused: asyncio.Queue[Refused] = asyncio.Queue()
        self._legs: dict[object, SipLeg] = {}
        self._tone = core.load_prompt(tone(OURS_HZ, 1.0), RATE_HZ)
        certificate, key = self_signed(folder, "127.0.0.1")
        trunk = Trunk(
            "phones", ("127.0.0.0/8",), realm="offhook", users={"alice": "wonder"}, srtp=srtp, digest=("MD5",)
        )
        self.sip = SipEndpoint(
            SipSettings(
                bind=("127.0.0.1", 0), tls_port=0, transports=frozenset({"udp", "tls"}), trunks=(trunk,),
                certificate=certificate, key=key, authorities=certificate,
            ),
            self._on_event,
        )  # fmt: skip

    def uri(self, transport: str) -> str:
        return f"sip:100@127.0.0.1:{self.sip.ports[transport]};transport={transport}"

    def talk(self, leg: SipLeg) -> None:
        leg.port.record(self.folder / "caller.wav", self.folder / "agent.wav")
        leg.port.play(self._tone, loop=True)

    def ring(self, user: str) -> SipLeg:
        port = self.core.open("out")
        uri = f"sip:{user}@127.0.0.1"
        session = self.sip.call(uri, self.sip.terms(uri).offer(*port.address))
        leg = self._legs[session] = SipLeg(session, port)
        leg.listen(self.events.put_nowait)
        return leg

    def _on_event(self, event: SipEvent) -> None:
        session = getattr(event, "session", None)
        if isinstance(event, IncomingCall):
            leg = self._legs[session] = SipLeg(event.session, self.core.open("in"))
            leg.listen(self.events.put_nowait)
            self.came.put_nowait(leg)
        elif isinstance(event, Refused):
            self.refused.put_nowait(event)
        elif session in self._legs:
            self._legs[session].handle(event)


@asynccontextmanager
async def desk(folder: Path, srtp: Srtp = Srtp.OFFERED) -> AsyncIterator[Desk]:
    with MediaCore(ports=(24000, 25999)) as core:
        made = Desk(core, folder, srtp)
        await made.sip.start()
        try:
            yield made
        finally:
            await made.sip.stop()


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
        modules=("srtp", "opus", "sndfile"),
        authority=desk.folder / "certificate.pem",
        port=desk.sip.ports["tls"],
    )
    try:
        yield phone
    finally:
        await asyncio.to_thread(phone.close)


def heard_by_baresip(folder: Path) -> Path:
    """What its module sndfile wrote down."""
    (written,) = folder.glob("dump-*-dec.wav")
    return written


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.05)


async def talked(leg: SipLeg, seconds: float) -> None:
    """Let both talk until each has heard so much of the other."""
    before, packets = leg.port.counters(), int(seconds * 50)
    await until(lambda: leg.port.counters().packets_in >= before.packets_in + packets)
    await until(lambda: leg.port.counters().packets_out >= before.packets_out + packets)


@pytest.mark.parametrize(("account", "codec"), [("srtp-mand", "PCMU/8000/1"), ("srtp", "opus/48000/2")])
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
    assert tone_ms(heard_by_baresip(tmp_path), OURS_HZ) >= 1500, "baresip did not hear us"
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
    assert tone_ms(heard_by_baresip(tmp_path), OURS_HZ) >= 1500, "baresip did not hear us"
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

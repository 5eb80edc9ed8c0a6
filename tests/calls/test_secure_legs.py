"""SIP legs with SRTP, between real ports: keys from the SDP reach the media core, and a re-INVITE changes them only
where it brings others. The far end is a port of its own and SIP by the line, so that a test can have it do anything."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import soundfile

from offhook.calls.caller import CallerError, Phone
from offhook.calls.sipleg import SipLeg
from offhook.media import Keys, MediaCore, Port, Remote, Suite
from offhook.sip import IncomingCall, SipEndpoint, SipEvent, SipSettings, Srtp, Terms, Trunk
from offhook.sip.message import Response, parse
from offhook.sip.sdes import Crypto, fresh, read

LIMIT_S = 10.0
HZ = 880.0
SHA1_80, GCM = "AES_CM_128_HMAC_SHA1_80", "AEAD_AES_128_GCM"


class Desk:
    """Our end: answers every call, keeps what it hears."""

    def __init__(self, core: MediaCore, srtp: Srtp) -> None:
        self._core = core
        self._legs: dict[object, SipLeg] = {}
        self.came: asyncio.Queue[SipLeg] = asyncio.Queue()
        trunk = Trunk("local", ("127.0.0.0/8",), srtp=srtp)
        self.sip = SipEndpoint(SipSettings(bind=("127.0.0.1", 0), trunks=(trunk,)), self._on_event)

    @property
    def uri(self) -> str:
        return f"sip:100@127.0.0.1:{self.sip.local[1]}"

    def _on_event(self, event: SipEvent) -> None:
        session = getattr(event, "session", None)
        if isinstance(event, IncomingCall):
            leg = self._legs[session] = SipLeg(event.session, self._core.open("leg"))
            self.came.put_nowait(leg)
        elif session in self._legs:
            self._legs[session].handle(event)


@asynccontextmanager
async def desk(srtp: Srtp = Srtp.OFFERED) -> AsyncIterator[Desk]:
    with MediaCore(ports=(26000, 27999)) as core:
        made = Desk(core, srtp)
        await made.sip.start()
        try:
            yield made
        finally:
            await made.sip.stop()


@dataclass
class FarEnd(asyncio.DatagramProtocol):
    """A caller: its SIP by the line, its port in a media core of its own."""

    desk: Desk
    port: Port
    cseq: int = 0
    tag: str = ""
    version: int = 0
    heard: asyncio.Queue[Response] = field(default_factory=asyncio.Queue)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        self._address = "127.0.0.1", transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        message = parse(data)
        if isinstance(message, Response) and message.status >= 200:
            self.heard.put_nowait(message)

    def send(self, method: str, body: str = "") -> None:
        self.cseq += method != "ACK"
        lines = [
            f"{method} {self.desk.uri} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self._address[1]};branch=z9hG4bK{method}{self.cseq};rport",
            "From: <sip:far@127.0.0.1>;tag=far",
            f"To: <{self.desk.uri}>" + (f";tag={self.tag}" if self.tag else ""),
            "Call-ID: secure-leg",
            f"CSeq: {self.cseq} {method}",
            f"Contact: <sip:far@127.0.0.1:{self._address[1]}>",
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        text = "\r\n".join(lines) + "\r\n\r\n" + body
        self._transport.sendto(text.encode(), ("127.0.0.1", self.desk.sip.local[1]))

    async def offer(self, crypto: Crypto) -> Crypto:
        """INVITE, or again, with this key; ours from the answer, and the port keyed with both."""
        self.version += 1
        self.send(
            "INVITE",
            f"v=0\r\no=- 1 {self.version} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {self.port.address[1]} RTP/SAVP 0\r\na=rtcp-mux\r\na=crypto:{crypto.attribute()}\r\n",
        )
        answer = await asyncio.wait_for(self.heard.get(), LIMIT_S)
        assert answer.status == 200, answer
        self.tag = answer.target.tag or ""
        self.send("ACK")
        text = answer.body.decode()
        (line,) = re.findall(r"a=crypto:(.*)\r\n", text)
        ours = read(line)
        self.port.keys(Keys(cast(Suite, crypto.suite), send=crypto.key, receive=ours.key))
        number = int(re.findall(r"m=audio (\d+) RTP/SAVP", text)[0])
        self.port.remote(Remote(("127.0.0.1", number), "ulaw", 0, rtcp_mux=True, secure=True))
        return ours


@asynccontextmanager
async def far_end(desk: Desk) -> AsyncIterator[FarEnd]:
    with MediaCore(ports=(28000, 29999)) as core:
        far = FarEnd(desk, core.open("far"))
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: far, local_addr=("127.0.0.1", 0))
        tone = (8000 * np.sin(2 * np.pi * HZ * np.arange(8000) / 8000)).astype(np.int16)
        far.port.play(core.load_prompt(tone, 8000), loop=True)
        yield far
        far.send("BYE")
        await asyncio.wait_for(far.heard.get(), LIMIT_S)
        transport.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.02)


async def more_heard(leg: SipLeg, packets: int) -> None:
    before = leg.port.counters().packets_in
    await until(lambda: leg.port.counters().packets_in >= before + packets)


def tone_ms(track: Path) -> float:
    pcm, rate_hz = soundfile.read(track, dtype="float32")
    blocks = pcm[: len(pcm) // 160 * 160].reshape(-1, 160)
    wave = np.exp(-2j * np.pi * HZ * np.arange(160) / rate_hz)
    power = (blocks**2).sum(axis=1)
    return 20.0 * float(((power > 0.05) & (np.abs(blocks @ wave) ** 2 * 2 / 160 > 0.8 * power)).sum())


@pytest.mark.parametrize("suite", [SHA1_80, GCM])
async def test_a_re_invite_with_another_key_changes_both_keys_and_one_with_the_same_changes_none(
    tmp_path: Path, suite: str
) -> None:
    async with desk() as ours, far_end(ours) as far:
        first = fresh(suite, 1)
        answering = asyncio.create_task(far.offer(first))
        leg = await asyncio.wait_for(ours.came.get(), LIMIT_S)
        await leg.answer()
        our_first = await answering
        leg.port.record(tmp_path / "caller.wav", tmp_path / "agent.wav")
        await more_heard(leg, 50)
        assert await far.offer(first) == our_first, "the same key again leaves ours as it is"
        await more_heard(leg, 50)
        assert far.port.counters().unauthentic == leg.port.counters().unauthentic == 0
        second = fresh(suite, 1)
        our_second = await far.offer(second)
        assert our_second.key not in (our_first.key, first.key, second.key)
        await more_heard(leg, 50)
        # What was sent with the new key before the answer with it was read here could not be understood.
        heard_back = far.port.counters()
        await until(lambda: far.port.counters().packets_in >= heard_back.packets_in + 25)
        assert far.port.counters().unauthentic == heard_back.unauthentic and leg.port.counters().replayed == 0
        leg.port.stop_recording()
        leg.close()
    assert tone_ms(tmp_path / "caller.wav") >= 2800, "something of what was said was lost on the way"


async def test_our_telephone_and_our_leg_agree_on_encryption_that_both_require() -> None:
    async with desk(Srtp.REQUIRED) as ours, Phone.plugged_in(ports=(28000, 29999), terms=Terms(Srtp.REQUIRED)) as phone:
        answering = asyncio.create_task(answered(ours))
        async with phone.ring(ours.uri) as line:
            leg = await answering
            assert leg.agreed is not None and leg.agreed.secure and line.leg.agreed is not None
            assert leg.agreed.keys is not None and leg.agreed.keys.suite == GCM
            await until(lambda: leg.port.counters().packets_in >= 25 and line.port.counters().packets_in >= 25)
            assert leg.port.counters().unauthentic == line.port.counters().unauthentic == 0
            keys = leg.agreed.keys
            line.leg.session.reoffer(hold=True)
            await until(lambda: leg.agreed is not None and not leg.agreed.send)
            line.leg.session.reoffer(hold=False)
            await until(lambda: leg.agreed is not None and leg.agreed.send)
            assert leg.agreed.keys == keys
            await more_heard(leg, 25)


@pytest.mark.parametrize(("theirs", "ours"), [(Srtp.NEVER, Srtp.REQUIRED), (Srtp.REQUIRED, Srtp.NEVER)])
async def test_who_requires_encryption_is_not_talked_to_without(theirs: Srtp, ours: Srtp) -> None:
    async with desk(ours) as here, Phone.plugged_in(ports=(28000, 29999), terms=Terms(theirs)) as phone:
        answering = asyncio.create_task(answered(here))
        with pytest.raises(CallerError, match="488"):
            async with phone.ring(here.uri):
                pass
        answering.cancel()


async def answered(desk: Desk) -> SipLeg:
    leg = await desk.came.get()
    await leg.answer()
    return leg

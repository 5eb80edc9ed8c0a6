"""Our end of an encrypted call that somebody else's telephone makes or takes: the SIP endpoint, a leg for each call
with both its tracks kept, and a tone that it says. No dial plan and no agent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from offhook.calls.channel import LegEvent
from offhook.calls.sipleg import SipLeg
from offhook.media import MediaCore
from offhook.sip import IncomingCall, Refused, SipEndpoint, SipEvent, SipSettings, Srtp, Trunk
from offhook.webrtc import Certificate, DtlsIdentity
from tests.sip.certificates import self_signed

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
    """Make it with `desk`."""

    def __init__(self, core: MediaCore, folder: Path, srtp: Srtp, asks: bool) -> None:
        self.core, self.folder = core, folder
        self.came: asyncio.Queue[SipLeg] = asyncio.Queue()
        self.events: asyncio.Queue[LegEvent] = asyncio.Queue()
        self.refused: asyncio.Queue[Refused] = asyncio.Queue()
        self._legs: dict[object, SipLeg] = {}
        self._tone = core.load_prompt(tone(OURS_HZ, 1.0), RATE_HZ)
        self._identity = DtlsIdentity(Certificate.make())
        certificate, key = self_signed(folder, "127.0.0.1")
        trunk = Trunk("phones", ("127.0.0.0/8",), srtp=srtp, digest=("MD5",))
        if asks:
            trunk = replace(trunk, realm="offhook", users={"alice": "wonder"})
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

    def on_media(self) -> None:
        """What the media core hands up of ICE and DTLS goes to the leg whose port it came to; nothing else is asked."""
        self.core.events()
        for datagram in self.core.datagrams():
            for leg in self._legs.values():
                if leg.port.number == datagram.port and leg.line is not None:
                    leg.line.receive(datagram)

    def _on_event(self, event: SipEvent) -> None:
        session = getattr(event, "session", None)
        if isinstance(event, IncomingCall):
            leg = self._legs[session] = SipLeg(event.session, self.core.open("in"), self._identity)
            leg.listen(self.events.put_nowait)
            self.came.put_nowait(leg)
        elif isinstance(event, Refused):
            self.refused.put_nowait(event)
        elif session in self._legs:
            self._legs[session].handle(event)


@asynccontextmanager
async def desk(folder: Path, srtp: Srtp = Srtp.OFFERED, asks: bool = True) -> AsyncIterator[Desk]:
    """Our end on free ports, while the block runs. In `folder`: its certificate, and the tracks of the call. `asks`:
    callers must prove that they are alice."""
    with MediaCore(ports=(24000, 25999)) as core:
        made = Desk(core, folder, srtp, asks)
        await made.sip.start()
        loop = asyncio.get_running_loop()
        loop.add_reader(core.fileno(), made.on_media)
        try:
            yield made
        finally:
            loop.remove_reader(core.fileno())
            await made.sip.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.05)


async def talked(leg: SipLeg, seconds: float) -> None:
    """Let both talk until each has heard so much of the other."""
    before, packets = leg.port.counters(), int(seconds * 50)
    await until(lambda: leg.port.counters().packets_in >= before.packets_in + packets)
    await until(lambda: leg.port.counters().packets_out >= before.packets_out + packets)

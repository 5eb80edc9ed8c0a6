"""The channels that `test_channels` holds to one contract: for each, our end of it and a party that calls over it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol

import pytest

from offhook.calls.caller import CallerError, Line, Phone
from offhook.calls.channel import ChannelAdapter, LegEvent
from offhook.calls.narration import Message
from offhook.calls.sipleg import SipLeg
from offhook.calls.webleg import WebLeg
from offhook.media import MediaCore
from offhook.sip import IncomingCall, SipEndpoint, SipEvent, SipSettings, Trunk
from offhook.webrtc import Certificate, DtlsIdentity
from tests.peers.browser import Browser

LIMIT_S = 10.0


class Party(Protocol):
    """Who calls."""

    async def answered(self) -> None:
        """Returns once the call is. Raises Refused where it is not."""

    def hang_up(self) -> None: ...

    def hold(self, on: bool) -> None: ...

    def press(self, digit: str) -> None:
        """By signalling, not in the audio."""

    async def hung_up_on(self) -> None:
        """Returns once our end has hung up."""


class Refused(Exception):
    """The call was not taken; the text says how the party was told."""


@dataclass
class Desk:
    """Our end: the leg of each call that comes in, and what the leg reports."""

    came: asyncio.Queue[ChannelAdapter] = field(default_factory=asyncio.Queue)
    events: asyncio.Queue[LegEvent] = field(default_factory=asyncio.Queue)

    def takes(self, leg: ChannelAdapter) -> None:
        leg.listen(self.events.put_nowait)
        self.came.put_nowait(leg)

    async def reports(self, kind: type[LegEvent]) -> LegEvent:
        event = await asyncio.wait_for(self.events.get(), LIMIT_S)
        assert isinstance(event, kind), event
        return event

    @contextlib.asynccontextmanager
    async def party(self) -> AsyncIterator[Party]:
        """Somebody who calls."""
        raise NotImplementedError
        yield


class SipDesk(Desk):
    """SIP, rung by our telephone over loopback."""

    def __init__(self, core: MediaCore) -> None:
        super().__init__()
        self.core = core
        self._legs: dict[object, SipLeg] = {}
        self.sip = SipEndpoint(
            SipSettings(bind=("127.0.0.1", 0), trunks=(Trunk("local", ("127.0.0.0/8",)),)), self._on_event
        )

    @contextlib.asynccontextmanager
    async def party(self) -> AsyncIterator[Party]:
        host, port = self.sip.local
        async with Phone.plugged_in(ports=(28000, 29999)) as phone:
            caller = SipParty(phone, f"sip:100@{host}:{port}")
            try:
                yield caller
            finally:
                await caller.close()

    def _on_event(self, event: SipEvent) -> None:
        session = getattr(event, "session", None)
        if isinstance(event, IncomingCall):
            leg = self._legs[session] = SipLeg(event.session, self.core.open("leg"))
            self.takes(leg)
        elif session in self._legs:
            self._legs[session].handle(event)


class SipParty:
    def __init__(self, phone: Phone, uri: str) -> None:
        self._line: asyncio.Future[Line] = asyncio.get_running_loop().create_future()
        self._done = asyncio.Event()
        self._call = asyncio.create_task(self._ring(phone, uri))

    async def _ring(self, phone: Phone, uri: str) -> None:
        try:
            async with phone.ring(uri) as line:
                self._line.set_result(line)
                await self._done.wait()
        except CallerError as refused:
            self._line.set_exception(Refused(str(refused)))

    async def answered(self) -> None:
        await asyncio.wait_for(asyncio.shield(self._line), LIMIT_S)

    def hang_up(self) -> None:
        self._done.set()

    def hold(self, on: bool) -> None:
        self._line.result().leg.session.reoffer(hold=on)

    def press(self, digit: str) -> None:
        self._line.result().leg.session.send_digit(digit)

    async def hung_up_on(self) -> None:
        await self._line.result().far_end_hangs_up(LIMIT_S)

    async def close(self) -> None:
        self._done.set()
        await self._call


class WebDesk(Desk):
    """A page whose browser is aiortc, without the socket between."""

    def __init__(self, core: MediaCore) -> None:
        super().__init__()
        self.core = core
        self.identity = DtlsIdentity(Certificate.make())
        self.legs: dict[int, WebLeg] = {}

    def on_media(self) -> None:
        self.core.events()
        for datagram in self.core.datagrams():
            self.legs[datagram.port].line.receive(datagram)

    @contextlib.asynccontextmanager
    async def party(self) -> AsyncIterator[Party]:
        browser = Browser()
        offer = await browser.offer()
        leg = WebLeg(offer, self.core.open("leg"), self.identity)
        self.legs[leg.port.number] = leg
        caller = WebParty(leg, browser, offer)
        self.takes(leg)
        try:
            yield caller
        finally:
            await browser.close()


class WebParty:
    def __init__(self, leg: WebLeg, browser: Browser, offer: str) -> None:
        self._leg, self._browser, self.offered = leg, browser, offer
        self._told: asyncio.Queue[Message] = asyncio.Queue()
        leg.attach(self._told.put_nowait)

    async def answered(self) -> None:
        said = await self._next()
        if said["type"] == "ended":
            raise Refused(str(said["why"]))
        await self._browser.take(str(said["sdp"]))

    def hang_up(self) -> None:
        self._leg.leave()

    def hold(self, on: bool) -> None:
        self._leg.offer(self.offered.replace("a=sendrecv", "a=sendonly" if on else "a=sendrecv"))

    def press(self, digit: str) -> None:
        self._leg.press(digit)

    async def hung_up_on(self) -> None:
        assert (await self._next())["type"] == "ended"

    async def _next(self) -> Message:
        return await asyncio.wait_for(self._told.get(), LIMIT_S)


@contextlib.asynccontextmanager
async def desk_of(channel: str) -> AsyncIterator[Desk]:
    """Our end of `sip` or `web`."""
    with MediaCore(ports=(26000, 27999)) as core:
        if channel == "sip":
            sip = SipDesk(core)
            await sip.sip.start()
            yield sip
            await sip.sip.stop()
        else:
            web, loop = WebDesk(core), asyncio.get_running_loop()
            loop.add_reader(core.fileno(), web.on_media)
            yield web
            loop.remove_reader(core.fileno())


CHANNELS = [pytest.param("sip", id="sip"), pytest.param("web", id="web")]

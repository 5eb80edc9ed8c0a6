"""What every channel adapter must do, held here of SIP: its leg is rung by a real telephone over loopback."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from offhook.calls.caller import CallerError, Line, Phone
from offhook.calls.channel import ChannelAdapter, ChannelGone, Gone, Held, LegEvent, Pressed, Resumed
from offhook.calls.sipleg import SipLeg
from offhook.media import MediaCore
from offhook.sip import IncomingCall, SipEndpoint, SipEvent, SipSettings, Trunk

LIMIT_S = 10.0


class Desk:
    """Our end: makes a leg of each call that comes in, and keeps what its leg reports."""

    def __init__(self, core: MediaCore) -> None:
        self._core = core
        self._legs: dict[object, SipLeg] = {}
        self.came: asyncio.Queue[SipLeg] = asyncio.Queue()
        self.events: asyncio.Queue[LegEvent] = asyncio.Queue()
        self.sip = SipEndpoint(
            SipSettings(bind=("127.0.0.1", 0), trunks=(Trunk("local", ("127.0.0.0/8",)),)), self._on_event
        )

    def uri(self) -> str:
        host, port = self.sip.local
        return f"sip:100@{host}:{port}"

    async def reports(self, kind: type[LegEvent]) -> LegEvent:
        event = await asyncio.wait_for(self.events.get(), LIMIT_S)
        assert isinstance(event, kind), event
        return event

    def _on_event(self, event: SipEvent) -> None:
        session = getattr(event, "session", None)
        if isinstance(event, IncomingCall):
            leg = self._legs[session] = SipLeg(event.session, self._core.open("leg"))
            leg.listen(self.events.put_nowait)
            self.came.put_nowait(leg)
        elif session in self._legs:
            self._legs[session].handle(event)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    with MediaCore(ports=(26000, 27999)) as core:
        made = Desk(core)
        await made.sip.start()
        yield made
        await made.sip.stop()


@pytest.fixture
async def phone() -> AsyncIterator[Phone]:
    async with Phone.plugged_in(ports=(28000, 29999)) as plugged_in:
        yield plugged_in


@contextlib.asynccontextmanager
async def answered(desk: Desk, phone: Phone) -> AsyncIterator[tuple[ChannelAdapter, Line]]:
    async def answer() -> ChannelAdapter:
        leg: ChannelAdapter = await desk.came.get()
        leg.ring()
        agreed = await leg.answer()
        assert (agreed.codec, agreed.packet_ms) == ("ulaw", 20)
        return leg

    answering = asyncio.create_task(answer())
    async with phone.ring(desk.uri()) as line:
        yield await asyncio.wait_for(answering, LIMIT_S), line


async def test_a_party_that_hangs_up_is_gone(desk: Desk, phone: Phone) -> None:
    async with answered(desk, phone) as (leg, _):
        assert leg.available
    assert await desk.reports(Gone) == Gone("peer", "the peer hung up")
    assert not leg.available
    leg.close()
    assert leg.port.closed


async def test_hanging_up_reaches_the_party_and_is_told_once(desk: Desk, phone: Phone) -> None:
    async with answered(desk, phone) as (leg, line):
        leg.hang_up("enough")
        leg.hang_up("again")
        await line.far_end_hangs_up(LIMIT_S)
    assert await desk.reports(Gone) == Gone("us", "enough")
    assert desk.events.empty()


async def test_hold_and_resume_are_told(desk: Desk, phone: Phone) -> None:
    async with answered(desk, phone) as (_, line):
        line.leg.session.reoffer(hold=True)
        await desk.reports(Held)
        line.leg.session.reoffer(hold=False)
        await desk.reports(Resumed)


async def test_keys_told_by_signalling_are_told(desk: Desk, phone: Phone) -> None:
    async with answered(desk, phone) as (_, line):
        line.leg.session.send_digit("7")
        assert await desk.reports(Pressed) == Pressed("7", "info")


async def test_a_refusal_reaches_the_party(desk: Desk, phone: Phone) -> None:
    async def refuse() -> None:
        leg: ChannelAdapter = await desk.came.get()
        leg.reject(486, "Busy Here")
        assert not leg.available
        with pytest.raises(ChannelGone):
            await leg.answer()

    refusing = asyncio.create_task(refuse())
    with pytest.raises(CallerError, match="486"):
        async with phone.ring(desk.uri()):
            pass
    await refusing

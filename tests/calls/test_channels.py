"""What every channel adapter must do, held of SIP, rung by a telephone, and of the web, rung by a browser's peer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from offhook.calls.channel import ChannelAdapter, ChannelGone, Gone, Held, Pressed, Resumed
from offhook.calls.webleg import WebLeg
from offhook.sip.sdp import NotAcceptable
from tests.calls.channels import CHANNELS, LIMIT_S, Desk, Party, Refused, WebParty, desk_of


@pytest.fixture(params=CHANNELS)
async def desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    async with desk_of(request.param) as made:
        yield made


@contextlib.asynccontextmanager
async def answered(desk: Desk) -> AsyncIterator[tuple[ChannelAdapter, Party]]:
    async def answer() -> ChannelAdapter:
        leg = await desk.came.get()
        leg.ring()
        agreed = await leg.answer()
        assert (agreed.codec, agreed.packet_ms) == ("ulaw", 20)
        return leg

    answering = asyncio.create_task(answer())
    async with desk.party() as party:
        await party.answered()
        yield await asyncio.wait_for(answering, LIMIT_S), party


async def test_a_party_that_hangs_up_is_gone(desk: Desk) -> None:
    async with answered(desk) as (leg, party):
        assert leg.available
        party.hang_up()
        gone = await desk.reports(Gone)
        assert isinstance(gone, Gone) and gone.by == "peer"
        assert not leg.available
        leg.close()
        assert leg.port.closed


async def test_hanging_up_reaches_the_party_and_is_told_once(desk: Desk) -> None:
    async with answered(desk) as (leg, party):
        leg.hang_up("enough")
        leg.hang_up("again")
        await party.hung_up_on()
        assert await desk.reports(Gone) == Gone("us", "enough")
        leg.close()
    assert desk.events.empty()


async def test_hold_and_resume_are_told(desk: Desk) -> None:
    async with answered(desk) as (_, party):
        party.hold(True)
        await desk.reports(Held)
        party.hold(False)
        await desk.reports(Resumed)


async def test_keys_told_by_signalling_are_told(desk: Desk) -> None:
    async with answered(desk) as (_, party):
        party.press("7")
        pressed = await desk.reports(Pressed)
        assert isinstance(pressed, Pressed) and pressed.digits == "7"


async def test_answering_twice_is_answering_once(desk: Desk) -> None:
    async with answered(desk) as (leg, _):
        assert (await leg.answer()).codec == "ulaw"


async def test_a_refusal_reaches_the_party(desk: Desk) -> None:
    async def refuse() -> None:
        leg = await desk.came.get()
        leg.reject(486, "Busy Here")
        assert not leg.available
        with pytest.raises(ChannelGone):
            await leg.answer()
        leg.close()

    refusing = asyncio.create_task(refuse())
    async with desk.party() as party:
        with pytest.raises(Refused, match=r"(?i)busy"):
            await party.answered()
    await refusing


async def test_a_leg_that_is_over_cannot_be_answered(desk: Desk) -> None:
    async with answered(desk) as (leg, party):
        party.hang_up()
        await desk.reports(Gone)
        with pytest.raises(ChannelGone):
            await leg.answer()


OTHERWISE_SECURED = [
    # Keys in the description instead of DTLS.
    lambda offer: offer.replace("UDP/TLS/RTP/SAVPF", "RTP/SAVPF").replace(
        "a=setup:actpass", f"a=setup:actpass\r\na=crypto:1 AEAD_AES_128_GCM inline:{'A' * 38}=="
    ),
    # By DTLS, but behind a stream that is not.
    lambda offer: offer.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP") + offer[offer.index("m=audio") :],
]


@pytest.mark.parametrize("bent", OTHERWISE_SECURED, ids=["keys", "second-stream"])
async def test_an_offer_that_no_browser_makes_is_refused_and_leaves_the_call_as_it_was(
    bent: Callable[[str], str],
) -> None:
    async with desk_of("web") as desk, answered(desk) as (leg, party):
        assert isinstance(leg, WebLeg) and isinstance(party, WebParty)
        for _ in range(2):
            with pytest.raises(NotAcceptable, match="no browser's"):
                leg.offer(bent(party.offered))
        assert leg.available and leg.line.connected

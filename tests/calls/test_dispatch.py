"""What the media core reports finds its leg, and what goes wrong with one line is no other's misfortune. The legs have
really been rung."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from structlog.testing import capture_logs

from offhook.calls.channel import ChannelAdapter, Gone
from offhook.calls.dispatch import FAULT, MediaDispatch
from offhook.calls.sipleg import SipLeg
from offhook.calls.webleg import WebLeg
from offhook.media import Datagram, MediaEvent, PromptDone
from tests.calls.channels import LIMIT_S, SipDesk, WebDesk, desk_of


def happens(leg: ChannelAdapter, prompt: int) -> None:
    """An event of the leg's port is there to be read when this returns."""
    leg.port.play(prompt)
    leg.port.stop()


async def test_an_event_that_goes_wrong_ends_its_line_and_the_others_hear_of_theirs() -> None:
    async with desk_of("sip") as desk:
        assert isinstance(desk, SipDesk)
        dispatch, heard, tried = MediaDispatch(desk.core), list[MediaEvent](), list[MediaEvent]()

        def fails(event: MediaEvent) -> None:
            tried.append(event)
            raise LookupError("nobody has thought of this")

        async with desk.party(), desk.party():
            broken = await asyncio.wait_for(desk.came.get(), LIMIT_S)
            whole = await asyncio.wait_for(desk.came.get(), LIMIT_S)
            assert isinstance(broken, SipLeg) and isinstance(whole, SipLeg)
            for leg, handler in ((broken, fails), (whole, heard.append)):
                dispatch.add(leg)
                dispatch.watch(leg.port, handler)
            prompt = desk.core.load_prompt(np.zeros(800, np.int16), 8_000)
            with capture_logs() as logged:
                for leg in (broken, whole, broken, whole):
                    happens(leg, prompt)
                dispatch.deliver()
            assert [type(event) for event in heard] == [PromptDone, PromptDone]
            assert len(tried) == 2, "a line that ends still learns that its tracks are finished"
            assert (await desk.reports(Gone)) == Gone("us", FAULT)
            assert not broken.available and whole.available
            (line,) = [entry for entry in logged if entry["log_level"] == "error"]
            assert line["port"] == broken.port.number and line["media_event"] == "PromptDone"
            for leg in (broken, whole):
                leg.close()


@pytest.mark.parametrize("told", ["before", "after"])
async def test_nothing_is_told_of_a_port_that_was_dropped(told: str) -> None:
    async with desk_of("sip") as desk, desk.party():
        assert isinstance(desk, SipDesk)
        dispatch, heard = MediaDispatch(desk.core), list[MediaEvent]()
        leg = await asyncio.wait_for(desk.came.get(), LIMIT_S)
        prompt = desk.core.load_prompt(np.zeros(800, np.int16), 8_000)
        dispatch.watch(leg.port, heard.append)
        happens(leg, prompt)
        if told == "before":
            dispatch.deliver()
        dispatch.drop(leg.port)
        dispatch.deliver()
        assert len(heard) == (told == "before")
        leg.close()


async def test_a_datagram_that_goes_wrong_is_lost_and_its_line_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    strange = 3
    async with desk_of("web") as desk, desk.party() as party:
        assert isinstance(desk, WebDesk)
        dispatch = MediaDispatch(desk.core)
        asyncio.get_running_loop().add_reader(desk.core.fileno(), dispatch.deliver)
        leg = await asyncio.wait_for(desk.came.get(), LIMIT_S)
        assert isinstance(leg, WebLeg)
        dispatch.add(leg)
        taken, came = leg.line.receive, list[Datagram]()

        def takes(datagram: Datagram) -> None:
            came.append(datagram)
            if len(came) <= strange:
                raise LookupError("nobody has thought of this")
            taken(datagram)

        monkeypatch.setattr(leg.line, "receive", takes)
        leg.ring()
        with capture_logs() as logged:
            answering = asyncio.create_task(leg.answer())
            await party.answered()
            await asyncio.wait_for(answering, LIMIT_S)
        assert leg.line.connected and leg.available and len(came) > strange
        (line,) = [entry for entry in logged if entry["log_level"] == "error"]
        assert line["port"] == leg.port.number and line["source"] == came[0].source[0]

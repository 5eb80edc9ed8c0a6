"""A softphone on a WebSocket that the plan rings: it has registered and talks, or it has not and nobody answers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest
from loadtest.served import Served, free_port

from offhook.calls.caller import Phone
from offhook.calls.timeline import AgentJoined, CallHeld, CallResumed, DialAnswered, DialEnded
from offhook.sip.message import Request
from tests.live.plans import settings, started
from tests.live.test_dialling import dialled, said_back, tone_ms
from tests.live.watching import assert_untroubled, falls_silent, live, over
from tests.peers.browser import Browser, browsing, tone
from tests.sip.softphone import SoftPhone, phone_at

PLAN = """\
dialplan: 1
timezone: UTC
numbers:
  "100": {flow: talk}
  "200": {flow: person}
flows:
  talk:
    - disclose: ai
    - agent:
        use: order-desk@1
        exits: {resolved: {go: bye}, human: {go: bye}, failed: {go: bye}, busy: {go: bye}, timeout: {go: bye}}
  person:
    - disclose: recording
    - record: {keep: 1d}
    - dial:
        to: sip:alice@phones.example.com
        ring: 20s
        exits: {answered: {go: bye}, no-answer: {go: bye}, busy: {go: bye}, failed: {go: bye}}
  bye:
    - say: bye
    - hangup: normal
prompts:
  disclose-ai: {en: "Hello."}
  disclose-recording: {en: "Recorded."}
  bye: {en: "Goodbye."}
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, str]]:
    """A server with a trunk of softphones, and where its WebSocket is."""
    home = tmp_path_factory.mktemp("softphones")
    secret, port = home / "password", free_port(socket.SOCK_STREAM)
    secret.write_text("wonder\n", encoding="utf-8")
    sip = {"transports": ["udp", "ws"], "ws_port": port, "domain": "phones.example.com"}
    trunks = [
        {"name": "local", "sources": ["127.0.0.1"]},
        {"name": "desk", "sources": ["127.0.0.2"], "realm": "offhook", "users": {"alice": f"file:{secret}"}},
    ]
    with started(home, **settings(home, PLAN, sip=sip, trunks=trunks)) as server:
        yield server, f"ws://127.0.0.1:{port}/"


async def answers(phone: SoftPhone, browser: Browser) -> Request:
    """Take the call that comes, and talk."""
    while not (isinstance(invite := await phone.next(20), Request) and invite.method == "INVITE"):
        pass
    await phone.send(phone.answer(invite, 200, await browser.answer(invite.body.decode())))
    return invite


async def echoes(browser: Browser, hz: float) -> None:
    browser.voice.say(tone(hz, 700))
    await browser.ear.hears(hz)
    await browser.ear.silence()


async def test_a_browsers_softphone_calls_and_is_heard_and_held(desk: tuple[Served, str]) -> None:
    """SIP over a WebSocket; ICE, DTLS and SRTP as browsers do."""
    server, url = desk
    async with phone_at(url, local="127.0.0.2") as softphone, browsing() as browser:
        offer, number = await browser.offer(), "sip:100@phones.example.com"
        answer = await softphone.proven("INVITE", number, offer)
        assert answer.status == 200, answer
        tag = answer.target.tag or ""
        await softphone.send(softphone.request("ACK", number, to_tag=tag, cseq=answer.cseq.number))
        await browser.take(answer.body.decode())
        call = await live(server, "alice")
        await call.until(AgentJoined)
        await browser.ear.silence()
        await echoes(browser, 500)
        for direction, event in (("sendonly", CallHeld), ("sendrecv", CallResumed)):
            held = offer.replace("a=sendrecv", f"a={direction}").replace("o=- ", f"o={direction} ")
            await softphone.send(softphone.request("INVITE", number, held, to_tag=tag))
            again = await softphone.final()
            assert again.status == 200, again
            await softphone.send(softphone.request("ACK", number, to_tag=tag, cseq=again.cseq.number))
            await call.until(event)
        await echoes(browser, 900)
        await softphone.send(softphone.request("BYE", number, to_tag=tag))
        assert (await softphone.final()).status == 200
    kept = await over(server, "alice")
    assert kept.ended.by == "caller"
    assert_untroubled(server)


async def test_a_registered_softphone_is_rung_over_its_websocket_and_both_hear_each_other(
    desk: tuple[Served, str],
) -> None:
    server, url = desk
    async with (
        phone_at(url, local="127.0.0.2") as softphone,
        Phone.plugged_in(name="s-talk") as phone,
        browsing(echoes=True) as browser,
    ):
        assert (await softphone.register()).status == 200
        answering = asyncio.create_task(answers(softphone, browser))
        async with phone.ring(server.uri("200")) as line:
            call = await live(server, "s-talk")
            await call.until(DialAnswered)
            invite = await answering
            assert invite.uri_text == "sip:alice@df7jal23ls0d.invalid;transport=ws"
            await falls_silent(line)
            await said_back(line)
    kept = await over(server, "s-talk")
    assert tone_ms(kept.folder / "caller.wav") >= 1300 and tone_ms(kept.folder / "agent.wav") >= 1300


async def test_one_that_has_not_registered_does_not_answer(desk: tuple[Served, str]) -> None:
    server, _ = desk
    async with Phone.plugged_in(name="s-nobody") as phone, phone.ring(server.uri("200")) as line:
        call = await live(server, "s-nobody")
        await call.until(DialEnded)
        await line.far_end_hangs_up(20.0)
    exit_taken, cause = dialled(await over(server, "s-nobody"))
    assert exit_taken == "no-answer" and "not registered" in cause

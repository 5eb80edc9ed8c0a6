"""A softphone on a WebSocket that the plan rings: it has registered and talks, or it has not and nobody answers."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterator
from typing import cast

import pytest
from loadtest.served import Served, free_port

from offhook.calls.caller import Phone
from offhook.calls.timeline import DialAnswered, DialEnded
from offhook.sip.message import Request
from tests.live.plans import settings, started
from tests.live.test_dialling import dialled, said_back, tone_ms
from tests.live.watching import falls_silent, live, over
from tests.sip.softphone import SoftPhone, phone_at

PLAN = """\
dialplan: 1
timezone: UTC
numbers:
  "200": {flow: person}
flows:
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


class Ear(asyncio.DatagramProtocol):
    """The softphone's audio: says back what it hears, as a stream of its own."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._sent = cast(asyncio.DatagramTransport, transport), 0

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        if data[1] & 0x7F != 0:  # PCMU
            return
        header = struct.pack("!BBHII", 0x80, 0, self._sent & 0xFFFF, self._sent * 160, 0x50F7)
        self._transport.sendto(header + data[12:], address)
        self._sent += 1


async def answers(phone: SoftPhone) -> tuple[Request, asyncio.BaseTransport]:
    """Take the call that comes, and talk."""
    while not (isinstance(invite := await phone.next(20), Request) and invite.method == "INVITE"):
        pass
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Ear, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    await phone.send(
        phone.answer(
            invite,
            200,
            f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n",
        )
    )
    return invite, transport


async def test_a_registered_softphone_is_rung_over_its_websocket_and_both_hear_each_other(
    desk: tuple[Served, str],
) -> None:
    server, url = desk
    async with phone_at(url, local="127.0.0.2") as softphone, Phone.plugged_in(name="s-talk") as phone:
        assert (await softphone.register()).status == 200
        answering = asyncio.create_task(answers(softphone))
        async with phone.ring(server.uri("200")) as line:
            call = await live(server, "s-talk")
            await call.until(DialAnswered)
            invite, transport = await answering
            assert invite.uri_text == "sip:alice@df7jal23ls0d.invalid;transport=ws"
            await falls_silent(line)
            await said_back(line)
        transport.close()
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

"""SIP over WebSocket (RFC 7118): the framing byte by byte, and clients written with `websockets` that register, call
and are called down their own connection."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol
from websockets.uri import parse_uri

from offhook.sip import (
    Answered,
    By,
    Confirmed,
    Ended,
    Failed,
    IncomingCall,
    SipSettings,
    Trunk,
)
from offhook.sip.message import MAX_MESSAGE, Request
from offhook.sip.websocket import WebSocketFramer
from tests.sip.certificates import self_signed
from tests.sip.softphone import SIP, phone_at
from tests.sip.test_endpoint import OURS, Phone

DESK = Trunk("desk", ("127.0.0.0/8",), realm="offhook", users={"alice": "wonder"})
SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\na=sendrecv\r\n"
)


@asynccontextmanager
async def exchange(folder: Path, scheme: str = "ws", origins: tuple[str, ...] = ()) -> AsyncIterator[tuple[Phone, str]]:
    certificate, key = self_signed(folder, "127.0.0.1")
    server = Phone(
        SipSettings(
            bind=("127.0.0.1", 0), ws_port=0, wss_port=0, transports=frozenset({"udp", scheme}), trunks=(DESK,),
            certificate=certificate, key=key, ws_origins=origins, domain="phones.example.com",
        )
    )  # fmt: skip
    await server.endpoint.start()
    try:
        yield server, f"{scheme}://127.0.0.1:{server.endpoint.ports[scheme]}/"
    finally:
        await server.endpoint.stop()


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_a_browsers_phone_registers_is_rung_and_hung_up_on(tmp_path: Path, scheme: str) -> None:
    async with exchange(tmp_path, scheme) as (server, url), phone_at(url, tmp_path / "certificate.pem") as phone:
        registered = await phone.register()
        assert registered.status == 200
        assert "df7jal23ls0d.invalid;transport=ws>;expires=" in (registered.headers.get("Contact") or "")
        assert server.endpoint.registered("alice")
        ours = server.endpoint.call("sip:alice@phones.example.com", OURS)
        invite = await phone.next()
        assert isinstance(invite, Request) and invite.uri_text == "sip:alice@df7jal23ls0d.invalid;transport=ws"
        assert invite.via.transport == scheme.upper()
        assert ";transport=ws" in (invite.headers.get("Contact") or "")
        await phone.send(phone.answer(invite, 200, SDP))
        assert (await server.next(Answered)).agreed.codec.name == "PCMU"
        ack = await phone.next()
        assert isinstance(ack, Request) and ack.method == "ACK"
        ours.hang_up()
        bye = await phone.next()
        assert isinstance(bye, Request) and bye.method == "BYE"
        await phone.send(phone.answer(bye, 200))
        assert (await server.next(Ended)).by is By.US


async def test_a_browsers_phone_calls_with_its_password_and_hangs_up(tmp_path: Path) -> None:
    async with exchange(tmp_path) as (server, url), phone_at(url, tmp_path / "certificate.pem") as phone:
        ringing = asyncio.create_task(phone.proven("INVITE", "sip:100@phones.example.com", SDP))
        incoming = await server.next(IncomingCall)
        assert incoming.dialled == "100" and incoming.session.terms.web
        incoming.session.accept(OURS)
        answer = await ringing
        assert answer.status == 200 and b"m=audio 20000 RTP/AVP 0" in answer.body
        tag = answer.target.tag or ""
        await phone.send(phone.request("ACK", "sip:100@phones.example.com", to_tag=tag, cseq=answer.cseq.number))
        await server.next(Confirmed)
        await phone.send(phone.request("BYE", "sip:100@phones.example.com", to_tag=tag))
        assert (await phone.final()).status == 200
        assert (await server.next(Ended)).by is By.PEER


async def test_a_connection_that_goes_takes_its_registration_along_and_fails_the_call_to_it(tmp_path: Path) -> None:
    async with exchange(tmp_path) as (server, url):
        async with phone_at(url, tmp_path / "certificate.pem") as phone:
            await phone.register()
            server.endpoint.call("sip:alice@phones.example.com", OURS)
            await phone.next()
        failed = await server.next(Failed)
        assert (failed.status, server.endpoint.registered("alice")) == (503, False)
        server.endpoint.call("sip:alice@phones.example.com", OURS)
        assert (await server.next(Failed)).status == 480


async def test_keep_alives_are_answered(tmp_path: Path) -> None:
    async with exchange(tmp_path) as (_, url), connect(url, subprotocols=[SIP]) as socket:
        await asyncio.wait_for(await socket.ping(), 5)
        await socket.send("\r\n\r\n")
        assert await asyncio.wait_for(socket.recv(), 5) == "\r\n"


async def test_only_the_subprotocol_sip_is_spoken(tmp_path: Path) -> None:
    async with exchange(tmp_path) as (_, url):
        for offered in (None, [Subprotocol("xmpp")]):
            with pytest.raises(InvalidStatus, match="400"):
                async with connect(url, subprotocols=offered):
                    pass


async def test_pages_of_other_origins_are_kept_out_where_settings_name_some(tmp_path: Path) -> None:
    async with exchange(tmp_path, origins=("https://phones.example.com",)) as (_, url):
        async with connect(url, subprotocols=[SIP], origin=Origin("https://phones.example.com")):
            pass
        for origin in (None, Origin("https://evil.example.com")):
            with pytest.raises(InvalidStatus, match="403"):
                async with connect(url, subprotocols=[SIP], origin=origin):
                    pass


async def test_a_message_that_is_too_long_closes_the_connection(tmp_path: Path) -> None:
    async with exchange(tmp_path) as (_, url), connect(url, subprotocols=[SIP]) as socket:
        await socket.send("x" * (MAX_MESSAGE + 1))
        with pytest.raises(ConnectionClosed, match="1009"):
            await asyncio.wait_for(socket.recv(), 5)


async def test_strangers_do_not_even_shake_hands(tmp_path: Path) -> None:
    elsewhere = Trunk("elsewhere", ("192.0.2.0/24",))
    server = Phone(SipSettings(bind=("127.0.0.1", 0), ws_port=0, transports=frozenset({"ws"}), trunks=(elsewhere,)))
    await server.endpoint.start()
    try:
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            reader, _ = await asyncio.open_connection("127.0.0.1", server.endpoint.ports["ws"])
            await reader.readexactly(1)
    finally:
        await server.endpoint.stop()


# --- the framing alone


def client() -> tuple[ClientProtocol, bytes]:
    """A client's end that knows no socket, and what it opens with."""
    protocol = ClientProtocol(parse_uri("ws://127.0.0.1/"), subprotocols=[SIP])
    protocol.send_request(protocol.connect())
    return protocol, b"".join(protocol.data_to_send())


def test_messages_come_out_whole_however_they_come_in() -> None:
    protocol, opening = client()
    for part, more in ((b"REGISTER one", True), (b" in pieces", False)):
        if more:
            protocol.state = protocol.state.OPEN
            protocol.send_text(part, fin=False)
        else:
            protocol.send_continuation(part, fin=True)
    protocol.send_binary(b"\xff\xfe in bytes")
    data = opening + b"".join(protocol.data_to_send())
    framer, heard, said = WebSocketFramer(), [], b""
    for byte in data:
        heard += framer.feed(bytes([byte]))
        said += framer.replies()
    assert heard == [b"REGISTER one in pieces", b"\xff\xfe in bytes"] and not framer.broken and not framer.waiting
    assert re.match(rb"HTTP/1.1 101 .*\r\nSec-WebSocket-Protocol: sip\r\n", said, re.DOTALL)
    assert framer.wrap(b"SIP/2.0 200 OK")[0] == 0x81 and framer.wrap(b"\xff")[0] == 0x82


@pytest.mark.parametrize(
    ("header", "behind"),
    [
        (b"Sec-WebSocket-Key: \xff\xfe\r\n", b""),
        (b"Sec-WebSocket-Version: \xff\r\n", b""),
        (b"Sec-WebSocket-Protocol: other\r\n", b"this is no frame"),
    ],
)
def test_a_handshake_that_is_broken_ends_the_connection_and_fills_no_log(
    header: bytes, behind: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (_, opening), framer = client(), WebSocketFramer()
    name = header.partition(b":")[0]
    lines = [line for line in opening.splitlines(keepends=True) if not line.startswith(name)]
    assert len(lines) == len(opening.splitlines()) - 1
    assert framer.feed(b"".join([*lines[:-1], header, lines[-1], behind])) == []
    assert framer.broken and not caplog.records


def test_a_message_in_endless_pieces_is_not_waited_for() -> None:
    protocol, opening = client()
    framer = WebSocketFramer()
    framer.feed(opening)
    protocol.state = protocol.state.OPEN
    protocol.send_text(b"x", fin=False)
    for _ in range(200):
        protocol.send_continuation(b"x", fin=False)
    assert framer.feed(b"".join(protocol.data_to_send())) == [] and framer.broken


@given(st.binary(max_size=200), st.booleans(), st.integers(1, 50))
def test_no_bytes_raise_anything(data: bytes, after_the_handshake: bool, step: int) -> None:
    framer = WebSocketFramer()
    if after_the_handshake:
        framer.feed(client()[1])
    for at in range(0, len(data), step):
        for message in framer.feed(data[at : at + step]):
            assert message.strip(b"\r\n")
        framer.replies()
    framer.wrap(b"anything")
    framer.ping()

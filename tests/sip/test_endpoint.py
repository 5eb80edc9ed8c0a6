"""Two endpoints on loopback sockets, UDP and TCP: what the virtual clock cannot show."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import pytest

from offhook.sip import (
    Answered,
    By,
    Cancelled,
    Cause,
    Confirmed,
    Credentials,
    Digits,
    Ended,
    Failed,
    IncomingCall,
    LocalMedia,
    Progress,
    Reagreed,
    Refusal,
    Refused,
    Reoffered,
    SipEndpoint,
    SipEvent,
    SipSettings,
    Trunk,
)

LOOPBACK = Trunk("local", ("127.0.0.0/8",))
OURS = LocalMedia("127.0.0.1", 20_000)
THEIRS = LocalMedia("127.0.0.1", 30_000, codecs=("PCMA", "PCMU"))
E = TypeVar("E")


class Phone:
    """An endpoint and what it was told."""

    def __init__(self, settings: SipSettings) -> None:
        self._events: asyncio.Queue[SipEvent] = asyncio.Queue()
        self.endpoint = SipEndpoint(settings, self._events.put_nowait)

    @property
    def port(self) -> int:
        return self.endpoint.local[1]

    def uri(self, transport: str, user: str = "100") -> str:
        return f"sip:{user}@127.0.0.1:{self.port};transport={transport}"

    async def next(self, kind: type[E]) -> E:
        event = await asyncio.wait_for(self._events.get(), 5)
        assert isinstance(event, kind), f"wanted {kind.__name__}, was told {event}"
        return event


@asynccontextmanager
async def phones(*trunks: Trunk) -> AsyncIterator[tuple[Phone, Phone]]:
    server = Phone(SipSettings(bind=("127.0.0.1", 0), trunks=trunks))
    caller = Phone(SipSettings(bind=("127.0.0.1", 0)))
    await server.endpoint.start()
    await caller.endpoint.start()
    try:
        yield server, caller
    finally:
        await caller.endpoint.stop()
        await server.endpoint.stop()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_call_rings_is_answered_held_and_ended_over_real_sockets(transport: str) -> None:
    async with phones(LOOPBACK) as (server, caller):
        ours = caller.endpoint.call(server.uri(transport), THEIRS, '"Al ice" <sip:alice@127.0.0.1>')
        incoming = await server.next(IncomingCall)
        assert (incoming.caller, incoming.dialled) == ("alice", "100")
        incoming.session.ring()
        assert (await caller.next(Progress)).status == 180
        incoming.session.accept(OURS)
        answered = await caller.next(Answered)
        assert answered.agreed.codec.name == "PCMA" and answered.agreed.remote == ("127.0.0.1", 20_000)
        await server.next(Confirmed)
        ours.reoffer(hold=True)
        reoffered = await server.next(Reoffered)
        assert reoffered.hold
        reoffered.session.accept_reoffer()
        assert (await caller.next(Reagreed)).agreed.receive is False
        ours.send_digit("7")
        assert (await server.next(Digits)).digits == "7"
        incoming.session.hang_up()
        assert (await server.next(Ended)).by is By.US
        assert (await caller.next(Ended)).by is By.PEER
        assert server.endpoint.calls == caller.endpoint.calls == 0


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_call_given_up_while_it_rings_is_cancelled(transport: str) -> None:
    async with phones(LOOPBACK) as (server, caller):
        ours = caller.endpoint.call(server.uri(transport), THEIRS)
        incoming = await server.next(IncomingCall)
        incoming.session.ring()
        await caller.next(Progress)
        ours.hang_up()
        await server.next(Cancelled)
        assert (await caller.next(Failed)).status == 487


async def test_a_user_with_a_password_gets_in_and_one_with_a_wrong_one_does_not() -> None:
    guarded = Trunk("phones", ("127.0.0.1",), realm="offhook", users={"bob": "secret"})
    async with phones(guarded) as (server, caller):
        caller.endpoint.call(server.uri("udp"), THEIRS, auth=Credentials("bob", "wrong"))
        assert (await caller.next(Failed)).status == 401
        assert (await server.next(Refused)).cause is Cause.AUTH
        caller.endpoint.call(server.uri("tcp"), THEIRS, auth=Credentials("bob", "secret"))
        (await server.next(IncomingCall)).session.reject(404)
        assert (await caller.next(Failed)).status == 404


async def test_a_server_that_is_full_says_so_and_takes_calls_again_later() -> None:
    async with phones(LOOPBACK) as (server, caller):
        server.endpoint.refuse = Refusal()
        caller.endpoint.call(server.uri("udp"), THEIRS)
        assert (await caller.next(Failed)).status == 503
        server.endpoint.refuse = None
        await server.next(Refused)
        caller.endpoint.call(server.uri("udp"), THEIRS)
        await server.next(IncomingCall)


async def test_a_name_is_looked_up_and_an_unknown_one_fails() -> None:
    async with phones(LOOPBACK) as (server, caller):
        caller.endpoint.call(f"sip:100@localhost:{server.port}", THEIRS)
        await server.next(IncomingCall)
        caller.endpoint.call("sip:100@nowhere.invalid", THEIRS)
        failed = await caller.next(Failed)
        assert failed.status == 503 and "nowhere.invalid" in failed.reason


async def test_a_port_where_nobody_listens_fails_at_once_over_tcp() -> None:
    async with phones() as (_, caller):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        caller.endpoint.call(f"sip:100@127.0.0.1:{port};transport=tcp", THEIRS)
        assert (await caller.next(Failed)).status == 503


async def test_a_stranger_gets_silence_over_udp_and_a_closed_connection_over_tcp() -> None:
    async with phones(Trunk("elsewhere", ("192.0.2.0/24",))) as (server, _):
        options = b"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;rport;branch=z9hG4bKa\r\n\r\n"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.setblocking(False)
            stranger.connect(("127.0.0.1", server.port))
            stranger.send(options)
            assert (await server.next(Refused)).cause is Cause.UNKNOWN_SOURCE
            with pytest.raises(BlockingIOError):
                stranger.recv(1)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            reader, _ = await asyncio.open_connection("127.0.0.1", server.port)
            await reader.readexactly(1)


async def test_a_stream_brings_pings_two_requests_in_one_piece_and_one_in_many() -> None:
    def options(number: int) -> bytes:
        return (
            f"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK{number}\r\nFrom: <sip:a@b>;tag=1\r\n"
            f"To: <sip:a@b>\r\nCall-ID: {number}\r\nl: 0\r\nCSeq: {number} OPTIONS\r\n\r\n"
        ).encode()

    async with phones(LOOPBACK) as (server, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"\r\n\r\n")
        assert await asyncio.wait_for(reader.readexactly(2), 5) == b"\r\n"
        writer.write(options(1) + options(2))
        for byte in options(3):
            writer.write(bytes([byte]))
        for number in (1, 2, 3):
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            assert head.startswith(b"SIP/2.0 200 ") and f"CSeq: {number} ".encode() in head
        writer.close()


async def test_a_stream_that_lies_about_its_length_gets_400_and_is_closed() -> None:
    async with phones(LOOPBACK) as (server, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(
            b"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bKa\r\nFrom: <sip:a@b>;tag=1\r\n"
            b"To: <sip:a@b>\r\nCall-ID: x\r\nContent-Length: -5\r\nCSeq: 1 OPTIONS\r\n\r\n"
        )
        everything = await asyncio.wait_for(reader.read(), 5)
        assert everything.startswith(b"SIP/2.0 400 ")
        writer.close()


async def test_stopping_ends_the_calls_that_stand() -> None:
    async with phones(LOOPBACK) as (server, caller):
        caller.endpoint.call(server.uri("udp"), THEIRS)
        (await server.next(IncomingCall)).session.accept(OURS)
        await caller.next(Answered)
        await server.next(Confirmed)
        await server.endpoint.stop()
        assert (await caller.next(Ended)).by is By.PEER
        assert (await server.next(Ended)).by is By.US


async def test_an_address_that_is_taken_is_named() -> None:
    async with phones() as (server, _):
        second = SipEndpoint(SipSettings(bind=("127.0.0.1", server.port)), lambda event: None)
        with pytest.raises(OSError, match=f"127.0.0.1:{server.port}"):
            await second.start()


async def test_a_handler_that_fails_does_not_take_other_calls_with_it() -> None:
    told: list[SipEvent] = []

    def clumsy(event: SipEvent) -> None:
        told.append(event)
        raise RuntimeError("a bug in a handler")

    server = SipEndpoint(SipSettings(bind=("127.0.0.1", 0), trunks=(LOOPBACK,)), clumsy)
    await server.start()
    caller = Phone(SipSettings(bind=("127.0.0.1", 0)))
    await caller.endpoint.start()
    try:
        for _ in range(2):
            caller.endpoint.call(f"sip:100@127.0.0.1:{server.local[1]}", THEIRS).hang_up()
            assert (await caller.next(Failed)).status == 487
        assert [type(event) for event in told] == [IncomingCall, Cancelled] * 2
    finally:
        await caller.endpoint.stop()
        await server.stop()


def test_settings_that_cannot_work_are_refused_with_a_sentence() -> None:
    with pytest.raises(ValueError, match="trunk 'pbx'"):
        SipEndpoint(SipSettings(trunks=(Trunk("pbx", ("example.com",)),)), lambda event: None)
    with pytest.raises(ValueError, match="transports"):
        SipEndpoint(SipSettings(transports=frozenset({"sctp"})), lambda event: None)
    with pytest.raises(ValueError, match="certificate"):
        SipEndpoint(SipSettings(transports=frozenset({"wss"})), lambda event: None)

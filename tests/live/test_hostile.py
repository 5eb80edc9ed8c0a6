"""What strangers and broken phones send at a running server does not touch the call that is on."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from loadtest.served import Served

from offhook.calls.caller import Line, Phone
from offhook.calls.timeline import AgentJoined, MediaStarted
from tests.data import data
from tests.live.test_dialling import tone
from tests.live.watching import assert_untroubled, eventually, falls_silent, hears, live, over

SEED = 20261121


async def echoes(line: Line) -> None:
    """The caller says something and the agent is heard."""
    line.ear.forget()
    await line.say(tone(1.0))
    await hears(line, "the agent", 5.0)
    await falls_silent(line, 300)


async def with_a_call_on(echo: Served, caller: str, throw: Callable[[], None]) -> None:
    """While a call is on, `throw`; the call goes on meanwhile and after, and the next one is taken."""
    await asyncio.to_thread(echo.wait_idle)
    async with Phone.plugged_in(name=caller) as phone, phone.ring(echo.uri("100")) as line:
        await (await live(echo, caller)).until(AgentJoined)
        await falls_silent(line)
        thrown = asyncio.create_task(asyncio.to_thread(throw))
        await echoes(line)
        await thrown
        await echoes(line)
        assert line.gone is None
    kept = await over(echo, caller)
    assert kept.ended.by == "caller"
    # What was thrown may have made calls of its own, where it asked for one properly: none may be stuck.
    await eventually(lambda: True if not echo.get("/status")["calls"] else None, "no call is stuck")
    async with Phone.plugged_in(name="next") as phone, phone.ring(echo.uri("100")) as line:
        await (await live(echo, "next")).until(AgentJoined)
    await over(echo, "next")
    assert_untroubled(echo)


def over_udp(echo: Served, messages: Iterable[bytes]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thrower:
        thrower.bind(("127.0.0.1", 0))
        for message in messages:
            with contextlib.suppress(OSError):
                thrower.sendto(message, ("127.0.0.1", echo.sip_port))


def over_tcp(echo: Served, messages: Iterable[bytes]) -> None:
    for message in messages:
        with socket.socket() as thrower, contextlib.suppress(OSError):
            thrower.settimeout(0.05)
            thrower.connect(("127.0.0.1", echo.sip_port))
            thrower.sendall(message)
            thrower.recv(4096)


def noise(count: int) -> list[bytes]:
    """Random bytes, and SIP with bytes changed, cut off or repeated."""
    dice = random.Random(SEED)
    invite = (
        b"INVITE sip:400@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\n"
        b"To: <sip:400@127.0.0.1>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nContact: <sip:a@127.0.0.1:9>\r\n"
        b"Content-Type: application/sdp\r\nContent-Length: 10\r\n\r\nv=0\r\nm=aud"
    )
    thrown = [dice.randbytes(dice.randrange(0, 1400)) for _ in range(count // 2)]
    for _ in range(count // 2):
        broken = bytearray(invite)
        for _ in range(dice.randrange(1, 12)):
            broken[dice.randrange(len(broken))] = dice.randrange(256)
        thrown.append(bytes(broken[: dice.randrange(len(broken))] if dice.random() < 0.3 else broken))
    return [*thrown, b"\r\n" * 700, b"A" * 65_000, b"INVITE " + b"(" * 30_000, b"Via: " + b'"\\' * 20_000]


async def test_random_bytes_at_the_sip_ports(echo: Served) -> None:
    def throw() -> None:
        over_udp(echo, noise(400))
        over_tcp(echo, noise(24))
        over_tcp(echo, [b"INVITE sip:400@127.0.0.1 SIP/2.0\r\nContent-Length: 99999999999\r\n\r\n", b"X" * 200_000])

    await with_a_call_on(echo, "h-noise", throw)


def torture() -> list[bytes]:
    folder: Path = data("sip", "rfc4475")
    return [path.read_bytes() for path in sorted(folder.glob("*.dat"))]


async def test_the_torture_messages_of_rfc_4475_at_the_sip_ports(echo: Served) -> None:
    messages = torture()
    assert len(messages) > 40

    def throw() -> None:
        over_udp(echo, messages)
        over_tcp(echo, messages)

    await with_a_call_on(echo, "h-torture", throw)


async def test_a_connection_that_stops_in_the_middle_of_a_message(echo: Served) -> None:
    def throw() -> None:
        stuck = []
        for _ in range(50):
            thrower = socket.create_connection(("127.0.0.1", echo.sip_port), timeout=2.0)
            thrower.sendall(b"OPTIONS sip:400@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1")
            stuck.append(thrower)
        for thrower in stuck:
            thrower.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # ends with a reset
            thrower.close()

    await with_a_call_on(echo, "h-half", throw)


async def test_rubbish_and_foreign_streams_at_a_live_calls_media_port(echo: Served) -> None:
    await asyncio.to_thread(echo.wait_idle)
    before = echo.metrics()["offhook_packets_bad_total"]
    dice = random.Random(SEED)
    async with Phone.plugged_in(name="h-rtp") as phone, phone.ring(echo.uri("100")) as line:
        call = await live(echo, "h-rtp")
        await call.until(AgentJoined)
        assert line.leg.agreed is not None
        rtp = line.leg.agreed.remote
        await falls_silent(line)

        def throw() -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thrower:
                for number in range(1500):
                    header = struct.pack("!BBHII", 0x80, 0, number & 0xFFFF, number * 160, 0xBADBAD)
                    stream = header + dice.randbytes(160)  # well formed: only its address is wrong
                    packet = stream if number % 3 else dice.randbytes(dice.randrange(0, 400))
                    thrower.sendto(packet, rtp)
                    thrower.sendto(dice.randbytes(dice.randrange(0, 200)), (rtp[0], rtp[1] + 1))
                    if number % 50 == 0:
                        time.sleep(0.002)  # or the kernel drops what the core would have had to look at

        thrown = asyncio.create_task(asyncio.to_thread(throw))
        line.ear.forget()
        await thrown
        await line.until(lambda: False, 0.5)
        assert line.ear.first_ms is None, "the foreign stream reached the agent, which said it back"
        await echoes(line)
        assert line.gone is None
    kept = await over(echo, "h-rtp")
    assert kept.ended.by == "caller"
    assert len(kept.of(MediaStarted)) == 1, "the call's audio was taken over"
    assert echo.metrics()["offhook_packets_bad_total"] >= before + 1000
    assert_untroubled(echo)

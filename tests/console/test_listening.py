"""The web side and those who connect and ask for nothing: they are bounded, and whoever asks is served."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI, WebSocket
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidMessage

from offhook.console import listening
from offhook.console.app import serving
from tests.sip.certificates import self_signed

SHORT_S = 0.5
LIMIT_S = 20.0


def pages() -> FastAPI:
    app = FastAPI()

    @app.get("/")
    def page() -> str:
        return "here"

    @app.get("/slow")
    async def slow() -> str:
        await asyncio.sleep(3 * SHORT_S)
        return "here at last"

    @app.get("/long")
    def long() -> str:
        return "x" * (32 << 20)

    @app.websocket("/ws")
    async def ws(socket: WebSocket) -> None:
        await socket.accept()
        with contextlib.suppress(Exception):
            await socket.send_text(await socket.receive_text())
            await socket.receive_text()

    return app


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with serving(pages(), "127.0.0.1", 0) as url:
        yield url


class Connection:
    """A connection that says what it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, url: str) -> Connection:
        parts = urlsplit(url)
        return cls(*await asyncio.open_connection(parts.hostname, parts.port))

    async def closed(self) -> bytes:
        """What came until it was closed on us."""
        came = b""
        async with asyncio.timeout(LIMIT_S):
            with contextlib.suppress(ConnectionError):
                while data := await self.reader.read(65536):
                    came += data
        self.writer.close()
        return came

    async def drip(self) -> None:
        """A header that never ends."""
        with contextlib.suppress(ConnectionError):
            self.writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX: ")
            while not self.writer.is_closing():
                self.writer.write(b"x")
                await self.writer.drain()
                await asyncio.sleep(SHORT_S / 10)


async def answered(url: str) -> bool:
    try:
        async with httpx.AsyncClient() as client:
            return (await client.get(url)).text == '"here"'
    except httpx.TransportError:
        return False


async def eventually_answered(url: str) -> None:
    async with asyncio.timeout(LIMIT_S):
        while True:
            if await answered(url):
                return
            await asyncio.sleep(0.05)


async def test_who_connects_and_says_nothing_is_closed(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "REQUEST_S", SHORT_S)
    assert await (await Connection.to(url)).closed() == b""


async def test_who_never_ends_a_request_is_closed_the_first_and_the_second(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "REQUEST_S", SHORT_S)
    first, second = await Connection.to(url), await Connection.to(url)
    second.writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await second.reader.read(4096)).startswith(b"HTTP/1.1 200")
    dripping = [asyncio.create_task(each.drip()) for each in (first, second)]
    await first.closed()
    await second.closed()
    await asyncio.gather(*dripping)


async def test_an_answer_may_take_its_time_and_a_websocket_may_stay(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "REQUEST_S", SHORT_S)
    async with connect(url.replace("http", "ws") + "/ws", proxy=None) as socket, httpx.AsyncClient() as client:
        assert (await client.get(url + "/slow", timeout=LIMIT_S)).text == '"here at last"'
        await socket.send("still here")
        assert await socket.recv() == "still here"


async def test_who_does_not_read_what_they_asked_for_is_closed(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "UNREAD_S", SHORT_S)
    monkeypatch.setattr(listening, "MOST_CONNECTIONS", 1)
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as deaf:
        deaf.sendall(b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n")
        assert not await answered(url)
        await eventually_answered(url)  # there is room again, though this one has not left


async def test_connections_are_bounded_and_who_leaves_makes_room(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "MOST_CONNECTIONS", 3)
    web = url.replace("http", "ws") + "/ws"
    silent = [await Connection.to(url) for _ in range(2)]
    async with connect(web, proxy=None) as socket:
        assert await (await Connection.to(url)).closed() == b""
        with pytest.raises((ConnectionClosed, InvalidMessage, OSError)):
            await connect(web, proxy=None)
        await socket.send("still here")
        assert await socket.recv() == "still here"
    await eventually_answered(url)
    for each in silent:
        each.writer.close()
    for _ in range(5):
        async with connect(web, proxy=None) as socket:
            await socket.send("here")
            assert await socket.recv() == "here"


async def test_a_tls_handshake_that_is_not_finished_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "HANDSHAKE_S", SHORT_S)
    monkeypatch.setattr(listening, "MOST_CONNECTIONS", 1)
    certificate, key = self_signed(tmp_path, "127.0.0.1")
    async with serving(pages(), "127.0.0.1", 0, (certificate, key)) as url:
        silent = await Connection.to(url)
        assert await (await Connection.to(url)).closed() == b"", "those who shake hands are counted too"
        assert await silent.closed() == b""


def test_one_address_cannot_take_all_the_room_but_a_proxy_on_this_machine_may() -> None:
    guests = listening.Guests()
    one = [guests.admit("192.0.2.1") for _ in range(listening.MOST_FROM_ONE_ADDRESS + 1)]
    assert one == [True] * listening.MOST_FROM_ONE_ADDRESS + [False]
    assert guests.admit("192.0.2.2")
    guests.leave("192.0.2.1")
    assert guests.admit("192.0.2.1")
    assert all(guests.admit("127.0.0.1") for _ in range(listening.MOST_FROM_ONE_ADDRESS + 1))

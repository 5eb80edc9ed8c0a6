"""The call page without a browser: aiortc's peer connection, and a WebSocket of the `websockets` library over which it
says what the page would say."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from loadtest.served import Served
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError

from tests.peers.browser import LIMIT_S, Browser


class PageCaller:
    """A page in a call. Make it with `page`."""

    def __init__(self, server: Served, codec: str) -> None:
        self.server = server
        self.codec = codec
        self.browser = Browser(codec)
        self.told: list[dict[str, Any]] = []
        self.id = self.token = ""
        self.socket: ClientConnection
        self._news = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None

    async def reload(self) -> None:
        """The page is loaded anew: of the old one nothing is left but the token."""
        await self.browser.close()
        self.browser = Browser(self.codec)

    async def dial(self, **headers: str) -> None:
        """A socket to the server."""
        url = self.server.console.replace("http", "ws") + "/call/ws"
        self.socket = await connect(url, additional_headers=headers, proxy=None)
        self._listening = asyncio.create_task(self._listen(self.socket))

    async def cut(self) -> None:
        """The network takes the socket away, without a goodbye."""
        self.socket.transport.abort()
        await self.until("closed")

    async def close(self) -> None:
        await self.browser.close()
        if self._listening is not None:
            await self.socket.close()
            await self._listening

    # --- what it does

    async def say(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def call(self, to: str = "100", **more: Any) -> None:
        """Call, and be answered."""
        await self.dial()
        await self.say(type="call", to=to, sdp=await self.browser.offer(), **more)
        ringing = await self.until("ringing")
        self.id, self.token = ringing["call"], ringing["token"]
        await self.answered()

    async def resume(self, token: str | None = None) -> None:
        """Take the call up again over a new socket."""
        self.told.clear()
        await self.dial()
        await self.say(type="resume", call=self.id, token=token or self.token, sdp=await self.browser.offer())

    async def answered(self) -> None:
        await self.browser.take((await self.until("answer"))["sdp"])

    async def hang_up(self) -> None:
        await self.say(type="hangup")
        await self.until("closed")

    async def until(self, kind: str, count: int = 1) -> dict[str, Any]:
        """The `count`th thing of this kind that the server said."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                found = [each for each in self.told if each["type"] == kind]
                if len(found) >= count:
                    return found[count - 1]
                self._news.clear()
                try:
                    await self._news.wait()
                except asyncio.CancelledError:
                    raise AssertionError(f"not told: {kind}; but {self.told}") from None

    def words(self, who: str) -> list[str]:
        """What was said, turn by turn, as the page would show it."""
        turns = {each["turn"]: each for each in self.told if each["type"] == "words"}
        return [each["text"] for each in turns.values() if each["who"] == who]

    async def _listen(self, socket: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosedError):
            async for text in socket:
                self.told.append(json.loads(text))
                self._news.set()
        self.told.append({"type": "closed"})
        self._news.set()


@contextlib.asynccontextmanager
async def page(server: Served, codec: str = "PCMU") -> AsyncIterator[PageCaller]:
    """A page that offers `codec` alone."""
    caller = PageCaller(server, codec)
    try:
        yield caller
    finally:
        await caller.close()

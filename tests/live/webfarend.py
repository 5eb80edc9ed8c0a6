"""A far end for the call page that is not the server: it serves the page's real files and talks the page's protocol.

What it is for: the server's ends of a call that the real one cannot be told to show, such as falling silent for a
while, refusing, or losing its network. Its ICE, DTLS and sound are aiortc's. That the page and the real server
understand each other is another file's business (`test_browser_calls`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
from aiortc import AudioStreamTrack, MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import Response

from offhook.console import callfiles
from offhook.console.app import serving

Message = dict[str, Any]


class Tone(AudioStreamTrack):
    """What the caller hears: 440 Hz, 48 kHz, for as long as the call lasts."""

    _said = 0

    async def recv(self) -> AudioFrame:
        silence = await super().recv()
        assert isinstance(silence, AudioFrame)
        times = (np.arange(silence.samples) + self._said) / silence.sample_rate
        self._said += silence.samples
        frame = AudioFrame.from_ndarray(
            (8000 * np.sin(math.tau * 440 * times)).astype(np.int16)[None, :], layout="mono"
        )
        frame.sample_rate, frame.pts, frame.time_base = silence.sample_rate, silence.pts, silence.time_base
        return frame


class Caller:
    """One call of a page, over however many sockets it comes."""

    def __init__(self, number: int) -> None:
        self.id, self.token = f"call-{number}", f"token-{number}"
        self.peer = RTCPeerConnection()
        self.socket: WebSocket | None = None
        self.sockets = 0
        self.silent = False
        self.steady = False
        """What is said of packets with an answer: that they come without a pause."""
        self.heard_dbfs = -100.0
        """How loud the last packet was that came from the page."""
        self._got: list[Message] = []
        self._news = asyncio.Condition()

    async def tell(self, kind: str, **more: Any) -> None:
        assert self.socket is not None, "the page has no socket open"
        await self.socket.send_text(json.dumps({"type": kind, **more}))

    async def words(self, who: str, text: str, turn: int, final: bool = True) -> None:
        await self.tell("words", who=who, text=text, turn=turn, final=final)

    async def got(self, kind: str, count: int = 1, limit_s: float = 20.0) -> Message:
        """The `count`th message of a kind that the page sent; waits for it."""

        def found() -> list[Message]:
            return [message for message in self._got if message["type"] == kind]

        async with asyncio.timeout(limit_s), self._news:
            await self._news.wait_for(lambda: len(found()) >= count)
        return found()[count - 1]

    def has(self, kind: str) -> bool:
        """Whether the page has sent a message of this kind."""
        return any(message["type"] == kind for message in self._got)

    async def take(self, message: Message) -> None:
        """Note a message, and answer offers."""
        if message["type"] in ("call", "restart", "resume") and not self.silent:
            await self._answer(message["sdp"])
        async with self._news:
            self._got.append(message)
            self._news.notify_all()

    async def _answer(self, offer: str) -> None:
        first = self.peer.remoteDescription is None
        await self.peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        if first:
            self._sender = self.peer.addTrack(Tone())
            tracks = [one.receiver.track for one in self.peer.getTransceivers()]
            self._ear = asyncio.create_task(self._listen(tracks[0]))
        await self.peer.setLocalDescription(await self.peer.createAnswer())
        await self.tell("answer", sdp=self.peer.localDescription.sdp, steady=self.steady)

    async def _listen(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                assert isinstance(frame, AudioFrame)
                samples = frame.to_ndarray().astype(np.float64)
                self.heard_dbfs = 10 * math.log10(float(np.mean(samples**2)) / 32768**2 + 1e-10)

    async def stop_sound(self) -> None:
        """Fall silent, down to ICE, as a network path that broke; the socket stays, and offers go unanswered."""
        self.silent = True
        for sender in self.peer.getSenders():
            await sender.transport.transport.stop()

    def speak(self, on: bool) -> None:
        """Send sound, or none while the line stays well."""
        self._sender.replaceTrack(Tone() if on else None)  # type: ignore[arg-type]  # None is taken

    async def close(self) -> None:
        await self.peer.close()


class WebFarEnd:
    """The far end of the page. Tests change `config`, `steady`, `refusal` and `out_of_reach`."""

    def __init__(self) -> None:
        self.config: dict[str, Any] = {"iceServers": [], "to": ["100"]}
        self.steady = False
        """Of calls to come; see `Caller.steady`."""
        self.refusal: str | None = None
        """Calls are refused with this sentence."""
        self.out_of_reach = False
        """Sockets are refused, as by a server that is gone."""
        self.url = ""
        self.callers: dict[str, Caller] = {}
        self._called = asyncio.Condition()

    def app(self) -> FastAPI:
        app = FastAPI()
        app.include_router(callfiles.routes())

        @app.get("/call/config")
        async def config() -> Response:
            return Response(json.dumps(self.config), media_type="application/json", headers=callfiles.ANY_SITE)

        @app.websocket("/call/ws")
        async def signalling(socket: WebSocket) -> None:
            if self.out_of_reach:
                await socket.close()
                return
            await socket.accept()
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await self._serve(socket)

        return app

    async def called(self, count: int = 1, limit_s: float = 20.0) -> Caller:
        """The `count`th call; waits for it."""
        async with asyncio.timeout(limit_s), self._called:
            await self._called.wait_for(lambda: len(self.callers) >= count)
        return list(self.callers.values())[count - 1]

    async def _serve(self, socket: WebSocket) -> None:
        message = json.loads(await socket.receive_text())
        if self.refusal is not None:
            await socket.send_text(json.dumps({"type": "error", "text": self.refusal}))
            # Where a socket is just dropped while the page still tells of its candidates, the page may never read that.
            return await socket.close()
        if message["type"] == "call":
            caller = Caller(len(self.callers) + 1)
            caller.steady = self.steady
            self.callers[caller.id] = caller
        else:
            caller = self.callers[message["call"]]
            assert message["token"] == caller.token, "the page resumes with another call's token"
        caller.socket = socket
        caller.sockets += 1
        if message["type"] == "call":
            await caller.tell("ringing", call=caller.id, token=caller.token)
        await caller.take(message)
        async with self._called:
            self._called.notify_all()
        while True:
            await caller.take(json.loads(await socket.receive_text()))


@contextlib.asynccontextmanager
async def web_far_end() -> AsyncIterator[WebFarEnd]:
    """A far end on a free port of loopback, while the block runs."""
    end = WebFarEnd()
    async with serving(end.app(), "127.0.0.1", 0) as end.url:
        try:
            yield end
        finally:
            for caller in end.callers.values():
                await caller.close()

"""A call from a web page without a browser: the page's side of the protocol over a WebSocket, aiortc's ICE, DTLS and
SRTP. As little of it as makes a call; `webcaller` has a whole browser."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from aiortc import AudioStreamTrack, RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

LIMIT_S = 30.0


class WebPeerError(Exception):
    """The call did not go as it should; the text says why."""


async def web_call(console: str, to: str, source: str, seconds: float, hangs_up: bool) -> None:
    """Call `to` from the address `source`, hear something, wait for so long, and hang up; or be gone without a word.
    Raises WebPeerError."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    heard = asyncio.Event()
    listening: list[asyncio.Task[None]] = []

    @peer.on("track")
    def on_track(track: Any) -> None:
        async def listen() -> None:
            with contextlib.suppress(Exception):  # the end of a track is told by an exception
                await track.recv()
                heard.set()

        listening.append(asyncio.create_task(listen()))

    try:
        async with (
            asyncio.timeout(LIMIT_S),
            connect(console.replace("http", "ws", 1) + "/call/ws", local_addr=(source, 0), proxy=None) as socket,
        ):
            await _agree(socket, peer, to)
            await heard.wait()
            await asyncio.sleep(seconds)
            if hangs_up:
                await socket.send(json.dumps({"type": "hangup"}))
                await _told(socket, "ended")
            else:
                socket.transport.abort()
    except TimeoutError:
        raise WebPeerError("it was not answered, or nothing was heard") from None
    except (WebSocketException, OSError) as error:
        raise WebPeerError(f"the socket was lost: {error}") from None
    finally:
        await peer.close()
        for task in listening:
            task.cancel()


async def _agree(socket: ClientConnection, peer: RTCPeerConnection, to: str) -> None:
    transceiver = peer.addTransceiver(AudioStreamTrack(), direction="sendrecv")
    codecs = RTCRtpSender.getCapabilities("audio").codecs
    transceiver.setCodecPreferences([each for each in codecs if each.mimeType == "audio/PCMU"])
    await peer.setLocalDescription(await peer.createOffer())
    await socket.send(json.dumps({"type": "call", "to": to, "sdp": peer.localDescription.sdp}))
    answer = (await _told(socket, "answer"))["sdp"]
    await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))


async def _told(socket: ClientConnection, kind: str) -> dict[str, Any]:
    async for text in socket:
        message: dict[str, Any] = json.loads(text)
        if message["type"] == kind:
            return message
        if message["type"] in ("error", "ended"):
            raise WebPeerError(f"{message['type']}: {message.get('text') or message.get('why')}")
    raise WebPeerError(f"the socket was closed before it was told: {kind}")

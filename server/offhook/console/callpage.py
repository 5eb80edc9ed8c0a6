"""Calls from a web page: the WebSocket at `/call/ws` over which a page and the server agree on a call, and what a page
must know before it calls (`/call/config`). The page's files are `callfiles`'.

JSON texts, one call a socket. Everything a page says is checked and bounded here; what becomes of it is for whoever
takes calls (`Door`) and for the call's leg. Nobody is asked who they are: a page of another site is turned away by its
origin, a flood by its address.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol
from urllib.parse import urlsplit

import structlog
from fastapi import APIRouter, Request, Response, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, Field, StringConstraints, TypeAdapter, ValidationError

from offhook.calls.channel import ChannelGone
from offhook.calls.narration import Message
from offhook.calls.webleg import WebLeg
from offhook.sip.sdp import MAX_LENGTH, NotAcceptable

log = structlog.get_logger("offhook.console")

FIRST_WORD_S = 10.0
"""A socket that has not called by then is closed."""
MOST_TEXT = 32 * 1024
"""Bytes of one message; a description may be half of it."""
MESSAGES_A_SECOND, MESSAGES_AT_ONCE = 10.0, 40.0
CALLS_A_SECOND, CALLS_AT_ONCE = 0.5, 20.0
"""For one address, behind which there may be an office."""
MOST_ADDRESSES = 4096
"""Addresses that are remembered, those heard from last."""
MOST_WAITING = 200
"""Messages that a page may be behind by; then its socket is closed, and it may come back."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]
Sdp = Annotated[str, StringConstraints(min_length=1, max_length=MAX_LENGTH)]


class CallWanted(BaseModel):
    type: Literal["call"]
    to: Name
    sdp: Sdp
    caller: Annotated[Name | None, Field(alias="from")] = None


class RestartWanted(BaseModel):
    type: Literal["restart"]
    sdp: Sdp


class ResumeWanted(BaseModel):
    type: Literal["resume"]
    call: Name
    token: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    sdp: Sdp


class CandidateFound(BaseModel):
    """Accepted, and nothing is done with it: the page's checks tell its addresses (RFC 8445 7.3.1.3)."""

    type: Literal["candidate"]
    candidate: Annotated[str, StringConstraints(max_length=1024)]


class KeysPressed(BaseModel):
    type: Literal["keys"]
    digits: Annotated[str, StringConstraints(min_length=1, max_length=32, pattern=r"^[0-9*#A-Da-d]+$")]


class HungUp(BaseModel):
    type: Literal["hangup"]


Said = CallWanted | RestartWanted | ResumeWanted | CandidateFound | KeysPressed | HungUp
_SAID: TypeAdapter[Said] = TypeAdapter(Annotated[Said, Field(discriminator="type")])


class Turned(Exception):
    """A call is not taken, or not found; the text is a sentence for the caller."""


@dataclass(frozen=True, slots=True)
class WebCall:
    """A call that was taken."""

    id: str
    leg: WebLeg


@dataclass(frozen=True, slots=True)
class IceServer:
    """As `RTCIceServer` has it."""

    urls: Sequence[str]
    username: str | None = None
    credential: str | None = None


class Door(Protocol):
    """Whoever takes calls from web pages."""

    def numbers(self) -> Sequence[str]:
        """What may be called."""

    def ice_servers(self) -> Sequence[IceServer]:
        """What the page's browser is to use besides; credentials made for one visit, where they can be."""

    def call(self, to: str, caller: str, offer: str, source: str) -> WebCall:
        """Take a call; it rings. Raises Turned, or NotAcceptable where the offer is at fault."""

    def resume(self, call: str, token: str) -> WebCall:
        """The call of a page that was lost. Raises Turned where there is none with this token."""

    def welcome_back(self, call: str) -> None:
        """The page of this call is there again: tell it what it missed."""


def routes(door: Door, origins: Sequence[str] = ()) -> APIRouter:
    """`/call/config` and `/call/ws`. `origins`: the sites (`https://shop.example`) besides this one whose pages may
    call; `*`: any."""
    router = APIRouter(include_in_schema=False)
    calls = _Rates(CALLS_A_SECOND, CALLS_AT_ONCE)

    @router.get("/call/config")
    def config(request: Request) -> Response:
        servers = [
            {name: value for name, value in _fields(server).items() if value is not None}
            for server in door.ice_servers()
        ]
        body = json.dumps({"iceServers": servers, "to": list(door.numbers())})
        headers = {"Cache-Control": "no-store", "Vary": "Origin"}
        origin = request.headers.get("origin")
        if origin is not None and _may(origin, request.headers.get("host"), origins):
            headers["Access-Control-Allow-Origin"] = origin
        return Response(body, media_type="application/json", headers=headers)

    @router.websocket("/call/ws")
    async def ws(socket: WebSocket) -> None:
        origin = socket.headers.get("origin")
        if origin is not None and not _may(origin, socket.headers.get("host"), origins):
            log.info("page of another site turned away", origin=origin[:100])
            await socket.close()  # before it is accepted: 403
            return
        await socket.accept()
        await _Visit(socket, door, calls).run()

    return router


def _fields(server: IceServer) -> dict[str, object]:
    return {"urls": list(server.urls), "username": server.username, "credential": server.credential}


def _may(origin: str, host: str | None, origins: Sequence[str]) -> bool:
    """Whether pages of `origin` may call: those of the server's own host, and those it was told of."""
    if "*" in origins or origin in origins:
        return True
    # By name and port as the page's browser wrote both; what stands between may have ended TLS.
    return bool(host) and urlsplit(origin).netloc.lower() == (host or "").lower()


class _Visit:
    """One socket: a page, from its first word to its last."""

    def __init__(self, socket: WebSocket, door: Door, calls: _Rates) -> None:
        self._socket = socket
        self._door = door
        self._calls = calls
        self._call: WebCall | None = None
        self._out: asyncio.Queue[Message | None] = asyncio.Queue()
        self._rate = Rate(MESSAGES_A_SECOND, MESSAGES_AT_ONCE)
        self._done = False

    async def run(self) -> None:
        writing = asyncio.create_task(self._write())
        reading = asyncio.create_task(self._read())
        try:
            await asyncio.wait({writing, reading}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if self._call is not None:
                self._call.leg.detach(self._tell)
            reading.cancel()
            self._out.put_nowait(None)
            await asyncio.wait({writing, reading}, timeout=2.0)
            writing.cancel()

    # --- out

    def _tell(self, message: Message) -> None:
        if self._done:
            return
        self._out.put_nowait(message)
        if message["type"] == "ended" or self._out.qsize() > MOST_WAITING:
            self._finish()

    def _finish(self) -> None:
        """Say nothing more; what was said is still sent."""
        self._done = True
        self._out.put_nowait(None)

    async def _write(self) -> None:
        try:
            while (message := await self._out.get()) is not None:
                await self._socket.send_text(json.dumps(message, ensure_ascii=False))
            await self._socket.close()
        except (WebSocketDisconnect, RuntimeError, OSError):
            pass  # the page is gone; reading says so

    # --- in

    async def _read(self) -> None:
        try:
            while not self._done:
                limit_s = FIRST_WORD_S if self._call is None else None
                text = await asyncio.wait_for(self._socket.receive_text(), limit_s)
                self._hear(text)
        except TimeoutError:
            self._fail("No call was made. Please call again.")
        except (WebSocketDisconnect, RuntimeError, KeyError):
            return  # KeyError: what came was no text

    def _hear(self, text: str) -> None:
        if self._call is not None and not self._call.leg.is_attached(self._tell):
            return self._finish()  # the page came back by another socket, or the call is over
        if not self._rate.take(time.monotonic()):
            return self._fail("The page said too much at once. Please call again.")
        if len(text) > MOST_TEXT:
            return self._fail("The page said something too long.")
        try:
            said = _SAID.validate_json(text)
        except ValidationError as error:
            where = error.errors(include_input=False, include_url=False, include_context=False)[0]
            part = ".".join(str(step) for step in where["loc"][1:3])[:60]
            return self._tell(
                {"type": "error", "text": f"The page said something that is not understood: {part or 'no known type'}."}
            )
        try:
            self._act(said)
        except (Turned, ChannelGone) as why:
            self._fail(str(why))
        except NotAcceptable as why:
            self._fail(f"What the browser offered cannot be taken: {why}.")

    def _act(self, said: Said) -> None:
        match said:
            case CallWanted() | ResumeWanted():
                if self._call is not None:
                    return self._tell({"type": "error", "text": "This page is in a call already."})
                self._begin(said)
            case _ if self._call is None:
                self._tell({"type": "error", "text": "There is no call: call first."})
            case RestartWanted(sdp=sdp):
                self._call.leg.offer(sdp)
            case KeysPressed(digits=digits):
                self._call.leg.press(digits.upper())
            case HungUp():
                self._call.leg.leave()
            case CandidateFound():
                pass

    def _begin(self, said: CallWanted | ResumeWanted) -> None:
        source = self._socket.client.host if self._socket.client else ""
        if not self._calls.of(source).take(time.monotonic()):
            log.warning("too many calls from one address", source=source)
            raise Turned("Too many calls come from your network. Please call again in a minute.")
        if isinstance(said, CallWanted):
            self._call = self._door.call(said.to, said.caller or "", said.sdp, source)
            leg = self._call.leg
            self._tell({"type": "ringing", "call": self._call.id, "token": leg.token})
            leg.attach(self._tell)
        else:
            self._call = self._door.resume(said.call, said.token)
            self._call.leg.attach(self._tell)
            self._call.leg.offer(said.sdp)
            self._door.welcome_back(self._call.id)

    def _fail(self, why: str) -> None:
        self._tell({"type": "error", "text": why})
        if self._call is None:
            self._finish()


class Rate:
    """A token bucket."""

    def __init__(self, a_second: float, at_once: float) -> None:
        self._a_second, self._at_once = a_second, at_once
        self._left, self._at = at_once, 0.0

    def take(self, now_s: float) -> bool:
        """Whether one more may happen at `now_s`."""
        self._left = min(self._at_once, self._left + (now_s - self._at) * self._a_second)
        self._at = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True


class _Rates:
    """A bucket for each address, bounded in number."""

    def __init__(self, a_second: float, at_once: float) -> None:
        self._a_second, self._at_once = a_second, at_once
        self._by_source: OrderedDict[str, Rate] = OrderedDict()

    def of(self, source: str) -> Rate:
        rate = self._by_source.pop(source, None) or Rate(self._a_second, self._at_once)
        self._by_source[source] = rate
        if len(self._by_source) > MOST_ADDRESSES:
            self._by_source.popitem(last=False)
        return rate

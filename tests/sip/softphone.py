"""A browser's softphone as far as SIP sees it: written with `websockets`, in text, one connection, and a name that
nobody can resolve. Shares no code with the server but the grammar it reads answers by."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from offhook.sip import Credentials
from offhook.sip.digest import Answerer
from offhook.sip.message import Request, Response, parse

SIP = Subprotocol("sip")


class SoftPhone:
    """The browser's end, in text: one connection, whose name nobody can resolve."""

    def __init__(self, socket: ClientConnection, scheme: str) -> None:
        self._socket = socket
        self._transport = scheme.upper()
        self._answerer = Answerer(Credentials("alice", "wonder"))
        self._cseq = 0
        self.call_id = "web-call"

    def request(self, method: str, uri: str, body: str = "", headers: str = "", to_tag: str = "", cseq: int = 0) -> str:
        if not cseq:
            self._cseq += 1
        proof = self._answerer.header(method, uri)
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/{self._transport} df7jal23ls0d.invalid;branch=z9hG4bK{method}{self._cseq}{cseq};rport",
            "Max-Forwards: 70",
            "From: <sip:alice@phones.example.com>;tag=web",
            f"To: <sip:{'alice' if method == 'REGISTER' else '100'}@phones.example.com>"
            + (f";tag={to_tag}" if to_tag else ""),
            f"Call-ID: {self.call_id if method != 'REGISTER' else 'web-register'}",
            f"CSeq: {cseq or self._cseq} {method}",
            "Contact: <sip:alice@df7jal23ls0d.invalid;transport=ws>",
            *([": ".join(proof)] if proof else []),
            *([headers] if headers else []),
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join(lines) + "\r\n\r\n" + body

    async def send(self, text: str) -> None:
        await self._socket.send(text)

    async def next(self, limit_s: float = 5.0) -> Request | Response:
        text = await asyncio.wait_for(self._socket.recv(), limit_s)
        assert isinstance(text, str), "browsers' softphones read text"
        return parse(text.encode())

    async def final(self) -> Response:
        while True:
            message = await self.next()
            assert isinstance(message, Response), message
            if message.status >= 200:
                return message

    async def proven(self, method: str, uri: str, body: str = "", headers: str = "") -> Response:
        """Send a request, and again with the password where that is asked for."""
        await self.send(self.request(method, uri, body, headers))
        answer = await self.final()
        if answer.status == 401:
            if method == "INVITE":
                await self.send(self.request("ACK", uri, to_tag=answer.target.tag or "", cseq=self._cseq))
            assert self._answerer.take(answer.headers.all("WWW-Authenticate"), proxy=False)
            await self.send(self.request(method, uri, body, headers))
            answer = await self.final()
        return answer

    async def register(self) -> Response:
        return await self.proven("REGISTER", "sip:phones.example.com")

    def answer(self, request: Request, status: int, body: str = "") -> str:
        headers = [("Contact", "<sip:alice@df7jal23ls0d.invalid;transport=ws>")]
        headers += [("Content-Type", "application/sdp")] if body else []
        return request.response(status, to_tag="web", headers=headers, body=body.encode()).to_bytes().decode()


@asynccontextmanager
async def phone_at(url: str, authority: Path | None = None, local: str = "127.0.0.1") -> AsyncIterator[SoftPhone]:
    """One that connects from the address `local`, and believes in `authority`."""
    trusted = ssl.create_default_context(cafile=authority) if url.startswith("wss") else None
    async with connect(url, subprotocols=[SIP], ssl=trusted, local_addr=(local, 0)) as socket:
        yield SoftPhone(socket, url.partition(":")[0])

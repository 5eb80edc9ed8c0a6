"""SIP over WebSocket (RFC 7118): the handshake with its subprotocol `sip`, then one message a WebSocket message.

Sans-IO, on the protocol machine of `websockets`, which holds RFC 6455; a `Framing` for a connection like any other. No
extension is negotiated, so that nothing can be blown up by decompression.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from websockets.exceptions import ConnectionClosed, InvalidState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Origin, Subprotocol

from offhook.sip.framing import PONG
from offhook.sip.message import MAX_MESSAGE

_SILENT = logging.getLogger("offhook.sip.websocket")
_SILENT.setLevel(logging.CRITICAL)  # `websockets` writes a traceback for each handshake that is none

SUBPROTOCOL = Subprotocol("sip")
MAX_PIECES = 64
"""Frames that one message may come in."""


class WebSocketFramer:
    """The server's side of one connection."""

    first_message_s = 30.0
    silence_s = 90.0
    ping_s = 30.0

    def __init__(self, origins: Sequence[str] = ()) -> None:
        """`origins` are the pages' origins ("https://phones.example.com") that may connect; empty: all of them, and
        clients that are no page."""
        allowed = [Origin(origin) for origin in origins] or None
        self._protocol = ServerProtocol(
            origins=allowed, subprotocols=[SUBPROTOCOL], max_size=MAX_MESSAGE, logger=_SILENT
        )
        self._pieces: list[bytes] = []
        self.broken = ""

    @property
    def waiting(self) -> bool:
        return bool(self._pieces)

    def feed(self, data: bytes) -> list[bytes]:
        if self.broken:
            return []
        self._protocol.receive_data(data)
        messages: list[bytes] = []
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._shake_hands(event)
            elif isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                messages += self._piece(event)
        if self._protocol.parser_exc is not None:
            self.broken = "it is no WebSocket handshake, or breaks its rules"
        elif self._protocol.state in (State.CLOSING, State.CLOSED) and not self.broken:
            self.broken = "the peer closed the WebSocket"
        return messages

    def replies(self) -> bytes:
        return b"".join(self._protocol.data_to_send())

    def wrap(self, message: bytes) -> bytes:
        try:
            message.decode()
        except UnicodeDecodeError:
            self._send(message, text=False)
        else:
            self._send(message, text=True)  # what browsers' softphones read
        return self.replies()

    def ping(self) -> bytes:
        try:
            self._protocol.send_ping(b"")
        except (ConnectionClosed, InvalidState):
            return b""
        return self.replies()

    def _shake_hands(self, request: Request) -> None:
        if self._protocol.parser_exc is not None:
            return  # what stood right behind the handshake has ended it already
        try:
            response = self._protocol.accept(request)
        except UnicodeError:  # from `websockets`, which says of bytes that are no text what they are
            response = self._protocol.reject(400, "The handshake is not text.\n")
        if response.status_code == 101 and self._protocol.subprotocol != SUBPROTOCOL:
            response = self._protocol.reject(400, "Only the subprotocol sip is spoken here (RFC 7118).\n")
        self._protocol.send_response(response)
        if response.status_code != 101:
            self.broken = "the handshake was refused"

    def _piece(self, frame: Frame) -> list[bytes]:
        self._pieces.append(bytes(frame.data))
        if not frame.fin:
            if len(self._pieces) >= MAX_PIECES:
                self.broken = "a message comes in too many frames"
            return []
        message, self._pieces = b"".join(self._pieces), []
        if message.strip(b"\r\n"):
            return [message]
        self._send(PONG, text=True)  # RFC 5626 3.5.1: a keep-alive
        return []

    def _send(self, message: bytes, text: bool) -> None:
        try:
            if text:
                self._protocol.send_text(message)
            else:
                self._protocol.send_binary(message)
        except (ConnectionClosed, InvalidState):
            return

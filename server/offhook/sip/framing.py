"""Messages out of a stream: Content-Length framing (RFC 3261 18.3) with limits, and the pings of RFC 5626 4.4.1.

Knows no socket. Each byte is looked at once or twice, however small the pieces it comes in.
"""

from __future__ import annotations

import re

from offhook.sip.message import MAX_MESSAGE

_LENGTH = re.compile(rb"^(?:content-length|l)[ \t]*:[ \t]*([^\r\n]*?)[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
PING = b"\r\n\r\n"
PONG = b"\r\n"


class StreamFramer:
    """Feed it what a connection brings; it gives back whole messages."""

    first_message_s = 10.0
    silence_s = 7_500.0
    """Longer than any registration lasts: phones may keep a connection for nothing but calls to them."""
    ping_s = 600.0

    def __init__(self) -> None:
        self.broken = ""
        """Why the stream cannot be followed any further; it should be closed."""
        self.pings = 0
        """Pings since `feed` was last called, each to be answered with PONG."""
        self._buffer = bytearray()
        self._looked = 0
        self._wanted = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Whole messages that `data` completes. After `broken` is set nothing more comes."""
        self.pings = 0
        if self.broken:
            return []
        self._buffer += data
        messages: list[bytes] = []
        while not self.broken and (message := self._next()) is not None:
            messages.append(message)
        return messages

    @property
    def waiting(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self._buffer)

    def replies(self) -> bytes:
        """What to send back by itself: an answer to each ping."""
        return PONG * self.pings

    def wrap(self, message: bytes) -> bytes:
        """A message as it goes out."""
        return message

    def ping(self) -> bytes:
        """Nothing: a server asks for no pong (RFC 5626 4.4.1)."""
        return b""

    def _next(self) -> bytes | None:
        if not self._wanted:
            self._skip_empty_lines()
            end = self._buffer.find(PING, self._looked)
            if (end if end >= 0 else len(self._buffer)) > MAX_MESSAGE - 4:
                self.broken = "the headers do not end"
                return None
            if end < 0:
                self._looked = max(0, len(self._buffer) - 3)
                return None
            self._wanted = end + 4 + self._body_length(end)
        if len(self._buffer) < self._wanted:
            return None
        message = bytes(self._buffer[: self._wanted])
        del self._buffer[: self._wanted]
        self._looked = self._wanted = 0
        return message

    def _skip_empty_lines(self) -> None:
        empty = len(self._buffer) - len(self._buffer.lstrip(b"\r\n"))
        if empty:
            self.pings = min(self.pings + empty // 4, 8)
            # A ping may come in two halves: keep the odd bytes where nothing follows yet.
            keep = empty % 4 if empty == len(self._buffer) else 0
            del self._buffer[: empty - keep]
            self._looked = 0

    def _body_length(self, end: int) -> int:
        values = set(_LENGTH.findall(bytes(self._buffer[:end])))
        if not values:
            return 0
        text = values.pop()
        if values or not text.isdigit() or len(text) > 6 or end + 4 + int(text) > MAX_MESSAGE:
            # The message itself can still be refused with 400, but where the next one begins nobody knows.
            self.broken = "Content-Length says nothing usable"
            return 0
        return int(text)

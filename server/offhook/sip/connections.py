"""Connections, whoever opened them and whatever frames the messages on them: who may connect and how many, how long one
may idle, and which connection a flow means. TCP, TLS and WebSockets differ in how they listen and in their framing
(`tcp`, `tls`, `websocket`); what holds for all of them is here. What the bytes mean is the user agent's.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

from offhook.sip.transaction import Flow, Source

MAX_CONNECTIONS = 2_000
MAX_CONNECTIONS_PER_SOURCE = 200
MAX_UNSENT = 1 << 20
"""Bytes a peer may leave unread before its connection is cut."""
UNFINISHED_S = 10.0
"""A connection that stops in the middle of a message is closed after this long."""


class Framing(Protocol):
    """How messages lie in a stream of bytes. Knows no socket."""

    broken: str
    """Why the stream cannot be followed any further; the connection is to be closed, once `replies` are out."""
    first_message_s: float
    """How long a connection may take to bring its first message."""
    silence_s: float
    """How long a connection may then bring nothing at all."""
    ping_s: float
    """How often to look, and to send a `ping`."""

    @property
    def waiting(self) -> bool:
        """Whether a message has begun and not ended."""

    def feed(self, data: bytes) -> list[bytes]:
        """The whole messages that `data` completes."""

    def replies(self) -> bytes:
        """What has to go back by itself: handshakes, answers to keep-alives."""

    def wrap(self, message: bytes) -> bytes:
        """A message of ours as it goes out."""

    def ping(self) -> bytes:
        """What makes the peer say something; empty where there is nothing that does."""


@dataclass(frozen=True, slots=True)
class Hall:
    """Whom the connections tell."""

    deliver: Callable[[bytes, Source], None]
    welcome: Callable[[str], bool]
    """Whether anybody at this address may connect at all."""
    unreachable: Callable[[Flow, str], None]
    lost: Callable[[int], None]
    """The connection of this number is gone."""


class Connection(asyncio.Protocol):
    """One connection."""

    def __init__(self, transport: str, framing: Framing, table: Connections, key: tuple[str, str, int] | None) -> None:
        """`key` is where it leads, for one that we opened."""
        self.number = next(table.numbers)
        self.peer = ("", 0)
        self.key = key
        self._name = transport
        self._framing = framing
        self._table = table
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._heard = 0.0
        self._unfinished: float | None = None
        """Since when a message has been under way."""
        self._talked = key is not None

    @property
    def made(self) -> bool:
        return self._transport is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername") or ("", 0)
        self.peer = (peer[0], peer[1])
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._heard = asyncio.get_running_loop().time()
        self._table.opened(self)
        self._look_in(self._framing.ping_s if self._talked else self._framing.first_message_s)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None, "only a connection that stands brings data"
        loop = asyncio.get_running_loop()
        self._heard = loop.time()
        messages = self._framing.feed(data)
        self._write(self._framing.replies())
        if messages and not self._talked:
            self._talked = True
            self._look_in(self._framing.ping_s)
        source = Source(self._name, self.peer[0], self.peer[1], self.number)
        for message in messages:
            self._table.hall.deliver(message, source)
        if self._framing.broken:
            # Let the refusal of the last message out first.
            loop.call_later(0.2, self._transport.close)
        elif not self._framing.waiting:
            self._unfinished = None
        elif self._unfinished is None or messages:
            self._unfinished = self._heard
            if self._talked:
                self._look_in(UNFINISHED_S)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._table.closed(self)

    def send(self, message: bytes) -> None:
        self._write(self._framing.wrap(message))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _write(self, data: bytes) -> None:
        if not data or self._transport is None or self._transport.is_closing():
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > MAX_UNSENT:
            self._transport.abort()

    def _look_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        """The time is up for a message, or it is time for a ping."""
        assert self._transport is not None, "only a connection that stands can wait"
        now = asyncio.get_running_loop().time()
        stuck = self._unfinished is not None and now - self._unfinished >= UNFINISHED_S * 0.99
        if not self._talked or stuck or now - self._heard >= self._framing.silence_s:
            return self._transport.abort()
        self._write(self._framing.ping())
        self._look_in(self._framing.ping_s)


class Connections:
    """All of them, by number; those that we opened by where they lead, too."""

    def __init__(self, hall: Hall) -> None:
        self.hall = hall
        self.numbers = itertools.count(1)
        self._open: dict[int, Connection] = {}
        self._ours: dict[tuple[str, str, int], Connection] = {}
        self._from: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._from.total()

    def admit(self, host: str) -> bool:
        """Whether one more connection from `host` may come; it is counted from now on, until `release`."""
        full = self._from.total() >= MAX_CONNECTIONS or self._from[host] >= MAX_CONNECTIONS_PER_SOURCE
        if full or not self.hall.welcome(host):
            return False
        self._from[host] += 1
        return True

    def release(self, host: str) -> None:
        self._from[host] -= 1
        if self._from[host] <= 0:
            del self._from[host]

    def opened(self, connection: Connection) -> None:
        self._open[connection.number] = connection
        if connection.key is not None:
            self._ours[connection.key] = connection

    def closed(self, connection: Connection) -> None:
        if self._open.pop(connection.number, None) is None:
            return
        if connection.key is None:
            self.release(connection.peer[0])
        elif self._ours.get(connection.key) is connection:
            del self._ours[connection.key]
        self.hall.lost(connection.number)

    def find(self, number: int) -> Connection | None:
        """The connection of this number, where it still stands."""
        return self._open.get(number)

    def to(self, key: tuple[str, str, int]) -> Connection | None:
        """The connection of ours that leads there."""
        return self._ours.get(key)

    def close(self) -> None:
        for connection in list(self._open.values()):
            connection.close()

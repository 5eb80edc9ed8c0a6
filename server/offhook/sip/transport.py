"""Sockets: one UDP socket, one TCP listener, and the TCP connections in and out. Moves bytes and frames streams; what
the bytes mean is the user agent's.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections import Counter
from collections.abc import Callable
from typing import cast

from offhook.sip.framing import PONG, StreamFramer
from offhook.sip.transaction import Flow
from offhook.sip.useragent import Source

MAX_CONNECTIONS = 2_000
MAX_CONNECTIONS_PER_SOURCE = 200
RECEIVE_BUFFER = 1 << 20
"""Bytes of datagrams that may wait while the loop is busy: some thousand INVITEs."""
MAX_UNSENT = 1 << 20
"""Bytes a peer may leave unread before its connection is cut."""
FIRST_MESSAGE_S = 10.0
"""A connection that brings no whole message in this time is closed, and so is one that stops in the middle of one."""
CONNECT_S = 5.0

Deliver = Callable[[bytes, Source], None]
Unreachable = Callable[[Flow, str], None]


class UdpTransport(asyncio.DatagramProtocol):
    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if data.strip(b"\r\n\x00"):  # keep-alives
            self._deliver(data, Source("udp", addr[0], addr[1]))

    def send(self, address: tuple[str, int], data: bytes) -> None:
        """Raises OSError where the machine itself cannot send there."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data, address)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Connection(asyncio.Protocol):
    """One TCP connection, whoever opened it."""

    def __init__(self, number: int, transports: TcpTransport) -> None:
        self.number = number
        self.peer = ("", 0)
        self._tcp = transports
        self._framer = StreamFramer()
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername") or ("", 0)
        self.peer = (peer[0], peer[1])
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if not self._tcp.admit(self):
            return self._transport.abort()
        self._expect_more()

    def data_received(self, data: bytes) -> None:
        messages = self._framer.feed(data)
        if messages and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        for _ in range(self._framer.pings):
            self.send(PONG)
        source = Source("tcp", self.peer[0], self.peer[1], self.number)
        for message in messages:
            self._tcp.deliver(message, source)
        if self._framer.broken and self._transport is not None:
            # Let the refusal of the last message out first.
            asyncio.get_running_loop().call_later(0.2, self._transport.close)
        elif self._framer.waiting and self._deadline is None:
            self._expect_more()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._tcp.lost(self)

    def send(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > MAX_UNSENT:
            self._transport.abort()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _expect_more(self) -> None:
        assert self._transport is not None, "only a connection that stands can wait"
        self._deadline = asyncio.get_running_loop().call_later(FIRST_MESSAGE_S, self._transport.abort)


class TcpTransport:
    """The listener and every connection. A connection is found by its number, else by the peer's address."""

    def __init__(self, deliver: Deliver, welcome: Callable[[str], bool], unreachable: Unreachable) -> None:
        self.deliver = deliver
        self._welcome = welcome
        self._unreachable = unreachable
        self._numbers = itertools.count(1)
        self._open: dict[int, Connection] = {}
        self._by_peer: dict[tuple[str, int], Connection] = {}
        self._from: Counter[str] = Counter()
        self._opening: dict[tuple[str, int], list[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def listen(self, address: tuple[str, int]) -> int:
        """Listen, and say on which port. Raises OSError where the address is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._new, *address)
        return int(self._server.sockets[0].getsockname()[1])

    def send(self, address: tuple[str, int], flow: Flow, data: bytes) -> None:
        """Send over the connection that `flow` names, or one to `address`, which is opened where there is none."""
        connection = self._open.get(flow.connection) or self._by_peer.get(address)
        if connection is not None:
            return connection.send(data)
        waiting = self._opening.get(address)
        if waiting is not None:
            if len(waiting) < 100:
                waiting.append(data)
            return
        self._opening[address] = [data]
        task = asyncio.get_running_loop().create_task(self._connect(address, flow))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def admit(self, connection: Connection) -> bool:
        """Whether a connection just made may stay."""
        host = connection.peer[0]
        ours = connection.peer in self._opening
        full = len(self._open) >= MAX_CONNECTIONS or self._from[host] >= MAX_CONNECTIONS_PER_SOURCE
        if not ours and (full or not self._welcome(host)):
            return False
        self._open[connection.number] = connection
        self._by_peer[connection.peer] = connection
        self._from[host] += 1
        return True

    def lost(self, connection: Connection) -> None:
        if self._open.pop(connection.number, None) is not None:
            self._from[connection.peer[0]] -= 1
            if self._by_peer.get(connection.peer) is connection:
                del self._by_peer[connection.peer]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        for connection in list(self._open.values()):
            connection.close()

    def _new(self) -> Connection:
        return Connection(next(self._numbers), self)

    async def _connect(self, address: tuple[str, int], flow: Flow) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_S):
                _, connection = await loop.create_connection(self._new, *address)
        except (OSError, TimeoutError) as error:
            self._opening.pop(address, None)
            self._unreachable(flow, f"no connection to {address[0]}:{address[1]}: {error or 'timed out'}")
        else:
            for data in self._opening.pop(address, []):
                connection.send(data)

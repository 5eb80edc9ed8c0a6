"""Listening for connections: who is not admitted is closed before a byte of theirs is read, TLS handshakes included."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable

import structlog

from offhook.sip.connections import Connection, Connections, Framing

log = structlog.get_logger("offhook.sip")

BACKLOG = 256
HANDSHAKE_S = 10.0
"""How long a TLS handshake may take."""


class Listener:
    """One listening socket of a transport ("tcp", "tls", "ws", "wss")."""

    def __init__(
        self, transport: str, table: Connections, framing: Callable[[], Framing], context: ssl.SSLContext | None = None
    ) -> None:
        self._transport = transport
        self._table = table
        self._framing = framing
        self._context = context
        self._socket: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def listen(self, address: tuple[str, int]) -> int:
        """Listen, and say on which port. Raises OSError where the address is taken."""
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._socket = sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setblocking(False)
        sock.bind(address)
        sock.listen(BACKLOG)
        self._keep(asyncio.get_running_loop().create_task(self._accept(sock)))
        return int(sock.getsockname()[1])

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._socket is not None:
            self._socket.close()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, address = await loop.sock_accept(listening)
            except OSError as error:  # no descriptor free, or the peer is gone already: the next one may fare better
                log.warning("sip.accept-failed", transport=self._transport, why=str(error))
                await asyncio.sleep(0.1)
                continue
            if self._table.admit(address[0]):
                self._keep(loop.create_task(self._open(sock, address[0])))
            else:
                _reset(sock)

    async def _open(self, sock: socket.socket, host: str) -> None:
        connection = Connection(self._transport, self._framing(), self._table, None)
        limit_s = HANDSHAKE_S if self._context is not None else None
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection, sock, ssl=self._context, ssl_handshake_timeout=limit_s
            )
        except (OSError, ssl.SSLError, asyncio.CancelledError) as error:
            if not connection.made:  # else it is released when it is lost
                self._table.release(host)
                sock.close()
            if isinstance(error, asyncio.CancelledError):
                raise

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _reset(sock: socket.socket) -> None:
    """Close it without a goodbye, so that nothing of it lingers here."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    sock.close()

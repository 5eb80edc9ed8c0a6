"""Who may be connected to the web side, and for how long without asking for anything: bounded in number, and from one
address too, TLS handshakes included. What is asked is uvicorn's and the application's business.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import structlog
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

log = structlog.get_logger("offhook.console")

MOST_CONNECTIONS = 2_000
MOST_FROM_ONE_ADDRESS = 200
"""But for this machine itself, where a proxy may bring everybody."""
HANDSHAKE_S = 10.0
REQUEST_S = 10.0
"""How long a request may take to come, from its connection or its first byte on."""
UNREAD_S = 30.0
"""How long somebody may leave an answer unread."""


class Guests:
    """Who is connected, from where."""

    def __init__(self) -> None:
        self._from: Counter[str] = Counter()

    def admit(self, host: str) -> bool:
        """Whether one more from `host` may come; it is counted from now on, until `leave`."""
        crowded = self._from[host] >= MOST_FROM_ONE_ADDRESS and not ipaddress.ip_address(host).is_loopback
        if crowded or self._from.total() >= MOST_CONNECTIONS:
            return False
        self._from[host] += 1
        return True

    def leave(self, host: str) -> None:
        self._from[host] -= 1
        if self._from[host] <= 0:
            del self._from[host]


class Server(uvicorn.Server):
    """Uvicorn behind a door of ours, and without its hold on the process's signals."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._guests = Guests()
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.servers = []
        for listener in sockets or []:
            listener.setblocking(False)
            self._keep(self._accept(listener))
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await super().shutdown(sockets)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, address = await loop.sock_accept(listener)
            except OSError as error:  # no descriptor free, or the peer is gone already: the next one may fare better
                log.warning("accept failed", why=str(error))
                await asyncio.sleep(0.1)
                continue
            if self._guests.admit(address[0]):
                self._keep(self._open(sock, address[0]))
            else:
                sock.close()

    async def _open(self, sock: socket.socket, host: str) -> None:
        leave = partial(self._guests.leave, host)
        request = Request(self.config, self.server_state, self.lifespan.state, leave)
        context = self.config.ssl
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: request,
                sock,
                ssl=context,
                ssl_handshake_timeout=None if context is None else HANDSHAKE_S,
            )
        except (OSError, ssl.SSLError, asyncio.CancelledError) as error:
            if not request.made:  # else it leaves when it is lost
                leave()
                sock.close()
            if isinstance(error, asyncio.CancelledError):
                raise

    def _keep(self, doing: Any) -> None:
        task = asyncio.get_running_loop().create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Request(H11Protocol):
    """A connection that asks for pages, or for a WebSocket and is one from then on."""

    def __init__(
        self, config: uvicorn.Config, state: ServerState, app_state: dict[str, Any], leave: Callable[[], None]
    ) -> None:
        super().__init__(config, state, app_state)
        self.made = False
        self._leave = leave
        self._upgraded = False
        self._coming: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.made = True
        super().connection_made(cast(asyncio.Transport, transport))
        self._coming = self.loop.call_later(REQUEST_S, self.transport.abort)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._upgraded:
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._coming is None:
            self._coming = self.loop.call_later(REQUEST_S, self.transport.abort)

    def handle_websocket_upgrade(self, event: Any) -> None:
        self._upgraded = True
        self._stop_waiting()
        self.ws_protocol_class = cast(type[asyncio.Protocol], partial(Socket, leave=self._leave))
        super().handle_websocket_upgrade(event)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(UNREAD_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        if self._unread is not None:
            self._unread.cancel()
        super().connection_lost(exc)
        self._leave()

    def _stop_waiting(self) -> None:
        if self._coming is not None:
            self._coming.cancel()
            self._coming = None


class Socket(WebSocketsSansIOProtocol):
    """A WebSocket; its pings see to it that somebody is there."""

    def __init__(
        self, config: uvicorn.Config, server_state: ServerState, app_state: dict[str, Any], leave: Callable[[], None]
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._leave = leave

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._leave()

"""Connections that we open, over TCP or TLS: one to each place, whatever waits for it sent when it stands."""

from __future__ import annotations

import asyncio
import ssl

from offhook.sip.connections import Connection, Connections
from offhook.sip.framing import StreamFramer
from offhook.sip.transaction import Flow

CONNECT_S = 5.0
MAX_WAITING = 100


class Dialler:
    """Opens connections of one transport ("tcp" or "tls")."""

    def __init__(self, transport: str, table: Connections, context: ssl.SSLContext | None = None) -> None:
        self._transport = transport
        self._table = table
        self._context = context
        self._opening: dict[tuple[str, str, int], list[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, address: tuple[str, int], flow: Flow, data: bytes) -> None:
        """Send to `address`, over a connection that is opened where there is none."""
        # A certificate proves a name: what was opened to one name is not used for another at the same address.
        key = (self._transport, flow.host if self._context is not None else address[0], flow.port)
        connection = self._table.to(key)
        if connection is not None:
            return connection.send(data)
        waiting = self._opening.get(key)
        if waiting is not None:
            if len(waiting) < MAX_WAITING:
                waiting.append(data)
            return
        self._opening[key] = [data]
        task = asyncio.get_running_loop().create_task(self._connect(key, address, flow))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _connect(self, key: tuple[str, str, int], address: tuple[str, int], flow: Flow) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_S):
                _, connection = await loop.create_connection(
                    lambda: Connection(self._transport, StreamFramer(), self._table, key),
                    *address,
                    ssl=self._context,
                    server_hostname=flow.host if self._context is not None else None,
                )
        except (OSError, TimeoutError, ssl.SSLError) as error:
            self._opening.pop(key, None)
            self._table.hall.unreachable(flow, f"no connection to {flow.host}:{flow.port}: {_why(error)}")
        else:
            for data in self._opening.pop(key, []):
                connection.send(data)


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not good: {error.verify_message}"
    return str(error) or "timed out"

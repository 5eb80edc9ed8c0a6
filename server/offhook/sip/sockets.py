"""Every socket of an endpoint: which transports listen where, and which of them a message goes out by. One file each
says how: `udp`, `tcp` and `listener` (with `tls`), `websocket`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

from offhook.sip.connections import Connections, Framing, Hall
from offhook.sip.framing import StreamFramer
from offhook.sip.listener import Listener
from offhook.sip.settings import SipSettings
from offhook.sip.tcp import Dialler
from offhook.sip.tls import client_context, server_context
from offhook.sip.transaction import Flow
from offhook.sip.udp import UdpTransport

TRANSPORTS = ("udp", "tcp", "tls", "ws", "wss")


class Sockets:
    """Of one endpoint."""

    def __init__(self, settings: SipSettings, hall: Hall) -> None:
        """Raises ValueError where TLS is asked for without a certificate that can be used."""
        self.ports: dict[str, int] = {name: 0 for name in TRANSPORTS if name in settings.transports}
        self._settings = settings
        self._hall = hall
        self._table = Connections(hall)
        self._udp: UdpTransport | None = None
        self._listeners: list[Listener] = []
        self._diallers: dict[str, Dialler] = {}
        certificate, key = settings.certificate, settings.key
        self._shown: ssl.SSLContext | None = None
        if settings.transports & {"tls", "wss"}:
            # A telephone that only calls out over TLS listens to nobody: it needs no certificate.
            if certificate is not None and key is not None:
                self._shown = server_context(certificate, key)
            elif settings.trunks or "wss" in settings.transports:
                raise ValueError("sip over tls and wss needs a certificate and its key; name both")
        self._believed = client_context(settings.authorities, certificate, key) if "tls" in self.ports else None

    async def open(self, host: str, port: int) -> None:
        """Bind everything. Raises OSError where an address is taken."""
        settings = self._settings
        loop = asyncio.get_running_loop()
        if "udp" in self.ports:
            transport, self._udp = await loop.create_datagram_endpoint(
                lambda: UdpTransport(self._hall.deliver), local_addr=(host, port)
            )
            port = self.ports["udp"] = transport.get_extra_info("sockname")[1]
        if "tcp" in self.ports:
            self._diallers["tcp"] = Dialler("tcp", self._table)
            self.ports["tcp"] = self._listen("tcp", (host, port), StreamFramer)
        if "tls" in self.ports:
            self._diallers["tls"] = Dialler("tls", self._table, self._believed)
            if self._shown is not None:
                self.ports["tls"] = self._listen("tls", (host, settings.tls_port), StreamFramer, self._shown)
            else:  # nobody listens: what comes comes over connections that we opened
                self.ports["tls"] = settings.tls_port or 5061
        if self.ports.keys() & {"ws", "wss"}:
            from offhook.sip.websocket import WebSocketFramer  # only who needs it pays for the library

            def framer() -> WebSocketFramer:
                return WebSocketFramer(settings.ws_origins)

            if "ws" in self.ports:
                self.ports["ws"] = self._listen("ws", (host, settings.ws_port), framer)
            if "wss" in self.ports:
                self.ports["wss"] = self._listen("wss", (host, settings.wss_port), framer, self._shown)

    async def close(self) -> None:
        if self._udp is not None:
            self._udp.close()
        for listener in self._listeners:
            await listener.close()
        for dialler in self._diallers.values():
            dialler.close()
        self._table.close()
        self._udp = None
        self._listeners.clear()
        self._diallers.clear()

    def send_over(self, flow: Flow, data: bytes) -> bool:
        """Send over the very connection that `flow` names; False where it names none that stands."""
        connection = self._table.find(flow.connection) if flow.connection else None
        if connection is None:
            return False
        connection.send(data)
        return True

    def send(self, address: tuple[str, int], flow: Flow, data: bytes) -> None:
        """Send to `address` by the transport of `flow`. Raises OSError where that cannot be."""
        if flow.web:
            raise OSError("its WebSocket is gone, and only it can open another")
        if flow.transport == "udp" and self._udp is not None:
            self._udp.send(address, data)
        elif flow.transport in self._diallers:
            self._diallers[flow.transport].send(address, flow, data)
        else:
            raise OSError(f"{flow.transport} is not among the transports in use")

    def _listen(
        self,
        transport: str,
        address: tuple[str, int],
        framing: Callable[[], Framing],
        context: ssl.SSLContext | None = None,
    ) -> int:
        listener = Listener(transport, self._table, framing, context)
        self._listeners.append(listener)
        return listener.listen(address)

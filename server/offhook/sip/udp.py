"""SIP over UDP: one socket, a message a datagram (RFC 3261 18)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import cast

from offhook.sip.transaction import Source

RECEIVE_BUFFER = 1 << 20
"""Bytes of datagrams that may wait while the loop is busy: some thousand INVITEs."""


class UdpTransport(asyncio.DatagramProtocol):
    def __init__(self, deliver: Callable[[bytes, Source], None]) -> None:
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

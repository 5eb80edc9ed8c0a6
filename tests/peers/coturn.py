"""coturn: a TURN server on this machine that relays for whoever has a credential made with its secret."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

from loadtest.served import free_port

from tests.peers.processes import running

PROGRAM = shutil.which("turnserver")
RELAYED = range(30_100, 30_200)
"""The ports that it relays from."""
LIMIT_S = 10.0


class Coturn:
    """One that runs. Make it with `coturn`."""

    def __init__(self, port: int, secret: str, log: Path) -> None:
        self.port, self.secret = port, secret
        self._log = log

    def said(self) -> str:
        """Its log: whom it let in, and how many packets it relayed."""
        return self._log.read_text(errors="replace")


@contextlib.asynccontextmanager
async def coturn(folder: Path, secret: str = "north") -> AsyncIterator[Coturn]:
    """A TURN server over UDP and TCP, which relays to this machine as well: that is where the peer is here."""
    assert PROGRAM is not None
    made = Coturn(free_port(socket.SOCK_STREAM), secret, folder / "coturn.log")
    options = {
        **{"listening-ip": "127.0.0.1", "listening-port": made.port, "relay-ip": "127.0.0.1", "realm": "offhook"},
        **{"min-port": RELAYED.start, "max-port": RELAYED.stop - 1, "static-auth-secret": secret},
        **{"log-file": "stdout", "pidfile": folder / "coturn.pid", "userdb": folder / "turndb"},
    }
    switches = ["use-auth-secret", "no-tls", "no-dtls", "no-cli", "allow-loopback-peers", "simple-log", "verbose"]
    command = [
        *(PROGRAM, "-n"),
        *(f"--{name}={value}" for name, value in options.items()),
        *(f"--{name}" for name in switches),
    ]
    async with running(command, folder / "coturn.log"):
        async with asyncio.timeout(LIMIT_S):
            while not await _listens(made.port):  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(0.05)
        yield made


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True

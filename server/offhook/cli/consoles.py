"""How commands on this machine ask the web side of a running server: where it is, and whom to believe over https."""

from __future__ import annotations

import ssl
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from offhook.settings import ConsoleSettings

MAX_ANSWER = 16 * 1024 * 1024
"""Bytes read of an answer."""


@dataclass(frozen=True, slots=True)
class Console:
    """The web side of a server. `certificate`: the one it shows, where the settings name it; it is believed for what it
    is, whatever name it was made out to."""

    url: str
    certificate: Path | None = None

    @classmethod
    def of(cls, settings: ConsoleSettings) -> Console:
        """Of the server that has these settings."""
        host = at_home(settings.host)
        scheme = "http" if settings.certificate is None else "https"
        return cls(f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.port}", settings.certificate)

    def get(self, path: str, timeout_s: float) -> bytes:
        """What it answers, at most `MAX_ANSWER` bytes of it. Raises OSError, ValueError or HTTPException."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=timeout_s, context=self._trust()) as answer:
            body: bytes = answer.read(MAX_ANSWER)
        return body

    def _trust(self) -> ssl.SSLContext | None:
        if self.certificate is None:
            return None
        context = ssl.create_default_context(cafile=self.certificate)
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context


def at_home(host: str) -> str:
    """The address that reaches `host` from this machine: a server that listens on all of them names none."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)

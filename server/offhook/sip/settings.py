"""How a SIP endpoint is set up: where it listens, what it calls itself, whom it serves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from offhook.sip.trunk import Trunk


@dataclass(frozen=True, slots=True)
class SipSettings:
    bind: tuple[str, int] = ("127.0.0.1", 5060)
    """Address and port to listen on; port 0 takes any that is free (the same for UDP and TCP)."""
    advertise: str | None = None
    """The address others reach us at, where that is not the bound one (NAT)."""
    transports: frozenset[str] = frozenset({"udp", "tcp"})
    """Of "udp", "tcp", "tls", "ws" and "wss"."""
    tls_port: int = 5061
    ws_port: int = 5062
    wss_port: int = 5063
    """Port 0 takes any that is free, for these as well."""
    certificate: Path | None = None
    """PEM: ours, for TLS and WSS, with those between it and the authority."""
    key: Path | None = None
    authorities: Path | None = None
    """PEM: whom we believe about those we connect to over TLS, besides those that this machine trusts."""
    ws_origins: tuple[str, ...] = ()
    """Origins of pages that may connect by WebSocket; empty: any, and clients that are no page."""
    domain: str | None = None
    """What stands behind the @ of our registered users; our own addresses do as well."""
    trunks: Sequence[Trunk] = field(default_factory=tuple)
    user_agent: str | None = None
    """Named in User-Agent and Server; None keeps quiet, which tells scanners nothing."""
    rate_hz: float = 500.0
    """Messages a second that one address may send before they are dropped unread."""
    burst: float = 1_000.0
    session_expires_s: int = 1_800
    """RFC 4028 interval we ask for; 0 asks for none."""
    min_se_s: int = 90


@dataclass(frozen=True, slots=True)
class Refusal:
    """Every new call is refused with this while it stands, as when full or draining."""

    status: int = 503
    retry_after_s: int | None = 5

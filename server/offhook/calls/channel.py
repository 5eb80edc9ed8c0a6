"""ChannelAdapter: what a leg must be able to do to join a call, whatever network it came by.

SIP is one (`sipleg`), a browser another (`webleg`); a new channel is one file that passes what
`tests/calls/test_channels.py` holds of them. Audio is the port's business and never passes here; what happens on a leg
reaches its call as one of the facts below.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from offhook.media import Port


@dataclass(frozen=True, slots=True)
class Answer:
    """What was agreed when the leg was answered."""

    codec: str
    packet_ms: int


@dataclass(frozen=True, slots=True)
class Held:
    """The party does not want to hear us for now."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """The party wants to hear us again."""


@dataclass(frozen=True, slots=True)
class Moved:
    """The party's audio goes to another address now, `host:port`."""

    address: str


@dataclass(frozen=True, slots=True)
class Pressed:
    """The party pressed keys; `via` is `info` or `page` (keys in RTP are the port's to tell)."""

    digits: str
    via: str


@dataclass(frozen=True, slots=True)
class Gone:
    """The leg is over: `by` is `peer`, `us` or `timeout`; `cause` in a few words."""

    by: str
    cause: str


LegEvent = Held | Resumed | Moved | Pressed | Gone


class ChannelGone(Exception):
    """The leg ended before it could be answered."""


class ChannelAdapter(Protocol):
    """One party's side of a call."""

    port: Port
    """Its ear and mouth in the media core; what the party says and hears goes through it."""

    @property
    def available(self) -> bool:
        """The party is there: the leg has not ended."""

    def listen(self, listener: Callable[[LegEvent], None]) -> None:
        """Tell `listener` what happens from now on, on the event loop's thread. One listener."""

    def ring(self) -> None:
        """Tell the party that it rings at our end. Once answered this does nothing."""

    async def answer(self) -> Answer:
        """Take the call; returns when both sides can hear each other. Raises ChannelGone."""

    def reject(self, status: int, reason: str) -> None:
        """Refuse it instead, with a SIP status (other channels map it)."""

    def hang_up(self, cause: str) -> None:
        """End it, whatever state it is in. A leg that is over stays so."""

    def close(self) -> None:
        """Give back what the leg holds, its port too. It is over."""

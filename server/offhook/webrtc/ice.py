"""An ICE-lite agent (RFC 8445 2.5) for one component, without a socket or a clock: it answers connectivity checks and
says which address the peer has chosen, and whether it still agrees to be sent to (RFC 7675).

It sends no checks of its own, so it is always the controlled side, and it keeps nothing of senders who do not know its
password: those get no answer at all, not even the 401 of RFC 8489 9.1.3, for a source address can be forged.
"""

from __future__ import annotations

import secrets
import struct
from dataclasses import dataclass, field

from offhook.webrtc import stun
from offhook.webrtc.stun import Address

CONSENT_S = 30.0
"""RFC 7675 5.1: so long after the last check an address is not to be sent to any more."""
NOMINATION_HOLD_S = 3.0
"""Agents that nominate every pair that works (aggressively, as some do with a lite peer) name several within moments:
for so long after its last nomination a pair gives way only to one of at least its priority."""
MOST_PAIRS = 32
"""Addresses of one peer that are remembered; the one not heard from for longest is forgotten first."""

_KNOWN = (stun.USERNAME, stun.INTEGRITY, stun.PRIORITY, stun.USE_CANDIDATE)


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name fragment and a password (RFC 8445 5.3), as `a=ice-ufrag` and `a=ice-pwd` say them."""

    fragment: str
    password: str = field(repr=False)

    @classmethod
    def fresh(cls) -> Credentials:
        """At random, longer than the RFC asks for (24 and 128 bits)."""
        return cls(secrets.token_hex(4), secrets.token_hex(16))


@dataclass(frozen=True, slots=True)
class Reply:
    """Send this to where the check came from."""

    data: bytes
    to: Address


@dataclass(frozen=True, slots=True)
class Selected:
    """The peer has chosen this address of its own: media and DTLS go there and come from there alone."""

    address: Address


@dataclass(frozen=True, slots=True)
class ConsentLost:
    """The peer has not been heard from for `CONSENT_S`: nothing more may be sent to it."""


IceEvent = Reply | Selected | ConsentLost


@dataclass(slots=True)
class _Pair:
    priority: int
    checked_at: float
    nominated_at: float | None = None


@dataclass(slots=True)
class _Generation:
    """What belongs to one pair of credentials; a restart begins another."""

    local: Credentials
    remote: Credentials | None
    pairs: dict[Address, _Pair] = field(default_factory=dict)

    def wrote(self, check: stun.Message) -> bool:
        """Whether the check was written for these credentials, by somebody who knows them."""
        ours, _, theirs = check.attributes.get(stun.USERNAME, b"").partition(b":")
        if ours != self.local.fragment.encode():
            return False
        if self.remote is not None and theirs != self.remote.fragment.encode():
            return False
        return check.is_authentic(self.local.password)


class IceLite:
    """One agent. `receive` what begins like STUN, act on what it answers, call `expire` when `due` has come.

    Times are seconds of any one clock that never goes back.
    """

    def __init__(self, remote: Credentials | None = None) -> None:
        """`remote`: the peer's, where an offer already told them."""
        self.selected: Address | None = None
        """Where to send; None until the peer has chosen, and once it does not agree any more."""
        self._generation = _Generation(Credentials.fresh(), remote)
        self._before: _Generation | None = None
        """Those that the selected address belongs to, while a restart has not brought another."""
        self._last: Address | None = None
        """`selected`, or what it was before consent was lost."""

    @property
    def local(self) -> Credentials:
        """Ours, to be told to the peer."""
        return self._generation.local

    @property
    def remote(self) -> Credentials | None:
        return self._generation.remote

    def answered(self, remote: Credentials) -> None:
        """The peer's credentials came, in its answer to our offer."""
        self._generation.remote = remote

    def restart(self, remote: Credentials | None = None) -> Credentials:
        """Begin anew with new credentials (RFC 8445 9), which are answered. The address in use stays until the peer
        has chosen under the new ones."""
        if self._before is None and self._last is not None:
            self._before = self._generation
        self._generation = _Generation(Credentials.fresh(), remote)
        return self.local

    def receive(self, data: bytes, source: Address, now_s: float) -> list[IceEvent]:
        """Take a datagram. Whatever is no check by somebody who knows our password is passed over in silence."""
        try:
            check = stun.parse(data)
        except stun.NotStun:
            return []
        if check.kind != stun.BINDING_REQUEST:
            return []
        generation = next((each for each in (self._generation, self._before) if each and each.wrote(check)), None)
        if generation is None:
            return []
        password = generation.local.password
        if unknown := check.unknown(_KNOWN):
            return [Reply(stun.error(check, 420, password, unknown), source)]
        if stun.ICE_CONTROLLED in check.attributes:
            # RFC 8445 7.3.1.1: who sends checks to a lite agent controls, whatever the tie-breakers say.
            return [Reply(stun.error(check, 487, password), source)]
        pair = self._checked(generation, check, source, now_s)
        reply: list[IceEvent] = [Reply(stun.success(check, source, password), source)]
        nominated = stun.USE_CANDIDATE in check.attributes
        if nominated and self._takes_over(generation, pair, source, now_s):
            pair.nominated_at = now_s
            return reply + self._select(generation, source)
        if source == self._last and self.selected is None and self._holds(generation):
            return reply + self._select(generation, source)  # it is back, and agrees again
        return reply

    def due(self) -> float | None:
        """When `expire` is to be called; None where nothing is to expire."""
        pair = self._selected_pair()
        return None if self.selected is None or pair is None else pair.checked_at + CONSENT_S

    def expire(self, now_s: float) -> list[IceEvent]:
        """Some time has passed."""
        due = self.due()
        if due is None or now_s < due:
            return []
        self.selected = None
        return [ConsentLost()]

    # --- pairs

    def _checked(self, generation: _Generation, check: stun.Message, source: Address, now_s: float) -> _Pair:
        priority = check.attributes.get(stun.PRIORITY, b"")
        number = struct.unpack("!I", priority)[0] if len(priority) == 4 else 0
        pair = generation.pairs.get(source)
        if pair is None:
            if len(generation.pairs) >= MOST_PAIRS:
                others = (address for address in generation.pairs if address != self._last)
                del generation.pairs[min(others, key=lambda address: generation.pairs[address].checked_at)]
            pair = generation.pairs[source] = _Pair(number, now_s)
        pair.priority, pair.checked_at = number, now_s
        return pair

    def _holds(self, generation: _Generation) -> bool:
        """Whether the address last selected was selected under `generation`."""
        return generation is (self._before or self._generation)

    def _selected_pair(self) -> _Pair | None:
        generation = self._before or self._generation
        return None if self._last is None else generation.pairs.get(self._last)

    def _takes_over(self, generation: _Generation, pair: _Pair, source: Address, now_s: float) -> bool:
        if not self._holds(generation):
            return True  # the first under new credentials ends what was before
        rival = self._selected_pair()
        if self.selected is None or rival is None or rival is pair or rival.nominated_at is None:
            return True
        return pair.priority >= rival.priority or now_s - rival.nominated_at >= NOMINATION_HOLD_S

    def _select(self, generation: _Generation, source: Address) -> list[IceEvent]:
        if generation is self._generation:
            self._before = None
        if self.selected == source:
            return []
        self.selected = self._last = source
        return [Selected(source)]

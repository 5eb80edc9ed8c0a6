"""A registrar (RFC 3261 10.3), small and in memory: where the users of a trunk can be reached, over the flow each came
by (RFC 5626 in spirit: a call to a phone behind a WebSocket or a NAT goes down the connection it opened).

Decides and remembers; the user agent proves who asks and sends what is answered. What it remembers is bounded by the
users that the settings name.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from offhook.sip.grammar import Malformed, NameAddr, Uri
from offhook.sip.message import Request
from offhook.sip.transaction import Flow
from offhook.sip.trunk import Trunk

MAX_CONTACTS = 8
"""Phones that one user may have at once; the one that was silent longest gives way to a ninth."""
SHORTEST_S = 60
LONGEST_S = 3_600


@dataclass(frozen=True, slots=True)
class Binding:
    """One phone of a user."""

    user: str
    trunk: Trunk
    contact: Uri
    """What calls to it are addressed to."""
    instance: str | None
    """The device and its flow, where it says which (RFC 5626 4.1)."""
    flow: Flow
    call_id: str
    cseq: int
    until: float
    """Seconds of the user agent's clock."""
    quality: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the REGISTER is answered with."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    reason: str = ""


class Registrar:
    def __init__(self, trunks: Iterable[Trunk]) -> None:
        self._trunks = [trunk for trunk in trunks if trunk.users]
        self._bindings: dict[tuple[str, str], list[Binding]] = {}
        """By trunk and user; the newest last."""

    def register(self, request: Request, user: str, trunk: Trunk, flow: Flow, now: float) -> Outcome:
        """Carry out a REGISTER that `user` has proven to be theirs."""
        if request.target.uri.user != user:
            return Outcome(403, reason="Only Yourself")  # 10.3, step 4
        known = [binding for binding in self._bindings.get((trunk.name, user), []) if binding.until > now]
        try:
            bindings = self._updated(known, request, user, trunk, flow, now)
        except Malformed as fault:
            return Outcome(400, reason=fault.reason)
        if isinstance(bindings, Outcome):
            return bindings
        if bindings:
            self._bindings[(trunk.name, user)] = bindings
        else:
            self._bindings.pop((trunk.name, user), None)
        contacts = (f"<{b.contact}>;expires={max(1, math.ceil(b.until - now))}" for b in bindings)
        return Outcome(200, tuple(("Contact", contact) for contact in contacts))

    def find(self, user: str, now: float) -> Binding | None:
        """Where to reach `user`: the phone it likes best, of several the one that came last. None where nowhere."""
        found = [b for b in self._all(user) if b.until > now]
        return max(reversed(found), key=lambda binding: binding.quality, default=None)

    def knows(self, user: str) -> bool:
        """Whether somebody of that name may register."""
        return any(user in trunk.users for trunk in self._trunks)

    def lost(self, connection: int) -> None:
        """A connection is gone. Who came by TCP may be called back; into a WebSocket or TLS only they can call."""
        for key, bindings in list(self._bindings.items()):
            kept = [b for b in bindings if b.flow.connection != connection or b.flow.transport == "tcp"]
            if kept:
                self._bindings[key] = kept
            else:
                del self._bindings[key]

    def _all(self, user: str) -> list[Binding]:
        return [binding for trunk in self._trunks for binding in self._bindings.get((trunk.name, user), [])]

    def _updated(
        self, known: list[Binding], request: Request, user: str, trunk: Trunk, flow: Flow, now: float
    ) -> list[Binding] | Outcome:
        """The user's bindings after the request (10.3, steps 6 and 7): all of it or nothing."""
        values, cseq = request.headers.all("Contact"), request.cseq.number
        default = request.seconds("Expires")
        if values == ["*"]:
            if default != 0:
                return Outcome(400, reason="A Star Wants Expires 0")
            stale = any(_is_stale(binding, request) for binding in known)
            return Outcome(500, reason="CSeq Out Of Order") if stale else []
        bindings = list(known)
        for contact in request.contacts():
            seconds = _seconds(contact, default)
            if 0 < seconds < SHORTEST_S:
                return Outcome(423, (("Min-Expires", str(SHORTEST_S)),))
            instance = _instance(contact)
            same = [b for b in bindings if _is_same(b, contact.uri, instance)]
            if any(_is_stale(binding, request) for binding in same if binding in known):
                return Outcome(500, reason="CSeq Out Of Order")
            bindings = [b for b in bindings if b not in same]
            if seconds:
                if contact.uri.scheme != "sip":
                    return Outcome(400, reason="Only sip Contacts Can Be Reached")
                made = Binding(
                    user, trunk, contact.uri, instance, _flow(contact.uri, flow), request.call_id, cseq,
                    now + seconds, _quality(contact),
                )  # fmt: skip
                bindings.append(made)
        return bindings[-MAX_CONTACTS:]


def _flow(contact: Uri, came_by: Flow) -> Flow:
    """How to reach it: over the connection it came by; should that be gone, TCP phones at the address they name."""
    if came_by.transport == "tcp":
        return Flow("tcp", contact.address, contact.port or 5060, came_by.connection)
    return came_by


def _seconds(contact: NameAddr, default: int | None) -> int:
    text = contact.get("expires") or ""
    wanted = int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else default
    return LONGEST_S if wanted is None else min(wanted, LONGEST_S)


def _quality(contact: NameAddr) -> float:
    try:
        return min(max(float(contact.get("q") or 1.0), 0.0), 1.0)
    except ValueError:
        return 1.0


def _instance(contact: NameAddr) -> str | None:
    instance = contact.get("+sip.instance")
    return f"{instance};{contact.get('reg-id') or ''}"[:200] if instance else None


def _is_same(binding: Binding, contact: Uri, instance: str | None) -> bool:
    if instance is not None and binding.instance is not None:
        return instance == binding.instance
    a, b = binding.contact, contact
    return (a.user, a.host, a.port, a.transport) == (b.user, b.host, b.port, b.transport)


def _is_stale(binding: Binding, request: Request) -> bool:
    return binding.call_id == request.call_id and request.cseq.number <= binding.cseq

"""A media port's way to a peer that speaks DTLS, and ICE or none: a browser, whether it signals over our page or over
SIP, or a telephone.

Joins one port with the two state machines of `webrtc`: hands them the port's STUN and DTLS datagrams, sends what they
answer from the port's socket, and tells the port which address was selected and which keys hold. Its timers run on the
event loop. It knows no leg and no signalling; media never passes here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from offhook.media import Datagram, Keys, MediaError, Port, Suite
from offhook.sip.icedtls import AgreedDtls, Ice, LocalDtls
from offhook.sip.icedtls import Fingerprint as Told
from offhook.webrtc import dtls, ice
from offhook.webrtc.certificate import Fingerprint

CONNECT_S = 20.0
"""How long the peer has from the agreement until audio can flow."""
NOWHERE = ("127.0.0.1", 9)
"""What a port's `Remote` says where ICE says it better."""
MOST_KNOCKING = 4
"""Handshakes with those who would be a peer that is not where it described."""
PRIORITY = (126 << 24) + (65535 << 8) + 255
"""Of our one candidate, a host's (RFC 8445 5.1.2.1)."""


@dataclass(frozen=True, slots=True)
class Connected:
    """Audio can flow: for the first time, or again after `Lost`."""


@dataclass(frozen=True, slots=True)
class Moved:
    """The peer has chosen another of its addresses."""

    address: tuple[str, int]


@dataclass(frozen=True, slots=True)
class Lost:
    """The peer has not been heard from for so long that nothing may be sent to it any more (RFC 7675). It may come
    back."""


@dataclass(frozen=True, slots=True)
class Failed:
    """There will be no audio; `why` in a sentence."""

    why: str


LineEvent = Connected | Moved | Lost | Failed


class SecureLine:
    """ICE and DTLS of one port, which is in their hands from here on. `take` what the peer's description says of ICE,
    or `at` where it has none; `local` is for ours; then `begin`."""

    def __init__(self, port: Port, identity: dtls.DtlsIdentity) -> None:
        self.port = port
        self.connected = False
        self._identity = identity
        self._listener: Callable[[LineEvent], None] = lambda event: None
        self._loop = asyncio.get_running_loop()
        self._ice = ice.IceLite()
        self._dtls: dtls.Dtls | None = None
        self._place: tuple[str, int] | None = None
        """Of a peer that runs no ICE, and the one its description has: NAT may have made another of it."""
        self._described: tuple[str, int] | None = None
        self._knocking: dict[tuple[str, int], dtls.Dtls] = {}
        """By address, those who would be it, longest silent first; until one has proven to be."""
        self._chosen: tuple[str, int] | None = None
        """The address last selected; kept while consent is lost."""
        self._suite: str | None = None
        """None: there are no keys."""
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._limit: asyncio.TimerHandle | None = None
        port.ice(True)

    @property
    def selected(self) -> tuple[str, int] | None:
        """The peer's address in use."""
        return self._place or self._ice.selected

    @property
    def suite(self) -> str | None:
        """The SRTP suite in use; None while there are no keys."""
        return self._suite

    def listen(self, listener: Callable[[LineEvent], None]) -> None:
        """Tell `listener` what happens from now on."""
        self._listener = listener

    # --- signalling

    def take(self, theirs: Ice) -> None:
        """The peer's description came, with these ICE credentials. Others than before are an ICE restart: `local` has
        new ones of ours from here on, which the answer must tell."""
        credentials = ice.Credentials(theirs.ufrag, theirs.pwd)
        if self._ice.remote is None:
            self._ice.answered(credentials)
        elif self._ice.remote != credentials:
            self._ice.restart(credentials)

    def at(self, address: tuple[str, int]) -> None:
        """The peer runs no ICE and is, by its description, here (RFC 5763 5, RFC 4961). Whoever shows the right
        certificate from elsewhere is it as well, behind NAT; until then nothing but handshakes goes anywhere."""
        if address == self._described:
            return
        self._described = self._place = address
        self._knocking.clear()
        self._arrive(address, proven=self._suite is not None)
        self._wind()

    def local(self) -> LocalDtls:
        """What our description says."""
        ours, own = self._ice.local, self._identity.fingerprint
        host, number = self.port.address
        candidate = f"1 1 udp {PRIORITY} {host} {number} typ host"
        return LocalDtls(
            Told(own.algorithm, own.value), Ice(ours.fragment, ours.password, lite=True, candidates=(candidate,))
        )

    def begin(self, agreed: AgreedDtls) -> None:
        """Both sides know each other now. A peer with another certificate than before gets a new association (RFC 8842
        3.2)."""
        told = tuple(Fingerprint(each.algorithm, each.value) for each in agreed.fingerprints)
        if self._dtls is None or self._dtls.told != told or self._dtls.state is dtls.State.OVER:
            self._dtls = dtls.Dtls(self._identity, told, agreed.active)
            self._suite = None
            self._knocking.clear()
            if self._place is not None:
                self._select(None)  # its address has yet to be proven, and until then DTLS is heard from anywhere
            self._changed()
            if self.selected is not None:
                self._secure(self._dtls.start())
            self._wind()
        if not self.connected and self._limit is None:
            self._limit = self._loop.call_later(CONNECT_S, self._too_late)

    def close(self) -> None:
        """Say goodbye; the port stays. Nothing is told any more."""
        if self._closed:
            return
        if self._dtls is not None and self.selected is not None:
            self._secure(self._dtls.close())
        self._closed = True
        self._knocking.clear()
        for timer in (self._timer, self._limit):
            if timer is not None:
                timer.cancel()
        self._timer = self._limit = None

    # --- the wire

    def receive(self, datagram: Datagram) -> None:
        """Take a datagram that the port handed up. RFC 7983: STUN begins with 0 to 3, DTLS with 20 to 63."""
        if self._closed or not datagram.data:
            return
        if datagram.data[0] < 4:
            self._act(self._ice.receive(datagram.data, datagram.source, self._loop.time()))
        elif self._dtls is not None and datagram.source == self.selected:
            # From elsewhere a ClientHello could come from anybody, and be first.
            self._secure(self._dtls.receive(datagram.data))
        elif self._dtls is not None and self._place is not None and self._suite is None and not self._dtls.active:
            self._knock(self._dtls, datagram)
        self._wind()

    def _knock(self, first: dtls.Dtls, datagram: Datagram) -> None:
        """Somebody would be the peer at another address than the one it described: each has a handshake of their own,
        so that nobody is in the way of whoever has the certificate."""
        source = datagram.source
        one = self._knocking.pop(source, None)
        if one is None:
            if len(self._knocking) >= MOST_KNOCKING:
                del self._knocking[next(iter(self._knocking))]
            one = dtls.Dtls(self._identity, first.told, unproven=source)
            one.start()
        self._knocking[source] = one
        self._admit(source, one, one.receive(datagram.data))

    def _admit(self, source: tuple[str, int], one: dtls.Dtls, events: list[dtls.DtlsEvent]) -> None:
        for event in events:
            match event:
                case dtls.Transmit(data):
                    self._post(data, source)
                case dtls.Keyed(keys):
                    self._dtls, self._place = one, source
                    self._key(keys)
                case _:
                    self._knocking.pop(source, None)

    def _act(self, events: list[ice.IceEvent]) -> None:
        for event in events:
            match event:
                case ice.Reply(data, to):
                    self._post(data, to)
                case ice.Selected(address):
                    self._place = self._described = None
                    self._arrive(address)
                case ice.ConsentLost() if self._place is None:
                    self._select(None)
                    self._changed()

    def _arrive(self, address: tuple[str, int], proven: bool = True) -> None:
        """This is where the peer is from now on."""
        if proven:
            self._select(address)
            if self._chosen not in (None, address):
                self._tell(Moved(address))
            self._chosen = address
        if self._dtls is not None:
            self._secure(self._dtls.start())
        self._changed()

    def _secure(self, events: list[dtls.DtlsEvent]) -> None:
        for event in events:
            match event:
                case dtls.Transmit(data):
                    if self.selected is not None:
                        self._post(data, self.selected)
                case dtls.Keyed(keys):
                    self._key(keys)
                case dtls.Failed(why):
                    self._tell(Failed(why))
                case dtls.Closed():
                    # The far end's machine is done with it; that the party has gone its signalling will say.
                    self._suite = None
                    self._changed()

    # --- the port, which may be overloaded or gone: of that no other line must hear

    def _post(self, data: bytes, to: tuple[str, int]) -> None:
        try:
            self.port.post(data, to)
        except MediaError:
            pass  # lost, as any datagram may be: checks and flights are sent again

    def _select(self, address: tuple[str, int] | None) -> None:
        try:
            self.port.select(address)
        except MediaError as error:
            self._tell(Failed(str(error)))

    def _key(self, keys: dtls.SrtpKeys) -> None:
        try:
            self.port.keys(Keys(cast(Suite, keys.suite), keys.send, keys.receive))
        except MediaError as error:
            return self._tell(Failed(str(error)))
        self._suite = keys.suite
        self._knocking.clear()
        if self._place is not None:
            self._arrive(self._place)
        self._changed()

    # --- what follows

    def _changed(self) -> None:
        connected = self._suite is not None and self.selected is not None
        if connected == self.connected:
            return
        self.connected = connected
        if connected and self._limit is not None:
            self._limit.cancel()
            self._limit = None
        self._tell(Connected() if connected else Lost())

    def _too_late(self) -> None:
        self._limit = None
        what = "no connectivity check arrived" if self.selected is None else "DTLS was not finished"
        self._tell(Failed(f"{what} within {CONNECT_S:g} s"))

    def _tell(self, event: LineEvent) -> None:
        if not self._closed:
            self._listener(event)

    def _wind(self) -> None:
        """Set the timer for whatever is due next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._closed:
            return
        dues = [self._ice.due()]
        if self._dtls is not None and self.selected is not None:
            in_s = self._dtls.due_in_s()
            dues.append(None if in_s is None else self._loop.time() + in_s)
        for one in self._knocking.values():
            in_s = one.due_in_s()
            dues.append(None if in_s is None else self._loop.time() + in_s)
        if due := min((each for each in dues if each is not None), default=None):
            self._timer = self._loop.call_at(due, self._due)

    def _due(self) -> None:
        self._timer = None
        self._act(self._ice.expire(self._loop.time()))
        if self._dtls is not None and self.selected is not None:
            self._secure(self._dtls.retransmit())
        for source, one in list(self._knocking.items()):
            self._admit(source, one, one.retransmit())
        self._wind()

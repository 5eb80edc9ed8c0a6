"""A SIP dialog as a leg of a call: a session of `sip`, a port of `media`, and the agreement that ties them together.

Signalling decides where audio goes, or, where the far end is a browser, ICE does; this tells the port. It knows no call
and no dial plan.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import cast

from offhook.calls import secureline
from offhook.calls.channel import Answer, ChannelGone, Gone, Held, LegEvent, Moved, Pressed, Resumed
from offhook.calls.secureline import NOWHERE, SecureLine
from offhook.media import Codec, Keys, MediaError, Port, Remote, Suite
from offhook.sip import (
    Agreed,
    Answered,
    Cancelled,
    Confirmed,
    Digits,
    Ended,
    Failed,
    IncomingSession,
    LocalMedia,
    Media,
    OutgoingSession,
    Progress,
    Reoffered,
    Session,
    SipEvent,
)
from offhook.webrtc import DtlsIdentity

ACK_WAIT_S = 2.0
"""How long to wait for the ACK before the call goes on without it; what is said then waits in the port."""

CODECS: Mapping[str, Codec] = {"OPUS": "opus", "PCMU": "ulaw", "PCMA": "alaw"}
"""What SDP calls a codec (RFC 3551, RFC 7587), and what a port does."""


class SipLeg:
    """A ChannelAdapter over SIP. Whoever receives the endpoint's events hands this session's to `handle`."""

    def __init__(
        self, session: Session, port: Port, identity: DtlsIdentity | None = None, line: SecureLine | None = None
    ) -> None:
        """`identity`: who we are to far ends that speak DTLS; none is taken where it is left out. `line`: what our own
        offer was made with, where it offers DTLS."""
        self.session = session
        self.port = port
        self.line = line
        """Of a far end that speaks ICE and DTLS: takes the datagrams that the port hands up."""
        self._identity = identity
        self._secured: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if line is not None:
            line.listen(self._on_line)
        self.agreed: Agreed | None = None
        self._listener: Callable[[LegEvent], None] = lambda event: None
        self._gone: Gone | None = None
        self._answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._confirmed = asyncio.Event()
        self._ringing = False
        self._keyed: Keys | None = None
        self._proven = isinstance(session, OutgoingSession)
        """Whoever we send audio to has shown, by an ACK, that they are where the SDP says: a forged INVITE must not
        point a stream of packets at somebody else."""
        self.failed: Failed | None = None
        """Outgoing: how the far end refused, where it did."""

    @property
    def available(self) -> bool:
        return self._gone is None

    def listen(self, listener: Callable[[LegEvent], None]) -> None:
        self._listener = listener

    # --- verbs

    def ring(self) -> None:
        if isinstance(self.session, IncomingSession) and self.available and self.agreed is None and not self._ringing:
            self._ringing = True
            self.session.ring()

    async def answer(self) -> Answer:
        if self.agreed is None and isinstance(self.session, IncomingSession):
            self._require()
            agreed = self.session.accept(self._media())
            if agreed is not None:
                self._agree(agreed)
            else:
                await self._answered
            try:
                await asyncio.wait_for(self._confirmed.wait(), ACK_WAIT_S)
            except TimeoutError:
                pass
        await self._flowing()
        self._require()
        return self._answer()

    async def answered(self) -> Answer:
        """Outgoing: wait until the far end answers. Raises ChannelGone where it does not; `failed` says how."""
        await self._answered
        await self._flowing()
        return self._answer()

    def reject(self, status: int, reason: str) -> None:
        if isinstance(self.session, IncomingSession) and self.available:
            self._over(Gone("us", f"refused with {status} {reason}".rstrip()))
            self.session.reject(status, reason)

    def hang_up(self, cause: str) -> None:
        if self.available:
            self._over(Gone("us", cause))
            self.session.hang_up(cause)

    def close(self) -> None:
        self.hang_up("leg closed")
        self.port.close()

    # --- what signalling says

    def handle(self, event: SipEvent) -> None:
        """Act on an event of this leg's session."""
        match event:
            case Answered(agreed=agreed):  # incoming: by the ACK
                before, self._proven = self.agreed, True
                self._agree(agreed)
                self._tell_change(before, agreed)
                if not self._answered.done():
                    self._answered.set_result(None)
            case Progress(early=Agreed() as early):
                self._agree(early, is_final=False)
            case Confirmed():
                self._proven = True
                self._confirmed.set()
                if self.agreed is not None:
                    self._agree(self.agreed)
            case Reoffered():
                self._reoffered()
            case Digits(digits=digits):
                self._listener(Pressed(digits, "info"))
            case Cancelled():
                self._over(Gone("peer", "the caller gave up before it was answered"))
            case Failed(status=status, reason=reason):
                self.failed = event
                self._over(Gone("peer", f"{status} {reason}".rstrip()))
            case Ended(by=by, cause=cause):
                self._over(Gone(by.value, cause))

    def _reoffered(self) -> None:
        before = self.agreed
        agreed = self.session.accept_reoffer(self._media())
        if agreed is None:  # an offer without a description: the answer comes with the ACK, as `Answered`
            return
        self._agree(agreed)
        self._tell_change(before, agreed)

    def _tell_change(self, before: Agreed | None, agreed: Agreed) -> None:
        if before is None:
            return
        if agreed.send and agreed.remote != before.remote and agreed.dtls is None:
            self._listener(Moved(f"{agreed.remote[0]}:{agreed.remote[1]}"))
        if agreed.send != before.send:
            self._listener(Resumed() if agreed.send else Held())

    def _agree(self, agreed: Agreed, is_final: bool = True) -> None:
        if is_final:
            self.agreed = agreed
        remote, proven = agreed.remote, self._proven
        if agreed.dtls is not None:
            if self.line is None:
                return self.hang_up("the far end asks for DTLS, which was not offered")
            if agreed.dtls.ice is not None:
                self.line.take(agreed.dtls.ice)
            elif (proven or not agreed.dtls.active) and _is_place(remote):
                self.line.at(remote)
            self.line.begin(agreed.dtls)
            remote, proven = NOWHERE, True
        elif not agreed.send and not _is_place(remote):
            # Held the old way (RFC 3264 8.4): there is no address to send to, and nothing will be sent.
            remote = ("127.0.0.1", 9)
        try:
            self._key(agreed)
            self.port.remote(
                Remote(
                    address=remote,
                    codec=CODECS[agreed.codec.name],
                    payload_type=agreed.codec.payload_type,
                    digits_payload_type=agreed.digits,
                    digits_rate_hz=agreed.digits_rate_hz,
                    packet_ms=agreed.packet_ms,
                    send=agreed.send and proven,
                    receive=agreed.receive,
                    rtcp_mux=agreed.rtcp_mux,
                    rtcp_port=None if agreed.rtcp_mux else agreed.rtcp[1],
                    secure=agreed.secure,
                )
            )
        except MediaError as error:
            self.hang_up(f"media cannot follow what was agreed: {error}")

    def _key(self, agreed: Agreed) -> None:
        """Give the port the keys that were agreed, where they are other ones than before."""
        if agreed.keys is None:
            return
        ours, theirs = agreed.keys.ours, agreed.keys.theirs
        keys = Keys(cast(Suite, ours.suite), send=ours.key, receive=theirs.key)
        if keys != self._keyed:
            self.port.keys(keys)
            self._keyed = keys

    def _media(self) -> LocalMedia:
        """What we answer with, or offer where that was left to us."""
        media = self.session.terms.answer(*self.port.address)
        theirs = self.session.offered
        if self._identity is None or not (_takes_dtls(theirs) if theirs is not None else self.session.terms.web):
            return media
        if self.line is None:
            self.line = SecureLine(self.port, self._identity)
            self.line.listen(self._on_line)
        if theirs is not None and theirs.ice is not None:
            self.line.take(theirs.ice)
        return replace(media, dtls=self.line.local())

    def _on_line(self, event: secureline.LineEvent) -> None:
        match event:
            case secureline.Connected():
                if not self._secured.done():
                    self._secured.set_result(None)
            case secureline.Moved((host, number)):
                self._listener(Moved(f"{host}:{number}"))
            case secureline.Failed(why):
                self.hang_up(f"the line could not be secured: {why}")

    async def _flowing(self) -> None:
        """Wait until audio can flow, where that takes more than the agreement. Raises ChannelGone."""
        if self.line is not None and self.agreed is not None and self.agreed.dtls is not None:
            await asyncio.shield(self._secured)

    def _answer(self) -> Answer:
        assert self.agreed is not None
        return Answer(CODECS[self.agreed.codec.name], self.agreed.packet_ms)

    def _require(self) -> None:
        if self._gone is not None:
            raise ChannelGone(self._gone.cause)

    def _over(self, gone: Gone) -> None:
        if self._gone is not None:
            return
        self._gone = gone
        self._confirmed.set()
        if self.line is not None:
            self.line.close()
        for waiting in (self._answered, self._secured):
            if not waiting.done():
                waiting.set_exception(ChannelGone(gone.cause))
                waiting.exception()  # nobody may be waiting, and that is no fault
        self._listener(gone)


def _takes_dtls(offer: Media) -> bool:
    """It is to be secured by DTLS, on one port. Who offers keys in the description too gets those. Without ICE the
    description says where; of two lite agents neither would look for the other."""
    dtls = offer.protocol.startswith("UDP/TLS/") or (offer.wants_security and not offer.crypto)
    return dtls and offer.dtls is not None and offer.rtcp_mux and not (offer.ice is not None and offer.ice.lite)


def _is_place(address: tuple[str, int]) -> bool:
    """Something can be sent there."""
    return address[0] != "0.0.0.0" and address[1] not in (0, 9)

"""A SIP dialog as a leg of a call: a session of `sip`, a port of `media`, and the agreement that ties them together.

Signalling decides where audio goes; this tells the port. It knows no call and no dial plan.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from offhook.calls.channel import Answer, ChannelGone, Gone, Held, LegEvent, Moved, Pressed, Resumed
from offhook.media import MediaError, Port, Remote
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
    OutgoingSession,
    Progress,
    Reoffered,
    Session,
    SipEvent,
    Srtp,
)

ACK_WAIT_S = 2.0
"""How long to wait for the ACK before the call goes on without it; what is said then waits in the port."""

CODECS = {"PCMU": "ulaw", "PCMA": "alaw"}


def local_media(port: Port) -> LocalMedia:
    """What we offer or answer with for `port`."""
    return LocalMedia(address=port.address[0], port=port.address[1], srtp=Srtp.NEVER)


class SipLeg:
    """A ChannelAdapter over SIP. Whoever receives the endpoint's events hands this session's to `handle`."""

    def __init__(self, session: Session, port: Port) -> None:
        self.session = session
        self.port = port
        self.agreed: Agreed | None = None
        self._listener: Callable[[LegEvent], None] = lambda event: None
        self._gone: Gone | None = None
        self._answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._confirmed = asyncio.Event()
        self._ringing = False
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
            agreed = self.session.accept(local_media(self.port))
            if agreed is not None:
                self._agree(agreed)
            else:
                await self._answered
            try:
                await asyncio.wait_for(self._confirmed.wait(), ACK_WAIT_S)
            except TimeoutError:
                pass
        self._require()
        return self._answer()

    async def answered(self) -> Answer:
        """Outgoing: wait until the far end answers. Raises ChannelGone where it does not; `failed` says how."""
        await self._answered
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
        agreed = self.session.accept_reoffer(local_media(self.port))
        if agreed is None:  # an offer without a description: the answer comes with the ACK, as `Answered`
            return
        self._agree(agreed)
        self._tell_change(before, agreed)

    def _tell_change(self, before: Agreed | None, agreed: Agreed) -> None:
        if before is None:
            return
        if agreed.send and agreed.remote != before.remote:
            self._listener(Moved(f"{agreed.remote[0]}:{agreed.remote[1]}"))
        if agreed.send != before.send:
            self._listener(Resumed() if agreed.send else Held())

    def _agree(self, agreed: Agreed, is_final: bool = True) -> None:
        if is_final:
            self.agreed = agreed
        remote = agreed.remote
        if not agreed.send and (remote[0] == "0.0.0.0" or remote[1] in (0, 9)):
            # Held the old way (RFC 3264 8.4): there is no address to send to, and nothing will be sent.
            remote = ("127.0.0.1", 9)
        try:
            self.port.remote(
                Remote(
                    address=remote,
                    codec="alaw" if agreed.codec.name == "PCMA" else "ulaw",
                    payload_type=agreed.codec.payload_type,
                    digits_payload_type=agreed.digits,
                    packet_ms=agreed.packet_ms,
                    send=agreed.send and self._proven,
                    receive=agreed.receive,
                    rtcp_mux=agreed.rtcp_mux,
                    rtcp_port=None if agreed.rtcp_mux else agreed.rtcp[1],
                )
            )
        except MediaError as error:
            self.hang_up(f"media cannot follow what was agreed: {error}")

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
        if not self._answered.done():
            self._answered.set_exception(ChannelGone(gone.cause))
            self._answered.exception()  # nobody may be waiting, and that is no fault
        self._listener(gone)

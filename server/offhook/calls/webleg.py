"""A browser as a leg of a call: its offers and answers, a port of `media`, and the secure line that joins the two.

Whoever has the page's socket hands over what it says (`offer`, `press`, `hang_up`, `attach`, `detach`) and passes on
what the leg tells it. A page whose line or socket is lost is waited for; meanwhile the call goes on. It knows no web
server and no dial plan.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import replace

import structlog

from offhook.calls import secureline
from offhook.calls.channel import Answer, ChannelGone, Gone, Held, LegEvent, Moved, Pressed, Resumed
from offhook.calls.narration import Message
from offhook.calls.secureline import NOWHERE, SecureLine
from offhook.calls.sipleg import CODECS
from offhook.media import MediaError, Port, Remote
from offhook.sip import sdp
from offhook.sip.offeranswer import Agreed, LocalMedia, Negotiation, Srtp
from offhook.sip.sdp import NotAcceptable
from offhook.webrtc import DtlsIdentity

log = structlog.get_logger("offhook.calls")

AWAY_S = 15.0
"""How long a page that was lost is waited for."""

REFUSALS = {480: "unavailable", 486: "busy", 603: "declined"}
"""What a page is told of a call that was refused."""


class WebLeg:
    """A ChannelAdapter over a page's signalling. Make it with the page's offer; `token` is what lets a page that was
    lost take it up again."""

    def __init__(self, offer: str, port: Port, identity: DtlsIdentity, away_s: float = AWAY_S) -> None:
        """Raises NotAcceptable where the offer is none that can be answered; the port stays whose it was."""
        self.port = port
        self.token = secrets.token_urlsafe(24)
        self.line = SecureLine(port, identity)
        """Takes the datagrams that the port hands up."""
        self.line.listen(self._on_line)
        self.answered = False
        self._away_s = away_s
        self._loop = asyncio.get_running_loop()
        self._listener: Callable[[LegEvent], None] = lambda event: None
        self._tell: Callable[[Message], None] | None = None
        self._gone: Gone | None = None
        self._talks = Negotiation()
        self._answer = ""
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self._away: asyncio.TimerHandle | None = None
        self._agreed = self._read(offer, None)

    @property
    def available(self) -> bool:
        return self._gone is None

    def listen(self, listener: Callable[[LegEvent], None]) -> None:
        self._listener = listener

    # --- verbs

    def ring(self) -> None:
        """Nothing to do: a page is told that it rings as soon as its call is taken."""

    async def answer(self) -> Answer:
        self._require()
        if not self.answered:
            self.answered = True
            self._say_answer()
        await asyncio.shield(self._connected)
        self._require()
        return Answer(CODECS[self._agreed.codec.name], self._agreed.packet_ms)

    def reject(self, status: int, reason: str) -> None:
        if self.available and not self.answered:
            cause = reason or REFUSALS.get(status, "the call was not taken")
            self._over(Gone("us", f"refused with {status} {reason}".rstrip()), cause)

    def hang_up(self, cause: str) -> None:
        if self.available:
            self._over(Gone("us", cause), cause)

    def close(self) -> None:
        self.hang_up("leg closed")
        self.port.close()

    # --- what the page says

    def attach(self, tell: Callable[[Message], None]) -> None:
        """The page is there, and is told things by `tell` from now on."""
        self._tell = tell
        self._mind_the_page()

    def detach(self, tell: Callable[[Message], None]) -> None:
        """The page's socket is gone; where another one has been attached since, nothing happens."""
        if self.is_attached(tell):
            self._tell = None
            self._mind_the_page()

    def is_attached(self, tell: Callable[[Message], None]) -> bool:
        """Whether it is `tell` that speaks to the page now."""
        return self._tell == tell

    def offer(self, offer: str) -> None:
        """The page offers anew: another network, or it holds or resumes. It is answered once the call is. Raises
        NotAcceptable, and what was agreed before goes on; ChannelGone where the leg is over."""
        self._require()
        before, self._agreed = self._agreed, self._read(offer, self._agreed)
        if self.answered:
            self._say_answer()
            if before.send != self._agreed.send:
                self._listener(Resumed() if self._agreed.send else Held())

    def press(self, digits: str) -> None:
        """The page's keypad."""
        if self.available:
            self._listener(Pressed(digits, "page"))

    def leave(self) -> None:
        """The page hangs up."""
        self._over(Gone("peer", "the caller hung up"))

    def tell(self, message: Message) -> None:
        """Tell the page; one that is away misses it."""
        if self._tell is not None:
            self._tell(message)

    # --- offers and answers

    def _read(self, offer: str, before: Agreed | None) -> Agreed:
        """Take an offer, and write the answer to it."""
        theirs = sdp.parse(offer.encode("utf-8", "replace"))
        media = theirs.media
        if media.ice is None or media.dtls is None or not media.rtcp_mux:
            raise NotAcceptable("the offer is no browser's: it lacks ICE credentials, a fingerprint or rtcp-mux")
        if media.ice.lite:
            raise NotAcceptable("the offer is of an ICE-lite agent: two of them never find each other")
        # What is wrong with an offer must be known before it restarts anything.
        planned = self._talks.agree(theirs, self._local(), keep=before)
        if planned.dtls is None or planned.stream != media.stream:
            raise NotAcceptable("the offer is no browser's: its first audio is not secured by DTLS")
        self.line.take(media.ice)
        local = self._local()
        # With comfort noise a browser sends nothing in pauses, and those who listen here want no holes.
        agreed = replace(self._talks.agree(theirs, local, keep=before), comfort_noise=None)
        self._answer = self._talks.write_answer(theirs, local, agreed).decode()
        return agreed

    def _local(self) -> LocalMedia:
        host, number = self.port.address
        return LocalMedia(host, number, tuple(CODECS), srtp=Srtp.REQUIRED, dtls=self.line.local())

    def _say_answer(self) -> None:
        assert self._agreed.dtls is not None
        # Whoever we send to gets a packet each 20 ms, silence too: a page that hears none for long knows enough.
        self.tell({"type": "answer", "sdp": self._answer, "steady": self._agreed.send})
        self.line.begin(self._agreed.dtls)
        self._set_remote()

    def _set_remote(self) -> None:
        agreed = self._agreed
        try:
            self.port.remote(
                Remote(
                    address=self.line.selected or NOWHERE,
                    codec=CODECS[agreed.codec.name],
                    payload_type=agreed.codec.payload_type,
                    digits_payload_type=agreed.digits,
                    digits_rate_hz=agreed.digits_rate_hz,
                    packet_ms=agreed.packet_ms,
                    send=agreed.send,
                    receive=agreed.receive,
                    rtcp_mux=True,
                    secure=True,
                )
            )
        except MediaError as error:
            self.hang_up(f"media cannot follow what was agreed: {error}")

    # --- a page that is there or not

    def _on_line(self, event: secureline.LineEvent) -> None:
        match event:
            case secureline.Connected():
                if not self._connected.done():
                    self._connected.set_result(None)
            case secureline.Moved((host, number)):
                self._listener(Moved(f"{host}:{number}"))
            case secureline.Failed(why):
                self._over(Gone("peer", why), "the line could not be secured")
        self._mind_the_page()

    def _mind_the_page(self) -> None:
        """Wait for a page that was lost, by its socket or its line; but not for ever."""
        there = self._tell is not None and (self.line.connected or not self._connected.done())
        if there or not self.available:
            if self._away is not None:
                self._away.cancel()
                self._away = None
        elif self._away is None:
            log.info("the page is away", socket=self._tell is not None, line=self.line.connected)
            self._away = self._loop.call_later(self._away_s, self._given_up)

    def _given_up(self) -> None:
        self._away = None
        self._over(Gone("timeout", f"the page was lost and did not come back within {self._away_s:g} s"))

    def _require(self) -> None:
        if self._gone is not None:
            raise ChannelGone(self._gone.cause)

    def _over(self, gone: Gone, why: str | None = None) -> None:
        if self._gone is not None:
            return
        self._gone = gone
        self.tell({"type": "ended", "why": why or gone.cause})
        self._mind_the_page()
        self.line.close()
        if not self._connected.done():
            self._connected.set_exception(ChannelGone(gone.cause))
            self._connected.exception()  # nobody may be waiting, and that is no fault
        self._listener(gone)

"""One call as SIP sees it: what both directions share once there is a dialog (RFC 3261 13 to 15, 3264, 3311, 4028).

Answers and makes re-INVITEs and UPDATEs, retransmits its 2xx until the ACK, keeps the session timer, ends the call
whatever the moment. How a call comes to stand is `incoming`'s and `outgoing`'s. Knows no socket: it asks its
`Services` to send, and is told of messages and of its own timers, which are data.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import structlog

from offhook.sip import sdp, sessiontimer
from offhook.sip.dialog import Dialog, with_via
from offhook.sip.digest import Answerer, Credentials
from offhook.sip.dtmf import read_digits, write_digit
from offhook.sip.events import By, Digits, Ended, Reagreed, Reoffered, SipEvent
from offhook.sip.grammar import Malformed
from offhook.sip.message import Request, Response
from offhook.sip.sdp import Agreed, Description, Direction, LocalMedia, NotAcceptable
from offhook.sip.transaction import T1_S, T2_S, TIMEOUT_S, Flow, InviteServer, ServerTransaction

log = structlog.get_logger("offhook.sip")

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE"
SUPPORTED = frozenset({"timer"})
ACCEPT = "application/sdp, application/dtmf-relay, application/dtmf"
KNOWN_METHODS = frozenset(
    "INVITE ACK CANCEL BYE OPTIONS INFO UPDATE PRACK REGISTER SUBSCRIBE NOTIFY PUBLISH MESSAGE REFER".split()
)
REOFFER_WAIT_S = 20.0
"""A re-offer nobody here answers is refused after this long, so that no transaction hangs."""


class State(Enum):
    """Of the call; EARLY and CONFIRMED as dialogs have them (RFC 3261 12)."""

    TRYING = "trying"
    """INVITE came or went, no tag of the called side is out yet."""
    EARLY = "early"
    ACCEPTED = "accepted"
    """Incoming: our 2xx is out, its ACK is not here."""
    CONFIRMED = "confirmed"
    TERMINATED = "terminated"


class Timer(Enum):
    RETRANSMIT = "2xx again"
    NO_ACK = "no ACK"
    REFRESH = "refresh"
    EXPIRE = "session expires"
    PROVISIONAL = "1xx again"
    UNANSWERED = "re-offer not answered here"
    GLARE = "re-offer again"
    CANCELLED = "no answer to CANCEL"


@dataclass(frozen=True, slots=True)
class Failure:
    """A request got no response: as if the status had come (RFC 3261 8.1.3.1)."""

    status: int
    reason: str


class Services(Protocol):
    """What a session needs of the user agent that keeps it."""

    session_expires_s: int
    min_se_s: int

    def now(self) -> float: ...
    def report(self, event: SipEvent) -> None: ...
    def transmit(self, flow: Flow, data: bytes) -> None: ...
    def request(self, request: Request, flow: Flow, done: Callable[[Response | Failure], None]) -> None: ...
    def respond(self, transaction: ServerTransaction, response: Response) -> None: ...
    def contact(self, flow: Flow) -> str: ...
    def local(self, flow: Flow) -> tuple[str, int]: ...
    def watch(self, session: Session) -> None: ...
    def adopt(self, session: Session, dialog: Dialog) -> None: ...
    def forget(self, session: Session) -> None: ...
    def identity(self, header: str) -> Sequence[tuple[str, str]]: ...


@dataclass(slots=True)
class Unacknowledged:
    """A 2xx of ours whose ACK has not come."""

    cseq: int
    transaction: InviteServer
    response: Response
    interval_s: float
    wants_answer: bool
    hold: bool = False


@dataclass(slots=True)
class PendingOffer:
    """A re-offer of the peer's that is not answered yet."""

    transaction: ServerTransaction
    request: Request
    description: Description
    granted: sessiontimer.Granted


class Session:
    """A call's signalling; see the package's page for its verbs. Verbs on a call that is over do nothing."""

    def __init__(self, services: Services, call_id: str, peer_uri: str, credentials: Credentials | None) -> None:
        self.call_id = call_id
        self.peer_uri = peer_uri
        self.state = State.TRYING
        self.agreed: Agreed | None = None
        self.local: LocalMedia | None = None
        """The media we last described to the peer."""
        self.timers: dict[Timer, float] = {}
        self._services = services
        self._dialog: Dialog | None = None
        self._origin = sdp.Origin(secrets.randbelow(2**53))
        self._answerer = Answerer(credentials) if credentials is not None else None
        self._holding = False
        self._unacknowledged: Unacknowledged | None = None
        self._peer_offer: PendingOffer | None = None
        self._peer_origin = ""
        self._offering = False
        self._wanted: tuple[LocalMedia, bool] | None = None
        self._acks: dict[tuple[int, str], tuple[Flow, bytes]] = {}
        self._refresh: sessiontimer.Refresh | None = None
        self._peer_updates = False
        self._bye_after_ack = False
        self._reported_end = False

    @property
    def due(self) -> float | None:
        """When the earliest of our timers is due."""
        return min(self.timers.values(), default=None)

    @property
    def local_tag(self) -> str:
        return self._dialog.local_tag if self._dialog is not None else ""

    # --- verbs

    def hang_up(self, cause: str = "hung up") -> None:
        """End the call: BYE where it stands."""
        if self.state is State.CONFIRMED:
            self._end(By.US, cause)
            self._bye()
        elif self.state is State.ACCEPTED:
            # RFC 3261 15: the callee must not send BYE before the ACK came or was given up.
            self._bye_after_ack = True
            self._report_end(By.US, cause, None)
        self._services.watch(self)

    def reoffer(self, media: LocalMedia | None = None, hold: bool = False) -> None:
        """Offer our audio anew: `hold` asks the peer not to be heard, False resumes; `media` moves it.

        One at a time: a later one waits until the one before is settled. `Reagreed` tells how it went."""
        media = media or self.local
        if self.state in (State.ACCEPTED, State.CONFIRMED) and media is not None and not self._bye_after_ack:
            self._wanted = (media, hold)
            self._offer_if_free()
            self._services.watch(self)

    def accept_reoffer(self, media: LocalMedia | None = None) -> Agreed | None:
        """Accept the peer's re-offer with `media`, or with what we had. None where there is none to accept."""
        pending, ours = self._peer_offer, media or self.local
        if pending is None or ours is None:
            return None
        try:
            agreed = sdp.agree(pending.description.media, ours, self._holding, self.agreed)
        except NotAcceptable as fault:
            self.reject_reoffer(488, str(fault))
            return None
        self._answer_offer(pending, ours, agreed)
        self._services.watch(self)
        return agreed

    def reject_reoffer(self, status: int = 488, reason: str = "") -> None:
        """Refuse the peer's re-offer; what was agreed before goes on (RFC 3261 14.2)."""
        pending = self._take_peer_offer()
        if pending is not None:
            self._services.respond(pending.transaction, self._response(pending.request, status, reason))
            self._services.watch(self)

    def send_info(self, content_type: str, body: bytes) -> None:
        """Send an INFO (RFC 6086's legacy use)."""
        if self.state is State.CONFIRMED:
            self._request("INFO", [("Content-Type", content_type)], body, lambda _: None)

    def send_digit(self, digit: str, duration_ms: int = 160) -> None:
        """Send a key as INFO with application/dtmf-relay. Raises ValueError where `digit` is no key."""
        self.send_info("application/dtmf-relay", write_digit(digit, duration_ms))

    # --- what the user agent tells us

    def receive(self, transaction: ServerTransaction, request: Request) -> None:
        """A new request within our dialog, other than ACK and CANCEL."""
        dialog = self._dialog
        if dialog is None or self.state is State.TERMINATED:
            return self._services.respond(transaction, self._response(request, 481))
        if not dialog.in_order(request):
            return self._services.respond(transaction, self._response(request, 500, "CSeq Out Of Order"))
        unknown = [token for token in request.headers.tokens("Require") if token.lower() not in SUPPORTED]
        if unknown and request.method != "BYE":
            refusal = self._response(request, 420, headers=[("Unsupported", ", ".join(unknown))])
            return self._services.respond(transaction, refusal)
        if request.method == "BYE":
            self._on_bye(transaction, request)
        elif request.method in ("INVITE", "UPDATE"):
            self._on_offer(transaction, request)
        elif request.method == "INFO":
            self._on_info(transaction, request)
        elif request.method == "OPTIONS":
            headers = [("Allow", ALLOW), ("Accept", ACCEPT), ("Supported", "timer")]
            self._services.respond(transaction, self._response(request, 200, headers=headers))
        else:
            status = 405 if request.method in KNOWN_METHODS else 501
            self._services.respond(transaction, self._response(request, status, headers=[("Allow", ALLOW)]))
        self._services.watch(self)

    def acknowledge(self, ack: Request) -> None:
        """The ACK of a 2xx of ours came."""
        waiting = self._unacknowledged
        if waiting is None or ack.cseq.number != waiting.cseq:
            return
        self._unacknowledged = None
        self.timers.pop(Timer.RETRANSMIT, None)
        self.timers.pop(Timer.NO_ACK, None)
        first = self.state is State.ACCEPTED
        if first:
            self._enter(State.CONFIRMED)
        if self._bye_after_ack:
            self._bye()
            self._close()
        elif waiting.wants_answer:
            self._take_answer_of_ack(ack, waiting, first)
        if first and self.state is State.CONFIRMED:
            self._confirmed()
        self._offer_if_free()
        self._services.watch(self)

    def cancelled(self, transaction: InviteServer) -> None:
        """The peer's CANCEL for `transaction` came, which is still unanswered: only ever a re-INVITE here."""
        pending = self._peer_offer
        if pending is not None and pending.transaction is transaction:
            self._take_peer_offer()
            self._services.respond(transaction, self._response(pending.request, 487))
            self._services.watch(self)

    def fire(self, timer: Timer) -> None:
        """One of our timers is due."""
        if self.timers.pop(timer, None) is None:
            return
        now, waiting = self._services.now(), self._unacknowledged
        if timer is Timer.RETRANSMIT and waiting is not None:
            # 13.3.1.4: T1, doubling up to T2, on reliable transports too
            self._services.respond(waiting.transaction, waiting.response)
            waiting.interval_s = min(2 * waiting.interval_s, T2_S)
            self.timers[Timer.RETRANSMIT] = now + waiting.interval_s
        elif timer is Timer.NO_ACK:
            self._end(By.TIMEOUT, "the answer was never acknowledged", 408)
            self._bye()
        elif timer is Timer.EXPIRE:
            self._end(By.TIMEOUT, "the session timer expired", 408)
            self._bye()
        elif timer is Timer.REFRESH:
            self._send_refresh()
        elif timer is Timer.UNANSWERED:
            self.reject_reoffer(500, "Nobody Answered The Offer")
        elif timer is Timer.GLARE:
            self._offer_if_free()
        else:
            self._fired(timer)
        self._services.watch(self)

    # --- for the two directions

    def _fired(self, timer: Timer) -> None:
        """A timer of the subclass."""

    def _confirmed(self) -> None:
        """The call stands, ACK and all."""

    def _answered_by_ack(self) -> None:
        """The ACK brought the answer to the offer in our first 2xx."""

    def _enter(self, state: State) -> None:
        if state is not self.state:
            log.info("sip.state", call=self.call_id, was=self.state.value, now=state.value)
            self.state = state

    def _accepted(self, transaction: InviteServer, response: Response, wants_answer: bool, hold: bool = False) -> None:
        """Send a 2xx to an INVITE, and again until its ACK comes (13.3.1.4)."""
        now = self._services.now()
        self._unacknowledged = Unacknowledged(
            transaction.request.cseq.number, transaction, response, T1_S, wants_answer, hold
        )
        self.timers[Timer.RETRANSMIT] = now + T1_S
        self.timers[Timer.NO_ACK] = now + TIMEOUT_S
        self._services.respond(transaction, response)

    def _response(
        self,
        request: Request,
        status: int,
        reason: str = "",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Response:
        fields = [*self._services.identity("Server"), *headers]
        if body:
            fields.append(("Content-Type", "application/sdp"))
        return request.response(status, reason, self.local_tag, fields, body)

    def _success(self, request: Request, granted: sessiontimer.Granted, flow: Flow, body: bytes = b"") -> Response:
        """A 200 to INVITE or UPDATE."""
        headers = [("Contact", self._services.contact(flow)), ("Allow", ALLOW), ("Supported", "timer")]
        return self._response(request, 200, headers=[*headers, *granted.headers], body=body)

    def _start_timer(self, refresh: sessiontimer.Refresh | None) -> None:
        self._refresh = refresh
        self.timers.pop(Timer.REFRESH, None)
        self.timers.pop(Timer.EXPIRE, None)
        if refresh is not None:
            now = self._services.now()
            self.timers[Timer.EXPIRE] = now + refresh.expire_after_s
            if refresh.ours:
                self.timers[Timer.REFRESH] = now + refresh.refresh_after_s

    def _learn(self, message: Request | Response) -> None:
        self._peer_updates = "UPDATE" in message.headers.tokens("Allow")

    def _end(self, by: By, cause: str, status: int | None = None) -> None:
        """The call is over for whoever uses it."""
        self._report_end(by, cause, status)
        self._close()

    def _report_end(self, by: By, cause: str, status: int | None) -> None:
        if not self._reported_end:
            self._reported_end = True
            self._services.report(Ended(self, by, cause, status))

    def _close(self) -> None:
        """Answer nobody any more. Transactions under way end by themselves."""
        pending = self._take_peer_offer()
        if pending is not None:
            self._services.respond(pending.transaction, self._response(pending.request, 487))
        self._enter(State.TERMINATED)
        self._unacknowledged = None
        self._wanted = None
        self.timers.clear()
        self._services.forget(self)

    # --- requests of ours

    def _request(
        self, method: str, headers: list[tuple[str, str]], body: bytes, done: Callable[[Response | Failure], None]
    ) -> int:
        """Send a request within the dialog; a challenge is answered by itself. Returns its CSeq number."""
        dialog = self._dialog
        assert dialog is not None, "a request within a dialog needs the dialog"
        flow, cseq = dialog.next_hop(), dialog.next_cseq()
        fields = [*self._services.identity("User-Agent"), *headers]
        request = dialog.request(method, cseq, fields, body)
        if self._answerer is not None:
            proof = self._answerer.header(method, request.uri_text)
            if proof is not None:
                request.headers.add(*proof)

        def finished(outcome: Response | Failure) -> None:
            if isinstance(outcome, Response) and outcome.status in (401, 407) and self._can_prove(outcome):
                self._request(method, headers, body, done)
            else:
                if isinstance(outcome, Response) and 200 <= outcome.status < 300 and self._answerer is not None:
                    self._answerer.settled()
                done(outcome)

        self._services.request(with_via(request, flow, self._services.local(flow)), flow, finished)
        return cseq

    def _can_prove(self, challenge: Response) -> bool:
        if self._answerer is None:
            return False
        name = "WWW-Authenticate" if challenge.status == 401 else "Proxy-Authenticate"
        return self._answerer.take(challenge.headers.all(name), proxy=challenge.status == 407)

    def _bye(self) -> None:
        if self._dialog is not None:
            self._request("BYE", [], b"", lambda _: None)

    def _send_ack(self, cseq: int, dialog: Dialog) -> None:
        """Acknowledge a 2xx to an INVITE of ours; the same ACK again for the same 2xx again (13.2.2.4)."""
        key = (cseq, dialog.remote_tag)
        if key not in self._acks:
            flow = dialog.next_hop()
            ack = with_via(dialog.request("ACK", cseq), flow, self._services.local(flow))
            self._acks = {k: v for k, v in self._acks.items() if k[0] == cseq} | {key: (flow, ack.to_bytes())}
        self._services.transmit(*self._acks[key])

    # --- offers of ours in a call that stands

    def _offer_if_free(self) -> None:
        """Send the re-offer that waits, where nothing else is under way (RFC 3261 14.1, 3264 4)."""
        free = self.state is State.CONFIRMED and not self._offering and self._peer_offer is None
        if self._wanted is None or not free or self._unacknowledged is not None or Timer.GLARE in self.timers:
            return
        (media, hold), self._wanted = self._wanted, None
        self._send_offer(media, hold, refresh=False)

    def _send_offer(self, media: LocalMedia, hold: bool, refresh: bool) -> None:
        agreed = self.agreed
        assert agreed is not None and self._dialog is not None, "a confirmed call has media and a dialog"
        direction = Direction.SENDONLY if hold else Direction.SENDRECV
        body = sdp.write_offer(media, direction, self._origin, agreed)
        headers = [
            ("Contact", self._services.contact(self._dialog.next_hop())),
            ("Allow", ALLOW),
            ("Supported", "timer"),
            *self._timer_headers(),
            ("Content-Type", "application/sdp"),
        ]
        self._offering = True
        self._request("INVITE", headers, body, lambda outcome: self._offer_answered(outcome, media, hold, refresh))

    def _timer_headers(self) -> tuple[tuple[str, str], ...]:
        if self._refresh is None:
            return ()
        # RFC 4028 7.1: whoever refreshes now goes on refreshing
        refresher = "uac" if self._refresh.ours else "uas"
        return sessiontimer.ask(self._refresh.interval_s, self._services.min_se_s, refresher)

    def _offer_answered(self, outcome: Response | Failure, media: LocalMedia, hold: bool, refresh: bool) -> None:
        if isinstance(outcome, Response) and outcome.status < 200:
            return
        if isinstance(outcome, Response) and outcome.status < 300:
            return self._offer_accepted(outcome, media, hold, refresh)
        self._offering = False
        if self.state is not State.CONFIRMED:
            return
        if refresh:
            self._refreshed(outcome)
        elif outcome.status == 491:
            # 14.1: the side that made the Call-ID waits longer, so that the two do not collide again
            self._wanted = self._wanted or (media, hold)
            self.timers[Timer.GLARE] = self._services.now() + self._glare_wait_s()
        elif outcome.status in (408, 481):  # 12.2.1.2: the peer is gone
            self._end(By.TIMEOUT, "the peer no longer answers", outcome.status)
            self._bye()
        elif self.agreed is not None:
            self._services.report(Reagreed(self, self.agreed, outcome.status))
        self._offer_if_free()
        self._services.watch(self)

    def _offer_accepted(self, response: Response, media: LocalMedia, hold: bool, refresh: bool) -> None:
        dialog = self._dialog
        assert dialog is not None, "a re-INVITE is sent within a dialog"
        repeated = (response.cseq.number, dialog.remote_tag) in self._acks
        if not repeated:
            try:
                dialog.refresh_target(response)
            except Malformed as fault:
                log.warning("sip.contact-ignored", call=self.call_id, why=fault.reason)
        self._send_ack(response.cseq.number, dialog)
        if repeated or self.state is not State.CONFIRMED:
            return
        self._offering = False
        try:
            description = sdp.parse(response.body)
            agreed = sdp.agree(description.media, media, hold, self.agreed, proposed_mux=media.rtcp_mux)
        except NotAcceptable as fault:
            self._end(By.US, f"the answer cannot be used: {fault}", response.status)
            return self._bye()
        self._start_timer(sessiontimer.from_2xx(response))
        self._learn(response)
        changed = agreed != self.agreed
        self.local, self.agreed, self._holding, self._peer_origin = media, agreed, hold, description.origin
        if changed or not refresh:
            self._services.report(Reagreed(self, agreed, response.status))
        self._offer_if_free()
        self._services.watch(self)

    def _glare_wait_s(self) -> float:
        return secrets.randbelow(201) / 100

    def _send_refresh(self) -> None:
        """RFC 4028 7.4: UPDATE without an offer where the peer takes it, else a re-INVITE that changes nothing."""
        busy = self._offering or self._peer_offer is not None or self._unacknowledged is not None
        if self.state is not State.CONFIRMED or self._dialog is None or self.local is None or busy:
            self.timers[Timer.REFRESH] = self._services.now() + T2_S
        elif self._peer_updates:
            contact = ("Contact", self._services.contact(self._dialog.next_hop()))
            self._request("UPDATE", [contact, ("Supported", "timer"), *self._timer_headers()], b"", self._refreshed)
        else:
            self._send_offer(self.local, self._holding, refresh=True)

    def _refreshed(self, outcome: Response | Failure) -> None:
        if self.state is not State.CONFIRMED or outcome.status < 200:
            return
        if isinstance(outcome, Response) and outcome.status < 300:
            self._start_timer(sessiontimer.from_2xx(outcome))
        elif outcome.status in (408, 481):
            self._end(By.TIMEOUT, "the peer no longer answers", outcome.status)
            self._bye()
        elif isinstance(outcome, Response) and outcome.status == 422 and self._refresh is not None:
            minimum = outcome.seconds("Min-SE") or 2 * self._refresh.interval_s
            self._refresh = sessiontimer.Refresh(min(max(minimum, 90), sessiontimer.LONGEST_S), ours=True)
            self.timers[Timer.REFRESH] = self._services.now() + T1_S
        else:
            # 405, 491, 5xx: the peer lives; ask again, as a re-INVITE, before the session expires
            self._peer_updates = False
            self.timers[Timer.REFRESH] = self._services.now() + T2_S
        self._services.watch(self)

    # --- requests of the peer's

    def _on_bye(self, transaction: ServerTransaction, request: Request) -> None:
        self._services.respond(transaction, self._response(request, 200))
        reason = request.headers.get("Reason") or ""
        self._end(By.PEER, reason[:80] or "the peer hung up")

    def _on_info(self, transaction: ServerTransaction, request: Request) -> None:
        digits = read_digits(request.content_type(), request.body)
        if request.body and digits is None:
            headers = [("Accept", "application/dtmf-relay, application/dtmf")]
            return self._services.respond(transaction, self._response(request, 415, headers=headers))
        self._services.respond(transaction, self._response(request, 200))
        if digits is not None and not self._reported_end:
            self._services.report(Digits(self, *digits))

    def _on_offer(self, transaction: ServerTransaction, request: Request) -> None:
        """A re-INVITE (RFC 3261 14.2) or UPDATE (RFC 3311 5.2)."""
        offered = bool(request.body) or request.method == "INVITE"
        if offered and (self._peer_offer is not None or self.state in (State.TRYING, State.EARLY)):
            headers = [("Retry-After", str(1 + secrets.randbelow(9)))]
            return self._services.respond(transaction, self._response(request, 500, headers=headers))
        if offered and (self._offering or self._unacknowledged is not None):
            return self._services.respond(transaction, self._response(request, 491))
        if request.body and request.content_type() != "application/sdp":
            return self._services.respond(
                transaction, self._response(request, 415, headers=[("Accept", "application/sdp")])
            )
        granted = sessiontimer.answer(request, self._interval_s(), self._services.min_se_s)
        if isinstance(granted, sessiontimer.TooSmall):
            headers = [("Min-SE", str(granted.minimum_s))]
            return self._services.respond(transaction, self._response(request, 422, headers=headers))
        try:
            assert self._dialog is not None, "a re-INVITE comes within a dialog"
            self._dialog.refresh_target(request)
            description = sdp.parse(request.body) if request.body else None
        except Malformed as fault:
            return self._services.respond(transaction, self._response(request, 400, fault.reason))
        except NotAcceptable as fault:
            return self._services.respond(transaction, self._response(request, 488, headers=[warning(fault)]))
        self._learn(request)
        if description is not None:
            self._on_description(PendingOffer(transaction, request, description, granted))
        elif isinstance(transaction, InviteServer):
            self._offer_in_200(transaction, request, granted)
        else:
            self._services.respond(transaction, self._success(request, granted, transaction.flow))
            self._start_timer(granted.refresh)

    def _interval_s(self) -> int:
        return self._refresh.interval_s if self._refresh is not None else 0

    def _on_description(self, pending: PendingOffer) -> None:
        ours = self.local
        assert ours is not None, "whoever may be re-offered to has described its media"
        try:
            agreed = sdp.agree(pending.description.media, ours, self._holding, self.agreed)
        except NotAcceptable as fault:
            refusal = self._response(pending.request, 488, headers=[warning(fault)])
            return self._services.respond(pending.transaction, refusal)
        if pending.description.origin == self._peer_origin and agreed == self.agreed:
            return self._answer_offer(pending, ours, agreed)  # a refresh: nothing to ask anyone about
        self._peer_offer = pending
        self.timers[Timer.UNANSWERED] = self._services.now() + REOFFER_WAIT_S
        if isinstance(pending.transaction, InviteServer):
            self._services.respond(pending.transaction, self._response(pending.request, 100))
        self._services.report(Reoffered(self, pending.description.media, agreed, hold=not agreed.send))

    def _answer_offer(self, pending: PendingOffer, ours: LocalMedia, agreed: Agreed) -> None:
        self._take_peer_offer()
        self.local, self.agreed, self._peer_origin = ours, agreed, pending.description.origin
        body = sdp.write_answer(pending.description, ours, agreed, self._origin)
        response = self._success(pending.request, pending.granted, pending.transaction.flow, body)
        self._start_timer(pending.granted.refresh)
        if isinstance(pending.transaction, InviteServer):
            self._accepted(pending.transaction, response, wants_answer=False)
        else:
            self._services.respond(pending.transaction, response)
            self._offer_if_free()

    def _offer_in_200(self, transaction: InviteServer, request: Request, granted: sessiontimer.Granted) -> None:
        """A re-INVITE without an offer: ours goes out in the 200, the answer comes in the ACK."""
        ours = self.local
        assert ours is not None, "whoever may be re-invited has described its media"
        # 14.2: the offer should be as full as a first one, so that the peer can resume with it.
        direction = Direction.SENDONLY if self._holding else Direction.SENDRECV
        body = sdp.write_offer(ours, direction, self._origin, self.agreed)
        self._start_timer(granted.refresh)
        self._accepted(
            transaction, self._success(request, granted, transaction.flow, body), wants_answer=True, hold=self._holding
        )

    def _take_answer_of_ack(self, ack: Request, waiting: Unacknowledged, first: bool) -> None:
        ours = self.local
        assert ours is not None, "the offer of our 200 came from our media"
        try:
            if ack.content_type() != "application/sdp":
                raise NotAcceptable("the ACK brought no description")
            description = sdp.parse(ack.body)
            agreed = sdp.agree(description.media, ours, waiting.hold, self.agreed, proposed_mux=ours.rtcp_mux)
        except NotAcceptable as fault:
            self._end(By.US, f"the answer cannot be used: {fault}", 488)
            return self._bye()
        changed, self.agreed, self._peer_origin = agreed != self.agreed, agreed, description.origin
        if first:
            self._answered_by_ack()
        elif changed:
            self._services.report(Reagreed(self, agreed))

    def _take_peer_offer(self) -> PendingOffer | None:
        pending, self._peer_offer = self._peer_offer, None
        self.timers.pop(Timer.UNANSWERED, None)
        return pending


def warning(fault: Exception) -> tuple[str, str]:
    """What is wrong, for the people at the other end (RFC 3261 20.43)."""
    text = str(fault).replace("\\", "").replace('"', "'")
    return "Warning", f'399 offhook "{text[:120]}"'

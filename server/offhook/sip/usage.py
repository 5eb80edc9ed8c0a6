"""What an INVITE leaves standing between two ends (RFC 3261 12.2, 13.3.1.4): requests within the dialog, with their
challenges answered; a 2xx repeated until its ACK; one end, told once. What the requests mean is its subclasses'.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

import structlog

from offhook.sip import sessiontimer
from offhook.sip.dialog import Dialog, with_via
from offhook.sip.digest import Answerer, Credentials
from offhook.sip.events import By, Ended, SipEvent
from offhook.sip.message import Request, Response
from offhook.sip.offeranswer import Agreed, LocalMedia, Negotiation
from offhook.sip.transaction import T1_S, TIMEOUT_S, Flow, InviteServer, ServerTransaction
from offhook.sip.trunk import Terms

if TYPE_CHECKING:
    from offhook.sip.session import Session

log = structlog.get_logger("offhook.sip")

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK"
SUPPORTED = ("timer", "100rel")
"""What a caller may require. Calling out we offer timers only: nobody need send us reliable provisional responses."""
ACCEPT = "application/sdp, application/dtmf-relay, application/dtmf"
KNOWN_METHODS = frozenset(
    "INVITE ACK CANCEL BYE OPTIONS INFO UPDATE PRACK REGISTER SUBSCRIBE NOTIFY PUBLISH MESSAGE REFER".split()
)


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
    PROVISIONAL_AGAIN = "reliable 1xx again"
    NO_PRACK = "no PRACK"


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


class DialogUsage:
    """The dialog, its requests and its end."""

    def __init__(self, services: Services, call_id: str, peer_uri: str, credentials: Credentials | None) -> None:
        self.call_id = call_id
        self.peer_uri = peer_uri
        self.state = State.TRYING
        self.agreed: Agreed | None = None
        self.terms = Terms()
        """What calls with this peer are made of."""
        self.local: LocalMedia | None = None
        """The media we last described to the peer."""
        self.timers: dict[Timer, float] = {}
        self._services = services
        self._dialog: Dialog | None = None
        self._talks = Negotiation()
        self._answerer = Answerer(credentials) if credentials is not None else None
        self._unacknowledged: Unacknowledged | None = None
        self._proof: tuple[int, tuple[str, str]] | None = None
        """The credentials of our last INVITE, by its CSeq number; its ACK carries them too."""
        self._acks: dict[tuple[int, str], tuple[Flow, bytes]] = {}
        self._refresh: sessiontimer.Refresh | None = None
        self._peer_updates = False
        self._bye_after_ack = False
        self._reported_end = False

    @property
    def _session(self) -> Session:
        """The whole that this is a part of, for events and for the user agent."""
        raise AssertionError("only whole sessions are made")

    @property
    def due(self) -> float | None:
        """When the earliest of our timers is due."""
        return min(self.timers.values(), default=None)

    @property
    def local_tag(self) -> str:
        return self._dialog.local_tag if self._dialog is not None else ""

    def _enter(self, state: State) -> None:
        if state is not self.state:
            log.info("sip.state", call=self.call_id, was=self.state.value, now=state.value)
            self.state = state

    def _fired(self, timer: Timer) -> None:
        """A timer of the subclass."""

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
        headers = [("Contact", self._services.contact(flow)), ("Allow", ALLOW), ("Supported", ", ".join(SUPPORTED))]
        return self._response(request, 200, headers=[*headers, *granted.headers], body=body)

    def _accepted(self, transaction: InviteServer, response: Response, wants_answer: bool, hold: bool = False) -> None:
        """Send a 2xx to an INVITE, and again until its ACK comes (13.3.1.4)."""
        now = self._services.now()
        self._unacknowledged = Unacknowledged(
            transaction.request.cseq.number, transaction, response, T1_S, wants_answer, hold
        )
        self.timers[Timer.RETRANSMIT] = now + T1_S
        self.timers[Timer.NO_ACK] = now + TIMEOUT_S
        self._services.respond(transaction, response)

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
                if method == "INVITE":
                    self._proof = (cseq, proof)

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

    def _send_ack(self, cseq: int, dialog: Dialog) -> None:
        """Acknowledge a 2xx to an INVITE of ours; the same ACK again for the same 2xx again (13.2.2.4)."""
        key = (cseq, dialog.remote_tag)
        if key not in self._acks:
            flow = dialog.next_hop()
            # 22.1: an ACK cannot be challenged, so it shows what its INVITE showed
            proof = [self._proof[1]] if self._proof is not None and self._proof[0] == cseq else []
            ack = with_via(dialog.request("ACK", cseq, proof), flow, self._services.local(flow))
            self._acks = {k: v for k, v in self._acks.items() if k[0] == cseq} | {key: (flow, ack.to_bytes())}
        self._services.transmit(*self._acks[key])

    def _bye(self) -> None:
        if self._dialog is not None:
            self._request("BYE", [], b"", lambda _: None)

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
            self._services.report(Ended(self._session, by, cause, status))

    def _close(self) -> None:
        """Answer nobody any more. Transactions under way end by themselves."""
        self._enter(State.TERMINATED)
        self._unacknowledged = None
        self.timers.clear()
        self._services.forget(self._session)
        self._services.watch(self._session)  # for nothing any more: it must not be kept for a timer that it had


def warning(fault: Exception) -> tuple[str, str]:
    """What is wrong, for the people at the other end (RFC 3261 20.43)."""
    text = str(fault).replace("\\", "").replace('"', "'")
    return "Warning", f'399 offhook "{text[:120]}"'

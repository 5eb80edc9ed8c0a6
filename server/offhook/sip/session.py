"""One call as SIP sees it, whichever way it came to stand: the verbs, and the peer's requests (RFC 3261 12.2.2, 15).

How a call comes to stand is `incoming`'s and `outgoing`'s; how its audio is agreed anew is `reoffer`'s. Knows no
socket: it is told of messages and of its own timers, which are data, and asks its `Services` to send.
"""

from __future__ import annotations

from offhook.sip.dtmf import read_digits, write_digit
from offhook.sip.events import By, Digits
from offhook.sip.grammar import Uri
from offhook.sip.message import Request
from offhook.sip.reoffer import Renegotiation
from offhook.sip.transaction import T2_S, Flow, InviteServer, ServerTransaction
from offhook.sip.usage import ACCEPT, ALLOW, KNOWN_METHODS, SUPPORTED, State, Timer


class Session(Renegotiation):
    """A call's signalling; see the package's page for its verbs. Verbs on a call that is over do nothing."""

    @property
    def _session(self) -> Session:
        return self

    def moved(self, contact: Uri, flow: Flow) -> None:
        """A phone registered `contact` over `flow`: where it is our peer's and came by another WebSocket before, which
        is gone, requests take this one from now on."""
        dialog = self._dialog
        if dialog is not None and dialog.transport == flow.transport and flow.web:
            target = dialog.remote_target
            if (target.user, target.host, target.port) == (contact.user, contact.host, contact.port):
                dialog.connection = flow.connection

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

    def send_info(self, content_type: str, body: bytes) -> None:
        """Send an INFO (RFC 6086's legacy use)."""
        if self.state is State.CONFIRMED:
            self._request("INFO", [("Content-Type", content_type)], body, lambda _: None)

    def send_digit(self, digit: str, duration_ms: int = 160) -> None:
        """Send a key as INFO with application/dtmf-relay. Raises ValueError where `digit` is no key."""
        self.send_info("application/dtmf-relay", write_digit(digit, duration_ms))

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
        elif request.method == "PRACK":
            self._on_prack(transaction, request)
        elif request.method == "OPTIONS":
            headers = [("Allow", ALLOW), ("Accept", ACCEPT), ("Supported", ", ".join(SUPPORTED))]
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

    def _on_prack(self, transaction: ServerTransaction, request: Request) -> None:
        """RFC 3262 3: what acknowledges no provisional response of ours gets 481."""
        self._services.respond(transaction, self._response(request, 481))

    def _confirmed(self) -> None:
        """The call stands, ACK and all."""

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

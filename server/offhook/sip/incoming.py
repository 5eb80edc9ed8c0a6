"""A call that comes in, from INVITE to ACK: ringing, answering, refusing, a caller who gives up (RFC 3261 13.3), and
provisional responses that a caller wants to acknowledge (RFC 3262).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from offhook.sip import sessiontimer
from offhook.sip.dialog import Dialog
from offhook.sip.events import Answered, By, Cancelled, Confirmed
from offhook.sip.message import Request, Response
from offhook.sip.offeranswer import Agreed, LocalMedia
from offhook.sip.sdp import Description, Media, NotAcceptable
from offhook.sip.session import Session
from offhook.sip.transaction import T1_S, TIMEOUT_S, InviteServer, ServerTransaction
from offhook.sip.usage import ALLOW, Services, State, Timer

PROVISIONAL_EVERY_S = 60.0
"""RFC 3261 13.3.1.1: a proxy gives up after three minutes without a provisional response."""


@dataclass(slots=True)
class Unproven:
    """A reliable provisional response whose PRACK has not come."""

    rseq: int
    response: Response
    interval_s: float = T1_S


class IncomingSession(Session):
    """After `IncomingCall`, exactly one of `Cancelled` and `Ended` will be told, whoever ends it."""

    def __init__(
        self,
        services: Services,
        transaction: InviteServer,
        dialog: Dialog,
        description: Description | None,
        granted: sessiontimer.Granted,
    ) -> None:
        request = transaction.request
        super().__init__(services, request.call_id, str(request.sender.uri), None)
        self._dialog = dialog
        self._invite = transaction
        self._description = description
        self._granted = granted
        self._early: LocalMedia | None = None
        self._provisional: tuple[int, bytes] = (100, b"")
        self._reliably = "100rel" in (token.lower() for token in request.headers.tokens("Require"))
        self._rseq = secrets.randbelow(2**30)
        self._unproven: Unproven | None = None
        self._after_prack: Callable[[], object] | None = None
        self._learn(request)
        services.adopt(self, dialog)

    @property
    def offered(self) -> Media | None:
        if self.state in (State.TRYING, State.EARLY):
            return self._description.media if self._description is not None else None
        return super().offered

    # --- verbs

    def ring(self, early: LocalMedia | None = None) -> Agreed | None:
        """Say that it rings: 180, or 183 with early media from `early` where the caller made an offer.

        Returns what early media was agreed. The answer given early is binding: `accept` repeats it."""
        if self.state not in (State.TRYING, State.EARLY):
            return None
        self._enter(State.EARLY)
        body = b""
        if early is not None and self._description is not None and self._early is None:
            try:
                self.agreed = self._talks.agree(self._description, early)
            except NotAcceptable as fault:
                self.reject(488, str(fault))
                return None
            self._early = self.local = early
            body = self._talks.write_answer(self._description, early, self.agreed)
        self._provisional = (183, body) if body else (180, b"")
        self._send_provisional()
        self._services.watch(self)
        return self.agreed

    def accept(self, media: LocalMedia) -> Agreed | None:
        """Answer the call with our audio at `media`.

        Returns what was agreed; None where the offer was left to us (`Answered` tells once the ACK brings the
        answer), where the call was over already, or where no codec is common (then it is refused with 488)."""
        if self.state not in (State.TRYING, State.EARLY):
            return None
        media = self._early or media
        if self._unproven is not None and self._unproven.response.body:
            # RFC 3262 3: no 2xx while a description of ours is unacknowledged
            self._after_prack = lambda: self.accept(media)
            return self.agreed
        self._stop_ringing()
        request, flow = self._invite.request, self._invite.flow
        if self._description is None:
            body = self._talks.write_offer(media, private=flow.private)
        else:
            try:
                self.agreed = self._talks.agree(self._description, media)
            except NotAcceptable as fault:
                self.reject(488, str(fault))
                return None
            self._theirs = self._description
            body = self._talks.write_answer(self._description, media, self.agreed)
        self.local = media
        self._enter(State.ACCEPTED)
        self._start_timer(self._granted.refresh)
        response = self._success(request, self._granted, flow, body)
        self._accepted(self._invite, response, wants_answer=self._description is None)
        self._services.watch(self)
        return self.agreed

    def reject(self, status: int, reason: str = "", headers: Iterable[tuple[str, str]] = ()) -> None:
        """Refuse the call with a final `status` from 300 to 699; `reason` is the phrase beside it.

        Raises ValueError where `status` is not final or is a success."""
        if not 300 <= status <= 699:
            raise ValueError(f"a call cannot be refused with {status}; give a status from 300 to 699")
        if self.state in (State.TRYING, State.EARLY):
            refusal = self._response(self._invite.request, status, reason, headers)
            self._services.respond(self._invite, refusal)
            self._end(By.US, reason or refusal.reason, status)

    def hang_up(self, cause: str = "hung up") -> None:
        """End the call: BYE where it stands, 480 where it was never answered."""
        if self.state in (State.TRYING, State.EARLY):
            self._services.respond(self._invite, self._response(self._invite.request, 480))
            self._end(By.US, cause, 480)
        else:
            super().hang_up(cause)

    # --- what the user agent tells us

    def cancelled(self, transaction: InviteServer) -> None:
        if transaction is not self._invite:
            return super().cancelled(transaction)
        if self.state in (State.TRYING, State.EARLY):  # 9.2: a CANCEL after the final response has no effect
            self._services.respond(transaction, self._response(transaction.request, 487))
            self._reported_end = True
            self._services.report(Cancelled(self))
            self._close()

    def _on_bye(self, transaction: ServerTransaction, request: Request) -> None:
        if self.state in (State.TRYING, State.EARLY):  # 15.1.2: pending requests get 487
            self._services.respond(self._invite, self._response(self._invite.request, 487))
        super()._on_bye(transaction, request)

    def _confirmed(self) -> None:
        if not self._reported_end:
            self._services.report(Confirmed(self))

    def _answered_by_ack(self) -> None:
        if self.agreed is not None and not self._reported_end:
            self._services.report(Answered(self, self.agreed))

    def _on_prack(self, transaction: ServerTransaction, request: Request) -> None:
        waiting = self._unproven
        named = (request.headers.get("RAck") or "").split(" ")
        if waiting is None or named != [str(waiting.rseq), str(self._invite.request.cseq.number), "INVITE"]:
            return super()._on_prack(transaction, request)
        self._services.respond(transaction, self._response(request, 200))
        self._unproven = None
        self.timers.pop(Timer.PROVISIONAL_AGAIN, None)
        self.timers.pop(Timer.NO_PRACK, None)
        wanted, self._after_prack = self._after_prack, None
        if wanted is not None and self.state is State.EARLY:
            wanted()

    def _fired(self, timer: Timer) -> None:
        waiting = self._unproven
        if self.state is not State.EARLY:
            return
        if timer is Timer.PROVISIONAL:
            self._send_provisional()
        elif timer is Timer.PROVISIONAL_AGAIN and waiting is not None:
            # RFC 3262 3: T1, doubling without the bound of T2
            self._services.respond(self._invite, waiting.response)
            waiting.interval_s *= 2
            self.timers[Timer.PROVISIONAL_AGAIN] = self._services.now() + waiting.interval_s
        elif timer is Timer.NO_PRACK:
            self._services.respond(self._invite, self._response(self._invite.request, 504))
            self._end(By.TIMEOUT, "a provisional response was never acknowledged", 504)

    def _stop_ringing(self) -> None:
        self._unproven = None
        for timer in (Timer.PROVISIONAL, Timer.PROVISIONAL_AGAIN, Timer.NO_PRACK):
            self.timers.pop(timer, None)

    def _send_provisional(self) -> None:
        now, (status, body) = self._services.now(), self._provisional
        self.timers[Timer.PROVISIONAL] = now + PROVISIONAL_EVERY_S
        headers = [("Contact", self._services.contact(self._invite.flow)), ("Allow", ALLOW)]
        if self._reliably:
            if self._description is None:
                return  # RFC 3262 5: it would have to carry our offer, for which it is too early
            if self._unproven is not None:  # one at a time
                self._after_prack = self._after_prack or self._send_provisional
                return
            self._rseq += 1
            headers += [("Require", "100rel"), ("RSeq", str(self._rseq))]
        response = self._response(self._invite.request, status, headers=headers, body=body)
        if self._reliably:
            self._unproven = Unproven(self._rseq, response)
            self.timers[Timer.PROVISIONAL_AGAIN] = now + T1_S
            self.timers[Timer.NO_PRACK] = now + TIMEOUT_S
        self._services.respond(self._invite, response)

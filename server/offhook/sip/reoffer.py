"""Changing what was agreed while the call stands: re-INVITE and UPDATE both ways (RFC 3261 14, 3264 8, 3311), glare,
and the refreshes of the session timer (RFC 4028), which are the same requests with nothing changed.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from offhook.sip import sdp, sessiontimer
from offhook.sip.digest import Credentials
from offhook.sip.events import By, Reagreed, Reoffered
from offhook.sip.grammar import Malformed
from offhook.sip.message import Request, Response
from offhook.sip.offeranswer import Agreed, LocalMedia, direction_of
from offhook.sip.sdp import Description, Direction, Media, NotAcceptable
from offhook.sip.transaction import T1_S, T2_S, InviteServer, ServerTransaction
from offhook.sip.usage import ALLOW, DialogUsage, Failure, Services, State, Timer, Unacknowledged, log, warning

REOFFER_WAIT_S = 20.0
"""A re-offer nobody here answers is refused after this long, so that no transaction hangs."""


@dataclass(slots=True)
class PendingOffer:
    """A re-offer of the peer's that is not answered yet."""

    transaction: ServerTransaction
    request: Request
    description: Description
    granted: sessiontimer.Granted


class Renegotiation(DialogUsage):
    """Offers within a call, ours and the peer's, one at a time."""

    def __init__(self, services: Services, call_id: str, peer_uri: str, credentials: Credentials | None) -> None:
        super().__init__(services, call_id, peer_uri, credentials)
        self._holding = False
        """Whether we hold the peer."""
        self._peer_offer: PendingOffer | None = None
        self._theirs: Description | None = None
        """The peer's last description."""
        self._offering = False
        """Whether an offer of ours is out."""
        self._wanted: tuple[LocalMedia, bool] | None = None
        """The offer to make once nothing else is under way."""

    @property
    def offered(self) -> Media | None:
        """What the peer offers and waits to have answered."""
        return self._peer_offer.description.media if self._peer_offer is not None else None

    def reoffer(self, media: LocalMedia | None = None, hold: bool = False) -> None:
        """Offer our audio anew: `hold` asks the peer not to be heard, False resumes; `media` moves it.

        One at a time: a later one waits until the one before is settled. `Reagreed` tells how it went."""
        media = media or self.local
        if self.state in (State.ACCEPTED, State.CONFIRMED) and media is not None and not self._bye_after_ack:
            self._wanted = (media, hold)
            self._offer_if_free()
            self._services.watch(self._session)

    def accept_reoffer(self, media: LocalMedia | None = None) -> Agreed | None:
        """Accept the peer's re-offer with `media`, or with what we had. None where there is none to accept."""
        pending, ours = self._peer_offer, media or self.local
        if pending is None or ours is None:
            return None
        try:
            agreed = self._talks.agree(pending.description, ours, self._holding, self.agreed)
        except NotAcceptable as fault:
            self.reject_reoffer(488, str(fault))
            return None
        self._answer_offer(pending, ours, agreed)
        self._services.watch(self._session)
        return agreed

    def reject_reoffer(self, status: int = 488, reason: str = "") -> None:
        """Refuse the peer's re-offer; what was agreed before goes on (RFC 3261 14.2)."""
        pending = self._take_peer_offer()
        if pending is not None:
            self._services.respond(pending.transaction, self._response(pending.request, status, reason))
            self._services.watch(self._session)

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
        if refresh:
            direction = direction_of(agreed)  # a peer that holds us would take sendrecv for a wish to resume
        body = self._talks.write_offer(media, direction, agreed, self._theirs)
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
            self._services.report(Reagreed(self._session, self.agreed, outcome.status))
        self._offer_if_free()
        self._services.watch(self._session)

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
            agreed = self._talks.take_answer(description, media, hold, self.agreed)
        except NotAcceptable as fault:
            self._end(By.US, f"the answer cannot be used: {fault}", response.status)
            return self._bye()
        self._start_timer(sessiontimer.from_2xx(response))
        self._learn(response)
        changed = agreed != self.agreed
        self.local, self.agreed, self._holding, self._theirs = media, agreed, hold, description
        if changed or not refresh:
            self._services.report(Reagreed(self._session, agreed, response.status))
        self._offer_if_free()
        self._services.watch(self._session)

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
        self._services.watch(self._session)

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
            self._dialog.refresh_target(request, transaction.flow)
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
            agreed = self._talks.agree(pending.description, ours, self._holding, self.agreed)
        except NotAcceptable as fault:
            refusal = self._response(pending.request, 488, headers=[warning(fault)])
            return self._services.respond(pending.transaction, refusal)
        same = self._theirs is not None and pending.description.origin == self._theirs.origin
        if same and agreed == self.agreed:
            return self._answer_offer(pending, ours, agreed)  # a refresh: nothing to ask anyone about
        self._peer_offer = pending
        self.timers[Timer.UNANSWERED] = self._services.now() + REOFFER_WAIT_S
        if isinstance(pending.transaction, InviteServer):
            self._services.respond(pending.transaction, self._response(pending.request, 100))
        self._services.report(Reoffered(self._session, pending.description.media, agreed, hold=not agreed.send))

    def _answer_offer(self, pending: PendingOffer, ours: LocalMedia, agreed: Agreed) -> None:
        self._take_peer_offer()
        self.local, self.agreed, self._theirs = ours, agreed, pending.description
        body = self._talks.write_answer(pending.description, ours, agreed)
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
        body = self._talks.write_offer(ours, direction, self.agreed, self._theirs)
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
            agreed = self._talks.take_answer(description, ours, waiting.hold, self.agreed)
        except NotAcceptable as fault:
            self._end(By.US, f"the answer cannot be used: {fault}", 488)
            return self._bye()
        changed, self.agreed, self._theirs = agreed != self.agreed, agreed, description
        if first:
            self._answered_by_ack()
        elif changed:
            self._services.report(Reagreed(self._session, agreed))

    def _take_peer_offer(self) -> PendingOffer | None:
        pending, self._peer_offer = self._peer_offer, None
        self.timers.pop(Timer.UNANSWERED, None)
        return pending

    def _answered_by_ack(self) -> None:
        """The ACK brought the answer to the offer in our first 2xx."""

    def _close(self) -> None:
        pending = self._take_peer_offer()
        if pending is not None:
            self._services.respond(pending.transaction, self._response(pending.request, 487))
        self._wanted = None
        super()._close()

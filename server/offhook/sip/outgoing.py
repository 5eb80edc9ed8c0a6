"""A call that goes out, from INVITE to ACK: challenges, early media, forks, and giving up (RFC 3261 9, 13.2, 22)."""

from __future__ import annotations

import secrets

from offhook.sip import sdp, sessiontimer
from offhook.sip.dialog import Dialog, flow_to, new_tag, with_via
from offhook.sip.digest import Credentials
from offhook.sip.events import Answered, By, Failed, Progress
from offhook.sip.grammar import Malformed, NameAddr, Uri
from offhook.sip.message import Headers, Request, Response
from offhook.sip.offeranswer import Agreed, LocalMedia
from offhook.sip.sdp import NotAcceptable
from offhook.sip.session import Session
from offhook.sip.transaction import TIMEOUT_S, Flow
from offhook.sip.usage import ALLOW, Failure, Services, State, Timer

MAX_FORKS = 16


class OutgoingSession(Session):
    """After `call`, exactly one of `Failed` and `Answered` will be told, and after `Answered` exactly one `Ended`."""

    def __init__(
        self,
        services: Services,
        uri: str,
        media: LocalMedia,
        caller: str,
        credentials: Credentials | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        place: tuple[Uri, Flow] | None = None,
    ) -> None:
        """`uri` is whom to call, `caller` our From without its tag (a URI, or a name with a URI in angle brackets).
        `place`: where they have registered, and how they are reached.

        Raises Malformed where `uri` is not a sip URI that can be reached over udp, tcp or tls, or `caller` is no
        address."""
        super().__init__(services, f"{secrets.token_hex(12)}@offhook", uri, credentials)
        self._to = Uri.parse(uri)
        self._uri, self._flow = place or (self._to, flow_to(self._to))
        if self._to.scheme != "sip" or (place is None and self._flow.transport not in ("udp", "tcp", "tls")):
            raise Malformed(f"{uri!r} cannot be called; write sip:user@host, with ;transport=tcp or tls for those")
        self.local = media
        self._from = f"{caller if '<' in caller else f'<{caller}>'};tag={new_tag()}"
        NameAddr.parse(self._from)
        self._headers = headers
        self._cseq = secrets.randbelow(10_000)
        self._request_sent: Request | None = None
        self._provisional = False
        self._giving_up = ""
        self._extra: set[str] = set()
        self._interval = services.session_expires_s
        self._minimum = services.min_se_s
        self._early: Agreed | None = None

    @property
    def flow(self) -> Flow:
        """Where the INVITE goes."""
        return self._flow

    def start(self) -> None:
        """Send the INVITE (13.2.1)."""
        media = self.local
        assert media is not None, "an outgoing call has media from the start"
        self._cseq += 1
        body = self._talks.write_offer(media, private=self._flow.private)
        request = Request(Headers([("Max-Forwards", "70")]), body, method="INVITE", uri_text=self._uri.text)
        headers = [
            ("From", self._from),
            ("To", f"<{self._to}>"),
            ("Call-ID", self.call_id),
            ("CSeq", f"{self._cseq} INVITE"),
            ("Contact", self._services.contact(self._flow)),
            ("Allow", ALLOW),
            ("Supported", "timer"),
            *self._services.identity("User-Agent"),
            *sessiontimer.ask(self._interval, self._minimum),
            *self._headers,
            ("Content-Type", "application/sdp"),
        ]
        for name, value in headers:
            request.headers.add(name, value)
        proof = self._answerer.header("INVITE", self._uri.text) if self._answerer is not None else None
        if proof is not None:
            request.headers.add(*proof)
            self._proof = (self._cseq, proof)
        self._provisional = False
        self._request_sent = with_via(request, self._flow, self._services.local(self._flow))
        self._services.request(self._request_sent, self._flow, self._on_outcome)
        self._services.watch(self)

    def refuse(self, status: int, reason: str) -> None:
        """Fail without calling anybody."""
        self._fail(status, reason)

    # --- verbs

    def hang_up(self, cause: str = "hung up") -> None:
        """End the call: CANCEL while it is not answered (`Failed` with 487 follows), BYE after."""
        if self.state not in (State.TRYING, State.EARLY):
            return super().hang_up(cause)
        if not self._giving_up:
            self._giving_up = cause or "given up"
            self.timers[Timer.CANCELLED] = self._services.now() + TIMEOUT_S
            if self._provisional:  # 9.1: no CANCEL before a provisional response
                self._cancel()
        self._services.watch(self)

    # --- what the user agent tells us

    def _on_outcome(self, outcome: Response | Failure) -> None:
        if isinstance(outcome, Failure):
            self._fail(outcome.status, outcome.reason)
        elif outcome.status < 200:
            self._on_provisional(outcome)
        elif outcome.status < 300:
            self._on_success(outcome)
        else:
            self._on_refusal(outcome)
        self._services.watch(self)

    def _on_provisional(self, response: Response) -> None:
        if self.state not in (State.TRYING, State.EARLY):
            return
        first, self._provisional = not self._provisional, True
        if self._giving_up:
            if first:
                self._cancel()
            return
        if response.status == 100:
            return
        self._take_early_dialog(response)
        early = self._early_media(response)
        self._enter(State.EARLY)
        self._services.report(Progress(self, response.status, early))

    def _take_early_dialog(self, response: Response) -> None:
        """12.1.2, so that the peer's requests before its answer find us. The newest branch of a fork counts."""
        if self._request_sent is None or response.target.tag is None or not response.headers.all("Contact"):
            return
        if self._dialog is not None and self._dialog.remote_tag == response.target.tag:
            return
        try:
            self._dialog = Dialog.from_response(self._request_sent, response, self._flow)
            self._services.adopt(self, self._dialog)
        except Malformed:
            return

    def _early_media(self, response: Response) -> Agreed | None:
        if response.content_type() != "application/sdp" or self.local is None:
            return None
        try:
            self._early = self._talks.take_answer(sdp.parse(response.body), self.local)
        except NotAcceptable:
            return None
        return self._early

    def _on_success(self, response: Response) -> None:
        invite = self._request_sent
        assert invite is not None, "a response answers a request"
        if self.state in (State.TRYING, State.EARLY):
            return self._on_answer(invite, response)
        dialog = self._dialog
        if dialog is not None and response.target.tag == dialog.remote_tag:
            if (invite.cseq.number, dialog.remote_tag) in self._acks:
                self._send_ack(invite.cseq.number, dialog)  # the peer did not get the first one
            return
        self._drop_branch(invite, response)

    def _on_answer(self, invite: Request, response: Response) -> None:
        media = self.local
        assert media is not None, "an outgoing call has media from the start"
        try:
            dialog = Dialog.from_response(invite, response, self._flow)
        except Malformed as fault:
            return self._fail(500, f"the answer cannot be used: {fault.reason}")
        if self._dialog is not None and self._dialog.remote_tag == dialog.remote_tag:
            dialog.remote_cseq = self._dialog.remote_cseq
        self._dialog = dialog
        self._services.adopt(self, dialog)
        self.timers.pop(Timer.CANCELLED, None)
        self._enter(State.CONFIRMED)
        self._send_ack(invite.cseq.number, dialog)
        if self._answerer is not None:
            self._answerer.settled()
        if self._giving_up:  # our CANCEL came too late: 15, the caller says BYE
            self._bye()
            return self._fail(487, self._giving_up)
        try:
            description = sdp.parse(response.body)
            agreed = self._talks.take_answer(description, media)
        except NotAcceptable as fault:
            self._bye()
            return self._fail(488, f"the answer cannot be used: {fault}")
        self.agreed, self._theirs = agreed, description
        self._learn(response)
        self._start_timer(sessiontimer.from_2xx(response))
        self._services.report(Answered(self, agreed))

    def _drop_branch(self, invite: Request, response: Response) -> None:
        """13.2.2.4: each further branch that answers is acknowledged and, as nobody talks to it, told goodbye."""
        try:
            dialog = Dialog.from_response(invite, response, self._flow)
        except Malformed:
            return
        known = dialog.remote_tag in self._extra
        if not known and len(self._extra) >= MAX_FORKS:
            return
        self._send_ack(invite.cseq.number, dialog)
        if not known:
            self._extra.add(dialog.remote_tag)
            flow = dialog.next_hop()
            bye = dialog.request("BYE", dialog.next_cseq(), self._services.identity("User-Agent"))
            self._services.request(with_via(bye, flow, self._services.local(flow)), flow, lambda _: None)

    def _on_refusal(self, response: Response) -> None:
        if self.state not in (State.TRYING, State.EARLY):
            return
        if not self._giving_up:
            if response.status in (401, 407) and self._can_prove(response):
                return self.start()
            minimum = response.seconds("Min-SE")
            if response.status == 422 and minimum is not None and self._minimum < minimum <= sessiontimer.LONGEST_S:
                self._minimum = minimum  # RFC 4028 7.3
                self._interval = max(self._interval, minimum)
                return self.start()
            if response.status == 488 and self._talks.insist():
                return self.start()
        try:
            contacts = tuple(str(c.uri) for c in response.contacts()) if response.status < 400 else ()
        except Malformed:
            contacts = ()
        self._fail(response.status, response.reason, contacts)

    def _fired(self, timer: Timer) -> None:
        if timer is Timer.CANCELLED and self.state in (State.TRYING, State.EARLY):
            self._fail(487, self._giving_up)  # 9.1: 64*T1 after the CANCEL, consider it done

    # --- what we do

    def _cancel(self) -> None:
        """9.1: the INVITE's own Request-URI, Via, From, To, Call-ID, Route and CSeq number."""
        invite = self._request_sent
        assert invite is not None, "only what was sent can be cancelled"
        request = Request(Headers([("Via", str(invite.via))]), method="CANCEL", uri_text=invite.uri_text)
        for name in ("From", "To", "Call-ID", "Route"):
            for value in invite.headers.all(name):
                request.headers.add(name, value)
        request.headers.add("CSeq", f"{invite.cseq.number} CANCEL")
        request.headers.add("Max-Forwards", "70")
        request.check()
        self._services.request(request, self._flow, lambda _: None)

    def _fail(self, status: int, reason: str, contacts: tuple[str, ...] = ()) -> None:
        if self._reported_end:
            return
        if self.agreed is not None:  # answered before: the INVITE's late troubles are not the call's
            return
        self._reported_end = True
        self._services.report(Failed(self, status, reason, contacts))
        self._close()

    def _glare_wait_s(self) -> float:
        return 2.1 + secrets.randbelow(191) / 100

    def _report_end(self, by: By, cause: str, status: int | None) -> None:
        if self.agreed is None and not self._reported_end:
            self._reported_end = True
            self._services.report(Failed(self, status or 487, cause))
        else:
            super()._report_end(by, cause, status)

"""The user agent: which message belongs to which transaction, dialog and call, and who is turned away (RFC 3261 8, 9,
12, 17). It knows no socket and no clock: bytes and the time come in, `take_sends` and `take_events` hand out what
follows, `next_due` says when to call `advance`.

Whoever it does not know it does not answer. What it refuses before there is a call it refuses without state (8.2.7),
so that a flood leaves nothing behind.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import Counter
from collections.abc import Callable, Sequence

import structlog

from offhook.sip import sdp, sessiontimer
from offhook.sip.caller import caller_of, user_of
from offhook.sip.dialog import Dialog, DialogId, default_port, flow_to, new_tag
from offhook.sip.digest import Challenger, Credentials, Verdict
from offhook.sip.digest import user_of as user_of_digest
from offhook.sip.events import Cause, IncomingCall, Refused, SipEvent
from offhook.sip.grammar import Malformed, Uri
from offhook.sip.incoming import IncomingSession
from offhook.sip.message import Request, Response, Unusable, parse
from offhook.sip.multipart import UnsupportedBody, description_of
from offhook.sip.offeranswer import LocalMedia
from offhook.sip.outgoing import OutgoingSession
from offhook.sip.registrar import Registrar
from offhook.sip.schedule import Schedule
from offhook.sip.sdp import NotAcceptable
from offhook.sip.session import Session
from offhook.sip.settings import Refusal, SipSettings
from offhook.sip.transaction import Flow, InviteServer, ServerTransaction, Source, Transaction
from offhook.sip.transactions import Transactions
from offhook.sip.trunk import Terms, TokenBuckets, Trunk, Trunks
from offhook.sip.usage import ACCEPT, ALLOW, KNOWN_METHODS, SUPPORTED, Failure, warning

log = structlog.get_logger("offhook.sip")

_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization"})
FLOOD_WAIT_S = 30
"""What those are told who come while a flood fills the table of transactions."""
_NEEDS_DIALOG = frozenset({"BYE", "INFO", "UPDATE", "PRACK", "NOTIFY"})


class UserAgent:
    """Server and client, over every transport at once."""

    def __init__(
        self, settings: SipSettings, clock: Callable[[], float], local: Callable[[Flow], tuple[str, int]]
    ) -> None:
        """`clock` gives monotonic seconds; `local` the address and port a peer at that flow can reach us at.

        Raises ValueError where a trunk's source is no address."""
        self.refuse: Refusal | None = None
        self.session_expires_s = settings.session_expires_s
        self.min_se_s = settings.min_se_s
        self.sessions: set[Session] = set()
        self._settings = settings
        self._clock = clock
        self._local = local
        self._trunks = Trunks(settings.trunks)
        self._buckets = TokenBuckets(settings.rate_hz, settings.burst)
        self._challenger = Challenger()
        self._tag_key = secrets.token_bytes(16)
        self._registrar = Registrar(settings.trunks)
        self._transactions = Transactions(self, clock)
        self._dialogs: dict[DialogId, Session] = {}
        self._ids: dict[Session, set[DialogId]] = {}
        self._invites: dict[InviteServer, Session] = {}
        self._merge: dict[tuple[str, str, int], InviteServer] = {}
        self._trunk_of: dict[Session, str] = {}
        self._calls_on: Counter[str] = Counter()
        self._schedule: Schedule[Transaction | Session] = Schedule()
        self._outgoing = 0
        self._sends: list[tuple[Flow, bytes]] = []
        self._events: list[SipEvent] = []
        self.wake: Callable[[], None] = lambda: None
        """Called when a verb left something to send, to tell, or to wait for."""

    # --- for the transport

    def receive(self, data: bytes, source: Source) -> None:
        """One datagram, or one framed message of a stream. Whatever it holds, this returns."""
        if not self._buckets.take(source.address, self._clock()):
            return self._refused(Cause.RATE, source, None)
        trunk = self._trunks.of(source.address)
        response = data[:8].upper() == b"SIP/2.0 "
        if trunk is None and not response and not self._outgoing:
            return self._refused(Cause.UNKNOWN_SOURCE, source, None)
        try:
            message = parse(data)
        except Unusable as fault:
            return self._on_unusable(fault, source, trunk)
        except Malformed as fault:
            return self._refused(Cause.MALFORMED, source, None, fault.reason)
        if isinstance(message, Response):
            self._transactions.receive_response(message)
        else:
            self._on_request(message, source, trunk)

    def welcome(self, address: str) -> bool:
        """Whether a connection from `address` may bring messages at all."""
        return self._outgoing > 0 or self._trunks.of(address) is not None

    def advance(self) -> None:
        """Fire every timer that is due."""
        now = self._clock()
        for owner in self._schedule.take_due(now):
            for timer in [timer for timer, due in owner.timers.items() if due <= now]:
                if isinstance(owner, Session):
                    owner.fire(timer)  # type: ignore[arg-type]  # each owner has its own enum of timers
                else:
                    self._transactions.carry_out(owner, owner.fire(now, timer))  # type: ignore[arg-type]
            self._watch(owner)

    def next_due(self) -> float | None:
        return self._schedule.next_due()

    def take_sends(self) -> list[tuple[Flow, bytes]]:
        sends, self._sends = self._sends, []
        return sends

    def take_events(self) -> list[SipEvent]:
        events, self._events = self._events, []
        return events

    def unreachable(self, flow: Flow, why: str) -> None:
        """Nothing can be sent to `flow`: whoever waits for an answer from there gets 503."""
        place = (flow.transport, flow.host, flow.port)

        def is_there(other: Flow) -> bool:
            if flow.web:
                return other.web and other.connection == flow.connection
            return (other.transport, other.host, other.port) == place

        self._transactions.fail(is_there, why)

    def lost(self, connection: int) -> None:
        """The connection of this number is gone."""
        self._registrar.lost(connection)
        self._transactions.fail(lambda flow: flow.web and flow.connection == connection, "its WebSocket was closed")

    @property
    def busy(self) -> bool:
        """Whether requests of ours are still unanswered."""
        return self._transactions.busy

    # --- for whoever calls out

    def call(
        self,
        uri: str,
        media: LocalMedia,
        caller: str,
        credentials: Credentials | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> OutgoingSession:
        """Make a call; see `SipEndpoint.call`. Raises Malformed."""
        user = self._own_user(Uri.parse(uri))
        binding = self._registrar.find(user, self._clock()) if user is not None else None
        place = (binding.contact, binding.flow) if binding is not None else None
        session = OutgoingSession(self, uri, media, caller, credentials, headers, place)
        session.terms = self.terms(uri)
        self.sessions.add(session)
        self._outgoing += 1
        log.info("sip.calling", call=session.call_id, peer=uri)
        try:
            if user is None or binding is not None:
                session.start()
            elif self._registrar.knows(user):
                session.refuse(480, f"{user} is not registered")
            else:
                session.refuse(404, f"there is no user {user[:40]}")
        except Malformed:
            self.forget(session)
            raise
        return session

    def terms(self, uri: str) -> Terms:
        """What a call to `uri` is made of: as the trunk says whose user or address it is. Raises Malformed."""
        to = Uri.parse(uri)
        user = self._own_user(to)
        binding = self._registrar.find(user, self._clock()) if user is not None else None
        if binding is not None:
            return binding.trunk.terms(binding.flow)
        trunk = self._trunks.of(to.address)
        return trunk.terms(flow_to(to)) if trunk is not None else Terms()

    def registered(self, user: str) -> bool:
        """Whether `user` of one of the trunks can be reached."""
        return self._registrar.find(user, self._clock()) is not None

    def _own_user(self, uri: Uri) -> str | None:
        """Whom a URI means of those who register here; None where it means somebody elsewhere. Behind our own
        addresses, which others may share with us, only those we know are ours."""
        if uri.scheme != "sip" or not uri.user:
            return None
        domain = self._settings.domain
        if domain is not None and uri.host == domain.lower():
            return uri.user
        return uri.user if self._registrar.knows(uri.user) and self._is_us(uri) else None

    def _is_us(self, uri: Uri) -> bool:
        if uri.address not in (self._settings.bind[0], self._settings.advertise):
            return False
        ports = {self._local(Flow(transport, uri.address, 5060))[1] for transport in self._settings.transports}
        return uri.port is None or uri.port in ports

    # --- Services for sessions

    def now(self) -> float:
        return self._clock()

    def report(self, event: SipEvent) -> None:
        self._events.append(event)
        self.wake()

    def transmit(self, flow: Flow, data: bytes) -> None:
        self._sends.append((flow, data))
        self.wake()

    def request(self, request: Request, flow: Flow, done: Callable[[Response | Failure], None]) -> None:
        self._transactions.request(request, flow, done)

    def respond(self, transaction: ServerTransaction, response: Response) -> None:
        self._transactions.respond(transaction, response)

    def contact(self, flow: Flow) -> str:
        host, port = self._local(flow)
        name = "ws" if flow.web else flow.transport  # RFC 7118 5.1: a URI says ws for both
        transport = "" if name == "udp" else f";transport={name}"
        return f"<sip:{f'[{host}]' if ':' in host else host}:{port}{transport}>"

    def local(self, flow: Flow) -> tuple[str, int]:
        return self._local(flow)

    def identity(self, header: str) -> Sequence[tuple[str, str]]:
        return ((header, self._settings.user_agent),) if self._settings.user_agent else ()

    def watch(self, session: Session) -> None:
        self._watch(session)

    def watch_transaction(self, transaction: Transaction) -> None:
        self._watch(transaction)

    def ended(self, invite: InviteServer) -> None:
        """Services for `Transactions`: nothing more will come of an INVITE."""
        request = invite.request
        self._invites.pop(invite, None)
        merge = (request.call_id, request.sender.tag or "", request.cseq.number)
        if self._merge.get(merge) is invite:
            del self._merge[merge]

    def adopt(self, session: Session, dialog: Dialog) -> None:
        self._dialogs[dialog.id] = session
        self._ids.setdefault(session, set()).add(dialog.id)

    def forget(self, session: Session) -> None:
        for dialog_id in self._ids.pop(session, ()):
            self._dialogs.pop(dialog_id, None)
        if session in self.sessions:
            self.sessions.remove(session)
            self._outgoing -= isinstance(session, OutgoingSession)
        trunk = self._trunk_of.pop(session, None)
        if trunk is not None:
            self._calls_on[trunk] -= 1

    # --- messages

    def _on_unusable(self, fault: Unusable, source: Source, trunk: Trunk | None) -> None:
        request = fault.request
        if trunk is None or not request.answerable():
            return self._refused(Cause.MALFORMED, source, None, fault.reason)
        request.vias[0] = request.vias[0].received_from(source.address, source.port)
        phrase = fault.reason if fault.status == 400 else ""
        self._turn_away(request, source, fault.status, Cause.MALFORMED, reason=phrase, detail=fault.reason)

    def _on_request(self, request: Request, source: Source, trunk: Trunk | None) -> None:
        request.vias[0] = request.via.received_from(source.address, source.port)
        session = self._dialogs.get((request.call_id, request.target.tag or "", request.sender.tag or ""))
        if trunk is None and session is None:
            return self._refused(Cause.UNKNOWN_SOURCE, source, None)
        transaction = self._transactions.find(request)
        if request.method == "ACK" and isinstance(transaction, InviteServer) and transaction.accepted:
            # Some callers acknowledge a 2xx with the INVITE's own branch, pyVoIP with a To tag of its own invention
            # as well: the branch tells which call is meant.
            session = session or self._invites.get(transaction)
        if request.method == "ACK" and session is not None and (transaction is None or transaction.accepted):
            session.acknowledge(request)
        elif transaction is not None:
            self._transactions.receive(transaction, request)
        elif request.method == "ACK":
            return
        elif request.method == "CANCEL":
            self._on_cancel(request, source)
        elif self._transactions.full and (session is None or request.method != "BYE"):
            self._turn_away(request, source, 503, Cause.FLOOD, [("Retry-After", str(FLOOD_WAIT_S))])
        elif session is not None:
            session.receive(self._open(request, source), request)
        elif request.target.tag is not None:
            self._turn_away(request, source, 481, Cause.NO_DIALOG)  # 12.2.2
        elif trunk is not None:
            self._on_new(request, source, trunk)

    def _on_cancel(self, request: Request, source: Source) -> None:
        invite = self._transactions.find(request, "INVITE")
        session = self._invites.get(invite) if isinstance(invite, InviteServer) else None
        if not isinstance(invite, InviteServer) or session is None:
            return self._turn_away(request, source, 481, Cause.NO_DIALOG)
        # 9.2: 200 to the CANCEL whatever becomes of the INVITE; its To tag is the INVITE's
        self._answer(request, source, 200, tag=session.local_tag)
        session.cancelled(invite)

    def _on_new(self, request: Request, source: Source, trunk: Trunk) -> None:
        """A request outside any dialog, in the order of 8.2."""
        method, uri = request.method, request.uri
        if method not in KNOWN_METHODS:
            return self._turn_away(request, source, 501, Cause.UNSUPPORTED, [("Allow", ALLOW)])
        if method in _NEEDS_DIALOG:
            return self._turn_away(request, source, 481, Cause.NO_DIALOG)
        registering = method == "REGISTER" and trunk.realm is not None
        if method not in ("INVITE", "OPTIONS") and not registering:
            return self._turn_away(request, source, 405, Cause.UNSUPPORTED, [("Allow", ALLOW)])
        if uri is None or uri.scheme not in ("sip", "tel"):
            return self._turn_away(request, source, 416, Cause.UNSUPPORTED)
        if method == "INVITE" and (request.call_id, request.sender.tag or "", request.cseq.number) in self._merge:
            return self._turn_away(request, source, 482, Cause.MERGED)  # 8.2.2.2
        if method != "OPTIONS" and not self._proven(request, source, trunk):
            return None
        unknown = [token for token in request.headers.tokens("Require") if token.lower() not in SUPPORTED]
        if unknown:
            headers = [("Unsupported", ", ".join(unknown))]
            return self._turn_away(request, source, 420, Cause.UNSUPPORTED, headers)
        if registering:
            return self._on_register(request, source, trunk)
        refusal = self.refuse
        if refusal is None and trunk.max_calls is not None and self._calls_on[trunk.name] >= trunk.max_calls:
            refusal, cause = Refusal(), Cause.TRUNK_FULL
        else:
            cause = Cause.FULL
        if refusal is not None:
            wait = refusal.retry_after_s
            return self._turn_away(
                request, source, refusal.status, cause, [("Retry-After", str(wait))] if wait is not None else []
            )
        if method == "OPTIONS":  # 11.2: as an INVITE would have been answered
            headers = [("Allow", ALLOW), ("Accept", ACCEPT), ("Supported", ", ".join(SUPPORTED))]
            return self._answer(request, source, 200, headers=headers)
        self._on_invite(request, source, trunk)

    def _proven(self, request: Request, source: Source, trunk: Trunk) -> bool:
        """Whether the caller has shown to be one of the trunk's users; a challenge is sent where not (22.2)."""
        if trunk.realm is None:
            return True
        given, now = request.headers.all("Authorization"), self._clock()
        verdict = self._challenger.verify(
            given, trunk.realm, trunk.users, request.method, request.uri_text, now, trunk.digest
        )
        if verdict is Verdict.GOOD:
            return True
        headers = [
            ("WWW-Authenticate", value)
            for value in self._challenger.challenge(trunk.realm, now, verdict is Verdict.STALE, trunk.digest)
        ]
        if given and verdict is Verdict.BAD:
            self._turn_away(request, source, 401, Cause.AUTH, headers)
        else:
            self._answer(request, source, 401, headers=headers)
        return False

    def _on_register(self, request: Request, source: Source, trunk: Trunk) -> None:
        """Of a user who has shown to be one (10.3)."""
        user = user_of_digest(request.headers.all("Authorization"), trunk.realm or "")
        flow = self._flow_back(request, source)
        outcome = self._registrar.register(request, user, trunk, flow, self._clock())
        headers = [*self.identity("Server"), *outcome.headers]
        # With a transaction: the same REGISTER again, credentials and all, would be taken for a replay.
        transaction = self._transactions.open(request, flow)
        tag = self._stateless_tag(request)
        self.respond(transaction, request.response(outcome.status, outcome.reason[:80], tag, headers))
        log.info("sip.register", user=user, trunk=trunk.name, transport=flow.transport, status=outcome.status)
        if outcome.status == 200 and flow.web:
            for contact in request.contacts():
                for session in self.sessions:
                    session.moved(contact.uri, flow)

    def _on_invite(self, request: Request, source: Source, trunk: Trunk) -> None:
        accepted = [token.partition(";")[0].strip().lower() for token in request.headers.tokens("Accept")]
        if accepted and not {"application/sdp", "application/*", "*/*"} & set(accepted):
            return self._turn_away(request, source, 406, Cause.UNSUPPORTED)
        try:
            body = description_of(request)
        except UnsupportedBody as fault:
            headers = [("Accept", "application/sdp")]
            return self._turn_away(request, source, 415, Cause.UNSUPPORTED, headers, detail=str(fault))
        granted = sessiontimer.answer(request, self.session_expires_s, self.min_se_s)
        if isinstance(granted, sessiontimer.TooSmall):
            return self._turn_away(request, source, 422, Cause.UNSUPPORTED, [("Min-SE", str(granted.minimum_s))])
        flow = self._flow_back(request, source)
        try:
            dialog = Dialog.from_invite(request, new_tag(), flow)
            description = sdp.parse(body) if body else None
        except Malformed as fault:
            return self._turn_away(request, source, 400, Cause.MALFORMED, reason=fault.reason, detail=fault.reason)
        except NotAcceptable as fault:
            return self._turn_away(request, source, 488, Cause.NO_CODEC, [warning(fault)], detail=str(fault))
        transaction = self._open(request, source)
        assert isinstance(transaction, InviteServer), "an INVITE opens an INVITE transaction"
        self.respond(transaction, request.response(100))
        session = IncomingSession(self, transaction, dialog, description, granted)
        session.terms = trunk.terms(flow)
        self.sessions.add(session)
        self._invites[transaction] = session
        self._merge[(request.call_id, request.sender.tag or "", request.cseq.number)] = transaction
        self._trunk_of[session] = trunk.name
        self._calls_on[trunk.name] += 1
        caller, caller_uri = caller_of(request, trusted=trunk.realm is None)
        dialled = user_of(request.uri) if request.uri is not None else ""
        log.info("sip.incoming", call=request.call_id, trunk=trunk.name, caller=caller, dialled=dialled)
        self.report(
            IncomingCall(
                session=session,
                call_id=request.call_id,
                caller=caller,
                caller_uri=caller_uri,
                dialled=dialled,
                to_uri=str(request.target.uri),
                trunk=trunk.name,
                source=(source.address, source.port),
                offer=description.media if description is not None else None,
                headers=_visible(request),
            )
        )

    # --- transactions

    def _open(self, request: Request, source: Source) -> ServerTransaction:
        transaction = self._transactions.open(request, self._flow_back(request, source))
        if isinstance(transaction, InviteServer):
            session = self._dialogs.get((request.call_id, request.target.tag or "", request.sender.tag or ""))
            if session is not None:
                self._invites[transaction] = session
        return transaction

    def _watch(self, owner: Transaction | Session) -> None:
        if isinstance(owner, Transaction) and owner.over:
            self._transactions.drop(owner)
        if self._schedule.watch(owner):
            self.wake()

    # --- answers without state

    def _turn_away(
        self,
        request: Request,
        source: Source,
        status: int,
        cause: Cause,
        headers: Sequence[tuple[str, str]] = (),
        reason: str = "",
        detail: str = "",
    ) -> None:
        if request.method == "ACK":  # 17: an ACK is never answered
            return
        self._answer(request, source, status, reason, headers)
        self._refused(cause, source, status, detail or request.method)

    def _answer(
        self,
        request: Request,
        source: Source,
        status: int,
        reason: str = "",
        headers: Sequence[tuple[str, str]] = (),
        tag: str = "",
    ) -> None:
        """8.2.7: every repetition of the request gets the same answer, with the same tag."""
        tag = tag or self._stateless_tag(request)
        response = request.response(status, reason[:80], tag, [*self.identity("Server"), *headers])
        self.transmit(self._flow_back(request, source), response.to_bytes())

    def _stateless_tag(self, request: Request) -> str:
        """The same for every repetition of a request, even of one that could not be read to its end."""
        what = [str(request.via), request.method, *(request.headers.get(n) or "" for n in ("Call-ID", "From", "CSeq"))]
        return hmac.new(self._tag_key, repr(what).encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:12]

    def _flow_back(self, request: Request, source: Source) -> Flow:
        """Where responses go (18.2.2, RFC 3581 4): never to an address that the message merely names."""
        via = request.via
        if source.transport == "udp" and via.has("rport"):
            return Flow("udp", source.address, source.port)
        return Flow(source.transport, source.address, via.port or default_port(source.transport), source.connection)

    def _refused(self, cause: Cause, source: Source, status: int | None, detail: str = "") -> None:
        self.report(Refused(cause, (source.address, source.port), status, detail))


def _visible(request: Request) -> dict[str, tuple[str, ...]]:
    names = dict.fromkeys(name.lower() for name, _ in request.headers)
    return {name: tuple(request.headers.all(name)) for name in names if name not in _SECRET_HEADERS}

"""Dialogs (RFC 3261 12): who is at the other end, how requests reach them, and in what order they come.

Facts and counters only: a dialog makes requests and judges CSeq numbers, it sends nothing and has no timers.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from offhook.sip.grammar import Malformed, NameAddr, Uri, parse_addresses
from offhook.sip.message import Headers, Request, Response
from offhook.sip.transaction import Flow

MAX_ROUTES = 20

DialogId = tuple[str, str, str]
"""Call-ID, our tag, the peer's tag."""


def new_tag() -> str:
    return secrets.token_hex(6)


def new_branch() -> str:
    return "z9hG4bK" + secrets.token_hex(10)


@dataclass(slots=True)
class Dialog:
    call_id: str
    local: str
    """Our From or To value, tag and all."""
    remote: str
    local_tag: str
    remote_tag: str
    remote_target: Uri
    routes: tuple[NameAddr, ...]
    transport: str
    """What the dialog was made over, for targets that do not say."""
    connection: int
    local_cseq: int
    remote_cseq: int | None

    @classmethod
    def from_invite(cls, request: Request, local_tag: str, flow: Flow) -> Dialog:
        """The callee's side (12.1.1). Raises Malformed where Contact or Record-Route cannot be used."""
        local = str(request.headers.get("To"))
        return cls(
            call_id=request.call_id,
            local=f"{local};tag={local_tag}",
            remote=str(request.headers.get("From")),
            local_tag=local_tag,
            remote_tag=request.sender.tag or "",
            remote_target=_target(request),
            routes=_routes(request),
            transport=flow.transport,
            connection=flow.connection,
            local_cseq=secrets.randbelow(10_000) + 1,
            remote_cseq=request.cseq.number,
        )

    @classmethod
    def from_response(cls, invite: Request, response: Response, flow: Flow) -> Dialog:
        """The caller's side (12.1.2). Raises Malformed where there is no tag or no usable Contact."""
        tag = response.target.tag
        if not tag:
            raise Malformed("the response makes a dialog but its To has no tag")
        return cls(
            call_id=invite.call_id,
            local=str(invite.headers.get("From")),
            remote=str(response.headers.get("To")),
            local_tag=invite.sender.tag or "",
            remote_tag=tag,
            remote_target=_target(response),
            routes=tuple(reversed(_routes(response))),
            transport=flow.transport,
            connection=flow.connection,
            local_cseq=invite.cseq.number,
            remote_cseq=None,
        )

    @property
    def id(self) -> DialogId:
        return (self.call_id, self.local_tag, self.remote_tag)

    def refresh_target(self, message: Request | Response, flow: Flow | None = None) -> None:
        """INVITE and UPDATE and their 2xx may move the peer (12.2.1.2, 12.2.2). `flow` is where such a request came
        from: a phone that lost its connection goes on over another. Raises Malformed."""
        if message.headers.all("Contact"):
            self.remote_target = _target(message)
        if flow is not None and flow.connection:
            self.transport, self.connection = flow.transport, flow.connection

    def next_cseq(self) -> int:
        self.local_cseq += 1
        return self.local_cseq

    def in_order(self, request: Request) -> bool:
        """Whether the request is newer than all before it (12.2.2), which it then is."""
        if self.remote_cseq is not None and request.cseq.number <= self.remote_cseq:
            return False
        self.remote_cseq = request.cseq.number
        return True

    def next_hop(self) -> Flow:
        """Where the dialog's requests go first: the first route, else the peer itself (8.1.2, 12.2.1.1)."""
        uri = self.routes[0].uri if self.routes else self.remote_target
        return flow_to(uri, self.transport, self.connection)

    def request(self, method: str, cseq: int, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> Request:
        """A request within the dialog (12.2.1.1), without its Via."""
        uri, routes = self.remote_target.text, [f"<{route.uri}>" for route in self.routes]
        if self.routes and "lr" not in self.routes[0].uri.params:
            # A strict router takes its own address from the Request-URI; the peer's stands last in the routes.
            uri, routes = self.routes[0].uri.text, [*routes[1:], f"<{uri}>"]
        fields = Headers([("Max-Forwards", "70")])
        for route in routes:
            fields.add("Route", route)
        fields.add("From", self.local)
        fields.add("To", self.remote)
        fields.add("Call-ID", self.call_id)
        fields.add("CSeq", f"{cseq} {method}")
        for name, value in headers:
            fields.add(name, value)
        return Request(fields, body, method=method, uri_text=uri)


def flow_to(uri: Uri, transport: str = "udp", connection: int = 0) -> Flow:
    """Where a sip URI leads, before any look at DNS (RFC 3263 4.1, without NAPTR and SRV)."""
    chosen = uri.transport or transport
    if (chosen, transport) == ("ws", "wss"):
        chosen = "wss"  # RFC 7118 5.1: a URI says ws for both
    return Flow(chosen, uri.address, uri.port or default_port(chosen), connection if chosen == transport else 0)


def default_port(transport: str) -> int:
    """RFC 3261 19.1.2."""
    return 5061 if transport == "tls" else 5060


def with_via(request: Request, flow: Flow, sent_by: tuple[str, int]) -> Request:
    """The request with a fresh top Via for one transaction, checked as if it had come in."""
    host = f"[{sent_by[0]}]" if ":" in sent_by[0] else sent_by[0]
    request.headers.put_first(
        "Via", f"SIP/2.0/{flow.transport.upper()} {host}:{sent_by[1]};branch={new_branch()};rport"
    )
    request.check()
    return request


def _target(message: Request | Response) -> Uri:
    contacts = message.contacts()
    if not contacts and isinstance(message, Request) and not (message.via.branch or "").startswith("z9hG4bK"):
        contacts = [message.sender]  # RFC 2543 let a caller leave its Contact out
    if len(contacts) != 1:
        raise Malformed("there must be exactly one Contact")
    uri = contacts[0].uri
    if uri.scheme != "sip":
        raise Malformed(f"the Contact is a {uri.scheme} URI, only sip can be reached")
    if "?" in uri.text.rpartition("@")[2]:
        # Headers in a Contact would travel into our Request-URI, where they are forbidden (19.1.1).
        uri = Uri.parse(uri.text.rpartition("?")[0])
    return uri


def _routes(message: Request | Response) -> tuple[NameAddr, ...]:
    routes = parse_addresses(message.headers.all("Record-Route"))
    if len(routes) > MAX_ROUTES:
        raise Malformed(f"more than {MAX_ROUTES} Record-Route values")
    if any(route.uri.scheme != "sip" for route in routes):
        raise Malformed("a Record-Route is not a sip URI")
    return tuple(routes)

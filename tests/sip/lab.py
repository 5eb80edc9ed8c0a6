"""A user agent on a virtual clock, with the test at the other end of the wire: hours of signalling in milliseconds,
the same way every time. `hear` gives it bytes, `said` takes what it sent, `wait` lets time pass timer by timer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from offhook.sip.events import IncomingCall, SipEvent
from offhook.sip.grammar import Malformed
from offhook.sip.incoming import IncomingSession
from offhook.sip.message import Headers, Request, Response, parse
from offhook.sip.offeranswer import LocalMedia
from offhook.sip.settings import SipSettings
from offhook.sip.transaction import Flow, Source
from offhook.sip.trunk import Trunk
from offhook.sip.useragent import UserAgent

PEER = Source("udp", "192.0.2.10", 5060)
OURS = LocalMedia("198.51.100.1", 20_000)
SDP = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n"
    "m=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\na=sendrecv\r\n"
)
E = TypeVar("E")


class Lab:
    def __init__(self, settings: SipSettings | None = None) -> None:
        self.now = 1000.0
        self.settings = settings or SipSettings(trunks=(Trunk("pbx", ("192.0.2.0/24",)),))
        self.agent = UserAgent(self.settings, lambda: self.now, lambda flow: ("198.51.100.1", 5060))
        self.events: list[SipEvent] = []
        self.sent: list[tuple[float, Flow, Request | Response]] = []
        self.on_event: Callable[[SipEvent], None] = lambda event: None

    # --- the wire

    def hear(self, text: str | bytes, source: Source = PEER) -> None:
        data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
        self.agent.receive(data, source)
        self.settle()

    def settle(self) -> None:
        for flow, data in self.agent.take_sends():
            self.sent.append((self.now, flow, read(data)))
        for event in self.agent.take_events():
            self.events.append(event)
            self.on_event(event)
            self.settle()

    def wait(self, seconds: float) -> None:
        """Let `seconds` pass, firing each timer at its own time."""
        end = self.now + seconds
        while (due := self.agent.next_due()) is not None and due <= end:
            self.now = max(self.now, due)
            self.agent.advance()
            self.settle()
        self.now = end

    def said(self) -> list[Request | Response]:
        """What was sent since this was last asked."""
        self.settle()
        sent, self.sent = self.sent, []
        return [message for _, _, message in sent]

    def statuses(self) -> list[int]:
        return [message.status for message in self.said() if isinstance(message, Response)]

    def methods(self) -> list[str]:
        return [message.method for message in self.said() if isinstance(message, Request)]

    # --- events

    def told(self, kind: type[E]) -> list[E]:
        self.settle()
        return [event for event in self.events if isinstance(event, kind)]

    def one(self, kind: type[E]) -> E:
        found = self.told(kind)
        assert len(found) == 1, f"wanted one {kind.__name__}, was told {self.events}"
        return found[0]

    @property
    def session(self) -> IncomingSession:
        return self.told(IncomingCall)[-1].session


def read(data: bytes) -> Request | Response:
    """What was sent. A refusal that echoes what was wrong is taken by its status alone."""
    try:
        return parse(data)
    except Malformed:
        assert data.startswith(b"SIP/2.0 400 "), data
        return Response(Headers(), status=400)


class Caller:
    """The messages of one caller, in text, so that a test can bend each of them."""

    def __init__(self, lab: Lab, call_id: str = "c1@peer", source: Source = PEER) -> None:
        self.lab = lab
        self.call_id = call_id
        self.source = source
        self.cseq = 1
        self.branch = 0
        self.to_tag = ""
        self.contact = "<sip:alice@192.0.2.10:5060>"

    def text(
        self,
        method: str,
        headers: str = "",
        body: str = "",
        cseq: int | None = None,
        branch: str = "",
        to_tag: str | None = None,
        uri: str = "sip:100@198.51.100.1",
        kind: str = "application/sdp",
    ) -> str:
        tag = self.to_tag if to_tag is None else to_tag
        via = f"SIP/2.0/{self.source.transport.upper()} {self.source.address}:{self.source.port}"
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: {via};branch={branch or self.fresh_branch()};rport",
            "Max-Forwards: 70",
            'From: "Alice" <sip:alice@example.com>;tag=alice',
            f"To: <sip:100@example.com>{f';tag={tag}' if tag else ''}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {self.cseq if cseq is None else cseq} {method}",
        ]
        if method in ("INVITE", "UPDATE") and "Contact:" not in headers:
            lines.append(f"Contact: {self.contact}")
        lines += [line for line in headers.split("\n") if line]
        if body:
            lines.append(f"Content-Type: {kind}")
        lines.append(f"Content-Length: {len(body.encode())}")
        return "\r\n".join(lines) + "\r\n\r\n" + body

    def fresh_branch(self) -> str:
        self.branch += 1
        return f"z9hG4bK{self.call_id}{self.branch}".replace("@", "")

    def send(self, text: str) -> list[Request | Response]:
        self.lab.hear(text, self.source)
        return self.lab.said()

    def request(self, method: str, headers: str = "", body: str = "", **more: str) -> list[Request | Response]:
        """The next request of the dialog."""
        self.cseq += 1
        return self.send(self.text(method, headers, body, **more))  # type: ignore[arg-type]

    def invite(self, headers: str = "", body: str = SDP, **more: str) -> list[Request | Response]:
        """The first INVITE; learns our tag from what comes back."""
        self.invite_text = self.text("INVITE", headers, body, **more)  # type: ignore[arg-type]
        said = self.send(self.invite_text)
        self.learn(said)
        return said

    def learn(self, said: list[Request | Response]) -> None:
        for message in said:
            if isinstance(message, Response) and message.status > 100 and message.target.tag:
                self.to_tag = message.target.tag

    def ack(self, body: str = "", cseq: int | None = None) -> list[Request | Response]:
        return self.send(self.text("ACK", body=body, cseq=cseq))

    def answer(self, request: Request, status: int, headers: str = "", body: str = "", tag: str = "") -> None:
        """Respond to a request of the user agent's."""
        to = str(request.headers.get("To")) + (f";tag={tag}" if tag else "")
        lines = [f"SIP/2.0 {status} Whatever"]
        lines += [f"{name}: {value}" for name, value in request.headers if name in ("Via", "From", "Call-ID", "CSeq")]
        lines += [f"To: {to}", *[line for line in headers.split("\n") if line]]
        if status < 300 and request.method in ("INVITE", "UPDATE") and "Contact:" not in headers:
            lines.append(f"Contact: {self.contact}")
        if body:
            lines.append("Content-Type: application/sdp")
        lines.append(f"Content-Length: {len(body)}")
        self.lab.hear("\r\n".join(lines) + "\r\n\r\n" + body, self.source)


def standing_call(lab: Lab, headers: str = "", body: str = SDP) -> Caller:
    """A call that was answered and acknowledged."""
    caller = Caller(lab)
    caller.invite(headers, body)
    lab.session.accept(OURS)
    caller.learn(lab.said())
    caller.ack()
    return caller

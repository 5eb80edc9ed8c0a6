"""SIP messages: from bytes, to bytes, and the checks a message must pass before anyone acts on it (RFC 3261 7, 8.1.1).

Values inside headers are `grammar`'s. A message that can be taken apart but breaks a rule raises `Unusable`, which
carries the request as far as it was read, so that the sender can be told 400. Which messages deserve an answer is
the user agent's decision.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from sipmessage.message import COMPACT_FORMS

from offhook.sip.grammar import (
    MAX_VALUES,
    Malformed,
    NameAddr,
    Uri,
    Via,
    is_token,
    parse_addresses,
    split_outside_quotes,
)

MAX_MESSAGE = 65_535
MAX_HEADERS = 200
MAX_LINE = 8_192
"""Characters of one header, folded lines put together."""

_SPACE = re.compile(r"[ \t]+")
_FOLD = re.compile(r"\r\n[ \t]+")
_DIGITS = re.compile(r"[0-9]{1,10}\Z")
_VERSION = re.compile(r"SIP/[0-9]+\.[0-9]+\Z", re.IGNORECASE)
_CONTROL = re.compile(r"(?<!\\)[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|[\r\n]")
"""What no header may hold: a quoted pair may be any character but a line's end (RFC 3261 25.1)."""
_LINE_END = re.compile(r"[\r\n]+")

# RFC 3261 20, table 2: these stand once. More than one of them is a message that two readers read differently.
_ONCE = frozenset(
    "from to call-id cseq max-forwards content-length content-type session-expires min-se rseq rack expires".split()
)

REASONS = {
    100: "Trying", 180: "Ringing", 181: "Call Is Being Forwarded", 182: "Queued", 183: "Session Progress", 200: "OK",
    202: "Accepted", 300: "Multiple Choices", 301: "Moved Permanently", 302: "Moved Temporarily", 400: "Bad Request",
    401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 406: "Not Acceptable",
    407: "Proxy Authentication Required", 408: "Request Timeout", 410: "Gone", 413: "Request Entity Too Large",
    414: "Request-URI Too Long", 415: "Unsupported Media Type", 416: "Unsupported URI Scheme", 420: "Bad Extension",
    421: "Extension Required", 422: "Session Interval Too Small", 423: "Interval Too Brief",
    480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist", 482: "Loop Detected", 483: "Too Many Hops",
    484: "Address Incomplete", 485: "Ambiguous", 486: "Busy Here", 487: "Request Terminated",
    488: "Not Acceptable Here", 491: "Request Pending", 493: "Undecipherable", 500: "Server Internal Error",
    501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Server Time-out",
    505: "Version Not Supported", 513: "Message Too Large", 600: "Busy Everywhere", 603: "Decline",
    604: "Does Not Exist Anywhere", 606: "Not Acceptable",
}  # fmt: skip


class Unusable(Malformed):
    """A request that cannot be acted on but perhaps answered: `request` holds what could be read of it."""

    def __init__(self, reason: str, status: int, request: Request) -> None:
        super().__init__(reason, status)
        self.request = request


class Headers:
    """Header fields in their order, found by name without regard to case; compact names are written out."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields: list[tuple[str, str, str]] = []
        for name, value in fields:
            self.add(name, value)

    def add(self, name: str, value: object) -> None:
        self._fields.append((name.lower(), name, str(value)))

    def put_first(self, name: str, value: object) -> None:
        self._fields.insert(0, (name.lower(), name, str(value)))

    def set(self, name: str, value: object) -> None:
        """Replace the first of that name, drop the others."""
        key = name.lower()
        at = next((i for i, f in enumerate(self._fields) if f[0] == key), len(self._fields))
        self._fields = [f for i, f in enumerate(self._fields) if f[0] != key or i == at]
        self._fields[at : at + 1] = [(key, name, str(value))]

    def get(self, name: str) -> str | None:
        key = name.lower()
        return next((value for k, _, value in self._fields if k == key), None)

    def all(self, name: str) -> list[str]:
        key = name.lower()
        return [value for k, _, value in self._fields if k == key]

    def tokens(self, name: str) -> list[str]:
        """A comma-separated list of tokens over all lines of that header, such as Require; empty ones left out."""
        return [token for value in self.all(name) for part in value.split(",") if (token := part.strip())][:MAX_VALUES]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((name, value) for _, name, value in self._fields)

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None


@dataclass(slots=True)
class CSeq:
    number: int
    method: str

    @classmethod
    def parse(cls, text: str) -> CSeq:
        number, _, method = text.partition(" ")
        if not _DIGITS.match(number) or int(number) >= 2**31:  # RFC 3261 8.1.1.5
            raise Malformed("the CSeq number is not below 2^31")
        if not is_token(method.strip()):
            raise Malformed("CSeq names no method")
        return cls(int(number), method.strip())


@dataclass(slots=True)
class Message:
    """What requests and responses share. `headers` hold what came; the typed values are read by `check`."""

    headers: Headers
    body: bytes = b""
    vias: list[Via] = field(init=False, default_factory=list)
    """The topmost line's Vias at least, the first being the top one."""
    sender: NameAddr = field(init=False)
    """From."""
    target: NameAddr = field(init=False)
    """To."""
    call_id: str = field(init=False, default="")
    cseq: CSeq = field(init=False)

    @property
    def via(self) -> Via:
        return self.vias[0]

    def check(self) -> None:
        """Read what every message needs (RFC 3261 8.1.1). Raises Malformed."""
        for name in _ONCE:
            if len(self.headers.all(name)) > 1:
                raise Malformed(f"more than one {name} header")
        self.vias = _vias(self.headers)
        self.call_id = _needed(self.headers, "Call-ID")
        if " " in self.call_id:
            raise Malformed("the Call-ID has a space in it")
        self.sender = NameAddr.parse(_needed(self.headers, "From"))
        self.target = NameAddr.parse(_needed(self.headers, "To"))
        self.cseq = CSeq.parse(_needed(self.headers, "CSeq"))
        self._check_length()

    def contacts(self) -> list[NameAddr]:
        """Raises Malformed."""
        values = self.headers.all("Contact")
        return [] if values == ["*"] else parse_addresses(values)

    def content_type(self) -> str:
        """The body's media type in lower case without parameters; empty where there is no body."""
        return (self.headers.get("Content-Type") or "").partition(";")[0].strip().lower() if self.body else ""

    def seconds(self, name: str) -> int | None:
        """A header that begins with a number of seconds, such as Session-Expires; None where absent or unusable."""
        text = (self.headers.get(name) or "").partition(";")[0].strip()
        return int(text) if _DIGITS.match(text) else None

    def start_line(self) -> str:
        raise AssertionError("a message is a request or a response")

    def to_bytes(self) -> bytes:
        """The message on the wire. Nothing in a value can break out of its line."""
        lines = [_LINE_END.sub(" ", self.start_line())]
        lines += [f"{name}: {_LINE_END.sub(' ', value)}" for name, value in self.headers if name != "Content-Length"]
        lines.append(f"Content-Length: {len(self.body)}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape") + self.body

    def _check_length(self) -> None:
        text = self.headers.get("Content-Length")
        if text is None:
            return
        if not _DIGITS.match(text):
            raise Malformed("Content-Length is not a number")
        if int(text) > len(self.body):
            raise Malformed("the message is shorter than its Content-Length says")
        self.body = self.body[: int(text)]  # RFC 3261 18.3: what follows in a datagram is to be ignored


@dataclass(slots=True)
class Request(Message):
    method: str = ""
    uri_text: str = ""
    uri: Uri | None = field(init=False, default=None)
    """The Request-URI, None where it is no URI at all."""

    def start_line(self) -> str:
        return f"{self.method} {self.uri_text} SIP/2.0"

    def check(self) -> None:
        Message.check(self)
        if self.cseq.method != self.method:
            raise Malformed("the CSeq names another method than the request")
        limit = self.headers.get("Max-Forwards")
        if limit is not None and not (_DIGITS.match(limit) and int(limit) <= 255):  # 20.22
            raise Malformed("Max-Forwards is not a number from 0 to 255")
        self.uri = Uri.parse(self.uri_text)
        if self.uri.scheme in ("sip", "sips") and "?" in self.uri_text.rpartition("@")[2]:
            raise Malformed("a Request-URI must not carry headers")  # 19.1.1, table 1

    def answerable(self) -> bool:
        """Whether enough was read to send a response (RFC 3261 8.2.6)."""
        if self.method == "ACK":
            return False
        try:
            self.vias = _vias(self.headers)
        except Malformed:
            return False
        return all(name in self.headers for name in ("From", "To", "Call-ID", "CSeq"))

    def response(
        self,
        status: int,
        reason: str = "",
        to_tag: str = "",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Response:
        """A response to this request (RFC 3261 8.2.6.2); works on a request that failed its check, too."""
        fields = Headers()
        for name in ("Via", "From", "To", "Call-ID", "CSeq"):
            values = [str(via) for via in self.vias] if name == "Via" else self.headers.all(name)[:1]
            for value in values:
                # The requests that came with a tag keep it; a 100 gets none (8.2.6.2).
                if name == "To" and to_tag and status > 100 and not _has_tag(value):
                    value = f"{value};tag={to_tag}"
                fields.add(name, value)
        if self.method == "INVITE" and 100 < status < 300:
            for value in self.headers.all("Record-Route"):  # 12.1.1
                fields.add("Record-Route", value)
        for name, value in headers:
            fields.add(name, value)
        return Response(fields, body, status=status, reason=reason or REASONS.get(status, "Unknown"))


@dataclass(slots=True)
class Response(Message):
    status: int = 0
    reason: str = ""

    def start_line(self) -> str:
        return f"SIP/2.0 {self.status} {self.reason}"


def parse(data: bytes) -> Request | Response:
    """One message from a datagram or a framed stretch of a stream.

    Raises Unusable where it is a request that breaks a rule, Malformed where it is nothing that could be answered."""
    message = _take_apart(data)
    try:
        message.check()
    except Malformed as fault:
        if isinstance(message, Request):
            raise Unusable(fault.reason, fault.status, message) from None
        raise
    return message


def _take_apart(data: bytes) -> Request | Response:
    if len(data) > MAX_MESSAGE:
        raise Malformed("the message is too long", 513)
    head, gap, body = data.lstrip(b"\r\n").partition(b"\r\n\r\n")  # 7.5: empty lines before a message are ignored
    if not gap:
        raise Malformed("the headers do not end")
    text = head.decode("utf-8", "surrogateescape")
    start, _, rest = text.partition("\r\n")
    headers, fault = _read_headers(rest)
    message, line_fault = _read_start_line(start, headers, body)
    fault = line_fault or fault
    if fault is not None:
        if isinstance(message, Request):
            raise Unusable(fault.reason, fault.status, message)
        raise fault
    return message


def _read_start_line(line: str, headers: Headers, body: bytes) -> tuple[Request | Response, Malformed | None]:
    """The message, and what is wrong with its first line where that leaves a request that can be refused."""
    if line[:8].upper() == "SIP/2.0 ":
        status, _, reason = line[8:].partition(" ")
        if not (len(status) == 3 and _DIGITS.match(status) and "1" <= status[0] <= "6"):
            raise Malformed("the status is not three digits from 100 to 699")
        return Response(headers, body, status=int(status), reason=reason), None
    method, *rest = line.split(" ", 8)
    if len(line) > MAX_LINE or not is_token(method):
        raise Malformed("the first line is neither a request nor a response")
    if len(rest) != 2 or not _VERSION.match(rest[1]):
        return Request(headers, body, method=method), Malformed("the first line is not METHOD URI SIP/2.0")
    fault = None if rest[1].upper() == "SIP/2.0" else Malformed("only SIP/2.0 is spoken here", 505)
    return Request(headers, body, method=method, uri_text=rest[0]), fault


def _read_headers(text: str) -> tuple[Headers, Malformed | None]:
    """The header fields, and what is wrong with them, so that what is right can still be answered."""
    headers, fault = Headers(), None
    for number, line in enumerate(_FOLD.sub(" ", text).split("\r\n") if text else []):
        name, colon, value = line.partition(":")
        name = name.rstrip(" \t")
        if number >= MAX_HEADERS:
            return headers, Malformed(f"more than {MAX_HEADERS} headers")
        if len(line) > MAX_LINE:
            fault = fault or Malformed("a header is too long")
        elif not colon or not is_token(name):
            fault = fault or Malformed(f"{line[:40]!r} is not a header")
        elif _CONTROL.search(value):
            fault = fault or Malformed("a header has a control character or a stray line break in it")
        else:
            headers.add(COMPACT_FORMS.get(name.lower(), name), _SPACE.sub(" ", value).strip())
    return headers, fault


def _needed(headers: Headers, name: str) -> str:
    value = headers.get(name)
    if not value:
        raise Malformed(f"there is no {name}")
    return value


def _vias(headers: Headers) -> list[Via]:
    lines = headers.all("Via")
    if not lines:
        raise Malformed("there is no Via")
    return [Via.parse(part) for line in lines[:MAX_VALUES] for part in split_outside_quotes(line, ",")]


def _has_tag(address: str) -> bool:
    try:
        return NameAddr.parse(address).tag is not None
    except Malformed:
        return bool(re.search(r";\s*tag\s*=", address, re.IGNORECASE))

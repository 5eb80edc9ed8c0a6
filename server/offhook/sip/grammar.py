"""The values inside SIP headers: URIs, name-addrs, Vias and their parameters (RFC 3261 20 and 25).

The character sets are those of `sipmessage`; the composition is ours, because the torture tests of RFC 4475 and
hostile peers ask for what it does not do: keep the text as it came, refuse instead of raising something odd, take
IPv6 in `received`, one-label hosts with digits, escaped quotes, and never look at a character twice. Whatever is not
grammar raises `Malformed` with a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import unquote

from sipmessage import grammar as g

MAX_VALUES = 64
"""Comma-separated values or parameters read from one header; no honest peer sends more."""

_TOKEN = re.compile(f"{g.TOKEN}\\Z")
_DISPLAY = re.compile(f"(?:{g.TOKEN}(?: {g.TOKEN})*)?\\Z")
_VALUE = re.compile(r"[^\s\"\\;,<>=?@]+\Z|[^\s\"\\;,<>]+\Z")
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.\-]*[A-Za-z0-9.])?|\[[0-9A-Fa-f:.]{2,45}\])"
_SIP_URI = re.compile(
    f"(?P<scheme>sips?):(?:(?P<user>{g.USER})(?::(?P<password>(?:{g.cset(g.C_PASSWORD_SAFE)}|{g.ESCAPED})*))?@)?"
    f"(?P<host>{_HOST})(?::(?P<port>[0-9]{{1,5}}))?"
    f'(?P<params>(?:;{g.URI_PARAM})*)(?P<headers>\\?[^\\s<>"]*)?\\Z',
    re.IGNORECASE,
)
_ANY_URI = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*):[^\s<>\"]+\Z")
_VIA = re.compile(
    f"SIP ?/ ?2\\.0 ?/ ?(?P<transport>{g.TOKEN}) (?P<host>{_HOST})(?: ?: ?(?P<port>[0-9]{{1,5}}))?", re.IGNORECASE
)


class Malformed(ValueError):
    """The message breaks the grammar. `status` is the response it deserves where one can be given."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


def is_token(text: str) -> bool:
    return _TOKEN.match(text) is not None


def split_outside_quotes(text: str, separator: str) -> list[str]:
    """`text` at each `separator` that stands neither in a quoted string nor in angle brackets, parts stripped.

    At most MAX_VALUES parts. Raises Malformed where a quote or bracket is left open."""
    parts: list[str] = []
    start, quoted, bracketed, skip = 0, False, False, False
    for at, char in enumerate(text):
        if skip:
            skip = False
        elif quoted:
            if char == "\\":
                skip = True
            elif char == '"':
                quoted = False
        elif char == '"' and not bracketed:
            quoted = True
        elif char == "<":
            bracketed = True
        elif char == ">":
            bracketed = False
        elif char == separator and not bracketed:
            parts.append(text[start:at].strip())
            start = at + 1
            if len(parts) > MAX_VALUES:
                raise Malformed(f"more than {MAX_VALUES} values in one header")
    if quoted or bracketed:
        raise Malformed("a quoted string or an angle bracket is not closed")
    parts.append(text[start:].strip())
    return parts


def quote(text: str) -> str:
    """`text` as a quoted string (RFC 3261 25.1)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquote_string(text: str) -> str:
    """A quoted string's text; other text as it is."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


def parse_parameters(text: str) -> tuple[tuple[str, str | None], ...]:
    """`;name=value;name` as pairs, names in lower case, values as they came (quoted strings with their quotes)."""
    if not text:
        return ()
    if not text.startswith(";"):
        raise Malformed(f"{text[:40]!r} stands where parameters should begin with a semicolon")
    pairs: list[tuple[str, str | None]] = []
    for part in split_outside_quotes(text[1:], ";"):
        name, equals, value = part.partition("=")
        name, value = name.rstrip(), value.lstrip()
        if not is_token(name):
            raise Malformed(f"{name[:40]!r} is no parameter name")
        if equals and not (_is_quoted(value) or _VALUE.match(value)):
            raise Malformed(f"parameter {name[:40]} has no usable value")
        pairs.append((name.lower(), value if equals else None))
    return tuple(pairs)


def _is_quoted(text: str) -> bool:
    return len(text) >= 2 and text[0] == text[-1] == '"' and not text[-2:] == '\\"'


@dataclass(frozen=True, slots=True)
class Uri:
    """A URI as it came (`text`) and its parts; `host` is empty for schemes other than sip and sips."""

    text: str
    scheme: str
    user: str | None
    """Unescaped."""
    host: str
    """In lower case; IPv6 with its brackets."""
    port: int | None
    params: Mapping[str, str | None]

    @classmethod
    def parse(cls, text: str) -> Uri:
        if m := _SIP_URI.match(text):
            port = int(m["port"]) if m["port"] else None
            if port is not None and not 0 < port < 65536:
                raise Malformed(f"port {port} in a URI is out of range")
            params: dict[str, str | None] = {}
            for part in m["params"].split(";")[1 : MAX_VALUES + 1]:
                name, equals, value = part.partition("=")
                params[unquote(name).lower()] = unquote(value) if equals else None
            user = unquote(m["user"]) if m["user"] else None
            return cls(text, m["scheme"].lower(), user, m["host"].lower(), port, params)
        if (m := _ANY_URI.match(text)) and m["scheme"].lower() not in ("sip", "sips"):
            rest, *raw = text.partition(":")[2].split(";")
            user = rest if m["scheme"].lower() == "tel" else None
            return cls(text, m["scheme"].lower(), user, "", None, {p.partition("=")[0].lower(): None for p in raw[:8]})
        raise Malformed(f"{text[:80]!r} is not a URI")

    @property
    def address(self) -> str:
        """The host without an IPv6 literal's brackets."""
        return self.host.strip("[]")

    @property
    def transport(self) -> str | None:
        value = self.params.get("transport")
        return value.lower() if value else None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class NameAddr:
    """`"name" <uri>;parameters` of From, To, Contact, Route, Record-Route, P-Asserted-Identity (RFC 3261 20.10)."""

    uri: Uri
    name: str
    params: tuple[tuple[str, str | None], ...]

    @classmethod
    def parse(cls, text: str) -> NameAddr:
        """Raises Malformed. White space must have been folded to single spaces."""
        name = ""
        if text.startswith('"'):
            end = _closing_quote(text)
            name, rest = unquote_string(text[: end + 1]), text[end + 1 :].lstrip()
            if not rest.startswith("<"):
                raise Malformed("a display name is not followed by <URI>")
        elif "<" in text.partition(";")[0]:
            name, _, rest = text.partition("<")
            name, rest = name.strip(), "<" + rest
            if not _DISPLAY.match(name):
                raise Malformed(f"display name {name[:40]!r} needs quotes")
        else:
            uri, semicolon, params = text.partition(";")
            uri = uri.rstrip()
            if "?" in uri or "," in uri:
                raise Malformed("a URI with ? or , needs angle brackets")
            return cls(Uri.parse(uri), "", parse_parameters(semicolon + params))
        uri, closing, params = rest[1:].partition(">")
        if not closing:
            raise Malformed("an angle bracket is not closed")
        return cls(Uri.parse(uri), name, parse_parameters(params.strip()))

    @property
    def tag(self) -> str | None:
        return self.get("tag")

    def get(self, name: str) -> str | None:
        return next((value for key, value in self.params if key == name), None)


def parse_addresses(values: list[str]) -> list[NameAddr]:
    """Every name-addr of a header that may hold several, over all its lines."""
    parts = [part for value in values[:MAX_VALUES] for part in split_outside_quotes(value, ",")]
    return [NameAddr.parse(part) for part in parts[:MAX_VALUES]]


def _closing_quote(text: str) -> int:
    at = 1
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == '"':
            return at
        at += 1
    raise Malformed("a quoted string is not closed")


@dataclass(frozen=True, slots=True)
class Via:
    """One Via (RFC 3261 20.42), which it turns back into text with its parameters in order."""

    transport: str
    """In capitals."""
    host: str
    port: int | None
    params: tuple[tuple[str, str | None], ...]

    @classmethod
    def parse(cls, text: str) -> Via:
        m = _VIA.match(text)
        if m is None:
            raise Malformed(f"{text[:80]!r} is not a Via")
        port = int(m["port"]) if m["port"] else None
        if port is not None and not 0 < port < 65536:
            raise Malformed(f"port {port} in a Via is out of range")
        return cls(m["transport"].upper(), m["host"], port, parse_parameters(text[m.end() :].strip()))

    def get(self, name: str) -> str | None:
        return next((value for key, value in self.params if key == name), None)

    def has(self, name: str) -> bool:
        return any(key == name for key, _ in self.params)

    @property
    def branch(self) -> str | None:
        return self.get("branch")

    def received_from(self, address: str, port: int) -> Via:
        """The Via as a server stores it: `received` and `rport` say where it came from (RFC 3581 4)."""
        params = [(k, v) for k, v in self.params if k not in ("received", "rport")]
        if self.has("rport"):
            params += [("received", address), ("rport", str(port))]
        elif self.host.strip("[]").lower() != address:
            params.append(("received", address))
        return replace(self, params=tuple(params))

    def __str__(self) -> str:
        port = f":{self.port}" if self.port is not None else ""
        params = "".join(f";{k}" if v is None else f";{k}={v}" for k, v in self.params)
        return f"SIP/2.0/{self.transport} {self.host}{port}{params}"

"""Digest authentication (RFC 7616, in SIP RFC 8760): both sides, without state that an attacker could fill.

The server's nonces carry their own time and a keyed hash, so none is remembered until it was used well; a nonce used
twice with the same count is stale, not wrong, so that an honest client simply tries again. Unknown users cost the same
work and get the same answer as wrong passwords. Passwords never leave this module in any form but a hash.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import struct
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from offhook.sip.grammar import Malformed, Uri, is_token, quote, split_outside_quotes, unquote_string

NONCE_LIFE_S = 300.0
_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who we are where a peer asks."""

    user: str
    password: str = field(repr=False)


class Verdict(Enum):
    GOOD = "good"
    STALE = "stale"
    BAD = "bad"


def user_of(credentials: list[str], realm: str) -> str:
    """Whom the Authorization value for `realm` names; proves nothing."""
    for value in credentials[:4]:
        try:
            given = parse_parameters(value)
        except Malformed:
            continue
        if given.get("realm") == realm:
            return given.get("username", "")
    return ""


Hash = Callable[[str], str]


def _md5(text: str) -> str:
    return hashlib.md5(text.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


ALGORITHMS: Mapping[str, Hash] = {"SHA-256": _sha256, "MD5": _md5}
"""Strongest first, the order in which they are offered and chosen."""


def parse_parameters(value: str) -> dict[str, str]:
    """The parameters of a `Digest` challenge or credentials, names in lower case, quotes taken off.

    Raises Malformed where it is no Digest or a parameter stands twice."""
    scheme, _, rest = value.partition(" ")
    if scheme.lower() != "digest":
        raise Malformed(f"{scheme[:20]!r} is not a scheme of authentication that is taken here")
    parameters: dict[str, str] = {}
    for part in split_outside_quotes(rest, ","):
        name, equals, text = part.partition("=")
        name = name.strip().lower()
        if not equals or not is_token(name) or name in parameters:
            raise Malformed("the digest's parameters are not name=value, each once")
        parameters[name] = unquote_string(text.strip())
    return parameters


def response_of(
    hash_: Hash,
    user: str,
    realm: str,
    password: str,
    method: str,
    uri: str,
    nonce: str,
    nc: str = "",
    cnonce: str = "",
    qop: str = "",
) -> str:
    """The `response` value (RFC 7616 3.4.1); `qop` empty is RFC 2069's form, which old phones still speak."""
    secret, data = hash_(f"{user}:{realm}:{password}"), hash_(f"{method}:{uri}")
    middle = f"{nonce}:{nc}:{cnonce}:{qop}" if qop else nonce
    return hash_(f"{secret}:{middle}:{data}")


class Challenger:
    """The server's side."""

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key or secrets.token_bytes(32)
        self._used: OrderedDict[str, int] = OrderedDict()
        self._nobody = secrets.token_hex(16)

    def challenge(
        self, realm: str, now: float, stale: bool = False, algorithms: Sequence[str] = tuple(ALGORITHMS)
    ) -> list[str]:
        """WWW-Authenticate values, one for each of `algorithms`, the one we like best first (RFC 8760 2.3)."""
        nonce = self._nonce(realm, now, secrets.token_bytes(8))
        tail = ", stale=true" if stale else ""
        return [
            f'Digest realm={quote(realm)}, nonce="{nonce}", algorithm={name}, qop="auth"{tail}' for name in algorithms
        ]

    def verify(
        self,
        credentials: list[str],
        realm: str,
        users: Mapping[str, str],
        method: str,
        uri: str,
        now: float,
        algorithms: Sequence[str] = tuple(ALGORITHMS),
    ) -> Verdict:
        """Whether one of the Authorization values proves a user of `realm` for this `method` and Request-URI, by one of
        `algorithms`."""
        for value in credentials[:4]:
            try:
                given = parse_parameters(value)
            except Malformed:
                continue
            if given.get("realm") == realm:
                if given.get("algorithm", "MD5").upper() not in algorithms:
                    return Verdict.BAD
                return self._verify_one(given, realm, users, method, uri, now)
        return Verdict.BAD

    def _verify_one(
        self, given: dict[str, str], realm: str, users: Mapping[str, str], method: str, uri: str, now: float
    ) -> Verdict:
        hash_ = ALGORITHMS.get(given.get("algorithm", "MD5").upper())
        nonce, qop, nc = given.get("nonce", ""), given.get("qop", "").lower(), given.get("nc", "")
        if hash_ is None or qop not in ("", "auth") or not _same_place(given.get("uri", ""), uri):
            return Verdict.BAD
        if qop and not (len(nc) == 8 and all(c in "0123456789abcdefABCDEF" for c in nc) and given.get("cnonce")):
            return Verdict.BAD
        user = given.get("username", "")
        expected = response_of(
            hash_,
            user,
            realm,
            users.get(user, self._nobody),
            method,
            given["uri"],
            nonce,
            nc,
            given.get("cnonce", ""),
            qop,
        )
        proven = hmac.compare_digest(expected.encode(), given.get("response", "").lower().encode("utf-8", "replace"))
        if not proven or user not in users:
            return Verdict.BAD
        # Proven, so that whoever does not know the password learns nothing of a nonce's state.
        if not self._fresh(nonce, realm, now):
            return Verdict.STALE
        count = int(nc, 16) if qop else 1
        if count <= self._used.get(nonce, 0):
            return Verdict.STALE
        self._used[nonce] = count
        self._used.move_to_end(nonce)
        if len(self._used) > _REMEMBERED:
            self._used.popitem(last=False)
        return Verdict.GOOD

    def _nonce(self, realm: str, now: float, salt: bytes) -> str:
        stamp = struct.pack("!d", now) + salt
        return base64.urlsafe_b64encode(stamp + self._seal(stamp, realm)).decode()

    def _seal(self, stamp: bytes, realm: str) -> bytes:
        return hmac.digest(self._key, stamp + realm.encode(), "sha256")[:16]

    def _fresh(self, nonce: str, realm: str, now: float) -> bool:
        try:
            raw = base64.b64decode(nonce.encode(), altchars=b"-_", validate=True)
        except ValueError:
            return False
        if len(raw) != 32 or not hmac.compare_digest(raw[16:], self._seal(raw[:16], realm)):
            return False
        (made,) = struct.unpack("!d", raw[:8])
        return bool(0.0 <= now - made <= NONCE_LIFE_S)


def _same_place(digest_uri: str, request_uri: str) -> bool:
    """Whether credentials made for one URI may serve another: the same user at the same host. Parameters may have
    been added on the way (RFC 3261 22.4 asks for equality, proxies for a little patience)."""
    try:
        a, b = Uri.parse(digest_uri), Uri.parse(request_uri)
    except Malformed:
        return False
    return (a.scheme, a.user, a.host) == (b.scheme, b.user, b.host)


class Answerer:
    """The client's side: answers a peer's challenges, and goes on answering with a growing count (nc)."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._challenge: dict[str, str] = {}
        self._header = ""
        self._count = 0
        self._tried = False

    def take(self, challenges: list[str], proxy: bool) -> bool:
        """Take the strongest challenge we know. False where there is none, or ours was refused and not stale."""
        found: dict[str, dict[str, str]] = {}
        for value in challenges[:8]:
            try:
                parameters = parse_parameters(value)
            except Malformed:
                continue
            qops = [qop.strip().lower() for qop in parameters.get("qop", "").split(",")]
            if "nonce" in parameters and "realm" in parameters and ("auth" in qops or qops == [""]):
                found.setdefault(parameters.get("algorithm", "MD5").upper(), parameters)
        chosen = next((found[name] for name in ALGORITHMS if name in found), None)
        if chosen is None:
            return False
        if self._tried and chosen.get("stale", "").lower() != "true":
            return False
        self._challenge, self._count, self._tried = chosen, 0, True
        self._header = "Proxy-Authorization" if proxy else "Authorization"
        return True

    def settled(self) -> None:
        """The peer took our answer: a later challenge may be answered anew."""
        self._tried = False

    def header(self, method: str, uri: str, cnonce: str = "") -> tuple[str, str] | None:
        """The header to send with a request, None while nobody has asked."""
        c = self._challenge
        if not c:
            return None
        self._count += 1
        name = c.get("algorithm", "MD5").upper()
        qop, nc = ("auth", f"{self._count:08x}") if "qop" in c else ("", "")
        cnonce = cnonce or secrets.token_hex(8)
        answer = response_of(
            ALGORITHMS[name],
            self._credentials.user,
            c["realm"],
            self._credentials.password,
            method,
            uri,
            c["nonce"],
            nc,
            cnonce,
            qop,
        )
        parts = [
            f"username={quote(self._credentials.user)}",
            f"realm={quote(c['realm'])}",
            f"nonce={quote(c['nonce'])}",
            f"uri={quote(uri)}",
            f'response="{answer}"',
            f"algorithm={name}",
        ]
        if qop:
            parts += [f'cnonce="{cnonce}"', "qop=auth", f"nc={nc}"]
        if "opaque" in c:
            parts.append(f"opaque={quote(c['opaque'])}")
        return self._header, "Digest " + ", ".join(parts)

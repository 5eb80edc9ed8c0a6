"""A DTLS 1.2 endpoint without a socket or a clock, whose one purpose is SRTP keys (RFC 5764, 7714): datagrams in,
datagrams out, and the keys once the peer has proven to be who signalling said it is.

OpenSSL does the protocol, over memory. What belongs outside: from where datagrams may be taken (the address that ICE
has validated, and no other: a ClientHello from elsewhere must not even be seen here), and the clock.
"""

from __future__ import annotations

import hmac
import secrets
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import cast

from OpenSSL import SSL, crypto

from offhook.webrtc.certificate import Certificate, Fingerprint, matches

MTU = 1200
"""Largest datagram we send, in bytes: what passes every path that browsers are used on."""
MOST_BYTES = 4096
"""Larger ones are not taken."""

_CIPHERS = b":".join(
    (
        b"ECDHE-ECDSA-AES128-GCM-SHA256",
        b"ECDHE-ECDSA-CHACHA20-POLY1305",
        b"ECDHE-ECDSA-AES256-GCM-SHA384",
        b"ECDHE-RSA-AES128-GCM-SHA256",  # for peers whose certificate is RSA, where we are the client
        b"ECDHE-RSA-CHACHA20-POLY1305",
        b"ECDHE-RSA-AES256-GCM-SHA384",
    )
)
_DTLS_1_2 = 0xFEFD
_RECORD_HEADER = 13
_EXPORTER = b"EXTRACTOR-dtls_srtp"


@dataclass(frozen=True, slots=True)
class Profile:
    """An SRTP protection profile: `suite` as SDES names it (RFC 4568, 7714), `name` as OpenSSL does; bytes."""

    suite: str
    name: bytes
    key: int
    salt: int


PROFILES = (
    Profile("AEAD_AES_128_GCM", b"SRTP_AEAD_AES_128_GCM", 16, 12),
    Profile("AES_CM_128_HMAC_SHA1_80", b"SRTP_AES128_CM_SHA1_80", 16, 14),
    Profile("AEAD_AES_256_GCM", b"SRTP_AEAD_AES_256_GCM", 32, 12),
)
"""Ours, by preference: the cheapest first."""


@dataclass(frozen=True, slots=True)
class SrtpKeys:
    """`send` and `receive` are each a master key with its salt behind it."""

    suite: str
    send: bytes = field(repr=False)
    receive: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Transmit:
    """Send this datagram to the peer."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Keyed:
    """The handshake is done and the peer is who it should be."""

    keys: SrtpKeys


@dataclass(frozen=True, slots=True)
class Failed:
    """There will be no keys; `why` in a sentence."""

    why: str


@dataclass(frozen=True, slots=True)
class Closed:
    """The peer said that it is done (close_notify)."""


DtlsEvent = Transmit | Keyed | Failed | Closed


class State(Enum):
    NEW = "new"
    HANDSHAKING = "handshaking"
    KEYED = "keyed"
    OVER = "over"


class DtlsIdentity:
    """What all endpoints of one server share: its certificate and OpenSSL's settings."""

    def __init__(self, certificate: Certificate, profiles: tuple[Profile, ...] = PROFILES) -> None:
        self.certificate = certificate
        self.profiles = profiles
        self.context = self._context()
        self.wary = self._context()
        """For peers whose address nobody has vouched for: they have to be heard from there twice (RFC 6347 4.2.1)."""
        secret = secrets.token_bytes(32)
        self.wary.set_options(cast(int, SSL.OP_COOKIE_EXCHANGE))
        self.wary.set_cookie_generate_callback(lambda connection: _cookie(secret, connection))
        self.wary.set_cookie_verify_callback(
            lambda connection, cookie: hmac.compare_digest(cookie, _cookie(secret, connection))
        )

    def _context(self) -> SSL.Context:
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_min_proto_version(_DTLS_1_2)
        context.set_max_proto_version(_DTLS_1_2)  # the exporter of RFC 5764 is that of 1.2
        context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_QUERY_MTU)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        context.set_cipher_list(_CIPHERS)
        context.use_certificate(self.certificate.certificate)
        context.use_privatekey(self.certificate.key)
        # OpenSSL is told to want a certificate; whether it is the right one its endpoint says.
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _verify)
        context.set_tlsext_use_srtp(b":".join(profile.name for profile in self.profiles))
        return context

    @property
    def fingerprint(self) -> Fingerprint:
        return self.certificate.fingerprint


def _verify(connection: SSL.Connection, certificate: crypto.X509, error: int, depth: int, ok: int) -> bool:
    """The peer's own certificate must be known by its fingerprint; who signed it means nothing (RFC 5763 5)."""
    endpoint = connection.get_app_data()
    try:
        return depth > 0 or (isinstance(endpoint, Dtls) and matches(certificate.to_cryptography(), endpoint.told))
    except ValueError:
        return False  # OpenSSL reads certificates that others take for none


def _cookie(secret: bytes, connection: SSL.Connection) -> bytes:
    endpoint = connection.get_app_data()
    address = endpoint.unproven if isinstance(endpoint, Dtls) else None
    return hmac.digest(secret, repr(address).encode(), "sha256")


class Dtls:
    """One association. Its methods answer what is to be done, in order."""

    def __init__(
        self,
        identity: DtlsIdentity,
        told: tuple[Fingerprint, ...],
        active: bool = False,
        unproven: tuple[str, int] | None = None,
    ) -> None:
        """`told`: the fingerprints that the peer's signalling gave, one of which its certificate must have. `active`:
        we begin (`a=setup:active`). `unproven`: the address that it seems to be at, where that may be forged; not for
        one that we begin with."""
        self.told = told
        self.active = active
        self.state = State.NEW
        self._profiles = identity.profiles
        self.unproven = unproven
        self._connection = SSL.Connection(identity.context if unproven is None else identity.wary, None)
        self._connection.set_app_data(self)
        self._connection.set_ciphertext_mtu(MTU)
        if active:
            self._connection.set_connect_state()
        else:
            self._connection.set_accept_state()

    def start(self) -> list[DtlsEvent]:
        """There is a way to the peer: begin, where it is for us to do so."""
        if self.state is not State.NEW:
            return []
        self.state = State.HANDSHAKING
        return self._go_on() if self.active else []

    def receive(self, datagram: bytes) -> list[DtlsEvent]:
        """Take a datagram of the peer. Nothing that is in it can do more than fail the handshake."""
        if self.state in (State.NEW, State.OVER) or not _RECORD_HEADER <= len(datagram) <= MOST_BYTES:
            return []
        self._connection.bio_write(datagram)
        return self._go_on()

    def due_in_s(self) -> float | None:
        """In how many seconds from now `retransmit` is to be called; None: not at all."""
        return self._connection.DTLSv1_get_timeout() if self.state is State.HANDSHAKING else None

    def retransmit(self) -> list[DtlsEvent]:
        """No answer came in time: say it again."""
        if self.state is not State.HANDSHAKING:
            return []
        try:
            self._connection.DTLSv1_handle_timeout()
        except SSL.Error as error:
            return self._failed(error)
        return self._sent()

    def close(self) -> list[DtlsEvent]:
        """Tell the peer that we are done."""
        if self.state in (State.NEW, State.OVER):
            self.state = State.OVER
            return []
        self.state = State.OVER
        try:
            self._connection.shutdown()
        except SSL.Error:
            pass  # in the middle of a handshake there is nothing to close
        return self._sent()

    # --- inside

    def _go_on(self) -> list[DtlsEvent]:
        try:
            if self.state is State.HANDSHAKING:
                self._connection.do_handshake()
                return self._shaken()
            while True:  # nothing is expected but a repeated flight, which OpenSSL answers, or the end
                self._connection.recv(MOST_BYTES)
        except SSL.WantReadError:
            return self._sent()
        except SSL.ZeroReturnError:
            return [*self.close(), Closed()]
        except SSL.Error as error:
            return self._failed(error)

    def _shaken(self) -> list[DtlsEvent]:
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        if certificate is None or not matches(certificate, self.told):
            return [*self.close(), Failed("the peer's certificate is not the one its signalling told of")]
        chosen = self._connection.get_selected_srtp_profile()
        profile = next((each for each in self._profiles if each.name == chosen), None)
        if profile is None:
            return [*self.close(), Failed("the peer takes none of the SRTP profiles there are here")]
        self.state = State.KEYED
        # Keys first: where the last word is ours, the peer's media may be there as soon as that is.
        return [Keyed(self._keys(profile)), *self._sent()]

    def _keys(self, profile: Profile) -> SrtpKeys:
        """RFC 5764 4.2: the client's key, the server's key, the client's salt, the server's salt."""
        key, salt = profile.key, profile.salt
        secret = self._connection.export_keying_material(_EXPORTER, 2 * (key + salt))
        client = secret[:key] + secret[2 * key : 2 * key + salt]
        server = secret[key : 2 * key] + secret[2 * key + salt :]
        send, receive = (client, server) if self.active else (server, client)
        return SrtpKeys(profile.suite, send, receive)

    def _failed(self, error: SSL.Error) -> list[DtlsEvent]:
        shaking, self.state = self.state is State.HANDSHAKING, State.OVER
        last = self._sent()  # the alert that says so to the peer
        if not shaking:
            return [*last, Closed()]
        return [*last, Failed(f"the DTLS handshake failed: {_reason(error)}")]

    def _sent(self) -> list[DtlsEvent]:
        """What OpenSSL has to say, in datagrams: its memory knows no borders between them, records do."""
        waiting = b""
        while True:
            try:
                waiting += self._connection.bio_read(65536)
            except SSL.WantReadError:
                break
        return [Transmit(datagram) for datagram in datagrams(waiting)]


def datagrams(records: bytes) -> Iterator[bytes]:
    """Whole records in datagrams of at most `MTU` bytes."""
    begin = at = 0
    while at + _RECORD_HEADER <= len(records):
        length = _RECORD_HEADER + struct.unpack_from("!H", records, at + 11)[0]
        if at > begin and at + length - begin > MTU:
            yield records[begin:at]
            begin = at
        at += length
    if at > begin:
        yield records[begin:at]


def _reason(error: SSL.Error) -> str:
    details = error.args[0] if error.args else None
    if isinstance(details, list) and details:
        return str(details[-1][-1]) or "no reason given"
    return str(details or type(error).__name__)

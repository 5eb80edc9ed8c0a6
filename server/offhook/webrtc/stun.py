"""The grammar of STUN (RFC 8489) as far as an agent that answers connectivity checks needs it: read any message, verify
it, write the answers to a Binding request. Bounded and strict: what is not whole is no message.
"""

from __future__ import annotations

import hmac
import socket
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Address = tuple[str, int]

BINDING_REQUEST, BINDING_INDICATION, BINDING_SUCCESS, BINDING_ERROR = 0x0001, 0x0011, 0x0101, 0x0111
USERNAME, INTEGRITY, ERROR_CODE, UNKNOWN_ATTRIBUTES, XOR_MAPPED_ADDRESS = 0x0006, 0x0008, 0x0009, 0x000A, 0x0020
PRIORITY, USE_CANDIDATE = 0x0024, 0x0025
FINGERPRINT, ICE_CONTROLLED, ICE_CONTROLLING = 0x8028, 0x8029, 0x802A

MOST_BYTES = 1280
"""No check of any known agent is a quarter as long."""

_COOKIE = 0x2112A442
_HEADER = 20
_FINGERPRINT_BYTES, _INTEGRITY_BYTES = 8, 24
_FINGERPRINT_XOR = 0x5354554E
_REQUIRED_BELOW = 0x8000
"""Attributes with numbers below this must be understood (RFC 8489 14)."""
_REASONS = {420: "Unknown Attribute", 487: "Role Conflict"}


class NotStun(ValueError):
    """The bytes are no STUN message; the text says where they fail."""


@dataclass(frozen=True, slots=True)
class Message:
    """A STUN message with a right fingerprint."""

    kind: int
    """Method and class, as `BINDING_REQUEST`."""
    transaction: bytes
    attributes: Mapping[int, bytes]
    """The first of each number (RFC 8489 14), without those that no integrity covers (14.5)."""
    _covered: bytes
    """What MESSAGE-INTEGRITY is computed over; empty where there is none."""

    def is_authentic(self, password: str) -> bool:
        """Whether somebody who knows `password` wrote it (short-term credentials, RFC 8489 9.1); compared in constant
        time. False where it carries no MESSAGE-INTEGRITY."""
        proof = self.attributes.get(INTEGRITY)
        return proof is not None and hmac.compare_digest(proof, _integrity(self._covered, password))

    def unknown(self, known: Sequence[int]) -> list[int]:
        """Its attributes that must be understood and are not among `known`."""
        return [number for number in self.attributes if number < _REQUIRED_BELOW and number not in known]


def parse(data: bytes) -> Message:
    """Raises NotStun. A message without FINGERPRINT is none: every connectivity check has one (RFC 8445 7.1), and what
    shares the socket must not be taken for STUN."""
    if not _HEADER <= len(data) <= MOST_BYTES or len(data) % 4:
        raise NotStun(f"{len(data)} bytes are no message")
    kind, length, cookie = struct.unpack_from("!HHI", data)
    if kind & 0xC000 or cookie != _COOKIE or length != len(data) - _HEADER:
        raise NotStun("the header is not STUN's")
    attributes: dict[int, bytes] = {}
    covered, at = b"", _HEADER
    while at < len(data):
        number, size = struct.unpack_from("!HH", data, at)
        end = at + 4 + size
        if end > len(data):
            raise NotStun(f"attribute {number:#06x} is longer than the message")
        value = data[at + 4 : end]
        if number == FINGERPRINT:
            if end != len(data) or size != 4 or struct.unpack("!I", value)[0] != _fingerprint(data[:at]):
                raise NotStun("the fingerprint is wrong")
            return Message(kind, data[8:_HEADER], attributes, covered)
        if not covered and number not in attributes:
            attributes[number] = value
            if number == INTEGRITY:
                covered = data[:at]
        at = end + -size % 4
    raise NotStun("there is no fingerprint")


def success(request: Message, source: Address, password: str) -> bytes:
    """The answer to a Binding request that came from `source`."""
    mapped = _attribute(XOR_MAPPED_ADDRESS, _xored(source, request.transaction))
    return _signed(BINDING_SUCCESS, request.transaction, mapped, password)


def error(request: Message, code: int, password: str, unknown: Sequence[int] = ()) -> bytes:
    """A refusal: 420, with the attributes that were not understood, or 487."""
    body = _attribute(ERROR_CODE, struct.pack("!HBB", 0, code // 100, code % 100) + _REASONS[code].encode())
    if unknown:
        body += _attribute(UNKNOWN_ATTRIBUTES, struct.pack(f"!{len(unknown)}H", *unknown))
    return _signed(BINDING_ERROR, request.transaction, body, password)


def _signed(kind: int, transaction: bytes, body: bytes, password: str) -> bytes:
    header = struct.pack("!HHI12s", kind, len(body), _COOKIE, transaction)
    signed = header + body
    signed += _attribute(INTEGRITY, _integrity(signed, password))
    with_length = _with_length(signed, len(signed) - _HEADER + _FINGERPRINT_BYTES)
    return with_length + _attribute(FINGERPRINT, struct.pack("!I", _fingerprint(signed)))


def _attribute(number: int, value: bytes) -> bytes:
    return struct.pack("!HH", number, len(value)) + value + bytes(-len(value) % 4)


def _with_length(data: bytes, length: int) -> bytes:
    return data[:2] + struct.pack("!H", length) + data[4:]


def _integrity(before: bytes, password: str) -> bytes:
    """RFC 8489 14.5: over what stands before it, under a header whose length ends with it."""
    covered = _with_length(before, len(before) - _HEADER + _INTEGRITY_BYTES)
    return hmac.digest(password.encode(), covered, "sha1")


def _fingerprint(before: bytes) -> int:
    """RFC 8489 14.7, likewise."""
    return zlib.crc32(_with_length(before, len(before) - _HEADER + _FINGERPRINT_BYTES)) ^ _FINGERPRINT_XOR


def _xored(address: Address, transaction: bytes) -> bytes:
    """RFC 8489 14.2."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    host = socket.inet_pton(family, address[0])
    pad = (struct.pack("!I", _COOKIE) + transaction)[: len(host)]
    packed = (int.from_bytes(host) ^ int.from_bytes(pad)).to_bytes(len(host))
    return struct.pack("!BBH", 0, 1 if len(host) == 4 else 2, address[1] ^ _COOKIE >> 16) + packed

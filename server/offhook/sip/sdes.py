"""SRTP keys in session descriptions (RFC 4568): crypto attributes read and written, and keys made.

Reads only what can be held to: a known suite, one key of the right length without an MKI, and no session parameter
that would weaken what is agreed. No key stands in a repr or in the text of an exception.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

SUITES: Mapping[str, int] = {
    "AES_CM_128_HMAC_SHA1_80": 16 + 14,
    "AES_CM_128_HMAC_SHA1_32": 16 + 14,
    "AEAD_AES_128_GCM": 16 + 12,
    "AEAD_AES_256_GCM": 32 + 12,
}
"""The suites that are taken (RFC 4568 6.2, RFC 7714 14.2), each with the bytes of its master key and salt together."""
OFFERED = ("AEAD_AES_128_GCM", "AES_CM_128_HMAC_SHA1_80")
"""What our offers name, best first."""
PARAMETERS = ("KDR", "UNENCRYPTED_SRTP", "UNENCRYPTED_SRTCP", "UNAUTHENTICATED_SRTP", "FEC_ORDER", "FEC_KEY", "WSH")
"""Session parameters that RFC 4568 6.3 knows."""
MAX_LINES = 16
SHORTEST_LIFE = 2**20
"""A key must be good for so many packets: we make no new one in the middle of a call (that is near six hours)."""
LONGEST_LIFE = 2**48

_TAG = re.compile(r"[0-9]{1,9}\Z")
_LIFE = re.compile(r"(?P<power>2\^)?(?P<number>[0-9]{1,15})\Z")
_MKI = re.compile(r"[0-9]{1,20}:[0-9]{1,3}\Z")
_SUITE = re.compile(r"[A-Z][A-Z0-9]{0,9}(?:_[A-Z0-9]{1,9}){1,6}\Z")
_WINDOW = re.compile(r"WSH=[0-9]{1,6}\Z", re.IGNORECASE)
_NO_DERIVATION = re.compile(r"KDR=0\Z", re.IGNORECASE)


class UnusableCrypto(ValueError):
    """A crypto attribute that cannot be held to; the text says why, without what it holds."""


@dataclass(frozen=True, slots=True)
class Crypto:
    """One side's crypto attribute."""

    tag: int
    suite: str
    """One of `SUITES`."""
    key: bytes = field(repr=False)
    """Master key and master salt, one after the other."""

    def __str__(self) -> str:
        return f"{self.suite} (tag {self.tag})"

    def attribute(self) -> str:
        """As its line says it, behind `a=crypto:`. Never to be logged."""
        return f"{self.tag} {self.suite} inline:{base64.b64encode(self.key).decode()}"


def fresh(suite: str, tag: int) -> Crypto:
    """A new key."""
    return Crypto(tag, suite, secrets.token_bytes(SUITES[suite]))


def read_all(values: Iterable[str]) -> tuple[tuple[Crypto, ...], str]:
    """Those of the attributes that can be used, in their order, and what is wrong with the first that cannot."""
    usable: list[Crypto] = []
    fault = ""
    for number, value in enumerate(values):
        if number >= MAX_LINES:
            break
        try:
            usable.append(read(value))
        except UnusableCrypto as why:
            fault = fault or str(why)
    return tuple(usable), fault


def read(value: str) -> Crypto:
    """`1 AES_CM_128_HMAC_SHA1_80 inline:KEY|2^31` as it stands behind `a=crypto:` (9.1). Raises UnusableCrypto."""
    parts = value.split()
    if len(parts) < 3 or len(parts) > 16 or not _TAG.match(parts[0]):
        raise UnusableCrypto("a crypto line is not a tag, a suite and a key")
    tag, suite, keys, *parameters = parts
    size = SUITES.get(suite.upper())
    if size is None:
        name = suite if _SUITE.match(suite) else "named in a crypto line"
        raise UnusableCrypto(f"the SRTP suite {name} is not known here")
    for parameter in parameters:
        _check_parameter(parameter)
    return Crypto(int(tag), suite.upper(), _key(keys, size))


def _key(text: str, size: int) -> bytes:
    method, _, rest = text.partition(":")
    if method.lower() != "inline":
        raise UnusableCrypto("a crypto line brings its key by another method than inline")
    if ";" in rest:
        raise UnusableCrypto("several SRTP master keys in one crypto line (with an MKI) are not taken")
    encoded, *extra = rest.split("|")
    if len(extra) > 2:
        raise UnusableCrypto("a crypto line has more behind its key than a lifetime and an MKI")
    for number, part in enumerate(extra):
        if ":" in part:
            known = _MKI.match(part) and number == len(extra) - 1
            raise UnusableCrypto("an SRTP MKI is not taken" if known else "a crypto line's MKI is broken")
        if number > 0 or not _long_enough(part):
            raise UnusableCrypto("an SRTP key's lifetime is too short to hold for a call, or is none")
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise UnusableCrypto("an SRTP key is not base64") from None
    if len(key) != size:
        raise UnusableCrypto(f"an SRTP key of {len(key)} bytes stands where the suite wants {size}")
    return key


def _long_enough(text: str) -> bool:
    life = _LIFE.match(text)
    if life is None:
        return False
    number = int(life["number"])
    if life["power"]:
        return number <= 48 and 2**number >= SHORTEST_LIFE
    return SHORTEST_LIFE <= number <= LONGEST_LIFE


def _check_parameter(parameter: str) -> None:
    """6.3: a window size is a hint; what is unknown may be left aside only where it begins with a dash; the rest would
    leave packets in the clear or unproven, or asks for what is not done here."""
    if not (_WINDOW.match(parameter) or _NO_DERIVATION.match(parameter) or parameter.startswith("-")):
        name = parameter.partition("=")[0].upper()
        raise UnusableCrypto(f"SRTP with {name if name in PARAMETERS else 'an unknown session parameter'} is not taken")

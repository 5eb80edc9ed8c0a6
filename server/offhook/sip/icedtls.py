"""What a session description says of ICE (RFC 8839) and of DTLS-SRTP (RFC 5763, 8122, 8842): credentials, candidates,
fingerprints, and who opens the association. Reads and writes attributes; runs neither protocol.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

MAX_CANDIDATES = 64
MAX_CANDIDATE_LENGTH = 400
MAX_FINGERPRINTS = 8
HASHES: Mapping[str, int] = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
"""Hashes of certificates that are taken, each with its length in bytes; weaker ones prove nothing."""

_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}\Z")
_PWD = re.compile(r"[A-Za-z0-9+/]{22,256}\Z")
_HEX = re.compile(r"[0-9A-F]{2}(?::[0-9A-F]{2}){15,63}\Z")
_PRINTABLE = re.compile(r"[\x21-\x7e]+(?: [\x21-\x7e]+){7,63}\Z")


class Setup(Enum):
    """RFC 4145 4: who opens the DTLS association, from the view of whoever says it."""

    ACTPASS = "actpass"
    """Either; only in an offer."""
    ACTIVE = "active"
    """Sends the ClientHello."""
    PASSIVE = "passive"
    HOLDCONN = "holdconn"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The hash of a certificate."""

    algorithm: str
    """In lower case: "sha-256"."""
    value: str
    """In capitals, with colons: "4A:AD:..."."""

    def __str__(self) -> str:
        return f"{self.algorithm} {self.value}"


@dataclass(frozen=True, slots=True)
class Ice:
    """One side's ICE, theirs or ours."""

    ufrag: str
    pwd: str = field(repr=False)
    lite: bool = False
    candidates: tuple[str, ...] = ()
    """What stands behind `a=candidate:`, as it came; mended by nobody, so an agent reads them with care."""
    trickle: bool = False
    """More candidates may come after the description."""


@dataclass(frozen=True, slots=True)
class Dtls:
    """What the peer's description says of DTLS-SRTP."""

    fingerprints: tuple[Fingerprint, ...]
    """Its certificate must match one of them."""
    setup: Setup


@dataclass(frozen=True, slots=True)
class LocalDtls:
    """What we bring to DTLS-SRTP."""

    fingerprint: Fingerprint
    ice: Ice | None = None
    """Our agent's credentials and candidates; None where no agent runs."""
    setup: Setup = Setup.PASSIVE
    """The part we take where an offer leaves the choice."""


@dataclass(frozen=True, slots=True)
class AgreedDtls:
    """How the media is to be secured by DTLS-SRTP."""

    active: bool
    """We send the ClientHello."""
    fingerprints: tuple[Fingerprint, ...]
    """Theirs; the certificate must match one."""
    ice: Ice | None
    """Theirs. Other credentials than before are an ICE restart. None: they run no ICE, media and DTLS come from the
    address of the description."""


Get = Callable[[str], str | None]
"""An attribute's value by its name: the stream's, else the session's."""


def read_dtls(get: Get, fingerprints: Sequence[str]) -> Dtls | None:
    """None where there is no fingerprint that can be used, or a setup nobody knows."""
    found = [found for value in fingerprints[:MAX_FINGERPRINTS] if (found := _fingerprint(value)) is not None]
    try:
        setup = Setup((get("setup") or "active").lower())  # RFC 4145 4: what holds where it is not said
    except ValueError:
        return None
    return Dtls(tuple(found), setup) if found and setup is not Setup.HOLDCONN else None


def read_ice(get: Get, candidates: Sequence[str]) -> Ice | None:
    """None where there are no credentials, or broken ones."""
    ufrag, pwd = get("ice-ufrag") or "", get("ice-pwd") or ""
    if not (_UFRAG.match(ufrag) and _PWD.match(pwd)):
        return None
    kept = tuple(c for c in candidates if len(c) <= MAX_CANDIDATE_LENGTH and _PRINTABLE.match(c))[:MAX_CANDIDATES]
    options = (get("ice-options") or "").lower().split()
    return Ice(ufrag, pwd, get("ice-lite") is not None, kept, "trickle" in options)


def _fingerprint(value: str) -> Fingerprint | None:
    algorithm, _, digest = value.partition(" ")
    algorithm, digest = algorithm.lower(), digest.strip().upper()
    if not _HEX.match(digest) or len(digest) != 3 * HASHES.get(algorithm, 0) - 1:
        return None
    return Fingerprint(algorithm, digest)


def agree(theirs: Dtls, ice: Ice | None, ours: LocalDtls, offered: bool) -> AgreedDtls | None:
    """Who opens the association (RFC 5763 5). `offered`: `theirs` answers an offer of ours, which said actpass.
    None where both or neither would."""
    if offered:
        if theirs.setup is Setup.ACTPASS:
            return None
        active = theirs.setup is Setup.PASSIVE
    elif theirs.setup is Setup.ACTPASS:
        active = ours.setup is Setup.ACTIVE
    else:
        active = theirs.setup is Setup.PASSIVE
    return AgreedDtls(active, theirs.fingerprints, ice if ours.ice is not None else None)


def lines(ours: LocalDtls, setup: Setup, with_ice: bool) -> list[str]:
    """Our attributes, for the stream."""
    written = [f"a=fingerprint:{ours.fingerprint}", f"a=setup:{setup.value}"]
    ice = ours.ice if with_ice else None
    if ice is not None:
        written += [f"a=ice-ufrag:{ice.ufrag}", f"a=ice-pwd:{ice.pwd}"]
        written += [f"a=candidate:{candidate}" for candidate in ice.candidates]
        written += [] if ice.trickle else ["a=end-of-candidates"]
    return written

"""Who we are to a DTLS peer: a self-signed certificate made when the server starts, and the fingerprints by which both
sides know each other (RFC 8122). No authority vouches for it; the signalling that carries the fingerprint does.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

HASHES: dict[str, type[hashes.SHA256 | hashes.SHA384 | hashes.SHA512]] = {
    "sha-512": hashes.SHA512,
    "sha-384": hashes.SHA384,
    "sha-256": hashes.SHA256,
}
"""What fingerprints may be made with, strongest first; of the weaker ones of RFC 8122 none is trusted."""

VALID = timedelta(days=3650)
"""Nobody checks it: it lives as long as the process."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """`algorithm` in lower case as in `HASHES`; `value` as SDP writes it, pairs of hexadecimal digits with colons."""

    algorithm: str
    value: str

    @classmethod
    def of(cls, certificate: x509.Certificate, algorithm: str = "sha-256") -> Fingerprint:
        return cls(algorithm, certificate.fingerprint(HASHES[algorithm]()).hex(":").upper())


def matches(certificate: x509.Certificate, told: tuple[Fingerprint, ...]) -> bool:
    """Whether `certificate` is one of those that signalling told of. Of several algorithms only the strongest counts
    (RFC 8122 5); compared in constant time. False where none is known."""
    algorithm = next((name for name in HASHES if any(each.algorithm.lower() == name for each in told)), None)
    if algorithm is None:
        return False
    ours = Fingerprint.of(certificate, algorithm).value.encode()
    candidates = [each.value.upper().encode() for each in told if each.algorithm.lower() == algorithm]
    return any(hmac.compare_digest(ours, theirs) for theirs in candidates)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key (ECDSA on P-256, which every browser takes)."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def make(cls) -> Certificate:
        """A new one, about which nothing says whose it is."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, secrets.token_hex(8))])
        now = datetime.now(UTC)
        unsigned = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + VALID)
        )
        return cls(unsigned.sign(key, hashes.SHA256()), key)

    @property
    def fingerprint(self) -> Fingerprint:
        return Fingerprint.of(self.certificate)

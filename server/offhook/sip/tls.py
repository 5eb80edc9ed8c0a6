"""TLS for SIP (RFC 3261 26.3, RFC 5922): who we are and whom we believe."""

from __future__ import annotations

import ssl
from pathlib import Path


class CertificateError(ValueError):
    """A certificate or key cannot be used; the text says which file and why."""


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """What we show to those who connect: a PEM file with our certificate and those below it, and its key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, certificate, key)
    return context


def client_context(
    authorities: Path | None = None, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """How we look at those we connect to: their certificate must be good for the name (or address) that was called,
    and signed by one that this machine trusts or that stands in `authorities` (PEM). `certificate` is shown to those
    who ask for one."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if authorities is not None:
        try:
            context.load_verify_locations(authorities)
        except (OSError, ssl.SSLError) as error:
            raise CertificateError(f"{authorities}: holds no certificates to trust ({_short(error)})") from None
    if certificate is not None and key is not None:
        _load(context, certificate, key)
    return context


def _load(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        # A key with a passphrase must not stop the server at a prompt.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (OSError, ssl.SSLError) as error:
        raise CertificateError(
            f"{certificate} and {key}: are no certificate and its key, without a passphrase, in PEM ({_short(error)})"
        ) from None


def _short(error: Exception) -> str:
    return getattr(error, "strerror", None) or getattr(error, "reason", None) or type(error).__name__

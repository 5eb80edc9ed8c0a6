"""Who calls and what was dialled, as far as it may be believed and shown (RFC 3323, 3325, 3966)."""

from __future__ import annotations

import re

from offhook.sip.grammar import Malformed, NameAddr, Uri, parse_addresses
from offhook.sip.message import Request

ANONYMOUS = "anonymous"
_NUMBER = re.compile(r"\+?[0-9][0-9().\-]*\Z")
_SEPARATORS = re.compile(r"[().\-]")


def user_of(uri: Uri) -> str:
    """A URI's user: a number without separators and parameters, anything else as it is."""
    user = uri.user or ""
    number = user.partition(";")[0]
    return _SEPARATORS.sub("", number) if _NUMBER.match(number) else user


def caller_of(request: Request, trusted: bool) -> tuple[str, str]:
    """The caller and its URI: P-Asserted-Identity from a `trusted` peer, else From; withheld where Privacy asks."""
    uri = request.sender.uri
    if trusted:
        try:
            asserted = parse_addresses(request.headers.all("P-Asserted-Identity"))
        except Malformed:
            asserted = []
        uri = _best(asserted) or uri
    privacy = {part.strip().lower() for part in (request.headers.get("Privacy") or "").split(";")}
    if privacy & {"id", "user", "header"} or uri.host == "anonymous.invalid":
        return ANONYMOUS, "sip:anonymous@anonymous.invalid"
    return user_of(uri) or ANONYMOUS, str(uri)


def _best(asserted: list[NameAddr]) -> Uri | None:
    """RFC 3325 9.1: one sip URI, one tel URI, or both; a number says more."""
    uris = [address.uri for address in asserted[:2] if address.uri.scheme in ("sip", "sips", "tel")]
    return next((uri for uri in uris if uri.scheme == "tel"), uris[0] if uris else None)

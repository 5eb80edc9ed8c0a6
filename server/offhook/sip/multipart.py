"""The session description inside an INVITE's body, alone or as one part of multipart/mixed (RFC 5621), as carriers
send it beside their own."""

from __future__ import annotations

import re

from offhook.sip.message import Request

MAX_PARTS = 8
_BOUNDARY = re.compile(r"""boundary\s*=\s*(?:"([^"\r\n]{1,70})"|([^\s;"]{1,70}))""", re.IGNORECASE)


class UnsupportedBody(ValueError):
    """The body is of a kind not read here: 415."""


def description_of(request: Request) -> bytes:
    """The application/sdp of `request`, empty where it has no body. Raises UnsupportedBody."""
    if (request.headers.get("Content-Encoding") or "identity").lower() != "identity":
        raise UnsupportedBody("the body is encoded")
    kind = request.content_type()
    if not request.body or kind == "application/sdp":
        return request.body
    boundary = _BOUNDARY.search(request.headers.get("Content-Type") or "")
    if not kind.startswith("multipart/") or boundary is None:
        raise UnsupportedBody(f"{kind or 'a body without a Content-Type'} is not read here")
    delimiter = b"\r\n--" + (boundary[1] or boundary[2]).encode()
    for part in (b"\r\n" + request.body).split(delimiter, MAX_PARTS + 1)[1 : MAX_PARTS + 1]:
        head, gap, body = part.partition(b"\r\n\r\n")
        fields = head.decode("latin-1").lower().split("\r\n")
        if gap and any(re.match(r"content-type\s*:\s*application/sdp\s*(;|\Z)", field) for field in fields):
            return body
    raise UnsupportedBody("no part of the body is application/sdp")

"""Session timers (RFC 4028): how long a call may stand without a sign of life, and who gives it.

Pure decisions over headers; the session keeps the clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from offhook.sip.message import Message, Request, Response

SMALLEST_S = 90
"""RFC 4028 5: no interval may be shorter, whatever a header says."""
LONGEST_S = 86_400


@dataclass(frozen=True, slots=True)
class Refresh:
    """What was agreed. `ours`: we are the refresher."""

    interval_s: int
    ours: bool

    @property
    def refresh_after_s(self) -> float:
        """Section 10: half the interval."""
        return self.interval_s / 2

    @property
    def expire_after_s(self) -> float:
        """Section 10: BYE shortly before the end, the smaller of 32 s and a third of the interval."""
        return self.interval_s - min(32.0, self.interval_s / 3)


@dataclass(frozen=True, slots=True)
class TooSmall:
    """The request's interval is refused with 422 and `Min-SE: minimum_s`."""

    minimum_s: int


@dataclass(frozen=True, slots=True)
class Granted:
    """What a 2xx says: its headers, and the timer that follows from it."""

    headers: tuple[tuple[str, str], ...]
    refresh: Refresh | None


def answer(request: Request, wanted_s: int, minimum_s: int) -> Granted | TooSmall:
    """Decide over an INVITE's or UPDATE's session timer as its server (section 9).

    `wanted_s` is the interval we ask of peers that understand timers but name none; 0 asks for none."""
    theirs = "timer" in (token.lower() for token in request.headers.tokens("Supported"))
    interval = request.seconds("Session-Expires")
    minimum = max(minimum_s, SMALLEST_S)
    if interval is not None and interval < minimum and theirs:
        return TooSmall(minimum)
    if interval is None and (not theirs or not wanted_s):
        return Granted((), None)
    interval = min(max(interval or wanted_s, minimum, request.seconds("Min-SE") or 0), LONGEST_S)
    asked = _refresher(request)
    # Table 2: a caller that does not know timers cannot be made to refresh.
    by_caller = theirs and (asked == "uac" or (asked is None and request.seconds("Session-Expires") is not None))
    headers: list[tuple[str, str]] = [("Session-Expires", f"{interval};refresher={'uac' if by_caller else 'uas'}")]
    if by_caller:
        headers.insert(0, ("Require", "timer"))
    return Granted(tuple(headers), Refresh(interval, ours=not by_caller))


def from_2xx(response: Response) -> Refresh | None:
    """What a 2xx to our INVITE or UPDATE settled (section 7.2)."""
    interval = response.seconds("Session-Expires")
    if interval is None:
        return None
    return Refresh(min(max(interval, SMALLEST_S), LONGEST_S), ours=_refresher(response) != "uas")


def ask(wanted_s: int, minimum_s: int, refresher: str = "") -> tuple[tuple[str, str], ...]:
    """The headers of our own INVITE or UPDATE; none where `wanted_s` is 0."""
    if not wanted_s:
        return ()
    tail = f";refresher={refresher}" if refresher else ""
    minimum = max(minimum_s, SMALLEST_S)
    return (("Session-Expires", f"{max(wanted_s, minimum)}{tail}"), ("Min-SE", str(minimum)))


def _refresher(message: Message) -> str | None:
    for part in (message.headers.get("Session-Expires") or "").split(";")[1:8]:
        name, _, value = part.partition("=")
        if name.strip().lower() == "refresher" and value.strip().lower() in ("uac", "uas"):
            return value.strip().lower()
    return None

"""What the SIP side tells the rest of the server: one frozen fact an event.

Events are delivered on the event loop's thread, one at a time, after the state machines have come to rest, so a
handler may use a session's verbs at once. They carry no SIP messages and no SDP text, only what a call needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from offhook.sip.offeranswer import Agreed
from offhook.sip.sdp import Media

if TYPE_CHECKING:
    from offhook.sip.incoming import IncomingSession
    from offhook.sip.session import Session


class By(Enum):
    """Who ended a call."""

    PEER = "peer"
    US = "us"
    TIMEOUT = "timeout"


class Cause(Enum):
    """Why a request was refused, for the metrics."""

    UNKNOWN_SOURCE = "unknown-source"
    RATE = "rate"
    MALFORMED = "malformed"
    AUTH = "auth"
    FULL = "full"
    TRUNK_FULL = "trunk-full"
    NO_CODEC = "no-codec"
    UNSUPPORTED = "unsupported"
    MERGED = "merged"
    NO_DIALOG = "no-dialog"
    FLOOD = "flood"


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """An INVITE that passed every check. 100 has been sent; the rest is up to `session.ring/accept/reject`."""

    session: IncomingSession
    call_id: str
    """The SIP Call-ID."""
    caller: str
    """User part of P-Asserted-Identity where the trunk gave one, else of From; "anonymous" where withheld."""
    caller_uri: str
    dialled: str
    """User part of the Request-URI, unescaped: what was dialled."""
    to_uri: str
    trunk: str
    source: tuple[str, int]
    """Address and port the INVITE came from."""
    offer: Media | None
    """What the caller can hear and say; None where the offer is left to us."""
    headers: Mapping[str, tuple[str, ...]]
    """The INVITE's headers by lower-case long name, in order; credentials left out."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Outgoing: a 180, 183 or other provisional answer, with early media where it brought any."""

    session: Session
    status: int
    early: Agreed | None


@dataclass(frozen=True, slots=True)
class Answered:
    """Audio is agreed. Outgoing: the 200 came and its ACK went out. Incoming without an offer: the ACK brought
    the answer. (An incoming call with an offer knows its `session.agreed` as soon as `accept` returns.)"""

    session: Session
    agreed: Agreed


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Incoming: the caller's ACK came; the call stands."""

    session: Session


@dataclass(frozen=True, slots=True)
class Failed:
    """Outgoing: the call was not answered. 408 where nobody answered in time, 503 where nobody could be reached,
    487 where we gave up, else the peer's own status. `contacts` are a 3xx's targets, which are not followed."""

    session: Session
    status: int
    reason: str
    contacts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reoffered:
    """The peer wants the audio changed (re-INVITE or UPDATE): hold, resume, another address or packet time.
    Answer with `session.accept_reoffer()` or `session.reject_reoffer()`."""

    session: Session
    offer: Media
    agreed: Agreed
    """What would hold once accepted."""
    hold: bool
    """The peer does not want to hear us."""


@dataclass(frozen=True, slots=True)
class Reagreed:
    """Our own `reoffer` was answered: `agreed` holds now. Where the peer refused it, `status` says how, and
    what was agreed before goes on (`agreed`)."""

    session: Session
    agreed: Agreed
    status: int = 200


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Incoming: the caller gave up before we answered. Nothing more will come of this session."""

    session: Session


@dataclass(frozen=True, slots=True)
class Ended:
    """The call is over. `cause` in a few words; `status` of the message that ended it, where one did."""

    session: Session
    by: By
    cause: str
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Digits:
    """Keys pressed, told by INFO (application/dtmf-relay or application/dtmf). Those in RTP are the port's."""

    session: Session
    digits: str
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A request was turned away without a session; `status` is None where it got silence."""

    cause: Cause
    source: tuple[str, int]
    status: int | None
    detail: str = ""


SipEvent = (
    IncomingCall
    | Progress
    | Answered
    | Confirmed
    | Failed
    | Reoffered
    | Reagreed
    | Cancelled
    | Ended
    | Digits
    | Refused
)

"""SIP: calls come in and go out; no audio passes here.

The shape, from the wire up, each layer knowing only the one below: `transport` (sockets), `transaction` (RFC 3261 17),
`dialog` (12), `session` (13 to 15: one call), `useragent` (which message belongs to whom), `endpoint` (the event
loop's side). All but `transport` and `endpoint` know neither sockets nor clocks.

    endpoint = SipEndpoint(SipSettings(bind=("127.0.0.1", 5060), trunks=(Trunk("pbx", ("192.0.2.10",)),)), on_event)
    await endpoint.start()                        # endpoint.local is the (address, port) it is bound to
    endpoint.refuse = Refusal(503, retry_after_s=5)   # full or draining; None takes calls again
    session = endpoint.call("sip:100@192.0.2.10", LocalMedia("192.0.2.1", 20000), caller="sip:me@192.0.2.1")
    await endpoint.stop()

Verbs of a `Session`, plain calls on the loop's thread, never blocking:

    ring(early: LocalMedia | None = None)         180, or 183 with early media
    accept(media: LocalMedia) -> Agreed | None    200; None where the caller's ACK is to bring the answer
    reject(status, reason="", headers=())         a final refusal
    hang_up(cause="")                             BYE, CANCEL or a refusal, whatever the moment asks for
    reoffer(media: LocalMedia | None = None, hold: bool = False)   hold, resume or move; `Reagreed` tells how it went
    accept_reoffer(media: LocalMedia | None = None) -> Agreed      answer `Reoffered`
    reject_reoffer(status=488)
    send_info(content_type, body)  send_digit(digit, duration_ms)
    agreed, call_id, state, peer_uri              what holds now
"""

from offhook.sip.digest import Credentials
from offhook.sip.endpoint import SipEndpoint
from offhook.sip.events import (
    Answered,
    By,
    Cancelled,
    Cause,
    Confirmed,
    Digits,
    Ended,
    Failed,
    IncomingCall,
    Progress,
    Reagreed,
    Refused,
    Reoffered,
    SipEvent,
)
from offhook.sip.icedtls import AgreedDtls, Dtls, Fingerprint, Ice, LocalDtls, Setup
from offhook.sip.incoming import IncomingSession
from offhook.sip.offeranswer import Agreed, LocalMedia, Negotiation, Srtp, SrtpKeys
from offhook.sip.outgoing import OutgoingSession
from offhook.sip.sdp import Codec, Description, Direction, Media, NotAcceptable, OpusWishes
from offhook.sip.session import Session
from offhook.sip.settings import Refusal, SipSettings
from offhook.sip.trunk import Terms, Trunk
from offhook.sip.usage import State

__all__ = [
    "Agreed",
    "AgreedDtls",
    "Answered",
    "By",
    "Cancelled",
    "Cause",
    "Codec",
    "Confirmed",
    "Credentials",
    "Description",
    "Digits",
    "Direction",
    "Dtls",
    "Ended",
    "Failed",
    "Fingerprint",
    "Ice",
    "IncomingCall",
    "IncomingSession",
    "LocalDtls",
    "LocalMedia",
    "Media",
    "Negotiation",
    "NotAcceptable",
    "OpusWishes",
    "OutgoingSession",
    "Progress",
    "Reagreed",
    "Refusal",
    "Refused",
    "Reoffered",
    "Session",
    "Setup",
    "SipEndpoint",
    "SipEvent",
    "SipSettings",
    "Srtp",
    "SrtpKeys",
    "State",
    "Terms",
    "Trunk",
]

"""The exchange: what all calls of one server share, and the wiring that takes events to the call they are about.

Media events name a port, SIP events a session; here each finds its way. Nothing is decided.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from offhook.agents.job import Agent
from offhook.agents.tools import Toolbox
from offhook.calls.channel import ChannelAdapter
from offhook.calls.dispatch import MediaDispatch
from offhook.calls.prompts import Prompts
from offhook.calls.secureline import SecureLine
from offhook.calls.sipleg import SipLeg
from offhook.calls.webleg import WebLeg
from offhook.media import MediaCore, MediaEvent, Port, Segment
from offhook.sip import Session, SipEndpoint, SipEvent
from offhook.speech.slots import Segment as Rows
from offhook.speech.workers import SpeechWorker
from offhook.store import Store
from offhook.telemetry.metrics import Metrics
from offhook.webrtc import DtlsIdentity


@dataclass(frozen=True, slots=True)
class Employee:
    """An AI agent that calls can be given to: the job and the tools that belong to it."""

    agent: Agent
    tools: Toolbox


@dataclass(slots=True)
class Exchange:
    """The parts of a running server that a call needs."""

    core: MediaCore
    segment: Segment
    rows: Rows
    """The same shared memory as `segment`, as NumPy sees it; for looking up positions, never for audio."""
    speech: SpeechWorker
    model: str
    sip: SipEndpoint
    prompts: Prompts
    employees: Mapping[str, Employee]
    store: Store
    metrics: Metrics
    folder: Path
    """Where calls are kept."""
    no_media_s: float
    """How long a call may go on without a packet from the caller."""
    identity: DtlsIdentity
    """Who this server is to those that speak DTLS."""
    _legs: dict[Session, SipLeg] = field(default_factory=dict)
    _media: MediaDispatch = field(init=False)

    def __post_init__(self) -> None:
        self._media = MediaDispatch(self.core)

    def on_media(self) -> None:
        """Hand out what the media core reports; for `loop.add_reader(core.fileno(), ...)`."""
        self._media.deliver()

    def on_sip(self, event: SipEvent) -> bool:
        """Hand an event to the leg whose session it is of; False where there is none."""
        session = getattr(event, "session", None)
        leg = self._legs.get(session) if session is not None else None
        if leg is None:
            return False
        leg.handle(event)
        return True

    def watch(self, port: Port, handler: Callable[[MediaEvent], None]) -> None:
        """Call `handler` with the events of `port` until `forget`."""
        self._media.watch(port, handler)

    def incoming(self, session: Session, label: str) -> SipLeg:
        """The leg of a call that came in. Raises MediaError where no port is free."""
        return self._leg(session, self.core.open(label))

    def outgoing(self, uri: str, caller: str, label: str, beside: Port) -> SipLeg:
        """Ring `uri` on behalf of `caller` (a SIP URI), to be connected with the party at `beside`. Raises MediaError
        where no port is free, ValueError where the URI is none."""
        port, line = self.core.open(label, beside), None
        try:
            terms = self.sip.terms(uri)
            media = terms.offer(*port.address)
            if terms.web:
                line = SecureLine(port, self.identity)
                media = replace(media, dtls=line.local())
            session = self.sip.call(uri, media, caller=caller)
        except BaseException:
            port.close()
            raise
        return self._leg(session, port, line)

    def web(self, offer: str, label: str, away_s: float) -> WebLeg:
        """The leg of a browser that offers a call. Raises MediaError where no port is free, NotAcceptable where the
        offer cannot be answered."""
        port = self.core.open(label)
        try:
            leg = WebLeg(offer, port, self.identity, away_s)
        except BaseException:
            port.close()
            raise
        self._media.add(leg)
        return leg

    def forget(self, leg: ChannelAdapter) -> None:
        """The leg is over: close it and hear nothing more of it."""
        leg.close()
        self.unlist(leg)

    def unlist(self, leg: ChannelAdapter) -> None:
        """Hear nothing more of the leg."""
        if isinstance(leg, SipLeg):
            self._legs.pop(leg.session, None)
        self._media.drop(leg.port)

    def _leg(self, session: Session, port: Port, line: SecureLine | None = None) -> SipLeg:
        leg = SipLeg(session, port, self.identity, line)
        self._legs[session] = leg
        self._media.add(leg)
        return leg

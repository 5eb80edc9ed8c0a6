"""The four transaction machines of RFC 3261 17, with RFC 6026's Accepted state for INVITE.

A machine takes a message, a timer or a response to send, each with the time, and gives back what to do: messages for
the wire and things to tell its user. Its timers are data (`timers`: which, and when it is due); someone else looks at
the clock and calls `fire`. It knows no socket, no dialog and no call.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from offhook.sip.message import Headers, Request, Response

T1_S = 0.5
T2_S = 4.0
T4_S = 5.0
TIMEOUT_S = 64 * T1_S


class Timer(Enum):
    """RFC 3261 table 4; L and M are RFC 6026's."""

    A = "A"
    B = "B"
    D = "D"
    E = "E"
    F = "F"
    G = "G"
    H = "H"
    I = "I"  # noqa: E741  the RFC's name
    J = "J"
    K = "K"
    L = "L"
    M = "M"


class State(Enum):
    CALLING = "Calling"
    TRYING = "Trying"
    PROCEEDING = "Proceeding"
    ACCEPTED = "Accepted"
    COMPLETED = "Completed"
    CONFIRMED = "Confirmed"
    TERMINATED = "Terminated"


@dataclass(frozen=True, slots=True)
class Flow:
    """Where messages go, or came from. `connection` names a stream connection to prefer, 0 where there is none."""

    transport: str
    """"udp", "tcp", "tls", "ws" or "wss"."""
    host: str
    """IP literal without brackets, or a host name."""
    port: int
    connection: int = 0

    @property
    def reliable(self) -> bool:
        return self.transport != "udp"

    @property
    def web(self) -> bool:
        """A WebSocket, which only the other side can open (RFC 7118)."""
        return self.transport in ("ws", "wss")

    @property
    def private(self) -> bool:
        """Nobody on the way can read what goes there."""
        return self.transport in ("tls", "wss")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a message came from. `connection` is 0 for datagrams."""

    transport: str
    address: str
    port: int
    connection: int = 0


@dataclass(frozen=True, slots=True)
class Send:
    """Put `data` on the wire, to the transaction's flow."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Received:
    """A response for the client transaction's user."""

    response: Response


class Trouble(Enum):
    """How a transaction failed without a response."""

    TIMEOUT = "timeout"
    """A client's request was never finally answered (timer B or F)."""
    NO_ACK = "no-ack"
    """A server's final response to INVITE was never acknowledged (timer H)."""


Output = Send | Received | Trouble


@dataclass(slots=True, eq=False)
class Transaction:
    """What the four share: the request, the flow, the state and the timers."""

    request: Request
    flow: Flow
    state: State = field(init=False)
    timers: dict[Timer, float] = field(init=False, default_factory=dict)
    _interval_s: float = field(init=False, default=T1_S)

    @property
    def due(self) -> float | None:
        """When the earliest timer is due."""
        return min(self.timers.values(), default=None)

    @property
    def over(self) -> bool:
        return self.state is State.TERMINATED

    @property
    def unanswered(self) -> bool:
        """Whether no final response has come or gone."""
        return self.state in (State.CALLING, State.TRYING, State.PROCEEDING)

    @property
    def accepted(self) -> bool:
        return self.state is State.ACCEPTED

    def fire(self, now: float, timer: Timer) -> list[Output]:
        """`timer` is due. Timers that were cancelled meanwhile do nothing."""
        if self.timers.pop(timer, None) is None:
            return []
        return self._fired(now, timer)

    def abandon(self) -> None:
        """The transport failed, or nobody cares any more."""
        self._enter(State.TERMINATED)

    def _fired(self, now: float, timer: Timer) -> list[Output]:
        raise AssertionError("each machine has its own timers")

    def _enter(self, state: State) -> None:
        self.state = state
        self.timers.clear()

    def _linger(self, now: float, timer: Timer, seconds: float) -> None:
        """Stay for late retransmissions on an unreliable transport; end at once on a reliable one."""
        if self.flow.reliable:
            self._enter(State.TERMINATED)
        else:
            self.timers[timer] = now + seconds


@dataclass(slots=True, eq=False)
class InviteClient(Transaction):
    """RFC 3261 17.1.1, RFC 6026 8.4."""

    def start(self, now: float) -> list[Output]:
        self.state = State.CALLING
        if not self.flow.reliable:
            self.timers[Timer.A] = now + T1_S
        self.timers[Timer.B] = now + TIMEOUT_S
        return [Send(self.request.to_bytes())]

    def receive(self, now: float, response: Response) -> list[Output]:
        if self.state in (State.CALLING, State.PROCEEDING):
            if response.status < 200:
                self._enter(State.PROCEEDING)  # 17.1.1.2: no more retransmissions, and B no longer counts
                return [Received(response)]
            if response.status < 300:
                self._enter(State.ACCEPTED)  # RFC 6026 7.2
                self.timers[Timer.M] = now + TIMEOUT_S
                return [Received(response)]
            self._enter(State.COMPLETED)
            self._linger(now, Timer.D, TIMEOUT_S)
            return [Send(self._ack(response)), Received(response)]
        if self.state is State.ACCEPTED and 200 <= response.status < 300:
            return [Received(response)]  # a retransmission, or another branch of a fork
        if self.state is State.COMPLETED and response.status >= 300:
            return [Send(self._ack(response))]
        return []

    def _ack(self, response: Response) -> bytes:
        """17.1.1.3: the ACK of a refusal belongs to the INVITE's transaction."""
        headers = Headers([("Via", str(self.request.via))])
        for name in ("From", "Call-ID", "Route"):
            for value in self.request.headers.all(name):
                headers.add(name, value)
        headers.add("To", response.headers.get("To") or "")
        headers.add("CSeq", f"{self.request.cseq.number} ACK")
        headers.add("Max-Forwards", "70")
        return Request(headers, method="ACK", uri_text=self.request.uri_text).to_bytes()

    def _fired(self, now: float, timer: Timer) -> list[Output]:
        if timer is Timer.A:
            self._interval_s *= 2
            self.timers[Timer.A] = now + self._interval_s
            return [Send(self.request.to_bytes())]
        self._enter(State.TERMINATED)
        return [Trouble.TIMEOUT] if timer is Timer.B else []


@dataclass(slots=True, eq=False)
class NonInviteClient(Transaction):
    """RFC 3261 17.1.2."""

    def start(self, now: float) -> list[Output]:
        self.state = State.TRYING
        if not self.flow.reliable:
            self.timers[Timer.E] = now + T1_S
        self.timers[Timer.F] = now + TIMEOUT_S
        return [Send(self.request.to_bytes())]

    def receive(self, now: float, response: Response) -> list[Output]:
        if self.state not in (State.TRYING, State.PROCEEDING):
            return []
        if response.status < 200:
            self.state = State.PROCEEDING
            return [Received(response)]
        self._enter(State.COMPLETED)
        self._linger(now, Timer.K, T4_S)
        return [Received(response)]

    def _fired(self, now: float, timer: Timer) -> list[Output]:
        if timer is Timer.E:
            # 17.1.2.2: T2 at most, and at once T2 after a provisional response
            self._interval_s = T2_S if self.state is State.PROCEEDING else min(2 * self._interval_s, T2_S)
            self.timers[Timer.E] = now + self._interval_s
            return [Send(self.request.to_bytes())]
        self._enter(State.TERMINATED)
        return [Trouble.TIMEOUT] if timer is Timer.F else []


@dataclass(slots=True, eq=False)
class InviteServer(Transaction):
    """RFC 3261 17.2.1, RFC 6026 8.5. The user sends 100 at once, so no 200 ms timer is needed."""

    _last: bytes = field(init=False, default=b"")

    def __post_init__(self) -> None:
        self.state = State.PROCEEDING

    def receive(self, now: float, request: Request) -> list[Output]:
        if request.method == "ACK":
            if self.state is State.COMPLETED:
                self._enter(State.CONFIRMED)
                self._linger(now, Timer.I, T4_S)
            return []
        if self.state in (State.PROCEEDING, State.COMPLETED) and self._last:
            return [Send(self._last)]
        return []  # RFC 6026 7.1: in Accepted the user retransmits its 2xx itself

    def respond(self, now: float, response: Response) -> list[Output]:
        """Send `response`. A 2xx may be sent again and again; after any other final response nothing may."""
        if self.state is State.ACCEPTED and 200 <= response.status < 300:
            return [Send(response.to_bytes())]
        if self.state is not State.PROCEEDING:
            return []
        data = response.to_bytes()
        if response.status < 200:
            self._last = data
        elif response.status < 300:
            self._enter(State.ACCEPTED)
            self.timers[Timer.L] = now + TIMEOUT_S
        else:
            self._last = data
            self._enter(State.COMPLETED)
            if not self.flow.reliable:
                self.timers[Timer.G] = now + T1_S
            self.timers[Timer.H] = now + TIMEOUT_S
        return [Send(data)]

    def _fired(self, now: float, timer: Timer) -> list[Output]:
        if timer is Timer.G:
            self._interval_s = min(2 * self._interval_s, T2_S)
            self.timers[Timer.G] = now + self._interval_s
            return [Send(self._last)]
        self._enter(State.TERMINATED)
        return [Trouble.NO_ACK] if timer is Timer.H else []


@dataclass(slots=True, eq=False)
class NonInviteServer(Transaction):
    """RFC 3261 17.2.2."""

    _last: bytes = field(init=False, default=b"")

    def __post_init__(self) -> None:
        self.state = State.TRYING

    def receive(self, now: float, request: Request) -> list[Output]:
        return [Send(self._last)] if self._last else []

    def respond(self, now: float, response: Response) -> list[Output]:
        if self.state not in (State.TRYING, State.PROCEEDING):
            return []
        self._last = response.to_bytes()
        if response.status < 200:
            self.state = State.PROCEEDING
        else:
            self._enter(State.COMPLETED)
            self._linger(now, Timer.J, TIMEOUT_S)
        return [Send(self._last)]

    def _fired(self, now: float, timer: Timer) -> list[Output]:
        self._enter(State.TERMINATED)
        return []


ServerTransaction = InviteServer | NonInviteServer
ClientTransaction = InviteClient | NonInviteClient


def server_key(request: Request, method: str = "") -> tuple[str, ...]:
    """What makes a request the same transaction as another (RFC 3261 17.2.3). An ACK's is that of its INVITE;
    `method` "INVITE" asks which INVITE a CANCEL means (9.2)."""
    via = request.via
    method = method or ("INVITE" if request.method == "ACK" else request.method)
    sent_by = f"{via.host.lower()}:{via.port or 5060}"
    branch = via.branch or ""
    if branch.lower().startswith("z9hg4bk") and len(branch) > 7:
        return (branch, sent_by, method)
    # RFC 2543 callers have no unique branch. The To tag is left out: it comes only with the ACK.
    return (sent_by, method, request.call_id, str(request.cseq.number), request.sender.tag or "", request.uri_text)

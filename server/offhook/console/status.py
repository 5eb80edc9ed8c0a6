"""How the server is doing, as facts: what `/status` answers and `offhook status` prints. Computes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path


class NodeState(Enum):
    """`DRAINING`: live calls go on, new ones are refused."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class LiveCall:
    """A call that is on now."""

    id: str
    caller: str
    dialled: str
    agent: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """The speech worker. `pid` None: down."""

    model: str
    pid: int | None
    restarts: int
    slots: int
    slots_used: int
    late_hops: int
    lateness_p99_ms: float


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """How the server is doing at this moment."""

    version: str
    started_at: datetime
    state: NodeState
    calls: tuple[LiveCall, ...]
    max_calls: int
    worker: WorkerStatus
    plan: Path
    plan_sha: str
    numbers: tuple[str, ...]
    """The numbers the dial plan answers."""
    sip: tuple[str, ...]
    """Where it listens: `udp 127.0.0.1:5060`."""
    recordings: Path

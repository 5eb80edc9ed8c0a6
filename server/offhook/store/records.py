"""What the database says of a call, as plain facts that outlive the connection they were read on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path


class CallState(Enum):
    """`CUT`: the server stopped while the call was live, and found it so when it started again."""

    LIVE = "live"
    ENDED = "ended"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Ending:
    """What is known of a call only when it is over. Times in milliseconds; None where there is no such figure."""

    state: CallState
    ended_by: str
    """`caller`, `us`, `server` or `cut`, as the timeline's `call.ended` has it."""
    cause: str
    duration_ms: float
    answered: bool = False
    agent: str | None = None
    """The last AI agent on the call."""
    exit: str | None = None
    """The last step's and its exit: `agent: resolved`."""
    outcomes: tuple[str, ...] = ()
    turns: int = 0
    """Turns of caller and agents; prompts are not counted."""
    response_p50_ms: float | None = None
    response_p95_ms: float | None = None
    keep_until: datetime | None = None
    """When the audio is to be deleted; None: never. With a time zone."""


@dataclass(frozen=True, slots=True)
class CallRecord:
    """A call's row. Datetimes are UTC and aware; what a live call cannot have yet is None or empty."""

    id: str
    started_at: datetime
    caller: str
    dialled: str
    trunk: str
    plan_sha: str
    folder: Path
    state: CallState
    ended_by: str | None
    cause: str | None
    duration_ms: float | None
    answered: bool
    agent: str | None
    exit: str | None
    outcomes: tuple[str, ...]
    turns: int
    response_p50_ms: float | None
    response_p95_ms: float | None
    keep_until: datetime | None
    audio_deleted_at: datetime | None

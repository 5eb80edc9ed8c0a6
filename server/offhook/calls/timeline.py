"""The timeline: a call's append-only list of events, and the one record every other record is computed from.

Each event is a frozen dataclass with a `kind`; on disk it is one JSON object a line, flushed as it is written, so
that what happened up to a power cut can be read. `t` is milliseconds of the call's media clock, which starts when
the call's port opens. This module knows what can be said of a call, not what follows from it (see `folds`).
"""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import ClassVar

from offhook.speech.contract import Json

KINDS: dict[str, type[Happening]] = {}


class Happening:
    """Something that happened on a call. Subclasses say what; `kind` is its name on disk."""

    __slots__ = ()
    kind: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        KINDS[cls.kind] = cls

    def fields(self) -> dict[str, Json]:
        """The event's own fields as they stand in the file; what holds None is left out."""
        names = (f.name for f in dataclasses.fields(self))  # type: ignore[arg-type]  # every subclass is a dataclass
        return {name: value for name in names if (value := getattr(self, name)) is not None}


# --- the call


@dataclass(frozen=True, slots=True)
class CallStarted(Happening):
    """A call came in. `at` is ISO 8601 UTC wall-clock time of t = 0, the only wall-clock time on a timeline."""

    kind: ClassVar[str] = "call.started"
    call: str
    caller: str
    dialled: str
    trunk: str
    at: str
    plan: str
    """SHA-256 of the dial plan the call is pinned to."""


@dataclass(frozen=True, slots=True)
class CallAnswered(Happening):
    kind: ClassVar[str] = "call.answered"
    codec: str
    packet_ms: int


@dataclass(frozen=True, slots=True)
class CallHeld(Happening):
    kind: ClassVar[str] = "call.held"


@dataclass(frozen=True, slots=True)
class CallResumed(Happening):
    kind: ClassVar[str] = "call.resumed"


@dataclass(frozen=True, slots=True)
class CallMoved(Happening):
    """The caller's media address changed (re-INVITE)."""

    kind: ClassVar[str] = "call.moved"
    address: str


@dataclass(frozen=True, slots=True)
class MediaStarted(Happening):
    """The first packets from the caller's address."""

    kind: ClassVar[str] = "media.started"
    address: str


@dataclass(frozen=True, slots=True)
class MediaLost(Happening):
    """No packet has come for a while: that is not the caller's silence."""

    kind: ClassVar[str] = "media.lost"


@dataclass(frozen=True, slots=True)
class MediaBack(Happening):
    kind: ClassVar[str] = "media.back"


@dataclass(frozen=True, slots=True)
class LineMeasured(Happening):
    """How well one direction of a leg was heard over the `over_ms` up to `t`; about every five seconds.

    `party` is `caller`, or whom we dialled. `direction` is `in` for what we heard of the party, `out` for what it
    reports hearing of us. R and MOS are of the E-model (ITU-T G.107), `mos_cq` where the round trip is known. Of late
    packets and bursts the far end tells by RTCP XR alone, and of its whole time; `said_mos` is its own reckoning."""

    kind: ClassVar[str] = "line.measured"
    party: str
    direction: str
    over_ms: float
    r: float
    mos_lq: float
    lost: float
    """0..1 of the packets never came; `late`: came too late to be heard."""
    jitter_ms: float
    mos_cq: float | None = None
    late: float | None = None
    burst_ms: float | None = None
    """Mean length of bursts of loss (RFC 3611); 0: there was none."""
    rtt_ms: float | None = None
    delay_ms: float | None = None
    """How long a packet on time waited before it was heard here."""
    said_mos: float | None = None


@dataclass(frozen=True, slots=True)
class CallEnded(Happening):
    """`by`: `caller`, `us`, `server` (drained), `cut` (found after the server died). `cause` in a few words."""

    kind: ClassVar[str] = "call.ended"
    by: str
    cause: str


@dataclass(frozen=True, slots=True)
class MediaCounted(Happening):
    """What the port counted over the whole call; packets, and milliseconds where it says so."""

    kind: ClassVar[str] = "media.counted"
    counters: Mapping[str, Json]


# --- the dial plan


@dataclass(frozen=True, slots=True)
class FlowEntered(Happening):
    kind: ClassVar[str] = "plan.flow"
    flow: str
    because: str


@dataclass(frozen=True, slots=True)
class Tested(Happening):
    """An expression of the plan was evaluated: a guard's or an `if` step's, with the facts it read."""

    kind: ClassVar[str] = "plan.tested"
    where: str
    """`file:line`."""
    expression: str
    value: bool
    facts: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class StepBegan(Happening):
    kind: ClassVar[str] = "plan.step"
    step: str
    where: str
    detail: str


@dataclass(frozen=True, slots=True)
class StepLeft(Happening):
    kind: ClassVar[str] = "plan.exit"
    step: str
    exit: str
    go: str | None = None
    outcome: str | None = None
    tag: str | None = None


# --- prompts, disclosure, recording


@dataclass(frozen=True, slots=True)
class PromptStarted(Happening):
    kind: ClassVar[str] = "prompt.started"
    text: str


@dataclass(frozen=True, slots=True)
class PromptEnded(Happening):
    kind: ClassVar[str] = "prompt.ended"
    played_ms: float
    whole: bool


@dataclass(frozen=True, slots=True)
class Disclosed(Happening):
    """The caller was told: `what` of `ai`, `recording`."""

    kind: ClassVar[str] = "disclosed"
    what: list[str]
    text: str
    language: str


@dataclass(frozen=True, slots=True)
class RecordingStarted(Happening):
    kind: ClassVar[str] = "recording.started"
    files: list[str]
    keep: str


@dataclass(frozen=True, slots=True)
class RecordingFailed(Happening):
    """The disk would not take it; the call goes on."""

    kind: ClassVar[str] = "recording.failed"
    why: str


@dataclass(frozen=True, slots=True)
class RecordingEnded(Happening):
    kind: ClassVar[str] = "recording.ended"
    why: str


@dataclass(frozen=True, slots=True)
class VoicemailLeft(Happening):
    kind: ClassVar[str] = "voicemail.left"
    file: str
    length_ms: float


# --- the AI agent and the conversation


@dataclass(frozen=True, slots=True)
class AgentJoined(Happening):
    kind: ClassVar[str] = "agent.joined"
    agent: str
    model: str
    slot: int


@dataclass(frozen=True, slots=True)
class AgentRefused(Happening):
    """The agent could not come to the line: the plan's exit, and why."""

    kind: ClassVar[str] = "agent.refused"
    agent: str
    exit: str
    reason: str


@dataclass(frozen=True, slots=True)
class AgentLeft(Happening):
    kind: ClassVar[str] = "agent.left"
    exit: str
    reason: str


@dataclass(frozen=True, slots=True)
class WorkerLost(Happening):
    """The speech worker died or stopped answering; the caller hears a hold phrase until another takes over."""

    kind: ClassVar[str] = "worker.lost"
    why: str


@dataclass(frozen=True, slots=True)
class WorkerBack(Happening):
    kind: ClassVar[str] = "worker.back"
    slot: int


@dataclass(frozen=True, slots=True)
class TurnStarted(Happening):
    kind: ClassVar[str] = "turn.started"


@dataclass(frozen=True, slots=True)
class WordsHeard(Happening):
    """What the caller said; `start` and `end` in ms of the call's clock."""

    kind: ClassVar[str] = "words.heard"
    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class TurnEnded(Happening):
    """The caller stopped speaking at `speech_end` (ms); `t` is when that was decided, `why` on what ground."""

    kind: ClassVar[str] = "turn.ended"
    speech_end: float
    why: str


@dataclass(frozen=True, slots=True)
class SpeechStarted(Happening):
    """The agent's utterance was begun by the model; `text` is what it means to say."""

    kind: ClassVar[str] = "speech.started"
    utterance: int
    text: str


@dataclass(frozen=True, slots=True)
class TalkBegan(Happening):
    """The first sample of a stretch of agent speech left for the caller: the end of a response time."""

    kind: ClassVar[str] = "talk.began"


@dataclass(frozen=True, slots=True)
class TalkEnded(Happening):
    kind: ClassVar[str] = "talk.ended"


@dataclass(frozen=True, slots=True)
class WordsSpoken(Happening):
    """What the caller heard of an utterance."""

    kind: ClassVar[str] = "words.spoken"
    utterance: int
    text: str


@dataclass(frozen=True, slots=True)
class Interrupted(Happening):
    kind: ClassVar[str] = "interrupted"
    utterance: int
    heard: str
    unsaid: str


@dataclass(frozen=True, slots=True)
class Decided(Happening):
    kind: ClassVar[str] = "decided"
    what: str
    words: str
    skill: str | None = None
    facts: Mapping[str, Json] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolWanted(Happening):
    kind: ClassVar[str] = "tool.wanted"
    id: str
    tool: str
    arguments: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class ToolAnswered(Happening):
    kind: ClassVar[str] = "tool.answered"
    id: str
    ok: bool
    took_ms: float
    value: Json = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class OutcomeReached(Happening):
    kind: ClassVar[str] = "outcome"
    outcome: str
    evidence: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Memo(Happening):
    """What the agent would need to go on elsewhere."""

    kind: ClassVar[str] = "memo"
    memo: Mapping[str, Json]


# --- keys, other parties


@dataclass(frozen=True, slots=True)
class KeyPressed(Happening):
    """`via` is `rfc4733`, `info` or `page`."""

    kind: ClassVar[str] = "key"
    digit: str
    via: str


@dataclass(frozen=True, slots=True)
class DialStarted(Happening):
    kind: ClassVar[str] = "dial.started"
    target: str


@dataclass(frozen=True, slots=True)
class DialAnswered(Happening):
    kind: ClassVar[str] = "dial.answered"
    target: str


@dataclass(frozen=True, slots=True)
class DialEnded(Happening):
    kind: ClassVar[str] = "dial.ended"
    target: str
    exit: str
    cause: str


# --- the list itself


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: when (ms of the call's media clock) and what."""

    t: float
    event: Happening

    def line(self) -> str:
        """The entry as its line in `timeline.jsonl`, without the newline."""
        return json.dumps({"t": round(self.t, 1), "kind": self.event.kind, **self.event.fields()}, ensure_ascii=False)


class Timeline:
    """Appends events to a call's `timeline.jsonl`, keeps them, and tells whoever listens.

    A disk that refuses does not stop the call: entries are kept in memory, `fault` holds what the disk said, and all
    that is owed to the file is written, in order, with the first entry that the disk takes again.
    """

    def __init__(self, path: Path, clock_ms: Callable[[], float]) -> None:
        self.path = path
        self.entries: list[Entry] = []
        self.fault: OSError | None = None
        """Why the file lacks something; None where it has every entry."""
        self._clock_ms = clock_ms
        self._listeners: list[Callable[[Entry], None]] = []
        self._lock = threading.Lock()
        self._file: FileIO | None = path.open("ab", buffering=0)
        self._owed = b""

    def append(self, event: Happening, t: float | None = None) -> Entry:
        """Write down `event` as of `t` (ms; now where None)."""
        entry = Entry(self._clock_ms() if t is None else t, event)
        with self._lock:
            self.entries.append(entry)
            self._write(entry)
        for listener in self._listeners:
            listener(entry)
        return entry

    def listen(self, listener: Callable[[Entry], None]) -> None:
        """Call `listener` with every later entry."""
        self._listeners.append(listener)

    def of(self, *kinds: type[Happening]) -> Iterator[Entry]:
        """The entries of these kinds, in order."""
        return (entry for entry in self.entries if isinstance(entry.event, kinds))

    def close(self) -> None:
        """Write what is still owed, and close the file. Where the disk does not take it, `fault` says why, the file
        stays open, and this may be tried again."""
        with self._lock:
            if self._file is None:
                return
            self._settle()
            if self._owed:
                return
            try:
                self._file.close()
            except OSError as error:
                self.fault = error
            self._file = None

    def _write(self, entry: Entry) -> None:
        if self._file is not None:
            self._owed += entry.line().encode("utf-8", "replace") + b"\n"
            self._settle()

    def _settle(self) -> None:
        """Write what is owed. A disk that is almost full takes a part: the rest stays owed."""
        assert self._file is not None
        try:
            while self._owed:
                self._owed = self._owed[self._file.write(self._owed) :]
            self.fault = None
        except OSError as error:
            self.fault = error


def read_timeline(path: Path) -> list[Entry]:
    """The entries of a `timeline.jsonl`. A line cut off by a crash, or of a kind unknown here, is left out."""
    entries = []
    # Bytes, and the newline alone: a power cut may leave what is no UTF-8, and a caller's words may hold characters
    # that `splitlines` would break a line at.
    for line in path.read_bytes().split(b"\n"):
        try:
            raw = json.loads(line.decode("utf-8"))
            cls = KINDS[raw.pop("kind")]
            entries.append(Entry(float(raw.pop("t")), cls(**raw)))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
    return entries

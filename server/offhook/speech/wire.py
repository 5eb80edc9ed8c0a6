"""What edge and speech worker say to each other, as lines of JSON over a Unix socket pair. No audio passes here.

Every message is a frozen dataclass; on the wire it is an object whose `type` is the class's name. Reading is strict: an
unknown type, a missing, extra or mistyped field, a line too long or values nested too deeply raise `WireError` with a
sentence. The same checks run on writing, so that a model's NaN fails, and a NumPy scalar is made plain, on the side
that made it.
"""

from __future__ import annotations

import dataclasses
import json
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from offhook.speech import contract
from offhook.speech.contract import Delivery, Event, Json, Persona
from offhook.speech.stats import SchedulerStats

LINE_LIMIT = 1 << 20
"""Bytes of one message at most."""
DEPTH_LIMIT = 40
"""Lists and objects inside one another at most."""


class WireError(ValueError):
    """A message that cannot be sent or was not understood; the sentence says which part and why."""


# --- edge to worker


@dataclass(frozen=True, slots=True)
class Admit:
    """Take `persona` into `slot`, whose row is bound as `epoch`; answered by `Admitted` or `Refused` with `ask`.
    `again`: the conversation was held by the worker before this one."""

    ask: int
    slot: int
    epoch: int
    persona: Persona
    again: bool = False


@dataclass(frozen=True, slots=True)
class Deliver:
    slot: int
    epoch: int
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class Release:
    slot: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Rehearse:
    """This persona will be wanted: have its mind and its usual words ready."""

    persona: Persona


@dataclass(frozen=True, slots=True)
class Ping:
    """Answered by `Pong` from the scheduler's thread, between two ticks."""

    ask: int


@dataclass(frozen=True, slots=True)
class Stop:
    """End, when all that happened has been told. What the play rings hold is played on until a row is bound anew."""


# --- worker to edge


@dataclass(frozen=True, slots=True)
class Ready:
    """The model is loaded and the scheduler runs; `capacity` is how many conversations it takes at most."""

    load_ms: float
    capacity: int


@dataclass(frozen=True, slots=True)
class LoadFailed:
    """The worker cannot serve and ends; `why` is for the operator."""

    why: str


@dataclass(frozen=True, slots=True)
class Admitted:
    ask: int


@dataclass(frozen=True, slots=True)
class Refused:
    """`reason` is `full`, `too slow`, `unbound` or `unfit`; `why` is the sentence."""

    ask: int
    reason: str
    why: str


@dataclass(frozen=True, slots=True)
class Pong:
    ask: int


@dataclass(frozen=True, slots=True)
class Happened:
    """A model's event, and the epoch of the row it speaks of."""

    epoch: int
    event: Event


@dataclass(frozen=True, slots=True)
class Counted:
    stats: SchedulerStats


@dataclass(frozen=True, slots=True)
class Beat:
    """A sign of life, a few times a second. `idle_ms`: how long ago the scheduler's thread last finished something;
    `doing`: what it has been at since (`tick`, `admit`, ...)."""

    idle_ms: float
    doing: str


Command = Admit | Deliver | Release | Rehearse | Ping | Stop
Report = Ready | LoadFailed | Admitted | Refused | Pong | Happened | Counted | Beat

_COMMANDS = (Admit, Deliver, Release, Rehearse, Ping, Stop)
_REPORTS = (Ready, LoadFailed, Admitted, Refused, Pong, Happened, Counted, Beat)
_EVENTS = (
    contract.TurnStarted,
    contract.WordsHeard,
    contract.TurnEnded,
    contract.SpeechStarted,
    contract.WordsSpoken,
    contract.Interrupted,
    contract.Decided,
    contract.ToolWanted,
    contract.OutcomeReached,
    contract.Memo,
    contract.Done,
)
_DELIVERIES = (contract.ToolResult, contract.Keys)
_KINDS: dict[str, type] = {
    cls.__name__: cls for cls in (*_COMMANDS, *_REPORTS, *_EVENTS, *_DELIVERIES, Persona, SchedulerStats)
}


def encode(message: Command | Report | Event | Delivery | Persona | SchedulerStats) -> bytes:
    """The message as one line, newline included. Raises WireError where a field cannot be said in JSON."""
    line = json.dumps(_written(message), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    raw = line.encode("utf-8", "surrogatepass") + b"\n"
    if len(raw) > LINE_LIMIT:
        raise WireError(f"a {type(message).__name__} of {len(raw)} bytes is over the limit of {LINE_LIMIT}")
    return raw


def decode(line: bytes) -> Command | Report | Event | Delivery | Persona | SchedulerStats:
    """The message that `encode` made `line` of. Raises WireError for anything else."""
    if len(line) > LINE_LIMIT:
        raise WireError(f"a line of {len(line)} bytes is over the limit of {LINE_LIMIT}")
    try:
        raw = json.loads(line.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise WireError(f"not a line of JSON: {error}") from None
    return cast("Command | Report | Event | Delivery | Persona | SchedulerStats", _read(raw, tuple(_KINDS.values())))


def decode_command(line: bytes) -> Command:
    """A message from the edge. Raises WireError."""
    message = decode(line)
    if not isinstance(message, _COMMANDS):
        raise WireError(f"a {type(message).__name__} does not travel from the edge to a worker")
    return message


def decode_report(line: bytes) -> Report:
    """A message from the worker. Raises WireError."""
    message = decode(line)
    if not isinstance(message, Ready | LoadFailed | Admitted | Refused | Pong | Happened | Counted | Beat):
        raise WireError(f"a {type(message).__name__} does not travel from a worker to the edge")
    return message


def _written(message: object) -> dict[str, Json]:
    kind = type(message).__name__
    if _KINDS.get(kind) is not type(message):
        raise WireError(f"{kind} is no message of this wire")
    out: dict[str, Json] = {"type": kind}
    for name, check in _FIELDS[kind].items():
        try:
            value = check(getattr(message, name))
        except WireError as error:
            raise WireError(f"{kind}.{name}: {error}") from None
        out[name] = _written(value) if dataclasses.is_dataclass(value) else cast(Json, value)
    return out


def _read(raw: object, kinds: tuple[type, ...]) -> object:
    """`raw` (an object with a type, or a message already read) as one of `kinds`."""
    if isinstance(raw, kinds):
        return raw
    if not isinstance(raw, dict):
        raise WireError(f"expected an object with a type, found {_shown(raw)}")
    kind = raw.get("type")
    cls = _KINDS.get(kind) if isinstance(kind, str) else None
    if cls is None or cls not in kinds:
        raise WireError(f"type {_shown(kind)} is not one of {', '.join(c.__name__ for c in kinds)}")
    checks = _FIELDS[cls.__name__]
    if raw.keys() - {"type"} != checks.keys():
        odd = sorted((raw.keys() - {"type"}) ^ checks.keys())
        raise WireError(f"{kind}: missing or unknown {', '.join(_shown(name) for name in odd)}")
    values = {}
    for name, check in checks.items():
        try:
            values[name] = check(raw[name])
        except WireError as error:
            raise WireError(f"{kind}.{name}: {error}") from None
    return cls(**values)


# --- fields, by their annotation


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise WireError(f"expected text, found {_shown(value)}")
    return value


def _truth(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if type(value).__name__ == "bool":  # NumPy's, which is no subclass
        return bool(value)
    raise WireError(f"expected true or false, found {_shown(value)}")


def _whole(value: object) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise WireError(f"expected a whole number, found {_shown(value)}")
    return operator.index(value)


def _number(value: object) -> float:
    if isinstance(value, bool | str | bytes) or not hasattr(value, "__float__"):
        raise WireError(f"expected a number, found {_shown(value)}")
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise WireError(f"expected a number, found {_shown(value)}: {error}") from None
    if not math.isfinite(number):
        raise WireError(f"{number} is no number that JSON can say")
    return number


def _plain(value: object, depth: int = 0) -> Json:
    if value is None or isinstance(value, str | bool):
        return value
    if depth > DEPTH_LIMIT:
        raise WireError(f"nested more than {DEPTH_LIMIT} deep")
    if isinstance(value, Mapping):
        return {_text(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [_plain(item, depth + 1) for item in value]
    if hasattr(value, "__index__"):
        return operator.index(value)
    return _number(value)


Check = Callable[[object], object]


def _mapping(check: Check) -> Check:
    def read(value: object) -> object:
        if not isinstance(value, Mapping):
            raise WireError(f"expected an object, found {_shown(value)}")
        return {_text(key): check(item) for key, item in value.items()}

    return read


def _list(check: Check) -> Check:
    def read(value: object) -> object:
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            raise WireError(f"expected a list, found {_shown(value)}")
        return [check(item) for item in value]

    return read


def _optional(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def _nested(*kinds: type) -> Check:
    return lambda value: _read(value, kinds)


_CHECKS: dict[str, Check] = {
    "str": _text,
    "bool": _truth,
    "int": _whole,
    "float": _number,
    "Json": _plain,
    "str | None": _optional(_text),
    "Sequence[int]": _list(_whole),
    "Mapping[str, str]": _mapping(_text),
    "Mapping[str, int]": _mapping(_whole),
    "Mapping[str, float]": _mapping(_number),
    "Mapping[str, Json]": _mapping(_plain),
    "Mapping[str, Json] | None": _optional(_mapping(_plain)),
    "Persona": _nested(Persona),
    "Event": _nested(*_EVENTS),
    "Delivery": _nested(*_DELIVERIES),
    "SchedulerStats": _nested(SchedulerStats),
}

# Annotations are strings in every module concerned; one that has no check here fails when this module is imported.
_FIELDS: dict[str, dict[str, Check]] = {
    kind: {f.name: _CHECKS[str(f.type)] for f in dataclasses.fields(cls)} for kind, cls in _KINDS.items()
}

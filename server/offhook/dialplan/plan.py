"""A dial plan once it is read and checked: frozen, so that a call keeps the plan it began with.

Three tables and one graph: numbers lead to flows, guards come before every flow, flows are steps with exits. Nothing
here reads files (`schema`), judges (`lint`) or acts (`interpreter`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from zoneinfo import ZoneInfo

from offhook.dialplan.expressions import Expression
from offhook.dialplan.hours import Hours
from offhook.dialplan.numbers import find_number
from offhook.dialplan.prompts import Prompts
from offhook.faults import spell_time


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the file, from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Handled:
    """What an exit leads to: the flow `go`, or the next step where None; and what it is written down as."""

    place: Place
    go: str | None = None
    outcome: str | None = None
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `kind` is its word in the file, `EXITS` its closed set of exits, `INSTANT` those of them that can be
    reached without the caller hearing anything. Exits not in `handled` lead on to the next step."""

    kind: ClassVar[str] = ""
    EXITS: ClassVar[tuple[str, ...]] = ("done",)
    INSTANT: ClassVar[tuple[str, ...]] = ()
    MUST_HANDLE: ClassVar[bool] = False
    """Every exit is to be written down; where it is not, going on is harmless."""

    place: Place
    handled: Mapping[str, Handled]


@dataclass(frozen=True, slots=True)
class Say(Step):
    kind = "say"
    text: str
    """A prompt's name, or the words themselves."""


@dataclass(frozen=True, slots=True)
class Disclose(Step):
    kind = "disclose"
    what: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Record(Step):
    """Going on when the disk refuses is the default: a call is worth more than its recording."""

    kind = "record"
    EXITS = ("recording", "failed")
    INSTANT = ("recording", "failed")
    keep: str


@dataclass(frozen=True, slots=True)
class Agent(Step):
    kind = "agent"
    EXITS = ("resolved", "human", "failed", "busy", "timeout")
    INSTANT = ("failed", "busy")
    MUST_HANDLE = True
    use: str
    max_s: float


@dataclass(frozen=True, slots=True)
class Dial(Step):
    kind = "dial"
    EXITS = ("answered", "busy", "no-answer", "failed")
    INSTANT = ("busy", "failed")
    MUST_HANDLE = True
    to: str
    ring_s: float
    max_s: float | None


@dataclass(frozen=True, slots=True)
class If(Step):
    kind = "if"
    EXITS = ("true", "false")
    INSTANT = ("true", "false")
    test: Expression


@dataclass(frozen=True, slots=True)
class Go(Step):
    kind = "go"
    INSTANT = ("done",)


@dataclass(frozen=True, slots=True)
class Voicemail(Step):
    """Going on from either exit is the default: what usually follows is the end of the flow, and of the call."""

    kind = "voicemail"
    EXITS = ("left", "empty")
    say: str
    max_s: float
    keep: str


@dataclass(frozen=True, slots=True)
class HangUp(Step):
    kind = "hangup"
    EXITS = ()
    cause: str


@dataclass(frozen=True, slots=True)
class Guard:
    """Before any flow: where `test` holds, exactly one of the three happens."""

    place: Place
    test: Expression
    reject: int | None = None
    dial: Dial | None = None
    go: str | None = None


@dataclass(frozen=True, slots=True)
class Number:
    """Who is called. `trunk`: only calls by this trunk reach it; None: all do."""

    place: Place
    number: str
    flow: str
    language: str
    trunk: str | None
    voice: str | None


@dataclass(frozen=True, slots=True)
class Flow:
    place: Place
    name: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """A dial plan that lint found no error in. `sha256` is of the file's bytes, in hex."""

    file: str
    sha256: str
    zone: ZoneInfo
    numbers: Mapping[str, Number]
    hours: Mapping[str, Hours]
    lists: Mapping[str, tuple[str, ...]]
    guards: tuple[Guard, ...]
    flows: Mapping[str, Flow]
    prompts: Prompts

    def number(self, dialled: str, trunk: str) -> Number | None:
        """The entry for a dialled number on a call that came by `trunk`."""
        form = find_number(dialled, self.numbers)
        entry = self.numbers[form] if form is not None else None
        return entry if entry is not None and entry.trunk in (None, trunk) else None

    def where(self, place: Place) -> str:
        """`front-door.yaml:12`."""
        return f"{Path(self.file).name}:{place.line}"


def detail(step: Step) -> str:
    """What the step is given, in a few words."""
    match step:
        case Say():
            return step.text
        case Disclose():
            return ", ".join(step.what)
        case Record():
            return f"keep {step.keep}"
        case Agent():
            return f"{step.use}, at most {spell_time(step.max_s)}"
        case Dial():
            return f"{step.to}, ring {spell_time(step.ring_s)}"
        case If():
            return step.test.text
        case Go():
            return step.handled["done"].go or ""
        case Voicemail():
            return f"{step.say}, keep {step.keep}"
        case HangUp():
            return step.cause
    return ""

"""What is wrong with a file that a person wrote, said so that they can mend it: where, what, and what to do.

A `Fault` is one such sentence, `Faults` collects those of one pass, `FileFaults` carries them to whoever asked for the
file. The wording at the end is for everyone who writes faults. This module reads no files.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

MAX_FAULTS = 100
_FEW = 15
_MANY = 1_000  # of time zones there are 600
UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Severity(Enum):
    """An error refuses the file, a warning is printed."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a file: where (line and column count from 1), what, and what would mend it."""

    file: str
    line: int
    column: int
    code: str
    what: str
    mend: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        warning = "warning: " if self.severity is Severity.WARNING else ""
        return f"{self.file}:{self.line}:{self.column} {self.code} {warning}{self.what} - {self.mend}"

    def as_json(self) -> dict[str, str | int]:
        """The fault as one flat JSON object."""
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "code": self.code,
            "severity": self.severity.value,
            "what": self.what,
            "mend": self.mend,
        }


class FileFaults(Exception):
    """A file cannot be used; `faults` are all that was found wrong with it, in the order of the file."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(faults, key=lambda fault: (fault.file, fault.line, fault.column, fault.code)))
        super().__init__("\n".join(str(fault) for fault in self.faults))


class Faults:
    """Collects what is wrong with a file, up to `MAX_FAULTS` of each severity: a file broken throughout need not say so
    a million times."""

    def __init__(self) -> None:
        self.found: list[Fault] = []

    @property
    def full(self) -> bool:
        """Whether errors are enough; warnings are counted apart, so that they never crowd an error out."""
        return self._count(Severity.ERROR) >= MAX_FAULTS

    def add(self, fault: Fault) -> None:
        """Keep `fault`; said twice of one place it counts once."""
        if self._count(fault.severity) < MAX_FAULTS and fault not in self.found:
            self.found.append(fault)

    def _count(self, severity: Severity) -> int:
        return sum(fault.severity is severity for fault in self.found)

    def errors(self) -> list[Fault]:
        return [fault for fault in self.found if fault.severity is Severity.ERROR]

    def raise_errors(self) -> None:
        """Raise `FileFaults` where anything found so far is an error."""
        if errors := self.errors():
            raise FileFaults(errors)


# --- wording, for everyone who writes faults


def quoted(text: str) -> str:
    """`text` for a message: in quotes, on one line, not longer than a glance."""
    return json.dumps(text if len(text) <= 60 else text[:57] + "...", ensure_ascii=False)


def one_of(names: Iterable[str]) -> str:
    """`a, b or c`; of very many the first few."""
    known = list(names)
    if len(known) > _FEW:
        return f"{', '.join(known[:_FEW])} or one of {len(known) - _FEW} more"
    return known[0] if len(known) == 1 else f"{', '.join(known[:-1])} or {known[-1]}" if known else "nothing here"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` (did you mean X?)` where a known name is close to `name`, else nothing."""
    close = difflib.get_close_matches(name[:80], list(known)[:_MANY], n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""


def spell_time(seconds: float) -> str:
    """Seconds in the largest unit that gives a whole number, as the files write them: `30s`, `10m`, `30d`."""
    for unit in ("d", "h", "m", "s"):
        if seconds >= UNIT_SECONDS[unit] and seconds % UNIT_SECONDS[unit] == 0:
            return f"{int(seconds // UNIT_SECONDS[unit])}{unit}"
    return f"{round(seconds * 1000)}ms"

"""Reads the files people write (dial plans, agents) as YAML in which every scalar is text and knows its place.

No scalar is ever guessed to be a number, a time or a truth value (`+4420...`, `9:00`, `no` and `1.10` stay what was
written); whoever reads the file asks a node for what it should be, and a wrong one becomes a `Fault` with file, line,
column, what is wrong and what would mend it (`offhook.faults`); all of one pass are raised together as `FileFaults`.
YAML's anchors, aliases, merge keys, tags, directives and several documents in a file are refused, and size and depth
are bounded, since such files also come from strangers. This module knows nothing of what the files mean.

Codes: Y001 cannot be read, Y002 too large, Y003 not UTF-8, Y004 control character, Y005 not YAML, Y006 anchor, alias or
merge key, Y007 tag, Y008 key twice, Y009 several documents, Y010 nested too deep, Y011 key is not text, Y012 directive,
Y013 empty file, Y020 not a mapping, Y021 not a list, Y022 not text, Y023 unknown key, Y024 key missing, Y025 not one of
the choices, Y026 not a number, Y027 not a length of time, Y028 empty, Y029 not yes or no.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from offhook.faults import UNIT_SECONDS, Fault, Faults, FileFaults, Severity, did_you_mean, one_of, quoted, spell_time

MAX_BYTES = 256 * 1024
MAX_DEPTH = 24

Plain = str | list["Plain"] | dict[str, "Plain"]


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A file as read. `sha256` is of its bytes, in hex; `faults` collects what its nodes are found to be."""

    file: str
    text: str
    sha256: str
    faults: Faults = field(default_factory=Faults)


# --- nodes


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A piece of a file and its place. The `as_...` methods give what it is asked to be, or note a fault and give
    None; `what` names the piece in that fault, as in "the ring time"."""

    source: Source
    line: int
    column: int

    def fault(self, code: str, what: str, mend: str, severity: Severity = Severity.ERROR) -> None:
        """Note what is wrong with this node."""
        self.source.faults.add(Fault(self.source.file, self.line, self.column, code, what, mend, severity))

    def as_mapping(self, what: str) -> Mapping | None:
        if isinstance(self, Mapping):
            return self
        self.fault(
            "Y020", f"{what} must be a mapping, and this is {self._kind()}", "write `name: value` lines under it"
        )
        return None

    def as_sequence(self, what: str) -> Sequence | None:
        if isinstance(self, Sequence):
            return self
        self.fault(
            "Y021", f"{what} must be a list, and this is {self._kind()}", "write it as [one, two] or as `- ` lines"
        )
        return None

    def as_scalar(self, what: str) -> Scalar | None:
        if isinstance(self, Scalar):
            return self
        self.fault("Y022", f"{what} must be a text, and this is {self._kind()}", "write one value after the colon")
        return None

    def as_text(self, what: str, empty: bool = False) -> str | None:
        """The scalar's text, not blank unless `empty`, and without control characters other than line ends."""
        scalar = self.as_scalar(what)
        if scalar is None:
            return None
        if not empty and not scalar.value.strip():
            self.fault("Y028", f"{what} is empty", "write a value after the colon or drop the key")
            return None
        if any(_is_control(character) and character != "\n" for character in scalar.value):
            self.fault("Y004", f"{what} contains a control character", "remove the backslash escape that makes it")
            return None
        return scalar.value

    def as_choice(self, what: str, choices: Iterable[str]) -> str | None:
        """The scalar's text where it is one of `choices`."""
        text = self.as_text(what)
        known = tuple(choices)
        if text is None or text in known:
            return text
        self.fault("Y025", f"{what} cannot be {quoted(text)}", f"use {one_of(known)}{did_you_mean(text, known)}")
        return None

    def as_int(self, what: str, least: int, most: int) -> int | None:
        """The scalar as a whole number in decimal digits, `least` to `most`."""
        text = self.as_text(what)
        if text is None:
            return None
        if re.fullmatch(r"-?[0-9]{1,15}", text) and least <= int(text) <= most:
            return int(text)
        self.fault("Y026", f"{what} cannot be {quoted(text)}", f"write a whole number from {least} to {most}")
        return None

    def as_number(self, what: str, least: float, most: float) -> float | None:
        """The scalar as a decimal number, `least` to `most`."""
        text = self.as_text(what)
        if text is None:
            return None
        if re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,15})?", text) and least <= float(text) <= most:
            return float(text)
        self.fault("Y026", f"{what} cannot be {quoted(text)}", f"write a number from {least:g} to {most:g}")
        return None

    def as_flag(self, what: str) -> bool | None:
        """The scalar as `yes` or `no` (`true` and `false` are taken too)."""
        text = self.as_text(what)
        if text in ("yes", "true"):
            return True
        if text in ("no", "false"):
            return False
        if text is not None:
            self.fault("Y029", f"{what} cannot be {quoted(text)}", "write yes or no")
        return None

    def as_seconds(self, what: str, least: float, most: float) -> float | None:
        """The scalar as a length of time with its unit (`500ms`, `30s`, `10m`, `2h`, `30d`), in seconds."""
        text = self.as_text(what)
        if text is None:
            return None
        match = re.fullmatch(r"([0-9]{1,9})(ms|s|m|h|d)", text)
        if match is None:
            self.fault(
                "Y027", f"{what} cannot be {quoted(text)}", "write a number and its unit, as in 30s, 10m, 2h or 30d"
            )
            return None
        seconds = int(match[1]) * UNIT_SECONDS[match[2]]
        if not least <= seconds <= most:
            self.fault(
                "Y027", f"{what} cannot be {quoted(text)}", f"keep it from {spell_time(least)} to {spell_time(most)}"
            )
            return None
        return seconds

    def plain(self) -> Plain:
        """The node as strings, lists and dicts."""
        if isinstance(self, Mapping):
            return {key.value: value.plain() for key, value in self.entries}
        if isinstance(self, Sequence):
            return [item.plain() for item in self.items]
        return self.value if isinstance(self, Scalar) else ""

    def _kind(self) -> str:
        if isinstance(self, Mapping):
            return "a mapping"
        if isinstance(self, Sequence):
            return "a list"
        return "empty" if isinstance(self, Scalar) and not self.value else "a text"


@dataclass(frozen=True, slots=True, eq=False)
class Scalar(Node):
    """A text, exactly as written."""

    value: str
    style: str
    """`plain`, `'`, `"`, `|` or `>`."""

    def place(self, line: int, column: int) -> tuple[int, int]:
        """Where in the file the `line`-th line's `column`-th character of this text stands (both from 1).
        Where escapes or folding hide that, where the text begins."""
        lines = self.source.text.split("\n")
        if self.style == "|":
            below = lines[self.line : self.line + line]
            if len(below) == line and (first := next((text for text in lines[self.line :] if text.strip()), None)):
                return self.line + line, column + len(first) - len(first.lstrip(" "))
        elif self.style != ">" and line == 1 and "\n" not in self.value:
            start = self.column - 1 + (self.style != "plain")
            if lines[self.line - 1].startswith(self.value, start):
                return self.line, start + column
        return self.line, self.column


@dataclass(frozen=True, slots=True, eq=False)
class Sequence(Node):
    items: tuple[Node, ...]

    def __iter__(self) -> Iterator[Node]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, slots=True, eq=False)
class Mapping(Node):
    """Keys, each a scalar with its own place, in the order of the file; no key stands twice."""

    entries: tuple[tuple[Scalar, Node], ...]
    _by_name: dict[str, tuple[Scalar, Node]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {key.value: (key, value) for key, value in self.entries})

    def __iter__(self) -> Iterator[tuple[Scalar, Node]]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def get(self, name: str) -> Node | None:
        """The value under `name`, or None."""
        entry = self._by_name.get(name)
        return entry[1] if entry else None

    def key(self, name: str) -> Scalar | None:
        """The key `name` itself, for its place."""
        entry = self._by_name.get(name)
        return entry[0] if entry else None

    def need(self, name: str, what: str) -> Node | None:
        """The value under `name`; where there is none, a fault says that `what` (this mapping) lacks it."""
        value = self.get(name)
        if value is None:
            self.fault("Y024", f"{what} has no `{name}`", f"add `{name}:`")
        return value

    def only(self, allowed: Iterable[str], what: str) -> None:
        """Note a fault for each key of `what` (this mapping) that is not `allowed`."""
        known = tuple(allowed)
        for key, _ in self.entries:
            if key.value not in known and not self.source.faults.full:
                mend = f"use {one_of(known)}{did_you_mean(key.value, known)}"
                key.fault("Y023", f"{what} has no key {quoted(key.value)}", mend)


# --- reading


def load(path: Path) -> Node:
    """The root of the file at `path`. Raises `FileFaults` where it cannot be read or is not such a file."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or str(error)
        raise FileFaults(
            [Fault(str(path), 1, 1, "Y001", f"cannot be read: {reason}", "check the path and its permissions")]
        ) from None
    return parse(raw, str(path))


def parse(raw: bytes, file: str) -> Node:
    """The root of a file's bytes; `file` is its name in faults. Raises `FileFaults`."""
    source = Source(file, _decode(raw, file), hashlib.sha256(raw).hexdigest())
    builder = _Builder(source)
    try:
        root = builder.build(YAML(typ="safe", pure=True).parse(source.text))
    except MarkedYAMLError as error:
        source.faults.add(_syntax_fault(source, error))
        root = None
    except ReaderError as error:
        line, column = _line_and_column(source.text, error.position)
        what, mend = f"the file contains the control character {error.character:#04x}", "delete that character"
        source.faults.add(Fault(file, line, column, "Y004", what, mend))
        root = None
    except (YAMLError, ValueError, OverflowError) as error:  # the scanner hands escapes beyond Unicode to chr()
        what, mend = f"this is not YAML: {_one_line(str(error))}", "correct or quote what stands at or after this place"
        source.faults.add(Fault(file, *builder.reached, "Y005", what, mend))
        root = None
    source.faults.raise_errors()
    if root is None:
        raise FileFaults([Fault(file, 1, 1, "Y013", "the file is empty", "write something into it")])
    return root


class _TooDeep(Exception):
    """Nothing below this place is worth reading."""


class _Builder:
    """Makes nodes of parser events, without recursion, so that depth costs no stack."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._root: Node | None = None
        self._open: list[tuple[int, int, bool, list[Node]]] = []  # line, column, is a mapping, children
        self._documents = 0
        self.reached = (1, 1)

    def build(self, events: Iterator[Event]) -> Node | None:
        try:
            for event in events:
                if not self._take(event):
                    break
        except _TooDeep:
            pass
        return self._root

    def _take(self, event: Event) -> bool:
        """Take one event; False where the rest is not to be read."""
        line, column = self.reached = (event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, DocumentStartEvent):
            if event.version is not None or event.tags:
                self._fault(
                    line, column, "Y012", "YAML directives are not used here", "drop the lines that begin with %"
                )
            self._documents += 1
            if self._documents > 1:
                self._fault(line, column, "Y009", "the file holds a second document", "drop `---`, or use two files")
                return False
            return True
        if isinstance(event, NodeEvent) and event.anchor is not None:
            self._refuse_anchor(event, line, column)
        if (tag := getattr(event, "tag", None)) is not None:
            self._fault(line, column, "Y007", f"tags ({quoted(str(tag))}) are not used here", "put the text in quotes")
        if isinstance(event, ScalarEvent):
            if any(0xD800 <= ord(character) < 0xE000 for character in event.value):
                self._fault(line, column, "Y004", "half a character stands here", "write the character itself")
            self._add(Scalar(self._source, line, column, str(event.value), str(event.style or "plain")))
        elif isinstance(event, AliasEvent):
            self._add(Scalar(self._source, line, column, "", "plain"))
        elif isinstance(event, MappingStartEvent | SequenceStartEvent):
            if len(self._open) >= MAX_DEPTH:
                self._fault(line, column, "Y010", f"nested deeper than {MAX_DEPTH} levels", "flatten the file")
                raise _TooDeep
            self._open.append((line, column, isinstance(event, MappingStartEvent), []))
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            self._close()
        return True

    def _close(self) -> None:
        line, column, is_mapping, children = self._open.pop()
        if not is_mapping:
            self._add(Sequence(self._source, line, column, tuple(children)))
            return
        entries: dict[str, tuple[Scalar, Node]] = {}
        for key, value in zip(children[::2], children[1::2], strict=True):
            if not isinstance(key, Scalar):
                self._fault(key.line, key.column, "Y011", "a key must be a text", "write `name: value`")
            elif key.value in entries:
                first = entries[key.value][0].line
                what = f"{quoted(key.value)} stands here a second time"
                self._fault(key.line, key.column, "Y008", what, f"keep one of the two; the first is in line {first}")
            else:
                if key.value == "<<" and key.style == "plain":
                    self._fault(key.line, key.column, "Y006", "merge keys are not used here", "write the keys out")
                if isinstance(value, Scalar) and not value.value and value.line > key.line and value.style == "plain":
                    # The parser places a value left out at whatever comes next; the writer looks at its key.
                    value = Scalar(self._source, key.line, key.column, "", "plain")
                entries[key.value] = (key, value)
        self._add(Mapping(self._source, line, column, tuple(entries.values())))

    def _add(self, node: Node) -> None:
        if self._open:
            self._open[-1][3].append(node)
        else:
            self._root = node

    def _refuse_anchor(self, event: NodeEvent, line: int, column: int) -> None:
        sign = "*" if isinstance(event, AliasEvent) else "&"
        what = f"{quoted(sign + str(event.anchor))} is a YAML {'alias' if sign == '*' else 'anchor'}, not used here"
        self._fault(
            line, column, "Y006", what, f"put it in quotes if the text begins with {sign}, else write the value out"
        )

    def _fault(self, line: int, column: int, code: str, what: str, mend: str) -> None:
        self._source.faults.add(Fault(self._source.file, line, column, code, what, mend))


def _decode(raw: bytes, file: str) -> str:
    if len(raw) > MAX_BYTES:
        what, mend = f"the file is larger than {MAX_BYTES // 1024} KiB", "split it, or move lists out of it"
        raise FileFaults([Fault(file, 1, 1, "Y002", what, mend)])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _line_and_column(raw[: error.start].decode("utf-8", "replace"), error.start)
        fault = Fault(
            file, line, column, "Y003", f"the byte {raw[error.start]:#04x} is not UTF-8", "save the file as UTF-8"
        )
        raise FileFaults([fault]) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


_SYNTAX = (
    (r"\t", "a tab stands where only spaces may", "indent with spaces"),
    (
        "unknown escape",
        "a backslash in double quotes begins no known escape",
        "use single quotes, or double the backslash",
    ),
    ("while scanning a tag", "a value begins with `!`, which YAML keeps for itself", "put the value in quotes"),
    ("alias", "a value begins with `*`, which YAML keeps for itself", "put the value in quotes"),
    ("anchor", "a value begins with `&`, which YAML keeps for itself", "put the value in quotes"),
    ("mapping values are not allowed", "a colon and a space stand where no key can be", "put the value in quotes"),
    (
        "flow mapping",
        "the { } is not closed, or holds something that must be in quotes",
        "close it, or quote the value",
    ),
    (
        "flow sequence",
        "the [ ] is not closed, or holds something that must be in quotes",
        "close it, or quote the value",
    ),
    ("end of stream", "a quote is opened and never closed", "close it"),
    ("could not find expected ':'", "this line has no colon", "write `name: value`"),
    ("block mapping", "this line does not fit the lines above it", "align it with them, and write `name: value`"),
    ("block sequence", "this line does not fit the list above it", "align its `- ` with the others"),
    ("document start", "something follows the end of the document", "align it with the lines above it"),
)


def _syntax_fault(source: Source, error: MarkedYAMLError) -> Fault:
    """What the YAML scanner or parser said, in words for whoever wrote the file."""
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    said = _one_line(f"{error.context or ''} {error.problem or ''}")
    for sign, what, mend in _SYNTAX:
        if sign in said:
            if sign == "end of stream" and error.context_mark:
                line, column = error.context_mark.line + 1, error.context_mark.column + 1
            return Fault(source.file, line, column, "Y005", what, mend)
    return Fault(source.file, line, column, "Y005", f"this is not YAML: {said}", "correct or quote what stands here")


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]


def _line_and_column(text: str, position: int) -> tuple[int, int]:
    before = text[:position]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _is_control(character: str) -> bool:
    return ord(character) < 32 or 127 <= ord(character) < 160

"""What was said and done in a conversation so far: enough to go on with it elsewhere, on a fresh connection.

Bounded: the oldest entries go first. It decides nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from offhook.speech.contract import Json
from offhook.speech.realtime import outgoing
from offhook.speech.realtime.options import RealtimeOptions

MOST_ENTRIES = 60
LONGEST, LONGEST_RESULT = 1_000, 4_000
"""Characters kept of what was said, and of a tool's arguments or result."""
CUT_OFF = "(interrupted here)"


@dataclass(slots=True)
class Entry:
    """`who` is `caller`, `agent`, `call` (the agent used a tool) or `result`; `id` and `name` are a tool call's."""

    who: str
    text: str
    id: str = ""
    name: str = ""


@dataclass(slots=True)
class Memory:
    """One conversation's."""

    entries: list[Entry] = field(default_factory=list)
    connections: int = 0
    """Opened so far; tool calls are numbered by it, for another connection may use the same ids again."""
    silences: int = 0
    end: tuple[str, str] | None = None
    """The exit and reason that the agent has decided on."""

    def note(self, who: str, text: str, id: str = "", name: str = "") -> Entry:
        if who == "call" and len(text) > LONGEST_RESULT:
            text = "{}"  # half a JSON object is none
        entry = Entry(who, text[: LONGEST if who in ("caller", "agent") else LONGEST_RESULT], id, name)
        self.entries.append(entry)
        while len(self.entries) > MOST_ENTRIES or (self.entries and self.entries[0].who == "result"):
            self.entries.pop(0)  # a result without its call is refused
        return entry

    def unanswered(self) -> list[Entry]:
        """The tool calls whose results are still to come."""
        answered = {entry.id for entry in self.entries if entry.who == "result"}
        return [entry for entry in self.entries if entry.who == "call" and entry.id not in answered]

    def last(self, who: str) -> str:
        return next((entry.text for entry in reversed(self.entries) if entry.who == who), "")

    def retold(self, options: RealtimeOptions) -> Iterator[str]:
        """The messages that tell a fresh far end what was said. A tool call goes by `far_id` there."""
        for entry in self.entries:
            if entry.who in ("caller", "agent"):
                if entry.text:
                    yield outgoing.said(options, entry.who, entry.text)
            elif entry.who == "call":
                yield outgoing.called(far_id(entry.id), entry.name, entry.text)
            else:
                yield outgoing.result(far_id(entry.id), entry.text)

    def memo(self) -> Mapping[str, Json]:
        return {
            "said": [[entry.who, entry.text, entry.id, entry.name] for entry in self.entries],
            "connections": self.connections,
            "silences": self.silences,
            "end": None if self.end is None else list(self.end),
        }

    @classmethod
    def recalled(cls, memo: Mapping[str, Json]) -> Memory:
        """What `memo` holds. One of another model's holds nothing: the conversation goes on without its beginning."""
        memory = cls()
        said = memo.get("said")
        for one in said if isinstance(said, list | tuple) else ():
            match one:
                case [str(who), str(text), str(id), str(name)] if who in ("caller", "agent", "call", "result"):
                    if who != "call" or _is_object(text):
                        memory.note(who, text, id, name)
        memory.connections = _count(memo.get("connections"))
        memory.silences = _count(memo.get("silences"))
        match memo.get("end"):
            case ["human" | "resolved" as exit, str(reason)]:
                memory.end = (exit, reason)
        return memory


def far_id(id: str) -> str:
    """What a tool call of an earlier connection is called on a later one: far ends take short ids only."""
    return f"call_{hashlib.sha256(id.encode()).hexdigest()[:20]}"


def _count(value: Json) -> int:
    return value if isinstance(value, int) and 0 <= value < 1_000_000 else 0


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False

"""Where a conversation stands: skill in hand, facts so far, what was asked last. Plain data, to and from JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import cast

from offhook.speech.contract import Json


class Asked(Enum):
    """What the agent waits for."""

    NOTHING = "nothing"
    """Whatever the caller came for."""
    FACT = "fact"
    FACT_RIGHT = "fact-right"
    """Whether the fact just read back is right."""
    SKILL_RIGHT = "skill-right"
    """Whether to go ahead."""
    CHANGE = "change"
    """What was wrong, after a no to `SKILL_RIGHT`."""
    TOOL = "tool"
    """A tool's answer."""
    RETRY = "retry"
    """Whether to try a failed tool again."""
    PERSON = "person"
    """Whether to put the caller through."""
    MORE = "more"
    """Whether there is anything else."""


@dataclass(frozen=True, slots=True)
class State:
    """One conversation. A decision gives a new one."""

    asked: Asked = Asked.NOTHING
    skill: str | None = None
    fact: str | None = None
    facts: Mapping[str, Json] = field(default_factory=dict)
    """What is known of the call so far."""
    before: Mapping[str, Json] = field(default_factory=dict)
    """What each fact was last understood as, forgotten ones too: a correction may refer to it."""
    confirmed: tuple[str, ...] = ()
    """Facts of the skill in hand the caller has confirmed; `*` for the whole."""
    unsure: tuple[str, ...] = ()
    """Facts so doubtful that they are read back before they are used."""
    partial: str = ""
    """Digits heard of a number that broke off."""
    waiting: tuple[str, ...] = ()
    """Skills asked for and not yet begun."""
    last: str | None = None
    """The skill finished last."""
    misses: int = 0
    """Turns in a row that were not understood."""
    wrong: int = 0
    """Times in a row that a tool did not know a fact."""
    failures: int = 0
    """Tool failures of the skill in hand."""
    tool: str = ""
    """Id of the tool wanted."""
    tools: int = 0
    said: str = ""
    """The agent's last turn, whole."""
    unsaid: str = ""
    """What of it an interruption kept the caller from hearing."""
    over: bool = False
    """The last words are chosen, and are being said."""
    exit: str = "resolved"
    """Of a conversation that is over: how, as `Finish` has it."""
    reason: str = ""

    def to_json(self) -> dict[str, Json]:
        raw = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {**raw, "asked": self.asked.value, "facts": dict(self.facts), "before": dict(self.before)} | {
            name: list(raw[name]) for name in ("confirmed", "unsure", "waiting")
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Json]) -> State:
        """The state that `to_json` wrote. Raises ValueError where `raw` is none."""
        known = {f.name: f for f in dataclasses.fields(cls)}
        if unknown := set(raw) - set(known):
            raise ValueError(f"this memo is of another version: it holds {', '.join(sorted(unknown))}")
        values: dict[str, object] = dict(raw)
        try:
            values["asked"] = Asked(raw.get("asked", "nothing"))
            for name in ("facts", "before"):
                values[name] = dict(cast(Mapping[str, Json], raw.get(name, {})))
            for name in ("confirmed", "unsure", "waiting"):
                values[name] = tuple(str(item) for item in cast(Sequence[Json], raw.get(name, ())))
            for name in ("misses", "wrong", "failures", "tools"):
                values[name] = int(cast(int, raw.get(name, 0)))
            return cls(**values)  # type: ignore[arg-type]  # checked field by field above
        except (TypeError, ValueError) as error:
            raise ValueError(f"this memo cannot be read: {error}") from None

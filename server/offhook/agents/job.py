"""What an AI agent's file says, typed and frozen: the job, the skills, the facts they need, the tools, the targets.

These are the words of the file and nothing else: reading the file with positions is `schema`, acting on it is
`mind`. An `Agent` travels to the speech worker as JSON (`document`) and is the same agent there (`from_document`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from offhook.speech.contract import Json, Persona

NAME = r"^[a-z][a-z0-9]*([-_][a-z0-9]+)*$"
"""Names of skills, facts, tools, outcomes: small letters, digits, single `-` or `_`."""
MAX_EXAMPLES = 200
PLACE = re.compile(r"\{(?P<on>on )?(?P<name>[a-z][a-z0-9_.-]*)\}")
"""A place in a spoken text: `{order}` is a fact, `{result.status}` a field of the tool's answer, and `{on day}` a date
with its preposition where it takes one: `on Thursday`, but `today`."""

Name = Annotated[str, Field(pattern=NAME, max_length=64)]
Spoken = Annotated[str, Field(min_length=1, max_length=600)]
Line = Annotated[str, Field(min_length=1, max_length=300)]


def _seconds(value: object) -> object:
    """`3s`, `500ms`, `2m` as seconds; anything else is left for the type to judge."""
    if isinstance(value, str) and (match := re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)\s*(ms|s|m)", value.strip())):
        return float(match[1]) * {"ms": 0.001, "s": 1.0, "m": 60.0}[match[2]]
    return value


def _share(value: object) -> object:
    """`70%` as 0.7."""
    if isinstance(value, str) and (match := re.fullmatch(r"(\d{1,3}(?:\.\d{1,3})?)\s*%", value.strip())):
        return float(match[1]) / 100
    return value


def _named(value: object) -> object:
    """A text where a mapping with `say` may stand means `{say: text}`."""
    return {"say": value} if isinstance(value, str) else value


def _purpose(value: object) -> object:
    return {"purpose": value} if isinstance(value, str) else value


Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0, le=600)]
Share = Annotated[float, BeforeValidator(_share), Field(ge=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, str_strip_whitespace=True)


class FactType(Enum):
    """What kind of thing a fact is; `facts` knows how each is said."""

    DIGITS = "digits"
    NUMBER = "number"
    DATE = "date"
    YES_NO = "yes-no"
    CHOICE = "choice"
    NAME = "name"
    MONEY = "money"
    TEXT = "text"


def _length(value: object) -> object:
    if isinstance(value, str) and (match := re.fullmatch(r"(\d{1,2})\s*(?:-|to)\s*(\d{1,2})", value.strip())):
        return (int(match[1]), int(match[2]))
    if isinstance(value, str) and value.strip().isdigit():
        return (int(value), int(value))
    if isinstance(value, str):
        raise ValueError(f'"{value[:40]}" is no length; it is as `4` or as `4-8`')
    return value


class Fact(_Part):
    """Something a skill needs to know."""

    type: FactType
    ask: Spoken
    """The question, in the agent's words."""
    again: Spoken | None = None
    """The question asked a second time; `ask` where None."""
    confirm: Spoken | None = None
    """Read back before it is used: `Order {order}, is that right?`"""
    length: Annotated[tuple[int, int], BeforeValidator(_length)] | None = None
    """`digits`: how many, least and most."""
    options: Mapping[Name, tuple[Line, ...]] | None = None
    """`choice`: each value with the ways it is said."""
    least: float | None = None
    most: float | None = None
    """`number`, `money`: bounds, included."""
    optional: bool = False
    """Taken when said, never asked for."""
    keep: bool = True
    """Known for the rest of the call once said."""

    @property
    def lengths(self) -> tuple[int, int]:
        return self.length or (1, 20)


class Reply(_Part):
    """What to do with a tool's answer, or with a failure."""

    say: Spoken
    outcome: Name | None = None
    """The outcome this counts as; the skill's where None, none at all where `none`."""
    ask: Name | None = None
    """A fact that was evidently wrong: it is forgotten and asked for again."""
    exit: Literal["human", "resolved"] | None = None
    """End here: hand over, or say goodbye."""


class Skill(_Part):
    """Something the agent can do."""

    when: Line
    """In a sentence, when this is the skill to use. Read as one more example."""
    examples: tuple[Line, ...] = Field(default=(), max_length=MAX_EXAMPLES)
    needs: Mapping[Name, Fact] = Field(default_factory=dict)
    confirm: Spoken | None = None
    """A yes-or-no question asked with all facts known, before the tool is used."""
    begin: Spoken | None = Field(default=None, alias="while")
    """Said while the tool works; leave it out for fast tools."""
    tool: Name | None = None
    say: Mapping[str, Annotated[Reply, BeforeValidator(_named)]]
    """By the `status` of the tool's answer; `other` for the rest and for a skill without a tool; `failed` for a tool
    that did."""
    outcome: Name | None = None
    more: bool = True
    """Ask whether there is anything else afterwards."""

    @model_validator(mode="before")
    @classmethod
    def _one_text(cls, raw: object) -> object:
        if isinstance(raw, Mapping) and isinstance(raw.get("say"), str):
            return {**raw, "say": {"other": raw["say"]}}
        return raw


class Topic(_Part):
    """Something that is always a person's business."""

    examples: tuple[Line, ...] = Field(min_length=1, max_length=MAX_EXAMPLES)
    say: Spoken | None = None


class HandOver(_Part):
    """When the agent gives the call to a person."""

    say: Spoken = "I'll put you through to a colleague. One moment, please."
    not_understood: Annotated[int, Field(ge=1, le=5)] = Field(default=2, alias="not-understood")
    """Hand over when so many turns in a row were not understood."""
    tool_failures: Annotated[int, Field(ge=1, le=5)] = Field(default=2, alias="tool-failures")
    """Hand over when tools failed so often."""
    topics: Mapping[Name, Topic] = Field(default_factory=dict)


class SmallTalk(_Part):
    """A question that is not a skill, and its answer."""

    examples: tuple[Line, ...] = Field(default=(), max_length=MAX_EXAMPLES)
    say: Spoken


class Http(_Part):
    """An HTTP endpoint as a tool: arguments go as JSON body (or as query for GET), JSON comes back."""

    url: Annotated[str, Field(pattern=r"^https?://[^\s]+$", max_length=500)]
    method: Literal["GET", "POST", "PUT"] = "POST"
    key_env: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")] | None = Field(default=None, alias="key-env")
    """The environment variable that holds a bearer token."""


class Tool(_Part):
    """What a skill may use. Exactly one of `python` and `http`."""

    does: Line | None = None
    """In a sentence, for a chat mind and for readers."""
    python: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$", max_length=200)] | None = None
    """`module:function`; the module is a file beside the agent's, or importable."""
    http: Http | None = None
    input: Mapping[str, object] | None = None
    """JSON Schema (2020-12) of the arguments."""
    output: Mapping[str, object] | None = None
    """JSON Schema of the answer."""
    timeout: Seconds = 5.0
    """Seconds until the tool counts as failed."""

    @model_validator(mode="after")
    def _one_way(self) -> Tool:
        if (self.python is None) == (self.http is None):
            raise ValueError("a tool is either `python: module:function` or `http: {url, method}`; write exactly one")
        return self


class Job(_Part):
    """The job description."""

    purpose: Line
    scope: tuple[Line, ...] = ()
    """What callers may come with, in words they can hear: `where your order is`."""
    refuses: tuple[Line, ...] = ()
    """What the agent will not do, for people who read the file and for a chat mind."""


class Targets(_Part):
    """What the agent is measured by. Milliseconds, shares of calls."""

    response_p50_ms: Annotated[float, Field(gt=0)] | None = Field(default=None, alias="response-p50-ms")
    response_p95_ms: Annotated[float, Field(gt=0)] | None = Field(default=None, alias="response-p95-ms")
    contained: Share | None = None
    """Calls ended without a person."""
    understood: Share | None = None
    """Turns understood at once."""


class Chat(_Part):
    """An OpenAI-compatible chat endpoint that decides instead of the skills."""

    base_url: Annotated[str, Field(pattern=r"^https?://[^\s]+$", max_length=500)] = Field(alias="base-url")
    model: Line
    key_env: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")] | None = Field(default=None, alias="key-env")
    """The environment variable with the key; never the key itself."""
    timeout: Seconds = 8.0
    """Seconds until the first words, and between words."""


class MindChoice(_Part):
    chat: Chat


class Agent(_Part):
    """One AI agent, at one version."""

    agent: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}@\d{1,6}$")]
    """`name@version`."""
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] = "en-US"
    voice: Name = "joe"
    job: Annotated[Job, BeforeValidator(_purpose)]
    greeting: Spoken
    goodbye: Spoken = "Thank you for calling. Goodbye."
    anything_else: Spoken = Field(default="Is there anything else?", alias="anything-else")
    skills: Mapping[Name, Skill] = Field(default_factory=dict)
    hand_over: HandOver = Field(default_factory=HandOver, alias="hand-over")
    small_talk: Mapping[Name, Annotated[SmallTalk, BeforeValidator(_named)]] = Field(
        default_factory=dict, alias="small-talk"
    )
    tools: Mapping[Name, Tool] = Field(default_factory=dict)
    targets: Targets = Field(default_factory=Targets)
    mind: MindChoice | None = None
    folder: Path | None = None
    """Where the file lies; Python tools are looked for here. Not a key of the file."""

    @property
    def name(self) -> str:
        return self.agent.partition("@")[0]

    @property
    def version(self) -> int:
        return int(self.agent.partition("@")[2])

    def document(self) -> Mapping[str, Json]:
        """The agent as JSON, for `Persona.document`."""
        document: dict[str, Json] = self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"folder"})
        return document

    @classmethod
    def from_document(cls, document: Mapping[str, Json]) -> Agent:
        """The agent that `document` was made from. Raises ValueError where it is none."""
        return cls.model_validate(document)

    def persona(self, known: Mapping[str, str] | None = None, memo: Mapping[str, Json] | None = None) -> Persona:
        """Who a speech model is to be in a slot: this agent, on a call of which `known` is known."""
        factory = "offhook.agents.chat:chat_mind" if self.mind else "offhook.agents.mind:skill_mind"
        return Persona(
            name=self.agent,
            language=self.language,
            voice=self.voice,
            mind=factory,
            document=self.document(),
            known=dict(known or {}),
            memo=memo,
        )

    def outcomes(self) -> frozenset[str]:
        """Every outcome this agent may report."""
        return frozenset(self._outcomes())

    def _outcomes(self) -> Iterator[str]:
        for skill in self.skills.values():
            if skill.outcome:
                yield skill.outcome
            for reply in skill.say.values():
                if reply.outcome and reply.outcome != "none":
                    yield reply.outcome

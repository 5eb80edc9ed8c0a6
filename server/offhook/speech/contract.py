"""The SpeechModel contract: what hears and speaks, for every call at once, one 80 ms hop at a time.

No call, dial plan or telephone exists at this level, so the same model runs in a unit test, a benchmark and
production. This module holds only the types that cross that border; it computes nothing. Positions (`at`,
`start`, `end`) are 16 kHz sample counts since the slot was admitted: of the caller's stream where the event
is about hearing, of the agent's own stream where it is about speaking.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

RATE_HZ = 16_000
HOP_SAMPLES = 1_280
HOP_MS = 80

Pcm = npt.NDArray[np.int16]
Vector = npt.NDArray[np.float32]
Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]


@dataclass(frozen=True, slots=True)
class Persona:
    """Who the model is to be in one slot. Travels to the worker as JSON."""

    name: str
    """The agent and its version, `order-desk@1`."""
    language: str
    """BCP 47, `en-US`."""
    voice: str
    """A voice of the weights registry, `joe`."""
    mind: str
    """`package.module:factory` of what decides (see `Mind`); the duplex model reads `document` itself."""
    document: Mapping[str, Json]
    """The job description as the agent's file has it, already checked."""
    known: Mapping[str, str] = field(default_factory=dict)
    """What is known before a word is said: `caller`, `dialled`, `now` (ISO 8601 with zone)."""
    memo: Mapping[str, Json] | None = None
    """The last `Memo` of this conversation where a slot takes it over; None where it begins."""


@dataclass(frozen=True, slots=True)
class Hop:
    """What the callers said in the last 80 ms, one row a slot."""

    audio: Pcm
    """[slots, 1280] int16; rows whose mask is False hold nothing meant."""
    mask: npt.NDArray[np.bool_]
    """[slots]: the row carries a fresh hop."""
    missing: npt.NDArray[np.int32]
    """[slots]: samples of the row that no packet brought; they are not the caller's silence."""
    played: npt.NDArray[np.int64]
    """[slots]: samples of the agent's speech that have reached the wire since admission, cut ones left out."""
    generation: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """[slots]: the number of the admission that the row serves, 0 where nobody is. For a model that works ahead of its
    steps: it keeps with the work for whom that was begun, and hands it back as `Step.generation`."""


@dataclass(slots=True)
class Step:
    """What one step makes."""

    audio: Pcm
    """[slots, n] int16, n at the model's choice; row i's first `samples[i]` are to be played after what is queued."""
    samples: npt.NDArray[np.int32]
    """[slots]."""
    cut: npt.NDArray[np.bool_]
    """[slots]: drop what is queued and not yet played, before this step's audio."""
    speaking: npt.NDArray[np.bool_]
    """[slots]: the utterance is not over, more audio follows."""
    events: list[Event] = field(default_factory=list)
    generation: npt.NDArray[np.int64] | None = None
    """[slots]: the admission that each row's audio, cut and events are for; what is for another than the present one is
    dropped. None: all of it is for those whom the step's hop was of."""
    rows: int | None = None
    """Rows that there was work for, where a row may well have none: a step's time is the price of these. None: as many
    as the hop has."""
    spare_ms: float = 0.0
    """Of the step's time, what was spent on work that could have waited, and would have with more calls."""


# --- events: what a step reports ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """The caller began to speak; `at` in the caller's stream."""

    slot: int
    at: int


@dataclass(frozen=True, slots=True)
class WordsHeard:
    """What the caller said between `start` and `end`; partial results have `final` False."""

    slot: int
    text: str
    start: int
    end: int
    final: bool


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The caller's turn is over: speech ended at `at`, and that was decided at `decided_at` because of `why`."""

    slot: int
    at: int
    decided_at: int
    why: str


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The agent begins an utterance at `at` of its own stream."""

    slot: int
    utterance: int
    text: str
    at: int


@dataclass(frozen=True, slots=True)
class WordsSpoken:
    """An utterance is over: `text` is what the caller heard of it, `end` where it ended in the agent's stream."""

    slot: int
    utterance: int
    text: str
    end: int


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The caller spoke over the agent: `heard` was said, `unsaid` was not. `at` in the caller's stream."""

    slot: int
    utterance: int
    at: int
    heard: str
    unsaid: str


@dataclass(frozen=True, slots=True)
class Decided:
    """Why the model does what it does next: `kind` (`skill`, `ask`, `correct`, `not-understood`, `hand-over`,
    `small-talk`, `chat`), the skill and facts in question, and figures such as similarity."""

    slot: int
    kind: str
    skill: str | None
    facts: Mapping[str, Json]
    scores: Mapping[str, float]
    words: str


@dataclass(frozen=True, slots=True)
class ToolWanted:
    """Run a tool and bring a `ToolResult` with the same `id` through `deliver`."""

    slot: int
    id: str
    tool: str
    arguments: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class OutcomeReached:
    """The agent holds that this outcome of its job description was reached; `evidence` says on what."""

    slot: int
    outcome: str
    evidence: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Memo:
    """All that a fresh slot needs to go on with this conversation; sent after every turn."""

    slot: int
    memo: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Done:
    """The agent is done and what it had to say has been played. `exit` is `resolved`, `human` or `failed`."""

    slot: int
    exit: str
    reason: str


Event = (
    TurnStarted
    | WordsHeard
    | TurnEnded
    | SpeechStarted
    | WordsSpoken
    | Interrupted
    | Decided
    | ToolWanted
    | OutcomeReached
    | Memo
    | Done
)


# --- what is delivered to a slot between steps ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ToolResult:
    """A tool's answer. `ok` False: it failed or ran out of time, and `error` says so in words for a person."""

    id: str
    ok: bool
    value: Json = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Keys:
    """Digits the caller pressed, in order."""

    digits: str


Delivery = ToolResult | Keys


class SpeechModel(Protocol):
    """Serves `slots` conversations. Called from one thread; `step` must return within a hop."""

    slots: int

    def admit(self, slot: int, persona: Persona) -> None:
        """Begin (or, with `persona.memo`, go on with) a conversation. The slot is free. Raises ValueError with a
        sentence where the persona cannot be served (no such voice, mind does not load)."""

    def deliver(self, slot: int, delivery: Delivery) -> None:
        """Hand a tool's answer or pressed keys to a slot."""

    def step(self, hop: Hop) -> Step:
        """Hear one hop, say one hop."""

    def release(self, slot: int) -> None:
        """Forget the conversation; the slot is free when this returns and nothing of it can be heard again."""


# --- the mind of a cascade -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Say:
    """Speak these words, after what is being said."""

    text: str


@dataclass(frozen=True, slots=True)
class UseTool:
    """Call a tool; its result comes back through `Mind.tool`."""

    id: str
    tool: str
    arguments: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Decide:
    """A decision for the record; see `Decided`."""

    kind: str
    skill: str | None = None
    facts: Mapping[str, Json] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Achieve:
    """An outcome reached; see `OutcomeReached`."""

    outcome: str
    evidence: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Finish:
    """Done once everything said so far has been played; see `Done`."""

    exit: str
    reason: str


Act = Say | UseTool | Decide | Achieve | Finish


@dataclass(frozen=True, slots=True)
class Reading:
    """What a mind makes of words that may not be all yet. Pure: asking changes nothing.

    `complete`: 0..1, how sure it is that the caller has said all they meant to (1.0: everything asked for is
    there; 0.0: a number broke off in the middle). `skill` and `facts` as understood so far."""

    complete: float
    skill: str | None
    facts: Mapping[str, Json]


class Mind(Protocol):
    """Decides what an agent says, from words alone. Knows no audio and no clock. Calls may take tens of
    milliseconds (or seconds, for a chat endpoint, yielding acts as they come), and are made one at a time."""

    def greet(self) -> Iterable[Act]:
        """The first words of a conversation; after a `memo`, the words that pick it up again."""

    def read(self, words: str) -> Reading:
        """How complete these words are, while the caller may still be speaking."""

    def hear(self, words: str) -> Iterable[Act]:
        """The caller's turn is over and was these words."""

    def keys(self, digits: str) -> Iterable[Act]:
        """The caller pressed keys: the collected run of digits."""

    def tool(self, result: ToolResult) -> Iterable[Act]:
        """A tool wanted earlier has answered."""

    def silence(self, times: int) -> Iterable[Act]:
        """The caller has said nothing for a while, for the `times`-th time in a row."""

    def interrupted(self, heard: str, unsaid: str) -> None:
        """The caller cut the agent off: what was heard of it, and what was not."""

    def vocabulary(self) -> Sequence[str]:
        """Words the recogniser should expect: names, products, fact values."""

    def phrases(self) -> Sequence[str]:
        """Sentences said often and known in advance, worth synthesising before they are needed."""

    def memo(self) -> Mapping[str, Json]:
        """Everything needed to go on in another process; given back through the factory."""


# --- the mind where speech is understood without a transcript ----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Understood:
    """What a model that writes no transcript made of the caller's turn."""

    words: str
    """The gist: numbers as digits, dates, amounts, names, yes and no, what was taken back; empty where nothing of the
    kind was said."""
    meaning: Vector = field(compare=False)
    """[384], of length 1: where the whole turn lies in the space of `all-MiniLM-L6-v2`."""
    complete: float = 1.0
    """0..1, how sure the model is that the caller is done."""
    likely: float = 0.36
    """Cosine of `meaning` with an example from which on that is likely what was meant: the model's own measure."""
    sure: float = 0.52
    """The same for sure."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a mind waits for."""

    said: str = ""
    """The agent's last words."""
    kind: str = ""
    """The type of the fact asked for, as agents' files name it (`digits`, `name`); `yes-no` for a question; else
    empty."""
    words: bool = False
    """Free text was asked for: the gist does not do, `Understood.words` must be all the words."""


@runtime_checkable
class UnderstandingMind(Mind, Protocol):
    """A mind that can also be told what a turn meant. One that cannot is given the words, which take longer."""

    def understand(self, heard: Understood) -> Iterable[Act]:
        """The caller's turn is over; as `hear`."""

    def weigh(self, heard: Understood) -> Reading:
        """How complete this is, while the caller may still be speaking. Pure, as `read`."""

    def foresee(self, heard: Understood) -> Sequence[str]:
        """What would be said if the turn were over and this: to have it ready. Pure."""

    def expected(self) -> Expected:
        """What is waited for at this moment. Pure."""


class MindFactory(Protocol):
    """What `Persona.mind` names."""

    def __call__(self, persona: Persona) -> Mind: ...

"""What follows from a call's timeline: turns with response times, the transcript, a summary, recording marks.

Pure functions over the timeline's entries. They read no file and no clock, and take a timeline as it is: of a live
call, of one cut off in the middle of a word, or of one whose events were written a little out of order, because the
speech worker and the media core report on their own roads. All times are milliseconds of the call's media clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TypeVar

from offhook.calls.lines import Line, bad_lines, lines
from offhook.calls.timeline import (
    AgentJoined,
    CallAnswered,
    CallEnded,
    CallStarted,
    Entry,
    Interrupted,
    KeyPressed,
    MediaCounted,
    OutcomeReached,
    PromptEnded,
    PromptStarted,
    RecordingEnded,
    RecordingFailed,
    RecordingStarted,
    SpeechStarted,
    StepLeft,
    TalkBegan,
    TalkEnded,
    TurnEnded,
    TurnStarted,
    WordsHeard,
    WordsSpoken,
    WorkerLost,
)

E = TypeVar("E")

KEYS_JOIN_MS = 1_500.0
"""Keys pressed closer together than this are one entry."""

JOIN_MS = 1_000.0
"""Utterances of an agent closer together than this, with no word of the caller between, are one turn."""

SLACK_MS = 60.0
"""How far the worker's reckoning of a moment may lie from the media core's: less than a hop."""


class Who(Enum):
    """`KEYS`: the caller pressed them. `PROMPT`: a text of the dial plan, not said by an agent."""

    CALLER = "caller"
    KEYS = "keys"
    AGENT = "agent"
    PROMPT = "prompt"


@dataclass(frozen=True, slots=True)
class Turn:
    """What one party said before another did."""

    who: Who
    text: str
    """Of an agent or a prompt: what the caller heard of it."""
    start_ms: float
    end_ms: float
    response_ms: float | None = None
    """Of an agent's turn that answers the caller: from the end of the caller's speech to the agent's first sample."""
    interrupted: bool = False
    unsaid: str = ""
    """Of an interrupted agent: what it still meant to say."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a step of the dial plan was left."""

    step: str
    exit: str
    outcome: str | None
    tag: str | None


@dataclass(frozen=True, slots=True)
class RecordingMark:
    """A stretch of the call that was recorded. `end_ms` is where the call's timeline ends if nothing ended it before.
    `failed` holds what the disk said, if it did."""

    start_ms: float
    end_ms: float
    files: tuple[str, ...]
    keep: str
    failed: str | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """A call in figures. None where the timeline does not say."""

    call: str
    caller: str
    dialled: str
    trunk: str
    at: str
    plan: str
    duration_ms: float
    answered_ms: float | None
    ended_by: str | None
    """None: the timeline has no end; the call is live or was cut."""
    cause: str | None
    agents: tuple[str, ...]
    exits: tuple[Exit, ...]
    outcomes: tuple[str, ...]
    """As agents reached them and the plan's exits named them, each once, in order."""
    keys: str
    turns: int
    """The caller's and the agents'."""
    interruptions: int
    workers_lost: int
    responses_ms: tuple[float, ...]
    response_p50_ms: float | None
    response_p95_ms: float | None
    keep: str | None
    """How long the audio is kept, as the call's last recording had it."""
    media: Mapping[str, float] = field(default_factory=dict)
    """What the port counted, as far as it is figures."""
    lines: tuple[Line, ...] = ()
    """How well each direction of each leg was heard, as far as it was measured."""
    bad: tuple[Line, ...] = ()
    """The stretches in which one was bad."""

    @property
    def answered(self) -> bool:
        return self.answered_ms is not None

    @property
    def agent(self) -> str | None:
        """The last agent on the call."""
        return self.agents[-1] if self.agents else None


def turns(entries: Iterable[Entry]) -> list[Turn]:
    """The conversation: caller's, agent's and prompts' turns and keys pressed, by when they began."""
    written = list(entries)
    ordered = in_order(written)
    talks = _talks(ordered)
    # What the worker reports is in order as it was written: its `t` may lie well before, at the sound it is about.
    said = [*_caller_turns(written), *_agent_turns(written, talks), *_prompts(ordered), *_presses(ordered)]
    return sorted(said, key=lambda turn: (turn.start_ms, turn.end_ms))


def transcript(entries: Iterable[Entry]) -> str:
    """What was said, a line a turn: `caller: where is my order`."""
    return "\n".join(f"{turn.who.value}: {turn.text}" for turn in turns(entries) if turn.text)


def summary(entries: Iterable[Entry]) -> Summary:
    """The call in figures."""
    written = list(entries)
    ordered = in_order(written)
    started = _first(ordered, CallStarted) or CallStarted("", "", "", "", "", "")
    ended = _first(ordered, CallEnded)
    conversation = [turn for turn in turns(written) if turn.who in (Who.CALLER, Who.AGENT)]
    responses = tuple(turn.response_ms for turn in conversation if turn.response_ms is not None)
    counted = _first(ordered, MediaCounted)
    marks = recording_marks(ordered)
    return Summary(
        call=started.call,
        caller=started.caller,
        dialled=started.dialled,
        trunk=started.trunk,
        at=started.at,
        plan=started.plan,
        duration_ms=_end_ms(ordered),
        answered_ms=next((entry.t for entry in ordered if isinstance(entry.event, CallAnswered)), None),
        ended_by=ended.by if ended else None,
        cause=ended.cause if ended else None,
        agents=tuple(entry.event.agent for entry in ordered if isinstance(entry.event, AgentJoined)),
        exits=tuple(
            Exit(event.step, event.exit, event.outcome, event.tag)
            for event in (entry.event for entry in ordered)
            if isinstance(event, StepLeft)
        ),
        outcomes=_outcomes(ordered),
        keys="".join(entry.event.digit for entry in ordered if isinstance(entry.event, KeyPressed)),
        turns=len(conversation),
        interruptions=sum(isinstance(entry.event, Interrupted) for entry in ordered),
        workers_lost=sum(isinstance(entry.event, WorkerLost) for entry in ordered),
        responses_ms=responses,
        response_p50_ms=percentile(responses, 50),
        response_p95_ms=percentile(responses, 95),
        keep=marks[-1].keep if marks else None,
        media={
            name: value
            for name, value in (counted.counters.items() if counted else ())
            if isinstance(value, int | float) and not isinstance(value, bool)
        },
        lines=tuple(lines(ordered)),
        bad=tuple(bad_lines(ordered)),
    )


def recording_marks(entries: Iterable[Entry]) -> list[RecordingMark]:
    """The stretches that were recorded, in order."""
    ordered = in_order(entries)
    marks: list[RecordingMark] = []
    began: Entry | None = None
    failed: str | None = None

    def close(end_ms: float) -> None:
        nonlocal began, failed
        if began is not None and isinstance(began.event, RecordingStarted):
            marks.append(RecordingMark(began.t, end_ms, tuple(began.event.files), began.event.keep, failed))
        began, failed = None, None

    for entry in ordered:
        match entry.event:
            case RecordingStarted():
                close(entry.t)
                began = entry
            case RecordingFailed(why=why):
                failed = failed or why
            case RecordingEnded() | CallEnded():
                close(entry.t)
    close(_end_ms(ordered))
    return marks


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The `percent`-th percentile, between neighbours in proportion; None of nothing."""
    if not values:
        return None
    ranked = sorted(values)
    place = (len(ranked) - 1) * percent / 100
    below = int(place)
    above = min(below + 1, len(ranked) - 1)
    return ranked[below] + (ranked[above] - ranked[below]) * (place - below)


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """The entries by `t`; what has the same `t` stays in the order it was written in."""
    return sorted(entries, key=lambda entry: entry.t)


# --- turns of the caller


@dataclass(slots=True)
class _CallerTurn:
    started_ms: float
    words: list[WordsHeard] = field(default_factory=list)
    speech_end_ms: float | None = None

    def fact(self) -> Turn:
        start = min((words.start for words in self.words), default=self.started_ms)
        end = self.speech_end_ms
        if end is None:
            end = max((words.end for words in self.words), default=start)
        return Turn(Who.CALLER, " ".join(words.text.strip() for words in self.words), start, max(start, end))


def _caller_turns(written: Sequence[Entry]) -> list[Turn]:
    """A turn runs from its first sign, speech or words, to `TurnEnded`. Words may be reported after that and still
    belong before it, or never, by a model that needs none; but a sound that came to nothing, neither words nor an
    end, is no turn."""
    found: list[_CallerTurn] = []
    open_turn: _CallerTurn | None = None
    for entry in written:
        match entry.event:
            case TurnStarted():
                if open_turn is None:
                    open_turn = _CallerTurn(entry.t)
                    found.append(open_turn)
                elif not open_turn.words:
                    open_turn.started_ms = entry.t
            case WordsHeard() as words:
                if open_turn is None and found and words.start < (found[-1].speech_end_ms or 0.0):
                    found[-1].words.append(words)
                    continue
                if open_turn is None:
                    open_turn = _CallerTurn(words.start)
                    found.append(open_turn)
                open_turn.words.append(words)
            case TurnEnded(speech_end=speech_end):
                if open_turn is not None:
                    open_turn.speech_end_ms = speech_end
                open_turn = None
    return [turn.fact() for turn in found if turn.words or turn.speech_end_ms is not None]


# --- turns of agents


@dataclass(frozen=True, slots=True)
class _Talk:
    """A stretch of agent speech without a pause, as the core sent it."""

    began_ms: float
    ended_ms: float


@dataclass(slots=True)
class _Utterance:
    number: int
    meant: str
    start_ms: float
    talk: int | None
    """Which stretch it began in; None: nothing of it was ever sent."""
    over_ms: float | None = None
    heard: str | None = None
    interrupted: bool = False
    unsaid: str = ""


def _talks(ordered: Sequence[Entry]) -> list[_Talk]:
    talks: list[_Talk] = []
    began: float | None = None
    for entry in ordered:
        if isinstance(entry.event, TalkBegan) and began is None:
            began = entry.t
        elif isinstance(entry.event, TalkEnded) and began is not None:
            talks.append(_Talk(began, entry.t))
            began = None
    if began is not None:
        talks.append(_Talk(began, max(began, _end_ms(ordered))))
    return talks


def _utterances(written: Sequence[Entry], talks: Sequence[_Talk]) -> list[_Utterance]:
    found: list[_Utterance] = []

    def latest(number: int) -> _Utterance | None:
        # A worker that took over numbers its utterances from the start again: the newest of a number is meant.
        return next((utterance for utterance in reversed(found) if utterance.number == number), None)

    for entry in written:
        match entry.event:
            case SpeechStarted(utterance=number, text=text):
                at = next((n for n, talk in enumerate(talks) if talk.ended_ms > entry.t), None)
                start_ms = entry.t if at is None else max(entry.t, talks[at].began_ms)
                found.append(_Utterance(number, text, start_ms, at))
            case WordsSpoken(utterance=number, text=text):
                if (said := latest(number)) is not None:
                    said.heard, said.over_ms = text, entry.t
            case Interrupted(utterance=number, heard=heard, unsaid=unsaid):
                if (said := latest(number)) is not None:
                    said.interrupted, said.unsaid = True, unsaid
                    said.heard = heard if said.heard is None else said.heard
    return found


def _agent_turns(written: Sequence[Entry], talks: Sequence[_Talk]) -> list[Turn]:
    responses = _responses(written, talks)
    heard_at = [entry.t for entry in written if isinstance(entry.event, TurnEnded | WordsHeard)]
    found: list[Turn] = []
    for utterance in _utterances(written, talks):
        text = utterance.meant if utterance.heard is None else utterance.heard
        turn = Turn(
            Who.AGENT,
            text.strip(),
            utterance.start_ms,
            _utterance_end_ms(utterance, talks),
            responses.pop(utterance.talk, None) if utterance.talk is not None else None,
            utterance.interrupted,
            utterance.unsaid.strip(),
        )
        if found and turn.response_ms is None and _continues(found[-1], turn, heard_at):
            found[-1] = _joined(found[-1], turn)
        else:
            found.append(turn)
    return found


def _continues(before: Turn, turn: Turn, heard_at: Sequence[float]) -> bool:
    if before.interrupted or turn.start_ms - before.end_ms > JOIN_MS:
        return False
    return not any(before.start_ms < at <= turn.start_ms for at in heard_at)


def _joined(before: Turn, turn: Turn) -> Turn:
    return Turn(
        Who.AGENT,
        f"{before.text} {turn.text}".strip(),
        before.start_ms,
        max(before.end_ms, turn.end_ms),
        before.response_ms,
        turn.interrupted,
        turn.unsaid,
    )


def _utterance_end_ms(utterance: _Utterance, talks: Sequence[_Talk]) -> float:
    """Where it fell silent: by its end as reported, but never past the end of the talk it was reported in."""
    if utterance.talk is None:
        return utterance.start_ms
    if utterance.over_ms is None:
        return max(utterance.start_ms, talks[utterance.talk].ended_ms)
    begun_by_then = [talk for talk in talks[utterance.talk :] if talk.began_ms < utterance.over_ms]
    talk = begun_by_then[-1] if begun_by_then else talks[utterance.talk]
    return max(utterance.start_ms, min(utterance.over_ms, talk.ended_ms))


def _responses(written: Sequence[Entry], talks: Sequence[_Talk]) -> dict[int | None, float]:
    """For each talk that answers a turn of the caller: the response time.

    A turn is answered by the first talk that begins after it, unless the caller spoke again before, or the agent was
    talking all the while."""
    found: dict[int | None, float] = {}
    ends = [(entry.t, entry.event.speech_end) for entry in written if isinstance(entry.event, TurnEnded)]
    for place, (decided_ms, speech_end_ms) in enumerate(ends):
        if any(talk.began_ms < speech_end_ms and talk.ended_ms > decided_ms + SLACK_MS for talk in talks):
            continue
        until = ends[place + 1][0] if place + 1 < len(ends) else float("inf")
        for number, talk in enumerate(talks):
            if talk.began_ms >= speech_end_ms:
                if talk.began_ms < until:
                    found.setdefault(number, talk.began_ms - speech_end_ms)
                break
    return found


# --- the rest


def _prompts(ordered: Sequence[Entry]) -> list[Turn]:
    found: list[Turn] = []
    began: Entry | None = None

    def close(end_ms: float, cut: bool) -> None:
        nonlocal began
        if began is not None and isinstance(began.event, PromptStarted):
            found.append(Turn(Who.PROMPT, began.event.text.strip(), began.t, max(began.t, end_ms), interrupted=cut))
        began = None

    for entry in ordered:
        match entry.event:
            case PromptStarted():
                close(entry.t, cut=True)
                began = entry
            case PromptEnded(whole=whole):
                close(entry.t, cut=not whole)
    close(_end_ms(ordered), cut=True)
    return found


def _presses(ordered: Sequence[Entry]) -> list[Turn]:
    found: list[Turn] = []
    for entry in ordered:
        if not isinstance(entry.event, KeyPressed):
            continue
        if found and entry.t - found[-1].end_ms < KEYS_JOIN_MS:
            found[-1] = replace(found[-1], text=found[-1].text + entry.event.digit, end_ms=entry.t)
        else:
            found.append(Turn(Who.KEYS, entry.event.digit, entry.t, entry.t))
    return found


def _outcomes(ordered: Sequence[Entry]) -> tuple[str, ...]:
    named: dict[str, None] = {}
    for entry in ordered:
        if isinstance(entry.event, OutcomeReached) or (isinstance(entry.event, StepLeft) and entry.event.outcome):
            named[str(entry.event.outcome)] = None
    return tuple(named)


def _end_ms(ordered: Sequence[Entry]) -> float:
    """When the call ended; of one without an end, the last thing known of it."""
    ended = next((entry.t for entry in ordered if isinstance(entry.event, CallEnded)), None)
    return ended if ended is not None else max((entry.t for entry in ordered), default=0.0)


def _first(ordered: Sequence[Entry], kind: type[E]) -> E | None:
    return next((entry.event for entry in ordered if isinstance(entry.event, kind)), None)

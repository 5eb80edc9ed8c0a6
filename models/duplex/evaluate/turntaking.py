"""Turn taking measured: ends of turns against pauses by eot-bench's definitions, the floor by Full-Duplex-Bench's.

The first asks every system at each hop how likely the caller is done, and tries all policies on the scores. The second
makes whole calls in virtual time with the conversations that serve, at the policies they ship with, and counts who
took the floor: in pauses and after backchannels nobody should, after a turn's end and an interruption the agent
should. A takeover is the beginning of an answer (all answers here last over a second, which is what counts there).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from models.duplex.data.line import Line
from models.duplex.data.shards import Shard
from models.duplex.evaluate import desks, hearing
from models.duplex.evaluate.endpointing import (
    Point,
    Policy,
    Span,
    cut_off_at,
    frontier,
    latency_at,
    measured,
)
from models.duplex.evaluate.rates import Rate, rate
from models.duplex.evaluate.scenes import LEAD_HOPS, Scene, scene, turns
from models.duplex.evaluate.systems import CASCADE, DUPLEX, ENDED, SILENCE, SILERO, SMART_TURN, System
from models.duplex.evaluate.virtual import Course, Talker
from offhook.speech.contract import RATE_HZ, Pcm, Persona

CALLERS = ("request", "answer")
BUDGETS_MS = (300.0, 600.0)
BUDGETS_CUT = (0.05, 0.10)
SHIPPED = {
    SILENCE: Policy(np.inf, 0.0, 700.0),
    SILERO: Policy(700.0, 0.0, 5_000.0),
    SMART_TURN: Policy(0.5, 200.0, 3_000.0),
    CASCADE: Policy(1.0, 0.0, 5_000.0),
    DUPLEX: Policy(0.0, 0.0, 5_000.0),
    ENDED: Policy(0.5, 100.0, 3_000.0),
}
"""Operating points of those who take no others: the policies that are shipped, and usual settings of the rest."""
_OVER_HOPS = 20  # the agent has spoken for 1.6 s when it is spoken over
_PROMPT = 3 * RATE_HZ  # samples within which an answer counts as one to what was said


@dataclass(frozen=True, slots=True)
class Endpointing:
    """One system's figures on one line."""

    system: str
    line: str
    holds: int
    ends: int
    cut_off: dict[str, float | None]
    """False cut-offs within a mean latency, by that in ms."""
    latency_ms: dict[str, float | None]
    """Mean latency within false cut-offs, by their percentage."""
    shipped: Point
    points: tuple[Point, ...]
    """The best trade-offs, by rising latency."""


@dataclass(slots=True)
class Floors:
    """Who took the floor, over calls with one system."""

    system: str
    pauses: list[bool] = field(default_factory=list)
    """Taken in a pause: should not be."""
    ends: list[bool] = field(default_factory=list)
    """Taken after the end: should be."""
    backchannels: list[bool] = field(default_factory=list)
    """Taken after "mhm": should not be."""
    carried_on: list[bool] = field(default_factory=list)
    """The agent said what it was saying to its end all the same: should be."""
    interruptions: list[bool] = field(default_factory=list)
    """Taken after being cut off: should be."""
    asides: list[bool] = field(default_factory=list)
    """Taken after words to somebody else: should not be."""
    end_ms: list[float] = field(default_factory=list)
    """From the end of a turn to the answer's beginning; hops make it 80 ms coarse."""
    interruption_ms: list[float] = field(default_factory=list)
    silent_ms: list[float] = field(default_factory=list)
    """From the first sample of an interruption until the agent is silent."""


@dataclass(frozen=True, slots=True)
class FloorScore:
    """The same as figures."""

    system: str
    pauses: Rate
    ends: Rate
    backchannels: Rate
    carried_on: Rate
    interruptions: Rate
    asides: Rate
    end_p50_ms: float | None
    interruption_p50_ms: float | None
    silent_p50_ms: float | None


Told = Callable[[int, int], None]
Call = Callable[[Talker, Persona, Pcm], Course]


def endpoint(
    shards: Sequence[Shard], systems: Sequence[System], lines: dict[str, Line], most: int, told: Told
) -> list[Endpointing]:
    """Every system on every line, over at most `most` turns."""
    chosen = turns(shards, CALLERS, most)
    out: list[Endpointing] = []
    done = 0
    for name, line in lines.items():
        spans: dict[str, list[Span]] = {}
        for seed, (shard, said) in enumerate(chosen):
            one = scene(shard, said, line, seed)
            for system in systems:
                for way, scores in system.scores(one).items():
                    spans.setdefault(way, []).extend(one.spans(scores))
            done += 1
            told(done, len(chosen) * len(lines))
        out += [figures(way, name, found) for way, found in spans.items()]
    return out


def figures(system: str, line: str, spans: Sequence[Span]) -> Endpointing:
    """A system's figures from what it scored. Raises ValueError where there is nothing to compare."""
    points = frontier(spans)
    return Endpointing(
        system,
        line,
        sum(span.counts and not span.ends_turn for span in spans),
        sum(span.ends_turn for span in spans),
        {f"{budget:.0f}": cut_off_at(points, budget) for budget in BUDGETS_MS},
        {f"{100 * budget:.0f}": latency_at(points, budget) for budget in BUDGETS_CUT},
        measured(spans, SHIPPED[system]),
        tuple(points),
    )


def floors(
    shards: Sequence[Shard], calls: dict[str, Call], line: Line, most: int, told: Told
) -> tuple[list[FloorScore], list[str]]:
    """Whole calls with each system, at most `most` of each kind; and a line for each that went wrong."""
    wanted = [
        *((shard, said, False) for shard, said in turns(shards, CALLERS, most)),
        *((shard, said, True) for shard, said in turns(shards, ("backchannel",), most)),
        *((shard, said, True) for shard, said in turns(shards, ("interruption",), most)),
        *((shard, said, said.agent_speaking) for shard, said in turns(shards, ("aside",), most)),
    ]
    kept = {name: Floors(name) for name in calls}
    wrong: list[str] = []
    for number, (shard, said, over) in enumerate(wanted, 1):
        one = scene(shard, said, line, number, _OVER_HOPS if over else LEAD_HOPS)
        if over:  # time for the monologue to be said to its end
            silence = hearing.over(line, np.zeros(12 * RATE_HZ, np.int16), number, 0, 0)
            one = Scene(one.said, np.concatenate([one.audio, silence]), one.silences, one.speech)
        mind = desks.mind(said)
        persona = desks.agent(desks.wanted(said).agent).persona({"now": desks.NOW})
        for name, call in calls.items():
            course = call(Talker(mind, said.asked, over), persona, one.audio)
            if not tally(kept[name], one, course):
                ends = "; ".join(turn.why for turn in course.turns()) or "no turn"
                wrong.append(f"{name}, {said.kind}: {said.words!r} ({ends})")
        told(number, len(wanted))
    return [floor_score(one) for one in kept.values()], wrong


def tally(kept: Floors, one: Scene, course: Course) -> bool:
    """Enter a call into a system's record. True where it went as it should."""
    answers, (first, end), kind = course.answers(), one.speech, one.said.kind
    early = [at for at in answers if first < at < end]
    after = [at for at in answers if end <= at <= end + _PROMPT]
    if kind == "backchannel":
        kept.backchannels.append(bool(early or after))
        kept.carried_on.append(not course.broken_off())
        return not (early or after) and not course.broken_off()
    if kind == "aside":
        kept.asides.append(bool(early or after))
        return not (early or after)
    if kind == "interruption":
        kept.interruptions.append(bool(after))
        kept.interruption_ms += [_ms(after[0] - end)] if after else []
        kept.silent_ms += [_ms(course.cut - first)] if course.cut is not None else []
        return bool(after)
    if any(not silence.ends_turn for silence in one.silences):
        kept.pauses.append(bool(early))
    kept.ends.append(bool(after))
    kept.end_ms += [_ms(after[0] - end)] if after and not early else []
    return bool(after) and not early


def floor_score(kept: Floors) -> FloorScore:
    """A record's figures."""
    return FloorScore(
        kept.system,
        rate(kept.pauses),
        rate(kept.ends),
        rate(kept.backchannels),
        rate(kept.carried_on),
        rate(kept.interruptions),
        rate(kept.asides),
        _median(kept.end_ms),
        _median(kept.interruption_ms),
        _median(kept.silent_ms),
    )


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None


def _ms(samples: int) -> float:
    return samples * 1000 / RATE_HZ

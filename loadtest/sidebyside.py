"""Models compared on the same calls in one run: a server for each, rung in turn, and what their answers waited for.

Used by `response.py --compare`. Only one server has a call at a time, so that none takes the other's cores.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from offhook.calls.caller import Phone, Saying, Script, Turn, converse
from served import Served, served

PATH: Mapping[str, str] = {
    "wait": "waiting for silence",
    "conclude": "hearing and deciding that it is over",
    "reply": "choosing words",
    "voice": "first sound of them",
}
"""What an answer waits for, one after the other, as the server tells it; see `floor.StageTimes`."""
REST = "packets, hops and playing"
"""What is left: the network, until a hop is full and its tick has come, and until the first packet is out."""
DRAWS = 4_000
_COLOURS = ("#d9d9d9", "#3b6fb6", "#d9662b", "#5a9e4b", "#9a9a9a")
_COUNTED_S = 1.3  # until a server's figures are surely those of the calls so far


@dataclass(slots=True)
class Side:
    """One model's calls."""

    model: str
    turns: dict[tuple[int, int], Turn] = field(default_factory=dict)
    """By call and place in it."""
    failures: list[str] = field(default_factory=list)
    cut_short: int = 0
    """Calls that the far end ended before all was said."""
    stages: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Runs and seconds of each stage, in these calls."""

    def answered_ms(self) -> dict[tuple[int, int], float]:
        """Response times of the turns that were answered."""
        return {at: turn.response_ms for at, turn in self.turns.items() if turn.response_ms is not None}

    def mean_ms(self, stage: str) -> float:
        """What a stage took, on average; 0.0 where it was not gone through."""
        runs, seconds = self.stages.get(stage, (0.0, 0.0))
        return 1000 * seconds / runs if runs else 0.0


@dataclass(frozen=True, slots=True)
class SideFigures:
    """Milliseconds."""

    model: str
    p50_ms: float
    p95_ms: float
    mean_ms: float
    turns: int
    unanswered: int
    failed_calls: int
    cut_short: int
    """Calls that the far end ended before all was said; the rest was said in another."""
    path_ms: dict[str, float]
    """Means that add up to `mean_ms`."""
    work_ms: dict[str, float]
    """Means of all the work there was, much of it while the caller still spoke or paused."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as long the slower one takes, at the median; `low` to `high` with 95 % (bootstrap over turns)."""

    slower: str
    faster: str
    p50: float
    low: float
    high: float
    turns: int
    """Those that both answered."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """All of it."""

    sides: tuple[SideFigures, ...]
    ratio: Ratio | None

    def as_json(self) -> dict[str, object]:
        return asdict(self)


async def compare(models: Sequence[str], calls: Sequence[Sequence[Path]], turns: int, quiet: bool) -> Comparison:
    """Have every model say its answers to the same `turns` turns, call by call in turn."""
    sides = [Side(model) for model in models]
    with _servers(models) as servers:
        before = [server.metrics() for server in servers]
        async with Phone.plugged_in() as phone:
            said = number = 0
            while said < turns:
                paths = calls[number % len(calls)][: turns - said]
                order = list(zip(sides, servers, strict=True))
                for side, server in order if number % 2 == 0 else order[::-1]:
                    await _call(phone, server, side, number, paths, quiet)
                    await asyncio.to_thread(server.wait_idle)
                said, number = said + len(paths), number + 1
        await asyncio.sleep(_COUNTED_S)
        for side, server, earlier in zip(sides, servers, before, strict=True):
            side.stages = stages(earlier, server.metrics())
    return compared(sides)


def compared(sides: Sequence[Side]) -> Comparison:
    """The figures of calls that were made. Raises SystemExit where a model answered too little to say anything."""
    figures = tuple(_figures(side) for side in sides)
    if len(sides) != 2:
        return Comparison(figures, None)
    faster, slower = sorted(sides, key=lambda side: statistics.median(side.answered_ms().values()))
    return Comparison(figures, ratio(faster, slower))


def ratio(faster: Side, slower: Side, seed: int = 1) -> Ratio | None:
    """The ratio of medians over the turns both answered; None where there are fewer than two."""
    mine, theirs = faster.answered_ms(), slower.answered_ms()
    both = sorted(mine.keys() & theirs.keys())
    if len(both) < 2:
        return None
    pairs = np.array([(mine[at], theirs[at]) for at in both])
    drawn = np.random.default_rng(seed).integers(0, len(pairs), (DRAWS, len(pairs)))
    medians = np.median(pairs[drawn], axis=1)
    low, high = np.quantile(medians[:, 1] / medians[:, 0], (0.025, 0.975))
    middle = np.median(pairs, axis=0)
    return Ratio(
        slower.model,
        faster.model,
        round(float(middle[1] / middle[0]), 2),
        round(float(low), 2),
        round(float(high), 2),
        len(both),
    )


def stages(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """Runs and seconds of every stage between two looks at a server's metrics."""
    out = {}
    for name, runs in after.items():
        if name.startswith("offhook_stage_runs_total{"):
            seconds = name.replace("_runs_", "_seconds_")
            stage = name.split('stage="')[1].split('"')[0]
            out[stage] = runs - before.get(name, 0.0), after.get(seconds, 0.0) - before.get(seconds, 0.0)
    return out


def table(found: Comparison) -> str:
    """For people."""
    lines = []
    for one in found.sides:
        lines.append(
            f"{one.model}: response time p50 {one.p50_ms:.0f} ms, p95 {one.p95_ms:.0f} ms, mean {one.mean_ms:.0f} ms "
            f"over {one.turns} turns ({one.unanswered} unanswered, {one.failed_calls} calls failed, "
            f"{one.cut_short} ended early)"
        )
        lines += [f"    {took:6.0f} ms  {stage}" for stage, took in one.path_ms.items()]
        work = ", ".join(f"{stage} {took:.0f}" for stage, took in sorted(one.work_ms.items()))
        lines.append(f"    work, ms a time: {work}")
    if (r := found.ratio) is not None:
        lines.append(
            f"{r.faster} is {r.p50:.2f} times as fast as {r.slower} at the median ({r.low:.2f} to {r.high:.2f} with "
            f"95 %, {r.turns} turns)"
        )
    return "\n".join(lines)


def plot(found: Comparison, file: Path) -> None:
    """A stacked bar for each model."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    places = range(len(found.sides))
    figure, axes = plt.subplots(figsize=(9, 1.9 + 0.6 * len(found.sides)))
    left = [0.0] * len(found.sides)
    for colour, stage in zip(_COLOURS, (*PATH.values(), REST), strict=True):
        width = [max(0.0, one.path_ms[stage]) for one in found.sides]
        axes.barh(places, width, 0.6, left=left, label=stage, color=colour)
        left = [before + more for before, more in zip(left, width, strict=True)]
    for place, one in zip(places, found.sides, strict=True):
        axes.text(left[place] + 8, place, f"{one.mean_ms:.0f} ms (p50 {one.p50_ms:.0f})", va="center", fontsize=8)
    axes.set(xlabel="ms from the caller's last sample to the agent's first, mean", title="What an answer waits for")
    axes.set(yticks=places, yticklabels=[one.model for one in found.sides], xlim=(0, 1.25 * max(left)))
    axes.invert_yaxis()
    figure.legend(fontsize=8, ncols=3, loc="lower center", frameon=False)
    figure.tight_layout(rect=(0, 0.16, 1, 1))
    figure.savefig(file, dpi=90)
    plt.close(figure)


@contextlib.contextmanager
def _servers(models: Sequence[str]) -> Iterator[list[Served]]:
    with tempfile.TemporaryDirectory(prefix="offhook-") as home, contextlib.ExitStack() as up:
        yield [
            up.enter_context(served(Path(home) / f"{number}-{model}", speech={"model": model, "slots": 4}))
            for number, model in enumerate(models)
        ]


async def _call(phone: Phone, server: Served, side: Side, number: int, paths: Sequence[Path], quiet: bool) -> None:
    said = 0
    while said < len(paths):
        script = Script(say=[Saying.read(path) for path in paths[said:]])
        report = await converse(phone, server.uri("100"), script, _shown(side, quiet))
        side.turns |= {(number, said + place): turn for place, turn in enumerate(report.turns)}
        said += len(report.turns)
        if report.failure:
            print(f"{side.model}: {report.failure}", file=sys.stderr)
        if not report.turns:
            side.failures.append(report.failure or "nothing was said")
            side.turns |= _unsaid(number, paths, said)
            return
        if said < len(paths):
            # An agent that takes a turn amiss may hand the call over and so end it: what it answered counts.
            side.cut_short += 1
            await asyncio.to_thread(server.wait_idle)


def _unsaid(number: int, paths: Sequence[Path], said: int) -> dict[tuple[int, int], Turn]:
    """Turns that a call which failed never came to count as not answered."""
    missing = range(said, len(paths))
    return {(number, place): Turn(paths[place].name, 0.0, None, 0.0, False, None) for place in missing}


def _shown(side: Side, quiet: bool) -> Callable[[Turn], None]:
    def tell(turn: Turn) -> None:
        shown = "no answer" if turn.response_ms is None else f"{turn.response_ms:6.0f} ms"
        if not quiet:
            print(f"{side.model:10} {shown}  {turn.said}", flush=True)

    return tell


def _figures(side: Side) -> SideFigures:
    answered = sorted(side.answered_ms().values())
    if len(answered) < 2:
        raise SystemExit(f"{side.model}: too few turns were answered to say anything")
    mean = statistics.fmean(answered)
    path = {name: side.mean_ms(stage) for stage, name in PATH.items()}
    path[REST] = mean - sum(path.values())
    return SideFigures(
        side.model,
        round(statistics.median(answered), 1),
        round(statistics.quantiles(answered, n=20, method="inclusive")[-1], 1),
        round(mean, 1),
        len(answered),
        len(side.turns) - len(answered),
        len(side.failures),
        side.cut_short,
        {stage: round(took, 1) for stage, took in path.items()},
        {stage: round(side.mean_ms(stage), 1) for stage in sorted(side.stages) if stage not in PATH},
    )

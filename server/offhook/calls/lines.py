"""What follows from a call's timeline about its lines: how well each direction of each leg was heard, and when not.

Pure functions over the timeline's entries, as `folds` has them for what was said; times are ms of the call's media
clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from offhook.calls.timeline import Entry, LineMeasured

BAD_MOS = 3.1
"""Below this a line is bad: R under 60, with which nearly all users are dissatisfied (ITU-T G.107 Annex B)."""

LINE_JOIN_MS = 2_500.0
"""Bad measurements closer together than this are one bad stretch."""


@dataclass(frozen=True, slots=True)
class Line:
    """One direction of a leg over some time: the whole call, or a stretch of it that was bad."""

    party: str
    """`caller`, or whom we dialled."""
    direction: str
    """`in`: what we heard of the party. `out`: what it reports hearing of us."""
    start_ms: float
    end_ms: float
    mos: float
    """Mean; conversational where the round trip is known, else listening."""
    worst_mos: float
    lost: float
    """0..1 of the packets never came or came too late."""
    bursts: bool
    """They were lost in bursts, not one by one."""
    jitter_ms: float
    rtt_ms: float | None


def mos_of(measured: LineMeasured) -> float:
    """The opinion that counts: conversational where the delay is known, else listening."""
    return measured.mos_lq if measured.mos_cq is None else measured.mos_cq


def is_bad(measured: LineMeasured) -> bool:
    """Nearly everyone would complain."""
    return mos_of(measured) < BAD_MOS


def lines(entries: Iterable[Entry]) -> list[Line]:
    """How well each direction of each leg was heard over the call, in the order in which they were first measured."""
    return [_line(measurements) for measurements in _measurements(entries).values()]


def bad_lines(entries: Iterable[Entry]) -> list[Line]:
    """The stretches in which a direction of a leg was bad, by when they began."""
    found = []
    for measurements in _measurements(entries).values():
        stretch: list[tuple[float, LineMeasured]] = []
        for t, measured in measurements:
            if stretch and (not is_bad(measured) or t - measured.over_ms - stretch[-1][0] > LINE_JOIN_MS):
                found.append(_line(stretch))
                stretch = []
            if is_bad(measured):
                stretch.append((t, measured))
        if stretch:
            found.append(_line(stretch))
    return sorted(found, key=lambda line: (line.start_ms, line.direction))


def _measurements(entries: Iterable[Entry]) -> dict[tuple[str, str], list[tuple[float, LineMeasured]]]:
    found: dict[tuple[str, str], list[tuple[float, LineMeasured]]] = {}
    for entry in sorted(entries, key=lambda entry: entry.t):
        if isinstance(entry.event, LineMeasured):
            found.setdefault((entry.event.party, entry.event.direction), []).append((entry.t, entry.event))
    return found


def _line(measurements: Sequence[tuple[float, LineMeasured]]) -> Line:
    """What measurements of one direction come to, each counted by the time it is about."""
    first_ms, first = measurements[0]
    all_ms = sum(measured.over_ms for _, measured in measurements) or 1.0

    def mean(figure: Callable[[LineMeasured], float]) -> float:
        return sum(figure(measured) * measured.over_ms for _, measured in measurements) / all_ms

    trips = [measured.rtt_ms for _, measured in measurements if measured.rtt_ms is not None]
    return Line(
        party=first.party,
        direction=first.direction,
        start_ms=max(0.0, first_ms - first.over_ms),
        end_ms=measurements[-1][0],
        mos=mean(mos_of),
        worst_mos=min(mos_of(measured) for _, measured in measurements),
        lost=mean(lambda measured: measured.lost + (measured.late or 0.0)),
        bursts=any(measured.burst_ms for _, measured in measurements),
        jitter_ms=mean(lambda measured: measured.jitter_ms),
        rtt_ms=sum(trips) / len(trips) if trips else None,
    )

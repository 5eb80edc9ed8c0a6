"""Buffers on recorded networks: what each adds to the delay, what it loses, what it makes up; side by side in one run.

    python loadtest/jitter.py                            every recorded trace, a spike, skewed clocks, made jitter
    python loadtest/jitter.py --traces starlink LTE      recorded ones whose names contain one of these, no made ones
    python loadtest/jitter.py --buffers offhook neteq --seconds 60
    python loadtest/jitter.py --json --plot FILE.png     the last line is one object; a picture

Every buffer gets the same packets at the same moments. Most are asked as fast as they go; NetEq runs in real time, all
streams side by side, twice, which takes as long as the longest of them (seven minutes). Columns:

    mean, p95, p99
                delay between a packet's arrival and its playing, over what was played, in ms
    late        packets that arrived and were never played, % of those that arrived
    made up     concealment in place of packets that were not there, % of the sound played
    back        after a single stall of 300 ms: seconds until the delay stays within 10 ms of what it was before; of
                several runs the longest
    drift       with a sender's clock 100 ppm off: how much the delay grew from the first 20 s to the last, in ms

`listening` is not for playing: it is what a speech model hears, and holds a packet back only behind a gap. `aiortc` has
no clock either: its delay ends where it lets go of a packet, and whoever plays it waits again.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import comparing
import traces
from buffers import Buffer, Played, Stream

SPIKE = "spike-300ms"
SKEWS = {f"skew{sign:+d}ppm": sign for sign in (traces.SKEW_PPM, -traces.SKEW_PPM)}
SECONDS = 100.0
NEAR_MS = 10
NETEQ_TIMES = 2
"""No two runs in real time are quite alike."""
_WINDOW_NS = 100_000_000
_SKEW_WINDOW_S = 20.0


@dataclass(frozen=True, slots=True)
class Row:
    """One buffer on one network."""

    trace: str
    buffer: str
    mean_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    late_percent: float | None
    made_up_percent: float | None
    back_s: float | None = None
    """None: not within the stream (or not asked)."""
    drift_ms: float | None = None
    target_ms: float | None = None
    sent_late_p99_ms: float | None = None
    """In real time: how punctually the packets were sent."""


def streams(names: Sequence[str], seconds: float, made: bool) -> list[Stream]:
    """The recorded ones with these names, and the made ones."""
    out = [traces.stream(name, traces.arrivals(name, seconds)) for name in names]
    if made:
        out.append(traces.stream(SPIKE, traces.spike()))
        out += [traces.stream(name, traces.skewed(ppm)) for name, ppm in SKEWS.items()]
        out += [traces.stream(name, traces.memoryless(name, seconds)) for name in traces.MEMORYLESS]
    return out


def row(stream: Stream, buffer: Buffer, played: Played) -> Row:
    """The figures of one."""
    back = back_s(played) if stream.name == SPIKE else None
    return Row(
        stream.name,
        buffer.name,
        comparing.rounded(played.mean_delay_ms),
        comparing.rounded(played.delay_ms(0.95)),
        comparing.rounded(played.delay_ms(0.99)),
        comparing.rounded(played.unplayed_percent),
        comparing.rounded(played.made_up_percent),
        back,
        comparing.rounded(drift_ms(played)) if stream.name in SKEWS else None,
        comparing.rounded(played.more.get("mean_target_ms", math.nan)),
        played.more.get("sent_late_p99_ms"),
    )


def windows(played: Played, window_ns: int = _WINDOW_NS) -> tuple[np.ndarray, np.ndarray]:
    """The mean delay in each window of time that anything was played in: their beginnings in ns, ms."""
    place = (played.delays[:, 0] // window_ns).astype(int)
    first = int(place.min())
    much = np.bincount(place - first, played.delays[:, 2])
    total = np.bincount(place - first, played.delays[:, 1] * played.delays[:, 2])
    there = much > 0
    return (np.flatnonzero(there) + first) * float(window_ns), total[there] / much[there]


def back_s(played: Played, at_s: float = traces.SPIKE_AT_S) -> float | None:
    """Seconds from the arrival of what was held up until the delay is back where it was, for good; None: never. The
    longest of several runs."""
    if played.runs:
        each = [back_s(run, at_s) for run in played.runs]
        return None if None in each else max(each)
    # Without the very end: that nothing follows the last packet looks like another stall, and is met like one.
    at_ns, delay_ms = (each[:-2] for each in windows(played))
    before = delay_ms[(at_ns > (at_s - 10) * 1e9) & (at_ns < at_s * 1e9)]
    came_ns = (at_s * 1000 + traces.SPIKE_MS + traces.BASE_MS) * 1e6
    away = at_ns[(at_ns >= came_ns) & (delay_ms > np.median(before) + NEAR_MS)]
    if not len(away):
        return 0.0
    back_ns = away[-1] + _WINDOW_NS
    return None if back_ns > at_ns[-1] else round(float(back_ns - came_ns) / 1e9, 1)


def drift_ms(played: Played) -> float:
    """How much the mean delay of the last 20 s is above that of the first."""
    at_s, delay_ms = played.delays[:, 0] / 1e9, played.delays[:, 1]
    first, last = at_s < at_s[0] + _SKEW_WINDOW_S, at_s > at_s[-1] - _SKEW_WINDOW_S
    # The very beginning is how a buffer starts, not how it runs.
    return float(delay_ms[last].mean() - delay_ms[first & (at_s > at_s[0] + 5)].mean())


def table(rows: Sequence[Row]) -> str:
    """For people."""
    head = f"{'':30}{'mean':>9}{'p95':>9}{'p99':>9}{'late':>8}{'made up':>9}"
    lines: list[str] = []
    for name in dict.fromkeys(row.trace for row in rows):
        lines += [
            "",
            f"{name:30}{head[30:]}" + ("     back" if name == SPIKE else "    drift" if name in SKEWS else ""),
        ]
        for row in rows:
            if row.trace == name:
                lines.append(f"    {row.buffer:26}{_shown(row)}")
    return "\n".join(lines[1:])


def _shown(row: Row) -> str:
    cells = [_number(value, 9, 1) for value in (row.mean_ms, row.p95_ms, row.p99_ms)]
    cells += [_number(row.late_percent, 8, 2), _number(row.made_up_percent, 9, 2)]
    if row.trace == SPIKE:
        cells.append("    never" if row.back_s is None else f"{row.back_s:7.1f} s")
    if row.drift_ms is not None:
        cells.append(_number(row.drift_ms, 9, 1))
    return "".join(cells)


def _number(value: float | None, width: int, digits: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:{width}.{digits}f}"


def against_neteq(rows: Sequence[Row]) -> list[str]:
    """What our buffer's delay is of NetEq's on each trace, and whether it loses more."""
    by = {(row.trace, row.buffer): row for row in rows}
    lines = []
    for name in dict.fromkeys(row.trace for row in rows):
        ours, theirs = by.get((name, "offhook")), by.get((name, "neteq"))
        if ours and theirs and ours.mean_ms is not None and theirs.mean_ms:
            lines.append(
                f"{name:30}offhook's delay is {100 * ours.mean_ms / theirs.mean_ms:4.0f} % of neteq's; late "
                f"{ours.late_percent} against {theirs.late_percent} %, made up {ours.made_up_percent} against "
                f"{theirs.made_up_percent} %"
            )
    return lines


def plot(rows: Sequence[Row], spikes: dict[str, Played], file: Path) -> None:
    """Delay and loss on each recorded trace, and what a stall leaves behind."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    recorded = [name for name in dict.fromkeys(row.trace for row in rows) if name != SPIKE and name not in SKEWS]
    names = [name for name in dict.fromkeys(row.buffer for row in rows) if name not in ("spandsp", "zero-fill")]
    by = {(row.trace, row.buffer): row for row in rows}
    figure, axes = plt.subplots(1, 4, figsize=(15, 1.6 + 0.62 * max(4, len(recorded))), width_ratios=(1, 0.8, 0.8, 1.1))
    for place, name in enumerate(names):
        at = np.arange(len(recorded)) + (place - len(names) / 2 + 0.5) * 0.8 / len(names)
        found = [by.get((trace, name)) for trace in recorded]
        style = {"height": 0.8 / len(names), "color": comparing.COLOURS[name], "label": name}
        axes[0].barh(at, [max(0.1, row.mean_ms or 0) if row else 0 for row in found], **style)
        axes[1].barh(at, [(row.late_percent or 0) if row else 0 for row in found], **style)
        axes[2].barh(at, [(row.made_up_percent or 0) if row else 0 for row in found], **style)
    for name, played in spikes.items():
        if name in names and len(played.delays):
            at_ns, delay_ms = windows(played)
            axes[3].plot(at_ns / 1e9 - traces.SPIKE_AT_S, delay_ms, color=comparing.COLOURS[name], label=name)
    axes[0].set(xscale="log", xlabel="ms from arrival to playing, mean", title="Delay added")
    axes[1].set(xscale="symlog", xlabel="% of packets that arrived", title="Arrived, never played", xlim=(0, 100))
    axes[2].set(xscale="symlog", xlabel="% of sound", title="Made up", xlim=(0, 100))
    axes[3].set(
        xlabel="s after one stall of 300 ms", ylabel="ms added", title="What a stall leaves behind", xlim=(-2, 12)
    )
    for axis in axes[:3]:
        axis.set(yticks=range(len(recorded)), yticklabels=recorded if axis is axes[0] else [])
        axis.invert_yaxis()
    figure.legend(*axes[0].get_legend_handles_labels(), fontsize=8, ncols=len(names), loc="lower center", frameon=False)
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    figure.savefig(file, dpi=90)
    plt.close(figure)


def measure(wanted: Sequence[Stream], buffers: Sequence[Buffer]) -> tuple[list[Row], dict[str, Played]]:
    """Every buffer on every network, a network after the other; and what each played of the stall."""
    played = [(buffer, buffer.play(wanted)) for buffer in buffers]
    rows = [row(stream, buffer, each[i]) for i, stream in enumerate(wanted) for buffer, each in played]
    stalls = {
        buffer.name: each[i] for i, stream in enumerate(wanted) for buffer, each in played if stream.name == SPIKE
    }
    return rows, stalls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", nargs="+", default=[], metavar="NAME", help="parts of names of recorded traces")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each recorded trace (100)")
    parser.add_argument("--buffers", nargs="+", default=[], metavar="NAME", help="measure these only")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="a picture of it")
    arguments = parser.parse_args()
    known = traces.recorded()
    names = [name for name in known if not arguments.traces or any(part in name for part in arguments.traces)]
    if not known:
        comparing.tell("skipped: no data (recorded networks, by OFFHOOK_DATA): only made ones are measured")
    elif not names:
        raise SystemExit(f"no trace is called like that; there are {', '.join(known)}")
    wanted = streams(names, arguments.seconds, made=not arguments.traces)
    if not wanted:
        return
    before = comparing.machine()
    rows, stalls = measure(wanted, comparing.here(arguments.buffers, but=("spandsp",), times=NETEQ_TIMES))
    if arguments.plot is not None:
        plot(rows, stalls, arguments.plot)
    if arguments.json:
        print(json.dumps({"rows": [asdict(one) for one in rows], "seconds": arguments.seconds, "machine": before}))
        return
    print(table(rows))
    print("\n".join(["", *against_neteq(rows)]))
    if punctual := [one.sent_late_p99_ms for one in rows if one.sent_late_p99_ms is not None]:
        print(f"\nin real time, 99 % of packets left at most {max(punctual):.1f} ms late; load before {before['load']}")


if __name__ == "__main__":
    with comparing.plainly():
        main()

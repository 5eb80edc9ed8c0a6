"""How speech sounds after a line that loses packets, through every buffer and its concealment; same losses for all.

    python loadtest/quality.py                       PESQ and PLCMOS, 30 utterances, 0 to 20 % lost
    python loadtest/quality.py --buffers offhook neteq --loss 5 10
    python loadtest/quality.py --words               and how many words the cascade's recogniser gets wrong
    python loadtest/quality.py --only-words          that alone
    python loadtest/quality.py --json --plot FILE.png

Said is: four rows of ten digits by each of six people, and five sentences by each of three synthetic voices, twice.
G.711 mu-law at 8 kHz in packets of 20 ms with an even delay, all utterances on one line with a second of quiet
between; packets are lost at random, or in bursts (Gilbert and Elliott, 4 packets on average, of which 3 are lost). Each
utterance is cut out of what was played and scored by itself; a cell is their mean and how far its 95 % interval
reaches. NetEq runs in real time: all lines at once, five minutes.

`speex` conceals nothing itself, it repeats the last packet here; `spandsp` is a concealment behind a fixed buffer;
`aiortc` has none, its listeners get silence; `listening` is what a speech model hears, and nobody else.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import comparing
import loss
import scores
import utterances
import words
from buffers import Buffer, Played, Stream
from buffers.listening import Listening
from buffers.stream import MS, PACKET, PACKET_MS, RATE_HZ, Sound, to_ulaw
from scores import Score
from utterances import Utterance

RATES = (0.0, 1.0, 3.0, 5.0, 10.0, 20.0)
DELAY_MS = 50
"""Of every packet, before the buffer."""
NONE, AS_RECORDED = "none", "as recorded"
OURS, RIVAL = "offhook", "neteq"


@dataclass(frozen=True, slots=True)
class Line:
    """One way of losing packets."""

    pattern: str
    percent: float

    @property
    def name(self) -> str:
        return NONE if self.percent == 0 else f"{self.percent:g}% {self.pattern}"


@dataclass(frozen=True, slots=True)
class Cell:
    """A buffer on a line, over all utterances: means, and the reach of their 95 % intervals."""

    buffer: str
    pattern: str
    percent: float
    lost_percent: float
    utterances: int
    pesq: float | None
    pesq_95: float | None
    plcmos: float | None
    plcmos_95: float | None


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better our buffer sounds than another on a line: the mean of the utterances' differences. Its interval
    is narrower than the two buffers' own, for utterances differ more than buffers do."""

    buffer: str
    pattern: str
    percent: float
    pesq: float | None
    pesq_95: float | None
    plcmos: float | None
    plcmos_95: float | None


@dataclass(frozen=True, slots=True)
class Words:
    """What was recognised behind one line."""

    pattern: str
    percent: float
    words: int
    missed_percent: float
    """Not heard, or heard as others."""
    missed_percent_95: float
    """Reach of the 95 % interval over utterances."""
    too_many_percent: float


def lines(rates: Sequence[float]) -> list[Line]:
    """All of them; no loss is one line only."""
    without = [Line(NONE, 0.0)] if 0 in rates else []
    return without + [Line(pattern, rate) for pattern in loss.PATTERNS for rate in rates if rate > 0]


def sent(line: Line, sound: Sound) -> Stream:
    """`sound` on this line."""
    data = to_ulaw(sound[: len(sound) // PACKET * PACKET])
    packets = len(data) // PACKET
    gone = loss.lost(line.pattern, line.percent, packets) if line.percent else np.zeros(packets, bool)
    gone[: 1_000 // PACKET_MS] = False  # the quiet before the first utterance: every buffer starts alike
    moments = [None if lost else (number * PACKET_MS + DELAY_MS) * MS for number, lost in enumerate(gone.tolist())]
    return Stream.of(line.name, moments, data)


def cuts(said: Sequence[Utterance], played: Played) -> list[Sound]:
    """Each utterance as it was played."""
    shift = int((DELAY_MS * MS - played.begin_ns) * RATE_HZ / 1e9)
    return [scores.cut(one.sound, played.sound, one.begin + shift) for one in said]


def scored(pairs: Sequence[tuple[Sound, Sound]]) -> list[Score]:
    """What was said and what was heard, scored; in a process of the pool."""
    return [scores.score(said, heard) for said, heard in pairs]


def cell(buffer: Buffer, line: Line, stream: Stream, found: Sequence[Score]) -> Cell:
    """The figures of one."""
    pesq, pesq_95 = scores.interval([one.pesq for one in found if one.pesq is not None])
    plcmos, plcmos_95 = scores.interval([one.plcmos for one in found])
    lost_percent = 100 * (1 - len(stream.packets) / stream.sent)
    figures = (comparing.rounded(value, 3) for value in (pesq, pesq_95, plcmos, plcmos_95))
    return Cell(buffer.name, line.pattern, line.percent, round(lost_percent, 2), len(found), *figures)


def differences(found: Mapping[tuple[str, Line], Sequence[Score]]) -> list[Difference]:
    """Ours against each other buffer that people hear, on every line."""
    out = []
    for (name, line), theirs in found.items():
        ours = found.get((OURS, line))
        if ours is None or name in (OURS, "listening"):
            continue
        pairs = [(a.pesq, b.pesq) for a, b in zip(ours, theirs, strict=True)]
        pesq = scores.interval([a - b for a, b in pairs if a is not None and b is not None])
        plcmos = scores.interval([a.plcmos - b.plcmos for a, b in zip(ours, theirs, strict=True)])
        figures = (comparing.rounded(value, 3) for value in (*pesq, *plcmos))
        out.append(Difference(name, line.pattern, line.percent, *figures))
    return out


def measure(
    buffers: Sequence[Buffer], ways: Sequence[Line], said: Sequence[Utterance], sound: Sound
) -> tuple[list[Cell], list[Difference]]:
    """Every buffer on every line."""
    streams = [sent(line, sound) for line in ways]
    # Sound first, scores later: while NetEq runs on the machine's clock nothing else of ours does.
    heard: dict[tuple[str, str], list[Sound]] = {}
    for buffer in buffers:
        comparing.tell(f"playing through {buffer.name}")
        for stream, played in zip(streams, buffer.play(streams), strict=True):
            heard[buffer.name, stream.name] = cuts(said, played)
    pairs = [[(u.sound, h) for u, h in zip(said, each, strict=True)] for each in heard.values()]
    places = [(buffer, line, stream) for buffer in buffers for line, stream in zip(ways, streams, strict=True)]
    with multiprocessing.get_context("spawn").Pool(os.cpu_count(), signal.signal, _DEAF) as pool:
        cells: list[Cell] = []
        found: dict[tuple[str, Line], Sequence[Score]] = {}
        for (buffer, line, stream), result in zip(places, pool.imap(scored, pairs), strict=True):
            found[buffer.name, line] = result
            cells.append(cell(buffer, line, stream, result))
            if len(cells) % len(ways) == 0:
                comparing.tell(f"scored {buffer.name}")
        return cells, differences(found)


_DEAF = (signal.SIGINT, signal.SIG_IGN)
"""Ctrl-C is for the program, which then ends its processes."""


def recognised(ways: Sequence[Line], everything: Sequence[Utterance], sound: Sound) -> list[Words]:
    """The words of every utterance as recorded, then behind the listening path on every line."""
    model = words.recogniser()
    said = [one for one in everything if one.words]
    out = [_words(AS_RECORDED, 0.0, said, [words.heard(model, one.sound) for one in said])]
    for line, played in zip(ways, Listening().play([sent(line, sound) for line in ways]), strict=True):
        comparing.tell(f"recognising words: {line.name}")
        texts = [words.heard(model, one) for one in cuts(said, played)]
        out.append(_words(line.pattern, line.percent, said, texts))
    return out


def _words(pattern: str, percent: float, said: Sequence[Utterance], texts: Sequence[str]) -> Words:
    words_said = [one.words.split() for one in said]
    wrong = [words.wrong(meant, words.plain(text)) for meant, text in zip(words_said, texts, strict=True)]
    mean, reach = scores.interval(
        [100 * missed / len(meant) for (missed, _), meant in zip(wrong, words_said, strict=True)]
    )
    total = sum(map(len, words_said))
    too_many = 100 * sum(more for _, more in wrong) / total
    return Words(pattern, percent, total, round(mean, 2), round(reach, 2), round(too_many, 2))


def table(cells: Sequence[Cell]) -> str:
    """For people: a table a score and pattern."""
    by = {(c.buffer, c.pattern, c.percent): c for c in cells}
    names = list(dict.fromkeys(c.buffer for c in cells))
    rates = sorted({c.percent for c in cells})
    out = []
    for title, value in (("PESQ", "pesq"), ("PLCMOS", "plcmos")):
        for pattern in loss.PATTERNS:
            out += ["", f"{title}, losses {pattern}", f"{'':12}" + "".join(f"{f'{rate:g} %':>14}" for rate in rates)]
            for name in names:
                found = [by.get((name, pattern if rate else NONE, rate)) for rate in rates]
                out.append(
                    f"{name:12}"
                    + "".join(_shown(c and getattr(c, value), c and getattr(c, f"{value}_95")) for c in found)
                )
    return "\n".join(out[1:])


def _shown(mean: float | None, reach: float | None) -> str:
    return f"{'-':>14}" if mean is None else f"{mean:8.2f} ±{reach or 0:4.2f}"


def differences_table(found: Sequence[Difference]) -> str:
    """For people: ours against NetEq."""
    lines = [f"{OURS} above {RIVAL}, utterance by utterance      PESQ        PLCMOS"]
    for one in found:
        if one.buffer == RIVAL:
            name = NONE if one.percent == 0 else f"{one.percent:g} % {one.pattern}"
            lines.append(f"    {name:34}{_shown(one.pesq, one.pesq_95)}{_shown(one.plcmos, one.plcmos_95)}")
    return "\n".join(lines) if len(lines) > 1 else ""


def words_table(found: Sequence[Words]) -> str:
    """For people."""
    out = [f"words behind the listening path, % of {found[0].words}      missed        too many"]
    for one in found:
        name = one.pattern if one.percent == 0 else f"{one.percent:g} % lost {one.pattern}"
        missed = f"{one.missed_percent:.1f} ±{one.missed_percent_95:.1f}"
        out.append(f"    {name:38}{missed:>14}{one.too_many_percent:14.1f}")
    return "\n".join(out)


def plot(cells: Sequence[Cell], file: Path) -> None:
    """A score over loss, a line each buffer."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(11, 7.5), sharex=True, sharey="row")
    names = [name for name in dict.fromkeys(c.buffer for c in cells) if name != "listening"]
    for across, pattern in enumerate(loss.PATTERNS):
        for down, value in enumerate(("pesq", "plcmos")):
            axis = axes[down][across]
            for place, name in enumerate(names):
                found = sorted(
                    (c for c in cells if c.buffer == name and c.pattern in (pattern, NONE)), key=lambda c: c.percent
                )
                at = [c.percent + (place - len(names) / 2) * 0.08 for c in found]
                style = {"color": comparing.COLOURS[name], "label": name, "capsize": 2, "marker": "o", "markersize": 3}
                mean, reach = [getattr(c, value) for c in found], [getattr(c, f"{value}_95") for c in found]
                axis.errorbar(at, np.array(mean, float), np.array(reach, float), linewidth=1.3, **style)
            axis.set(title=f"{value.upper()}, losses {pattern}", xlabel="% of packets lost" if down else "")
            axis.grid(alpha=0.3)
    figure.legend(
        *axes[0][0].get_legend_handles_labels(), fontsize=8, ncols=len(names), loc="lower center", frameon=False
    )
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    figure.savefig(file, dpi=90)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--buffers", nargs="+", default=[], metavar="NAME", help="measure these only")
    parser.add_argument("--loss", nargs="+", type=float, default=list(RATES), metavar="PERCENT")
    parser.add_argument("--each", type=int, default=4, help="utterances a person (4)")
    parser.add_argument("--words", action="store_true", help="count the words that the recogniser gets wrong, too")
    parser.add_argument("--only-words", action="store_true", help="count those only")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="a picture of it")
    arguments = parser.parse_args()
    said, sound = utterances.line(arguments.each)
    if not said:
        raise SystemExit("skipped: no data (speech of people, by OFFHOOK_DATA)")
    if not arguments.only_words and (why := scores.missing()):
        raise SystemExit(f"skipped: {why}")
    ways, before = lines(sorted(arguments.loss)), comparing.machine()
    cells: list[Cell] = []
    above: list[Difference] = []
    if not arguments.only_words:
        cells, above = measure(comparing.here(arguments.buffers), ways, said, sound)
    found = recognised(ways, said, sound) if arguments.words or arguments.only_words else []
    if arguments.plot is not None and cells:
        plot(cells, arguments.plot)
    if arguments.json:
        print(json.dumps(_as_json(cells, above, found, said, before)))
        return
    parts = [table(cells) if cells else "", differences_table(above), words_table(found) if found else ""]
    print("\n\n".join(part for part in parts if part))


def _as_json(
    cells: Sequence[Cell],
    above: Sequence[Difference],
    found: Sequence[Words],
    said: Sequence[Utterance],
    before: Mapping[str, object],
) -> dict[str, object]:
    seconds = sum(len(one.sound) for one in said) / RATE_HZ
    return {
        "cells": [asdict(one) for one in cells],
        "offhook_above": [asdict(one) for one in above],
        "words": [asdict(one) for one in found],
        "utterances": len(said),
        "speakers": len({one.speaker for one in said}),
        "seconds": round(seconds, 1),
        "machine": dict(before),
    }


if __name__ == "__main__":
    with comparing.plainly():
        main()

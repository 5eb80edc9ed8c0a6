"""A report as pictures: bars of what was understood, and the trade-off of every system between haste and patience."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from models.duplex.evaluate.rates import Rate
from models.duplex.evaluate.report import Report
from models.duplex.evaluate.turntaking import Endpointing
from models.duplex.evaluate.understanding import Score

COLOURS = {"words as said": "#b8b8b8", "cascade": "#3b6fb6", "duplex": "#d9662b"}
_DPI = 90


def draw(report: Report, folder: Path, run: Path | None = None) -> list[Path]:
    """`understanding.png`, `turns.png` and, from a training run's folder, `training.png` in `folder`; those there is
    something to draw for."""
    folder.mkdir(parents=True, exist_ok=True)
    made: list[Path] = []
    if report.understanding:
        made.append(_understanding(report.understanding, folder / "understanding.png"))
    if report.endpointing:
        made.append(_turns(report.endpointing, folder / "turns.png"))
    if run is not None and (run / "curves.png").is_file():
        made.append(Path(shutil.copyfile(run / "curves.png", folder / "training.png")))
    return made


def _understanding(scores: Sequence[Score], file: Path) -> Path:
    lines = list(dict.fromkeys(score.line for score in scores))
    readers = list(dict.fromkeys(score.reader for score in scores))
    kinds = sorted({kind for score in scores for kind in score.facts})
    groups = ["skills", "skills of\na new job", "facts", *kinds]
    figure, rows = plt.subplots(len(lines), 1, figsize=(11, 2.9 * len(lines)), squeeze=False, sharex=True)
    for axes, line in zip(rows[:, 0], lines, strict=True):
        for number, reader in enumerate(readers):
            score = next(one for one in scores if (one.line, one.reader) == (line, reader))
            rates = [score.skills, score.new_job, score.all_facts, *(score.facts.get(k, Rate(0, 0)) for k in kinds)]
            at = [group + 0.27 * (number - (len(readers) - 1) / 2) for group in range(len(groups))]
            shares = [one.share for one in rates]
            # A share of one lies at the end of its interval, to a rounding.
            below = [max(0.0, s - one.interval[0]) if one.of else 0 for s, one in zip(shares, rates, strict=True)]
            above = [max(0.0, one.interval[1] - s) if one.of else 0 for s, one in zip(shares, rates, strict=True)]
            whiskers = {"yerr": [below, above], "error_kw": {"linewidth": 0.8}}
            axes.bar(at, shares, 0.25, label=reader, color=COLOURS.get(reader), **whiskers)
        axes.set(title=f"understood right: {line}", ylim=(0, 1.05), xticks=range(len(groups)))
        axes.set_xticklabels(groups, fontsize=8)
        axes.grid(axis="y", alpha=0.3)
    rows[0, 0].legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return _saved(figure, file)


def _turns(found: Sequence[Endpointing], file: Path) -> Path:
    lines = list(dict.fromkeys(one.line for one in found))
    figure, columns = plt.subplots(1, len(lines), figsize=(6.5 * len(lines), 4.6), squeeze=False, sharey=True)
    for axes, line in zip(columns[0], lines, strict=True):
        for one in (one for one in found if one.line == line):
            (curve,) = axes.step(
                [point.latency_ms for point in one.points],
                [100 * point.cut_off for point in one.points],
                where="post",
                label=one.system,
            )
            axes.plot(one.shipped.latency_ms, 100 * one.shipped.cut_off, "o", color=curve.get_color())
        axes.plot(543, 5, "k*", markersize=10, label="aim: 5 % at 543 ms")
        axes.set(title=f"ends of turns: {line}", xlabel="mean latency, ms", xlim=(0, 2_000), ylim=(0, 60))
        axes.grid(alpha=0.3)
    columns[0, 0].set_ylabel("pauses cut off, %")
    columns[0, 0].legend(fontsize=8)
    return _saved(figure, file)


def _saved(figure: Figure, file: Path) -> Path:
    figure.tight_layout()
    unfinished = file.with_suffix(".part.png")
    figure.savefig(unfinished, dpi=_DPI)
    plt.close(figure)
    unfinished.replace(file)
    return file

"""A picture of calls over several networks: what our end and Chromium's NetEq each added in delay, and made up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from comparing import COLOURS


@dataclass(frozen=True, slots=True)
class Pair:
    """One call: ours on the way to us, NetEq on the way back."""

    network: str
    ours_ms: float
    neteq_ms: float
    ours_percent: float
    """Of what was heard, how much was made up."""
    neteq_percent: float


def plot(pairs: Sequence[Pair], ours: str, file: Path) -> None:
    """`ours`: what ours is, for the legend."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (delay, made_up) = pyplot.subplots(1, 2, figsize=(11, 4))
    places = range(len(pairs))
    for axis, columns in (
        (delay, [(pair.ours_ms, pair.neteq_ms) for pair in pairs]),
        (made_up, [(pair.ours_percent, pair.neteq_percent) for pair in pairs]),
    ):
        for at, column, label, colour in ((-0.2, 0, ours, "offhook"), (0.2, 1, "Chromium's NetEq", "neteq")):
            values = [each[column] for each in columns]
            bars = axis.bar([place + at for place in places], values, 0.4, label=label, color=COLOURS[colour])
            axis.bar_label(bars, fmt="%.1f", fontsize=7, padding=1)
        axis.set_xticks(list(places), [pair.network for pair in pairs], rotation=30)
        axis.grid(axis="y", alpha=0.3)
        axis.set_axisbelow(True)
    delay.set(ylabel="ms, mean", title="Delay added")
    made_up.set(ylabel="% of sound", title="Made up")
    figure.legend(*delay.get_legend_handles_labels(), fontsize=8, ncols=2, loc="lower center", frameon=False)
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    figure.savefig(file, dpi=90)
    pyplot.close(figure)

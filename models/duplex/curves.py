"""The curves of a training run as one PNG beside its figures."""

from __future__ import annotations

import csv
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def draw(out: Path) -> None:
    """`out/curves.png` from `losses.csv` and `checks.csv` in `out`; nothing where there are none yet."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
    losses, checks = _columns(out / "losses.csv"), _columns(out / "checks.csv")
    for name, values in losses.items():
        if name != "seen":
            left.plot(losses["seen"], _smooth(values), label=name)
    left.set(title="losses in training", xlabel="turns", yscale="log")
    for name, values in checks.items():
        if name not in ("seen", "seconds"):
            right.plot(checks["seen"], values, marker=".", label=name)
    right.set(title="on voices and patterns held out", xlabel="turns", ylim=(0, 1))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize=8)
    figure.tight_layout()
    unfinished = out / "curves.part.png"
    figure.savefig(unfinished, dpi=90)
    unfinished.replace(out / "curves.png")
    plt.close(figure)


def _columns(path: Path) -> dict[str, list[float]]:
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in (rows[0] if rows else {})}


def _smooth(values: list[float], over: int = 20) -> list[float]:
    out, kept = [], 0.0
    for index, value in enumerate(values):
        kept += (value - kept) / min(index + 1, over)
        out.append(max(kept, 1e-4))
    return out

"""Training the duplex model: `python -m models.duplex.train --data DIR --out DIR`.

Two stages in one run, by the turns seen. First the projector alone learns to make of audio what the mind has for
tokens (connectionist temporal classification against the mind's own table): a quarter of a step's work, and without it
the mind learns nothing from audio for long. Then all is learnt together: low-rank adapters fit the mind to words, gist,
state and meaning, and the mind reading the same turns as text teaches the one that hears (distillation). A frozen mind
in between was tried: it hardly comes to read what is heard. Goes on from the newest checkpoint in `--out`. Runs on the
CPU, and unchanged on a GPU. What it does not do: make speech (`models.duplex.data`), or files that serve
(`models.duplex.export`).
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch.utils.data import DataLoader

from models.duplex.batches import Batches
from models.duplex.checking import Check, check
from models.duplex.curves import draw
from models.duplex.data.shards import shard_numbers
from models.duplex.frozen import Frozen
from models.duplex.losses import judge, judge_listening
from models.duplex.memory import Memory, Pair
from models.duplex.model import Batch, Duplex
from offhook.weights import WeightsMissing


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a run is determined by, beside its data."""

    samples: int = 120_000
    """Turns in all."""
    think: float = 0.5
    """Share of them after which the mind reads what is heard, and learns to."""
    rate: float = 1e-3
    adapter_rate: float = 4e-4
    warm_up: int = 150
    """Steps."""
    rank: int = 16
    alpha: float = 32.0
    room: int = 1_600
    """Positions of the mind in a batch."""
    heard: float = 0.3
    """How much it counts, once the mind reads, that audio still looks like tokens."""
    text: float = 0.12
    """Share of batches that come as text too, once the mind reads."""
    again: float = 4.0
    """How often a batch is learnt from again after it was heard, in the mean."""
    fill: int = 60
    """Batches to hear before any is learnt from again."""
    seed: int = 1


class Trainer:
    """One run: model, optimiser, place in the data, and where it is written down."""

    def __init__(self, plan: Plan, data: Path, out: Path, device: str, memory_gib: float) -> None:
        """`memory_gib`: how much of what was heard may be held at once, on the device."""
        torch.manual_seed(plan.seed)
        self.plan, self.data, self.out = plan, data, out
        self.device = torch.device(device)
        self.frozen = Frozen.load(out)
        self.model = Duplex(
            self.frozen.ear, self.frozen.mind, rank=plan.rank, alpha=plan.alpha, dtype=torch.bfloat16
        ).to(self.device)
        adapters = [p for name, p in self.model.named_parameters() if ".adapters." in name]
        others = [p for name, p in self.model.named_parameters() if ".adapters." not in name]
        self.optimiser = torch.optim.AdamW(
            [{"params": others, "top": plan.rate}, {"params": adapters, "top": plan.adapter_rate}],
            betas=(0.9, 0.98),
            weight_decay=0.01,
            fused=True,
        )
        self.memory = Memory(int(memory_gib * 2**30), plan.seed)
        self.rng = np.random.default_rng(plan.seed)
        self.seen = self.step = 0
        self.seconds = 0.0
        out.mkdir(parents=True, exist_ok=True)
        if (path := out / "checkpoint.pt").exists():
            self._resume(path)

    def run(self, limit_s: float, every_s: float, console: Console) -> bool:
        """Train until the plan is done (True) or `limit_s` is up (False); a checkpoint and a check every `every_s`."""
        loader, thinking = self._loader(), self._thinking()
        began = saved = time.monotonic()
        with Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,}/{task.total:,}"),
            TimeRemainingColumn(), console=console, disable=not console.is_terminal,
        ) as progress:  # fmt: skip
            bar = progress.add_task("training", total=self.plan.samples, completed=self.seen)
            while self.seen < self.plan.samples:
                if thinking != self._thinking():
                    loader, thinking = self._loader(), self._thinking()
                    self.memory.forget()  # it holds none that stop half way, and none as text
                self._learn(*self._next(loader))
                progress.update(bar, completed=self.seen)
                now = time.monotonic()
                if now - saved >= every_s:
                    self.seconds += now - saved
                    self._report(console)
                    saved = time.monotonic()
                if now - began >= limit_s:
                    break
        self.seconds += time.monotonic() - saved
        self._report(console)
        return self.seen >= self.plan.samples

    def _next(self, loader: Iterator[Pair]) -> Pair:
        again = self.plan.again / (1 + self.plan.again)
        if len(self.memory) >= self.plan.fill and self.rng.random() < again:
            return self.memory.draw()
        batch, text = next(loader)
        pair = self.model.listen(batch.to(self.device)), text.to(self.device) if text is not None else None
        self.memory.keep(pair)
        return pair

    def _learn(self, batch: Batch, text: Batch | None) -> None:
        share = self.seen / self.plan.samples
        for group in self.optimiser.param_groups:
            group["lr"] = group["top"] * self._rate(share, adapter=group["top"] == self.plan.adapter_rate)
        if self._thinking():
            losses = judge(self.model, batch, text, self.plan.heard)
        else:
            losses = judge_listening(self.model, batch)
        self.optimiser.zero_grad(set_to_none=True)
        losses.total.backward()
        torch.nn.utils.clip_grad_norm_([p for p in self.model.parameters() if p.grad is not None], 1.0)
        self.optimiser.step()
        self.seen += len(batch.frames)
        self.step += 1
        if self.step % 10 == 0:
            row = [self.seen, losses.tokens, losses.heard, losses.state, losses.meaning, losses.distilled]
            _append(self.out / "losses.csv", ["seen", "tokens", "heard", "state", "meaning", "distilled"], row)

    def _rate(self, share: float, adapter: bool) -> float:
        start = self.plan.think if adapter else 0.0
        if share < start:
            return 0.0
        warm = min(1.0, (self.step + 1) / self.plan.warm_up)
        along = (share - start) / max(1e-9, 1.0 - start)
        if adapter:
            warm = min(1.0, along / 0.03)
        return warm * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(1.0, along))))

    def _thinking(self) -> bool:
        return self.seen >= self.plan.think * self.plan.samples

    def _loader(self) -> Iterator[Pair]:
        thinking = self._thinking()
        batches = Batches(
            self.data, "train", self.frozen.encode, Frozen.meanings,
            seed=self.plan.seed + 1_000 * self.step, room=self.plan.room, text=self.plan.text if thinking else 0.0,
            early=thinking, plain=0.15 if thinking else 0.6,
        )  # fmt: skip
        workers = 1 if self.device.type == "cpu" else min(8, max(1, (os.cpu_count() or 2) - 2))
        return iter(DataLoader(batches, batch_size=None, num_workers=workers, prefetch_factor=24))

    def _report(self, console: Console) -> None:
        self._save()
        checked: Check = check(self.model, self.data, self.frozen, "dev", most=240)
        _append(
            self.out / "checks.csv",
            ["seen", "seconds", *asdict(checked)],
            [self.seen, self.seconds, *asdict(checked).values()],
        )
        draw(self.out)
        figures = "  ".join(f"{name} {value:.3f}" for name, value in asdict(checked).items())
        console.print(
            f"{self.seen:,} turns, {self.seconds / 60:.1f} min ({self.seen / max(1.0, self.seconds):.1f}/s): {figures}",
            highlight=False,
        )

    def _save(self) -> None:
        state = {
            "plan": asdict(self.plan), "seen": self.seen, "step": self.step, "seconds": self.seconds,
            "learnt": self.model.learnt(), "optimiser": self.optimiser.state_dict(), "random": torch.get_rng_state(),
            "kept": self.frozen.kept,
        }  # fmt: skip
        unfinished = self.out / "checkpoint.pt.part"
        torch.save(state, unfinished)
        unfinished.replace(self.out / "checkpoint.pt")

    def _resume(self, path: Path) -> None:
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.model.projector.scale = float(state["learnt"]["projector.scale"])
        if state["kept"] != self.frozen.kept:
            raise SystemExit(f"{path} was trained on another vocabulary; begin in an empty folder")
        self.model.load_state_dict(state["learnt"], strict=False)
        if "optimiser" in state:  # a light checkpoint has none
            self.optimiser.load_state_dict(state["optimiser"])
        for group in self.optimiser.param_groups:
            group["fused"] = True  # which the checkpoint may not have been
        torch.set_rng_state(state["random"].cpu())
        self.seen, self.step, self.seconds = state["seen"], state["step"], state["seconds"]


def _append(path: Path, names: list[str], row: list[float]) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(names)
        writer.writerow([f"{value:.6g}" for value in row])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m models.duplex.train", description=__doc__.split("\n\n")[0])
    usual = Plan()
    parser.add_argument("--data", type=Path, required=True, help="folder of shards, see python -m models.duplex.data")
    parser.add_argument("--out", type=Path, required=True, help="checkpoints, curves; goes on from what is there")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--samples", type=int, default=usual.samples, help="turns to learn from in all")
    parser.add_argument("--think", type=float, default=usual.think, help="share of them after which the mind learns")
    parser.add_argument("--memory", type=float, default=6.0, help="GiB of what was heard that are held to learn again")
    parser.add_argument("--room", type=int, default=usual.room, help="positions of the mind in a batch")
    parser.add_argument("--rank", type=int, default=usual.rank, help="of the adapters")
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after this long; run again to go on")
    parser.add_argument("--every", type=float, default=5.0, help="minutes between checkpoints")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    plan = Plan(samples=chosen.samples, think=chosen.think, room=chosen.room, rank=chosen.rank, seed=chosen.seed)
    if not (shard_numbers(chosen.data, "train") and shard_numbers(chosen.data, "dev")):
        parser.error(f"{chosen.data} holds no speech to learn from; make some with `python -m models.duplex.data`")
    try:
        trainer = Trainer(plan, chosen.data, chosen.out, chosen.device, chosen.memory)
    except WeightsMissing as missing:
        parser.error(str(missing))
    (chosen.out / "plan.json").write_text(json.dumps(asdict(plan), indent=1))
    done = trainer.run(chosen.minutes * 60, chosen.every * 60, Console())
    print("done" if done else "stopped for now; run again to go on")
    return 0


if __name__ == "__main__":
    sys.exit(main())

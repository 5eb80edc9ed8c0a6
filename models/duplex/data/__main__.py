"""Makes the training data: `python -m models.duplex.data --out DIR --hours H --seed S`. Stopped, it goes on where it
was.

`--card` prints what is in DIR instead, as Markdown.
"""

from __future__ import annotations

import argparse
import multiprocessing
import signal
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from models.duplex.data.making import made_hours, make_shards
from models.duplex.data.shards import Utterance, hours, read_shards
from models.duplex.data.voices import LICENCES

_TEXTS = {"banking77": "CC BY 4.0", "nlupp": "NLU++, CC BY 4.0", "clinc150": "CC BY 3.0", "taskmaster": "CC BY 4.0"}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m models.duplex.data", description="Make speech to train with.")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the shards go, or are")
    parser.add_argument("--hours", type=float, default=1.0, help="of training speech, those that are there included")
    parser.add_argument("--seed", type=int, default=1, help="the same seed and the same voices make the same data")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--held-out", type=int, default=400, metavar="N", help="utterances each of dev and test")
    parser.add_argument("--card", action="store_true", help="print what is in DIR, and make nothing")
    given = parser.parse_args(arguments)
    if given.card:
        print(card(given.out), end="")
        return 0
    if given.hours < 0 or given.workers < 1 or given.held_out < 0:
        parser.error("hours and held-out cannot be below 0, and there must be a worker")
    return _make(given.out, given.hours, given.seed, given.workers, given.held_out)


def card(folder: Path) -> str:
    """What is in `folder`, as Markdown."""
    said = [
        one for split in ("train", "dev", "test") for shard in read_shards(folder, split) for one in shard.utterances
    ]
    out = ["# Training speech", "", f"{len(said)} utterances, {hours(said):.2f} hours, all synthetic.", ""]
    for title, key in (
        ("split", lambda one: one.split), ("kind of saying", lambda one: one.kind), ("agent", lambda one: one.agent),
        ("kind of voice", lambda one: one.voice.split("-")[0]), ("pauses within", lambda one: str(len(one.pieces) - 1)),
    ):  # fmt: skip
        groups: dict[str, list[Utterance]] = {}
        for one in said:
            groups.setdefault(key(one), []).append(one)
        out += [f"| {title} | utterances | hours |", "| --- | --- | --- |"]
        out += [f"| {name} | {len(all_)} | {hours(all_):.2f} |" for name, all_ in sorted(groups.items())] + [""]
    for split in ("train", "dev", "test"):
        heard = Counter(one.voice for one in said if one.split == split)
        out += [f"Voices in {split} ({len(heard)}): {', '.join(sorted(heard))}.", ""]
    kinds = sorted({one.voice.split("-")[0] for one in said})
    out += ["Licences of the voices:", "", *(f"- {kind}: {LICENCES.get(kind, 'unknown')}" for kind in kinds), ""]
    texts = Counter(one.pattern.split(":")[0] for one in said if one.pattern.split(":")[0] in _TEXTS)
    out += ["Public texts (all else comes out of this project's own grammar and agents' files):", ""]
    out += [*(f"- {name}: {texts[name]} utterances, {licence}" for name, licence in _TEXTS.items()), ""]
    return "\n".join(out)


def _make(folder: Path, wanted_hours: float, seed: int, workers: int, held_out: int) -> int:
    started = time.monotonic()
    context = multiprocessing.get_context("spawn")
    jobs = [
        context.Process(target=make_shards, args=(folder, wanted_hours, seed, worker, workers, held_out))
        for worker in range(workers)
    ]
    for job in jobs:
        job.start()
    before = made_hours(folder)
    try:
        while any(job.is_alive() for job in jobs):
            for job in jobs:
                job.join(1.0)
            _show(made_hours(folder), before, wanted_hours, time.monotonic() - started)
    except KeyboardInterrupt:
        pass  # what is written is whole, and is gone on from
    finally:
        for job in jobs:
            job.terminate()
            job.join()
    print()
    return max(abs(job.exitcode or 0) for job in jobs)


def _show(now: float, before: float, wanted: float, seconds: float) -> None:
    filled = round(30 * min(1.0, now / wanted)) if wanted else 30
    speed = (now - before) * 3600 / seconds
    print(f"\r[{'#' * filled:30}] {now:.2f} of {wanted:g} h, {speed:.1f} h an hour", end="", flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the voices' processes end with this one
    raise SystemExit(main())

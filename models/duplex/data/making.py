"""One worker's share of the training data: its shards, one after the other, until all workers together have enough."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from models.duplex.data.shards import RATE_HZ, Samples, Utterance, shard_numbers, write_shard
from models.duplex.data.speech import TooLong, manner, speak, utterance
from models.duplex.data.texts import sayings
from models.duplex.data.voices import Voice, VoiceError, voices

A_SHARD = 250
"""Utterances."""


def make_shards(folder: Path, wanted_hours: float, seed: int, worker: int, workers: int, held_out: int) -> None:
    """Make the shards whose number is `worker` + 1 modulo `workers`, and the held-out ones that fall to this worker."""
    said_by, missing = voices()
    for reason in missing:
        print(f"without the voices of {reason}", file=sys.stderr)
    for at, split in enumerate(("dev", "test")):
        if at % workers == worker and held_out and not shard_numbers(folder, split):
            write_shard(folder, split, 1, spoken_shard(said_by, split, seed, 1, held_out))
    number = worker + 1
    while made_hours(folder) < wanted_hours:
        if number not in shard_numbers(folder, "train"):
            write_shard(folder, "train", number, spoken_shard(said_by, "train", seed, number, A_SHARD))
        number += workers


def spoken_shard(
    said_by: Sequence[Voice], split: str, seed: int, number: int, count: int
) -> Iterator[tuple[Utterance, Samples]]:
    """The utterances of one shard. What a voice cannot say, or takes too long for, is left out."""
    for said in sayings(seed * 10_000 + number, split, count):
        how = manner(said, said_by, seed)
        try:
            spoken = speak(said, how)
        except (TooLong, VoiceError) as reason:
            print(f"\nleft out: {reason}", file=sys.stderr)
            continue
        if len(spoken.audio):
            yield utterance(said, spoken, how.voice.name), spoken.audio


def made_hours(folder: Path) -> float:
    """The hours of training speech in `folder` by now."""
    numbers = shard_numbers(folder, "train")
    sizes = ((folder / "train" / f"shard-{number:04d}.pcm").stat().st_size for number in numbers)
    return sum(sizes) / 2 / RATE_HZ / 3600

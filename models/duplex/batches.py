"""Batches without end out of shards of speech: utterances of like length, each on a line of its own, cut and laid out.

Runs in processes of its own beside the training; shards that appear while it runs are taken in. Reads only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import IterableDataset, get_worker_info

from models.duplex.data.gist import gist
from models.duplex.data.jobs_said import choice_words
from models.duplex.data.line import Line
from models.duplex.data.shards import Shard, Utterance, read_shard, shard_numbers
from models.duplex.model import FRAME, MEANING, Batch
from models.duplex.turns import HOPS, Turn, lay_out, make
from offhook.speech.contract import HOP_SAMPLES, RATE_HZ
from offhook.speech.duplex.features import log_mel

Floats = npt.NDArray[np.float32]
POOL = 384
"""Utterances sorted by length at a time."""
LONGEST = HOPS * HOP_SAMPLES - RATE_HZ
"""Samples of the longest utterance learnt from: with its silences it fits the ear's window."""
Meanings = Callable[[Sequence[str]], Floats]


class Batches(IterableDataset[tuple[Batch, Batch | None]]):
    """Turns of one split; every batch has about `room` positions of the mind."""

    def __init__(
        self,
        folder: Path,
        split: str,
        encode: Callable[[str], list[int]],
        meanings: Callable[[], Meanings],
        *,
        seed: int,
        room: int = 1_600,
        text: float = 0.0,
        early: bool = True,
        plain: float = 0.0,
        once: bool = False,
        most: int = 1 << 30,
    ) -> None:
        """`meanings` makes, in the process that needs it, what embeds texts; `text`: the share of batches that come
        as text too; `early`: some windows stop before the end of what is said; `plain`: the share of lines that only
        code; `once`: every utterance once, in order, `most` of them, and an end."""
        self.folder, self.split, self.encode, self.meanings = folder, split, encode, meanings
        self.seed, self.room, self.text, self.once, self.most = seed, room, text, once, most
        self.early, self.plain = early, plain

    def __iter__(self) -> Iterator[tuple[Batch, Batch | None]]:
        worker = get_worker_info()
        rng = np.random.default_rng([self.seed, worker.id if worker else 0])
        if worker:
            torch.set_num_threads(1)  # a process beside the one that learns
        self._embed = self.meanings()
        self._known: dict[str, Floats] = {"": np.zeros(MEANING, np.float32)}
        self._choices = choice_words()
        read: dict[int, Shard] = {}
        while True:
            for number in shard_numbers(self.folder, self.split):
                if number not in read:
                    read[number] = read_shard(self.folder, self.split, number)
            found = list(read.values())
            if not found:
                raise FileNotFoundError(f"no shards of split {self.split} in {self.folder}; make them first")
            if self.once:
                everything = [(shard, spoken) for shard in found for spoken in shard.utterances][: self.most]
                for start in range(0, len(everything), POOL):
                    yield from self._pool(everything[start : start + POOL], rng)
                return
            yield from self._pool(self._draw(found, rng), rng)

    def _draw(self, found: Sequence[Shard], rng: np.random.Generator) -> list[tuple[Shard, Utterance]]:
        sizes = np.array([len(shard.utterances) for shard in found], float)
        picked = rng.choice(len(found), POOL, p=sizes / sizes.sum())
        return [(found[i], found[i].utterances[int(rng.integers(len(found[i].utterances)))]) for i in picked]

    def _pool(
        self, chosen: Sequence[tuple[Shard, Utterance]], rng: np.random.Generator
    ) -> Iterator[tuple[Batch, Batch | None]]:
        chosen = [(shard, spoken) for shard, spoken in chosen if spoken.samples <= LONGEST]
        self._learn([spoken.meaning for _, spoken in chosen])
        turns = []
        for shard, spoken in chosen:
            line = Line() if rng.random() < self.plain else Line.sample(rng)
            audio = shard.of(spoken).astype(np.float32) / np.float32(32768)
            # The gist is a rule over the words: speech made under an older rule is learnt by the newest.
            spoken = replace(spoken, gist=gist(spoken.words, self._choices))
            turns.append(make(spoken, audio, self._known[spoken.meaning], line, self.encode, rng, early=self.early))
        turns.sort(key=lambda turn: len(turn.audio))
        groups: list[list[Turn]] = [[]]
        for turn in turns:
            length = 12 + len(turn.audio) // HOP_SAMPLES // 2 + 16 + 2 * 12
            if (len(groups[-1]) + 1) * length > self.room and groups[-1]:
                groups.append([])
            groups[-1].append(turn)
        order = range(len(groups)) if self.once else rng.permutation(len(groups))
        for index in order:
            group = groups[int(index)]
            batch = collate(group, heard=True)
            yield batch, collate(group, heard=False) if rng.random() < self.text else None

    def _learn(self, texts: Sequence[str]) -> None:
        new = sorted({text for text in texts if text not in self._known})
        for start in range(0, len(new), 64):
            part = new[start : start + 64]
            self._known.update(zip(part, self._embed(part), strict=True))


def collate(turns: Sequence[Turn], *, heard: bool) -> Batch:
    """One batch of `turns`; not `heard`: as text, without audio."""
    hops = [len(turn.audio) // HOP_SAMPLES for turn in turns]
    laid = [lay_out(turn, count if heard else None) for turn, count in zip(turns, hops, strict=True)]
    size = max(len(one.tokens) for one in laid)

    def padded(name: str, fill: int) -> torch.Tensor:
        out = np.full((len(laid), size), fill, np.int64)
        for row, one in zip(out, laid, strict=True):
            values = getattr(one, name)
            row[: len(values)] = values
        return torch.from_numpy(out)

    longest = 8 * max(hops) - 1 if heard else 1
    mel = np.zeros((len(turns), 80, longest), np.float32)
    if heard:
        for row, turn, count in zip(mel, turns, hops, strict=True):
            row[:, : 8 * count - 1] = log_mel(turn.audio)
    return Batch(
        mel=torch.from_numpy(mel),
        frames=torch.tensor([8 * count - 1 for count in hops]),
        tokens=padded("tokens", -1),
        specials=padded("specials", -1),
        audio=padded("audio", -1),
        positions=padded("positions", 0),
        branch=padded("branch", -1),
        labels=padded("labels", -1),
        meaning_at=torch.tensor([one.meaning_at for one in laid]),
        state=torch.tensor([turn.state for turn in turns]),
        state_weight=torch.tensor([turn.state_weight for turn in turns], dtype=torch.float32),
        meaning=torch.from_numpy(np.stack([turn.meaning for turn in turns])),
        ear=torch.zeros(len(turns), 0, FRAME),
    )

"""Spoken utterances on disk, in shards that can be read while others are still being written.

`<folder>/<split>/shard-0001.pcm` holds the clean speech of some hundred utterances, one after the other (int16,
16 kHz, mono); `shard-0001.jsonl` has a line for each. A shard appears whole or not at all: the audio is renamed into
place first, its lines after it. Telephone lines are not in here: `line` puts them on while training.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

RATE_HZ = 16_000
Samples = npt.NDArray[np.int16]


class ShardError(ValueError):
    """A shard that cannot be read: the message says which line of which file, and why."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """What was said and where its audio lies in the shard."""

    id: str
    offset: int
    """First sample of the shard's audio."""
    samples: int
    pieces: tuple[tuple[int, int], ...]
    """First sample and the one after the last of every stretch of speech, from the utterance's own beginning."""
    voice: str
    words: str
    gist: str
    meaning: str
    asked: str
    kind: str
    agent_speaking: bool
    agent: str
    pattern: str
    split: str


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard that is complete. Its audio is mapped, not read."""

    name: str
    utterances: tuple[Utterance, ...]
    audio: Samples
    """All utterances, one after the other; read only."""

    def of(self, utterance: Utterance) -> Samples:
        """The speech of one of its utterances (a view)."""
        return self.audio[utterance.offset : utterance.offset + utterance.samples]


def shard_numbers(folder: Path, split: str) -> list[int]:
    """The numbers of the shards of `split` that are complete by now, ascending."""
    names = (path.stem.removeprefix("shard-") for path in (folder / split).glob("shard-*.jsonl"))
    return sorted(int(name) for name in names if name.isdecimal())


def read_shard(folder: Path, split: str, number: int) -> Shard:
    """One shard. Raises ShardError where a line is not as it should be or the audio is too short for it."""
    stem = folder / split / f"shard-{number:04d}"
    lines = stem.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()
    utterances = tuple(_utterance(line, f"{stem}.jsonl, line {at}") for at, line in enumerate(lines, 1))
    needed = max((said.offset + said.samples for said in utterances), default=0)
    size = stem.with_suffix(".pcm").stat().st_size // 2
    if size < needed:
        raise ShardError(f"{stem}.pcm: it has {size} samples and its lines speak of {needed}; remove both files")
    audio = np.memmap(stem.with_suffix(".pcm"), np.int16, "r", shape=(size,)) if size else np.zeros(0, np.int16)
    return Shard(stem.name, utterances, audio)


def read_shards(folder: Path, split: str) -> Iterator[Shard]:
    """Every shard of `split` that is complete by now."""
    for number in shard_numbers(folder, split):
        yield read_shard(folder, split, number)


def write_shard(folder: Path, split: str, number: int, said: Iterable[tuple[Utterance, Samples]]) -> Shard:
    """Write one shard; `offset` and `samples` of what is given are set here. One that is there is replaced."""
    (folder / split).mkdir(parents=True, exist_ok=True)
    stem = folder / split / f"shard-{number:04d}"
    mark = f".{os.getpid()}.part"
    offset, lines = 0, []
    with open(f"{stem}.pcm{mark}", "wb") as pcm:
        for utterance, audio in said:
            if audio.dtype != np.int16 or audio.ndim != 1:
                raise ShardError(
                    f"{utterance.id}: audio must be one row of int16, this is {audio.dtype}, {audio.shape}"
                )
            pcm.write(np.ascontiguousarray(audio, "<i2").tobytes())
            lines.append(json.dumps(asdict(utterance) | {"offset": offset, "samples": len(audio)}, ensure_ascii=False))
            offset += len(audio)
    Path(f"{stem}.jsonl{mark}").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    os.replace(f"{stem}.pcm{mark}", stem.with_suffix(".pcm"))
    os.replace(f"{stem}.jsonl{mark}", stem.with_suffix(".jsonl"))
    return read_shard(folder, split, number)


def hours(utterances: Sequence[Utterance]) -> float:
    """How long they speak, pauses within included."""
    return sum(said.samples for said in utterances) / RATE_HZ / 3600


_TEXTS = ("id", "voice", "words", "gist", "meaning", "asked", "kind", "agent", "pattern", "split")


def _utterance(line: str, where: str) -> Utterance:
    try:
        read = json.loads(line)
    except ValueError as error:
        raise ShardError(f"{where}: not JSON ({error})") from None
    if not isinstance(read, dict) or set(read) != {field.name for field in fields(Utterance)}:
        raise ShardError(f"{where}: it does not have exactly the fields of an utterance")
    for name in _TEXTS:
        if not isinstance(read[name], str):
            raise ShardError(f'{where}: "{name}" must be text')
    if not all(_natural(read[name]) for name in ("offset", "samples")) or not isinstance(read["agent_speaking"], bool):
        raise ShardError(f'{where}: "offset" and "samples" must be whole numbers, "agent_speaking" true or false')
    pieces = read.pop("pieces")
    if not isinstance(pieces, list) or not all(
        isinstance(p, list) and len(p) == 2 and all(map(_natural, p)) and p[0] <= p[1] <= read["samples"]
        for p in pieces
    ):
        raise ShardError(f'{where}: "pieces" must be pairs of samples within the utterance')
    return Utterance(pieces=tuple((first, end) for first, end in pieces), **read)


def _natural(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 0

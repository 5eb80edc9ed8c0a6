"""Ear and mind at work: the built graphs in onnxruntime, and what each row of the mind remembers.

The ear remembers nothing. The mind's memory is one array of keys and values, owned here: a graph is given views of it
and gives back only what is new, which is then put in its place. A row's memory is as long as its caller of `run` says
(`start`), so forgetting costs nothing; `wipe` zeroes it all the same. Decides nothing: see `runtime`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from offhook.speech.duplex.gemma import HEAD, HIDDEN
from offhook.speech.duplex.layout import CONTEXT, MEANING, NOTHING

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]

_GRAIN = 64  # a run sees its rows' memory up to the next multiple of this


@dataclass(frozen=True, slots=True)
class Feed:
    """New positions of one row."""

    row: int
    start: int
    """Position of the first; what was at or after it is forgotten."""
    ids: Sequence[int]
    """What stands there, as `layout` numbers it; NOTHING where a sound does."""
    sounds: Floats
    """[sounds, 640], in the order of the positions that are NOTHING."""
    heads: int = 0
    """Which of the new positions the heads read."""
    writes: Sequence[int] = (0,)
    """After which of the new positions a token is written."""
    allowed: str = ""
    """Name of the tokens that may be written; all where empty."""


@dataclass(frozen=True, slots=True)
class Thoughts:
    """What a run makes, one row a feed."""

    states: Floats
    """[n, 4]."""
    meanings: Floats
    """[n, 384]."""
    tokens: Ids
    """[n, most writes] kept ids; beyond a feed's own writes they mean nothing."""
    chances: Floats
    """[n, most writes]."""


class Hearing(Protocol):
    """Windows of spectrum to embeddings of 160 ms blocks."""

    together: bool
    """Several windows in one call cost less than one by one, although short ones are padded."""

    def sounds(self, mel: Floats, frames: Sequence[int], blocks: Ids) -> Floats:
        """[n, 80, M] spectra of `frames` mel frames each, and the blocks wanted [n, T] (-1: none) -> [n, T, 640]."""


class Thinking(Protocol):
    """Rows that remember what they were fed."""

    def run(self, feeds: Sequence[Feed]) -> Thoughts:
        """Feed some rows, none twice. Raises ValueError where one would hold more than CONTEXT positions."""

    def wipe(self, row: int) -> None:
        """Nothing that the row was fed can be heard in what it is fed next."""


class Ear:
    """See `Hearing`. On the CPU."""

    together = False

    def __init__(self, path: Path, threads: int = 1) -> None:
        self._session = cpu_session(path, threads)

    def sounds(self, mel: Floats, frames: Sequence[int], blocks: Ids) -> Floats:
        """[n, 80, M] spectra of `frames` mel frames each, and the blocks wanted [n, T] (-1: none) -> [n, T, 640]."""
        count = mel.shape[2]
        out = self._session.run(
            None,
            {
                "mel": mel,
                "frames": np.asarray(frames, np.int64),
                "blocks": blocks,
                "m": np.arange(count, dtype=np.int64),
                "f": np.arange((count + 1) // 2, dtype=np.int64),
            },
        )
        sounds: Floats = out[0]
        return sounds


class Mind:
    """See `Thinking`. On the CPU."""

    def __init__(self, path: Path, rows: int, allowed: dict[str, Floats], threads: int = 1) -> None:
        """`allowed`: by name, what is added to the logits [tokens]: 0, or far below it; the name "" must be there."""
        self._session = cpu_session(path, threads)
        self._barred = allowed
        layers = sum(each.name.startswith("past.") for each in self._session.get_inputs()) // 2
        self._past = np.zeros((layers, 2, rows, CONTEXT, HEAD), np.float32)
        self._used = [0] * rows
        self._names = [[f"past.{layer}.{part}" for part in "kv"] for layer in range(layers)]
        self._outputs = ["states", "meanings", "tokens", "chances", "news"]

    def run(self, feeds: Sequence[Feed]) -> Thoughts:
        """Feed some rows, none twice. Raises ValueError where one would hold more than CONTEXT positions."""
        steps = check_room(feeds)
        rows = [feed.row for feed in feeds]
        starts = np.array([feed.start for feed in feeds], np.int64)
        context = min(CONTEXT, max(_GRAIN, -(-int(starts.max()) // _GRAIN) * _GRAIN))
        inputs = {
            **laid_out(feeds, steps),
            "barred": np.stack([self._barred[feed.allowed] for feed in feeds]),
            "start": starts,
            "t": np.arange(steps, dtype=np.int64),
            "c": np.arange(context, dtype=np.int64),
        }
        for layer, names in enumerate(self._names):
            for part, name in enumerate(names):
                inputs[name] = self._remembered(layer, part, rows, context)
        states, meanings, tokens, chances, news = self._session.run(self._outputs, inputs)
        news = news.reshape(*self._past.shape[:2], len(feeds), steps, HEAD)
        for i, feed in enumerate(feeds):
            end = feed.start + len(feed.ids)
            self._past[:, :, feed.row, feed.start : end] = news[:, :, i, : len(feed.ids)]
            self._used[feed.row] = max(self._used[feed.row], end)
        return Thoughts(states, meanings, tokens, chances)

    def wipe(self, row: int) -> None:
        """Nothing that the row was fed stays in memory."""
        self._past[:, :, row, : self._used[row]] = 0
        self._used[row] = 0

    def _remembered(self, layer: int, part: int, rows: Sequence[int], context: int) -> Floats:
        """What some rows remember of one layer: a view where it is one row, a copy where they lie apart."""
        past: Floats = self._past[layer, part]
        if len(rows) == 1:
            return past[rows[0] : rows[0] + 1, :context]
        return past[np.asarray(rows), :context]


def check_room(feeds: Sequence[Feed]) -> int:
    """The most new positions of a feed. Raises ValueError where a row has no room for its own."""
    if over := [feed.row for feed in feeds if feed.start + len(feed.ids) > CONTEXT]:
        raise ValueError(f"rows {over} of the mind are full: {CONTEXT} positions are all they hold")
    return max(len(feed.ids) for feed in feeds)


def laid_out(feeds: Sequence[Feed], steps: int) -> dict[str, npt.NDArray[np.generic]]:
    """Feeds side by side, short ones filled up with what nobody looks at."""
    ids = np.full((len(feeds), steps), MEANING, np.int64)
    sounds = np.zeros((len(feeds), steps, HIDDEN), np.float32)
    writes = np.zeros((len(feeds), max(len(feed.writes) for feed in feeds)), np.int64)
    for i, feed in enumerate(feeds):
        ids[i, : len(feed.ids)] = feed.ids
        if len(feed.sounds):
            sounds[i, np.flatnonzero(ids[i] == NOTHING)] = feed.sounds
        writes[i, : len(feed.writes)] = feed.writes
    return {
        "ids": ids,
        "sounds": sounds,
        "heads": np.array([feed.heads for feed in feeds], np.int64),
        "writes": writes,
    }


def cpu_session(path: Path, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

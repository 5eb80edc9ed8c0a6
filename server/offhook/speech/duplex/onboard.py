"""Ear and mind on a GPU: all rows in every run, in a few fixed shapes, with the mind's memory staying on the device.

What crosses to the host and back is spectra, sounds, ids, states and meanings; keys and values never do. A row that is
not fed writes beyond what any row can hold, where nobody looks. Decides nothing: see `runtime`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from offhook.speech.duplex.features import BANDS, FRAMES
from offhook.speech.duplex.gemma import HEAD
from offhook.speech.duplex.layout import CONTEXT, MEANING, MOST_STEPS
from offhook.speech.duplex.sessions import Feed, Floats, Ids, Thoughts, check_room, laid_out

CUDA = "CUDAExecutionProvider"
_DEPTH = CONTEXT + MOST_STEPS  # behind what a row can hold, room for what rows that are not fed write
_STEPS = (8, MOST_STEPS)
_HOPS = (16, 32, 64, 100)
_ROWS = 8


class OnboardUnfit(ValueError):
    """There is no GPU that can be used here; the message says what is missing."""


class OnboardEar:
    """See `sessions.Hearing`."""

    together = True

    def __init__(self, path: Path, provider: str = CUDA) -> None:
        """Raises OnboardUnfit where onnxruntime has no such provider."""
        self._session = _session(path, provider)

    def sounds(self, mel: Floats, frames: Sequence[int], blocks: Ids) -> Floats:
        """[n, 80, M] spectra of `frames` mel frames each, and the blocks wanted [n, T] (-1: none) -> [n, T, 640]."""
        # A few shapes only: kernels are chosen, and memory is laid out, once for each.
        rows = -(-len(mel) // _ROWS) * _ROWS
        count = FRAMES * next(hops for hops in _HOPS if FRAMES * hops - 1 >= mel.shape[2]) - 1
        steps = next(steps for steps in _STEPS if steps >= blocks.shape[1])
        padded = np.zeros((rows, BANDS, count), np.float32)
        padded[: len(mel), :, : mel.shape[2]] = mel
        wanted = np.full((rows, steps), -1, np.int64)
        wanted[: len(mel), : blocks.shape[1]] = blocks
        ends = np.full(rows, FRAMES - 1, np.int64)
        ends[: len(mel)] = frames
        out = self._session.run(
            None,
            {
                "mel": padded,
                "frames": ends,
                "blocks": wanted,
                "m": np.arange(count, dtype=np.int64),
                "f": np.arange((count + 1) // 2, dtype=np.int64),
            },
        )
        sounds: Floats = out[0][: len(mel), : blocks.shape[1]]
        return sounds


class OnboardMind:
    """See `sessions.Thinking`."""

    def __init__(self, path: Path, rows: int, allowed: dict[str, Floats], provider: str = CUDA) -> None:
        """Raises OnboardUnfit where onnxruntime has no such provider."""
        self._session = _session(path, provider)
        self._rows = rows
        self._barred = allowed
        device = "cuda" if provider == CUDA else "cpu"
        empty = np.zeros((rows, _DEPTH, HEAD), np.float16)
        inputs = {each.name for each in self._session.get_inputs()}
        self._past = {
            name: ort.OrtValue.ortvalue_from_numpy(empty.copy(), device, 0)
            for name in inputs
            if name.startswith("past.")
        }
        free = np.zeros((rows, len(allowed[""])), np.float32)
        self._all_allowed = ort.OrtValue.ortvalue_from_numpy(free, device, 0)

    def run(self, feeds: Sequence[Feed]) -> Thoughts:
        """Feed some rows, none twice. Raises ValueError where one would hold more than CONTEXT positions."""
        needed = check_room(feeds)
        steps = next((steps for steps in _STEPS if steps >= needed), 0)
        if not steps:
            raise ValueError(f"{needed} positions at once are too many; {MOST_STEPS} is the most")
        given = laid_out(feeds, steps)
        rows = [feed.row for feed in feeds]
        binding = self._session.io_binding()
        for name, value in given.items():
            binding.bind_cpu_input(name, self._spread(rows, value, MEANING if name == "ids" else 0))
        starts = np.full(self._rows, CONTEXT, np.int64)
        starts[rows] = [feed.start for feed in feeds]
        binding.bind_cpu_input("start", starts)
        for name, count in (("t", steps), ("c", _DEPTH), ("rows", self._rows)):
            binding.bind_cpu_input(name, np.arange(count, dtype=np.int64))
        if any(feed.allowed for feed in feeds):
            barred = np.stack([self._barred[feed.allowed] for feed in feeds])
            binding.bind_cpu_input("barred", self._spread(rows, barred, 0))
        else:
            binding.bind_ortvalue_input("barred", self._all_allowed)
        for name in ("states", "meanings", "tokens", "chances"):
            binding.bind_output(name, "cpu")
        for name, kept in self._past.items():
            binding.bind_ortvalue_input(name, kept)
            binding.bind_ortvalue_output(name.replace("past.", "kept."), kept)
        self._session.run_with_iobinding(binding)
        states, meanings, tokens, chances = (each.numpy()[rows] for each in binding.get_outputs()[:4])
        return Thoughts(states, meanings, tokens, chances)

    def wipe(self, row: int) -> None:
        """Nothing that the row was fed can be heard in what it is fed next: a run looks at no position at or after
        where it starts. The numbers themselves are written over then."""

    def _spread(self, rows: Sequence[int], value: npt.NDArray[np.generic], rest: int) -> npt.NDArray[np.generic]:
        """What is there for some rows, put where they are among all."""
        out = np.full((self._rows, *value.shape[1:]), rest, value.dtype)
        out[rows] = value
        return out


def _session(path: Path, provider: str) -> ort.InferenceSession:
    if provider not in ort.get_available_providers():
        raise OnboardUnfit(
            f"onnxruntime has no {provider} here (it has {', '.join(ort.get_available_providers())}); install "
            "onnxruntime-gpu in its place, or set the device to cpu"
        )
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=[provider])

"""The three graphs of a split voice on onnxruntime: symbols to draft, draft to latent frames, frames to samples.

Nothing is kept here between two calls, so they may come from any thread; what the decoder must remember of a clause is
in its `Decoding`. What is run when is `rendering`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

SOURCE = "voice.onnx"
ENCODE, FLOW, DECODE, STAMP = "encode.onnx", "flow.onnx", "decode.onnx", "split.json"
PRIOR, MASK, DURATIONS, LATENT, SAMPLES = "prior", "mask", "durations", "latent", "samples"
START, TOTAL, CARRY, CARRIED, LATE = "start", "total", "carry.", "carried.", "late"
MADE_AS = 3
"""Goes up when the graphs are cut otherwise: those on disk are then made anew."""

FRAME_SAMPLES = 256
"""Samples of the voice's own rate in a latent frame: 11.6 ms at 22.05 kHz."""
FLOW_REACH = 28
"""Frames to each side that a frame out of the flow depends on: 4 times 4 convolutions of 5. Measured: with 20 frames
it is off by 0.002, with 24 it is the same."""

BUCKETS = (1, 2, 4, 8, 16, 32, 64)
"""Clauses decoded in one run on a GPU; a run of another number is filled up to the next."""

Frames = npt.NDArray[np.float32]
"""[channels, frames]."""
Sound = npt.NDArray[np.float32]
"""[samples] between -1 and 1, at the voice's own rate."""


class MouthUnfit(ValueError):
    """This is no voice that can be split; the message says why."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a clause is to sound like, before the flow."""

    prior: Frames
    durations: npt.NDArray[np.int64]
    """[symbols]: frames of each."""


@dataclass(slots=True)
class Decoding:
    """How far the decoder is with one clause, and what it must remember of it."""

    total: int
    """Frames of the clause."""
    fed: int
    """Frames fed so far."""
    carry: list[npt.NDArray[np.float32]]
    over: bool = False
    """All its samples were given out."""


class MouthGraphs:
    """The graphs of one split voice. Safe to use from several threads."""

    def __init__(self, folder: Path, threads: int = 1, device: str = "cpu") -> None:
        """`folder` as `split.split_voice` leaves it; `device` is `cpu` or `cuda`."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Threads that spin between runs would take the cores from recognition.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers: list[str | tuple[str, dict[str, str]]] = ["CPUExecutionProvider"]
        if device == "cuda":
            providers.insert(0, ("CUDAExecutionProvider", {"cudnn_conv_algo_search": "HEURISTIC"}))
        self.fixed = device == "cuda"
        """Pieces should all be of one length; their number is filled up to a bucket, so that shapes are few."""
        self._encode, self._flow, self._decode = (
            ort.InferenceSession(folder / name, options, providers=providers) for name in (ENCODE, FLOW, DECODE)
        )
        self.late = int(self._decode.get_modelmeta().custom_metadata_map[LATE])
        """Samples by which the decoder is behind what it is fed: it looks ahead that far."""
        carried = [each for each in self._decode.get_inputs() if each.name.startswith(CARRY)]
        self._carried: list[tuple[int, ...]] = [tuple(each.shape[1:]) for each in carried]

    def encode(self, ids: npt.NDArray[np.int64], scales: npt.NDArray[np.float32]) -> Draft:
        """The draft of one clause of `ids` [symbols]; `scales` are noise, length and noise of the lengths."""
        feeds = {"input": ids[None], "input_lengths": np.array([len(ids)], np.int64), "scales": scales}
        prior, durations = self._encode.run([PRIOR, DURATIONS], feeds)
        return Draft(prior[0], np.asarray(durations, np.int64).reshape(-1))

    def flow(self, prior: Frames) -> Frames:
        """Frames for the decoder, exact but for `FLOW_REACH` at an end that is not the clause's own."""
        mask = np.ones((1, 1, prior.shape[1]), np.float32)
        latent: Frames = self._flow.run([LATENT], {PRIOR: np.ascontiguousarray(prior[None]), MASK: mask})[0][0]
        return latent

    def decoding(self, total: int) -> Decoding:
        """A clause of `total` frames, none of them decoded yet."""
        return Decoding(total, 0, [np.zeros((1, *shape), np.float32) for shape in self._carried])

    def decode(self, decodings: Sequence[Decoding], pieces: Sequence[Frames]) -> list[Sound]:
        """Feed each clause its next frames; what can be known of its samples now (`late` samples less than was fed).
        Behind the clause's end frames may be anything, and must be fed until `Decoding.over`. Pieces of one length are
        decoded in one run."""
        sounds: list[Sound] = [np.zeros(0, np.float32)] * len(decodings)
        alike: dict[int, list[int]] = {}
        for number, piece in enumerate(pieces):
            alike.setdefault(piece.shape[1], []).append(number)
        for numbers in alike.values():
            for first in range(0, len(numbers), BUCKETS[-1]):
                some = numbers[first : first + BUCKETS[-1]]
                decoded = self._run([decodings[number] for number in some], [pieces[number] for number in some])
                for number, sound in zip(some, decoded, strict=True):
                    sounds[number] = sound
        return sounds

    def _run(self, decodings: Sequence[Decoding], pieces: Sequence[Frames]) -> list[Sound]:
        spare = next(bucket for bucket in BUCKETS if bucket >= len(decodings)) - len(decodings) if self.fixed else 0
        rows = [*decodings, *(self.decoding(0) for _ in range(spare))]
        feeds: dict[str, npt.NDArray[np.generic]] = {
            LATENT: np.stack([*pieces, *(np.zeros_like(pieces[0]) for _ in range(spare))]),
            START: np.array([row.fed for row in rows], np.int64),
            TOTAL: np.array([row.total for row in rows], np.int64),
        }
        for number in range(len(self._carried)):
            feeds[f"{CARRY}{number}"] = np.concatenate([row.carry[number] for row in rows])
        names = [SAMPLES, *(f"{CARRIED}{number}" for number in range(len(self._carried)))]
        samples, *carried = self._decode.run(names, feeds)
        sounds: list[Sound] = []
        for row, (decoding, piece) in enumerate(zip(decodings, pieces, strict=True)):
            at = decoding.fed * FRAME_SAMPLES - self.late
            sounds.append(samples[row, max(0, -at) : max(0, decoding.total * FRAME_SAMPLES - at)])
            decoding.fed += piece.shape[1]
            decoding.carry = [each[row : row + 1] for each in carried]
            decoding.over = decoding.fed * FRAME_SAMPLES - self.late >= decoding.total * FRAME_SAMPLES
        return sounds

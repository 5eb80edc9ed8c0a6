"""The three graphs of a split voice on onnxruntime: symbols to draft, draft to latent frames, frames to samples.

Every call is pure: the same input gives the same output, from any thread. What is run when, and how the pieces are put
together, is `rendering`'s business.
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
MADE_AS = 1
"""Goes up when the graphs are cut otherwise: those on disk are then made anew."""

FRAME_SAMPLES = 256
"""Samples of the voice's own rate in a latent frame: 11.6 ms at 22.05 kHz."""
DECODE_REACH = 10
"""Frames to each side that a frame's samples depend on (conv_pre 3, and the rest from what the up-sampling layers and
their dilated blocks see; measured: with 9 the samples are off by 0.001, with 10 they are the same)."""
FLOW_REACH = 28
"""The same for the flow: 4 times 4 convolutions of 5; measured: with 20 frames off by 0.002, with 24 the same."""

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
        """Windows should all be of one length; their number is filled up to a bucket, so that shapes are few."""
        self._encode, self._flow, self._decode = (
            ort.InferenceSession(folder / name, options, providers=providers) for name in (ENCODE, FLOW, DECODE)
        )

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

    def decode(self, windows: Sequence[Frames]) -> list[Sound]:
        """The samples of each window, exact but for `DECODE_REACH` frames at an end that is not the clause's own.
        Windows of one length are decoded in one run."""
        sounds: list[Sound] = [np.zeros(0, np.float32)] * len(windows)
        alike: dict[int, list[int]] = {}
        for number, window in enumerate(windows):
            alike.setdefault(window.shape[1], []).append(number)
        for numbers in alike.values():
            for start in range(0, len(numbers), BUCKETS[-1]):
                some = numbers[start : start + BUCKETS[-1]]
                batch = np.stack([windows[number] for number in some])
                if self.fixed:
                    size = next(bucket for bucket in BUCKETS if bucket >= len(some))
                    batch = np.concatenate([batch, np.zeros((size - len(some), *batch.shape[1:]), np.float32)])
                decoded = self._decode.run([SAMPLES], {LATENT: batch})[0]
                for row, number in enumerate(some):
                    sounds[number] = decoded[row]
        return sounds

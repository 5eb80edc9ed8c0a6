"""Is somebody speaking: Silero's voice activity model, 32 ms at a time, one small state for each caller."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from offhook import weights
from offhook.speech.contract import Pcm

FRAME_SAMPLES = 512
FRAME_MS = 32
_CONTEXT = 64

_Floats = npt.NDArray[np.float32]


@dataclass(slots=True)
class Ear:
    """What the model remembers of one caller: its own state, the last samples, and those not yet a frame."""

    hidden: _Floats = field(default_factory=lambda: np.zeros((1, 1, 128), np.float32))
    cell: _Floats = field(default_factory=lambda: np.zeros((1, 1, 128), np.float32))
    context: _Floats = field(default_factory=lambda: np.zeros(_CONTEXT, np.float32))
    rest: _Floats = field(default_factory=lambda: np.zeros(0, np.float32))


class VoiceActivity:
    """The model; stateless itself, so that one serves all slots. About 0.2 ms a frame."""

    def __init__(self, file: Path, threads: int = 1) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    @classmethod
    def load(cls, threads: int = 1) -> VoiceActivity:
        """The model of the weights registry. Raises `WeightsMissing` where it was not pulled."""
        model = cls(weights.path("silero-vad") / "silero_vad_v6.onnx", threads)
        model.hear(Ear(), np.zeros(2 * FRAME_SAMPLES, np.int16))
        return model

    def hear(self, ear: Ear, audio: Pcm) -> list[float]:
        """Take in `audio` ([n] int16, 16 kHz); for each frame that it completes, how likely it is speech (0..1)."""
        samples = np.concatenate([ear.rest, audio.astype(np.float32) / 32768.0])
        frames = len(samples) // FRAME_SAMPLES
        ear.rest = samples[frames * FRAME_SAMPLES :]
        if not frames:
            return []
        rows = samples[: frames * FRAME_SAMPLES].reshape(frames, FRAME_SAMPLES)
        before = np.vstack([ear.context, rows[:-1, -_CONTEXT:]])
        ear.context = rows[-1, -_CONTEXT:]
        feeds = {"input": np.hstack([before, rows]), "h": ear.hidden, "c": ear.cell}
        probabilities, ear.hidden, ear.cell = self._session.run(None, feeds)
        return [float(probability) for probability in np.asarray(probabilities).reshape(-1)]

"""How speech sounds, by two models of listeners: PESQ (ITU-T P.862, narrowband, against what was said) and PLCMOS (a
network trained on what people said of concealed losses, without it). Both are other people's (MIT), as they come.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from buffers.stream import RATE_HZ, Sound
from offhook.speech.resample import resample

LISTENERS = 5
"""Drawn at random (with a seed) for PLCMOS, and averaged; they differ by 0.05."""
MOST_DELAY_S = 1.0
"""A buffer's, that is looked for."""
_PLCMOS_HZ = 16_000


@dataclass(frozen=True, slots=True)
class Score:
    """Of one utterance. None: the model could not say (as PESQ where it finds no speech)."""

    pesq: float | None
    plcmos: float


def missing() -> str | None:
    """Why nothing can be scored here; None where it can."""
    try:
        import pesq  # noqa: F401
        import speechmos.plcmos  # noqa: F401
    except ImportError as error:
        return f"{error.name} is not installed (loadtest/requirements.txt)"
    return None


def score(said: Sound, heard: Sound) -> Score:
    """`heard` should be cut to where `said` is (`cut`)."""
    import pesq

    try:
        mos = float(pesq.pesq(RATE_HZ, said, heard, "nb"))
    except pesq.PesqError:
        mos = None
    return Score(mos, _plcmos(heard))


def cut(said: Sound, heard: Sound, expected: int) -> Sound:
    """The part of `heard` that is like `said`, looked for from sample `expected` on; as long as `said`."""
    around = int(0.1 * RATE_HZ)
    begin = max(0, expected - around)
    window = heard[begin : expected + len(said) + int(MOST_DELAY_S * RATE_HZ)].astype(np.float64)
    if len(window) < len(said):
        window = np.pad(window, (0, len(said) - len(window) + 1))
    size = 1 << (len(window) + len(said)).bit_length()
    match = np.fft.irfft(np.fft.rfft(window, size) * np.conj(np.fft.rfft(said.astype(np.float64), size)), size)
    lag = int(np.argmax(match[: max(1, len(window) - len(said) + 1)]))
    found = window[lag : lag + len(said)]
    return np.pad(found, (0, len(said) - len(found))).astype(np.int16)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Their mean, and how far the 95 % interval of it reaches to either side."""
    if not values:
        return math.nan, math.nan
    spread = 1.96 * float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return float(np.mean(values)), spread


@functools.cache
def _listener() -> tuple[object, object]:
    import onnxruntime
    from speechmos.plcmos import PLCMOS

    model = PLCMOS()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return model, onnxruntime.InferenceSession(model.model_path, options)


def _plcmos(heard: Sound) -> float:
    # Its own `run` draws other listeners each time, and asks its session on all cores.
    model, session = _listener()
    wide = resample(heard.astype(np.float32) / 32768, RATE_HZ, _PLCMOS_HZ)
    seen = np.float32(model.stft_transform(wide))[None, None]
    who = np.random.default_rng(1).standard_normal((LISTENERS, 1, 64)).astype(np.float32)
    said = [session.run(None, {"degraded_audio": seen, "rater_embed": one})[0] for one in who]
    return float(np.mean(said))

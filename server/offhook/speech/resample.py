"""Changes a sound's sampling rate with a polyphase windowed-sinc filter; whole signals only, no streaming."""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt

_ZEROS = 24  # of the sinc to each side: the stop band lies 80 dB down
_BETA = 8.0  # of the Kaiser window
_CUTOFF = 0.95  # of the lower Nyquist rate

Signal = npt.NDArray[np.float32]


def resample(signal: Signal, from_hz: int, to_hz: int) -> Signal:
    """`signal` [n] at `from_hz` as [ceil(n * to_hz / from_hz)] at `to_hz`, without delay."""
    if from_hz == to_hz:
        return signal.astype(np.float32, copy=False)
    matrix, stride, reach = _bank(from_hz, to_hz)
    wanted = -(-len(signal) * to_hz // from_hz)
    blocks = -(-wanted // matrix.shape[1])
    padded = np.zeros(blocks * stride + matrix.shape[0], np.float32)
    padded[reach : reach + len(signal)] = signal
    frames = np.lib.stride_tricks.sliding_window_view(padded, matrix.shape[0])[: blocks * stride : stride]
    return (frames @ matrix).reshape(-1)[:wanted]


@functools.lru_cache(maxsize=8)
def _bank(from_hz: int, to_hz: int) -> tuple[Signal, int, int]:
    """The filter as a matrix [inputs, outputs] for one period of the two rates, the inputs a period moves on, and how
    many inputs before a period it sees. One matrix product then resamples a whole signal."""
    common = math.gcd(from_hz, to_hz)
    stride, outputs = from_hz // common, to_hz // common
    cutoff = _CUTOFF * min(1.0, to_hz / from_hz)
    reach = math.ceil(_ZEROS / cutoff)
    place = np.arange(stride + 2 * reach)[:, None] - reach - np.arange(outputs)[None, :] * stride / outputs
    window = np.i0(_BETA * np.sqrt(np.clip(1 - (place * cutoff / _ZEROS) ** 2, 0, 1))) / np.i0(_BETA)
    window[np.abs(place * cutoff) >= _ZEROS] = 0
    matrix = (cutoff * np.sinc(place * cutoff) * window).astype(np.float32)
    matrix /= matrix.sum(axis=0)
    return matrix, stride, reach

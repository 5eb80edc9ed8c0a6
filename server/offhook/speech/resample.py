"""Changes a sound's sampling rate with a polyphase windowed-sinc filter: a whole one, or one that comes in pieces."""

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
    matrix, stride, reach = polyphase(from_hz, to_hz)
    wanted = -(-len(signal) * to_hz // from_hz)
    blocks = -(-wanted // matrix.shape[1])
    padded = np.zeros(blocks * stride + matrix.shape[0], np.float32)
    padded[reach : reach + len(signal)] = signal
    frames = np.lib.stride_tricks.sliding_window_view(padded, matrix.shape[0])[: blocks * stride : stride]
    return (frames @ matrix).reshape(-1)[:wanted]


class Resampler:
    """One sound that comes in pieces, at another rate. All its pieces together are what `resample` makes of the whole,
    but for rounding; a piece comes out at most 2 ms after it went in."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._same = from_hz == to_hz
        self._matrix, self._stride, self._reach = polyphase(from_hz, to_hz)
        self._outputs = self._matrix.shape[1]
        self._held = np.zeros(self._reach, np.float32)  # what came, from `_reach` before the period in progress
        self._came = 0
        self._went = 0

    def feed(self, piece: Signal) -> Signal:
        """The next `piece` [n]; what can be said of it so far [m]."""
        if self._same:
            return piece.astype(np.float32, copy=False)
        self._came += len(piece)
        self._held = np.concatenate([self._held, piece.astype(np.float32, copy=False)])
        # A sample can be known once `_reach` samples behind its place are there.
        return self._up_to((self._came - 1 - self._reach) * self._outputs // self._stride + 1)

    def end(self) -> Signal:
        """The rest [m]: the sound is over. To be called once."""
        if self._same:
            return np.zeros(0, np.float32)
        return self._up_to(-(-self._came * self._outputs // self._stride))

    def _up_to(self, known: int) -> Signal:
        known = max(known, self._went)
        first, periods = self._went // self._outputs, -(-known // self._outputs)
        count = periods - first
        if not count:
            return np.zeros(0, np.float32)
        inputs = np.zeros(max(len(self._held), count * self._stride + len(self._matrix)), np.float32)
        inputs[: len(self._held)] = self._held
        frames = np.lib.stride_tricks.sliding_window_view(inputs, len(self._matrix))[
            : count * self._stride : self._stride
        ]
        made = (frames @ self._matrix).reshape(-1)
        out: Signal = made[self._went - first * self._outputs : known - first * self._outputs]
        self._held = self._held[(known // self._outputs - first) * self._stride :]
        self._went = known
        return out


@functools.lru_cache(maxsize=8)
def polyphase(from_hz: int, to_hz: int) -> tuple[Signal, int, int]:
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

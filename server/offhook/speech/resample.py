"""Changes a sound's sampling rate with a polyphase windowed-sinc filter: a whole one, or one that comes in pieces."""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt

_ZEROS = 24  # of the sinc to each side: the stop band lies 80 dB down
_BETA = 8.0  # of the Kaiser window
_CUTOFF = 0.95  # of the lower Nyquist rate
_BAND = 32  # outputs computed in one product
_SMALL = 200_000  # multiplications in one product: from 262,144 OpenBLAS uses all cores

Signal = npt.NDArray[np.float32]


def resample(signal: Signal, from_hz: int, to_hz: int) -> Signal:
    """`signal` [n] at `from_hz` as [ceil(n * to_hz / from_hz)] at `to_hz`, without delay."""
    if from_hz == to_hz:
        return signal.astype(np.float32, copy=False)
    matrix, stride, reach = polyphase(from_hz, to_hz)
    wanted = -(-len(signal) * to_hz // from_hz)
    periods = -(-wanted // matrix.shape[1])
    padded = np.zeros(periods * stride + matrix.shape[0], np.float32)
    padded[reach : reach + len(signal)] = signal
    return _filtered(padded, periods, from_hz, to_hz)[:wanted]


class Resampler:
    """One sound that comes in pieces, at another rate. All its pieces together are what `resample` makes of the whole,
    but for rounding; a piece comes out at most 2 ms after it went in."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._from_hz, self._to_hz = from_hz, to_hz
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
        made = _filtered(inputs, count, self._from_hz, self._to_hz)
        out: Signal = made[self._went - first * self._outputs : known - first * self._outputs]
        self._held = self._held[(known // self._outputs - first) * self._stride :]
        self._went = known
        return out


def _filtered(signal: Signal, periods: int, from_hz: int, to_hz: int) -> Signal:
    """`periods` of the filter on `signal`, which begins `reach` inputs before the first.

    In products small enough that NumPy's library keeps them to this thread: in larger ones its other threads would
    spin, at the cost of whatever else the cores have to do."""
    matrix, stride, _ = polyphase(from_hz, to_hz)
    windows = np.lib.stride_tricks.sliding_window_view(signal, len(matrix))[: periods * stride : stride]
    out = np.empty((periods, matrix.shape[1]), np.float32)
    for first, last, begin, end in _bands(from_hz, to_hz):
        band = matrix[begin:end, first:last]
        rows = max(1, _SMALL // band.size)
        for row in range(0, periods, rows):
            out[row : row + rows, first:last] = windows[row : row + rows, begin:end] @ band
    return out.reshape(-1)


@functools.lru_cache(maxsize=8)
def _bands(from_hz: int, to_hz: int) -> list[tuple[int, int, int, int]]:
    """The filter's outputs in groups, and which inputs each group depends on: (first, last, begin, end)."""
    matrix, _, _ = polyphase(from_hz, to_hz)
    bands: list[tuple[int, int, int, int]] = []
    for first in range(0, matrix.shape[1], _BAND):
        used = np.flatnonzero(matrix[:, first : first + _BAND].any(axis=1))
        bands.append((first, min(first + _BAND, matrix.shape[1]), int(used[0]), int(used[-1]) + 1))
    return bands


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

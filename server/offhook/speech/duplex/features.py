"""What the ear is given: Whisper's log-mel spectrum, computed hop by hop and put together for any window.

A window begins at a hop and holds at most 100 of them. It is preceded by 200 zero samples, and only frames that lie
wholly inside are made: 8W-1 frames for W hops. All but the first two of them are the same whichever window they stand
in, so each hop's ten new frames (eight, and two as if the stream began there) are computed once and kept as bare
logarithms; what depends on the window, the clamp below its loudest band, is done when a window is asked for. Slots are
computed together. Runs no model. Bands after Slaney 1998 (Auditory Toolbox), scaling as in Radford et al. 2022.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from offhook.speech.contract import HOP_SAMPLES, RATE_HZ, Pcm

Floats = npt.NDArray[np.float32]

BANDS = 80
FFT = 400
STRIDE = 160
FRAMES = HOP_SAMPLES // STRIDE
"""Frames a hop."""
MOST_HOPS = 100
"""Hops in a window."""
_BEFORE = FFT // 2 + STRIDE  # samples before a hop that its first new frame reaches back to
_RING = 128  # hops kept: a window and what a turn reaches back to


class Spectra:
    """The spectra of `slots` streams, each of them the last 128 hops."""

    def __init__(self, slots: int) -> None:
        self._tail = np.zeros((slots, _BEFORE), np.float32)
        self._frames = np.zeros((slots, _RING * FRAMES, BANDS), np.float32)
        self._first = np.zeros((slots, _RING, 2, BANDS), np.float32)
        self._heard = np.zeros(slots, np.int64)

    def heard(self, slot: int) -> int:
        """Hops heard of a slot's stream; they are counted from 0."""
        return int(self._heard[slot])

    def hear(self, slots: Sequence[int], audio: Pcm) -> None:
        """One hop more of each of `slots` (none twice): [len(slots), 1280] int16."""
        rows = np.asarray(slots, np.int64)
        hop = audio.astype(np.float32) * np.float32(1 / 32768)
        heard = np.concatenate([self._tail[rows], hop], axis=1)
        self._tail[rows] = hop[:, -_BEFORE:]
        alone = np.concatenate([np.zeros((len(rows), FFT // 2), np.float32), hop[:, : FFT // 2 + STRIDE]], axis=1)
        made = _log_bands(np.concatenate([_cut(heard, FRAMES), _cut(alone, 2)], axis=1))
        at = self._heard[rows]
        # The frames of hop n are 8n-1 to 8n+6: frame 8n+7 waits for samples of the next hop.
        places = (at[:, None] * FRAMES + np.arange(-1, FRAMES - 1)) % (_RING * FRAMES)
        self._frames[rows[:, None], places] = made[:, :FRAMES]
        self._first[rows, at % _RING] = made[:, FRAMES:]
        self._heard[rows] = at + 1

    def windows(self, slots: Sequence[int], starts: Sequence[int], ends: Sequence[int]) -> tuple[Floats, list[int]]:
        """The windows from hop `starts[i]` up to, not with, hop `ends[i]`: [n, 80, 8W-1 of the longest], zero beyond a
        row's end, and the rows' frames. Raises ValueError where a window is empty, too long, or not kept."""
        counts = [FRAMES * (end - start) - 1 for start, end in zip(starts, ends, strict=True)]
        for slot, start, end in zip(slots, starts, ends, strict=True):
            if not 1 <= end - start <= MOST_HOPS or not self.heard(slot) - _RING <= start or end > self.heard(slot):
                raise ValueError(f"slot {slot} has heard {self.heard(slot)} hops; there is no window {start} to {end}")
        out = np.zeros((len(slots), BANDS, max(counts, default=0)), np.float32)
        for row, (slot, start, count) in enumerate(zip(slots, starts, counts, strict=True)):
            log = self._frames[slot, (start * FRAMES + np.arange(count)) % (_RING * FRAMES)]
            log[:2] = self._first[slot, start % _RING]
            out[row, :, :count] = _normalised(log).T
        return out, counts

    def forget(self, slot: int) -> None:
        """Nothing of the slot's stream stays."""
        for kept in (self._tail, self._frames, self._first, self._heard):
            kept[slot] = 0


def log_mel(audio: Floats) -> Floats:
    """The spectrum of one window as a whole: [1280*W] samples, -1..1, to [80, 8W-1]."""
    padded = np.concatenate([np.zeros(FFT // 2, np.float32), audio])
    return np.ascontiguousarray(_normalised(_log_bands(_cut(padded[None], len(audio) // STRIDE - 1))[0]).T)


def _cut(audio: Floats, frames: int) -> Floats:
    """[n, samples] to overlapping [n, frames, 400]."""
    return np.lib.stride_tricks.sliding_window_view(audio, FFT, axis=1)[:, : frames * STRIDE : STRIDE]


def _log_bands(frames: Floats) -> Floats:
    """[..., 400] to [..., 80]: the logarithm of each band's power."""
    spectrum = np.fft.rfft(frames * _HANN)
    power = spectrum.real**2 + spectrum.imag**2
    out: Floats = np.log10(np.maximum(power.astype(np.float32, copy=False) @ _FILTERS, np.float32(1e-10)))
    return out


def _normalised(log: Floats) -> Floats:
    out: Floats = (np.maximum(log, log.max() - np.float32(8)) + np.float32(4)) * np.float32(0.25)
    return out


def _slaney_filters() -> Floats:
    """[201, 80]: triangles on a scale that is linear below 1 kHz and logarithmic above, each of area one."""

    def hz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        # 200/3 Hz a mel up to 1 kHz (mel 15), then 27 mels for a factor of 6.4
        return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((np.maximum(mel, 15) - 15) * np.log(6.4) / 27))

    top = 15 + 27 * np.log(RATE_HZ / 2 / 1000) / np.log(6.4)
    corners = hz(np.linspace(0, top, BANDS + 2))
    bins = np.arange(FFT // 2 + 1) * RATE_HZ / FFT
    rising = (bins[:, None] - corners[None, :-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[None, 2:] - bins[:, None]) / (corners[2:] - corners[1:-1])
    triangles = np.maximum(0, np.minimum(rising, falling)) * (2 / (corners[2:] - corners[:-2]))
    return triangles.astype(np.float32)


_HANN: Floats = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FFT) / FFT)).astype(np.float32)
_FILTERS = _slaney_filters()

"""Speech as it comes from the decoder, brought to the level of a phone line and freed of the silence around it.

What is only known at the end (how loud the whole clause is, where its last sound lies) is not waited for: the gain is
the voice's, and quiet is held back until it is known to be a pause within the clause and not the end of it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from offhook.speech.contract import RATE_HZ, Pcm

LEVEL = 0.1
"""RMS of speech against full scale: -20 dBFS."""
_PEAK = 0.89  # -1 dBFS
_FADE = RATE_HZ * 5 // 1000
_FRAME = RATE_HZ // 100
_QUIET = 0.06  # of the voice's level: about 2 % of its loudest
_BEFORE, _BEHIND = 2, 4  # quiet frames kept around speech: the breath of an f, the end of an s

Signal = npt.NDArray[np.float32]


def powers_of(sound: Signal, frame: int) -> Signal:
    """RMS of each whole `frame` of samples: [len(sound) // frame]."""
    whole = len(sound) // frame * frame
    powers: Signal = np.sqrt((sound[:whole].reshape(-1, frame) ** 2).mean(axis=1))
    return powers


class Leveller:
    """One clause on its way."""

    def __init__(self, voice_level: float) -> None:
        """`voice_level`: RMS of this voice's speech as the decoder gives it."""
        self._gain = LEVEL / voice_level
        self._quiet = voice_level * _QUIET
        self._held: Signal = np.zeros(0, np.float32)  # begins `_BEFORE` frames before speech at the earliest
        self._begun = False
        self._faded_in = False
        self._since = 0  # quiet frames since the last loud one that went out, before `_held`

    def push(self, sound: Signal, last: bool = False) -> Pcm:
        """What of the clause can go out, now that `sound` (16 kHz) has come; with `last` all that is left of it."""
        held = np.concatenate([self._held, sound])
        loud = np.flatnonzero(powers_of(held, _FRAME) > self._quiet)
        if not self._begun:
            if not len(loud):
                # Of silence before the first sound only a little can still be wanted.
                self._held = held[max(0, len(held) // _FRAME - _BEFORE) * _FRAME :]
                return np.zeros(0, np.int16)
            skipped = max(0, int(loud[0]) - _BEFORE)
            held, loud = held[skipped * _FRAME :], loud - skipped
            self._begun = True
        # Frames up to `end` are speech, or quiet that belongs to it whatever comes.
        end = int(loud[-1]) + 1 + _BEHIND if len(loud) else _BEHIND - self._since
        if last:
            ready = max(0, min(end * _FRAME, len(held)))
        else:
            # The last frame of the clause must fade, so that one which may be it stays here.
            ready = max(0, min(end - 1, len(held) // _FRAME - 1)) * _FRAME
        out, self._held = held[:ready], held[ready:]
        frames = ready // _FRAME
        self._since = frames - 1 - int(loud[-1]) if len(loud) and loud[-1] < frames else self._since + frames
        return self._finish(out, last)

    def _finish(self, sound: Signal, fade_out: bool) -> Pcm:
        sound = sound * self._gain
        bend = 0.2 * _PEAK
        over = np.abs(sound) > _PEAK - bend
        sound[over] = np.sign(sound[over]) * (
            _PEAK - bend + bend * np.tanh((np.abs(sound[over]) - _PEAK + bend) / bend)
        )
        ramp = np.linspace(0.0, 1.0, min(_FADE, len(sound)), dtype=np.float32)
        if not self._faded_in:
            sound[: len(ramp)] *= ramp
            self._faded_in = len(sound) > 0
        if fade_out:
            sound[len(sound) - len(ramp) :] *= ramp[::-1]
        pcm: Pcm = np.round(sound * 32767).astype(np.int16)
        return pcm

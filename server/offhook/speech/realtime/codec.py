"""The caller's and the agent's sound as the far end wants it: G.711 mu-law at 8 kHz or 16 bits at 24 kHz, in pieces.

16 kHz on our side. Rates are changed without a seam between pieces. No base64 and no message is known here.
"""

from __future__ import annotations

from enum import Enum

import numpy as np
import numpy.typing as npt

from offhook.speech.contract import RATE_HZ, Pcm
from offhook.speech.resample import Resampler, Signal


class Format(Enum):
    """How sound is written on the connection."""

    PCMU = "audio/pcmu"
    """ITU-T G.711 mu-law, 8 kHz."""
    PCM = "audio/pcm"
    """16 bits, little-endian, 24 kHz."""

    @property
    def rate_hz(self) -> int:
        return 8_000 if self is Format.PCMU else 24_000

    @property
    def sample_bytes(self) -> int:
        return 1 if self is Format.PCMU else 2


def _mu_law_table() -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
    """What each octet means (G.711 table 2, at 16 bits), and for each 16-bit value, counted from -32768, its octet."""
    codes = ~np.arange(256, dtype=np.uint8)
    exponent, mantissa = (codes >> 4) & 7, codes & 15
    magnitude = ((mantissa.astype(np.int32) * 2 + 33) << exponent) - 33
    meant = np.where(codes & 128, -magnitude, magnitude) * 4
    # Each value takes the octet whose meaning lies nearest.
    order = np.argsort(meant, kind="stable")
    middles = (meant[order][1:] + meant[order][:-1]) / 2
    octets = order[np.searchsorted(middles, np.arange(-32768, 32768))].astype(np.uint8)
    return meant.astype(np.int16), octets


_MEANT, _OCTETS = _mu_law_table()


def to_mu_law(audio: Pcm) -> bytes:
    """`audio` [n] as n octets."""
    return _OCTETS[audio.astype(np.int32) + 32768].tobytes()


def from_mu_law(octets: bytes) -> Pcm:
    """The samples [n] of n octets."""
    return _MEANT[np.frombuffer(octets, np.uint8)]


class Encoder:
    """One caller's sound on its way out."""

    def __init__(self, format: Format) -> None:
        self._format = format
        self._rate = Resampler(RATE_HZ, format.rate_hz)

    def encode(self, audio: Pcm) -> bytes:
        """The next `audio` ([n] int16, 16 kHz) as the far end wants it."""
        audio = _as_pcm(self._rate.feed(audio.astype(np.float32)))
        return to_mu_law(audio) if self._format is Format.PCMU else audio.astype("<i2").tobytes()


class Decoder:
    """One utterance's sound on its way in. Pieces may be cut anywhere, even within a sample."""

    def __init__(self, format: Format) -> None:
        self._format = format
        self._rate = Resampler(format.rate_hz, RATE_HZ)
        self._odd = b""

    def decode(self, octets: bytes) -> Pcm:
        """The next piece as [n] int16, 16 kHz."""
        if self._format is Format.PCMU:
            audio = from_mu_law(octets)
        else:
            octets = self._odd + octets
            whole = len(octets) // 2 * 2
            self._odd = octets[whole:]
            audio = np.frombuffer(octets[:whole], "<i2").astype(np.int16)
        return _as_pcm(self._rate.feed(audio.astype(np.float32)))

    def end(self) -> Pcm:
        """The last few samples: the utterance is over."""
        return _as_pcm(self._rate.end())


def _as_pcm(sound: Signal) -> Pcm:
    pcm: Pcm = np.clip(np.rint(sound), -32768, 32767).astype(np.int16)
    return pcm

"""What a telephone line and the room before it do to speech: for training, drawn at random, fast enough to be put on
anew every time an utterance is used.

The order is that of the world: room, band of the line, what else sounds there, level and overload, G.711, lost packets
and their concealment (shaped after the server's own). Only NumPy is needed. Speech codecs of mobile networks are not
modelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache

import numpy as np
import numpy.typing as npt

RATE_HZ = 16_000
Floats = npt.NDArray[np.float32]
Whole = npt.NDArray[np.int16]

_NARROW_HZ = 8_000
_PACKET = 160  # samples at 8 kHz: 20 ms
_LAGS = (40, 120)  # samples at 8 kHz a lost packet may repeat: 200 to 66 Hz
_COMPARED = 160
_FULL, _FADE, _JOIN = 80, 400, 40  # concealment: at full level, then down to nothing; cross-fade when sound comes back


class Law(Enum):
    """How samples are coded."""

    MU = "mu-law"
    A = "A-law"
    WIDE = "16 kHz, not coded"


class Noise(Enum):
    """What else sounds in the room or on the line."""

    NONE = "none"
    WHITE = "white"
    PINK = "pink"
    HUM = "hum"
    BABBLE = "babble"
    MUSIC = "music"


@dataclass(frozen=True, slots=True)
class Line:
    """One caller's room and line."""

    law: Law = Law.MU
    low_hz: float = 300.0
    high_hz: float = 3_400.0
    noise: Noise = Noise.NONE
    snr_db: float = 25.0
    """Speech against noise, over the stretches where there is speech."""
    clicks_per_s: float = 0.0
    reverb_s: float = 0.0
    """Until the room's echo has faded by 60 dB; 0 is a receiver held to the mouth."""
    echo_db: float = -10.0
    """All of the room's echo against what comes directly."""
    gain_db: float = 0.0
    clip: float = 1.0
    """The level, against full scale, above which everything is cut."""
    loss: float = 0.0
    """Share of packets lost."""
    burst: float = 1.0
    """Packets lost one after the other, on average."""

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Line:
        """A line as callers have them: most are fair, some are bad, a few are bad in several ways."""
        law = (Law.MU, Law.A, Law.WIDE)[rng.choice(3, p=(0.55, 0.33, 0.12))]
        noise = list(Noise)[rng.choice(6, p=(0.30, 0.12, 0.23, 0.08, 0.20, 0.07))]
        lossy = rng.random() < 0.25
        return cls(
            law=law,
            low_hz=float(rng.uniform(60, 330)),
            high_hz=float(rng.uniform(3_100, 3_700) if law is not Law.WIDE else rng.uniform(5_000, 7_800)),
            noise=noise,
            snr_db=float(rng.uniform(5, 25)),
            clicks_per_s=float(rng.uniform(0.3, 3)) if rng.random() < 0.05 else 0.0,
            reverb_s=float(rng.uniform(0.1, 0.6)) if rng.random() < 0.35 else 0.0,
            echo_db=float(rng.uniform(-15, -3)),
            gain_db=float(rng.triangular(-20, 0, 6)),
            clip=float(rng.uniform(0.15, 0.6)) if rng.random() < 0.06 else 1.0,
            loss=float(rng.uniform(0.003, 0.1)) if lossy else 0.0,
            burst=float(rng.uniform(1, 3)),
        )

    def apply(self, audio: Floats, rng: np.random.Generator, others: Sequence[Floats] = ()) -> Floats:
        """`audio` [n] (full scale 1, 16 kHz) as it arrives, [n]. Silence put around speech beforehand is filled with
        the line's noise; `others` are other people's speech to babble with (without any, babble is pink noise)."""
        wide = self.law is Law.WIDE
        rate_hz = RATE_HZ if wide else _NARROW_HZ
        length = _fast(len(audio) + RATE_HZ // 4)  # the end's echo must not come round to the beginning
        bins = length // 2 + 1 if wide else length // 4 + 1
        spectrum = np.fft.rfft(audio, length)[:bins]
        if self.reverb_s > 0:
            spectrum = spectrum * np.fft.rfft(_room(self.reverb_s, self.echo_db, rng), length)[:bins]
        edges = _band(bins, length, self.low_hz, self.high_hz)
        samples = length if wide else length // 2
        sound = np.fft.irfft(spectrum * edges, samples).astype(np.float32) * np.float32(samples / length)
        wanted = len(audio) if wide else (len(audio) + 1) // 2
        sound = sound[:wanted]
        noise = self._noise(wanted, rate_hz, rng, others)
        if noise is not None:
            sound = sound + noise * np.float32(_loudness(sound) * 10 ** (-self.snr_db / 20))
        if self.clicks_per_s:
            places = rng.integers(0, max(1, wanted), rng.poisson(self.clicks_per_s * wanted / rate_hz))
            sound[places] += rng.uniform(-0.4, 0.4, len(places)).astype(np.float32)
        sound = (sound * np.float32(10 ** (self.gain_db / 20))).clip(-self.clip, self.clip)
        if wide:
            return _with_losses(sound, self.loss, self.burst, 2, rng) if self.loss else sound
        sound = _coded(sound, self.law)
        if self.loss:
            sound = _with_losses(sound, self.loss, self.burst, 1, rng)
        return _doubled(sound, len(audio))

    def _noise(self, samples: int, rate_hz: int, rng: np.random.Generator, others: Sequence[Floats]) -> Floats | None:
        """Noise of RMS 1, or None."""
        if self.noise is Noise.NONE or not samples:
            return None
        if self.noise is Noise.WHITE:
            return rng.standard_normal(samples, np.float32)
        if self.noise is Noise.HUM:
            made = _hum(samples, rate_hz, rng)
        elif self.noise is Noise.MUSIC:
            made = _chords(samples, rate_hz, rng)
        elif self.noise is Noise.BABBLE and others:
            made = _babble(samples, rate_hz, rng, others)
        else:
            made = _pink(samples, rng)
        level = max(1e-6, float(np.sqrt(np.mean(made * made))))
        return np.asarray(made / level, np.float32)


def _fast(samples: int) -> int:
    """The next length that a Fourier transform is quick with, divisible by 4."""
    step = 1 << max(2, samples.bit_length() - 4)
    return -(-samples // step) * step


def _band(bins: int, length: int, low_hz: float, high_hz: float) -> Floats:
    """Gain for every bin of a spectrum of `length` samples at 16 kHz: steep as a line's filters, not as a wall."""
    hertz = np.arange(bins, dtype=np.float32) * np.float32(RATE_HZ / length)
    hertz[0] = 0.1
    band = 1 / ((1 + (low_hz / hertz) ** 6) * (1 + (hertz / high_hz) ** 24))
    return np.sqrt(band).astype(np.float32)


def _room(fade_s: float, echo_db: float, rng: np.random.Generator) -> Floats:
    samples = min(RATE_HZ // 4, int(fade_s * RATE_HZ))
    fade = np.exp(np.arange(samples, dtype=np.float32) * np.float32(-6.9 / (fade_s * RATE_HZ)))
    answer: Floats = rng.standard_normal(samples, np.float32) * fade
    answer[: int(rng.integers(16, 160))] = 0  # the nearest wall
    answer *= np.float32(10 ** (echo_db / 20) / max(1e-6, float(np.sqrt((answer * answer).sum()))))
    answer[0] = 1
    return answer


def _loudness(sound: Floats) -> float:
    """RMS over the stretches of 10 ms that are not quiet."""
    frame = 80
    power = (sound[: len(sound) // frame * frame].reshape(-1, frame) ** 2).mean(axis=1)
    loud = power[power > power.max(initial=0.0) * 1e-3]
    return float(np.sqrt(loud.mean())) if len(loud) else 0.02


def _pink(samples: int, rng: np.random.Generator) -> Floats:
    length = _fast(samples)
    bins = length // 2 + 1
    noise = rng.standard_normal(2 * bins, np.float32).view(np.complex64)
    noise *= 1 / np.sqrt(np.arange(bins, dtype=np.float32) + 8)
    return np.fft.irfft(noise, length)[:samples].astype(np.float32)


def _hum(samples: int, rate_hz: int, rng: np.random.Generator) -> Floats:
    mains_hz = (50.0, 60.0)[rng.integers(2)]
    turns = np.arange(samples, dtype=np.float32) * np.float32(2 * np.pi / rate_hz)
    made = 0.15 * _pink(samples, rng)
    for harmonic in (1, 2, 3, 4, 5, 6, 8, 10):
        loudness = rng.uniform(0.1, 1) / harmonic
        made += np.sin(turns * (mains_hz * harmonic) + rng.uniform(0, 6)) * np.float32(loudness)
    return made.astype(np.float32)


def _chords(samples: int, rate_hz: int, rng: np.random.Generator) -> Floats:
    made = np.zeros(samples, np.float32)
    at = 0
    while at < samples:
        long = min(samples - at, int(rng.uniform(0.25, 0.9) * rate_hz))
        seconds = np.arange(long, dtype=np.float32) / rate_hz
        root_hz = 110.0 * 2 ** (rng.integers(0, 24) / 12)
        for step in (0, (3, 4)[rng.integers(2)], 7, 12):
            tone_hz = np.float32(2 * np.pi * root_hz * 2 ** (step / 12))
            tone = np.sin(tone_hz * seconds) + np.float32(0.4) * np.sin(2 * tone_hz * seconds)
            made[at : at + long] += tone * np.exp(-2.5 * seconds)
        at += long
    return made


def _babble(samples: int, rate_hz: int, rng: np.random.Generator, others: Sequence[Floats]) -> Floats:
    made = np.zeros(samples, np.float32)
    step = RATE_HZ // rate_hz
    for _ in range(int(rng.integers(1, 6))):
        voice = others[int(rng.integers(len(others)))]
        voice = voice if step == 1 else (voice[: len(voice) // 2 * 2].reshape(-1, 2).mean(axis=1))
        if len(voice):
            turned = np.resize(np.roll(voice, int(rng.integers(len(voice)))), samples)
            made += turned * np.float32(rng.uniform(0.3, 1))
    return made


def _coded(sound: Floats, law: Law) -> Floats:
    """There and back through G.711."""
    whole = np.round(sound * 32767).astype(np.int32)
    return _table(law)[whole + 32768].astype(np.float32) * np.float32(1 / 32768)


@cache
def _table(law: Law) -> Whole:
    """What every 16-bit sample has become after coding and decoding (ITU-T G.711)."""
    value = np.arange(-32768, 32768)
    if law is Law.MU:
        size = np.minimum(np.abs(value), 32635) + 132
        segment = np.floor(np.log2(size)).astype(np.int64) - 7
        decoded = (((size >> (segment + 3) & 15) << 3) + 132 << segment) - 132
        return np.asarray(np.where(value < 0, -decoded, decoded), np.int16)
    size = np.where(value < 0, -value - 1, value)
    segment = np.maximum(np.floor(np.log2(np.maximum(size, 1))).astype(np.int64) - 7, 0)
    low = (size >> 4 << 4) + 8
    high = ((size >> np.maximum(segment + 3, 4) & 15) << 4) + 0x108 << np.maximum(segment - 1, 0)
    decoded = np.where(segment == 0, low, high)
    return np.asarray(np.where(value < 0, -decoded, decoded), np.int16)


def _with_losses(sound: Floats, loss: float, burst: float, step: int, rng: np.random.Generator) -> Floats:
    """With packets lost (a chain of two states whose bad one lasts `burst` packets) and made up for; `step` is the rate
    in units of 8 kHz."""
    packet = _PACKET * step
    packets = -(-len(sound) // packet)
    stay, fall = 1 - 1 / max(1.0, burst), loss / max(1e-6, 1 - loss) / max(1.0, burst)
    chance = rng.random(packets)
    lost, made = False, sound.copy()
    first = -1
    for at in range(packets + 1):
        lost = at < packets and bool(chance[at] < (stay if lost else fall))
        if lost and first < 0:
            first = at
        elif not lost and first >= 0:
            _conceal(made, sound, first * packet, min(at * packet, len(sound)), step)
            first = -1
    return made


def _conceal(made: Floats, sound: Floats, first: int, end: int, step: int) -> None:
    """Fill `made[first:end]` with the last period before it, fading, and lead over into what comes after."""
    least, most, compared = _LAGS[0] * step, _LAGS[1] * step, _COMPARED * step
    if first < most + compared:
        made[first:end] = 0
        return
    past = made[first - most - compared : first]
    newest = past[-compared:]
    earlier = np.lib.stride_tricks.sliding_window_view(past, compared)[: most - least + 1]  # lag `most` comes first
    products = earlier @ newest
    like = np.where(products > 0, products * np.abs(products) / ((earlier * earlier).sum(axis=1) + 1e-6), 0)
    best = int(np.argmax(like))
    period = most - best if like[best] > 0.1 * float(newest @ newest) else most
    after = min(_JOIN * step, len(sound) - end)
    samples = end - first + after
    filled = np.resize(past[-period:], samples)
    filled = filled * (1 - (np.arange(samples) - _FULL * step) / (_FADE * step)).clip(0, 1).astype(np.float32)
    made[first:end] = filled[: end - first]
    if after:
        rise = np.linspace(0, 1, after, dtype=np.float32)
        made[end : end + after] = filled[end - first :] * (1 - rise) + sound[end : end + after] * rise


def _doubled(sound: Floats, samples: int) -> Floats:
    """From 8 to 16 kHz."""
    length = _fast(len(sound) + 400)
    spectrum = np.zeros(length + 1, np.complex64)
    spectrum[: length // 2 + 1] = np.fft.rfft(sound, length)
    return 2 * np.fft.irfft(spectrum, 2 * length)[:samples].astype(np.float32)

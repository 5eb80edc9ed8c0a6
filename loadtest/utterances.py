"""What is said, for measuring how it sounds after a bad line: rows of digits by six people (recorded data), and
sentences by the three voices of `speech/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from buffers.stream import PACKET, RATE_HZ, Sound
from traces import DATA

EACH = 4
"""Utterances a person."""
DIGITS = 10
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SENTENCES = Path(__file__).resolve().parent / "speech"
LOUD_DB = -26.0
"""Of the voice, over full scale: the usual level for such measurements (ITU-T P.56)."""
NOISE_DB = -66.0
"""Of the line's quiet."""
BETWEEN_S = 1.0
"""Quiet around each on the line."""
_FADE = 160
_PAUSE_S = (0.05, 0.15)

Wave = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Utterance:
    """One file's worth of speech."""

    name: str
    speaker: str
    words: str
    """Empty where it is not known to the word what was said."""
    sound: Sound
    """As it goes into the line: at 8 kHz, with the line's quiet in it."""
    begin: int
    """Its first sample on the line; a packet's first."""


def line(each: int = EACH) -> tuple[list[Utterance], Sound]:
    """`each` utterances of every person in turn, and the sentences; and all of them on one line with quiet between. No
    utterances without the data."""
    spoken = _people(each)
    if not spoken:
        return [], np.zeros(0, np.int16)
    spoken += _sentences()
    quiet = np.zeros(int(BETWEEN_S * RATE_HZ))
    parts, begins = [quiet], []
    for _, _, _, wave in spoken:
        begins.append(sum(map(len, parts)))
        parts += [wave, np.zeros(-len(wave) % PACKET), quiet]
    whole = np.concatenate(parts)
    whole += np.random.default_rng(5).standard_normal(len(whole)) * 10 ** (NOISE_DB / 20)
    sound = np.round(np.clip(whole * 32768, -32768, 32767)).astype(np.int16)
    said = [
        Utterance(name, speaker, words, sound[begin : begin + len(wave)], begin)
        for (name, speaker, words, wave), begin in zip(spoken, begins, strict=True)
    ]
    return said, sound


_Spoken = tuple[str, str, str, Wave]


def _people(each: int) -> list[_Spoken]:
    folder = DATA / "speech" / "fsdd"
    speakers = sorted({file.stem.split("_")[1] for file in folder.glob("?_*_0.wav")})
    return [_digits(folder, speaker, number) for number in range(each) for speaker in speakers]


def _digits(folder: Path, speaker: str, number: int) -> _Spoken:
    rng = np.random.default_rng([number, *speaker.encode()])
    digits = rng.integers(0, 10, DIGITS)
    waves = [_read(folder / f"{digit}_{speaker}_{rng.integers(0, 10)}.wav") for digit in digits]
    words = " ".join(WORDS[digit] for digit in digits)
    return f"{speaker}-{number}", speaker, words, _after_another(waves, rng.uniform(*_PAUSE_S, len(waves)))


def _sentences() -> list[_Spoken]:
    voices = sorted({file.name.split("-")[0] for file in SENTENCES.glob("*.flac")})
    out = []
    for voice in voices:
        waves = [_read(file) for file in sorted(SENTENCES.glob(f"{voice}-*.flac"))]
        for number, turned in enumerate((waves, waves[::-1])):
            out.append((f"{voice}-{number}", voice, "", _after_another(turned, [0.3] * len(turned))))
    return out


def _read(file: Path) -> Wave:
    """A recording at the usual level: they differ in loudness from one to the next."""
    wave, rate_hz = soundfile.read(file, dtype="float64")
    if rate_hz != RATE_HZ:
        raise SystemExit(f"{file} is not at 8 kHz")
    edge = np.clip(np.minimum(np.arange(len(wave)), np.arange(len(wave))[::-1]) / _FADE, 0, 1)
    scaled: Wave = wave * edge * 10 ** (LOUD_DB / 20) / max(float(np.sqrt(np.mean(wave**2))), 1e-6)
    return scaled


def _after_another(waves: Sequence[Wave], pauses_s: Sequence[float]) -> Wave:
    parts = [part for wave, s in zip(waves, pauses_s, strict=True) for part in (wave, np.zeros(int(s * RATE_HZ)))]
    return np.concatenate(parts)

"""Makes speech of what callers say: which voice says it and how, with the caller's pauses, and where speech lies.

Everything follows from a seed and the record's id, so the same call makes the same speech on a machine with the same
voices. Telephone lines are not put on here.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.duplex.data.shards import Samples, Utterance
from models.duplex.data.texts import Said
from models.duplex.data.voices import RATE_HZ, SHARES, Voice
from offhook.speech.resample import resample

Floats = npt.NDArray[np.float32]

LONGEST_S = 15.5
"""Longer speech does not fit into what the model remembers of a turn."""
_LEVEL = 0.08  # RMS of speech against full scale
_FRAME = RATE_HZ // 100
_QUIET = 0.02  # of the loudest 10 ms: what is softer is not speech
_BEFORE, _BEHIND = 2, 4  # frames kept around speech: the breath of an f, the end of an s
_SIZES = tuple(range(17, 25))  # of 20: a recording played at 17/20 of its rate is a larger speaker's


class TooLong(ValueError):
    """Speech that does not fit into a turn."""


@dataclass(frozen=True, slots=True)
class Manner:
    """Who speaks, and how."""

    voice: Voice
    rate: float
    """Against the voice's usual speed."""
    size: int
    """Twentieths: 20 leaves pitch and formants as they are, 24 raises them by a fifth, 17 lowers them."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """Speech without silence around it, int16 at 16 kHz."""

    audio: Samples
    pieces: tuple[tuple[int, int], ...]
    """First sample and the one after the last of every stretch of speech."""


def manner(said: Said, voices: Sequence[Voice], seed: int) -> Manner:
    """The voice and the manner for `said`: held-out voices for dev and test, the others for training.

    Raises ValueError where no voice is left."""
    rng = random.Random(f"{seed} {said.id}")
    fit = [voice for voice in voices if voice.held_out == (said.split != "train")]
    kinds = sorted({voice.kind for voice in fit})
    if not kinds:
        raise ValueError(f"there is no voice for the split {said.split}")
    kind = rng.choices(kinds, [SHARES.get(kind, 0.05) for kind in kinds])[0]
    voice = rng.choice([voice for voice in fit if voice.kind == kind])
    size = 20 if rng.random() < 0.4 else rng.choice(_SIZES)
    return Manner(voice, rng.triangular(0.8, 1.35, 1.03), size)


def speak(said: Said, how: Manner) -> Spoken:
    """`said` as speech. Raises VoiceError where the voice fails, TooLong where it takes more than `LONGEST_S`."""
    parts: list[Floats] = []
    pieces: list[tuple[int, int]] = []
    at = 0
    for number, piece in enumerate(said.pieces):
        last = number + 1 == len(said.pieces)
        rate = how.rate * 20 / how.size  # playing it faster or slower below must not change how fast one speaks
        sound = _trimmed(_sized(how.voice.speak(_intoned(piece.text, last), rate), how.size))
        margin = min(_BEFORE * _FRAME, len(sound)), min(_BEHIND * _FRAME, len(sound))
        pieces.append((at + margin[0], max(at + margin[0], at + len(sound) - margin[1])))
        parts.append(sound)
        at += len(sound)
        if not last:
            silence = max(0, piece.pause_ms * RATE_HZ // 1000 - sum(margin))
            parts.append(np.zeros(silence, np.float32))
            at += silence
    if at > LONGEST_S * RATE_HZ:
        raise TooLong(f"{said.id} takes {at / RATE_HZ:.1f} s, at most {LONGEST_S} s fit into a turn")
    audio = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    return Spoken(_levelled(audio, pieces), tuple(pieces))


def utterance(said: Said, spoken: Spoken, voice: str) -> Utterance:
    """What stands in a shard's lines for `said`."""
    return Utterance(
        id=said.id,
        offset=0,
        samples=len(spoken.audio),
        pieces=spoken.pieces,
        voice=voice,
        words=said.words,
        gist=said.gist,
        meaning=said.meaning,
        asked=said.asked,
        kind=said.kind,
        agent_speaking=said.agent_speaking,
        agent=said.agent,
        pattern=said.pattern,
        split=said.split,
    )


def _intoned(text: str, last: bool) -> str:
    """With a mark at its end, so that a voice goes down at the end of all and stays up before a pause."""
    text = text.strip()
    if text[-1:] in ".?!":
        return text if last else f"{text[:-1]},"
    return f"{text.rstrip(',;:')}{'.' if last else ','}"


def _sized(sound: Floats, size: int) -> Floats:
    return sound if size == 20 else resample(sound, size, 20)


def _trimmed(sound: Floats) -> Floats:
    """Without the silence around it; the margins of `_BEFORE` and `_BEHIND` are there in any case."""
    whole = len(sound) // _FRAME
    power = np.sqrt((sound[: whole * _FRAME].reshape(whole, _FRAME) ** 2).mean(axis=1))
    loud = np.flatnonzero(power > power.max(initial=0.0) * _QUIET)
    if not len(loud):
        return np.zeros(0, np.float32)
    first, end = int(loud[0]) - _BEFORE, int(loud[-1]) + 1 + _BEHIND
    padded = np.pad(sound, (max(0, -first) * _FRAME, max(0, end * _FRAME - len(sound))))
    shift = max(0, -first)
    return padded[(first + shift) * _FRAME : (end + shift) * _FRAME]


def _levelled(audio: Floats, pieces: Sequence[tuple[int, int]]) -> Samples:
    power = [float((audio[first:end] ** 2).sum()) for first, end in pieces]
    samples = sum(end - first for first, end in pieces)
    if not samples or not sum(power):
        return np.zeros(0, np.int16)
    gain = _LEVEL / np.sqrt(sum(power) / samples)
    peak = float(np.abs(audio).max()) * gain
    return np.asarray(np.round(audio * gain * min(1.0, 0.98 / peak) * 32767), np.int16)

"""Callers for tests: our own voice and, where their programs are installed, voices that no one here made; through a
telephone line where that is asked for."""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from offhook import weights
from offhook.speech.contract import RATE_HZ, Pcm
from offhook.speech.resample import Signal, resample
from offhook.speech.voice import Voice

PROGRAMS = {
    "espeak-ng": ("espeak-ng", "-v", "en-us", "-s", "150", "-w", "{file}", "{words}"),
    "flite": ("flite", "-voice", "slt", "-t", "{words}", "-o", "{file}"),
}
LOUD = 0.4


@functools.cache
def our_voice() -> Voice:
    try:
        return Voice.load("joe")
    except weights.WeightsMissing as missing:
        pytest.skip(f"skipped: {missing}")


def spoken(words: str, by: str = "joe") -> Pcm:
    """`words` as said by `joe`, or by one of `PROGRAMS`; skips where that is not installed."""
    if by == "joe":
        return our_voice().render(words)
    program = PROGRAMS[by]
    if shutil.which(program[0]) is None:
        pytest.skip(f"skipped: {program[0]} is not installed")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "said.wav"
        command = [part.format(file=file, words=words) for part in program]
        subprocess.run(command, check=True, capture_output=True, timeout=30)
        sound, rate_hz = soundfile.read(file, dtype="float32")
    sound = resample(sound, rate_hz, RATE_HZ)
    return as_pcm(sound / np.abs(sound).max() * LOUD)


def over_g711(audio: Pcm) -> Pcm:
    """`audio` as it comes out of a G.711 mu-law line (ITU-T G.711, here by its continuous curve)."""
    narrow = np.clip(resample((audio / 32768).astype(np.float32), RATE_HZ, 8_000), -1, 1)
    law = np.round((np.sign(narrow) * np.log1p(255 * np.abs(narrow)) / np.log(256) + 1) * 127.5) / 127.5 - 1
    wide = np.sign(law) * (np.power(256.0, np.abs(law)) - 1) / 255
    return as_pcm(resample(wide.astype(np.float32), 8_000, RATE_HZ))


def as_pcm(sound: Signal) -> Pcm:
    """Sound between -1 and 1 as 16 bits."""
    pcm: Pcm = np.round(np.clip(sound, -1, 1) * 32767).astype(np.int16)
    return pcm

"""Prompts: fixed words and tones, made once, kept as files, loaded into the media core where any port can play them.

What the dial plan says is rendered here, so that it can be heard while no speech worker is up.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from offhook.media import MediaCore
from offhook.speech.contract import RATE_HZ
from offhook.speech.voice import Voice

Pcm = npt.NDArray[np.int16]

MOST_LOADED = 256
"""Prompts kept in the core; the one longest unheard makes room. Texts with a caller's data in them come and go."""

_MADE_AS = 1  # goes up when the same words would sound otherwise


class Prompts:
    """The prompts of one server. For one event loop."""

    def __init__(self, core: MediaCore, folder: Path, voice: str = "joe") -> None:
        """`folder` keeps rendered prompts from run to run; `voice` speaks where none is named."""
        self._core = core
        self._folder = folder
        self._voice = voice
        self._loaded: OrderedDict[str, int] = OrderedDict()
        self._voices: dict[str, Voice] = {}
        self._making = asyncio.Lock()

    async def words(self, text: str, voice: str | None = None, pause_s: float = 0.0) -> int:
        """The prompt that says `text`, with a pause after it for one that is played over and over. Raises
        WeightsMissing where the voice was not pulled."""
        name = voice or self._voice
        key = hashlib.sha256(f"{_MADE_AS}\0{name}\0{text}".encode()).hexdigest()
        loaded = f"{key} {pause_s:g}"
        if loaded not in self._loaded:
            async with self._making:
                if loaded not in self._loaded:
                    pcm = await asyncio.to_thread(self._rendered, key, name, text)
                    self._keep(loaded, np.concatenate([pcm, np.zeros(int(pause_s * RATE_HZ), np.int16)]))
        self._loaded.move_to_end(loaded)
        return self._loaded[loaded]

    def tone(self, name: str) -> int:
        """One of `TONES`."""
        if name not in self._loaded:
            self._keep(name, TONES[name]())
        return self._loaded[name]

    def _keep(self, key: str, pcm: Pcm) -> None:
        self._loaded[key] = self._core.load_prompt(pcm, RATE_HZ)
        while len(self._loaded) > MOST_LOADED:
            self._core.drop_prompt(self._loaded.popitem(last=False)[1])

    def _rendered(self, key: str, voice: str, text: str) -> Pcm:
        path = self._folder / f"{key}.wav"
        if path.exists():
            pcm, rate_hz = soundfile.read(path, dtype="int16")
            if rate_hz == RATE_HZ and len(pcm):
                return np.asarray(pcm, dtype=np.int16)
        if voice not in self._voices:
            self._voices[voice] = Voice.load(voice)
        rendered: Pcm = self._voices[voice].render(text)
        if not len(rendered):
            rendered = np.zeros(RATE_HZ // 10, dtype=np.int16)
        self._write(path, rendered)
        return rendered

    def _write(self, path: Path, pcm: Pcm) -> None:
        """A prompt that cannot be kept is still played; it is made again next time."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self._folder, suffix=".wav")
            os.close(handle)
            soundfile.write(temporary, pcm, RATE_HZ, subtype="PCM_16")
            os.replace(temporary, path)
        except OSError:
            return


def _tone(hz: tuple[float, ...], on_s: float, off_s: float, level: float) -> Pcm:
    t = np.arange(int(on_s * RATE_HZ)) / RATE_HZ
    sound = np.sin(2 * np.pi * np.outer(hz, t)).sum(axis=0) * (level / len(hz))
    ramp = np.minimum(1.0, np.minimum(t, t[::-1]) / 0.005)
    pcm: Pcm = np.concatenate([sound * ramp * 32767, np.zeros(int(off_s * RATE_HZ))]).astype(np.int16)
    return pcm


def ringing() -> Pcm:
    """What a caller hears while somebody else's phone rings: 440 and 480 Hz, 2 s on, 4 s off (ITU-T E.180, US)."""
    return _tone((440.0, 480.0), 2.0, 4.0, 0.2)


def beep() -> Pcm:
    """Speak after the tone: 1 kHz for 0.4 s."""
    return _tone((1000.0,), 0.4, 0.05, 0.3)


TONES = {"ringing": ringing, "beep": beep}

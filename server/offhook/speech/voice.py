"""A Piper voice on onnxruntime: words in, 16 kHz speech out, clause by clause so that the first one comes early.

Clauses are kept, in memory and on disk, by voice and words; a sentence said before costs nothing. Playing, cutting
and knowing what was heard are not its business.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from offhook import weights
from offhook.speech.contract import RATE_HZ, Pcm
from offhook.speech.phonemes import Phonemes
from offhook.speech.resample import resample
from offhook.speech.saying import as_spoken, clauses

_LEVEL = 0.1  # RMS of speech against full scale: -20 dBFS
_PEAK = 0.89  # -1 dBFS
_FADE = RATE_HZ * 5 // 1000
_PAUSE_MS = {",": 120, ";": 160, ":": 160, ".": 260, "?": 260, "!": 260}
_MADE_AS = 3  # goes up when the same words would come out otherwise: what is on disk is then made anew


@dataclass(frozen=True, slots=True)
class Clause:
    """A piece of speech: the words as written, their sound (16 kHz int16), and the pause due before the next piece."""

    text: str
    audio: Pcm
    pause: int
    """Samples."""


class Voice:
    """One voice. Safe to use from several threads."""

    def __init__(self, name: str, folder: Path, threads: int = 2, memory: int = 512, keep: Path | None = None) -> None:
        """`memory` clauses are kept in memory; on disk as many as are asked for, in `keep` (None: nowhere)."""
        settings = json.loads((folder / "voice.onnx.json").read_text(encoding="utf-8"))
        self.name = name
        self._rate_hz = int(settings["audio"]["sample_rate"])
        self._ids: dict[str, list[int]] = settings["phoneme_id_map"]
        inference = settings["inference"]
        self._scales = np.array([inference["noise_scale"], inference["length_scale"], inference["noise_w"]], np.float32)
        self._phonemes = Phonemes(settings["espeak"]["voice"])
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Threads that spin between runs would take the cores from recognition.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = ort.InferenceSession(folder / "voice.onnx", options, providers=["CPUExecutionProvider"])
        self._kept: OrderedDict[str, Pcm] = OrderedDict()
        self._memory = memory
        self._keep = keep
        self._lock = threading.Lock()

    @classmethod
    def load(cls, name: str = "joe", threads: int = 2) -> Voice:
        """The voice `name` of the weights registry, run on `threads` cores, warmed up.

        Raises `WeightsMissing` where it was not pulled."""
        voice = cls(name, weights.path(name), threads, keep=weights.cache() / "speech" / name)
        voice._synthesise("Ready.")
        return voice

    def speak(self, text: str) -> Iterator[Clause]:
        """`text` as speech, one clause after the other, each as soon as it is there."""
        for words in clauses(text):
            clause = self.clause(words)
            if len(clause.audio):
                yield clause

    def render(self, text: str) -> Pcm:
        """`text` as speech in one piece."""
        said = list(self.speak(text))
        pieces: list[Pcm] = []
        for clause in said:
            pieces += [clause.audio, np.zeros(clause.pause, np.int16)]
        return np.concatenate(pieces[:-1]) if pieces else np.zeros(0, np.int16)

    def clause(self, text: str) -> Clause:
        """One clause as speech, from what is kept or made now (about 1/30 of its length on two idle cores)."""
        key = self._key(text)
        audio = self._remembered(key)
        if audio is None:
            audio = self._from_disk(key)
            if audio is None:
                audio = self._synthesise(text)
            audio.flags.writeable = False
            with self._lock:
                self._kept[key] = audio
                while len(self._kept) > self._memory:
                    self._kept.popitem(last=False)
        pause_ms = _PAUSE_MS.get(text.rstrip("\"')")[-1:], 60)
        return Clause(text, audio, RATE_HZ * pause_ms // 1000)

    def prepare(self, text: str) -> None:
        """Make `text` now and keep it on disk too: for what is said in every call."""
        for clause in clauses(text):
            self._to_disk(self._key(clause), self.clause(clause).audio)

    def _key(self, text: str) -> str:
        return hashlib.sha256(f"{_MADE_AS}\0{self.name}\0{text}".encode()).hexdigest()

    def _remembered(self, key: str) -> Pcm | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def _synthesise(self, text: str) -> Pcm:
        sounds = self._phonemes.of(as_spoken(text))
        if not any(symbol.isalpha() for symbol in sounds):
            return np.zeros(0, np.int16)
        ids = [*self._ids["^"], *self._ids["_"]]
        for symbol in sounds:
            if symbol in self._ids:
                ids += [*self._ids[symbol], *self._ids["_"]]
        row = np.array([ids + self._ids["$"]], np.int64)
        feeds = {"input": row, "input_lengths": np.array([row.shape[1]], np.int64), "scales": self._scales}
        sound = np.asarray(self._session.run(None, feeds)[0], np.float32).reshape(-1)
        return _finish(resample(sound, self._rate_hz, RATE_HZ))

    def _from_disk(self, key: str) -> Pcm | None:
        if self._keep is None:
            return None
        try:
            kept: Pcm = np.load(self._keep / f"{key}.npy", allow_pickle=False).astype(np.int16, copy=False)
            return kept
        except (OSError, ValueError):
            return None

    def _to_disk(self, key: str, audio: Pcm) -> None:
        if self._keep is None or (self._keep / f"{key}.npy").exists():
            return
        try:
            self._keep.mkdir(parents=True, exist_ok=True)
            handle, part = tempfile.mkstemp(dir=self._keep, suffix=".part")
            with os.fdopen(handle, "wb") as stream:
                np.save(stream, audio)
            os.replace(part, self._keep / f"{key}.npy")
        except OSError:
            return  # a full or read-only disk costs time at the next start, nothing else


def _finish(sound: npt.NDArray[np.float32]) -> Pcm:
    """Cut the silence around the speech, bring it to level, fade its ends."""
    frame = RATE_HZ // 100
    whole = len(sound) // frame * frame
    power = np.sqrt((sound[:whole].reshape(-1, frame) ** 2).mean(axis=1)) if whole else np.zeros(0, np.float32)
    loud = np.flatnonzero(power > power.max(initial=0.0) * 0.02)
    if not len(loud):
        return np.zeros(0, np.int16)
    # 20 ms of what is softer before and 40 ms behind keep the breath of an f or the end of an s.
    sound = sound[max(0, loud[0] - 2) * frame : (loud[-1] + 5) * frame]
    speech = power[power > power.max() * 0.1]
    gain = min(_LEVEL / float(np.sqrt((speech**2).mean())), _PEAK / float(np.abs(sound).max()) * 1.5)
    sound = sound * gain
    over = np.abs(sound) > _PEAK * 0.8
    sound[over] = np.sign(sound[over]) * (
        _PEAK * 0.8 + 0.2 * _PEAK * np.tanh((np.abs(sound[over]) - _PEAK * 0.8) / (0.2 * _PEAK))
    )
    ramp = np.linspace(0.0, 1.0, min(_FADE, len(sound)), dtype=np.float32)
    sound[: len(ramp)] *= ramp
    sound[len(sound) - len(ramp) :] *= ramp[::-1]
    return np.round(sound * 32767).astype(np.int16)

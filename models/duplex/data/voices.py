"""The voices that speak the training data, each behind one call: words in, 16 kHz speech out.

All are free to use: Kokoro-82M and Hibari (Apache-2.0), Piper's joe (CC0), CMU's flite and festival voices (BSD-like),
and espeak-ng (GPL, run as a program). A machine has some of them; `voices` gives those that are there and names what is
missing. `OFFHOOK_VOICES` is the folder that `kokoro_fetch` filled (else `var/voices`); Hibari, and with it the
pronunciation of Kokoro, comes with the package `hibari-tts`.
A voice that is `held_out` speaks in dev and test only.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import wave
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from offhook import weights
from offhook.speech.phonemes import Phonemes
from offhook.speech.resample import resample

RATE_HZ = 16_000
Floats = npt.NDArray[np.float32]

SHARES = {"kokoro": 0.06, "hibari": 0.48, "joe": 0.10, "flite": 0.12, "festival": 0.04, "espeak": 0.20}
"""How much of the training data each kind speaks; what a machine lacks is made up for by the others."""
LICENCES = {
    "kokoro": "Kokoro-82M, Apache-2.0",
    "hibari": "Hibari (distilled from Kokoro-82M), Apache-2.0",
    "joe": "Piper en_US-joe-medium, CC0-1.0",
    "flite": "CMU Flite, BSD-like",
    "festival": "Festival and its voices, BSD-like",
    "espeak": "espeak-ng, GPL-3.0-or-later (run as a program; what it speaks is free)",
}


class VoiceError(RuntimeError):
    """A voice that said nothing: the message names the voice, the words and the reason."""


@dataclass(frozen=True, slots=True)
class Voice:
    """One speaker."""

    name: str
    kind: str
    held_out: bool
    _speak: Callable[[str, float], Floats]

    def speak(self, text: str, rate: float = 1.0) -> Floats:
        """`text` at `rate` times the usual speed: float32, mono, 16 kHz. Raises VoiceError where nothing comes out."""
        try:
            sound = self._speak(text, rate)
        except (OSError, ValueError, KeyError, RuntimeError, subprocess.SubprocessError) as error:
            raise VoiceError(f'voice {self.name} cannot say "{text[:80]}": {error}') from error
        if not len(sound) or float(np.abs(sound).max()) < 1e-4 or not np.isfinite(sound).all():
            raise VoiceError(f'voice {self.name} says nothing for "{text[:80]}"')
        return sound


def voices() -> tuple[list[Voice], list[str]]:
    """The voices of this machine, and a sentence for each kind that is not there."""
    there: list[Voice] = []
    missing: list[str] = []
    for kind, find in _KINDS.items():
        try:
            there += find()
        except (OSError, ImportError, ValueError, RuntimeError) as error:
            missing.append(f"{kind}: {error}")
    return there, missing


# -- Kokoro: 28 English speakers, their mixtures, and speakers of other languages who have an accent in English

_KOKORO_ENGLISH = (
    "af_alloy af_aoede af_bella af_heart af_jessica af_kore af_nicole af_nova af_river af_sarah af_sky am_adam am_echo "
    "am_eric am_fenrir am_liam am_michael am_onyx am_puck bf_alice bf_emma bf_isabella bf_lily bm_daniel bm_fable "
    "bm_george bm_lewis"
).split()
_KOKORO_ACCENTS = "ef_dora em_alex ff_siwis hf_alpha hf_beta hm_omega hm_psi if_sara im_nicola pf_dora pm_alex".split()
_KOKORO_HELD_OUT = frozenset("af_sarah am_eric bf_lily bm_george hm_psi".split())
_KOKORO_LEAST_IDS = 3


class _Kokoro:
    """The model, shared by its speakers; runs on OpenVINO where that is installed, else on onnxruntime."""

    def __init__(self, folder: Path) -> None:
        if not (folder / "kokoro.onnx").is_file():
            raise OSError(f"{folder}/kokoro.onnx is not there; set OFFHOOK_VOICES to the folder that has it")
        floats = folder / "kokoro-floats.onnx"
        if not floats.is_file():
            importlib.import_module("models.duplex.data.kokoro").as_floats(folder / "kokoro.onnx", floats)
        self.folder = folder
        vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        self._ids: dict[str, int] = vocabulary.get("vocab", vocabulary)
        self._run = _runner(floats)

    def style(self, name: str) -> Floats:
        """The speaker `name`: a vector for every length of a sentence, [510, 256]."""
        return np.fromfile(self.folder / "voices" / f"{name}.bin", np.float32).reshape(-1, 256)

    def speak(self, style: Floats, british: bool, text: str, rate: float) -> Floats:
        pieces = []
        for sounds in _phonemes(british)(text):
            ids = [self._ids[c] for c in sounds if c in self._ids]
            if len(ids) >= _KOKORO_LEAST_IDS:
                row = style[min(len(ids), len(style) - 1)][None]
                feeds = {
                    "tokens": np.array([[0, *ids, 0]], np.int64),
                    "style": row,
                    "speed": np.array([rate], np.float32),
                }
                pieces.append(np.asarray(self._run(feeds), np.float32).reshape(-1))
        return resample(np.concatenate(pieces), 24_000, RATE_HZ) if pieces else np.zeros(0, np.float32)


def _runner(model: Path) -> Callable[[dict[str, npt.NDArray[Any]]], npt.NDArray[Any]]:
    # Kept out of the server's environment: `pip install --target $OFFHOOK_VOICES/ov openvino`.
    extra = os.environ.get("OFFHOOK_VOICES", "")
    if extra and (Path(extra) / "ov").is_dir() and f"{extra}/ov" not in sys.path:
        sys.path.append(f"{extra}/ov")
    try:
        openvino: Any = importlib.import_module("openvino")
    except ImportError:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return lambda feeds: np.asarray(session.run(None, feeds)[0])
    settings = {"INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": 1, "ENABLE_CPU_PINNING": False}
    settings["CPU_RUNTIME_CACHE_CAPACITY"] = 0  # or it keeps gigabytes, for no two sentences are of one length
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(str(model)), "CPU", settings)
    return lambda feeds: np.asarray(compiled(feeds)[0])


@cache
def _phonemes(british: bool) -> Callable[[str], list[str]]:
    hibari: Any = importlib.import_module("hibari")
    speaker = hibari.Hibari()
    if british:
        speaker = hibari.Hibari(g2p=importlib.import_module("hibari.g2p").G2P(british=True), model=speaker.model_path)
    lock = threading.Lock()

    def of(text: str) -> list[str]:
        with lock:
            return list(speaker.phonemize(text))

    return of


def _kokoro() -> list[Voice]:
    model = _Kokoro(Path(os.environ.get("OFFHOOK_VOICES", "var/voices")) / "kokoro")
    found = []

    def add(name: str, style: Floats, british: bool, held_out: bool) -> None:
        speak = lambda text, rate: model.speak(style, british, text, rate)  # noqa: E731 - a closure over this speaker
        found.append(Voice(f"kokoro-{name}", "kokoro", held_out, speak))

    styles = {name: model.style(name) for name in (*_KOKORO_ENGLISH, *_KOKORO_ACCENTS)}
    for name, style in styles.items():
        add(name, style, name[0] == "b", name in _KOKORO_HELD_OUT)
    # A mixture of two speakers of one sex and accent is a third one, whom nobody has heard.
    known = [name for name in _KOKORO_ENGLISH if name not in _KOKORO_HELD_OUT]
    for at, first in enumerate(known):
        second = [name for name in known if name[:2] == first[:2]]
        other = second[(second.index(first) + 1 + at % max(1, len(second) - 1)) % len(second)]
        if other != first:
            share = 0.35 + 0.05 * (at % 7)
            mixed = np.asarray(share * styles[first] + (1 - share) * styles[other], np.float32)
            add(f"{first}+{other}", mixed, first[0] == "b", False)
    for first, accent in zip(known, _KOKORO_ACCENTS * 3, strict=False):
        if accent not in _KOKORO_HELD_OUT and first[1] == accent[1]:
            add(
                f"{first}+{accent}",
                np.asarray((styles[first] + styles[accent]) / 2, np.float32),
                first[0] == "b",
                False,
            )
    return found


# -- Hibari: one speaker whose pitch, range and vocal tract are changed inside its vocoder


@dataclass(frozen=True, slots=True)
class _Throat:
    pitch: float
    liveliness: float
    """How far the pitch swings, against the original."""
    tract: float
    """Length of the vocal tract against the original: above 1 is a larger person."""
    breath: float
    """Added to the natural logarithm of the noise."""


_THROATS = tuple(
    _Throat(pitch, liveliness, tract, breath)
    for pitch, liveliness, tract, breath in (
        (1.00, 1.0, 1.00, 0.0), (0.92, 0.8, 1.04, 0.0), (1.12, 1.1, 0.96, 0.0), (0.85, 0.9, 1.08, 0.5),
        (1.25, 1.2, 0.92, 0.0), (0.56, 0.9, 1.16, 0.0), (0.62, 1.0, 1.13, 0.3), (0.50, 0.8, 1.19, 0.0),
        (0.68, 1.2, 1.12, 0.0), (0.60, 0.6, 1.18, 0.8), (0.53, 1.2, 1.14, 0.5), (0.74, 1.0, 1.10, 0.0),
        (0.80, 1.3, 1.05, 0.8), (1.06, 0.6, 1.02, 1.0), (1.35, 1.3, 0.88, 0.0), (0.47, 0.7, 1.21, 0.4),
        (0.65, 0.8, 1.20, 0.0), (0.96, 1.3, 1.07, 0.3), (0.58, 1.1, 1.10, 0.9), (1.18, 0.8, 0.99, 0.5),
    )
)  # fmt: skip
_THROATS_HELD_OUT = (3, 8)


def _hibari() -> list[Voice]:
    hibari: Any = importlib.import_module("hibari")
    speaker = hibari.Hibari()
    _phonemes(False)
    found = []
    for at, throat in enumerate(_THROATS):
        speak = lambda text, rate, throat=throat: _hibari_says(speaker, throat, text, rate)  # noqa: E731
        found.append(Voice(f"hibari-{at:02d}", "hibari", at in _THROATS_HELD_OUT, speak))
    return found


def _hibari_says(speaker: Any, throat: _Throat, text: str, rate: float) -> Floats:
    synth: Any = importlib.import_module("hibari.dsp").synth
    pieces = []
    for sounds in _phonemes(False)(text):
        ids = speaker.ids(sounds)
        rng = np.random.default_rng(len(ids))
        feeds = {"ids": np.array([ids], np.int64), "speed": np.array([rate], np.float32)}
        harmonic, turn, noise, rest, phase, pitch = (
            np.asarray(out[0], np.float32) for out in speaker.sess.run(None, feeds)
        )
        if throat.tract != 1.0:
            harmonic, turn, noise, rest = (_warp(part, throat.tract) for part in (harmonic, turn, noise, rest))
        voiced = pitch > 40.0
        if voiced.any() and (throat.pitch, throat.liveliness) != (1.0, 1.0):
            middle = float(np.median(pitch[voiced]))
            pitch = np.where(
                voiced, throat.pitch * middle * (pitch / middle).clip(0.3, 3.0) ** throat.liveliness, pitch
            )
            # What is left over beside harmonics and noise still has the old pitch: in voiced frames it becomes breath.
            rest = rest - 1.2 * voiced
            phase = np.where(voiced, rng.uniform(-np.pi, np.pi, phase.shape), phase)
        made = synth(harmonic, turn, noise + throat.breath, rest, phase, pitch.astype(np.float32), rng)
        pieces.append(np.asarray(made, np.float32))
    return resample(np.concatenate(pieces), 24_000, RATE_HZ) if pieces else np.zeros(0, np.float32)


def _warp(spectrum: Floats, tract: float) -> Floats:
    """`spectrum` ([bins, frames]) of a vocal tract `tract` times as long: its peaks move down by that factor."""
    place = np.minimum(np.arange(len(spectrum), dtype=np.float32) * tract, len(spectrum) - 1.001)
    low = place.astype(np.int64)
    part = (place - low)[:, None].astype(np.float32)
    return np.asarray(spectrum[low] * (1 - part) + spectrum[low + 1] * part, np.float32)


# -- Piper


def _joe() -> list[Voice]:
    folder = weights.path("joe")
    settings = json.loads((folder / "voice.onnx.json").read_text(encoding="utf-8"))
    phonemes, table, inference = Phonemes("en-us"), settings["phoneme_id_map"], settings["inference"]
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(folder / "voice.onnx", options, providers=["CPUExecutionProvider"])

    def speak(text: str, rate: float) -> Floats:
        ids = [*table["^"], *table["_"]]
        for symbol in phonemes.of(text):
            if symbol in table:
                ids += [*table[symbol], *table["_"]]
        row = np.array([ids + table["$"]], np.int64)
        scales = np.array(
            [inference["noise_scale"], inference["length_scale"] / rate, inference["noise_w"]], np.float32
        )
        feeds = {"input": row, "input_lengths": np.array([row.shape[1]], np.int64), "scales": scales}
        sound = np.asarray(session.run(None, feeds)[0], np.float32).reshape(-1)
        return resample(sound, int(settings["audio"]["sample_rate"]), RATE_HZ)

    return [Voice("joe", "joe", False, speak)]


# -- programs


def _program(name: str) -> str:
    where = shutil.which(name)
    if where is None:
        raise OSError(f"the program {name} is not installed")
    return where


def _flite() -> list[Voice]:
    program = _program("flite")

    def of(name: str) -> Voice:
        def speak(text: str, rate: float) -> Floats:
            stretch = ["--setf", f"duration_stretch={1 / rate:.3f}"]
            return _wave_of([program, "-voice", name, *stretch, "-t", text, "-o"], named=True)

        return Voice(f"flite-{name}", "flite", name == "rms", speak)

    return [of(name) for name in ("slt", "awb", "kal16", "rms")]


def _festival() -> list[Voice]:
    program = _program("text2wave")
    names = {"cmu_us_slt_arctic_hts": "slt_hts", "kal_diphone": "kal", "ked_diphone": "ked"}

    def of(name: str) -> Voice:
        def speak(text: str, rate: float) -> Floats:
            stretch = f"(Parameter.set 'Duration_Stretch {1 / rate:.3f})"
            return _wave_of([program, "-eval", f"(voice_{name})", "-eval", stretch, "-o"], named=True, said=text)

        return Voice(f"festival-{names[name]}", "festival", name == "ked_diphone", speak)

    there = [name for name in names if any(Path("/usr/share/festival/voices").glob(f"*/{name}"))]
    return [of(name) for name in there]


_ESPEAK = (
    "en-us+f1 en-us+f2 en-us+f3 en-us+f4 en-us+f5 en-us+m1 en-us+m2 en-us+m3 en-us+m4 en-us+m5 en-us+m6 en-us+m7 "
    "en-us+m8 en-gb en-gb+f2 en-gb+f4 en-gb+m3 en-gb-scotland en-gb-scotland+f3 en-gb-x-rp en-gb-x-rp+f2 "
    "en-gb-x-gbclan en-029 en-029+f3 en-us-nyc en-us+Alicia en-us+Andrea "
    "en-us+Michael en-us+steph en-us+grandma en-us+klatt4"
).split()
_ESPEAK_HELD_OUT = frozenset(("en-us+m8", "en-gb+f4", "en-029"))


def _espeak() -> list[Voice]:
    program = _program("espeak-ng")

    def of(name: str) -> Voice:
        def speak(text: str, rate: float) -> Floats:
            return _wave_of([program, "-v", name, "-s", str(round(165 * rate)), "--stdout", "--stdin"], said=text)

        return Voice(f"espeak-{name}", "espeak", name in _ESPEAK_HELD_OUT, speak)

    return [of(name) for name in _ESPEAK]


def _wave_of(command: list[str], named: bool = False, said: str = "") -> Floats:
    """What `command` speaks: into a file whose name is put behind it, or to its standard output."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "said.wav"
        done = subprocess.run(
            [*command, str(file)] if named else command,
            input=said.encode(),
            capture_output=True,
            timeout=60,
            check=True,
        )
        sound = file.read_bytes() if named else done.stdout
    # A program that writes to a pipe does not know the length when it writes the header.
    with wave.open(io.BytesIO(sound)) as read:
        rate_hz, width, channels = read.getframerate(), read.getsampwidth(), read.getnchannels()
    if (width, channels) != (2, 1):
        raise ValueError(f"{command[0]} made {channels} channels of {width} bytes, expected one of two")
    at = sound.index(b"data") + 8
    samples = np.frombuffer(sound[at : at + (len(sound) - at) // 2 * 2], "<i2")
    return resample(np.asarray(samples / 32768, np.float32), rate_hz, RATE_HZ)


_KINDS: dict[str, Callable[[], list[Voice]]] = {
    "kokoro": _kokoro, "hibari": _hibari, "joe": _joe, "flite": _flite, "festival": _festival, "espeak": _espeak,
}  # fmt: skip

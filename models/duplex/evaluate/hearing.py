"""What is measured hears speech as on a call: callers on telephone lines, the duplex model's rows, the recogniser.

Hop by hop through the very runtime that serves; nothing here knows what an agent makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.duplex.data.line import Law, Line, Noise
from offhook.speech.contract import HOP_SAMPLES, RATE_HZ, Pcm, Vector
from offhook.speech.duplex.built import load_duplex
from offhook.speech.duplex.listening import Heard, Listening, Opening, Writing

Floats = npt.NDArray[np.float32]

LINES: dict[str, Line] = {
    "clean": Line(law=Law.MU),
    "20 dB": Line(law=Law.MU, noise=Noise.PINK, snr_db=20.0),
    "10 dB, 3 % lost": Line(law=Law.MU, noise=Noise.PINK, snr_db=10.0, loss=0.03, burst=1.5),
}
"""G.711 (mu-law, 300-3,400 Hz): alone; in noise that falls by 3 dB an octave; in more of it, with packets lost."""
LEAD_HOPS = 4
"""Silence before speech."""
TAIL_HOPS = 5
"""And after it."""
_BEFORE, _NOTICED = 3, 2  # hops a row begins before its turn, and those of the turn until it is noticed
_MOST_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Understanding:
    """What the duplex model makes of a turn."""

    states: Vector
    """Probabilities of `Heard`'s members at the end, [4]."""
    meaning: Vector
    """[384]"""
    gist: str
    words: str


def over(line: Line, speech: Pcm, seed: int, lead_hops: int = LEAD_HOPS, tail_hops: int = TAIL_HOPS) -> Pcm:
    """`speech` with silence around it as it arrives over `line`: whole hops, [n * 1280]."""
    total = -(-len(speech) // HOP_SAMPLES) + lead_hops + tail_hops
    sound = np.zeros(total * HOP_SAMPLES, np.float32)
    first = lead_hops * HOP_SAMPLES
    sound[first : first + len(speech)] = speech.astype(np.float32) / 32768
    heard = line.apply(sound, np.random.default_rng(seed))
    return np.round(np.clip(heard, -1, 1) * 32767).astype(np.int16)


def hops(audio: Pcm) -> Sequence[Pcm]:
    """`audio` cut into hops, each [1280]; what does not fill one is left out."""
    return list(audio[: len(audio) // HOP_SAMPLES * HOP_SAMPLES].reshape(-1, HOP_SAMPLES))


def duplex(folder: Path | None, threads: int) -> Listening:
    """The built duplex model with one slot. Raises DuplexUnavailable."""
    return load_duplex(1, threads=threads, folder=folder)


def understand(model: Listening, audio: Pcm, said: str, speaking: bool) -> Understanding:
    """Have `audio` (with `LEAD_HOPS` before the speech) heard as a turn that followed the agent's words `said`: as it
    is served, two hops at a time, then the gist, then the words."""
    model.forget(0)
    row = 0
    states, meaning = np.zeros(4, np.float32), np.zeros(384, np.float32)
    cut = hops(audio)
    for at, hop in enumerate(cut, 1):
        model.hear([0], hop[None])
        if at == LEAD_HOPS + _NOTICED:
            row = _BEFORE + _NOTICED
            model.begin([0], [Opening(said, speaking, row)])
        elif row:
            row += 1
        if row and row <= model.most_hops and (row % 2 == 1 or at == len(cut)):
            found = model.listen([0])
            states, meaning = found[0][0], found[1][0]
    gist = finished(lambda: model.gist([0])[0]).text
    words = finished(lambda: model.words([0])[0]).text
    return Understanding(states, meaning, gist, words)


def finished(more: Callable[[], Writing]) -> Writing:
    """What is written in the end, a token or some at a time."""
    writing = more()
    for _ in range(_MOST_TOKENS):
        if writing.over:
            break
        writing = more()
    return writing


def ended(states: Vector, question: bool) -> float:
    """How likely the caller is done; to a question, `okay` is an answer."""
    return float(states[Heard.ENDED] + (states[Heard.BACKCHANNEL] if question else 0.0))


def seconds(audio: Pcm) -> float:
    """How long it lasts."""
    return len(audio) / RATE_HZ

"""Speech to words: Whisper on CTranslate2, cut to what was said.

Whisper is built for 30 s at a time and pays for all of it. A caller's turn is short, so the encoder is given the
turn, at least `_LEAST_S` of it with silence behind; measured on spoken test sentences through G.711 this is as
accurate as the full 30 s and takes an eighth of the time. Less than that and short turns come out twice. When to
recognise is `turns`' business.
"""

from __future__ import annotations

import os
import re
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Weights are on this machine or nowhere: nothing that runs may ask a hub.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# OpenMP's threads else wait for each other by spinning: where others want the cores too, 100 ms became 1,600.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import ctranslate2
import numpy as np
import numpy.typing as npt
from faster_whisper.feature_extractor import FeatureExtractor
from faster_whisper.tokenizer import Tokenizer
from tokenizers import Tokenizer as WordPieces

from offhook import weights
from offhook.speech.contract import RATE_HZ, Pcm

Spectrum = npt.NDArray[np.float32]

_FRAME = RATE_HZ // 100
_LEAST_S = 8.0
_BEHIND_S = 2.0
_MOST_S = 30.0
_AGAIN_S = 16.0
_DOUBTFUL = -1.6  # a likelihood below this, or words in a loop, are worth a second look with more silence behind
_NOBODY = 0.5
_LOOPING = 2.4  # times that the text shrinks when compressed
_TOKENS_A_SECOND = 6
_TOKENS_AT_LEAST = 8
_VOCABULARY_TOKENS = 60
# Words before the words: Whisper goes on in their manner, a call's, with figures as figures. Of the words of 60 test
# turns 10 % came out wrong with it and 15 % without.
_MANNER = "Hi, hello. Yes, the number is 3 8 0 5, please. No, thank you, bye."
_BRACKETED = re.compile(r"\[[^\]]{0,80}\]|\([^)]{0,80}\)|[♪♫]")


@dataclass(frozen=True, slots=True)
class Heard:
    """What was made of a stretch of speech."""

    text: str
    """Empty where nothing was said."""
    likelihood: float
    """Mean log probability of a token: above -0.5 is sure, below -1.5 a guess."""
    no_speech: float
    """0..1, how likely it is that nobody spoke."""


class Recogniser:
    """One recogniser for all slots. Safe to use from several threads; they take turns."""

    def __init__(self, folder: Path, threads: int = 2) -> None:
        self._model = ctranslate2.models.Whisper(
            str(folder), device="cpu", compute_type="int8", intra_threads=threads, inter_threads=1
        )
        self._features = FeatureExtractor(feature_size=self._model.n_mels)
        self._pieces = WordPieces.from_file(str(folder / "tokenizer.json"))
        self._languages: dict[str, Tokenizer] = {}
        self._lock = threading.Lock()

    @classmethod
    def load(cls, name: str = "whisper-base", threads: int = 2) -> Recogniser:
        """The weights `name`, run on `threads` cores, warmed up. Raises `WeightsMissing` where they were not pulled."""
        recogniser = cls(weights.path(name), threads)
        recogniser.recognise(np.zeros(RATE_HZ, np.int16))
        return recogniser

    def transcribe(self, audio: Pcm, language: str = "en", vocabulary: Sequence[str] = ()) -> str:
        """The words of `audio`, [n] int16 at 16 kHz; empty where nothing was said."""
        return self.recognise(audio, language, vocabulary).text

    def recognise(
        self, audio: Pcm, language: str = "en", vocabulary: Sequence[str] = (), thorough: bool = True
    ) -> Heard:
        """What was said in `audio` ([n] int16 at 16 kHz, the last 30 s of it), and how sure that is.

        `language` as in a persona (`en-US`); `vocabulary` are words to expect; `thorough` looks twice at what is
        doubtful, which takes three times as long."""
        audio = audio[-int(_MOST_S * RATE_HZ) :]
        seconds = len(audio) / RATE_HZ
        if len(audio) < _FRAME:
            return Heard("", 0.0, 1.0)
        features = self._features(audio.astype(np.float32) / 32768.0)[:, : len(audio) // _FRAME]
        tokens = self._tokens(language)
        heard = self._run(features, max(_LEAST_S, seconds + _BEHIND_S), tokens, vocabulary)
        if thorough and heard.text and (heard.likelihood < _DOUBTFUL or _loops(heard.text)):
            again = self._run(features, max(_AGAIN_S, seconds + _BEHIND_S), tokens, vocabulary)
            if not _loops(again.text) and (again.likelihood > heard.likelihood or _loops(heard.text)):
                heard = again
        return heard

    def check_language(self, language: str) -> None:
        """Raises ValueError with a sentence where `language` is not one it recognises."""
        self._tokens(language)

    def _run(self, features: Spectrum, length_s: float, tokens: Tokenizer, vocabulary: Sequence[str]) -> Heard:
        frames = min(int(length_s * 100), int(_MOST_S * 100)) // 2 * 2
        # What Whisper's own padding with digital silence comes out as: the floor of the clamped spectrum.
        padded = np.full((1, features.shape[0], frames), features.min(), np.float32)
        used = min(frames, features.shape[1])
        padded[0, :, :used] = features[:, :used]
        prompt = self._prompt(tokens, vocabulary)
        most = len(prompt) + _TOKENS_AT_LEAST + int(_TOKENS_A_SECOND * used / 100)
        with self._lock:
            encoded = self._model.encode(ctranslate2.StorageView.from_array(padded), to_cpu=False)
            result = self._model.generate(
                encoded,
                [prompt],
                beam_size=1,
                max_length=most,
                suppress_blank=True,
                return_scores=True,
                return_no_speech_prob=True,
            )[0]
        likelihood, no_speech = float(result.scores[0]), float(result.no_speech_prob)
        text = _BRACKETED.sub(" ", tokens.decode(result.sequences_ids[0]))
        text = " ".join(text.split())
        nothing = not any(letter.isalnum() for letter in text) or text == _MANNER
        if nothing or (no_speech > _NOBODY and likelihood < -1.0):
            text = ""
        return Heard(text, likelihood, no_speech)

    def _prompt(self, tokens: Tokenizer, vocabulary: Sequence[str]) -> list[int]:
        words: list[int] = []
        for word in vocabulary:
            more = tokens.encode(f" {word[:60]},")
            if len(words) + len(more) > _VOCABULARY_TOKENS:
                break
            words += more
        manner = tokens.encode(" " + _MANNER) if tokens.language_code == "en" else []
        before = [tokens.sot_prev, *words, *manner] if words or manner else []
        return [*before, *tokens.sot_sequence, tokens.no_timestamps]

    def _tokens(self, language: str) -> Tokenizer:
        code = language.split("-")[0].lower()
        if code not in self._languages:
            try:
                self._languages[code] = Tokenizer(self._pieces, self._model.is_multilingual, "transcribe", code)
            except ValueError as error:
                raise ValueError(f"the recogniser does not know the language {language!r}") from error
        return self._languages[code]


def _loops(text: str) -> bool:
    """Whether the words go round in a circle, as a recogniser that lost its place makes them."""
    raw = text.encode()
    return len(raw) > 24 and len(raw) / len(zlib.compress(raw)) > _LOOPING

"""The frozen parts a training run stands on: Whisper's ear, Gemma's mind cut to its vocabulary, sentence embeddings.

Read by the very functions that build what serves calls, so both see the same numbers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.duplex.data.texts import sayings
from offhook import weights
from offhook.agents.embedding import load_embedding
from offhook.speech.duplex import gemma, whisper
from offhook.speech.duplex.tokenizer import BLANK, EOS, Tokenizer

Floats = npt.NDArray[np.float32]
COMMON = 30_000
"""Of Gemma's first tokens, which are its commonest, the plain lower-case words are kept whether seen or not."""
SAYINGS = 60_000
"""Sayings whose words are kept."""


@dataclass(frozen=True)
class Frozen:
    """Weights by name, and the kept vocabulary."""

    ear: dict[str, Floats]
    mind: dict[str, Floats]
    kept: list[int]
    tokens: Tokenizer

    @classmethod
    def load(cls, folder: Path) -> Frozen:
        """From the weights folder; the vocabulary is chosen once and then kept in `folder` as `vocabulary.json`.

        Raises `WeightsMissing` with what to pull."""
        path = weights.path("gemma-3-270m") / "gemma-3-270m-q4_k_m.gguf"
        kept, tokens = _kept(path, folder / "vocabulary.json")
        return cls(whisper.encoder_weights(weights.path("whisper-base")), gemma.weights(path, kept), kept, tokens)

    def encode(self, text: str) -> list[int]:
        return self.tokens.encode(text)

    @staticmethod
    def meanings() -> Callable[[Sequence[str]], Floats]:
        """What embeds clean texts: [n, 384] unit vectors."""
        return load_embedding().of


def _kept(path: Path, store: Path) -> tuple[list[int], Tokenizer]:
    whole = Tokenizer(*gemma.vocabulary(path))
    if store.exists():
        kept = json.loads(store.read_text())
    else:
        texts = {text for said in sayings(7, "train", SAYINGS) for text in (said.words, said.gist, said.asked)}
        plain = {i for i, token in enumerate(whole.tokens[:COMMON]) if _plain(token.removeprefix(BLANK))}
        letters = {i for i, token in enumerate(whole.tokens) if len(token.removeprefix(BLANK)) == 1 and token.isascii()}
        kept = [EOS, *sorted((whole.needed(texts) | plain | letters) - {EOS})]
        store.parent.mkdir(parents=True, exist_ok=True)
        store.write_text(json.dumps(kept))
    return kept, whole.kept(kept)


def _plain(token: str) -> bool:
    return token.isascii() and token.isalpha() and token.islower()

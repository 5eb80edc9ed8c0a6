"""Sentences as vectors: all-MiniLM-L6-v2, a six-layer BERT encoder run in NumPy.

A sentence of ten words takes a few milliseconds on one core, which is why no inference runtime is needed. Trains
nothing and knows nothing of skills. Model and pooling: sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0); layers as
in Devlin et al. 2018, with the erf form of GELU that the weights were trained with.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]  # it ships no types
from tokenizers import Tokenizer

from offhook import weights
from offhook.weights.safetensors import read_tensors

Vectors = npt.NDArray[np.float32]

SIZE = 384
HEADS = 12
MOST_TOKENS = 64
"""A turn of a telephone call; what is longer is cut here."""
CACHED = 4096
BATCH = 32


class EmbeddingUnavailable(ValueError):
    """The weights are not there or not what they should be."""


class Embedding:
    """Turns sentences into unit vectors. Safe to share between threads."""

    def __init__(self, folder: Path) -> None:
        """`folder` holds `model.safetensors` and `tokenizer.json`. Raises EmbeddingUnavailable."""
        try:
            self._weights = {
                name: tensor.astype(np.float32, copy=False)
                for name, tensor in read_tensors(folder / "model.safetensors").items()
                if tensor.dtype.kind == "f"
            }
            tokenizer: Tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # the tokenizer raises bare Exception
            raise EmbeddingUnavailable(
                f"the sentence embedding in {folder} cannot be read ({error}); run `offhook models pull`"
            ) from error
        tokenizer.enable_truncation(MOST_TOKENS)
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self._layers = [_Layer(self._weights, f"encoder.layer.{i}.") for i in range(6)]
        # Matrices this small gain nothing from a second thread, and lose much where other work has the cores.
        self._threads = ThreadpoolController()
        self._known: OrderedDict[str, Vectors] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, sentences: Sequence[str]) -> Vectors:
        """[len(sentences), 384] float32, each row of length 1. Sentences seen lately cost nothing."""
        with self._lock:
            new = list(dict.fromkeys(text for text in sentences if text not in self._known))
        fresh = dict(zip(new, self._run(new), strict=True)) if new else {}
        with self._lock:
            out = np.zeros((len(sentences), SIZE), np.float32)
            for i, text in enumerate(sentences):
                vector = fresh[text] if text in fresh else self._known.get(text)
                if vector is None:  # pushed out by another thread between the two locks
                    vector = self._run([text])[0]
                out[i] = vector
                self._known[text] = vector
                self._known.move_to_end(text)
            while len(self._known) > CACHED:
                self._known.popitem(last=False)
        return out

    def _run(self, sentences: Sequence[str]) -> list[Vectors]:
        ids = [self._tokenizer.encode(text).ids for text in sentences]
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))  # like lengths together: little padding
        vectors: list[Vectors] = [np.zeros(SIZE, np.float32)] * len(ids)
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            longest = max(len(ids[i]) for i in rows)
            tokens = np.zeros((len(rows), longest), np.int64)
            mask = np.zeros((len(rows), longest), np.float32)
            for row, i in enumerate(rows):
                tokens[row, : len(ids[i])] = ids[i]
                mask[row, : len(ids[i])] = 1
            with self._threads.limit(limits=1, user_api="blas"):
                made = self._forward(tokens, mask)
            for i, vector in zip(rows, made, strict=True):
                vectors[i] = vector
        return vectors

    def _forward(self, tokens: npt.NDArray[np.int64], mask: Vectors) -> Vectors:
        """tokens, mask: [n, t] -> [n, 384]: the mean over a sentence's tokens, scaled to length 1."""
        w = self._weights
        x = w["embeddings.word_embeddings.weight"][tokens]
        x = x + w["embeddings.position_embeddings.weight"][: tokens.shape[1]]
        x = x + w["embeddings.token_type_embeddings.weight"][0]
        x = _normalise(x, w["embeddings.LayerNorm.weight"], w["embeddings.LayerNorm.bias"])
        bias = ((1 - mask) * np.float32(-1e9))[:, None, None, :]
        for layer in self._layers:
            x = layer(x, bias)
        mean = (x * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
        out: Vectors = mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-9)
        return out


class _Layer:
    """One transformer layer: self-attention and feed-forward, each with its residual and normalisation after it."""

    def __init__(self, weights: dict[str, Vectors], prefix: str) -> None:
        def pair(name: str) -> tuple[Vectors, Vectors]:
            return np.ascontiguousarray(weights[f"{prefix}{name}.weight"].T), weights[f"{prefix}{name}.bias"]

        parts = [pair(f"attention.self.{name}") for name in ("query", "key", "value")]
        self.qkv = np.concatenate([w for w, _ in parts], 1), np.concatenate([b for _, b in parts])
        self.out = pair("attention.output.dense")
        self.up, self.down = pair("intermediate.dense"), pair("output.dense")
        self.norm1, self.norm2 = (
            (weights[f"{prefix}{name}.LayerNorm.weight"], weights[f"{prefix}{name}.LayerNorm.bias"])
            for name in ("attention.output", "output")
        )

    def __call__(self, x: Vectors, bias: Vectors) -> Vectors:
        n, t, _ = x.shape
        qkv = (x @ self.qkv[0] + self.qkv[1]).reshape(n, t, 3, HEADS, SIZE // HEADS).transpose(2, 0, 3, 1, 4)
        scores = qkv[0] @ qkv[1].transpose(0, 1, 3, 2) / np.float32(math.sqrt(SIZE // HEADS)) + bias
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        attended = (scores @ qkv[2]).transpose(0, 2, 1, 3).reshape(n, t, SIZE)
        x = _normalise(x + attended @ self.out[0] + self.out[1], *self.norm1)
        return _normalise(x + _gelu(x @ self.up[0] + self.up[1]) @ self.down[0] + self.down[1], *self.norm2)


def _normalise(x: Vectors, weight: Vectors, bias: Vectors) -> Vectors:
    centred = x - x.mean(-1, keepdims=True)
    out: Vectors = centred / np.sqrt((centred * centred).mean(-1, keepdims=True) + np.float32(1e-12)) * weight + bias
    return out


def _gelu(x: Vectors) -> Vectors:
    """x * Phi(x), with erf by Abramowitz and Stegun 7.1.26 (error below 1.5e-7: float32's own)."""
    z = np.abs(x) * np.float32(1 / math.sqrt(2))
    t = 1 / (1 + np.float32(0.3275911) * z)
    poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    erf = 1 - poly * np.exp(-z * z)
    out: Vectors = 0.5 * x * (1 + np.copysign(erf, x))
    return out.astype(np.float32, copy=False)


_shared: dict[Path, Embedding] = {}
_shared_lock = threading.Lock()


def load_embedding() -> Embedding:
    """The embedding of the weights registry, loaded once a process. Raises EmbeddingUnavailable."""
    folder = check_embedding()
    with _shared_lock:
        if folder not in _shared:
            _shared[folder] = Embedding(folder)
        return _shared[folder]


def check_embedding() -> Path:
    """The folder of the embedding's weights, without loading them. Raises EmbeddingUnavailable where they lack."""
    try:
        return weights.path("minilm")
    except (weights.WeightsMissing, weights.RegistryError) as error:
        raise EmbeddingUnavailable(f"the sentence embedding is missing: {error}") from error

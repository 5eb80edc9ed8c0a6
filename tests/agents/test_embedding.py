"""The embedding gives what the model's authors publish for it, however sentences are put together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from offhook.agents.embedding import SIZE, Embedding, EmbeddingUnavailable


def test_similarities_are_those_of_the_published_model(embedding: Embedding) -> None:
    """The example of the model's card: 0.695, 0.943, 0.257."""
    vectors = embedding.of(
        ["That is a happy person", "That is a happy dog", "That is a very happy person", "Today is a sunny day"]
    )
    assert np.allclose(vectors[1:] @ vectors[0], [0.695, 0.943, 0.257], atol=2e-3)
    assert vectors.shape == (4, SIZE) and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_sentence_has_one_vector_alone_and_among_others(embedding: Embedding) -> None:
    alone = embedding.of(["one two"])[0]
    long = "a much longer sentence about nothing in particular, to be padded against"
    many = embedding.of([long, "one two three", "one two", "two"])
    other = embedding.of(["one two three"])[0]
    assert np.allclose(many[2], alone, atol=1e-5) and np.allclose(many[1], other, atol=1e-5)
    assert not np.allclose(many[1], many[2], atol=1e-2)


def test_nothing_and_very_much_have_vectors_too(embedding: Embedding) -> None:
    assert np.isfinite(embedding.of(["", "word " * 5_000, "\x00\ud7ff", "日本語"])).all()


def test_weights_cut_short_are_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes((1 << 40).to_bytes(8, "little") + b"{}")
    with pytest.raises(EmbeddingUnavailable, match="offhook models pull"):
        Embedding(tmp_path)

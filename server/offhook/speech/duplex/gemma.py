"""Gemma 3 270M out of its GGUF file: the weights of the text model as float32, and its vocabulary.

Names and shapes of what `weights` gives, `<i>` from 0 to 17, every matrix as [out, in]:

    table                            [tokens kept, 640]  the tokens' vectors, which are the output head too
    norm                             [640]               before the output head
    layers.<i>.pre_attention         [640]               norm before attention
    layers.<i>.q | k | v             [1024 | 256 | 256, 640]
    layers.<i>.q_norm | k_norm       [256]               on each head's query and key, before the rotation
    layers.<i>.o                     [640, 1024]
    layers.<i>.post_attention        [640]               norm on what attention adds
    layers.<i>.pre_mlp               [640]               norm before the feed-forward part
    layers.<i>.gate | up             [2048, 640]
    layers.<i>.down                  [640, 2048]
    layers.<i>.post_mlp              [640]               norm on what the feed-forward part adds

Norm weights are factors as they stand (the file has 1+w already). Computes nothing; the weights are under the Gemma
Terms of Use. Architecture: Gemma Team 2025, arXiv 2503.19786.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from offhook.speech.duplex.gguf import Gguf, GgufError

Floats = npt.NDArray[np.float32]

LAYERS = 18
HIDDEN = 640
HEADS = 4
HEAD = 256
INNER = 2048
EPSILON = 1e-6
LOCAL_THETA = 10_000.0
"""Base of the rotary positions on layers of sliding attention (the window of 512 is never reached here)."""
GLOBAL_THETA = 1_000_000.0
"""Base of the rotary positions on layers 5, 11 and 17."""
QUERY_SCALE = HEAD**-0.5

_NAMES = {
    "pre_attention": ("attn_norm", (HIDDEN,)),
    "q": ("attn_q", (HEADS * HEAD, HIDDEN)),
    "k": ("attn_k", (HEAD, HIDDEN)),
    "v": ("attn_v", (HEAD, HIDDEN)),
    "q_norm": ("attn_q_norm", (HEAD,)),
    "k_norm": ("attn_k_norm", (HEAD,)),
    "o": ("attn_output", (HIDDEN, HEADS * HEAD)),
    "post_attention": ("post_attention_norm", (HIDDEN,)),
    "pre_mlp": ("ffn_norm", (HIDDEN,)),
    "gate": ("ffn_gate", (INNER, HIDDEN)),
    "up": ("ffn_up", (INNER, HIDDEN)),
    "down": ("ffn_down", (HIDDEN, INNER)),
    "post_mlp": ("post_ffw_norm", (HIDDEN,)),
}


def theta(layer: int) -> float:
    """The base of layer `layer`'s rotary positions."""
    return GLOBAL_THETA if layer % 6 == 5 else LOCAL_THETA


def weights(path: Path, keep: Sequence[int] | None = None) -> dict[str, Floats]:
    """All weights under the names above; of the table only the rows `keep`, in that order (all where None).

    Raises GgufError where `path` is not Gemma 3 270M."""
    file = Gguf(path)
    if file.values.get("general.architecture") != "gemma3":
        raise GgufError(f"{path} holds {file.values.get('general.architecture')!r}, not gemma3")
    out = {"table": file.tensor("token_embd.weight", keep), "norm": file.tensor("output_norm.weight")}
    for layer in range(LAYERS):
        for name, (stored, shape) in _NAMES.items():
            tensor = file.tensor(f"blk.{layer}.{stored}.weight")
            if tensor.shape != shape:
                raise GgufError(f"{path}: layer {layer}'s {stored} is {tensor.shape}, {shape} is wanted")
            out[f"layers.{layer}.{name}"] = tensor
    if out["table"].shape[1:] != (HIDDEN,) or out["norm"].shape != (HIDDEN,):
        raise GgufError(f"{path}: the token table is {out['table'].shape}, rows of {HIDDEN} are wanted")
    return out


def vocabulary(path: Path) -> tuple[Sequence[str], Sequence[float], Sequence[int]]:
    """All 262,144 tokens: their texts (a blank is `▁`), scores (higher merges first) and types (1 normal, 3 control,
    4 of the user, 6 a byte such as `<0x0A>`). Raises GgufError."""
    values = Gguf(path).values
    return (
        [token for token in _list(path, values, "tokens") if isinstance(token, str)],
        [float(score) for score in _list(path, values, "scores") if isinstance(score, float)],
        [int(kind) for kind in _list(path, values, "token_type") if isinstance(kind, int)],
    )


def _list(path: Path, values: Mapping[str, object], name: str) -> Sequence[object]:
    found = values.get(f"tokenizer.ggml.{name}")
    if not isinstance(found, list | tuple) or not found:
        raise GgufError(f"{path} has no list tokenizer.ggml.{name}")
    return found

"""The mind as a graph: Gemma's layers for a few new positions of each row, beside what the rows remember.

One graph serves the agent's words before a turn, the turn itself and the writing of its gist and words; only B and T
differ. Inputs:

    ids     [B, T]             rows of `texts`: 0 is nothing (see `sounds`), 1 to 7 the specials, 8 + i kept token i
    sounds  [B, T, 640]        what the ear made, zero where a text stands
    start   [B]                position of the row's first new one; older ones are remembered
    t       [T]                0..T-1
    heads   [B]                which of the T the heads read
    writes  [B, N]             which of the T tokens are written after
    barred  [B, V]             added to the tokens' logits: 0, or far below it where a token may not come
    c       [C]                0..C-1
    past.<layer>.k | v  [B, C, 256]   what is remembered, of which the first `start` positions count

Outputs: `states` [B, 4] probabilities, `meanings` [B, 384] unit vectors, `tokens` [B, N] the likeliest, `chances`
[B, N] their probabilities, `news` [2 * layers * B, T, 256]: keys and values of the new positions, layer by layer, a
layer's keys first.

`onboard`, for a GPU: B is all rows there are, their memory stays where it is, and instead of `news` there is an output
`kept.<layer>.k | v` [B, C, 256] for each input `past...`, bound to the same memory, into which what is new is written.

A key is kept after its norm and rotation. New positions see what is remembered and the new ones before them; scores
against both are computed apart, so what is remembered is never copied. Gemma Team 2025, arXiv 2503.19786.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx

from offhook.speech.duplex import gemma
from offhook.speech.duplex.gemma import HEAD, HEADS, HIDDEN, INNER
from offhook.speech.duplex.graph import Graph, Precision
from offhook.speech.duplex.layout import MEANING_SIZE, MOST_STEPS, STATES

Floats = npt.NDArray[np.float32]

_POSITIONS = HEADS * MOST_STEPS  # queries stand four to a position, and the operator wants a row for each it is given


def mind_graph(
    mind: Mapping[str, Floats], adapter: Mapping[str, Floats], precision: Precision, *, onboard: bool = False
) -> onnx.ModelProto:
    """`mind` as `gemma.weights` names it, the adapter's changes made already; `adapter` for the specials and heads."""
    g = Graph("mind", precision)
    tokens, layers = len(mind["table"]), sum(name.endswith(".pre_mlp") for name in mind)
    ids = g.input("ids", np.int64, ["batch", "steps"])
    sounds = g.input("sounds", np.float32, ["batch", "steps", HIDDEN])
    start = g.input("start", np.int64, ["batch"])
    t = g.input("t", np.int64, ["steps"])
    heads = g.input("heads", np.int64, ["batch"])
    writes = g.input("writes", np.int64, ["batch", "written"])
    barred = g.input("barred", np.float32, ["batch", tokens])
    c = g.input("c", np.int64, ["context"])
    past = [
        tuple(g.input(f"past.{layer}.{part}", g.real, ["batch", "context", HEAD]) for part in "kv")
        for layer in range(layers)
    ]

    positions = g.op("Add", g.op("Unsqueeze", start, g.whole(1)), t)  # [B, T]
    of_heads = g.op("Expand", g.op("Unsqueeze", positions, g.whole(2)), g.whole(1, 1, HEADS))
    of_heads = g.reshape(of_heads, 0, -1)  # [B, 4T], as a query's heads stand: position by position
    edge = g.op("Add", g.op("ReduceMax", c, keepdims=1), g.whole(1))
    bias = _bias(g, start, t, c)
    local, far = _rotations(g, gemma.LOCAL_THETA), _rotations(g, gemma.GLOBAL_THETA)

    texts = np.concatenate([np.zeros((1, HIDDEN)), adapter["specials"], mind["table"] * math.sqrt(HIDDEN)])
    x = g.op(
        "Cast",
        g.op(
            "Gather", g.constant(texts.astype(np.float32 if precision is Precision.FLOAT else np.float16)), ids, axis=0
        ),
        to=onnx.TensorProto.FLOAT,
    )
    x = g.op("Add", x, sounds)
    news: list[str] = []
    h = g.rms(x, mind["layers.0.pre_attention"], gemma.EPSILON)
    for layer in range(layers):
        at = f"layers.{layer}"
        turns = far if gemma.theta(layer) == gemma.GLOBAL_THETA else local
        y, k, v = _attend(g, h, mind, at, past[layer], (positions, of_heads), turns, bias, edge)
        news += [k, v]
        x, h = _add_and_norm(g, x, y, mind[f"{at}.post_attention"], mind[f"{at}.pre_mlp"])
        y = _feed(g, h, mind, at)
        after = mind[f"layers.{layer + 1}.pre_attention"] if layer + 1 < layers else mind["norm"]
        x, h = _add_and_norm(g, x, y, mind[f"{at}.post_mlp"], after)

    if onboard:
        _keep(g, past, news, positions)
    else:
        g.output(g.op("Concat", *news, axis=0), "news", g.real, ["news", "steps", HEAD])
    _heads(g, _at(g, h, g.op("Unsqueeze", heads, g.whole(1))), adapter)
    _written(g, _at(g, h, writes), mind["table"], barred)
    return g.model()


def _keep(g: Graph, past: Sequence[tuple[str, ...]], news: Sequence[str], positions: str) -> None:
    """Write the new keys and values at their rows' positions."""
    rows = g.op("Unsqueeze", g.input("rows", np.int64, ["batch"]), g.whole(1))
    rows = g.op("Add", rows, g.op("Mul", positions, g.whole(0)))  # [B, T]
    index = g.op("Concat", *(g.op("Unsqueeze", each, g.whole(2)) for each in (rows, positions)), axis=2)
    for layer, parts in enumerate(past):
        for i, part in enumerate("kv"):
            kept = g.op("ScatterND", parts[i], index, news[2 * layer + i])
            g.output(kept, f"kept.{layer}.{part}", g.real, ["batch", "context", HEAD])


def _bias(g: Graph, start: str, t: str, c: str) -> str:
    """[B, 4T, C + T]: 0 where a query may look, far below where not."""
    old = g.op("Less", c, g.op("Unsqueeze", start, g.whole(1)))
    of_heads = g.reshape(g.op("Expand", g.op("Unsqueeze", t, g.whole(1)), g.whole(1, HEADS)), -1, 1)  # [4T, 1]
    new = g.op("LessOrEqual", t, of_heads)  # [4T, T]
    old_bias, new_bias = (
        g.op("Mul", g.op("Sub", g.op("Cast", seen, to=_type(g)), g.number(1)), g.number(3e4)) for seen in (old, new)
    )
    # Each is stretched over what it lacks by adding zeros of the other's shape.
    nought = g.op("Mul", g.op("Cast", of_heads, to=_type(g)), g.number(0))  # [4T, 1]
    old_bias = g.op("Add", g.op("Unsqueeze", old_bias, g.whole(1)), nought)  # [B, 4T, C]
    rows = g.op("Mul", g.op("Cast", g.op("Unsqueeze", start, g.whole(1, 2)), to=_type(g)), g.number(0))  # [B, 1, 1]
    return g.op("Concat", old_bias, g.op("Add", new_bias, rows), axis=2)


def _type(g: Graph) -> int:
    return int(onnx.helper.np_dtype_to_tensor_dtype(np.dtype(g.real)))


def _rotations(g: Graph, theta: float) -> tuple[str, str]:
    """Cosines and sines [positions, 128] of every position there can be."""
    angle = np.arange(_POSITIONS)[:, None] * theta ** (-np.arange(0, HEAD, 2) / HEAD)
    return g.constant(np.cos(angle).astype(g.real)), g.constant(np.sin(angle).astype(g.real))


def _attend(
    g: Graph,
    h: str,
    w: Mapping[str, Floats],
    at: str,
    past: tuple[str, ...],
    positions: tuple[str, str],
    turns: tuple[str, str],
    bias: str,
    edge: str,
) -> tuple[str, str, str]:
    """What attention adds [B, T, 640], and the new keys and values [B, T, 256]; `edge`: how much can be remembered."""
    weight = np.concatenate([w[f"{at}.q"], w[f"{at}.k"], w[f"{at}.v"]])
    qkv = g.linear(g.narrow(h), weight, fine=True)
    q, k, v = g.ops("Split", 3, qkv, g.whole(HEADS * HEAD, HEAD, HEAD), axis=2)
    q = g.wide(g.reshape(q, 0, -1, HEAD))
    q = g.narrow(g.rms(q, w[f"{at}.q_norm"] * gemma.QUERY_SCALE, gemma.EPSILON))
    k = g.narrow(g.rms(g.wide(k), w[f"{at}.k_norm"], gemma.EPSILON))
    q = g.op("RotaryEmbedding", q, positions[1], *turns, ours=True)
    k = g.op("RotaryEmbedding", k, positions[0], *turns, ours=True)
    old = g.op("FusedMatMul", q, past[0], ours=True, transB=1)
    new = g.op("FusedMatMul", q, k, ours=True, transB=1)
    seen = g.op("Softmax", g.op("Add", g.op("Concat", old, new, axis=2), bias), axis=-1)
    from_old = g.op("MatMul", g.op("Slice", seen, g.whole(0), edge, g.whole(2)), past[1])
    from_new = g.op("MatMul", g.op("Slice", seen, edge, g.whole(1 << 30), g.whole(2)), v)
    y = g.reshape(g.op("Add", from_old, from_new), 0, -1, HEADS * HEAD)
    return g.linear(y, w[f"{at}.o"]), k, v


def _feed(g: Graph, h: str, w: Mapping[str, Floats], at: str) -> str:
    """What the feed-forward part adds [B, T, 640]."""
    both = g.linear(g.narrow(h), np.concatenate([w[f"{at}.gate"], w[f"{at}.up"]]), fine=True)
    gate, up = g.ops("Split", 2, both, g.whole(INNER, INNER), axis=2)
    return g.linear(g.op("Mul", g.op("FastGelu", gate, ours=True), up), w[f"{at}.down"], fine=True)


def _add_and_norm(g: Graph, x: str, y: str, after: Floats, before: Floats) -> tuple[str, str]:
    """x + norm(y) and its norm for what comes next, both wide."""
    y = g.rms(g.wide(y), after, gemma.EPSILON)
    outputs = g.ops("SkipSimplifiedLayerNormalization", 4, x, y, g.constant(before), ours=True, epsilon=gemma.EPSILON)
    return outputs[3], outputs[0]


def _at(g: Graph, h: str, index: str) -> str:
    """h [B, T, 640] at index [B, N] -> [B, N, 640]."""
    return g.op("GatherND", h, g.op("Unsqueeze", index, g.whole(2)), batch_dims=1)


def _heads(g: Graph, h: str, w: Mapping[str, Floats]) -> None:
    """States and meanings from [B, 1, 640]; float32 at every precision, for they are small."""

    def dense(x: str, weight: Floats, bias: Floats) -> str:
        return g.op("Add", g.op("MatMul", x, g.constant(weight.T)), g.constant(bias))

    x = g.op("Gelu", dense(h, w["state.w1"], w["state.b1"]), ours=True)
    x = g.op("Softmax", dense(x, w["state.w2"], w["state.b2"]), axis=-1)
    g.output(g.op("Squeeze", x, g.whole(1)), "states", np.float32, ["batch", STATES])
    x = g.op("Gelu", dense(h, w["meaning.w1"], w["meaning.b1"]), ours=True)
    x = dense(x, w["meaning.w2"], w["meaning.b2"])
    x = g.op("LpNormalization", x, axis=-1, p=2)
    g.output(g.op("Squeeze", x, g.whole(1)), "meanings", np.float32, ["batch", MEANING_SIZE])


def _written(g: Graph, h: str, table: Floats, barred: str) -> None:
    """The likeliest token after each of [B, N, 640], and how likely it is."""
    logits = g.op("Add", g.wide(g.linear(g.narrow(h), table)), g.op("Unsqueeze", barred, g.whole(1)))
    best = g.op("ArgMax", logits, axis=-1, keepdims=0)
    g.output(best, "tokens", np.int64, ["batch", "written"])
    top = g.op("ReduceMax", logits, g.whole(-1))
    chance = g.op("Reciprocal", g.op("ReduceSum", g.op("Exp", g.op("Sub", logits, top)), g.whole(-1), keepdims=0))
    g.output(chance, "chances", np.float32, ["batch", "written"])

"""The ear as a graph: Whisper's encoder over windows of any length, and the projector into the mind's own space.

Inputs: `mel` [B, 80, M] as `features.Spectra.windows` gives it, `frames` [B] its frames in each row, `blocks` [B, T]
which blocks of 160 ms are wanted (-1: none, a row of zeros comes out), and the counters `m` = 0..M-1 and `f` = 0..F-1,
with F = (M + 1) / 2, which save the graph from looking at shapes. Output: `sounds` [B, T, 640].

A row's result does not depend on the rows beside it: what lies beyond its end is zeroed after the first convolution and
hidden from attention. The convolutions are matrix products over neighbouring frames, which can be int8. Radford et al.
2022, section 2.2; the gate of the projector after Shazeer 2020, arXiv 2002.05202.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx

from offhook.speech.duplex import gemma, whisper
from offhook.speech.duplex.graph import Graph, Precision

Floats = npt.NDArray[np.float32]

STACK = 8
"""Frames in a block."""
MOST_FRAMES = 400
HIDDEN = whisper.HIDDEN


def ear_graph(
    ear: Mapping[str, Floats], projector: Mapping[str, Floats], precision: Precision, *, alone: bool = False
) -> onnx.ModelProto:
    """`ear` as `whisper.encoder_weights` names it, `projector` as the adapter does. `alone`: every run is of one row,
    or of rows of one length, so there is nothing to hide."""
    g = Graph("ear", precision)
    mel = g.input("mel", np.float32, ["batch", whisper.BANDS, "mel_frames"])
    frames = g.input("frames", np.int64, ["batch"])
    blocks = g.input("blocks", np.int64, ["batch", "steps"])
    m = g.input("m", np.int64, ["mel_frames"])
    f = g.input("f", np.int64, ["ear_frames"])

    ends = g.op("Unsqueeze", frames, g.whole(1))
    x = g.narrow(g.op("Transpose", mel, perm=[0, 2, 1]))
    x = _first_convolution(g, x, ear)
    if not alone:
        inside = g.op("Cast", g.op("Less", m, ends), to=_type(g))  # [B, M]
        x = g.op("Mul", x, g.op("Unsqueeze", inside, g.whole(2)))
    x = _second_convolution(g, x, ear)
    x = g.op("Add", x, g.op("Gather", g.constant(ear["positions"][:MOST_FRAMES].astype(g.real)), f, axis=0))

    # A row of 8W-1 mel frames has 4W frames after the second convolution.
    ends = g.op("Div", g.op("Add", ends, g.whole(1)), g.whole(2))
    bias = "" if alone else g.op("Unsqueeze", _hidden(g, g.op("Less", f, ends)), g.whole(1, 2))
    layers = [f"layers.{layer}" for layer in range(sum(name.endswith(".up.weight") for name in ear))]
    for at in layers[:-1]:
        x = _layer(g, x, x, ear, at, bias)
    # What nobody asked for is no longer needed after the last layer has looked at it.
    index = _frames_of(g, blocks)  # [B, 8T]
    x = _norm(g, _layer(g, x, _pick(g, x, index), ear, layers[-1], bias), ear, "norm")
    inside = g.op("Cast", g.op("Less", index, ends), to=_type(g))
    x = g.op("Mul", x, g.op("Unsqueeze", inside, g.whole(2)))
    g.output(_project(g, x, blocks, projector), "sounds", np.float32, ["batch", "steps", gemma.HIDDEN])
    return g.model()


def _hidden(g: Graph, kept: str) -> str:
    """0 where `kept`, far below it elsewhere."""
    return g.op("Mul", g.op("Sub", g.op("Cast", kept, to=_type(g)), g.number(1)), g.number(3e4))


def _frames_of(g: Graph, blocks: str) -> str:
    """The wanted blocks' frames [B, 8T]; of a block that is none, those of the first."""
    first = g.op("Mul", g.op("Max", blocks, g.whole(0)), g.whole(STACK))
    return g.reshape(g.op("Add", g.op("Unsqueeze", first, g.whole(2)), g.whole(*range(STACK))), 0, -1)


def _pick(g: Graph, x: str, index: str) -> str:
    """Frames of [B, F, 512]; the last block may be short of four."""
    x = g.op("Pad", x, g.whole(0, 0, 0, 0, STACK // 2, 0))
    return g.op("GatherND", x, g.op("Unsqueeze", index, g.whole(2)), batch_dims=1)


def _type(g: Graph) -> int:
    return int(onnx.helper.np_dtype_to_tensor_dtype(np.dtype(g.real)))


def _norm(g: Graph, x: str, w: Mapping[str, Floats], name: str) -> str:
    weight, bias = (g.constant(w[f"{name}.{part}"].astype(g.real)) for part in ("weight", "bias"))
    return g.op("LayerNormalization", x, weight, bias, axis=-1, epsilon=whisper.EPSILON)


def _first_convolution(g: Graph, x: str, w: Mapping[str, Floats]) -> str:
    """[B, M, 80] -> [B, M, 512]: each frame with the one before and the one after it."""
    padded = g.op("Pad", x, g.whole(0, 1, 0, 0, 1, 0))
    parts = [g.op("Slice", padded, g.whole(a), g.whole(b), g.whole(1)) for a, b in ((0, -2), (1, -1), (2, 1 << 30))]
    x = g.op("Concat", *parts, axis=2)
    return g.op("Gelu", g.linear(x, _taps(w["conv1.weight"]), w["conv1.bias"], fine=True), ours=True)


def _second_convolution(g: Graph, x: str, w: Mapping[str, Floats]) -> str:
    """[B, M, 512] -> [B, F, 512]: frames 2f-1, 2f and 2f+1; M is odd, so a zero frame before makes pairs of them."""
    pairs = g.op("Pad", x, g.whole(0, 1, 0, 0, 0, 0))
    pairs = g.reshape(pairs, 0, -1, 2 * HIDDEN)
    after = g.op("Slice", pairs, g.whole(1, 0), g.whole(1 << 30, HIDDEN), g.whole(1, 2))
    after = g.op("Pad", after, g.whole(0, 0, 0, 0, 1, 0))
    x = g.op("Concat", pairs, after, axis=2)
    return g.op("Gelu", g.linear(x, _taps(w["conv2.weight"]), w["conv2.bias"]), ours=True)


def _taps(weight: Floats) -> Floats:
    """[out, in, 3] -> [out, 3 * in], the earliest frame's weights first."""
    return np.ascontiguousarray(weight.transpose(0, 2, 1).reshape(len(weight), -1))


def _layer(g: Graph, x: str, chosen: str, w: Mapping[str, Floats], at: str, bias: str) -> str:
    """What the layer makes of the frames `chosen` (all, where it is `x` itself), which look at all of `x`."""
    scale = whisper.HEAD**-0.5
    weights = [w[f"{at}.q.weight"] * scale, w[f"{at}.k.weight"], w[f"{at}.v.weight"]]
    biases = [w[f"{at}.q.bias"] * scale, np.zeros(HIDDEN, np.float32), w[f"{at}.v.bias"]]
    h = _norm(g, x, w, f"{at}.attention_norm")
    if chosen == x:
        q, k, v = g.ops("Split", 3, g.linear(h, np.concatenate(weights), np.concatenate(biases)), axis=2, num_outputs=3)
    else:
        q = g.linear(_norm(g, chosen, w, f"{at}.attention_norm"), weights[0], biases[0])
        k, v = g.ops(
            "Split", 2, g.linear(h, np.concatenate(weights[1:]), np.concatenate(biases[1:])), axis=2, num_outputs=2
        )
    h = _attend(g, q, k, v, bias)
    x = g.op("Add", chosen, g.linear(h, w[f"{at}.o.weight"], w[f"{at}.o.bias"]))
    h = _norm(g, x, w, f"{at}.mlp_norm")
    h = g.op("Gelu", g.linear(h, w[f"{at}.up.weight"], w[f"{at}.up.bias"]), ours=True)
    return g.op("Add", x, g.linear(h, w[f"{at}.down.weight"], w[f"{at}.down.bias"]))


def _attend(g: Graph, q: str, k: str, v: str, bias: str) -> str:
    """[B, frames, 512] each -> [B, q's frames, 512]; queries are scaled already."""
    if not bias:
        heads = {"num_heads": whisper.HEADS, "scale": 1.0}
        return g.op("MultiHeadAttention", q, k, v, ours=True, **heads)
    q, k, v = (
        g.op("Transpose", g.reshape(part, 0, -1, whisper.HEADS, whisper.HEAD), perm=[0, 2, 1, 3]) for part in (q, k, v)
    )
    scores = g.op("Add", g.op("FusedMatMul", q, k, ours=True, transB=1), bias)
    h = g.op("MatMul", g.op("Softmax", scores, axis=-1), v)
    return g.reshape(g.op("Transpose", h, perm=[0, 2, 1, 3]), 0, -1, HIDDEN)


def _project(g: Graph, x: str, blocks: str, w: Mapping[str, Floats]) -> str:
    """The wanted blocks' frames [B, 8T, 512] -> [B, T, 640], zeros for blocks that are none."""
    x = g.reshape(x, 0, -1, STACK * HIDDEN)
    weight, bias = (g.constant(w[f"projector.norm.{part}"].astype(g.real)) for part in ("weight", "bias"))
    x = g.op("LayerNormalization", x, weight, bias, axis=-1, epsilon=1e-5)
    left, right = g.ops("Split", 2, g.linear(x, w["projector.gate.weight"]), axis=2, num_outputs=2)
    x = g.op("Mul", g.op("QuickGelu", left, ours=True, alpha=1.0), right)
    x = g.wide(g.linear(x, w["projector.out.weight"], w["projector.out.bias"]))
    wanted = g.op("Cast", g.op("GreaterOrEqual", blocks, g.whole(0)), to=onnx.TensorProto.FLOAT)
    return g.op("Mul", x, g.op("Unsqueeze", wanted, g.whole(2)))

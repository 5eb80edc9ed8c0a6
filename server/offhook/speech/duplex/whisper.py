"""Whisper base's encoder out of a CTranslate2 folder: its weights as float32.

Names and shapes of what `encoder_weights` gives, `<i>` from 0 to 5, every matrix as [out, in]:

    conv1.weight, conv1.bias                        [512, 80, 3], [512]
    conv2.weight, conv2.bias                        [512, 512, 3], [512]
    positions                                       [1500, 512]   sinusoids
    layers.<i>.attention_norm.weight | bias         [512]
    layers.<i>.q | k | v | o.weight                 [512, 512]
    layers.<i>.q | v | o.bias                       [512]         a key has none
    layers.<i>.mlp_norm.weight | bias               [512]
    layers.<i>.up.weight | bias                     [2048, 512], [2048]
    layers.<i>.down.weight | bias                   [512, 2048], [512]
    norm.weight | bias                              [512]

Computes nothing. File format: `model.bin` of CTranslate2's model specification, version 6. Architecture: Radford et
al. 2022, arXiv 2212.04356.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

LAYERS = 6
HIDDEN = 512
HEADS = 8
HEAD = 64
INNER = 2048
BANDS = 80
EPSILON = 1e-5

_TYPES: dict[int, np.dtype[np.generic]] = {
    0: np.dtype("<f4"),
    1: np.dtype("i1"),
    2: np.dtype("<i2"),
    3: np.dtype("<i4"),
    4: np.dtype("<f2"),
}
_LAYER = {
    "attention_norm.weight": ("self_attention/layer_norm/gamma", (HIDDEN,)),
    "attention_norm.bias": ("self_attention/layer_norm/beta", (HIDDEN,)),
    "o.weight": ("self_attention/linear_1/weight", (HIDDEN, HIDDEN)),
    "o.bias": ("self_attention/linear_1/bias", (HIDDEN,)),
    "mlp_norm.weight": ("ffn/layer_norm/gamma", (HIDDEN,)),
    "mlp_norm.bias": ("ffn/layer_norm/beta", (HIDDEN,)),
    "up.weight": ("ffn/linear_0/weight", (INNER, HIDDEN)),
    "up.bias": ("ffn/linear_0/bias", (INNER,)),
    "down.weight": ("ffn/linear_1/weight", (HIDDEN, INNER)),
    "down.bias": ("ffn/linear_1/bias", (HIDDEN,)),
}
_QKV = "self_attention/linear_0"  # query, key and value one below the other
_OUTER = {
    "conv1.weight": ("conv1/weight", (HIDDEN, BANDS, 3)),
    "conv1.bias": ("conv1/bias", (HIDDEN,)),
    "conv2.weight": ("conv2/weight", (HIDDEN, HIDDEN, 3)),
    "conv2.bias": ("conv2/bias", (HIDDEN,)),
    "positions": ("position_encodings/encodings", (1500, HIDDEN)),
    "norm.weight": ("layer_norm/gamma", (HIDDEN,)),
    "norm.bias": ("layer_norm/beta", (HIDDEN,)),
}


class WhisperError(ValueError):
    """The folder does not hold Whisper base as CTranslate2 keeps it; the message says what is wrong."""


def encoder_weights(folder: Path) -> dict[str, Floats]:
    """The encoder's weights under the names above. `folder` holds `model.bin`. Raises WhisperError."""
    path = folder / "model.bin"
    try:
        variables = _variables(path)
    except (OSError, ValueError, struct.error, OverflowError) as error:
        raise WhisperError(f"{path} cannot be read as a CTranslate2 model: {error}; fetch it again") from error
    wanted = dict(_OUTER)
    for layer in range(LAYERS):
        for name, (stored, shape) in _LAYER.items():
            wanted[f"layers.{layer}.{name}"] = (f"layer_{layer}/{stored}", shape)
        wanted[f"layers.{layer}.qkv.weight"] = (f"layer_{layer}/{_QKV}/weight", (3 * HIDDEN, HIDDEN))
        wanted[f"layers.{layer}.qkv.bias"] = (f"layer_{layer}/{_QKV}/bias", (3 * HIDDEN,))
    out = {}
    for name, (stored, shape) in wanted.items():
        tensor = variables.get(f"encoder/{stored}")
        if tensor is None or tensor.shape != shape or tensor.dtype.kind != "f":
            found = "absent" if tensor is None else f"{tensor.dtype} {tensor.shape}"
            raise WhisperError(f"{path}: encoder/{stored} is {found}; float {shape}, as Whisper base has it, is wanted")
        if ".qkv." in name:
            for part, third in zip("qkv", np.split(tensor.astype(np.float32), 3), strict=True):
                out[name.replace("qkv", part)] = third
        else:
            out[name] = tensor.astype(np.float32)
    for layer in range(LAYERS):
        if np.any(out.pop(f"layers.{layer}.k.bias")):
            raise WhisperError(f"{path}: the keys of layer {layer} have a bias, Whisper's have none")
    return out


def _variables(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    """Every variable of the file, mapped, not read."""
    data = np.memmap(path, np.uint8, "r")
    raw: memoryview[int] = data.data
    at = 0

    def number(form: str) -> int:
        nonlocal at
        value = int(struct.unpack_from(form, raw, at)[0])
        at += struct.calcsize(form)
        return value

    def text() -> str:
        nonlocal at
        length = number("<H")
        if length > len(raw) - at:
            raise ValueError("a text reaches beyond its end")
        at += length
        return bytes(raw[at - length : at]).rstrip(b"\0").decode("utf-8", "replace")

    version = number("<I")
    if version != 6:
        raise ValueError(f"it is of version {version}; version 6 is read here")
    specification = text()
    if specification != "WhisperSpec":
        raise ValueError(f"it holds {specification!r}, not WhisperSpec")
    number("<I")  # the revision of the specification
    found: dict[str, npt.NDArray[np.generic]] = {}
    for _ in range(number("<I")):
        name = text()
        shape = tuple(number("<I") for _ in range(number("<B")))
        kind, length = number("<B"), number("<I")
        if length > len(raw) - at:
            raise ValueError(f"{name} reaches beyond its end")
        if kind in _TYPES and math.prod(shape) * _TYPES[kind].itemsize == length:
            found[name] = data[at : at + length].view(_TYPES[kind]).reshape(shape)
        at += length
    return found

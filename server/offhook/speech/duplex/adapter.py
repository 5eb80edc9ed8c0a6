"""What training made, read from its folder: projector, specials, heads, vocabulary, and the changes to the mind.

    adapter.safetensors   tensors by the names below, float16 or float32; a matrix of int8 has `<name>.scale` beside it,
                          one for each row
    config.json           `alpha` of the changes

Names: projector.{norm.weight, norm.bias, gate.weight, out.weight, out.bias}, specials, {state, meaning}.{w1, b1, w2,
b2}, lora.<layer>.<q|k|v|o|gate|up|down>.{a, b}, vocabulary (Gemma's numbers of the kept tokens, the end token first).
Low-rank changes after Hu et al. 2021, arXiv 2106.09685: W + (alpha / r) b a, where a has r rows. Trains nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from offhook.speech.duplex import gemma
from offhook.speech.duplex.tokenizer import EOS
from offhook.weights.safetensors import SafetensorsError, read_tensors

Floats = npt.NDArray[np.float32]

TENSORS = "adapter.safetensors"
CONFIG = "config.json"

_SHAPES: Mapping[str, tuple[int, ...]] = {
    "projector.norm.weight": (4096,),
    "projector.norm.bias": (4096,),
    "projector.gate.weight": (2048, 4096),
    "projector.out.weight": (640, 1024),
    "projector.out.bias": (640,),
    "specials": (7, 640),
    "state.w1": (256, 640),
    "state.b1": (256,),
    "state.w2": (4, 256),
    "state.b2": (4,),
    "meaning.w1": (512, 640),
    "meaning.b1": (512,),
    "meaning.w2": (384, 512),
    "meaning.b2": (384,),
}
_CHANGE = re.compile(r"lora\.(\d+)\.(q|k|v|o|gate|up|down)\.a\Z")


class AdapterError(ValueError):
    """The folder does not hold a trained duplex model; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """A trained duplex model, less the frozen weights that it stands on."""

    tensors: Mapping[str, Floats]
    """Projector, specials and heads, by name, float32."""
    vocabulary: tuple[int, ...]
    """Gemma's numbers of the tokens kept; the end token is the first."""
    changes: Mapping[str, tuple[Floats, Floats]]
    """`layers.<i>.<part>` of the mind to the factors a [r, in] and b [out, r], scaled already."""

    def changed(self, mind: Mapping[str, Floats]) -> dict[str, Floats]:
        """The mind's weights with the changes made. Raises AdapterError where a change does not fit."""
        out = dict(mind)
        for name, (a, b) in self.changes.items():
            if name not in out or out[name].shape != (len(b), a.shape[1]) or b.shape[1] != len(a):
                raise AdapterError(f"the change of {name} is {b.shape} by {a.shape}, which does not fit the mind")
            out[name] = out[name] + b @ a
        return out


def read_adapter(folder: Path) -> Adapter:
    """The trained model in `folder`. Raises AdapterError."""
    path = folder / TENSORS
    try:
        stored = read_tensors(path)
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        alpha = float(config["alpha"])
    except (SafetensorsError, OSError, ValueError, KeyError, TypeError) as error:
        raise AdapterError(f"the trained model in {folder} cannot be read: {error or type(error).__name__}") from error
    tensors = {name: _floats(stored, name, path, shape) for name, shape in _SHAPES.items()}
    changes = {}
    for name in stored:
        if found := _CHANGE.match(name):
            if int(found[1]) >= gemma.LAYERS:
                raise AdapterError(f"{path}: {name} is of a layer that the mind does not have")
            a, b = _floats(stored, name, path), _floats(stored, f"{name[:-1]}b", path)
            changes[f"layers.{int(found[1])}.{found[2]}"] = (a, b * np.float32(alpha / max(1, len(a))))
    kept = stored.get("vocabulary")
    if kept is None or kept.dtype != np.int32 or kept.ndim != 1 or len(kept) < 2 or kept[0] != EOS or kept.min() < 0:
        raise AdapterError(f"{path}: vocabulary must be a list of int32 whose first is {EOS}, the end token")
    return Adapter(tensors, tuple(int(i) for i in kept), changes)


def _floats(
    stored: Mapping[str, npt.NDArray[np.generic]], name: str, path: Path, shape: tuple[int, ...] | None = None
) -> Floats:
    tensor = stored.get(name)
    if tensor is None or (shape is not None and tensor.shape != shape) or (shape is None and tensor.ndim != 2):
        found = "absent" if tensor is None else f"of shape {tensor.shape}"
        raise AdapterError(f"{path}: {name} is {found}; {shape or 'a matrix'} is wanted")
    out: Floats = tensor.astype(np.float32)
    scale = stored.get(f"{name}.scale")
    if tensor.dtype == np.int8:
        if scale is None or scale.size != len(tensor):
            raise AdapterError(f"{path}: {name} is int8 and lacks {name}.scale, one for each of its {len(tensor)} rows")
        out *= scale.astype(np.float32).reshape(-1, *[1] * (tensor.ndim - 1))
    if not np.isfinite(out).all():
        raise AdapterError(f"{path}: {name} has numbers that are not finite")
    return out

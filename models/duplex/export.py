"""From a checkpoint to what the repository keeps: `python -m models.duplex.export --run DIR --out DIR`.

One safetensors file of everything that was learnt, half precision but for the projector, which is int8 with a scale a
row; the vocabulary; and how to read them. The frozen parts are not in it: `offhook models build` puts them together.
`--light FILE` writes beside it a checkpoint to go on from elsewhere, a sixth as long as the run's own.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import save_file

from models.duplex.mind import HEAD, HEADS, LAYERS, MLP

Array = npt.NDArray[np.generic]
_KEY = HEADS * HEAD
PARTS = {
    "qkv": {"q": slice(0, _KEY), "k": slice(_KEY, _KEY + HEAD), "v": slice(_KEY + HEAD, None)},
    "o": {"o": slice(None)},
    "gate_up": {"gate": slice(0, MLP), "up": slice(MLP, None)},
    "down": {"down": slice(None)},
}  # fmt: skip


def tensors(learnt: dict[str, torch.Tensor], kept: list[int]) -> dict[str, Array]:
    """The adapter file's tensors by name."""
    value = {name: tensor.float().cpu().numpy() for name, tensor in learnt.items()}
    out: dict[str, Array] = {"vocabulary": np.array(kept, np.int32), "specials": _half(value["specials"])}
    for name in ("out.weight", "out.bias"):
        value[f"projector.{name}"] = value[f"projector.{name}"] * value["projector.scale"]
    for name in ("norm.weight", "norm.bias", "out.bias"):
        out[f"projector.{name}"] = _half(value[f"projector.{name}"])
    for name in ("gate.weight", "out.weight"):
        whole, scale = _rounded(value[f"projector.{name}"])
        out[f"projector.{name}"], out[f"projector.{name}.scale"] = whole, scale
    for head in ("state", "meaning"):
        for place, layer in ((1, 0), (2, 2)):
            out[f"{head}.w{place}"] = _half(value[f"{head}.{layer}.weight"])
            out[f"{head}.b{place}"] = _half(value[f"{head}.{layer}.bias"])
    for layer in range(LAYERS):
        for part, names in PARTS.items():
            a, b = (value[f"mind.adapters.{part}_{layer}_{side}"] for side in "ab")
            for name, rows in names.items():
                out[f"lora.{layer}.{name}.a"] = _half(a)
                out[f"lora.{layer}.{name}.b"] = _half(b[rows])
    return out


def _half(value: npt.NDArray[np.float32]) -> Array:
    return np.ascontiguousarray(value.astype(np.float16))


def _rounded(value: npt.NDArray[np.float32]) -> tuple[Array, Array]:
    scale = np.abs(value).max(1) / 127
    return np.round(value / np.maximum(scale, 1e-12)[:, None]).astype(np.int8), scale.astype(np.float16)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m models.duplex.export", description=__doc__.split("\n\n")[0])
    parser.add_argument("--run", type=Path, required=True, help="folder of the training run")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--light", type=Path, metavar="FILE", help="a checkpoint without what the optimiser remembers")
    chosen = parser.parse_args(arguments)
    if not (chosen.run / "checkpoint.pt").is_file():
        parser.error(f"{chosen.run} holds no checkpoint.pt; `python -m models.duplex.train` writes one")
    state = torch.load(chosen.run / "checkpoint.pt", map_location="cpu", weights_only=True)
    plan = state["plan"]
    chosen.out.mkdir(parents=True, exist_ok=True)
    unfinished = chosen.out / "adapter.safetensors.part"
    save_file(tensors(state["learnt"], state["kept"]), unfinished)
    config = {
        "rank": plan["rank"],
        "alpha": plan["alpha"],
        "turns": state["seen"],
        "seed": plan["seed"],
    }
    unfinished.replace(chosen.out / "adapter.safetensors")
    (chosen.out / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    size = (chosen.out / "adapter.safetensors").stat().st_size
    print(f"{chosen.out / 'adapter.safetensors'}: {size / 1e6:.1f} MB after {state['seen']:,} turns")
    if chosen.light:
        state.pop("optimiser", None)  # a light one has none
        state["learnt"] = {name: value.half() for name, value in state["learnt"].items()}
        torch.save(state, chosen.light)
    return 0


if __name__ == "__main__":
    sys.exit(main())

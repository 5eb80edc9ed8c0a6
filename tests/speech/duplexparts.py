"""Parts of a duplex model whose weights are random, small where a graph allows it; and files as others write them.

`python -m tests.speech.duplexparts` (where PyTorch is) writes anew what the torch implementation in `models.duplex`
makes of them: the numbers that the graphs are held to.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Array = npt.NDArray[np.generic]

GOLDEN = Path(__file__).with_name("duplex_golden.json")
KEPT = 40
LAYERS = 6
"""Of the small mind: the least that has a layer of each kind."""
EAR_LAYERS = 2
ASKED = (5, 9, 20, 33)
HOPS = (21, 12)
"""Of the two windows: one odd."""
_SHAPES = {"q": (1024, 640), "k": (256, 640), "v": (256, 640), "o": (640, 1024)}
_SHAPES |= {"gate": (2048, 640), "up": (2048, 640), "down": (640, 2048)}


def _matrix(rng: np.random.Generator, *shape: int, size: float = 1.0) -> Floats:
    return rng.standard_normal(shape, np.float32) * np.float32(size / shape[-1] ** 0.5)


def mind_weights(seed: int = 1) -> dict[str, Floats]:
    """A mind of six layers, named as `gemma.weights` does."""
    rng = np.random.default_rng(seed)
    out = {"table": _matrix(rng, KEPT, 640), "norm": 1 + _matrix(rng, 640)}
    for layer in range(LAYERS):
        out |= {f"layers.{layer}.{name}": _matrix(rng, *shape) for name, shape in _SHAPES.items()}
        for name in ("pre_attention", "post_attention", "pre_mlp", "post_mlp"):
            out[f"layers.{layer}.{name}"] = 1 + _matrix(rng, 640, size=5)
        for name in ("q_norm", "k_norm"):
            out[f"layers.{layer}.{name}"] = 1 + _matrix(rng, 256, size=3)
    return out


def ear_weights(seed: int = 2) -> dict[str, Floats]:
    """An ear of two layers, named as `whisper.encoder_weights` does."""
    rng = np.random.default_rng(seed)
    out = {"conv1.weight": rng.standard_normal((512, 80, 3), np.float32) / np.float32(15)}
    out["conv2.weight"] = rng.standard_normal((512, 512, 3), np.float32) / np.float32(39)
    out["positions"] = _matrix(rng, 1500, 512, size=10)
    for name in ("conv1.bias", "conv2.bias", "norm.bias"):
        out[name] = _matrix(rng, 512)
    out["norm.weight"] = 1 + _matrix(rng, 512)
    for layer in range(EAR_LAYERS):
        at = f"layers.{layer}"
        for part in "qkvo":
            out[f"{at}.{part}.weight"] = _matrix(rng, 512, 512)
        for name, count in (("q", 512), ("v", 512), ("o", 512), ("up", 2048), ("down", 512), ("mlp_norm", 512)):
            out[f"{at}.{name}.bias"] = _matrix(rng, count)
        out[f"{at}.attention_norm.bias"] = _matrix(rng, 512)
        out[f"{at}.up.weight"], out[f"{at}.down.weight"] = _matrix(rng, 2048, 512), _matrix(rng, 512, 2048)
        out[f"{at}.attention_norm.weight"] = 1 + _matrix(rng, 512, size=5)
        out[f"{at}.mlp_norm.weight"] = 1 + _matrix(rng, 512, size=5)
    return out


def adapter_tensors(seed: int = 3) -> dict[str, Floats]:
    """Projector, specials and heads."""
    rng = np.random.default_rng(seed)
    return {
        "projector.norm.weight": 1 + _matrix(rng, 4096, size=10),
        "projector.norm.bias": _matrix(rng, 4096, size=5),
        "projector.gate.weight": _matrix(rng, 2048, 4096),
        "projector.out.weight": _matrix(rng, 640, 1024, size=3),
        "projector.out.bias": _matrix(rng, 640),
        "specials": rng.standard_normal((7, 640), np.float32),
        "state.w1": _matrix(rng, 256, 640),
        "state.b1": _matrix(rng, 256),
        "state.w2": _matrix(rng, 4, 256),
        "state.b2": _matrix(rng, 4),
        "meaning.w1": _matrix(rng, 512, 640),
        "meaning.b1": _matrix(rng, 512),
        "meaning.w2": _matrix(rng, 384, 512),
        "meaning.b2": _matrix(rng, 384),
    }


def windows(seed: int = 4) -> tuple[Floats, list[int]]:
    """Two windows of spectrum, [2, 80, M], and their frames."""
    rng = np.random.default_rng(seed)
    frames = [8 * hops - 1 for hops in HOPS]
    mel = np.zeros((len(HOPS), 80, max(frames)), np.float32)
    for row, count in enumerate(frames):
        mel[row, :, :count] = rng.standard_normal((80, count), np.float32) * np.float32(0.4)
    return mel, frames


def sounds(blocks: int, seed: int = 5) -> Floats:
    """[blocks, 640], as loud as an ear's."""
    return np.random.default_rng(seed).standard_normal((blocks, 640), np.float32)


def tokens() -> tuple[list[str], list[float], list[int]]:
    """A vocabulary of `KEPT`: the end, a blank, digits, letters."""
    texts = ["<eos>", "▁", *"0123456789", *"abcdefghijklmnopqrstuvwxyz", "▁a", "▁b"]
    return texts, [0.0] * 38 + [-1.0, -2.0], [3] + [1] * 39


def write_safetensors(path: Path, tensors: Mapping[str, Array]) -> None:
    """A file as the library of that name writes it."""
    names = {"float16": "F16", "float32": "F32", "int8": "I8", "int32": "I32"}
    header, blobs, at = {}, [], 0
    for name, tensor in tensors.items():
        blobs.append(np.ascontiguousarray(tensor).tobytes())
        offsets = [at, at + len(blobs[-1])]
        header[name] = {"dtype": names[tensor.dtype.name], "shape": list(tensor.shape), "data_offsets": offsets}
        at += len(blobs[-1])
    head = json.dumps(header).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + b"".join(blobs))


def write_adapter(folder: Path, vocabulary: Sequence[int], *, change: float = 0.0, rank: int = 2) -> None:
    """A trained model's folder; `change`: how much of the mind's first and last layer it changes."""
    rng = np.random.default_rng(6)
    stored: dict[str, Array] = {name: value.astype(np.float16) for name, value in adapter_tensors().items()}
    gate = adapter_tensors()["projector.gate.weight"]
    scale = np.abs(gate).max(axis=1) / 127
    stored["projector.gate.weight"] = np.rint(gate / scale[:, None]).astype(np.int8)
    stored["projector.gate.weight.scale"] = scale.astype(np.float16)
    if change:
        for name, shape in _SHAPES.items():
            for layer in (0, 17):
                stored[f"lora.{layer}.{name}.a"] = _matrix(rng, rank, shape[1]).astype(np.float16)
                stored[f"lora.{layer}.{name}.b"] = _matrix(rng, shape[0], rank, size=change).astype(np.float16)
    stored["vocabulary"] = np.array(vocabulary, np.int32)
    folder.mkdir(parents=True, exist_ok=True)
    write_safetensors(folder / "adapter.safetensors", stored)
    (folder / "config.json").write_text(json.dumps({"alpha": 2.0 * rank, "rank": rank}))


def write_gguf(
    path: Path, values: Mapping[str, object], tensors: Mapping[str, tuple[tuple[int, ...], int, bytes]]
) -> None:
    """A GGUF file; tensors by name as shape (slowest first), type and bytes."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value.encode())) + value.encode()

    def typed(value: object) -> bytes:
        match value:
            case str():
                return struct.pack("<I", 8) + text(value)
            case int():
                return struct.pack("<Ii", 5, value)
            case [str(), *_]:
                return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(text(each) for each in value)
            case [float(), *_]:
                return struct.pack(f"<IIQ{len(value)}f", 9, 6, len(value), *value)
            case [*numbers]:
                return struct.pack(f"<IIQ{len(numbers)}i", 9, 5, len(numbers), *numbers)
        raise TypeError(type(value))

    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(values))
    head += b"".join(text(name) + typed(value) for name, value in values.items())
    data = b""
    for name, (shape, kind, raw) in tensors.items():
        head += text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape[::-1])
        head += struct.pack("<IQ", kind, len(data))
        data += raw + b"\0" * (-len(raw) % 32)
    path.write_bytes(head + b"\0" * (-len(head) % 32) + data)


def golden() -> dict[str, object]:
    """What `models.duplex` makes of these parts."""
    import torch
    from models.duplex import mind as torch_mind
    from models.duplex import model as torch_model

    torch.set_num_threads(1)
    torch_mind.LAYERS = LAYERS  # the whole model has eighteen
    whole = torch_model.Duplex(ear_weights(), mind_weights(), rank=1, alpha=0.0, dtype=torch.float32)
    learnt = {name: torch.from_numpy(value) for name, value in adapter_tensors().items()}
    with torch.no_grad():
        for name in ("norm.weight", "norm.bias", "gate.weight", "out.weight", "out.bias"):
            whole.projector.get_parameter(name).copy_(learnt[f"projector.{name}"])
        whole.specials.copy_(learnt["specials"])
        for head, module in (("state", whole.state), ("meaning", whole.meaning)):
            for place, layer in ((1, 0), (2, 2)):
                module[layer].weight.copy_(learnt[f"{head}.w{place}"])
                module[layer].bias.copy_(learnt[f"{head}.b{place}"])
        mel, frames = windows()
        heard = whole.projector(whole.ear(torch.from_numpy(mel), torch.tensor(frames)), torch.float32)
        out: dict[str, object] = {"sounds": [_few(heard[row, : -(-hops // 2)]) for row, hops in enumerate(HOPS)]}
        out["turns"] = [_turn(whole, torch_model, sounds(blocks)) for blocks in (11, 6)]
    return out


def _turn(whole: object, torch_model: object, made: Floats) -> dict[str, object]:
    import torch

    asked, blocks = len(ASKED), len(made)
    length = asked + blocks + 5
    columns = torch.full((3, 1, length), -1)
    columns[0, 0, 2 : 2 + asked] = torch.tensor(ASKED)
    for place, special in ((0, 0), (1, 1), (2 + asked, 3), (length - 2, 4), (length - 1, 5)):
        columns[1, 0, place] = special
    columns[2, 0, 3 + asked : 3 + asked + blocks] = torch.arange(blocks)
    nothing = torch.zeros(1)
    batch = torch_model.Batch(  # type: ignore[attr-defined]
        nothing, nothing, *columns, torch.arange(length)[None], torch.zeros(1, length, dtype=torch.long), nothing,
        torch.tensor([length - 2]), nothing, nothing, nothing,
    )  # fmt: skip
    hidden = whole.think(batch, torch.from_numpy(made)[None])  # type: ignore[attr-defined]
    state, meaning = whole.heads(batch, hidden)  # type: ignore[attr-defined]
    chances = torch.softmax(whole.mind.logits(hidden)[0, -1], -1)  # type: ignore[attr-defined]
    return {
        "states": [round(float(x), 6) for x in torch.softmax(state, -1)[0]],
        "meaning": [round(float(x), 6) for x in meaning[0, :24]],
        "token": int(chances.argmax()),
        "chance": round(float(chances.max()), 6),
    }


def _few(values: object) -> list[list[float]]:
    """Every eightieth number of each row: enough to tell one sum from another."""
    return [[round(float(x), 4) for x in row[::80]] for row in values]  # type: ignore[attr-defined]


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(golden(), indent=1) + "\n")
    print(GOLDEN, GOLDEN.stat().st_size, "bytes")

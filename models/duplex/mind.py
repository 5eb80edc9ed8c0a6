"""The mind: Gemma-3-270M in PyTorch with low-rank adapters, over embeddings rather than tokens.

Only for training. Frozen weights are held in the working precision, adapters in float32. Gemma Team, "Gemma 3 Technical
Report", 2025; Hu et al., "LoRA", 2021.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

LAYERS, WIDTH, HEADS, HEAD, MLP = 18, 640, 4, 256, 2048
EPSILON = 1e-6
ADAPTED = {
    "qkv": (WIDTH, (HEADS + 2) * HEAD),
    "o": (HEADS * HEAD, WIDTH),
    "gate_up": (WIDTH, 2 * MLP),
    "down": (MLP, WIDTH),
}


class Mind(nn.Module):
    """Gemma's 18 layers; only the adapters learn."""

    def __init__(self, weights: Mapping[str, np.ndarray], dtype: torch.dtype, rank: int, alpha: float) -> None:
        """`weights`: as `offhook.speech.duplex.gemma.weights` names them, the table cut to the kept tokens."""
        super().__init__()
        self.dtype, self.scale = dtype, alpha / rank

        def keep(name: str, value: np.ndarray) -> None:
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(value)).to(dtype), persistent=False)

        keep("table", weights["table"])
        keep("norm", weights["norm"])
        for i in range(LAYERS):
            at = f"layers.{i}"
            keep(f"qkv_{i}", np.concatenate([weights[f"{at}.{part}"] for part in "qkv"]))
            keep(f"gate_up_{i}", np.concatenate([weights[f"{at}.gate"], weights[f"{at}.up"]]))
            for part in ("o", "down", "q_norm", "k_norm", "pre_attention", "post_attention", "pre_mlp", "post_mlp"):
                keep(f"{part}_{i}", weights[f"{at}.{part}"])
        self.adapters = nn.ParameterDict()
        for i in range(LAYERS):
            for part, (inputs, outputs) in ADAPTED.items():
                self.adapters[f"{part}_{i}_a"] = nn.Parameter(torch.randn(rank, inputs) / math.sqrt(inputs))
                self.adapters[f"{part}_{i}_b"] = nn.Parameter(torch.zeros(outputs, rank))

    def embed(self, tokens: Tensor) -> Tensor:
        """Rows of the table, scaled as Gemma feeds them."""
        return F.embedding(tokens, self.table).float() * math.sqrt(WIDTH)

    def logits(self, hidden: Tensor) -> Tensor:
        """[..., 640] -> [..., kept tokens], float32."""
        return F.linear(hidden.to(self.dtype), self.table).float()

    def forward(self, x: Tensor, positions: Tensor, mask: Tensor) -> Tensor:
        """x [B, S, 640], positions [B, S], mask [B, S, S] (True: may look) -> hidden states after the last norm."""
        x = x.to(self.dtype)
        bias = torch.zeros(mask.shape, dtype=self.dtype, device=x.device).masked_fill(~mask, -1e4)[:, None]
        local, far = (_turns(positions, theta, self.dtype) for theta in (1e4, 1e6))
        for i in range(LAYERS):
            turns = far if i % 6 == 5 else local
            h = self._attend(_norm(x, self._b(f"pre_attention_{i}")), i, turns, bias)
            x = x + _norm(h, self._b(f"post_attention_{i}"))
            h = _norm(x, self._b(f"pre_mlp_{i}"))
            h = self._linear(_gated(self._linear(h, "gate_up", i)), "down", i)
            x = x + _norm(h, self._b(f"post_mlp_{i}"))
        return _norm(x, self.norm)

    def _b(self, name: str) -> Tensor:
        return self.get_buffer(name)

    def _linear(self, x: Tensor, part: str, i: int) -> Tensor:
        a, b = (self.adapters[f"{part}_{i}_{side}"] for side in "ab")
        low = F.linear(x, a.to(self.dtype)).flatten(0, 1)
        whole = F.linear(x, self._b(f"{part}_{i}"))
        whole.flatten(0, 1).addmm_(low, (b * self.scale).to(self.dtype).T)  # in place: it is in nobody's gradient
        return whole

    def _attend(self, x: Tensor, i: int, turns: tuple[Tensor, Tensor], bias: Tensor) -> Tensor:
        batch, length, _ = x.shape
        heads = self._linear(x, "qkv", i).view(batch, length, HEADS + 2, HEAD).transpose(1, 2)
        q, k, v = heads[:, :HEADS], heads[:, HEADS : HEADS + 1], heads[:, HEADS + 1 :]
        q = _turn(_norm(q, self._b(f"q_norm_{i}")), turns)
        k = _turn(_norm(k, self._b(f"k_norm_{i}")), turns)
        k, v = k.expand(-1, HEADS, -1, -1), v.expand(-1, HEADS, -1, -1)
        h = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=HEAD**-0.5)
        return self._linear(h.transpose(1, 2).reshape(batch, length, HEADS * HEAD), "o", i)


def _norm(x: Tensor, weight: Tensor) -> Tensor:
    return F.rms_norm(x, x.shape[-1:], weight, EPSILON)


def _gated(gate_up: Tensor) -> Tensor:
    gate, up = gate_up.chunk(2, -1)
    return F.gelu(gate, approximate="tanh") * up


def _turns(positions: Tensor, theta: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    speed = theta ** (-torch.arange(0, HEAD, 2, device=positions.device, dtype=torch.float32) / HEAD)
    angle = positions[:, None, :, None].float() * speed
    angle = torch.cat([angle, angle], -1)
    return angle.cos().to(dtype), angle.sin().to(dtype)


def _turn(x: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary positions, halves side by side (Su et al., 2021)."""
    cos, sin = turns
    left, right = x.chunk(2, -1)
    return x * cos + torch.cat([-right, left], -1) * sin


if shutil.which("c++"):
    # Each of these is many small steps over much memory: as one, a training step takes a third less. They are called
    # with more kinds of shapes, with and without gradients, than are allowed by default.
    torch._dynamo.config.recompile_limit = 64
    _norm, _gated, _turn = (torch.compile(part, dynamic=True) for part in (_norm, _gated, _turn))

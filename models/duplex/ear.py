"""The ear: Whisper's encoder in PyTorch, frozen, over windows cut to their length instead of padded to 30 s.

Only for training: what serves calls is the same arithmetic as ONNX graphs (`offhook.speech.duplex`). Radford et al.,
"Robust Speech Recognition via Large-Scale Weak Supervision", 2022, section 2.2.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEADS = 8


class Ear(nn.Module):
    """Whisper-base's encoder; every parameter is a constant."""

    def __init__(self, weights: Mapping[str, np.ndarray], dtype: torch.dtype) -> None:
        """`weights`: as `offhook.speech.duplex.whisper.encoder_weights` names them."""
        super().__init__()
        for name, value in weights.items():
            self.register_buffer(name.replace(".", "_"), torch.from_numpy(np.array(value)).to(dtype), persistent=False)
        self.layers = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("layers."))
        self.dtype = dtype

    def _w(self, name: str) -> Tensor:
        return self.get_buffer(name.replace(".", "_"))

    def _linear(self, x: Tensor, name: str, bias: bool = True) -> Tensor:
        return F.linear(x, self._w(f"{name}.weight"), self._w(f"{name}.bias") if bias else None)

    def _norm(self, x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], self._w(f"{name}.weight"), self._w(f"{name}.bias"))

    @torch.no_grad()
    def forward(self, mel: Tensor, lengths: Tensor) -> Tensor:
        """[B, 80, M] log-mel, zero beyond a row's end, and the rows' mel frames [B] -> [B, F, 512], F = (M + 1) // 2,
        zero beyond a row's end."""
        mel = mel.to(self.dtype)
        inside = torch.arange(mel.shape[2], device=mel.device)[None, :] < lengths[:, None]
        x = F.gelu(F.conv1d(mel, self._w("conv1.weight"), self._w("conv1.bias"), padding=1))
        x = x * inside[:, None, :].to(x.dtype)
        x = F.gelu(F.conv1d(x, self._w("conv2.weight"), self._w("conv2.bias"), stride=2, padding=1)).transpose(1, 2)
        frames = x.shape[1]
        x = x + self._w("positions")[:frames]
        kept = torch.arange(frames, device=mel.device)[None, :] < ((lengths + 1) // 2)[:, None]
        bias = torch.zeros(kept.shape, dtype=x.dtype, device=x.device).masked_fill(~kept, -1e4)[:, None, None, :]
        for index in range(self.layers):
            x = self._layer(x, f"layers.{index}", bias)
        return self._norm(x, "norm") * kept[:, :, None].to(x.dtype)

    def _layer(self, x: Tensor, at: str, bias: Tensor) -> Tensor:
        batch, frames, width = x.shape
        h = self._norm(x, f"{at}.attention_norm")
        q, k, v = (
            self._linear(h, f"{at}.{part}", bias=part != "k").view(batch, frames, HEADS, width // HEADS).transpose(1, 2)
            for part in "qkv"
        )
        h = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        x = x + self._linear(h.transpose(1, 2).reshape(batch, frames, width), f"{at}.o")
        h = F.gelu(self._linear(self._norm(x, f"{at}.mlp_norm"), f"{at}.up"))
        return x + self._linear(h, f"{at}.down")

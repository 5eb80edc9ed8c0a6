"""The shape of a Moshi-like model as numbers: what to build, and what a step of it must move and compute.

Moshi (Défossez et al. 2024, arXiv:2410.00037) is a temporal transformer that takes one step an 80 ms frame, a small
depth transformer that makes the frame's audio tokens one after the other, and the codec Mimi on either side. Nothing
here imports PyTorch, so that limits can be calculated anywhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

FRAME_SAMPLES: Final = 1920
"""Of 24 kHz, in a frame of 80 ms."""
RATE_HZ: Final = 24_000
AGENT_CODEBOOKS: Final = 8
DELAYS: Final = (0, 0, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1)
"""Frames by which each channel lies behind its own time: text, the agent's eight codebooks, the caller's eight."""
TEXT_PADDING: Final = 3
"""The text token of a frame in which no word begins."""
TEXT_SILENT: Final = frozenset({-2, 0, 1, 2, TEXT_PADDING})
"""Text tokens that are no words: not generated yet, end of padding, beginning and end of sequence, padding."""

Numbers = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Shape:
    """One model's sizes."""

    name: str
    dim: int
    layers: int
    heads: int
    feed_forward: int
    """As the checkpoint's settings have it; the gated layer is two thirds of it wide."""
    depth_dim: int
    depth_layers: int
    depth_heads: int
    depth_feed_forward: int
    cards: int
    """Entries of an audio codebook."""
    text_cards: int
    context: int
    """Frames the temporal transformer can look back on."""
    codec_filters: int
    codec_dim: int
    codec_layers: int
    codec_heads: int
    codec_feed_forward: int
    codec_context: int
    codec_code_dim: int
    codec_codebooks: int

    def with_context(self, frames: int) -> Shape:
        return dataclasses.replace(self, context=frames)

    @property
    def lm(self) -> dict[str, object]:
        """Arguments of the language model."""
        return {
            "dim": self.dim,
            "text_card": self.text_cards,
            "existing_text_padding_id": TEXT_PADDING,
            "n_q": 2 * AGENT_CODEBOOKS,
            "dep_q": AGENT_CODEBOOKS,
            "card": self.cards,
            "num_heads": self.heads,
            "num_layers": self.layers,
            "hidden_scale": self.feed_forward / self.dim,
            "causal": True,
            "layer_scale": None,
            "context": self.context,
            "max_period": 10_000,
            "gating": "silu",
            "norm": "rms_norm_f32",
            "positional_embedding": "rope",
            "depformer_dim": self.depth_dim,
            "depformer_dim_feedforward": self.depth_feed_forward,
            "depformer_num_heads": self.depth_heads,
            "depformer_num_layers": self.depth_layers,
            "depformer_layer_scale": None,
            "depformer_multi_linear": True,
            "depformer_context": AGENT_CODEBOOKS,
            "depformer_max_period": 10_000,
            "depformer_gating": "silu",
            "depformer_pos_emb": "none",
            "depformer_weights_per_step": True,
            "delays": list(DELAYS),
        }

    @property
    def codec(self) -> dict[str, object]:
        """Arguments of Mimi."""
        return {
            "sample_rate": RATE_HZ,
            "channels": 1,
            "frame_rate": RATE_HZ / FRAME_SAMPLES,
            "seanet": {
                "channels": 1,
                "dimension": self.codec_dim,
                "causal": True,
                "n_filters": self.codec_filters,
                "n_residual_layers": 1,
                "activation": "ELU",
                "compress": 2,
                "dilation_base": 2,
                "disable_norm_outer_blocks": 0,
                "kernel_size": 7,
                "residual_kernel_size": 3,
                "last_kernel_size": 3,
                "norm": "none",
                "pad_mode": "constant",
                "ratios": [8, 6, 5, 4],
                "true_skip": True,
            },
            "quantizer": {
                "dimension": self.codec_code_dim,
                "n_q": self.codec_codebooks,
                "bins": self.cards,
                "input_dimension": self.codec_dim,
                "output_dimension": self.codec_dim,
            },
            "transformer": {
                "d_model": self.codec_dim,
                "num_heads": self.codec_heads,
                "num_layers": self.codec_layers,
                "causal": True,
                "layer_scale": 0.01,
                "context": self.codec_context,
                "conv_layout": True,
                "max_period": 10_000,
                "gating": "none",
                "norm": "layer_norm",
                "positional_embedding": "rope",
                "dim_feedforward": self.codec_feed_forward,
                "input_dimension": self.codec_dim,
                "output_dimensions": [self.codec_dim],
            },
        }

    # --- what a step costs; the codec, some 80 million parameters, is left out

    @property
    def temporal_parameters(self) -> int:
        """Of the temporal transformer and the text head: read once a step."""
        hidden = 2 * self.feed_forward // 3
        return self.layers * (4 * self.dim**2 + 3 * self.dim * hidden) + self.dim * self.text_cards

    @property
    def depth_parameters(self) -> int:
        """Of the depth transformer, which has its own weights for each codebook: read once a step, all together."""
        hidden = 2 * self.depth_feed_forward // 3
        layer = 4 * self.depth_dim**2 + 3 * self.depth_dim * hidden
        borders = self.dim * self.depth_dim + self.depth_dim * self.cards
        return AGENT_CODEBOOKS * (self.depth_layers * layer + borders)

    @property
    def embedding_parameters(self) -> int:
        """Looked up, a row a token: held but not read."""
        temporal = (2 * AGENT_CODEBOOKS * (self.cards + 1) + self.text_cards + 1) * self.dim
        depth = ((AGENT_CODEBOOKS - 1) * (self.cards + 1) + self.text_cards + 1) * self.depth_dim
        return temporal + depth

    def weight_bytes(self, bytes_each: int = 2) -> int:
        """Held, without the codec."""
        return bytes_each * (self.temporal_parameters + self.depth_parameters + self.embedding_parameters)

    def streamed_bytes(self, bytes_each: int = 2) -> int:
        """Of weights, read in every step whatever the batch."""
        return bytes_each * (self.temporal_parameters + self.depth_parameters)

    def memory_bytes_per_frame(self, bytes_each: int = 2) -> int:
        """Keys and values that one frame of one conversation adds."""
        return 2 * self.layers * self.dim * bytes_each

    def memory_bytes_per_row(self, bytes_each: int = 2) -> int:
        """Keys and values of one row, allocated at once. All of it is read in every step, full or not."""
        return self.context * self.memory_bytes_per_frame(bytes_each)

    @property
    def flops_per_frame(self) -> int:
        """Of one row's step: a multiply and an add for each parameter read, and attention over the whole context."""
        attention = 4 * self.layers * self.dim * self.context
        return 2 * (self.temporal_parameters + self.depth_parameters) + attention


FULL: Final = Shape(
    name="7B",
    dim=4096,
    layers=32,
    heads=32,
    feed_forward=16_896,
    depth_dim=1024,
    depth_layers=6,
    depth_heads=16,
    depth_feed_forward=4224,
    cards=2048,
    text_cards=32_000,
    context=3000,
    codec_filters=64,
    codec_dim=512,
    codec_layers=8,
    codec_heads=8,
    codec_feed_forward=2048,
    codec_context=250,
    codec_code_dim=256,
    codec_codebooks=32,
)
"""Moshi and PersonaPlex: 7.7 billion parameters."""

SMALL: Final = Shape(
    name="small",
    dim=64,
    layers=2,
    heads=4,
    feed_forward=264,
    depth_dim=32,
    depth_layers=2,
    depth_heads=2,
    depth_feed_forward=132,
    cards=64,
    text_cards=320,
    context=128,
    codec_filters=4,
    codec_dim=32,
    codec_layers=1,
    codec_heads=4,
    codec_feed_forward=64,
    codec_context=32,
    codec_code_dim=16,
    codec_codebooks=8,
)
"""The same architecture at a size for tests; there are no weights of this shape."""

SHAPES: Final = {"7b": FULL, "small": SMALL}

"""The whole duplex model for training: ear, projector, mind, heads, and the layout of one turn in the mind.

A turn is laid out as

    BEGIN, SILENT or SPEAKING, the agent's last words, CALLER, audio, MEANING, [GIST gist EOS], [WORDS words EOS]

where the two bracketed branches do not see each other and both go on from MEANING. The state and meaning heads read
the mind at MEANING. Ultravox (Fixie, 2024) is the model for the projector, Freeze-Omni (Wang et al., 2024) for the
state head.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.duplex.ear import Ear
from models.duplex.mind import WIDTH, Mind
from models.duplex.turns import STACK
from offhook.speech.duplex import layout

FRAME = 512
GATE = 1024
MEANING = layout.MEANING_SIZE


@dataclass(slots=True)
class Batch:
    """Turns laid out, padded at their ends. S positions, A audio positions, M mel frames."""

    mel: Tensor
    """[B, 80, M]; empty once the ear has heard it."""
    frames: Tensor
    """[B] mel frames of each row."""
    tokens: Tensor
    """[B, S] kept token ids, -1 elsewhere."""
    specials: Tensor
    """[B, S] which special, -1 elsewhere."""
    audio: Tensor
    """[B, S] which audio position, -1 elsewhere."""
    positions: Tensor
    """[B, S] as the rotary embedding counts them."""
    branch: Tensor
    """[B, S]: 0 what all see, 1 gist, 2 words, -1 padding."""
    labels: Tensor
    """[B, S] the token to come, -1 where none is learnt."""
    meaning_at: Tensor
    """[B] where MEANING stands."""
    state: Tensor
    """[B], -1 where unknown."""
    state_weight: Tensor
    """[B]."""
    meaning: Tensor
    """[B, 384] unit vectors; zeros where unknown."""
    ear: Tensor
    """[B, F, 512] what the ear made of `mel`; empty until then."""

    def to(self, device: torch.device) -> Batch:
        return Batch(*(getattr(self, name).to(device, non_blocking=True) for name in self.__slots__))


class Projector(nn.Module):
    """Eight ear frames to one audio position of the mind."""

    def __init__(self, length: float) -> None:
        """`length`: about how long its outputs begin, as vectors."""
        super().__init__()
        self.norm = nn.LayerNorm(STACK * FRAME)
        self.gate = nn.Linear(STACK * FRAME, 2 * GATE, bias=False)
        self.out = nn.Linear(GATE, WIDTH)
        with torch.no_grad():
            usual = self.out(F.silu(torch.randn(256, GATE) / 2) * torch.randn(256, GATE) / 2).norm(dim=-1).mean()
        self.scale = length / float(usual)
        """Outputs are so much longer than the weights make them: weights as long as that would learn as much slower."""

    def forward(self, frames: Tensor, dtype: torch.dtype) -> Tensor:
        """[B, F, 512] -> [B, ceil(F / 8), 640] float32; a last block that is short is filled with zeros."""
        batch, count, _ = frames.shape
        frames = F.pad(frames, (0, 0, 0, -count % STACK)).reshape(batch, -1, STACK * FRAME)
        h = F.linear(self.norm(frames.float()).to(dtype), self.gate.weight.to(dtype))
        left, right = h.chunk(2, -1)
        h = F.silu(left) * right
        return F.linear(h, self.out.weight.to(dtype), self.out.bias.to(dtype)).float() * self.scale


class Duplex(nn.Module):
    """Everything that learns, and the frozen parts it learns around."""

    def __init__(
        self,
        ear: Mapping[str, np.ndarray],
        mind: Mapping[str, np.ndarray],
        *,
        rank: int = 16,
        alpha: float = 32.0,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        super().__init__()
        self.ear = Ear(ear, dtype)
        self.mind = Mind(mind, dtype, rank, alpha)
        usual = float(np.linalg.norm(mind["table"], axis=1).mean()) * math.sqrt(WIDTH)
        self.projector = Projector(usual)
        self.blank = nn.Parameter(torch.randn(WIDTH) / math.sqrt(WIDTH))
        """What an audio position at which no token begins looks like; only training reads it."""
        self.specials = nn.Parameter(torch.randn(layout.SPECIALS, WIDTH) * usual / math.sqrt(WIDTH))
        self.state = nn.Sequential(nn.Linear(WIDTH, 256), nn.GELU(), nn.Linear(256, layout.STATES))
        self.meaning = nn.Sequential(nn.Linear(WIDTH, 512), nn.GELU(), nn.Linear(512, MEANING))

    def listen(self, batch: Batch) -> Batch:
        """`batch` with what the ear makes of it in place of its sound: the same however often it is learnt from."""
        if batch.ear.numel():
            return batch
        return replace(batch, mel=batch.mel[:, :, :0], ear=self.ear(batch.mel, batch.frames))

    def hear(self, batch: Batch) -> Tensor:
        """Audio positions [B, A, 640] of a batch."""
        return self.projector(self.listen(batch).ear, self.mind.dtype)

    def think(self, batch: Batch, audio: Tensor | None) -> Tensor:
        """The mind's hidden states [B, S, 640]; `audio` as `hear` gives it, None where a turn is of text only."""
        x = self.mind.embed(batch.tokens.clamp(min=0))
        x = torch.where(batch.specials[..., None] >= 0, self.specials[batch.specials.clamp(min=0)], x)
        if audio is not None:
            index = batch.audio.clamp(min=0)[..., None].expand(-1, -1, WIDTH)
            x = torch.where(batch.audio[..., None] >= 0, audio.gather(1, index), x)
        order = torch.arange(x.shape[1], device=x.device)
        mine = batch.branch[:, :, None]
        theirs = batch.branch[:, None, :]
        mask = (order[None, :, None] >= order[None, None, :]) & (theirs >= 0) & ((theirs == 0) | (theirs == mine))
        mask |= torch.eye(x.shape[1], dtype=torch.bool, device=x.device)  # padding looks at itself
        return self.mind(x, batch.positions, mask)

    def tokens_heard(self, audio: Tensor) -> Tensor:
        """Audio positions [B, A, 640] against every kept token, and against none, which comes last: [B, A, V + 1]."""
        table = torch.cat([self.mind.table, self.blank[None].to(self.mind.dtype)])
        return F.linear(audio.to(self.mind.dtype), table).float()

    def heads(self, batch: Batch, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """State logits [B, 4] and unit meanings [B, 384] from the hidden states."""
        at = hidden[torch.arange(len(hidden), device=hidden.device), batch.meaning_at].float()
        return self.state(at), F.normalize(self.meaning(at), dim=-1)

    def learnt(self) -> dict[str, Tensor]:
        """The state of what learns, adapters included; `projector.scale` with it."""
        learnt = {name: value.detach() for name, value in self.named_parameters() if value.requires_grad}
        return learnt | {"projector.scale": torch.tensor(self.projector.scale)}

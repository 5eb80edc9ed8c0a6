"""What a batch of turns is judged by: the branches' words, the turn's state, its meaning, and the mind reading text."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.duplex.model import Batch, Duplex

TEMPERATURE = 2.0
"""Of the distillation (Ultravox)."""
NEAR = 0.07
"""Of the contrast between meanings of one batch."""


@dataclass(slots=True)
class Losses:
    """Means over what of their kind a batch holds; `total` is what is learnt by."""

    total: Tensor
    tokens: float
    heard: float
    state: float
    meaning: float
    distilled: float


def judge(model: Duplex, batch: Batch, text: Batch | None, heard_weight: float) -> Losses:
    """The losses of `batch`; with `text`, the same turns as text, the mind that reads them is taught too and teaches
    the one that hears. `heard_weight`: how much it counts that audio positions look like the tokens said in them."""
    audio = model.hear(batch)
    hidden = model.think(batch, audio)
    chosen = batch.labels >= 0
    logits = model.mind.logits(hidden[chosen])
    tokens = _crossed(logits, batch.labels[chosen])
    state, meaning = _heads(model, batch, hidden)
    heard = _heard(model, batch, audio) if heard_weight else torch.zeros(())
    total = tokens + 0.5 * state + meaning + heard_weight * heard
    distilled = torch.zeros(())
    if text is not None:
        read = model.think(text, None)
        wise = model.mind.logits(read[text.labels >= 0])
        total = total + 0.5 * _crossed(wise, text.labels[text.labels >= 0])
        total = total + 0.5 * _heads(model, text, read)[1]
        if len(wise) == len(logits) and len(wise):  # the same branches in the same order
            teacher = F.log_softmax(wise.detach() / TEMPERATURE, -1)
            student = F.log_softmax(logits / TEMPERATURE, -1)
            distilled = F.kl_div(student, teacher, log_target=True, reduction="batchmean")
            total = total + 0.5 * distilled
    return Losses(total, *(float(part.detach()) for part in (tokens, heard, state, meaning, distilled)))


def _heard(model: Duplex, batch: Batch, audio: Tensor) -> Tensor:
    """Connectionist temporal classification (Graves et al., 2006) of the transcript, straight from the projector: it
    brings audio to where the mind's own tokens are long before the mind's gradients would."""
    words = (batch.branch == 2) & (batch.labels > 0)
    rows = words.any(1)
    positions = (batch.audio >= 0).sum(1)
    rows &= words.sum(1) <= positions
    if not rows.any():
        return audio.sum() * 0.0
    logits = model.tokens_heard(audio[rows])
    return F.ctc_loss(
        F.log_softmax(logits, -1).transpose(0, 1), batch.labels[words & rows[:, None]], positions[rows],
        words[rows].sum(1), blank=logits.shape[-1] - 1, zero_infinity=True,
    )  # fmt: skip


def judge_listening(model: Duplex, batch: Batch) -> Losses:
    """How far audio positions look like the tokens said in them: all that the first stage learns, without the mind."""
    heard = _heard(model, batch, model.hear(batch))
    return Losses(heard, 0.0, float(heard.detach()), 0.0, 0.0, 0.0)


def _crossed(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels) if len(labels) else logits.sum() * 0.0


def _heads(model: Duplex, batch: Batch, hidden: Tensor) -> tuple[Tensor, Tensor]:
    states, meanings = model.heads(batch, hidden)
    each = F.cross_entropy(states, batch.state.clamp(min=0), reduction="none")
    weight = batch.state_weight * (batch.state >= 0)
    state = (each * weight).sum() / weight.sum().clamp(min=1.0)
    known = batch.meaning.abs().sum(-1) > 0
    if known.sum() < 2:
        return state, meanings.sum() * 0.0
    ours, theirs = meanings[known], batch.meaning[known]
    same = theirs @ theirs.T > 0.999  # several turns of one batch may mean the same
    near = ours @ theirs.T / NEAR
    near = near.masked_fill(same & ~torch.eye(len(ours), dtype=torch.bool, device=near.device), -1e4)
    contrast = F.cross_entropy(near, torch.arange(len(ours), device=near.device))
    return state, 2.0 * (1 - (ours * theirs).sum(-1)).mean() + 0.2 * contrast

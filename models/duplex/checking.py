"""How a model in training does on a split it does not learn from. Quick: one pass, no token is generated.

A branch that names every token right, each time given the right ones before, is what greedy generation would give too.
The full figures are `models.duplex.evaluate`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from models.duplex.batches import Batches
from models.duplex.frozen import Frozen
from models.duplex.model import Batch, Duplex
from models.duplex.turns import GIST_, WORDS_


@dataclass(frozen=True, slots=True)
class Check:
    """Shares, 0..1."""

    gist: float
    """Gists right to the last token."""
    facts: float
    """The same of those that are not empty."""
    words: float
    """Transcripts right to the last token."""
    wrong: float
    """Tokens of transcripts that are wrong."""
    state: float
    """Turns whose state is right."""
    meaning: float
    """Turns whose meaning lies nearest to that of what was said, of all that was said in the split."""
    cosine: float
    """Mean cosine to it."""


@torch.no_grad()
def check(model: Duplex, folder: Path, frozen: Frozen, split: str, most: int) -> Check:
    """The figures over the first `most` utterances of a split, the same at every check."""
    model.eval()
    device = next(model.parameters()).device
    counts: dict[str, list[float]] = {name: [] for name in ("gist", "facts", "words", "wrong", "state")}
    ours, theirs = [], []
    seen = 0
    for batch, _ in Batches(folder, split, frozen.encode, Frozen.meanings, seed=5, once=True, most=most):
        batch = batch.to(device)
        seen += len(batch.frames)
        hidden = model.think(batch, model.hear(batch))
        states, meanings = model.heads(batch, hidden)
        counts["state"] += (states.argmax(-1) == batch.state).float()[batch.state_weight > 0.9].tolist()
        known = batch.meaning.abs().sum(-1) > 0
        ours.append(meanings[known].float().cpu().numpy())
        theirs.append(batch.meaning[known].cpu().numpy())
        _branches(model, batch, hidden, counts)
    model.train()
    mine, wanted = np.concatenate(ours), np.concatenate(theirs)
    near = mine @ wanted.T
    right = near.max(axis=1) <= np.where(wanted @ wanted.T > 0.999, near, -1).max(axis=1) + 1e-6
    means = {name: float(np.mean(values)) if values else 0.0 for name, values in counts.items()}
    return Check(**means, meaning=float(right.mean()), cosine=float((mine * wanted).sum(1).mean()))


def _branches(model: Duplex, batch: Batch, hidden: torch.Tensor, counts: dict[str, list[float]]) -> None:
    for special, branch in ((GIST_, 1), (WORDS_, 2)):
        inside = (batch.branch == branch) & (batch.labels >= 0)
        rows = inside.any(1).nonzero()[:, 0]
        for row in rows.tolist():
            at = inside[row]
            guess = model.mind.logits(hidden[row, at]).argmax(-1)
            labels = batch.labels[row, at]
            right = bool((guess == labels).all())
            if special == GIST_:
                counts["gist"].append(right)
                if len(labels) > 1:
                    counts["facts"].append(right)
            else:
                counts["words"].append(right)
                counts["wrong"] += (guess != labels).float().tolist()

"""Callers for turn taking: an utterance on a line with silence behind it, and where in it a turn pauses and ends."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.duplex.data.line import Line
from models.duplex.data.shards import Shard, Utterance
from models.duplex.evaluate import hearing
from models.duplex.evaluate.endpointing import Span
from offhook.speech.contract import HOP_SAMPLES, RATE_HZ, Pcm

Scores = npt.NDArray[np.float64]
"""[hops]: a system's score when each hop of a scene has come."""

LEAD_HOPS = 6
TAIL_HOPS = 30
"""2.4 s: longer than any policy waits that is of use."""
_MOST_SAMPLES = 12 * RATE_HZ


@dataclass(frozen=True, slots=True)
class Silence:
    """A stretch without speech, in samples of the scene."""

    first: int
    end: int
    ends_turn: bool


@dataclass(frozen=True, slots=True)
class Scene:
    """One caller's turn."""

    said: Utterance
    audio: Pcm
    """Whole hops."""
    silences: tuple[Silence, ...]
    speech: tuple[int, int]
    """First sample of speech and the one after the last."""

    def spans(self, scores: Scores) -> list[Span]:
        """The scene's silences as a system scored them."""
        out = []
        for silence in self.silences:
            hops = range(silence.first // HOP_SAMPLES, silence.end // HOP_SAMPLES)
            at_ms = tuple(_ms((hop + 1) * HOP_SAMPLES - silence.first) for hop in hops)
            lasts_ms = _ms(silence.end - silence.first)
            out.append(Span(silence.ends_turn, lasts_ms, at_ms, tuple(float(scores[hop]) for hop in hops)))
        return out


def scene(shard: Shard, said: Utterance, line: Line, seed: int, lead_hops: int = LEAD_HOPS) -> Scene:
    """`said` as it comes in over `line`."""
    audio = hearing.over(line, shard.of(said), seed, lead_hops, TAIL_HOPS)
    lead = lead_hops * HOP_SAMPLES
    pieces = [(lead + first, lead + end) for first, end in said.pieces]
    holds = [Silence(one[1], other[0], False) for one, other in itertools.pairwise(pieces)]
    silences = (*holds, Silence(pieces[-1][1], len(audio), True))
    return Scene(said, audio, silences, (pieces[0][0], pieces[-1][1]))


def turns(shards: Sequence[Shard], kinds: Sequence[str], most: int) -> list[tuple[Shard, Utterance]]:
    """At most `most` utterances of these kinds, every other one of those that pause while there are such."""
    fit = [
        (shard, one)
        for shard in shards
        for one in shard.utterances
        if one.kind in kinds and one.pieces and one.samples <= _MOST_SAMPLES
    ]
    paused = [one for one in fit if len(one[1].pieces) > 1]
    others = [one for one in fit if len(one[1].pieces) == 1]
    mixed = [one for pair in zip(paused, others, strict=False) for one in pair]
    shorter = min(len(paused), len(others))
    return [*mixed, *paused[shorter:], *others[shorter:]][:most]


def _ms(samples: int) -> float:
    return samples * 1000 / RATE_HZ

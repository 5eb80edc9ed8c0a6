"""One clause on its way from symbols to sound, a chunk at a time; several clauses in one run of the decoder.

    rendering = Rendering(graphs, spelled, graphs.encode(...), ...)
    while not rendering.over:
        (audio,) = advance(graphs, [rendering])

The draft of the whole clause is there before the first chunk, so its length is known; flow and decoder follow as they
are needed. Chunks joined are what the whole clause decoded at once would be.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from offhook.speech.contract import RATE_HZ, Pcm
from offhook.speech.mouth.graphs import FLOW_REACH, FRAME_SAMPLES, Decoding, Draft, Frames, MouthGraphs, Sound
from offhook.speech.mouth.level import Leveller
from offhook.speech.mouth.spelling import Spelled
from offhook.speech.resample import Resampler

_FIRST = 6  # frames of the first chunk behind the silence that leads in: 70 ms of sound
_GROWTH = 1.5  # of a chunk against the one before, which is played while this one is made
_LONGEST = 24  # frames of a chunk: 280 ms, decoded in about 12 ms on one core
_FIXED = 12  # frames of every chunk where all are to be of one length: 140 ms
_FLOW_BLOCK = 128


class Rendering:
    """One clause. Not safe to use from several threads at once."""

    def __init__(self, graphs: MouthGraphs, spelled: Spelled, draft: Draft, rate_hz: int, level: float) -> None:
        """`rate_hz` and `level` (RMS of its speech) are the voice's."""
        self._graphs = graphs
        self._draft = draft
        self._latent: Frames = np.zeros_like(draft.prior)
        self._flowed = 0
        self._decoding = graphs.decoding(draft.prior.shape[1])
        before = int(draft.durations[: spelled.silent_before].sum())
        behind = int(draft.durations[len(draft.durations) - spelled.silent_after :].sum())
        # Before anything can be heard, the decoder must have been fed what it looks ahead.
        self._chunk = _FIXED if graphs.fixed else before + _FIRST - (-graphs.late // FRAME_SAMPLES)
        self._pace = _FIRST
        self._resampler = Resampler(rate_hz, RATE_HZ)
        self._leveller = Leveller(level)
        self.most = -(-self._frames * FRAME_SAMPLES * RATE_HZ // rate_hz)
        """Samples (16 kHz) there will be at most."""
        self.expected = max(1, (self._frames - before - behind) * FRAME_SAMPLES * RATE_HZ // rate_hz)
        """Samples there will be within some 50 ms: the silence around the speech is cut where it is heard to end."""

    @property
    def over(self) -> bool:
        """All of it was given out."""
        return self._decoding.over

    @property
    def decoding(self) -> Decoding:
        """How far the decoder is."""
        return self._decoding

    def piece(self) -> Frames:
        """The frames to decode next; behind the clause's end they are zero."""
        start, stop = self._decoding.fed, self._decoding.fed + self._chunk
        self._flow_to(min(stop, self._frames))
        piece: Frames = np.zeros((len(self._latent), self._chunk), np.float32)
        known = self._latent[:, start:stop]
        piece[:, : known.shape[1]] = known
        return piece

    def take(self, sound: Sound) -> Pcm:
        """What to play next (16 kHz; nothing while there is but silence), of the samples just decoded."""
        if not self._graphs.fixed:
            self._pace = min(_LONGEST, int(self._pace * _GROWTH))
            left = self._frames - (self._graphs.late // -FRAME_SAMPLES) - self._decoding.fed
            # A last chunk of a few frames would cost a run of its own.
            self._chunk = max(1, left) if left < 2 * self._pace else self._pace
        heard = self._resampler.feed(sound)
        if self.over:
            heard = np.concatenate([heard, self._resampler.end()])
        return self._leveller.push(heard, last=self.over)

    @property
    def _frames(self) -> int:
        return int(self._draft.prior.shape[1])

    def _flow_to(self, stop: int) -> None:
        if stop <= self._flowed:
            return
        until = stop if self._flowed == 0 else max(stop, self._flowed + _FLOW_BLOCK)
        if self._graphs.fixed or self._frames - until < FLOW_REACH:
            until = self._frames
        left, right = max(0, self._flowed - FLOW_REACH), min(self._frames, until + FLOW_REACH)
        made = self._graphs.flow(self._draft.prior[:, left:right])
        self._latent[:, self._flowed : until] = made[:, self._flowed - left : until - left]
        self._flowed = until


def advance(graphs: MouthGraphs, renderings: Sequence[Rendering]) -> list[Pcm]:
    """One chunk of each rendering, decoded together: what each has to play now, [n] at 16 kHz; nothing where it is
    over."""
    going = [rendering for rendering in renderings if not rendering.over]
    sounds = graphs.decode([each.decoding for each in going], [each.piece() for each in going])
    made = {id(rendering): rendering.take(sound) for rendering, sound in zip(going, sounds, strict=True)}
    return [made.get(id(rendering), np.zeros(0, np.int16)) for rendering in renderings]

"""One clause on its way from symbols to sound, a chunk at a time; several clauses in one run of the decoder.

    renderings = [Rendering(graphs, draft, ...)]
    advance(graphs, renderings)      # each has `rendering.out` then, until it is `over`

The draft of the whole clause is there before the first chunk, so its length is known; flow and decoder follow as they
are needed. Chunks joined are what the whole clause decoded at once would be (they are decoded with as much of their
neighbours as they depend on). The first is short, so that sound comes soon; later ones are longer, as each pays for its
neighbours too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from offhook.speech.contract import RATE_HZ, Pcm
from offhook.speech.mouth.graphs import DECODE_REACH, FLOW_REACH, FRAME_SAMPLES, Draft, Frames, MouthGraphs, Sound
from offhook.speech.mouth.level import Leveller
from offhook.speech.mouth.spelling import Spelled
from offhook.speech.resample import Resampler

_FIRST = 6  # frames of the first chunk behind the silence that leads in: 70 ms
_GROWTH = 1.6  # of a chunk against the one before: it is decoded long before that one is played
_LONGEST = 40  # frames of a chunk: 460 ms, decoded in about 30 ms on one core
_FLOW_BLOCK = 96
WINDOW = 32
"""Frames of every window where windows are fixed: 12 new ones, 140 ms, and what they depend on."""


class Rendering:
    """One clause. Not safe to use from several threads at once."""

    def __init__(self, graphs: MouthGraphs, spelled: Spelled, draft: Draft, rate_hz: int, level: float) -> None:
        """`rate_hz` and `level` (RMS of its speech) are the voice's."""
        self._graphs = graphs
        self._draft = draft
        self._latent: Frames = np.zeros_like(draft.prior)
        self._flowed = 0
        self._decoded = 0
        before = int(draft.durations[: spelled.silent_before].sum())
        behind = int(draft.durations[len(draft.durations) - spelled.silent_after :].sum())
        self._chunk = before + _FIRST
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
        return self._decoded == self._frames

    @property
    def _frames(self) -> int:
        return int(self._draft.prior.shape[1])

    def window(self) -> tuple[int, int, int]:
        """The frames to decode next, and up to which of them samples are then new: (start, stop, new stop)."""
        frames = self._frames
        if self._graphs.fixed and frames >= WINDOW:
            start = min(max(0, self._decoded - DECODE_REACH), frames - WINDOW)
            stop = start + WINDOW
            return start, stop, frames if stop == frames else stop - DECODE_REACH
        new = min(frames, self._decoded + self._chunk)
        if frames - new < DECODE_REACH:
            new = frames  # what is left would cost a run of its own
        return max(0, self._decoded - DECODE_REACH), min(frames, new + DECODE_REACH), new

    def latent(self, start: int, stop: int) -> Frames:
        """The latent frames from `start` to `stop`, made now where they are not there yet."""
        if stop > self._flowed:
            until = stop if self._flowed == 0 else max(stop, self._flowed + _FLOW_BLOCK)
            if self._graphs.fixed or self._frames - until < FLOW_REACH:
                until = self._frames
            left, right = max(0, self._flowed - FLOW_REACH), min(self._frames, until + FLOW_REACH)
            made = self._graphs.flow(self._draft.prior[:, left:right])
            self._latent[:, self._flowed : until] = made[:, self._flowed - left : until - left]
            self._flowed = until
        return self._latent[:, start:stop]

    def take(self, sound: Sound, start: int, new: int) -> Pcm:
        """The next samples to play (16 kHz; none while there is but silence), from `sound`, the decoded window that
        began at frame `start`, of which frames before `new` had not been given out."""
        fresh = sound[(self._decoded - start) * FRAME_SAMPLES : (new - start) * FRAME_SAMPLES]
        self._decoded = new
        self._chunk = self._pace = min(_LONGEST, int(self._pace * _GROWTH))
        heard = self._resampler.feed(fresh)
        if self.over:
            heard = np.concatenate([heard, self._resampler.end()])
        return self._leveller.push(heard, last=self.over)


def advance(graphs: MouthGraphs, renderings: Sequence[Rendering]) -> list[Pcm]:
    """One chunk of each rendering that is not over, decoded together: what each has to play now, [n] at 16 kHz."""
    going = [rendering for rendering in renderings if not rendering.over]
    plans = [rendering.window() for rendering in going]
    windows = [rendering.latent(start, stop) for rendering, (start, stop, _) in zip(going, plans, strict=True)]
    sounds = graphs.decode(windows)
    made = {
        id(rendering): rendering.take(sound, start, new)
        for rendering, sound, (start, _, new) in zip(going, sounds, plans, strict=True)
    }
    return [made.get(id(rendering), np.zeros(0, np.int16)) for rendering in renderings]

"""Finds the serving options that fit a trained model: `python -m models.duplex.fit --data SHARDS`.

What the model thinks is on a scale of its own, which every training moves: from which cosine on a meaning is likely and
sure (`scale.*`), and how much silence its `ended` is worth (`end.*`). Both are tried on the split `dev`, through the
runtime that serves, and judged by the code that serves. Prints what is best, as it stands in a server's settings, for
several budgets of false cut-offs, with what the options as they ship come to. Changes nothing.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from models.duplex.data.shards import Shard, ShardError, Utterance, read_shards
from models.duplex.evaluate import desks, hearing, scenes, turntaking, understanding
from models.duplex.evaluate.progress import progress
from models.duplex.evaluate.systems import Duplex, Moment, kept
from offhook.speech.duplex.built import DuplexUnavailable
from offhook.speech.duplex.listener import Scale
from offhook.speech.duplex.listening import Listening
from offhook.speech.duplex.turns import EndOptions, Pause, Verdict, judge
from offhook.speech.voiceactivity import VoiceActivity
from offhook.weights import WeightsMissing

LINES = ("clean", "20 dB")
BUDGETS = (0.05, 0.1, 0.2, 0.3, 0.4)
"""Shares of pauses in which an answer may begin."""
LOST = 0.02
"""Share of real ends that may be taken for words to somebody else."""
_ENDS = {
    "soonest_ms": (160, 320, 480),
    "sure": (0.9, 0.97, 0.99, 0.995),
    "patient_ms": (800, 1_100, 1_500),
    "doubtful": (0.35, 0.6, 0.8, 0.9),
    "longest_ms": (1_400, 1_800),
    "complete_adds": (0.5, 1.0),
    "incomplete_takes": (3.0, 4.0),
    "keeps": (0.0, 0.9),
}
_SCALES = [(likely, likely + 0.18) for likely in np.arange(0.3, 0.62, 0.04).round(2).tolist()]


@dataclass(frozen=True, slots=True)
class Ended:
    """One silence of a caller as the model heard it, hop by hop."""

    ends_turn: bool
    """Nothing follows: the turn is over."""
    at_ms: tuple[float, ...]
    """Real time since the last sample of speech."""
    moments: tuple[Moment, ...]

    def acts_ms(self, options: EndOptions) -> float | None:
        """When the policy answers; None where it does not before speech goes on."""
        for at, one, ended in zip(self.at_ms, self.moments, kept(self.moments, options), strict=True):
            if judge(Pause(one.silence_ms, ended, 0.0, one.complete), options) is Verdict.OVER:
                return at
        return None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What options come to."""

    cut_off: float
    """Share of pauses in which the agent begins."""
    mean_ms: float
    """Silence after an end until it does."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One saying as the model understood it."""

    said: Utterance
    found: hearing.Understanding


def outcome(silences: Sequence[Ended], options: EndOptions) -> Outcome:
    """Raises ValueError where there is no pause or no end among them."""
    acts = [(one, one.acts_ms(options)) for one in silences]
    cut = [at is not None for one, at in acts if not one.ends_turn]
    waits = [at if at is not None else one.at_ms[-1] for one, at in acts if one.ends_turn]
    if not cut or not waits:
        raise ValueError(f"{len(cut)} pauses and {len(waits)} ends of turns: both are needed; give more with --most")
    return Outcome(float(np.mean(cut)), float(np.mean(waits)))


def ends_tried(usual: EndOptions) -> Iterator[EndOptions]:
    """Every combination of the options that are tried, the others as in `usual`."""
    for values in itertools.product(*_ENDS.values()):
        chosen = dict(zip(_ENDS, values, strict=True))
        yield replace(usual, **chosen)  # type: ignore[arg-type]  # each as its field has it


def best(tried: Sequence[tuple[Outcome, EndOptions]], budget: float) -> tuple[Outcome, EndOptions] | None:
    """The soonest of those that cut off no more than `budget`; None where there is none."""
    return min((one for one in tried if one[0].cut_off <= budget), key=lambda one: one[0].mean_ms, default=None)


def asides_below(ends: Sequence[Ended], options: EndOptions) -> float:
    """The `ended` below which `LOST` of the real ends are by the time that the longest silence is over."""
    late = []
    for one in ends:
        ended = kept(one.moments, options)
        over = [
            sure for moment, sure in zip(one.moments, ended, strict=True) if moment.silence_ms >= options.longest_ms
        ]
        if one.ends_turn and over:
            late.append(over[0])
    return float(np.quantile(late, LOST)) if late else 0.0


def skills(heard: Sequence[Heard], scale: Scale) -> tuple[int, int]:
    """How many sayings that ask for something the mind takes for what was asked, and of how many."""
    right = of = 0
    for one in heard:
        wanted = desks.wanted(one.said)
        if wanted.skill is None:
            continue
        mind = desks.mind(one.said)
        right += desks.decided(understanding.taken(one.found, mind, scale).move(mind)) == wanted.skill
        of += 1
    return right, of


def listened(duplex: Duplex, shards: Sequence[Shard], most: int) -> list[Ended]:
    """The silences of at most `most` turns on each of `LINES`."""
    out = []
    chosen = scenes.turns(shards, turntaking.CALLERS, most)
    told = progress("ends of turns")
    for number, (line, (seed, (shard, said))) in enumerate(itertools.product(LINES, enumerate(chosen)), 1):
        scene = scenes.scene(shard, said, hearing.LINES[line], seed)
        moments = duplex.moments(scene)
        for span in scene.spans(np.arange(len(moments), dtype=np.float64)):
            if span.counts and span.scores:
                out.append(Ended(span.ends_turn, span.at_ms, tuple(moments[int(place)] for place in span.scores)))
        told(number, len(LINES) * len(chosen))
    return out


def understood(model: Listening, shards: Sequence[Shard], most: int) -> list[Heard]:
    """At most `most` sayings as the model understands them."""
    said = [(shard, one) for shard in shards for one in shard.utterances if one.kind in turntaking.CALLERS]
    said = understanding.spread(said, most)
    told = progress("sayings")
    out = []
    for number, (shard, one) in enumerate(said, 1):
        audio = hearing.over(hearing.LINES[LINES[0]], shard.of(one), number)
        asked = one.asked or desks.mind(one).expected().said
        out.append(Heard(one, hearing.understand(model, audio, asked, one.agent_speaking)))
        told(number, len(said))
    return out


def _settings(chosen: EndOptions, usual: EndOptions) -> str:
    values = {name: getattr(chosen, name) for name in _ENDS}
    changed = {name: value for name, value in values.items() if value != getattr(usual, name)}
    return ", ".join(f"end.{name} = {value:g}" for name, value in changed.items()) or "as it ships"


def main(arguments: Sequence[str] | None = None) -> int:
    """0, or 2 where it cannot be measured."""
    parser = argparse.ArgumentParser(prog="python -m models.duplex.fit", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of shards; their split `dev` is used")
    parser.add_argument("--most", type=int, default=110, metavar="N", help="sayings, and turns, on each line")
    parser.add_argument("--build", type=Path, metavar="DIR", help="another build than the one in the folder of weights")
    parser.add_argument("--threads", type=int, default=2, help="cores for one computation")
    given = parser.parse_args(arguments)
    usual, scale = EndOptions(), Scale()
    try:
        shards = list(read_shards(given.data, "dev"))
        model = hearing.duplex(given.build, given.threads)
        silences = listened(Duplex(VoiceActivity.load(), model, usual, scale), shards, given.most)
        as_shipped = outcome(silences, usual)
        heard = understood(model, shards, given.most)
    except (DuplexUnavailable, ShardError, WeightsMissing, OSError, ValueError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    print(f"as it ships: cuts off {as_shipped.cut_off:.1%}, {as_shipped.mean_ms:.0f} ms in the mean")
    tried = [(outcome(silences, options), options) for options in ends_tried(usual)]
    for budget in BUDGETS:
        if (found := best(tried, budget)) is not None:
            came_to, options = found
            aside = asides_below(silences, options)
            print(f"at most {budget:.0%}: {came_to.cut_off:.1%}, {came_to.mean_ms:.0f} ms, asides below {aside:.3f}: "
                  f"{_settings(options, usual)}")  # fmt: skip
    for likely, sure in [(scale.likely, scale.sure), *_SCALES]:
        right, of = skills(heard, Scale(likely, sure))
        print(f"scale.likely = {likely:g}, scale.sure = {sure:g}: {right} of {of} skills")
    return 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    sys.exit(main())

"""Skills and facts understood from speech: the duplex model beside the cascade, by the same minds, on the same audio.

Three readers take every utterance: one reads the words that were said (what the agents' logic makes of a perfect
transcript, for orientation), one the recogniser's words, one the duplex model's meaning and gist. Facts are found by
the agents' own rules in what each has read, and compared with what they find in the words that were said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np

from models.duplex.data.line import Line
from models.duplex.data.shards import Shard, Utterance
from models.duplex.data.written import written
from models.duplex.evaluate import desks, hearing
from models.duplex.evaluate.clock import times
from models.duplex.evaluate.rates import Rate, rate, word_errors
from offhook.agents.embedding import Embedding
from offhook.agents.facts import Hearing, find
from offhook.agents.job import FactType
from offhook.agents.mind import SkillMind
from offhook.agents.sounds import sound
from offhook.agents.understanding import LIKELY
from offhook.speech.contract import Act, Json, Pcm, Understood
from offhook.speech.duplex.listener import Scale
from offhook.speech.duplex.listening import Heard, Listening
from offhook.speech.duplex.speculation import understood
from offhook.speech.recogniser import Recogniser

READ, CASCADE, DUPLEX = "words as said", "cascade", "duplex"
NEVER_TRAINED_ON = "hotel"
"""The agent whose examples no training heard."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a reader got out of an utterance."""

    words: str
    """What facts are looked for in: a transcript or a gist."""
    move: Callable[[SkillMind], Iterable[Act]]
    """Has a mind hear it."""
    meaning: Understood | None = None
    transcript: str | None = None
    """All words, where the reader writes them."""


class Reader(Protocol):
    """A way from audio to what a mind can be told."""

    name: str

    def take(self, audio: Pcm, said: Utterance, mind: SkillMind) -> Taken:
        """What it makes of `said`, which came in as `audio`; `mind` is the one that will hear it."""


class Reading:
    """Sees what was said."""

    name = READ

    def take(self, audio: Pcm, said: Utterance, mind: SkillMind) -> Taken:
        return Taken(said.words, lambda mind: mind.hear(said.words), None, said.words)


class Recognising:
    """The cascade's recogniser."""

    name = CASCADE

    def __init__(self, recogniser: Recogniser) -> None:
        self._recogniser = recogniser

    def take(self, audio: Pcm, said: Utterance, mind: SkillMind) -> Taken:
        words = self._recogniser.transcribe(audio, "en-US", mind.vocabulary())
        return Taken(words, lambda mind: mind.hear(words), None, words)


class Duplex:
    """The duplex model."""

    name = DUPLEX

    def __init__(self, model: Listening, scale: Scale) -> None:
        self._model, self._scale = model, scale

    def take(self, audio: Pcm, said: Utterance, mind: SkillMind) -> Taken:
        told = said.asked or mind.expected().said
        return taken(hearing.understand(self._model, audio, told, said.agent_speaking), mind, self._scale)


def taken(found: hearing.Understanding, mind: SkillMind, scale: Scale) -> Taken:
    """What `mind` is told of a turn that the model understood so: as on a call, the words where it is not sure."""
    free = mind.expected().words
    words = found.words if free else found.gist
    heard = Understood(words, found.meaning, float(found.states[Heard.ENDED]), scale.likely, scale.sure)
    if free or understood(mind.weigh(heard)):
        return Taken(words, lambda mind: mind.understand(heard), heard, found.words)
    return Taken(found.words, lambda mind: mind.hear(found.words), heard, found.words)


@dataclass(slots=True)
class Tally:
    """What one reader got right on one line."""

    skills: list[bool] = field(default_factory=list)
    new_job: list[bool] = field(default_factory=list)
    """Skills of the agent that was never trained on."""
    facts: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))
    alike: list[bool] = field(default_factory=list)
    """Names that sound as they should, however they are spelled."""
    errors: int = 0
    words: int = 0
    cosines: list[float] = field(default_factory=list)
    misses: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Score:
    """One reader's figures on one line."""

    reader: str
    line: str
    skills: Rate
    new_job: Rate
    facts: dict[str, Rate]
    all_facts: Rate
    names_alike: Rate
    word_error: float | None
    """Words wrong, against words said; None where it writes none."""
    cosine: float | None
    """Mean, of meanings against those of the words said; None where it gives none."""
    misses: tuple[str, ...]


def score(
    shards: Sequence[Shard],
    readers: Sequence[Reader],
    lines: dict[str, Line],
    embedding: Embedding | None,
    most: int,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> list[Score]:
    """Every reader on every line, over at most `most` utterances that callers say when it is their turn."""
    said = [(shard, one) for shard in shards for one in shard.utterances if one.kind in ("request", "answer")]
    said = spread(said, most)
    tallies: dict[tuple[str, str], Tally] = {(r.name, line): Tally() for line in lines for r in readers}
    done = 0
    for number, (shard, one) in enumerate(said):
        for line_name, line in lines.items():
            audio = hearing.over(line, shard.of(one), seed=number)
            for reader in readers:
                _count(tallies[reader.name, line_name], reader, audio, one, embedding)
            done += 1
            told(done, len(said) * len(lines))
    return [scored(reader, line, tally) for (reader, line), tally in tallies.items()]


def scored(reader: str, line: str, tally: Tally) -> Score:
    """A tally's figures."""
    facts = {kind: rate(right) for kind, right in sorted(tally.facts.items())}
    every = Rate(sum(one.right for one in facts.values()), sum(one.of for one in facts.values()))
    return Score(
        reader,
        line,
        rate(tally.skills),
        rate(tally.new_job),
        facts,
        every,
        rate(tally.alike),
        tally.errors / tally.words if tally.words else None,
        float(np.mean(tally.cosines)) if tally.cosines else None,
        tuple(tally.misses),
    )


def spread(said: Sequence[tuple[Shard, Utterance]], most: int) -> list[tuple[Shard, Utterance]]:
    """At most `most` of them, those first that say something to an agent that can be right or wrong."""
    telling = [one for one in said if _tells(one[1])]
    others = [one for one in said if not _tells(one[1])]
    return (telling + others)[:most]


def fact_in(words: str, wanted: desks.Wanted, mind: SkillMind, meaning: Understood | None) -> Json:
    """The fact as the agents' rules find it; None where they do not."""
    if wanted.kind == "time":
        return times(written(words)) or None
    if wanted.fact is None:
        return None
    usual = mind.desk.hearing(asked=True)
    near = usual.near
    if meaning is not None and wanted.fact.type is FactType.CHOICE:
        near = partial(_near_meaning, mind, meaning)
    moment = Hearing(True, usual.today, usual.month_first, near)
    found = find(wanted.fact, words, moment)
    return found.value if found is not None else None


def _near_meaning(mind: SkillMind, heard: Understood, _: str, others: Sequence[str]) -> Sequence[float]:
    """How near what was heard is in meaning to each of `others`, on the scale of words."""
    found = mind.desk.understanding.near_to(heard.meaning, others)
    return [min(1.0, score * LIKELY / max(heard.likely, 0.01)) for score in found]


def _tells(said: Utterance) -> bool:
    wanted = desks.wanted(said)
    return wanted.skill is not None or bool(wanted.kind)


def _count(tally: Tally, reader: Reader, audio: Pcm, said: Utterance, embedding: Embedding | None) -> None:
    wanted = desks.wanted(said)
    mind = desks.mind(said)
    taken = reader.take(audio, said, mind)
    if taken.transcript is not None:
        right, got = written(said.words).split(), written(taken.transcript).split()
        tally.errors += word_errors(right, got)
        tally.words += len(right)
    if taken.meaning is not None and embedding is not None and said.meaning:
        tally.cosines.append(float(embedding.of([said.meaning])[0] @ taken.meaning.meaning))
    if wanted.skill is not None:
        skill = desks.decided(taken.move(mind))
        tally.skills.append(skill == wanted.skill)
        if wanted.agent == NEVER_TRAINED_ON:
            tally.new_job.append(skill == wanted.skill)
        if skill != wanted.skill:
            tally.misses.append(f"{said.words!r}: {skill} for {wanted.skill} (from {taken.words!r})")
    elif wanted.kind:
        value = fact_in(said.words, wanted, mind, None)
        if value is None:
            return  # not even the words say it
        got_fact = fact_in(taken.words, wanted, mind, taken.meaning)
        tally.facts[wanted.kind].append(_same(got_fact, value))
        if wanted.kind == "names":
            tally.alike.append(_sounds(got_fact) == _sounds(value))
        if not _same(got_fact, value):
            tally.misses.append(f"{said.words!r}: {got_fact!r} for {value!r} (from {taken.words!r})")


def _same(one: Json, other: Json) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return one.casefold() == other.casefold()
    return one == other


def _sounds(name: Json) -> list[str]:
    return [sound(word) for word in str(name or "").casefold().split()]

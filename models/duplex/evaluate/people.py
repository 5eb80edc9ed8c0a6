"""What people say, where there are recordings, and a set of sentences for the order desk in voices of the test.

Numbers are put together from single digits that people said (FSDD), as order numbers; the sentences are those of the
order desk's own test on speech. Both go the whole way through the agent's mind, as the cascade's test does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
from tests.agents.spoken import ANSWERS, WISHES

from models.duplex.data.line import Line
from models.duplex.data.shards import Utterance
from models.duplex.data.voices import Voice, VoiceError
from models.duplex.data.written import written
from models.duplex.evaluate import desks, hearing
from models.duplex.evaluate.rates import Rate, rate
from models.duplex.evaluate.understanding import Reader
from offhook.agents.mind import SkillMind
from offhook.speech.contract import RATE_HZ, Pcm
from offhook.speech.resample import resample

DATA = Path(os.environ.get("OFFHOOK_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
NUMBERS = 30
_LOUD = 0.4
_ASKED = "where is my order"


@dataclass(frozen=True, slots=True)
class Number:
    """An order number as a person said it, digit by digit."""

    speaker: str
    digits: str
    speech: Pcm


@dataclass(frozen=True, slots=True)
class PeopleScore:
    """One reader's figures on one line."""

    reader: str
    line: str
    what: str
    """`numbers` or `sentences`."""
    skills: Rate
    facts: Rate
    """Whole numbers; of sentences, all facts right."""
    digits: Rate
    misses: tuple[str, ...]


@dataclass(slots=True)
class _Tally:
    skills: list[bool] = field(default_factory=list)
    facts: list[bool] = field(default_factory=list)
    digits: list[bool] = field(default_factory=list)
    misses: list[str] = field(default_factory=list)

    def score(self, reader: str, line: str, what: str) -> PeopleScore:
        figures = rate(self.skills), rate(self.facts), rate(self.digits)
        return PeopleScore(reader, line, what, *figures, tuple(self.misses))


def numbers(most: int = NUMBERS, folder: Path | None = None) -> Iterator[Number]:
    """Order numbers of four digits by the speakers in turn, the same every time. Raises FileNotFoundError."""
    place = folder or DATA / "speech" / "fsdd"
    speakers = sorted({file.stem.split("_")[1] for file in place.glob("?_*_0.wav")})
    if not speakers:
        raise FileNotFoundError(f"no recordings of digits in {place}; set OFFHOOK_DATA to the folder that has them")
    rng = np.random.default_rng(7)
    for n in range(most):
        speaker = speakers[n % len(speakers)]
        number = "".join(str(d) for d in rng.integers(0, 10, 4))
        parts = []
        for digit in number:
            sound, rate_hz = soundfile.read(place / f"{digit}_{speaker}_{rng.integers(0, 10)}.wav", dtype="float32")
            sound = sound / max(float(np.abs(sound).max()), 1e-6) * _LOUD
            parts += [resample(sound, rate_hz, RATE_HZ), np.zeros(int(rng.integers(1_600, 3_200)), np.float32)]
        yield Number(speaker, number, _pcm(np.concatenate(parts[:-1])))


def score_numbers(
    said: Sequence[Number], readers: Sequence[Reader], lines: dict[str, Line], told: Callable[[int, int], None]
) -> list[PeopleScore]:
    """Every reader on every line."""
    tallies: dict[tuple[str, str], _Tally] = {}
    done = 0
    for seed, one in enumerate(said):
        for line, how in lines.items():
            audio = hearing.over(how, one.speech, seed)
            for reader in readers:
                tally = tallies.setdefault((reader.name, line), _Tally())
                mind = _waiting()
                taken = reader.take(audio, _utterance(" ".join(one.digits), mind), mind)
                list(taken.move(mind))
                got = str(mind.state.facts.get("order", ""))
                tally.facts.append(got == one.digits)
                tally.digits += [a == b for a, b in zip(one.digits, got.ljust(4), strict=False)]
                if got != one.digits:
                    tally.misses.append(f"{one.speaker}: {one.digits} taken as {got or 'nothing'} ({taken.words!r})")
            done += 1
            told(done, len(said) * len(lines))
    return [tally.score(*key, "numbers") for key, tally in tallies.items()]


def score_sentences(
    voices: Sequence[Voice],
    readers: Sequence[Reader],
    lines: dict[str, Line],
    most: int,
    told: Callable[[int, int], None],
) -> list[PeopleScore]:
    """The order desk's sentences, by `voices` in turn."""
    tallies: dict[tuple[str, str], _Tally] = {}
    cases = [(said, i >= len(WISHES)) for i, said in enumerate((*WISHES, *ANSWERS))][:most]
    done = 0
    for i, (said, answers) in enumerate(cases):
        for n, (line, how) in enumerate(lines.items()):
            voice = voices[(i + n) % len(voices)]
            try:
                speech = voice.speak(said.words)
            except VoiceError:
                continue
            audio = hearing.over(how, _pcm(speech / max(float(np.abs(speech).max()), 1e-6) * _LOUD), i)
            for reader in readers:
                tally = tallies.setdefault((reader.name, line), _Tally())
                mind = _waiting() if answers else desks.fresh(desks.DEFAULT)
                taken = reader.take(audio, _utterance(said.words, mind), mind)
                skill = desks.decided(taken.move(mind))
                wrong = {name: value for name, value in said.facts.items() if mind.state.facts.get(name) != value}
                tally.skills.append(skill == said.skill)
                if said.facts:
                    tally.facts.append(not wrong)
                if wrong or skill != said.skill:
                    got = {name: mind.state.facts.get(name) for name in said.facts}
                    tally.misses.append(f"{voice.name}: {said.words!r} taken as {skill} {got} ({taken.words!r})")
            done += 1
            told(done, len(cases) * len(lines))
    return [tally.score(*key, "sentences") for key, tally in tallies.items()]


def _waiting() -> SkillMind:
    """The order desk when it has asked for the number."""
    mind = desks.fresh(desks.DEFAULT)
    list(mind.hear(_ASKED))
    return mind


def _utterance(words: str, mind: SkillMind) -> Utterance:
    return Utterance(
        id="", offset=0, samples=0, pieces=(), voice="", words=written(words), gist="", meaning="",
        asked=written(mind.expected().said), kind="answer", agent_speaking=False, agent=desks.DEFAULT, pattern="",
        split="test",
    )  # fmt: skip


def _pcm(sound: hearing.Floats) -> Pcm:
    return np.round(np.clip(sound, -1, 1) * 32767).astype(np.int16)

"""The order desk on speech: utterances in several voices, over G.711 and noise, and digits that people said.

Prints the rates of right skills and right facts (`pytest -s`), which are what counts; what is asserted is a floor, for
voices and machines differ. The words go the agent's whole way: recogniser, understanding, facts, state.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pytest
import soundfile

from offhook import weights
from offhook.agents.job import Agent
from offhook.agents.mind import SkillMind, skill_mind
from offhook.speech.contract import RATE_HZ, Decide, Finish, Pcm
from offhook.speech.recogniser import Recogniser
from offhook.speech.resample import resample
from tests.agents.conftest import NOW
from tests.agents.spoken import ANSWERS, WISHES, Said
from tests.data import data
from tests.speech.voices import PROGRAMS, as_pcm, over_g711, spoken

NOISES_DB = (None, 20.0, 10.0)
FLOOR = {None: (0.8, 0.65), 20.0: (0.8, 0.65), 10.0: (0.6, 0.25)}
"""Right skills, right facts."""


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    try:
        return Recogniser.load()
    except weights.WeightsMissing as missing:
        pytest.skip(f"skipped: no weights ({missing})")


def in_noise(audio: Pcm, snr_db: float | None, seed: int) -> Pcm:
    """`audio` with 0.3 s around it, in noise that falls by 3 dB an octave as a street's does, over a G.711 line."""
    sound = np.concatenate([np.zeros(4_800), audio / 32768, np.zeros(4_800)])
    if snr_db is not None:
        rng = np.random.default_rng(seed)
        spectrum = np.fft.rfft(rng.standard_normal(len(sound)))
        spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 20))
        noise = np.fft.irfft(spectrum, len(sound))
        loud = np.sqrt(np.mean((audio / 32768) ** 2))
        sound = sound + noise * (loud / np.sqrt(np.mean(noise**2)) / 10 ** (snr_db / 20))
    return over_g711(as_pcm(sound.astype(np.float32)))


def voices() -> list[str]:
    return ["joe", *(name for name, program in PROGRAMS.items() if shutil.which(program[0]))]


def understood(mind: SkillMind, words: str) -> tuple[str | None, dict[str, object]]:
    """What the mind decided these words are, and the facts it has then."""
    acts = list(mind.hear(words))
    if finish := next((act for act in acts if isinstance(act, Finish)), None):
        reason = finish.reason.removeprefix("topic: ")
        return ("person" if reason == "asked" else reason), dict(mind.state.facts)
    for act in acts:
        if isinstance(act, Decide) and act.kind in ("skill", "small-talk", "ask", "correct"):
            about = act.facts.get("about") or ("have-not" if "lacks" in act.facts else None) or act.skill
            return (str(about) if about else None), dict(mind.state.facts)
    return None, dict(mind.state.facts)


def cases() -> Iterator[tuple[int, bool, Said]]:
    for i, said in enumerate((*WISHES, *ANSWERS)):
        yield i, i >= len(WISHES), said


@pytest.mark.figures
def test_skills_and_facts_are_heard_in_every_voice_and_noise(
    order_desk: Agent, embedding: object, recogniser: Recogniser
) -> None:
    callers = voices()
    if len(callers) < 3:
        print(f"\nskipped: only {', '.join(callers)} here; install espeak-ng and flite for the other voices")
    skills: dict[object, list[bool]] = defaultdict(list)
    facts: dict[object, list[bool]] = defaultdict(list)
    for i, answers, said in cases():
        for n, snr_db in enumerate(NOISES_DB):
            caller = callers[(i + n) % len(callers)]
            mind = skill_mind(order_desk.persona({"now": NOW}))
            if answers:
                list(mind.hear("where is my order"))
            heard = recogniser.transcribe(in_noise(spoken(said.words, caller), snr_db, i), "en-US", mind.vocabulary())
            skill, found = understood(mind, heard)
            wrong = {k: v for k, v in said.facts.items() if found.get(k) != v}
            for key in (snr_db, caller):
                skills[key].append(skill == said.skill)
                if said.facts:
                    facts[key].append(not wrong)
            if skill != said.skill or wrong:
                got = {key: found.get(key) for key in said.facts}
                print(f"  {caller} at {snr_db} dB: {said.words!r} heard as {heard!r}: {skill} {got}")
    print(f"\n{len(WISHES) + len(ANSWERS)} utterances in {len(callers)} voices, over G.711:")
    for key in [*NOISES_DB, *callers]:
        name = "no noise" if key is None else f"{key:g} dB of noise" if isinstance(key, float) else f"voice {key}"
        print(f"  {name}: skills {share(skills[key])}, facts {share(facts[key])}")
    for snr_db, (least_skills, least_facts) in FLOOR.items():
        assert np.mean(skills[snr_db]) >= least_skills and np.mean(facts[snr_db]) >= least_facts, snr_db


def share(right: list[bool]) -> str:
    return f"{sum(right)}/{len(right)} ({100 * sum(right) / max(len(right), 1):.0f} %)"


@pytest.mark.figures
def test_order_numbers_said_by_people_are_heard(order_desk: Agent, embedding: object, recogniser: Recogniser) -> None:
    folder = data("speech", "fsdd")
    speakers = sorted({file.stem.split("_")[1] for file in folder.glob("?_*_0.wav")})
    rng = np.random.default_rng(7)
    whole: list[bool] = []
    digits: list[bool] = []
    for n in range(30):
        speaker = speakers[n % len(speakers)]
        number = "".join(str(d) for d in rng.integers(0, 10, 4))
        parts = [np.zeros(2_400, np.float32)]
        for digit in number:
            sound, rate_hz = soundfile.read(folder / f"{digit}_{speaker}_{rng.integers(0, 10)}.wav", dtype="float32")
            sound = sound / max(np.abs(sound).max(), 1e-6) * 0.4
            parts += [resample(sound, rate_hz, RATE_HZ), np.zeros(int(rng.integers(1_600, 3_200)), np.float32)]
        mind = skill_mind(order_desk.persona({"now": NOW}))
        list(mind.hear("where is my order"))
        heard = recogniser.transcribe(over_g711(as_pcm(np.concatenate([*parts, parts[0]]))), "en-US", mind.vocabulary())
        _, found = understood(mind, heard)
        got = str(found.get("order", ""))
        whole.append(got == number)
        digits += [a == b for a, b in zip(number, got.ljust(4), strict=False)]
        if got != number:
            print(f"  {speaker}: {number} heard as {heard!r}: {got or 'nothing'}")
    print(f"\nnumbers of four digits said by {len(speakers)} people: {share(whole)} whole; digits {share(digits)}")
    assert np.mean(whole) >= 0.7

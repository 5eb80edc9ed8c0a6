"""An agent told what a turn meant and its gist, as a model tells it that writes no transcript."""

from __future__ import annotations

import numpy as np
import pytest

from offhook.agents.embedding import SIZE, Embedding
from offhook.agents.job import Agent
from offhook.agents.mind import SkillMind, skill_mind
from offhook.agents.understanding import LIKELY, SURE, Kind, Understanding
from offhook.speech.contract import (
    Act,
    Decide,
    Expected,
    Finish,
    Say,
    ToolResult,
    UnderstandingMind,
    Understood,
    UseTool,
    Vector,
)
from tests.agents.conftest import NOW
from tests.agents.phrases import HELD_OUT, OUTSIDE


@pytest.fixture
def mind(order_desk: Agent, embedding: Embedding) -> SkillMind:
    made = skill_mind(order_desk.persona({"now": NOW}))
    list(made.greet())
    return made


def noisy(vector: Vector, cosine: float, seed: int) -> Vector:
    """A vector of length 1 with that cosine to `vector`: a meaning as a model hears it, not as it was."""
    away = np.random.default_rng(seed).normal(size=SIZE).astype(np.float32)
    away -= (away @ vector) * vector
    away /= np.linalg.norm(away)
    out: Vector = (cosine * vector + np.sqrt(1 - cosine**2) * away).astype(np.float32)
    return out


def heard(embedding: Embedding, meaning: str, gist: str = "", cosine: float = 0.85) -> Understood:
    vector = embedding.of([meaning])[0]
    return Understood(gist, noisy(vector, cosine, seed=len(meaning) + 31 * len(gist)), 0.9)


def lost(gist: str, seed: int = 5) -> Understood:
    """A gist whose meaning went astray, as that of bare digits does."""
    vector = np.random.default_rng(seed).normal(size=SIZE).astype(np.float32)
    return Understood(gist, vector / np.float32(np.linalg.norm(vector)))


def words_of(acts: list[Act]) -> str:
    return " ".join(act.text for act in acts if isinstance(act, Say))


def tool_of(acts: list[Act]) -> UseTool:
    return next(act for act in acts if isinstance(act, UseTool))


def test_meanings_heard_through_noise_are_told_apart(understanding: Understanding, embedding: Embedding) -> None:
    spoken = [(name, words) for name, all in {**HELD_OUT, "outside": OUTSIDE}.items() for words in all]
    vectors = embedding.of([words for _, words in spoken])
    right = 0
    for seed, ((name, _), vector) in enumerate(zip(spoken, vectors, strict=True)):
        best = understanding.judge(noisy(vector, 0.8, seed), 0.36, 0.52).best
        right += name == ("outside" if best is None else best.name)
    print(f"\nmeanings with a cosine of 0.8 to what was said: {right} of {len(spoken)} right")
    assert right / len(spoken) >= 0.9


def test_scores_of_a_meaning_are_on_the_scale_of_words(understanding: Understanding, embedding: Embedding) -> None:
    vector = embedding.of(["where is my order"])[0]
    meaning = understanding.judge(vector, 0.36, 0.52)
    assert meaning.best is not None and (meaning.best.kind, meaning.best.name) == (Kind.SKILL, "order-status")
    assert meaning.score > SURE and all(0 <= score <= 1 for score in meaning.scores.values())
    strict = understanding.judge(vector, 0.995, 0.999)
    assert strict.best is None and strict.score < LIKELY


def test_a_mind_of_skills_understands_without_words(mind: SkillMind) -> None:
    assert isinstance(mind, UnderstandingMind)


def test_a_call_goes_from_meanings_and_gists_alone(mind: SkillMind, embedding: Embedding) -> None:
    acts = list(mind.understand(heard(embedding, "I'd like to know where my order is")))
    assert words_of(acts) == "What's your order number?"
    decided = next(act for act in acts if isinstance(act, Decide))
    assert (decided.kind, decided.skill) == ("skill", "order-status") and decided.scores["order-status"] > LIKELY
    used = tool_of(list(mind.understand(lost("4173"))))
    assert used.arguments == {"order": "4173"}
    list(mind.tool(ToolResult(used.id, True, {"status": "on-its-way", "day": "2026-11-25"})))
    assert list(mind.understand(heard(embedding, "no that's everything thank you", "no")))[-1] == Finish(
        "resolved", "the caller is done"
    )


def test_a_request_with_its_number_in_the_gist_needs_no_question(mind: SkillMind, embedding: Embedding) -> None:
    used = tool_of(list(mind.understand(heard(embedding, "could you check where my order is", "4173"))))
    assert used.arguments == {"order": "4173"}


def test_a_correction_in_the_gist_changes_the_number(mind: SkillMind, embedding: Embedding) -> None:
    used = tool_of(list(mind.understand(heard(embedding, "where is my order", "4173"))))
    list(mind.tool(ToolResult(used.id, True, {"status": "not-found"})))
    again = tool_of(list(mind.understand(heard(embedding, "no not that one I meant", "no not 4173 4174"))))
    assert again.arguments == {"order": "4174"}


def test_yes_and_no_are_taken_from_the_gist(mind: SkillMind, embedding: Embedding) -> None:
    acts = list(mind.understand(heard(embedding, "please cancel my order", "4173")))
    assert not any(isinstance(act, UseTool) for act in acts) and mind.expected().kind == "yes-no"
    assert tool_of(list(mind.understand(lost("yes")))).arguments == {"order": "4173"}


@pytest.mark.parametrize("seed", range(12))
def test_digits_whose_meaning_went_astray_are_still_the_number(
    mind: SkillMind, embedding: Embedding, seed: int
) -> None:
    list(mind.understand(heard(embedding, "where is my order")))
    toward = embedding.of(["can I talk to a person"])[0]
    astray = Understood("4172", noisy(toward, 0.4, seed))
    assert tool_of(list(mind.understand(astray))).arguments == {"order": "4172"}


def test_a_choice_is_understood_by_its_meaning(mind: SkillMind, embedding: Embedding) -> None:
    list(mind.understand(heard(embedding, "I want to return my order", "1187")))
    expected = mind.expected()
    assert expected.kind == "choice" and not expected.words and expected.said == mind.state.said
    list(mind.understand(heard(embedding, "it is too big for me", cosine=0.95)))
    assert mind.state.facts["reason"] == "wrong-size"


def test_what_would_be_said_is_foreseen_and_nothing_changed_by_it(mind: SkillMind, embedding: Embedding) -> None:
    before = mind.memo()
    turn = heard(embedding, "where is my order")
    foreseen = mind.foresee(turn)
    mind.weigh(turn)
    assert mind.memo() == before
    assert " ".join(foreseen) == words_of(list(mind.understand(turn)))


def test_a_number_that_broke_off_is_not_complete(mind: SkillMind, embedding: Embedding) -> None:
    list(mind.understand(heard(embedding, "where is my order")))
    assert mind.expected() == Expected("What's your order number?", "digits")
    assert mind.weigh(lost("41")).complete < 0.1
    reading = mind.weigh(lost("4172"))
    assert reading.complete == 1.0 and reading.facts == {"order": "4172"}
    assert mind.weigh(lost("")).complete < 0.5


def test_a_wish_for_a_person_is_heard_while_a_number_is_asked_for(mind: SkillMind, embedding: Embedding) -> None:
    list(mind.understand(heard(embedding, "where is my order")))
    acts = list(mind.understand(heard(embedding, "I want to talk to a real person")))
    assert acts[-1] == Finish("human", "asked")


def test_at_the_beginning_anything_may_come(mind: SkillMind) -> None:
    assert mind.expected() == Expected(mind.state.said) and mind.state.said

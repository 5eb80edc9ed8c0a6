"""What callers mean, on phrases that stand in no agent's examples; the rates are printed (`pytest -s`)."""

from __future__ import annotations

import csv
import time

import pytest

from offhook.agents.embedding import Embedding
from offhook.agents.job import Agent
from offhook.agents.understanding import Kind, Understanding
from tests.agents.phrases import HELD_OUT, NOISY, OUTSIDE
from tests.data import data


def meant(understanding: Understanding, words: str) -> str:
    meaning = understanding.of(words)
    return meaning.best.name if meaning.best is not None else "outside"


def rate(understanding: Understanding, phrases: dict[str, tuple[str, ...]], title: str) -> float:
    told = [(wanted, words, meant(understanding, words)) for wanted, all in phrases.items() for words in all]
    right = sum(wanted == got for wanted, _, got in told)
    print(f"\n{title}: {right} of {len(told)} right ({100 * right / len(told):.1f} %)")
    for wanted, words, got in told:
        if wanted != got:
            print(f"  {words!r} is {wanted}, taken for {got}")
    return right / len(told)


def test_held_out_paraphrases_are_understood(understanding: Understanding) -> None:
    assert sum(map(len, HELD_OUT.values())) >= 50
    assert rate(understanding, HELD_OUT, "paraphrases") >= 0.93


def test_what_recognisers_make_of_phrases_is_understood(understanding: Understanding) -> None:
    assert rate(understanding, NOISY, "as recognisers write them") >= 0.84


def test_what_is_no_business_of_the_agent_is_not_taken_for_its_skills(understanding: Understanding) -> None:
    assert rate(understanding, {"outside": OUTSIDE}, "outside") >= 0.91


@pytest.mark.figures
def test_questions_that_strangers_wrote_are_told_apart(embedding: Embedding) -> None:
    """Ten intents of Banking77 (PolyAI), ten examples each as an admin would write down, on questions left out."""
    examples: dict[str, list[str]] = {}
    for row in banking("banking77_train.csv"):
        examples.setdefault(row["category"].lower().replace("_", "-").strip("?"), []).append(row["text"])
    chosen = sorted(name for name in examples if name.isascii() and name.replace("-", "").isalpha())[:70:7]
    skills = {name: {"when": name.replace("-", " "), "examples": examples[name][:10], "say": "x"} for name in chosen}
    agent = Agent.model_validate({"agent": "bank@1", "job": "p", "greeting": "hi", "skills": skills})
    bank = Understanding(agent, embedding)
    asked: dict[str, list[str]] = {}
    for row in banking("banking77_test.csv"):
        name = row["category"].lower().replace("_", "-").strip("?")
        if name in chosen:
            asked.setdefault(name, []).append(row["text"])
    told = [(name, meant(bank, words)) for name, all in asked.items() for words in all[:20]]
    right, missed = sum(name == got for name, got in told), sum(got not in chosen for _, got in told)
    print(f"\nBanking77, {len(chosen)} intents of 10 examples: {right} of {len(told)} right, {missed} not understood")
    assert right / len(told) >= 0.75


def banking(name: str) -> list[dict[str, str]]:
    with data("text", name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_no_phrase_stands_in_the_examples(order_desk: Agent) -> None:
    examples = {example.lower() for skill in order_desk.skills.values() for example in skill.examples}
    assert not [words for all in (*HELD_OUT.values(), *NOISY.values()) for words in all if words.lower() in examples]


def test_two_wishes_in_one_turn_are_both_heard(understanding: Understanding) -> None:
    meaning = understanding.of("I'd like to cancel my order and also what are your opening hours")
    assert meaning.best is not None and [meaning.best.name, *(one.name for one in meaning.also)] == [
        "cancel",
        "opening-hours",
    ]


def test_a_long_story_is_understood_by_the_clause_that_says_what_it_wants(understanding: Understanding) -> None:
    story = "Hi, good morning, my name is Anna, I was at my sister's last week, and now I want to return my order."
    assert meant(understanding, story) == "return"


@pytest.mark.parametrize("words", ["", "   ", "4172", "four one seven two", "?!", "uh", "um, uh"])
def test_words_without_meaning_mean_nothing(understanding: Understanding, words: str) -> None:
    meaning = understanding.of(words)
    assert meaning.best is None or meaning.best.kind is not Kind.SKILL


def test_the_same_words_always_mean_the_same(
    order_desk: Agent, embedding: Embedding, understanding: Understanding
) -> None:
    again = Understanding(order_desk, embedding)
    for words in ("where is it", "I want to send this back", "what's the weather"):
        assert again.of(words) == understanding.of(words)


def test_reading_partial_words_again_costs_nothing(understanding: Understanding) -> None:
    """A partial result comes some times a second; the times are printed, since machines differ."""
    words = "I was wondering whether you could find out for me where my order is, it should be here by now".split()
    partials = [" ".join(words[:i]) for i in range(1, len(words) + 1)]
    first, again = timed_ms(understanding, partials), timed_ms(understanding, partials)
    print(f"\nunderstanding a partial: {sorted(first)[len(first) // 2]:.1f} ms median, {max(first):.1f} ms at most")
    assert sum(again) < sum(first) / 5


def timed_ms(understanding: Understanding, partials: list[str]) -> list[float]:
    took_ms = []
    for partial in partials:
        began = time.perf_counter()
        understanding.of(partial)
        took_ms.append(1000 * (time.perf_counter() - began))
    return took_ms

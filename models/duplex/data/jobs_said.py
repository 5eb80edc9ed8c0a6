"""What callers say to the agents whose files are under `dialplans/`: what they want, with facts in it, and answers to
the questions each file asks. One agent (`HELD_OUT`) is for the test alone, to see whether an unknown job is understood.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from models.duplex.data import numbers_said
from models.duplex.data.answers_said import SORTS
from models.duplex.data.draft import TEST, Draft, shared_out
from models.duplex.data.grammar import Fill, expand
from offhook.agents.job import Agent, Fact, FactType
from offhook.agents.schema import load_agent

HELD_OUT = "hotel"
_SORT_OF = {
    FactType.DATE: "date",
    FactType.MONEY: "amount",
    FactType.NUMBER: "count",
    FactType.NAME: "name",
    FactType.YES_NO: "yes",
}


@dataclass(frozen=True, slots=True)
class Job:
    """An agent and the name of its folder."""

    name: str
    agent: Agent


@lru_cache(maxsize=4)
def jobs(split: str) -> tuple[Job, ...]:
    """The agents whose callers `split` may hear."""
    root = Path(__file__).resolve().parents[3] / "dialplans"
    found = [Job(file.parent.name, load_agent(file)) for file in sorted(root.glob("*/agent.yaml"))]
    return tuple(job for job in found if split == TEST or job.name != HELD_OUT)


@lru_cache(maxsize=1)
def choice_words() -> frozenset[str]:
    """Every way in which an option of any trained agent's choice is said: `gist` keeps these words."""
    ways = [
        way.lower()
        for job in jobs("train")
        for skill in job.agent.skills.values()
        for fact in skill.needs.values()
        for option in (fact.options or {}).values()
        for way in option
    ]
    return frozenset(ways)


def wish(rng: random.Random, split: str, places: Mapping[str, Fill]) -> Draft | None:
    """A caller's wish, sometimes with the facts it needs; None where no agent has any."""
    job = _job(rng, split)
    if job is None:
        return None
    skills = list(job.agent.skills.items())
    topics = [(name, topic.examples) for name, topic in job.agent.hand_over.topics.items()]
    talks = [(name, talk.examples) for name, talk in job.agent.small_talk.items() if talk.examples]
    others = [*topics, *talks]
    if others and rng.random() < 0.2:
        name, examples = rng.choice(others)
        line = rng.choice(_lines(job, split, examples))
        return Draft(line, "request", f"{job.name} {name}: {line}", job.agent.greeting or "", job.name)
    name, skill = rng.choice(skills)
    line = rng.choice(_lines(job, split, skill.examples))
    facts = [(key, fact) for key, fact in skill.needs.items() if fact.type is not FactType.TEXT]
    tail = ""
    if facts and rng.random() < 0.4:
        tail = _tail(rng, *rng.choice(facts), places)
    asked = rng.choice((job.agent.greeting or "", "Is there anything else?", "", "How can I help you?"))
    return Draft(line, "request", f"{job.name} {name}: {line}", asked, job.name, tail=tail)


def reply(rng: random.Random, split: str, places: Mapping[str, Fill]) -> Draft | None:
    """An answer to a question of an agent's file."""
    job = _job(rng, split)
    if job is None:
        return None
    skills = [skill for skill in job.agent.skills.values() if skill.needs]
    if not skills:
        return None
    skill = rng.choice(skills)
    if skill.confirm and rng.random() < 0.25:
        sort = rng.choice(("yes", "no"))
        pattern = rng.choice(SORTS[sort].says)
        asked = _filled(skill.confirm, skill.needs, rng, places)
        return Draft(expand(pattern, rng, places), "answer", f"answer {sort}: {pattern}", asked, job.name, dress=False)
    name, fact = rng.choice(list(skill.needs.items()))
    text, pattern = _said(rng, split, fact, places)
    asked = rng.choice((fact.ask, fact.again or fact.ask))
    return Draft(text, "answer", f"{job.name} {name}: {pattern}", asked, job.name, dress=False)


def _job(rng: random.Random, split: str) -> Job | None:
    known = jobs(split)
    if not known:
        return None
    if split == TEST and rng.random() < 0.4:
        return next((job for job in known if job.name == HELD_OUT), rng.choice(known))
    return rng.choice(known)


def _lines(job: Job, split: str, examples: tuple[str, ...]) -> tuple[str, ...]:
    return examples if job.name == HELD_OUT else shared_out(examples, split)


_CHOICES = (
    "{it}",
    "it's {it}",
    "{it} please",
    "because it's {it}",
    "um / {it}",
    "I'd say {it}",
    "the {it}",
    "{it}, I think",
    "well / {it}",
    "{it}, thank you",
    "let me think, / {it}",
    "no, {it}",
    "not sure / maybe {it}",
    "I would like {it}",
)


_BIRTHS = (
    "{birth}",
    "it's {birth}",
    "I was born on {birth}",
    "um / {birth}",
    "that's {birth}",
    "my birthday is {birth}",
    "{birth}, I'm getting old",
    "yes, {birth}",
)


def _said(rng: random.Random, split: str, fact: Fact, places: Mapping[str, Fill]) -> tuple[str, str]:
    """An answer that gives `fact`, and its pattern."""
    if fact.type is FactType.CHOICE and fact.options:
        ways = [way for option in fact.options.values() for way in option]
        it = rng.choice(ways)
        pattern = rng.choice(shared_out(_CHOICES, split))
        return expand(pattern, rng, {**places, "it": lambda _: it}), f"choice: {pattern}"
    if fact.type is FactType.DIGITS:
        least, most = fact.lengths
        sort, length = "digits", rng.randint(least, min(most, 12))
        pattern = rng.choice(shared_out(SORTS[sort].says, split))
        own = {**places, "digits": lambda rng: numbers_said.digits(rng, "".join(rng.choices("0123456789", k=length)))}
        return expand(pattern, rng, own), f"answer {sort}: {pattern}"
    if fact.type is FactType.DATE and "birth" in fact.ask:
        pattern = rng.choice(shared_out(_BIRTHS, split))
        return expand(pattern, rng, places), f"birth: {pattern}"
    sort = _SORT_OF.get(fact.type, "digits")
    if fact.type is FactType.TEXT:
        return rng.choice(("I don't know", "it's a long story", "because of my work")), "text"
    if "time" in fact.ask.lower() and fact.type is not FactType.DATE:
        sort = "time"
    pattern = rng.choice(shared_out(SORTS[sort].says, split))
    return expand(pattern, rng, places), f"answer {sort}: {pattern}"


def _tail(rng: random.Random, name: str, fact: Fact, places: Mapping[str, Fill]) -> str:
    """A fact said along with the wish."""
    label = name.replace("-", " ").replace("_", " ")
    value = _value(rng, fact, places)
    if fact.type is FactType.DIGITS:
        return rng.choice(
            (
                f"it's {label} {value}",
                f"{label} {value}",
                f"my {label} number is / {value}",
                f"the number is / {value}",
                f"it's {value}",
                value,
            )
        )
    if fact.type is FactType.DATE:
        return rng.choice((f"{value}", f"it was {value}", f"for {value}", f"from {value}"))
    if fact.type is FactType.NAME:
        return rng.choice((f"my name is {value}", f"the name is {value}", f"this is {value}"))
    if fact.type is FactType.CHOICE:
        return rng.choice((f"because {value}", f"{value}", f"it's {value}", f"the {label} is {value}"))
    return rng.choice((value, f"it's {value}", f"for {value}"))


def _value(rng: random.Random, fact: Fact, places: Mapping[str, Fill]) -> str:
    if fact.type is FactType.DIGITS:
        least, most = fact.lengths
        return numbers_said.digits(rng, "".join(rng.choices("0123456789", k=rng.randint(least, min(most, 12)))))
    if fact.type is FactType.CHOICE and fact.options:
        return rng.choice(rng.choice(list(fact.options.values())))
    if fact.type is FactType.YES_NO:
        return rng.choice(("yes", "no"))
    if fact.type is FactType.TEXT:
        return "something else"
    if fact.type is FactType.DATE and "birth" in fact.ask:
        return places["birth"](rng)
    return places[{FactType.DATE: "date", FactType.MONEY: "amount", FactType.NUMBER: "few"}.get(fact.type, "full")](rng)


_PLACE = re.compile(r"\{(?:on )?([^}]*)\}")


def _filled(question: str, facts: Mapping[str, Fact], rng: random.Random, places: Mapping[str, Fill]) -> str:
    """A confirming question with its places filled."""
    return _PLACE.sub(lambda match: _value(rng, facts[match[1]], places) if match[1] in facts else "", question)

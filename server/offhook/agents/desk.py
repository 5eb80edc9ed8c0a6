"""What decisions are made with, and the few moves that every part of a conversation may end in.

The desk is the agent, its understanding and what is known of the call; it never changes while a call lasts.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass

from offhook.agents import sentences
from offhook.agents.courtesies import Courtesy
from offhook.agents.facts import Hearing, Near
from offhook.agents.job import Agent, Fact, Skill
from offhook.agents.state import Asked, State
from offhook.agents.understanding import Intent, Kind, Meaning, Understanding
from offhook.agents.wording import fill, say_fact
from offhook.speech.contract import Act, Decide, Finish, Json, Say

Move = tuple[list[Act], State]
"""What to do, and where the conversation stands then."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What decisions are made with: the agent, its understanding, and what is known of the call."""

    agent: Agent
    loading: Future[Understanding]
    today: datetime.date
    known: Mapping[str, str]
    near: Near | None = None
    """How near what was said is to other texts, where its meaning is known otherwise than from its words."""

    @property
    def understanding(self) -> Understanding:
        """The agent's understanding; where it is still being made, waits. Raises EmbeddingUnavailable."""
        return self.loading.result()

    def skill(self, state: State) -> Skill | None:
        return self.agent.skills.get(state.skill or "")

    def asked_fact(self, state: State) -> Fact | None:
        skill = self.skill(state)
        return skill.needs.get(state.fact or "") if skill and state.asked in (Asked.FACT, Asked.FACT_RIGHT) else None

    def hearing(self, asked: bool) -> Hearing:
        month_first = self.agent.language.lower() in ("en", "en-us")
        return Hearing(asked, self.today, month_first, self.near or self.understanding.near)

    def fill(self, text: str, state: State, result: Json = None) -> str:
        skill = self.skill(state)
        return fill(text, {**self.known, **state.facts}, skill.needs if skill else {}, self.today, result)


def hand_over(desk: Desk, state: State, reason: str, say: str | None = None, meaning: Meaning | None = None) -> Move:
    """Give the call to a person."""
    decide = Decide("hand-over", state.skill, dict(state.facts), meaning.scores if meaning else {})
    acts: list[Act] = [decide, Say(desk.fill(say or desk.agent.hand_over.say, state)), Finish("human", reason)]
    return acts, dataclasses.replace(state, over=True, exit="human", reason=reason)


def goodbye(desk: Desk, state: State, meaning: Meaning | None) -> Move:
    decide = Decide("small-talk", state.skill, {"about": "goodbye"}, meaning.scores if meaning else {})
    reason = "the caller is done"
    acts: list[Act] = [decide, Say(desk.fill(desk.agent.goodbye, state)), Finish("resolved", reason)]
    return acts, dataclasses.replace(state, over=True, exit="resolved", reason=reason)


def offer_help(desk: Desk) -> str:
    scope = desk.agent.job.scope or tuple(name.replace("-", " ") for name in desk.agent.skills)
    return f"I can help you with {sentences.listing(scope)}. What is it about?"


def question(desk: Desk, state: State) -> str:
    """What the agent waits for, asked again."""
    skill, fact = desk.skill(state), desk.asked_fact(state)
    if state.asked is Asked.FACT and fact is not None:
        return desk.fill(fact.again or fact.ask, state)
    if state.asked is Asked.FACT_RIGHT and fact is not None:
        return read_back(desk, state, state.fact or "", fact)
    if state.asked in (Asked.SKILL_RIGHT, Asked.CHANGE) and skill is not None and skill.confirm:
        return desk.fill(skill.confirm, state)
    return {
        Asked.MORE: desk.agent.anything_else,
        Asked.RETRY: sentences.TRY_AGAIN,
        Asked.PERSON: sentences.NOT_WITHOUT,
    }.get(state.asked, offer_help(desk))


_SENTENCE_ENDS = re.compile(r"[.!?]\s+")


def unheard(state: State) -> str:
    """What an interruption kept the caller from hearing, from the beginning of the sentence it cut; else empty."""
    at = state.said.rfind(state.unsaid) if state.unsaid else -1
    if at < 0:
        return ""
    return state.said[max((end.end() for end in _SENTENCE_ENDS.finditer(state.said, 0, at)), default=0) :]


def pick_up(desk: Desk, state: State) -> str:
    """Going on after an aside: with what was cut off, or with the question that is open."""
    return unheard(state) or question(desk, state)


def read_back(desk: Desk, state: State, name: str, fact: Fact) -> str:
    """The question whether a fact is right, in the file's words or in plain ones."""
    if fact.confirm:
        return desk.fill(fact.confirm, state)
    return sentences.right(say_fact(state.facts.get(name), fact, desk.today))


def is_courtesy(meaning: Meaning, courtesy: Courtesy) -> bool:
    """Whether that is what the words mean."""
    return meaning.best == Intent(Kind.COURTESY, courtesy.value)

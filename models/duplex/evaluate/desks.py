"""The agents that callers of the test speak to, brought to the moment in which they were spoken to.

An utterance of the test tells in its `pattern` what it was made from: a wish for a skill of some agent, an answer to a
question. Here stand the agent's mind for that moment, and what would be right.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from models.duplex.data.shards import Utterance
from models.duplex.data.written import written
from offhook.agents.courtesies import Courtesy
from offhook.agents.job import Agent, Fact, FactType
from offhook.agents.mind import SkillMind, skill_mind
from offhook.agents.schema import load_agent
from offhook.agents.state import Asked, State
from offhook.speech.contract import Act, Decide, Finish

ROOT = Path(__file__).resolve().parents[3] / "dialplans"
NOW = "2026-11-21T10:00:00+00:00"
"""A Saturday."""
DEFAULT = "order-desk"
"""Who hears what is said to nobody in particular."""
NOTHING = "outside"
"""What is right where no skill, topic or courtesy is meant."""
_ANYTHING = "anything"
"""A skill of `DEFAULT` here that asks for one fact of each sort."""

_WISH = re.compile(r"(?P<agent>[\w-]+) (?P<name>[\w-]+): ")
_ANSWER = re.compile(r"(?:(?P<agent>[\w-]+) (?P<fact>[\w-]+): )?(?:answer (?P<sort>\w+)|(?P<birth>birth)|choice): ")
_COURTESIES = {each.value for each in Courtesy}
_GENERIC: Mapping[str, Fact] = {
    "digits": Fact(type=FactType.DIGITS, ask="The number?", length=(2, 19)),
    "correction": Fact(type=FactType.DIGITS, ask="The number?", length=(4, 4)),
    "phone": Fact(type=FactType.DIGITS, ask="The number?", length=(7, 13)),
    "card": Fact(type=FactType.DIGITS, ask="The number?", length=(12, 19)),
    "date": Fact(type=FactType.DATE, ask="Which day?"),
    "birth": Fact(type=FactType.DATE, ask="Your date of birth?"),
    "amount": Fact(type=FactType.MONEY, ask="How much?"),
    "count": Fact(type=FactType.NUMBER, ask="How many?"),
    "name": Fact(type=FactType.NAME, ask="Your name?"),
    "yes": Fact(type=FactType.YES_NO, ask="Is that right?"),
    "no": Fact(type=FactType.YES_NO, ask="Is that right?"),
}
KINDS: Mapping[FactType, str] = {
    FactType.DIGITS: "digits",
    FactType.NUMBER: "counts",
    FactType.DATE: "date",
    FactType.MONEY: "amount",
    FactType.YES_NO: "yes/no",
    FactType.CHOICE: "choice",
    FactType.NAME: "names",
}
"""What fact accuracy is told by; times are a kind of their own."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is right for an utterance."""

    agent: str
    skill: str | None
    """A skill, topic or courtesy of the agent, or `outside`; None where that is not what it is about."""
    fact: Fact | None
    """The fact it gives; None where it is not about one."""
    kind: str
    """Of the fact, of `KINDS`, or `time`; else empty."""


@lru_cache(maxsize=16)
def agent(name: str) -> Agent:
    """An agent that ships; `DEFAULT` can be asked any sort of fact besides."""
    shipped = load_agent(ROOT / name / "agent.yaml")
    if name != DEFAULT:
        return shipped
    plain = next(skill for skill in shipped.skills.values() if not skill.needs)
    anything = plain.model_copy(update={"needs": dict(_GENERIC), "examples": ("none of the above",), "when": "Never."})
    return shipped.model_copy(update={"skills": {**shipped.skills, _ANYTHING: anything}})


def wanted(said: Utterance) -> Wanted:
    """What is right for it."""
    name = said.agent if (ROOT / said.agent / "agent.yaml").is_file() else DEFAULT
    if match := _ANSWER.match(said.pattern):
        sort = match["sort"] or match["birth"] or ""
        own = _fact(agent(name), match["fact"] or "", said.asked)
        if sort == "time":
            return Wanted(name, None, None, "time")
        fact = own[1] if own else _GENERIC.get(sort)
        return Wanted(name, None, fact, KINDS.get(fact.type, "") if fact else "")
    if said.agent == name and (match := _WISH.match(said.pattern)):
        return Wanted(name, match["name"], None, "")
    head = said.pattern.split(":")[0]
    if head in _COURTESIES or head == NOTHING:
        return Wanted(name, head, None, "")
    return Wanted(name, None, None, "")


def mind(said: Utterance) -> SkillMind:
    """The mind that hears it, in the state in which it was said."""
    right = wanted(said)
    made = fresh(right.agent)
    made.state = dataclasses.replace(_state(said, right), said=said.asked)
    return made


def fresh(name: str) -> SkillMind:
    """The mind of an agent at the beginning of a call. Raises where the embedding's weights are missing."""
    made = skill_mind(agent(name).persona({"now": NOW}))
    made.desk.understanding  # noqa: B018 (waits until it is there)
    return made


def decided(acts: Iterable[Act]) -> str:
    """What a mind took a turn for: the name of a skill, topic or courtesy; `outside` where of nothing it knows."""
    acts = list(acts)
    if finish := next((act for act in acts if isinstance(act, Finish)), None):
        reason = finish.reason.removeprefix("topic: ")
        return {"asked": "person", "the caller is done": "goodbye"}.get(reason, reason)
    for act in acts:
        if isinstance(act, Decide) and act.kind in ("skill", "small-talk", "ask", "correct"):
            about = act.facts.get("about") or ("have-not" if "lacks" in act.facts else None) or act.skill
            return str(about or NOTHING)
    return NOTHING


def _state(said: Utterance, right: Wanted) -> State:
    match = _ANSWER.match(said.pattern)
    if not match:
        if right.skill in (Courtesy.HAVE_NOT.value, Courtesy.WAIT.value):  # said to a question
            return State(asked=Asked.FACT, skill=_ANYTHING, fact="digits")
        return State()
    if match["fact"] and (own := _fact(agent(right.agent), match["fact"], said.asked)):
        return State(asked=Asked.FACT, skill=own[0], fact=match["fact"])
    if right.kind == "yes/no" and said.agent == right.agent:
        skills = [name for name, skill in agent(right.agent).skills.items() if skill.confirm]
        if skills:
            return State(asked=Asked.SKILL_RIGHT, skill=skills[0])
    sort = match["sort"] or match["birth"] or ""
    return State(asked=Asked.FACT, skill=_ANYTHING, fact=sort) if sort in _GENERIC else State()


def _fact(of: Agent, name: str, asked: str) -> tuple[str, Fact] | None:
    """The skill that needs the fact `name` and asks for it so, or any that needs it."""
    having = [(skill, one.needs[name]) for skill, one in of.skills.items() if name in one.needs]
    asking = [(skill, fact) for skill, fact in having if asked in (written(fact.ask), written(fact.again or ""))]
    return next(iter([*asking, *having]), None)

"""Doing a skill: take it up, ask for its facts, confirm, use its tool, speak the result, count the outcome.

Pure functions from a state to acts and a new state, as in `deciding`, which calls them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from offhook.agents import sentences
from offhook.agents.desk import Desk, Move, goodbye, hand_over, question, read_back
from offhook.agents.facts import Found, find
from offhook.agents.job import Skill
from offhook.agents.state import Asked, State
from offhook.agents.understanding import Meaning
from offhook.speech.contract import Achieve, Act, Decide, Json, Say, UseTool

CERTAIN = 0.6
"""A fact less certain is read back, whether the file says so or not."""


def begin(desk: Desk, state: State, name: str, words: str, meaning: Meaning) -> Move:
    """Take up a skill with every fact the words hold already."""
    skill = desk.agent.skills[name]
    kept = {
        key: value
        for key, value in state.facts.items()
        if not (key in skill.needs and (state.last == name or not skill.needs[key].keep))
    }
    fresh = dataclasses.replace(
        state,
        skill=name,
        fact=None,
        facts=kept,
        confirmed=(),
        partial="",
        misses=0,
        failures=0,
        wrong=0,
        waiting=tuple(dict.fromkeys((*state.waiting, *(i.name for i in meaning.also if i.name != name))))[:3],
    )
    found = volunteered(desk, fresh, name, words)
    values: dict[str, Json] = {key: fact.value for key, fact in found.items()}
    fresh = dataclasses.replace(
        fresh, facts={**kept, **values}, before={**state.before, **kept, **values}, unsure=_unsure(fresh, found)
    )
    acts, after = proceed(desk, fresh, name)
    return [Decide("skill", name, values, {**meaning.scores, "margin": round(meaning.margin, 3)}), *acts], after


def volunteered(desk: Desk, state: State, name: str, words: str, taken: Found | None = None) -> dict[str, Found]:
    """Facts of skill `name` said without being asked for. No words count for two facts, nor for more than `taken`."""
    skill = desk.agent.skills.get(name)
    found: dict[str, Found] = {}
    for key, fact in (skill.needs if skill else {}).items():
        one = find(fact, words, desk.hearing(asked=False))
        others = [*found.values(), *([taken] if taken else [])]
        if one is not None and one.whole and not any(one.start < o.end and o.start < one.end for o in others):
            found[key] = one
    return found


def _unsure(state: State, found: Mapping[str, Found]) -> tuple[str, ...]:
    kept = [name for name in state.unsure if name not in found]
    return (*kept, *(name for name, fact in found.items() if fact.certain < CERTAIN))


def filled(desk: Desk, state: State, found: Mapping[str, Found]) -> Move:
    values: dict[str, Json] = {name: fact.value for name, fact in found.items()}
    certain = {name: round(fact.certain, 2) for name, fact in found.items()}
    fresh = dataclasses.replace(
        state,
        facts={**state.facts, **values},
        before={**state.before, **values},
        confirmed=tuple(one for one in state.confirmed if one != "*" and one not in values),
        unsure=_unsure(state, found),
        partial="",
        misses=0,
    )
    acts, after = proceed(desk, fresh, state.skill or "")
    return [Decide("skill", state.skill, values, certain), *acts], after


def proceed(desk: Desk, state: State, name: str) -> Move:
    """The next step of skill `name`: ask, confirm, use the tool, or answer."""
    skill = desk.agent.skills[name]
    state = dataclasses.replace(state, skill=name)
    for key, fact in skill.needs.items():
        if key not in state.facts and not fact.optional:
            decide = Decide("ask", name, {"fact": key})
            return [decide, Say(desk.fill(fact.ask, state))], dataclasses.replace(state, asked=Asked.FACT, fact=key)
        if key in state.facts and (fact.confirm or key in state.unsure) and key not in state.confirmed:
            asked = dataclasses.replace(state, asked=Asked.FACT_RIGHT, fact=key)
            return [Decide("ask", name, {"confirm": key}), Say(read_back(desk, asked, key, fact))], asked
    if skill.confirm and "*" not in state.confirmed:
        say = Say(desk.fill(skill.confirm, state))
        return [Decide("ask", name, {"confirm": "all"}), say], dataclasses.replace(
            state, asked=Asked.SKILL_RIGHT, fact=None
        )
    if skill.tool is None:
        return reply_with(desk, state, skill, "other", None)
    tools = state.tools + 1
    after = dataclasses.replace(state, asked=Asked.TOOL, fact=None, tools=tools, tool=f"{name}-{tools}")
    first: list[Act] = [Say(desk.fill(skill.begin, after))] if skill.begin else []
    return [*first, UseTool(after.tool, skill.tool, arguments(desk, skill, after))], after


def arguments(desk: Desk, skill: Skill, state: State) -> dict[str, Json]:
    """The skill's facts, and what is known of the call where the tool's input names it."""
    arguments: dict[str, Json] = {key: state.facts[key] for key in skill.needs if key in state.facts}
    tool = desk.agent.tools.get(skill.tool or "")
    properties = tool.input.get("properties", {}) if tool and tool.input else {}
    if isinstance(properties, Mapping):
        arguments |= {key: value for key, value in desk.known.items() if key in properties and key not in arguments}
    return arguments


def tool_failed(desk: Desk, state: State, skill: Skill) -> Move:
    """Say so; offer one more try; then a person."""
    failures = state.failures + 1
    reply = skill.say.get("failed")
    say = Say(desk.fill(reply.say, state) if reply else sentences.TOOL_FAILED)
    if failures >= desk.agent.hand_over.tool_failures or (reply is not None and reply.exit == "human"):
        acts, after = hand_over(desk, state, "tool failed")
        return [acts[0], say, *acts[1:]], after
    fresh = dataclasses.replace(state, asked=Asked.RETRY, failures=failures)
    decide = Decide("ask", state.skill, {"retry": skill.tool}, {"failures": float(failures)})
    return [decide, say, Say(sentences.TRY_AGAIN)], fresh


def reply_with(desk: Desk, state: State, skill: Skill, status: str, value: Json) -> Move:
    """Say what came of it, count the outcome, and go on: the fact again, the next skill, or `anything else?`."""
    reply = skill.say.get(status) or skill.say["other"]
    said = desk.fill(reply.say, state, value)
    acts: list[Act] = [Decide("skill", state.skill, {"status": status}), Say(said)]
    outcome = reply.outcome or skill.outcome
    if outcome and outcome != "none":
        facts: dict[str, Json] = {key: state.facts[key] for key in skill.needs if key in state.facts}
        evidence: dict[str, Json] = {"skill": state.skill, "facts": facts, "status": status}
        if skill.tool is not None:
            evidence |= {"tool": skill.tool, "id": state.tool}
        acts.append(Achieve(outcome, evidence))
    if reply.exit == "human":
        more, after = hand_over(desk, state, f"{state.skill}: {status}")
        return [*acts, *more], after
    if reply.exit == "resolved":
        more, after = goodbye(desk, state, None)
        return [*acts, *more], after
    if reply.ask is not None:
        wrong = state.wrong + 1
        if wrong > desk.agent.hand_over.not_understood:
            more, after = hand_over(desk, state, f"{state.skill}: {status}")
            return [*acts, *more], after
        facts = {key: fact for key, fact in state.facts.items() if key != reply.ask}
        confirmed = tuple(one for one in state.confirmed if one not in ("*", reply.ask))
        fresh = dataclasses.replace(
            state, asked=Asked.FACT, fact=reply.ask, facts=facts, confirmed=confirmed, wrong=wrong, partial=""
        )
        return [*acts, Say(question(desk, fresh))], fresh
    done = dataclasses.replace(
        state, last=state.skill, skill=None, fact=None, confirmed=(), failures=0, wrong=0, misses=0, asked=Asked.NOTHING
    )
    if done.waiting:
        following, *rest = done.waiting
        more, after = proceed(desk, dataclasses.replace(done, waiting=tuple(rest)), following)
        return [*acts, Decide("skill", following, {"also": True}), *more], after
    if skill.more:
        return [*acts, Say(desk.agent.anything_else)], dataclasses.replace(done, asked=Asked.MORE)
    return acts, done


def dropped(desk: Desk, state: State) -> Move:
    fresh = dataclasses.replace(
        state, asked=Asked.MORE, skill=None, fact=None, confirmed=(), misses=0, failures=0, wrong=0
    )
    decide = Decide("skill", state.skill, {"dropped": True})
    return [decide, Say(sentences.LEFT_IT), Say(desk.agent.anything_else)], fresh

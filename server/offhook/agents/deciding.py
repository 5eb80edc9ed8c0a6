"""What an agent does next: pure functions from where a conversation stands and what was said to acts and the new state.

One function a kind of event (words, keys, a tool's answer, silence). Each yields a `Decide` that says what was decided
and with which figures, so that a call can be explained from its timeline. Knows no audio, no clock and no network.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from offhook.agents import sentences
from offhook.agents.answers import yes_or_no
from offhook.agents.corrections import corrected
from offhook.agents.courtesies import ANSWERS, Courtesy
from offhook.agents.desk import Desk, Move, goodbye, hand_over, is_courtesy, offer_help, pick_up, question, unheard
from offhook.agents.facts import LIKE, REPAIR, Found, find, from_keys
from offhook.agents.job import FactType
from offhook.agents.numbers import runs
from offhook.agents.state import Asked, State
from offhook.agents.understanding import LIKELY, SURE, Intent, Kind, Meaning
from offhook.agents.working import arguments, begin, dropped, filled, proceed, reply_with, tool_failed, volunteered
from offhook.speech.contract import Act, Decide, Finish, Json, Say, ToolResult, UseTool

QUESTIONS = (Asked.FACT_RIGHT, Asked.SKILL_RIGHT, Asked.RETRY, Asked.PERSON)
"""What is answered with yes or no, and has to be."""


def greet(desk: Desk, state: State, again: bool) -> Move:
    """The first words; `again`: another process takes the conversation over, and picks up the question."""
    if not again:
        return [Say(desk.fill(desk.agent.greeting, state))], state
    if state.over:
        return _end(state), state
    if state.asked is Asked.TOOL and (skill := desk.skill(state)) and skill.tool:
        # The same id: whoever runs tools may have the answer already, and must not do the thing twice.
        return [Say(sentences.BACK_AGAIN), UseTool(state.tool, skill.tool, arguments(desk, skill, state))], state
    return [Say(sentences.BACK_AGAIN), Say(question(desk, state))], state


def hear(desk: Desk, state: State, words: str, meaning: Meaning | None = None) -> Move:
    """The caller's turn was `words`, or held them, and meant `meaning`; what the words mean where None."""
    meaning = meaning or desk.understanding.of(words)
    if state.over:
        if not _goes_on(state, words, meaning):
            return _end(state), state
        state = dataclasses.replace(state, over=False, asked=Asked.MORE, skill=None, fact=None, misses=0, unsaid="")
    if (move := _wants_person(desk, state, words, meaning)) is not None:
        return move
    if state.asked is Asked.TOOL:
        return _while_waiting(desk, state, meaning)
    if (move := _correction(desk, state, words)) is not None:
        return move
    if state.asked in QUESTIONS or state.asked is Asked.CHANGE:
        move = _answer(desk, state, words, meaning)
    elif state.asked is Asked.FACT:
        move = _fact(desk, state, words, meaning)
    elif state.asked is Asked.MORE:
        move = _more(desk, state, words, meaning)
    else:
        move = None
    if move is None:
        move = _open(desk, state, words, meaning)
    return move if move is not None else _miss(desk, state, meaning)


def keys(desk: Desk, state: State, digits: str) -> Move:
    """The caller pressed `digits`. 0 alone asks for a person, * for a repeat; 1 and 2 are yes and no."""
    if state.over:
        return hand_over(desk, state, "asked by key") if digits == "0" else (_end(state), state)
    if state.asked is Asked.TOOL:
        return [], state
    fact = desk.asked_fact(state) if state.asked is Asked.FACT else None
    if fact is not None and (found := from_keys(fact, digits)) is not None and found.whole:
        return filled(desk, state, {state.fact or "": found})
    if digits == "0":
        return hand_over(desk, state, "asked by key")
    if digits == "*":
        return _repeat(desk, state)
    if fact is None and state.asked not in (Asked.NOTHING, Asked.FACT) and digits in ("1", "2"):
        return hear(desk, state, "yes" if digits == "1" else "no")
    if state.asked in (Asked.NOTHING, Asked.MORE):
        return hear(desk, state, digits)
    return _miss(desk, state, None)


def tool(desk: Desk, state: State, result: ToolResult) -> Move:
    """The tool wanted last has answered; an answer to anything else is too late and counts for nothing."""
    skill = desk.skill(state)
    if state.asked is not Asked.TOOL or result.id != state.tool or skill is None or state.over:
        return [], state
    if not result.ok:
        return tool_failed(desk, state, skill)
    status = result.value.get("status") if isinstance(result.value, Mapping) else None
    return reply_with(desk, state, skill, status if isinstance(status, str) else "other", result.value)


def silence(desk: Desk, state: State, times: int) -> Move:
    """Nothing was said for a while: ask, then help, then say goodbye."""
    if state.over:
        return _end(state), state
    if state.asked is Asked.TOOL:
        return [], state
    decide = Decide("silence", state.skill, scores={"times": float(times)})
    if times >= 3:
        reason = "the caller said nothing any more"
        acts: list[Act] = [decide, Say(desk.agent.goodbye), Finish("resolved", reason)]
        return acts, dataclasses.replace(state, over=True, exit="resolved", reason=reason)
    if times == 2 and state.asked in (Asked.NOTHING, Asked.MORE):
        return [decide, Say(offer_help(desk))], dataclasses.replace(state, asked=Asked.NOTHING)
    return [decide, Say(sentences.STILL_THERE), Say(question(desk, state))], state


# --- after the last words


def _end(state: State) -> list[Act]:
    """The end again: whoever speaks over the last words takes the floor, and with it what was to come after them."""
    return [Finish(state.exit, state.reason)]


def _goes_on(state: State, words: str, meaning: Meaning) -> bool:
    """Whether words spoken over the agent's goodbye, or just after it, are more than a goodbye in return. On the way
    to a person nothing is taken up any more: that is who they go to."""
    best = meaning.best
    if state.exit == "human":
        return False
    if any(len(run.readings[0].digits) > 2 for run in runs(words)):  # `no, I said 4173`
        return True
    if best is None or meaning.score < LIKELY:
        return False
    if best.kind is Kind.COURTESY:
        return Courtesy(best.name) in (
            *(Courtesy.HELLO, Courtesy.WAIT, Courtesy.HELP, Courtesy.PERSON),
            *(Courtesy.ROBOT, Courtesy.IDENTITY, Courtesy.HOW_ARE_YOU),
        )
    return True


# --- what may be said at any moment


def _wants_person(desk: Desk, state: State, words: str, meaning: Meaning) -> Move | None:
    fact = desk.asked_fact(state)
    free = state.asked is Asked.FACT and fact is not None and fact.type in (FactType.TEXT, FactType.NAME)
    if meaning.best is None or meaning.score < (SURE if free else LIKELY):
        return None
    if meaning.best == Intent(Kind.COURTESY, Courtesy.PERSON.value):
        if state.asked is Asked.PERSON and yes_or_no(words) is False:
            return None
        return hand_over(desk, state, "asked", meaning=meaning)
    if meaning.best.kind is Kind.TOPIC:
        if state.asked is Asked.FACT and meaning.score < SURE:
            return None
        name = meaning.best.name
        return hand_over(desk, state, f"topic: {name}", desk.agent.hand_over.topics[name].say, meaning)
    return None


def _while_waiting(desk: Desk, state: State, meaning: Meaning) -> Move:
    if meaning.best == Intent(Kind.COURTESY, Courtesy.GOODBYE.value) and meaning.score >= SURE:
        return goodbye(desk, state, meaning)
    return [_talk(state, meaning), Say(sentences.STILL_LOOKING)], state


def _courtesy(desk: Desk, state: State, words: str, meaning: Meaning) -> Move | None:
    """Answer small talk, then come back to the question; None where the words are none."""
    if meaning.best is None or meaning.best.kind not in (Kind.COURTESY, Kind.TALK):
        return None
    name = meaning.best.name
    own = desk.agent.small_talk.get(name)
    if meaning.best.kind is Kind.TALK:
        return _say_and_return(desk, state, meaning, own.say if own else "")
    match courtesy := Courtesy(name):
        case Courtesy.REPEAT:
            return _repeat(desk, state)
        case Courtesy.GOODBYE:
            return goodbye(desk, state, meaning)
        case Courtesy.HELP:
            return [_talk(state, meaning), Say(own.say if own else offer_help(desk))], _open_again(state)
        case Courtesy.NEVER_MIND:
            fresh = dataclasses.replace(state, asked=Asked.MORE, skill=None, fact=None, partial="", misses=0)
            return [_talk(state, meaning), Say(sentences.LEFT_IT), Say(desk.agent.anything_else)], fresh
        case Courtesy.HAVE_NOT:
            if state.asked is not Asked.FACT:
                return None
            return _cannot_say(state, meaning)
        case Courtesy.WAIT:
            return [_talk(state, meaning), Say(own.say if own else ANSWERS[courtesy])], state
        case Courtesy.THANKS if state.asked is Asked.MORE:
            return goodbye(desk, state, meaning)
        case Courtesy.PERSON:
            return hand_over(desk, state, "asked", meaning=meaning)
        case _:
            return _say_and_return(desk, state, meaning, own.say if own else ANSWERS[courtesy])


def _say_and_return(desk: Desk, state: State, meaning: Meaning, say: str) -> Move:
    return [_talk(state, meaning), Say(desk.fill(say, state)), Say(pick_up(desk, state))], state


def _talk(state: State, meaning: Meaning) -> Decide:
    named = {"about": meaning.best.name} if meaning.best else {}
    return Decide("small-talk", state.skill, named, meaning.scores)


def _repeat(desk: Desk, state: State) -> Move:
    said = unheard(state) or state.said or desk.fill(desk.agent.greeting, state)
    return [Decide("small-talk", state.skill, {"about": "repeat"}), Say(said)], dataclasses.replace(state, unsaid="")


def _open_again(state: State) -> State:
    return dataclasses.replace(state, asked=Asked.NOTHING, skill=None, fact=None) if state.skill is None else state


def _miss(desk: Desk, state: State, meaning: Meaning | None) -> Move:
    """Not understood: ask once more, then a person."""
    misses = state.misses + 1
    if misses >= desk.agent.hand_over.not_understood:
        return hand_over(desk, state, "not understood", meaning=meaning)
    decide = Decide("not-understood", state.skill, dict(state.facts), meaning.scores if meaning else {})
    ask = sentences.YES_OR_NO if state.asked in QUESTIONS and not state.unsaid else pick_up(desk, state)
    return [decide, Say(sentences.NOT_UNDERSTOOD), Say(ask)], dataclasses.replace(state, misses=misses)


# --- answers to questions


def answered(desk: Desk, state: State, words: str) -> bool | None:
    """Yes or no to the question that is open; None where `words` are neither."""
    return yes_or_no(words, question(desk, state))


def _correction(desk: Desk, state: State, words: str) -> Move | None:
    """A fact understood before is taken back: changed, and whatever followed from it is done again."""
    if not REPAIR.search(words) or (state.asked in QUESTIONS and answered(desk, state, words) is True):
        return None
    name = state.skill or (state.last if state.asked in (Asked.MORE, Asked.NOTHING) else None)
    skill = desk.agent.skills.get(name or "")
    if skill is None:
        return None
    for fact_name, fact in skill.needs.items():
        old = state.facts.get(fact_name, state.before.get(fact_name))
        if old is None or (state.asked is Asked.FACT and fact_name == state.fact and state.partial):
            continue
        if state.asked is Asked.FACT and fact_name != state.fact and fact.type is FactType.TEXT:
            continue
        if fact.type in (FactType.YES_NO, FactType.TEXT) and state.fact != fact_name:
            continue
        new = corrected(fact, old, words, desk.hearing(asked=True))
        if new is None or new.certain < 0.5:
            continue
        facts = {**state.facts, fact_name: new.value}
        fresh = dataclasses.replace(
            state,
            skill=name,
            facts=facts,
            before={**state.before, fact_name: new.value},
            confirmed=tuple(one for one in state.confirmed if one not in (fact_name, "*")),
            unsure=tuple(one for one in state.unsure if one != fact_name),
            partial="",
            misses=0,
        )
        decide = Decide("correct", name, {fact_name: new.value}, {"certain": new.certain})
        acts, after = proceed(desk, fresh, name or "")
        return [decide, *acts], after
    return None


def _answer(desk: Desk, state: State, words: str, meaning: Meaning) -> Move | None:
    """Yes or no to a question; else whatever else the words are."""
    answer = answered(desk, state, words)
    name = state.skill or ""
    skill = desk.skill(state)
    if state.asked is Asked.CHANGE:
        if (move := _take_facts(desk, state, words, meaning)) is not None:
            return move
        if is_courtesy(meaning, Courtesy.GOODBYE):
            acts, after = goodbye(desk, state, meaning)
            return [acts[0], Say(sentences.LEFT_IT), *acts[1:]], after
        if answer is not None or is_courtesy(meaning, Courtesy.NEVER_MIND):
            return dropped(desk, state)
        return _courtesy(desk, state, words, meaning) or _switch(desk, state, words, meaning)
    if answer is None:
        return _courtesy(desk, state, words, meaning) or _switch(desk, state, words, meaning)
    if answer and state.asked in (Asked.FACT_RIGHT, Asked.SKILL_RIGHT) and _hardly_heard(desk, state):
        # What was not heard read back is not what they say yes to: a "please" may belong to what was said before.
        return [Decide("ask", name or None, {"unheard": True}), Say(pick_up(desk, state))], state
    decide = Decide("skill", name or None, {"asked": state.asked.value, "answer": answer})
    fresh = dataclasses.replace(state, misses=0)
    if state.asked is Asked.PERSON:
        if answer:
            return hand_over(desk, state, f"the caller has no {state.fact or 'answer'}")
        return dropped(desk, fresh)
    if state.asked is Asked.RETRY:
        if not answer:
            return dropped(desk, fresh)
        acts, after = proceed(desk, fresh, name)
        return [decide, *acts], after
    if answer:
        mark = "*" if state.asked is Asked.SKILL_RIGHT else state.fact or ""
        acts, after = proceed(desk, dataclasses.replace(fresh, confirmed=(*fresh.confirmed, mark)), name)
        return [decide, *acts], after
    if state.asked is Asked.SKILL_RIGHT:
        return [decide, Say(sentences.WHAT_TO_CHANGE)], dataclasses.replace(fresh, asked=Asked.CHANGE)
    facts = {key: value for key, value in state.facts.items() if key != state.fact}
    fact = skill.needs.get(state.fact or "") if skill else None
    say = desk.fill(fact.again or fact.ask, state) if fact else sentences.WHAT_ELSE
    return [decide, Say(say)], dataclasses.replace(fresh, facts=facts, asked=Asked.FACT)


def _hardly_heard(desk: Desk, state: State) -> bool:
    """Whether more of the open question was cut off than was said."""
    return 2 * len(state.unsaid.split()) > len(question(desk, state).split())


def _fact(desk: Desk, state: State, words: str, meaning: Meaning) -> Move | None:
    """The fact asked for, and any other in the same breath; else small talk, another skill, or nothing."""
    fact = desk.asked_fact(state)
    if fact is None:
        return None
    found = asked_for(desk, state, words)
    urgent = meaning.best is not None and meaning.best.kind is Kind.COURTESY and meaning.score >= SURE
    vague = found is not None and (found.certain < LIKE or fact.type in (FactType.TEXT, FactType.NAME))
    if found is not None and found.whole and not (urgent and vague and fact.type is not FactType.DIGITS):
        also = volunteered(desk, state, state.skill or "", words, taken=found)
        new = {name: fact for name, fact in also.items() if name not in state.facts}
        return filled(desk, state, {**new, state.fact or "": found})
    said = volunteered(desk, state, state.skill or "", words)
    others = {n: f for n, f in said.items() if n != state.fact and state.facts.get(n) != f.value}
    if others:
        return filled(desk, state, others)
    if found is not None and isinstance(found.value, str) and len(found.value) < fact.lengths[0]:
        if not urgent:
            if found.value == state.partial or state.misses + 1 >= desk.agent.hand_over.not_understood:
                return None
            decide = Decide("ask", state.skill, {state.fact or "": found.value}, {"certain": found.certain})
            fresh = dataclasses.replace(state, partial=found.value, misses=state.misses + 1)
            return [decide, Say(sentences.heard_so_far(found.value))], fresh
        if found.end >= len(words.rstrip(" .,!?…")):  # `let me see, it's four`: the courtesy does not undo the four
            state = dataclasses.replace(state, partial=found.value)
    move = _courtesy(desk, state, words, meaning) or _switch(desk, state, words, meaning)
    if move is None and yes_or_no(words) is False and len(words.split()) <= 3:
        return _cannot_say(state, meaning)
    return move or _just_yes(state, words, question(desk, state))


def _cannot_say(state: State, meaning: Meaning) -> Move:
    """`I don't have it`, `no`, where a fact is asked for that the skill cannot do without."""
    decide = Decide("ask", state.skill, {"lacks": state.fact}, meaning.scores)
    return [decide, Say(sentences.NOT_WITHOUT)], dataclasses.replace(state, asked=Asked.PERSON)


def _just_yes(state: State, words: str, say: str) -> Move | None:
    """`Okay`, `yes` where something else is waited for: they are about to say it."""
    if yes_or_no(words) is not True or len(words.split()) > 3 or state.said.endswith(say):
        return None
    return [Decide("small-talk", state.skill, {"about": "yes"}), Say(say)], state


def asked_for(desk: Desk, state: State, words: str) -> Found | None:
    """The fact that was asked for, put together with what was heard of it before."""
    fact = desk.asked_fact(state)
    if fact is None:
        return None
    found = find(fact, words, desk.hearing(asked=True))
    if found is None or found.whole or not state.partial or not isinstance(found.value, str):
        return found
    joined = state.partial + found.value
    if fact.lengths[0] <= len(joined) <= fact.lengths[1]:
        return dataclasses.replace(found, value=joined, whole=True, certain=0.7)
    return found


def _more(desk: Desk, state: State, words: str, meaning: Meaning) -> Move | None:
    """After `anything else?`: something else, or goodbye."""
    if (again := _same_again(desk, state, words, meaning)) is not None:
        return again
    if meaning.best is not None and meaning.best.kind is Kind.SKILL and meaning.score >= LIKELY:
        return None
    answer = yes_or_no(words)
    if (
        is_courtesy(meaning, Courtesy.GOODBYE)
        or is_courtesy(meaning, Courtesy.THANKS)
        or (answer is False and len(words.split()) <= 8)
    ):
        return goodbye(desk, state, meaning)
    if answer is True and len(words.split()) <= 4 and not runs(words):
        decide = Decide("small-talk", None, {"about": "more"}, meaning.scores)
        return [decide, Say(sentences.WHAT_ELSE)], dataclasses.replace(state, asked=Asked.NOTHING, misses=0)
    return None


def _same_again(desk: Desk, state: State, words: str, meaning: Meaning) -> Move | None:
    """`And 4173?` after a skill is done: the same skill with another fact."""
    other = meaning.best is not None and meaning.best.kind is Kind.SKILL and meaning.best.name != state.last
    if state.last is None or other:
        return None
    found = volunteered(desk, dataclasses.replace(state, facts={}), state.last, words)
    if state.unsaid and meaning.best == Intent(Kind.SKILL, state.last):
        if all(state.before.get(name) == fact.value for name, fact in found.items()):
            # `Yes. ... Please cancel it.` It is done, and the caller has just not heard so yet.
            return [_talk(state, meaning), Say(pick_up(desk, state))], state
    digits = {n: f for n, f in found.items() if desk.agent.skills[state.last].needs[n].type is FactType.DIGITS}
    return begin(desk, state, state.last, words, meaning) if digits else None


def _open(desk: Desk, state: State, words: str, meaning: Meaning) -> Move | None:
    """Words that answer no question: what the caller came for."""
    if meaning.best is not None and meaning.best.kind is Kind.SKILL and meaning.best.name != state.skill:
        return begin(desk, state, meaning.best.name, words, meaning)
    if (move := _courtesy(desk, state, words, meaning)) is not None:
        return move
    if is_courtesy(meaning, Courtesy.HAVE_NOT) and meaning.skill is not None and state.skill is None:
        return begin(desk, state, meaning.skill.name, words, meaning)  # nothing was asked that they could lack
    if state.asked in (Asked.NOTHING, Asked.MORE):
        found: dict[str, Found] = {}
        for name in desk.agent.skills:
            found |= {n: f for n, f in volunteered(desk, state, name, words).items() if n not in found}
        digits = {n: f for n, f in found.items() if isinstance(f.value, str) and f.value.isdecimal()}
        if any(state.facts.get(name) != fact.value for name, fact in digits.items()):
            values: dict[str, Json] = {name: fact.value for name, fact in digits.items()}
            fresh = dataclasses.replace(
                state,
                asked=Asked.NOTHING,
                facts={**state.facts, **values},
                before={**state.before, **values},
            )
            return [Decide("ask", None, values, meaning.scores), Say(sentences.WHAT_ABOUT_IT)], fresh
    return _just_yes(state, words, sentences.WHAT_ELSE) if state.asked is Asked.NOTHING else None


def _switch(desk: Desk, state: State, words: str, meaning: Meaning) -> Move | None:
    """Another skill in the middle of one: only where that is clear. One that just answers is an aside, after which
    the one in hand goes on."""
    if meaning.best is None or meaning.best.kind is not Kind.SKILL or meaning.best.name == state.skill:
        return None
    if meaning.score < SURE - 0.07:
        return None
    other = desk.agent.skills[meaning.best.name]
    stuck = state.asked is Asked.PERSON  # asking on would be for what the caller has not got
    if state.skill is not None and not stuck and not other.needs and other.tool is None:
        state = dataclasses.replace(state, waiting=(state.skill, *state.waiting))
    return begin(desk, state, meaning.best.name, words, meaning)


def _take_facts(desk: Desk, state: State, words: str, meaning: Meaning) -> Move | None:
    """Facts that differ from what is known, in answer to `what should I change?`."""
    found = {
        n: f for n, f in volunteered(desk, state, state.skill or "", words).items() if state.facts.get(n) != f.value
    }
    return filled(desk, state, found) if found else None

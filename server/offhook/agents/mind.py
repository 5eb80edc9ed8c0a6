"""The mind of an agent that works by skills: decides what to say from what was said. Knows no audio and no clock.

A thin object over the pure functions of `deciding`: it holds where the conversation stands, remembers what was said,
and tells how complete words are while the caller is still speaking. Told of a meaning and a gist instead of words, it
decides by those alike.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from offhook.agents import deciding, sentences
from offhook.agents.answers import yes_or_no
from offhook.agents.corrections import corrected
from offhook.agents.courtesies import ANSWERS
from offhook.agents.desk import Desk, Move
from offhook.agents.embedding import check_embedding, load_embedding
from offhook.agents.facts import REPAIR, Found, find
from offhook.agents.job import PLACE, Agent, FactType
from offhook.agents.numbers import MOST_CHARACTERS, runs
from offhook.agents.state import Asked, State
from offhook.agents.understanding import LIKELY, NOTHING, SURE, Kind, Meaning, Understanding
from offhook.speech.contract import Act, Expected, Json, Persona, Reading, Say, ToolResult, Understood, UseTool

_JOINS = re.compile(r"\b(?:and|but|or|so|because|um+|uh+|er)[\s,.…-]*$", re.IGNORECASE)
"""Whoever ends on one of these goes on."""
_LEADS = re.compile(
    r"(?:\b(?:the|a|an|my|is|its|it's|of|i|i'm|i am|could|can|your)|\b(?:order|my|the) number|\bi(?:'d| would) like"
    r"|\bi (?:want|need)(?: to)?|\bfor|\bwith|\bmy order is)[\s,.…-]*$",
    re.IGNORECASE,
)
"""Most who pause on one of these go on."""
MOST_KEYS = 32
KEPT = 16
"""Understandings kept by agent: the same agent answers many calls."""


def skill_mind(persona: Persona) -> SkillMind:
    """The mind of `persona.document` (an `Agent` as JSON), going on from `persona.memo` where there is one.

    Raises ValueError with a sentence where the document is no agent or the embedding's weights are missing."""
    agent = Agent.from_document(persona.document)
    check_embedding()
    state = State.from_json(persona.memo) if persona.memo is not None else State()
    desk = Desk(agent, _understanding(agent), _today(persona.known), persona.known)
    return SkillMind(desk, state, again=persona.memo is not None)


class SkillMind:
    """One conversation. Implements `Mind` and `UnderstandingMind`."""

    def __init__(self, desk: Desk, state: State, again: bool = False) -> None:
        self.desk = desk
        self.state = state
        self._again = again

    def greet(self) -> Iterable[Act]:
        if not self._again:
            return self._done(deciding.greet(self.desk, self.state, again=False))
        acts, self.state = deciding.greet(self.desk, self.state, again=True)  # a repeat is of what was said before
        return acts

    def hear(self, words: str) -> Iterable[Act]:
        return self._done(deciding.hear(self.desk, self.state, words[:MOST_CHARACTERS]))

    def understand(self, heard: Understood) -> Iterable[Act]:
        return self._done(self._understood(heard))

    def foresee(self, heard: Understood) -> Sequence[str]:
        said: list[str] = []
        for act in self._understood(heard)[0]:
            if isinstance(act, UseTool):
                break  # what follows is the tool's to say
            if isinstance(act, Say):
                said.append(act.text)
        return said

    def expected(self) -> Expected:
        state = self.state
        if state.asked in deciding.QUESTIONS:
            return Expected(state.said, FactType.YES_NO.value)
        fact = self.desk.asked_fact(state)
        if fact is None:
            return Expected(state.said)
        return Expected(state.said, fact.type.value, words=fact.type is FactType.TEXT)

    def keys(self, digits: str) -> Iterable[Act]:
        return self._done(deciding.keys(self.desk, self.state, digits[:MOST_KEYS]))

    def tool(self, result: ToolResult) -> Iterable[Act]:
        return self._done(deciding.tool(self.desk, self.state, result))

    def silence(self, times: int) -> Iterable[Act]:
        return self._done(deciding.silence(self.desk, self.state, times))

    def interrupted(self, heard: str, unsaid: str) -> None:
        self.state = dataclasses.replace(self.state, unsaid=unsaid)

    def read(self, words: str) -> Reading:
        words = words[:MOST_CHARACTERS]
        if not words.strip() or self.state.over:
            return Reading(0.0, self.state.skill, {})
        reading = self._read(self.desk, words, self.desk.understanding.of(words))
        if _JOINS.search(words) or (reading.complete < 0.85 and _LEADS.search(words)):
            return dataclasses.replace(reading, complete=min(reading.complete, 0.15))
        return reading

    def weigh(self, heard: Understood) -> Reading:
        if self.state.over:
            return Reading(heard.complete, self.state.skill, {})
        return self._read(*self._meant(heard))

    def vocabulary(self) -> Sequence[str]:
        agent = self.desk.agent
        words = [
            way
            for s in agent.skills.values()
            for f in s.needs.values()
            for ways in (f.options or {}).values()
            for way in ways
        ]
        return list(dict.fromkeys([*agent.job.scope, *words]))

    def phrases(self) -> Sequence[str]:
        agent = self.desk.agent
        texts = [agent.greeting, agent.anything_else, agent.goodbye, agent.hand_over.say]
        for skill in agent.skills.values():
            texts += [t for f in skill.needs.values() for t in (f.ask, f.again) if t]
            texts += [skill.begin] if skill.begin else []
            texts += [reply.say for reply in skill.say.values()]
        texts += [topic.say for topic in agent.hand_over.topics.values() if topic.say]
        texts += [*ANSWERS.values(), *(talk.say for talk in agent.small_talk.values()), *sentences.STOCK]
        return [text for text in dict.fromkeys(texts) if not PLACE.search(text)]

    def memo(self) -> Mapping[str, Json]:
        return self.state.to_json()

    def _done(self, move: Move) -> list[Act]:
        acts, state = move
        said = " ".join(act.text for act in acts if isinstance(act, Say))
        self.state = dataclasses.replace(state, said=said, unsaid="") if said else state
        return acts

    def _understood(self, heard: Understood) -> Move:
        desk, words, meaning = self._meant(heard)
        return deciding.hear(desk, self.state, words, meaning)

    def _meant(self, heard: Understood) -> tuple[Desk, str, Meaning]:
        """The desk with the meaning of what was heard in the place of its words', the gist, and what it means. Where
        the gist is what was asked for, nothing else counts that is not sure: a number means little by itself."""
        understanding, words = self.desk.understanding, heard.words[:MOST_CHARACTERS]

        def near(_: str, others: Sequence[str]) -> Sequence[float]:
            found = understanding.near_to(heard.meaning, others)
            return [min(1.0, score * LIKELY / max(heard.likely, 0.01)) for score in found]

        desk = dataclasses.replace(self.desk, near=near)
        meaning = understanding.judge(heard.meaning, heard.likely, heard.sure)
        if meaning.score < SURE and self._is_answered(words):
            meaning = dataclasses.replace(NOTHING, scores=meaning.scores)
        return desk, words, meaning

    def _is_answered(self, words: str) -> bool:
        if self.state.asked in deciding.QUESTIONS:
            return deciding.answered(self.desk, self.state, words) is not None
        fact = self.desk.asked_fact(self.state)
        if fact is None or fact.type in (FactType.TEXT, FactType.NAME, FactType.YES_NO):
            return False
        # By the gist alone: what is near in meaning only is no answer yet.
        found = find(fact, words, dataclasses.replace(self.desk, near=_far).hearing(asked=True))
        return found is not None

    def _read(self, desk: Desk, words: str, meaning: Meaning) -> Reading:
        if self.state.asked in (*deciding.QUESTIONS, Asked.FACT):
            return self._read_answer(desk, words, meaning)
        skill = meaning.best.name if meaning.best is not None and meaning.best.kind is Kind.SKILL else None
        return self._read_open(desk, words, skill, meaning.score if meaning.best is not None else 0.0)

    def _read_answer(self, desk: Desk, words: str, meaning: Meaning) -> Reading:
        """How complete an answer to a question is."""
        state = self.state
        if state.asked is not Asked.FACT:
            answer = deciding.answered(desk, state, words)
            short = len(words.split()) <= 3
            complete = {True: 1.0 if short else 0.9, False: 0.6 if short else 0.8, None: 0.3}[answer]
            return Reading(complete, state.skill, {} if answer is None else {"answer": answer})
        fact = desk.asked_fact(state)
        found = deciding.asked_for(desk, state, words)
        if fact is None:
            return Reading(0.5, state.skill, {})
        old = state.before.get(state.fact or "")
        if (found is None or not found.whole) and old is not None and REPAIR.search(words):
            found = corrected(fact, old, words, desk.hearing(asked=True)) or found
        if found is not None:
            return Reading(_complete(found, fact.type, fact.lengths), state.skill, {state.fact or "": found.value})
        return Reading(0.85 if meaning.best is not None and meaning.score >= SURE else 0.3, state.skill, {})

    def _read_open(self, desk: Desk, words: str, skill: str | None, score: float) -> Reading:
        """How complete a request is: its skill is clear, its facts are there, and no number breaks off at its end."""
        state = self.state
        if state.asked is Asked.MORE and yes_or_no(words) is not None and len(words.split()) <= 4:
            return Reading(0.9 if yes_or_no(words) is False else 0.6, skill, {})
        if skill is None and state.asked is Asked.MORE and score < SURE:
            skill = state.last  # `and 4173?`
        needs = desk.agent.skills[skill].needs if skill else {}
        facts: dict[str, Json] = {}
        for name, fact in needs.items():
            if (found := find(fact, words, desk.hearing(asked=False))) is not None and found.whole:
                facts[name] = found.value
        digits = [
            fact.lengths
            for s in desk.agent.skills.values()
            for fact in s.needs.values()
            if fact.type is FactType.DIGITS
        ]
        last = runs(words)[-1:]
        if last and digits and last[0].end >= len(words.rstrip(" .,!?")):
            fits = any(low <= len(r.digits) <= high for r in last[0].readings for low, high in digits)
            if not fits:
                return Reading(0.1, skill, facts)
        if skill is None:
            return Reading(0.85 if score >= SURE else 0.7 if score else 0.3, None, facts)
        if skill == state.last and state.asked is Asked.MORE and not score:
            return Reading(0.9 if facts else 0.3, skill, facts)
        missing = [
            name for name, fact in needs.items() if name not in facts and name not in state.facts and not fact.optional
        ]
        complete = (0.95 if score >= SURE else 0.85) if not missing else (0.8 if score >= SURE else 0.65)
        return Reading(1.0 if not missing and facts else complete, skill, facts)


def _complete(found: Found, kind: FactType, lengths: tuple[int, int]) -> float:
    if not found.whole:
        return 0.05
    if kind is FactType.DIGITS and isinstance(found.value, str):
        return 1.0 if len(found.value) >= lengths[1] else 0.5
    return 0.5 if kind is FactType.TEXT else 0.9 if kind is FactType.NAME else 1.0


def _far(text: str, others: Sequence[str]) -> Sequence[float]:
    return [0.0] * len(others)


def _today(known: Mapping[str, str]) -> datetime.date:
    try:
        return datetime.datetime.fromisoformat(known["now"]).date()
    except (KeyError, ValueError):
        return datetime.date.today()


_kept: OrderedDict[str, Future[Understanding]] = OrderedDict()
_lock = threading.Lock()
_loader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="understanding")


def _understanding(agent: Agent) -> Future[Understanding]:
    """The agent's understanding, made once a process and in the background: embedding a file's examples takes about a
    second, which the greeting need not wait for."""
    key = json.dumps(agent.document(), sort_keys=True)
    with _lock:
        if key not in _kept or (_kept[key].done() and _kept[key].exception() is not None):
            _kept[key] = _loader.submit(lambda: Understanding(agent, load_embedding()))
            while len(_kept) > KEPT:
                _kept.popitem(last=False)
        _kept.move_to_end(key)
        return _kept[key]

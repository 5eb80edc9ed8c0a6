"""An agent's file as the far end is given it: instructions in words, and the tools as function definitions.

Beside the agent's own tools there are three that every agent has: `hand_over` to a person, `finish`, and `outcome` for
what only the far end can tell was reached. What a tool's answer shows to be reached is not the far end's to say: it is
read from the answer's `status`, as the file has it. The file comes as the JSON that it was checked as.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from offhook.speech.contract import Json, Persona

HAND_OVER, FINISH, OUTCOME = "hand_over", "finish", "outcome"
BUILT_IN = frozenset({HAND_OVER, FINISH, OUTCOME})

LONGEST = 24_000
"""Characters of instructions; an agent's file of more than that says its examples first, so it is cut at the end."""
_EXAMPLES = 5
_PLACE = re.compile(r"\{(?:on )?([a-z][a-z0-9_.-]*)\}")
_Map = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Briefing:
    """What the far end is told before the first word."""

    instructions: str
    tools: tuple[_Map, ...]
    """Function definitions, the built-in ones too."""
    names: frozenset[str]
    """The agent's own tools."""
    greeting: str
    goodbye: str
    handing_over: str
    outcomes: frozenset[str]
    """What `outcome` may name."""
    _skills: tuple[tuple[str, _Map], ...]

    def skill(self, tool: str) -> str | None:
        """The skill that uses `tool`: where several do, none can be told."""
        users = [name for name, skill in self._skills if skill.get("tool") == tool]
        return users[0] if len(users) == 1 else None

    def reached(self, tool: str, answer: Json) -> str | None:
        """The outcome that `tool`'s answer shows to be reached."""
        status = answer.get("status") if isinstance(answer, Mapping) else None
        found: set[str | None] = set()
        for _, skill in self._skills:
            if skill.get("tool") != tool:
                continue
            replies = _map(skill.get("say"))
            reply = replies.get(status if isinstance(status, str) else "other", replies.get("other"))
            of_reply = reply.get("outcome") if isinstance(reply, Mapping) else None
            outcome = of_reply or skill.get("outcome")
            found.add(outcome if isinstance(outcome, str) and outcome != "none" else None)
        return found.pop() if len(found) == 1 else None


def brief(persona: Persona) -> Briefing:
    """The briefing for `persona`. Raises ValueError where its document cannot be served so."""
    document = persona.document
    skills = tuple((name, _map(skill)) for name, skill in _map(document.get("skills")).items())
    tools = {name: _map(tool) for name, tool in _map(document.get("tools")).items()}
    if taken := BUILT_IN & set(tools):
        name = sorted(taken)[0]
        raise ValueError(f"the tool `{name}` of {persona.name} has the name of one that every agent has; rename it")
    greeting = filled(_text(document.get("greeting")), persona.known)
    if not greeting:
        raise ValueError(f"{persona.name} has no greeting; add `greeting:` to its file")
    handing_over = _text(_map(document.get("hand-over")).get("say")) or "I'll put you through to a colleague."
    goodbye = _text(document.get("goodbye")) or "Goodbye."
    outcomes = frozenset(
        outcome for _, skill in skills if not skill.get("tool") and (outcome := _text(skill.get("outcome")))
    )
    return Briefing(
        instructions="\n".join(_instructions(persona, skills))[:LONGEST],
        tools=(*(_own(name, tool, skills) for name, tool in tools.items()), *_built_in(outcomes)),
        names=frozenset(tools),
        greeting=greeting,
        goodbye=filled(goodbye, persona.known),
        handing_over=filled(handing_over, persona.known),
        outcomes=outcomes,
        _skills=skills,
    )


def filled(text: str, known: Mapping[str, str]) -> str:
    """`text` with its places filled from what is known of the call; a place that nothing fills is left out."""
    text = _PLACE.sub(lambda match: known.get(match[1], ""), text)
    return re.sub(r"\s+([,.?!])", r"\1", " ".join(text.split()))


def word_for_word(text: str) -> str:
    """The instructions for an answer that is `text` and nothing else."""
    return f"Say exactly this, in these words, and nothing before or after: {json.dumps(text, ensure_ascii=False)}"


# --- words


def _instructions(persona: Persona, skills: Sequence[tuple[str, _Map]]) -> Iterator[str]:
    document = persona.document
    job, hand_over = _map(document.get("job")), _map(document.get("hand-over"))
    yield f"You are {persona.name.split('@')[0]}, an AI agent on the telephone. {_text(job.get('purpose'))}"
    yield (
        f"Speak {persona.language}. The line is a telephone's: one or two short sentences, one question at a time, no "
        "lists; read digits one by one."
    )
    yield "You are an AI, and say so when asked. What no tool and no line of this told you, you do not know."
    if scope := _texts(job.get("scope")):
        yield f"Callers come for: {'; '.join(scope)}."
    if refuses := _texts(job.get("refuses")):
        yield f"You do not do this, and offer a person instead: {'; '.join(refuses)}."
    yield (
        "Sounds and words that are not for you need no answer. When a number may have been misheard, read it back. "
        "Before a tool changes anything, have the caller say yes. "
        f"End a call with {FINISH}, and only when the caller is done."
    )
    for name, value in persona.known.items():
        yield f"Known: {name} is {' '.join(value.split())[:200]}."
    for name, skill in skills:
        yield from _skill(name, skill)
    yield from _hand_over(hand_over)
    for talk in map(_map, _map(document.get("small-talk")).values()):
        asked = (
            f"Asked such as {_listed(_texts(talk.get('examples')))}: " if talk.get("examples") else "If it comes up: "
        )
        yield f"{asked}say {_quoted(talk.get('say'))}."
    if more := _text(document.get("anything-else")):
        yield f"When a matter is done: {_quoted(more)}. When the caller is done: {_quoted(document.get('goodbye'))}."


def _skill(name: str, skill: _Map) -> Iterator[str]:
    yield f"\n## {name}\n{_text(skill.get('when'))}"
    if examples := _texts(skill.get("examples")):
        yield f"Callers say: {_listed(examples)}."
    for fact, described in _map(skill.get("needs")).items():
        yield _fact(fact, _map(described))
    if confirm := skill.get("confirm"):
        yield f"Then ask, and wait for a yes: {_quoted(confirm)}"
    replies = _map(skill.get("say"))
    tool = _text(skill.get("tool"))
    if not tool:
        other = _map(replies.get("other"))
        yield f"Say: {_quoted(other.get('say'))}"
        if outcome := _text(skill.get("outcome")):
            yield f"Once that was said, call {OUTCOME} with the name {outcome}."
        return
    yield f"Then call {tool}. By the `status` of its answer say (in braces: values, `result.` of the answer):"
    for status, reply in replies.items():
        told = _map(reply) if not isinstance(reply, str) else {"say": reply}
        then = {"human": f" Then call {HAND_OVER}.", "resolved": f" Then call {FINISH}."}.get(
            _text(told.get("exit")), ""
        )
        again = f" Then ask for {told['ask']} again." if told.get("ask") else ""
        yield f"- {status}: {_quoted(told.get('say'))}{again}{then}"


def _fact(name: str, fact: _Map) -> str:
    bounds = [f"{key} {fact[key]}" for key in ("least", "most") if fact.get(key) is not None]
    length = fact.get("length")
    if isinstance(length, Sequence) and not isinstance(length, str) and len(length) == 2:
        bounds.append(f"{length[0]} digits" if length[0] == length[1] else f"{length[0]} to {length[1]} digits")
    options = [f"{value} ({', '.join(_texts(ways)[:3])})" for value, ways in _map(fact.get("options")).items()]
    kind = ", ".join([_text(fact.get("type")), *bounds, *(["one of " + "; ".join(options)] if options else [])])
    asked = "taken when said, never asked for" if fact.get("optional") else f"ask {_quoted(fact.get('ask'))}"
    read_back = f", read back {_quoted(fact.get('confirm'))}" if fact.get("confirm") else ""
    return f"- needs {name} ({kind}): {asked}{read_back}"


def _hand_over(hand_over: _Map) -> Iterator[str]:
    yield (
        f"\n## A person\nCall {HAND_OVER} when the caller wants a person, when you did not understand "
        f"{hand_over.get('not-understood', 2)} times in a row, or when tools failed "
        f"{hand_over.get('tool-failures', 2)} times. Say {_quoted(hand_over.get('say'))} first."
    )
    for name, topic in _map(hand_over.get("topics")).items():
        told = _map(topic)
        say = f" Say {_quoted(told.get('say'))} first." if told.get("say") else ""
        yield f"Always a person's business: {name}, as in {_listed(_texts(told.get('examples')))}.{say}"


# --- tools


def _own(name: str, tool: _Map, skills: Sequence[tuple[str, _Map]]) -> _Map:
    when = [_text(skill.get("when")) for _, skill in skills if skill.get("tool") == name]
    does = " ".join(filter(None, [_text(tool.get("does")), *when])) or name
    parameters = tool.get("input")
    return _function(
        name, does, parameters if isinstance(parameters, Mapping) else {"type": "object", "properties": {}}
    )


def _built_in(outcomes: frozenset[str]) -> Iterator[_Map]:
    reason: _Map = {
        "type": "object",
        "properties": {"reason": {"type": "string", "description": "In a sentence, for whoever reads or takes over."}},
        "required": ["reason"],
    }
    yield _function(HAND_OVER, "Put the caller through to a person.", reason)
    yield _function(FINISH, "End the call: the caller is done and goodbye was said.", reason)
    if outcomes:
        named: Json = {"type": "string", "enum": sorted(outcomes)}
        evidence: Json = {"type": "string", "description": "What was said that shows it."}
        what: _Map = {
            "type": "object",
            "properties": {"name": named, "evidence": evidence},
            "required": ["name", "evidence"],
        }
        yield _function(OUTCOME, "Put on record that this was reached. Says nothing to the caller.", what)


def _function(name: str, does: str, parameters: Json) -> _Map:
    return {"type": "function", "name": name, "description": does[:1000], "parameters": parameters}


# --- the document's parts


def _map(value: Json) -> _Map:
    return value if isinstance(value, Mapping) else {}


def _text(value: Json) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""


def _texts(value: Json) -> list[str]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_text(item) for item in value if isinstance(item, str)]
    return []


def _quoted(value: Json) -> str:
    return f"“{_text(value)}”"


def _listed(texts: Sequence[str]) -> str:
    return ", ".join(f"“{text}”" for text in texts[:_EXAMPLES])

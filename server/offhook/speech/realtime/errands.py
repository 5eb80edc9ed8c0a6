"""The function calls of the far end: the agent's tools, handing over, finishing, outcomes; and what they came to.

Every call is answered, one that makes no sense with an error that the far end can mend. It says nothing to the caller
and sends nothing; what it decides is handed back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from offhook.speech.contract import Decided, Event, Json, OutcomeReached, ToolResult, ToolWanted
from offhook.speech.realtime import outgoing
from offhook.speech.realtime.briefing import FINISH, HAND_OVER, OUTCOME, Briefing
from offhook.speech.realtime.incoming import Called
from offhook.speech.realtime.memory import LONGEST_RESULT, Memory, far_id

ROUNDS = 6
"""Times in a row that the far end may use tools while the caller says nothing."""
MOST_AT_ONCE = 8
"""Calls of one answer."""


@dataclass(slots=True)
class Done:
    """What calls or a tool's answer lead to."""

    events: list[Event] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    """To be sent to the far end."""
    to_say: bool = False
    """The far end has something to say about it, and is to be asked to."""


class Errands:
    """One conversation's, whatever its connections."""

    def __init__(self, slot: int, briefing: Briefing, memory: Memory) -> None:
        self._slot, self._briefing, self._memory = slot, briefing, memory
        self._far: dict[str, str] = {}  # our id of a call: the far end's on the present connection
        self._rounds = 0
        self._known: set[str] = set()  # the far end's ids of this connection's calls

    def connected(self) -> None:
        """A fresh connection was told of everything."""
        self._known.clear()
        self._far = {entry.id: far_id(entry.id) for entry in self._memory.unanswered()}

    def heard(self) -> None:
        """The caller has said something."""
        self._rounds = 0

    def again(self) -> list[Event]:
        """The tools that are still to answer, wanted anew: what asked for them before is no more."""
        return [
            ToolWanted(self._slot, entry.id, entry.name, _object(entry.text) or {})
            for entry in self._memory.unanswered()
        ]

    def called(self, call: Called, words: str) -> Done:
        """The far end calls a function, after the caller said `words`. A call told of before is nothing new."""
        done = Done()
        if not call.name or call.id in self._known:
            return done
        self._known.add(call.id)
        id = f"{self._memory.connections}.{call.id}"
        self._far[id] = call.id
        self._memory.note("call", call.arguments or "{}", id, call.name)
        arguments = _object(call.arguments or "{}")
        if arguments is None:
            self._answered(done, id, {"error": "the arguments are not a JSON object"})
            done.to_say = True
        elif call.name == HAND_OVER or call.name == FINISH:
            reason = str(arguments.get("reason") or "the agent decided so")[:200]
            self._memory.end = ("human" if call.name == HAND_OVER else "resolved", reason)
            kind = "hand-over" if call.name == HAND_OVER else "small-talk"
            facts = {"reason": reason} if call.name == HAND_OVER else {"about": "goodbye", "reason": reason}
            done.events.append(Decided(self._slot, kind, None, facts, {}, words))
            self._answered(done, id, {"ok": True})
        elif call.name == OUTCOME:
            self._outcome(done, id, arguments, words)
        elif call.name in self._briefing.names:
            self._tool(done, id, call.name, arguments, words)
        else:
            self._answered(done, id, {"error": f"there is no function {call.name[:64]}"})
            done.to_say = True
        return done

    def came(self, result: ToolResult) -> Done:
        """A tool has answered; nothing where nobody waits for it."""
        done = Done()
        entry = next((one for one in self._memory.unanswered() if one.id == result.id), None)
        if entry is None:
            return done
        self._answered(done, entry.id, result.value if result.ok else {"error": result.error})
        done.to_say = True
        outcome = self._briefing.reached(entry.name, result.value) if result.ok else None
        if outcome is not None:
            status = result.value.get("status") if isinstance(result.value, Mapping) else None
            evidence: dict[str, Json] = {"tool": entry.name, "arguments": _object(entry.text) or {}, "status": status}
            done.events.append(OutcomeReached(self._slot, outcome, evidence))
        return done

    def _tool(self, done: Done, id: str, name: str, arguments: Mapping[str, Json], words: str) -> None:
        self._rounds += 1
        if self._rounds > ROUNDS or len(self._memory.unanswered()) > MOST_AT_ONCE:
            self._answered(done, id, {"error": "too many tools in a row; speak with the caller first, or hand over"})
            done.to_say = True
            return
        done.events.append(Decided(self._slot, "skill", self._briefing.skill(name), arguments, {}, words))
        done.events.append(ToolWanted(self._slot, id, name, arguments))

    def _outcome(self, done: Done, id: str, arguments: Mapping[str, Json], words: str) -> None:
        name = arguments.get("name")
        if not isinstance(name, str) or name not in self._briefing.outcomes:
            known = ", ".join(sorted(self._briefing.outcomes)) or "none"
            self._answered(done, id, {"error": f"there is no such outcome; there is {known}"})
            return
        evidence = {"claimed": str(arguments.get("evidence") or "")[:500], "heard": words[:500]}
        done.events.append(OutcomeReached(self._slot, name, evidence))
        self._answered(done, id, {"ok": True})

    def _answered(self, done: Done, id: str, value: Json) -> None:
        text = json.dumps(value, ensure_ascii=False)
        if len(text) > LONGEST_RESULT:
            text = json.dumps({"error": "the answer is too long to be told", "begins": text[: LONGEST_RESULT // 2]})
        self._memory.note("result", text, id)
        done.messages.append(outgoing.result(self._far.pop(id, far_id(id)), text))


def _object(text: str) -> dict[str, Json] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None

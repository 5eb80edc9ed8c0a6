"""Putting an AI agent on the line: a slot of the speech worker, bound to the call's port, until the agent is done.

The model's events become the timeline's; tools run here, beside the event loop, never in the worker. A worker that
dies is waited for while the caller hears a hold phrase, and the conversation goes on from its last memo.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

import structlog

from offhook.agents.tools import CallTools
from offhook.calls import timeline as tl
from offhook.calls.exchange import Employee
from offhook.calls.verbs import AgentExit
from offhook.media import MediaError
from offhook.speech import contract
from offhook.speech.workers import Lost, NotAdmitted, Restored, Slot, SlotEvent

if TYPE_CHECKING:
    from offhook.calls.call import Call

log = structlog.get_logger("offhook.calls")

HOLD_PHRASE = "One moment, please."
TOOL_PATIENCE_S = 1.5
"""How long a caller waits for a tool in silence."""
HOLD_PAUSE_S = 3.0
"""Between one hold phrase and the next."""
MOST_LOSSES = 3
"""A conversation that has seen more workers die may be what kills them: it must not take every fresh one with it."""
RESTORE_LIMIT_S = 30.0
"""How long a conversation waits for a fresh worker before the plan goes on without the agent."""


async def hold(call: Call, name: str, limit_s: float, known: Mapping[str, str]) -> AgentExit:
    """Let the agent `name` talk with the caller; see `verbs.Verbs.agent`."""
    slot = call.hall.speech.reserve()
    if slot is None:
        why = call.hall.speech.refusal
        return _refused(call, name, AgentExit("failed" if why == "down" else "busy", why))
    talk = _Conversation(call, call.hall.employees[name], slot, known)
    try:
        async with asyncio.timeout(limit_s):
            return await talk.run()
    except TimeoutError:
        return talk.left(AgentExit("timeout", f"the limit of {limit_s:g} s ran out"))
    finally:
        await talk.close()


def _refused(call: Call, agent: str, how: AgentExit) -> AgentExit:
    """The agent does not come; whoever asks later why the plan went on without one finds it on the timeline."""
    log.warning("agent not admitted", agent=agent, exit=how.exit, why=how.reason)
    call.timeline.append(tl.AgentRefused(agent, how.exit, how.reason))
    return how


class _Conversation:
    def __init__(self, call: Call, employee: Employee, slot: Slot, known: Mapping[str, str]) -> None:
        self.call = call
        self.agent = employee.agent
        self.tools = CallTools(employee.tools)
        self.slot = slot
        self.known = known
        self.memo: Mapping[str, contract.Json] | None = None
        self.running: set[asyncio.Task[None]] = set()
        self.speech_end: float | None = None
        self.joined = False
        self.talking = False
        self.lost = False  # the worker is: the hold phrase is played over and over

    async def run(self) -> AgentExit:
        try:
            await self._admit()
        except NotAdmitted as refused:
            busy = refused.reason in ("full", "too slow")
            return _refused(self.call, self.agent.agent, AgentExit("busy" if busy else "failed", str(refused)))
        except MediaError as error:  # its voice has no place, as in a room that is full
            return _refused(self.call, self.agent.agent, AgentExit("failed", str(error)))
        self.joined = True
        self.call.agent_name = self.agent.agent
        self.call.timeline.append(tl.AgentJoined(self.agent.agent, self.call.hall.model, self.slot.number))
        self.call.on_keys = lambda digit: self.slot.deliver(contract.Keys(digit))
        self.call.on_talk = self._talk
        return self.left(await self._follow())

    def left(self, how: AgentExit) -> AgentExit:
        if self.joined:
            self.joined = False
            self.call.timeline.append(tl.AgentLeft(how.exit, how.reason))
        return how

    async def close(self) -> None:
        self.call.on_keys = self.call.on_talk = None
        self.call.agent_name = None
        for task in self.running:
            task.cancel()
        self.slot.release()
        self.call.quiet()  # a hold phrase must not go on over what the plan does next
        if not self.call.leg.port.closed:
            self.call.leg.port.unbind()
        if self.joined:
            self.call.timeline.append(tl.AgentLeft("over", "the call ended"))

    async def _admit(self) -> None:
        epoch = self.call.leg.port.bind(self.call.hall.segment, self.slot.number)
        await self.slot.admit(self.agent.persona(self.known, self.memo), epoch)

    async def _follow(self) -> AgentExit:
        events = self.slot.events()
        waiting: float | None = None  # for a fresh worker: the limit
        losses = 0
        while True:
            try:
                event = await asyncio.wait_for(anext(events), waiting)
            except TimeoutError:
                return AgentExit("failed", f"no speech worker came back within {RESTORE_LIMIT_S:g} s")
            except StopAsyncIteration:
                return AgentExit("failed", "the conversation's slot was taken away")
            match event:
                case Lost(why):
                    self.call.timeline.append(tl.WorkerLost(why))
                    losses += 1
                    if losses > MOST_LOSSES:
                        return AgentExit("failed", f"the speech worker was lost {losses} times in this conversation")
                    waiting = RESTORE_LIMIT_S
                    self.lost = True
                    hold_phrase = await self.call.hall.prompts.words(HOLD_PHRASE, self.agent.voice, HOLD_PAUSE_S)
                    self.call.start(hold_phrase, loop=True)
                case Restored():
                    try:
                        await self._admit()
                    except NotAdmitted as refused:
                        if refused.reason == "down":
                            continue  # lost again: another `Restored` will follow
                        return AgentExit("failed", f"the conversation could not go on: {refused}")
                    except MediaError as error:
                        return AgentExit("failed", f"the conversation could not go on: {error}")
                    waiting = None
                    self.lost = False
                    self.call.quiet()
                    self.call.timeline.append(tl.WorkerBack(self.slot.number))
                case contract.Done(_, exit, reason):
                    if exit in ("resolved", "human"):
                        return AgentExit("resolved" if exit == "resolved" else "human", reason)
                    return AgentExit("failed", reason)
                case contract.ToolWanted():
                    self.call.timeline.append(tl.ToolWanted(event.id, event.tool, event.arguments))
                    task = asyncio.create_task(self._use(event))
                    self.running.add(task)
                    task.add_done_callback(self.running.discard)
                case _:
                    self._note(event)

    def _note(self, event: SlotEvent) -> None:
        """Write down what the model reports."""
        write = self.call.timeline.append
        match event:
            case contract.TurnStarted(_, at):
                write(tl.TurnStarted(), self._heard_ms(at))
            case contract.WordsHeard(_, text, start, end, True):
                write(tl.WordsHeard(text, round(self._heard_ms(start), 1), round(self._heard_ms(end), 1)))
            case contract.TurnEnded(_, at, decided_at, why):
                self.speech_end = self._heard_ms(at)
                write(tl.TurnEnded(round(self.speech_end, 1), why), self._heard_ms(decided_at))
            case contract.SpeechStarted(_, utterance, text, _):
                write(tl.SpeechStarted(utterance, text))
            case contract.WordsSpoken(_, utterance, text, _):
                write(tl.WordsSpoken(utterance, text))
            case contract.Interrupted(_, utterance, at, heard, unsaid):
                self.call.hall.metrics.interrupted()
                write(tl.Interrupted(utterance, heard, unsaid), self._heard_ms(at))
            case contract.Decided(_, kind, skill, facts, scores, words):
                write(tl.Decided(kind, words, skill, facts, scores))
            case contract.OutcomeReached(_, outcome, evidence):
                write(tl.OutcomeReached(outcome, evidence))
            case contract.Memo(_, memo):
                self.memo = memo
                write(tl.Memo(memo))

    def _talk(self, began: bool, at_ms: float) -> None:
        """The agent's voice reached the caller: where a turn of the caller was waiting for it, that is the response."""
        self.talking = began
        if began and self.speech_end is not None:
            self.call.hall.metrics.responded(at_ms - self.speech_end)
            self.speech_end = None

    async def _use(self, wanted: contract.ToolWanted) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        work = asyncio.create_task(self.tools.run(wanted))
        done, _ = await asyncio.wait({work}, timeout=TOOL_PATIENCE_S)
        if not done:
            await self._ask_for_patience()
        result = await work
        took_ms = round((loop.time() - began) * 1000, 1)
        self.call.timeline.append(
            tl.ToolAnswered(wanted.id, result.ok, took_ms, result.value, result.error if not result.ok else None)
        )
        self.slot.deliver(dataclasses.replace(result, id=wanted.id))

    async def _ask_for_patience(self) -> None:
        """A tool is slow and the agent has nothing to say meanwhile: the caller must not think the line is dead."""
        prompt = await self.call.hall.prompts.words(HOLD_PHRASE, self.agent.voice)
        if not self.talking and not self.lost and not self.call.over:
            self.call.timeline.append(tl.PromptStarted(HOLD_PHRASE))
            self.call.start(prompt)

    def _heard_ms(self, position: int) -> float:
        """When sample `position` of the caller's stream arrived, on the call's media clock."""
        rows, row = self.call.hall.rows, self.slot.number
        newest, newest_ns = int(rows.heard[row]), int(rows.heard_ns[row])
        port = self.call.leg.port
        newest_ms = (newest_ns - port.opened_ns) / 1e6 if newest_ns else port.clock_ms
        return newest_ms - (newest - position) / (contract.RATE_HZ / 1000)

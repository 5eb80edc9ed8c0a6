"""Walks a call through its dial plan: guards, then the dialled number's flow, step by step, until the call is over.

The plan decides, the `Verbs` act. Every test with the facts it read, every step and the exit it was left by is put on
the call's timeline, so that why a call went as it did can be read there afterwards. No step is retried and nothing is
decided here that the plan does not say, but for three things: a number that is not in the plan is refused with 404, a
flow that runs out of steps ends the call, and so do more than 1,000 steps.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from offhook.calls.timeline import FlowEntered, OutcomeReached, StepBegan, StepLeft, Tested
from offhook.calls.verbs import CallFacts, CallOver, Verbs
from offhook.dialplan.expressions import Expression, Fact, clock_facts, opener
from offhook.dialplan.plan import (
    Agent,
    Dial,
    Disclose,
    Go,
    Guard,
    Handled,
    HangUp,
    If,
    Number,
    Place,
    Plan,
    Record,
    Say,
    Step,
    Voicemail,
    detail,
)
from offhook.dialplan.schema import DEFAULT_LANGUAGE

MAX_STEPS = 1_000
_REASONS = {403: "Forbidden", 404: "Not Found", 480: "Temporarily Unavailable", 486: "Busy Here"}
_REASONS |= {503: "Service Unavailable", 600: "Busy Everywhere", 603: "Decline", 607: "Unwanted"}
_CAUSES = {"answered": "normal", "busy": "busy", "no-answer": "unavailable", "failed": "unavailable"}

_log = structlog.get_logger(__name__)


def now_utc() -> datetime:
    return datetime.now(UTC)


async def run(plan: Plan, verbs: Verbs, facts: CallFacts, clock: Callable[[], datetime] = now_utc) -> None:
    """Lead one call through `plan` and return when it is over. `clock` gives the wall-clock time, with a zone. What a
    verb raises besides `CallOver` is a fault of ours: the call is hung up and the exception passed on."""
    try:
        await _Walk(plan, verbs, facts, clock).run()
    except CallOver:
        return
    except Exception:
        _log.error("a step of the dial plan failed; the call is hung up", call=facts.id, plan=plan.file)
        try:
            await verbs.hang_up("server error")
        except CallOver:
            pass
        raise


class _Walk:
    """One call's way through the plan."""

    def __init__(self, plan: Plan, verbs: Verbs, facts: CallFacts, clock: Callable[[], datetime]) -> None:
        self._plan = plan
        self._verbs = verbs
        self._timeline = verbs.timeline
        self._call = facts
        self._clock = clock
        self._number: Number | None = plan.number(facts.dialled, facts.trunk)
        self._language = self._number.language if self._number is not None else DEFAULT_LANGUAGE
        self._voice = self._number.voice if self._number is not None else None
        self._facts: dict[str, Fact] = {
            "call.id": facts.id,
            "call.from": facts.caller,
            "call.to": facts.dialled,
            "call.lang": self._language,
            "call.trunk": facts.trunk,
            "caller.anonymous": facts.caller in ("", "anonymous"),
            "agent.exit": "",
            "agent.reason": "",
            "dial.exit": "",
            "dial.cause": "",
            **{f"lists.{name}": list(numbers) for name, numbers in plan.lists.items()},
        }

    async def run(self) -> None:
        for guard in self._plan.guards:
            if self._holds(guard.test, guard.place):
                await self._guarded(guard)
                return
        if self._number is None:
            where = self._plan.where(Place(1, 1))
            known = {"call.to": self._call.dialled, "call.trunk": self._call.trunk}
            self._timeline.append(Tested(where, "call.to in numbers", False, known))
            _log.warning("the number is not in the dial plan", call=self._call.id, dialled=self._call.dialled)
            await self._verbs.reject(404, _REASONS[404])
            return
        await self._walk(self._number.flow, f"number {self._number.number}")

    async def _guarded(self, guard: Guard) -> None:
        where = self._plan.where(guard.place)
        if guard.go is not None:
            await self._walk(guard.go, f"guard {where}")
        elif guard.dial is not None:
            exit_name = await self._step(guard.dial)
            self._timeline.append(StepLeft("dial", exit_name))
            await self._verbs.hang_up(_CAUSES[exit_name])
        elif guard.reject is not None:
            self._timeline.append(StepBegan("reject", where, str(guard.reject)))
            await self._verbs.reject(guard.reject, _REASONS.get(guard.reject, "Rejected"))

    async def _walk(self, flow_name: str, because: str) -> None:
        """From the first step of a flow to the end of the call."""
        flow, index = self._plan.flows[flow_name], 0
        self._timeline.append(FlowEntered(flow_name, because))
        for _ in range(MAX_STEPS):
            if index >= len(flow.steps):
                await self._verbs.hang_up("normal")
                return
            step = flow.steps[index]
            exit_name = await self._step(step)
            if isinstance(step, HangUp):
                return
            handled = step.handled.get(exit_name, Handled(step.place))
            self._leave(step, exit_name, handled)
            if handled.go is None:
                index += 1
            else:
                flow, index = self._plan.flows[handled.go], 0
                self._timeline.append(FlowEntered(handled.go, f"{step.kind} {exit_name}"))
        _log.error("the call took more steps than any should", call=self._call.id, flow=flow.name, steps=MAX_STEPS)
        await self._verbs.hang_up("too many steps")

    def _leave(self, step: Step, exit_name: str, handled: Handled) -> None:
        self._timeline.append(StepLeft(step.kind, exit_name, handled.go, handled.outcome, handled.tag))
        if handled.outcome is not None:
            where = self._plan.where(handled.place)
            evidence = {"plan": self._plan.sha256, "where": where, "step": step.kind, "exit": exit_name}
            self._timeline.append(OutcomeReached(handled.outcome, evidence))

    async def _step(self, step: Step) -> str:
        """Take one step; the name of the exit it was left by."""
        self._timeline.append(StepBegan(step.kind, self._plan.where(step.place), detail(step)))
        match step:
            case If():
                return "true" if self._holds(step.test, step.place) else "false"
            case Go():
                return "done"
            case HangUp():
                await self._verbs.hang_up(step.cause)
                return "done"
            case Dial():
                return await self._dial(step)
        await self._verbs.answer()
        match step:
            case Say():
                words = self._plan.prompts.spoken(step.text, self._language)
                await self._verbs.say(words, self._language, self._voice)
            case Disclose():
                words = self._plan.prompts.disclosure(step.what, self._language)
                await self._verbs.disclose(step.what, words, self._language)
            case Record():
                return await self._verbs.record(step.keep)
            case Agent():
                return await self._agent(step)
            case Voicemail():
                words = self._plan.prompts.spoken(step.say, self._language)
                return await self._verbs.voicemail(words, self._language, step.max_s, step.keep)
            case _:
                raise AssertionError(f"no step of kind {step.kind!r} is known here")
        return "done"

    async def _dial(self, step: Dial) -> str:
        await self._verbs.ring()
        left = await self._verbs.dial(step.to, step.ring_s, step.max_s)
        self._facts |= {"dial.exit": left.exit, "dial.cause": left.cause}
        return left.exit

    async def _agent(self, step: Agent) -> str:
        known = {
            "caller": self._call.caller,
            "dialled": self._call.dialled,
            "now": self._clock().astimezone(self._plan.zone).isoformat(timespec="seconds"),
            "language": self._language,
        }
        left = await self._verbs.agent(step.use, step.max_s, known)
        self._facts |= {"agent.exit": left.exit, "agent.reason": left.reason}
        return left.exit

    def _holds(self, test: Expression, place: Place) -> bool:
        """The test's value, with what it read put on record."""
        at = self._clock()
        facts = self._facts | clock_facts(at.astimezone(self._plan.zone))
        answer = test.answer(facts, opener(self._plan.hours, at))
        self._timeline.append(Tested(self._plan.where(place), test.text, answer.value, answer.facts))
        return answer.value

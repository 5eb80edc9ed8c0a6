"""Judges a dial plan: loads it, or says everything that is wrong with it.

`check` gives all faults, errors and warnings; `load_plan` gives the plan or raises. First the file's form is read
(`schema`); only where that is sound is it asked what the steps mean together, since half a plan would be found guilty
of what its other half puts right. The codes and their meanings are in `codes`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from offhook.dialplan import graph
from offhook.dialplan.codes import Code
from offhook.dialplan.expressions import SET_BY, Expression
from offhook.dialplan.numbers import EMERGENCY
from offhook.dialplan.plan import Agent, Dial, Disclose, Guard, If, Place, Plan, Record, Say, Step, Voicemail
from offhook.dialplan.prompts import is_name
from offhook.dialplan.schema import Reader
from offhook.faults import Fault, FileFaults, Severity, quoted
from offhook.yamlfile import Node, load, parse


@dataclass(frozen=True, slots=True)
class Report:
    """What was found: the faults in the order of the file, and the plan where none is an error."""

    faults: tuple[Fault, ...]
    plan: Plan | None


def load_plan(path: Path, agents: Collection[str]) -> Plan:
    """The plan in the file at `path`, which may use these `agents` (`order-desk@1`). Raises `FileFaults` with every
    error; warnings are for `check`."""
    report = check(path, agents)
    if report.plan is None:
        raise FileFaults(fault for fault in report.faults if fault.severity is Severity.ERROR)
    return report.plan


def check(path: Path, agents: Collection[str]) -> Report:
    """Everything that is wrong with the file at `path`. Raises nothing."""
    try:
        return _check(load(path), agents)
    except FileFaults as refused:
        return Report(refused.faults, None)


def check_text(text: bytes, file: str, agents: Collection[str]) -> Report:
    """As `check`, of a file's bytes; `file` is its name in faults."""
    try:
        return _check(parse(text, file), agents)
    except FileFaults as refused:
        return Report(refused.faults, None)


def _check(root: Node, agents: Collection[str]) -> Report:
    plan = Reader(root, agents).read()
    faults = root.source.faults
    if not faults.errors():
        for code, place, what, mend in _judge(plan):
            faults.add(Fault(plan.file, place.line, place.column, code.code, what, mend, code.severity))
    ordered = sorted(faults.found, key=lambda fault: (fault.line, fault.column, fault.code))
    return Report(tuple(ordered), None if faults.errors() else plan)


Finding = tuple[Code, Place, str, str]


def _judge(plan: Plan) -> Iterator[Finding]:
    """What a well-formed plan gets wrong."""
    reached = graph.reach(plan, graph.entries(plan))
    yield from _numbers(plan)
    yield from _emergency(plan)
    yield from _guards(plan)
    yield from _unreached(plan, reached)
    yield from _circles(plan, reached)
    yield from _disclosure(plan)
    yield from _facts(plan)
    yield from _languages(plan)
    yield from _people(plan, reached)


def _numbers(plan: Plan) -> Iterator[Finding]:
    for number in plan.numbers.values():
        if number.number in EMERGENCY:
            what = f"{number.number} is the emergency number in many countries"
            yield Code.EMERGENCY_NUMBER, number.place, what, "give the flow another number"


def _emergency(plan: Plan) -> Iterator[Finding]:
    if "emergency" not in plan.lists:
        return
    first = plan.guards[0] if plan.guards else None
    if first is None or first.dial is None or first.test.text.strip() != "call.to in lists.emergency":
        place = first.place if first is not None else Place(1, 1)
        what = "calls to the numbers in lists.emergency are not put through before everything else"
        yield Code.EMERGENCY, place, what, "make the first guard {if: call.to in lists.emergency, dial: sip:...}"


def _guards(plan: Plan) -> Iterator[Finding]:
    seen: dict[str, Guard] = {}
    for guard in plan.guards:
        above = seen.get(guard.test.text) or seen.get("true")
        if above is not None:
            what = f"this guard never holds: the one in line {above.place.line} does before it"
            yield Code.GUARD_SHADOWED, guard.place, what, "remove it, or put it above that one"
        constant = _constant(guard.test)
        if constant is not None:
            yield _always(guard.place, guard.test, constant)
        seen.setdefault("true" if constant else guard.test.text, guard)


def _unreached(plan: Plan, reached: set[graph.Node]) -> Iterator[Finding]:
    for flow in plan.flows.values():
        if flow.steps and graph.Node(flow.name, 0) not in reached:
            what = f"nothing leads to the flow {quoted(flow.name)}"
            yield Code.FLOW_UNREACHED, flow.place, what, "go to it, give it a number, or remove it"
            continue
        for index, step in enumerate(flow.steps[:-1]):
            if graph.always_leaves(step):
                what = f"no call comes to this step: the `{step.kind}` before it never goes on to it"
                yield Code.STEP_UNREACHED, flow.steps[index + 1].place, what, "remove it, or let an exit lead to `next`"
                break


def _circles(plan: Plan, reached: set[graph.Node]) -> Iterator[Finding]:
    for node in graph.silent_circles(plan, reached):
        what = f"from this step of {quoted(node.flow)} a call can come back to it without the caller hearing anything"
        yield Code.CYCLE, graph.step_at(plan, node).place, what, "lead out of the circle, or say something in it"


def _disclosure(plan: Plan) -> Iterator[Finding]:
    for node, told in sorted(graph.certain(plan).items()):
        step = graph.step_at(plan, node)
        if isinstance(step, Record) and "recording" not in told:
            what = "the call is recorded on a way on which the caller was not told so"
            yield Code.NOT_TOLD_RECORDING, step.place, what, "put `- disclose: [recording]` before it on every way here"
        if isinstance(step, Agent) and "ai" not in told:
            what = f"{step.use} speaks on a way on which the caller was not told that it is an AI"
            yield Code.NOT_TOLD_AI, step.place, what, "put `- disclose: [ai]` before it on every way here"


def _facts(plan: Plan) -> Iterator[Finding]:
    for guard in plan.guards:
        yield from _unset_facts(guard.place, guard.test, frozenset())
    for node, held in sorted(graph.certain(plan).items()):
        step = graph.step_at(plan, node)
        if isinstance(step, If):
            yield from _unset_facts(step.place, step.test, held)
            constant = _constant(step.test)
            if constant is not None:
                yield _always(step.place, step.test, constant)


def _unset_facts(place: Place, test: Expression, held: frozenset[str]) -> Iterator[Finding]:
    for fact in test.reads:
        for beginning, kind in SET_BY.items():
            if fact.startswith(beginning) and kind not in held:
                what = f"{fact} is not known on every way here: it is set by a step `{kind}`"
                yield Code.FACT_NOT_SET, place, what, f"test it only after a step `{kind}`"


def _languages(plan: Plan) -> Iterator[Finding]:
    """Prompts that have no words for a caller who reaches them. Guards' flows can be reached in every language."""
    guarded = [graph.Node(guard.go, 0) for guard in plan.guards if guard.go]
    for language in dict.fromkeys(number.language for number in plan.numbers.values()):
        numbers = [number for number in plan.numbers.values() if number.language == language]
        starts = dict.fromkeys(graph.Node(number.flow, 0) for number in numbers)
        for node in sorted(graph.reach(plan, [*starts, *guarded])):
            step = graph.step_at(plan, node)
            for name in _prompts_of(step):
                if plan.prompts.find(name, language) is None:
                    what = f"the prompt {quoted(name)} has no text in {language}, which {numbers[0].number} speaks"
                    yield Code.PROMPT_LANGUAGE, step.place, what, f"add {name}: {{{language}: ...}} under prompts"


def _people(plan: Plan, reached: set[graph.Node]) -> Iterator[Finding]:
    people = [node for node in graph.nodes(plan) if isinstance(graph.step_at(plan, node), Dial | Voicemail)]
    hopeful = graph.leading_to(plan, people)
    for node in sorted(reached):
        step = graph.step_at(plan, node)
        if not isinstance(step, Agent):
            continue
        target = next(edge.to for edge in graph.edges(plan, node) if edge.exit == "human")
        if target not in hopeful:
            what = f"a caller who asks {step.use} for a person never reaches one"
            mend = "let `human` lead to a `dial` or a `voicemail`"
            yield Code.NO_PERSON, step.handled["human"].place, what, mend


def _prompts_of(step: Step) -> tuple[str, ...]:
    if isinstance(step, Disclose):
        return tuple(f"disclose-{thing}" for thing in step.what)
    text = step.text if isinstance(step, Say) else step.say if isinstance(step, Voicemail) else ""
    return (text,) if is_name(text) else ()


def _constant(test: Expression) -> bool | None:
    """The value of an expression that reads nothing."""
    return None if test.reads or test.asks else test.answer({}, lambda name: False).value


def _always(place: Place, test: Expression, value: bool) -> Finding:
    what = f"{quoted(test.text)} is {str(value).lower()} for every call"
    return Code.ALWAYS_SAME, place, what, "test a fact, or take the condition out"

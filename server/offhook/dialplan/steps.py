"""Reads a flow's steps: which kind each is, what it is given, and where its exits lead."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from offhook.dialplan.codes import Code
from offhook.dialplan.expressions import Expression
from offhook.dialplan.plan import (
    Agent,
    Dial,
    Disclose,
    Go,
    Handled,
    HangUp,
    If,
    Place,
    Record,
    Say,
    Step,
    Voicemail,
)
from offhook.dialplan.prompts import is_name
from offhook.faults import did_you_mean, one_of, quoted
from offhook.yamlfile import Mapping as Table
from offhook.yamlfile import Node, Scalar, Sequence

HANG_UP_CAUSES = ("normal", "busy", "unavailable", "declined")
AGENT_MAX_S = 10 * 60.0
RING_S = 30.0
VOICEMAIL_MAX_S = 120.0
_DAY_S = 86_400.0
_SIP = re.compile(
    r"sips?:(?:[A-Za-z0-9+*#._~!$&'()=-]{1,64}@)?"
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?"
    r"(?:;transport=(?:udp|tcp))?"
)


class Context(Protocol):
    """What a step's reader asks of the file's."""

    @property
    def agents(self) -> Collection[str]: ...
    def expression(self, node: Node) -> Expression | None: ...
    def flow_name(self, node: Node) -> str | None: ...
    def words(self, node: Node, what: str) -> str | None: ...


def read_step(context: Context, node: Node) -> Step | None:
    """The step at `node`; None where something about it was noted as wrong."""
    if node.source.faults.full:
        return None
    if isinstance(node, Scalar) and node.value in _AS_IN:
        Code.STEP_KIND.note(node, f"the step `{node.value}` says nothing more", f"write `{_AS_IN[node.value]}`")
        return None
    if (table := node.as_mapping("a step")) is None:
        return None
    named = [key for key, _ in table if key.value in KINDS]
    if [key.value for key in named] in (["if", "go"], ["go", "if"]):
        return _if(context, table)
    if len(named) != 1:
        key = named[1] if named else next((key for key, _ in table), None)
        word = key.value if key is not None else ""
        what = "a step is of one kind, and this has a second" if named else f"{quoted(word)} is no kind of step"
        mend = "begin a new step with `- `" if named else f"use {one_of(KINDS)}{did_you_mean(word, KINDS)}"
        Code.STEP_KIND.note(key or table, what, mend)
        return None
    kind = named[0].value
    if kind == "if":
        Code.STEP_KIND.note(named[0], "the `if` leads nowhere", "add `go: some-flow` under it")
        return None
    table.only((kind,), f"a step `{kind}`")
    value = table.get(kind)
    return _READERS[kind](context, value, Place(table.line, table.column)) if value is not None else None


def read_dial(context: Context, node: Node, at: Place, in_guard: bool = False) -> Dial | None:
    """A `dial`: in a flow a mapping with all its exits; in a guard, after which the call ends, the address will do."""
    if in_guard and not isinstance(node, Table):
        address = _sip_address(node)
        return Dial(at, {}, address, RING_S, None) if address is not None else None
    keys = ("to", "ring", "max") if in_guard else ("to", "ring", "max", "exits")
    table = _table(node, "dial", keys)
    if table is None:
        return None
    to = table.need("to", "the step `dial`")
    address = _sip_address(to) if to is not None else None
    ring_s = _seconds(table, "ring", "the ring time", RING_S, 1, 300)
    max_s = _seconds(table, "max", "the time limit", None, 1, _DAY_S)
    handled = {} if in_guard else _exits(context, table, Dial)
    if address is None or ring_s is None or handled is None:
        return None
    return Dial(at, handled, address, ring_s, max_s)


def _say(context: Context, node: Node, at: Place) -> Step | None:
    text = context.words(node, "what to say")
    return Say(at, {}, text) if text is not None else None


def _disclose(context: Context, node: Node, at: Place) -> Step | None:
    items = node.items if isinstance(node, Sequence) else (node,)
    what = []
    for item in items:
        thing = item.as_text("a disclosure")
        if thing in ("ai", "recording"):
            what.append(thing)
        elif thing is not None:
            Code.DISCLOSE.note(item, f"{quoted(thing)} is nothing to disclose", "write [ai, recording] or one of them")
    if not items:
        Code.DISCLOSE.note(node, "nothing is disclosed", "write [ai, recording] or one of them")
    return Disclose(at, {}, tuple(dict.fromkeys(what))) if what else None


def _record(context: Context, node: Node, at: Place) -> Step | None:
    table = _table(node, "record", ("keep", "tracks", "exits"))
    if table is None:
        return None
    if (tracks := table.get("tracks")) is not None:
        tracks.as_choice("`tracks`", ("split",))
    keep = _keep(table, "record")
    handled = _exits(context, table, Record)
    return Record(at, handled, keep) if keep is not None and handled is not None else None


def _agent(context: Context, node: Node, at: Place) -> Step | None:
    table = _table(node, "agent", ("use", "max", "exits"))
    if table is None:
        return None
    use = table.need("use", "the step `agent`")
    name = use.as_text("the agent's name") if use is not None else None
    if use is not None and name is not None and name not in context.agents:
        agents = sorted(context.agents)
        mend = f"use {one_of(agents)}" if agents else "write its file and name its folder in the settings"
        what = f"there is no AI agent {quoted(name)}"
        Code.UNKNOWN_AGENT.note(use, what, mend + did_you_mean(name, agents))
    max_s = _seconds(table, "max", "the time limit", AGENT_MAX_S, 1, _DAY_S)
    handled = _exits(context, table, Agent)
    return Agent(at, handled, name, max_s) if name is not None and max_s is not None and handled is not None else None


def _dial(context: Context, node: Node, at: Place) -> Step | None:
    return read_dial(context, node, at)


def _if(context: Context, table: Table) -> Step | None:
    table.only(("if", "go"), "a step `if`")
    condition, target = table.get("if"), table.get("go")
    test = context.expression(condition) if condition is not None else None
    go = context.flow_name(target) if target is not None else None
    if test is None or go is None:
        return None
    at = Place(table.line, table.column)
    return If(at, {"true": Handled(at, go)}, test)


def _go(context: Context, node: Node, at: Place) -> Step | None:
    go = context.flow_name(node)
    return Go(at, {"done": Handled(at, go)}) if go is not None else None


def _voicemail(context: Context, node: Node, at: Place) -> Step | None:
    table = _table(node, "voicemail", ("say", "max", "keep", "exits"))
    if table is None:
        return None
    words = table.need("say", "the step `voicemail`")
    say = context.words(words, "what to say before the tone") if words is not None else None
    max_s = _seconds(table, "max", "the longest message", VOICEMAIL_MAX_S, 5, 3_600)
    keep = _keep(table, "voicemail")
    handled = _exits(context, table, Voicemail)
    if say is None or max_s is None or keep is None or handled is None:
        return None
    return Voicemail(at, handled, say, max_s, keep)


def _hang_up(context: Context, node: Node, at: Place) -> Step | None:
    cause = node.as_choice("the cause to hang up with", HANG_UP_CAUSES)
    return HangUp(at, {}, cause) if cause is not None else None


_READERS: Mapping[str, Callable[[Context, Node, Place], Step | None]] = {
    "say": _say,
    "disclose": _disclose,
    "record": _record,
    "agent": _agent,
    "dial": _dial,
    "go": _go,
    "voicemail": _voicemail,
    "hangup": _hang_up,
}


KINDS = (*_READERS, "if")

_AS_IN = {
    "say": "say: closed",
    "disclose": "disclose: [ai, recording]",
    "record": "record: {keep: 30d}",
    "agent": "agent: {use: order-desk@1, exits: {resolved: {go: bye}, ...}}",
    "dial": "dial: {to: sip:desk@192.0.2.1, ring: 20s, exits: {answered: {go: bye}, ...}}",
    "go": "go: some-flow",
    "voicemail": "voicemail: {say: closed, keep: 30d}",
    "hangup": "hangup: normal",
}
"""Each kind as it is written, for who wrote it otherwise."""


def _table(node: Node, kind: str, keys: tuple[str, ...]) -> Table | None:
    if not isinstance(node, Table):
        Code.STEP_KIND.note(node, f"the step `{kind}` has keys of its own", f"write `{_AS_IN[kind]}`")
        return None
    node.only(keys, f"the step `{kind}`")
    return node


def _seconds(table: Table, key: str, what: str, default: float | None, least: float, most: float) -> float | None:
    node = table.get(key)
    return default if node is None else node.as_seconds(what, least, most)


def _keep(table: Table, kind: str) -> str | None:
    node = table.get("keep")
    if node is None:
        Code.NO_KEEP.note(table, f"the step `{kind}` does not say how long to keep it", "add `keep: 30d`")
        return None
    return node.as_text("`keep`") if node.as_seconds("`keep`", 3_600, 36_500 * _DAY_S) is not None else None


def _sip_address(node: Node) -> str | None:
    address = node.as_text("the address to dial")
    if address is None or _SIP.fullmatch(address):
        return address
    what = f"{quoted(address)} is not a SIP address"
    Code.SIP_ADDRESS.note(node, what, "write sip:user@host, sip:user@host:port or sip:host;transport=tcp")
    return None


def _exits(context: Context, table: Table, kind: type[Step]) -> dict[str, Handled] | None:
    """What the exits written under a step lead to; None where something about them was noted."""
    node = table.get("exits")
    written = node.as_mapping("`exits`") if node is not None else None
    if node is not None and written is None:
        return None
    handled: dict[str, Handled] = {}
    sound = True
    for key, value in written or ():
        if key.value not in kind.EXITS:
            mend = f"use {one_of(kind.EXITS)}{did_you_mean(key.value, kind.EXITS)}"
            Code.EXIT_UNKNOWN.note(key, f"`{kind.kind}` has no exit {quoted(key.value)}", mend)
            sound = False
        elif (leads := _handled(context, value)) is not None:
            handled[key.value] = leads
        else:
            sound = False
    missing = [name for name in kind.EXITS if name not in (written or ())] if kind.MUST_HANDLE else []
    if missing:
        what = f"`{kind.kind}` does not say what follows {one_of(missing).replace(' or ', ' and ')}"
        mend = f"add `{missing[0]}: {{go: some-flow}}` or `{missing[0]}: next` under exits"
        Code.EXIT_MISSING.note(table, what, mend)
    return handled if sound and not missing else None


def _handled(context: Context, node: Node) -> Handled | None:
    at = Place(node.line, node.column)
    if not isinstance(node, Table):
        text = node.as_text("an exit")
        if text == "next":
            return Handled(at)
        if text is not None:
            what = f"an exit cannot lead to {quoted(text)}"
            Code.EXIT_HANDLER.note(node, what, f"write `next`, or {{go: {text if is_name(text) else 'some-flow'}}}")
        return None
    node.only(("go", "outcome", "tag"), "an exit")
    if not len(node):
        Code.EXIT_HANDLER.note(node, "the exit leads nowhere", "write `next`, or {go: some-flow}")
        return None
    go, outcome, tag = node.get("go"), node.get("outcome"), node.get("tag")
    flow = context.flow_name(go) if go is not None else None
    if go is not None and flow is None:
        return None
    return Handled(at, flow, _label(outcome, "an outcome"), _label(tag, "a tag"))


def _label(node: Node | None, what: str) -> str | None:
    text = node.as_text(what) if node is not None else None
    if node is None or text is None or is_name(text):
        return text
    Code.NAME.note(node, f"{quoted(text)} cannot be {what}", "use small letters, digits and hyphens")
    return None

"""Reads a dial plan's file into a `Plan`, noting on the way everything whose form is wrong.

Only form is judged here: keys, numbers, times, expressions, names that must exist. What steps mean together is
`lint`'s. The result is a plan only where no fault was noted; a broken part is left out so that the rest is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from zoneinfo import ZoneInfo, available_timezones

from offhook.dialplan.codes import Code
from offhook.dialplan.expressions import Compiler, Expression, ExpressionError
from offhook.dialplan.hours import Closure, Hours, Opening, read_closure, read_opening
from offhook.dialplan.numbers import is_number, normal_number
from offhook.dialplan.plan import Dial, Flow, Guard, Number, Place, Plan
from offhook.dialplan.prompts import ANY, DISCLOSURES, Prompts, is_name
from offhook.dialplan.steps import read_dial, read_step
from offhook.faults import Fault, did_you_mean, one_of, quoted
from offhook.yamlfile import Mapping as Table
from offhook.yamlfile import Node, Scalar, Sequence

TOP_KEYS = ("dialplan", "timezone", "numbers", "hours", "lists", "guards", "flows", "prompts")
DEFAULT_LANGUAGE = "en"
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?")
_LIST_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")  # expressions read lists.blocked, where a hyphen would be a minus
_EXPRESSION_CODES = {
    "syntax": Code.SYNTAX,
    "name": Code.UNKNOWN_FACT,
    "hours": Code.UNKNOWN_HOURS,
    "list": Code.UNKNOWN_LIST,
    "type": Code.TYPE,
}


def place(node: Node) -> Place:
    return Place(node.line, node.column)


class Reader:
    """Reads one file. Names are gathered first, so that what uses them can be checked as it is read."""

    def __init__(self, root: Node, agents: Collection[str]) -> None:
        self.root = root
        self.agents = agents
        self.zone = ZoneInfo("UTC")
        self.hours: dict[str, Hours] = {}
        self.lists: dict[str, tuple[str, ...]] = {}
        self.prompts = Prompts({})
        self.flow_names: tuple[str, ...] = ()
        self._compiler = Compiler((), ())

    def read(self) -> Plan:
        """The plan; to be used only where the file's faults hold no error."""
        numbers: dict[str, Number] = {}
        guards: tuple[Guard, ...] = ()
        flows: dict[str, Flow] = {}
        top = self.root.as_mapping("a dial plan")
        if top is not None:
            top.only(TOP_KEYS, "a dial plan")
            self._version(top)
            self._timezone(top)
            self.hours = {name: hours for name, node in self._table(top, "hours") if (hours := self._hours(name, node))}
            self.lists = {name: self._list(name, node) for name, node in self._table(top, "lists")}
            self.prompts = Prompts({name: self._prompt(name, node) for name, node in self._table(top, "prompts")})
            lists = [name for name in self._names(top, "lists") if _LIST_NAME.fullmatch(name)]
            self._compiler = Compiler(lists, self._names(top, "hours"))
            self.flow_names = self._names(top, "flows")
            numbers = self._numbers(top)
            guards = tuple(guard for node in self._items(top, "guards") if (guard := self._guard(node)))
            flows = {name: self._flow(name, node) for name, node in self._table(top, "flows")}
        source = self.root.source
        return Plan(source.file, source.sha256, self.zone, numbers, self.hours, self.lists, guards, flows, self.prompts)

    # --- what steps and guards ask for

    def expression(self, node: Node) -> Expression | None:
        """The expression at `node`, checked."""
        scalar = node.as_scalar("an expression")
        if scalar is None or scalar.as_text("an expression") is None:
            return None
        try:
            return self._compiler.compile(scalar.value)
        except ExpressionError as error:
            code = _EXPRESSION_CODES[error.kind]
            line, column = scalar.place(error.line, error.column)
            fault = Fault(scalar.source.file, line, column, code.code, error.what, error.mend, code.severity)
            scalar.source.faults.add(fault)
            return None

    def flow_name(self, node: Node) -> str | None:
        """The name at `node`, of a flow that exists."""
        name = node.as_text("the name of a flow")
        if name is None or name in self.flow_names:
            return name
        known = f"use {one_of(self.flow_names)}" if self.flow_names else "add it under flows:"
        Code.UNKNOWN_FLOW.note(node, f"there is no flow {quoted(name)}", known + did_you_mean(name, self.flow_names))
        return None

    def words(self, node: Node, what: str) -> str | None:
        """A prompt's name, which must exist, or the words to say."""
        text = node.as_text(what)
        if text is None or not is_name(text) or text in self.prompts.texts or text in DISCLOSURES:
            return text
        mend = f"add it under prompts:, or write the sentence itself{did_you_mean(text, self.prompts.texts)}"
        Code.UNKNOWN_PROMPT.note(node, f"there is no prompt {quoted(text)}", mend)
        return None

    # --- the file's parts

    def _version(self, top: Table) -> None:
        version = top.get("dialplan")
        if not isinstance(version, Scalar) or version.value != "1":
            Code.VERSION.note(
                version if version is not None else top,
                "the file does not say which format it has",
                "write `dialplan: 1`",
            )

    def _timezone(self, top: Table) -> None:
        node = top.need("timezone", "the dial plan")
        name = node.as_text("the time zone") if node is not None else None
        if node is None or name is None:
            return
        if name in available_timezones():
            self.zone = ZoneInfo(name)
            return
        mend = f"use a name such as Europe/Berlin or UTC{did_you_mean(name, available_timezones())}"
        Code.TIMEZONE.note(node, f"there is no time zone {quoted(name)}", mend)

    def _table(self, top: Table, key: str) -> list[tuple[str, Node]]:
        """The entries of the mapping under `key`; names of the wrong form are noted."""
        node = top.get(key)
        table = node.as_mapping(f"`{key}`") if node is not None else None
        entries = []
        for name, value in table or ():
            if not (_LIST_NAME.fullmatch(name.value) if key == "lists" else is_name(name.value)):
                joint = "underscores, beginning with a letter" if key == "lists" else "hyphens"
                what = f"{quoted(name.value)} cannot be a name in {key}"
                Code.NAME.note(name, what, f"use small letters, digits and {joint}")
            entries.append((name.value, value))
        return entries

    def _names(self, top: Table, key: str) -> tuple[str, ...]:
        node = top.get(key)
        return tuple(name.value for name, _ in node) if isinstance(node, Table) else ()

    def _items(self, top: Table, key: str) -> tuple[Node, ...]:
        node = top.get(key)
        items = node.as_sequence(f"`{key}`") if node is not None else None
        return items.items if items is not None else ()

    def _hours(self, name: str, node: Node) -> Hours | None:
        table = node.as_mapping(f"the hours {quoted(name)}")
        if table is None:
            return None
        table.only(("open", "closures"), f"the hours {quoted(name)}")
        openings = []
        for item in self._items(table, "open"):
            text = item.as_text("an opening time")
            opening = read_opening(text) if text is not None else None
            if isinstance(opening, Opening):
                openings.append(opening)
            elif opening is not None:
                mend = "write days and times, as in mon-fri 09:00-18:00 or sat 10:00-14:00"
                Code.OPENING.note(item, f"{quoted(text or '')} {opening}", mend)
        closures = []
        for item in self._items(table, "closures"):
            text = item.as_text("a closure")
            closure = read_closure(text) if text is not None else None
            if isinstance(closure, Closure):
                closures.append(closure)
            elif closure is not None:
                mend = "write 2026-12-25, 2026-12-24..2027-01-01, or 12-25 for every year"
                Code.CLOSURE.note(item, f"{quoted(text or '')} {closure}", mend)
        listed = table.get("open")
        if listed is None or (isinstance(listed, Sequence) and not listed.items):
            Code.NEVER_OPEN.note(table, f"the hours {quoted(name)} never open", "add open: [mon-fri 09:00-18:00]")
        return Hours(self.zone, tuple(openings), tuple(closures))

    def _list(self, name: str, node: Node) -> tuple[str, ...]:
        items = node.as_sequence(f"the list {quoted(name)}")
        numbers = []
        for item in items or ():
            text = item.as_text("a number")
            if text is not None and (number := self._number_text(item, text)) is not None:
                numbers.append(number)
        return tuple(numbers)

    def _number_text(self, node: Node, text: str) -> str | None:
        number = normal_number(text)
        if is_number(number):
            return number
        mend = 'write it with plus and country code, as in "+442079460000", or as an extension of 2 to 8 digits'
        Code.NUMBER.note(node, f"{quoted(text)} is not a telephone number", mend)
        return None

    def _prompt(self, name: str, node: Node) -> Mapping[str, str]:
        if not isinstance(node, Table):
            text = node.as_text(f"the prompt {quoted(name)}")
            return {ANY: text} if text is not None else {}
        texts = {}
        for language, words in node:
            text = words.as_text(f"the prompt {quoted(name)}")
            if self._language(language) is not None and text is not None:
                texts[language.value] = text
        return texts

    def _language(self, node: Node) -> str | None:
        tag = node.as_text("a language")
        if tag is None or _LANGUAGE.fullmatch(tag):
            return tag
        Code.LANGUAGE.note(node, f"{quoted(tag)} is not a language", "write a tag such as en, en-GB or zh")
        return None

    def _numbers(self, top: Table) -> dict[str, Number]:
        node = top.get("numbers")
        table = node.as_mapping("`numbers`") if node is not None else None
        if node is None or (table is not None and not len(table)):
            mend = 'add one, as in numbers: {"+15550100": {flow: front-door, lang: en}}'
            Code.NO_NUMBERS.note(table if table is not None else top, "the plan has no numbers", mend)
        numbers: dict[str, Number] = {}
        seen: dict[str, int] = {}
        for key, value in table or ():
            if key.source.faults.full:
                break
            number = self._number_text(key, key.value)
            if number is None:
                continue
            if (first := seen.get(number.lstrip("+"))) is not None:
                mend = f"keep one of the two; the other is in line {first}"
                Code.NUMBER_TWICE.note(key, f"{key.value} can be dialled the same way as another number", mend)
                continue
            seen[number.lstrip("+")] = key.line
            entry = self._number(key, number, value)
            if entry is not None:
                numbers[number] = entry
        return numbers

    def _number(self, key: Scalar, number: str, node: Node) -> Number | None:
        table = node.as_mapping(f"the number {key.value}")
        if table is None:
            return None
        table.only(("flow", "lang", "trunk", "voice"), f"the number {key.value}")
        flow = table.need("flow", f"the number {key.value}")
        name = self.flow_name(flow) if flow is not None else None
        language = self._language(lang) if (lang := table.get("lang")) is not None else DEFAULT_LANGUAGE
        trunk = text.as_text("the trunk") if (text := table.get("trunk")) is not None else None
        voice = text.as_text("the voice") if (text := table.get("voice")) is not None else None
        if name is None or language is None:
            return None
        return Number(place(key), number, name, language, trunk, voice)

    def _guard(self, node: Node) -> Guard | None:
        table = node.as_mapping("a guard") if not node.source.faults.full else None
        if table is None:
            return None
        table.only(("if", "reject", "dial", "go"), "a guard")
        condition = table.need("if", "the guard")
        test = self.expression(condition) if condition is not None else None
        actions = [key for key, _ in table if key.value in ("reject", "dial", "go")]
        if len(actions) != 1:
            mend = "give it one of `reject: 603`, `dial: sip:...` and `go: some-flow`"
            Code.GUARD_ACTION.note(actions[1] if actions else table, f"the guard does {len(actions)} things", mend)
            return None
        action = table.get(actions[0].value)
        if action is None or test is None:
            return None
        if actions[0].value == "go":
            go = self.flow_name(action)
            return Guard(place(table), test, go=go) if go is not None else None
        if actions[0].value == "dial":
            dial: Dial | None = read_dial(self, action, place(table), in_guard=True)
            return Guard(place(table), test, dial=dial) if dial is not None else None
        return self._reject(table, test, action)

    def _reject(self, table: Table, test: Expression, action: Node) -> Guard | None:
        text = action.as_text("the status to reject with")
        if text is None:
            return None
        if re.fullmatch(r"[456][0-9]{2}", text):
            return Guard(place(table), test, reject=int(text))
        mend = "use 603 (declined), 404 (no such number), 486 (busy) or 503 (not now)"
        Code.REJECT_STATUS.note(action, f"{quoted(text)} is no status to reject a call with", mend)
        return None

    def _flow(self, name: str, node: Node) -> Flow:
        items = node.as_sequence(f"the flow {quoted(name)}")
        if items is not None and not items.items:
            Code.EMPTY_FLOW.note(node, f"the flow {quoted(name)} has no steps", "add one, as in [hangup: normal]")
        steps = [step for item in items or () if (step := read_step(self, item)) is not None]
        return Flow(place(node), name, tuple(steps))

"""The plan's conditions: expressions of Google's CEL over the facts of a call, typed and checked when they are loaded.

An expression reads facts, compares them and asks `open("office")` or `closed("office")`; it can change nothing, cannot
run for long (CEL bounds its steps, and its patterns are RE2's) and has no other functions than CEL's own. Language:
https://github.com/google/cel-spec. This module knows the facts, not the plan around them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cel_expr_python import cel

from offhook.dialplan.hours import WEEKDAYS, Hours
from offhook.faults import did_you_mean, one_of, quoted
from offhook.speech.contract import Json

Fact = str | int | bool | Sequence[str]

FACTS: Mapping[str, str] = {
    "call.id": "string",
    "call.from": "string",
    "call.to": "string",
    "call.lang": "string",
    "call.trunk": "string",
    "caller.anonymous": "bool",
    "now.hour": "int",
    "now.minute": "int",
    "now.weekday": "string",
    "now.date": "string",
    "now.time": "string",
    "agent.exit": "string",
    "agent.reason": "string",
    "dial.exit": "string",
    "dial.cause": "string",
}
"""Every fact and its CEL type. `now.weekday` is `mon` to `sun`, `now.date` `2026-12-25`, `now.time` `09:05`, all in the
plan's time zone."""

SET_BY = {"agent.": "agent", "dial.": "dial"}
"""Facts with these beginnings exist only after a step of this kind."""

MAX_LENGTH = 1_000
_TYPES = {"string": cel.Type.STRING, "int": cel.Type.INT, "bool": cel.Type.BOOL}
_TOKEN = re.compile(
    r"""(?P<string>[rRbB]{0,2}(?:"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))"""
    r"|(?P<name>[A-Za-z_]\w*(?:\s*\.\s*[A-Za-z_]\w*)*)|(?P<other>\S)"
)


class ExpressionError(Exception):
    """An expression cannot be used: `kind` is `syntax`, `name`, `hours`, `list` or `type`; `line` and `column` count
    from 1 within the expression."""

    def __init__(self, kind: str, line: int, column: int, what: str, mend: str) -> None:
        super().__init__(what)
        self.kind, self.line, self.column, self.what, self.mend = kind, line, column, what, mend


@dataclass(frozen=True, slots=True)
class Answer:
    """What an expression came to, and the facts it read. An expression that cannot be computed for this call (a
    division by zero, a broken pattern) is not true, and `facts["error"]` says why."""

    value: bool
    facts: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked expression. `reads` are the facts and lists in it, `asks` the hours."""

    text: str
    reads: tuple[str, ...]
    asks: tuple[str, ...]
    _environment: cel.Env
    _compiled: cel.Expression

    def answer(self, facts: Mapping[str, Fact], is_open: Callable[[str], bool]) -> Answer:
        """The expression's value for these facts; `is_open` answers for hours by name."""
        read: dict[str, Json] = {name: facts[name] for name in self.reads if not name.startswith("lists.")}
        read |= {f'open("{name}")': is_open(name) for name in self.asks}
        functions = [
            cel.Function("open", [cel.Type.STRING], False, is_open, cel.Type.BOOL),
            cel.Function("closed", [cel.Type.STRING], False, lambda name: not is_open(name), cel.Type.BOOL),
        ]
        try:
            activation = self._environment.Activation({name: facts[name] for name in self.reads}, functions=functions)
            value = self._compiled.eval(activation)
        except RuntimeError as error:
            return Answer(False, {**read, "error": _short(str(error))})
        if value.type() != cel.Type.BOOL:
            return Answer(False, {**read, "error": _short(str(value.value()))})
        return Answer(bool(value.value()), read)


class Compiler:
    """Checks and compiles a plan's expressions, given the names of its number lists and hours."""

    def __init__(self, lists: Collection[str], hours: Collection[str]) -> None:
        self._lists = [f"lists.{name}" for name in lists]
        self._hours = list(hours)
        variables = {name: _TYPES[kind] for name, kind in FACTS.items()}
        variables |= {name: cel.Type.List(cel.Type.STRING) for name in self._lists}
        # Declared in an extension and without a body, they are bound when an expression is evaluated.
        asks = [
            cel.FunctionDecl(name, [cel.Overload(f"{name}_hours", cel.Type.BOOL, [cel.Type.STRING])])
            for name in ("open", "closed")
        ]
        self._environment = cel.NewEnv(variables=variables, extensions=[cel.CelExtension("hours", asks)])

    def compile(self, text: str) -> Expression:
        """Raises `ExpressionError` where `text` does not parse, names what does not exist, or is not a truth value."""
        if len(text) > MAX_LENGTH:
            raise ExpressionError("syntax", 1, 1, f"the expression is longer than {MAX_LENGTH} characters", "split it")
        asks = self._check_hours(text)
        try:
            compiled = self._environment.compile(text)
        except RuntimeError as error:
            raise self._explain(text, str(error)) from None
        if compiled.return_type() != cel.Type.BOOL:
            kind = compiled.return_type().name().lower()
            what = f"the expression is a value of type {kind}, not true or false"
            raise ExpressionError("type", 1, 1, what, 'compare it, as in call.lang == "en"')
        known = {*FACTS, *self._lists}
        reads = dict.fromkeys(name for token in _names(text) if (name := _longest_known(token, known)))
        return Expression(text, tuple(reads), asks, self._environment, compiled)

    def _check_hours(self, text: str) -> tuple[str, ...]:
        """The hours asked for, each a name in quotes, so that every one can be checked before a call comes."""
        asked: dict[str, None] = {}
        tokens = [(match, match.lastgroup) for match in _TOKEN.finditer(text)]
        for index, (token, kind) in enumerate(tokens):
            if kind != "name" or token.group() not in ("open", "closed") or not _is(tokens, index + 1, "("):
                continue
            argument, argument_kind = tokens[index + 2] if index + 2 < len(tokens) else (token, "other")
            line, column = _place(text, argument.start())
            if argument_kind != "string" or not _is(tokens, index + 3, ")"):
                what = f"{token.group()}() is not given one name of hours in quotes"
                raise ExpressionError("hours", line, column, what, f'write {token.group()}("{self._an_hours_name()}")')
            name = argument.group().lstrip("rRbB")[1:-1]
            if name not in self._hours:
                known = one_of(self._hours) if self._hours else "hours: to the plan first"
                mend = f"use {known}{did_you_mean(name, self._hours)}" if self._hours else f"add {known}"
                raise ExpressionError("hours", line, column, f"there are no hours {quoted(name)}", mend)
            asked[name] = None
        return tuple(asked)

    def _an_hours_name(self) -> str:
        return self._hours[0] if self._hours else "office"

    def _explain(self, text: str, said: str) -> ExpressionError:
        """CEL's first complaint, in words for whoever wrote the plan."""
        match = re.search(r"ERROR: <input>:(\d+):(\d+): ([^\n]*)", said)
        if match is None:
            return ExpressionError("syntax", 1, 1, f"the expression cannot be read: {_short(said)}", "make it simpler")
        line, column, complaint = int(match[1]), int(match[2]), match[3].split(" [INVALID_ARGUMENT]")[0]
        if undeclared := re.match(r"undeclared reference to '([^']*)'", complaint):
            return self._unknown(text, line, column, undeclared[1])
        if overload := re.match(r"found no matching overload for '([^']*)' applied to '\(([^']*)\)'", complaint):
            sign = overload[1].strip("_").replace("_", "")
            what = f"{sign} does not work on {overload[2].replace(', ', ' and ')}"
            return ExpressionError(
                "type", line, column, what, "compare texts with texts in quotes, numbers with numbers"
            )
        what = _short(complaint.split(" expecting")[0].replace("'<EOF>'", "the end"))
        what = what.replace("Syntax error: ", "").replace("token recognition error at:", "it has no place for")
        return ExpressionError("syntax", line, column, f"the expression does not parse: {what}", _syntax_hint(text))

    def _unknown(self, text: str, line: int, column: int, name: str) -> ExpressionError:
        # CEL points at a name's last dot or its bracket; the reader looks for where the name begins.
        row = (text.split("\n")[line - 1 : line] or [""])[0]
        start = row.rfind(name, 0, column - 1 + len(name))
        column = start + 1 if start >= 0 else column
        if name in self._hours:
            return ExpressionError(
                "name", line, column, f"there is no fact {quoted(name)}", f'put it in quotes: "{name}"'
            )
        if name.startswith("lists."):
            mend = f"add it under lists:{did_you_mean(name, self._lists)}"
            return ExpressionError("list", line, column, f"there is no list {quoted(name[6:])}", mend)
        known = [*FACTS, *self._lists, "open", "closed"]
        guess = did_you_mean(name, known)
        facts = [fact for fact in FACTS if fact.split(".")[0] == name.split(".")[0]] or list(FACTS)
        mend = f"use {one_of(facts)}{guess}; texts stand in quotes"
        return ExpressionError("name", line, column, f"there is no fact or function {quoted(name)}", mend)


def clock_facts(local: datetime) -> dict[str, Fact]:
    """The `now.` facts at `local`, a time in the plan's zone."""
    return {
        "now.hour": local.hour,
        "now.minute": local.minute,
        "now.weekday": WEEKDAYS[local.weekday()],
        "now.date": local.date().isoformat(),
        "now.time": local.strftime("%H:%M"),
    }


def opener(hours: Mapping[str, Hours], at: datetime) -> Callable[[str], bool]:
    """Answers `open(name)` as of `at`."""
    return lambda name: hours[name].is_open(at)


def _is(tokens: list[tuple[re.Match[str], str | None]], index: int, sign: str) -> bool:
    return index < len(tokens) and tokens[index][0].group() == sign


def _names(text: str) -> list[str]:
    return ["".join(token["name"].split()) for token in _TOKEN.finditer(text) if token["name"]]


def _longest_known(dotted: str, known: Collection[str]) -> str | None:
    parts = dotted.split(".")
    candidates = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((name for name in candidates if name in known), None)


def _syntax_hint(text: str) -> str:
    names = _names(text)
    if any(name in ("and", "or", "not") for name in names):
        return "write && for and, || for or, ! for not"
    if turned := re.search(r"=([<>])", text):
        return f"write {turned[1]}="
    if re.search(r"(?<![=!<>])=(?!=)", text):
        return "compare with =="
    return "write it as in call.from in lists.blocked && now.hour >= 9"


def _place(text: str, position: int) -> tuple[int, int]:
    before = text[:position]
    return before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1


def _short(text: str) -> str:
    return " ".join(text.split())[:160]

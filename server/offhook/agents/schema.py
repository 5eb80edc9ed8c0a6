"""Reading an agent's file: string-only YAML with positions in, a typed `Agent` out, or every fault it has.

Faults name file, line and column, what is wrong and what would mend it. What the words of the file mean is in
`job`; nothing here runs an agent or loads its tools.

Codes: AG001 key missing, AG002 unknown key, AG003 wrong value, AG010 unknown tool, AG011 a reply is missing, AG012 a
place in a text that nothing fills, AG013 digits without a length, AG014 a choice without options, AG015 Python entry
point not found, AG016 not a JSON Schema, AG017 a tool's input that the skill does not fill, AG018 an example in two
skills, AG019 unknown fact, AG020 neither skills nor a mind, AG021 a skill without examples (warning), AG022 a tool that
no skill uses (warning), AG023 small talk that nothing leads to, AG024 a voice that is not there (warning), AG025 a
language that the agent's own sentences are not in (warning).
"""

from __future__ import annotations

import ast
import collections.abc
import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import get_args, get_origin

from jsonschema import Draft202012Validator, SchemaError
from pydantic import BaseModel, ValidationError

from offhook.agents.courtesies import Courtesy
from offhook.agents.job import PLACE, Agent, FactType, Skill, Tool
from offhook.faults import Fault, FileFaults, Severity, did_you_mean
from offhook.weights import read_registry
from offhook.yamlfile import Mapping, Node, Plain, Scalar, Sequence, load

KNOWN_PLACES = frozenset({"caller", "dialled", "now"})
"""Filled from what is known of the call."""

Path_ = tuple[str | int, ...]


def load_agent(path: Path) -> Agent:
    """The agent that the file at `path` describes.

    Raises `offhook.faults.FileFaults` with every fault found, each with its line and column (1-based)."""
    agent, root = _read(path)
    root.source.faults.raise_errors()
    return agent


def lint_agent(path: Path) -> list[Fault]:
    """Everything wrong with the file at `path`, warnings too, in the order of the file."""
    try:
        _, root = _read(path)
    except FileFaults as refused:
        return list(refused.faults)
    return sorted(root.source.faults.found, key=lambda fault: (fault.line, fault.column, fault.code))


def find_agents(folders: Iterable[Path]) -> dict[str, Path]:
    """The agents' files under `folders` by `name@version`: YAML files whose first key is `agent`. The earlier folder
    wins where a version stands twice. Files are not checked further; that is `load_agent`'s business."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted([*folder.rglob("*.yaml"), *folder.rglob("*.yml")]):
            try:
                root = load(path)
            except FileFaults:
                continue
            name = root.get("agent") if isinstance(root, Mapping) else None
            if isinstance(name, Scalar):
                found.setdefault(name.value.strip(), path)
    return found


def _read(path: Path) -> tuple[Agent, Node]:
    root = load(path)
    if root.as_mapping("an agent's file") is None:
        root.source.faults.raise_errors()
    plain = root.plain()
    assert isinstance(plain, dict)
    raw: dict[str, object] = {**plain, "folder": path.resolve().parent}
    if isinstance(tools := plain.get("tools"), dict):
        raw["tools"] = {name: _with_schemas(tool) for name, tool in tools.items()}
    try:
        agent = Agent.model_validate(raw)
    except ValidationError as error:
        for one in error.errors(include_url=False, include_input=False):
            _schema_fault(root, one["type"], tuple(one["loc"]), one["msg"])
        raise FileFaults(root.source.faults.found) from None
    _Check(agent, root).run()
    return agent, root


# --- faults of shape


def _schema_fault(root: Node, kind: str, loc: Path_, message: str) -> None:
    """Note what pydantic found at `loc`, at the deepest place of the file that is on the way there."""
    node: Node = root
    key: Node = root
    rest = [part for part in loc if part != "[key]"]
    for depth, part in enumerate(rest):
        if isinstance(node, Mapping) and isinstance(part, str) and part in node:
            found, name = node.get(part), node.key(part)
            assert found is not None and name is not None
            node, key = found, name
        elif isinstance(node, Sequence) and isinstance(part, int) and part < len(node):
            node = key = node.items[part]
        else:
            rest = rest[depth:]
            break
    else:
        rest = []
    where = ".".join(str(part) for part in loc if part != "[key]")
    if kind == "missing":
        node.fault("AG001", f"`{where}` is missing", f"add `{loc[-1]}:` here")
    elif kind == "extra_forbidden":
        known = _keys_beside(loc)
        use = f"use {', '.join(known)}{did_you_mean(str(loc[-1]), known)}" if known else "drop it"
        key.fault("AG002", f"`{loc[-1]}` is not a key that may stand here", use)
    elif loc and loc[-1] == "[key]":
        key.fault("AG003", f"`{where}` is not a name", "use small letters, digits and single - or _, letter first")
    else:
        said = _PLAINLY.get(kind) or message.removeprefix("Value error, ").replace("Input should be", "it should be", 1)
        pattern = _WRITTEN.get(str(loc[-1])) if kind == "string_pattern_mismatch" and loc else None
        node.fault(
            "AG003", f"`{where}` cannot be so: {said}", pattern or _MEND.get(kind, "write what is asked for here")
        )


def _keys_beside(loc: Path_) -> list[str]:
    """The keys that may stand where `loc` ends in one that may not; none where that cannot be told."""
    part: type[BaseModel] | None = _part_at(Agent, [one for one in loc[:-1] if one != "[key]"])
    fields = part.model_fields.items() if part is not None else ()
    return [field.alias or name for name, field in fields if (part, name) != (Agent, "folder")]


def _part_at(kind: object, rest: list[str | int]) -> type[BaseModel] | None:
    """The model that `kind`, a model or a type made of them, has at the place `rest` below it."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if not rest:
            return kind
        field = next((f for name, f in kind.model_fields.items() if rest[0] in (f.alias, name)), None)
        return _part_at(field.annotation, rest[1:]) if field is not None else None
    inside = [one for one in get_args(kind) if one is not type(None)]
    if get_origin(kind) in (collections.abc.Mapping, tuple):
        return _part_at(inside[-1] if get_origin(kind) is not tuple else inside[0], rest[1:]) if rest else None
    return next((found for one in inside if (found := _part_at(one, rest)) is not None), None)


_PLAINLY = {
    "string_pattern_mismatch": "that is not how it is written",
    "model_type": "it must have keys of its own",
    "model_attributes_type": "it must have keys of its own",
    "mapping_type": "it must have keys of its own",
    "dict_type": "it must have keys of its own",
    "tuple_type": "it must be a list",
    "string_type": "it must be one text",
}
"""What pydantic says in Python's words."""

_WRITTEN = {
    "agent": "write name and version, as in `library@1`: small letters, digits and -",
    "language": "write a language tag, as in `en-US`",
    "url": "write an address that begins with http:// or https://",
    "base-url": "write an address that begins with http:// or https://",
    "key-env": "write the name of an environment variable, as in `CHAT_KEY`",
    "python": "write `module:function`, the module a file beside this one",
}

_MEND = {
    "string_pattern_mismatch": "names are small letters, digits, - and _; an agent is called name@1",
    "value_error": "change it so",
    "enum": "use one of these",
    "literal_error": "use one of these",
    "string_too_short": "write a text",
    "string_too_long": "shorten it: a caller has to listen to it",
    "too_long": "shorten the list",
    "float_parsing": "write a number, a share as 70%, a time as 3s or 500ms",
    "model_type": "write `name: value` lines under it",
    "model_attributes_type": "write `name: value` lines under it",
    "mapping_type": "write `name: value` lines under it",
    "dict_type": "write `name: value` lines under it",
    "tuple_type": "write it as [one, two] or as `- ` lines",
    "string_type": "write one text",
}

_NUMBERS = frozenset("minLength maxLength minItems maxItems minProperties maxProperties".split())
_ANY_NUMBERS = frozenset("minimum maximum exclusiveMinimum exclusiveMaximum multipleOf".split())
_FLAGS = frozenset("additionalProperties uniqueItems".split())


def _with_schemas(tool: Plain) -> object:
    if not isinstance(tool, dict):
        return tool
    return {key: _typed(value) if key in ("input", "output") else value for key, value in tool.items()}


def _typed(schema: Plain) -> object:
    """A JSON Schema whose every scalar was read as text, with the numbers and flags that its keywords call for."""
    if isinstance(schema, list):
        return [_typed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    out: dict[str, object] = {}
    for key, value in schema.items():
        if isinstance(value, str) and key in _NUMBERS and value.isdecimal():
            out[key] = int(value)
        elif isinstance(value, str) and key in _ANY_NUMBERS:
            try:
                out[key] = int(value) if value.lstrip("-").isdecimal() else float(value)
            except ValueError:
                out[key] = value
        elif key in _FLAGS and value in ("true", "false", "yes", "no"):
            out[key] = value in ("true", "yes")
        else:
            out[key] = _typed(value)
    return out


# --- faults of sense


class _Check:
    """What no schema can see: names that lead nowhere, places that nothing fills, tools that are not there."""

    def __init__(self, agent: Agent, root: Node) -> None:
        self.agent = agent
        self.root = root

    def run(self) -> None:
        if not self.agent.skills and self.agent.mind is None:
            self._fault((), "AG020", "the agent has neither skills nor a mind", "add `skills:`, or `mind: {chat: ...}`")
        self._voice()
        seen: dict[str, str] = {}
        for name, skill in self.agent.skills.items():
            self._skill(name, skill)
            for i, example in enumerate(skill.examples):
                if (other := seen.setdefault(example.lower(), name)) != name:
                    what = f"this example is also one of `{other}`"
                    self._fault(("skills", name, "examples", i), "AG018", what, "keep it where it belongs")
        used = {skill.tool for skill in self.agent.skills.values()}
        for name, tool in self.agent.tools.items():
            self._tool(name, tool)
            if name not in used and self.agent.mind is None:
                self._fault(("tools", name), "AG022", f"no skill uses `{name}`", "drop it, or use it", Severity.WARNING)
        courtesies = {courtesy.value for courtesy in Courtesy}
        for name, talk in self.agent.small_talk.items():
            if not talk.examples and name not in courtesies:
                mend = f"write `{{say: ..., examples: [...]}}`{did_you_mean(name, courtesies)}"
                self._fault(("small-talk", name), "AG023", f"`{name}` has no examples to be understood by", mend)
        for key in ("greeting", "goodbye", "anything-else"):
            self._places((key,), getattr(self.agent, key.replace("-", "_")), set())

    def _voice(self) -> None:
        voices = sorted(name for name, weight in read_registry().items() if weight.purpose.startswith("voice ("))
        if self.agent.voice not in voices:
            mend = f"use {', '.join(voices)}{did_you_mean(self.agent.voice, voices)}, or add it to models/registry.toml"
            self._fault(("voice",), "AG024", f"there is no voice `{self.agent.voice}`", mend, Severity.WARNING)
        if self.agent.language.split("-")[0] != "en" and self.agent.mind is None:
            what = f"an agent of skills understands and asks back in English, not in {self.agent.language}"
            self._fault(("language",), "AG025", what, "write `en-US` or `en-GB`", Severity.WARNING)

    def _skill(self, name: str, skill: Skill) -> None:
        at: Path_ = ("skills", name)
        if not skill.examples:
            what = f"`{name}` has no examples, and is understood by its `when` alone"
            self._fault(at, "AG021", what, "add some of the ways callers say it", Severity.WARNING)
        if skill.tool is not None and skill.tool not in self.agent.tools:
            mend = f"describe it under `tools:`{did_you_mean(skill.tool, self.agent.tools)}"
            self._fault((*at, "tool"), "AG010", f"there is no tool `{skill.tool}`", mend)
        if "other" not in skill.say:
            what = "no reply for what is not foreseen" if skill.tool else "no reply"
            self._fault((*at, "say"), "AG011", f"`{name}` has {what}", "add `other:` with a text")
        facts = set(skill.needs)
        for fact_name, fact in skill.needs.items():
            here = (*at, "needs", fact_name)
            if fact.type is FactType.DIGITS and fact.length is None:
                self._fault(here, "AG013", f"how many digits has `{fact_name}`?", "add `length: 4`, or `length: 4-8`")
            if fact.length is not None and not 1 <= fact.length[0] <= fact.length[1] <= 20:
                self._fault((*here, "length"), "AG013", "this is no length", "write 1 to 20, as `4` or as `4-8`")
            if fact.type is FactType.CHOICE and not fact.options:
                self._fault(
                    here, "AG014", f"what may `{fact_name}` be?", "add `options:`, each with the ways it is said"
                )
            for key in ("ask", "again", "confirm"):
                self._places((*here, key), getattr(fact, key), facts)
        self._places((*at, "confirm"), skill.confirm, facts)
        self._places((*at, "while"), skill.begin, facts)
        for status, reply in skill.say.items():
            here = (*at, "say", status)
            self._places(here, reply.say, facts, result=skill.tool is not None and status != "failed")
            if reply.ask is not None and reply.ask not in skill.needs:
                mend = f"name one of the skill's needs{did_you_mean(reply.ask, skill.needs)}"
                self._fault((*here, "ask"), "AG019", f"`{name}` needs no `{reply.ask}`", mend)
        tool = self.agent.tools.get(skill.tool or "")
        required = tool.input.get("required", ()) if tool and tool.input else ()
        for wanted in required if isinstance(required, list | tuple) else ():
            if wanted not in skill.needs and wanted not in KNOWN_PLACES:
                what = f"the tool `{skill.tool}` requires `{wanted}`, which this skill does not ask for"
                self._fault((*at, "tool"), "AG017", what, f"add `{wanted}:` under `needs:`")

    def _tool(self, name: str, tool: Tool) -> None:
        at: Path_ = ("tools", name)
        for key, schema in (("input", tool.input), ("output", tool.output)):
            if schema is not None:
                try:
                    Draft202012Validator.check_schema(schema)
                except SchemaError as error:
                    said = str(error.message)[:200]
                    self._fault((*at, key), "AG016", f"this is not a JSON Schema: {said}", "see json-schema.org")
        if tool.python is not None and (why := _missing_entry(tool.python, self.agent.folder)):
            self._fault((*at, "python"), "AG015", why, "name `module:function`, the module a file beside this one")

    def _places(self, at: Path_, text: str | None, facts: set[str], result: bool = False) -> None:
        for match in PLACE.finditer(text or ""):
            place = match["name"]
            if place in facts or place in KNOWN_PLACES or (result and place.startswith("result.")):
                continue
            mend = f"use a fact the skill needs{did_you_mean(place, facts)}" + (", or {result.field}" if result else "")
            self._fault(at, "AG012", f"nothing fills {{{place}}}", mend)

    def _fault(self, at: Path_, code: str, what: str, mend: str, severity: Severity = Severity.ERROR) -> None:
        node = self.root
        for found in _along(self.root, at):
            node = found
        node.fault(code, what, mend, severity)


def _along(node: Node, at: Path_) -> Iterator[Node]:
    for part in at:
        if isinstance(node, Mapping) and isinstance(part, str) and (below := node.get(part)) is not None:
            node = below
        elif isinstance(node, Sequence) and isinstance(part, int):
            node = node.items[part]
        else:
            return
        yield node


def _missing_entry(entry: str, folder: Path | None) -> str | None:
    """Why `module:function` cannot be there, or None. The module is read, never run."""
    module, _, function = entry.partition(":")
    beside = folder / f"{module.replace('.', '/')}.py" if folder else None
    if beside is not None and beside.is_file():
        source = beside
    else:
        try:
            spec = importlib.util.find_spec(module) if "." not in module else None
        except (ImportError, ValueError):
            spec = None
        if "." in module:
            return None  # finding it would import its parents; the toolbox will say
        if spec is None or spec.origin is None:
            return f"there is no module `{module}` beside the agent's file or installed"
        if not spec.origin.endswith(".py"):
            return None
        source = Path(spec.origin)
    try:
        tree = ast.parse(source.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError) as error:
        return f"{source} cannot be read: {error}"
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    return None if function in names else f"{source.name} has no function `{function}`{did_you_mean(function, names)}"

"""`offhook dialplan lint` and `offhook dialplan show`: is a dial plan right, and where do calls go by it."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from offhook.agents.schema import find_agents
from offhook.cli import fail
from offhook.dialplan.codes import Code
from offhook.dialplan.lint import Report, check
from offhook.dialplan.plan import Guard, Plan, Step, detail
from offhook.faults import Severity
from offhook.settings import SettingsError, load_settings

app = typer.Typer(help="Check a dial plan, and see where calls go by it.")


class Format(Enum):
    """How faults are printed."""

    TEXT = "text"
    JSON = "json"


File = Annotated[Path | None, typer.Argument(help="The dial plan; the settings' where left out.", show_default=False)]
Agents = Annotated[
    list[Path] | None,
    typer.Option("--agents", help="Folder with agents' files; the settings' where left out.", show_default=False),
]


@app.command()
def lint(
    file: File = None,
    agents: Agents = None,
    format: Annotated[Format, typer.Option("--format", help="One line a fault, or one JSON object.")] = Format.TEXT,
    codes: Annotated[bool, typer.Option("--codes", help="Print what each code means, and do nothing else.")] = False,
) -> None:
    """Say everything that is wrong with a dial plan. Exit status 1 where the server would refuse it."""
    if codes:
        for code in Code:
            typer.echo(f"{code.code}  {code.severity.value:7}  {code.meaning}")
        return
    path, report = _checked(file, agents)
    errors = sum(fault.severity is Severity.ERROR for fault in report.faults)
    warnings = len(report.faults) - errors
    if format is Format.JSON:
        found = {"file": str(path), "errors": errors, "warnings": warnings}
        typer.echo(json.dumps({**found, "faults": [fault.as_json() for fault in report.faults]}, ensure_ascii=False))
    else:
        for fault in report.faults:
            typer.echo(str(fault))
        typer.echo(f"{path}: {_count(errors, 'error')}, {_count(warnings, 'warning')}")
    if report.plan is None:
        raise typer.Exit(1)


@app.command()
def show(file: File = None, agents: Agents = None) -> None:
    """Print a dial plan as it was understood: guards, then each number with the steps its callers meet."""
    path, report = _checked(file, agents)
    if report.plan is None:
        for fault in report.faults:
            typer.echo(str(fault), err=True)
        fail(f"{path} cannot be shown until its errors are mended")
    Console(soft_wrap=True, highlight=False).print(_tree(report.plan))


def _checked(file: Path | None, folders: list[Path] | None) -> tuple[Path, Report]:
    try:
        settings = load_settings()
    except SettingsError as error:
        fail(str(error))
    path = file or settings.dialplan
    return path, check(path, find_agents(folders or settings.agents))


def _count(number: int, thing: str) -> str:
    return f"{number or 'no'} {thing}{'' if number == 1 else 's'}"


def _tree(plan: Plan) -> Tree:
    root = Tree(escape(f"{plan.file}  {plan.zone.key}  sha256 {plan.sha256[:12]}"))
    if plan.guards:
        guards = root.add("guards, before everything else")
        for guard in plan.guards:
            guards.add(escape(f"if {guard.test.text}: {_action(guard)}"))
    for number in plan.numbers.values():
        trunk = f" by {number.trunk}" if number.trunk else ""
        root.add(escape(f"{number.number}{trunk} ({number.language}) goes to {number.flow}"))
    for flow in plan.flows.values():
        branch = root.add(escape(flow.name))
        for step in flow.steps:
            leaf = branch.add(escape(f"{step.kind} {detail(step)}".rstrip()))
            for line in _exits(step):
                leaf.add(escape(line))
    return root


def _action(guard: Guard) -> str:
    if guard.go is not None:
        return f"go to {guard.go}"
    return f"dial {guard.dial.to}" if guard.dial is not None else f"reject with {guard.reject}"


def _exits(step: Step) -> list[str]:
    if step.kind == "go":
        return []
    lines = []
    for name, handled in step.handled.items():
        outcome = f", outcome {handled.outcome}" if handled.outcome else ""
        tag = f", tag {handled.tag}" if handled.tag else ""
        lines.append(f"{name}: {handled.go or 'next'}{outcome}{tag}")
    return lines

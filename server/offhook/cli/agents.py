"""`offhook agents`: check an agent's file, and talk to an agent in the terminal. No server is needed for either."""

from __future__ import annotations

import asyncio
import datetime
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from offhook.agents.chat import chat_mind
from offhook.agents.job import Agent
from offhook.agents.mind import skill_mind
from offhook.agents.rehearsal import Rehearsal
from offhook.agents.schema import lint_agent, load_agent
from offhook.agents.tools import Toolbox, ToolMissing
from offhook.faults import FileFaults, Severity
from offhook.speech.contract import Achieve, Decide, Mind, ToolResult
from offhook.weights import home

app = typer.Typer(no_args_is_help=True, help="AI agents: check their files, talk to them.")
_out = Console(highlight=False, soft_wrap=True)

File = Annotated[Path, typer.Argument(help="The agent's file, as dialplans/order-desk/agent.yaml.")]


@app.command()
def lint(
    file: File,
    format: Annotated[str, typer.Option(help="text or json")] = "text",
) -> None:
    """Say everything that is wrong with an agent's file: file:line:column, a code, what, and what would mend it."""
    faults = lint_agent(file)
    if format == "json":
        typer.echo(json.dumps([fault.as_json() for fault in faults]))
    else:
        for fault in faults:
            typer.echo(str(fault))
        if not faults:
            typer.echo(f"{file}: nothing wrong")
    if any(fault.severity is Severity.ERROR for fault in faults):
        raise typer.Exit(1)


@app.command()
def ask(
    file: File,
    why: Annotated[bool, typer.Option("--why", help="Show what was decided and with which figures.")] = False,
) -> None:
    """Talk to an agent in the terminal. Keys are typed as #1234. An empty line or Ctrl-D ends it."""
    try:
        agent = load_agent(file)
        toolbox = Toolbox(agent, home().parent)
        mind = _mind(agent)
    except (FileFaults, ToolMissing, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    asyncio.run(_talk(agent, Rehearsal(mind, toolbox), why))


def _mind(agent: Agent) -> Mind:
    persona = agent.persona({"caller": "terminal", "now": datetime.datetime.now().astimezone().isoformat()})
    return chat_mind(persona) if agent.mind else skill_mind(persona)


async def _talk(agent: Agent, rehearsal: Rehearsal, why: bool) -> None:
    said = await rehearsal.greet()
    shown = 0
    while True:
        for act in rehearsal.acts[shown:]:
            if why and isinstance(act, Decide | Achieve | ToolResult):
                _out.print(f"  {act}", style="dim", markup=False)
        shown = len(rehearsal.acts)
        _out.print(f"[bold]{agent.name}[/bold]: ", end="")
        _out.print(said, markup=False)
        if (finish := rehearsal.finish) is not None:
            _out.print(f"[dim]({finish.exit}: {finish.reason})[/dim]")
            break
        try:
            words = await asyncio.to_thread(input, "you: ")
        except (EOFError, KeyboardInterrupt):
            break
        if not words.strip():
            break
        said = await (rehearsal.press(words[1:]) if words.startswith("#") else rehearsal.say(words))
    await rehearsal.toolbox.close()

"""The `offhook` command: finds the subcommand that is asked for and loads only that one.

Each subcommand is a module of this package that holds `app`, a Typer: a group of commands (`offhook calls list`), or
a single command (`offhook status`). A module is imported when its command is named, so that `offhook --help` answers
at once. This module knows the commands' names and one line on each, and nothing of what they do.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import NoReturn

import typer


@dataclass(frozen=True, slots=True)
class Subcommand:
    """A module of this package, found by its name."""

    name: str
    about: str
    group: bool
    """Has commands of its own; else its `app` holds a single one."""


SUBCOMMANDS = (
    Subcommand("run", "Run the server.", group=False),
    Subcommand("demo", "Place a call to the server and print the conversation as it happens.", group=False),
    Subcommand("call", "Be a caller: ring a SIP address, say sound files, measure the answers.", group=False),
    Subcommand("calls", "Look up calls: list, show, play, explain.", group=True),
    Subcommand("status", "Say how the running server is doing.", group=False),
    Subcommand("dialplan", "Check a dial plan.", group=True),
    Subcommand("agents", "Check an AI agent, or talk to it in writing.", group=True),
    Subcommand("models", "Fetch and list model weights.", group=True),
)


def main() -> None:
    """The console script: runs the command line this process was started with."""
    try:
        app_for(sys.argv[1:])(prog_name="offhook")
    except KeyboardInterrupt:  # before a command has its own way to end
        sys.exit(130)


def app_for(arguments: Sequence[str]) -> typer.Typer:
    """The command line for `arguments`: whole where a subcommand is named in it, for the rest names and one line."""
    app = typer.Typer(
        name="offhook",
        help="A voice-agent server for call centres: SIP in, an AI agent or a person on the line, all on record.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_show_locals=False,
    )
    app.callback()(_root)
    named = next((argument for argument in arguments if not argument.startswith("-")), None)
    for subcommand in SUBCOMMANDS:
        _mount(app, subcommand, whole=subcommand.name == named)
    return app


def fail(sentence: str) -> NoReturn:
    """End the command with one line for the person who typed it, and exit status 1."""
    typer.echo(f"offhook: {sentence}", err=True)
    raise typer.Exit(1)


def shown(text: str) -> str:
    """`text` as it may go to a terminal: what a caller wrote into a name must not move the cursor."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"offhook {version('offhook')}")
        raise typer.Exit


def _root(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Options of `offhook` itself; each acts by its own callback."""


def _mount(app: typer.Typer, subcommand: Subcommand, *, whole: bool) -> None:
    if not whole:
        app.command(subcommand.name, help=subcommand.about)(_unloaded)
        return
    own: typer.Typer = import_module(f"{__name__}.{subcommand.name}").app
    if subcommand.group:
        app.add_typer(own, name=subcommand.name, help=subcommand.about, no_args_is_help=True)
        return
    (command,) = own.registered_commands
    command.name = subcommand.name
    app.registered_commands.append(command)


def _unloaded() -> None:
    """Stands for a command that these arguments do not name: it is listed by --help and cannot be reached."""
    raise AssertionError("a command that was not named cannot be run")

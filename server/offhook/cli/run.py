"""`offhook run`: start the server, say what to dial, and stop it in good order."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from offhook.calls.archive import ArchiveError
from offhook.cli import fail
from offhook.cli.consoles import at_home
from offhook.cli.demo import takes_local_calls
from offhook.console.app import ConsoleError
from offhook.faults import FileFaults
from offhook.media import MediaError
from offhook.node import Node
from offhook.settings import Settings, SettingsError, load_settings
from offhook.speech.process import SpeechUnavailable
from offhook.store import StoreError
from offhook.telemetry import logs

app = typer.Typer()


@app.command()
def run(
    settings: Annotated[Path | None, typer.Option(help="The settings file; ./offhook.toml where there is one.")] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Run the server until Ctrl-C; calls in progress then finish, new ones are refused. A second Ctrl-C ends them.

    SIGHUP (`systemctl reload`) has a fresh speech worker take over, with the model, options and weights of now."""
    try:
        loaded = load_settings(settings)
        logs.configure(log_level)
    except (SettingsError, ValueError) as error:
        fail(str(error))
    take_all_descriptors()
    uvloop.run(serve(loaded, lambda: load_settings(settings)))


def take_all_descriptors() -> None:
    """Let this process and the workers it starts have as many open files as they may at all. What shells and systemd
    grant at first, 1,024, are fewer than the connections that callers may open, and each call needs some ten."""
    granted, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if granted != most:
        with contextlib.suppress(ValueError, OSError):  # where it may not, it goes on as it is
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def serve(settings: Settings, reread: Callable[[], Settings] | None = None) -> None:
    """Start a node, run it until a signal, drain it, stop it. `reread` reads the settings anew for SIGHUP."""
    node = Node(settings)
    typer.echo("Loading the speech models takes some seconds.")
    try:
        await node.start()
    except FileFaults as faults:
        fail("the server does not start on these faults:\n" + "\n".join(str(fault) for fault in faults.faults))
    except OSError as error:
        fail(f"the server does not start: {error.strerror or error}{f': {error.filename}' if error.filename else ''}")
    except (ArchiveError, ConsoleError, MediaError, SpeechUnavailable, StoreError, RuntimeError, ValueError) as error:
        # Whatever is in the way says so in a sentence; see Node.start.
        fail(f"the server does not start: {error}")
    typer.echo(welcome(node))
    asked, loop = asyncio.Event(), asyncio.get_running_loop()

    def stop() -> None:
        if asked.is_set():
            node.cut()
        asked.set()

    reloads: set[asyncio.Task[None]] = set()

    def reload() -> None:
        task = asyncio.create_task(_reload(node, reread or (lambda: node.settings)))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, reload)
    await asked.wait()
    live = len(node.status().calls)
    if live:
        typer.echo(f"Finishing {live} call{'s' * (live > 1)}; press Ctrl-C again to end them now.")
    await node.drain(settings.limits.drain_s)
    await node.stop()


async def _reload(node: Node, reread: Callable[[], Settings]) -> None:
    try:
        await node.reload(reread())
    except (SettingsError, SpeechUnavailable) as error:
        typer.echo(f"Not reloaded, the present speech worker serves on: {error}", err=True)


def welcome(node: Node) -> str:
    """What a newcomer needs to know: the number, how to dial it, where recordings go."""
    host, port = node.hall.sip.local
    numbers = ", ".join(node.plan.numbers)
    first = next(iter(node.plan.numbers))
    if takes_local_calls(node.settings):
        how = [
            f"Offhook answers {numbers}. Dial from a SIP phone on this machine, no account needed:",
            f"    sip:{first}@{at_home(host)}:{port}",
            "or let a caller of ours do it, in another terminal:    make demo",
        ]
    else:
        sip = node.settings.sip
        how = [
            f"Offhook answers {numbers} for the trunks {', '.join(trunk.name for trunk in node.settings.trunks)} at",
            f"    sip:{first}@{sip.advertise or host}:{port}",
        ]
    if node.settings.takes_web_calls:
        how.append(f"or call from a browser: {node.console}/call")
    return "\n".join(
        [
            "",
            *how,
            f"Recordings and timelines: {node.settings.calls_folder}    ({_this_command()} calls list)",
            f"Status and metrics: {node.console}/status {node.console}/metrics    Stop: Ctrl-C",
            "",
        ]
    )


def _this_command() -> str:
    """`offhook` as it is to be typed in this folder: with its path, where the shell would not find it."""
    here = Path(sys.argv[0]).absolute()
    if shutil.which("offhook") == str(here) or here.name != "offhook":
        return "offhook"
    return str(here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else here)

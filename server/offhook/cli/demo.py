"""`offhook demo`: a caller that speaks recorded sentences rings the server; the conversation is printed as it happens.

Uses the running server, or starts one for the time of the call. What caller and agent say is read from the call's
timeline; the response times are the caller's own measurement.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop

from offhook.calls.caller import CallerError, Phone, Report, Saying, Script, Turn, converse
from offhook.calls.timeline import (
    Entry,
    Interrupted,
    PromptStarted,
    SpeechStarted,
    ToolAnswered,
    ToolWanted,
    WordsHeard,
    read_timeline,
)
from offhook.cli import fail
from offhook.cli.consoles import Console, at_home
from offhook.settings import CHECKOUT, Settings, SettingsError, load_settings
from offhook.telemetry import logs

app = typer.Typer()

SPEECH = CHECKOUT / "loadtest" / "speech"
READY_S = 90.0
NAME = "demo"


@app.command()
def demo(
    settings: Annotated[Path | None, typer.Option(help="The server's settings file.")] = None,
    say: Annotated[list[Path] | None, typer.Option(help="Sound files to say instead of the shipped ones.")] = None,
    number: Annotated[str, typer.Option(help="The number to dial.")] = "100",
) -> None:
    """Place a call to the server on this machine and print the conversation as it happens."""
    logs.configure("warning")
    try:
        loaded = load_settings(settings)
        sayings = [Saying.read(path) for path in say or sorted(SPEECH.glob("slt-*.flac"))[:3]]
    except (SettingsError, CallerError) as error:
        fail(str(error))
    if not takes_local_calls(loaded):
        fail("no trunk of the settings takes calls from 127.0.0.1 without a password; the demo needs one to come in by")
    report = uvloop.run(_demo(loaded, settings, number, sayings))
    if report.failure:
        fail(f"the call failed: {report.failure}")


def takes_local_calls(settings: Settings) -> bool:
    """Whether these settings let in a caller on this machine that has no account, as the demo's is."""
    here = ip_address("127.0.0.1")
    return any(
        trunk.realm is None and any(here in ip_network(net) for net in trunk.sources) for trunk in settings.trunks
    )


async def _demo(settings: Settings, file: Path | None, number: str, sayings: list[Saying]) -> Report:
    console = Console.of(settings.console)
    async with _server(console, file):
        status = await asyncio.to_thread(_get, console)
        if status is None:
            fail(f"the server at {console.url} answers, but does not say how it is")
        transport, address = status["sip"][0].split()
        host, port = address.rsplit(":", 1)
        uri = f"sip:{number}@{at_home(host)}:{port}" + (";transport=tcp" if transport == "tcp" else "")
        typer.echo(f"Ringing {uri}\n")
        async with Phone.plugged_in(name=NAME, transport=transport) as phone:
            follow = asyncio.create_task(_follow(console))
            report = await converse(phone, uri, Script(say=sayings), _tell)
        with contextlib.suppress(TimeoutError):
            folder = await asyncio.wait_for(follow, 5.0)
            if folder is not None and report.ok:
                await _filed(folder)
                typer.echo(f"\nThe call's files are in {folder}: call.flac (caller left, agent right), timeline.jsonl")
                typer.echo(f"More: .venv/bin/offhook calls show {folder.name}")
        return report


def _tell(turn: Turn) -> None:
    if turn.response_ms is not None:
        typer.echo(f"{'':10}answered after {turn.response_ms:.0f} ms")


@contextlib.asynccontextmanager
async def _server(console: Console, file: Path | None) -> AsyncIterator[None]:
    """The server that runs, or one of our own for the time of the block."""
    if await asyncio.to_thread(_healthy, console):
        yield
        return
    typer.echo("No server is running here; starting one for this call.")
    named = ["--settings", str(file)] if file else []
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "offhook", "run", "--log-level", "error", *named),
        stdout=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    try:
        end = asyncio.get_running_loop().time() + READY_S
        while not await asyncio.to_thread(_healthy, console):
            if process.returncode is not None:
                fail("the server did not start; what it said is above")
            if asyncio.get_running_loop().time() > end:
                fail(f"the server was not ready within {READY_S:.0f} s")
            await asyncio.sleep(0.1)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _follow(console: Console) -> Path | None:
    """Print our call's timeline as it grows, until the call ends; its folder."""
    call = None
    while call is None:
        status = await asyncio.to_thread(_get, console)
        if status is None:
            return None
        call = next((one["id"] for one in status["calls"] if one["caller"] == NAME), None)
        await asyncio.sleep(0.1)
    folder = await asyncio.to_thread(_folder, Path(status["recordings"]), call)
    if folder is None:
        return None
    shown, ended = 0, False
    while not ended:
        ended = await asyncio.to_thread(_is_over, console, call)
        entries = read_timeline(folder / "timeline.jsonl")
        for entry in entries[shown:]:
            if line := _line(entry):
                typer.echo(line)
        shown = len(entries)
        await asyncio.sleep(0.15)
    return folder


def _line(entry: Entry) -> str | None:
    at = f"{entry.t / 1000:7.2f}   "
    match entry.event:
        case PromptStarted(text):
            return f"{at}Line    {text}"
        case WordsHeard(text):
            return f"{at}Caller  {text}"
        case SpeechStarted(_, text):
            return f"{at}Agent   {text}"
        case Interrupted(_, heard):
            return f"{at}        (interrupted after: {heard!r})"
        case ToolWanted(_, tool, arguments):
            return f"{at}        ({tool} {json.dumps(dict(arguments))})"
        case ToolAnswered(ok=False, error=error):
            return f"{at}        (failed: {error})"
    return None


async def _filed(folder: Path) -> None:
    """Wait a moment for the stereo file, which is made at hang-up."""
    for _ in range(50):
        if (folder / "call.flac").exists():
            return
        await asyncio.sleep(0.1)


def _folder(recordings: Path, call: str) -> Path | None:
    return next(iter(recordings.glob(f"*/{call}")), None)


def _is_over(console: Console, call: str) -> bool:
    status = _get(console)
    return status is None or all(one["id"] != call for one in status["calls"])


def _healthy(console: Console) -> bool:
    """It answers, and takes calls: a server that does not has a status other than 200 for this."""
    try:
        return bool(console.get("/healthz", 1.0))
    except OSError:
        return False


def _get(console: Console) -> Any:
    """Its status."""
    try:
        return json.loads(console.get("/status", 2.0))
    except (OSError, ValueError):
        return None

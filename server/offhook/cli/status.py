"""`offhook status`: asks the running server how it is doing, and prints it. Exit status 1 where it does not answer."""

from __future__ import annotations

import http.client
import urllib.error
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from offhook.calls.explain import clock
from offhook.cli import fail, shown
from offhook.cli.consoles import Console
from offhook.console.status import NodeStatus
from offhook.settings import SettingsError, load_settings

TIMEOUT_S = 3.0

app = typer.Typer()


@app.command()
def status(
    url: Annotated[str | None, typer.Option(help="The server's console; from the settings where left out.")] = None,
    settings: Annotated[Path | None, typer.Option(help="The server's settings file.")] = None,
) -> None:
    """Say how the running server is doing: state, numbers, calls, speech worker."""
    if url is None:
        try:
            console = Console.of(load_settings(settings).console)
        except SettingsError as error:
            fail(str(error))
    else:
        console = Console(url.rstrip("/"))
    for line in lines(asked(console), datetime.now(UTC)):
        typer.echo(shown(line))


def asked(console: Console) -> NodeStatus:
    """The status of the server with this console. Ends the command where there is none."""
    url = console.url
    if not url.startswith(("http://", "https://")):
        fail(f"--url {url}: write it as http://127.0.0.1:8080")
    try:
        body = console.get("/status", TIMEOUT_S)
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        fail(f"no offhook server answers at {url} ({reason}): is it running? `offhook run` starts one")
    try:
        return TypeAdapter(NodeStatus).validate_json(body)
    except ValidationError:
        fail(f"what answers at {url} is not an offhook server of this version")


def lines(node: NodeStatus, now: datetime) -> Iterator[str]:
    """The status as it is printed; `now` aware."""
    since = f"{node.started_at:%Y-%m-%d %H:%M:%S} UTC"
    yield f"offhook {node.version} {node.state.value}, up {_up((now - node.started_at).total_seconds())} since {since}"
    yield f"listens     {', '.join(node.sip) or 'nowhere'}"
    yield f"numbers     {', '.join(node.numbers) or 'none'}"
    yield f"plan        {node.plan} ({node.plan_sha[:12]})"
    yield f"recordings  {node.recordings}"
    worker = node.worker
    process = f"process {worker.pid}" if worker.pid is not None else "DOWN"
    yield (
        f"speech      {worker.model}, {process}, {worker.slots_used} of {worker.slots} slots, "
        f"{worker.late_hops} hops late, lateness p99 {worker.lateness_p99_ms:.1f} ms, {worker.restarts} restarts"
    )
    yield f"calls       {len(node.calls)} of {node.max_calls}"
    for call in node.calls:
        who = call.agent or "-"
        yield f"  {call.id}  {call.caller or 'unknown'} to {call.dialled}  {who}  {clock(call.seconds * 1000)}"


def _up(seconds: float) -> str:
    minutes = int(max(0.0, seconds)) // 60
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // (24 * 60)} days"

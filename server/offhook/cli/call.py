"""`offhook call URI --say a.wav ...`: a real SIP caller that measures what a caller would feel."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from offhook.calls.caller import CallerError, Phone, Report, Saying, Script, Turn, converse, report_json
from offhook.cli import fail
from offhook.sip import Credentials
from offhook.telemetry import logs

app = typer.Typer()


@app.command()
def call(
    uri: Annotated[str, typer.Argument(help="Whom to ring: sip:100@127.0.0.1:5060, ;transport=tcp where wanted.")],
    say: Annotated[list[Path] | None, typer.Option(help="A sound file to say; again for the next turn.")] = None,
    keys: Annotated[str, typer.Option(help="Keys to press after everything was said.")] = "",
    interrupt_after: Annotated[
        float | None, typer.Option(help="Say the next file when an answer has lasted so many seconds.")
    ] = None,
    record: Annotated[Path | None, typer.Option(help="Keep what is heard here (WAV).")] = None,
    user: Annotated[str, typer.Option(help="User name, where the server asks; password in $OFFHOOK_PASSWORD.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")] = False,
) -> None:
    """Ring, speak the files in turn, wait for each answer, report each turn. Exit status 1 where the call failed."""
    credentials = Credentials(user, os.environ.get("OFFHOOK_PASSWORD", "")) if user else None
    logs.configure("warning")
    try:
        script = Script(
            say=[Saying.read(path) for path in say or []],
            keys=keys,
            interrupt_after_s=interrupt_after,
            record=record,
            credentials=credentials,
        )
    except CallerError as error:
        fail(str(error))
    report = uvloop.run(_placed(uri, script, quiet=as_json))
    typer.echo(json.dumps(report_json(report)) if as_json else _in_words(report))
    if not report.ok:
        raise typer.Exit(1)


async def _placed(uri: str, script: Script, quiet: bool) -> Report:
    transport = "tcp" if "transport=tcp" in uri else "udp"
    async with Phone.plugged_in(transport=transport) as phone:
        return await asyncio.wait_for(
            converse(phone, uri, script, lambda turn: None if quiet else typer.echo(turn_line(turn))), 1800
        )


def turn_line(turn: Turn) -> str:
    """A turn in a line."""
    parts = [f"{turn.at_ms / 1000:7.2f} s  {turn.said}:"]
    if turn.silence_ms is not None:
        parts.append(f"agent silent after {turn.silence_ms:.0f} ms,")
    if turn.response_ms is None:
        parts.append("no answer")
    else:
        parts.append(f"answered after {turn.response_ms:.0f} ms, for {turn.answer_ms / 1000:.1f} s")
    return " ".join(parts)


def _in_words(report: Report) -> str:
    if report.failure:
        return f"The call failed: {report.failure}"
    return (
        f"Answered after {report.answered_ms:.0f} ms, greeted after {report.greeting_ms:.0f} ms; "
        f"{report.packets_received} packets heard, {report.packets_lost} lost; ended by the {report.ended_by}."
    )

"""`offhook calls`: looks calls up in the database, and what happened on them in their timelines. Changes nothing,
except that `play` makes a missing `call.flac`."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from offhook.calls import archive, folds
from offhook.calls.explain import ENDERS, clock, explain, of_a_bad_line
from offhook.calls.lines import Line
from offhook.cli import fail, shown
from offhook.settings import SettingsError, load_settings
from offhook.store import CallRecord, CallState, Store, StoreError

PLAYERS = (("paplay",), ("ffplay", "-nodisp", "-autoexit", "-loglevel", "error"), ("play", "-q"), ("aplay", "-q"))
"""Programs that play a file, the best first."""

READS_NO_FLAC = frozenset({"aplay"})

COLUMNS = ("ID", "STARTED (UTC)", "FROM", "TO", "AGENT", "LENGTH", "TURNS", "P50 MS", "ENDED BY", "OUTCOME")

app = typer.Typer(no_args_is_help=True)

SettingsFile = Annotated[Path | None, typer.Option("--settings", help="The server's settings file.")]
CallId = Annotated[str, typer.Argument(metavar="ID", help="The call's ID, or enough of its beginning.")]


@app.command("list")
def list_calls(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="How many, the newest first.")] = 20,
    since: Annotated[str | None, typer.Option(help="Only calls since then: 24h, 7d or 2026-05-01.")] = None,
    settings: SettingsFile = None,
) -> None:
    """Show the newest calls."""
    with _store(settings) as store:
        records = store.list(limit, since=_moment(since) if since else None)
    if not records:
        typer.echo("no calls")
        return
    for line in table([COLUMNS, *(row(record) for record in records)]):
        typer.echo(line)


@app.command()
def show(call_id: CallId, settings: SettingsFile = None) -> None:
    """Show a call: what is known of it, and its turns with response times and interruptions."""
    record = _call(call_id, settings)
    entries = archive.CallFolder(record.folder).entries()
    for line in [*head_lines(record, folds.summary(entries)), "", *turn_lines(folds.turns(entries))]:
        typer.echo(line)


@app.command("explain")
def explain_call(call_id: CallId, settings: SettingsFile = None) -> None:
    """Say why a call went as it did: tests and their facts, steps and exits, decisions, tools."""
    record = _call(call_id, settings)
    lines = explain(archive.CallFolder(record.folder).entries())
    for line in lines or [f"nothing is on the timeline of call {record.id}"]:
        typer.echo(shown(line))


@app.command()
def play(call_id: CallId, settings: SettingsFile = None) -> None:
    """Play a call's recording: the caller on the left, the agent on the right."""
    record = _call(call_id, settings)
    flac = _recording(record)
    player = next((player for player in PLAYERS if shutil.which(player[0])), None)
    if player is None:
        typer.echo(flac)
        fail("no program to play it was found: install alsa-utils, pulseaudio-utils, ffmpeg or sox")
    with _playable(flac, player[0]) as path:
        status = subprocess.run([*player, str(path)], check=False).returncode
    if status:
        fail(f"{player[0]} could not play {flac} (exit status {status}); copy the file to where there is a loudspeaker")


# --- what is printed


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The rows with their columns aligned, two spaces between."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for cells in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def row(record: CallRecord) -> tuple[str, ...]:
    """A call's line in the list."""
    return tuple(
        shown(cell)
        for cell in (
            record.id,
            f"{record.started_at:%Y-%m-%d %H:%M:%S}",
            record.caller or "-",
            record.dialled,
            record.agent or "-",
            clock(record.duration_ms) if record.duration_ms is not None else "-",
            str(record.turns) if record.state is not CallState.LIVE else "-",
            f"{record.response_p50_ms:.0f}" if record.response_p50_ms is not None else "-",
            record.ended_by or record.state.value,
            ", ".join(record.outcomes) or "-",
        )
    )


def head_lines(record: CallRecord, summary: folds.Summary) -> list[str]:
    """What is known of a call, a line each. A live call's figures are those of its timeline so far."""
    lines = [
        ("call", record.id),
        ("when", f"{record.started_at:%Y-%m-%d %H:%M:%S} UTC, {clock(summary.duration_ms)} long"),
        ("from", f"{record.caller or 'unknown'} to {record.dialled} over trunk {record.trunk}"),
        ("plan", record.plan_sha[:12]),
        ("agent", ", ".join(summary.agents) or "none"),
        ("exits", ", ".join(f"{left.step}: {left.exit}" for left in summary.exits) or "none"),
        ("outcome", ", ".join(summary.outcomes) or "none"),
        ("ended", _ended(record)),
    ]
    if summary.response_p50_ms is not None and summary.response_p95_ms is not None:
        over = f"{len(summary.responses_ms)} turn{'s' if len(summary.responses_ms) != 1 else ''}"
        figures = f"p50 {summary.response_p50_ms:.0f} ms, p95 {summary.response_p95_ms:.0f} ms, over {over}"
        lines.append(("response", figures))
    if summary.keys:
        lines.append(("keys", summary.keys))
    if summary.media:
        names = ("packets_in", "packets_out", "lost", "late", "concealed_ms", "missing_ms", "jitter_ms")
        figures = ", ".join(f"{name} {_number(summary.media[name])}" for name in names if name in summary.media)
        lines.append(("media", figures))
    lines += [("line", _line(line)) for line in summary.lines]
    lines += [("bad", of_a_bad_line(line)) for line in summary.bad]
    lines.append(("files", _files(record)))
    return [f"{name:<9} {shown(text)}" for name, text in lines]


def turn_lines(turns: Sequence[folds.Turn]) -> Iterator[str]:
    """The conversation: when, who, what; after an answer its response time, after a cut what was left unsaid."""
    for turn in turns:
        notes = []
        if turn.response_ms is not None:
            notes.append(f"after {turn.response_ms:.0f} ms")
        if turn.interrupted:
            notes.append(f'interrupted, unsaid: "{turn.unsaid}"' if turn.unsaid else "interrupted")
        note = f"  [{'; '.join(notes)}]" if notes else ""
        yield shown(f"{clock(turn.start_ms):>8}  {turn.who.value:<6}  {turn.text or '(nothing)'}{note}")


def _line(line: Line) -> str:
    """`caller heard by us: MOS 4.3 (worst 2.1), 0.4 % lost, jitter 1.2 ms, round trip 40 ms`."""
    ear = f"{line.party}, heard by us" if line.direction == "in" else f"us, heard by {line.party}"
    figures = [
        f"MOS {line.mos:.1f} (worst {line.worst_mos:.1f})",
        f"{line.lost * 100:.1f} % lost",
        f"jitter {line.jitter_ms:.1f} ms",
    ]
    if line.rtt_ms is not None:
        figures.append(f"round trip {line.rtt_ms:.0f} ms")
    return f"{ear}: {', '.join(figures)}"


def _ended(record: CallRecord) -> str:
    if record.state is CallState.LIVE:
        return "not yet"
    who = "cut" if record.state is CallState.CUT else f"by {ENDERS.get(record.ended_by or '', record.ended_by)}"
    return f"{who}: {record.cause}" if record.cause else who


def _files(record: CallRecord) -> str:
    if record.audio_deleted_at is not None:
        return f"{record.folder} (audio deleted {record.audio_deleted_at:%Y-%m-%d}, as it was to be kept until then)"
    flac = archive.CallFolder(record.folder).call_flac
    return str(flac if flac.exists() else record.folder)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


# --- what is read


@contextmanager
def _store(settings_file: Path | None) -> Iterator[Store]:
    try:
        store = Store.open(load_settings(settings_file).database_url, create=False)
        try:
            yield store
        finally:
            store.close()
    except (SettingsError, StoreError) as error:
        fail(str(error))


def _call(call_id: str, settings_file: Path | None) -> CallRecord:
    with _store(settings_file) as store:
        return store.get(call_id)


def _moment(text: str) -> datetime:
    """`24h` or `7d` ago, or a date or time (UTC where it names no zone)."""
    try:
        return datetime.now(UTC) - archive.parse_keep(text)
    except (ValueError, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except ValueError:
        fail(f"--since {text}: write 24h, 7d, 2026-05-01 or 2026-05-01T09:00")


def _recording(record: CallRecord) -> Path:
    folder = archive.CallFolder(record.folder)
    if record.audio_deleted_at is not None:
        fail(f"the audio of call {record.id} was deleted on {record.audio_deleted_at:%Y-%m-%d}, when its time was up")
    if record.state is CallState.LIVE:
        fail(f"call {record.id} is still on: its tracks grow in {folder.path}, and can be played once it is over")
    if folder.call_flac.exists():
        return folder.call_flac
    try:
        made = archive.make_flac(folder)
    except archive.ArchiveError as error:
        fail(str(error))
    if made is None:
        fail(f"nothing was recorded of call {record.id}")
    return made


@contextmanager
def _playable(flac: Path, player: str) -> Iterator[Path]:
    if player not in READS_NO_FLAC:
        yield flac
        return
    import soundfile

    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        with (
            soundfile.SoundFile(flac) as source,
            soundfile.SoundFile(file, "w", source.samplerate, source.channels, "PCM_16", format="WAV") as target,
        ):
            for block in source.blocks(archive.BLOCK_SAMPLES, dtype="int16"):
                target.write(block)
        yield Path(file.name)

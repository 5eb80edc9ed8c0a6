"""`offhook calls` and `offhook status`, as they are typed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer
from typer.testing import CliRunner

from offhook.calls import archive
from offhook.calls.timeline import LineMeasured
from offhook.cli import SUBCOMMANDS, app_for, shown
from offhook.console.app import make_app, serving
from offhook.console.status import LiveCall, NodeState, NodeStatus, WorkerStatus
from offhook.store import Store
from tests.calls.written import ORDER_CALL, PLAN, write

STARTED_AT = datetime(2026, 5, 1, 9, 0, tzinfo=UTC)

SHOWN = """\
call      k3fwq2
when      2026-05-01 09:00:00 UTC, 0:13.7 long
from      +15550199 to 100 over trunk local
plan      3f2a9c01d2e4
agent     order-desk@1
exits     disclose: done, record: recording, agent: resolved
outcome   order-status
ended     by the caller: BYE
response  p50 700 ms, p95 790 ms, over 2 turns
keys      1#
media     packets_in 684, packets_out 684, lost 3, late 1, concealed_ms 60
files     {files}

  0:00.0  prompt  You are talking to an AI. This call is recorded.
  0:03.2  agent   Hello, this is the order desk.
  0:06.0  caller  Where is my order four one seven two
  0:08.4  agent   Order 4 1 7 2 was shipped. Is there anything  \
[after 600 ms; interrupted, unsaid: "else I can help you with?"]
  0:11.0  caller  No, thanks, bye
  0:12.7  agent   Goodbye.  [after 800 ms]
  0:13.5  keys    1#
"""


class Home:
    """A server's home folder, with calls in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.calls = path / "calls"
        self.store = Store.open(f"sqlite:///{path / 'offhook.db'}")

    def begin(
        self, call_id: str, *, caller: str = "+15550199", started_at: datetime = STARTED_AT
    ) -> archive.CallFolder:
        folder = archive.create(self.calls, call_id, started_at)
        self.store.begin(
            call_id,
            started_at=started_at,
            caller=caller,
            dialled="100",
            trunk="local",
            plan_sha=PLAN,
            folder=folder.path,
        )
        return folder

    def call(self, call_id: str, *, recorded: bool = False) -> archive.CallFolder:
        folder = self.begin(call_id)
        write(folder.timeline, ORDER_CALL)
        if recorded:
            sound = (8_000 * np.sin(np.arange(8_000) / 5)).astype(np.int16)
            soundfile.write(folder.caller_wav, sound, 8_000, subtype="PCM_16")
            soundfile.write(folder.agent_wav, sound, 8_000, subtype="PCM_16")
        archive.close(folder, self.store, call_id)
        return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("OFFHOOK_HOME", str(tmp_path))
    monkeypatch.delenv("OFFHOOK_SETTINGS", raising=False)
    monkeypatch.chdir(tmp_path)
    return Home(tmp_path)


def offhook(*arguments: str) -> tuple[int, str]:
    """Run the command; its exit status, and what it printed."""
    done = CliRunner().invoke(app_for(arguments), list(arguments), env={"COLUMNS": "200"})
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


# --- list


def test_list_is_a_table_with_the_newest_call_first(home: Home) -> None:
    home.call("k3fwq2")
    home.begin("m7live", started_at=STARTED_AT + timedelta(hours=1))
    assert offhook("calls", "list") == (
        0,
        "ID      STARTED (UTC)        FROM       TO   AGENT         LENGTH  TURNS  P50 MS  ENDED BY  OUTCOME\n"
        "m7live  2026-05-01 10:00:00  +15550199  100  -             -       -      -       live      -\n"
        "k3fwq2  2026-05-01 09:00:00  +15550199  100  order-desk@1  0:13.7  5      700     caller    order-status\n",
    )


def test_list_can_be_limited_in_number_and_in_time(home: Home) -> None:
    home.begin("old1")
    home.begin("new1", started_at=datetime.now(UTC) - timedelta(minutes=30))
    assert "old1" not in offhook("calls", "list", "-n", "1")[1]
    assert "old1" not in offhook("calls", "list", "--since", "1h")[1]
    assert "old1" in offhook("calls", "list", "--since", "2026-05-01")[1]
    assert offhook("calls", "list", "--since", "1m") == (0, "no calls\n")
    status, said = offhook("calls", "list", "--since", "tuesday")
    assert status == 1 and said == "offhook: --since tuesday: write 24h, 7d, 2026-05-01 or 2026-05-01T09:00\n"


def test_before_the_first_run_there_is_no_database_and_none_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OFFHOOK_HOME", str(tmp_path / "fresh"))
    status, said = offhook("calls", "list")
    assert status == 1 and said.startswith("offhook: there is no calls database at") and said.count("\n") == 1
    assert not (tmp_path / "fresh").exists()


def test_a_settings_file_that_is_not_there_is_one_line(home: Home) -> None:
    status, said = offhook("calls", "list", "--settings", "/nowhere/offhook.toml")
    assert status == 1 and said.startswith("offhook: /nowhere/offhook.toml: cannot be read") and said.count("\n") == 1


# --- show, explain


def test_show_prints_the_call_and_its_turns(home: Home) -> None:
    folder = home.call("k3fwq2", recorded=True)
    assert offhook("calls", "show", "k3f") == (0, SHOWN.format(files=folder.call_flac))


def test_show_of_a_live_call_says_so(home: Home) -> None:
    folder = home.begin("k3fwq2")
    write(folder.timeline, ORDER_CALL[:17])
    status, said = offhook("calls", "show", "k3fwq2")
    assert status == 0
    assert "ended     not yet\n" in said and said.endswith("agent   Hello, this is the order desk.\n")


def test_show_says_how_well_each_side_was_heard_and_when_it_was_bad(home: Home) -> None:
    folder = home.begin("k3fwq2")
    heard = LineMeasured("caller", "in", 5_000, 40.0, 2.1, 0.06, 1.0, late=0.02, burst_ms=180.0)
    heard_us = LineMeasured("caller", "out", 5_000, 91.0, 4.4, 0.0, 2.0, mos_cq=4.2, rtt_ms=61.0)
    write(folder.timeline, [*ORDER_CALL[:17], (9_000, heard), (9_000, heard_us)])
    status, said = offhook("calls", "show", "k3fwq2")
    assert status == 0
    assert "line      caller, heard by us: MOS 2.1 (worst 2.1), 8.0 % lost, jitter 1.0 ms\n" in said
    assert "line      us, heard by caller: MOS 4.2 (worst 4.2), 0.0 % lost, jitter 2.0 ms, round trip 61 ms\n" in said
    assert (
        "bad       The line was bad from 0:04.0 to 0:09.0, we heard the caller badly: MOS 2.1, 8 % lost in bursts.\n"
        in said
    )


def test_explain_prints_a_sentence_a_line(home: Home) -> None:
    home.call("k3fwq2")
    status, said = offhook("calls", "explain", "k3fwq2")
    lines = said.splitlines()
    assert status == 0 and len(lines) == 26
    assert lines[1] == '0:00.0  front-door.yaml:9 asked `call.from in lists.blocked`: no, with call.from = "+15550199".'
    assert lines[-1] == "0:13.7  Ended by the caller: BYE."


def test_explain_of_a_call_without_a_timeline_says_that(home: Home) -> None:
    home.begin("k3fwq2")
    assert offhook("calls", "explain", "k3") == (0, "nothing is on the timeline of call k3fwq2\n")


@pytest.mark.parametrize("command", ["show", "explain", "play"])
def test_an_unknown_id_is_one_line_and_exit_status_1(home: Home, command: str) -> None:
    assert offhook("calls", command, "nope") == (
        1,
        "offhook: no call 'nope': `offhook calls list` shows the calls there are\n",
    )


def test_a_callers_name_cannot_move_the_cursor(home: Home) -> None:
    home.begin("k3fwq2", caller="\x1b[2J\x1b]0;owned\x07\r\nfake line")
    for command in (("list",), ("show", "k3fwq2")):
        said = offhook("calls", *command)[1]
        assert all(line.isprintable() for line in said.splitlines()) and "\x1b" not in said
    assert shown("tab\there") == "tab\N{REPLACEMENT CHARACTER}here"


# --- play


def players(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *names: str, status: int = 0) -> Path:
    """A PATH with nothing on it but programs of these names, which write down what they were given to play."""
    folder = tmp_path / "bin"
    folder.mkdir()
    heard = tmp_path / "heard"
    for name in names:
        program = folder / name
        program.write_text(
            f'#!/bin/sh\nfor last; do :; done\n/bin/cp "$last" "{heard}.${{last##*.}}"\necho {name} "$@" > "{heard}"\n'
            f"exit {status}\n"
        )
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return heard


def test_play_gives_the_recording_to_a_player_that_is_there(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = home.call("k3fwq2", recorded=True)
    heard = players(tmp_path, monkeypatch, "play", "aplay")
    assert offhook("calls", "play", "k3f") == (0, "")
    assert heard.read_text() == f"play -q {folder.call_flac}\n"


def test_a_player_that_knows_no_flac_gets_a_wav_of_the_same_sound(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = home.call("k3fwq2", recorded=True)
    heard = players(tmp_path, monkeypatch, "aplay")
    assert offhook("calls", "play", "k3f")[0] == 0
    played, rate_hz = soundfile.read(f"{heard}.wav", dtype="int16")
    recorded, _ = soundfile.read(folder.call_flac, dtype="int16")
    assert rate_hz == 8_000 and np.array_equal(played, recorded)


def test_without_a_player_the_path_is_printed_and_what_to_install(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = home.call("k3fwq2", recorded=True)
    players(tmp_path, monkeypatch)
    status, said = offhook("calls", "play", "k3f")
    assert status == 1
    assert said.splitlines() == [
        str(folder.call_flac),
        "offhook: no program to play it was found: install alsa-utils, pulseaudio-utils, ffmpeg or sox",
    ]


def test_a_player_that_fails_is_reported(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.call("k3fwq2", recorded=True)
    players(tmp_path, monkeypatch, "paplay", status=3)
    status, said = offhook("calls", "play", "k3f")
    assert status == 1 and re.match(r"offhook: paplay could not play .*call\.flac \(exit status 3\)", said)


def test_play_makes_a_flac_that_is_missing_and_says_where_there_is_nothing_to_play(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    players(tmp_path, monkeypatch, "play")
    folder = home.call("a1", recorded=True)
    folder.call_flac.unlink()
    assert offhook("calls", "play", "a1")[0] == 0 and folder.call_flac.exists()
    home.call("b2")
    assert offhook("calls", "play", "b2") == (1, "offhook: nothing was recorded of call b2\n")
    home.begin("c3")
    assert "call c3 is still on" in offhook("calls", "play", "c3")[1]
    archive.expire(home.calls, home.store, STARTED_AT + timedelta(days=31))
    assert "the audio of call a1 was deleted on 2026-06-01" in offhook("calls", "play", "a1")[1]
    assert "(audio deleted 2026-06-01" in offhook("calls", "show", "a1")[1]


# --- status


NODE = NodeStatus(
    version="0.1.0",
    started_at=STARTED_AT,
    state=NodeState.READY,
    calls=(LiveCall("k3fwq2", "+15550199", "100", "order-desk@1", 62.4), LiveCall("m7", "", "100", None, 0.2)),
    max_calls=200,
    worker=WorkerStatus("cascade", None, 2, 8, 1, 3, 2.5),
    plan=Path("/plans/front-door.yaml"),
    plan_sha=PLAN,
    numbers=("100", "+15550100"),
    sip=("udp 127.0.0.1:5060", "tcp 127.0.0.1:5060"),
    recordings=Path("/calls"),
)


async def test_status_prints_what_the_running_server_says(home: Home) -> None:
    async with serving(make_app(lambda: NODE, home.store), "127.0.0.1", 0) as url:
        done = await _in_a_process("status", "--url", url)
    assert done.returncode == 0 and done.stderr == ""
    first, *rest = done.stdout.splitlines()
    assert re.fullmatch(r"offhook 0\.1\.0 ready, up \d+ days since 2026-05-01 09:00:00 UTC", first)
    assert rest == [
        "listens     udp 127.0.0.1:5060, tcp 127.0.0.1:5060",
        "numbers     100, +15550100",
        "plan        /plans/front-door.yaml (3f2a9c01d2e4)",
        "recordings  /calls",
        "speech      cascade, DOWN, 1 of 8 slots, 3 hops late, lateness p99 2.5 ms, 2 restarts",
        "calls       2 of 200",
        "  k3fwq2  +15550199 to 100  order-desk@1  1:02.4",
        "  m7  unknown to 100  -  0:00.2",
    ]


async def test_status_takes_the_address_from_the_settings(home: Home) -> None:
    async with serving(make_app(lambda: NODE, home.store), "127.0.0.1", 0) as url:
        file = home.path / "mine.toml"
        file.write_text(f"[console]\nport = {url.rsplit(':', 1)[1]}\n")
        done = await _in_a_process("status", "--settings", str(file))
    assert done.returncode == 0 and done.stdout.startswith("offhook 0.1.0 ready")


async def test_status_of_a_server_that_is_none_of_ours_is_one_line(home: Home) -> None:
    async with serving(make_app(lambda: NODE, home.store), "127.0.0.1", 0) as url:
        done = await _in_a_process("status", "--url", f"{url}/api/docs?")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "is not an offhook server" in done.stderr


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "file:///etc/passwd", "http://", "http://127.0.0.1:x", "nonsense"]
)
def test_status_without_a_server_is_one_line(home: Home, url: str) -> None:
    status, said = offhook("status", "--url", url)
    assert status == 1 and said.startswith("offhook: ") and said.count("\n") == 1


# --- the command itself


def test_help_lists_every_subcommand_and_loads_none() -> None:
    script = (
        "import sys; sys.argv = ['offhook', '--help']\n"
        "from offhook.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print('LOADED', [m for m in sys.modules if m.startswith(('offhook.cli.', 'sqlalchemy', 'numpy', 'fastapi'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=_environment(), check=True
    )
    assert done.stdout.endswith("LOADED []\n")
    assert all(re.search(rf"│ {subcommand.name} ", done.stdout) for subcommand in SUBCOMMANDS)


def test_every_subcommand_has_its_module() -> None:
    for subcommand in SUBCOMMANDS:
        status, said = offhook(subcommand.name, "--help")
        assert status == 0 and f"offhook {subcommand.name}" in said.replace("root", "offhook")


def test_an_unknown_command_is_refused() -> None:
    assert offhook("telephone")[0] == 2
    assert isinstance(app_for([]), typer.Typer)


async def _in_a_process(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own, so that the server in this one can answer it."""
    import asyncio

    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from offhook.cli import main; main()",
        *arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(),
    )
    out, err = await process.communicate()
    return subprocess.CompletedProcess(arguments, process.returncode or 0, out.decode(), err.decode())


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "COLUMNS": "120"}

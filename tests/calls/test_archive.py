"""The call's folder: the stereo file, cut calls, audio past its time."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import soundfile

from offhook.calls import archive
from offhook.calls.archive import ArchiveError, CallFolder
from offhook.calls.timeline import CallEnded, CallStarted, RecordingStarted, WordsHeard
from offhook.store import CallState, Store
from tests.calls.written import ORDER_CALL, PLAN, write

RATE_HZ = 8_000
STARTED_AT = datetime(2026, 5, 1, 9, 0, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(f"sqlite:///{tmp_path / 'offhook.db'}")


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    return tmp_path / "calls"


def tone(samples: int, pitch_hz: float) -> np.ndarray:
    return (8_000 * np.sin(2 * np.pi * pitch_hz * np.arange(samples) / RATE_HZ)).astype(np.int16)


def record(folder: CallFolder, caller: np.ndarray | None, agent: np.ndarray | None, rate_hz: int = RATE_HZ) -> None:
    for path, sound in ((folder.caller_wav, caller), (folder.agent_wav, agent)):
        if sound is not None:
            soundfile.write(path, sound, rate_hz, subtype="PCM_16")


def begin(store: Store, folder: CallFolder, call_id: str) -> None:
    store.begin(
        call_id,
        started_at=STARTED_AT,
        caller="+15550199",
        dialled="100",
        trunk="local",
        plan_sha=PLAN,
        folder=folder.path,
    )


# --- the folder


def test_a_calls_folder_lies_under_the_utc_day_it_began_on(calls: Path) -> None:
    late = datetime(2026, 5, 1, 23, 30, tzinfo=UTC).astimezone(datetime.now().astimezone().tzinfo)
    assert archive.folder_of(calls, "k3fwq2", late).path == calls / "2026-05-01" / "k3fwq2"


@pytest.mark.parametrize("bad", ["", "..", "a/b", "../../etc", ".hidden", "a b", "x" * 65, "a\n", "ä"])
def test_an_id_that_is_no_safe_name_of_a_folder_is_refused(calls: Path, bad: str) -> None:
    with pytest.raises(ValueError, match="cannot be a call's ID"):
        archive.create(calls, bad, STARTED_AT)
    assert not calls.exists()


def test_two_calls_cannot_have_one_folder(calls: Path) -> None:
    archive.create(calls, "k3fwq2", STARTED_AT)
    with pytest.raises(ArchiveError, match="cannot be made"):
        archive.create(calls, "k3fwq2", STARTED_AT)


def test_new_ids_differ_and_are_safe_names(calls: Path) -> None:
    ids = {archive.new_call_id() for _ in range(1_000)}
    assert len(ids) == 1_000
    for call_id in ids:
        archive.folder_of(calls, call_id, STARTED_AT)


def test_a_home_is_held_by_one_process_and_let_go_when_it_dies(tmp_path: Path) -> None:
    with archive.claimed(tmp_path):
        held = f"another offhook server .process {os.getpid()}."
        with pytest.raises(ArchiveError, match=held), archive.claimed(tmp_path):
            pass
    script = (
        "import os, sys; from pathlib import Path; from offhook.calls import archive\n"
        "with archive.claimed(Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    )
    died = subprocess.run([sys.executable, "-c", script, str(tmp_path)], env=_environment(), check=False)
    assert died.returncode == -9
    with archive.claimed(tmp_path):
        pass


# --- call.flac


def test_call_flac_has_the_caller_left_the_agent_right_and_the_longer_ones_length(calls: Path) -> None:
    folder = archive.create(calls, "a", STARTED_AT)
    caller, agent = tone(3 * archive.BLOCK_SAMPLES + 17, 440), tone(archive.BLOCK_SAMPLES - 5, 700)
    record(folder, caller, agent)
    assert archive.make_flac(folder) == folder.call_flac
    sound, rate_hz = soundfile.read(folder.call_flac, dtype="int16")
    assert (rate_hz, sound.shape) == (RATE_HZ, (len(caller), 2))
    assert np.array_equal(sound[:, 0], caller)
    assert np.array_equal(sound[: len(agent), 1], agent)
    assert not sound[len(agent) :, 1].any()
    assert sorted(path.name for path in folder.path.iterdir()) == ["agent.wav", "call.flac", "caller.wav"]


def test_call_flac_has_the_rate_of_its_tracks(calls: Path) -> None:
    folder = archive.create(calls, "a", STARTED_AT)
    record(folder, tone(4_000, 440), tone(3_000, 700), 16_000)
    archive.make_flac(folder)
    sound, rate_hz = soundfile.read(folder.call_flac, dtype="int16")
    assert (rate_hz, sound.shape) == (16_000, (4_000, 2))


def test_a_missing_track_is_silence(calls: Path) -> None:
    folder = archive.create(calls, "a", STARTED_AT)
    record(folder, None, tone(800, 440))
    archive.make_flac(folder)
    sound, _ = soundfile.read(folder.call_flac, dtype="int16")
    assert not sound[:, 0].any() and sound[:, 1].any()


def test_nothing_recorded_makes_no_flac(calls: Path) -> None:
    folder = archive.create(calls, "a", STARTED_AT)
    assert archive.make_flac(folder) is None
    record(folder, tone(0, 1), tone(0, 1))
    assert archive.make_flac(folder) is None
    assert not folder.call_flac.exists()


def test_a_track_that_is_no_sound_is_reported_and_left_alone(calls: Path) -> None:
    folder = archive.create(calls, "a", STARTED_AT)
    record(folder, tone(800, 440), None)
    folder.agent_wav.write_bytes(b"not a sound file")
    with pytest.raises(ArchiveError, match=r"call\.flac: cannot be made"):
        archive.make_flac(folder)
    assert sorted(path.name for path in folder.path.iterdir()) == ["agent.wav", "caller.wav"]


def test_a_disk_that_fills_up_leaves_the_tracks_and_no_half_flac(calls: Path) -> None:
    folder = archive.create(calls, "a", STARTED_AT)
    noise = np.random.default_rng(1).integers(-9_000, 9_000, 200_000).astype(np.int16)
    record(folder, noise, noise)
    script = (
        "import resource, signal, sys; from pathlib import Path; from offhook.calls import archive\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try: archive.make_flac(archive.CallFolder(Path(sys.argv[1])))\n"
        "except archive.ArchiveError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder.path)], env=_environment(), capture_output=True, text=True, check=True
    )
    assert "call.flac" in done.stdout and done.stderr == ""
    assert sorted(path.name for path in folder.path.iterdir()) == ["agent.wav", "caller.wav"]
    assert archive.make_flac(folder) is not None


# --- headers that lie


@pytest.mark.parametrize("lie", [0, 4_000, 0xFFFFFFFF, 1_000_000], ids=["zero", "short", "most", "long"])
def test_a_lying_header_is_mended(tmp_path: Path, lie: int) -> None:
    path = tmp_path / "caller.wav"
    sound = tone(8_000, 440)
    soundfile.write(path, sound, RATE_HZ, subtype="PCM_16")
    with path.open("rb+") as file:
        file.seek(4)
        file.write(struct.pack("<I", min(lie + 36, 0xFFFFFFFF)))
        file.seek(40)
        file.write(struct.pack("<I", lie))
    assert archive.mend_wav(path)
    assert np.array_equal(soundfile.read(path, dtype="int16")[0], sound)
    assert not archive.mend_wav(path)


def test_half_a_sample_at_the_end_is_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "caller.wav"
    soundfile.write(path, tone(100, 440), RATE_HZ, subtype="PCM_16")
    with path.open("ab") as file:
        file.write(b"\x01\x02\x03")
    archive.mend_wav(path)
    assert soundfile.info(path).frames == 101


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"RIFF",
        b"RIFF\0\0\0\0WAVE",
        b"RIFF\0\0\0\0AVI " + b"\0" * 50,
        b"RIFF\0\0\0\0WAVEdata\0\0\0\0" + b"\0" * 50,
        b"RIFF\0\0\0\0WAVEfmt \xff\xff\xff\xff" + b"\0" * 50,
        b"RIFF\0\0\0\0WAVE" + b"\0" * 1_000_000,
    ],
)
def test_what_is_no_wav_is_refused_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "caller.wav"
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match="cannot be mended"):
        archive.mend_wav(path)
    assert path.read_bytes() == content


# --- the end of a call


def test_closing_a_call_makes_the_flac_and_writes_its_row(calls: Path, store: Store) -> None:
    folder = archive.create(calls, "k3fwq2", STARTED_AT)
    begin(store, folder, "k3fwq2")
    record(folder, tone(8_000, 440), tone(8_000, 700))
    write(folder.timeline, ORDER_CALL)
    ending, fault = archive.close(folder, store, "k3fwq2")
    assert fault is None and folder.call_flac.exists()
    row = store.get("k3fwq2")
    assert (row.state, row.ended_by, row.cause, row.duration_ms) == (CallState.ENDED, "caller", "BYE", 13_700)
    assert (row.agent, row.exit, row.outcomes, row.turns) == (
        "order-desk@1",
        "agent: resolved",
        ("order-status",),
        ending.turns,
    )
    assert (row.response_p50_ms, row.response_p95_ms) == (700, 790)
    assert row.keep_until == STARTED_AT + timedelta(milliseconds=13_700, days=30)


def test_a_flac_that_cannot_be_made_does_not_keep_the_row_from_being_written(calls: Path, store: Store) -> None:
    folder = archive.create(calls, "k3fwq2", STARTED_AT)
    begin(store, folder, "k3fwq2")
    folder.caller_wav.write_bytes(b"rubbish")
    write(folder.timeline, ORDER_CALL)
    _, fault = archive.close(folder, store, "k3fwq2")
    assert fault is not None and "cannot be made" in fault
    assert store.get("k3fwq2").state is CallState.ENDED


# --- cut calls


def test_a_cut_call_gets_its_end_its_headers_its_flac_and_its_row(calls: Path, store: Store) -> None:
    folder = archive.create(calls, "cut1", STARTED_AT)
    begin(store, folder, "cut1")
    sound = tone(24_000, 440)
    record(folder, sound, sound)
    with folder.caller_wav.open("rb+") as file:
        file.seek(40)
        file.write(struct.pack("<I", 100))
    write(
        folder.timeline,
        [
            (0, CallStarted("cut1", "+15550199", "100", "local", STARTED_AT.isoformat(), PLAN)),
            (20, RecordingStarted(["caller.wav", "agent.wav"], "30d")),
            (900, WordsHeard("where is", 500, 900)),
        ],
    )
    with folder.timeline.open("ab") as file:
        file.write(b'{"t": 1000.0, "kind": "words.he')

    (swept,) = archive.sweep(calls, store)

    assert (swept.call_id, swept.duration_ms, swept.faults) == ("cut1", 3_000, ())
    ends = [entry for entry in folder.entries() if isinstance(entry.event, CallEnded)]
    assert [(end.t, end.event) for end in ends] == [(3_000, CallEnded("cut", "the server stopped during the call"))]
    assert soundfile.info(folder.caller_wav).frames == len(sound)
    assert soundfile.info(folder.call_flac).frames == len(sound)
    row = store.get("cut1")
    assert (row.state, row.ended_by, row.duration_ms, row.turns) == (CallState.CUT, "cut", 3_000, 1)
    assert row.keep_until is not None
    assert archive.sweep(calls, store) == []


def test_a_call_whose_end_was_written_but_not_its_row_keeps_that_end(calls: Path, store: Store) -> None:
    folder = archive.create(calls, "k3fwq2", STARTED_AT)
    begin(store, folder, "k3fwq2")
    write(folder.timeline, ORDER_CALL)
    before = folder.timeline.read_bytes()
    archive.sweep(calls, store)
    assert folder.timeline.read_bytes() == before
    assert store.get("k3fwq2").state is CallState.ENDED


def test_a_folder_without_a_row_gets_one_from_its_timeline(calls: Path, store: Store) -> None:
    folder = archive.create(calls, "lost1", STARTED_AT)
    write(folder.timeline, [(0, CallStarted("lost1", "+15550199", "100", "local", STARTED_AT.isoformat(), PLAN))])
    archive.create(calls, "lost2", STARTED_AT)
    assert [swept.call_id for swept in archive.sweep(calls, store)] == ["lost1", "lost2"]
    row = store.get("lost1")
    assert (row.caller, row.started_at, row.state) == ("+15550199", STARTED_AT, CallState.CUT)
    assert store.get("lost2").state is CallState.CUT


def test_a_live_call_of_another_server_on_the_same_database_is_left_alone(calls: Path, store: Store) -> None:
    begin(store, CallFolder(Path("/elsewhere/calls/2026-05-01/other1")), "other1")
    assert archive.sweep(calls, store) == []
    assert store.get("other1").state is CallState.LIVE


def test_a_track_that_cannot_be_mended_is_reported_and_the_other_calls_go_on(calls: Path, store: Store) -> None:
    for call_id in ("a1", "b2"):
        folder = archive.create(calls, call_id, STARTED_AT)
        begin(store, folder, call_id)
        record(folder, tone(800, 440), tone(800, 440))
    archive.folder_of(calls, "a1", STARTED_AT).agent_wav.write_bytes(b"")
    swept = {one.call_id: one for one in archive.sweep(calls, store)}
    assert any("agent.wav: is not a WAV file" in fault for fault in swept["a1"].faults)
    assert swept["b2"].faults == ()
    assert {store.get(call_id).state for call_id in swept} == {CallState.CUT}


def test_a_live_calls_folder_that_is_gone_still_closes_its_row(calls: Path, store: Store) -> None:
    begin(store, archive.folder_of(calls, "gone1", STARTED_AT), "gone1")
    (swept,) = archive.sweep(calls, store)
    assert swept.call_id == "gone1" and store.get("gone1").state is CallState.CUT


# --- keeping


@pytest.mark.parametrize(
    ("text", "days"),
    [("30d", 30), ("12h", 0.5), ("90m", 1 / 16), (" 1d ", 1)],
    ids=["days", "hours", "minutes", "room"],
)
def test_keep_is_read_as_dial_plans_write_it(text: str, days: float) -> None:
    assert archive.parse_keep(text) == timedelta(days=days)


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1.5d", "30 d", "forever", "9999999999d", "1d\x00", "٣d"])
def test_what_is_no_length_of_time_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="keep: "):
        archive.parse_keep(text)


def test_audio_past_its_time_is_deleted_and_everything_else_stays(calls: Path, store: Store) -> None:
    folder = archive.create(calls, "k3fwq2", STARTED_AT)
    begin(store, folder, "k3fwq2")
    record(folder, tone(800, 440), tone(800, 440))
    (folder.path / "voicemail.wav").write_bytes(b"x")
    write(folder.timeline, ORDER_CALL)
    archive.close(folder, store, "k3fwq2")

    assert archive.expire(calls, store, STARTED_AT + timedelta(days=30)) == []
    assert folder.call_flac.exists()
    after = STARTED_AT + timedelta(days=30, minutes=1)
    assert [record.id for record in archive.expire(calls, store, after)] == ["k3fwq2"]
    assert [path.name for path in folder.path.iterdir()] == ["timeline.jsonl"]
    assert store.get("k3fwq2").audio_deleted_at == after
    assert archive.expire(calls, store, after) == []


def test_closing_many_calls_at_once_writes_every_row(calls: Path, store: Store) -> None:
    ids = [f"call{n}" for n in range(12)]
    folders = {call_id: archive.create(calls, call_id, STARTED_AT) for call_id in ids}
    for call_id, folder in folders.items():
        begin(store, folder, call_id)
        write(folder.timeline, ORDER_CALL)
    threads = [threading.Thread(target=archive.close, args=(folders[call_id], store, call_id)) for call_id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {store.get(call_id).state for call_id in ids} == {CallState.ENDED}


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}

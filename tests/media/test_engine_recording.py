"""Tracks: on one clock to the sample, whole after a kill, and no harm to the call when the disk fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from offhook.media import MediaCore, MediaError, Port, RecordClosed, RecordFailed, SlotSegment, Talk
from offhook.speech.slots import Segment
from tests.media.telephone import Ears, Telephone, Worker, loud, tone, track, until


def test_both_tracks_lie_on_the_media_clock_to_the_sample(
    pair: tuple[Port, Port], core: MediaCore, ears: Ears, segment: SlotSegment, rows: Segment, tmp_path: Path
) -> None:
    one, other = pair
    talker = Worker(rows, 0, one.bind(core.attach(segment), 0))
    until(lambda: one.clock_ms > 200)  # recording begins later than the clock
    one.record(tmp_path / "c1.wav", tmp_path / "a1.wav")
    other.record(tmp_path / "c2.wav", tmp_path / "a2.wav")
    talker.speak(np.full(8_000, 8_000, np.int16))  # 500 ms
    began, ended = ears.wait(Talk, one, 1), ears.wait(Talk, one, 2)
    until(lambda: one.clock_ms > ended.clock_ms + 100)
    asked_ms = one.clock_ms
    one.stop_recording()
    stopped_ms = one.clock_ms
    other.stop_recording()
    for port in pair:
        ears.wait(RecordClosed, port)

    said = track(tmp_path / "a1.wav")
    assert asked_ms - 40 <= len(said) / 8 <= stopped_ms + 40
    where = loud(said, 4_000)
    delay = 39 / 2  # of the filter, 2.44 ms
    assert where[0] == pytest.approx(began.clock_ms * 8 + delay, abs=2)
    assert where[-1] == pytest.approx(ended.clock_ms * 8 + delay, abs=2)

    # At the other end, the packet's last sample lies where it arrived: 20 ms earlier than where it began here.
    heard = loud(track(tmp_path / "c2.wav"), 4_000)
    assert len(heard) == len(where)
    arrived = heard[0] + 160 + (other.opened_ns - one.opened_ns) / 125_000
    assert 0 <= arrived - where[0] < 160
    assert len(loud(track(tmp_path / "c1.wav"), 1_000)) == len(loud(track(tmp_path / "a2.wav"), 1_000)) == 0


def test_what_was_heard_is_what_was_said(pair: tuple[Port, Port], core: MediaCore, ears: Ears, tmp_path: Path) -> None:
    one, other = pair
    one.record(tmp_path / "c1.wav", tmp_path / "a1.wav")
    other.record(tmp_path / "c2.wav", tmp_path / "a2.wav")
    one.play(core.load_prompt(tone(440, 1_000, 8_000), 8_000))
    until(lambda: one.clock_ms > 1_300)
    for port in pair:
        port.close()
        ears.wait(RecordClosed, port)
    said, heard = track(tmp_path / "a1.wav"), track(tmp_path / "c2.wav")
    begin = int(np.flatnonzero(said)[0])
    shift = int(loud(heard, 500)[0]) - int(loud(said, 500)[0])
    sent, got = said[begin : begin + 7_000].astype(int), heard[begin + shift : begin + shift + 7_000].astype(int)
    assert np.abs(sent - got).max() <= 260  # half a step of mu-law at this level


def test_a_late_packet_still_gets_its_place(core: MediaCore, ears: Ears, tmp_path: Path) -> None:
    with Telephone() as phone:
        port = core.open()
        port.remote(phone.remote())
        port.record(tmp_path / "c.wav", tmp_path / "a.wav")
        seq, timestamp = phone.seq, phone.timestamp
        until(lambda: port.clock_ms > 400)
        for n in range(12):  # all at once, as if they had been on their way since: no pause of ours makes one late
            phone.seq, phone.timestamp = (seq + n) % 2**16, (timestamp + 160 * n) % 2**32
            if n != 5:
                phone.say(port)
        until(lambda: port.counters().lost == 1)
        phone.seq, phone.timestamp = (seq + 5) % 2**16, (timestamp + 800) % 2**32
        phone.say(port, bytes([0x80]) * 160)  # 32124, 140 ms too late
        until(lambda: port.counters().late == 1)
        assert port.counters().lost == 0
        port.close()
        ears.wait(RecordClosed, port)
    where = loud(track(tmp_path / "c.wav"), 30_000)
    assert len(where) == 160
    assert where[-1] - where[0] == 159


def test_a_stream_that_stays_late_is_placed_anew(core: MediaCore, ears: Ears, tmp_path: Path) -> None:
    with Telephone() as phone:
        port = core.open()
        port.remote(phone.remote())
        port.record(tmp_path / "c.wav", tmp_path / "a.wav")
        began, began_ms = time.monotonic(), port.clock_ms
        for n in range(170):
            late_s = 0.3 if n >= 20 else 0.0  # from there on its packets take 300 ms longer, or its clock stood still
            time.sleep(max(0.0, began + 0.02 * n + late_s - time.monotonic()))
            phone.say(port, bytes([0x80]) * 160 if n in (5, 150) else b"\xff" * 160)
        port.close()
        ears.wait(RecordClosed, port)
    heard = track(tmp_path / "c.wav")
    where = loud(heard, 30_000)
    assert where[0] / 8 == pytest.approx(began_ms + 5 * 20 - 20, abs=40)
    assert where[-1] / 8 == pytest.approx(began_ms + 150 * 20 + 300, abs=60)


def test_a_caller_that_speaks_faster_than_time_makes_no_longer_track(
    core: MediaCore, phone: Telephone, ears: Ears, tmp_path: Path
) -> None:
    """Ten times more sound than seconds, until the listening path skips: none of it lies after the call's end."""
    port = core.open()
    port.remote(phone.remote())
    port.record(tmp_path / "c.wav", tmp_path / "a.wav")
    end = time.monotonic() + 4.8  # it looks every two seconds
    while time.monotonic() < end:
        phone.say(port, b"\x00" * 960)
        time.sleep(0.012)
    length_ms = port.clock_ms
    port.close()
    ears.wait(RecordClosed, port)
    assert len(track(tmp_path / "c.wav")) / 8 <= length_ms + 150


def test_a_pause_is_a_hole_and_keeps_the_clock(
    pair: tuple[Port, Port], core: MediaCore, ears: Ears, tmp_path: Path
) -> None:
    one, _ = pair
    one.record(tmp_path / "c.wav", tmp_path / "a.wav")
    one.play(core.load_prompt(np.full(800, 8_000, np.int16), 8_000), loop=True)
    until(lambda: one.clock_ms > 300)
    pausing = one.clock_ms
    one.pause_recording()
    paused = one.clock_ms
    until(lambda: one.clock_ms > paused + 300)
    resuming = one.clock_ms
    one.resume_recording()
    resumed = one.clock_ms
    until(lambda: one.clock_ms > resumed + 200)
    one.stop_recording()
    ears.wait(RecordClosed, one)
    said = track(tmp_path / "a.wav")
    hole = np.flatnonzero(np.diff(loud(said, 4_000)) > 1)
    assert len(hole) == 1
    where = loud(said, 4_000)
    assert pausing - 41 <= where[hole[0]] / 8 <= paused + 41
    assert resuming - 41 <= where[hole[0] + 1] / 8 <= resumed + 41


def test_a_recording_that_cannot_begin_says_why(pair: tuple[Port, Port], tmp_path: Path) -> None:
    one, other = pair
    with pytest.raises(MediaError, match="the folder for the tracks does not exist"):
        one.record(tmp_path / "no" / "c.wav", tmp_path / "no" / "a.wav")
    (tmp_path / "taken.wav").write_bytes(b"kept")
    with pytest.raises(MediaError, match="never overwritten"):
        one.record(tmp_path / "c.wav", tmp_path / "taken.wav")
    assert not (tmp_path / "c.wav").exists()
    assert (tmp_path / "taken.wav").read_bytes() == b"kept"
    one.record(tmp_path / "c.wav", tmp_path / "a.wav")
    with pytest.raises(MediaError, match="records already"):
        one.record(tmp_path / "c3.wav", tmp_path / "a3.wav")
    assert not (tmp_path / "c3.wav").exists()
    other.stop_recording()  # it has none: nothing happens


CHILD = """
import resource, signal, sys, time
import numpy as np
from pathlib import Path
from offhook.media import MediaCore, RecordClosed, RecordFailed, RecordResumed, Remote

folder, what = Path(sys.argv[1]), sys.argv[2]
core = MediaCore("127.0.0.1", (20_000, 29_999))
one, other = core.open(), core.open()
one.remote(Remote(other.address, "ulaw", 0))
other.remote(Remote(one.address, "ulaw", 0))

def wait(kind):
    end = time.monotonic() + 10
    while time.monotonic() < end:
        for event in core.events():
            if isinstance(event, kind):
                return event
        time.sleep(0.01)
    sys.exit(f"no {kind}")

if what == "full":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
one.record(folder / "c.wav", folder / "a.wav")
one.play(core.load_prompt(np.full(8_000, 8_000, np.int16), 8_000), loop=True)
if what == "full":
    print(wait(RecordFailed).why, flush=True)
    before = other.counters().packets_in
    time.sleep(0.3)
    assert other.counters().packets_in > before + 5, "the call must not suffer"
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    wait(RecordResumed)
    time.sleep(0.5)
    one.close()
    wait(RecordClosed)
    core.close()
    print("closed", flush=True)
else:
    while True:
        print(one.clock_ms, other.counters().packets_in, flush=True)
        time.sleep(0.01)
"""


def child(tmp_path: Path, what: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path), what], stdout=subprocess.PIPE, text=True)


def test_a_full_disk_is_reported_once_and_the_call_goes_on(tmp_path: Path) -> None:
    """The limit on file sizes stands for the disk: it is the full disk that a test may bring about."""
    with child(tmp_path, "full") as process:
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert output.splitlines() == ["agent track: File too large", "closed"]
    said = track(tmp_path / "a.wav")
    hole = np.flatnonzero(np.diff(loud(said, 4_000)) > 1)
    assert len(hole) == 1, "what could not be written is a hole, and what came after lies in its place"


def test_what_was_recorded_before_a_kill_plays(tmp_path: Path) -> None:
    with child(tmp_path, "kill") as process:
        assert process.stdout is not None
        while float(process.stdout.readline().split()[0]) < 2_600:
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL
    said = track(tmp_path / "a.wav")
    assert len(said) / 8 > 1_600  # half a second is on its way, and the last header is as old at most
    assert len(loud(said, 4_000)) > 0.9 * (len(said) - loud(said, 4_000)[0])


def test_a_process_that_stood_still_goes_on_without_a_burst(tmp_path: Path) -> None:
    """As after a machine's sleep: the clocks go on, what would have been sent meanwhile is not."""
    with child(tmp_path, "stop") as process:
        assert process.stdout is not None

        def report() -> tuple[float, int]:
            clock_ms, packets = process.stdout.readline().split()  # type: ignore[union-attr]
            return float(clock_ms), int(packets)

        while (before := report())[0] < 500:
            pass
        process.send_signal(signal.SIGSTOP)
        time.sleep(4)
        process.send_signal(signal.SIGCONT)
        while (after := report())[0] < before[0] + 5_000:
            pass
        process.kill()
        process.wait()
    assert 20 < after[1] - before[1] < (after[0] - before[0] - 4_000) / 20 + 20


def test_a_recording_ends_with_its_core(core: MediaCore, pair: tuple[Port, Port], tmp_path: Path) -> None:
    pair[0].record(tmp_path / "c.wav", tmp_path / "a.wav")
    until(lambda: pair[0].clock_ms > 150)
    core.close()
    assert len(track(tmp_path / "c.wav")) >= 1_000
    assert len(track(tmp_path / "a.wav")) >= 1_000


def test_no_event_is_lost_when_many_recordings_end(core: MediaCore, ears: Ears, tmp_path: Path) -> None:
    ports = [core.open() for _ in range(20)]
    for n, port in enumerate(ports):
        port.record(tmp_path / f"c{n}.wav", tmp_path / f"a{n}.wav")
    for port in ports:
        port.close()
    for port in ports:
        ears.wait(RecordClosed, port)
    assert not [event for event in ears.listen() if isinstance(event, RecordFailed)]
    assert core.counters().disk_drops == 0
    assert len(os.listdir(tmp_path)) == 40

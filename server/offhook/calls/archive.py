"""A call's folder: where its files are, the stereo file made at hang-up, cut calls, audio past its time.

Under `<home>/calls/YYYY-MM-DD/<call id>/` lie `timeline.jsonl`, the tracks `caller.wav` and `agent.wav` that the media
core writes while the call runs, and `call.flac`, both in one file. The timeline and the tracks are the record; the
row in the database and `call.flac` are made from them and can be made again. Nothing here touches a live call, and
everything here may take as long as a disk takes: from an event loop, call it through `asyncio.to_thread`.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from offhook.calls import folds
from offhook.calls.timeline import CallEnded, Entry, RecordingEnded, RecordingStarted, Timeline, read_timeline
from offhook.store import CallRecord, CallState, Ending, Store

BLOCK_SAMPLES = 65_536
"""Read and encoded at a time: eight seconds at 8 kHz, four at 16."""

MAX_CHUNKS = 32
"""Parts of a WAV file looked through for its sound."""

AUDIO = ("*.wav", "*.flac", "*.flac.part")

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_KEEP = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")
_KEEP_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400}


class ArchiveError(Exception):
    """A call's files cannot be worked on; the text says which file, why, and what to do."""


@dataclass(frozen=True, slots=True)
class CallFolder:
    """Where a call's files are. Making one touches no disk."""

    path: Path

    @property
    def caller_wav(self) -> Path:
        return self.path / "caller.wav"

    @property
    def agent_wav(self) -> Path:
        return self.path / "agent.wav"

    @property
    def call_flac(self) -> Path:
        return self.path / "call.flac"

    @property
    def timeline(self) -> Path:
        return self.path / "timeline.jsonl"

    def entries(self) -> list[Entry]:
        """The call's timeline; empty where there is none to read."""
        try:
            return read_timeline(self.timeline)
        except OSError:
            return []


@dataclass(frozen=True, slots=True)
class Swept:
    """A call found cut. `faults` says what could not be put right."""

    call_id: str
    folder: Path
    duration_ms: float
    faults: tuple[str, ...]


# --- beginning


def new_call_id() -> str:
    """An ID that no other call has: 12 characters, easily read out and told apart by their first few."""
    return "".join(secrets.choice("abcdefghjkmnpqrstuvwxyz23456789") for _ in range(12))


def folder_of(calls: Path, call_id: str, started_at: datetime) -> CallFolder:
    """The folder of a call under `calls`, by the UTC day it began on. Raises ValueError for an ID that is no safe
    name of a folder (letters, digits, `-` and `_`; at most 64) or a time without a zone."""
    if not _ID.fullmatch(call_id):
        raise ValueError(f"{call_id!r} cannot be a call's ID: use letters, digits, - and _, 64 at most")
    if started_at.tzinfo is None:
        raise ValueError(f"{started_at} has no time zone")
    return CallFolder(calls / started_at.astimezone(UTC).strftime("%Y-%m-%d") / call_id)


def create(calls: Path, call_id: str, started_at: datetime) -> CallFolder:
    """Make the folder of a new call, readable by its owner and group only. Raises ArchiveError where the disk
    refuses or there is one already, ValueError as `folder_of`."""
    folder = folder_of(calls, call_id, started_at)
    try:
        folder.path.parent.mkdir(parents=True, exist_ok=True)
        folder.path.mkdir(mode=0o750)
    except OSError as error:
        raise ArchiveError(f"{folder.path}: the call's folder cannot be made ({error.strerror})") from error
    return folder


@contextmanager
def claimed(home: Path) -> Iterator[None]:
    """Hold `home` for this process. Two servers on one home would take each other's live calls for cut ones.

    Raises ArchiveError where another process holds it. A process that dies lets go by dying."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "server.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise ArchiveError(
                f"{home}: another offhook server (process {lock.read(20).strip() or 'unknown'}) uses this folder; "
                "stop it, or give this one a `home` of its own"
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


# --- ending


def close(
    folder: CallFolder, store: Store, call_id: str, entries: Sequence[Entry] | None = None
) -> tuple[Ending, str | None]:
    """After hang-up: make `call.flac` and write the call's row from its timeline, which must have its end by now.
    `entries` are the timeline's where they are at hand, since a full disk may have kept some from the file.

    Returns what was written, and a sentence where `call.flac` could not be made (the tracks are there all the same).
    Raises StoreError where the row could not be written."""
    fault = None
    try:
        make_flac(folder)
    except ArchiveError as error:
        fault = str(error)
    ending = ending_of(folds.summary(folder.entries() if entries is None else entries))
    store.finish(call_id, ending)
    return ending, fault


def ending_of(summary: folds.Summary) -> Ending:
    """A call's summary as the database keeps it. What has no end on its timeline was cut."""
    cut = summary.ended_by in (None, "cut")
    last = summary.exits[-1] if summary.exits else None
    return Ending(
        state=CallState.CUT if cut else CallState.ENDED,
        ended_by=summary.ended_by or "cut",
        cause=summary.cause or "",
        duration_ms=summary.duration_ms,
        answered=summary.answered,
        agent=summary.agent,
        exit=f"{last.step}: {last.exit}" if last else None,
        outcomes=summary.outcomes,
        turns=summary.turns,
        response_p50_ms=summary.response_p50_ms,
        response_p95_ms=summary.response_p95_ms,
        keep_until=_keep_until(summary),
    )


def make_flac(folder: CallFolder) -> Path | None:
    """Make `call.flac`: the caller left, the agent right, both from the call's beginning; the shorter track ends in
    silence. It appears whole or not at all, and the tracks stay. None where nothing was recorded.

    Raises ArchiveError where a track cannot be read or the disk is full."""
    tracks = [path if path.exists() else None for path in (folder.caller_wav, folder.agent_wav)]
    if not any(tracks):
        return None
    part = folder.path / "call.flac.part"
    try:
        if not _encode(tracks, part):
            part.unlink(missing_ok=True)
            return None
        os.replace(part, folder.call_flac)
    except ArchiveError:
        part.unlink(missing_ok=True)
        raise
    except (OSError, soundfile.SoundFileError, AssertionError) as error:
        # AssertionError: how soundfile says that fewer samples were written than given.
        part.unlink(missing_ok=True)
        raise ArchiveError(f"{folder.call_flac}: cannot be made ({error}); the tracks beside it are whole") from error
    return folder.call_flac


def _encode(tracks: Sequence[Path | None], target: Path) -> int:
    """Write the tracks as channels of one FLAC. Returns its length in samples; nothing is written for none."""
    sources = [soundfile.SoundFile(path) if path else None for path in tracks]
    try:
        rates = {source.samplerate for source in sources if source}
        if len(rates) != 1 or any(source.channels != 1 for source in sources if source):
            raise ArchiveError(
                f"{target.parent}: the tracks are not both mono of one rate; `call.flac` is not made of them"
            )
        samples: int = max(source.frames for source in sources if source)
        if not samples:
            return 0
        with soundfile.SoundFile(target, "w", rates.pop(), len(tracks), "PCM_16", format="FLAC") as flac:
            for at in range(0, samples, BLOCK_SAMPLES):
                block = np.zeros((min(BLOCK_SAMPLES, samples - at), len(tracks)), np.int16)
                for channel, source in enumerate(sources):
                    if source:
                        heard = source.read(len(block), dtype="int16")
                        block[: len(heard), channel] = heard
                flac.write(block)
        _check_written(target, samples)
        return samples
    finally:
        for source in sources:
            if source:
                source.close()


def _check_written(flac: Path, samples: int) -> None:
    """A full disk may be noticed only when the last block is flushed, and the encoder tells nobody."""
    with flac.open("rb+") as written:
        os.fsync(written.fileno())
    with soundfile.SoundFile(flac) as read:
        read.seek(max(0, samples - 1))
        if read.frames != samples or len(read.read(1)) != 1:
            raise ArchiveError(f"{flac}: was not written whole; is the disk full?")


# --- calls that were cut


def sweep(calls: Path, store: Store) -> list[Swept]:
    """Once at start, before any call: close what an earlier server left open under `calls`.

    A call whose row is live, or that has a folder but no row, gets its end on the timeline (`cut`), headers that say
    how long its tracks are, its `call.flac` and its row. Calls of other servers in a shared database are left alone.
    A call that cannot be put right is reported in its `faults`, and the others go on."""
    live = {record.id: record for record in store.list(100_000, state=CallState.LIVE) if _under(record.folder, calls)}
    swept = [_close_cut(record.id, CallFolder(record.folder), store) for record in live.values()]
    for day in sorted(calls.glob("????-??-??")):
        folders = {path.name: path for path in day.iterdir() if path.is_dir() and _ID.fullmatch(path.name)}
        for call_id in sorted(folders.keys() - store.known(folders)):
            _begin_from_timeline(call_id, folders[call_id], store)
            swept.append(_close_cut(call_id, CallFolder(folders[call_id]), store))
    return swept


def _close_cut(call_id: str, folder: CallFolder, store: Store) -> Swept:
    faults = []
    for track in (folder.caller_wav, folder.agent_wav):
        try:
            if track.exists():
                mend_wav(track)
        except (OSError, ArchiveError) as error:
            faults.append(str(error))
    try:
        _end_timeline(folder)
    except OSError as error:
        faults.append(f"{folder.timeline}: cannot be ended ({error.strerror})")
    ending, fault = close(folder, store, call_id)
    return Swept(call_id, folder.path, ending.duration_ms, tuple([*faults, fault] if fault else faults))


def _end_timeline(folder: CallFolder) -> None:
    """Append the end that the server did not live to write; at the last moment that anything is known of."""
    entries = folder.entries()
    if any(isinstance(entry.event, CallEnded) for entry in entries):
        return
    lengths_ms = [_length_ms(track) for track in (folder.caller_wav, folder.agent_wav)]
    end_ms = max([entry.t for entry in entries] + lengths_ms, default=0.0)
    folder.path.mkdir(parents=True, exist_ok=True)
    _end_last_line(folder.timeline)
    timeline = Timeline(folder.timeline, lambda: end_ms)
    recording = [entry.event for entry in entries if isinstance(entry.event, RecordingStarted | RecordingEnded)]
    if recording and isinstance(recording[-1], RecordingStarted):
        timeline.append(RecordingEnded("the server stopped during the call"))
    timeline.append(CallEnded(by="cut", cause="the server stopped during the call"))
    timeline.close()
    if timeline.fault is not None:
        raise timeline.fault


def _end_last_line(path: Path) -> None:
    """A line cut off in the middle must not swallow the one that comes after it."""
    with path.open("ab+") as file:
        if file.tell() > 0:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")


def _begin_from_timeline(call_id: str, folder: Path, store: Store) -> None:
    """Give a row to a call whose server died before, or whose database was lost."""
    known = folds.summary(CallFolder(folder).entries())
    try:
        started_at = datetime.fromisoformat(known.at)
    except ValueError:
        started_at = datetime.fromtimestamp(folder.stat().st_mtime, UTC)
    store.begin(
        call_id,
        started_at=started_at if started_at.tzinfo else started_at.replace(tzinfo=UTC),
        caller=known.caller,
        dialled=known.dialled,
        trunk=known.trunk,
        plan_sha=known.plan[:64],
        folder=folder,
    )


def _length_ms(track: Path) -> float:
    try:
        with soundfile.SoundFile(track) as sound:
            return float(sound.frames * 1000 / sound.samplerate)
    except (OSError, soundfile.SoundFileError):
        return 0.0


def _under(path: Path, parent: Path) -> bool:
    return path.resolve().is_relative_to(parent.resolve())


# --- headers that lie


def mend_wav(path: Path) -> bool:
    """Make a WAV file's header say how much sound the file holds, where it says otherwise. True where it did.

    For files of one `data` chunk that ends the file, as the media core writes them: RIFF (Microsoft, Multimedia
    Programming Interface 1.0, 1991, chapter 3). Raises ArchiveError where the file is no such WAV."""
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        riff = file.read(12)
        if len(riff) < 12 or riff[:4] != b"RIFF" or riff[8:] != b"WAVE":
            raise ArchiveError(f"{path}: is not a WAV file, so its header cannot be mended")
        block_bytes, data_at = _find_data(file, size, path)
        room = size - data_at
        sound = min(room - room % block_bytes, 0xFFFFFFFF - data_at)
        file.seek(data_at - 4)
        (said,) = struct.unpack("<I", file.read(4))
        (riff_said,) = struct.unpack("<I", riff[4:8])
        if said == sound and riff_said == data_at - 8 + sound:
            return False
        file.seek(4)
        file.write(struct.pack("<I", data_at - 8 + sound))
        file.seek(data_at - 4)
        file.write(struct.pack("<I", sound))
        file.flush()
        os.fsync(file.fileno())
        return True


def _find_data(file: BinaryIO, size: int, path: Path) -> tuple[int, int]:
    """The bytes of one sample of all channels, and where the sound begins. `file` stands after the RIFF header."""
    block_bytes = 0
    at = 12
    for _ in range(MAX_CHUNKS):
        if at + 8 > size:
            break
        file.seek(at)
        name, length = struct.unpack("<4sI", file.read(8))
        if name == b"data" and block_bytes:
            return block_bytes, at + 8
        if name == b"fmt " and 16 <= length <= 64:
            described = file.read(16)
            if len(described) == 16:
                block_bytes = struct.unpack("<H", described[12:14])[0]
        at += 8 + length + length % 2
    raise ArchiveError(f"{path}: holds no sound that a WAV header describes, so its header cannot be mended")


# --- audio past its time


def parse_keep(text: str) -> timedelta:
    """How long audio is kept, as dial plans write lengths of time: `12h`, `30d`.

    Raises ValueError with a sentence for anything else."""
    match = _KEEP.fullmatch(text.strip())
    if not match:
        raise ValueError(f"keep: {text!r} is no length of time: write a number and its unit, as in 12h or 30d")
    return timedelta(seconds=int(match[1]) * _KEEP_SECONDS[match[2]])


def expire(calls: Path, store: Store, now: datetime) -> list[CallRecord]:
    """Delete the audio of the calls under `calls` that are past their time; timelines and rows stay.

    Returns those whose audio is gone. One whose files the disk will not give up is left for the next time."""
    gone = []
    for record in store.expired(now):
        if not _under(record.folder, calls):
            continue
        try:
            for pattern in AUDIO:
                for path in record.folder.glob(pattern):
                    path.unlink(missing_ok=True)
        except OSError:
            continue
        store.audio_deleted(record.id, now)
        gone.append(record)
    return gone


def _keep_until(summary: folds.Summary) -> datetime | None:
    if summary.keep is None:
        return None
    try:
        started_at = datetime.fromisoformat(summary.at).astimezone(UTC)
        return started_at + timedelta(milliseconds=summary.duration_ms) + parse_keep(summary.keep)
    except (ValueError, OverflowError):
        # Better kept too long than deleted on a guess.
        return None

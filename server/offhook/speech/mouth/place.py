"""Where the graphs of a split voice lie, and what is known of them; they are made on the way where they are missing."""

from __future__ import annotations

import errno
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from offhook import weights
from offhook.speech.mouth.graphs import DECODE, ENCODE, FLOW, MADE_AS, SOURCE, STAMP


@dataclass(frozen=True, slots=True)
class Split:
    """A voice in parts."""

    folder: Path
    """For `graphs.MouthGraphs`."""
    source_sha256: str
    """Of the voice's own graph."""
    level: float
    """RMS of the voice's speech as the decoder gives it."""


def split_of(folder: Path, name: str) -> Split:
    """The parts of the voice `name` in `folder`: beside that folder as `mouth-<name>`, or, where nothing may be written
    there, among what is cached. Made now where they are not there or not of this voice (a second or two).

    Raises MouthUnfit where the voice cannot be split, OSError where there is no room for the parts."""
    source = digest(folder / SOURCE)
    places = [folder.parent / f"mouth-{name}", weights.cache() / f"mouth-{name}"]
    for place in places:
        found = stamped(place)
        if found is not None and found.source_sha256 == source:
            return found
    from offhook.speech.mouth.split import split_voice  # slow to import, and seldom needed

    try:
        return split_voice(folder, places[0])
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        return split_voice(folder, places[1])


def stamped(target: Path) -> Split | None:
    """What is split in the folder `target`; None where it is not there, or not as it is made now."""
    try:
        stamp = json.loads((target / STAMP).read_text(encoding="utf-8"))
        if stamp["made_as"] == MADE_AS and all((target / name).stat().st_size for name in (ENCODE, FLOW, DECODE)):
            return Split(target, str(stamp["source_sha256"]), float(stamp["level"]))
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def digest(file: Path) -> str:
    """The SHA-256 of `file`, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

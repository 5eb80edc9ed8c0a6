"""What the server kept of a call, looked up the way a quality inspector would: by who called."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from loadtest.served import Served

from offhook.calls.folds import Turn, turns
from offhook.calls.timeline import CallEnded, Entry, Happening, read_timeline


@dataclass(frozen=True)
class Kept:
    """A finished call."""

    folder: Path
    entries: list[Entry]

    def of(self, kind: type[Happening]) -> list[Entry]:
        return [entry for entry in self.entries if isinstance(entry.event, kind)]

    @property
    def turns(self) -> list[Turn]:
        return list(turns(self.entries))

    @property
    def ended(self) -> CallEnded:
        (entry,) = self.of(CallEnded)
        assert isinstance(entry.event, CallEnded)
        return entry.event


def kept(server: Served, caller: str, limit_s: float = 30.0) -> Kept:
    """The newest call from `caller`, once it is over and filed."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        for call in server.get("/api/calls"):
            if call["caller"] == caller and call["state"] != "live":
                (folder,) = (server.home / "calls").glob(f"*/{call['id']}")
                return Kept(folder, read_timeline(folder / "timeline.jsonl"))
        time.sleep(0.1)
    raise AssertionError(f"no finished call from {caller!r} within {limit_s:g} s\n{server.said()[-3000:]}")

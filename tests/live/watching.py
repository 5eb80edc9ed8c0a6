"""Looking at a server from outside while its calls run: what is on a call's timeline now, and waiting for it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from loadtest.served import Served

from offhook.calls.caller import Line
from offhook.calls.timeline import Entry, Happening, read_timeline
from tests.peers.record import Kept, kept

T = TypeVar("T")

LIMIT_S = 40.0
"""For what happens within a second on a machine with nothing else to do."""


async def eventually(look: Callable[[], T | None], what: str, limit_s: float = LIMIT_S) -> T:
    """What `look` finds, as soon as it finds something. The event loop goes on meanwhile."""
    end = time.monotonic() + limit_s
    while True:
        found = await asyncio.to_thread(look)
        if found is not None and found is not False:
            return found
        assert time.monotonic() < end, f"not within {limit_s:g} s: {what}"
        await asyncio.sleep(0.03)


@dataclass(frozen=True)
class Live:
    """A call that is on."""

    server: Served
    id: str
    folder: Path

    def entries(self) -> list[Entry]:
        return read_timeline(self.folder / "timeline.jsonl")

    def of(self, kind: type[Happening]) -> list[Entry]:
        return [entry for entry in self.entries() if isinstance(entry.event, kind)]

    async def until(self, kind: type[Happening], count: int = 1, limit_s: float = LIMIT_S) -> Entry:
        """The `count`th event of this kind, once it is there."""

        def look() -> Entry | None:
            found = self.of(kind)
            return found[count - 1] if len(found) >= count else None

        try:
            return await eventually(look, f"{count} {kind.kind}", limit_s)
        except AssertionError as error:
            lines = "\n".join(entry.line() for entry in self.entries())
            raise AssertionError(f"{error}\n{lines}\n{self.server.said()[-3000:]}") from None


async def live(server: Served, caller: str) -> Live:
    """The call from `caller` that is on now."""

    def look() -> Live | None:
        for call in server.get("/status")["calls"]:
            if call["caller"] == caller:
                (folder,) = (server.home / "calls").glob(f"*/{call['id']}")
                return Live(server, call["id"], folder)
        return None

    return await eventually(look, f"a live call from {caller}")


async def over(server: Served, caller: str, limit_s: float = LIMIT_S) -> Kept:
    """The newest call from `caller`, once it is filed."""
    return await asyncio.to_thread(kept, server, caller, limit_s)


async def hears(line: Line, what: str, limit_s: float = LIMIT_S) -> float:
    """Wait until speech is heard that began after the last `forget`; when it arrived (ms of the caller's clock)."""
    assert await line.until(lambda: line.ear.first_ms is not None, limit_s), f"not heard: {what} ({line.gone})"
    assert line.ear.first_ms is not None
    return line.ear.first_ms


async def falls_silent(line: Line, settled_ms: float = 900.0, limit_s: float = LIMIT_S) -> None:
    """Wait until nothing was heard for `settled_ms`."""
    assert await line.until(lambda: line.ear.silent_for_ms() >= settled_ms, limit_s), "never silent"


def offhook(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "offhook", *arguments], capture_output=True, text=True, timeout=90, check=False
    )


def assert_untroubled(server: Served) -> None:
    """Nothing in the server's log is a fault of its own."""
    said = server.said()
    for trouble in ("Traceback", "ended by an error", "not closed properly"):
        assert trouble not in said, said[max(0, said.index(trouble) - 1500) : said.index(trouble) + 3000]

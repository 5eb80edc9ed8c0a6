"""Programs that stand between a telephone and the server while a test runs: started, watched, and ended by their id."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path


@contextlib.asynccontextmanager
async def running(command: Sequence[str | Path], log: Path) -> AsyncIterator[None]:
    """A process while the block runs, ended by its id; it is held that it lived so long."""
    with log.open("wb") as said:
        process = await asyncio.create_subprocess_exec(*command, stdout=said, stderr=said)
    try:
        yield
        lived = process.returncode is None
        assert lived, f"{command[0]} ended by itself:\n{await asyncio.to_thread(log.read_text)}"
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 10.0)
            except TimeoutError:
                process.kill()
                await process.wait()

"""The server as it ships, with a window: what lives in its process, by type, for whoever asks over a Unix socket.

    python loadtest/insides.py SOCKET run --settings FILE

`look` asks. Counting stops the server for some tenths of a second: for moments in which nobody is on the line.
"""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import sys
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LONG = 1_000
"""A container with more entries is named."""


@dataclass(frozen=True, slots=True)
class Insides:
    """What was alive after a collection."""

    objects: dict[str, int]
    """By type, those that Python's collector knows of."""
    long: list[str]
    """The longest containers: type, entries, type of an entry."""

    def of(self, *modules: str) -> dict[str, int]:
        """The objects of classes in these packages."""
        return {name: count for name, count in self.objects.items() if name.startswith(modules)}


def look(window: Path) -> Insides:
    """What lives in the server behind `window` now."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(60.0)
        asking.connect(str(window))
        with asking.makefile() as told:
            return Insides(**json.load(told))


def _count() -> dict[str, Any]:
    for _ in range(2):
        gc.collect()
    objects: Counter[str] = Counter()
    long: list[tuple[int, str]] = []
    for one in gc.get_objects():
        kind = type(one)
        objects[f"{kind.__module__}.{kind.__qualname__}"] += 1
        if isinstance(one, dict | list | set | tuple) and len(one) > LONG:
            long.append((len(one), f"{kind.__qualname__} of {type(next(iter(one))).__qualname__}"))
        if isinstance(one, asyncio.Task):
            objects[f"task {getattr(one.get_coro(), '__qualname__', '')}"] += 1
    return {"objects": objects, "long": [f"{length} {what}" for length, what in sorted(long, reverse=True)[:20]]}


def _tell(window: str) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(window)
        listening.listen()
        while True:
            with listening.accept()[0] as asked:
                asked.sendall(json.dumps(_count()).encode())


def main() -> None:
    sys.path.pop(0)  # this folder, whose files are nothing of the server's
    threading.Thread(target=_tell, args=(sys.argv.pop(1),), daemon=True, name="window").start()
    from offhook.cli import main as offhook

    offhook()


if __name__ == "__main__":
    main()

"""Who runs which tests where `make test` runs them in several processes at once (pytest-xdist).

A file is run whole by one process, so that what it starts once is started once. What mostly waits, calls in real time,
is begun at one end, and what mostly computes at the other: there is always some of both, and what is short comes last.

So that no two take the same port: 10000 to 19999 are `free_port`'s, 20000 to 29999 those of media cores, which step
over what is taken; others' programs that want a fixed range have it in 30000 to 32767. The system gives out the rest.
"""

from __future__ import annotations

from xdist.scheduler.loadscope import LoadScopeScheduling
from xdist.workermanage import WorkerController

FOLDERS = (
    *("live", "peers", "calls", "webrtc", "sip"),
    *("cli", "console", "dialplan", "store", "telemetry", ""),
    *("hostile", "models", "agents", "media", "speech"),
)
"""Of tests, from those that wait to those that compute. What is in none of them lies in the middle."""


class Lanes(LoadScopeScheduling):
    """Every other process takes its files from the waiting end."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.split("::", 1)[0]

    def _assign_work_unit(self, node: WorkerController) -> None:
        waits = int(node.gateway.id.removeprefix("gw")) % 2 == 0
        file = (min if waits else max)(self.workqueue, key=place)
        self.workqueue.move_to_end(file, last=False)
        super()._assign_work_unit(node)


def place(file: str) -> tuple[int, str]:
    """Where a file of tests lies between the two ends."""
    folder = file.split("/")[1] if file.count("/") > 1 else ""
    return FOLDERS.index(folder if folder in FOLDERS else ""), file

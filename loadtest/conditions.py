"""The networks that `networks.py` tries calls over, in netem's words, and what a server kept of a call over one."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from network import Network
from offhook.calls.timeline import Entry, MediaCounted, read_timeline
from offhook.media import PortCounters
from served import Served

STALL_EVERY_S, STALL_MS = 8.0, 300


@dataclass(frozen=True, slots=True)
class Condition:
    """A network: netem's words for either direction."""

    name: str
    words: str = ""
    loss: float = 0.0
    """Share of the packets that get lost, as the words have it."""
    burst: float = 1.0
    """Mean length of a loss, in packets."""
    stalls: bool = False

    def explains(self, lost: float, of: int) -> bool:
        """Whether chance makes of `loss` what was counted: within four standard deviations, wider where losses come in
        bursts, and a packet or two on their way when the counting ended."""
        spread = (of * self.loss * (1 - self.loss) * (2 * self.burst - 1)) ** 0.5
        return abs(lost - of * self.loss) <= 4 * spread + 3


CONDITIONS = (
    Condition("clean"),
    Condition("loss", "loss random 3%", loss=0.03),
    # In the bad state everything is lost: entered with 1 % a packet, left with 25 %.
    Condition("bursts", "loss gemodel 1% 25% 100% 0%", loss=0.01 / 0.26, burst=4.0),
    Condition("jitter", "delay 30ms 20ms distribution normal"),
    Condition("reorder", "delay 30ms reorder 5%"),
    Condition("duplicate", "duplicate 2%"),
    Condition("stall", stalls=True),
    Condition("mobile", "delay 50ms 12ms 60% distribution normal loss random 0.5% rate 2mbit", loss=0.005),
)
"""`stall`: every eight seconds nothing gets through for 300 ms, and then all at once; `mobile`: like LTE, whose radio
link lets no packet overtake another."""


@dataclass(frozen=True, slots=True)
class Losses:
    """What was sent and never came in one call, as both ends' counters have it together."""

    sent: int
    never_came: int
    sent_back: int
    back_never_came: int
    explained: bool
    """By what netem was told to lose, and chance."""
    back_explained: bool


def losses(condition: Condition, sent: int, counters: Mapping[str, float], back_never_came: int) -> Losses:
    """`sent` by the caller; `counters`: our port's."""
    # A browser's first packets may come before the keys that open them; they came all the same.
    never_came = int(sent - (counters["packets_in"] - counters["duplicate"] + counters["unauthentic"]))
    back = int(counters["packets_out"])
    return Losses(
        sent=sent,
        never_came=never_came,
        sent_back=back,
        back_never_came=back_never_came,
        explained=condition.explains(never_came, sent),
        # Chromium takes a packet that came twice for one less lost.
        back_explained=condition.name == "duplicate" or condition.explains(back_never_came, back),
    )


@contextlib.contextmanager
def stalling(net: Network, condition: Condition) -> Iterator[None]:
    """Let the network stall now and then, where the condition says so."""
    over = threading.Event()

    def stall() -> None:
        while not over.wait(STALL_EVERY_S):
            net.stall(STALL_MS)

    thread = threading.Thread(target=stall)
    if condition.stalls:
        thread.start()
    try:
        yield
    finally:
        over.set()
        if condition.stalls:
            thread.join()


def timelines(server: Served) -> set[Path]:
    """Of all calls so far."""
    return set((server.home / "calls").glob("*/*/timeline.jsonl"))


def newest(server: Served, but: Collection[Path] = ()) -> list[Entry]:
    """The timeline of the newest call, as far as it goes, that is not among `but`; none where there is no call."""
    files = [file for file in timelines(server) if file not in but]
    return read_timeline(max(files, key=_began)) if files else []


def _began(file: Path) -> str:
    first = file.read_text(encoding="utf-8").partition("\n")[0]
    return str(json.loads(first)["at"]) if first else ""


def counted(entries: Sequence[Entry]) -> dict[str, float]:
    """What the caller's port counted over the whole call (`media.PortCounters`); nothing of a call that was none."""
    found = [entry.event.counters for entry in entries if isinstance(entry.event, MediaCounted)]
    nothing = {figure.name: 0.0 for figure in fields(PortCounters)}
    return nothing | {name: float(value) for name, value in (found[0] if found else {}).items()}  # type: ignore[arg-type]

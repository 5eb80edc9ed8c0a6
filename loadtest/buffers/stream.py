"""What goes into a buffer that is measured, and what comes out: packets with their moments of arrival, and sound with
the delay that it was given. All moments are nanoseconds since the first packet left; sound is mono at 8 kHz.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

RATE_HZ = 8_000
PACKET_MS = 20
PACKET = RATE_HZ * PACKET_MS // 1000
"""Samples, and bytes of G.711."""
MS = 1_000_000
AFTER_NS = 1_000 * MS
"""Buffers are asked on for so long after the last packet. Nothing made up then is counted."""
PHASES_NS = (0, 5 * MS, 10 * MS, 15 * MS)
"""Where a player's ticks fall among the packets is chance: measured at each of these, and put together."""

Sound = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Packet:
    """One that arrived. Its sequence number is `number`, its timestamp `number * PACKET`."""

    number: int
    arrival_ns: int


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream of 20 ms packets of mu-law as it reached the far end."""

    name: str
    sent: int
    """Packets that were sent, lost ones too."""
    packets: tuple[Packet, ...]
    """Those that arrived, in the order of arrival."""
    sound: bytes
    """What they carry, whole packets; taken round and round where it is shorter than the stream."""

    def payload(self, number: int) -> bytes:
        """The mu-law of packet `number`."""
        at = number * PACKET % len(self.sound)
        return self.sound[at : at + PACKET]

    @classmethod
    def of(cls, name: str, arrivals_ns: Sequence[int | None], sound: bytes) -> Stream:
        """A stream from each packet's arrival, None where it was lost."""
        arrived = [Packet(number, at) for number, at in enumerate(arrivals_ns) if at is not None]
        return cls(name, len(arrivals_ns), tuple(sorted(arrived, key=lambda p: (p.arrival_ns, p.number))), sound)


@dataclass(slots=True)
class Played:
    """What a buffer made of a stream."""

    arrived: int
    """Packets."""
    unplayed: int
    """Of these: too late or thrown away, never heard."""
    made_up_percent: float
    """Of the sound played: concealment in place of packets that were not there."""
    delays: npt.NDArray[np.float64]
    """[n, 3]: a moment in ns, the delay between arrival and playing in ms of what was played then, how much that is."""
    sound: Sound = field(default_factory=lambda: np.zeros(0, np.int16))
    begin_ns: int = 0
    """The moment that the first sample of `sound` is played."""
    more: dict[str, Any] = field(default_factory=dict)
    """Figures that only this buffer has."""
    runs: tuple[Played, ...] = ()
    """Where this is several put together: each."""

    @property
    def mean_delay_ms(self) -> float:
        return float(np.average(self.delays[:, 1], weights=self.delays[:, 2])) if len(self.delays) else float("nan")

    def delay_ms(self, share: float) -> float:
        """The delay that `share` (0..1) of what was played stays below."""
        if not len(self.delays):
            return float("nan")
        order = np.argsort(self.delays[:, 1])
        reached = np.cumsum(self.delays[order, 2])
        return float(self.delays[order[np.searchsorted(reached, share * reached[-1])], 1])

    @property
    def unplayed_percent(self) -> float:
        return 100 * self.unplayed / max(1, self.arrived)


def together(runs: Sequence[Played]) -> Played:
    """The same stream played more than once, as one; the sound, and what else there is, is the first's."""
    return Played(
        arrived=sum(run.arrived for run in runs),
        unplayed=sum(run.unplayed for run in runs),
        made_up_percent=float(np.mean([run.made_up_percent for run in runs])),
        delays=np.concatenate([run.delays for run in runs]),
        sound=runs[0].sound,
        begin_ns=runs[0].begin_ns,
        more=runs[0].more,
        runs=tuple(runs),
    )


class Buffer(Protocol):
    """One that is measured. Making one costs nothing; `play` does it all."""

    name: str
    about: str
    """What it is, in half a sentence."""
    real_time: bool
    """It runs on the machine's clock: streams are played at once, as long as they last."""

    def missing(self) -> str | None:
        """Why it cannot be measured here, and what would help; None where it can."""

    def play(self, streams: Sequence[Stream]) -> list[Played]:
        """Play each stream from its first to its last packet, through a buffer of its own."""


def ticks(stream: Stream, phase_ns: int = 0, every_ns: int = PACKET_MS * MS) -> Iterator[tuple[int, list[Packet]]]:
    """The moments at which a player asks for sound, each with the packets that have arrived since the one before; they
    go on for AFTER_NS, so that what waits can be played. A packet that arrives at the moment of a tick is there for it.
    """
    at_ns, next_one, end_ns = phase_ns, 0, stream.packets[-1].arrival_ns + AFTER_NS
    while at_ns < end_ns:
        came = []
        while next_one < len(stream.packets) and stream.packets[next_one].arrival_ns <= at_ns:
            came.append(stream.packets[next_one])
            next_one += 1
        yield at_ns, came
        at_ns += every_ns


def _decoding() -> Sound:
    """G.711 mu-law's 256 values (ITU-T G.711, table 2a)."""
    code = ~np.arange(256) & 0xFF
    size = ((((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)) - 0x84
    return np.where(code & 0x80, -size, size).astype(np.int16)


_DECODED = _decoding()
_LADDER = np.sort(_DECODED.astype(np.int32))
_CODES = np.argsort(_DECODED.astype(np.int32), kind="stable")


def from_ulaw(data: bytes) -> Sound:
    """The sound of mu-law bytes."""
    return _DECODED[np.frombuffer(data, np.uint8)]


def to_ulaw(sound: Sound) -> bytes:
    """`sound` as mu-law: the nearest value each."""
    above = np.clip(np.searchsorted(_LADDER, sound.astype(np.int32)), 1, 255)
    lower = sound - _LADDER[above - 1] < _LADDER[above] - sound
    return _CODES[above - lower].astype(np.uint8).tobytes()

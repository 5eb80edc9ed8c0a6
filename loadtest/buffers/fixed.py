"""A fixed buffer: what arrives is played so long after it was sent, counted from the first packet; what comes later is
lost. What stands in for a missing packet is handed to it: here the packet before once more, or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from .stream import MS, PACKET, PACKET_MS, Played, Sound, Stream, from_ulaw

DELAY_MS = 60


class Concealment(Protocol):
    """Hears what is played and makes up what is missing, 20 ms at a time."""

    def heard(self, sound: Sound) -> Sound:
        """A packet was there; what is played of it (its beginning may be blended with what was made up)."""

    def made_up(self) -> Sound:
        """A packet was not there; what is played in its place."""


class Repetition:
    """The last packet once more, as loud as it was."""

    def __init__(self) -> None:
        self._last: Sound = np.zeros(PACKET, np.int16)

    def heard(self, sound: Sound) -> Sound:
        self._last = sound
        return sound

    def made_up(self) -> Sound:
        return self._last


class Nothing:
    """Silence."""

    def heard(self, sound: Sound) -> Sound:
        return sound

    def made_up(self) -> Sound:
        return np.zeros(PACKET, np.int16)


class Fixed:
    """The buffer, with `conceal` for what is missing."""

    real_time = False

    def __init__(
        self, name: str, about: str, conceal: Callable[[], Concealment], lacks: Callable[[], str | None] | None = None
    ) -> None:
        self.name, self.about = name, about
        self._conceal, self._lacks = conceal, lacks

    def missing(self) -> str | None:
        return self._lacks() if self._lacks else None

    def play(self, streams: Sequence[Stream]) -> list[Played]:
        return [self._play(stream) for stream in streams]

    def _play(self, stream: Stream) -> Played:
        first = min(stream.packets, key=lambda packet: (packet.arrival_ns, packet.number))
        base_ns = first.arrival_ns - first.number * PACKET_MS * MS + DELAY_MS * MS
        due = np.array([base_ns + packet.number * PACKET_MS * MS for packet in stream.packets], np.float64)
        arrived = np.array([packet.arrival_ns for packet in stream.packets], np.float64)
        there = {
            p.number: (at, at - came) for p, at, came in zip(stream.packets, due, arrived, strict=True) if came <= at
        }
        conceal = self._conceal()
        sound = [
            conceal.heard(from_ulaw(stream.payload(number))) if number in there else conceal.made_up()
            for number in range(stream.sent)
        ]
        return Played(
            arrived=len(stream.packets),
            unplayed=len(stream.packets) - len(there),
            made_up_percent=100 * (stream.sent - len(there)) / stream.sent,
            delays=np.array([(at, late / MS, PACKET) for at, late in there.values()]).reshape(-1, 3),
            sound=np.concatenate(sound),
            begin_ns=base_ns,
        )


REPETITION = Fixed("repetition", f"fixed {DELAY_MS} ms; the last packet once more", Repetition)
ZEROS = Fixed("zero-fill", f"fixed {DELAY_MS} ms; silence", Nothing)

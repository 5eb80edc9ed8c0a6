"""A scheduler in a room of its own: the far side of its segment, a model to watch, and a clock that a test moves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from offhook.speech.contract import Delivery, Event, Hop, Pcm, Persona, SpeechModel, Step
from offhook.speech.scheduler import Scheduler
from tests.speech.rows import PERSONA, Core, noise

MS = 1_000_000


class Clock:
    def __init__(self) -> None:
        self.now = 1_000 * MS

    def __call__(self) -> int:
        return self.now


class Listener:
    """A model whose whole behaviour is `on_step`, and that keeps what it was given."""

    def __init__(self, slots: int, on_step: Callable[[Hop, Step], None] = lambda hop, step: None) -> None:
        self.slots = slots
        self.on_step = on_step
        self.hops: list[Hop] = []
        self.delivered: list[Delivery] = []
        self.held: set[int] = set()

    def admit(self, slot: int, persona: Persona) -> None:
        assert slot not in self.held
        self.held.add(slot)

    def deliver(self, slot: int, delivery: Delivery) -> None:
        self.delivered.append(delivery)

    def release(self, slot: int) -> None:
        self.held.discard(slot)

    def step(self, hop: Hop) -> Step:
        self.hops.append(hop)
        none = np.zeros(self.slots, np.bool_)
        step = Step(np.zeros((self.slots, 4000), np.int16), np.zeros(self.slots, np.int32), none.copy(), none.copy())
        self.on_step(hop, step)
        return step

    def heard(self, slot: int) -> Pcm:
        return np.concatenate([np.zeros(0, np.int16), *(h.audio[slot] for h in self.hops if h.mask[slot])])


class Locked(Listener):
    """One that steps all its rows at once."""

    phases = 1


class Room:
    """A scheduler, its segment's other side, and the clock both live on."""

    def __init__(self, media: Core, model: SpeechModel) -> None:
        self.core = media
        self.clock = Clock()
        self.events: list[tuple[int, Event]] = []
        self.model = model
        self.scheduler = Scheduler(model, media.segment, lambda epoch, e: self.events.append((epoch, e)), self.clock)
        self.said: dict[int, list[Pcm]] = {}
        self._voices: dict[int, Pcm] = {}
        self.next_packet = self.clock.now + 7 * MS

    def join(self, slot: int, persona: Persona = PERSONA) -> int:
        epoch = self.core.bind(slot)
        self.scheduler.admit(slot, epoch, persona)
        self.said[slot] = []
        return epoch

    def pass_ms(self, ms: int, *, silent: tuple[int, ...] = ()) -> None:
        """Let time go by; every 20 ms a packet of each caller comes, but of the silent, and one is played to them."""
        end = self.clock.now + ms * MS
        while self.clock.now < end:
            self.clock.now += MS
            self._packets(silent)
            if self.clock.now >= self.scheduler.deadline_ns:
                self.scheduler.tick()

    def stalled_ms(self, ms: int) -> None:
        """Time in which the callers speak and the scheduler gets no processor."""
        self.clock.now += ms * MS
        self._packets(())

    def _packets(self, silent: tuple[int, ...]) -> None:
        while self.next_packet <= self.clock.now:
            for slot in self.said:
                if slot not in silent:
                    self.core.hear(slot, self.packet(slot), self.next_packet)
                self.said[slot].append(self.core.play(slot, 320))
            self.next_packet += 20 * MS

    def packet(self, slot: int) -> Pcm:
        """The next 20 ms of the slot's caller, unlike any other slot's."""
        at = int(self.core.segment.heard[slot])
        voice = self._voices.get(slot, noise(slot, 0))
        if len(voice) < at + 320:
            voice = self._voices[slot] = noise(slot, 2 * at + 32_000)
        return voice[at : at + 320]

    def heard_by(self, slot: int) -> Pcm:
        """All that was played to the slot's caller."""
        return np.concatenate([noise(slot, 0), *self.said[slot]])


def place(whole: Pcm, part: Pcm) -> int:
    """Where in `whole` the beginning of `part` lies."""
    windows = np.lib.stride_tricks.sliding_window_view(whole, 16)
    (found,) = np.flatnonzero((windows == part[:16]).all(axis=1))
    return int(found)

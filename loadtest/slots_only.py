"""A speech model and the scheduler in one process, without telephony: rows of shared memory fed in real time.

For machines where only Python, NumPy and the model's own libraries are there, such as a borrowed GPU. The scheduler is
the one that serves; what the media core would do, on the same shared memory, is done here with NumPy.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from offhook.speech.contract import Event, Json, Pcm, Persona, SpeechModel
from offhook.speech.scheduler import NotServed, Scheduler
from offhook.speech.slots import RING_SAMPLES, Segment, create_segment

PACKET = 320
"""20 ms."""


@dataclass(frozen=True, slots=True)
class Served:
    """What became of so many calls offered at once."""

    offered: int
    admitted: int
    refused: int
    hops: int
    late: int
    """Hops served late by anything but missing samples."""
    late_by: Mapping[str, int]
    step_p50_ms: float
    step_p99_ms: float
    lateness_p99_ms: float
    skipped_ms: float
    phases: int
    capacity: int
    """What the scheduler held to be possible at the end."""

    @property
    def in_time(self) -> bool:
        """Ninety-nine hops of a hundred were served at their tick."""
        return self.admitted > 0 and self.late <= 0.01 * self.hops


class Callers:
    """The far side of the rows: callers that all say `speech`, each from another place in it."""

    def __init__(self, slots: int, speech: Pcm) -> None:
        fd = create_segment(slots)
        self.near, self.far = Segment(fd), Segment(fd)
        os.close(fd)
        # Stretches of a packet's length, so that whole packets are copied and not sample by sample.
        self._said = sliding_window_view(np.concatenate([speech, speech[:PACKET]]), PACKET)
        self._heard = sliding_window_view(self.far.listen, PACKET, axis=1, writeable=True)
        self._at = (np.arange(slots) * 7919 * PACKET) % len(speech)
        self._rows = np.zeros(0, np.intp)

    def bind(self, slot: int) -> int:
        """A new call in the row; its epoch."""
        far = self.far
        for cursor in (far.heard, far.missing, far.taken, far.played, far.spoken, far.cut_before, far.cut_seq):
            cursor[slot] = 0
        far.cut_done[slot] = 0
        far.epoch[slot] += 1
        far.live[slot] = 1
        self._rows = np.flatnonzero(far.live)
        return int(far.epoch[slot])

    def packet(self) -> None:
        """20 ms pass: every caller says a packet, and is played one."""
        far, rows = self.far, self._rows
        if not len(rows):
            return
        heard = far.heard[rows].astype(np.int64)
        places, said = heard % RING_SAMPLES, self._said[self._at[rows]]
        wraps = places > RING_SAMPLES - PACKET
        self._heard[rows[~wraps], places[~wraps]] = said[~wraps]
        for i in np.flatnonzero(wraps):
            far.listen[rows[i], (places[i] + np.arange(PACKET)) % RING_SAMPLES] = said[i]
        self._at[rows] = (self._at[rows] + PACKET) % (len(self._said) - 1)
        far.heard_ns[rows] = time.monotonic_ns()
        far.fence()
        far.heard[rows] = heard + PACKET
        cut = far.cut_seq[rows] != far.cut_done[rows]
        taken, spoken = far.taken[rows].astype(np.int64), far.spoken[rows].astype(np.int64)
        taken = np.where(cut, np.maximum(taken, far.cut_before[rows].astype(np.int64)), taken)
        far.cut_done[rows] = far.cut_seq[rows]
        step = np.clip(spoken - taken, 0, PACKET)
        far.played[rows] += step.astype(np.uint64)
        far.taken[rows] = taken + step


def serve(model: SpeechModel, persona: Persona, offered: int, seconds: float, speech: Pcm) -> Served:
    """Offer so many calls, one every few milliseconds, and serve those that are taken for `seconds`."""
    callers = Callers(model.slots, speech)
    scheduler = Scheduler(model, callers.near, _ignore)
    scheduler.warm()
    waiting, refused = list(range(offered)), 0
    packet_ns = review_ns = time.monotonic_ns()
    end_ns = packet_ns + int(seconds * 1e9)
    while packet_ns < end_ns:
        # A telephone system brings its calls one after the other: as many as will be refused as well.
        for slot in [waiting.pop(0) for _ in range(min(len(waiting), max(1, offered // 50)))]:
            try:
                if slot >= model.slots:
                    raise NotServed("full", "there are no more rows")
                scheduler.admit(slot, callers.bind(slot), persona)
            except NotServed as refusal:
                if refusal.reason not in ("full", "too slow"):
                    raise
                refused += 1
                if slot < model.slots:
                    callers.far.live[slot] = 0
        packet_ns += 20_000_000
        callers.packet()
        while time.monotonic_ns() < packet_ns:
            wait_ns = min(packet_ns, scheduler.deadline_ns) - time.monotonic_ns()
            if wait_ns > 0:
                time.sleep(wait_ns / 1e9)
            if time.monotonic_ns() >= scheduler.deadline_ns:
                scheduler.tick()
        if time.monotonic_ns() - review_ns > 1e9:
            review_ns = time.monotonic_ns()
            scheduler.review()
    stats = scheduler.stats()
    for slot in range(model.slots):
        scheduler.release(slot)
    return Served(
        offered=offered,
        admitted=stats.in_use,
        refused=refused,
        hops=stats.hops,
        late=stats.late - stats.late_by.get("unfed", 0),
        late_by=stats.late_by,
        step_p50_ms=round(stats.step_p50_ms, 3),
        step_p99_ms=round(stats.step_p99_ms, 3),
        lateness_p99_ms=round(stats.lateness_p99_ms, 3),
        skipped_ms=stats.skipped_samples / 16,
        phases=stats.phases,
        capacity=stats.capacity,
    )


def load(model: str, slots: int, options: Mapping[str, Json]) -> SpeechModel:
    """A model as the speech worker loads it: a name it knows, or module:Class."""
    from offhook.speech.worker import model_class

    return model_class(model).load(slots, options)


def _ignore(epoch: int, event: Event) -> None:
    """Nobody is at the other end."""

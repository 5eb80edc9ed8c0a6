"""A telephone line for tests of a speech model: callers' sound in, the agents' sound out, in real time.

It does what the scheduler and the media core do together, and no more: a hop every 80 ms for every slot, a step every
20 ms, audio played at the rate of the wire, cuts carried out with the next packet. Real time, because recognition and
synthesis take real time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from offhook.speech.contract import HOP_SAMPLES, RATE_HZ, Event, Hop, Pcm, SpeechModel

TICK_SAMPLES = RATE_HZ // 50


@dataclass(slots=True)
class Caller:
    """One slot's party: what it still has to say, and what it heard."""

    speech: Pcm = field(default_factory=lambda: np.zeros(0, np.int16))
    spoke_until: int = 0
    """Where its last words ended, in its own stream."""
    sent: int = 0
    queue: Pcm = field(default_factory=lambda: np.zeros(0, np.int16))
    played: int = 0
    wire: list[Pcm] = field(default_factory=list)
    lost: bool = False
    """Its packets do not arrive."""


class Line:
    """`callers[i]` talks to slot i of `model`, `speed` times as fast as people do."""

    def __init__(self, model: SpeechModel, speed: float = 1.0) -> None:
        self.model = model
        self._speed = speed
        self.callers = [Caller() for _ in range(model.slots)]
        self.events: list[Event] = []
        self.at: list[int] = []
        """For each event, the samples that had passed on the line when it came."""
        self.now = 0
        self._buffers = [np.zeros(0, np.int16) for _ in self.callers]
        self._noise = np.random.default_rng(7)
        self._start = time.monotonic()
        self.longest_step_ms = 0.0

    def fresh(self, slot: int) -> Caller:
        """A new caller in `slot`; what the last one heard stays with that one."""
        self.callers[slot] = Caller()
        self._buffers[slot] = np.zeros(0, np.int16)
        return self.callers[slot]

    def say(self, words: Pcm, slot: int = 0) -> None:
        """The caller says `words` from now on."""
        self.callers[slot].speech = words

    def until(self, found: Callable[[Event], bool], limit_s: float = 12.0) -> Event:
        """Run until an event not seen before is `found`; that event. Fails after `limit_s` with what came instead."""
        end = self.now + int(limit_s * RATE_HZ)
        seen = len(self.events)
        while self.now < end:
            self._tick()
            for event in self.events[seen:]:
                seen += 1
                if found(event):
                    return event
        told = "\n  ".join(str(event) for event in self.events[-12:])
        raise AssertionError(f"nothing of the kind in {limit_s} s; the last events were\n  {told}")

    def run(self, seconds: float) -> None:
        end = self.now + int(seconds * RATE_HZ)
        while self.now < end:
            self._tick()

    def agent(self, slot: int = 0) -> Pcm:
        """All that the caller in `slot` heard, silence included, on the line's clock."""
        return np.concatenate(self.callers[slot].wire)

    def of(self, *kinds: type) -> Sequence[Event]:
        return [event for event in self.events if isinstance(event, kinds)]

    def _tick(self) -> None:
        self.now += TICK_SAMPLES
        wait = self._start + self.now / RATE_HZ / self._speed - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        else:
            self._start -= wait  # the machine was held up: the line's clock was too
        for slot, caller in enumerate(self.callers):
            packet = (self._noise.normal(0, 6, TICK_SAMPLES)).astype(np.int16)
            part, caller.speech = caller.speech[:TICK_SAMPLES], caller.speech[TICK_SAMPLES:]
            packet[: len(part)] += part
            caller.sent += TICK_SAMPLES
            if len(part):
                caller.spoke_until = self.now - TICK_SAMPLES + len(part)
            self._buffers[slot] = np.concatenate([self._buffers[slot], packet])
            out, caller.queue = caller.queue[:TICK_SAMPLES], caller.queue[TICK_SAMPLES:]
            caller.played += len(out)
            caller.wire.append(np.concatenate([out, np.zeros(TICK_SAMPLES - len(out), np.int16)]))
        self._step()

    def _step(self) -> None:
        n = len(self.callers)
        due = self.now % HOP_SAMPLES == 0
        mask = np.array([due and len(buffer) >= HOP_SAMPLES for buffer in self._buffers])
        audio = np.zeros((n, HOP_SAMPLES), np.int16)
        missing = np.zeros(n, np.int32)
        for slot in (int(row) for row in np.flatnonzero(mask)):
            caller = self.callers[slot]
            audio[slot], self._buffers[slot] = self._buffers[slot][:HOP_SAMPLES], self._buffers[slot][HOP_SAMPLES:]
            if caller.lost:
                audio[slot], missing[slot] = 0, HOP_SAMPLES
        played = np.array([caller.played for caller in self.callers], np.int64)
        began = time.perf_counter()
        step = self.model.step(Hop(audio, mask, missing, played))
        self.longest_step_ms = max(self.longest_step_ms, (time.perf_counter() - began) * 1000)
        for slot, caller in enumerate(self.callers):
            if step.cut[slot]:
                caller.queue = caller.queue[:0]
            caller.queue = np.concatenate([caller.queue, step.audio[slot, : step.samples[slot]]])
        self.events += step.events
        self.at += [self.now] * len(step.events)

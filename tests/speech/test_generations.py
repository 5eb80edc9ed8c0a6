"""A row that is used again and again: whoever has it hears, and says, nothing of those who had it before."""

from __future__ import annotations

import contextlib

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offhook.speech.contract import HOP_SAMPLES, Delivery, Hop, Persona, Step, WordsSpoken
from offhook.speech.scheduler import NotServed, Scheduler
from tests.speech.room import MS, Clock
from tests.speech.rows import PERSONA, Core, core

SLOTS = 3


class Pipelined:
    """A model that works ahead: what it says in a step, and reports, is of the hop before the last one. It forgets
    nothing when a slot is released, and so relies on the scheduler entirely."""

    def __init__(self) -> None:
        self.slots = SLOTS
        self.heard: dict[int, set[int]] = {}
        """By admission, the samples it was given."""
        self._pipe: list[tuple[Hop, np.ndarray]] = []

    def admit(self, slot: int, persona: Persona) -> None:
        """Nothing is begun."""

    def deliver(self, slot: int, delivery: Delivery) -> None:
        """Nothing is wanted."""

    def release(self, slot: int) -> None:
        """Nothing is forgotten."""

    def step(self, hop: Hop) -> Step:
        for row in np.flatnonzero(hop.mask):
            self.heard.setdefault(int(hop.generation[row]), set()).update(set(hop.audio[row].tolist()))
        self._pipe.append((hop, hop.generation.copy()))
        none = np.zeros(SLOTS, np.bool_)
        step = Step(np.zeros((SLOTS, HOP_SAMPLES), np.int16), np.zeros(SLOTS, np.int32), none, none.copy())
        if len(self._pipe) > 2:
            old, step.generation = self._pipe.pop(0)
            step.audio, step.samples = old.audio, np.where(old.mask, HOP_SAMPLES, 0).astype(np.int32)
            step.cut = old.mask & (old.audio[:, 0] % 7 == 0)
            step.events = [WordsSpoken(int(r), 0, str(old.audio[r, 0]), 0) for r in np.flatnonzero(old.mask)]
        return step


class Exchange:
    """Calls that come and go; each says its own number without end."""

    def __init__(self, media: Core) -> None:
        self.core, self.clock, self.model = media, Clock(), Pipelined()
        self.reported: list[tuple[int, str]] = []
        self.scheduler = Scheduler(self.model, media.segment, self._report, self.clock)
        self.numbers = 0
        self.callers: dict[int, int] = {}  # by slot
        self.of_epoch: dict[tuple[int, int], int] = {}
        self.of_admission: dict[int, int] = {}

    def _report(self, epoch: int, event: object) -> None:
        assert isinstance(event, WordsSpoken)
        assert self.of_epoch[event.slot, epoch] == int(event.text), "an event of an earlier caller is reported"
        self.reported.append((epoch, event.text))

    def come(self, slot: int) -> None:
        """A new caller takes the row, whether or not somebody told the scheduler of the last one."""
        self.numbers += 1
        epoch = self.core.bind(slot)
        self.callers[slot] = self.numbers
        self.of_epoch[slot, epoch] = self.numbers
        with contextlib.suppress(NotServed):
            self.scheduler.admit(slot, epoch, PERSONA)
            self.of_admission[len(self.of_admission) + 1] = self.numbers

    def go(self, slot: int) -> None:
        """The port is unbound; nobody tells the scheduler."""
        self.callers.pop(slot, None)
        self.core.unbind(slot)

    def pass_ms(self, ms: int) -> None:
        for _ in range(ms // 20):
            self.clock.now += 20 * MS
            for slot, number in self.callers.items():
                self.core.hear(slot, np.full(320, number, np.int16), self.clock.now)
                played = self.core.play(slot, 320)
                assert set(played.tolist()) <= {number}, "a caller is played what is another's"
            if self.clock.now >= self.scheduler.deadline_ns:
                self.scheduler.tick()


Act = tuple[str, int, int]
ACTS = st.lists(
    st.tuples(st.sampled_from(["come", "go", "release", "stall"]), st.integers(0, SLOTS - 1), st.integers(0, 15)),
    max_size=25,
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(ACTS)
def test_no_caller_ever_hears_or_is_told_of_another(acts: list[Act]) -> None:
    with core(SLOTS) as media:
        exchange = Exchange(media)
        exchange.come(0)
        exchange.pass_ms(200)
        for act, slot, beats in acts:
            match act:
                case "come":
                    exchange.come(slot)
                case "go":
                    exchange.go(slot)
                case "release":
                    exchange.scheduler.release(slot)
                case "stall":
                    exchange.clock.now += 20 * MS * beats
            exchange.pass_ms(20 * beats)
        for admission, numbers in exchange.model.heard.items():
            assert numbers <= {exchange.of_admission[admission]}, "the model is given an earlier caller's samples"


def test_what_a_model_made_for_an_earlier_caller_is_dropped_and_the_present_one_is_served() -> None:
    with core(SLOTS) as media:
        exchange = Exchange(media)
        for _ in range(6):
            exchange.come(1)
            exchange.pass_ms(600)
        assert len(exchange.reported) >= 6 * 3
        assert {text for _, text in exchange.reported} == {str(number) for number in range(1, 7)}

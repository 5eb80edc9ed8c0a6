"""Gives every slot its hop on time, steps the model once for all that are due, and says when it is full.

Ticks have absolute deadlines on the monotonic clock; which rows are due at one is the cadence's to say. A step that
ran too long, or anything else that made a tick late, is counted by its cause, the callers' rings bridge it, and nothing
is queued behind it. How many calls can be held is measured from the steps themselves. What the model says goes into the
play rings under the epoch it was admitted with, and is never heard by a later caller of the same row.

This knows no process and no message: the worker around it brings the clock, the commands and a place for events.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from offhook.speech import contract
from offhook.speech.cadence import BEAT_NS, BEATS, Cadence, Due
from offhook.speech.capacity import StepCost, calls_held, cost_of, phases_for
from offhook.speech.contract import HOP_MS, HOP_SAMPLES, Delivery, Event, Hop, Persona, SpeechModel, Step
from offhook.speech.hints import hints_of
from offhook.speech.lateness import Cause, Ledger
from offhook.speech.playrings import PlayRings
from offhook.speech.slots import Segment
from offhook.speech.stats import HORIZON_S, SchedulerStats, Timings

log = logging.getLogger(__name__)

WATCHED_STEPS: Final = 25
"""Of fewer steps no percentile is taken."""
LATE_LIMIT_MS: Final = 40.0
"""With ticks this late (p95) no further call is taken."""
WATCHED_TICKS: Final = 50
"""Of fewer ticks that is not asked: one moment's stall makes two of them late."""
ISOLATION_LIMIT_S: Final = 1.0
FAILURES_LIMIT: Final = 3
WARM_STEPS: Final = 4
REHEARSAL_LIMIT_S: Final = 3.0
"""For so long a model's step is rehearsed with more and more rows, before it serves."""
REHEARSED_AGAIN_S: Final = 0.5
"""And later: a call may come, and whoever watches the thread takes one that is at it for seconds for hung."""
LONGEST_REST_S: Final = 600.0
"""From one such rehearsal to the next, where they promise no more than the one before."""

Flags = npt.NDArray[np.bool_]


class NotServed(Exception):
    """A row would not take a conversation: `reason` is `full`, `too slow`, `unbound` or `unfit`."""

    def __init__(self, reason: str, why: str) -> None:
        super().__init__(why)
        self.reason = reason


class ModelBroken(Exception):
    """The model fails for every row it is stepped with: no slot can be blamed, and the process is no use any more."""


class Scheduler:
    """Serves a model's rows. Every method is called from one thread; `tick` at each `deadline_ns` while `in_use`.

    `report` gets each event with the epoch of its row. `processor_wait_ns` says how long the thread has waited for a
    processor so far. What a model may say of itself is in `hints.Hints`.
    """

    def __init__(
        self,
        model: SpeechModel,
        segment: Segment,
        report: Callable[[int, Event], None],
        clock_ns: Callable[[], int] = time.monotonic_ns,
        processor_wait_ns: Callable[[], int] = lambda: 0,
    ) -> None:
        if model.slots > segment.slots:
            raise ValueError(f"the model serves {model.slots} slots, the segment has rows for {segment.slots}")
        self.model, self.slots = model, model.slots
        self.hints = hints_of(model)
        self.limit = model.slots if self.hints.capacity is None else min(self.hints.capacity, model.slots)
        """Conversations at most, by the rows there are and the model's own hint; `capacity` is what can be held now."""
        self.ledger = Ledger()
        """What the thread does besides stepping is to be noted here by whoever does it."""
        self._segment, self._report = segment, report
        self._clock_ns, self._processor_wait_ns = clock_ns, processor_wait_ns
        self._origin_ns = clock_ns()
        self._beat = 1  # the next one to be served
        self._cadence = Cadence(segment, self.slots, self.hints.phases)
        self._rings = PlayRings(segment, self.slots)
        self._held: Flags = np.zeros(self.slots, np.bool_)
        self._epoch = np.zeros(self.slots, np.int64)
        self._generation = np.zeros(self.slots, np.int64)  # number of the row's admission; 0: nobody
        self._admissions = 0
        self._lateness = Timings(8192)
        self._tick_lateness = Timings(1024)  # of a tick's latest row: many rows in one late tick are one stall
        self._step_times = Timings(1024)
        self._prices = Timings(1024)  # of steps there was work in, without what could have waited
        self._rows_priced = Timings(1024)  # not a time, but wanted over the same horizon
        self._rehearsed: list[tuple[int, float]] = [(0, 0.0)]
        self._rehearsed_ns = self._regrouped_ns = clock_ns()
        self._rest_s = HORIZON_S  # until the next rehearsal
        self._waited_ns = processor_wait_ns()
        self._counts: Counter[str] = Counter()
        self._late_by: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._released: Counter[str] = Counter()
        self._failures = 0  # steps in a row that failed with everyone in them

    # --- conversations

    @property
    def in_use(self) -> int:
        return int(np.count_nonzero(self._held))

    @property
    def phases(self) -> int:
        """Phase groups in force."""
        return self._cadence.phases

    @property
    def capacity(self) -> int:
        """Conversations that can be held on time as things are: from a rehearsal, and the steps of the last seconds."""
        now_s = self._clock_ns() / 1e9
        rows, prices_ms = self._rows_priced.recent(now_s), self._prices.recent(now_s)
        held = calls_held(cost_of(self._rehearsed, rows, prices_ms), self.limit, self.hints.phases)
        if not self.in_use and held == 0:
            # What troubled calls that are over is no reason to take none; and one that a step has time for is served.
            alone_ms = float(StepCost.rehearsed(self._rehearsed).p99_ms(np.ones(1))[0])
            return min(self.limit, int(alone_ms <= HOP_MS))
        lateness = self._tick_lateness.recent(now_s)
        if len(lateness) >= WATCHED_TICKS and float(np.percentile(lateness, 95)) > LATE_LIMIT_MS:
            held = min(held, self.in_use)
        return held

    def can_admit(self) -> str:
        """Empty where one more conversation could be served on time; else `full` or `too slow`."""
        if self.in_use >= self.limit:
            return "full"
        return "too slow" if self.in_use >= self.capacity else ""

    def admit(self, slot: int, epoch: int, persona: Persona, again: bool = False) -> None:
        """Begin a conversation in the row bound as `epoch`. A conversation the row held under an earlier epoch is
        over. Raises NotServed. One that another scheduler held until now (`again`) is never `too slow`: what was
        rehearsed while that one had the machine promises too little, and whoever is talking is not turned away."""
        segment = self._segment
        if not 0 <= slot < self.slots:
            raise self._refusal("unfit", f"there is no slot {slot}; the model has {self.slots}")
        if self._held[slot]:
            self.release(slot, "rebound")
        if not segment.live[slot] or segment.epoch[slot] != epoch or segment.taken[slot]:
            bound = f"epoch {segment.epoch[slot]}" if segment.live[slot] else "no port"
            raise self._refusal(
                "unbound", f"slot {slot} is bound to {bound}, not freshly to epoch {epoch}: bind it first"
            )
        if (reason := self.can_admit()) and not (again and reason == "too slow"):
            raise self._refusal(reason, f"{self.in_use} conversations are being held, one more is too many")
        try:
            self.model.admit(slot, persona)
        except Exception as error:
            if not isinstance(error, ValueError):
                log.exception("admitting %s to slot %d failed", persona.name, slot)
            self._forget(slot)
            raise self._refusal("unfit", f"{persona.name} cannot be served: {error}") from None
        if not self._held.any():
            # Nobody was here, and time has passed without ticks: go on from now.
            self._beat = self._cadence.after(self._now_beat())
        beat = max(self._beat, self._cadence.after(self._now_beat()))
        self._cadence.join(slot, epoch, int(segment.heard[slot]), beat)
        self._held[slot] = True
        self._epoch[slot] = epoch
        self._admissions += 1
        self._generation[slot] = self._admissions
        self._rings.open(slot, epoch)

    def deliver(self, slot: int, epoch: int, delivery: Delivery) -> None:
        """Hand on a delivery; it is dropped where the row has gone on to another epoch."""
        if not (0 <= slot < self.slots and self._held[slot] and self._epoch[slot] == epoch):
            return
        try:
            self.model.deliver(slot, delivery)
        except Exception as error:
            log.exception("slot %d failed on a delivery", slot)
            self._fail(slot, error)

    def release(self, slot: int, cause: str = "asked", epoch: int | None = None) -> None:
        """End the row's conversation, if it has one (of `epoch`, where that is named). Nothing more of it is played."""
        if not (0 <= slot < self.slots and self._held[slot] and epoch in (None, int(self._epoch[slot]))):
            return
        self._held[slot] = False
        self._generation[slot] = 0
        self._cadence.leave(slot)
        self._released[cause] += 1
        self._rings.close(slot)
        self._forget(slot)

    # --- time

    @property
    def deadline_ns(self) -> int:
        """When `tick` is to be called next, on the clock."""
        return self._origin_ns + self._beat * BEAT_NS

    def warm(self, limit_s: float = REHEARSAL_LIMIT_S) -> None:
        """Step the model a few times with nobody in it, and with more and more rows where it can rehearse that, until
        a step takes longer than a hop; take the cost of a step, and the phase groups to begin with, from these. Not
        while conversations are held."""
        empty = self._hop(Due())
        rehearsed = [(0, self._usual_ms(lambda: self.model.step(empty)))]
        rehearsal = self.hints.rehearsal
        give_up_ns = self._clock_ns() + int(limit_s * 1e9)
        count = 1
        while (
            rehearsal is not None
            and count <= self.limit
            and rehearsed[-1][1] <= HOP_MS
            and self._clock_ns() < give_up_ns
        ):
            rehearse, n = rehearsal, count
            rehearsed.append((n, self._usual_ms(lambda: rehearse(n))))  # noqa: B023 (called at once)
            count = self.limit if count < self.limit < 2 * count else 2 * count
        self._rehearsed = rehearsed
        self._rehearsed_ns = self._clock_ns()
        self._regroup(phases_for(rehearsed[0][1], BEATS, self.hints.phases))

    def tick(self) -> None:
        """Serve every row that is due and has a fresh hop. Raises ModelBroken."""
        now_ns = self._clock_ns()
        beat = max(self._beat, (now_ns - self._origin_ns) // BEAT_NS)
        waited_ns, self._waited_ns = self._waited_ns, self._processor_wait_ns()
        due = self._cadence.serve(beat, now_ns)
        if beat > self._beat:
            self._counts["overruns"] += (beat - self._beat) // (BEATS // self.phases)
        if due.late:
            cause = self.ledger.blame(self.deadline_ns, now_ns, self._waited_ns - waited_ns)
            self._late_by[cause] += due.late - due.unfed
            self._late_by[Cause.UNFED] += due.unfed
        self._beat = self._cadence.after(beat)
        for slot in due.gone:
            self.release(slot, "unbound" if self._segment.epoch[slot] == self._epoch[slot] else "rebound")
        if due.rows or (self.hints.every_tick and self._held.any()):
            self._step(due)

    def review(self) -> None:
        """Choose the phase groups anew from the steps of the last seconds, and rehearse once more where nobody is here
        and the last rehearsal promised little, ever more seldom while that stays so. To be called about once a
        second."""
        now_ns = self._clock_ns()
        # Steps of other groups, with other rows in them, tell little of those to come.
        steps = self._step_times.recent(now_ns / 1e9, self._regrouped_ns / 1e9)
        settled = now_ns - self._regrouped_ns > HORIZON_S * 1e9
        if len(steps) >= WATCHED_STEPS:
            phases = phases_for(float(np.percentile(steps, 95)), self.phases, self.hints.phases)
            if phases < self.phases or (phases > self.phases and settled):
                self._regroup(phases)
        elif not len(steps) and not self._held.any() and now_ns - self._rehearsed_ns > self._rest_s * 1e9:
            if (promised := self.capacity) < self.limit:
                self.warm(REHEARSED_AGAIN_S)
                self._rest_s = HORIZON_S if self.capacity > promised else min(2 * self._rest_s, LONGEST_REST_S)

    def stats(self) -> SchedulerStats:
        now_s = self._clock_ns() / 1e9
        stage_runs, stage_ms = self.hints.stages() if self.hints.stages is not None else ({}, {})
        return SchedulerStats(
            slots=self.slots,
            in_use=self.in_use,
            capacity=self.capacity,
            phases=self.phases,
            refusal=self.can_admit(),
            hops=self._counts["hops"],
            late=self._late_by.total(),
            late_by={str(cause): count for cause, count in self._late_by.items() if count},
            skipped_samples=self._cadence.skipped_samples,
            clipped_samples=self._rings.clipped_samples,
            starved_samples=self._rings.starved_samples(),
            cuts=self._rings.cuts,
            steps=self._counts["steps"],
            overruns=self._counts["overruns"],
            lateness_p50_ms=self._lateness.percentile(50, now_s),
            lateness_p99_ms=self._lateness.percentile(99, now_s),
            step_p50_ms=self._step_times.percentile(50, now_s),
            step_p99_ms=self._step_times.percentile(99, now_s),
            lateness_counts=self._lateness.counts,
            step_counts=self._step_times.counts,
            refused=dict(self._refused),
            released=dict(self._released),
            stage_runs=stage_runs,
            stage_ms=stage_ms,
        )

    # --- the step

    def _step(self, due: Due) -> None:
        hop = self._hop(due)
        began_ns = self._clock_ns()
        self._counts["hops"] += len(due.rows)
        for servable in due.servable:
            late_ns = began_ns - self._origin_ns - servable * BEAT_NS
            self._lateness.add(max(0, late_ns) / 1e6, began_ns / 1e9)
        if due.rows:
            late_ns = began_ns - self._origin_ns - min(due.servable) * BEAT_NS
            self._tick_lateness.add(max(0, late_ns) / 1e6, began_ns / 1e9)
        for step, mask in self._stepped(hop, due.rows):
            if step.generation is not None:
                self._drop_others(step, step.generation)
            self._rings.say(step, mask)
            for event in step.events:
                self._tell(event)

    def _hop(self, due: Due) -> Hop:
        """The hop of these rows. Its arrays are the model's to keep."""
        n, rows = self.slots, due.rows
        audio, mask = np.zeros((n, HOP_SAMPLES), np.int16), np.zeros(n, np.bool_)
        missing = np.zeros(n, np.int32)
        if rows:
            mask[rows] = True
            self._segment.gather(rows, due.cursors, audio)
            if any(due.missing):
                missing[rows] = due.missing
        played = np.where(self._held, self._segment.heads["played"][:n], 0)
        return Hop(audio, mask, missing, played, self._generation.copy())

    def _usual_ms(self, work: Callable[[], object]) -> float:
        """What this takes, once it is warm."""
        times = []
        for _ in range(WARM_STEPS):
            began_ns = self._clock_ns()
            work()
            times.append((self._clock_ns() - began_ns) / 1e6)
        return float(np.median(times[1:]))

    def _timed(self, hop: Hop, rows: int) -> Step:
        began_ns = self._clock_ns()
        step = self.model.step(hop)
        ended_ns = self._clock_ns()
        self.ledger.spent(Cause.STEP, began_ns, ended_ns)
        self._counts["steps"] += 1
        took_ms = (ended_ns - began_ns) / 1e6
        if rows:
            self._step_times.add(took_ms, ended_ns / 1e9)
        if priced := rows if step.rows is None else step.rows:
            self._prices.add(max(0.0, took_ms - step.spare_ms), ended_ns / 1e9)
            self._rows_priced.add(float(priced), ended_ns / 1e9)
        shape = step.audio.shape
        if len(shape) != 2 or shape[0] != self.slots or step.audio.dtype != np.int16:
            raise ModelBroken(f"the model's step has audio {step.audio.dtype} {shape}, not int16 [slots, n]")
        return step

    def _stepped(self, hop: Hop, rows: list[int]) -> list[tuple[Step, Flags]]:
        """Step the model. Where it raises, step it with one row at a time, to end the conversation of whichever fails
        and no other; the rest may hear this hop twice."""
        try:
            step = self._timed(hop, len(rows))
        except ModelBroken:
            raise
        except Exception:
            log.exception("a step with %d slots failed", len(rows))
        else:
            self._failures = 0
            return [(step, hop.mask)]
        steps: list[tuple[Step, Flags]] = []
        failed: list[tuple[int, Exception]] = []
        give_up_ns = self._clock_ns() + int(ISOLATION_LIMIT_S * 1e9)
        for row in rows:
            mask = np.arange(self.slots) == row
            try:
                steps.append((self._timed(dataclasses.replace(hop, mask=mask), 1), mask))
            except ModelBroken:
                raise
            except Exception as error:
                failed.append((row, error))
            if self._clock_ns() > give_up_ns:
                raise ModelBroken(f"the model fails, and slot by slot takes over {ISOLATION_LIMIT_S:.0f} s")
        if len(failed) == len(rows):
            self._failures += 1
            if len(failed) > 1 or self._failures >= FAILURES_LIMIT:  # no row's doing: another worker takes them over
                raise ModelBroken("the model fails with every slot it is stepped with")
        for row, reason in failed:
            self._fail(row, reason)
        return steps

    def _drop_others(self, step: Step, generation: npt.NDArray[np.int64]) -> None:
        """Take out what was meant for a conversation that is no longer in its row."""
        stale = generation != self._generation
        if stale.any():
            step.samples = np.where(stale, 0, step.samples).astype(np.int32)
            step.cut = step.cut & ~stale
            step.speaking = step.speaking & ~stale
            step.events = [e for e in step.events if 0 <= e.slot < self.slots and not stale[e.slot]]

    def _tell(self, event: Event) -> None:
        """Report an event of a row that is held, its positions turned into cursors of the listen ring."""
        slot = event.slot
        if not (0 <= slot < self.slots and self._held[slot]):
            return
        self._report(int(self._epoch[slot]), self._cadence.positions.placed(event))

    def _fail(self, slot: int, error: Exception) -> None:
        """End one conversation because the model cannot go on with it."""
        epoch = int(self._epoch[slot])
        log.error("slot %d ends: %s: %s", slot, type(error).__name__, error)
        self.release(slot, "failed")
        self._report(epoch, contract.Done(slot, "failed", f"the speech model failed: {type(error).__name__}: {error}"))

    def _forget(self, slot: int) -> None:
        try:
            self.model.release(slot)
        except Exception:
            log.exception("releasing slot %d failed", slot)

    def _refusal(self, reason: str, why: str) -> NotServed:
        self._refused[reason] += 1
        return NotServed(reason, why)

    # --- beats

    def _now_beat(self) -> int:
        return (self._clock_ns() - self._origin_ns) // BEAT_NS

    def _regroup(self, phases: int) -> None:
        if phases == self.phases:
            return
        log.info("%d phase groups, was %d", phases, self.phases)
        self._regrouped_ns = self._clock_ns()
        self._cadence.regroup(phases)
        self._beat = self._cadence.after(self._beat - 1)

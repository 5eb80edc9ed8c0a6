"""Gives every slot its hop on time, steps the model once for all that are due, and says when it is full.

Time is cut into beats of 20 ms on the monotonic clock; a hop is four of them. Each row is due at every fourth beat,
rows spread over the beats in four, two or one phase groups by how long the model's steps take. A row whose samples have
not come is late and is served at the next tick; one that fell more than two hops behind goes on with its newest hop,
for a conversation is now. What the model says goes into the play rings under the epoch it was admitted with, and is
never heard by a later caller of the same row.

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
from offhook.speech.capacity import fits, phases_for
from offhook.speech.contract import HOP_MS, HOP_SAMPLES, Delivery, Event, Hop, Persona, SpeechModel, Step
from offhook.speech.positions import StreamPositions
from offhook.speech.slots import RING_SAMPLES, Segment
from offhook.speech.stats import SchedulerStats, Timings

log = logging.getLogger(__name__)

BEATS: Final = 4
"""Beats of a hop."""
BEAT_NS: Final = HOP_MS * 1_000_000 // BEATS
BEAT_SAMPLES: Final = HOP_SAMPLES // BEATS
BEHIND_LIMIT: Final = 2 * HOP_SAMPLES
"""A row with more than this waiting beyond its next hop goes on with the newest."""
FRESH_NS: Final = 5_000_000
"""Samples younger than this when a row begins came only just in time: the row then begins one beat of samples back."""
WATCHED_HOPS: Final = 25
"""A row's phase is looked at once in so many hops (2 s)."""
LATE_LIMIT_MS: Final = 40.0
"""With hops this late (p95) no further call is taken."""
ISOLATION_LIMIT_S: Final = 1.0
FAILURES_LIMIT: Final = 3
WARM_STEPS: Final = 4

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

    `report` gets each event with the epoch of its row. A model may carry two hints: `capacity`, the calls it can
    serve where its step time does not tell (an int or None), and `every_tick`, True where it wants to be stepped at
    each tick with anybody admitted, if only with an empty mask, to say sooner what it has ready.
    """

    def __init__(
        self,
        model: SpeechModel,
        segment: Segment,
        report: Callable[[int, Event], None],
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        if model.slots > segment.slots:
            raise ValueError(f"the model serves {model.slots} slots, the segment has rows for {segment.slots}")
        self.model, self.slots = model, model.slots
        self.phases = BEATS
        """Phase groups in force."""
        self._segment, self._report, self._clock_ns = segment, report, clock_ns
        hint: int | None = getattr(model, "capacity", None)
        self.capacity = model.slots if hint is None else min(hint, model.slots)
        """Conversations at most, by the rows there are and the model's own hint."""
        self._every_tick: bool = getattr(model, "every_tick", False)
        self._origin_ns = clock_ns()
        self._beat = 1  # the next one to be served
        self._fixed_ms = 0.0
        n = self.slots
        self._held: Flags = np.zeros(n, np.bool_)
        self._begun: Flags = np.zeros(n, np.bool_)  # has been given a hop
        self._unfed: Flags = np.zeros(n, np.bool_)  # was due and had no samples
        self._epoch = np.zeros(n, np.uint32)
        self._due = np.zeros(n, np.int64)  # beat
        self._from = np.zeros(n, np.int64)  # beat at which it could first have been served: `due`, or later if unfed
        self._read = np.zeros(n, np.int64)  # listen cursor
        self._missing = np.zeros(n, np.int64)  # missing samples accounted for
        self._positions = StreamPositions(n)
        # Of the hops watched for the row's phase: how many, how many unfed, the least that was spare.
        self._watched = np.zeros(n, np.int64)
        self._watched_unfed = np.zeros(n, np.int64)
        self._spare = np.zeros(n, np.int64)
        self._lateness = Timings(8192)
        self._step_times = Timings(1024)
        self._rows_stepped = Timings(1024)  # not a time, but wanted over the same horizon
        self._counts: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._released: Counter[str] = Counter()
        self._failures = 0  # steps in a row that failed with everyone in them

    # --- conversations

    def can_admit(self) -> str:
        """Empty where one more conversation could be served on time; else `full` or `too slow`."""
        in_use = int(self._held.sum())
        if in_use >= self.capacity:
            return "full"
        now_s = self._clock_ns() / 1e9
        steps = self._step_times.recent(now_s)
        if len(steps) >= WATCHED_HOPS:
            rows = float(self._rows_stepped.recent(now_s).mean())
            if not fits(float(np.percentile(steps, 99)), self._fixed_ms, rows, in_use, self.phases):
                return "too slow"
        elif not fits(self._fixed_ms, self._fixed_ms, 0, in_use, self.phases):
            return "too slow"
        lateness = self._lateness.recent(now_s)
        if len(lateness) >= WATCHED_HOPS and float(np.percentile(lateness, 95)) > LATE_LIMIT_MS:
            return "too slow"
        return ""

    def admit(self, slot: int, epoch: int, persona: Persona) -> None:
        """Begin a conversation in the row bound as `epoch`. A conversation the row held under an earlier epoch is
        over. Raises NotServed."""
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
        if reason := self.can_admit():
            raise self._refusal(
                reason, f"{self.in_use} of {self.capacity} conversations are being held, one more is too many"
            )
        try:
            self.model.admit(slot, persona)
        except Exception as error:
            if not isinstance(error, ValueError):
                log.exception("admitting %s to slot %d failed", persona.name, slot)
            self._forget(slot)
            raise self._refusal("unfit", f"{persona.name} cannot be served: {error}") from None
        if not self._held.any():
            # Nobody was here, and time has passed without ticks: go on from now.
            self._beat = self._after(self._now_beat())
        self._due[slot] = self._from[slot] = self._first_due()
        self._held[slot] = True
        self._begun[slot] = self._unfed[slot] = False
        self._epoch[slot] = epoch
        self._positions.begin(np.array([slot]), segment.heard[[slot]].astype(np.int64))
        self._watch_anew(np.array([slot]))
        segment.speaking[slot] = 0
        segment.spoken[slot] = 0
        segment.cut_before[slot] = 0
        segment.cut_seq[slot] = segment.cut_done[slot]
        segment.fence()
        # From here on the core plays this row. It is no earlier binding's audio: its cursors are at nought.
        segment.speak_epoch[slot] = epoch

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
        self._released[cause] += 1
        if self._segment.epoch[slot] == self._epoch[slot]:
            self._segment.speaking[slot] = 0
            self._segment.cut(np.array([slot]))
        self._forget(slot)

    @property
    def in_use(self) -> int:
        return int(self._held.sum())

    # --- time

    @property
    def deadline_ns(self) -> int:
        """When `tick` is to be called next, on the clock."""
        return self._origin_ns + self._beat * BEAT_NS

    def warm(self) -> None:
        """Step the model a few times with nobody in it, and take its fixed cost and phase groups from that."""
        empty = self._hop(np.zeros(self.slots, np.bool_))
        times = []
        for _ in range(WARM_STEPS):
            began = self._clock_ns()
            self.model.step(empty)
            times.append((self._clock_ns() - began) / 1e6)
        self._fixed_ms = float(np.median(times[1:]))
        self._set_phases(phases_for(self._fixed_ms, BEATS))

    def tick(self) -> None:
        """Serve every row that is due and has a fresh hop. Raises ModelBroken."""
        beat = max(self._beat, self._now_beat())
        self._counts["overruns"] += (beat - self._beat) // (BEATS // self.phases)
        self._beat = self._after(beat)
        self._let_go()
        if not self._held.any():
            return
        ready = self._ready(beat)
        if ready.any() or self._every_tick:
            self._step(ready, beat)

    def review(self) -> None:
        """Choose the phase groups anew from the steps of the last seconds. To be called about once a second."""
        now_s = self._clock_ns() / 1e9
        steps = self._step_times.recent(now_s)
        if len(steps) >= WATCHED_HOPS:
            phases = phases_for(float(np.percentile(steps, 95)), self.phases)
            if phases != self.phases:
                self._set_phases(phases)
                self._step_times.forget()
                self._rows_stepped.forget()

    def stats(self) -> SchedulerStats:
        now_s = self._clock_ns() / 1e9
        return SchedulerStats(
            slots=self.slots,
            in_use=self.in_use,
            phases=self.phases,
            refusal=self.can_admit(),
            hops=self._counts["hops"],
            late=self._counts["late"],
            unfed=self._counts["unfed"],
            skipped_samples=self._counts["skipped"],
            clipped_samples=self._counts["clipped"],
            cuts=self._counts["cuts"],
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
        )

    # --- which rows

    def _let_go(self) -> None:
        """Release the rows whose port has left, or was bound anew."""
        segment, n = self._segment, self.slots
        gone = self._held & ((segment.epoch[:n] != self._epoch) | (segment.live[:n] == 0))
        for slot in np.flatnonzero(gone):
            self.release(int(slot), "unbound" if segment.epoch[slot] == self._epoch[slot] else "rebound")

    def _ready(self, beat: int) -> Flags:
        """The rows to be stepped at this beat; their read cursors stand at their hop."""
        heard = self._segment.heard[: self.slots].astype(np.int64)
        self._segment.fence()
        due = self._held & (self._due <= beat)
        self._begin(due & ~self._begun & (heard >= HOP_SAMPLES), heard)
        fresh = heard - self._read
        # A row with a whole hop waiting beyond its next one catches up between its own beats.
        wanted = self._begun & self._held & (due | (fresh >= 2 * HOP_SAMPLES))
        ready = wanted & (fresh >= HOP_SAMPLES)
        self._skip(ready & (fresh - HOP_SAMPLES > BEHIND_LIMIT), heard)
        waiting = due & ~ready
        self._unfed |= waiting & self._begun
        self._from[waiting] = self._after(beat)
        # Where nothing came for hops on end there is nothing to catch up with, and a row that has not begun yet is late
        # for nothing: these keep their phase only.
        self._due[waiting & ~self._begun] += BEATS
        adrift = waiting & (beat - self._due >= 2 * BEATS)
        self._due[adrift] += (beat - self._due[adrift]) // BEATS * BEATS
        return ready

    def _begin(self, rows: Flags, heard: npt.NDArray[np.int64]) -> None:
        """The first hop of a row is the newest one; where its last samples are only just there, one beat older, so
        that the next hop is not late by a hair."""
        if not rows.any():
            return
        age_ns = self._clock_ns() - self._segment.heard_ns[: self.slots].astype(np.int64)
        slack = np.where((age_ns < FRESH_NS) & (heard >= HOP_SAMPLES + BEAT_SAMPLES), BEAT_SAMPLES, 0)
        self._read[rows] = (heard - HOP_SAMPLES - slack)[rows]
        self._positions.begin(np.flatnonzero(rows), self._read[rows])
        self._missing[rows] = self._segment.missing[: self.slots].astype(np.int64)[rows]
        self._from[rows] = self._due[rows]
        self._begun |= rows

    def _skip(self, rows: Flags, heard: npt.NDArray[np.int64]) -> None:
        if not rows.any():
            return
        skipped = (heard - HOP_SAMPLES - self._read)[rows]
        self._counts["skipped"] += int(skipped.sum())
        self._positions.skip(np.flatnonzero(rows), skipped)
        self._read[rows] += skipped
        self._missing[rows] = self._segment.missing[: self.slots].astype(np.int64)[rows]

    def _first_due(self) -> int:
        """The next beat of the phase group with the fewest rows."""
        stride = BEATS // self.phases
        first = max(self._beat, self._after(self._now_beat()))
        beats = [first + i * stride for i in range(self.phases)]
        taken = self._due[self._held] % BEATS
        return min(beats, key=lambda beat: int((taken == beat % BEATS).sum()))

    def _served(self, rows: npt.NDArray[np.intp], beat: int, fresh: npt.NDArray[np.int64]) -> None:
        """Book the hops that were just taken from the rings, and say when these rows are due next."""
        at_due = self._due[rows] <= beat
        late = at_due & (self._due[rows] < beat)
        self._counts["hops"] += len(rows)
        self._counts["late"] += int(late.sum())
        self._counts["unfed"] += int((late & self._unfed[rows]).sum())
        self._watched[rows] += 1
        self._watched_unfed[rows] += self._unfed[rows]
        self._spare[rows] = np.minimum(self._spare[rows], fresh - HOP_SAMPLES)
        self._unfed[rows] = False
        self._read[rows] += HOP_SAMPLES
        self._positions.give(rows, HOP_SAMPLES)
        self._due[rows[at_due]] += BEATS
        self._due[rows] += np.maximum(0, beat - self._due[rows]) // BEATS * BEATS
        self._follow(rows[self._watched[rows] >= WATCHED_HOPS])
        self._from[rows] = self._due[rows]

    def _follow(self, rows: npt.NDArray[np.intp]) -> None:
        """Move the phase of rows whose callers' clocks have drifted against ours: later where their samples mostly come
        after the beat, earlier where more than a tick of them lies spare every time."""
        stride = BEATS // self.phases
        if not len(rows):
            return
        if self.phases > 1:
            tardy = rows[self._watched_unfed[rows] * 2 > self._watched[rows]]
            early = rows[self._spare[rows] >= stride * BEAT_SAMPLES + BEAT_SAMPLES // 2]
            self._due[tardy] += stride
            self._due[early] -= stride
        self._watch_anew(rows)

    def _watch_anew(self, rows: npt.NDArray[np.intp]) -> None:
        self._watched[rows] = self._watched_unfed[rows] = 0
        self._spare[rows] = RING_SAMPLES

    # --- the step

    def _step(self, ready: Flags, beat: int) -> None:
        rows = np.flatnonzero(ready)
        fresh = self._segment.heard[rows].astype(np.int64) - self._read[rows]
        hop = self._hop(ready)
        began_ns = self._clock_ns()
        late_ns = np.maximum(0, began_ns - self._origin_ns - self._from[rows] * BEAT_NS)
        self._lateness.add(late_ns / 1e6, began_ns / 1e9)
        self._served(rows, beat, fresh)
        for step, mask in self._stepped(hop, rows):
            self._write(step, mask)
            for event in step.events:
                self._tell(event)

    def _hop(self, ready: Flags) -> Hop:
        """The hop of these rows. Its arrays are the model's to keep."""
        segment, n = self._segment, self.slots
        rows = np.flatnonzero(ready)
        audio = np.zeros((n, HOP_SAMPLES), np.int16)
        segment.gather(rows, self._read[rows].astype(np.uint64), audio)
        owed = np.where(ready, segment.missing[:n].astype(np.int64) - self._missing, 0)
        missing = np.clip(owed, 0, HOP_SAMPLES)
        self._missing += missing
        played = np.where(self._held, segment.played[:n].astype(np.int64), 0)
        return Hop(audio, ready.copy(), missing.astype(np.int32), played)

    def _timed(self, hop: Hop) -> Step:
        began_ns = self._clock_ns()
        step = self.model.step(hop)
        ended_ns = self._clock_ns()
        self._counts["steps"] += 1
        if hop.mask.any():
            self._step_times.add(np.array([(ended_ns - began_ns) / 1e6]), ended_ns / 1e9)
            self._rows_stepped.add(np.array([float(hop.mask.sum())]), ended_ns / 1e9)
        width = step.audio.shape[-1]
        if step.audio.shape != (self.slots, width) or step.audio.dtype != np.int16:
            raise ModelBroken(f"the model's step has audio {step.audio.dtype} {step.audio.shape}, not int16 [slots, n]")
        return step

    def _stepped(self, hop: Hop, rows: npt.NDArray[np.intp]) -> list[tuple[Step, Flags]]:
        """Step the model. Where it raises, step it with one row at a time, to end the conversation of whichever fails
        and no other; the rest may hear this hop twice."""
        try:
            step = self._timed(hop)
        except ModelBroken:
            raise
        except Exception:
            log.exception("a step with %d slots failed", len(rows))
        else:
            self._failures = 0
            return [(step, hop.mask)]
        steps: list[tuple[Step, Flags]] = []
        failed = 0
        give_up_ns = self._clock_ns() + int(ISOLATION_LIMIT_S * 1e9)
        for row in rows:
            mask = np.zeros(self.slots, np.bool_)
            mask[row] = True
            try:
                steps.append((self._timed(dataclasses.replace(hop, mask=mask)), mask))
            except ModelBroken:
                raise
            except Exception as error:
                failed += 1
                self._fail(int(row), error)
            if self._clock_ns() > give_up_ns:
                raise ModelBroken(f"the model fails, and slot by slot takes over {ISOLATION_LIMIT_S:.0f} s")
        if failed == len(rows):
            self._failures += 1
            if failed > 1 or self._failures >= FAILURES_LIMIT:
                raise ModelBroken("the model fails with every slot it is stepped with")
        return steps

    def _write(self, step: Step, mask: Flags) -> None:
        """Carry out a step: cuts first, then audio, into the rows that still are what they were when it began."""
        segment, n = self._segment, self.slots
        ours = self._held & (segment.epoch[:n] == self._epoch) & (segment.live[:n] != 0)
        cut = ours & step.cut
        segment.cut(np.flatnonzero(cut))
        self._counts["cuts"] += int(cut.sum())
        said = np.where(ours, np.clip(step.samples, 0, step.audio.shape[1]), 0).astype(np.int64)
        room = RING_SAMPLES - (segment.spoken[:n] - segment.taken[:n]).astype(np.int64)
        clipped = np.maximum(0, said - np.clip(room, 0, RING_SAMPLES))
        self._counts["clipped"] += int(clipped.sum())
        said -= clipped
        # A row that was not stepped and says nothing is not spoken of: what its flag held still holds.
        touched = ours & (mask | (said > 0) | cut)
        segment.speaking[:n][touched & step.speaking] = 1
        rows = np.flatnonzero(said)
        segment.scatter(rows, step.audio[rows], said[rows])
        segment.speaking[:n][touched & ~step.speaking] = 0

    def _tell(self, event: Event) -> None:
        """Report an event of a row that is held, its positions turned into cursors of the listen ring."""
        slot = event.slot
        if not (0 <= slot < self.slots and self._held[slot]):
            return
        self._report(int(self._epoch[slot]), self._positions.placed(event))

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

    def _after(self, beat: int) -> int:
        """The first beat after `beat` at which there is a tick."""
        stride = BEATS // self.phases
        return int(beat // stride * stride + stride)

    def _set_phases(self, phases: int) -> None:
        if phases != self.phases:
            log.info("%d phase groups, was %d", phases, self.phases)
        self.phases = phases
        stride = BEATS // phases
        self._due = -(-self._due // stride) * stride
        self._from = np.maximum(self._from, self._due)
        self._beat = self._after(self._beat - 1)

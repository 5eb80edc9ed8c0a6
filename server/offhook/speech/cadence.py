"""Which row is due when, and at which of its caller's samples its next hop begins.

Time is cut into beats of 20 ms; a hop is four of them. Rows are spread over the beats in phase groups. A row whose
samples have not come is looked at again at the next tick; one that has whole hops waiting catches up between its own
beats, and goes on with its newest hop where it cannot: a conversation is now, and is never queued. What is done with
a hop is the scheduler's.

A row is a plain object, and a tick a loop over those due: for the few rows of one tick, whose memory has gone cold
since the last, that costs less than arrays do, and for hundreds about a microsecond each.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from offhook.speech.contract import HOP_MS, HOP_SAMPLES
from offhook.speech.positions import StreamPositions
from offhook.speech.slots import Segment, binding_of

BEATS: Final = 4
"""Beats of a hop."""
BEAT_NS: Final = HOP_MS * 1_000_000 // BEATS
BEAT_SAMPLES: Final = HOP_SAMPLES // BEATS
BEHIND_LIMIT: Final = 2 * HOP_SAMPLES
"""A row with more than this waiting beyond its next hop goes on with the newest."""
PATIENCE_HOPS: Final = 4
"""So does one that has had a whole hop waiting for so many hops in a row: it does not catch up by itself."""
FRESH_NS: Final = 5_000_000
"""Samples younger than this when a row begins came only just in time: the row then begins one beat of samples back."""
WATCHED_BEATS: Final = 101
"""So often the rows' phases are held against their callers' clocks (2 s). No multiple of a hop's beats: a row cannot be
moved to a beat that is over, and would stand at the same place every time."""

NEVER: Final = 1 << 62


@dataclass(slots=True)
class Row:
    """One conversation's place in time. Beats count from the scheduler's beginning."""

    slot: int
    epoch: int
    binding: int
    """`Segment.heads["binding"]` while the port is bound as `epoch`."""
    due: int
    """Its own next beat."""
    look: int
    """The beat at which it is looked at next: `due`, or sooner where it has hops to catch up with."""
    servable: int
    """The beat at which its next hop could first have been served: `due`, or later where samples were missing."""
    since: int
    """The beat it joined at."""
    read: int = -1
    """Listen cursor of its next hop; -1 before the first."""
    missing: int = 0
    """Missing samples that the model has been told of."""
    unfed: bool = False
    """It was due and had no samples."""
    behind: int = 0
    """Hops in a row with a whole other one waiting."""
    tardy: int = 0
    """Times it went unfed while its phase was watched."""
    spare: int = NEVER
    """The least that was waiting beyond a hop while its phase was watched."""


@dataclass(slots=True)
class Due:
    """The hops to be served at one beat: parallel lists, one place a row."""

    rows: list[int] = field(default_factory=list)
    cursors: list[int] = field(default_factory=list)
    """Where in its listen ring each row's hop begins."""
    missing: list[int] = field(default_factory=list)
    """Samples of the hop that no packet brought."""
    servable: list[int] = field(default_factory=list)
    """The beat at which each could first have been served."""
    late: int = 0
    """How many are served at a later tick than their own."""
    unfed: int = 0
    """How many of those are late because their samples were."""
    gone: list[int] = field(default_factory=list)
    """Rows whose port has left or was bound anew; they are not among `rows`."""


class Cadence:
    """The rows' beats and read cursors; `phases` groups are in force."""

    def __init__(self, segment: Segment, slots: int, phases: int) -> None:
        self.phases = phases
        self.positions = StreamPositions(slots)
        self.skipped_samples = 0
        self._segment = segment
        self._rows: dict[int, Row] = {}
        self._watch_at = WATCHED_BEATS

    # --- rows that come and go

    def join(self, slot: int, epoch: int, heard: int, beat: int) -> None:
        """A conversation begins in the row; its first hop is due at or after `beat`, in the group with fewest rows."""
        due = self._thinnest(beat)
        self._rows[slot] = Row(slot, epoch, binding_of(epoch), due, due, due, since=beat)
        self.positions.begin(slot, heard)

    def leave(self, slot: int) -> None:
        """The row's conversation is over."""
        self._rows.pop(slot, None)

    def _thinnest(self, beat: int) -> int:
        stride = BEATS // self.phases
        first = -(-beat // stride) * stride
        taken = [0] * BEATS
        for row in self._rows.values():
            taken[row.due % BEATS] += 1
        return min((first + i * stride for i in range(self.phases)), key=lambda at: taken[at % BEATS])

    # --- beats

    def after(self, beat: int) -> int:
        """The first beat after `beat` at which there is a tick."""
        stride = BEATS // self.phases
        return beat // stride * stride + stride

    def regroup(self, phases: int) -> None:
        """Use so many groups from now on. Rows go to the next beat there is; no hop is lost, and a row that waits
        longer by this finds its own beat again when there is one."""
        self.phases = phases
        stride = BEATS // phases
        for row in self._rows.values():
            row.due = -(-row.due // stride) * stride
            row.look = min(row.due, -(-row.look // stride) * stride)
            row.servable = max(row.servable, row.due)

    def serve(self, beat: int, now_ns: int) -> Due:
        """The hops to be served at `beat`, booked as served."""
        due = Due()
        looked = [row for row in self._rows.values() if row.look <= beat]
        if looked:
            heads = self._segment.heads[[row.slot for row in looked]]
            self._segment.fence()
            for row, (binding, heard, missing, heard_ns, *_) in zip(looked, heads.tolist(), strict=True):
                if binding != row.binding:
                    due.gone.append(row.slot)
                    continue
                if row.read < 0:
                    self._begin(row, heard, missing, now_ns - heard_ns)
                left = heard - row.read - HOP_SAMPLES
                if row.read < 0 or left < 0:
                    self._wait(row, beat)
                    continue
                if left < row.spare:
                    row.spare = left
                if left < HOP_SAMPLES:
                    row.behind = 0
                elif self._lost(row, left):
                    left = self._skip(row, left, missing)
                self._book(row, beat, left, missing, due)
        if beat >= self._watch_at:
            self._follow(beat)
        return due

    def _book(self, row: Row, beat: int, left: int, missing: int, due: Due) -> None:
        """Serve the row's hop, and say when the next one is due."""
        due.rows.append(row.slot)
        due.cursors.append(row.read)
        owed = min(HOP_SAMPLES, missing - row.missing)
        due.missing.append(owed)
        row.missing += owed
        due.servable.append(row.servable)
        row.read += HOP_SAMPLES
        if row.due <= beat:
            if row.due < beat:
                due.late += 1
                due.unfed += row.unfed
            row.due += BEATS
            if row.due < beat:
                row.due += (beat - row.due) // BEATS * BEATS
        row.unfed = False
        row.servable = row.due
        row.look = self.after(beat) if left >= HOP_SAMPLES else row.due

    # --- what is not as usual

    def _begin(self, row: Row, heard: int, missing: int, age_ns: int) -> None:
        """The first hop of a row is the newest one; where its last samples are only just there, one beat older, so
        that the next hop is not late by a hair."""
        if heard < HOP_SAMPLES:
            return
        slack = BEAT_SAMPLES if age_ns < FRESH_NS and heard >= HOP_SAMPLES + BEAT_SAMPLES else 0
        row.read, row.missing = heard - HOP_SAMPLES - slack, missing
        self.positions.begin(row.slot, row.read)

    def _wait(self, row: Row, beat: int) -> None:
        """The row's samples have not come."""
        if row.due > beat:  # only looked at to catch up: it is not late
            row.look = row.due
            return
        if row.read < 0:  # late for nothing: it keeps its phase only
            row.due += BEATS
            row.servable = row.due
        else:
            row.servable = self.after(beat)
            row.tardy += not row.unfed
            row.unfed = True
            if beat - row.due >= 2 * BEATS:  # nothing came for hops on end: there is nothing to catch up with
                row.due += (beat - row.due) // BEATS * BEATS
        row.look = row.due

    def _lost(self, row: Row, left: int) -> bool:
        """Whether the row, with at least another hop waiting, will not catch up."""
        row.behind += 1
        return left > BEHIND_LIMIT or row.behind > PATIENCE_HOPS

    def _skip(self, row: Row, left: int, missing: int) -> int:
        """Go on with the newest hop; what came last stays in hand, for the next one to be in time."""
        skipped = left - BEAT_SAMPLES
        self.skipped_samples += skipped
        self.positions.skip(row.slot, row.read, skipped)
        row.read += skipped
        row.missing = missing
        row.behind = 0
        return BEAT_SAMPLES

    def _follow(self, beat: int) -> None:
        """Move the phase of rows whose callers' clocks have drifted against ours: later where their samples mostly come
        after the beat, earlier where more than a tick of them lies spare every time."""
        self._watch_at = beat + WATCHED_BEATS
        stride = BEATS // self.phases
        for row in self._rows.values():
            by = 0
            if self.phases > 1 and row.read >= 0 and row.since <= beat - WATCHED_BEATS:
                if row.tardy * 2 > WATCHED_BEATS // BEATS:
                    by = stride
                elif stride * BEAT_SAMPLES + BEAT_SAMPLES // 2 <= row.spare < NEVER and row.due - stride > beat:
                    by = -stride
            row.due += by
            row.look += by
            row.servable += by
            row.tardy, row.spare = 0, NEVER

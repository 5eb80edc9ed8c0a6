"""The server's figures for Prometheus, in a registry of their own.

The parts of the server do not know Prometheus: whoever builds the server calls these verbs as things happen, and
hands over totals where a part counts for itself. Labels come from settings and from closed sets, never from a caller:
what a caller can make up would fill the registry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST

MOS_BUCKETS = (1.5, 2.0, 2.6, 3.1, 3.6, 4.0, 4.2, 4.3, 4.4, 4.5)
"""Among them the borders of G.107 Annex B: 2.6, 3.1, 3.6, 4.0, 4.3."""
LOST_BUCKETS = (0.0, 0.001, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5)
JITTER_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3)
ROUND_TRIP_BUCKETS_S = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 1.0, 2.0)

RESPONSE_BUCKETS_S = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.3, 1.6, 2.0, 3.0, 5.0)

MAX_LABELS = 100
"""Different values a label may take; what comes after them counts as `other`."""


@dataclass(frozen=True, slots=True)
class PacketFigures:
    """What one port counted over its call; packets where not said otherwise."""

    received: int
    sent: int
    late: int
    """Came after the listening path had made up for them."""
    lost: int
    duplicate: int
    reordered: int
    bad: int
    """Not RTP, or not from the far end, or not of its stream."""
    concealed_ms: float
    missing_ms: float
    rtcp_dropped: int = 0
    """RTCP packets, of a flood."""


@dataclass(frozen=True, slots=True)
class CoreFigures:
    """What the media core could not do, since it started: totals that only grow."""

    kernel_drops: int
    """Datagrams the kernel dropped because a socket's buffer was full."""
    disk_drops: int
    """Blocks of tracks dropped because the disk was too slow."""
    events_dropped: int
    """Events dropped because nobody read them."""
    ticks_overrun: int
    """Packets not sent because their time was long past."""
    amiss: int = 0
    """Faults of the program that the media core found in its own state, and mended."""


@dataclass(frozen=True, slots=True)
class WorkerFigures:
    """The speech worker's scheduler, as it stands now. Totals only grow, unless they begin anew with a worker."""

    restarts: int
    """Since the server started."""
    hops: int
    late_hops: int
    lateness_p50_ms: float
    lateness_p99_ms: float
    step_p50_ms: float
    step_p99_ms: float
    slots_used: int
    slots: int
    capacity: int = 0
    """Calls it could hold on time as things are."""
    phases: int = 0
    late_by: Mapping[str, int] = field(default_factory=dict)
    """Late hops by cause."""
    overruns: int = 0
    """Ticks missed altogether."""
    skipped_ms: float = 0.0
    """Of callers' speech, that no model heard."""
    clipped_ms: float = 0.0
    """Of agents' speech, that did not fit the play ring."""
    starved_ms: float = 0.0
    """Of silence, sent in the middle of agents' utterances."""
    refused: Mapping[str, int] = field(default_factory=dict)
    """Admissions refused, by reason."""
    stage_runs: Mapping[str, int] = field(default_factory=dict)
    """How often each stage of the speech model was gone through ..."""
    stage_ms: Mapping[str, float] = field(default_factory=dict)
    """... and how long that took altogether."""


class Metrics:
    """All figures. Safe from any thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own = self.registry
        self._calls = Counter("offhook_calls", "Calls that are over.", ["trunk", "ended_by"], registry=own)
        self._live = Gauge("offhook_calls_live", "Calls now.", registry=own)
        self._refusals = Counter(
            "offhook_refusals", "Calls refused before they were answered.", ["cause"], registry=own
        )
        self._response = Histogram(
            "offhook_response_seconds",
            "From the end of the caller's speech to the first sample of the agent's answer leaving.",
            buckets=RESPONSE_BUCKETS_S,
            registry=own,
        )
        self._interruptions = Counter("offhook_interruptions", "Times a caller cut an agent off.", registry=own)
        self._packets = Counter("offhook_packets", "RTP packets.", ["direction"], registry=own)
        self._late = Counter("offhook_packets_late", "RTP packets too late to be heard.", registry=own)
        self._lost = Counter("offhook_packets_lost", "RTP packets that never came.", registry=own)
        self._duplicate = Counter("offhook_packets_duplicate", "RTP packets that came twice.", registry=own)
        self._reordered = Counter("offhook_packets_reordered", "RTP packets that came out of order.", registry=own)
        self._bad = Counter("offhook_packets_bad", "Packets that are no RTP of their call.", registry=own)
        self._concealed = Counter("offhook_concealed_seconds", "Audio made up behind gaps.", registry=own)
        self._missing = Counter("offhook_missing_seconds", "Time in which no packets came.", registry=own)
        self._rtcp_dropped = Counter("offhook_rtcp_dropped", "RTCP packets dropped unread, of a flood.", registry=own)
        self._mos = Histogram(
            "offhook_line_mos",
            "Listening quality (E-model MOS) of five seconds of a line; in: what we hear, out: what is heard of us.",
            ["direction", "trunk"],
            buckets=MOS_BUCKETS,
            registry=own,
        )
        self._line_lost = Histogram(
            "offhook_line_lost_ratio",
            "Packets lost or late in five seconds of a line.",
            ["direction", "trunk"],
            buckets=LOST_BUCKETS,
            registry=own,
        )
        self._line_jitter = Histogram(
            "offhook_line_jitter_seconds",
            "Interarrival jitter of a line, every five seconds.",
            ["direction", "trunk"],
            buckets=JITTER_BUCKETS_S,
            registry=own,
        )
        self._round_trip = Histogram(
            "offhook_line_round_trip_seconds",
            "Round trip of a line by RTCP, every five seconds.",
            ["trunk"],
            buckets=ROUND_TRIP_BUCKETS_S,
            registry=own,
        )
        self._lines_bad = Gauge("offhook_lines_bad", "Lines that are bad now.", ["direction"], registry=own)
        self._kernel_drops = Counter(
            "offhook_kernel_drops", "Datagrams that the kernel dropped before the media core.", registry=own
        )
        self._disk_drops = Counter(
            "offhook_disk_drops", "Pieces of recordings, some 20 ms each, dropped by a slow disk.", registry=own
        )
        self._events_dropped = Counter("offhook_media_events_dropped", "Media events nobody read.", registry=own)
        self._ticks_overrun = Counter("offhook_packets_unsent", "RTP packets not sent: too late.", registry=own)
        self._amiss = Counter(
            "offhook_media_amiss", "Faults of this program found in the media core's state, and mended.", registry=own
        )
        self._pacing = Gauge(
            "offhook_pacing_error_seconds", "How far from its time a packet leaves.", ["quantile"], registry=own
        )
        self._lateness = Gauge(
            "offhook_hop_lateness_seconds", "How long after its time a hop is served.", ["quantile"], registry=own
        )
        self._step = Gauge(
            "offhook_step_seconds", "Time the speech model takes for a step.", ["quantile"], registry=own
        )
        self._hops = Counter("offhook_hops", "Hops served.", registry=own)
        self._late_hops = Counter("offhook_late_hops", "Hops served late.", registry=own)
        self._late_by = Counter(
            "offhook_hops_late_by_cause",
            "Hops served late, by cause: unfed (the network), step, admission, collection, descheduled.",
            ["cause"],
            registry=own,
        )
        self._overruns = Counter("offhook_ticks_missed", "Ticks of the scheduler that were missed.", registry=own)
        self._skipped = Counter("offhook_skipped_seconds", "Callers' speech that no model heard.", registry=own)
        self._clipped = Counter("offhook_clipped_seconds", "Agents' speech thrown away, too far ahead.", registry=own)
        self._starved = Counter("offhook_starved_seconds", "Silence sent amid agents' utterances.", registry=own)
        self._not_admitted = Counter(
            "offhook_admissions_refused", "Conversations the speech worker did not take.", ["reason"], registry=own
        )
        self._stage_runs = Counter(
            "offhook_stage_runs", "Times a stage of the speech model was gone through.", ["stage"], registry=own
        )
        self._stage_seconds = Counter(
            "offhook_stage_seconds", "Time the stages of the speech model took altogether.", ["stage"], registry=own
        )
        self._capacity = Gauge("offhook_capacity", "Calls the speech worker could hold on time.", registry=own)
        self._phases = Gauge("offhook_phase_groups", "Groups the scheduler spreads slots over.", registry=own)
        self._slots = Gauge("offhook_slots", "Slots of the speech worker.", registry=own)
        self._slots_used = Gauge("offhook_slots_used", "Slots with a call in them.", registry=own)
        self._restarts = Counter("offhook_worker_restarts", "Speech workers replaced.", registry=own)
        self._recording_faults = Counter("offhook_recording_faults", "Times a disk refused a recording.", registry=own)
        self._timeline_faults = Counter("offhook_timeline_faults", "Times a disk refused a timeline.", registry=own)
        self._seen: dict[str, set[str]] = {}
        self._core = CoreFigures(0, 0, 0, 0)
        self._worker: WorkerFigures | None = None
        """As last reported."""

    def call_started(self) -> None:
        """A call came in and was not refused."""
        self._live.inc()

    def call_ended(self, trunk: str, ended_by: str) -> None:
        """A call that was started is over; `ended_by` as the timeline's `call.ended` has it."""
        self._live.dec()
        self._calls.labels(self._bounded("trunk", trunk), self._bounded("ended_by", ended_by)).inc()

    def refused(self, cause: str) -> None:
        """A call was refused; `cause` is of a closed set: `full`, `draining`, `unknown-number`, `forbidden`, ..."""
        self._refusals.labels(self._bounded("cause", cause)).inc()

    def responded(self, response_ms: float) -> None:
        """An agent answered a caller's turn after this long."""
        self._response.observe(response_ms / 1000)

    def interrupted(self) -> None:
        """A caller cut an agent off."""
        self._interruptions.inc()

    def packets(self, figures: PacketFigures) -> None:
        """A port closed, and had counted this over its life."""
        self._packets.labels("in").inc(figures.received)
        self._packets.labels("out").inc(figures.sent)
        self._late.inc(figures.late)
        self._lost.inc(figures.lost)
        self._duplicate.inc(figures.duplicate)
        self._reordered.inc(figures.reordered)
        self._bad.inc(figures.bad)
        self._concealed.inc(figures.concealed_ms / 1000)
        self._missing.inc(figures.missing_ms / 1000)
        self._rtcp_dropped.inc(figures.rtcp_dropped)

    def line(self, direction: str, trunk: str, mos_lq: float, lost: float, jitter_ms: float) -> None:
        """One direction of a leg was measured over some seconds: `direction` is `in` or `out`, `lost` 0..1."""
        labels = direction, self._bounded("trunk", trunk)
        self._mos.labels(*labels).observe(mos_lq)
        self._line_lost.labels(*labels).observe(lost)
        self._line_jitter.labels(*labels).observe(jitter_ms / 1000)

    def round_trip(self, trunk: str, rtt_ms: float) -> None:
        """A leg's round trip was known when it was measured."""
        self._round_trip.labels(self._bounded("trunk", trunk)).observe(rtt_ms / 1000)

    def lines_bad(self, direction: str, change: int) -> None:
        """So many more (or fewer) lines are bad now."""
        self._lines_bad.labels(direction).inc(change)

    def core(self, figures: CoreFigures) -> None:
        """The media core reported. Called with every report, once a second or so."""
        last, self._core = self._core, figures
        for counter, now, before in (
            (self._kernel_drops, figures.kernel_drops, last.kernel_drops),
            (self._disk_drops, figures.disk_drops, last.disk_drops),
            (self._events_dropped, figures.events_dropped, last.events_dropped),
            (self._ticks_overrun, figures.ticks_overrun, last.ticks_overrun),
            (self._amiss, figures.amiss, last.amiss),
        ):
            counter.inc(max(0, now - before))

    def pacing(self, p50_ms: float, p99_ms: float, max_ms: float) -> None:
        """The media core's pacing error so far."""
        for quantile, error_ms in (("0.5", p50_ms), ("0.99", p99_ms), ("1", max_ms)):
            self._pacing.labels(quantile).set(error_ms / 1000)

    def worker(self, figures: WorkerFigures) -> None:
        """The speech worker reported. Called with every report, once a second or so."""
        self._lateness.labels("0.5").set(figures.lateness_p50_ms / 1000)
        self._lateness.labels("0.99").set(figures.lateness_p99_ms / 1000)
        self._step.labels("0.5").set(figures.step_p50_ms / 1000)
        self._step.labels("0.99").set(figures.step_p99_ms / 1000)
        self._slots.set(figures.slots)
        self._slots_used.set(figures.slots_used)
        self._capacity.set(figures.capacity)
        self._phases.set(figures.phases)
        last, self._worker = self._worker, figures
        self._restarts.inc(max(0, figures.restarts - (last.restarts if last else 0)))
        if last is not None and figures.hops < last.hops:  # counted anew
            last = None
        for counter, now, before in (
            (self._hops, figures.hops, last.hops if last else 0),
            (self._late_hops, figures.late_hops, last.late_hops if last else 0),
            (self._overruns, figures.overruns, last.overruns if last else 0),
            (self._skipped, figures.skipped_ms / 1000, last.skipped_ms / 1000 if last else 0),
            (self._clipped, figures.clipped_ms / 1000, last.clipped_ms / 1000 if last else 0),
            (self._starved, figures.starved_ms / 1000, last.starved_ms / 1000 if last else 0),
        ):
            counter.inc(max(0, now - before))
        for cause, count in figures.late_by.items():
            self._late_by.labels(cause).inc(max(0, count - (last.late_by.get(cause, 0) if last else 0)))
        for reason, count in figures.refused.items():
            self._not_admitted.labels(reason).inc(max(0, count - (last.refused.get(reason, 0) if last else 0)))

        for stage, runs in figures.stage_runs.items():
            self._stage_runs.labels(stage).inc(max(0, runs - (last.stage_runs.get(stage, 0) if last else 0)))
        for stage, took_ms in figures.stage_ms.items():
            earlier_ms = last.stage_ms.get(stage, 0.0) if last else 0.0
            self._stage_seconds.labels(stage).inc(max(0.0, took_ms - earlier_ms) / 1000)

    def recording_failed(self) -> None:
        """A disk would not take a call's audio."""
        self._recording_faults.inc()

    def timeline_failed(self) -> None:
        """A disk would not take a call's timeline."""
        self._timeline_faults.inc()

    def exposition(self) -> bytes:
        """Everything in Prometheus's text format (`CONTENT_TYPE`)."""
        return generate_latest(self.registry)

    def _bounded(self, label: str, value: str) -> str:
        seen = self._seen.setdefault(label, set())
        if value in seen or len(seen) < MAX_LABELS:
            seen.add(value)
            return value
        return "other"


def packet_figures(counters: Mapping[str, object]) -> PacketFigures:
    """The figures among a port's counters by their names; what is not there, or no number, counts as none."""

    def number(name: str) -> float:
        value = counters.get(name, 0)
        return value if isinstance(value, int | float) and value >= 0 else 0

    return PacketFigures(
        received=int(number("packets_in")),
        sent=int(number("packets_out")),
        late=int(number("late")),
        lost=int(number("lost")),
        duplicate=int(number("duplicate")),
        reordered=int(number("reordered")),
        bad=int(sum(number(why) for why in ("bad", "wrong_source", "wrong_ssrc", "unauthentic", "replayed"))),
        concealed_ms=number("concealed_ms"),
        missing_ms=number("missing_ms"),
        rtcp_dropped=int(number("rtcp_dropped")),
    )

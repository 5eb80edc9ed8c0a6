"""The figures for Prometheus."""

from __future__ import annotations

from dataclasses import asdict, replace

from prometheus_client.parser import text_string_to_metric_families

from offhook.media.counters import PortCounters
from offhook.telemetry.metrics import MAX_LABELS, CoreFigures, Metrics, WorkerFigures, packet_figures

WORKER = WorkerFigures(
    restarts=0,
    hops=100,
    late_hops=3,
    lateness_p50_ms=1.0,
    lateness_p99_ms=9.0,
    step_p50_ms=5.0,
    step_p99_ms=20.0,
    slots_used=2,
    slots=8,
)


def read(metrics: Metrics) -> dict[str, float]:
    """Each sample by its name and labels, read from the text that Prometheus gets."""
    found = {}
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


def test_calls_are_counted_by_trunk_and_by_who_ended_them() -> None:
    metrics = Metrics()
    for _ in range(3):
        metrics.call_started()
    metrics.call_ended("local", "caller")
    metrics.call_ended("local", "caller")
    figures = read(metrics)
    assert figures["offhook_calls_total{ended_by=caller,trunk=local}"] == 2
    assert figures["offhook_calls_live"] == 1


def test_refusals_are_counted_by_cause() -> None:
    metrics = Metrics()
    metrics.refused("full")
    metrics.refused("full")
    metrics.refused("unknown-number")
    figures = read(metrics)
    assert figures["offhook_refusals_total{cause=full}"] == 2
    assert figures["offhook_refusals_total{cause=unknown-number}"] == 1


def test_a_label_that_never_stops_growing_is_gathered_under_other() -> None:
    metrics = Metrics()
    for number in range(MAX_LABELS + 50):
        metrics.refused(f"cause {number}")
    figures = read(metrics)
    assert figures["offhook_refusals_total{cause=other}"] == 50


def test_response_times_fall_into_buckets_in_seconds() -> None:
    metrics = Metrics()
    for response_ms in (250, 620, 700, 9_000):
        metrics.responded(response_ms)
    figures = read(metrics)
    assert figures["offhook_response_seconds_bucket{le=0.3}"] == 1
    assert figures["offhook_response_seconds_bucket{le=0.8}"] == 3
    assert figures["offhook_response_seconds_count"] == 4
    assert figures["offhook_response_seconds_sum"] == 10.57


def test_a_ports_counters_are_added_up_by_their_names() -> None:
    metrics = Metrics()
    counters = PortCounters(
        packets_in=100,
        bytes_in=17_200,
        packets_out=90,
        bytes_out=15_480,
        late=2,
        lost=3,
        duplicate=1,
        reordered=4,
        concealed_ms=60.0,
        missing_ms=500.0,
        bad=5,
        wrong_source=6,
        wrong_ssrc=7,
        send_errors=0,
        jitter_ms=1.5,
        rtt_ms=0.0,
        remote_lost_fraction=0.0,
        record_dropped_ms=0.0,
        unauthentic=8,
        replayed=9,
        handed_up=10,
        handed_up_dropped=11,
        rtcp_in=10,
        rtcp_dropped=0,
        mos_lq=4.4,
        mos_cq=4.3,
        waited_ms=12.5,
        bridged_ms=0.0,
        bridged_concealed_ms=0.0,
        bridged_delay_ms=0.0,
    )
    metrics.packets(packet_figures(asdict(counters)))
    metrics.packets(packet_figures(asdict(counters)))
    figures = read(metrics)
    assert figures["offhook_packets_total{direction=in}"] == 200
    assert figures["offhook_packets_total{direction=out}"] == 180
    assert figures["offhook_packets_late_total"] == 4
    assert figures["offhook_packets_lost_total"] == 6
    assert figures["offhook_packets_bad_total"] == 70
    assert figures["offhook_concealed_seconds_total"] == 0.12
    assert figures["offhook_missing_seconds_total"] == 1.0


def test_counters_that_are_missing_or_no_numbers_count_as_none() -> None:
    metrics = Metrics()
    metrics.packets(packet_figures({"packets_in": "many", "lost": None, "late": -1}))
    figures = read(metrics)
    assert figures["offhook_packets_total{direction=in}"] == figures["offhook_packets_lost_total"] == 0


def test_a_workers_totals_become_counters_that_survive_its_replacement() -> None:
    metrics = Metrics()
    metrics.worker(WORKER)
    metrics.worker(replace(WORKER, hops=150, late_hops=4))
    metrics.worker(replace(WORKER, restarts=1, hops=20, late_hops=1))
    figures = read(metrics)
    assert figures["offhook_hops_total"] == 170
    assert figures["offhook_late_hops_total"] == 5
    assert figures["offhook_worker_restarts_total"] == 1
    assert figures["offhook_hop_lateness_seconds{quantile=0.99}"] == 0.009
    assert figures["offhook_slots_used"] == 2


def test_causes_of_lateness_and_refusals_are_told_apart_and_a_replaced_worker_is_not_counted_twice() -> None:
    metrics = Metrics()
    first = replace(WORKER, late_by={"step": 2, "unfed": 1}, refused={"full": 3}, starved_ms=40.0, capacity=7, phases=2)
    metrics.worker(first)
    # What follows a worker that died counts on from where that one stood.
    metrics.worker(
        replace(first, restarts=1, hops=130, late_by={"step": 2, "unfed": 4}, refused={"full": 3, "down": 1})
    )
    figures = read(metrics)
    assert figures["offhook_hops_late_by_cause_total{cause=step}"] == 2
    assert figures["offhook_hops_late_by_cause_total{cause=unfed}"] == 4
    assert figures["offhook_admissions_refused_total{reason=full}"] == 3
    assert figures["offhook_admissions_refused_total{reason=down}"] == 1
    assert figures["offhook_starved_seconds_total"] == 0.04
    assert (figures["offhook_capacity"], figures["offhook_phase_groups"]) == (7, 2)
    assert (figures["offhook_hops_total"], figures["offhook_worker_restarts_total"]) == (130, 1)


def test_pacing_and_faults_are_there() -> None:
    metrics = Metrics()
    metrics.pacing(p50_ms=0.1, p99_ms=1.5, max_ms=4.0)
    metrics.recording_failed()
    metrics.timeline_failed()
    metrics.interrupted()
    figures = read(metrics)
    assert figures["offhook_pacing_error_seconds{quantile=0.99}"] == 0.0015
    assert figures["offhook_recording_faults_total"] == figures["offhook_timeline_faults_total"] == 1
    assert figures["offhook_interruptions_total"] == 1


def test_two_servers_in_one_process_do_not_share_their_figures() -> None:
    one, other = Metrics(), Metrics()
    one.call_started()
    assert read(other)["offhook_calls_live"] == 0


def test_what_the_media_core_could_not_do_is_counted_on_from_report_to_report() -> None:
    metrics = Metrics()
    for figures in (CoreFigures(1, 2, 3, 4, 0), CoreFigures(1, 2, 3, 9, 2), CoreFigures(1, 2, 4, 9, 2)):
        metrics.core(figures)
    read_out = read(metrics)
    assert read_out["offhook_kernel_drops_total"] == 1
    assert read_out["offhook_disk_drops_total"] == 2
    assert read_out["offhook_media_events_dropped_total"] == 4
    assert read_out["offhook_packets_unsent_total"] == 9
    assert read_out["offhook_media_amiss_total"] == 2

"""How well lines were heard: the core's measurements on the timeline, what follows from them, what is said of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from offhook.calls import folds
from offhook.calls.explain import explain
from offhook.calls.lines import Line, bad_lines, lines
from offhook.calls.linewatch import LineWatch
from offhook.calls.timeline import Entry, Happening, LineMeasured, Timeline, read_timeline
from offhook.media import Heard, Quality
from offhook.telemetry.metrics import Metrics
from tests.calls.written import ORDER_CALL, entries

GOOD = LineMeasured("caller", "in", 5_000.0, 93.2, 4.41, 0.0, 1.0, late=0.0, burst_ms=0.0)
BAD = replace(GOOD, r=40.0, mos_lq=2.1, lost=0.06, late=0.02, burst_ms=180.0)


def every_five_seconds(*events: Happening, first_ms: float = 5_000.0) -> list[Entry]:
    return [Entry(first_ms + 5_000.0 * n, event) for n, event in enumerate(events)]


def test_a_bad_stretch_goes_from_the_first_bad_measurement_to_the_last() -> None:
    written = every_five_seconds(GOOD, GOOD, BAD, replace(BAD, mos_lq=1.5, lost=0.14), BAD, GOOD)
    (bad,) = bad_lines(written)
    assert (bad.party, bad.direction, bad.start_ms, bad.end_ms) == ("caller", "in", 10_000, 25_000)
    assert bad.mos == pytest.approx(1.9)
    assert bad.worst_mos == 1.5
    assert bad.lost == pytest.approx((0.08 + 0.16 + 0.08) / 3)
    assert bad.bursts


def test_a_good_measurement_or_none_at_all_parts_two_bad_stretches() -> None:
    assert [line.start_ms for line in bad_lines(every_five_seconds(BAD, GOOD, BAD))] == [0, 10_000]
    held = every_five_seconds(BAD) + every_five_seconds(BAD, first_ms=30_000)
    assert [(line.start_ms, line.end_ms) for line in bad_lines(held)] == [(0, 5_000), (25_000, 30_000)]


def test_each_direction_of_each_leg_is_a_line_of_its_own() -> None:
    heard_us = replace(GOOD, direction="out", mos_cq=2.0, rtt_ms=900.0)
    person = replace(BAD, party="sip:7@desk")
    written = every_five_seconds(GOOD, heard_us, person, GOOD, heard_us, person)
    assert [(line.party, line.direction) for line in lines(written)] == [
        ("caller", "in"),
        ("caller", "out"),
        ("sip:7@desk", "in"),
    ]
    assert [(line.party, line.direction, line.mos, line.rtt_ms) for line in bad_lines(written)[:1]] == [
        ("caller", "out", 2.0, 900.0)
    ]


def test_a_longer_measurement_counts_for_more() -> None:
    (line,) = lines(every_five_seconds(replace(GOOD, lost=0.0, late=0.0), replace(GOOD, over_ms=15_000.0, lost=0.04)))
    assert line.lost == pytest.approx(0.03)


def test_explain_says_when_the_line_was_bad_and_why() -> None:
    slow = replace(GOOD, party="sip:7@desk", direction="out", mos_cq=2.6, rtt_ms=820.0)
    written = entries(*ORDER_CALL) + every_five_seconds(GOOD, BAD, GOOD, slow)
    said = explain(written)
    assert (
        "0:05.0  The line was bad from 0:05.0 to 0:10.0, we heard the caller badly: MOS 2.1, 8 % lost in bursts."
        in said
    )
    assert (
        "0:15.0  The line was bad from 0:15.0 to 0:20.0, sip:7@desk heard us badly: MOS 2.6, 820 ms there and back."
        in said
    )
    assert said == sorted(said, key=lambda line: said.index(line))
    assert not [line for line in explain(entries(*ORDER_CALL)) if "line was bad" in line]


def test_the_summary_has_each_direction_over_the_whole_call() -> None:
    summary = folds.summary(entries(*ORDER_CALL) + every_five_seconds(GOOD, BAD))
    assert summary.lines == (Line("caller", "in", 0, 10_000, pytest.approx(3.255), 2.1, 0.04, True, 1.0, None),)


HEARD = Heard(250, 91.234, 4.356, 4.311, 0.01234, 0.004, 0.5, 81.6, 1.26)


def test_what_the_core_measures_is_written_down_and_counted(tmp_path: Path) -> None:
    metrics = Metrics()
    timeline = Timeline(tmp_path / "timeline.jsonl", lambda: 0.0)
    watch = LineWatch("caller", "carrier", timeline, metrics)
    reported = replace(HEARD, mos_cq=2.0, discarded=None, burst_density=None, burst_ms=None, said_mos_lq=2.5)
    watch.on_quality(Quality(3, HEARD, reported, 61.24, 60.0, 4_990.0, 17_000.0), 17_000.0)
    timeline.close()
    assert read_timeline(timeline.path) == [
        Entry(17_000.0, LineMeasured("caller", "in", 4_990, 91.2, 4.36, 0.0123, 1.3, 4.31, 0.004, 82, 61.2, 60.0)),
        Entry(17_000.0, LineMeasured("caller", "out", 4_990, 91.2, 4.36, 0.0123, 1.3, 2.0, rtt_ms=61.2, said_mos=2.5)),
    ]
    assert figure(metrics, "offhook_line_mos_count", direction="in", trunk="carrier") == 1
    assert figure(metrics, "offhook_line_mos_bucket", direction="in", trunk="carrier", le="4.3") == 0
    assert figure(metrics, "offhook_line_mos_bucket", direction="out", trunk="carrier", le="4.4") == 1
    assert figure(metrics, "offhook_line_lost_ratio_bucket", direction="in", trunk="carrier", le="0.02") == 1
    assert figure(metrics, "offhook_line_round_trip_seconds_bucket", trunk="carrier", le="0.1") == 1
    assert figure(metrics, "offhook_line_jitter_seconds_sum", direction="in", trunk="carrier") == pytest.approx(0.0013)
    assert figure(metrics, "offhook_lines_bad", direction="out") == 1
    watch.on_quality(Quality(3, HEARD, replace(reported, mos_cq=4.0), 61.24, 60.0, 4_990.0, 22_000.0), 22_000.0)
    assert figure(metrics, "offhook_lines_bad", direction="out") == 0


def test_a_line_that_ends_while_it_is_bad_is_not_bad_for_ever(tmp_path: Path) -> None:
    metrics = Metrics()
    watch = LineWatch("caller", "carrier", Timeline(tmp_path / "timeline.jsonl", lambda: 0.0), metrics)
    for _ in range(2):
        watch.on_media(Quality(3, replace(HEARD, mos_cq=1.2), None, None, 0.0, 5_000.0, 5_000.0))
    assert figure(metrics, "offhook_lines_bad", direction="in") == 1
    watch.over()
    watch.over()
    assert figure(metrics, "offhook_lines_bad", direction="in") == 0


def figure(metrics: Metrics, name: str, **labels: str) -> float:
    """A sample of what Prometheus gets."""
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    raise AssertionError(f"no {name} with {labels}")

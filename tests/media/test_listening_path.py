"""The listening buffer on recorded networks: what it adds to a packet's delay, and how much it makes up."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.data import data
from tests.media.traces import MEMORYLESS, PACKET_MS, built, memoryless, queued_behind


@pytest.fixture(scope="session")
def listen_trace() -> Path:
    """The program that replays a trace, built as it would ship."""
    return built("listen_trace")


def replay(program: Path, *arguments: str | Path) -> dict[str, float]:
    """The figures that the program prints, by name."""
    done = subprocess.run([str(program), *map(str, arguments)], check=True, capture_output=True, text=True, timeout=60)
    print(done.stdout)
    return {name: float(value) for name, value in (pair.split("=") for pair in done.stdout.split())}


@pytest.mark.parametrize("direction", ["uplink", "downlink"])
@pytest.mark.figures
def test_on_a_satellite_link_next_to_no_delay_is_added(listen_trace: Path, direction: str) -> None:
    delays = data("traces", f"starlink_{direction}_delay.txt")
    losses = data("traces", f"starlink_{direction}_loss.txt")
    figures = replay(listen_trace, delays, "10", losses)
    assert figures["arrived"] > 4_900
    assert figures["mean_added_ms"] <= 1
    assert figures["p99_added_ms"] <= 40
    assert figures["made_up_percent"] <= 1
    assert figures["heard"] >= 0.99 * figures["arrived"]
    assert figures["restarts"] == 0


@pytest.mark.parametrize(
    "trace",
    [
        "ATT-LTE-driving-2016.down",
        "ATT-LTE-driving-2016.up",
        "TMobile-LTE-short.down",
        "TMobile-LTE-short.up",
        "TMobile-UMTS-driving.up",
        "Verizon-EVDO-driving.up",
        "Verizon-LTE-short.down",
    ],
)
@pytest.mark.figures
def test_on_a_mobile_link_delay_is_added_only_behind_gaps(listen_trace: Path, tmp_path: Path, trace: str) -> None:
    recorded = data("traces", f"mahimahi_{trace}.txt").read_text().split()
    delays = tmp_path / "delays.txt"
    delays.write_text("\n".join(map(str, queued_behind([int(moment) for moment in recorded]))))
    figures = replay(listen_trace, delays, str(PACKET_MS))
    assert figures["mean_added_ms"] <= 1
    assert figures["p99_added_ms"] <= 40


@pytest.mark.parametrize("kind", MEMORYLESS)
def test_a_packet_that_is_merely_slow_is_heard(listen_trace: Path, tmp_path: Path, kind: str) -> None:
    """To put in order again what overtakes each other on such a network costs some 4 ms, whoever does it."""
    delays = tmp_path / "delays.txt"
    delays.write_text("\n".join(map(str, memoryless(kind).delays_ns)))
    figures = replay(listen_trace, delays, str(PACKET_MS))
    assert figures["made_up_percent"] <= 1
    assert figures["mean_added_ms"] <= 5
    assert figures["p99_added_ms"] <= 40

"""How the bridge path's target delay was tuned: every recorded network, and made
jitter, under other costs than those in `delay.c`.

    python loadtest/tuning.py                                     as it ships, beside NetEq's rule
    python loadtest/tuning.py late_cost=6000 pace_cost=40         with these in place of its own
    python loadtest/tuning.py --pull 10 wait_cost=200

One set of constants holds for all networks; none of them knows which it is on. Every figure is the mean over four
places of the pulls between the arrivals. Needs a C compiler (`cc`) and the recorded traces.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.data import ROOT as DATA  # noqa: E402
from tests.media.neteq import ruled  # noqa: E402
from tests.media.test_playout import PACKET_SAMPLES, PHASES_MS, sentence  # noqa: E402
from tests.media.traces import MEMORYLESS, Flow, memoryless, mobile, starlink  # noqa: E402

MS = 1_000_000
MOST_PACKETS = 10_000
HEAD = f"{'ours ms':>9}{'of it':>7}{'late %':>8}{'due %':>7}{'made %':>8}{'pace %':>8}"
"""Late: never heard; due: heard, but not there when due; made up, and stretched, of the sound."""
FIGURES = ("mean_delay_ms", "late_percent", "overdue_percent", "concealed_percent", "stretched_percent")


def flows() -> list[Flow]:
    """All recorded networks, at most 200 s of each, and made jitter."""
    names = sorted(file.stem.removeprefix("mahimahi_") for file in DATA.joinpath("traces").glob("mahimahi_*.txt"))
    found = [starlink("uplink"), starlink("downlink"), *map(mobile, names), *map(memoryless, MEMORYLESS)]
    return [Flow(flow.name, flow.delays_ns[:MOST_PACKETS], flow.lost) for flow in found]


def built(folder: Path, costs: dict[str, str]) -> Path:
    """The program that plays traces, with these costs."""
    rules = ROOT.joinpath("native/src/delay.c").read_text()
    for name, value in costs.items():
        rules, found = re.subn(rf"(static const float {name} = )[^;]*;", rf"\g<1>{float(value)}f;", rules)
        if found != 1:
            raise SystemExit(f"delay.c has no cost named {name}")
    folder.joinpath("delay.c").write_text(rules)
    units = "amiss rtp g711 codec opus comfort arrive expand gap playout sound stretch waiting".split()
    sources = [f"native/src/{unit}.c" for unit in units] + [str(folder / "delay.c"), "native/tests/playout_trace.c"]
    flags = ["-O2", "-std=gnu11", "-D_GNU_SOURCE", "-Inative/include", "-Inative/src", "-I/usr/include/opus"]
    subprocess.run(["cc", *flags, *sources, "-lopus", "-lm", "-o", folder / "play"], cwd=ROOT, check=True)
    return folder / "play"


def played(program: Path, sound: Path, flow: Flow, pull_ms: int) -> dict[str, float]:
    """The figures of one network."""
    packets = "".join(
        f"{at_ns} {number} {number * PACKET_SAMPLES} a @{number * PACKET_SAMPLES}:{PACKET_SAMPLES}\n"
        for at_ns, number in flow.arrivals()
    )
    total = dict.fromkeys(FIGURES, 0.0)
    for phase_ms in PHASES_MS:
        command = [program, "-p", str(pull_ms), "-b", str(int(phase_ms * MS)), "-e", "0", "-a", sound]
        done = subprocess.run(command, input=packets, capture_output=True, text=True, check=True)
        figures = json.loads(done.stdout)
        for name in FIGURES:
            total[name] += figures[name] / len(PHASES_MS)
        total["late_percent"] += 100 * figures["discarded"] / figures["packets"] / len(PHASES_MS)
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("costs", nargs="*", help="NAME=VALUE of the costs in native/src/delay.c")
    parser.add_argument("--pull", type=int, default=20, help="milliseconds between pulls")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        program = built(Path(folder), dict(cost.split("=", 1) for cost in options.costs))
        sound = Path(folder) / "sentence.ulaw"
        sound.write_bytes(sentence())
        print(f"{'':28}{'rule ms':>9}{'late %':>8} |" + HEAD)
        for flow in flows():
            rule, ours = ruled(flow.arrivals()), played(program, sound, flow, options.pull)
            print(
                f"{flow.name:28}{rule.mean_delay_ms:9.1f}{rule.late_percent:8.2f} |{ours['mean_delay_ms']:9.1f}"
                f"{ours['mean_delay_ms'] / rule.mean_delay_ms:7.0%}{ours['late_percent']:8.2f}"
                f"{ours['overdue_percent']:7.2f}{ours['concealed_percent']:8.2f}{ours['stretched_percent']:8.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()

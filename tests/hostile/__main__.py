"""Feeds the parsers that are written in Python with hostile text, for as long as one likes.

    python -m tests.hostile SECONDS [NAME ...] [--seed N]     all together for about SECONDS; NAME: sdp, stun, ...
    python -m tests.hostile 0 NAME --input FILE               one input, such as one that was found

Ends with 1 where something was found; the inputs are kept in build/hostile. The C parsers' is `native/fuzz/run.sh`.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from offhook.telemetry import logs
from tests.hostile.running import fuzz, repeated
from tests.hostile.targets import TARGETS

FOUND = Path(__file__).resolve().parents[2] / "build" / "hostile"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("seconds", type=float)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(TARGETS))
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    parser.add_argument("--input", type=Path)
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(TARGETS)
    if unknown:
        parser.error(f"no target is called {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    names = arguments.names or list(TARGETS)
    if arguments.input is not None:
        repeated(TARGETS[names[0]], arguments.input.read_bytes())
        return 0
    logs.configure("error")
    found = 0
    for name in names:
        outcome = fuzz(TARGETS[name], arguments.seconds / len(names), arguments.seed)
        print(
            f"{name}: {outcome.runs} runs, {outcome.kept} kept, grew by {outcome.grown_mib:.1f} MiB, "
            f"{len(outcome.findings)} found (seed {arguments.seed})",
            flush=True,
        )
        for place, finding in outcome.findings.items():
            found += 1
            FOUND.mkdir(parents=True, exist_ok=True)
            kept = FOUND / f"{name}-{arguments.seed}-{found}"
            kept.write_bytes(finding.data)
            print(f"  {place}, kept as {kept}\n{finding.what}", flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

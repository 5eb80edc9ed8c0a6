"""Calls that end in every way a call can end leave nothing alive. `loadtest/soak.py` is the long version."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
from loadtest.served import ROOT

pytestmark = pytest.mark.skipif(shutil.which("sipp") is None, reason="skipped: sipp is not installed")

CALLS = 160


def test_calls_of_every_kind_leave_nothing_alive_behind() -> None:
    done = subprocess.run(
        [
            *(sys.executable, ROOT / "loadtest" / "soak.py", "--calls", str(CALLS), "--warm", "0"),
            *("--rate", "14", "--json"),
        ],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.stdout, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["violations"] == [], done.stderr[-3000:]
    assert len(found["went"]) == 12 and sum(found["went"].values()) >= CALLS - 8, found
    assert found["packets_in"] > 10 * CALLS, "hardly any sound came: nothing was measured"
    assert found["edge"]["most_descriptors"] > 40

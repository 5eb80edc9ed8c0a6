"""Where the tests' recorded data lies, and what happens where it does not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("OFFHOOK_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def data(*parts: str) -> Path:
    """The file or folder `parts` of the test data; skips the test that asks where there is none."""
    path = ROOT.joinpath(*parts)
    if not path.exists():
        pytest.skip("skipped: no data")
    return path

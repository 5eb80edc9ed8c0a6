"""Many calls, one after the other, leave nothing behind. `loadtest/churn.py --calls 10000` is the long version."""

from __future__ import annotations

from loadtest.churn import churn


def test_three_hundred_calls_leave_neither_memory_nor_descriptors_behind() -> None:
    found = churn(300, at_once=25)
    assert found.calls == 300
    assert found.violations == []
    assert found.descriptors_last > 100, "the sockets that drain were not seen: nothing was measured"

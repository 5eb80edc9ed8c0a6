"""Two models compared: what the figures are made of, on turns made up for it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from loadtest.served import ROOT

from offhook.calls.caller import Turn

sys.path.insert(0, str(ROOT / "loadtest"))  # as the program itself is run

from sidebyside import PATH, REST, Side, compared, plot, ratio, stages, table


def side(model: str, *response_ms: float | None) -> Side:
    turns = {(n // 5, n % 5): Turn("said", 0.0, ms, 0.0, False, None) for n, ms in enumerate(response_ms)}
    return Side(model, turns)


def test_the_ratio_is_of_turns_that_both_answered() -> None:
    found = ratio(side("quick", 100, 200, 300, None), side("slow", 400, 800, 1_200, 5))
    assert found is not None
    assert (found.faster, found.slower, found.p50, found.turns) == ("quick", "slow", 4.0, 3)
    assert found.low <= found.p50 <= found.high
    assert ratio(side("quick", 100), side("slow", 400)) is None


def test_the_same_ratio_in_every_turn_has_no_spread() -> None:
    one = [float(100 + 10 * n) for n in range(15)]
    found = ratio(side("quick", *one), side("slow", *(3 * ms for ms in one)))
    assert found is not None and found.low == found.p50 == found.high == 3.0


def test_stages_are_what_was_added_since_the_first_look() -> None:
    name = 'offhook_stage_{}_total{{stage="voice activity"}}'
    before = {name.format("runs"): 10.0, name.format("seconds"): 1.0}
    after = {name.format("runs"): 14.0, name.format("seconds"): 1.2, 'offhook_stage_runs_total{stage="wait"}': 3.0}
    found = stages(before, after)
    assert found["voice activity"] == (4.0, pytest.approx(0.2)) and found["wait"] == (3.0, 0.0)


def test_what_an_answer_waits_for_adds_up(tmp_path: Path) -> None:
    one, other = side("duplex", 200, 300, 250), side("cascade", 700, None, 900)
    one.stages = {"wait": (2, 0.2), "conclude": (2, 0.06), "reply": (2, 0.004), "voice": (2, 0.002), "gist": (9, 0.09)}
    found = compared([one, other])
    assert [figures.model for figures in found.sides] == ["duplex", "cascade"]
    duplex, cascade = found.sides
    assert sum(duplex.path_ms.values()) == pytest.approx(duplex.mean_ms) and duplex.mean_ms == 250
    assert duplex.path_ms[PATH["wait"]] == 100 and duplex.path_ms[REST] == pytest.approx(117, abs=0.1)
    assert duplex.work_ms == {"gist": 10.0} and cascade.unanswered == 1
    assert "times as fast as cascade" in table(found)
    plot(found, tmp_path / "bars.png")
    assert (tmp_path / "bars.png").stat().st_size > 1_000


def test_a_model_that_hardly_answers_is_said_to() -> None:
    with pytest.raises(SystemExit, match="duplex: too few turns"):
        compared([side("duplex", 200, None), side("cascade", 700, 900)])

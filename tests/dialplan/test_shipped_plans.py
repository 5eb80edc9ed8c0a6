"""The plans that ship lint clean, and the command says of any plan whether the server would take it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from offhook.cli.dialplan import app
from offhook.dialplan import check
from tests.dialplan.plans import SOUND

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = [ROOT / "dialplans" / "front-door.yaml", *sorted((ROOT / "dialplans" / "examples").glob("*.yaml"))]
AGENTS = {"order-desk@1"}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_a_shipped_plan_has_neither_errors_nor_warnings(path: Path) -> None:
    report = check(path, AGENTS)
    assert report.faults == ()
    assert report.plan is not None


def test_the_shipped_front_door_is_reached_by_extension_and_by_number() -> None:
    plan = check(SHIPPED[0], AGENTS).plan
    assert plan is not None
    for dialled, flow in (
        ("100", "front-door"),
        ("+15550100", "front-door"),
        ("15550100", "front-door"),
        ("600", "line-test"),
    ):
        number = plan.number(dialled, "local")
        assert number is not None and number.flow == flow


@pytest.fixture
def agents(tmp_path: Path) -> Path:
    folder = tmp_path / "agents"
    folder.mkdir()
    (folder / "reception.yaml").write_text("agent: reception@3\n", encoding="utf-8")
    return folder


def lint(path: Path, agents: Path, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["lint", str(path), "--agents", str(agents), *options])
    return result.exit_code, result.stdout


def test_lint_of_a_sound_plan_ends_with_status_0(tmp_path: Path, agents: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(SOUND, encoding="utf-8")
    assert lint(path, agents) == (0, f"{path}: no errors, no warnings\n")


def test_lint_names_file_line_column_code_what_and_mend_and_ends_with_status_1(tmp_path: Path, agents: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(SOUND.replace("reject: 603", "reject: 99"), encoding="utf-8")
    status, out = lint(path, agents)
    assert status == 1
    assert out.splitlines() == [
        f'{path}:14:13 DP039 "99" is no status to reject a call with - '
        "use 603 (declined), 404 (no such number), 486 (busy) or 503 (not now)",
        f"{path}: 1 error, no warnings",
    ]


def test_warnings_are_printed_and_end_with_status_0(tmp_path: Path, agents: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(SOUND.replace("human: {go: people}", "human: {go: bye}"), encoding="utf-8")
    status, out = lint(path, agents)
    assert status == 0
    assert "DP030 warning: " in out


def test_lint_as_json_is_one_object(tmp_path: Path, agents: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(SOUND.replace("reject: 603", "reject: 99"), encoding="utf-8")
    status, out = lint(path, agents, "--format", "json")
    found = json.loads(out)
    assert status == 1
    assert (found["errors"], found["warnings"]) == (1, 0)
    (fault,) = found["faults"]
    assert (fault["line"], fault["column"], fault["code"], fault["severity"]) == (14, 13, "DP039", "error")


def test_show_prints_every_flow(tmp_path: Path, agents: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(SOUND, encoding="utf-8")
    result = CliRunner().invoke(app, ["show", str(path), "--agents", str(agents)])
    assert result.exit_code == 0
    for text in (
        "call.from in lists.blocked",
        "+442079460000",
        "agent reception@3",
        "no-answer: next",
        "hangup normal",
    ):
        assert text in result.stdout


def test_show_of_a_broken_plan_says_what_is_wrong_instead(tmp_path: Path, agents: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("dialplan: 1\n", encoding="utf-8")
    result = CliRunner().invoke(app, ["show", str(path), "--agents", str(agents)])
    assert result.exit_code == 1
    assert "DP036" in result.stderr

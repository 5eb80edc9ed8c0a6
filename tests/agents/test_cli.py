"""The agents' commands, as typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from offhook.cli.agents import app
from tests.agents.conftest import ORDER_DESK


def test_lint_says_that_a_good_file_is_good() -> None:
    result = CliRunner().invoke(app, ["lint", str(ORDER_DESK)])
    assert result.exit_code == 0 and "nothing wrong" in result.output


def test_lint_names_the_place_and_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("agent: a@1\njob: p\ngreting: hi\n", encoding="utf-8")
    result = CliRunner().invoke(app, ["lint", str(path)])
    assert result.exit_code == 1 and f"{path}:3:1 AG002" in result.output
    faults = json.loads(CliRunner().invoke(app, ["lint", str(path), "--format", "json"]).output)
    assert {"line": 3, "column": 1, "code": "AG002"}.items() <= faults[-1].items()


def test_ask_holds_a_conversation(embedding: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("offhook.cli.agents.home", lambda: tmp_path / "weights")
    result = CliRunner().invoke(app, ["ask", str(ORDER_DESK), "--why"], input="where is my order\n#4172\nno thanks\n")
    assert result.exit_code == 0, result.output
    assert "Order 4 1 7 2 is on its way." in result.output and "(resolved: the caller is done)" in result.output
    assert (tmp_path / "order-desk" / "shop.db").exists()


def test_ask_refuses_a_file_that_does_not_lint(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("agent: a\n", encoding="utf-8")
    result = CliRunner().invoke(app, ["ask", str(path)])
    assert result.exit_code == 1 and "AG003" in result.output and "Traceback" not in result.output

"""Holds the shape: imports point down, files stay readable, and names say something."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAMELESS = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base"}


def sources() -> list[Path]:
    return [
        path
        for folder in ("server", "native", "models", "loadtest", "dialplans", "tests")
        for suffix in ("*.py", "*.c", "*.h")
        for path in (ROOT / folder).rglob(suffix)
        if "__pycache__" not in path.parts
    ]


def test_imports_point_down_the_shape() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert [str(path) for path in sources() if path.stem in NAMELESS] == []


def test_every_module_of_the_server_opens_with_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "server").rglob("*.py")
        if path.stat().st_size > 0 and not path.read_text(encoding="utf-8").lstrip().startswith('"""')
    ]
    assert silent == []


def test_the_project_speaks_of_itself_alone() -> None:
    # Spelled apart, or this file would find itself.
    foreign = ["/wo" + "rk/", "sub" + "agent", "sand" + "box", "py" + "pi-more"]
    found = [
        f"{path.relative_to(ROOT)}: {word}"
        for path in [*sources(), *ROOT.glob("*.md"), *ROOT.glob("*.sh"), ROOT / "Makefile"]
        if path.exists()
        for word in foreign
        if word in path.read_text(encoding="utf-8", errors="replace")
    ]
    assert found == []

"""What all tests share: figures that a test measures are printed at the end of the run, not lost in its capture.

A test marked `figures` prints them; whether they are good enough is for its assertions.
"""

from __future__ import annotations

import re

import pytest

_LOGGED = re.compile(r"\d{4}-\d\d-\d\d ")
"""A line of the log, which goes to the same place where nothing else was configured."""

_figures: list[tuple[str, str]] = []


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "figures: prints what it measured; shown at the end of the run")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" and "figures" in report.keywords:
        lines = [line for line in report.capstdout.splitlines() if line.strip() and not _LOGGED.match(line)]
        _figures.append((report.nodeid, "\n".join(lines)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _figures:
        terminalreporter.section("figures")
    for name, text in _figures:
        terminalreporter.line(f"{name}\n{text}\n")

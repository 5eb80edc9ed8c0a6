"""What all tests share: figures that a test measures are printed at the end of the run, not lost in its capture.

A test marked `figures` prints them; whether they are good enough is for its assertions.
"""

from __future__ import annotations

import pytest

_figures: list[tuple[str, str]] = []


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "figures: prints what it measured; shown at the end of the run")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" and "figures" in report.keywords and report.capstdout.strip():
        _figures.append((report.nodeid, report.capstdout.strip()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _figures:
        terminalreporter.section("figures")
    for name, text in _figures:
        terminalreporter.line(f"{name}\n{text}\n")

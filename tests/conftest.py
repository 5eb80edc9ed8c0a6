"""What all tests share: figures that a test measures are printed at the end of the run, not lost in its capture.

A test marked `figures` prints them; whether they are good enough is for its assertions. Where several processes run
the tests, `lanes` says which runs what.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from xdist.remote import Producer

    from tests.lanes import Lanes

settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")  # a machine that stood still for a moment is no fault of what is tested

_LOGGED = re.compile(r"\d{4}-\d\d-\d\d ")
"""A line of the log, which goes to the same place where nothing else was configured."""

_figures: list[tuple[str, str]] = []


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "figures: prints what it measured; shown at the end of the run")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Lanes:
    from tests.lanes import Lanes

    return Lanes(config, log)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" and "figures" in report.keywords:
        lines = [line for line in report.capstdout.splitlines() if line.strip() and not _LOGGED.match(line)]
        _figures.append((report.nodeid, "\n".join(lines)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _figures:
        terminalreporter.section("figures")
    for name, text in _figures:
        terminalreporter.line(f"{name}\n{text}\n")

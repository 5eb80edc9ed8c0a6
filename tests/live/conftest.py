"""What the calls on a running server need: two servers as they ship, one with the AI agent and one that only echoes.

A test that ends its server, or fills its disk, starts one of its own with `echoing`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from loadtest.served import Served

from tests.live.plans import PASSWORD, USER, echo_plan, settings, started


@pytest.fixture(scope="package")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose agent says back what it hears: two slots, four calls, several trunks. Shared: leave it running."""
    home = tmp_path_factory.mktemp("echo")
    secret = home / "password"
    secret.write_text(PASSWORD + "\n", encoding="utf-8")
    trunks = [
        {"name": "local", "sources": ["127.0.0.1"]},
        {"name": "known", "sources": ["127.0.0.2"], "realm": "offhook.test", "users": {USER: f"file:{secret}"}},
    ]
    with started(home, **settings(home, echo_plan(), trunks=trunks, limits={"calls": 4})) as server:
        yield server


@pytest.fixture(scope="package")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with the order desk on the line, heard and spoken by the cascade. Shared: leave it running."""
    home = tmp_path_factory.mktemp("desk")
    with started(home, **settings(home, echo_plan(), speech={"model": "cascade", "slots": 3})) as server:
        yield server


@pytest.fixture
def echoing(tmp_path: Path) -> Iterator[Any]:
    """Starts echoing servers of a test's own: `echoing(limits={"drain_s": 1})`."""
    running: list[Any] = []

    def start(**more: Any) -> Served:
        home = tmp_path / f"home{len(running)}"
        context = started(home, **settings(home, echo_plan(), **more))
        server = context.__enter__()
        running.append(context)
        return server

    yield start
    for context in reversed(running):
        context.__exit__(None, None, None)


@pytest.fixture(scope="session")
def speech() -> Path:
    """The folder of recorded sentences."""
    return Path(__file__).resolve().parents[2] / "loadtest" / "speech"

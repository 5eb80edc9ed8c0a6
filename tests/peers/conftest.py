"""What the calls from telephones that are not ours need: a server as it ships, and what they say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from loadtest.served import Served, served


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The server with the shipped plan, agent and model."""
    with served(tmp_path_factory.mktemp("server"), speech={"slots": 4}) as running:
        yield running


@pytest.fixture(scope="session")
def speech() -> Path:
    """The folder of recorded sentences."""
    return Path(__file__).resolve().parents[2] / "loadtest" / "speech"

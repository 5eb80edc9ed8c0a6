"""What the agents' tests share: the shipped order desk, its understanding, and a conversation to hold with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from offhook.agents.embedding import Embedding, EmbeddingUnavailable, load_embedding
from offhook.agents.job import Agent
from offhook.agents.mind import skill_mind
from offhook.agents.rehearsal import Rehearsal
from offhook.agents.schema import load_agent
from offhook.agents.tools import Toolbox
from offhook.agents.understanding import Understanding

ORDER_DESK = Path(__file__).resolve().parents[2] / "dialplans" / "order-desk" / "agent.yaml"
NOW = "2026-11-21T10:00:00+00:00"
"""A Saturday. Conversations whose tools look at the calendar have today instead."""

Rehearse = Callable[..., Rehearsal]


@pytest.fixture(scope="session")
def order_desk() -> Agent:
    return load_agent(ORDER_DESK)


@pytest.fixture(scope="session")
def embedding() -> Embedding:
    try:
        return load_embedding()
    except EmbeddingUnavailable as missing:
        pytest.skip(f"skipped: no weights ({missing})")


@pytest.fixture(scope="session")
def understanding(order_desk: Agent, embedding: Embedding) -> Understanding:
    return Understanding(order_desk, embedding)


@pytest.fixture
def rehearse(embedding: Embedding, tmp_path: Path) -> Rehearse:
    """A conversation with an agent, its tools keeping their data in a folder of the test's own."""

    def begin(agent: Agent, **known: str) -> Rehearsal:
        return Rehearsal(skill_mind(agent.persona(known)), Toolbox(agent, tmp_path))

    return begin

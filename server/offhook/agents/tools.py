"""Running an agent's tools, on the edge: arguments checked, a time limit, and always a result, never an exception."""

from __future__ import annotations

from collections.abc import Mapping

from offhook.agents.job import Agent
from offhook.speech.contract import Json, ToolResult


class Toolbox:
    """The tools of one agent. Made once per agent, used by all its calls at once from one event loop."""

    def __init__(self, agent: Agent) -> None:
        """Raises ToolMissing with a sentence where a Python entry point cannot be loaded."""

    async def run(self, tool: str, arguments: Mapping[str, Json], id: str = "") -> ToolResult:
        """The answer of `tool`; `ok` False with a sentence in `error` where it failed. Never raises."""
        raise RuntimeError(tool)

    async def close(self) -> None:
        """Let go of connections and threads."""

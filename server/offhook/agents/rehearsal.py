"""A conversation with an agent in writing: its mind and its tools, without telephone, ears or voice.

For trying an agent in the terminal and for its tests. Tools run as they would on a call.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from offhook.agents.tools import Toolbox
from offhook.speech.contract import Act, Finish, Mind, Say, ToolResult, UseTool


@dataclass(slots=True)
class Rehearsal:
    """Feeds one mind and runs the tools it wants. `acts` is everything it did, tool results among them, in order."""

    mind: Mind
    toolbox: Toolbox
    acts: list[Act | ToolResult] = field(default_factory=list)

    async def greet(self) -> str:
        """What the agent says first."""
        return await self._run(self.mind.greet())

    async def say(self, words: str) -> str:
        """What the agent says to `words`, once its tools have answered."""
        return await self._run(self.mind.hear(words))

    async def press(self, digits: str) -> str:
        """What the agent says to pressed keys."""
        return await self._run(self.mind.keys(digits))

    @property
    def finish(self) -> Finish | None:
        """How the agent ended the conversation, or None while it goes on."""
        return next((act for act in reversed(self.acts) if isinstance(act, Finish)), None)

    async def _run(self, acts: Iterable[Act]) -> str:
        said: list[str] = []
        pending = [iter(acts)]
        while pending:
            wanted: list[UseTool] = []
            for act in pending.pop():
                self.acts.append(act)
                if isinstance(act, Say):
                    said.append(act.text)
                elif isinstance(act, UseTool):
                    wanted.append(act)
            for use in wanted:
                result = await self.toolbox.run(use.tool, use.arguments, use.id)
                self.acts.append(result)
                pending.append(iter(self.mind.tool(result)))
        return " ".join(said)

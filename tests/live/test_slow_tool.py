"""A tool that takes long: the caller is asked for patience, and then told."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from loadtest.served import served

from offhook.calls.caller import Phone, Saying
from offhook.calls.timeline import AgentJoined, PromptStarted, ToolAnswered
from tests.live.watching import assert_untroubled, falls_silent, hears, live, over

AGENT = """\
agent: slow@1
job: Tells callers when the shop is open, after thinking about it.
greeting: Hello.
skills:
  hours:
    when: The caller asks when the shop is open.
    examples: [what are your opening hours, when are you open]
    tool: think
    say: We are open from nine to six.
tools:
  think: {python: "thinking:think", timeout: 10s}
"""

PLAN = """\
dialplan: 1
timezone: UTC
numbers:
  "100": {flow: talk}
flows:
  talk:
    - disclose: ai
    - agent: {use: slow@1, exits: {resolved: next, human: next, failed: next, busy: next, timeout: next}}
prompts:
  disclose-ai: {en: "Hello."}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "slow.yaml").write_text(AGENT, encoding="utf-8")
    (tmp_path / "agents" / "thinking.py").write_text(
        "import time\n\n\ndef think():\n    time.sleep(4)\n    return {}\n", encoding="utf-8"
    )
    (tmp_path / "plan.yaml").write_text(PLAN, encoding="utf-8")
    return tmp_path


async def test_a_caller_who_waits_for_a_slow_tool_hears_that_somebody_is_there(home: Path, speech: Path) -> None:
    question = Saying.read(speech / "slt-3-opening-hours.flac")
    with served(home, dialplan=str(home / "plan.yaml"), agents=[str(home / "agents")]) as server:
        async with Phone.plugged_in(name="patient") as phone, phone.ring(server.uri("100")) as line:
            call = await live(server, "patient")
            await call.until(AgentJoined)
            await falls_silent(line)
            line.ear.forget()
            await line.say(question)
            await hears(line, "a word while the tool works", 6.0)
            assert not call.of(ToolAnswered)
            await call.until(ToolAnswered)
            line.ear.forget()
            await hears(line, "the answer", 6.0)
        kept = await over(server, "patient")
        await asyncio.to_thread(assert_untroubled, server)
    said = [entry.event.text for entry in kept.of(PromptStarted) if isinstance(entry.event, PromptStarted)]
    assert said[-1] == "One moment, please."
    assert any("nine to six" in turn.text for turn in kept.turns)

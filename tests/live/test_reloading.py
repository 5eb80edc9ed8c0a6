"""The speech worker is replaced by a fresh one in mid-conversation: the talk goes on, and nobody is held."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from loadtest.served import Served

from offhook.calls.caller import Phone, Saying
from offhook.calls.timeline import SpeechStarted, ToolAnswered, ToolWanted, WorkerBack, WorkerLost
from tests.live.watching import assert_untroubled, falls_silent, hears, live, over


async def test_a_reload_in_mid_conversation_is_taken_over_by_the_fresh_worker(desk: Served, speech: Path) -> None:
    async with Phone.plugged_in(name="w-reloaded") as phone, phone.ring(desk.uri("100")) as line:
        call = await live(desk, "w-reloaded")
        await call.until(SpeechStarted)  # the agent's greeting
        await falls_silent(line)
        line.ear.forget()
        await line.say(Saying.read(speech / "slt-1-where-is-my-order.flac"))
        await call.until(SpeechStarted, 2)  # asks for the number
        await hears(line, "the agent's question")
        await falls_silent(line)

        replaced = desk.worker_pid
        os.kill(desk.process.pid, signal.SIGHUP)
        await call.until(WorkerBack)
        assert desk.worker_pid != replaced
        await falls_silent(line)
        line.ear.forget()
        await line.say(Saying.read(speech / "slt-2-four-one-seven-two.flac"))
        await call.until(ToolAnswered)
        await hears(line, "the answer")
        await falls_silent(line)
    kept = await over(desk, "w-reloaded")
    (wanted,) = kept.of(ToolWanted)
    assert isinstance(wanted.event, ToolWanted)
    assert (wanted.event.tool, wanted.event.arguments) == ("order_status", {"order": "4172"})
    assert not kept.of(WorkerLost) and len(kept.of(WorkerBack)) == 1
    assert_untroubled(desk)

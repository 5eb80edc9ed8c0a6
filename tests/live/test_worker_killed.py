"""The speech worker is killed in the middle of a conversation: the caller is asked to wait, and the talk goes on."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from loadtest.served import Served

from offhook.calls.caller import Phone, Saying
from offhook.calls.timeline import Memo, SpeechStarted, ToolAnswered, ToolWanted, WorkerBack, WorkerLost
from tests.live.watching import assert_untroubled, falls_silent, hears, live, over


@pytest.mark.figures
async def test_the_conversation_goes_on_where_it_was_with_a_fresh_worker(desk: Served, speech: Path) -> None:
    restarts = desk.metrics()["offhook_worker_restarts_total"]
    async with Phone.plugged_in(name="w-killed") as phone, phone.ring(desk.uri("100")) as line:
        call = await live(desk, "w-killed")
        await call.until(SpeechStarted)  # the agent's greeting
        await falls_silent(line)
        line.ear.forget()
        await line.say(Saying.read(speech / "slt-1-where-is-my-order.flac"))
        await call.until(SpeechStarted, 2)  # asks for the number
        await hears(line, "the agent's question")
        await falls_silent(line)
        (memo, *_) = reversed(call.of(Memo))
        assert isinstance(memo.event, Memo) and memo.event.memo["skill"] == "order-status", memo.line()

        killed = desk.worker_pid
        line.ear.forget()
        killed_ms = line.port.clock_ms
        os.kill(killed, signal.SIGKILL)
        lost = await call.until(WorkerLost)
        hold_ms = await hears(line, "the hold phrase", 10.0)
        back = await call.until(WorkerBack)
        assert desk.worker_pid != killed
        print(
            f"hold phrase heard {hold_ms - killed_ms:.0f} ms after the kill; worker back {back.t - lost.t:.0f} ms later"
        )

        await falls_silent(line)
        line.ear.forget()
        await line.say(Saying.read(speech / "slt-2-four-one-seven-two.flac"))
        await call.until(ToolAnswered)
        await hears(line, "the answer")
        await falls_silent(line)
    kept = await over(desk, "w-killed")
    (wanted,) = kept.of(ToolWanted)
    assert isinstance(wanted.event, ToolWanted)
    assert (wanted.event.tool, wanted.event.arguments) == ("order_status", {"order": "4172"})
    assert len(kept.of(WorkerLost)) == len(kept.of(WorkerBack)) == 1
    assert hold_ms - killed_ms <= 2000
    told = [text for who, text in ((t.who.value, t.text) for t in kept.turns) if who == "agent"]
    assert "4 1 7 2" in told[-1] or "4172" in told[-1] or "arrive" in " ".join(told), told
    assert await asyncio.to_thread(lambda: desk.metrics()["offhook_worker_restarts_total"]) == restarts + 1
    assert_untroubled(desk)

"""A call answered by a speech API elsewhere: greeted, understood, told what a tool found, put through to a person."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from offhook.calls.caller import Phone, Saying
from offhook.calls.timeline import (
    AgentJoined,
    AgentLeft,
    OutcomeReached,
    SpeechStarted,
    ToolAnswered,
    WordsHeard,
    WordsSpoken,
    WorkerBack,
)
from tests.live.plans import echo_plan, settings, started
from tests.live.watching import assert_untroubled, falls_silent, hears, live, over
from tests.speech.realtime.farend import Answer, far_end

KEY = "sk-live-test-0123456789"


async def test_a_conversation_goes_on_where_it_was_when_the_worker_dies(tmp_path: Path, speech: Path) -> None:
    answers = (Answer("Sorry. Where were we?", 0.8, 500.0), Answer("From nine to six.", 0.8, 500.0))
    with far_end(*answers, heard=("what are your opening hours",)) as far:
        model = {"model": "realtime", "slots": 2, "options": {"url": far.address, "key_env": ""}}
        with started(tmp_path / "home", **settings(tmp_path / "home", echo_plan(), speech=model)) as server:
            async with Phone.plugged_in(name="cut-off") as phone, phone.ring(server.uri("100")) as line:
                call = await live(server, "cut-off")
                await call.until(WordsSpoken)
                os.kill(server.worker_pid, signal.SIGKILL)
                await call.until(WorkerBack)
                await call.until(WordsSpoken, 2)
                await line.say(Saying.read(speech / "slt-3-opening-hours.flac"))
                await call.until(WordsSpoken, 3)
            kept = await over(server, "cut-off")
            await asyncio.to_thread(assert_untroubled, server)
    said = [entry.event.text for entry in kept.of(WordsSpoken) if isinstance(entry.event, WordsSpoken)]
    assert said[-2:] == ["Sorry. Where were we?", "From nine to six."]
    (retold,) = far.items("message")
    assert retold["role"] == "assistant" and "How can I help you?" in retold["content"][0]["text"]
    assert len(far.headers) == 2 and not far.refused, far.refused


async def test_a_caller_talks_with_a_far_end_over_a_real_line(tmp_path: Path, speech: Path) -> None:
    answers = (
        Answer(calls=(("order_status", {"order": "4172"}),)),
        Answer("Order four one seven two is on its way.", 1.6, 500.0),
        Answer(calls=(("hand_over", {"reason": "the caller wants to return something"}),)),
    )
    heard = ("where is my order 4172", "I want to return something")
    (tmp_path / "key").write_text(KEY, encoding="utf-8")
    with far_end(*answers, heard=heard, key=KEY) as far:
        options = {"url": far.address, "key_file": str(tmp_path / "key"), "turns": "server_vad"}
        model = {"model": "realtime", "slots": 2, "options": options}
        with started(tmp_path / "home", **settings(tmp_path / "home", echo_plan(), speech=model)) as server:
            async with Phone.plugged_in(name="afar") as phone, phone.ring(server.uri("100")) as line:
                call = await live(server, "afar")
                await call.until(AgentJoined)
                await call.until(SpeechStarted)
                await hears(line, "the greeting")
                await falls_silent(line)
                line.ear.forget()
                await line.say(Saying.read(speech / "slt-1-where-is-my-order.flac"))
                await call.until(ToolAnswered)
                await hears(line, "what the tool found")
                await falls_silent(line)
                line.ear.forget()
                await line.say(Saying.read(speech / "slt-4-return-something.flac"))
                await hears(line, "that a colleague takes over")
                await call.until(AgentLeft)
            kept = await over(server, "afar")
            await asyncio.to_thread(assert_untroubled, server)
            assert KEY not in server.said()
    (left,), (reached,) = kept.of(AgentLeft), kept.of(OutcomeReached)
    assert isinstance(left.event, AgentLeft) and left.event.exit == "human"
    assert isinstance(reached.event, OutcomeReached) and reached.event.outcome == "status-told"
    words = [entry.event.text for entry in kept.of(WordsHeard) if isinstance(entry.event, WordsHeard)]
    assert words == list(heard)
    said = [turn.text for turn in kept.turns if turn.who.value == "agent"]
    assert said[0].startswith("Offhook Supplies, hello!") and "on its way" in said[1] and "colleague" in said[2]
    assert not far.refused, far.refused

"""Two callers talk with the agent at once, and neither hears the other."""

from __future__ import annotations

import asyncio
from pathlib import Path

from loadtest.served import Served

from offhook.calls.caller import Phone, Saying
from offhook.calls.timeline import SpeechStarted, WordsHeard
from tests.live.watching import assert_untroubled, falls_silent, hears, live, over
from tests.peers.record import Kept


async def talk(desk: Served, caller: str, sentence: Path, ready: asyncio.Barrier) -> Kept:
    """Be greeted, say one sentence at the moment in which the other caller says theirs, hear the answer."""
    async with Phone.plugged_in(name=caller) as phone, phone.ring(desk.uri("100")) as line:
        call = await live(desk, caller)
        await call.until(SpeechStarted)
        await falls_silent(line)
        await ready.wait()
        line.ear.forget()
        await line.say(Saying.read(sentence))
        await hears(line, "an answer")
        await call.until(SpeechStarted, 2)
        await falls_silent(line)
    return await over(desk, caller)


def heard(call: Kept) -> str:
    return " ".join(e.event.text for e in call.of(WordsHeard) if isinstance(e.event, WordsHeard)).lower()


def spoken(call: Kept) -> str:
    return " ".join(turn.text for turn in call.turns if turn.who.value == "agent").lower()


async def test_each_caller_is_understood_and_answered_alone(desk: Served, speech: Path) -> None:
    ready = asyncio.Barrier(2)
    hours, order = await asyncio.gather(
        talk(desk, "two-hours", speech / "slt-3-opening-hours.flac", ready),
        talk(desk, "two-order", speech / "slt-1-where-is-my-order.flac", ready),
    )
    assert "hours" in heard(hours) and "order" not in heard(hours), heard(hours)
    assert "order" in heard(order) and "hours" not in heard(order), heard(order)
    assert "monday" in spoken(hours) and "number" not in spoken(hours), spoken(hours)
    assert "number" in spoken(order) and "monday" not in spoken(order), spoken(order)
    assert_untroubled(desk)

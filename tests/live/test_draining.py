"""Ctrl-C: nobody new is let in, who is on the line may finish, and nobody is dropped without a word."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable

import soundfile
from loadtest.served import Served

from offhook.calls.caller import Phone
from offhook.calls.timeline import AgentJoined, CallEnded, PromptStarted, read_timeline
from tests.live.bare import BareCaller
from tests.live.test_dialling import tone
from tests.live.watching import assert_untroubled, eventually, falls_silent, hears, live, offhook

Starter = Callable[..., Served]


def interrupt(server: Served) -> None:
    """What a terminal does on Ctrl-C: every process of the group gets it, the speech worker too."""
    os.kill(server.worker_pid, signal.SIGINT)
    server.process.send_signal(signal.SIGINT)


async def ended(server: Served, limit_s: float = 30.0) -> int:
    """The server's exit status."""
    return await asyncio.to_thread(server.process.wait, limit_s)


def last_words(server: Served) -> CallEnded:
    """How its only call ended."""
    (timeline,) = (server.home / "calls").glob("*/*/timeline.jsonl")
    event = read_timeline(timeline)[-1].event
    assert isinstance(event, CallEnded), event
    for name in ("caller.wav", "agent.wav", "call.flac"):
        with soundfile.SoundFile(timeline.parent / name) as track:
            assert track.frames > 0
    return event


async def test_live_calls_finish_while_new_ones_are_refused(echoing: Starter) -> None:
    server = echoing(limits={"drain_s": 60.0})
    async with Phone.plugged_in(name="stays") as phone:
        async with phone.ring(server.uri("100")) as line:
            await (await live(server, "stays")).until(AgentJoined)
            interrupt(server)
            await eventually(lambda: server.get("/status")["state"] == "draining", "draining")
            with BareCaller(server) as late:
                answer = await asyncio.to_thread(late.invite, "100")
            assert answer is not None and answer.status == 503
            assert int(answer.headers["retry-after"][0]) > 0
            assert server.metrics()['offhook_refusals_total{cause="draining"}'] == 1
            await falls_silent(line)
            line.ear.forget()
            await line.say(tone(1.0))
            await hears(line, "the agent, which still answers", 5.0)
            assert line.gone is None and server.process.poll() is None
        assert await ended(server) == 0
    assert last_words(server).by == "caller"
    assert_untroubled(server)


async def test_who_is_still_there_after_the_limit_is_told_goodbye_and_hung_up_on(echoing: Starter) -> None:
    server = echoing(limits={"drain_s": 1.0})
    async with Phone.plugged_in(name="lingers") as phone, phone.ring(server.uri("100")) as line:
        await (await live(server, "lingers")).until(AgentJoined)
        await falls_silent(line)
        line.ear.forget()
        interrupt(server)
        began = await hears(line, "the goodbye")
        await line.until(lambda: line.gone is not None, 20.0)
        assert line.ear.last_ms - began > 3000, "the goodbye was not said to its end"
        assert line.gone is not None and line.gone.by == "peer"
    assert await ended(server) == 0
    assert last_words(server).by == "server"
    assert_untroubled(server)


async def test_a_goodbye_is_not_talked_over_by_the_plan(echoing: Starter) -> None:
    """The goodbye cuts what the plan is saying; the plan then wants to go on with its next step, which hangs up."""
    server = echoing(limits={"drain_s": 0.0})
    async with Phone.plugged_in(name="listens") as phone, phone.ring(server.uri("400")) as line:
        await (await live(server, "listens")).until(PromptStarted)
        await hears(line, "the plan")
        at_ms = line.port.clock_ms
        interrupt(server)
        await line.far_end_hangs_up(20.0)
        assert line.port.clock_ms - at_ms > 3000, "the goodbye was cut short"
    assert await ended(server) == 0
    (timeline,) = (server.home / "calls").glob("*/*/timeline.jsonl")
    event = read_timeline(timeline)[-1].event
    assert isinstance(event, CallEnded) and event.by == "server"
    assert_untroubled(server)


async def test_a_second_ctrl_c_ends_everything_at_once(echoing: Starter) -> None:
    server = echoing(limits={"drain_s": 300.0})
    async with Phone.plugged_in(name="cut-off") as phone, phone.ring(server.uri("100")) as line:
        await (await live(server, "cut-off")).until(AgentJoined)
        interrupt(server)
        await eventually(lambda: server.get("/status")["state"] == "draining", "draining")
        began = time.monotonic()
        server.process.send_signal(signal.SIGINT)
        await line.far_end_hangs_up(20.0)
        assert await ended(server) == 0
        assert time.monotonic() - began < 15.0
    assert last_words(server).by == "server"
    listed = offhook("calls", "list", "--settings", server.home / "offhook.toml")
    assert listed.returncode == 0 and "server" in listed.stdout
    assert_untroubled(server)

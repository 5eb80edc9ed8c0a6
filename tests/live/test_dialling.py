"""The plan's `dial` rings another telephone: they talk, it is busy, nobody comes, either side hangs up first."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
from loadtest.served import Served

from offhook.calls.caller import Line, Phone, Saying
from offhook.calls.timeline import AgentJoined, CallAnswered, DialAnswered, DialEnded, DialStarted, KeyPressed
from offhook.speech.contract import RATE_HZ
from tests.live.farend import far_end
from tests.live.watching import assert_untroubled, falls_silent, hears, live, over
from tests.peers.record import Kept

TONE_HZ = 620.0


def tone(seconds: float) -> Saying:
    wave = 6000 * np.sin(2 * np.pi * TONE_HZ * np.arange(int(seconds * RATE_HZ)) / RATE_HZ)
    return Saying("tone", wave.astype(np.int16))


def tone_ms(track: Path) -> float:
    """How much of a track is our tone, in blocks of 20 ms."""
    pcm, rate_hz = soundfile.read(track, dtype="float32")
    block = rate_hz // 50
    blocks: npt.NDArray[np.float32] = pcm[: len(pcm) // block * block].reshape(-1, block)
    wave = np.exp(-2j * np.pi * TONE_HZ * np.arange(block) / rate_hz)
    at_tone = np.abs(blocks @ wave) ** 2 * 2 / block
    power = (blocks**2).sum(axis=1)
    return 20.0 * float(((power > 0.05) & (at_tone > 0.8 * power)).sum())


def dialled(call: Kept) -> tuple[str, str]:
    (entry,) = call.of(DialEnded)
    assert isinstance(entry.event, DialEnded)
    return entry.event.exit, entry.event.cause


async def said_back(line: Line, seconds: float = 1.5) -> None:
    """Say a tone and hear it come back from the far end."""
    line.ear.forget()
    saying = asyncio.create_task(line.say(tone(seconds)))
    await hears(line, "the tone, said back by the far end", 5.0)
    await saying


async def test_both_hear_each_other_until_the_caller_hangs_up_and_the_far_end_gets_its_bye(
    echo: Served, tmp_path: Path
) -> None:
    async with far_end("answers", tmp_path) as far, Phone.plugged_in(name="d-talk") as phone:
        async with phone.ring(echo.uri("200")) as line:
            call = await live(echo, "d-talk")
            await call.until(DialAnswered)
            await falls_silent(line)
            await said_back(line)
        await far.done()
    kept = await over(echo, "d-talk")
    assert kept.ended.by == "caller"
    assert tone_ms(kept.folder / "caller.wav") >= 1300, "the caller's track lacks what the caller said"
    assert tone_ms(kept.folder / "agent.wav") >= 1300, "the other track lacks what the far end said"
    assert (kept.folder / "call.flac").exists()


async def test_the_caller_goes_on_in_the_plan_where_the_far_end_hangs_up(echo: Served, tmp_path: Path) -> None:
    async with far_end("hangs-up", tmp_path) as far, Phone.plugged_in(name="d-far") as phone:
        async with phone.ring(echo.uri("200")) as line:
            call = await live(echo, "d-far")
            await call.until(DialAnswered)
            await falls_silent(line, 300)
            line.ear.forget()
            await call.until(DialEnded)
            await hears(line, "the plan's goodbye")
            gone = await line.far_end_hangs_up(20.0)
        await far.done()
    kept = await over(echo, "d-far")
    assert dialled(kept)[0] == "answered"
    assert kept.ended.by == "us", gone


async def test_a_busy_far_end_is_the_busy_exit(echo: Served, tmp_path: Path) -> None:
    async with far_end("busy", tmp_path) as far, Phone.plugged_in(name="d-busy") as phone:
        async with phone.ring(echo.uri("200")) as line:
            await line.far_end_hangs_up(30.0)
        await far.done()
    exit, cause = dialled(await over(echo, "d-busy"))
    assert exit == "busy" and "486" in cause


async def test_a_far_end_that_nobody_answers_is_cancelled_when_the_ring_time_is_over(
    echo: Served, tmp_path: Path
) -> None:
    async with far_end("rings", tmp_path) as far, Phone.plugged_in(name="d-ring") as phone:
        async with phone.ring(echo.uri("201")) as line:
            await (await live(echo, "d-ring")).until(DialStarted)
            line.ear.forget()
            await hears(line, "ringing")
            await line.far_end_hangs_up(30.0)
        await far.done()
    kept = await over(echo, "d-ring")
    assert dialled(kept)[0] == "no-answer"
    (began,), (ended,) = kept.of(DialStarted), kept.of(DialEnded)
    assert 1900 <= ended.t - began.t <= 4000


async def test_a_far_end_that_rings_is_cancelled_where_the_caller_hangs_up(echo: Served, tmp_path: Path) -> None:
    async with far_end("rings", tmp_path) as far, Phone.plugged_in(name="d-gone") as phone:
        async with phone.ring(echo.uri("200")) as line:
            await (await live(echo, "d-gone")).until(DialStarted)
            line.ear.forget()
            await hears(line, "ringing")
        await far.done()
    kept = await over(echo, "d-gone")
    assert kept.ended.by == "caller"
    assert dialled(kept)[0] == "over"


async def test_nobody_at_the_far_end_is_the_failed_exit(echo: Served) -> None:
    async with Phone.plugged_in(name="d-none") as phone, phone.ring(echo.uri("201")) as line:
        await line.far_end_hangs_up(40.0)
    kept = await over(echo, "d-none")
    assert dialled(kept)[0] in ("failed", "no-answer")


async def test_the_caller_is_answered_only_when_the_far_end_is_and_the_limit_ends_the_talk(
    echo: Served, tmp_path: Path
) -> None:
    async with far_end("answers", tmp_path) as far, Phone.plugged_in(name="d-limit") as phone:
        async with phone.ring(echo.uri("202")) as line:
            await said_back(line, 0.4)
            await line.far_end_hangs_up(20.0)
        await far.done()
    kept = await over(echo, "d-limit")
    exit, cause = dialled(kept)
    assert exit == "answered" and "limit" in cause
    (rung,), (answered,), (caller,) = kept.of(DialStarted), kept.of(DialAnswered), kept.of(CallAnswered)
    assert answered.t - rung.t >= 1400 and caller.t >= answered.t
    assert_untroubled(echo)


async def test_keys_reach_the_far_end(echo: Served, echoing: Any, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        "dialplan: 1\ntimezone: UTC\nnumbers:\n"
        '  "500": {flow: onward}\nflows:\n  onward:\n'
        f'    - dial: {{to: "{echo.uri("100")}", exits: {{answered: next, no-answer: next, busy: next, failed: next}}}}'
        "\n",
        encoding="utf-8",
    )
    near = echoing(dialplan=str(plan))
    async with Phone.plugged_in(name="d-keys") as phone, phone.ring(near.uri("500")) as line:
        far = await live(echo, "d-keys")
        await far.until(AgentJoined)
        await line.press("42#")
        await far.until(KeyPressed, count=3)
        pressed = [entry.event.digit for entry in far.of(KeyPressed) if isinstance(entry.event, KeyPressed)]
        assert pressed == [*"42#"]
    await over(near, "d-keys")


async def test_a_caller_with_an_odd_name_is_put_through_too(echo: Served, tmp_path: Path) -> None:
    async with far_end("answers", tmp_path) as far, Phone.plugged_in(name="d%20o%3Ed") as phone:
        async with phone.ring(echo.uri("200")):
            call = await live(echo, "d o>d")
            await call.until(DialAnswered)
        await far.done()
    await over(echo, "d o>d")

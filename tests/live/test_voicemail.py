"""Messages: left and hung up, ended by a key, by silence, by the time, and none at all."""

from __future__ import annotations

import numpy as np
import soundfile
from loadtest.served import Served

from offhook.calls.caller import Line, Phone, Saying
from offhook.calls.timeline import PromptEnded, RecordingStarted, StepLeft, VoicemailLeft
from offhook.speech.contract import RATE_HZ
from tests.live.watching import assert_untroubled, falls_silent, live, over
from tests.peers.record import Kept


def words(seconds: float, hz: float = 300.0) -> Saying:
    """What is said: syllables of a tone, for three fifths of `seconds`, so that it can be told in the message."""
    at = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    wave = 7000 * np.sin(2 * np.pi * hz * at) * (np.sin(2 * np.pi * 2.5 * at) > -0.3)
    return Saying(f"{hz:g} Hz", wave.astype(np.int16))


async def after_the_tone(line: Line, server: Served, caller: str, message: int = 1) -> None:
    """Wait until a message is being taken."""
    call = await live(server, caller)
    await call.until(PromptEnded, message)
    await call.until(RecordingStarted)
    # The tone comes right behind the words, whenever it is that we hear of their end.
    await falls_silent(line, 700.0)


def sound_s(call: Kept, number: int = 1, hz: float = 300.0) -> float:
    """How much of a message's file is the caller's sound at `hz`; what fills no block of 50 ms does not count."""
    pcm, rate_hz = soundfile.read(call.folder / f"voicemail-{number}.wav", dtype="float32")
    block = rate_hz // 20
    blocks = pcm[: len(pcm) // block * block].reshape(-1, block)
    at_tone = np.abs(blocks @ np.exp(-2j * np.pi * hz * np.arange(block) / rate_hz)) ** 2 * 2 / block
    power = (blocks**2).sum(axis=1)
    return 0.05 * float(((power > 0.1) & (at_tone > 0.7 * power)).sum())


def exits(call: Kept) -> list[str]:
    return [e.event.exit for e in call.of(StepLeft) if isinstance(e.event, StepLeft)]


async def test_a_message_left_by_hanging_up_is_kept(echo: Served) -> None:
    async with Phone.plugged_in(name="v-hangs-up") as phone, phone.ring(echo.uri("300")) as line:
        await after_the_tone(line, echo, "v-hangs-up")
        await line.say(words(2.0))
    call = await over(echo, "v-hangs-up")
    assert len(call.of(VoicemailLeft)) == 1, call.entries
    assert call.ended.by == "caller"
    assert sound_s(call) >= 0.8


async def test_a_short_message_counts_even_where_the_caller_hangs_up_at_once(echo: Served) -> None:
    async with Phone.plugged_in(name="v-short") as phone, phone.ring(echo.uri("300")) as line:
        await after_the_tone(line, echo, "v-short")
        await line.say(words(1.2))
    call = await over(echo, "v-short")
    assert len(call.of(VoicemailLeft)) == 1
    assert sound_s(call) >= 0.4


async def test_a_key_ends_the_message_and_the_next_one_is_its_own(echo: Served) -> None:
    async with Phone.plugged_in(name="v-key") as phone, phone.ring(echo.uri("301")) as line:
        await after_the_tone(line, echo, "v-key")
        await line.say(words(2.0, 300.0))
        await line.press("#")
        await after_the_tone(line, echo, "v-key", message=2)
        await line.say(words(2.0, 450.0))
        await line.press("#")
        await line.far_end_hangs_up(20.0)
    call = await over(echo, "v-key")
    assert exits(call) == ["left", "left"]
    assert sound_s(call, 1, 300.0) >= 0.8 and sound_s(call, 1, 450.0) == 0.0
    assert sound_s(call, 2, 450.0) >= 0.8 and sound_s(call, 2, 300.0) == 0.0
    lengths = [e.event.length_ms for e in call.of(VoicemailLeft) if isinstance(e.event, VoicemailLeft)]
    assert all(length <= 5000 for length in lengths), "the key did not end it"


async def test_silence_ends_the_message(echo: Served) -> None:
    async with Phone.plugged_in(name="v-silence") as phone, phone.ring(echo.uri("300")) as line:
        await after_the_tone(line, echo, "v-silence")
        await line.say(words(2.0))
        await line.far_end_hangs_up(30.0)
    call = await over(echo, "v-silence")
    assert exits(call) == ["left"] and call.ended.by == "us"
    (left,) = call.of(VoicemailLeft)
    assert isinstance(left.event, VoicemailLeft) and left.event.length_ms <= 10_000
    assert sound_s(call) >= 0.8


async def test_the_time_limit_ends_a_message_that_goes_on_and_on(echo: Served) -> None:
    async with Phone.plugged_in(name="v-long") as phone, phone.ring(echo.uri("301")) as line:
        await after_the_tone(line, echo, "v-long")
        line.port.play(phone.core.load_prompt(words(4.0).pcm, RATE_HZ), loop=True)
        call = await live(echo, "v-long")
        await call.until(VoicemailLeft)
    kept = await over(echo, "v-long")
    left = kept.of(VoicemailLeft)[0]
    assert isinstance(left.event, VoicemailLeft) and 5900 <= left.event.length_ms <= 7500


async def test_who_says_nothing_has_left_no_message(echo: Served) -> None:
    async with Phone.plugged_in(name="v-empty") as phone, phone.ring(echo.uri("300")) as line:
        await after_the_tone(line, echo, "v-empty")
        await line.far_end_hangs_up(30.0)
    call = await over(echo, "v-empty")
    assert exits(call) == ["empty"]
    assert not call.of(VoicemailLeft) and not list(call.folder.glob("voicemail-*"))
    assert_untroubled(echo)

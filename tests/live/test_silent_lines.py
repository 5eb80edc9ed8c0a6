"""Callers from whom no audio comes, and those to whom none may go."""

from __future__ import annotations

import asyncio
from typing import Any

from loadtest.served import Served

from offhook.calls.timeline import MediaLost
from tests.live.bare import BareCaller
from tests.live.watching import over


def packets_within(caller: BareCaller, seconds: float) -> bool:
    caller.media.settimeout(seconds)
    try:
        return len(caller.media.recv(2048)) > 0
    except TimeoutError:
        return False


def test_no_audio_goes_where_nobody_has_acknowledged(echo: Served) -> None:
    """A forged INVITE must not aim fifty packets a second at somebody else."""
    with BareCaller(echo, name="forged") as caller:
        answer = caller.invite("400", acknowledge=False)
        assert answer is not None and answer.status == 200
        assert not packets_within(caller, 1.5)
        caller.acknowledge(answer)
        assert packets_within(caller, 5.0)
        caller.bye()


async def test_a_call_without_a_single_packet_from_the_caller_is_ended(echoing: Any) -> None:
    server = echoing(limits={"no_media_s": 1})
    with BareCaller(server, name="mute") as caller:
        answer = await asyncio.to_thread(caller.invite, "100")
        assert answer is not None and answer.status == 200
        kept = await over(server, "mute", 30.0)
    assert len(kept.of(MediaLost)) == 1
    assert kept.ended.by == "us" and "no packet" in kept.ended.cause

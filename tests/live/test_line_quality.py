"""A bad line is seen: on the call's timeline while it lasts, in the server's figures, and by who looks at the call."""

from __future__ import annotations

import asyncio
import re
import struct
import time

from loadtest.served import Served

from offhook.calls.explain import explain
from offhook.calls.timeline import AgentJoined, LineMeasured
from tests.live.bare import Answer, BareCaller
from tests.live.watching import assert_untroubled, live, over


def media_of(answer: Answer) -> tuple[str, int]:
    """Where the answer says that audio is to go."""
    host, port = re.search(r"c=IN IP4 (\S+)", answer.text), re.search(r"m=audio (\d+)", answer.text)
    assert host is not None
    assert port is not None
    return host[1], int(port[1])


def talk_badly(caller: BareCaller, to: tuple[str, int], packets: int) -> None:
    """Sends packets sooner than they would be said, four of every twenty missing in a row."""
    for n in range(packets):
        if n % 20 < 16:
            packet = struct.pack("!BBHII", 0x80, 0, n, n * 160, 77) + b"\xff" * 160
            caller.media.sendto(packet, to)
            time.sleep(0.001)


def report(caller: BareCaller, to: tuple[str, int]) -> None:
    """An RTCP report that a quarter of what was heard of us is lost."""
    caller.media.settimeout(10)
    ours = struct.unpack_from("!I", caller.media.recv(2048), 8)[0]
    block = struct.pack("!IIIIII", ours, 64 << 24, 0, 0, 0, 0)
    caller.media.sendto(struct.pack("!BBHI", 0x81, 201, 7, 77) + block, (to[0], to[1] + 1))


async def test_a_bad_line_is_on_the_timeline_and_in_the_figures(echo: Served) -> None:
    await asyncio.to_thread(echo.wait_idle)
    with BareCaller(echo, name="crackling") as caller:
        answer = await asyncio.to_thread(caller.invite, "100")
        assert answer is not None and answer.status == 200
        call = await live(echo, "crackling")
        await call.until(AgentJoined)
        await asyncio.to_thread(talk_badly, caller, media_of(answer), 300)
        await asyncio.to_thread(report, caller, media_of(answer))
        await call.until(LineMeasured, 2)
        during = echo.metrics()
        await asyncio.to_thread(caller.bye)
    kept = await over(echo, "crackling")
    measured = [entry.event for entry in kept.entries if isinstance(entry.event, LineMeasured)]
    heard = next(event for event in measured if event.direction == "in")
    assert 0.1 < heard.lost < 0.25 and heard.mos_lq < 3.1 and (heard.burst_ms or 0) >= 60
    said = next(event for event in measured if event.direction == "out")
    assert said.lost == 0.25 and said.mos_lq < 3.1
    label = 'direction="in",trunk="local"'
    assert during[f"offhook_line_mos_count{{{label}}}"] >= 1
    assert during['offhook_lines_bad{direction="in"}'] == 1
    assert echo.metrics()['offhook_lines_bad{direction="in"}'] == 0
    assert "offhook_kernel_drops_total" in during
    assert any("The line was bad" in line and "we heard the caller badly" in line for line in explain(kept.entries))
    assert_untroubled(echo)

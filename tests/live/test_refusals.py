"""Who is not let in, and how they are told."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest
from loadtest.served import Served

from offhook.calls.caller import CallerError, Phone
from offhook.calls.timeline import AgentJoined, StepLeft
from offhook.sip import Credentials
from tests.live.bare import BareCaller, proof
from tests.live.plans import PASSWORD, USER
from tests.live.watching import assert_untroubled, eventually, live, over


def refusals(server: Served, cause: str) -> float:
    return server.metrics().get(f'offhook_refusals_total{{cause="{cause}"}}', 0.0)


async def test_an_unknown_number_gets_404(echo: Served) -> None:
    before = refusals(echo, "unknown-number")
    with BareCaller(echo) as caller:
        answer = await asyncio.to_thread(caller.invite, "999")
    assert answer is not None and answer.status == 404
    assert refusals(echo, "unknown-number") == before + 1


async def test_a_source_that_no_trunk_allows_hears_nothing_at_all(echo: Served) -> None:
    before = refusals(echo, "unknown-source")
    with BareCaller(echo, host="127.0.0.3") as caller:
        assert await asyncio.to_thread(caller.invite, "400", "", 2.0) is None
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.3", 0))
        stranger.settimeout(2.0)
        with contextlib.suppress(OSError):  # closed on us: as good as silence
            stranger.connect(("127.0.0.1", echo.sip_port))
            stranger.sendall(b"OPTIONS sip:400@127.0.0.1 SIP/2.0\r\nContent-Length: 0\r\n\r\n")
            assert stranger.recv(100) == b""
    assert refusals(echo, "unknown-source") > before


@pytest.mark.parametrize("algorithm", ["SHA-256", "MD5"])
async def test_a_user_with_the_right_password_is_let_in(echo: Served, algorithm: str) -> None:
    with BareCaller(echo, host="127.0.0.2", name=f"user-{algorithm.lower()}") as caller:
        challenge = await asyncio.to_thread(caller.invite, "400")
        assert challenge is not None and challenge.status == 401, challenge
        shown = proof(challenge, algorithm, USER, PASSWORD, caller.uri)
        answer = await asyncio.to_thread(caller.invite, "400", shown)
        assert answer is not None and answer.status == 200, answer
        assert (await asyncio.to_thread(caller.bye)).status == 200
    assert (await over(echo, caller.name)).ended.by == "caller"


@pytest.mark.parametrize("algorithm", ["SHA-256", "MD5"])
async def test_a_wrong_password_or_user_is_not_let_in(echo: Served, algorithm: str) -> None:
    for user, password in ((USER, "guessed"), ("nobody", PASSWORD)):
        with BareCaller(echo, host="127.0.0.2") as caller:
            challenge = await asyncio.to_thread(caller.invite, "400")
            assert challenge is not None and challenge.status == 401
            shown = proof(challenge, algorithm, user, password, caller.uri)
            answer = await asyncio.to_thread(caller.invite, "400", shown)
            assert answer is not None and answer.status in (401, 403), answer
    assert not [call for call in echo.get("/status")["calls"] if call["caller"] == "bare"]


async def test_our_own_telephone_proves_itself(echo: Served) -> None:
    async with Phone.plugged_in(name="prover", host="127.0.0.2") as phone:
        async with phone.ring(echo.uri("400"), Credentials(USER, PASSWORD)):
            pass
        with pytest.raises(CallerError, match=r"40[13]"):
            async with phone.ring(echo.uri("400"), Credentials(USER, "guessed")):
                pass


async def test_a_full_server_answers_503_with_retry_after_from_its_limit_on(echo: Served) -> None:
    before = refusals(echo, "full")
    await asyncio.to_thread(echo.wait_idle)
    async with Phone.plugged_in(lines=4, name="crowd") as phone, contextlib.AsyncExitStack() as up:
        for _ in range(4):
            await up.enter_async_context(phone.ring(echo.uri("300")))
        with BareCaller(echo) as caller:
            answer = await asyncio.to_thread(caller.invite, "300")
        assert answer is not None and answer.status == 503
        assert int(answer.headers["retry-after"][0]) > 0
        assert refusals(echo, "full") == before + 1
    await asyncio.to_thread(echo.wait_idle)
    with BareCaller(echo, name="after-the-crowd") as caller:
        answer = await asyncio.to_thread(caller.invite, "400")
        assert answer is not None and answer.status == 200
        await asyncio.to_thread(caller.bye)
    await over(echo, "after-the-crowd")


async def test_a_call_without_a_free_slot_takes_the_plans_busy_exit(echo: Served) -> None:
    await asyncio.to_thread(echo.wait_idle)
    async with Phone.plugged_in(lines=2, name="talker") as phone, Phone.plugged_in(name="third") as third:
        async with phone.ring(echo.uri("100")), phone.ring(echo.uri("100")):
            await eventually(lambda: echo.get("/status")["worker"]["slots_used"] == 2, "both slots in use")
            async with third.ring(echo.uri("100")) as line:
                await line.far_end_hangs_up(30.0)
    call = await over(echo, "third")
    exits = [
        (e.event.step, e.event.exit, e.event.go, e.event.tag)
        for e in call.of(StepLeft)
        if isinstance(e.event, StepLeft)
    ]
    assert ("agent", "busy", "all-busy", "busy") in exits, exits
    assert not call.of(AgentJoined)
    assert call.ended.by == "us"
    await over(echo, "talker")
    async with Phone.plugged_in(name="fourth") as phone, phone.ring(echo.uri("100")):
        await (await live(echo, "fourth")).until(AgentJoined)
    await over(echo, "fourth")
    assert_untroubled(echo)

"""Whole calls from a browser-like peer: the page's socket, ICE, DTLS and SRTP, to an agent that echoes, and back."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from loadtest.served import Served
from websockets.exceptions import InvalidStatus

from offhook.calls.folds import summary
from offhook.calls.timeline import AgentJoined, CallAnswered, CallMoved, KeyPressed
from tests.live.pagecaller import PageCaller, page
from tests.live.watching import Live, assert_untroubled, live, over
from tests.peers.browser import tone


async def echoes(caller: PageCaller, hz: float) -> None:
    """The agent says back what it is told: sound flows both ways."""
    caller.browser.voice.say(tone(hz, 700))
    await caller.browser.ear.hears(hz)
    await caller.browser.ear.silence()


async def with_the_agent(server: Served, name: str) -> Live:
    call = await live(server, name)
    await call.until(AgentJoined)
    return call


@pytest.mark.parametrize("codec", ["opus", "PCMU", "PCMA"])
async def test_a_browser_calls_is_greeted_heard_and_answered(echo: Served, codec: str) -> None:
    name = f"web-{codec}"
    async with page(echo, codec) as caller:
        await caller.call("100", **{"from": name})
        await with_the_agent(echo, name)
        await caller.browser.ear.silence()
        await echoes(caller, 500)
        await echoes(caller, 900)
        await caller.hang_up()
    assert caller.words("agent")[0] == "Hello. Recorded."
    kept = await over(echo, name)
    assert (kept.ended.by, kept.ended.cause) == ("caller", "the caller hung up")
    assert summary(kept.entries).trunk == "web" and summary(kept.entries).answered
    (answered,) = kept.of(CallAnswered)
    assert answered.event == CallAnswered({"opus": "opus", "PCMU": "ulaw", "PCMA": "alaw"}[codec], 20)
    assert_untroubled(echo)


async def test_the_server_hangs_up(echo: Served) -> None:
    async with page(echo) as caller:
        await caller.call("400", **{"from": "web-line-test"})
        assert (await caller.until("words"))["text"].startswith("One, two")
        await caller.browser.ear.until(lambda: caller.browser.ear.loudness() > 500, "the prompt")
        assert (await caller.until("ended"))["why"] == "normal"
        await caller.until("closed")
    await over(echo, "web-line-test")


async def test_keys_are_pressed(echo: Served) -> None:
    async with page(echo) as caller:
        await caller.call("100", **{"from": "web-keys"})
        call = await with_the_agent(echo, "web-keys")
        await caller.say(type="keys", digits="4d#")
        await caller.say(type="keys", digits="0;drop")
        await caller.until("error")
        await call.until(KeyPressed, 3)
        await caller.hang_up()
    kept = await over(echo, "web-keys")
    assert summary(kept.entries).keys == "4D#"


async def test_a_certificate_that_signalling_did_not_tell_of_is_refused(echo: Served) -> None:
    async with page(echo) as caller:
        await caller.dial()
        sdp = await caller.browser.offer()
        lines = [
            line if not line.startswith("a=fingerprint:") else f"a=fingerprint:sha-256 {':'.join(['AB'] * 32)}"
            for line in sdp.splitlines()
            if not line.startswith(("a=fingerprint:sha-384", "a=fingerprint:sha-512"))
        ]
        await caller.say(type="call", to="100", sdp="\r\n".join(lines) + "\r\n", **{"from": "web-forged"})
        await caller.answered()
        assert "secured" in (await caller.until("ended"))["why"]
        assert caller.browser.ear.frames == 0
    kept = await over(echo, "web-forged")
    assert "DTLS" in kept.ended.cause
    assert not summary(kept.entries).answered


async def test_a_page_that_lost_its_socket_resumes_the_call_that_went_on(echo: Served) -> None:
    async with page(echo) as caller:
        await caller.call("100", **{"from": "web-resumes"})
        await with_the_agent(echo, "web-resumes")
        await caller.browser.ear.silence()
        await caller.cut()
        await echoes(caller, 600)  # nobody's sound was touched
        await caller.resume(token="guessed")
        assert (await caller.until("error"))["text"] == "The call has ended."
        await caller.until("closed")
        await caller.resume()
        await caller.until("answer")
        assert (await caller.until("words"))["text"] == "Hello. Recorded."
        await echoes(caller, 800)
        await caller.hang_up()
    kept = await over(echo, "web-resumes")
    assert len(kept.of(AgentJoined)) == 1


async def test_a_page_that_is_loaded_anew_takes_its_call_up_again(echo: Served) -> None:
    """Another certificate, other ICE credentials, another port: a new association on the call that stands."""
    async with page(echo) as caller:
        await caller.call("100", **{"from": "web-reloads"})
        call = await with_the_agent(echo, "web-reloads")
        await caller.browser.ear.silence()
        await caller.cut()
        await caller.reload()
        await caller.resume()
        await caller.answered()
        await call.until(CallMoved)
        await echoes(caller, 700)
        await caller.hang_up()
    kept = await over(echo, "web-reloads")
    assert len(kept.of(AgentJoined)) == 1
    assert_untroubled(echo)


async def test_a_page_that_does_not_come_back_is_given_up(echoing: Any) -> None:
    server = echoing(web={"away_s": 1.0})
    async with page(server) as caller:
        await caller.call("100", **{"from": "web-lost"})
        await with_the_agent(server, "web-lost")
        await caller.cut()
        kept = await over(server, "web-lost")
        assert kept.ended.by == "caller"
        assert kept.ended.cause == "the page was lost and did not come back within 1 s"
        await caller.resume()
        assert (await caller.until("error"))["text"] == "The call has ended."


# --- what is not taken


async def told_of(server: Served, *texts: str, **headers: str) -> list[dict[str, Any]]:
    """What a socket is told of these texts, until it is closed."""
    async with page(server) as caller:
        await caller.dial(**headers)
        for text in texts:
            await caller.socket.send(text)
        await caller.until("closed")
        return caller.told[:-1]


async def test_a_number_that_is_not_there_is_said_to_be_not_there(echo: Served) -> None:
    (said,) = await told_of(echo, json.dumps({"type": "call", "to": "999", "sdp": "v=0"}))
    assert said == {"type": "error", "text": "There is no number 999 here."}


async def test_an_offer_that_is_no_browsers_is_refused(echo: Served) -> None:
    phone = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
    for sdp in ("v=0", "rubbish", phone):
        (said,) = await told_of(echo, json.dumps({"type": "call", "to": "100", "sdp": sdp}))
        assert said["type"] == "error" and said["text"].startswith("What the browser offered cannot be taken"), said


async def test_what_is_not_understood_is_told_and_does_no_harm(echo: Served) -> None:
    wrong = [
        "",
        "[]",
        "{",
        "null",
        '{"type": "dance"}',
        '{"type": "call", "to": "100"}',
        json.dumps({"type": "call", "to": "1" * 65, "sdp": "v=0"}),
        json.dumps({"type": "call", "to": "100", "sdp": "x" * 20_000}),
        json.dumps({"type": "call", "to": "1\n00", "sdp": "v=0"}),
        json.dumps({"type": "resume", "call": "x", "token": "x" * 200, "sdp": "v=0"}),
        json.dumps({"type": "keys", "digits": "1"}),
        json.dumps({"type": "hangup"}),
    ]
    async with page(echo) as caller:
        await caller.dial()
        for count, text in enumerate(wrong, 1):
            await caller.socket.send(text)
            await caller.until("error", count)
        await caller.socket.send(b"\x00\x01")
        await caller.until("closed")
    assert_untroubled(echo)


async def test_a_page_that_says_too_much_at_once_is_told_to_stop(echo: Served) -> None:
    said = await told_of(echo, *[json.dumps({"type": "candidate", "candidate": ""})] * 60)
    assert said[-1]["text"] == "The page said too much at once. Please call again."


async def test_a_text_larger_than_any_closes_the_socket(echo: Served) -> None:
    assert await told_of(echo, "x" * 40_000) == []


async def test_pages_of_other_sites_are_turned_away(echoing: Any) -> None:
    server = echoing(web={"origins": ["https://shop.example"], "to": ["100", "777"], "max_calls": 1})
    host = server.console.removeprefix("http://")
    for origin in (f"http://{host}", "https://shop.example"):
        assert await told_of(server, json.dumps({"type": "call", "to": "200", "sdp": "v=0"}), Origin=origin) == [
            {"type": "error", "text": "There is no number 200 here."}
        ]
    for origin in ("https://shop.example.evil.example", "https://evil.example", "null"):
        async with page(server) as caller:
            with pytest.raises(InvalidStatus, match="403"):
                await caller.dial(Origin=origin)
    assert await asyncio.to_thread(server.get, "/call/config") == {"iceServers": [], "to": ["100"]}
    async with page(server) as first, page(server) as second:
        await first.call("100", **{"from": "web-first"})
        await second.dial()
        await second.say(type="call", to="100", sdp=await second.browser.offer())
        assert (await second.until("error"))["text"] == "All lines are busy. Please call again in a while."
        await first.hang_up()
    refused = 'offhook_refusals_total{cause="full"}'
    assert await asyncio.to_thread(lambda: server.metrics().get(refused)) == 1.0


async def test_ice_servers_are_told_with_credentials_that_run_out(echoing: Any, tmp_path: Any) -> None:
    secret = tmp_path / "turn"
    secret.write_text("north")
    servers = [{"urls": ["stun:192.0.2.1:3478"]}, {"urls": ["turn:192.0.2.1:3478"], "secret": f"file:{secret}"}]
    server = echoing(web={"ice_servers": servers})
    stun, turn = (await asyncio.to_thread(server.get, "/call/config"))["iceServers"]
    assert stun == {"urls": ["stun:192.0.2.1:3478"]}
    assert int(turn["username"]) > 1_700_000_000 and len(turn["credential"]) == 28

"""A browser calls the server as it ships: is greeted, asks, is answered, interrupts, presses keys, loses its line and
has it again. Chromium's own WebRTC at one end, ours at the other; what was said is looked up in the call's record.
"""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from loadtest.served import Served
from playwright.async_api import Page, expect

from offhook.calls.timeline import Interrupted, KeyPressed, WordsHeard
from tests.live.browser import DESKTOP, PHONE, browsing
from tests.live.callpage import LIMIT_MS, Mouth, filed, reaches, told
from tests.live.watching import Live, assert_untroubled, eventually


@asynccontextmanager
async def calling(
    server: Served, folder: Path, to: str, window: tuple[int, int]
) -> AsyncIterator[tuple[Page, Mouth, Live]]:
    """A page that has called and is connected, its mouth, and the call at the server."""
    mouth = Mouth(folder)
    async with browsing(folder / "profile", microphone=mouth.switch, window=window) as page:
        before = {call["id"] for call in server.get("/status")["calls"]}
        await page.goto(f"{server.console}/call?to={to}")
        await expect(page.get_by_role("button", name="Call")).to_be_enabled()
        await page.get_by_role("button", name="Call").click()
        await reaches(page, "connected")
        (call,) = [one["id"] for one in server.get("/status")["calls"] if one["id"] not in before]
        (place,) = (server.home / "calls").glob(f"*/{call}")
        yield page, mouth, Live(server, call, place)


async def agent_heard(page: Page) -> None:
    """The agent sounds in the browser. (The page lets nothing be compiled in it, so it is asked again and again.)"""
    shown = "Number(document.querySelector('#agent-level i').style.transform.match(/[0-9.]+/)[0])"
    end = time.monotonic() + LIMIT_MS / 1000
    while time.monotonic() < end:
        if await page.evaluate(shown) > 0.2:
            return
        await asyncio.sleep(0.03)
    raise AssertionError("the agent was not heard in the browser")


async def test_a_browser_is_greeted_asks_and_is_answered_interrupts_and_presses_keys(
    desk: Served, tmp_path: Path
) -> None:
    async with calling(desk, tmp_path, "100", DESKTOP) as (page, mouth, call):
        await told(page, "agent", "How can I help you?", whole=True)

        await mouth.say(page, "Where is order four one seven two?")
        await told(page, "caller", "order")
        await told(page, "agent", "Order 4 1 7 2")
        await expect(page.locator("#words .after").last).to_have_text(re.compile(r"answered after \d+\.\d\d s"))
        await agent_heard(page)

        await mouth.say(page, "What are your opening hours?")  # over the answer
        await call.until(Interrupted)
        await told(page, "caller", "hours")
        await told(page, "agent", "Monday")

        await page.get_by_role("button", name="Keypad").click()
        await page.get_by_role("button", name="5").click()
        pressed = await call.until(KeyPressed)
        assert isinstance(pressed.event, KeyPressed) and pressed.event.digit == "5"

        await page.get_by_role("button", name="Hang up").click()
        await reaches(page, "ended")
        kept = await filed(call)
    heard = " ".join(e.event.text for e in kept.of(WordsHeard) if isinstance(e.event, WordsHeard)).lower()
    assert "order" in heard and "hours" in heard, heard
    assert len(kept.of(KeyPressed)) == 1, "one key is pressed once"
    assert kept.ended.by == "caller", kept.ended
    assert_untroubled(desk)


async def test_a_phone_calls_and_is_answered(desk: Served, tmp_path: Path) -> None:
    async with calling(desk, tmp_path, "100", PHONE) as (page, mouth, call):
        await told(page, "agent", "How can I help you?", whole=True)
        await mouth.say(page, "What are your opening hours?")
        await told(page, "agent", "Monday")
        await expect(page.get_by_role("button", name="Hang up")).to_be_in_viewport(ratio=1)
        assert await page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
        await page.get_by_role("button", name="Hang up").click()
        assert (await filed(call)).ended.by == "caller"


class Cable:
    """What lies between a browser and the server's web side: TCP, handed on until it is pulled."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._open: set[asyncio.StreamWriter] = set()
        self._pulled = False

    async def pull(self) -> None:
        """All that is open breaks off, and nothing new gets through."""
        self._pulled = True
        for writer in self._open:
            writer.transport.abort()

    def mend(self) -> None:
        self._pulled = False

    @asynccontextmanager
    async def plugged_in(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._join, "127.0.0.1", 0, family=socket.AF_INET)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            await self.pull()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._pulled:
            writer.transport.abort()
            return
        there_reader, there = await asyncio.open_connection("127.0.0.1", self._to)
        self._open |= {writer, there}
        try:
            await asyncio.gather(_pump(reader, there), _pump(there_reader, writer))
        finally:
            self._open -= {writer, there}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.transport.abort()


async def test_a_page_that_lost_its_line_has_the_same_call_again(desk: Served, tmp_path: Path) -> None:
    cable, mouth = Cable(desk.console_port), Mouth(tmp_path)
    async with cable.plugged_in() as url, browsing(tmp_path / "profile", microphone=mouth.switch) as page:
        await page.goto(f"{url}/call?to=100")
        await expect(page.get_by_role("button", name="Call")).to_be_enabled()
        await page.get_by_role("button", name="Call").click()
        await told(page, "agent", "How can I help you?", whole=True)
        await cable.pull()
        await expect(page.get_by_role("alert")).to_contain_text("You can go on talking")
        cable.mend()
        await reaches(page, "connected")
        await expect(page.get_by_role("alert")).to_have_count(0)
        await mouth.say(page, "What are your opening hours?")
        await told(page, "agent", "Monday")
        # What the page missed is told again, and what it had already is not there twice.
        await expect(page.locator("#words .agent p", has_text="How can I help you?")).to_have_count(1)
        assert len(desk.get("/status")["calls"]) == 1
        await page.get_by_role("button", name="Hang up").click()
        await eventually(lambda: not desk.get("/status")["calls"], "the call has ended")


async def test_a_page_that_does_not_come_back_is_hung_up_on(echoing: object, tmp_path: Path) -> None:
    server: Served = echoing(web={"away_s": 1})  # type: ignore[operator]
    cable, mouth = Cable(server.console_port), Mouth(tmp_path)
    async with cable.plugged_in() as url, browsing(tmp_path / "profile", microphone=mouth.switch) as page:
        await page.goto(f"{url}/call?to=100")
        await expect(page.get_by_role("button", name="Call")).to_be_enabled()
        await page.get_by_role("button", name="Call").click()
        await reaches(page, "connected")
        await cable.pull()
        await eventually(lambda: not server.get("/status")["calls"], "the server has given up")
        cable.mend()
        await expect(page.get_by_role("alert")).to_have_text(
            "The line was lost and could not be regained. Please call again."
        )


async def test_the_server_says_that_it_is_full(echoing: object, tmp_path: Path) -> None:
    server: Served = echoing(web={"max_calls": 1})  # type: ignore[operator]
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    async with calling(server, tmp_path / "one", "100", DESKTOP) as (first, _, _):
        async with browsing(tmp_path / "two") as page:
            await page.goto(f"{server.console}/call?to=100")
            await page.get_by_role("button", name="Call").click()
            await expect(page.get_by_role("alert")).to_have_text("All lines are busy. Please call again in a while.")
        await first.get_by_role("button", name="Hang up").click()  # or the server would wait for a page that is gone
        await reaches(first, "ended")

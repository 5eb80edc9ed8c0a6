"""Calls over networks as they are: that lose, delay, repeat and mix up packets, that break and come back, that change.

The caller is in a network namespace of its own (`loadtest.network`); what lies between is Linux's own netem. The server
is the product as it ships, the browser is Chromium.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from loadtest.network import Network, missing, network
from loadtest.served import Served
from playwright.async_api import Page, expect

from offhook.calls.caller import Phone, Report, Saying, Script, converse
from offhook.calls.timeline import CallMoved, Entry, LineMeasured, MediaBack, MediaCounted, MediaLost, WordsHeard
from tests.live.browser import browsing
from tests.live.callpage import LIMIT_MS, Mouth, filed, reaches, told
from tests.live.plans import echo_plan, settings, started
from tests.live.watching import Live, assert_untroubled, eventually
from tests.peers.record import kept

AWAY_S = 5.0
"""The server's patience with a page that is gone."""
CONSENT_S = 30.0
"""After which a browser that says nothing may not be sent to any more (RFC 7675)."""
BREAK_S = 5.0


def _network(shaped: bool) -> Iterator[Network]:
    if (why := missing(shaped)) is not None:
        pytest.skip(f"skipped: {why}")
    with network(shaped) as made:
        yield made


@pytest.fixture(scope="module")
def net() -> Iterator[Network]:
    """A network that is well until it is cut or moved."""
    yield from _network(shaped=False)


@pytest.fixture(scope="module")
def bad_net() -> Iterator[Network]:
    """A network with netem in it."""
    yield from _network(shaped=True)


@pytest.fixture(scope="module")
def desk(net: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    yield from _desk(net, tmp_path_factory.mktemp("desk"))


@pytest.fixture(scope="module")
def bad_desk(bad_net: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    yield from _desk(bad_net, tmp_path_factory.mktemp("bad-desk"))


def _desk(net: Network, home: Path) -> Iterator[Served]:
    """A server at the near end with the order desk on the line, which waits shortly for pages that are gone."""
    more = {
        "speech": {"model": "cascade", "slots": 2},
        "trunks": [{"name": "far", "sources": [net.sources]}],
        "web": {"enabled": True, "away_s": AWAY_S},
    }
    with started(home, host=net.near, **settings(home, echo_plan(), **more)) as server:
        yield server


@asynccontextmanager
async def talking(server: Served, net: Network, folder: Path) -> AsyncIterator[tuple[Page, Mouth, Live]]:
    """A page at the far end in a call with the order desk, greeted; its mouth, and the call at the server."""
    mouth = Mouth(folder)
    # Without https a page from another machine gets no microphone; this is what one says to have it all the same.
    secure = f"--unsafely-treat-insecure-origin-as-secure={server.console}"
    async with browsing(folder / "profile", secure, microphone=mouth.switch, there=net.there) as page:
        await page.goto(f"{server.console}/call?to=100")
        await expect(page.get_by_role("button", name="Call")).to_be_enabled()
        await page.get_by_role("button", name="Call").click()
        await told(page, "agent", "How can I help you?", whole=True)
        (call,) = server.get("/status")["calls"]
        (place,) = (server.home / "calls").glob(f"*/{call['id']}")
        yield page, mouth, Live(server, call["id"], place)


async def hang_up(page: Page, call: Live) -> None:
    await page.get_by_role("button", name="Hang up").click()
    await reaches(page, "ended")
    ended = (await filed(call)).ended
    assert ended.by == "caller", ended


async def test_a_call_outlives_a_network_that_was_gone_for_five_seconds(
    desk: Served, net: Network, tmp_path: Path
) -> None:
    async with talking(desk, net, tmp_path) as (page, mouth, call):
        net.cut()
        try:
            await asyncio.sleep(BREAK_S)
            await expect(page.get_by_role("alert")).to_contain_text("The line is lost. Reconnecting")
        finally:
            net.mend()
        await reaches(page, "connected")
        await expect(page.get_by_role("alert")).to_have_count(0)
        await call.until(MediaLost)
        await call.until(MediaBack)
        await mouth.say(page, "Where is order four one seven two?")
        await told(page, "agent", "Order 4 1 7 2")
        await expect(page.locator("#words .agent p", has_text="How can I help you?")).to_have_count(1)
        await hang_up(page, call)
    assert_untroubled(desk)


async def test_a_call_goes_on_with_its_conversation_in_another_network(
    desk: Served, net: Network, tmp_path: Path
) -> None:
    async with talking(desk, net, tmp_path) as (page, mouth, call):
        await mouth.say(page, "Where is my order?")
        await told(page, "agent", "order number", whole=True)
        address = await asyncio.to_thread(net.move)
        moved = await call.until(CallMoved)
        assert isinstance(moved.event, CallMoved) and moved.event.address.startswith(f"{address}:"), moved
        await reaches(page, "connected")
        # The agent still waits for the number that it asked for in the network before.
        await mouth.say(page, "Four one seven two.")
        await told(page, "agent", "Order 4 1 7 2")
        assert [one["id"] for one in desk.get("/status")["calls"]] == [call.id]
        await hang_up(page, call)
    assert_untroubled(desk)


async def test_a_network_that_does_not_come_back_ends_the_call_and_both_sides_say_why(
    desk: Served, net: Network, tmp_path: Path
) -> None:
    async with talking(desk, net, tmp_path) as (page, _, call):
        net.cut()
        try:
            ended = lambda: not desk.get("/status")["calls"]  # noqa: E731
            await eventually(ended, "the server has given up", CONSENT_S + AWAY_S + 40)
        finally:
            net.mend()
        await expect(page.get_by_role("alert")).to_have_text(
            "The line was lost and could not be regained. Please call again.", timeout=LIMIT_MS
        )
        over = (await filed(call)).ended
    assert over.cause == f"the page was lost and did not come back within {AWAY_S:g} s", over
    assert_untroubled(desk)


LOSS = 0.03
JITTERY = "delay 30ms 20ms distribution normal loss random 3% duplicate 2%"
"""With a packet each 20 ms, the jitter mixes up about a third of them."""


async def test_a_telephone_on_a_bad_line_is_understood_and_its_losses_are_counted(
    bad_desk: Served, bad_net: Network, speech: Path
) -> None:
    bad_net.condition(JITTERY, JITTERY)
    script = Script(
        say=[Saying.read(speech / f"slt-{turn}.flac") for turn in ("1-where-is-my-order", "3-opening-hours")]
    )

    async def call() -> Report:
        async with Phone.plugged_in(host=bad_net.far, name="jittery") as phone:
            return await converse(phone, bad_desk.uri("100"), script)

    report = await asyncio.to_thread(bad_net.in_there, call)
    assert report.ok, report.failure
    assert all(turn.response_ms is not None for turn in report.turns), report.turns
    record = await asyncio.to_thread(kept, bad_desk, "jittery")
    heard = words(record.entries)
    assert "order" in heard and "hours" in heard, heard
    counted = counters(record.entries)
    never_came = report.packets_sent - (counted["packets_in"] - counted["duplicate"])
    assert_about(never_came, report.packets_sent, LOSS)
    assert_about(counted["duplicate"], report.packets_sent, 0.02)
    assert counted["reordered"] > 0.1 * report.packets_sent
    # A packet that waited for one that is lost, or came after its place was made up, is not silence.
    assert counted["missing_ms"] < 1_000, counted
    assert_untroubled(bad_desk)


async def test_a_browser_on_a_bad_line_is_understood_and_hears_the_answer(
    bad_desk: Served, bad_net: Network, tmp_path: Path
) -> None:
    bad_net.condition(JITTERY, JITTERY)
    async with talking(bad_desk, bad_net, tmp_path) as (page, mouth, call):
        await mouth.say(page, "What are your opening hours?")
        await told(page, "agent", "Monday", whole=True)
        await expect(page.locator("#words .after").last).to_have_text(re.compile(r"answered after \d+\.\d\d s"))
        measured = await call.until(LineMeasured)
        assert isinstance(measured.event, LineMeasured) and measured.event.jitter_ms > 5, measured
        await hang_up(page, call)
    assert "hours" in words(call.entries())
    assert counters(call.entries())["reordered"] > 0
    assert_untroubled(bad_desk)


def words(entries: list[Entry]) -> str:
    """What was heard of the caller."""
    return " ".join(entry.event.text for entry in entries if isinstance(entry.event, WordsHeard)).lower()


def counters(entries: list[Entry]) -> dict[str, float]:
    """What the caller's port counted."""
    (found,) = [entry.event for entry in entries if isinstance(entry.event, MediaCounted)]
    return {name: float(value) for name, value in found.counters.items()}  # type: ignore[arg-type]


def assert_about(count: float, of: int, share: float) -> None:
    """`count` of `of` is what chance makes of `share`: five standard deviations either way."""
    reach = 5 * (of * share * (1 - share)) ** 0.5 + 1
    assert abs(count - of * share) <= reach, f"{count:g} of {of} is not {share:.0%} (+-{reach:.0f})"

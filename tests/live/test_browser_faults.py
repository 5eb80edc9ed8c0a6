"""The call page where something is wrong: no microphone, no server, a line that is lost; and what it tells and sends.

A real browser, the page as it ships, and a far end that does what the real server would not do on demand.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from playwright.async_api import Page, expect

from offhook.console.app import serving
from tests.live.browser import LIMIT_MS, SMALL_PHONE, browsing
from tests.live.watching import eventually
from tests.live.webfarend import Caller, WebFarEnd, web_far_end


@pytest.fixture
async def end() -> AsyncIterator[WebFarEnd]:
    async with web_far_end() as far_end:
        yield far_end


async def opened(page: Page, end: WebFarEnd) -> None:
    await page.goto(f"{end.url}/call")
    await expect(page.get_by_role("button", name="Call")).to_be_enabled()


async def in_call(page: Page, end: WebFarEnd) -> Caller:
    """Press Call, and be connected."""
    await opened(page, end)
    await page.get_by_role("button", name="Call").click()
    caller = await end.called()
    await reaches(page, "connected")
    return caller


async def reaches(page: Page, state: str) -> None:
    await expect(page.locator("main")).to_have_attribute("data-state", state)


async def hears(caller: Caller, loud: bool, limit_s: float = 20.0) -> None:
    """The far end hears the page's microphone, or silence."""
    await eventually(lambda: (caller.heard_dbfs > -50) is loud, "loud" if loud else "silent", limit_s)


async def test_a_refused_microphone_is_said_and_the_caller_can_try_again(end: WebFarEnd, tmp_path: Path) -> None:
    async with browsing(tmp_path, "--deny-permission-prompts", microphone="refused") as page:
        await opened(page, end)
        await page.get_by_role("button", name="Call").click()
        await expect(page.get_by_role("alert")).to_contain_text("The microphone was refused. Allow it for this page")
        again = page.get_by_role("button", name="Call again")
        await expect(again).to_be_focused()
        # The caller allows it in the browser's settings, and it works without reloading the page.
        await page.context.grant_permissions(["microphone"], origin=end.url)
        await again.click()
        await reaches(page, "connected")
        await expect(page.get_by_role("alert")).to_have_count(0)


async def test_a_missing_microphone_is_said(end: WebFarEnd, tmp_path: Path) -> None:
    async with browsing(tmp_path, "--disable-audio-input", microphone=None) as page:
        await opened(page, end)
        await page.get_by_role("button", name="Call").click()
        await expect(page.get_by_role("alert")).to_have_text("No microphone was found. Connect one, then call again.")


async def test_a_page_without_encryption_says_why_it_has_no_microphone(end: WebFarEnd, tmp_path: Path) -> None:
    elsewhere = end.url.replace("127.0.0.1", "pbx.test")
    async with browsing(tmp_path, "--host-resolver-rules=MAP pbx.test 127.0.0.1") as page:
        await page.goto(f"{elsewhere}/call")
        await expect(page.get_by_role("alert")).to_contain_text("This page is not secure")


async def test_a_servers_refusal_is_told_in_its_own_words(end: WebFarEnd, tmp_path: Path) -> None:
    end.refusal = "All our lines are taken. Please call again in five minutes."
    async with browsing(tmp_path) as page:
        await opened(page, end)
        await page.get_by_role("button", name="Call").click()
        await expect(page.get_by_role("alert")).to_have_text(end.refusal)
        await reaches(page, "ended")


async def test_a_server_out_of_reach_is_said(end: WebFarEnd, tmp_path: Path) -> None:
    end.out_of_reach = True
    async with browsing(tmp_path) as page:
        await opened(page, end)
        await page.get_by_role("button", name="Call").click()
        await expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached.")


async def test_a_server_with_no_number_to_call_says_so(end: WebFarEnd, tmp_path: Path) -> None:
    end.config["to"] = []
    async with browsing(tmp_path) as page:
        await page.goto(f"{end.url}/call")
        await expect(page.get_by_role("alert")).to_contain_text("no number that can be called")
        await expect(page.get_by_role("button", name="Call")).to_be_disabled()


async def test_the_number_is_chosen_where_there_are_several(end: WebFarEnd, tmp_path: Path) -> None:
    end.config["to"] = ["100", "600"]
    async with browsing(tmp_path) as page:
        await opened(page, end)
        await page.get_by_label("Number").select_option("600")
        await page.get_by_role("button", name="Call").click()
        assert (await (await end.called()).got("call"))["to"] == "600"


async def test_a_lost_connection_is_said_and_the_call_is_taken_up_again(end: WebFarEnd, tmp_path: Path) -> None:
    async with browsing(tmp_path) as page:
        caller = await in_call(page, end)
        await caller.words("agent", "Hello.", 1)
        offered = await caller.got("call")
        end.out_of_reach = True
        assert caller.socket is not None
        await caller.socket.close()
        await expect(page.get_by_role("alert")).to_contain_text("You can go on talking")
        await reaches(page, "reconnecting")
        await hears(caller, True)  # sound flows all the same
        end.out_of_reach = False
        resumed = await caller.got("resume")
        assert (resumed["call"], resumed["token"]) == (caller.id, caller.token)
        assert user(resumed["sdp"]) != user(offered["sdp"]), "an ICE restart has a new user fragment"
        await reaches(page, "connected")
        await expect(page.get_by_role("status")).to_have_text("The line is back.")
        await expect(page.get_by_role("alert")).to_have_count(0)
        await caller.words("agent", "How can I help you?", 2)
        await expect(page.get_by_role("listitem")).to_have_count(2)
        assert len(end.callers) == 1 and caller.sockets == 2


async def test_sound_that_stops_is_said_and_asked_for_anew(end: WebFarEnd, tmp_path: Path) -> None:
    async with browsing(tmp_path) as page:
        caller = await in_call(page, end)
        await caller.stop_sound()
        restart = await caller.got("restart", limit_s=40)
        assert user(restart["sdp"]) != user((await caller.got("call"))["sdp"])
        await expect(page.get_by_role("alert")).to_have_text("The line is lost. Reconnecting …")


async def test_packets_that_stop_though_the_line_seems_well_are_asked_for_anew(end: WebFarEnd, tmp_path: Path) -> None:
    """ICE goes on, so the browser itself would never say a word."""
    end.steady = True
    async with browsing(tmp_path) as page:
        caller = await in_call(page, end)
        await hears(caller, True)
        caller.speak(False)
        restart = await caller.got("restart")
        assert user(restart["sdp"]) != user((await caller.got("call"))["sdp"])
        await expect(page.get_by_role("alert")).to_have_text("The line is lost. Reconnecting …")
        caller.speak(True)
        await reaches(page, "connected")
        await expect(page.get_by_role("alert")).to_have_count(0)


async def test_keys_go_as_messages_where_the_line_carries_no_tones(end: WebFarEnd, tmp_path: Path) -> None:
    async with browsing(tmp_path) as page:
        caller = await in_call(page, end)
        await page.get_by_role("button", name="Keypad").click()
        await page.get_by_role("button", name="4").click()
        await page.get_by_role("button", name="Star").click()
        assert (await caller.got("keys", 1))["digits"] == "4"
        assert (await caller.got("keys", 2))["digits"] == "*"
        await expect(page.get_by_label("Keys pressed")).to_have_text("4*")


async def test_everything_is_done_by_keyboard(end: WebFarEnd, tmp_path: Path) -> None:
    async with browsing(tmp_path) as page:
        await opened(page, end)
        call, keypad = page.get_by_role("button", name="Call"), page.get_by_role("button", name="Keypad")
        await tab_to(page, "call")
        await expect(call).to_be_focused()
        await page.keyboard.press("Enter")
        caller = await end.called()
        await reaches(page, "connected")
        await page.keyboard.press("5")  # keys count in the keypad alone: elsewhere they are the browser's
        await tab_to(page, "show-keypad")
        await page.keyboard.press("Space")
        await page.keyboard.press("7")
        await page.keyboard.press("#")
        assert [(await caller.got("keys", count))["digits"] for count in (1, 2)] == ["7", "#"]
        await page.keyboard.press("Escape")
        await expect(keypad).to_be_focused()
        await expect(page.get_by_role("region", name="Keypad")).to_have_count(0)
        await tab_to(page, "mute")
        await page.keyboard.press("Space")
        await expect(page.get_by_role("button", name="Mute")).to_have_attribute("aria-pressed", "true")
        await tab_to(page, "call")
        await page.keyboard.press("Enter")
        await caller.got("hangup")
        await expect(page.get_by_role("button", name="Call again")).to_be_focused()


async def tab_to(page: Page, element: str) -> None:
    for _ in range(30):
        if await page.evaluate("document.activeElement?.id") == element:
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"no way by keyboard to {element}")


async def test_words_grow_in_place_and_are_read_out_once(end: WebFarEnd, tmp_path: Path) -> None:
    async with browsing(tmp_path) as page:
        caller = await in_call(page, end)
        spoken = page.get_by_role("log")
        await caller.words("caller", "where is", 1, final=False)
        await caller.words("caller", "where is my order", 1, final=False)
        await expect(page.get_by_role("listitem")).to_have_text(["Youwhere is my order"])
        assert await spoken.inner_text() == ""
        await caller.words("caller", "Where is my order?", 1)
        await caller.words("caller", "Where is my order?", 1)
        await caller.tell("response", turn=2, ms=463.7)
        await caller.words("agent", "What is its number?", 2)
        await expect(page.get_by_role("listitem")).to_have_text(
            ["YouWhere is my order?", "Agentanswered after 0.46 sWhat is its number?"]
        )
        await expect(spoken.get_by_role("paragraph")).to_have_text(
            ["You: Where is my order?", "Agent: What is its number?"]
        )


async def test_mute_silences_and_another_microphone_is_taken_up(end: WebFarEnd, tmp_path: Path) -> None:
    async with browsing(tmp_path) as page:
        caller = await in_call(page, end)
        await hears(caller, True)
        await page.get_by_role("button", name="Mute").click()
        await hears(caller, False)
        await page.get_by_role("button", name="Sound").click()
        await page.get_by_label("Microphone", exact=True).select_option("Fake Audio Input 2")
        await page.get_by_role("button", name="Mute").click()
        await hears(caller, True)
        await expect(page.get_by_label("Microphone", exact=True).locator(":checked")).to_have_text("Fake Audio Input 2")


async def test_a_double_click_calls_and_does_not_hang_up(end: WebFarEnd, tmp_path: Path) -> None:
    async with browsing(tmp_path) as page:
        await opened(page, end)
        await page.get_by_role("button", name="Call").dblclick()
        await end.called()
        await reaches(page, "connected")


async def test_hold_and_the_end_are_said(end: WebFarEnd, tmp_path: Path) -> None:
    async with browsing(tmp_path) as page:
        caller = await in_call(page, end)
        status = page.get_by_role("status")
        await caller.tell("held")
        await expect(status).to_have_text("You are on hold.")
        await caller.tell("resumed")
        await expect(status).to_have_text("You are connected again.")
        await caller.tell("ended", why="Our office has closed. Goodbye.")
        await expect(status).to_have_text("Our office has closed. Goodbye.")
        await reaches(page, "ended")


async def test_a_page_that_is_closed_hangs_up(end: WebFarEnd, tmp_path: Path) -> None:
    async with browsing(tmp_path) as page:
        caller = await in_call(page, end)
        await page.goto("about:blank")
        await caller.got("hangup")


async def test_nothing_is_out_of_reach_on_the_smallest_phone(end: WebFarEnd, tmp_path: Path) -> None:
    end.config["to"] = ["100", "600"]
    async with browsing(tmp_path, window=SMALL_PHONE, reduced_motion="reduce") as page:
        await opened(page, end)
        await fits(page)
        await page.get_by_role("button", name="Call").click()
        caller = await end.called()
        await reaches(page, "connected")
        await caller.words(
            "agent", "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft", 1
        )
        await fits(page)
        await expect(page.locator("#trace")).to_be_hidden()  # less motion was asked for
        for panel in ("Keypad", "Sound"):
            await page.get_by_role("button", name=panel).click()
            await fits(page)
            await expect(page.get_by_role("button", name="Hang up")).to_be_in_viewport(ratio=1)
        await page.get_by_role("button", name="Hang up").click()
        await fits(page)


async def fits(page: Page) -> None:
    assert await page.evaluate("document.scrollingElement.scrollWidth <= innerWidth"), "the page scrolls sideways"


IMPORTING = """<!doctype html><button id=go>Call</button><script type=module>
import {{ call, numbers }} from "{server}/call/offhook.js";
window.told = [];
window.looks = 0;
window.statistics = () => window.line.statistics();
document.querySelector("#go").onclick = async () => {{
  window.offered = await numbers();
  const onState = ({{ state }}) => told.push(state);
  const onStatistics = () => looks += 1, onEnded = (ended) => window.over = ended;
  window.line = await call({{ to: "100", patienceMs: 1500, onState, onStatistics, onEnded }});
  line.addEventListener("words", ({{ detail }}) => window.words = detail);
}};
</script>"""


@asynccontextmanager
async def elsewhere(end: WebFarEnd, folder: Path) -> AsyncIterator[tuple[Page, Caller]]:
    """The page of another site, that has called."""
    site = FastAPI()
    site.get("/", response_class=HTMLResponse)(lambda: IMPORTING.format(server=end.url))
    async with serving(site, "127.0.0.1", 0) as url, browsing(folder) as page:
        await page.goto(url)
        await page.get_by_role("button", name="Call").click()
        yield page, await end.called()


async def test_the_page_of_another_site_calls_with_one_import(end: WebFarEnd, tmp_path: Path) -> None:
    async with elsewhere(end, tmp_path) as (page, caller):
        await page.wait_for_function("window.line?.state === 'connected'", timeout=LIMIT_MS)
        assert await page.evaluate("offered") == ["100"]
        assert await page.evaluate("[line.id, told]") == [
            caller.id,
            ["preparing", "calling", "ringing", "connected"],
        ]
        await caller.words("agent", "Hello.", 1)
        await page.wait_for_function("window.words?.text === 'Hello.'", timeout=LIMIT_MS)
        await page.wait_for_function(
            "statistics().then((s) => s.codec === 'opus' && s.roundTripMs >= 0 && s.jitterBufferMs > 0)",
            timeout=LIMIT_MS,
        )
        # The server goes, and does not come back.
        end.out_of_reach = True
        assert caller.socket is not None
        await caller.socket.close()
        await page.wait_for_function("window.over", timeout=LIMIT_MS)
        assert await page.evaluate("[over.why, over.error.code, line.state]") == ["lost", "lost", "ended"]
        assert await page.evaluate("over.text") == "The line was lost and could not be regained. Please call again."


async def test_pauses_of_a_far_end_that_may_make_them_are_no_lost_line(end: WebFarEnd, tmp_path: Path) -> None:
    async with elsewhere(end, tmp_path) as (page, caller):
        await hears(caller, True)
        await page.wait_for_function("looks > 0", timeout=LIMIT_MS)
        caller.speak(False)
        await page.evaluate("looks = 0")
        await page.wait_for_function("looks >= 3", timeout=LIMIT_MS)  # one in 2 s
        assert "reconnecting" not in await page.evaluate("told")
        assert not caller.has("restart")


def user(sdp: str) -> str:
    """The ICE user fragment of an offer."""
    return next(line for line in sdp.splitlines() if line.startswith("a=ice-ufrag:"))

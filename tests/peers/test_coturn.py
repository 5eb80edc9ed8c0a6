"""A browser that may send by TURN alone calls through coturn, with the credential that the server gives it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.async_api import Page

from tests.live.browser import browsing
from tests.live.plans import echo_plan, settings, started
from tests.live.watching import assert_untroubled, over
from tests.peers.coturn import PROGRAM, coturn

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="skipped: turnserver is not installed")

CALL = """async () => {
    const { call } = await import("/call/offhook.js");
    window.seen = { words: [], loudest: 0, route: null, ended: null };
    window.line = await call({
        to: "100",
        from: "relayed",
        relay: true,
        onWords: ({ who, text, final }) => seen.words.push({ who, text, final }),
        onLevel: ({ agent }) => (seen.loudest = Math.max(seen.loudest, agent)),
        onStatistics: ({ route }) => (seen.route = route),
        onEnded: ({ text }) => (seen.ended = text),
    });
}"""


@asynccontextmanager
async def relayed(folder: Path, transport: str, model: str, microphone: Path | str = "beeps") -> AsyncIterator[Page]:
    """A page in a call whose only way is coturn, and coturn reached so; the call is held to have gone well."""
    secret, home = folder / "secret", folder / "home"
    secret.write_text("north")
    async with coturn(folder, "north") as turn:
        told = {"urls": [f"turn:127.0.0.1:{turn.port}?transport={transport}"], "secret": f"file:{secret}"}
        more = {"speech": {"model": model, "slots": 1}, "web": {"ice_servers": [told]}}
        with started(home, **settings(home, echo_plan(), **more)) as server:
            async with browsing(folder / "profile", microphone=microphone) as page:
                await page.goto(f"{server.console}/call")
                await page.evaluate(CALL)
                await page.wait_for_function("() => seen.loudest > 0.2")
                await page.wait_for_function("() => seen.words.some(({ who, final }) => who === 'agent' && final)")
                await page.wait_for_function("() => seen.route === 'relay'")
                yield page
                await page.evaluate("line.hangUp()")
                await page.wait_for_function("() => seen.ended !== null")
            assert (await over(server, "relayed")).ended.by == "caller"
            assert_untroubled(server)


async def test_a_browser_that_may_only_use_a_relay_is_greeted_and_understood(speech: Path, tmp_path: Path) -> None:
    question, rate_hz = soundfile.read(speech / "slt-3-opening-hours.flac", dtype="int16")
    quiet = np.zeros(rate_hz * 5, np.int16)
    soundfile.write(tmp_path / "microphone.wav", np.concatenate([quiet, question, quiet]), rate_hz, subtype="PCM_16")
    async with relayed(tmp_path, "udp", "cascade", tmp_path / "microphone.wav") as page:
        await page.wait_for_function(
            "() => seen.words.some(({ who, text }) => who === 'caller' && /open|hours/i.test(text))"
        )


async def test_a_browser_whose_network_lets_only_tcp_out_is_greeted(tmp_path: Path) -> None:
    async with relayed(tmp_path, "tcp", "echo"):
        pass

"""The call page in a browser, as its user knows it: speaking into its microphone, and what it says of the call."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import soundfile
from playwright.async_api import Page, expect

from offhook.speech.contract import RATE_HZ
from offhook.speech.resample import resample
from tests.live.watching import Live, eventually
from tests.peers.record import Kept
from tests.speech.voices import spoken

LIMIT_MS = 60_000
"""For an answer of the agent's, on a machine that also runs the browser."""


class Mouth:
    """The microphone of a browser: a file that it opens anew, and plays once, whenever a microphone is chosen."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "microphone.wav"
        self.switch = Path(f"{self._file}%noloop")
        self._hold(np.zeros(4800, np.float32))

    async def say(self, page: Page, words: str) -> None:
        """Say a sentence from the moment at which the page takes another microphone."""
        said = (await asyncio.to_thread(spoken, words, "flite") / np.float32(32768)).astype(np.float32)
        self._hold(resample(said, RATE_HZ, 48_000))
        microphone = page.get_by_label("Microphone", exact=True)
        await page.get_by_role("button", name="Sound").click()
        now = await microphone.locator(":checked").inner_text()
        await microphone.select_option("Fake Audio Input 1" if now != "Fake Audio Input 1" else "Fake Audio Input 2")
        await page.get_by_role("button", name="Sound").click()

    def _hold(self, sound: np.ndarray) -> None:
        quiet = np.zeros(4800, np.float32)
        soundfile.write(self._file, np.concatenate([quiet, sound.astype(np.float32), quiet]), 48_000, subtype="PCM_16")


async def reaches(page: Page, state: str) -> None:
    await expect(page.locator("main")).to_have_attribute("data-state", state)


async def told(page: Page, who: str, words: str, whole: bool = False) -> None:
    """The page shows a turn with these words; `whole`: they were said to the end."""
    turn = page.locator(f"#words .{who}{'[data-final]' if whole else ''}", has_text=words)
    await expect(turn.last).to_be_visible(timeout=LIMIT_MS)


async def filed(call: Live) -> Kept:
    def look() -> bool:
        return any(one["id"] == call.id and one["state"] != "live" for one in call.server.get("/api/calls"))

    await eventually(look, "the call is filed")
    return Kept(call.folder, call.entries())

"""A browser as a caller that measures: headless Chromium, our `offhook.js`, and what Chromium's own getStats says.

Its microphone is sound of the page's making, so that a sentence is said exactly when it is to be.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import shlex
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Page, async_playwright

from offhook.calls.caller import CallerError, Saying
from offhook.speech.contract import RATE_HZ

LIMIT_MS = 60_000
ON_THEIR_WAY_S = 0.6
"""What any of the networks keeps packets for, and less than a line without packets is noticed after."""

SWITCHES = [
    *("--headless=new", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream"),
    *("--use-fake-ui-for-media-stream", "--autoplay-policy=no-user-gesture-required"),
]

BEFORE = """
const Peer = window.RTCPeerConnection;
window.RTCPeerConnection = class extends Peer {
  constructor(configuration) { super(configuration); window.peer = this; }
};
"""

CALL = """async (to) => {
  const { call } = await import("/call/offhook.js");
  // A page that may use a microphone is told all of its addresses.
  for (const track of (await navigator.mediaDevices.getUserMedia({ audio: true })).getTracks()) track.stop();
  const context = new AudioContext({ sampleRate: 48000 });
  const mouth = context.createMediaStreamDestination();
  // Without a source no sound would leave at all, not even silence; a microphone always has some.
  const hush = new ConstantSourceNode(context, { offset: 0 });
  hush.connect(mouth);
  hush.start();
  window.ended = null;
  window.line = await call({ to, microphone: mouth.stream, onEnded: (ended) => { window.ended = ended.text; } });
  window.say = async (wav, loop) => {
    const bytes = Uint8Array.from(atob(wav), (character) => character.charCodeAt(0));
    const source = context.createBufferSource();
    source.buffer = await context.decodeAudioData(bytes.buffer);
    source.loop = loop;
    source.connect(mouth);
    source.start();
    if (!loop) await new Promise((resolve) => { source.onended = resolve; });
  };
}"""

STATISTICS = "async () => [...(await window.peer.getStats()).values()]"


@dataclass(frozen=True, slots=True)
class Heard:
    """What Chromium says of a call since its beginning. None: it does not know."""

    received: int
    lost: int
    sent: int
    jitter_ms: float
    buffer_ms: float
    """How long sound waited in NetEq before it was played, on average."""
    target_ms: float
    """How long NetEq thought wise."""
    concealed_percent: float
    """Of what was played, in loud and silent places alike: how much had to be made up."""
    slowed_percent: float
    hurried_percent: float
    round_trip_ms: float | None
    reported_lost: int | None
    """What the server reported of the packets from here."""


class WebCaller:
    """A page in a call. Make it with `calling`."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def say(self, saying: Saying, loop: bool = False) -> None:
        """Say it; returns when it was said, or with `loop` at once."""
        wav = io.BytesIO()
        soundfile.write(wav, saying.pcm, RATE_HZ, format="WAV", subtype="PCM_16")
        sound = base64.b64encode(wav.getvalue()).decode()
        await self.page.evaluate("([wav, loop]) => window.say(wav, loop)", [sound, loop])

    async def ended(self) -> str | None:
        """What the page was told at the call's end; None while it goes on."""
        said: str | None = await self.page.evaluate("window.ended")
        return said

    async def hang_up(self) -> Heard:
        """Falls silent, so that what was sent is counted to the last packet and has arrived, and hangs up."""
        await self.page.evaluate("window.peer.getSenders()[0].replaceTrack(null)")
        await asyncio.sleep(ON_THEIR_WAY_S)
        heard = await self._heard()
        await self.page.evaluate("window.line.hangUp()")
        return heard

    async def _heard(self) -> Heard:
        reports: list[dict[str, Any]] = await self.page.evaluate(STATISTICS)
        kinds = {
            (report["type"], report.get("kind", "")): report
            for report in reports
            if report.get("kind", "audio") == "audio"
        }
        into = kinds.get(("inbound-rtp", "audio"), {})
        said = kinds.get(("outbound-rtp", "audio"), {})
        told = kinds.get(("remote-inbound-rtp", "audio"), {})
        played, total = into.get("jitterBufferEmittedCount", 0), into.get("totalSamplesReceived", 0)
        trips = [
            report["currentRoundTripTime"]
            for report in reports
            if report["type"] == "candidate-pair" and "currentRoundTripTime" in report
        ]
        return Heard(
            received=into.get("packetsReceived", 0),
            lost=into.get("packetsLost", 0),
            sent=said.get("packetsSent", 0),
            jitter_ms=round(1000 * into.get("jitter", 0.0), 1),
            buffer_ms=round(1000 * into.get("jitterBufferDelay", 0.0) / max(1, played), 1),
            target_ms=round(1000 * into.get("jitterBufferTargetDelay", 0.0) / max(1, played), 1),
            concealed_percent=_percent(into.get("concealedSamples", 0), total),
            slowed_percent=_percent(into.get("insertedSamplesForDeceleration", 0), total),
            hurried_percent=_percent(into.get("removedSamplesForAcceleration", 0), total),
            round_trip_ms=round(1000 * told["roundTripTime"], 1)
            if "roundTripTime" in told
            else round(1000 * trips[-1], 1)
            if trips
            else None,
            reported_lost=told.get("packetsLost"),
        )


@contextlib.asynccontextmanager
async def calling(console: str, to: str, there: Callable[..., list[str]]) -> AsyncIterator[WebCaller]:
    """A browser at the far end that has called `to` and hears it; `there` makes of a command one that is run there.
    Raises CallerError where the page does not do as it should, in the block as well."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("needs chromium")
    with tempfile.TemporaryDirectory(prefix="offhook-") as folder:
        program = Path(folder) / "chromium.sh"
        program.write_text(f'#!/bin/sh\nexec {shlex.join(there(chromium))} "$@"\n', encoding="utf-8")
        program.chmod(0o755)
        async with async_playwright() as driver:
            browser = await driver.chromium.launch_persistent_context(
                Path(folder) / "profile",
                executable_path=program,
                bypass_csp=True,  # the page's own rules let nobody evaluate anything, us included
                # Without https a page from another machine gets no microphone.
                args=[*SWITCHES, f"--unsafely-treat-insecure-origin-as-secure={console}"],
            )
            try:
                page = browser.pages[0]
                page.set_default_timeout(LIMIT_MS)
                await page.add_init_script(BEFORE)
                await page.goto(f"{console}/call")
                await page.evaluate(CALL, to)
                await page.wait_for_function("window.line.state === 'connected'")
                yield WebCaller(page)
            except PlaywrightError as error:
                raise CallerError(f"the browser: {str(error).splitlines()[0]}") from None
            finally:
                await browser.close()


def _percent(part: float, whole: float) -> float:
    return round(100 * part / whole, 2) if whole else 0.0

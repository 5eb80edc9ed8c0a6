"""A browser for tests: headless Chromium, which no one here wrote, with a new and empty profile each time.

Its microphone is a file that it plays in a circle, or a beeping one of its own; or there is none, or it is refused. It
asks no one outside for anything.
"""

from __future__ import annotations

import contextlib
import shlex
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, ViewportSize, async_playwright, expect

CHROMIUM = shutil.which("chromium")

PHONE, SMALL_PHONE, DESKTOP = (390, 844), (320, 568), (1280, 800)
"""Windows, in CSS pixels."""

QUIET = [
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

LIMIT_MS = 30_000
"""For what happens within a second or two on a machine with nothing else to do."""

expect.set_options(timeout=LIMIT_MS)


@contextlib.asynccontextmanager
async def browsing(
    profile: Path,
    *more: str,
    microphone: Path | str | None = "beeps",
    window: tuple[int, int] = DESKTOP,
    there: Callable[..., list[str]] | None = None,
    **context: Any,
) -> AsyncIterator[Page]:
    """An empty page. `microphone`: a WAV file, `beeps`, `refused`, or None for none. `more`: switches of Chromium;
    `there`: makes of a command one that is run in another network; `context`: what Playwright's contexts take, such as
    `color_scheme`.

    When the block is left, it is held that the page has raised no error of its own making."""
    if CHROMIUM is None:
        pytest.skip("skipped: chromium is not there")
    switches = [*QUIET, *more]
    if microphone is not None:
        switches.append("--use-fake-device-for-media-stream")
    if microphone != "refused":
        switches.append("--use-fake-ui-for-media-stream")
    if isinstance(microphone, Path):
        switches.append(f"--use-file-for-fake-audio-capture={microphone}")
    async with async_playwright() as driver:
        browser = await driver.chromium.launch_persistent_context(
            profile,
            executable_path=CHROMIUM if there is None else _script(profile, there(CHROMIUM)),
            args=switches,
            viewport=ViewportSize(width=window[0], height=window[1]),
            **context,
        )
        page = browser.pages[0]
        page.set_default_timeout(LIMIT_MS)
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if "Content Security Policy" in said.text else None)
        try:
            yield page
        finally:
            await browser.close()
        assert not faults, "\n".join(faults)


def _script(profile: Path, command: Sequence[str]) -> Path:
    """A program that is `command`: Playwright can start nothing else."""
    program = profile.with_name(f"{profile.name}.sh")
    program.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return program

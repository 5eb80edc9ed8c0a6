"""Softphones that run in a browser and that nobody here wrote, JsSIP and SIP.js: fetched by npm as a lock file pins
them, made into one file each, and driven in Chromium through the words that `softphones/*.js` give to both."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import hashlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from playwright.async_api import Page

from tests.live.browser import browsing

SOURCES = Path(__file__).resolve().parent / "softphones"
BUILT = Path(__file__).resolve().parents[2] / "build" / "softphones"


class Softphone:
    """One in a page. Make it with `softphone`."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def do(self, verb: str, *arguments: object) -> None:
        """Have it `call`, `answer`, `hold`, `resume`, `restart` (its ICE), `reconnect`, `press` or `hangUp`."""
        await self.page.evaluate("([verb, all]) => softphone[verb](...all)", [verb, list(arguments)])

    async def told(self, what: str) -> Any:
        """What it knows, by a path into `told`."""
        return await self.page.evaluate(f"softphone.told.{what}")

    async def until(self, condition: str) -> None:
        """Wait until this holds in the page, where `told` and `heard()` say what it knows and hears."""
        try:
            await self.page.wait_for_function(f"(({{told, heard}}) => {condition})(softphone)", polling=50)
        except Exception:
            now = await self.page.evaluate("[softphone.told, softphone.heard()]")
            raise AssertionError(f"never held in the softphone's page: {condition}; it has {now}") from None


@contextlib.asynccontextmanager
async def softphone(
    kind: str,
    folder: Path,
    microphone: Path,
    ws: str,
    address: str,
    password: str,
    certificate: Path | None = None,
    host: str = "127.0.0.1",
    there: Callable[..., list[str]] | None = None,
) -> AsyncIterator[Softphone]:
    """One of `jssip` and `sipjs`, registered as `address` over the WebSocket `ws`. `certificate`: of a server that it
    believes though no authority it knows has signed it, a PEM file. `host`: the address of this machine that its page
    is got from; `there` is `browsing`'s."""
    script = await asyncio.to_thread(lambda: bundle(kind).read_bytes())
    switches = ["--autoplay-policy=no-user-gesture-required"]
    if certificate is not None:
        switches.append(f"--ignore-certificate-errors-spki-list={_pin(certificate)}")
    async with serving(script, host) as url:
        # Without https a page from another machine gets no microphone; this is what one says to have it all the same.
        switches.append(f"--unsafely-treat-insecure-origin-as-secure={url}")
        async with browsing(folder / "profile", *switches, microphone=microphone, there=there) as page:
            await page.goto(url)
            phone = Softphone(page)
            await phone.do("register", {"ws": ws, "address": address, "password": password})
            await phone.until("told.registered")
            yield phone


def _pin(certificate: Path) -> str:
    """What Chromium calls a certificate by: the hash of its public key."""
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(spki).digest()).decode()


@contextlib.asynccontextmanager
async def serving(script: bytes, host: str) -> AsyncIterator[str]:
    """Where a page with this script is, on this machine: pages from elsewhere may not call it unasked."""
    page = b"<!doctype html><meta charset=utf-8><title>Softphone</title><script>%s</script>" % script
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(page)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(head + page)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, host, 0) as server:
        yield f"http://{host}:{server.sockets[0].getsockname()[1]}/"


@functools.cache
def bundle(kind: str) -> Path:
    """The softphone as one file for a page; skips the test where it cannot be had."""
    folder = _fetched()
    made = subprocess.run(
        [
            "node_modules/.bin/esbuild",
            f"{kind}.js",
            "--bundle",
            "--format=iife",
            "--minify",
            f"--outfile=page/{kind}.js",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return folder / "page" / f"{kind}.js"


@functools.cache
def _fetched() -> Path:
    """The folder in which what the lock file pins is installed; no script of any package is run."""
    if shutil.which("npm") is None:
        pytest.skip("skipped: npm is not installed")
    BUILT.mkdir(parents=True, exist_ok=True)
    for source in SOURCES.iterdir():
        shutil.copy(source, BUILT)
    pinned = hashlib.sha256((SOURCES / "package-lock.json").read_bytes()).hexdigest()
    mark = BUILT / "node_modules" / ".pinned"
    if mark.exists() and mark.read_text() == pinned:
        return BUILT
    quietly = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=0"]
    done = subprocess.run(["npm", "ci", *quietly], cwd=BUILT, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        pytest.skip(f"skipped: npm could not fetch the softphones: {' '.join(done.stderr.split())[:200]}")
    mark.write_text(pinned)
    return BUILT

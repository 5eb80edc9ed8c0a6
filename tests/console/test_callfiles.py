"""The call page's files, as they are served."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from offhook.console import callfiles
from offhook.console.app import serving


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.include_router(callfiles.routes())
    async with serving(app, "127.0.0.1", 0) as url, httpx.AsyncClient(base_url=url) as client:
        yield client


async def test_the_page_loads_nothing_from_elsewhere_and_runs_nothing_of_its_own(http: httpx.AsyncClient) -> None:
    page = await http.get("/call")
    assert page.status_code == 200 and page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page.text)
    loaded = re.findall(r'<(?:script|link)[^>]*\s(?:src|href)="([^"]+)"', page.text)
    assert loaded
    for name in loaded:
        file = await http.get(f"/{name}")
        assert (file.status_code, file.headers["x-content-type-options"]) == (200, "nosniff")
        assert set(re.findall(r"https?://[\w.-]+", file.text)) <= {"http://www.w3.org", "https://pbx.example"}


async def test_the_module_can_be_imported_by_other_sites_and_the_page_framed_by_its_own(
    http: httpx.AsyncClient,
) -> None:
    module = await http.get("/call/offhook.js")
    assert module.headers["content-type"] == "text/javascript; charset=utf-8"
    assert module.headers["access-control-allow-origin"] == "*"
    assert "import " not in re.sub(r"//.*|/\*.*?\*/", "", module.text, flags=re.DOTALL), "it is one file"
    assert "frame-ancestors 'self'" in (await http.get("/call")).headers["content-security-policy"]


async def test_no_other_file_is_served(http: httpx.AsyncClient) -> None:
    for path in ("/call/call.html", "/call/../callfiles.py", "/call/%2e%2e%2fapp.py", "/call/"):
        assert (await http.get(path, follow_redirects=False)).status_code in (307, 404), path


@pytest.mark.parametrize("name", ["offhook.js", "call.js"])
def test_the_scripts_are_sound_modules(name: str) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("skipped: node is not there")
    text = (callfiles.STATIC / name).read_bytes()
    checked = subprocess.run([node, "--check", "--input-type=module"], input=text, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr.decode()

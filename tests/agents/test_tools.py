"""Tools: whatever they do, the call gets a result in time and a sentence that says what happened."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from offhook.agents.job import Agent
from offhook.agents.tools import MOST_STUCK, CallTools, Toolbox, ToolMissing
from offhook.speech.contract import ToolWanted

SHOP = """
import asyncio, threading, time
release = threading.Event()
def echo(**given): return {"status": "ok", "given": given}
def where(home): return str(home)
async def later(n): await asyncio.sleep(0); return n + 1
def hangs(): release.wait(30); return {}
def let_go(): release.set()
def breaks(): raise ValueError("the shelf is empty")
def leaves(): raise SystemExit(3)
def odd(): return {1, 2}
def endless():
    a = []; a.append(a); return a
counted = []
def count(): counted.append(1); return len(counted)
def huge(): return "x" * 1_000_000
def nan(): return float("nan")
"""


def agent_with(folder: Path, **tools: object) -> Agent:
    (folder / "shelf.py").write_text(SHOP, encoding="utf-8")
    return Agent.model_validate(
        {
            "agent": "a@1",
            "job": "p",
            "greeting": "hi",
            "skills": {"s": {"when": "w", "say": "x"}},
            "tools": tools,
            "folder": folder,
        }
    )


def python(function: str, **more: object) -> dict[str, object]:
    return {"python": f"shelf:{function}", **more}


async def test_a_function_gets_its_arguments_and_its_answer_comes_back(tmp_path: Path) -> None:
    box = Toolbox(agent_with(tmp_path, echo=python("echo"), later=python("later")))
    result = await box.run("echo", {"order": "4172"}, id="t-1")
    assert (result.id, result.ok, result.value) == ("t-1", True, {"status": "ok", "given": {"order": "4172"}})
    assert (await box.run("later", {"n": 1})).value == 2


async def test_a_function_that_takes_home_is_given_the_folder_for_its_data(tmp_path: Path) -> None:
    box = Toolbox(agent_with(tmp_path, where=python("where")), home=tmp_path / "data")
    assert (await box.run("where", {})).value == str(tmp_path / "data")


async def test_arguments_and_answers_are_held_to_their_schemas(tmp_path: Path) -> None:
    order = {"type": "object", "required": ["order"], "properties": {"order": {"type": "string", "maxLength": 4}}}
    tools = {"echo": python("echo", input=order, output={"type": "object", "required": ["day"]})}
    box = Toolbox(agent_with(tmp_path, **tools))
    assert "arguments of echo" in (await box.run("echo", {"order": "41720"})).error
    assert "answer of echo" in (await box.run("echo", {"order": "4172"})).error


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("breaks", "the shelf is empty"),
        ("leaves", "ended the thread"),
        ("odd", "not JSON"),
        ("endless", "not JSON"),
        ("nan", "not JSON"),
        ("huge", "more than 64 KiB"),
        ("echo", "is not of type 'string'"),
    ],
)
async def test_what_goes_wrong_in_a_tool_is_a_sentence(tmp_path: Path, function: str, said: str) -> None:
    schema = {"output": {"type": "string"}} if function == "echo" else {}
    result = await Toolbox(agent_with(tmp_path, t=python(function, **schema))).run("t", {})
    assert not result.ok and said in result.error and result.value is None


async def test_an_unknown_tool_is_a_result_too(tmp_path: Path) -> None:
    result = await Toolbox(agent_with(tmp_path)).run("lookup", {})
    assert not result.ok and "no tool 'lookup'" in result.error


async def test_a_tool_that_hangs_fails_in_time_and_holds_up_no_other(tmp_path: Path) -> None:
    box = Toolbox(
        agent_with(tmp_path, hangs=python("hangs", timeout=0.1), echo=python("echo"), let_go=python("let_go"))
    )
    stuck = [asyncio.create_task(box.run("hangs", {})) for _ in range(MOST_STUCK)]
    assert (await box.run("echo", {})).ok
    for result in await asyncio.gather(*stuck):
        assert "did not answer within 0.1 s" in result.error
    assert "hangs in 8 earlier calls" in (await box.run("hangs", {})).error
    await box.run("let_go", {})
    hanging = [thread for thread in threading.enumerate() if thread.name == "tool-hangs"]
    await asyncio.gather(*(asyncio.to_thread(thread.join) for thread in hanging))
    assert (await box.run("hangs", {})).ok


async def test_a_tool_wanted_twice_under_one_id_is_run_once(tmp_path: Path) -> None:
    tools = CallTools(Toolbox(agent_with(tmp_path, count=python("count"))))
    wanted = ToolWanted(0, "s-1", "count", {})
    first, again = await asyncio.gather(tools.run(wanted), tools.run(wanted))
    assert first.value == again.value == 1 and first.id == "s-1"
    assert (await tools.run(ToolWanted(0, "s-2", "count", {}))).value == 2


def test_a_tool_that_cannot_be_loaded_is_told_when_the_box_is_made(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing, match="has no function 'missing'"):
        Toolbox(agent_with(tmp_path, t=python("missing")))
    with pytest.raises(ToolMissing, match="no_such_module cannot be loaded"):
        Toolbox(agent_with(tmp_path, t={"python": "no_such_module:f"}))
    (tmp_path / "broken.py").write_text("1 / 0\n", encoding="utf-8")
    with pytest.raises(ToolMissing, match="ZeroDivisionError"):
        Toolbox(agent_with(tmp_path, t={"python": "broken:f"}))


class Endpoint(BaseHTTPRequestHandler):
    """A stand-in for an outside HTTP service, as odd as its path asks."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.answer(json.loads(body or b"null"))

    def do_GET(self) -> None:
        self.answer(self.path.partition("?")[2])

    def answer(self, given: object) -> None:
        kind = self.path.strip("/").partition("?")[0]
        if kind == "slow":
            time.sleep(0.5)
        status = 500 if kind == "down" else 200
        raw = {"text": b"hello", "large": b'"' + b"x" * 100_000 + b'"', "deep": b"[" * 50_000}.get(kind)
        raw = raw or json.dumps({"given": given, "key": self.headers.get("authorization")}).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        try:
            self.wfile.write(raw)
        except OSError:
            pass  # the tool has hung up

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


async def test_an_http_tool_sends_json_and_its_key(
    tmp_path: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_KEY", "s3cret")
    tools = {
        "post": {"http": {"url": f"{endpoint}/ok", "key-env": "SHOP_KEY"}},
        "get": {"http": {"url": f"{endpoint}/ok", "method": "GET"}},
    }
    box = Toolbox(agent_with(tmp_path, **tools))
    assert (await box.run("post", {"order": "4172"})).value == {"given": {"order": "4172"}, "key": "Bearer s3cret"}
    assert (await box.run("get", {"order": "4172"})).value == {"given": "order=4172", "key": None}
    monkeypatch.delenv("SHOP_KEY")
    assert "SHOP_KEY, which is not set" in (await box.run("post", {})).error
    await box.close()


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("down", "HTTP status 500"),
        ("text", "not JSON"),
        ("deep", "not JSON"),
        ("large", "more than 64 KiB"),
        ("slow", "did not answer within 0.2 s"),
    ],
)
async def test_what_goes_wrong_at_an_endpoint_is_a_sentence(
    tmp_path: Path, endpoint: str, kind: str, said: str
) -> None:
    box = Toolbox(
        agent_with(tmp_path, t={"http": {"url": f"{endpoint}/{kind}"}, "timeout": 0.2 if kind == "slow" else 5})
    )
    result = await box.run("t", {})
    assert not result.ok and said in result.error
    await box.close()


async def test_an_endpoint_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    box = Toolbox(agent_with(tmp_path, t={"http": {"url": "http://127.0.0.1:9/"}}))
    assert "could not reach http://127.0.0.1:9/" in (await box.run("t", {})).error
    await box.close()

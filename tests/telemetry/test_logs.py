"""Log lines: one a state change, no secrets, no control sequences."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from offhook.telemetry import logs


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


def test_a_line_names_time_level_event_call_and_its_values(out: io.StringIO) -> None:
    logs.configure(stream=out)
    with logs.on_call("k3fwq2"):
        structlog.get_logger("calls").info("call answered", codec="ulaw", packet_ms=20, who="two words", nothing="")
    time, rest = out.getvalue().split(" ", 1)
    assert time.endswith("Z") and time[10] == "T"
    assert rest == 'info    call answered  call=k3fwq2 codec=ulaw packet_ms=20 who="two words" nothing=""\n'


def test_json_is_one_object_a_line(out: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFHOOK_LOG", "json")
    logs.configure(stream=out)
    with logs.on_call("k3fwq2"):
        structlog.get_logger("calls").warning("late\nhop", lateness_ms=12.5, facts={"a": [1, None]})
    (line,) = out.getvalue().splitlines()
    said = json.loads(line)
    assert said.pop("timestamp").endswith("Z")
    assert said == {
        "level": "warning",
        "event": "late\nhop",
        "call": "k3fwq2",
        "lateness_ms": 12.5,
        "facts": {"a": [1, None]},
        "logger": "calls",
    }


def test_what_is_below_the_level_is_not_said(out: io.StringIO) -> None:
    logs.configure("warning", stream=out)
    structlog.get_logger("x").info("no")
    logging.getLogger("x").info("no")
    assert out.getvalue() == ""
    with pytest.raises(ValueError, match="'loud' is no log level"):
        logs.configure("loud")


def test_a_library_that_logs_its_own_way_comes_out_the_same(out: io.StringIO) -> None:
    logs.configure(stream=out)
    with logs.on_call("k3fwq2"):
        logging.getLogger("library").warning("got %d of %s", 3, "password=hunter2")
    assert out.getvalue().endswith("Z warning got 3 of password=***  call=k3fwq2\n")


async def test_calls_that_run_side_by_side_keep_their_ids(out: io.StringIO) -> None:
    logs.configure(stream=out)
    both = asyncio.Barrier(2)

    async def call(call_id: str) -> None:
        with logs.on_call(call_id):
            await both.wait()
            structlog.get_logger("x").info("said", by=call_id)

    await asyncio.gather(call("a1"), call("b2"))
    for line in out.getvalue().splitlines():
        words = dict(word.split("=") for word in line.split() if "=" in word)
        assert words["call"] == words["by"]


@pytest.mark.parametrize(
    "name",
    ["password", "Authorization", "proxy-authorization", "api_key", "apikey", "hub_token", "SECRET", "client_secret"],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_values_with_secret_names_are_masked_at_any_depth(out: io.StringIO, name: str, as_json: bool) -> None:
    logs.configure(as_json=as_json, stream=out)
    structlog.get_logger("x").info("settings", **{name: "hunter2"}, deep={"list": [{name: ["hunter2"]}]})
    assert "hunter2" not in out.getvalue() and out.getvalue().count("***") == 2


@pytest.mark.parametrize(
    "text",
    [
        'INVITE sip:a@b SIP/2.0\r\nAuthorization: Digest username="bob", response="hunter2"\r\nContent-Length: 0',
        'Proxy-Authorization: Digest nonce="1", response="hunter2"',
        "authorization=Basic aHVudGVyMg==hunter2",
        "sent Bearer hunter2hunter2 to them",
        "https://chat.example/v1?api_key=hunter2&model=x",
        "postgresql://offhook:hunter2@db/offhook",
        "sip:bob:hunter2@example.com",
        '{"password": "hunter2", "user": "bob"}',
        "{'access_token': 'hunter2'}",
        "shop_secret: hunter2",
    ],
)
def test_secrets_within_texts_are_masked(out: io.StringIO, text: str) -> None:
    logs.configure(stream=out)
    structlog.get_logger("x").info("heard", message=text)
    structlog.get_logger("x").info(text)
    try:
        raise RuntimeError(text)
    except RuntimeError:
        structlog.get_logger("x").exception("failed")
    assert "hunter2" not in out.getvalue() and out.getvalue().count("***") >= 3


def test_what_is_no_secret_is_left_as_it_is(out: io.StringIO) -> None:
    logs.configure(stream=out)
    structlog.get_logger("x").info("counted", tokens=12, to="sip:bob@example.com:5060", url="http://127.0.0.1:8080/x")
    assert out.getvalue().endswith("counted  tokens=12 to=sip:bob@example.com:5060 url=http://127.0.0.1:8080/x\n")


def test_a_caller_cannot_break_a_line_or_move_the_cursor(out: io.StringIO) -> None:
    logs.configure(stream=out)
    evil = "a\r\n2026-01-01T00:00:00Z info fake\x1b[2J\x9b\u2028\x7f"
    structlog.get_logger("x").info("rang", caller=evil, **{"name\n": 1})
    structlog.get_logger("x").info(evil)
    logging.getLogger("x").warning(evil)
    lines = out.getvalue().split("\n")
    assert len(lines) == 4 and lines[-1] == ""
    assert all(line.isprintable() for line in lines)


def test_a_traceback_follows_its_line(out: io.StringIO) -> None:
    logs.configure(stream=out)
    try:
        raise ValueError("the plan is gone")
    except ValueError:
        structlog.get_logger("x").exception("call failed", step="agent")
    first, *rest = out.getvalue().splitlines()
    assert first.endswith("error   call failed  step=agent")
    assert rest[0] == "    Traceback (most recent call last):" and rest[-1] == "    ValueError: the plan is gone"


def test_a_value_of_megabytes_is_cut_short(out: io.StringIO) -> None:
    logs.configure(stream=out)
    structlog.get_logger("x").info("heard", message="a" * 5_000_000)
    assert len(out.getvalue()) < 3_000


def test_configuring_again_does_not_say_everything_twice(out: io.StringIO) -> None:
    logs.configure(stream=out)
    logs.configure(stream=out)
    structlog.get_logger("x").info("once")
    assert out.getvalue().count("once") == 1

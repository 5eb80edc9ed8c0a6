"""The server's web side, over real HTTP."""

from __future__ import annotations

import asyncio
import signal
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from offhook.calls import archive
from offhook.cli.consoles import Console
from offhook.console.app import ConsoleError, make_app, serving
from offhook.console.status import LiveCall, NodeState, NodeStatus, WorkerStatus
from offhook.settings import ConsoleSettings
from offhook.store import Store
from offhook.telemetry.metrics import Metrics
from tests.calls.written import ORDER_CALL, PLAN, write
from tests.sip.certificates import self_signed

STARTED_AT = datetime(2026, 5, 1, 9, 0, tzinfo=UTC)

NODE = NodeStatus(
    version="0.1.0",
    started_at=STARTED_AT,
    state=NodeState.READY,
    calls=(LiveCall("k3fwq2", "+15550199", "100", "order-desk@1", 12.5),),
    max_calls=200,
    worker=WorkerStatus("cascade", 4711, 0, 8, 1, 3, 2.5),
    plan=Path("/plans/front-door.yaml"),
    plan_sha=PLAN,
    numbers=("100", "+15550100"),
    sip=("udp 127.0.0.1:5060",),
    recordings=Path("/calls"),
)


class Node:
    """What a server tells its console; a test may change it."""

    def __init__(self, home: Path) -> None:
        self.status = NODE
        self.store = Store.open(f"sqlite:///{home / 'offhook.db'}")
        self.metrics = Metrics()
        self.calls = home / "calls"

    def call(self, call_id: str, started_at: datetime = STARTED_AT) -> None:
        folder = archive.create(self.calls, call_id, started_at)
        write(folder.timeline, ORDER_CALL)
        self.store.begin(
            call_id,
            started_at=started_at,
            caller="+15550199",
            dialled="100",
            trunk="local",
            plan_sha=PLAN,
            folder=folder.path,
        )
        archive.close(folder, self.store, call_id)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


@pytest.fixture
async def http(node: Node) -> AsyncIterator[httpx.AsyncClient]:
    app = make_app(lambda: node.status, node.store, node.metrics)
    async with serving(app, "127.0.0.1", 0) as url, httpx.AsyncClient(base_url=url) as client:
        yield client


async def test_health_is_good_only_while_new_calls_are_taken(node: Node, http: httpx.AsyncClient) -> None:
    answer = await http.get("/healthz")
    assert (answer.status_code, answer.text) == (200, "ready\n")
    for state in (NodeState.STARTING, NodeState.DRAINING):
        node.status = replace(NODE, state=state)
        answer = await http.get("/healthz")
        assert (answer.status_code, answer.text) == (503, f"{state.value}\n")


async def test_metrics_are_in_prometheuss_format(node: Node, http: httpx.AsyncClient) -> None:
    node.metrics.responded(612)
    answer = await http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert families["offhook_response_seconds"].type == "histogram"
    assert {"offhook_calls", "offhook_calls_live", "offhook_refusals", "offhook_late_hops"} <= families.keys()


async def test_status_says_how_the_server_is_doing(http: httpx.AsyncClient) -> None:
    said = (await http.get("/status")).json()
    assert (said["state"], said["version"], said["numbers"]) == ("ready", "0.1.0", ["100", "+15550100"])
    assert said["calls"] == [
        {"id": "k3fwq2", "caller": "+15550199", "dialled": "100", "agent": "order-desk@1", "seconds": 12.5}
    ]
    assert said["worker"]["pid"] == 4711 and said["plan"] == "/plans/front-door.yaml"


async def test_calls_are_listed_newest_first(node: Node, http: httpx.AsyncClient) -> None:
    node.call("a1")
    node.call("b2", STARTED_AT + timedelta(hours=1))
    listed = (await http.get("/api/calls")).json()
    assert [call["id"] for call in listed] == ["b2", "a1"]
    assert listed[0]["state"] == "ended" and listed[0]["response_p50_ms"] == 700
    later = await http.get("/api/calls", params={"since": "2026-05-01T09:30:00Z"})
    assert [call["id"] for call in later.json()] == ["b2"]
    assert len((await http.get("/api/calls", params={"limit": 1})).json()) == 1


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "since=yesterday", "since=2026-05-01T09:00:00"])
async def test_a_query_that_makes_no_sense_is_refused(http: httpx.AsyncClient, query: str) -> None:
    assert (await http.get(f"/api/calls?{query}")).status_code == 422


async def test_a_call_is_given_with_its_turns_and_why_it_went_so(node: Node, http: httpx.AsyncClient) -> None:
    node.call("k3fwq2")
    call = (await http.get("/api/calls/k3f")).json()
    assert call["call"]["id"] == "k3fwq2"
    assert call["turns"][3] == {
        "who": "agent",
        "text": "Order 4 1 7 2 was shipped. Is there anything",
        "start_ms": 8_400,
        "end_ms": 11_150,
        "response_ms": 600,
        "interrupted": True,
        "unsaid": "else I can help you with?",
    }
    assert call["summary"]["media"]["lost"] == 3
    assert call["recordings"][0]["keep"] == "30d"
    explained = (await http.get("/api/calls/k3fwq2/explain")).json()
    assert explained[-1] == "0:13.7  Ended by the caller: BYE."


async def test_an_unknown_call_is_404_and_an_ambiguous_one_409(node: Node, http: httpx.AsyncClient) -> None:
    node.call("k3fa")
    node.call("k3fb")
    answer = await http.get("/api/calls/nope")
    assert (answer.status_code, answer.json()["detail"]) == (
        404,
        "no call 'nope': `offhook calls list` shows the calls there are",
    )
    assert (await http.get("/api/calls/k3f")).status_code == 409
    assert (await http.get("/api/calls/..%2f..%2fetc%2fpasswd")).status_code == 404


async def test_a_port_that_is_taken_is_named_in_a_sentence(node: Node, http: httpx.AsyncClient) -> None:
    taken = http.base_url.port
    assert taken is not None
    with pytest.raises(ConsoleError, match=f"cannot listen on 127.0.0.1 port {taken}"):
        async with serving(make_app(lambda: node.status, node.store), "127.0.0.1", taken):
            pass


async def test_the_processs_signals_stay_with_whoever_runs_the_loop(node: Node) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    async with serving(make_app(lambda: node.status, node.store), "127.0.0.1", 0) as url:
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{url}/healthz")).status_code == 200
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"{url}/healthz")


async def test_a_client_that_holds_on_does_not_hold_up_the_end(node: Node) -> None:
    async with serving(make_app(lambda: node.status, node.store), "127.0.0.1", 0) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rsplit(":", 1)[1]))
        writer.write(b"GET /status HTTP/1.1\r\n")
        await writer.drain()
    # The server hung up on it, for the block was left.
    async with asyncio.timeout(5):
        assert await reader.read() in (b"",) or reader.at_eof()
    writer.close()


async def test_with_a_certificate_it_is_https(node: Node, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, "127.0.0.1")
    app = make_app(lambda: node.status, node.store)
    async with serving(app, "127.0.0.1", 0, (certificate, key)) as url:
        assert url.startswith("https://127.0.0.1:")
        context = ssl.create_default_context(cafile=certificate)
        async with httpx.AsyncClient(verify=context) as client:
            assert (await client.get(f"{url}/healthz")).text == "ready\n"
        asked = Console.of(ConsoleSettings(port=int(url.rsplit(":", 1)[1]), certificate=certificate, key=key))
        assert await asyncio.to_thread(asked.get, "/healthz", 5.0) == b"ready\n"
        (tmp_path / "other").mkdir()
        stranger = Console(asked.url, self_signed(tmp_path / "other", "127.0.0.1")[0])
        with pytest.raises(OSError, match="certificate"):
            await asyncio.to_thread(stranger.get, "/healthz", 5.0)


async def test_a_certificate_that_cannot_be_used_is_named_in_a_sentence(node: Node, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, "127.0.0.1")
    for pair in ((key, certificate), (tmp_path / "none.pem", key)):
        with pytest.raises(ConsoleError, match=r"cannot serve https with .*console\.certificate"):
            async with serving(make_app(lambda: node.status, node.store), "127.0.0.1", 0, pair):
                pass

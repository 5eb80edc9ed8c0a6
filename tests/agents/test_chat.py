"""An agent whose mind is a chat endpoint, against a stand-in for the outside service that streams as OpenAI's does."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from offhook.agents.chat import ChatMind, chat_mind
from offhook.agents.job import Agent
from offhook.speech.contract import Act, Finish, Say, ToolResult, UseTool


class FakeChatService(ThreadingHTTPServer):
    """Answers each request with the next of `script`: a status, a list of streamed pieces, or seconds to stall."""

    script: list[int | float | list[object]]
    asked: list[dict[str, object]]
    keys: list[str | None]


class Handler(BaseHTTPRequestHandler):
    server: FakeChatService

    def do_POST(self) -> None:
        self.server.asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.server.keys.append(self.headers.get("authorization"))
        answer = self.server.script.pop(0)
        if isinstance(answer, float):
            time.sleep(answer)
            answer = 503
        if isinstance(answer, int):
            self.send_response(answer)
            self.send_header("content-length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for piece in answer:
            raw = piece if isinstance(piece, str) else json.dumps({"choices": [{"delta": piece}]})
            self.wfile.write(f"data: {raw}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[FakeChatService]:
    server = FakeChatService(("127.0.0.1", 0), Handler)
    server.script, server.asked, server.keys = [], [], []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def agent(service: FakeChatService) -> Agent:
    return Agent.model_validate(
        {
            "agent": "chatty@1",
            "job": {"purpose": "Answers questions about orders.", "scope": ["orders"], "refuses": ["prices"]},
            "greeting": "Hello!",
            "tools": {"order_status": {"python": "shop:f", "does": "Looks up an order.", "input": {"type": "object"}}},
            "mind": {
                "chat": {"base-url": f"http://127.0.0.1:{service.server_port}/v1", "model": "small", "timeout": "1s"}
            },
        }
    )


def mind_of(agent: Agent) -> ChatMind:
    return chat_mind(agent.persona({"caller": "+4420"}))


def said(acts: list[Act]) -> list[str]:
    return [act.text for act in acts if isinstance(act, Say)]


def call(name: str, arguments: str, index: int = 0) -> list[object]:
    """A tool call, streamed in two pieces as endpoints do."""
    half = len(arguments) // 2
    first = {"index": index, "id": f"c{index}", "function": {"name": name, "arguments": arguments[:half]}}
    return [{"tool_calls": [first]}, {"tool_calls": [{"index": index, "function": {"arguments": arguments[half:]}}]}]


def test_sentences_are_spoken_as_they_stream(service: FakeChatService, agent: Agent) -> None:
    service.script = [
        [{"content": part} for part in ("Sure", ". It **should** arr", "ive on Mon", "day. Anything", " else?")]
    ]
    mind = mind_of(agent)
    assert said(list(mind.greet())) == ["Hello!"]
    acts = mind.hear("where is my order")
    assert said(list(acts)) == ["Sure.", "It should arrive on Monday.", "Anything else?"]
    body = service.asked[0]
    messages = body["messages"]
    assert isinstance(messages, list)
    assert [m["role"] for m in messages] == ["system", "assistant", "user"] and "Answers questions" in messages[0][
        "content"
    ]
    tools = body["tools"]
    assert isinstance(tools, list)
    assert [tool["function"]["name"] for tool in tools] == ["order_status", "hand_over", "end_call"]


def test_a_function_call_becomes_a_tool_and_its_result_goes_back(service: FakeChatService, agent: Agent) -> None:
    service.script = [call("order_status", '{"order": "4172"}'), [{"content": "It comes on Monday."}]]
    mind = mind_of(agent)
    used = [act for act in mind.hear("where is 4172") if isinstance(act, UseTool)]
    assert used == [UseTool("c0", "order_status", {"order": "4172"})]
    assert said(list(mind.tool(ToolResult("c0", True, {"day": "Monday"})))) == ["It comes on Monday."]
    messages = service.asked[1]["messages"]
    assert isinstance(messages, list)
    assert messages[-1] == {"role": "tool", "tool_call_id": "c0", "content": '{"day": "Monday"}'}


def test_a_conversation_goes_on_from_its_memo_with_a_tool_outstanding(service: FakeChatService, agent: Agent) -> None:
    service.script = [call("order_status", "{}"), [{"content": "Monday."}]]
    mind = mind_of(agent)
    list(mind.hear("where is 4172"))
    fresh = chat_mind(agent.persona({}, json.loads(json.dumps(mind.memo()))))
    assert said(list(fresh.greet())) == ["Sorry, I'm back."]
    assert said(list(fresh.tool(ToolResult("c0", False, error="gone")))) == ["Monday."]


@pytest.mark.parametrize(("name", "exit"), [("hand_over", "human"), ("end_call", "resolved")])
def test_the_endpoint_may_hand_over_or_end(service: FakeChatService, agent: Agent, name: str, exit: str) -> None:
    service.script = [call(name, '{"reason": "asked"}')]
    mind = mind_of(agent)
    acts = list(mind.hear("bye"))
    assert acts[-1] == Finish(exit, "asked") and said(acts)
    assert list(mind.hear("thanks")) == [acts[-1]], "spoken over the last words: the end is still to come"
    fresh = chat_mind(agent.persona({}, json.loads(json.dumps(mind.memo()))))
    assert list(fresh.greet()) == [acts[-1]]


@pytest.mark.parametrize(
    "broken",
    [
        500,
        401,
        2.0,
        ["not json"],
        ['{"choices": 7}'],
        ['{"error": "overloaded"}'],
        ["[" * 9_000],
        [{"content": {"a": 1}}],
    ],
    ids=str,
)
def test_a_failing_endpoint_is_told_truthfully_and_then_handed_over(
    service: FakeChatService, agent: Agent, broken: int | float | list[object]
) -> None:
    service.script = [broken, broken]
    mind = mind_of(agent)
    assert said(list(mind.hear("where is my order"))) == [
        "I'm sorry, I couldn't work that out just now. Please say it again."
    ]
    acts = list(mind.hear("where is my order"))
    assert isinstance(acts[-1], Finish) and acts[-1].exit == "human"


def test_an_endpoint_that_calls_what_is_not_there_is_stopped(service: FakeChatService, agent: Agent) -> None:
    service.script = [call("format_disk", "{}") for _ in range(9)]
    assert "couldn't work that out" in said(list(mind_of(agent).hear("hi")))[-1]
    assert 1 < len(service.asked) < 9


def test_the_key_is_sent_and_kept_out_of_everything_else(
    service: FakeChatService, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = {**agent.document(), "mind": {"chat": {**agent.document()["mind"]["chat"], "key-env": "CHAT_KEY"}}}  # type: ignore[index, call-overload, dict-item]
    with_key = Agent.from_document(document)
    with pytest.raises(ValueError, match="CHAT_KEY, which is not set"):
        mind_of(with_key)
    monkeypatch.setenv("CHAT_KEY", "s3cret")
    service.script = [500]
    mind = mind_of(with_key)
    acts = list(mind.hear("hi"))
    assert service.keys == ["Bearer s3cret"]
    assert "s3cret" not in repr(acts) + repr(mind.memo()) + repr(with_key.document())


def test_an_interruption_is_known_to_the_endpoint(service: FakeChatService, agent: Agent) -> None:
    service.script = [[{"content": "It comes on Monday with Northline."}], [{"content": "Yes."}]]
    mind = mind_of(agent)
    list(mind.hear("when"))
    mind.interrupted("It comes", "on Monday with Northline.")
    list(mind.hear("what?"))
    messages = service.asked[1]["messages"]
    assert isinstance(messages, list) and messages[-2]["content"] == "It comes (interrupted here)"

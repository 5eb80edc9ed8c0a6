"""What a page says at `/call/ws`, as a target: the web side's own route, and behind it real legs on real ports."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from fastapi import FastAPI

from offhook.calls.channel import ChannelGone
from offhook.calls.webleg import WebLeg
from offhook.console.callpage import MOST_TEXT, IceServer, Turned, WebCall, routes
from offhook.media import MediaCore
from offhook.webrtc import Certificate, DtlsIdentity
from tests.hostile.descriptions import OFFERS
from tests.hostile.descriptions import PIECES as SDP_PIECES
from tests.hostile.running import WATCHED, Target
from tests.sip.test_offeranswer import GCM, key

BROWSER = OFFERS[1]
NUMBER, CALL = "100", "the-call"
TOKEN = "@@token@@"
"""In an input: the token of the call that goes on."""


class Desk:
    """A `Door` that answers every call at once."""

    def __init__(self, core: MediaCore) -> None:
        self._core = core
        self._identity = DtlsIdentity(Certificate.make())
        self.leg: WebLeg | None = None
        self.token = ""

    def numbers(self) -> Sequence[str]:
        return [NUMBER]

    def ice_servers(self) -> Sequence[IceServer]:
        return []

    def call(self, to: str, caller: str, offer: str, source: str) -> WebCall:
        if to != NUMBER:
            raise Turned(f"There is no number {to} here.")
        self.close()
        port = self._core.open("page")
        try:
            self.leg = WebLeg(offer, port, self._identity)
        except BaseException:
            port.close()
            raise
        self.token = self.leg.token
        asyncio.get_running_loop().create_task(self.leg.answer())
        return WebCall(CALL, self.leg)

    def resume(self, call: str, token: str) -> WebCall:
        if self.leg is None or (call, token) != (CALL, self.token):
            raise Turned("The call has ended.")
        return WebCall(CALL, self.leg)

    def welcome_back(self, call: str) -> None:
        pass

    def close(self) -> None:
        if self.leg is not None:
            self.leg.close()
            self.leg = None


class Page:
    """The web side, asked as a server asks it; `say` is one visit, from its first message to the socket's end."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._app = FastAPI()
        self._app.include_router(routes(desk))
        self._visits = 0
        self._tasks: list[asyncio.Task[Any]] = []

    async def say(self, texts: Sequence[str]) -> None:
        asyncio.get_running_loop().set_task_factory(self._noted)
        self._visits += 1
        scope = {
            "type": "websocket",
            "path": "/call/ws",
            "headers": [(b"host", b"localhost")],
            "query_string": b"",
            "subprotocols": [],
            "client": (f"192.0.2.{self._visits}", 5000),  # each from elsewhere, or soon none might call any more
        }
        waiting: list[dict[str, object]] = [
            {"type": "websocket.connect"},
            *({"type": "websocket.receive", "text": text} for text in texts),
        ]
        closed = asyncio.Event()

        async def receive() -> dict[str, object]:
            for _ in range(3):  # let what the last one brought about happen
                await asyncio.sleep(0)
            if waiting and not closed.is_set():
                return waiting.pop(0)
            return {"type": "websocket.disconnect", "code": 1000}

        async def send(message: Any) -> None:
            if message["type"] == "websocket.close":
                closed.set()
            elif message["type"] == "websocket.send":
                assert json.loads(message["text"])["type"]

        await self._app(scope, receive, send)
        self._desk.close()
        for _ in range(3):
            await asyncio.sleep(0)
        done = [task for task in self._tasks if task.done() and not task.cancelled()]
        # What others wait for is theirs to take; what our own tasks raise nobody would hear of.
        done = [task for task in done if cast(Any, task.get_coro()).cr_code.co_filename.startswith(WATCHED)]
        self._tasks.clear()
        for error in [task.exception() for task in done]:
            if error is not None and not isinstance(error, ChannelGone):
                raise error

    def _noted(self, loop: asyncio.AbstractEventLoop, work: Any, **more: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(work, loop=loop, **more)
        self._tasks.append(task)
        return task


@contextlib.contextmanager
def _page() -> Iterator[Callable[[bytes], None]]:
    with asyncio.Runner() as runner, MediaCore("127.0.0.1", (20_000, 29_999)) as core:
        desk = Desk(core)
        page = Page(desk)

        def take(data: bytes) -> None:
            texts = data.decode("utf-8", "replace").split("\n")[:60]
            runner.run(page.say([text.replace(TOKEN, desk.token) for text in texts]))

        yield take


def said(*messages: dict[str, object]) -> bytes:
    return "\n".join(json.dumps(message) for message in messages).encode()


CALLED: dict[str, object] = {"type": "call", "to": NUMBER, "sdp": BROWSER, "from": "+4930123456"}
HELD = {"type": "restart", "sdp": BROWSER.replace("a=sendrecv", "a=inactive").replace("abcd", "efgh")}
KEYED = BROWSER.replace("m=audio 9 UDP/TLS/RTP/SAVPF 111", "m=audio 9 RTP/SAVPF 111").replace(
    "a=mid:0", f"a=mid:0\r\na=crypto:1 {GCM} inline:{key(GCM)}"
)

TARGETS = {
    "page": Target(
        _page,
        [
            said(CALLED, {"type": "keys", "digits": "12#"}, HELD, {"type": "hangup"}),
            said(CALLED, {"type": "candidate", "candidate": "candidate:1 1 udp 1 192.0.2.1 9 typ host"}, HELD),
            said(CALLED, CALLED, {"type": "resume", "call": CALL, "token": TOKEN, "sdp": BROWSER}),
            said({"type": "resume", "call": CALL, "token": TOKEN, "sdp": BROWSER}),
            said({**CALLED, "sdp": KEYED}, {"type": "restart", "sdp": KEYED}),
            said({**CALLED, "sdp": OFFERS[0]}, {**CALLED, "sdp": OFFERS[3]}, {"type": "hangup"}),
        ],
        pieces=[
            *(json.dumps(piece.decode())[1:-1].encode() for piece in SDP_PIECES),
            *(TOKEN.encode(), b'"type":"restart"', b'"type":"resume"', b'"sdp":""', b"\\r\\n", b"\n"),
        ],
        longest=MOST_TEXT + 2_000,
    ),
}  # fmt: skip

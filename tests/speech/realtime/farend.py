"""A realtime speech API at the far end of the connection, for tests of our client: a fake of what lies outside.

It speaks the protocol over a real WebSocket, hears turns in the caller's sound by their loudness, and answers with
tones and scripted words. It is as strict as the services it stands for: what they refuse, it refuses, and writes down.
It also misbehaves, where a test wants that.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http
import json
import re
import ssl
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from offhook.speech.contract import Pcm
from offhook.speech.realtime.codec import from_mu_law, to_mu_law

LOUD = 300.0
"""Mean amplitude above which a sound is speech."""
STARTED_MS, STOPPED_MS = 60, 400
EXACTLY = re.compile(r"Say exactly this.*?: (\".*\")$", re.DOTALL)


@dataclass(frozen=True)
class Answer:
    """What the far end says next."""

    words: str = ""
    seconds: float = 1.0
    hz: float = 440.0
    calls: tuple[tuple[str, Any], ...] = ()
    """Functions called afterwards, with their arguments: a mapping, or a text to be sent as it is."""
    pace_s: float = 0.0
    """Between one tenth of a second of it and the next, that is not made all at once."""
    drop_at: float | None = None
    """Break the connection off after so many seconds of sound."""
    raw: tuple[str | bytes, ...] = ()
    """Send these messages instead."""
    status: str = "completed"
    silent: bool = False
    """Nothing at all comes."""


@dataclass
class FarEnd:
    """The service. Start it with `far_end`; what it was told and what it refused can be read at any time."""

    answers: deque[Answer]
    heard: deque[str]
    """What it writes down of the caller's turns, one after the other."""
    dialect: str = "ga"
    key: str | None = None
    """Refuse who does not bring this one."""
    status: int | None = None
    """Refuse every connection with this HTTP status."""
    deaf_after: int | None = None
    """Read no more from the connection after so many messages."""
    no_vad: bool = False
    endless: bool = False
    """Hear turns begin, and never end."""
    dead: bool = False
    """Take connections and say nothing."""
    address: str = ""
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    received: list[dict[str, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    connections: list[tuple[asyncio.AbstractEventLoop, ServerConnection]] = field(default_factory=list)
    headers: list[Headers] = field(default_factory=list)
    sessions: list[dict[str, Any]] = field(default_factory=list)
    played: list[str] = field(default_factory=list)
    """Items whose sound was sent whole."""
    sound: list[Pcm] = field(default_factory=list)
    """The caller's, per connection, at the connection's rate."""

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The messages of one type."""
        return [message for message in self.received if message["type"] == kind]

    def items(self, kind: str) -> list[dict[str, Any]]:
        """The items of one type that were put into the conversation."""
        return [m["item"] for m in self.of("conversation.item.create") if m["item"]["type"] == kind]

    def cut(self) -> None:
        """Break every connection off, as a network does."""
        for loop, connection in list(self.connections):
            loop.call_soon_threadsafe(connection.transport.abort)

    async def serve(self, connection: ServerConnection) -> None:
        self.connections.append((asyncio.get_running_loop(), connection))
        self.headers.append(connection.request.headers if connection.request else Headers())
        if self.dead:
            await connection.wait_closed()
            return
        await _Session(self, connection).run()

    def gate(self, connection: ServerConnection, request: Request) -> Response | None:
        if self.status is not None:
            headers = Headers({"Location": "/elsewhere"}) if 300 <= self.status < 400 else Headers()
            return Response(self.status, http.HTTPStatus(self.status).phrase, headers)
        if self.key is not None and request.headers.get("Authorization") != f"Bearer {self.key}":
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, "Incorrect API key provided")
        return None


@contextlib.contextmanager
def far_end(
    *answers: Answer, heard: tuple[str, ...] = (), tls: ssl.SSLContext | None = None, **more: Any
) -> Iterator[FarEnd]:
    """A running far end that says `answers` in turn, and then nothing but a short tone."""
    far = FarEnd(deque(answers), deque(heard), **more)
    ready, loop = threading.Event(), asyncio.new_event_loop()

    async def run() -> None:
        async with serve(far.serve, "127.0.0.1", 0, process_request=far.gate, ssl=tls, max_size=1 << 24) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            far.address = f"{'wss' if tls else 'ws'}://127.0.0.1:{port}/v1/realtime"
            ready.set()
            await far.stopped.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), name="far end", daemon=True)
    thread.start()
    try:
        assert ready.wait(10), "the far end did not start"
        yield far
    finally:
        loop.call_soon_threadsafe(far.stopped.set)
        thread.join(20)
        loop.close()


class _Session:
    """One connection."""

    def __init__(self, far: FarEnd, connection: ServerConnection) -> None:
        self.far, self.connection = far, connection
        self.ready = False
        self.rate, self.law = 24_000, False
        self.vad = False
        self.active: str | None = None
        self.work: asyncio.Task[None] | None = None
        self.made = 0
        self.items: dict[str, float] = {}  # agent items: ms of sound sent
        self.calls: set[str] = set()
        self.length = 0  # samples heard
        self.buffered = 0
        self.loud_ms = self.quiet_ms = 0.0
        self.turn: str | None = None
        self.rest = np.zeros(0, np.int16)
        far.sound.append(np.zeros(0, np.int16))

    async def run(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            await self.tell("session.created", session={"id": self.id("sess")})
            async for message in self.connection:
                raw = json.loads(message)
                self.far.received.append(raw)
                await self.take(raw)
                if self.far.deaf_after is not None and len(self.far.received) >= self.far.deaf_after:
                    await self.far.stopped.wait()

    def id(self, kind: str) -> str:
        self.made += 1
        return f"{kind}_{len(self.far.headers)}_{self.made}"

    async def tell(self, kind: str, **fields: Any) -> None:
        await self.connection.send(json.dumps({"type": kind, "event_id": self.id("event"), **fields}))

    async def refuse(self, code: str, message: str) -> None:
        self.far.refused.append(f"{code}: {message}")
        await self.tell("error", error={"type": "invalid_request_error", "code": code, "message": message})

    async def take(self, raw: dict[str, Any]) -> None:
        kind = raw["type"]
        match kind:
            case "session.update":
                await self.update(raw["session"])
            case _ if not self.ready:
                await self.refuse("no_session", f"{kind} before the session")
            case "input_audio_buffer.append":
                await self.hear(base64.b64decode(raw["audio"], validate=True))
            case "input_audio_buffer.clear":
                self.buffered = 0
                await self.tell("input_audio_buffer.cleared")
            case "input_audio_buffer.commit":
                if self.vad or not self.buffered:
                    await self.refuse("input_audio_buffer_commit_empty", "buffer too small")
                    return
                await self.committed(self.id("item"))
            case "response.create":
                await self.create(raw.get("response", {}))
            case "response.cancel":
                if self.active is None or raw.get("response_id") not in (None, self.active):
                    error = {"type": "invalid_request_error", "code": "response_cancel_not_active"}
                    await self.tell("error", error=error)
                else:
                    await self.cancel("client_cancelled")
            case "conversation.item.create":
                await self.item(raw["item"])
            case "conversation.item.truncate":
                sent = self.items.get(raw["item_id"])
                if sent is None or raw["content_index"] != 0 or not 0 < raw["audio_end_ms"] <= sent + 1:
                    await self.refuse("invalid_value", f"audio of {sent} ms is shorter than {raw['audio_end_ms']} ms")
                else:
                    await self.tell("conversation.item.truncated", item_id=raw["item_id"])
            case "conversation.item.delete":
                await self.tell("conversation.item.deleted", item_id=raw["item_id"])
            case "conversation.item.retrieve":
                content = [{"type": "input_audio", "transcript": self.far.heard.popleft() if self.far.heard else ""}]
                item = {"id": raw["item_id"], "type": "message", "role": "user", "content": content}
                await self.tell("conversation.item.retrieved", item=item)
            case _:
                await self.refuse("unknown_event", kind)

    async def update(self, session: Mapping[str, Any]) -> None:
        if self.far.dialect == "ga":
            if session.get("type") != "realtime" or session.get("output_modalities") != ["audio"]:
                await self.refuse("missing_parameter", "session.type")
                return
            heard, said = session["audio"]["input"], session["audio"]["output"]
            if heard["format"] != said["format"] or (heard["format"]["type"], heard["format"].get("rate")) not in (
                ("audio/pcmu", None),
                ("audio/pcm", 24_000),
            ):
                await self.refuse("invalid_value", "session.audio.input.format")
                return
            self.law, turns = heard["format"]["type"] == "audio/pcmu", heard["turn_detection"]
        else:
            if "audio" in session or session["input_audio_format"] not in ("g711_ulaw", "pcm16"):
                await self.refuse("unknown_parameter", "session.audio")
                return
            self.law, turns = session["input_audio_format"] == "g711_ulaw", session["turn_detection"]
        self.rate = 8_000 if self.law else 24_000
        self.vad = turns is not None
        self.ready = True
        self.far.sessions.append(dict(session))
        await self.tell("session.updated", session=dict(session))
        await self.tell("rate_limits.updated", rate_limits=[{"name": "requests", "limit": 100, "remaining": 99}])

    async def item(self, item: Mapping[str, Any]) -> None:
        kind = item["type"]
        if kind == "message":
            wanted = {"user": "input_text", "system": "input_text", "assistant": "output_text"}
            if self.far.dialect == "beta":
                wanted["assistant"] = "text"
            if any(part["type"] != wanted[item["role"]] for part in item["content"]):
                await self.refuse("invalid_value", f"content of {item['role']}")
                return
        elif kind == "function_call":
            json.loads(item["arguments"])
            self.calls.add(item["call_id"])
        elif kind == "function_call_output" and item["call_id"] not in self.calls:
            await self.refuse("invalid_tool_call_id", item["call_id"])
            return
        done = "added" if self.far.dialect == "ga" else "created"
        await self.tell(f"conversation.item.{done}", item=item)

    # --- hearing

    async def hear(self, octets: bytes) -> None:
        audio = from_mu_law(octets) if self.law else np.frombuffer(octets, "<i2")
        self.far.sound[-1] = np.concatenate([self.far.sound[-1], audio])
        self.buffered += len(audio)
        self.rest = np.concatenate([self.rest, audio])
        frame = self.rate // 50
        while len(self.rest) >= frame:
            loud = float(np.abs(self.rest[:frame].astype(np.float64)).mean()) > LOUD
            self.rest = self.rest[frame:]
            self.length += frame
            self.loud_ms, self.quiet_ms = (self.loud_ms + 20, 0.0) if loud else (0.0, self.quiet_ms + 20)
            if self.vad and not self.far.no_vad:
                await self.listen()

    async def listen(self) -> None:
        now_ms = self.length * 1000 // self.rate
        if self.turn is None and self.loud_ms >= STARTED_MS:
            self.turn = self.id("item")
            started = max(0, now_ms - int(self.loud_ms))
            await self.tell("input_audio_buffer.speech_started", item_id=self.turn, audio_start_ms=started)
            await self.cancel("turn_detected")
        elif self.turn is not None and self.quiet_ms >= STOPPED_MS and not self.far.endless:
            item, self.turn = self.turn, None
            await self.tell("input_audio_buffer.speech_stopped", item_id=item, audio_end_ms=now_ms - int(self.quiet_ms))
            await self.committed(item)
            await self.create({})

    async def committed(self, item: str) -> None:
        self.buffered = 0
        await self.tell("input_audio_buffer.committed", item_id=item)
        if self.far.heard:
            words, name = self.far.heard.popleft(), "conversation.item.input_audio_transcription"
            await self.tell(f"{name}.delta", item_id=item, content_index=0, delta=words[:4])
            await self.tell(f"{name}.completed", item_id=item, content_index=0, transcript=words)

    # --- answering

    async def create(self, wanted: Mapping[str, Any]) -> None:
        if self.active is not None:
            await self.refuse("conversation_already_has_active_response", self.active)
            return
        if exactly := EXACTLY.search(wanted.get("instructions", "")):
            answer = Answer(json.loads(exactly[1]), 0.8, 300.0)
        else:
            answer = self.far.answers.popleft() if self.far.answers else Answer("Mhm.", 0.2)
        self.active = self.id("resp")
        if not answer.silent:
            await self.tell("response.created", response={"id": self.active, "status": "in_progress"})
        self.work = asyncio.create_task(self.say(self.active, answer))

    async def cancel(self, why: str) -> None:
        if self.active is None:
            return
        assert self.work is not None
        self.work.cancel()
        response, self.active = self.active, None
        details = {"type": "cancelled", "reason": why}
        await self.tell(
            "response.done", response={"id": response, "status": "cancelled", "status_details": details, "output": []}
        )

    async def say(self, response: str, answer: Answer) -> None:
        with contextlib.suppress(ConnectionClosed):
            for message in answer.raw:
                await self.connection.send(message)
            if answer.silent or answer.raw:
                return
            if answer.words and answer.status != "failed":
                await self.speak(response, answer)
            await self.call(response, answer)

    async def speak(self, response: str, answer: Answer) -> None:
        ga = self.far.dialect == "ga"
        audio, words = ("output_audio", "output_audio_transcript") if ga else ("audio", "audio_transcript")
        item = self.id("item")
        self.items[item] = 0.0
        at = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        await self.tell("response.output_item.added", response_id=response, item={"id": item, "type": "message"})
        sound = tone(answer.hz, answer.seconds, self.rate)
        piece = self.rate // 10
        for start in range(0, len(sound), piece):
            if answer.drop_at is not None and start >= answer.drop_at * self.rate:
                self.connection.transport.abort()
                return
            part = sound[start : start + piece]
            self.items[item] += len(part) * 1000 / self.rate
            octets = to_mu_law(part) if self.law else part.astype("<i2").tobytes()
            said = answer.words.split(" ")
            if start // piece < len(said):
                await self.tell(f"response.{words}.delta", **at, delta=" " * bool(start) + said[start // piece])
            await self.tell(f"response.{audio}.delta", **at, delta=base64.b64encode(octets).decode())
            if answer.pace_s:
                await asyncio.sleep(answer.pace_s)
        await self.tell(f"response.{words}.done", **at, transcript=answer.words)
        await self.tell(f"response.{audio}.done", **at)
        self.far.played.append(item)

    async def call(self, response: str, answer: Answer) -> None:
        output = []
        for name, arguments in answer.calls:
            text = arguments if isinstance(arguments, str) else json.dumps(arguments)
            item = {"id": self.id("item"), "type": "function_call", "call_id": self.id("call"), "name": name}
            item |= {"arguments": text, "status": "completed"}
            self.calls.add(item["call_id"])
            fields = {"response_id": response, "item_id": item["id"], "call_id": item["call_id"], "arguments": text}
            if self.far.dialect == "ga":
                fields["name"] = name
            await self.tell("response.function_call_arguments.done", **fields)
            await self.tell("response.output_item.done", response_id=response, item=item)
            output.append(item)
        self.active = None
        done: dict[str, Any] = {"id": response, "status": answer.status, "output": output}
        if answer.status == "failed":
            done["status_details"] = {"type": "failed", "error": {"code": "server_error", "message": "out of order"}}
        await self.tell("response.done", response=done)


def tone(hz: float, seconds: float, rate_hz: int) -> Pcm:
    """A tone at about -14 dBFS."""
    wave: Pcm = (6500 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.int16)
    return wave

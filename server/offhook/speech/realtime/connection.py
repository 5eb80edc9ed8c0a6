"""One WebSocket to the far end, kept by a thread of its own: what we say goes into a queue, what it says comes out.

The thread that steps never waits here. Everything is bounded: how long a connection may take, how long a message may
wait to leave, how large one may be that comes. The caller's sound that a far end does not take is dropped, the oldest
first, and counted. It does not connect again; whoever holds the conversation does.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import logging
import ssl
import threading
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Final

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, WebSocketException

from offhook.speech.contract import RATE_HZ, Pcm
from offhook.speech.realtime import outgoing
from offhook.speech.realtime.codec import Decoder, Encoder
from offhook.speech.realtime.incoming import (
    Complaint,
    Incoming,
    NotProtocol,
    SessionReady,
    Sound,
    SoundOver,
    understood,
)
from offhook.speech.realtime.options import Dialect, RealtimeOptions

MESSAGE_LIMIT: Final = 1 << 20
"""Bytes of one message of the far end's."""
WAITING_LIMIT: Final = 2_000
"""Messages of ours that may wait to leave, and of the far end's that may wait to be taken."""
PING_S: Final = 10.0
"""A far end that answers no ping for so long is gone."""
_PIECE = RATE_HZ * 400 // 1000  # of sound in one message, where more is waiting
_CLOSING_S = 1.0

_log = logging.getLogger("offhook.speech.realtime.websocket")
_log.setLevel(logging.WARNING)  # the library writes down headers, the key among them, at the level DEBUG


@dataclass(frozen=True, slots=True)
class Opened:
    """The far end has taken the session; it hears from now on."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A piece of `item`'s sound, at 16 kHz."""

    response: str
    item: str
    audio: Pcm


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection is no more: the far end (`why` goes on from there) `refused the key`. `final`: trying again would
    be in vain."""

    why: str
    final: bool = False


Arrival = Incoming | Opened | Spoken | Lost


class Network:
    """The thread and its event loop, for all connections of one model."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="realtime network", daemon=True)
        self._thread.start()

    def begin(self, work: Coroutine[object, object, None]) -> asyncio.Future[None]:
        """Have `work` done. To be called from outside the thread."""
        done: asyncio.Future[None] = self._loop.create_future()

        def start() -> None:
            task = self._loop.create_task(work)
            task.add_done_callback(lambda _: None if done.done() else done.set_result(None))
            done.add_done_callback(lambda _: task.cancel())

        self._loop.call_soon_threadsafe(start)
        return done

    def soon(self, action: object, *arguments: object) -> None:
        """Call `action` in the thread; nothing happens where it has ended."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(action, *arguments)  # type: ignore[arg-type]  # a callable of its arguments

    def close(self) -> None:
        """End the thread, after what is being closed is closed."""
        self.soon(self._loop.create_task, self._wind_up())
        self._thread.join(timeout=2 * _CLOSING_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    async def _wind_up(self) -> None:
        others = {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others, timeout=_CLOSING_S)
        self._loop.stop()


@dataclass(frozen=True, slots=True, eq=False)
class _Hop:
    """The caller's sound from `position` of their stream on. `kept`: it is never dropped. Equal to itself alone, which
    is what it is searched by."""

    position: int
    audio: Pcm
    kept: bool


class Connection:
    """One connection, from opening to loss. Its public methods are for the thread that steps."""

    def __init__(self, network: Network, options: RealtimeOptions, session: str) -> None:
        """Begins to connect; `session` is the first message. `Opened` or `Lost` is the first that `take` gives."""
        self.dropped_samples = 0
        """The caller's, that the far end did not take in time."""
        self._network, self._options, self._session = network, options, session
        self._lock = threading.Lock()
        self._waiting: deque[str | _Hop] = deque()
        self._backlog = 0
        self._wake = asyncio.Event()
        self._arrivals: deque[Arrival] = deque()
        self._encoder = Encoder(options.format)
        self._decoder: tuple[str, Decoder] | None = None
        self._sent: list[tuple[int, int]] = []  # (samples sent on this connection, position in the caller's stream)
        self._sent_samples = 0
        self._work = network.begin(self._run())

    def send(self, message: str) -> None:
        """Send `message`, after what is waiting."""
        with self._lock:
            self._waiting.append(message)
        self._network.soon(self._wake.set)

    def hear(self, position: int, audio: Pcm, kept: bool = False) -> None:
        """The caller's sound from `position` on. Where too much of it waits, the oldest is dropped, unless `kept`."""
        most = self._options.backlog_ms * RATE_HZ // 1000
        with self._lock:
            self._waiting.append(_Hop(position, audio, kept))
            if not kept:
                self._backlog += len(audio)
            while self._backlog > most:
                oldest = next(one for one in self._waiting if isinstance(one, _Hop) and not one.kept)
                self._waiting.remove(oldest)
                self._backlog -= len(oldest.audio)
                self.dropped_samples += len(oldest.audio)
        self._network.soon(self._wake.set)

    def take(self) -> list[Arrival]:
        """What has come since the last time."""
        taken = []
        while self._arrivals:
            taken.append(self._arrivals.popleft())
        return taken

    def position(self, at_ms: int) -> int:
        """Where `at_ms` of the sound sent on this connection lies in the caller's stream."""
        at = at_ms * RATE_HZ // 1000
        sent = list(self._sent)
        if not sent:
            return at
        index = max(0, bisect.bisect_right(sent, at, key=lambda one: one[0]) - 1)
        return max(0, sent[index][1] + at - sent[index][0])

    def close(self) -> None:
        """Let go of it; nothing more comes out."""
        self._network.soon(self._work.cancel)
        self._arrivals.clear()

    # --- in the thread of the network

    async def _run(self) -> None:
        socket: ClientConnection | None = None
        try:
            async with asyncio.timeout(self._options.connect_ms / 1000):
                socket = await self._connect()
                await socket.send(self._session)
                while not self._taken_in(await socket.recv()):
                    pass
            self._arrivals.append(Opened())
            tasks = {asyncio.create_task(self._read(socket)), asyncio.create_task(self._write(socket))}
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks, timeout=_CLOSING_S)
                for task in tasks:
                    if task.done() and not task.cancelled():
                        task.exception()  # both may have failed: one tells why
        except Exception as error:
            self._arrivals.append(self._lost(error, socket is not None))
        finally:
            if socket is not None:
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(_CLOSING_S):
                        await socket.close()

    async def _connect(self) -> ClientConnection:
        options = self._options
        headers = {}
        if options.key:
            headers[options.key_header] = options.key if options.key_header == "api-key" else f"Bearer {options.key}"
        if options.dialect is Dialect.BETA:
            headers["OpenAI-Beta"] = "realtime=v1"
        return await _Straight(
            options.address,
            additional_headers=headers,
            user_agent_header="offhook",
            ssl=ssl.create_default_context(cafile=options.ca_file or None) if options.encrypted else None,
            proxy=True if options.encrypted else None,
            compression=None,
            open_timeout=None,
            ping_interval=PING_S,
            ping_timeout=PING_S,
            close_timeout=_CLOSING_S,
            max_size=MESSAGE_LIMIT,
            max_queue=64,
            logger=_log,
        )

    def _taken_in(self, message: str | bytes) -> bool:
        """Whether `message` tells that the session is taken. Raises _Refused, NotProtocol."""
        event = understood(message)
        if isinstance(event, Complaint):
            why = self._options.without_key(": ".join(filter(None, [event.code, event.message])))
            raise _Refused(f"refused the session: {why}", event.kind != "server_error")
        return isinstance(event, SessionReady) and event.updated

    async def _read(self, socket: ClientConnection) -> None:
        async for message in socket:
            event = understood(message)
            if isinstance(event, Sound | SoundOver):
                self._decode(event)
            if event is not None and not isinstance(event, Sound):
                self._arrivals.append(event)
            while len(self._arrivals) > WAITING_LIMIT:  # noqa: ASYNC110 -- who takes them is another thread
                await asyncio.sleep(0.02)
        raise _Refused("closed the connection", False)

    def _decode(self, event: Sound | SoundOver) -> None:
        if self._decoder is None or self._decoder[0] != event.item:
            self._decoder = (event.item, Decoder(self._options.format))
        decoder = self._decoder[1]
        if isinstance(event, Sound):
            audio = decoder.decode(event.octets)
        else:
            audio = decoder.end()
            self._decoder = None
        self._arrivals.append(Spoken(event.response, event.item, audio))

    async def _write(self, socket: ClientConnection) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while (message := self._next()) is not None:
                try:
                    async with asyncio.timeout(self._options.send_ms / 1000):
                        await socket.send(message)
                except TimeoutError:
                    raise _Refused(f"took no message for {self._options.send_ms / 1000:g} s", False) from None

    def _next(self) -> str | None:
        """The next message to leave: sound that has piled up goes in few."""
        with self._lock:
            if len(self._waiting) > WAITING_LIMIT:
                raise _Refused(f"left {WAITING_LIMIT} messages waiting", False)
            if not self._waiting:
                return None
            first = self._waiting.popleft()
            if isinstance(first, str):
                return first
            hops = [first]
            samples = len(first.audio)
            while samples < _PIECE and self._waiting and isinstance(self._waiting[0], _Hop):
                if self._waiting[0].position != hops[-1].position + len(hops[-1].audio):
                    break
                hop = self._waiting.popleft()
                assert isinstance(hop, _Hop)
                hops.append(hop)
                samples += len(hop.audio)
            self._backlog -= sum(len(hop.audio) for hop in hops if not hop.kept)
        if not self._sent or self._sent[-1][1] + self._sent_samples - self._sent[-1][0] != first.position:
            self._sent.append((self._sent_samples, first.position))
        self._sent_samples += samples
        return outgoing.sound(self._encoder.encode(np.concatenate([hop.audio for hop in hops])))

    def _lost(self, error: Exception, connected: bool) -> Lost:
        """`error` in a sentence for people, without the key."""
        match error:
            case _Refused():
                return Lost(str(error), error.final)
            case NotProtocol():
                return Lost(f"does not speak the protocol: {error}")
            case TimeoutError() if not connected:
                return Lost(f"could not be reached within {self._options.connect_ms / 1000:g} s")
            case TimeoutError():
                return Lost(f"did not take the session within {self._options.connect_ms / 1000:g} s")
            case InvalidStatus(response=response):
                return _refusal(response.status_code)
            case ConnectionClosed():
                return Lost(self._options.without_key(_closing(error)))
            case ssl.SSLCertVerificationError():
                return Lost(f"has a certificate that is not to be trusted: {error.verify_message}", True)
            case InvalidHandshake() | WebSocketException():
                return Lost(f"did not open a WebSocket: {self._options.without_key(type(error).__name__)}")
            case OSError():
                why = error.strerror or type(error).__name__
                return Lost(f"could not be reached: {self._options.without_key(why)}")
            case _:
                _log.error("the realtime connection failed: %s", self._options.without_key(repr(error)))
                return Lost(f"could not be spoken with: {type(error).__name__}")


class _Straight(connect):
    """Goes where it was sent and nowhere else: a redirection would carry the key to a stranger."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class _Refused(Exception):
    """The far end will not, or the connection is given up; see `Lost`."""

    def __init__(self, why: str, final: bool) -> None:
        super().__init__(why)
        self.final = final


def _refusal(status: int) -> Lost:
    if status in (401, 403):
        return Lost(f"refused the key (HTTP status {status})", True)
    if 300 <= status < 400:
        return Lost(f"sends us elsewhere (HTTP status {status}), which is not followed: name the right `url`", True)
    if status in (400, 404, 405):
        return Lost(f"has no realtime API at this `url` (HTTP status {status})", True)
    if status == 429:
        return Lost("takes no more calls now (HTTP status 429)")
    return Lost(f"did not open a WebSocket (HTTP status {status})")


def _closing(error: ConnectionClosed) -> str:
    if error.sent is not None and error.rcvd is None:
        if error.sent.code == 1009:
            return f"sent a message over the limit of {MESSAGE_LIMIT // 1024} KiB"
        if error.sent.code == 1011:
            return f"did not answer for {PING_S:g} s"
        return f"broke the rules of WebSocket: {error.sent.reason or error.sent.code}"
    if error.rcvd is not None:
        return f"closed the connection: {error.rcvd.reason or f'code {error.rcvd.code}'}"
    return "broke the connection off"

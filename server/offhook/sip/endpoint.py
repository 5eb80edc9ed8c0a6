"""The event loop's side of SIP: keeps the clock, looks names up, hands events on. Which sockets there are is
`sockets`' to say; every rule of SIP lives in the user agent behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
import time
from collections.abc import Callable, Mapping

import structlog

from offhook.sip.connections import Hall
from offhook.sip.digest import Credentials
from offhook.sip.events import SipEvent
from offhook.sip.offeranswer import LocalMedia
from offhook.sip.outgoing import OutgoingSession
from offhook.sip.settings import Refusal, SipSettings
from offhook.sip.sockets import TRANSPORTS, Sockets
from offhook.sip.transaction import Flow, Source
from offhook.sip.trunk import Terms
from offhook.sip.useragent import UserAgent

log = structlog.get_logger("offhook.sip")

NAME_LIFE_S = 60.0
_PORT_ATTEMPTS = 16


class SipEndpoint:
    """A SIP endpoint on one address; see the package's page. All of it runs on one event loop's thread."""

    def __init__(self, settings: SipSettings, on_event: Callable[[SipEvent], None]) -> None:
        """Raises ValueError where a trunk's source is no address, a transport is unknown, or TLS has no certificate
        that can be used."""
        if not settings.transports or settings.transports - set(TRANSPORTS):
            raise ValueError(f"sip transports {sorted(settings.transports)} must be of {', '.join(TRANSPORTS)}")
        self._settings = settings
        self._on_event = on_event
        self._agent = UserAgent(settings, time.monotonic, self._reachable_at)
        self._agent.wake = self._wake
        self._sockets = Sockets(settings, Hall(self._deliver, self._agent.welcome, self._agent.unreachable, self._lost))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._woken = False
        self._idle = asyncio.Event()
        self._names: dict[str, tuple[float, str]] = {}
        self._asking: dict[str, list[tuple[Flow, bytes]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._sources: dict[str, str] = {}

    @property
    def local(self) -> tuple[str, int]:
        """Address and port that are bound, once started: those of UDP and TCP where they are in use."""
        return self._settings.bind[0], next(iter(self.ports.values()))

    @property
    def ports(self) -> Mapping[str, int]:
        """The port that each transport in use listens on."""
        return self._sockets.ports

    @property
    def refuse(self) -> Refusal | None:
        """Where set, new calls and OPTIONS are refused so."""
        return self._agent.refuse

    @refuse.setter
    def refuse(self, refusal: Refusal | None) -> None:
        self._agent.refuse = refusal

    @property
    def calls(self) -> int:
        """Calls that stand or are being made or answered."""
        return len(self._agent.sessions)

    async def start(self) -> None:
        """Bind. Raises OSError, which names the address, where it is taken or not this machine's."""
        self._loop = asyncio.get_running_loop()
        host, port = self._settings.bind
        for attempt in range(_PORT_ATTEMPTS):
            try:
                await self._sockets.open(host, port)
                log.info("sip.listening", host=host, ports=dict(self.ports))
                return
            except OSError as error:
                await self._sockets.close()
                # Port 0: UDP took one whose TCP twin was taken. Another will do.
                if port != 0 or attempt == _PORT_ATTEMPTS - 1:
                    why = os.strerror(error.errno) if error.errno else str(error)
                    raise OSError(
                        error.errno, f"cannot listen for SIP on {host}:{port}: {why}; choose another address or port"
                    ) from None

    async def stop(self, grace_s: float = 2.0) -> None:
        """End every call, give the peers `grace_s` seconds to confirm, and close the sockets."""
        self._agent.refuse = self._agent.refuse or Refusal()
        for session in list(self._agent.sessions):
            session.hang_up("the server stops")
        self._settle()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._idle.wait()
        self._settle()
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await self._sockets.close()
        self._loop = None

    def call(
        self,
        uri: str,
        media: LocalMedia,
        caller: str | None = None,
        auth: Credentials | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> OutgoingSession:
        """Call `uri` (sip:user@host:port, `;transport=tcp` or `tls`; a host name is looked up, IPv4 first). One of our
        own users is reached where they have registered; 480 is told where they have not.

        `caller` is a URI, or `"Name" <sip:user@host>`; us without a user where left out. `headers` are added to the
        INVITE. Events follow: `Progress`, then `Answered` or `Failed`. Raises `Malformed` where `uri` cannot be
        called."""
        if caller is None:
            host, port = self._reachable_at(Flow("udp", "192.0.2.1", 5060))
            caller = f"sip:offhook@{f'[{host}]' if ':' in host else host}:{port}"
        return self._agent.call(uri, media, caller, auth, headers)

    def terms(self, uri: str) -> Terms:
        """What a call to `uri` is made of: `terms(uri).offer(address, port)` are the media for `call`. Raises
        `Malformed` where it is no URI."""
        return self._agent.terms(uri)

    def registered(self, user: str) -> bool:
        """Whether `user` of one of the trunks has registered and can be reached."""
        return self._agent.registered(user)

    # --- sockets

    def _deliver(self, data: bytes, source: Source) -> None:
        try:
            self._agent.receive(data, source)
        except Exception:
            # A bug of ours: this message is lost, every other call goes on.
            log.exception("sip.receive-failed", source=source.address)
        self._wake()

    def _lost(self, connection: int) -> None:
        self._agent.lost(connection)
        self._wake()

    def _send(self, flow: Flow, data: bytes) -> None:
        if self._sockets.send_over(flow, data):
            return
        host = self._address_of(flow.host)
        if host is None and not flow.web:
            return self._ask(flow, data)
        try:
            self._sockets.send((host or flow.host, flow.port), flow, data)
        except (OSError, ValueError) as error:
            self._agent.unreachable(flow, f"cannot send to {host or flow.host}:{flow.port}: {error}")

    # --- the clock, and what verbs left to do

    def _wake(self) -> None:
        if not self._woken and self._loop is not None:
            self._woken = True
            self._loop.call_soon(self._settle)

    def _settle(self) -> None:
        """Send what is to be sent, tell what is to be told, and sleep until the next timer."""
        self._woken = False
        if self._loop is None:
            return
        try:
            self._agent.advance()
        except Exception:
            log.exception("sip.timer-failed")  # a bug of ours: the other calls go on
        for flow, data in self._agent.take_sends():
            self._send(flow, data)
        for event in self._agent.take_events():
            try:
                self._on_event(event)
            except Exception:
                log.exception("sip.event-failed", sip_event=type(event).__name__)
        if self._agent.busy or self._agent.sessions:
            self._idle.clear()
        else:
            self._idle.set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._agent.next_due()
        if due is not None:
            self._timer = self._loop.call_later(max(0.0, due - time.monotonic()), self._settle)

    # --- names and addresses

    def _address_of(self, host: str) -> str | None:
        """The IP address of `host`, None where it has to be looked up first."""
        try:
            return str(ipaddress.ip_address(host))
        except ValueError:
            pass
        until, address = self._names.get(host, (0.0, ""))
        return address if until > time.monotonic() else None

    def _ask(self, flow: Flow, data: bytes) -> None:
        assert self._loop is not None, "only a started endpoint sends"
        waiting = self._asking.get(flow.host)
        if waiting is not None:
            if len(waiting) < 100:
                waiting.append((flow, data))
            return
        self._asking[flow.host] = [(flow, data)]
        task = self._loop.create_task(self._look_up(flow.host))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look_up(self, host: str) -> None:
        assert self._loop is not None, "only a started endpoint looks names up"
        family = socket.AF_INET6 if ":" in self._settings.bind[0] else socket.AF_INET
        try:
            found = await self._loop.getaddrinfo(host, None, family=family, type=socket.SOCK_DGRAM)
            self._names[host] = (time.monotonic() + NAME_LIFE_S, str(found[0][4][0]))
        except (OSError, UnicodeError) as error:
            for flow, _ in self._asking.pop(host, []):
                self._agent.unreachable(flow, f"the name {host} is not known: {error}")
            return
        if len(self._names) > 1_000:
            self._names.pop(next(iter(self._names)))
        for flow, data in self._asking.pop(host, []):
            self._send(flow, data)

    def _reachable_at(self, flow: Flow) -> tuple[str, int]:
        """What a peer at `flow` should know us by."""
        host, port = self._settings.bind[0], self.ports.get(flow.transport) or self.local[1]
        if self._settings.advertise is not None:
            return self._settings.advertise, port
        if not ipaddress.ip_address(host).is_unspecified:
            return host, port
        if flow.host not in self._sources:
            if len(self._sources) > 4096:
                self._sources.clear()
            self._sources[flow.host] = _outgoing_address(flow.host, ":" in host)
        return self._sources[flow.host], port


def _outgoing_address(peer: str, ipv6: bool) -> str:
    """The address of this machine that packets to `peer` leave from; asking sends nothing."""
    with socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for target in (peer, "2001:db8::1" if ipv6 else "192.0.2.1"):
            try:
                ipaddress.ip_address(target)  # a name would block the loop while it is looked up
                probe.connect((target, 5060))
                return str(probe.getsockname()[0])
            except (OSError, ValueError):
                continue
    return "::1" if ipv6 else "127.0.0.1"

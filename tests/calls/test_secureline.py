"""A media port's way to a browser, or to a telephone that speaks DTLS without ICE, on a real port: whom it listens to,
when it has keys, and what it survives. The peer is a socket whose checks aioice writes and whose SRTP pylibsrtp
seals."""

from __future__ import annotations

import asyncio
import select
import socket
import struct
from collections.abc import AsyncIterator, Callable
from typing import Any

import pylibsrtp
import pytest
from aioice import stun

from offhook.calls import secureline
from offhook.calls.secureline import Connected, Failed, LineEvent, Lost, Moved, SecureLine
from offhook.media import Datagram, Digit, MediaCore, MediaEvent, MediaStarted, Remote
from offhook.sip.icedtls import AgreedDtls, Fingerprint, Ice
from offhook.webrtc import Certificate, Credentials, Dtls, DtlsIdentity, SrtpKeys, ice
from offhook.webrtc.dtls import Keyed, Transmit

LIMIT_S = 10.0
THEIRS = DtlsIdentity(Certificate.make())
PROFILES = {
    "AEAD_AES_128_GCM": pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    "AES_CM_128_HMAC_SHA1_80": pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
}


class Peer:
    """A browser's socket. Everything it does it does at once, and waits for the answer."""

    def __init__(self, line: SecureLine) -> None:
        self.line = line
        self.credentials = Credentials.fresh()
        self.dtls = Dtls(THEIRS, (Fingerprints.ours(line),), active=True)
        self.keys: SrtpKeys | None = None
        self.socket = self._socket()
        self.sent = 0

    def _socket(self) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind(("127.0.0.1", 0))
        made.connect(self.line.port.address)
        made.setblocking(False)
        return made

    def moves(self) -> None:
        """Another network: another address."""
        self.socket.close()
        self.socket = self._socket()

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.socket.getsockname()
        return host, port

    async def checks(self, nominate: bool = True) -> stun.Message:
        """Check the way to the server, and have the answer."""
        self.socket.send(self.check(nominate))
        return stun.parse_message(await self.hears())

    def check(self, nominate: bool = True) -> bytes:
        """A check of the way to the server."""
        ours = self.line.local().ice
        assert ours is not None
        attributes: dict[str, Any] = {
            "USERNAME": f"{ours.ufrag}:{self.credentials.fragment}",
            "PRIORITY": 1_000,
            "ICE-CONTROLLING": 1,
        }
        if nominate:
            attributes["USE-CANDIDATE"] = None
        message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, attributes=attributes)
        message.add_message_integrity(ours.pwd.encode())
        return bytes(message)

    async def hears(self) -> bytes:
        """The next datagram that is no media."""
        while True:
            # Not `wait_for`: where a datagram comes just as somebody cancels this, it forgets the cancelling (3.11).
            async with asyncio.timeout(LIMIT_S):
                data = await asyncio.get_running_loop().sock_recv(self.socket, 2_000)
            if not 128 <= data[0] <= 191:
                return data

    async def shakes(self) -> None:
        """DTLS, until there are keys."""
        events = self.dtls.start()
        while True:
            for event in events:
                if isinstance(event, Transmit):
                    self.socket.send(event.data)
                elif isinstance(event, Keyed):
                    self.keys = event.keys
                else:
                    raise TurnedAwayError
            if self.keys is not None:
                return
            events = self.dtls.receive(await self.hears())

    def session(self) -> pylibsrtp.Session:
        assert self.keys is not None
        policy = pylibsrtp.Policy(
            key=self.keys.send,
            ssrc_type=pylibsrtp.Policy.SSRC_ANY_OUTBOUND,
            srtp_profile=PROFILES[self.keys.suite],
        )
        return pylibsrtp.Session(policy)

    def rtp(self, kind: int, payload: bytes, marker: bool = False, timestamp: int | None = None) -> bytes:
        self.sent += 1
        at = self.sent * 160 if timestamp is None else timestamp
        return struct.pack("!BBHII", 0x80, kind | 0x80 * marker, self.sent, at, 0xCAFE) + payload


class TurnedAwayError(Exception):
    """The server ended the handshake."""


class Fingerprints:
    """Of both sides, as each module has them."""

    @staticmethod
    def ours(line: SecureLine) -> Any:
        return line._identity.fingerprint

    @staticmethod
    def theirs() -> tuple[Fingerprint, ...]:
        own = THEIRS.fingerprint
        return (Fingerprint(own.algorithm, own.value),)


class Server:
    """A port with its line, and what both report."""

    def __init__(self, core: MediaCore) -> None:
        self.core = core
        self.port = core.open("line")
        self.told: list[LineEvent] = []
        self.media: list[MediaEvent] = []
        self._news = asyncio.Event()
        self.line = SecureLine(self.port, DtlsIdentity(Certificate.make()))
        self.line.listen(self._tell)

    def agree(self, peer: Peer) -> None:
        """Offer and answer have crossed."""
        theirs = Ice(peer.credentials.fragment, peer.credentials.password)
        self.line.take(theirs)
        self.line.begin(AgreedDtls(False, Fingerprints.theirs(), theirs))
        self.port.remote(Remote(("127.0.0.1", 9), "ulaw", 0, 101, rtcp_mux=True, secure=True))

    def agree_without_ice(self, address: tuple[str, int], active: bool = False) -> None:
        """Offer and answer have crossed, and name these as the peer's address and who begins."""
        self.line.at(address)
        self.line.begin(AgreedDtls(active, Fingerprints.theirs(), None))
        self.port.remote(Remote(("127.0.0.1", 9), "ulaw", 0, 101, rtcp_mux=True, secure=True))

    def on_media(self) -> None:
        self.media += self.core.events()
        for datagram in self.core.datagrams():
            self.line.receive(datagram)
        self._news.set()

    def _tell(self, event: LineEvent) -> None:
        self.told.append(event)
        self._news.set()

    async def until(self, look: Callable[[], Any]) -> Any:
        async with asyncio.timeout(LIMIT_S):
            while not (found := look()):
                self._news.clear()
                await self._news.wait()
        return found

    async def tells(self, event: LineEvent) -> None:
        await self.until(lambda: event in self.told)

    async def reports(self, kind: type[MediaEvent]) -> Any:
        return await self.until(lambda: next((each for each in self.media if isinstance(each, kind)), None))


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    loop = asyncio.get_running_loop()
    with MediaCore(ports=(26000, 27999)) as core:
        made = Server(core)
        loop.add_reader(core.fileno(), made.on_media)
        yield made
        loop.remove_reader(core.fileno())
        made.line.close()


@pytest.fixture
async def peer(server: Server) -> Peer:
    return Peer(server.line)


async def connected(server: Server, peer: Peer) -> None:
    server.agree(peer)
    await peer.checks()
    await peer.shakes()
    await server.tells(Connected())


async def test_audio_flows_once_address_and_keys_are_there(server: Server, peer: Peer) -> None:
    server.agree(peer)
    answer = await peer.checks(nominate=False)
    assert answer.attributes["XOR-MAPPED-ADDRESS"] == peer.address
    assert server.line.selected is None and server.told == []
    await peer.checks()
    assert server.line.selected == peer.address
    await peer.shakes()
    await server.tells(Connected())
    assert peer.keys is not None and server.line.suite == peer.keys.suite
    sealed = peer.session()
    for _ in range(6):
        peer.socket.send(sealed.protect(peer.rtp(0, b"\xff" * 160)))
    started = await server.reports(MediaStarted)
    assert started.address == peer.address


async def test_keys_pressed_in_the_audio_are_told(server: Server, peer: Peer) -> None:
    await connected(server, peer)
    sealed = peer.session()
    for _ in range(6):
        peer.socket.send(sealed.protect(peer.rtp(0, b"\xff" * 160)))
    at = (peer.sent + 1) * 160
    for number in range(8):
        event = struct.pack("!BBH", 5, 0x80 * (number > 4) + 10, 160 * min(number + 1, 6))
        peer.socket.send(sealed.protect(peer.rtp(101, event, marker=number == 0, timestamp=at)))
    assert (await server.reports(Digit)).digit == "5"


async def test_a_client_hello_from_anywhere_else_is_not_even_seen(server: Server, peer: Peer) -> None:
    """Whoever says hello first must not get the keys: the peer is known by its checks (ES2023-01)."""
    server.agree(peer)
    racer = Peer(server.line)
    (hello,) = [event.data for event in racer.dtls.start() if isinstance(event, Transmit)]
    racer.socket.send(hello)
    await peer.checks()
    racer.socket.send(hello)
    await peer.checks()  # answered after what came before it
    assert not select.select([racer.socket], [], [], 0)[0]
    await peer.shakes()
    await server.tells(Connected())
    assert not select.select([racer.socket], [], [], 0)[0]


async def test_a_network_change_is_survived_by_a_restart_with_the_same_keys(server: Server, peer: Peer) -> None:
    await connected(server, peer)
    sealed, keys = peer.session(), peer.keys
    peer.moves()
    peer.credentials = Credentials.fresh()
    server.agree(peer)  # answered with credentials of ours that are new as well
    assert server.line.connected
    await peer.checks()
    await server.tells(Moved(peer.address))
    for _ in range(6):
        peer.socket.send(sealed.protect(peer.rtp(0, b"\xff" * 160)))
    await server.until(
        lambda: any(isinstance(each, MediaStarted) and each.address == peer.address for each in server.media)
    )
    assert peer.keys == keys and server.told == [Connected(), Moved(peer.address)]


async def test_a_page_that_was_loaded_anew_shakes_hands_anew(server: Server, peer: Peer) -> None:
    await connected(server, peer)
    global THEIRS
    before, THEIRS = THEIRS, DtlsIdentity(Certificate.make())
    try:
        again = Peer(server.line)
        server.agree(again)
        assert server.told == [Connected(), Lost()]
        await again.checks()
        await again.shakes()
        await server.until(lambda: server.told[-1] == Connected())
        assert again.keys is not None and peer.keys is not None and again.keys.send != peer.keys.send
    finally:
        THEIRS = before


async def test_a_peer_that_falls_silent_is_lost_and_may_come_back(
    server: Server, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ice, "CONSENT_S", 0.5)
    await connected(server, peer)
    await server.tells(Lost())
    assert server.line.selected is None
    await peer.checks()
    await server.until(lambda: server.told[-1] == Connected())


async def test_a_peer_that_says_goodbye_is_lost(server: Server, peer: Peer) -> None:
    await connected(server, peer)
    for event in peer.dtls.close():
        assert isinstance(event, Transmit)
        peer.socket.send(event.data)
    await server.tells(Lost())


async def test_a_peer_that_never_comes_is_given_up(server: Server, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secureline, "CONNECT_S", 0.3)
    server.agree(peer)
    (failed,) = await server.until(lambda: server.told)
    assert failed == Failed("no connectivity check arrived within 0.3 s")


async def test_a_line_that_was_closed_says_goodbye_and_nothing_more(server: Server, peer: Peer) -> None:
    await connected(server, peer)
    server.line.close()
    assert (await peer.hears())[0] == 21  # an alert
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await peer.checks()
    assert server.told == [Connected()]


async def test_what_comes_for_a_port_that_is_gone_ends_its_own_line_alone(server: Server, peer: Peer) -> None:
    """Datagrams of all lines are handed out one after the other: none may keep the next from its own."""
    server.agree(peer)
    check = Datagram(server.port.number, peer.address, peer.check())
    server.port.close()
    server.line.receive(check)
    assert [type(event) for event in server.told] == [Failed]


@pytest.mark.parametrize("active", [False, True])
async def test_without_ice_the_peer_is_where_its_description_says(server: Server, peer: Peer, active: bool) -> None:
    peer.dtls = Dtls(THEIRS, (Fingerprints.ours(server.line),), active=not active)
    server.agree_without_ice(peer.address, active)
    await peer.shakes()
    await server.tells(Connected())
    sealed = peer.session()
    for _ in range(6):
        peer.socket.send(sealed.protect(peer.rtp(0, b"\xff" * 160)))
    assert (await server.reports(MediaStarted)).address == peer.address


async def test_without_ice_a_peer_behind_nat_is_known_by_its_certificate_and_nobody_is_in_its_way(
    server: Server, peer: Peer
) -> None:
    described = Peer(server.line)  # where its description says that it is, and nobody answers
    others = [Peer(server.line) for _ in range(secureline.MOST_KNOCKING + 1)]
    server.agree_without_ice(described.address)
    for other in others:
        other.dtls = Dtls(DtlsIdentity(Certificate.make()), (Fingerprints.ours(server.line),), active=True)
    for other in others[:-1]:
        (hello,) = [event.data for event in other.dtls.start() if isinstance(event, Transmit)]
        other.socket.send(hello)
        answer = await other.hears()
        # HelloVerifyRequest: whose address is forged is sent no more than they sent.
        assert answer[0] == 22 and answer[13] == 3 and len(answer) <= len(hello)
    with pytest.raises(TurnedAwayError):
        await others[-1].shakes()
    assert server.told == [] and not server.line.connected
    await peer.shakes()
    await server.tells(Connected())
    assert server.line.selected == peer.address and server.told == [Connected()]
    sealed = peer.session()
    for _ in range(6):
        peer.socket.send(sealed.protect(peer.rtp(0, b"\xff" * 160)))
    assert (await server.reports(MediaStarted)).address == peer.address


async def test_without_ice_another_certificate_at_the_described_address_ends_the_line(
    server: Server, peer: Peer
) -> None:
    server.agree_without_ice(peer.address)
    peer.dtls = Dtls(DtlsIdentity(Certificate.make()), (Fingerprints.ours(server.line),), active=True)
    with pytest.raises(TurnedAwayError):
        await peer.shakes()
    (failed,) = await server.until(lambda: server.told)
    assert isinstance(failed, Failed)

"""What reaches a browser's line before its audio, as targets: STUN, the ICE agent it is for, and DTLS in every state.

A message with a signature would never get past it by chance: what is to reach the agent is signed here, with the right
password, whatever else is wrong with it. DTLS likewise is changed on its way between two real ends.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterator

from offhook.webrtc import stun
from offhook.webrtc.certificate import Certificate
from offhook.webrtc.dtls import MTU, Closed, Dtls, DtlsEvent, DtlsIdentity, Failed, Keyed, Transmit
from offhook.webrtc.ice import MOST_PAIRS, Credentials, IceLite, Reply
from tests.hostile.running import Target
from tests.webrtc.test_ice import PEER, check
from tests.webrtc.test_stun import REQUEST, RESPONSE_V4, RESPONSE_V6, with_fingerprint

# --- STUN


def _answerable(message: stun.Message) -> None:
    message.is_authentic("password")
    unknown = message.unknown((stun.USERNAME,))
    for source in (("192.0.2.1", 4000), ("2001:db8::1", 65535)):
        said = stun.parse(stun.success(message, source, "password"))
        assert said.transaction == message.transaction and said.is_authentic("password")
    assert stun.parse(stun.error(message, 420, "password", unknown)).is_authentic("password")


@contextlib.contextmanager
def _stun() -> Iterator[Callable[[bytes], None]]:
    def take(data: bytes) -> None:
        with contextlib.suppress(stun.NotStun):
            _answerable(stun.parse(data))
        if len(data) >= 20:
            _answerable(stun.parse(with_fingerprint(data[:1200] + bytes(-len(data[:1200]) % 4))))

    yield take


# --- ICE


def attributes(datagram: bytes) -> bytes:
    """Those of a check, without its proofs."""
    end = 20
    while end < len(datagram):
        number, size = struct.unpack_from("!HH", datagram, end)
        if number == stun.INTEGRITY:
            break
        end += 4 + size + -size % 4
    return datagram[20:end]


def signed(kind: int, body: bytes, password: str) -> bytes:
    body = body[:1100]
    return stun._signed(kind, b"transaction.", body + bytes(-len(body) % 4), password)


OURS = b"@@ours@@"
"""In an input: our fragment, which is eight characters as well."""


@contextlib.contextmanager
def _ice() -> Iterator[Callable[[bytes], None]]:
    def take(data: bytes) -> None:
        """Datagrams, each behind two bytes for its length, one for its source and what is done to it, one for the time
        since the last."""
        agent, now_s, at = IceLite(PEER), 0.0, 0
        while at + 4 <= len(data):
            size, how, later = struct.unpack_from("!HBB", data, at)
            body = data[at + 4 : at + 4 + size]
            at += 4 + size
            now_s += later / 8
            if how & 0x80:
                agent.restart(Credentials("again", "p" * 24) if how & 1 else None)
            if how & 0x40:
                body = body.replace(OURS, agent.local.fragment.encode())
                body = signed(stun.BINDING_REQUEST, body, agent.local.password)
            source = ("192.0.2.1", 1024 + (how & 0x3F) * 50 + later % 50)
            for event in agent.receive(body, source, now_s):
                assert not isinstance(event, Reply) or (event.to == source and stun.parse(event.data))
            assert len(agent._generation.pairs) <= MOST_PAIRS
            due = agent.due()
            assert (due is not None) == (agent.selected is not None)
            if due is not None and how & 0x20:
                now_s = max(now_s, due)
                agent.expire(now_s)

    yield take


def _step(body: bytes, how: int = 0x40, later: int = 1) -> bytes:
    return struct.pack("!HBB", len(body), how, later) + body


def _body(nominate: bool, **more: object) -> bytes:
    agent = IceLite(PEER)
    body = attributes(check(agent, nominate=nominate, **more))
    return body.replace(agent.local.fragment.encode(), OURS)


# --- DTLS

SERVER, CLIENT = DtlsIdentity(Certificate.make()), DtlsIdentity(Certificate.make())
RECORDS = [bytes([kind]) + b"\xfe\xfd" + bytes(8) + b"\x00\x08" + bytes(8) for kind in (20, 21, 22, 23, 24, 63)]
EDITS = 8
"""Bytes of an input for each datagram: what is done with it, where, and with what."""


def edited(datagram: bytes, edit: bytes) -> list[bytes]:
    """What arrives of a datagram: nothing, itself, or something like it."""
    kind, first, second, value = struct.unpack("!BHHB", edit[:6])
    data = bytearray(datagram)
    start = first % len(data)
    end = min(len(data), start + second % 64)
    match kind % 9:
        case 0 | 1:
            return [datagram]
        case 2:
            return []
        case 3:
            return [datagram, datagram]
        case 4:
            data[start] ^= value or 1
        case 5:
            del data[start:end]
        case 6:
            data[start:start] = bytes([value]) * (second % 4096)
        case 7:
            data[start:end] = edit[4:8] * 16
        case _:  # a fragment's lengths, in the first handshake message of a record
            data[13 + value % 12 : 14 + value % 12] = edit[1:2]
    return [bytes(data)]


@contextlib.contextmanager
def _dtls() -> Iterator[Callable[[bytes], None]]:
    yield handshake


def handshake(data: bytes) -> None:
    """One input, which says how two ends fare, from either end's first word to the last; what is left of it both are
    told before they begin and after they have keys."""
    server = Dtls(SERVER, (CLIENT.fingerprint,))
    client = Dtls(CLIENT, (SERVER.fingerprint,), active=True)
    early, edits = data[:32], data[32:]
    told: dict[Dtls, list[DtlsEvent]] = {server: [], client: []}
    waiting = {server: list[bytes](), client: list[bytes]()}

    def act(end: Dtls, events: list[DtlsEvent]) -> None:
        for event in events:
            if isinstance(event, Transmit):
                assert 13 <= len(event.data) <= max(MTU, 13)
                waiting[client if end is server else server].append(event.data)
            else:
                told[end].append(event)

    for end in (server, client):
        act(end, end.receive(early))
        act(end, end.start())
        if data and data[0] & 1:
            act(end, end.receive(early))
    for _ in range(12):
        for end in (server, client):
            arrived, waiting[end] = waiting[end], []
            for datagram in arrived[:32]:
                edit, edits = edits[:EDITS].ljust(EDITS, b"\0"), edits[EDITS:]
                for piece in edited(datagram, edit):
                    act(end, end.receive(piece))
            act(end, end.retransmit())
    for end in (server, client):
        act(end, end.receive(data))
        act(end, end.receive(edits))
        act(end, end.close())
        kinds = [type(event) for event in told[end]]
        assert kinds in ([], [Keyed], [Failed], [Closed], [Keyed, Closed]), kinds
    ours, theirs = ([e for e in told[end] if isinstance(e, Keyed)] for end in (server, client))
    if ours and theirs:
        assert ours[0].keys.send == theirs[0].keys.receive


TARGETS = {
    "stun": Target(
        _stun,
        [REQUEST, RESPONSE_V4, RESPONSE_V6, check(IceLite(PEER), nominate=True)],
        (stun.NotStun,),
        [struct.pack("!HH", number, 4) for number in (6, 8, 9, 0x14, 0x20, 0x24, 0x25, 0x8028, 0x8029, 0x802A)],
        longest=stun.MOST_BYTES + 200,
    ),
    "ice": Target(
        _ice,
        [
            _step(_body(False)) + _step(_body(True)) + _step(_body(True), 0x41, 250) + _step(_body(False), 0xC1, 8),
            _step(_body(True), 0x60, 0) + _step(_body(True, ICE_CONTROLLING=..., ICE_CONTROLLED=5), 0x42, 16),
            _step(_body(True, REALM="example")) + _step(check(IceLite(PEER)), 0x00),
        ],
        pieces=[struct.pack("!HH", number, 4) for number in (6, 8, 0x24, 0x25, 0x8028, 0x8029, 0x802A)],
        longest=16_384,
    ),
    "dtls": Target(
        _dtls,
        [
            bytes(32),
            bytes(range(96)),
            b"\x16" * 32 + b"\x04\x00\x20\x00\x05\x40\0\0" * 20,
            *(record + bytes(64) for record in RECORDS),
        ],
        pieces=RECORDS,
        longest=6_000,
    ),
}  # fmt: skip

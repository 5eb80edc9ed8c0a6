"""The DTLS endpoint: against OpenSSL's own programs, and against itself where datagrams are to be lost or forged."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import crypto

from offhook.webrtc.certificate import Certificate, Fingerprint, matches
from offhook.webrtc.dtls import MTU, PROFILES, Closed, Dtls, DtlsEvent, DtlsIdentity, Failed, Keyed, Transmit, datagrams

LIMIT_S = 20.0

OURS, THEIRS = DtlsIdentity(Certificate.make()), DtlsIdentity(Certificate.make())


@dataclass
class Side:
    """An endpoint and what came of it."""

    dtls: Dtls
    out: list[bytes] = field(default_factory=list)
    told: list[DtlsEvent] = field(default_factory=list)

    def act(self, events: list[DtlsEvent]) -> None:
        self.out += [event.data for event in events if isinstance(event, Transmit)]
        self.told += [event for event in events if not isinstance(event, Transmit)]


def sides(told: tuple[Fingerprint, ...] = (THEIRS.fingerprint,)) -> tuple[Side, Side]:
    """A server of ours that was told `told`, and a client."""
    return Side(Dtls(OURS, told)), Side(Dtls(THEIRS, (OURS.fingerprint,), active=True))


def begin(server: Side, client: Side) -> None:
    server.act(server.dtls.start())
    client.act(client.dtls.start())


def carry(server: Side, client: Side, flights: int = 10) -> None:
    """Let what each says reach the other, until nobody says anything more."""
    for _ in range(flights):
        deliver(client, server)
        deliver(server, client)


def deliver(sender: Side, receiver: Side) -> None:
    waiting, sender.out = sender.out, []
    for datagram in waiting:
        receiver.act(receiver.dtls.receive(datagram))


def keyed(side: Side) -> Any:
    (event,) = side.told
    assert isinstance(event, Keyed), event
    return event.keys


def test_both_sides_end_with_each_others_keys() -> None:
    server, client = sides()
    begin(server, client)
    carry(server, client)
    ours, theirs = keyed(server), keyed(client)
    assert ours.suite == theirs.suite == PROFILES[0].suite
    assert ours.send == theirs.receive and ours.receive == theirs.send and ours.send != ours.receive
    assert len(ours.send) == PROFILES[0].key + PROFILES[0].salt
    assert ours.send.hex() not in repr(ours)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.suite)
def test_the_profile_is_one_that_both_take(profile: Any) -> None:
    only = DtlsIdentity(THEIRS.certificate, (profile,))
    server, client = Side(Dtls(OURS, (only.fingerprint,))), Side(Dtls(only, (OURS.fingerprint,), active=True))
    begin(server, client)
    carry(server, client)
    keys = keyed(server)
    assert keys.suite == profile.suite and len(keys.send) == len(keys.receive) == profile.key + profile.salt
    assert keys.send == keyed(client).receive


def test_no_datagram_is_larger_than_passes_everywhere() -> None:
    server, client = sides()
    begin(server, client)
    sizes = []
    for _ in range(10):
        sizes += [len(datagram) for side in (server, client) for datagram in side.out]
        carry(server, client, 1)
    assert keyed(server) and max(sizes) <= MTU
    records = [b"\x16\xfe\xfd" + bytes(8) + size.to_bytes(2, "big") + bytes(size) for size in (600, 500, 80, 1180, 5)]
    assert [len(each) for each in datagrams(b"".join(records))] == [613 + 513, 93, 1193, 18]


@pytest.mark.parametrize("algorithm", ["sha-256", "sha-384", "sha-512"])
def test_a_certificate_is_known_by_its_fingerprint(algorithm: str) -> None:
    certificate = THEIRS.certificate.certificate
    right = Fingerprint.of(certificate, algorithm)
    assert matches(certificate, (right,))
    assert matches(certificate, (Fingerprint(algorithm.upper(), right.value.lower()),))
    wrong = Fingerprint(algorithm, Fingerprint.of(OURS.certificate.certificate, algorithm).value)
    assert not matches(certificate, (wrong,))
    assert matches(certificate, (wrong, right))


def test_only_the_strongest_algorithm_told_counts() -> None:
    certificate = THEIRS.certificate.certificate
    weak = Fingerprint.of(certificate)
    assert not matches(certificate, (weak, Fingerprint.of(OURS.certificate.certificate, "sha-512")))
    assert not matches(certificate, ())
    assert not matches(certificate, (Fingerprint("md5", "00:11"), Fingerprint("sha-1", "é")))


def test_a_peer_with_another_certificate_gets_no_keys() -> None:
    server, client = sides(told=(Certificate.make().fingerprint,))
    begin(server, client)
    carry(server, client)
    (failed,) = server.told
    assert isinstance(failed, Failed), failed
    assert not any(isinstance(event, Keyed) for event in client.told)


def test_a_server_that_is_another_than_signalling_told_is_refused_by_us() -> None:
    server = Side(Dtls(OURS, (THEIRS.fingerprint,)))
    client = Side(Dtls(THEIRS, (Certificate.make().fingerprint,), active=True))
    begin(server, client)
    carry(server, client)
    assert isinstance(client.told[0], Failed)
    assert not any(isinstance(event, Keyed) for event in server.told)


@pytest.mark.filterwarnings("ignore:Passing pyOpenSSL X509 objects")
def test_a_certificate_that_openssl_takes_and_nobody_else_is_refused() -> None:
    """Its time of issue is no time: found by `tests.hostile`."""
    made = Certificate.make()
    der = made.certificate.public_bytes(serialization.Encoding.DER)
    at = der.index(b"\x17\x0d") + 2  # UTCTime: YYMMDDhhmmssZ
    broken = DtlsIdentity(made)
    broken.context.use_certificate(
        crypto.load_certificate(crypto.FILETYPE_ASN1, der[:at] + b"269999999999Z" + der[at + 13 :])
    )
    server = Side(Dtls(OURS, (made.fingerprint,)))
    client = Side(Dtls(broken, (OURS.fingerprint,), active=True))
    begin(server, client)
    carry(server, client)
    assert isinstance(server.told[0], Failed), server.told


def test_nothing_is_taken_before_there_is_a_way_to_the_peer() -> None:
    server, client = sides()
    client.act(client.dtls.start())
    hello = client.out[0]
    assert server.dtls.receive(hello) == [] and server.dtls.due_in_s() is None
    server.act(server.dtls.start())
    assert server.out == []
    server.act(server.dtls.receive(hello))
    assert server.out != []


def test_a_lost_flight_is_sent_again_when_its_time_comes() -> None:
    server, client = sides()
    begin(server, client)
    lose(client)
    client.act(client.dtls.retransmit())
    assert client.out == []  # it is not yet time
    say_again(client)
    deliver(client, server)
    lose(server)
    say_again(client)
    carry(server, client)
    assert keyed(server).send == keyed(client).receive
    assert server.dtls.due_in_s() is None and client.dtls.due_in_s() is None


def test_a_peer_that_missed_our_last_flight_gets_it_again() -> None:
    server, client = sides()
    begin(server, client)
    deliver(client, server)
    deliver(server, client)
    deliver(client, server)
    lose(server)
    assert keyed(server) and client.told == []
    say_again(client)
    carry(server, client)
    assert keyed(server).send == keyed(client).receive


def lose(side: Side) -> None:
    """What it said does not arrive."""
    assert side.out
    side.out.clear()


def say_again(side: Side) -> None:
    """Wait until it is time, by the clock that OpenSSL has of its own, and retransmit."""
    due = side.dtls.due_in_s()
    assert due is not None and 0 < due <= 2.0
    time.sleep(due + 0.01)
    side.act(side.dtls.retransmit())
    assert side.out


def test_closing_is_told_and_ends_it() -> None:
    server, client = sides()
    begin(server, client)
    carry(server, client)
    client.act(client.dtls.close())
    carry(server, client)
    assert isinstance(server.told[-1], Closed)
    assert server.dtls.receive(b"\x16" * 40) == [] and server.dtls.close() == []


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=80), max_size=6), st.integers(0, 3), st.booleans())
def test_garbage_yields_no_keys_and_no_exception(noise: list[bytes], flights: int, framed: bool) -> None:
    server, client = sides(told=(Certificate.make().fingerprint,))
    begin(server, client)
    carry(server, client, flights)
    for each in noise:
        record = bytes([20 + len(each) % 6]) + b"\xfe\xfd" + bytes(8) + len(each).to_bytes(2, "big") + each
        server.act(server.dtls.receive(record if framed else each))
    carry(server, client)
    assert not any(isinstance(event, Keyed) for event in server.told)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=80), max_size=6), st.integers(20, 63))
def test_garbage_after_the_handshake_changes_nothing(noise: list[bytes], kind: int) -> None:
    server, client = sides()
    begin(server, client)
    carry(server, client)
    for each in noise:
        record = bytes([kind]) + b"\xfe\xfd" + bytes(8) + len(each).to_bytes(2, "big") + each
        server.act(server.dtls.receive(record))
        server.act(server.dtls.receive(b"\x15\xfe\xfd" + b"\x00\x01" + bytes(6) + b"\x00\x02\x02\x28"))
    assert keyed(server)
    client.act(client.dtls.close())
    carry(server, client)
    assert isinstance(server.told[-1], Closed)


# --- OpenSSL's own programs


@pytest.fixture
def identity_files(tmp_path: Path) -> tuple[str, str]:
    """The peer's certificate and key as files."""
    certificate = THEIRS.certificate
    cert, key = tmp_path / "peer.pem", tmp_path / "peer.key"
    cert.write_bytes(certificate.certificate.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        certificate.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return str(cert), str(key)


class Socket(asyncio.DatagramProtocol):
    """An endpoint of ours on a socket, with its timer."""

    def __init__(self, dtls: Dtls, to: tuple[str, int] | None = None) -> None:
        self.dtls, self.to = dtls, to
        self.over: asyncio.Future[DtlsEvent] = asyncio.get_running_loop().create_future()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)
        self._act(self.dtls.start())

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.to = addr
        self._act(self.dtls.receive(data))

    def close(self) -> None:
        self._act(self.dtls.close())
        self.transport.close()

    def _act(self, events: list[DtlsEvent]) -> None:
        for event in events:
            if isinstance(event, Transmit):
                self.transport.sendto(event.data, self.to)
            elif not self.over.done():
                self.over.set_result(event)
        if self._timer is not None:
            self._timer.cancel()
        if (due := self.dtls.due_in_s()) is not None:
            self._timer = asyncio.get_running_loop().call_later(due, lambda: self._act(self.dtls.retransmit()))


async def open_socket(dtls: Dtls, to: tuple[str, int] | None = None) -> tuple[Socket, int]:
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Socket(dtls, to), local_addr=("127.0.0.1", 0)
    )
    return protocol, transport.get_extra_info("sockname")[1]


@pytest.fixture
async def openssl() -> AsyncIterator[Any]:
    """Starts OpenSSL's programs: `openssl("s_client", ...)`; those still running at the end are ended."""
    if shutil.which("openssl") is None:
        pytest.skip("skipped: openssl is not installed")
    running: list[asyncio.subprocess.Process] = []

    async def start(*arguments: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            "openssl", *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        running.append(process)
        return process

    yield start
    for process in running:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def says(process: asyncio.subprocess.Process, pattern: str) -> re.Match[str]:
    """Wait until the program prints what matches."""
    said = ""
    assert process.stdout is not None
    async with asyncio.timeout(LIMIT_S):
        while (found := re.search(pattern, said)) is None:
            more = await process.stdout.read(4096)
            assert more, said
            said += more.decode(errors="replace")
    return found


KEYS = ("-use_srtp", "SRTP_AES128_CM_SHA1_80", "-keymatexport", "EXTRACTOR-dtls_srtp", "-keymatexportlen", "60")


async def test_openssls_client_has_the_keys_that_we_have(openssl: Any, identity_files: tuple[str, str]) -> None:
    cert, key = identity_files
    socket, port = await open_socket(Dtls(OURS, (THEIRS.fingerprint,)))
    try:
        to = f"127.0.0.1:{port}"
        client = await openssl("s_client", "-dtls1_2", "-connect", to, "-cert", cert, "-key", key, *KEYS)
        material = await says(client, r"Keying material: ([0-9A-F]{120})")
        event = await asyncio.wait_for(socket.over, LIMIT_S)
        assert isinstance(event, Keyed), event
        secret = bytes.fromhex(material[1])
        assert event.keys.suite == "AES_CM_128_HMAC_SHA1_80"
        assert event.keys.receive == secret[:16] + secret[32:46]
        assert event.keys.send == secret[16:32] + secret[46:60]
    finally:
        socket.close()


async def test_openssls_server_has_the_keys_that_we_have(openssl: Any, identity_files: tuple[str, str]) -> None:
    cert, key = identity_files
    probe, port = await open_socket(Dtls(OURS, ()))
    probe.close()
    # `-Verify` has it ask for our certificate, as a WebRTC peer does.
    server = await openssl(
        *("s_server", "-dtls1_2", "-accept", f"127.0.0.1:{port}", "-cert", cert, "-key", key, "-Verify", "1", *KEYS)
    )
    await says(server, r"ACCEPT")
    socket, _ = await open_socket(Dtls(OURS, (THEIRS.fingerprint,), active=True), ("127.0.0.1", port))
    try:
        event = await asyncio.wait_for(socket.over, LIMIT_S)
        assert isinstance(event, Keyed), event
        material = await says(server, r"Keying material: ([0-9A-F]{120})")
        secret = bytes.fromhex(material[1])
        assert event.keys.send == secret[:16] + secret[32:46]
        assert event.keys.receive == secret[16:32] + secret[46:60]
    finally:
        socket.close()


async def test_a_client_without_a_certificate_is_refused(openssl: Any) -> None:
    socket, port = await open_socket(Dtls(OURS, (THEIRS.fingerprint,)))
    try:
        await openssl("s_client", "-dtls1_2", "-connect", f"127.0.0.1:{port}", *KEYS)
        event = await asyncio.wait_for(socket.over, LIMIT_S)
        assert isinstance(event, Failed) and "certificate" in event.why, event
    finally:
        socket.close()


async def test_a_client_that_wants_no_srtp_is_refused(openssl: Any, identity_files: tuple[str, str]) -> None:
    cert, key = identity_files
    socket, port = await open_socket(Dtls(OURS, (THEIRS.fingerprint,)))
    try:
        await openssl("s_client", "-dtls1_2", "-connect", f"127.0.0.1:{port}", "-cert", cert, "-key", key)
        event = await asyncio.wait_for(socket.over, LIMIT_S)
        assert isinstance(event, Failed) and "SRTP" in event.why, event
    finally:
        socket.close()

"""A port in the hands of ICE: what is handed up and posted, whose media it takes, and how its far end changes in the
middle of a stream. What STUN and DTLS mean is nothing to it: datagrams are told by their first byte."""

from __future__ import annotations

import select
import socket
import struct
import time

import pytest

from offhook.media import Datagram, MediaCore, MediaError, MediaStarted, Port, SlotSegment
from offhook.speech.slots import Segment
from tests.media.securephone import SecureTelephone, new_keys
from tests.media.telephone import LOUD, Ears, Telephone, Worker, level, until

STUN = struct.pack("!HHI12s", 1, 0, 0x2112A442, b"twelve bytes")
DTLS = b"\x16\xfe\xfd" + bytes(60)
BURST = 100


@pytest.fixture
def port(core: MediaCore) -> Port:
    """One in ICE's hands, which has selected nobody yet."""
    made = core.open()
    made.ice(True)
    return made


def datagrams(core: MediaCore, count: int) -> list[Datagram]:
    """So many, waited for on the core's descriptor."""
    found: list[Datagram] = []
    end = time.monotonic() + 10
    while len(found) < count:
        left = end - time.monotonic()
        assert left > 0, f"only {len(found)} of {count} datagrams came"
        select.select([core.fileno()], [], [], left)
        found += core.datagrams()
    return found


def readable(core: MediaCore) -> bool:
    return bool(select.select([core.fileno()], [], [], 0)[0])


def test_stun_from_anywhere_is_handed_up_and_answered_from_the_ports_own_address(core: MediaCore, port: Port) -> None:
    with Telephone() as one, Telephone("127.0.0.2") as other:
        before = time.monotonic_ns()
        one.socket.sendto(STUN, port.address)
        other.socket.sendto(STUN + b"more", port.address)
        came = datagrams(core, 2)
        assert {(d.port, d.source, d.data) for d in came} == {
            (port.number, one.address, STUN),
            (port.number, other.address, STUN + b"more"),
        }
        assert all(before <= d.arrived_ns <= time.monotonic_ns() for d in came)
        for datagram in came:
            port.post(datagram.data[::-1], datagram.source)
        for phone, data in ((one, STUN), (other, STUN + b"more")):
            phone.socket.settimeout(10)
            assert phone.socket.recvfrom(2048) == (data[::-1], port.address)
        assert port.counters().handed_up == 2


def test_before_an_address_is_selected_media_is_nobodys_and_dtls_is_handed_up(
    core: MediaCore, ears: Ears, port: Port, phone: Telephone
) -> None:
    port.remote(phone.remote())
    for _ in range(10):
        phone.say(port)
        phone.socket.sendto(DTLS, port.address)
    until(lambda: port.counters().wrong_source == 10)
    assert phone.silent_for(0.2)
    assert [d.data for d in datagrams(core, 10)] == [DTLS] * 10
    port.select(phone.address)
    phone.hear()
    phone.say(port)
    phone.socket.sendto(DTLS, port.address)
    assert [(d.source, d.data) for d in datagrams(core, 1)] == [(phone.address, DTLS)]
    assert ears.wait(MediaStarted, port).address == phone.address
    assert port.counters().packets_in == 1
    port.select(None)
    phone.drain()
    phone.say(port)
    until(lambda: port.counters().wrong_source == 11)
    assert phone.silent_for(0.2)


def test_only_the_selected_address_is_heard_and_spoken_to(
    core: MediaCore, ears: Ears, port: Port, phone: Telephone
) -> None:
    """Not the one that signalling named, not one with the right stream's name, not the same address's other port."""
    with Telephone("127.0.0.2", phone.ssrc) as stranger, Telephone(ssrc=phone.ssrc) as neighbour:
        port.remote(stranger.remote())
        port.select(phone.address)
        for _ in range(20):
            phone.say(port)
            for other in (stranger, neighbour):
                other.seq = phone.seq
                other.say(port, LOUD)
                other.socket.sendto(DTLS, port.address)
                other.socket.sendto(struct.pack("!BBHI", 0x80, 201, 1, phone.ssrc), port.address)
        until(lambda: port.counters().packets_in == 20 and port.counters().wrong_source == 120)
        assert core.datagrams() == []
        assert stranger.drain() == neighbour.drain() == 0
        assert phone.hear().payload
        assert [event.address for event in ears.listen() if isinstance(event, MediaStarted)] == [phone.address]


def test_another_address_is_selected_in_the_middle_of_a_stream(
    core: MediaCore, ears: Ears, segment: SlotSegment, rows: Segment, port: Port
) -> None:
    """The network changes: the same stream, with the same keys, from and to another address, and not a packet is lost;
    neither are those that were on their way."""
    keys = new_keys()
    with SecureTelephone(keys) as phone, SecureTelephone(keys, "127.0.0.3") as later:
        port.bind(core.attach(segment), 0)
        port.keys(keys)
        port.remote(phone.remote())
        port.select(phone.address)
        for _ in range(10):
            phone.say(port)
        until(lambda: port.counters().packets_in == 10)
        ears.wait(MediaStarted, port)
        last = phone.hear()
        on_its_way = phone.packet()
        port.select(later.address)
        phone.send(port, on_its_way)
        until(lambda: port.counters().packets_in == 11)
        while not phone.silent_for(0.1):
            last = phone.hear()
        for _ in range(10):
            later.socket.sendto(phone.packet(), port.address)
        until(lambda: port.counters().packets_in == 21)
        assert ears.wait(MediaStarted, port, 2).address == later.address
        first = later.hear()
        assert (first.seq - last.seq) % 2**16 == 1
        assert first.ssrc == last.ssrc
        counters = port.counters()
        assert counters.lost == counters.unauthentic == counters.wrong_ssrc == counters.wrong_source == 0


def test_a_flood_of_stun_costs_nobody_else_anything(core: MediaCore, port: Port, phone: Telephone) -> None:
    other = core.open()
    other.ice(True)
    port.remote(phone.remote())
    port.select(phone.address)
    with Telephone("127.0.0.2") as stranger:
        began = time.monotonic()
        for n in range(20):
            for _ in range(50):
                stranger.socket.sendto(STUN, port.address)
            phone.say(port)
            until(lambda n=n: seen(port) == 50 * (n + 1))  # type: ignore[misc]
        phone.socket.sendto(STUN, other.address)
        until(lambda: port.counters().packets_in == 20)
        passed_s = time.monotonic() - began
        counters = port.counters()
        assert BURST <= counters.handed_up <= BURST + 50 * passed_s + 1
        until(lambda: other.counters().handed_up == 1)
        came = core.datagrams()
        assert len([d for d in came if d.port == port.number]) == counters.handed_up
        assert [d.source for d in came if d.port == other.number] == [phone.address]


def test_what_nobody_takes_is_dropped_and_counted(core: MediaCore, phone: Telephone) -> None:
    ports = [core.open() for _ in range(12)]
    for port in ports:
        port.ice(True)
        for n in range(BURST):
            phone.socket.sendto(STUN, port.address)
            if n % 20 == 19:
                until(lambda port=port, n=n: seen(port) == n + 1)  # type: ignore[misc]
    figures = [port.counters() for port in ports]
    assert sum(f.handed_up for f in figures) == 1_024
    assert sum(f.handed_up_dropped for f in figures) == 12 * BURST - 1_024
    assert len(core.datagrams()) == 1_024
    until(lambda: not core.datagrams() and not readable(core))


def seen(port: Port) -> int:
    counters = port.counters()
    return counters.handed_up + counters.handed_up_dropped


def test_the_descriptor_is_readable_until_the_datagrams_are_taken(
    core: MediaCore, port: Port, phone: Telephone
) -> None:
    assert not readable(core)
    phone.socket.sendto(STUN, port.address)
    until(lambda: readable(core))
    assert core.events() == []
    assert readable(core)
    assert len(core.datagrams()) == 1
    assert not readable(core)


def test_what_is_of_no_kind_is_dropped(core: MediaCore, port: Port, phone: Telephone) -> None:
    port.remote(phone.remote())
    port.select(phone.address)
    for first in (4, 16, 19, 64, 79, 127, 192, 255):
        phone.socket.sendto(bytes([first]) + STUN[1:], port.address)
    phone.socket.sendto(STUN + bytes(1_490), port.address)
    until(lambda: port.counters().bad == 9)
    assert core.datagrams() == []


def test_reports_are_on_the_rtp_port_and_the_other_socket_is_gone(
    core: MediaCore, port: Port, phone: Telephone
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((port.address[0], port.address[1] + 1))
    port.remote(phone.remote())
    port.select(phone.address)
    ours = phone.hear().ssrc
    phone.socket.sendto(struct.pack("!BBHIIIIIII", 0x81, 201, 7, phone.ssrc, ours, 64 << 24, 0, 0, 0, 0), port.address)
    until(lambda: port.counters().remote_lost_fraction == 0.25)
    port.close()
    phone.socket.settimeout(10)
    while not 192 <= (data := phone.socket.recv(2048))[1] <= 223:
        pass
    assert data[1] in (200, 201)


def test_a_closed_port_hands_nothing_up_and_posts_nothing(core: MediaCore, port: Port, phone: Telephone) -> None:
    port.select(phone.address)
    port.close()
    for _ in range(10):
        phone.socket.sendto(STUN, port.address)
        phone.socket.sendto(DTLS, port.address)
    assert phone.silent_for(0.2)
    assert core.datagrams() == []
    for call in (
        lambda: port.post(STUN, phone.address),
        lambda: port.select(phone.address),
        lambda: port.ice(False),
    ):
        with pytest.raises(MediaError, match="is closed"):
            call()


def test_signalling_takes_over_again_when_ice_lets_go(core: MediaCore, port: Port, phone: Telephone) -> None:
    with Telephone() as selected:
        port.remote(phone.remote(rtcp_mux=True))
        port.select(selected.address)
        selected.hear()
        port.ice(False)
        phone.hear()
        phone.say(port)
        until(lambda: port.counters().packets_in == 1)
        phone.socket.sendto(STUN, port.address)
        until(lambda: port.counters().bad == 1)
        assert core.datagrams() == []


def test_what_makes_no_sense_is_refused_in_words(core: MediaCore, port: Port) -> None:
    for call, words in (
        (lambda: core.open().select(("127.0.0.1", 9)), "not in the hands of ICE"),
        (lambda: port.select(("127.0.0.1", 0)), "no address to select"),
        (lambda: port.select(("example.org", 9)), "no IPv4 address"),
        (lambda: port.post(STUN, ("127.0.0.1", 0)), "no address to send to"),
        (lambda: port.post(STUN, ("::1", 9)), "no IPv4 address"),
        (lambda: port.post(b"", ("127.0.0.1", 9)), "0 bytes"),
        (lambda: port.post(bytes(1_501), ("127.0.0.1", 9)), "1501 bytes"),
    ):
        with pytest.raises(MediaError, match=words):
            call()


def test_what_is_heard_reaches_the_slot(
    core: MediaCore, segment: SlotSegment, rows: Segment, port: Port, phone: Telephone
) -> None:
    worker = Worker(rows, 0, port.bind(core.attach(segment), 0))
    port.remote(phone.remote())
    port.select(phone.address)
    for _ in range(10):
        phone.say(port, LOUD)
        time.sleep(0.02)
    until(lambda: level(worker.heard()) > 1_000)

"""Whose packets a port takes: the far end's wherever it really is, a stranger's never, and of a flood no more than a
telephone can send. Against bare sockets that speak RTP by hand."""

from __future__ import annotations

import random
import struct
import time

from offhook.media import Digit, MediaCore, MediaStarted, Remote, SlotSegment
from offhook.speech.slots import Segment
from tests.media.telephone import LOUD, Ears, Rtp, Telephone, Worker, level, until


def test_what_another_address_sends_is_not_heard_and_counted(
    core: MediaCore, segment: SlotSegment, rows: Segment, phone: Telephone
) -> None:
    port = core.open()
    worker = Worker(rows, 0, port.bind(core.attach(segment), 0))
    port.remote(phone.remote())
    phone.say(port)
    with Telephone("127.0.0.2", ssrc=66) as stranger, Telephone(ssrc=77) as neighbour:
        for _ in range(30):
            phone.say(port)
            stranger.say(port, LOUD)
            neighbour.say(port, LOUD)
            stranger.ssrc = phone.ssrc  # knowing the stream's name does not help
            time.sleep(0.01)
        until(lambda: port.counters().packets_in == 31)
        counters = port.counters()
        assert counters.wrong_source == 30  # another IP address
        assert counters.wrong_ssrc == 30  # the same IP address, another port and stream
        assert level(worker.heard()) < 100
        assert stranger.drain() == neighbour.drain() == 0
    assert phone.drain() > 5


def test_an_address_nobody_named_is_believed_after_four_packets_in_sequence(core: MediaCore, ears: Ears) -> None:
    port = core.open()
    with Telephone("127.0.0.2") as behind_nat, Telephone("127.0.0.3") as named:
        port.remote(named.remote())
        for n in range(6):
            behind_nat.say(port)
            until(lambda n=n: port.counters().wrong_source + port.counters().packets_in == n + 1)  # type: ignore[misc]
        assert ears.wait(MediaStarted, port).address == behind_nat.address
        assert port.counters().wrong_source == 3
        named.drain()
        behind_nat.hear()
        named.say(port)  # who was named is believed over who was not
        assert ears.wait(MediaStarted, port, 2).address == named.address
        named.hear()
        for _ in range(10):
            behind_nat.say(port)
        until(lambda: port.counters().wrong_source == 13)


def test_scattered_packets_do_not_make_a_stream(core: MediaCore, ears: Ears, phone: Telephone) -> None:
    port = core.open()
    port.remote(Remote(("127.0.0.9", 9), "ulaw", 0))
    for n in range(20):
        phone.seq = (n * 7_919) % 2**16
        phone.say(port)
    until(lambda: port.counters().wrong_source == 20)
    assert not [event for event in ears.listen() if isinstance(event, MediaStarted)]


def test_the_port_may_differ_from_the_signalled_one(core: MediaCore, ears: Ears, phone: Telephone) -> None:
    port = core.open()
    with Telephone() as elsewhere:
        port.remote(elsewhere.remote())
        elsewhere.hear()
        phone.say(port)
        assert ears.wait(MediaStarted, port).address == phone.address
        phone.hear()


def test_new_signalling_moves_the_call(core: MediaCore, ears: Ears, phone: Telephone) -> None:
    port = core.open()
    port.remote(phone.remote())
    phone.say(port)
    ears.wait(MediaStarted, port)
    with Telephone("127.0.0.2", ssrc=99) as other:
        port.remote(other.remote())
        other.say(port)
        assert ears.wait(MediaStarted, port, 2).address == other.address
        other.hear()
        phone.drain()
        assert phone.silent_for(0.1)


def test_a_stream_that_is_renamed_at_its_source_goes_on(
    core: MediaCore, segment: SlotSegment, rows: Segment, phone: Telephone
) -> None:
    port = core.open()
    worker = Worker(rows, 0, port.bind(core.attach(segment), 0))
    port.remote(phone.remote())
    phone.say(port)
    phone.ssrc += 1
    for _ in range(10):
        phone.say(port, LOUD)
        time.sleep(0.02)
    until(lambda: level(worker.heard()) > 1_000)
    assert port.counters().wrong_ssrc == 1


def test_knowing_the_streams_name_does_not_help_a_neighbour(core: MediaCore, ears: Ears, phone: Telephone) -> None:
    port = core.open()
    port.remote(phone.remote())
    phone.say(port)
    with Telephone(ssrc=phone.ssrc) as neighbour:
        for _ in range(30):
            neighbour.seq = phone.seq
            phone.say(port)
            neighbour.say(port, LOUD)
            time.sleep(0.01)
        until(lambda: port.counters().packets_in == 31)
        assert port.counters().wrong_ssrc == 30
        assert neighbour.drain() == 0
    assert len([event for event in ears.listen() if isinstance(event, MediaStarted)]) == 1


def press(key: int, ms: int, ended: bool) -> bytes:
    """A telephone-event payload (RFC 4733)."""
    return struct.pack("!BBH", key, 0x8A if ended else 0x0A, ms * 8)


def test_digits_may_come_in_a_stream_of_their_own(
    core: MediaCore, ears: Ears, segment: SlotSegment, rows: Segment, phone: Telephone
) -> None:
    """Same address, another SSRC, in between the voice's packets: each key is one report, and no voice is lost."""
    port = core.open()
    worker = Worker(rows, 0, port.bind(core.attach(segment), 0))
    port.remote(phone.remote())
    seq, timestamp = 9, 77
    for key in (4, 4, 11):
        timestamp += 5_000
        for n in range(7):
            phone.say(port, LOUD)
            payload = press(key, 20 * min(n + 1, 5), n >= 4)
            packet = Rtp(101, seq, timestamp, phone.ssrc + 5, n == 0, payload)
            phone.socket.sendto(packet.pack(), port.address)
            seq += 1
            time.sleep(0.02)
    ears.wait(Digit, port, 3)
    phone.say(port, LOUD)
    until(lambda: port.counters().packets_in == 22 + 20)
    assert [event.digit for event in ears.listen() if isinstance(event, Digit)] == ["4", "4", "#"]
    counters = port.counters()
    assert counters.wrong_ssrc == 1  # the very first: two in sequence show that a stream comes from there
    assert counters.lost == counters.bad == 0
    assert level(worker.heard()[-1_600:]) > 10_000


def test_a_flood_from_one_telephone_is_cut_to_what_a_telephone_can_send(
    core: MediaCore, ears: Ears, phone: Telephone
) -> None:
    port = core.open()
    port.remote(phone.remote())
    for n in range(3_000):
        phone.timestamp = n * 1_000
        phone.say(port, press(n % 10, 50, True), 101)
        if n % 50 == 0:
            time.sleep(0.002)
    until(lambda: port.counters().packets_in + port.counters().bad > 1_000)
    time.sleep(0.1)
    assert port.counters().packets_in < 1_000
    assert 64 <= len([event for event in ears.listen() if isinstance(event, Digit)]) < 100


def test_rubbish_is_counted_and_the_call_goes_on(core: MediaCore, phone: Telephone) -> None:
    port = core.open()
    port.remote(phone.remote())
    rng = random.Random(1)
    whole = Rtp(0, 1, 1, 1, True, b"\x55" * 160).pack()
    for n in range(400):
        data = bytearray(rng.randbytes(rng.randrange(0, 200)) if n % 2 else whole)
        for _ in range(rng.randrange(3)):
            if data:
                data[rng.randrange(len(data))] = rng.randrange(256)
        phone.socket.sendto(bytes(data[: rng.randrange(len(data) + 1)]), (port.address[0], port.address[1] + n % 2))
    phone.socket.sendto(b"\x80" * 5_000, port.address)
    before = port.counters().packets_out
    until(lambda: port.counters().packets_out > before + 5)
    assert port.counters().bad > 100

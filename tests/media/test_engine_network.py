"""What a port sends and when, what it reports, and how it goes: against bare sockets that speak RTP by hand. (Whose
packets it takes: `test_engine_latching`.)"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from offhook.media import (
    Keys,
    MediaBack,
    MediaCore,
    MediaError,
    MediaLost,
    MediaStarted,
    Port,
    Remote,
    SlotSegment,
    slots,
)
from offhook.media import Segment as Segmented
from offhook.speech.slots import Segment
from tests.media.telephone import LOUD, Ears, Telephone, Worker, level, tone, until


def test_packets_leave_every_20_ms_with_running_numbers(core: MediaCore, phone: Telephone) -> None:
    port = core.open()
    port.remote(phone.remote())
    packets = [phone.hear() for _ in range(25)]
    assert packets[0].marker
    assert not any(packet.marker for packet in packets[1:])
    assert len({packet.ssrc for packet in packets}) == 1
    for before, after in itertools.pairwise(packets):
        assert (after.seq - before.seq) % 2**16 == 1
        assert (after.timestamp - before.timestamp) % 2**32 == 160
    assert {len(packet.payload) for packet in packets} == {160}
    counters = core.counters()
    assert 0 < counters.pacing_p50_us <= counters.pacing_p99_us <= counters.pacing_max_us
    assert counters.packets_out >= 25


@pytest.mark.parametrize("packet_ms", [10, 20, 30, 40, 60])
def test_packets_have_the_length_that_was_agreed(core: MediaCore, phone: Telephone, packet_ms: int) -> None:
    port = core.open()
    port.remote(phone.remote(packet_ms=packet_ms))
    first = phone.hear()
    began = time.monotonic()
    packets = [phone.hear() for _ in range(600 // packet_ms)]
    assert 0.4 < time.monotonic() - began < 1.1, "twice as fast would be 0.3 s, half as fast 1.2 s"
    assert {len(packet.payload) for packet in packets} == {packet_ms * 8}
    assert (packets[-1].timestamp - first.timestamp) % 2**32 == packet_ms * 8 * len(packets)


def test_hold_stops_the_packets_and_not_the_clock(core: MediaCore, phone: Telephone) -> None:
    port = core.open()
    port.remote(phone.remote())
    last = phone.hear()
    clock = port.clock_ms
    port.remote(phone.remote(send=False))
    phone.drain()
    assert phone.silent_for(0.3)
    port.remote(phone.remote())
    resumed = phone.hear()
    assert resumed.marker
    assert resumed.ssrc == last.ssrc
    passed_ms = (resumed.timestamp - last.timestamp) % 2**32 / 8
    assert passed_ms == pytest.approx(port.clock_ms - clock, abs=100)
    assert passed_ms >= 300


def test_a_slots_stream_stands_still_while_the_far_end_holds_us(
    core: MediaCore, segment: SlotSegment, rows: Segment, phone: Telephone
) -> None:
    port = core.open()
    port.bind(core.attach(segment), 0)
    port.remote(phone.remote())
    phone.say(port, LOUD)
    until(lambda: int(rows.heard[0]) > 3_200)
    port.remote(phone.remote(send=False))
    held_at = int(rows.heard[0])
    for _ in range(10):
        phone.say(port, LOUD)  # music on hold
    until(lambda: port.counters().packets_in == 11)
    phone.drain()
    assert phone.silent_for(0.3)
    assert int(rows.heard[0]) == held_at
    port.remote(phone.remote())
    until(lambda: int(rows.heard[0]) > held_at + 3_200)


def test_a_far_end_on_hold_is_not_listened_to(
    core: MediaCore, segment: SlotSegment, rows: Segment, phone: Telephone
) -> None:
    port = core.open()
    worker = Worker(rows, 0, port.bind(core.attach(segment), 0))
    port.remote(phone.remote(receive=False))
    for _ in range(10):
        phone.say(port, LOUD)
    until(lambda: port.counters().packets_in == 10)
    until(lambda: int(rows.heard[0]) > 3_200)
    assert level(worker.heard()) < 100


def test_media_that_stops_is_reported_lost_and_back(core: MediaCore, ears: Ears, phone: Telephone) -> None:
    port = core.open()
    port.remote(phone.remote())
    phone.say(port)
    started, lost = ears.wait(MediaStarted, port), ears.wait(MediaLost, port)
    assert lost.clock_ms - started.clock_ms == pytest.approx(1_000, abs=150)
    phone.say(port)
    ears.wait(MediaBack, port)


def test_media_that_never_comes_is_reported_lost(core: MediaCore, ears: Ears, phone: Telephone) -> None:
    port = core.open()
    port.remote(phone.remote())
    began = port.clock_ms
    assert ears.wait(MediaLost, port, limit_s=15).clock_ms - began == pytest.approx(10_000, abs=300)
    phone.say(port)
    ears.wait(MediaStarted, port)
    ears.wait(MediaLost, port, 2)


def test_reports_are_exchanged_and_the_round_trip_is_known(core: MediaCore) -> None:
    with Telephone() as phone, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtcp:
        rtcp.bind(("127.0.0.1", 0))
        rtcp.settimeout(10)
        port = core.open()
        port.remote(phone.remote(rtcp_port=rtcp.getsockname()[1]))
        for _ in range(5):
            phone.say(port)
        report, source = rtcp.recvfrom(1500)
        assert source == (port.address[0], port.address[1] + 1)
        assert report[1] == 200  # SR
        ssrc, ntp_s, ntp_f = struct.unpack_from("!III", report, 4)
        assert ssrc == phone.hear().ssrc
        assert struct.unpack_from("!I", report, 28)[0] == phone.ssrc, "a block about us"
        lsr = (ntp_s & 0xFFFF) << 16 | ntp_f >> 16
        block = struct.pack("!IIIIII", ssrc, 64 << 24, 0, 0, lsr, 0)
        rtcp.sendto(struct.pack("!BBHI", 0x81, 201, 7, phone.ssrc) + block, source)
        until(lambda: port.counters().remote_lost_fraction == 0.25)
        assert port.counters().rtt_ms < 500
        port.close()
        packets = rtcp.recv(1500)
        kinds = []
        while packets:
            kinds.append(packets[1])
            packets = packets[4 * (struct.unpack_from("!H", packets, 2)[0] + 1) :]
        assert kinds[0] in (200, 201)  # SR, or RR where nothing was sent since the last
        assert kinds[1:] == [202, 207, 203]  # SDES, XR, BYE


def test_reports_come_on_the_rtp_port_where_that_was_agreed(core: MediaCore, phone: Telephone) -> None:
    port = core.open()
    port.remote(phone.remote(rtcp_mux=True))
    phone.hear()
    port.close()
    kinds = set()
    while select.select([phone.socket], [], [], 0.2)[0]:
        kinds.add(phone.socket.recv(1500)[1])
    assert 200 in kinds


@pytest.mark.parametrize("together", [True, False], ids=["to one port", "to a port of their own"])
def test_reports_go_where_later_signalling_wants_them(core: MediaCore, phone: Telephone, together: bool) -> None:
    """A far end may agree to multiplex, or no longer, while its voice goes on where it was."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtcp:
        rtcp.bind(("127.0.0.1", 0))
        apart = rtcp.getsockname()[1]
        port = core.open()
        port.remote(phone.remote(rtcp_mux=not together, rtcp_port=apart))
        phone.hear()
        port.remote(phone.remote(rtcp_mux=together, rtcp_port=apart))
        port.close()
        wanted = phone.socket if together else rtcp
        kinds = set()
        while select.select([wanted], [], [], 0.5)[0]:
            kinds.add(wanted.recv(1500)[1])
        assert 200 in kinds


def test_a_closed_port_drains_before_its_number_is_used_again(core: MediaCore, ears: Ears, phone: Telephone) -> None:
    port = core.open()
    port.remote(phone.remote())
    phone.hear()
    port.close()
    phone.drain()
    for _ in range(5):
        phone.say(port)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other, pytest.raises(OSError, match="in use"):
        other.bind(port.address)
    assert phone.silent_for(0.1)
    assert core.counters().ports == 0

    def free() -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            try:
                other.bind(port.address)
            except OSError:
                return False
            return True

    until(free)
    assert [event for event in ears.listen() if event.port != port.number] == []


def test_a_closed_port_is_nobody_elses_while_packets_still_come(core: MediaCore, phone: Telephone) -> None:
    port = core.open()
    port.close()
    end = time.monotonic() + 4.5
    while time.monotonic() < end:
        phone.say(port)
        time.sleep(0.02)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other, pytest.raises(OSError, match="in use"):
        other.bind(port.address)


def test_a_forked_child_that_holds_a_closed_ports_sockets_harms_nobody(core: MediaCore, phone: Telephone) -> None:
    """Sockets stay in epoll while any process holds them: a port that is gone would be worked on with every packet."""
    port, other = core.open(), core.open()
    parent, child = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(child)
        os.read(parent, 1)
        os._exit(0)
    try:
        other.remote(phone.remote())
        port.close()
        time.sleep(3.5)  # it drains for three seconds
        phone.say(port)
        spent, sent = time.process_time(), other.counters().packets_out
        time.sleep(0.5)
        assert time.process_time() - spent < 0.25, "the core is woken for ever by a packet that nobody takes"
        assert other.counters().packets_out > sent + 20
    finally:
        os.close(child)
        os.close(parent)
        os.waitpid(pid, 0)


def test_a_closed_port_says_so(core: MediaCore, pair: tuple[Port, Port]) -> None:
    port, other = pair
    port.close()
    port.close()
    assert port.closed
    mapped = core.attach(slots.create(1))
    calls = (
        lambda: port.remote(Remote(("127.0.0.1", 9), "ulaw", 0)),
        lambda: port.bind(mapped, 0),
        port.unbind,
        lambda: port.bridge(other),
        lambda: other.bridge(port),
        port.unbridge,
        lambda: port.play(1),
        port.stop,
        port.flush,
        lambda: port.send_digits("1"),
        lambda: port.record("a", "b"),
        lambda: port.keys(None),
        lambda: port.ice(True),
        lambda: port.select(None),
        lambda: port.post(b"0", ("127.0.0.1", 9)),
        port.pause_recording,
        port.resume_recording,
        port.stop_recording,
        port.counters,
    )
    for call in calls:
        with pytest.raises(MediaError, match=r"port \d+ \(one\): is closed"):
            call()
    assert port.clock_ms > 0


def test_signalling_that_makes_no_sense_is_refused_in_words(core: MediaCore) -> None:
    port = core.open("call 7")
    for remote, words in (
        (Remote(("127.0.0.1", 9), "g729", 18), "codec 'g729'"),  # type: ignore[arg-type]
        (Remote(("127.0.0.1", 9), "opus", 96, packet_ms=30), "no packets of 30 ms"),
        (Remote(("127.0.0.1", 9), "opus", 96, 97, digits_rate_hz=16_000), "16000 Hz"),
        (Remote(("127.0.0.1", 9), "ulaw", 0, packet_ms=25), "25 ms"),
        (Remote(("127.0.0.1", 0), "ulaw", 0), "no address"),
        (Remote(("127.0.0.1", 9), "ulaw", 128), "payload type 128"),
        (Remote(("example.org", 9), "ulaw", 0), "no IPv4 address"),
    ):
        with pytest.raises(MediaError, match=words):
            port.remote(remote)


def six_free_ports() -> int:
    """The first of six ports in a row that nobody has, an even one."""
    while True:
        low = random.randrange(32_100, 32_700, 2)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(low, low + 6):
                one = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                one.bind(("127.0.0.1", port))
            return low


def test_when_all_ports_are_taken_the_sentence_says_so() -> None:
    low = six_free_ports()
    with MediaCore("127.0.0.1", (low, low + 5)) as core:
        ports = [core.open() for _ in range(3)]
        assert len({port.address for port in ports}) == 3
        assert all(port.address[1] % 2 == 0 for port in ports)
        with pytest.raises(MediaError, match="no pair of UDP ports is free"):
            core.open()


def test_a_core_that_cannot_start_says_why() -> None:
    for arguments, words in (
        (("localhost",), "no IPv4 address"),
        (("127.0.0.1", (5_000, 5_000)), "hold no pair"),
        (("127.0.0.1", (40_001, 40_002)), "hold no pair"),
    ):
        with pytest.raises(MediaError, match=words):
            MediaCore(*arguments)
    with MediaCore("192.0.2.1") as core, pytest.raises(MediaError, match="not this machine's"):
        core.open()


def test_a_closed_core_says_so_and_takes_its_ports_along(segment: SlotSegment, rows: Segment) -> None:
    core = MediaCore("127.0.0.1", (20_000, 29_999), advertise="203.0.113.5")
    port = core.open()
    assert port.address[0] == "203.0.113.5"
    port.bind(core.attach(segment), 0)
    port.play(core.load_prompt(tone(400, 100), 16_000))
    core.close()
    core.close()
    assert int(rows.live[0]) == 0
    port.close()
    for call in (core.open, core.events, core.datagrams, core.counters, core.fileno):
        with pytest.raises(MediaError, match="the media core is closed"):
            call()


def test_memory_that_is_no_segment_is_refused(core: MediaCore) -> None:
    fd = os.memfd_create("other")
    try:
        for size in (0, 100, 300_000):
            os.ftruncate(fd, size)
            with pytest.raises(MediaError, match="is no slots segment"):
                core.attach(fd)
        made = slots.create(1)
        os.ftruncate(fd, made.size)
        os.pwrite(fd, os.pread(made.fd, 4_096, 0), 0)
        with pytest.raises(MediaError, match="seal it first"):
            core.attach(fd)
        made.close()
        os.ftruncate(fd, 300_000)
        made = slots.create(2)
        os.pwrite(fd, os.pread(made.fd, 4_096, 0), 0)
        with pytest.raises(MediaError, match="cannot hold"):
            core.attach(fd)
        made.close()
    finally:
        os.close(fd)
    with pytest.raises(MediaError, match="is no slots segment"):
        core.attach(9_999)


def test_fifty_calls_lose_nothing(core: MediaCore) -> None:
    ports = [core.open() for _ in range(100)]
    for one, other in zip(ports[::2], ports[1::2], strict=True):
        one.remote(Remote(other.address, "ulaw", 0))
        other.remote(Remote(one.address, "ulaw", 0))
    until(lambda: core.counters().packets_in > 5_000)
    for port in ports:
        port.remote(Remote(port.address, "ulaw", 0, send=False))
    counters = core.counters()
    assert counters.kernel_drops == counters.events_dropped == counters.amiss == 0
    assert counters.amiss_where == ""
    assert sum(port.counters().lost for port in ports) == 0


def anything(
    rng: random.Random, core: MediaCore, mapped: Segmented, prompt: int, port: Port, other: Port, folder: Path
) -> Callable[[], object]:
    """Something to ask of a port, by chance."""
    remote = Remote(other.address, "alaw", 8, 101, rng.choice((10, 20, 30, 40, 60)), secure=rng.random() < 0.2)
    keys = Keys("AEAD_AES_128_GCM", bytes([rng.randrange(4)] * 28), bytes([rng.randrange(4)] * 28))
    verbs: tuple[Callable[[], object], ...] = (
        lambda: port.remote(remote),
        lambda: port.bind(mapped, rng.randrange(4)),
        port.unbind,
        lambda: port.bridge(other),
        port.unbridge,
        lambda: port.play(prompt, loop=rng.random() < 0.5),
        port.stop,
        port.flush,
        lambda: port.send_digits("1"),
        lambda: port.record(folder / f"{rng.random()}", folder / f"{rng.random()}"),
        port.stop_recording,
        port.counters,
        core.events,
        core.datagrams,
        lambda: port.keys(rng.choice((keys, None))),
        lambda: port.ice(rng.random() < 0.2),
        lambda: port.select(other.address),
        lambda: port.post(bytes(rng.randrange(1, 1_500)), other.address),
    )
    return rng.choice(verbs)


def test_any_thread_may_ask_for_anything_at_any_time(segment: SlotSegment, tmp_path: Path) -> None:
    """Four threads do whatever comes to mind with ports they share, one closes the core under them: each call either
    does its work or says in a MediaError why not."""
    core = MediaCore("127.0.0.1", (20_000, 29_999))
    mapped = core.attach(segment)
    prompt = core.load_prompt(tone(400, 100), 16_000)
    ports = [core.open(str(n)) for n in range(8)]
    surprises: list[BaseException] = []

    def busy(seed: int) -> None:
        rng = random.Random(seed)
        while True:
            n = rng.randrange(len(ports))
            port = ports[n]
            try:
                anything(rng, core, mapped, prompt, port, rng.choice(ports), tmp_path)()
                if rng.random() < 0.02:
                    port.close()
                    ports[n] = core.open(str(n))
            except MediaError as error:
                if "core is clos" in str(error):
                    return
            except BaseException as error:
                surprises.append(error)
                return

    threads = [threading.Thread(target=busy, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: core.counters().packets_in > 200 and core.counters().packets_out > 500)
    core.close()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert surprises == []

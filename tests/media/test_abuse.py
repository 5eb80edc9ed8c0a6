"""What an attacker sends at a call's ports reaches nobody: real sockets, and tracks that show what got in.

The attacker knows everything that can be known from outside and more: where the ports are, the stream's SSRC, its next
sequence number and timestamp. What it cannot do is send from the far end's address. (What the latch does with honest
streams that move is held in `test_engine_network`.)
"""

from __future__ import annotations

import random
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from offhook.media import (
    Digit,
    MediaCore,
    MediaError,
    MediaStarted,
    Port,
    RecordClosed,
    SlotSegment,
)
from offhook.speech.slots import Segment
from tests.media.telephone import LOUD, Ears, Rtp, Telephone, Worker, level, loud, track, until

QUIET = b"\xff" * 160
PACKETS = 50


class Attacker(Telephone):
    """Somebody at another address who copies a victim's stream."""

    def __init__(self, victim: Telephone, host: str = "127.0.0.66") -> None:
        super().__init__(host, victim.ssrc)
        self._victim = victim

    def inject(self, port: Port, ahead: int = 0) -> None:
        """The packet that the victim would send next, or one so far ahead of it, full of noise."""
        self.ssrc = self._victim.ssrc
        self.seq = (self._victim.seq + ahead) % 2**16
        self.timestamp = (self._victim.timestamp + 160 * ahead) % 2**32
        self.say(port, LOUD)


@pytest.fixture
def attacker(phone: Telephone) -> Iterator[Attacker]:
    with Attacker(phone) as made:
        yield made


def recorded(core: MediaCore, phone: Telephone, folder: Path) -> Port:
    port = core.open()
    port.remote(phone.remote())
    port.record(folder / "caller.wav", folder / "agent.wav")
    return port


def sees(port: Port, packets: int) -> None:
    """Wait until the port has looked at so many packets, whatever it made of them."""
    until(lambda: looked_at(port) >= packets)


def looked_at(port: Port) -> int:
    counters = port.counters()
    return counters.packets_in + counters.wrong_source + counters.wrong_ssrc + counters.bad + counters.rtcp_in


def nothing_got_in(port: Port, ears: Ears, folder: Path) -> None:
    """Close the port; its caller's track holds no noise, and nobody was ever taken for the far end but the one."""
    port.close()
    ears.wait(RecordClosed, port)
    assert len(loud(track(folder / "caller.wav"), 500)) == 0, "the attacker's noise is on the caller's track"
    addresses = {event.address for event in ears.listen() if isinstance(event, MediaStarted)}
    assert len(addresses) <= 1, "the call's audio was taken over"


def test_scattered_guesses_before_the_far_end_has_spoken_are_dropped(
    core: MediaCore, ears: Ears, phone: Telephone, attacker: Attacker, tmp_path: Path
) -> None:
    """Scattered guesses: no four in sequence, as an attacker has it who sprays ports without knowing the call."""
    port = recorded(core, phone, tmp_path)
    for n in range(PACKETS):
        attacker.inject(port, ahead=(n * 7_919) % 2**15)
        sees(port, n + 1)
    assert port.counters().wrong_source == PACKETS
    phone.say(port)
    ears.wait(MediaStarted, port)
    assert phone.hear().payload_type == 0
    nothing_got_in(port, ears, tmp_path)
    assert attacker.drain() == 0, "our voice went to the attacker"


def test_who_was_first_in_sequence_is_cut_off_by_the_first_packet_from_the_signalled_address(
    core: MediaCore, ears: Ears, segment: SlotSegment, rows: Segment, phone: Telephone, attacker: Attacker
) -> None:
    """Before the far end speaks, four packets in sequence are believed: a far end behind NAT looks just so. The first
    word of the signalled address ends that, and it cannot be won back with any number of packets."""
    port = core.open()
    worker = Worker(rows, 0, port.bind(core.attach(segment), 0))
    port.remote(phone.remote())
    for n in range(6):
        attacker.inject(port, ahead=n)
        sees(port, n + 1)
    assert ears.wait(MediaStarted, port).address == attacker.address
    phone.say(port)
    assert ears.wait(MediaStarted, port, 2).address == phone.address
    taken = port.counters().packets_in
    before = len(worker.heard())
    attacker.drain()
    for n in range(PACKETS):
        attacker.inject(port, ahead=n)
        sees(port, 6 + 1 + n + 1)
    assert port.counters().packets_in == taken
    until(lambda: len(worker.heard()) > before + 3_200)
    assert level(worker.heard()[before + 1_600 :]) < 200
    assert attacker.drain() == 0


@pytest.mark.parametrize("ahead", [0, 1, 40])
def test_a_copied_stream_beside_the_real_one_is_not_heard(
    core: MediaCore, ears: Ears, phone: Telephone, attacker: Attacker, tmp_path: Path, ahead: int
) -> None:
    port = recorded(core, phone, tmp_path)
    phone.say(port)
    ears.wait(MediaStarted, port)
    for n in range(PACKETS):
        attacker.inject(port, ahead)
        phone.say(port)
        sees(port, 1 + 2 * (n + 1))
    counters = port.counters()
    assert (counters.packets_in, counters.wrong_source, counters.lost) == (PACKETS + 1, PACKETS, 0)
    nothing_got_in(port, ears, tmp_path)
    assert attacker.drain() == 0


def test_a_copied_stream_is_not_heard_while_the_real_one_is_silent(
    core: MediaCore, ears: Ears, phone: Telephone, attacker: Attacker, tmp_path: Path
) -> None:
    """A caller who is muted, or held: silence is no invitation."""
    port = recorded(core, phone, tmp_path)
    for _ in range(5):
        phone.say(port)
    ears.wait(MediaStarted, port)
    began = port.clock_ms
    sent = 0
    while port.clock_ms - began < 1_500:  # past the second after which a line counts as silent
        attacker.inject(port, sent)
        sent += 1
        sees(port, 5 + sent)
    assert port.counters().wrong_source == sent
    nothing_got_in(port, ears, tmp_path)
    assert attacker.drain() == 0


def test_keys_pressed_by_another_are_not_pressed(
    core: MediaCore, ears: Ears, phone: Telephone, attacker: Attacker
) -> None:
    port = core.open()
    port.remote(phone.remote())
    phone.say(port)
    ears.wait(MediaStarted, port)
    for n in range(10):
        event = struct.pack("!BBH", 5, 0x8A, 800)
        packet = Rtp(101, (phone.seq + n) % 2**16, phone.timestamp, phone.ssrc, True, event)
        attacker.socket.sendto(packet.pack(), port.address)
        sees(port, 2 + n)
    assert not [event for event in ears.listen() if isinstance(event, Digit)]


def test_what_comes_after_hanging_up_is_swallowed_and_reaches_no_later_call(
    core: MediaCore, ears: Ears, phone: Telephone, attacker: Attacker, tmp_path: Path
) -> None:
    port = recorded(core, phone, tmp_path)
    phone.say(port)
    ears.wait(MediaStarted, port)
    port.close()
    ears.wait(RecordClosed, port)
    length = (tmp_path / "caller.wav").stat().st_size
    later = [core.open() for _ in range(20)]
    assert port.address not in {one.address for one in later}
    for _ in range(PACKETS):
        phone.say(port, LOUD)
        attacker.inject(port)
    for one in later:
        one.remote(phone.remote())
        phone.drain()
        assert looked_at(one) == 0
    assert (tmp_path / "caller.wav").stat().st_size == length
    assert len(loud(track(tmp_path / "caller.wav"), 500)) == 0
    assert attacker.drain() == 0


def test_reports_from_another_address_change_nothing(core: MediaCore, phone: Telephone, attacker: Attacker) -> None:
    """A forged report could claim losses or a round trip, a forged goodbye end our reports, and the answers could be
    drawn away: RTCP is sent to where RTCP comes from."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtcp:
        rtcp.bind(("127.0.0.1", 0))
        rtcp.settimeout(10)
        port = core.open()
        port.remote(phone.remote(rtcp_port=rtcp.getsockname()[1]))
        for _ in range(3):
            phone.say(port)
        ours = phone.hear().ssrc
        block = struct.pack("!IIIIII", ours, 200 << 24, 0, 0, 1, 1)
        forged = struct.pack("!BBHI", 0x81, 201, 7, phone.ssrc) + block
        goodbye = struct.pack("!BBHI", 0x80, 201, 1, phone.ssrc) + struct.pack("!BBHI", 0x81, 203, 1, phone.ssrc)
        for n in range(PACKETS):
            attacker.socket.sendto(goodbye if n % 2 else forged, (port.address[0], port.address[1] + 1))
            sees(port, 3 + n + 1)
        counters = port.counters()
        assert (counters.remote_lost_fraction, counters.rtt_ms, counters.rtcp_in) == (0, 0, 0)
        report = rtcp.recv(1500)
        assert report[0] & 31 == 1, "the source that another said goodbye for is still reported on"
        assert attacker.drain() == 0


def test_garbage_of_every_length_on_both_ports_harms_nothing(
    core: MediaCore, ears: Ears, phone: Telephone, tmp_path: Path
) -> None:
    """From the far end's own address, which is believed: only its packets' form can give it away."""
    port = recorded(core, phone, tmp_path)
    phone.say(port)
    ears.wait(MediaStarted, port)
    dice = random.Random(20261122)
    rtcp = port.address[0], port.address[1] + 1
    for length in range(0, 1_600):
        garbage = bytearray(dice.randbytes(length))
        if length > 1 and length % 2:
            garbage[0] = 0x80 | dice.randrange(64)  # the right version
            garbage[1] = 200 + dice.randrange(8) if length % 4 == 1 else 0
        phone.socket.sendto(garbage, rtcp if length % 4 < 2 else port.address)
        if length % 20 == 0:
            time.sleep(0.002)
    said = port.counters().packets_out
    until(lambda: port.counters().packets_out > said + 10)
    assert port.counters().bad > 500
    phone.drain()
    before = phone.hear()
    assert (phone.hear().seq - before.seq) % 2**16 == 1
    phone.say(port)
    port.close()
    ears.wait(RecordClosed, port)


def test_a_caller_who_speaks_on_is_heard_through_a_flood_of_strangers(
    core: MediaCore, ears: Ears, phone: Telephone, attacker: Attacker, tmp_path: Path
) -> None:
    port = recorded(core, phone, tmp_path)
    phone.say(port)
    ears.wait(MediaStarted, port)
    began = time.monotonic()
    for said in range(1, 51):
        for n in range(80):
            attacker.inject(port, n)
        time.sleep(max(0.0, began + 0.02 * said - time.monotonic()))
        phone.say(port, bytes([0x9F]) * 160)
        sees(port, 1 + 81 * said)  # or the kernel drops what the core would have had to look at
    assert port.counters().packets_in == 51
    port.close()
    ears.wait(RecordClosed, port)
    heard = track(tmp_path / "caller.wav").astype(np.int32)
    assert np.abs(heard).max() < 10_000, "the caller's voice is there, the flood's noise is not"
    assert len(loud(heard.astype(np.int16), 500)) >= 160 * 40
    assert attacker.drain() == 0


def test_when_ports_run_out_calls_that_are_on_are_untouched_and_a_closed_one_makes_room(
    phone: Telephone,
) -> None:
    with MediaCore("127.0.0.1", (32_000, 32_031)) as core:
        ports: list[Port] = []
        with pytest.raises(MediaError, match="no pair of UDP ports is free"):
            while True:
                ports.append(core.open())
        assert 0 < len(ports) <= 16
        ports[0].remote(phone.remote())
        phone.say(ports[0])
        until(lambda: ports[0].counters().packets_in == 1)
        for _ in range(50):
            with pytest.raises(MediaError, match="no pair of UDP ports is free"):
                core.open()
        before = phone.hear()
        assert (phone.hear().seq - before.seq) % 2**16 == 1
        ports[1].close()

        def room() -> bool:
            try:
                core.open().close()
            except MediaError:
                return False
            return True

        until(room)
        assert core.counters().ports == len(ports) - 1

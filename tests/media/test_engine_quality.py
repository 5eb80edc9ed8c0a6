"""How well a call is heard, as the core tells it: its events, its reports on the wire, and what it makes of the far
end's. The far end is a bare socket that speaks RTP and RTCP by hand."""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from offhook.media import MediaCore, Port, Quality
from tests.media.telephone import Ears, Rtp, Telephone, until

INTERVAL_MS = 5_000
VOIP_METRICS = "!IBBBBHHHHbbBBBBBBBBHHH"
"""The block's fields (RFC 3611 4.7)."""
WINDOW = 32
"""Packets whose fate the core leaves open."""


class Reporter(Telephone):
    """A telephone with an RTCP socket beside the RTP one."""

    def __init__(self, host: str = "127.0.0.1", ssrc: int = 0x1234) -> None:
        super().__init__(host, ssrc)
        self.rtcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.rtcp.bind((host, 0))

    def __exit__(self, *_: object) -> None:
        self.rtcp.close()
        super().__exit__()

    def tell(self, to: Port, packet: bytes) -> None:
        self.rtcp.sendto(packet, (to.address[0], to.address[1] + 1))

    def told(self, limit_s: float = 15.0) -> list[Part]:
        """The next compound packet that comes on the RTCP socket."""
        assert select.select([self.rtcp], [], [], limit_s)[0], "no report in time"
        return list(parts(self.rtcp.recv(1500)))


@dataclass(frozen=True)
class Part:
    """One packet of a compound."""

    kind: int
    count: int
    body: bytes
    """What follows the first four bytes."""


def parts(compound: bytes) -> Iterator[Part]:
    while compound:
        first, kind, words = struct.unpack_from("!BBH", compound)
        assert first >> 6 == 2
        yield Part(kind, first & 31, compound[4 : 4 + 4 * words])
        compound = compound[4 + 4 * words :]


def part(kind: int, count: int, body: bytes) -> bytes:
    assert len(body) % 4 == 0
    return struct.pack("!BBH", 0x80 | count, kind, len(body) // 4) + body


def block(ssrc: int, fraction: float = 0.0, jitter: int = 0, lsr: int = 0, dlsr: int = 0) -> bytes:
    """A reception report block."""
    return struct.pack("!IIIIII", ssrc, int(fraction * 256) << 24, 0, jitter, lsr, dlsr)


def xr_blocks(body: bytes) -> dict[int, bytes]:
    """The report blocks of an XR packet by type, without their heads."""
    found, at = {}, 4
    while at < len(body):
        kind, _, words = struct.unpack_from("!BBH", body, at)
        found[kind] = body[at + 4 : at + 4 + 4 * words]
        at += 4 + 4 * words
    return found


def middle(ntp_s: int, ntp_f: int) -> int:
    return (ntp_s & 0xFFFF) << 16 | ntp_f >> 16


@pytest.fixture
def far() -> Iterator[Reporter]:
    with Reporter() as made:
        yield made


def opened(core: MediaCore, far: Reporter, **changes: object) -> Port:
    port = core.open()
    port.remote(far.remote(rtcp_port=far.rtcp.getsockname()[1], **changes))
    return port


def talk(far: Reporter, port: Port, row: str) -> None:
    """A row of packets: `x` is one that is never sent. They come sooner than they would be said, so that no pause of
    ours can make one late."""
    for letter in row:
        if letter == "x":
            far.seq = (far.seq + 1) % 2**16
            far.timestamp = (far.timestamp + 160) % 2**32
        else:
            far.say(port)
            time.sleep(0.001)


def test_a_clean_line_and_one_with_bursts_are_told_apart(core: MediaCore, ears: Ears, far: Reporter) -> None:
    with Reporter() as other:
        good, bad = opened(core, far), opened(core, other)
        talk(far, good, "." * 300)
        talk(other, bad, ("." * 5 + "xx.xx" + "." * 20) * 10 + "." * WINDOW)
        clean, burst = ears.wait(Quality, good).heard, ears.wait(Quality, bad).heard
    assert clean is not None
    assert (clean.lost, clean.discarded, clean.burst_density, clean.burst_ms) == (0, 0, 0, 0)
    assert clean.packets == 300 - 1 - WINDOW, "the first is on probation, the last are not judged yet"
    assert clean.r == pytest.approx(93.2, abs=0.05)
    assert clean.mos_lq == pytest.approx(4.41, abs=0.005)
    assert clean.mos_cq is None, "no round trip was ever measured"
    assert burst is not None
    assert burst.packets == 300 - 1
    assert burst.lost == pytest.approx(40 / 299)
    assert burst.burst_density == pytest.approx(0.8)
    assert burst.burst_ms == pytest.approx(100)
    # G.107 (7-29) by hand: runs of 2 packets where chance would make them 1 / (1 - 40 / 299).
    burst_r = 2 * (1 - 40 / 299)
    assert burst.r == pytest.approx(93.2 - 95 * 13.378 / (13.378 / burst_r + 25.1), abs=0.05)
    assert burst.mos_lq < 3


def test_each_look_is_at_the_time_since_the_one_before(core: MediaCore, ears: Ears, far: Reporter) -> None:
    port = opened(core, far)
    talk(far, port, "." * 20 + "x" * 10 + "." * (20 + WINDOW))
    spoke_ms = port.clock_ms
    first = ears.wait(Quality, port)
    far.timestamp += int((port.clock_ms - spoke_ms + 200) * 8)  # silence, and no packet of it
    talk(far, port, "." * 50)
    second = ears.wait(Quality, port, 2)
    assert first.heard is not None
    assert second.heard is not None
    assert (first.heard.packets, first.heard.lost) == (49, pytest.approx(10 / 49))
    assert second.heard.packets + WINDOW >= 50
    assert INTERVAL_MS / 2 - 50 <= first.over_ms <= INTERVAL_MS + 300
    assert second.over_ms == pytest.approx(INTERVAL_MS, abs=300)
    assert second.clock_ms - first.clock_ms == pytest.approx(second.over_ms, abs=50)
    assert first.heard.mos_lq < port.counters().mos_lq < second.heard.mos_lq, "of the whole call"


def test_nothing_is_told_of_a_line_on_which_nothing_happens(core: MediaCore, ears: Ears, far: Reporter) -> None:
    with Reporter() as other:
        silent, heard = opened(core, far), opened(core, other)
        talk(other, heard, "." * 100)
        ears.wait(Quality, heard)
        until(lambda: silent.clock_ms > 5_500)
    assert not [event for event in ears.listen() if isinstance(event, Quality) and event.port == silent.number]


def test_what_the_far_end_reports_becomes_the_quality_of_our_own_voice(
    core: MediaCore, ears: Ears, far: Reporter
) -> None:
    port = opened(core, far)
    ours = far.hear().ssrc
    losses = (ours, 26, 5, 128, 1, 240, 9_000, 0, 0)
    ratings = (127, 127, 127, 16, 70, 127, 36, 35, 0, 0, 60, 80, 80)
    metrics = struct.pack(VOIP_METRICS, *losses, *ratings)
    for lost in (0.25, 0.0):
        far.tell(port, part(201, 1, struct.pack("!I", far.ssrc) + block(ours, lost, jitter=80)))
    far.tell(port, part(207, 0, struct.pack("!I", far.ssrc) + struct.pack("!BBH", 7, 0, 8) + metrics))
    told = ears.wait(Quality, port)
    assert told.heard is None
    assert told.reported is not None
    assert told.reported.lost == pytest.approx(0.125)
    assert told.reported.jitter_ms == 10
    assert told.reported.r == pytest.approx(93.2 - 95 * 12.5 / (12.5 + 25.1), abs=0.1)
    assert told.reported.discarded == pytest.approx(5 / 256)
    assert told.reported.burst_density == 0.5
    assert told.reported.burst_ms == 240
    assert (told.reported.said_mos_lq, told.reported.said_mos_cq) == (pytest.approx(3.6), pytest.approx(3.5))


def test_our_reports_say_how_the_far_end_is_heard(core: MediaCore, far: Reporter) -> None:
    port = opened(core, far)
    talk(far, port, "." * 10 + "xx.x" + "." * (20 + WINDOW))
    ours = far.hear().ssrc
    port.close()  # with a last report
    compound = far.told()
    while not any(one.kind == 203 for one in compound):
        compound = far.told()
    (report,) = (one for one in compound if one.kind == 207)
    assert struct.unpack_from("!I", report.body)[0] == ours
    told = struct.unpack(VOIP_METRICS, xr_blocks(report.body)[7])
    about, lost, discarded, burst_density, gap_density, burst_ms, gap_ms, _, _, signal, noise, rerl, gmin = told[:13]
    r, external_r, mos_lq, mos_cq = told[13:17]
    assert about == far.ssrc
    # The first packet of a source is on probation; what came in the last moment is not judged yet.
    assert lost == pytest.approx(256 * 3 / 33, abs=4)
    assert (burst_density, burst_ms) == (256 * 3 // 4, 80)
    assert (discarded, gap_density) == (0, 0)
    assert gap_ms == pytest.approx(20 * 29 / 2, abs=40)
    assert (signal, noise, rerl, gmin, external_r, mos_cq) == (127, 127, 127, 16, 127, 127)
    assert 40 < r < 80
    assert 20 < mos_lq < 40


def test_who_sends_nothing_still_learns_the_round_trip(core: MediaCore, far: Reporter) -> None:
    """RFC 3611 4.4 and 4.5, both ways: a receiver has no SR that could come back to it."""
    port = opened(core, far, send=False)
    talk(far, port, "...")
    compound = far.told()
    assert [one.kind for one in compound] == [201, 202, 207]
    ours = struct.unpack_from("!I", compound[0].body)[0]
    reference = xr_blocks(compound[2].body)[4]
    assert port.counters().rtt_ms == 0
    asked = struct.pack("!BBHII", 4, 0, 2, 1_000, 0x1234_0000)  # and we ask in the same way
    answer = struct.pack("!BBHIII", 5, 0, 3, ours, middle(*struct.unpack("!II", reference)), 0)
    far.tell(port, part(207, 0, struct.pack("!I", far.ssrc) + asked + answer))
    asked_at = time.monotonic()
    until(lambda: port.counters().rtt_ms > 0)
    assert port.counters().rtt_ms < 2_000
    compound = far.told()
    answered_s = time.monotonic() - asked_at
    (report,) = (one for one in compound if one.kind == 207)
    about, lrr, dlrr = struct.unpack("!III", xr_blocks(report.body)[5])
    assert (about, lrr) == (far.ssrc, middle(1_000, 0x1234_0000))
    assert 0 < dlrr / 65_536 <= answered_s


def test_a_sender_reports_its_clock_as_its_packets_have_it(core: MediaCore, far: Reporter) -> None:
    port = opened(core, far)
    compound = far.told()
    assert compound[0].kind == 200
    _, ntp_s, ntp_f, rtp, packets, octets = struct.unpack_from("!IIIIII", compound[0].body)
    heard = [(time.time(), far.hear()) for _ in range(packets)]
    assert octets == 160 * packets, "as many as were sent by then, without their headers"
    assert abs(ntp_s + ntp_f / 2**32 - 2_208_988_800 - time.time()) < 5
    last = heard[-1][1]
    # The report's moment lies between the last packet before it and the next: never half a packet's play from either.
    since_last = (rtp - last.timestamp + 2**31) % 2**32 - 2**31
    assert 0 <= since_last < 8 * 250
    del port


def test_reports_of_reduced_size_and_feedback_are_taken_for_what_they_are(core: MediaCore, far: Reporter) -> None:
    port = opened(core, far)
    ours = far.hear().ssrc
    about = struct.pack("!II", far.ssrc, ours)
    feedback = (
        part(205, 1, about + b"\0\1\0\5"),  # NACK
        part(206, 1, about),  # PLI
        part(206, 15, struct.pack("!II", far.ssrc, 0) + b"REMB" + b"\1\0\xc8\0" + struct.pack("!I", ours)),
        b"\xaf" + part(205, 15, about + b"\0\1\0\3\1\2\3\4\x20\3\0\2")[1:],  # transport-cc, padded by two bytes
    )
    for n, packet in enumerate(feedback):
        far.tell(port, packet)
        until(lambda n=n: port.counters().rtcp_in == n + 1)  # type: ignore[misc]
    far.tell(port, part(206, 1, about) + part(201, 1, struct.pack("!I", far.ssrc) + block(ours, 0.5)))
    until(lambda: port.counters().remote_lost_fraction == 0.5)
    assert port.counters().bad == 0


def test_a_source_that_said_goodbye_is_reported_on_no_more_until_it_speaks_again(
    core: MediaCore, far: Reporter
) -> None:
    port = opened(core, far)
    talk(far, port, "...")
    far.tell(port, part(201, 0, struct.pack("!I", far.ssrc)) + part(203, 1, struct.pack("!I", far.ssrc)))
    until(lambda: port.counters().rtcp_in == 1)
    compound = far.told()
    assert compound[0].count == 0
    assert all(7 not in xr_blocks(one.body) for one in compound if one.kind == 207)
    talk(far, port, "...")
    assert far.told()[0].count == 1


def test_the_time_between_reports_is_never_twice_the_same(core: MediaCore) -> None:
    """RFC 3550 6.2: from a half to three halves of five seconds, the first after half of that. All at once would be a
    flood where many calls begin at once."""
    with Reporter() as far:
        ports = [opened(core, far) for _ in range(24)]
        begun_ms = [port.clock_ms for port in ports]
        numbers = {}
        for place, port in enumerate(ports):
            numbers[port.address[1] + 1] = place
        waited_ms: dict[int, float] = {}
        while len(waited_ms) < len(ports):
            assert select.select([far.rtcp], [], [], 15.0)[0]
            _, source = far.rtcp.recvfrom(1500)
            place = numbers[source[1]]
            waited_ms.setdefault(place, ports[place].clock_ms - begun_ms[place])
    assert all(1_200 <= waited <= 3_750 + 300 for waited in waited_ms.values())
    assert max(waited_ms.values()) - min(waited_ms.values()) > 1_000


def test_a_flood_of_reports_is_dropped_unread_and_costs_the_call_nothing(
    core: MediaCore, ears: Ears, far: Reporter
) -> None:
    port = opened(core, far)
    ours = far.hear().ssrc
    report = part(201, 1, struct.pack("!I", far.ssrc) + block(ours))
    for n in range(2_000):
        far.tell(port, report)
        if n % 50 == 0:
            time.sleep(0.002)
    until(lambda: port.counters().rtcp_dropped > 1_000)
    counters = port.counters()
    assert 100 <= counters.rtcp_in < 100 + 50 * (port.clock_ms / 1_000 + 1)
    with Reporter("127.0.0.2") as stranger:  # who is nobody here cannot use up what the far end may send
        read, known = port.counters().rtcp_in, port.counters().wrong_source
        for n in range(300):
            stranger.tell(port, report)
            until(lambda n=n: port.counters().wrong_source > known + n)  # type: ignore[misc]
        until(lambda: (far.tell(port, report), port.counters().rtcp_in > read)[1])
    far.drain()
    before = far.hear()
    packets = [far.hear() for _ in range(10)]
    assert [packet.seq for packet in packets] == [(before.seq + n + 1) % 2**16 for n in range(10)]


def test_reports_multiplexed_with_rtp_are_read_and_limited_too(core: MediaCore, far: Reporter) -> None:
    port = core.open()
    port.remote(far.remote(rtcp_mux=True))
    packet = far.socket.recv(2048)
    while 200 <= packet[1] <= 207:
        packet = far.socket.recv(2048)
    report = part(201, 1, struct.pack("!I", far.ssrc) + block(Rtp.unpack(packet).ssrc, 0.25))
    for n in range(1_000):
        far.socket.sendto(report, port.address)
        if n % 50 == 0:
            time.sleep(0.002)
    until(lambda: port.counters().rtcp_dropped > 100)
    assert port.counters().remote_lost_fraction == 0.25
    assert port.counters().packets_in == port.counters().bad == 0

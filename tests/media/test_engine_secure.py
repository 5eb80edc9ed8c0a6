"""SRTP on a port, against another implementation of it: what is taken, what is not, and keys that change in a call."""

from __future__ import annotations

import socket
import struct
import time

import pytest

from offhook.media import Digit, Keys, MediaCore, MediaError, MediaStarted, Port, PortCounters, SlotSegment
from offhook.speech.slots import Segment
from tests.media.securephone import SUITES, SecureTelephone, new_keys, opens
from tests.media.telephone import Ears, Rtp, Telephone, Worker, level, tone, until

LOUD = bytes([0x00, 0x80] * 80)  # full-scale square wave in mu-law
EVERY_SUITE = pytest.mark.parametrize("suite", list(SUITES))


def taken(port: Port, count: int) -> PortCounters:
    """The counters once so many packets have been taken; more would be a fault."""
    until(lambda: port.counters().packets_in >= count)
    counters = port.counters()
    assert counters.packets_in == count
    return counters


@EVERY_SUITE
def test_both_sides_hear_each_other(
    core: MediaCore, ears: Ears, segment: SlotSegment, rows: Segment, suite: str
) -> None:
    with SecureTelephone(new_keys(suite)) as phone:  # type: ignore[arg-type]
        port = core.open()
        worker = Worker(rows, 0, port.bind(core.attach(segment), 0))
        port.keys(phone.keys)
        port.remote(phone.remote())
        port.play(core.load_prompt(tone(440, 2_000), 16_000), loop=True)
        heard = [phone.hear() for _ in range(20)]
        for _ in range(10):
            phone.say(port, LOUD)
            time.sleep(0.02)
        counters = taken(port, 10)
        until(lambda: level(worker.heard()) > 1_000)
        assert ears.wait(MediaStarted, port).address == phone.address
        assert counters.unauthentic == counters.replayed == counters.bad == counters.lost == 0
        assert {len(packet.payload) for packet in heard} == {160}
        assert len(set(heard[10].payload)) > 10, "a tone, not one value"
        assert heard[0].marker
        assert heard[0].seq < 2**15, "RFC 3711 3.3.1: a wrap is not to be among the first packets"


def test_nothing_is_taken_or_sent_before_there_are_keys(core: MediaCore, ears: Ears) -> None:
    with SecureTelephone(new_keys()) as phone:
        port = core.open()
        port.remote(phone.remote())
        played = port.play(core.load_prompt(tone(440, 500), 16_000))
        assert phone.silent_for(0.3)
        for _ in range(5):
            phone.say(port)
        until(lambda: port.counters().unauthentic == 5)
        port.keys(phone.keys)
        assert phone.hear().marker
        for _ in range(5):
            phone.say(port)
        taken(port, 5)
        assert played == 1
        assert len(set(phone.hear().payload)) > 10, "the prompt waited for the keys"
        assert len([event for event in ears.listen() if isinstance(event, MediaStarted)]) == 1


def test_a_port_that_is_not_secure_is_plain_whatever_keys_there_are(core: MediaCore, phone: Telephone) -> None:
    port = core.open()
    port.keys(new_keys())
    port.remote(phone.remote())
    assert set(phone.hear().payload) <= set(range(256))
    phone.say(port)
    taken(port, 1)
    assert len(phone.hear().payload) == 160


@EVERY_SUITE
def test_what_another_key_sealed_is_not_taken_and_starts_nothing(core: MediaCore, ears: Ears, suite: str) -> None:
    with (
        SecureTelephone(new_keys(suite)) as phone,  # type: ignore[arg-type]
        SecureTelephone(new_keys(suite), ssrc=phone.ssrc) as stranger,  # type: ignore[arg-type]
    ):
        port = core.open()
        port.keys(phone.keys)
        port.remote(phone.remote())
        for _ in range(30):
            stranger.say(port, LOUD)
        until(lambda: port.counters().unauthentic == 30)
        assert port.counters().packets_in == 0
        assert stranger.silent_for(0.1)
        phone.say(port)
        taken(port, 1)
        assert [event.address for event in ears.listen() if isinstance(event, MediaStarted)] == [phone.address]


@EVERY_SUITE
def test_a_packet_is_taken_once(core: MediaCore, suite: str) -> None:
    with SecureTelephone(new_keys(suite)) as phone:  # type: ignore[arg-type]
        port = core.open()
        port.keys(phone.keys)
        port.remote(phone.remote())
        packets = [phone.packet() for _ in range(20)]
        phone.send(port, *packets)
        taken(port, 20)
        phone.send(port, *packets)
        until(lambda: port.counters().replayed == 20)
        counters = taken(port, 20)
        assert counters.duplicate == counters.unauthentic == 0


def test_packets_may_overtake_each_other(core: MediaCore) -> None:
    with SecureTelephone(new_keys()) as phone:
        port = core.open()
        port.keys(phone.keys)
        port.remote(phone.remote())
        phone.say(port)
        for _ in range(15):
            one, other = phone.packet(), phone.packet()
            phone.send(port, other, one)
            time.sleep(0.04)
        counters = taken(port, 31)
        assert counters.replayed == counters.unauthentic == 0
        assert counters.reordered > 0


@EVERY_SUITE
def test_the_sequence_numbers_wrap(core: MediaCore, suite: str) -> None:
    with SecureTelephone(new_keys(suite)) as phone:  # type: ignore[arg-type]
        phone.seq = 65_500
        port = core.open()
        port.keys(phone.keys)
        port.remote(phone.remote())
        for n in range(100):
            packet = phone.packet()
            if n not in (10, 35, 36):  # the last with the old count and the first with the new one are lost
                phone.send(port, packet)
            if n % 5 == 4:
                time.sleep(0.005)
        assert phone.seq == 64
        assert taken(port, 97).unauthentic == 0


def test_new_keys_in_a_call_cost_no_packet(core: MediaCore, ears: Ears) -> None:
    """Both sides change: ours at once, the telephone's when it hears of it, with packets on their way meanwhile."""
    with SecureTelephone(new_keys()) as phone:
        port = core.open()
        port.keys(phone.keys)
        port.remote(phone.remote())
        heard = [phone.hear() for _ in range(5)]
        phone.send(port, *[phone.packet() for _ in range(5)])
        taken(port, 5)
        late = [phone.packet() for _ in range(2)]
        changed = new_keys("AEAD_AES_128_GCM")
        port.keys(changed)
        port.remote(phone.remote())
        phone.send(port, *[phone.packet() for _ in range(5)])
        taken(port, 10)
        sealed: list[bytes] = []
        while not sealed or opens(phone, sealed[-1]):  # until the first packet that the old key does not open
            phone.socket.settimeout(10)
            sealed.append(phone.socket.recv(2048))
        phone.rekey(changed)
        heard.append(Rtp.unpack(bytes(phone.opening.unprotect(sealed[-1]))))
        assert (heard[5].seq - heard[4].seq) % 2**16 == len(sealed), "those in between were the old key's"
        assert heard[5].ssrc == heard[4].ssrc
        phone.send(port, *[phone.packet() for _ in range(5)])
        taken(port, 15)
        phone.send(port, *late)
        counters = taken(port, 17)
        assert counters.unauthentic == counters.replayed == counters.wrong_ssrc == 0
        assert phone.hear().seq == (heard[5].seq + 1) % 2**16
        assert len([event for event in ears.listen() if isinstance(event, MediaStarted)]) == 1


def test_the_key_before_is_not_taken_for_long(core: MediaCore) -> None:
    before, after = new_keys(), new_keys()
    with SecureTelephone(before) as phone:
        port = core.open()
        port.keys(before)
        port.remote(phone.remote())
        phone.say(port)
        taken(port, 1)
        old = phone.packet()
        port.keys(after)
        phone.rekey(after)
        phone.say(port)
        taken(port, 2)
        time.sleep(1.1)
        phone.send(port, old)
        until(lambda: port.counters().unauthentic == 1)
        taken(port, 2)


def test_the_same_keys_again_go_on_with_their_counters(core: MediaCore) -> None:
    with SecureTelephone(new_keys()) as phone:
        phone.seq = 65_530
        port = core.open()
        port.keys(phone.keys)
        port.remote(phone.remote())
        packets = [phone.packet() for _ in range(20)]
        phone.send(port, *packets)
        taken(port, 20)
        first = phone.hear()
        port.keys(Keys(phone.keys.suite, phone.keys.send, phone.keys.receive))
        phone.send(port, *[phone.packet() for _ in range(5)])
        taken(port, 25)
        phone.send(port, packets[-1])
        until(lambda: port.counters().replayed == 1)
        later = [phone.hear() for _ in range(5)]
        assert {packet.ssrc for packet in later} == {first.ssrc}


def test_keys_that_were_forgotten_and_come_back_are_another_streams(core: MediaCore) -> None:
    """Under a key that was used before no number may be used twice, and nobody remembers how far it went."""
    with SecureTelephone(new_keys()) as phone:
        port = core.open()
        port.keys(phone.keys)
        port.remote(phone.remote())
        first = phone.hear()
        port.keys(None)
        phone.drain()
        assert phone.silent_for(0.2)
        port.keys(phone.keys)
        again = phone.hear()
        assert again.ssrc != first.ssrc
        assert again.marker


def test_plain_packets_with_the_right_name_change_nothing(
    core: MediaCore, ears: Ears, segment: SlotSegment, rows: Segment
) -> None:
    """Before the far end speaks, while it speaks, and after the call; from its own address too: sources are forged."""
    with SecureTelephone(new_keys()) as phone, Telephone("127.0.0.2", phone.ssrc) as stranger:
        port = core.open()
        worker = Worker(rows, 0, port.bind(core.attach(segment), 0))
        port.keys(phone.keys)
        port.remote(phone.remote())
        forged = Rtp(0, phone.seq, phone.timestamp, phone.ssrc, True, LOUD).pack()
        for _ in range(10):
            stranger.say(port, LOUD)
            phone.send(port, forged)
        until(lambda: port.counters().unauthentic == 20)
        for _ in range(20):
            phone.say(port)
            stranger.seq = phone.seq
            stranger.say(port, LOUD)
            phone.send(port, Rtp(0, phone.seq, phone.timestamp, phone.ssrc, True, LOUD).pack())
            time.sleep(0.01)
        counters = taken(port, 20)
        until(lambda: refused(port) == 60)
        assert port.counters().wrong_source == 20  # the stranger's, once it was known who speaks
        assert counters.lost == counters.wrong_ssrc == counters.duplicate == 0
        assert level(worker.heard()) < 100
        assert [event.address for event in ears.listen() if isinstance(event, MediaStarted)] == [phone.address]
        assert stranger.drain() == 0
        port.close()
        before = core.counters().packets_in
        phone.drain()
        for _ in range(10):
            stranger.say(port, LOUD)
            phone.say(port, LOUD)
        assert phone.silent_for(0.2)
        assert core.counters().packets_in == before


def test_a_copy_that_comes_first_from_elsewhere_does_not_keep_the_packet_out(core: MediaCore, ears: Ears) -> None:
    with SecureTelephone(new_keys()) as phone, Telephone("127.0.0.2") as copyist:
        port = core.open()
        port.keys(phone.keys)
        port.remote(phone.remote())
        phone.say(port)
        ears.wait(MediaStarted, port)
        for n in range(20):
            packet = phone.packet()
            copyist.socket.sendto(packet, port.address)
            until(lambda n=n: port.counters().wrong_source == n + 1)  # type: ignore[misc]
            phone.send(port, packet)
        counters = taken(port, 21)
        assert counters.replayed == counters.lost == 0
        assert copyist.drain() == 0


def refused(port: Port) -> int:
    counters = port.counters()
    return counters.unauthentic + counters.wrong_source


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2"])
def test_a_flood_that_is_not_authentic_moves_nothing(core: MediaCore, ears: Ears, host: str) -> None:
    with SecureTelephone(new_keys()) as phone, SecureTelephone(new_keys(), host) as stranger:
        port = core.open()
        port.keys(phone.keys)
        port.remote(phone.remote())
        phone.say(port)
        ears.wait(MediaStarted, port)
        for n in range(50):
            stranger.ssrc = n
            for _ in range(20):
                stranger.say(port, LOUD)
            phone.say(port)
            until(lambda n=n: refused(port) == 20 * (n + 1))  # type: ignore[misc]
            time.sleep(0.01)
        counters = taken(port, 51)
        assert (counters.unauthentic if host == "127.0.0.1" else counters.wrong_source) == 1_000
        assert counters.lost == counters.wrong_ssrc == counters.bad == 0
        assert counters.remote_lost_fraction == counters.rtt_ms == 0.0
        assert stranger.drain() == 0
        assert phone.hear().ssrc == phone.hear().ssrc


def test_keys_are_pressed_both_ways(core: MediaCore, ears: Ears) -> None:
    with SecureTelephone(new_keys("AES_CM_128_HMAC_SHA1_32")) as phone:
        port = core.open()
        port.keys(phone.keys)
        port.remote(phone.remote())
        phone.say(port)
        phone.say(port, struct.pack("!BBH", 5, 0x8A, 800), 101)
        assert ears.wait(Digit, port).digit == "5"
        port.send_digits("7")
        until(lambda: phone.hear().payload_type == 101)
        assert phone.hear().payload[0] == 7


@EVERY_SUITE
def test_reports_are_sealed_and_only_sealed_ones_are_read(core: MediaCore, suite: str) -> None:
    with (
        SecureTelephone(new_keys(suite)) as phone,  # type: ignore[arg-type]
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtcp,
    ):
        rtcp.bind(("127.0.0.1", 0))
        rtcp.settimeout(10)
        port = core.open()
        port.keys(phone.keys)
        port.remote(phone.remote(rtcp_port=rtcp.getsockname()[1]))
        for _ in range(5):
            phone.say(port)
        ours = phone.hear().ssrc
        data, source = rtcp.recvfrom(1500)
        report = bytes(phone.opening.unprotect_rtcp(data))
        assert report != data[: len(report)]
        assert report[1] == 200  # SR
        assert struct.unpack_from("!I", report, 4)[0] == ours
        assert struct.unpack_from("!I", report, 28)[0] == phone.ssrc, "a block about us"

        def block(lost: int) -> bytes:
            return struct.pack("!BBHIIIIIII", 0x81, 201, 7, phone.ssrc, ours, lost << 24, 0, 0, 0, 0)

        rtcp.sendto(block(192), source)
        until(lambda: port.counters().unauthentic == 1)
        sealed = bytes(phone.sealing.protect_rtcp(block(64)))
        rtcp.sendto(sealed, source)
        until(lambda: port.counters().remote_lost_fraction == 0.25)
        rtcp.sendto(sealed, source)
        until(lambda: port.counters().replayed == 1)
        port.close()
        goodbye = bytes(phone.opening.unprotect_rtcp(rtcp.recv(1500)))
        assert 203 in [goodbye[at] for at in range(1, len(goodbye), 4)]


def test_reports_on_the_rtp_port_are_sealed_too(core: MediaCore) -> None:
    with SecureTelephone(new_keys()) as phone:
        port = core.open()
        port.keys(phone.keys)
        port.remote(phone.remote(rtcp_mux=True))
        ours = phone.hear().ssrc
        report = struct.pack("!BBHIIIIIII", 0x81, 201, 7, phone.ssrc, ours, 128 << 24, 0, 0, 0, 0)
        phone.send(port, bytes(phone.sealing.protect_rtcp(report)))
        until(lambda: port.counters().remote_lost_fraction == 0.5)
        port.close()
        phone.socket.settimeout(10)
        while not 192 <= (data := phone.socket.recv(2048))[1] <= 223:
            pass
        assert bytes(phone.opening.unprotect_rtcp(data))[1] in (200, 201)


def test_keys_that_make_no_sense_are_refused_and_never_shown(core: MediaCore) -> None:
    port = core.open("call 7")
    for keys, words in (
        (Keys("AES_CM_256", b"", b""), "suite 'AES_CM_256' is not known"),  # type: ignore[arg-type]
        (Keys("AEAD_AES_128_GCM", bytes(30), bytes(30)), "wants 28 bytes"),
        (Keys("AES_CM_128_HMAC_SHA1_80", bytes(30), bytes(16)), "wants 30 bytes"),
    ):
        with pytest.raises(MediaError, match=words):
            port.keys(keys)
    keys = Keys("AEAD_AES_256_GCM", b"secret" * 7 + b"!!", b"hidden" * 7 + b"!!")
    port.keys(keys)
    assert "secret" not in repr(keys)
    assert "hidden" not in str(keys)
    port.close()
    with pytest.raises(MediaError, match="is closed"):
        port.keys(keys)

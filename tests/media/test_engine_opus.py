"""Ports that speak Opus: 16 kHz from end to end, loss made good by copies, and the codec changed while a call runs."""

from __future__ import annotations

import itertools
import os
import random
import socket
import struct
import time
from pathlib import Path

import numpy as np
import pytest

from offhook.media import (
    Digit,
    DigitsSent,
    MediaCore,
    MediaLost,
    Port,
    PromptDone,
    RecordClosed,
    Remote,
    SlotSegment,
    Talk,
)
from offhook.speech.slots import Segment
from tests.media.telephone import (
    Ears,
    Opus,
    OpusTelephone,
    Pcm,
    Rtp,
    Telephone,
    Worker,
    level,
    loud,
    pitch_hz,
    tone,
    track,
    until,
    voice,
)

ABOVE_THE_TELEPHONE_HZ = 6_000
"""What no 8 kHz path can carry."""


def opus(peer: Port, **changes: object) -> Remote:
    return Remote(peer.address, "opus", 96, 97, digits_rate_hz=48_000, **changes)  # type: ignore[arg-type]


@pytest.fixture
def wide_pair(core: MediaCore) -> tuple[Port, Port]:
    """Two ports that talk Opus to each other."""
    one, other = core.open("one"), core.open("other")
    one.remote(opus(other))
    other.remote(opus(one))
    return one, other


@pytest.fixture
def phone() -> OpusTelephone:
    return OpusTelephone(bitrate=32_000)


def bound(core: MediaCore, segment: SlotSegment, rows: Segment, *ports: Port) -> list[Worker]:
    mapped = core.attach(segment)
    return [Worker(rows, slot, port.bind(mapped, slot)) for slot, port in enumerate(ports)]


def heard_tone(worker: Worker, ms: int) -> Pcm:
    """Wait until so much of something loud has been heard; its middle."""
    until(lambda: len(loud(worker.heard())) > 0 and np.ptp(loud(worker.heard())) > ms * 16)
    heard = worker.heard()
    begin = int(loud(heard)[0])
    return heard[begin + 800 : begin + ms * 16]


# --- sound


@pytest.mark.parametrize("packet_ms", [10, 20, 40, 60])
def test_a_tone_said_in_one_slot_is_heard_in_the_other(
    core: MediaCore, ears: Ears, segment: SlotSegment, rows: Segment, packet_ms: int
) -> None:
    one, other = core.open("one"), core.open("other")
    one.remote(opus(other, packet_ms=packet_ms))
    other.remote(opus(one, packet_ms=packet_ms))
    talker, hearer = bound(core, segment, rows, one, other)
    talker.speak(tone(440, 400))
    ears.wait(Talk, one, count=2)
    until(lambda: len(loud(hearer.heard())) > 0 and level(hearer.heard()[-1600:]) < 100)
    heard = hearer.heard()
    where = loud(heard)
    sound = heard[where[0] : where[-1]]
    assert abs(len(sound) - 6_400) < 400  # 400 ms at 16 kHz, and what the codec blurs
    assert abs(pitch_hz(sound, 16_000) - 440) < 5
    assert abs(level(sound) / level(tone(440, 400)) - 1) < 0.15
    assert talker.played == 6_400


def test_both_ways_carry_what_a_telephone_never_did(
    wide_pair: tuple[Port, Port], core: MediaCore, segment: SlotSegment, rows: Segment
) -> None:
    workers = bound(core, segment, rows, *wide_pair)
    for worker, hz in zip(workers, (ABOVE_THE_TELEPHONE_HZ, 5_000), strict=True):
        worker.speak(tone(hz, 500))
    for worker, hz in zip(workers, (5_000, ABOVE_THE_TELEPHONE_HZ), strict=True):
        assert abs(pitch_hz(heard_tone(worker, 400), 16_000) - hz) < 20


def test_what_a_browser_says_is_heard(
    core: MediaCore, segment: SlotSegment, rows: Segment, phone: OpusTelephone
) -> None:
    port = core.open()
    port.remote(phone.remote())
    (hearer,) = bound(core, segment, rows, port)
    phone.speak(port, tone(ABOVE_THE_TELEPHONE_HZ, 1_000, Opus.RATE_HZ))
    assert abs(pitch_hz(heard_tone(hearer, 900), 16_000) - ABOVE_THE_TELEPHONE_HZ) < 20
    until(lambda: port.counters().packets_in == 50)
    assert (port.counters().lost, port.counters().bad) == (0, 0)


def test_what_a_browser_hears_is_what_was_said(
    core: MediaCore, segment: SlotSegment, rows: Segment, phone: OpusTelephone
) -> None:
    port = core.open()
    port.remote(phone.remote())
    (talker,) = bound(core, segment, rows, port)
    talker.speak(tone(ABOVE_THE_TELEPHONE_HZ, 1_000))
    packets = [phone.hear() for _ in range(70)]
    for before, after in itertools.pairwise(packets):
        assert after.payload_type == OpusTelephone.PAYLOAD_TYPE
        assert after.seq == (before.seq + 1) % 2**16
        assert after.timestamp == (before.timestamp + 960) % 2**32  # 20 ms of 48 kHz
    heard = np.concatenate([phone.codec.decode(packet.payload) for packet in packets])
    sound = heard[loud(heard)[0] : loud(heard)[-1]]
    assert abs(len(sound) / 48 - 1_000) < 60
    assert abs(pitch_hz(sound, Opus.RATE_HZ) - ABOVE_THE_TELEPHONE_HZ) < 20
    assert len(packets[10].payload) < 200


@pytest.mark.parametrize("rate_hz", [8_000, 16_000])
def test_a_prompt_of_either_rate_is_played_to_the_sample(
    wide_pair: tuple[Port, Port], core: MediaCore, ears: Ears, segment: SlotSegment, rows: Segment, rate_hz: int
) -> None:
    one, other = wide_pair
    (hearer,) = bound(core, segment, rows, other)
    hz = ABOVE_THE_TELEPHONE_HZ if rate_hz == 16_000 else 700
    play = one.play(core.load_prompt(tone(hz, 500, rate_hz), rate_hz))
    done = ears.wait(PromptDone, one)
    assert (done.play, done.whole, done.played_ms) == (play, True, 500)
    assert abs(pitch_hz(heard_tone(hearer, 400), 16_000) - hz) < 20
    one.play(core.load_prompt(tone(hz, 500, rate_hz), rate_hz), loop=True)
    until(lambda: len(loud(hearer.heard())) > 12_000)
    one.stop()
    assert not ears.wait(PromptDone, one, 2).whole


def test_a_narrow_and_a_wide_party_bridged_hear_each_other(
    core: MediaCore, segment: SlotSegment, rows: Segment
) -> None:
    alice, to_alice, to_bob, bob = (core.open(name) for name in ("alice", "to alice", "to bob", "bob"))
    for port, peer in ((alice, to_alice), (to_alice, alice)):
        port.remote(Remote(peer.address, "alaw", 8, 101))
    for port, peer in ((to_bob, bob), (bob, to_bob)):
        port.remote(opus(peer))
    to_alice.bridge(to_bob)
    talkers = bound(core, segment, rows, alice, bob)
    for worker, hz in zip(talkers, (500, 900), strict=True):
        worker.speak(tone(hz, 1_000))
    for worker, hz in zip(talkers, (900, 500), strict=True):
        sound = heard_tone(worker, 900)
        assert abs(pitch_hz(sound, 16_000) - hz) < 5
        assert 0.8 < level(sound) / level(tone(hz, 1_000)) < 1.2


# --- loss


def test_lost_packets_are_heard_from_the_copies_that_follow(
    core: MediaCore, segment: SlotSegment, rows: Segment
) -> None:
    mapped = core.attach(segment)
    made_up = []
    for slot, settings in enumerate(({"fec": 1, "loss_percent": 20}, {})):
        with OpusTelephone(bitrate=32_000, **settings) as phone:
            port = core.open()
            port.remote(phone.remote())
            port.bind(mapped, slot)
            phone.speak(port, voice(3_000, Opus.RATE_HZ), lose=lambda n: n % 10 == 5)
            until(lambda p=port: p.counters().packets_in == 135)  # type: ignore[misc]
            until(lambda p=port: p.counters().lost == 15)  # type: ignore[misc]
            made_up.append(int(rows.concealed[slot]) / 16)
    with_copies, without = made_up
    assert without >= 300, "each of the fifteen is concealed"
    assert with_copies <= without - 200, "most of them came back"


def test_the_far_ends_losses_are_told_to_the_encoder(core: MediaCore, segment: SlotSegment, rows: Segment) -> None:
    with OpusTelephone() as phone, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtcp:
        rtcp.bind(("127.0.0.1", 0))
        port = core.open()
        port.remote(phone.remote(rtcp_port=rtcp.getsockname()[1]))
        (talker,) = bound(core, segment, rows, port)
        talker.speak(tone(300, 4_000))
        first = [phone.hear() for _ in range(20)]
        assert not any(Opus.carries_a_copy(packet.payload) for packet in first), "nobody said that anything is lost"
        block = struct.pack("!IIIIII", first[-1].ssrc, 51 << 24, first[-1].seq, 0, 0, 0)  # a fifth is lost
        address = (port.address[0], port.address[1] + 1)
        rtcp.sendto(struct.pack("!BBHI", 0x81, 201, 7, phone.ssrc) + block, address)
        until(lambda: Opus.carries_a_copy(phone.hear().payload))
        assert port.counters().remote_lost_fraction == pytest.approx(0.2, abs=0.01)


def test_reports_tell_time_by_the_codecs_clock(core: MediaCore) -> None:
    with OpusTelephone() as phone, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtcp:
        rtcp.bind(("127.0.0.1", 0))
        rtcp.settimeout(10)
        port = core.open()
        port.remote(phone.remote(rtcp_port=rtcp.getsockname()[1]))
        packet, at_ms = phone.hear(), port.clock_ms
        phone.speak(port, tone(300, 1_000, Opus.RATE_HZ), paced=True)
        report = rtcp.recv(1_500)
        phone.drain()
        reported_ms = port.clock_ms
        (timestamp,) = struct.unpack_from("!I", report, 16)
        since_ms = ((timestamp - packet.timestamp) % 2**32) / 48
        assert since_ms == pytest.approx(reported_ms - at_ms, abs=250)
        # a packet each 20 ms: by a clock of 8 kHz its timestamps would seem to run six times too fast
        assert port.counters().jitter_ms < 15


# --- silence


def test_a_browsers_silence_is_its_own_and_no_loss(
    core: MediaCore, ears: Ears, segment: SlotSegment, rows: Segment
) -> None:
    with OpusTelephone(dtx=1) as phone:
        port = core.open()
        port.remote(phone.remote())
        (hearer,) = bound(core, segment, rows, port)
        phone.codec.encode(np.zeros(Opus.FRAME, np.int16))
        phone.speak(
            port, np.concatenate([tone(440, 200, Opus.RATE_HZ), np.zeros(2 * Opus.RATE_HZ, np.int16)]), paced=True
        )
        phone.speak(port, tone(900, 500, Opus.RATE_HZ), paced=True)
        until(lambda: abs(pitch_hz(hearer.heard()[-4_000:], 16_000) - 900) < 10)
        assert port.counters().lost == 0
        assert port.counters().packets_in < 60, "the telephone did fall silent"
        assert not [event for event in ears.listen() if isinstance(event, MediaLost)]


def test_with_dtx_agreed_our_silence_is_hardly_sent(
    core: MediaCore, segment: SlotSegment, rows: Segment, phone: OpusTelephone
) -> None:
    port, plain = core.open(), core.open()
    port.remote(phone.remote(dtx=True))
    (talker,) = bound(core, segment, rows, port)
    with OpusTelephone() as other:
        plain.remote(other.remote())
        silent_from = plain.counters().packets_out
        until(lambda: plain.counters().packets_out > silent_from + 100)  # two seconds by a port's own clock
        assert port.counters().packets_out < 60
    phone.drain()
    talker.speak(tone(440, 500))
    packets = [phone.hear() for _ in range(25)]
    spoken = [packet for packet in packets if len(packet.payload) > 20]
    assert len(spoken) >= 20
    assert spoken[0].marker or packets[0].marker, "a talkspurt begins with the marker"


# --- keys


@pytest.mark.parametrize("rate_hz", [8_000, 48_000])
def test_keys_are_pressed_by_the_clock_that_was_agreed(core: MediaCore, ears: Ears, rate_hz: int) -> None:
    one, other = core.open("one"), core.open("other")
    one.remote(Remote(other.address, "opus", 96, 97, digits_rate_hz=rate_hz))
    other.remote(Remote(one.address, "opus", 96, 97, digits_rate_hz=rate_hz))
    one.send_digits("15#", press_ms=60)
    ears.wait(DigitsSent, one)
    one.send_digits("*", press_ms=3_000)  # more than one segment of 48 kHz can say
    for n, (digit, ms) in enumerate([("1", 60), ("5", 60), ("#", 60), ("*", 3_000)], 1):
        heard = ears.wait(Digit, other, n)
        assert heard.digit == digit
        assert heard.duration_ms == pytest.approx(ms, abs=20)
    assert other.counters().jitter_ms < 5


# --- the codec changes while the call runs


def signal(one: Port, other: Port, codec: str) -> None:
    """Offer and answer of a re-INVITE, seen from both ends."""
    payload_type = {"ulaw": 0, "alaw": 8, "opus": 96}[codec]
    for port, peer in ((other, one), (one, other)):
        port.remote(Remote(peer.address, codec, payload_type, 97))  # type: ignore[arg-type]


def steps(sound: Pcm) -> int:
    return int(np.abs(np.diff(sound.astype(np.int32))).max())


def test_a_change_of_codec_is_heard_by_nobody(core: MediaCore, ears: Ears, segment: SlotSegment, rows: Segment) -> None:
    one, other = core.open("one"), core.open("other")
    signal(one, other, "ulaw")
    talker, hearer = bound(core, segment, rows, one, other)
    talker.speak(tone(300, 4_000))
    heard_tone(hearer, 200)
    for codec in ("opus", "alaw", "opus", "ulaw"):
        before = talker.played
        until(lambda b=before: talker.played > b + 6_400)  # type: ignore[misc]
        signal(one, other, codec)
    until(lambda: talker.played > 50_000)
    until(lambda: int(rows.heard[1]) > 50_000)
    heard = hearer.heard()
    sound = heard[loud(heard)[0] : loud(heard)[-1]]
    assert len(sound) > 45_000
    usual = steps(tone(300, 100))
    assert steps(sound) < 2 * usual, "a click"
    blocks = sound[: len(sound) // 800 * 800].reshape(-1, 800)
    assert min(level(block) for block in blocks) > 0.5 * level(tone(300, 100)), "a hole"
    for port in (one, other):
        counters = port.counters()
        assert (counters.lost, counters.bad, counters.wrong_ssrc) == (0, 0, 0)


def test_what_is_still_on_its_way_in_the_old_codec_is_heard(
    core: MediaCore, segment: SlotSegment, rows: Segment
) -> None:
    with OpusTelephone() as phone:
        port = core.open()
        port.remote(Remote(phone.address, "ulaw", 0, 101))
        (hearer,) = bound(core, segment, rows, port)
        phone.say(port, b"\x80" * 160)
        until(lambda: port.counters().packets_in == 1)
        port.remote(phone.remote())
        for _ in range(5):
            phone.say(port, b"\x80" * 160)
        until(lambda: port.counters().packets_in == 6)
        phone.timestamp = 0x5555_0000
        phone.speak(port, tone(ABOVE_THE_TELEPHONE_HZ, 400, Opus.RATE_HZ))
        until(lambda: port.counters().packets_in == 26)
        assert port.counters().bad == 0
        until(lambda: len(loud(hearer.heard())) > 7_000)
        assert abs(pitch_hz(hearer.heard()[loud(hearer.heard())[-1] - 4_000 :], 16_000) - ABOVE_THE_TELEPHONE_HZ) < 30
        phone.say(port, b"\x80" * 160)  # but once the new one came, the old one is no longer spoken
        until(lambda: port.counters().bad == 1)


def test_many_changes_of_codec_leak_nothing(core: MediaCore) -> None:
    one, other = core.open("one"), core.open("other")

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def change(times: int) -> None:
        for n in range(times):
            signal(one, other, ("opus", "ulaw", "opus", "alaw")[n % 4])

    change(40)
    before = resident()
    change(400)
    assert resident() - before < 8e6  # an encoder and a decoder have 80 kB: 64 MB, were they kept


def test_a_prompt_goes_on_over_a_change_of_codec(
    core: MediaCore, ears: Ears, segment: SlotSegment, rows: Segment
) -> None:
    one, other = core.open("one"), core.open("other")
    signal(one, other, "alaw")
    (hearer,) = bound(core, segment, rows, other)
    one.play(core.load_prompt(tone(500, 1_500), 16_000))
    heard_tone(hearer, 300)
    signal(one, other, "opus")
    done = ears.wait(PromptDone, one)
    assert (done.whole, done.played_ms) == (True, 1_500)
    sound = heard_tone(hearer, 1_300)
    assert abs(pitch_hz(sound, 16_000) - 500) < 5


def test_a_bridge_goes_on_over_a_change_of_codec(core: MediaCore, segment: SlotSegment, rows: Segment) -> None:
    alice, to_alice, to_bob, bob = (core.open(name) for name in ("alice", "to alice", "to bob", "bob"))
    signal(alice, to_alice, "ulaw")
    signal(to_bob, bob, "ulaw")
    to_alice.bridge(to_bob)
    talker, hearer = bound(core, segment, rows, alice, bob)
    talker.speak(tone(500, 2_500))
    heard_tone(hearer, 200)
    signal(to_bob, bob, "opus")
    before = talker.played
    until(lambda: talker.played > before + 9_600)
    signal(alice, to_alice, "opus")
    sound = heard_tone(hearer, 2_200)
    assert abs(pitch_hz(sound, 16_000) - 500) < 5
    blocks = sound[: len(sound) // 1_600 * 1_600].reshape(-1, 1_600)
    assert min(level(block) for block in blocks) > 0.5 * level(tone(500, 100))


# --- tracks


def test_tracks_have_the_rate_of_the_call_and_lie_on_its_clock(
    wide_pair: tuple[Port, Port], core: MediaCore, ears: Ears, segment: SlotSegment, rows: Segment, tmp_path: Path
) -> None:
    one, other = wide_pair
    talker = Worker(rows, 0, one.bind(core.attach(segment), 0))
    one.record(tmp_path / "c1.wav", tmp_path / "a1.wav")
    other.record(tmp_path / "c2.wav", tmp_path / "a2.wav")
    talker.speak(tone(ABOVE_THE_TELEPHONE_HZ, 500))
    began, ended = ears.wait(Talk, one, 1), ears.wait(Talk, one, 2)
    until(lambda: one.clock_ms > ended.clock_ms + 200)
    asked_ms = one.clock_ms
    one.stop_recording()
    stopped_ms = one.clock_ms
    other.stop_recording()
    for port in wide_pair:
        ears.wait(RecordClosed, port)
    said = track(tmp_path / "a1.wav", 16_000)
    assert asked_ms - 40 <= len(said) / 16 <= stopped_ms + 40
    where = loud(said)
    assert where[0] == pytest.approx(began.clock_ms * 16, abs=2), "nothing is resampled, so nothing is late"
    assert where[-1] == pytest.approx(ended.clock_ms * 16, abs=3)
    heard = track(tmp_path / "c2.wav", 16_000)
    sound = heard[loud(heard)[0] : loud(heard)[-1]]
    assert abs(len(sound) - 8_000) < 400
    assert abs(pitch_hz(sound, 16_000) - ABOVE_THE_TELEPHONE_HZ) < 20
    arrived = loud(heard)[0] + 320 + (other.opened_ns - one.opened_ns) / 62_500
    assert 0 <= arrived - where[0] < 320 + 200  # the codec itself takes 6.5 ms
    for name in ("c1.wav", "a2.wav"):
        assert len(loud(track(tmp_path / name, 16_000))) == 0


@pytest.mark.parametrize(("first", "then", "rate_hz"), [("ulaw", "opus", 8_000), ("opus", "ulaw", 16_000)])
def test_a_track_keeps_its_rate_when_the_codec_changes(
    core: MediaCore,
    ears: Ears,
    segment: SlotSegment,
    rows: Segment,
    tmp_path: Path,
    first: str,
    then: str,
    rate_hz: int,
) -> None:
    one, other = core.open("one"), core.open("other")
    signal(one, other, first)
    talker, hearer = bound(core, segment, rows, one, other)
    one.record(tmp_path / "c1.wav", tmp_path / "a1.wav")
    other.record(tmp_path / "c2.wav", tmp_path / "a2.wav")
    talker.speak(tone(440, 1_000))
    began = ears.wait(Talk, one, 1)
    heard_tone(hearer, 300)
    signal(one, other, then)
    ended = ears.wait(Talk, one, 2)
    until(lambda: one.clock_ms > ended.clock_ms + 200)
    for port in (one, other):
        port.close()
        ears.wait(RecordClosed, port)
    for name, clock in (("a1.wav", one), ("c2.wav", other)):
        sound = track(tmp_path / name, rate_hz)
        where = loud(sound)
        begin_ms = where[0] * 1_000 / rate_hz + (clock.opened_ns - one.opened_ns) / 1e6
        assert begin_ms == pytest.approx(began.clock_ms, abs=30)
        assert (where[-1] - where[0]) * 1_000 / rate_hz == pytest.approx(1_000, abs=40)
        assert abs(pitch_hz(sound[where[0] : where[-1]], rate_hz) - 440) < 5


# --- rubbish


def test_hostile_payloads_harm_nobody(core: MediaCore, segment: SlotSegment, rows: Segment) -> None:
    with OpusTelephone() as phone:
        port = core.open()
        port.remote(phone.remote())
        (hearer,) = bound(core, segment, rows, port)
        rng = random.Random(4)
        sent = 0
        for _ in range(15):
            for _ in range(20):  # within what one telephone may send
                payload = rng.randbytes(rng.choice((0, 1, 2, 3, 40, 200, 1_275, 1_400)))
                packet = Rtp(phone.PAYLOAD_TYPE, phone.seq, phone.timestamp, phone.ssrc, False, payload)
                phone.socket.sendto(packet.pack(), port.address)
                phone.seq = (phone.seq + 1) % 2**16
                phone.timestamp = (phone.timestamp + rng.choice((0, 1, 960, 5_760))) % 2**32
                sent += 1
            until(lambda n=sent: port.counters().packets_in + port.counters().bad >= n)  # type: ignore[misc]
        assert port.counters().bad > 0
        time.sleep(0.1)
        phone.timestamp = (phone.timestamp + 2**31) % 2**32
        phone.speak(port, tone(ABOVE_THE_TELEPHONE_HZ, 1_000, Opus.RATE_HZ))
        until(lambda: abs(pitch_hz(hearer.heard()[-12_000:-4_000], 16_000) - ABOVE_THE_TELEPHONE_HZ) < 30)


def test_an_opus_telephone_may_not_send_comfort_noise(core: MediaCore, phone: OpusTelephone) -> None:
    port = core.open()
    port.remote(phone.remote())
    Telephone.say(phone, port, b"\x40", payload_type=13)
    until(lambda: port.counters().bad == 1)

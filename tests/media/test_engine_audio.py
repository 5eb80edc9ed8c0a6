"""The media core's two paths, over real sockets: what a slot says is heard in another, and counted to the sample."""

from __future__ import annotations

import time

import numpy as np
import pytest

from offhook.media import Digit, DigitsSent, MediaCore, MediaError, Port, PromptDone, Remote, SlotSegment, Talk
from offhook.speech.slots import Segment
from tests.media.telephone import Ears, Telephone, Worker, level, loud, pitch_hz, tone, until


def bound(core: MediaCore, segment: SlotSegment, rows: Segment, *ports: Port) -> list[Worker]:
    mapped = core.attach(segment)
    return [Worker(rows, slot, port.bind(mapped, slot)) for slot, port in enumerate(ports)]


@pytest.mark.parametrize(("codec", "payload_type"), [("ulaw", 0), ("alaw", 8)])
@pytest.mark.parametrize("packet_ms", [10, 20, 30, 40, 60])
def test_a_tone_said_in_one_slot_is_heard_in_the_other(
    core: MediaCore, ears: Ears, segment: SlotSegment, rows: Segment, codec: str, payload_type: int, packet_ms: int
) -> None:
    one, other = core.open("one"), core.open("other")
    for port, peer in ((one, other), (other, one)):
        port.remote(Remote(peer.address, codec, payload_type, packet_ms=packet_ms))  # type: ignore[arg-type]
    talker, hearer = bound(core, segment, rows, one, other)
    talker.speak(tone(440, 400))
    ears.wait(Talk, one, count=2)
    until(lambda: len(loud(hearer.heard())) > 0 and level(hearer.heard()[-1600:]) < 100)
    heard = hearer.heard()
    where = loud(heard)
    sound = heard[where[0] : where[-1]]
    assert abs(len(sound) - 6_400) < 100  # 400 ms at 16 kHz
    assert abs(pitch_hz(sound, 16_000) - 440) < 5
    assert abs(level(sound) / level(tone(440, 400)) - 1) < 0.05
    assert talker.played == 6_400


def test_both_ends_hear_each_other_at_once(
    pair: tuple[Port, Port], core: MediaCore, segment: SlotSegment, rows: Segment
) -> None:
    workers = bound(core, segment, rows, *pair)
    for worker, hz in zip(workers, (500, 900), strict=True):
        worker.speak(tone(hz, 500))
    for worker, hz in zip(workers, (900, 500), strict=True):
        until(lambda w=worker: len(loud(w.heard())) > 7_000)  # type: ignore[misc]
        heard = worker.heard()
        assert abs(pitch_hz(heard[loud(heard)[0] :][:7_000], 16_000) - hz) < 5


def test_a_cut_falls_within_a_packet_and_counts_what_was_really_played(
    pair: tuple[Port, Port], core: MediaCore, segment: SlotSegment, rows: Segment
) -> None:
    talker, hearer = bound(core, segment, rows, *pair)
    talker.speak(np.full(32_000, 8_000, np.int16))  # 2 s
    until(lambda: talker.played > 3_200)
    before = talker.played
    talker.cut()
    until(lambda: int(rows.cut_done[0]) == 1)
    played = int(rows.cut_played[0])
    assert played - before <= 640 + 80  # the packet in the making, one more, and the fade
    assert int(rows.taken[0]) == 32_000
    until(lambda: level(hearer.heard()[-1600:]) < 100)
    time.sleep(0.1)  # nothing may come after it
    assert talker.played == played
    heard = hearer.heard()
    where = loud(heard, 4_000)
    assert abs(len(where) - (played - 40)) < 30, "half of the fade lies above half the level"
    assert np.abs(np.diff(heard[where[0] + 100 :].astype(np.int32))).max() < 500, "it must not click"


def test_after_a_cut_the_new_words_follow_at_once(
    pair: tuple[Port, Port], core: MediaCore, segment: SlotSegment, rows: Segment
) -> None:
    talker, hearer = bound(core, segment, rows, *pair)
    talker.speak(tone(400, 2_000))
    until(lambda: talker.played > 3_200)
    talker.cut()
    talker.speak(tone(1_200, 300))
    until(lambda: int(rows.taken[0]) == int(rows.spoken[0]))
    until(lambda: level(hearer.heard()[-1600:]) < 100)
    heard = hearer.heard()
    assert abs(pitch_hz(heard[loud(heard)[-1] - 4_000 : loud(heard)[-1]], 16_000) - 1_200) < 10
    assert talker.played == int(rows.cut_played[0]) + 4_800


def test_flush_answers_what_reached_the_wire(
    pair: tuple[Port, Port], core: MediaCore, ears: Ears, segment: SlotSegment, rows: Segment
) -> None:
    (talker,) = bound(core, segment, rows, pair[0])
    talker.speak(tone(400, 2_000))
    until(lambda: talker.played > 3_200)
    played = pair[0].flush()
    assert 3_200 < played < 32_000
    ended = ears.wait(Talk, pair[0], count=2)
    assert not ended.began
    assert ended.cursor == played == talker.played
    assert pair[0].flush() == played, "there is nothing left to cut"


def test_talk_is_reported_with_clock_and_cursor(
    pair: tuple[Port, Port], core: MediaCore, ears: Ears, segment: SlotSegment, rows: Segment
) -> None:
    (talker,) = bound(core, segment, rows, pair[0])
    for n, ms in enumerate((200, 105)):
        talker.speak(tone(400, ms))
        began, ended = ears.wait(Talk, pair[0], 2 * n + 1), ears.wait(Talk, pair[0], 2 * n + 2)
        assert (began.began, ended.began) == (True, False)
        assert ended.clock_ms - began.clock_ms == pytest.approx(ms, abs=0.2)
        assert ended.cursor - began.cursor == ms * 16
        assert ended.clock_ms <= pair[0].clock_ms + 20


def test_silence_inside_an_utterance_is_starving_and_silence_after_it_is_not(
    pair: tuple[Port, Port], core: MediaCore, ears: Ears, segment: SlotSegment, rows: Segment
) -> None:
    (talker,) = bound(core, segment, rows, pair[0])
    talker.speak(tone(400, 100), more=True)
    until(lambda: talker.played == 1_600)
    time.sleep(0.1)
    talker.speak(tone(400, 100))
    ears.wait(Talk, pair[0], count=2)
    starved = int(rows.starved[0])
    assert 800 < starved < 8_000
    time.sleep(0.1)
    talker.speak(tone(400, 100))
    ears.wait(Talk, pair[0], count=4)
    assert int(rows.starved[0]) == starved


def test_a_worker_that_breaks_off_ends_its_utterance_after_a_second(
    pair: tuple[Port, Port], core: MediaCore, ears: Ears, segment: SlotSegment, rows: Segment
) -> None:
    (talker,) = bound(core, segment, rows, pair[0])
    talker.speak(tone(400, 100), more=True)
    ended = ears.wait(Talk, pair[0], count=2)
    assert not ended.began
    assert int(rows.starved[0]) == 0


def test_nothing_of_another_epoch_is_heard(
    pair: tuple[Port, Port], core: MediaCore, segment: SlotSegment, rows: Segment
) -> None:
    mapped = core.attach(segment)
    first = pair[0].bind(mapped, 0)
    old = Worker(rows, 0, first)
    old.speak(tone(400, 2_000))
    until(lambda: old.played > 0)
    pair[0].unbind()
    assert int(rows.live[0]) == 0
    second = pair[0].bind(mapped, 0)
    assert second == first + 1
    assert int(rows.played[0]) == int(rows.taken[0]) == int(rows.spoken[0]) == 0
    rows.speak_epoch[0] = first  # the dead worker goes on
    rows.spoken[0] = 16_000
    heard = int(rows.heard[0])
    until(lambda: int(rows.heard[0]) > heard + 1_600)
    assert int(rows.played[0]) == 0


def test_a_slot_has_one_port_and_is_free_after_it(
    pair: tuple[Port, Port], core: MediaCore, segment: SlotSegment
) -> None:
    mapped = core.attach(segment)
    pair[0].bind(mapped, 2)
    with pytest.raises(MediaError, match="another port is bound to that slot"):
        pair[1].bind(mapped, 2)
    with pytest.raises(MediaError, match="no such segment or slot"):
        pair[1].bind(mapped, 4)
    pair[0].close()
    assert pair[1].bind(mapped, 2) == 2


def test_rubbish_from_a_worker_harms_nobody(
    pair: tuple[Port, Port], core: MediaCore, segment: SlotSegment, rows: Segment
) -> None:
    (talker,) = bound(core, segment, rows, pair[0])
    for spoken, cut_before, cut_seq in ((2**64 - 1, 0, 0), (5, 2**63, 1), (2**40, 2**64 - 1, 2**63), (0, 0, 3)):
        rows.spoken[0], rows.cut_before[0], rows.cut_seq[0] = spoken, cut_before, cut_seq
        heard = int(rows.heard[0])
        until(lambda h=heard: int(rows.heard[0]) > h + 1_600)  # type: ignore[misc]
        pair[0].flush()
    assert talker.played >= 0
    assert pair[0].counters().packets_out > 5


def test_a_slot_that_a_worker_marked_as_taken_can_be_bound(
    core: MediaCore, segment: SlotSegment, rows: Segment
) -> None:
    mapped = core.attach(segment)
    rows.live[1], rows.epoch[1] = 1, 2**32 - 1
    port = core.open()
    assert port.bind(mapped, 1) == 1  # an epoch is never 0
    assert port.bind(mapped, 1) == 2


def test_the_slots_clock_runs_before_the_caller_is_heard(core: MediaCore, segment: SlotSegment, rows: Segment) -> None:
    port = core.open()
    began_ms = port.clock_ms
    bound(core, segment, rows, port)
    bound_ms = port.clock_ms
    until(lambda: int(rows.heard[0]) >= 8_000)
    least_ms, heard_ms, most_ms = port.clock_ms - bound_ms, int(rows.heard[0]) / 16, port.clock_ms - began_ms
    assert least_ms - 61 <= heard_ms <= most_ms + 21
    assert int(rows.missing[0]) == int(rows.heard[0])


def test_a_caller_that_falls_silent_is_concealed_and_then_missing(
    core: MediaCore, segment: SlotSegment, rows: Segment, phone: Telephone
) -> None:
    port = core.open()
    port.remote(phone.remote())
    bound(core, segment, rows, port)
    for _ in range(10):  # at once: a pause of this process would be concealed too
        phone.say(port)
    before = int(rows.missing[0])
    until(lambda: int(rows.missing[0]) > before + 3_200)
    assert 0 < int(rows.concealed[0]) <= 960  # 60 ms
    counters = port.counters()
    assert counters.missing_ms > 0
    assert counters.packets_in == 10


def test_digits_go_both_ways(core: MediaCore, ears: Ears, pair: tuple[Port, Port]) -> None:
    pair[0].send_digits("159#", press_ms=60)
    pair[1].send_digits("*0d")
    assert [ears.wait(Digit, pair[1], n).digit for n in (1, 2, 3, 4)] == list("159#")
    assert [ears.wait(Digit, pair[0], n).digit for n in (1, 2, 3)] == list("*0D")
    assert ears.wait(Digit, pair[1], 1).duration_ms == pytest.approx(60, abs=20)
    assert ears.wait(Digit, pair[0], 1).duration_ms == pytest.approx(100, abs=20)
    for port in pair:
        ears.wait(DigitsSent, port)
    assert pair[0].counters().jitter_ms < 5


def test_digits_that_signalling_withdraws_leave_no_silence(
    pair: tuple[Port, Port], core: MediaCore, ears: Ears, segment: SlotSegment, rows: Segment
) -> None:
    (hearer,) = bound(core, segment, rows, pair[1])
    pair[0].send_digits("1" * 20)
    ears.wait(Digit, pair[1])
    pair[0].remote(Remote(pair[1].address, "ulaw", 0))
    ears.wait(DigitsSent, pair[0], limit_s=1)
    pair[0].play(core.load_prompt(tone(400, 1_000), 16_000), loop=True)
    until(lambda: level(hearer.heard()[-1_600:]) > 2_000)


def test_digits_that_cannot_be_pressed_are_refused_in_words(core: MediaCore, pair: tuple[Port, Port]) -> None:
    bare = core.open()
    with pytest.raises(MediaError, match="agreed to no digits"):
        bare.send_digits("1")
    with pytest.raises(MediaError, match="cannot press"):
        pair[0].send_digits("12x")
    with pytest.raises(MediaError, match="40 to 5000 ms"):
        pair[0].send_digits("1", press_ms=1)


def test_a_prompt_is_played_whole_or_cut_or_over_and_over(
    pair: tuple[Port, Port], core: MediaCore, ears: Ears, segment: SlotSegment, rows: Segment
) -> None:
    (hearer,) = bound(core, segment, rows, pair[1])
    prompt = core.load_prompt(tone(700, 300, 8_000), 8_000)
    first = pair[0].play(prompt)
    done = ears.wait(PromptDone, pair[0], 1)
    assert (done.play, done.whole, done.played_ms) == (first, True, 300)
    until(lambda: len(loud(hearer.heard())) > 4_000)
    heard = hearer.heard()
    assert abs(pitch_hz(heard[loud(heard)[0] :][:4_000], 16_000) - 700) < 10

    looped = pair[0].play(prompt, loop=True)
    core.drop_prompt(prompt)  # it is being played, and goes on
    out = pair[0].counters().packets_out
    until(lambda: pair[0].counters().packets_out > out + 20)
    pair[0].stop()
    done = ears.wait(PromptDone, pair[0], 2)
    assert (done.play, done.whole) == (looped, False)
    assert done.played_ms > 300
    with pytest.raises(MediaError, match="no such prompt"):
        pair[0].play(prompt)


def test_a_prompt_goes_before_the_slot_which_waits(
    pair: tuple[Port, Port], core: MediaCore, ears: Ears, segment: SlotSegment, rows: Segment
) -> None:
    (talker,) = bound(core, segment, rows, pair[0])
    pair[0].play(core.load_prompt(tone(700, 300), 16_000))
    talker.speak(tone(400, 100))
    done, began = ears.wait(PromptDone, pair[0]), ears.wait(Talk, pair[0])
    assert began.clock_ms >= done.clock_ms
    assert ears.wait(Talk, pair[0], 2).cursor == 1_600


def test_two_people_bridged_hear_each_other(core: MediaCore, segment: SlotSegment, rows: Segment) -> None:
    alice, to_alice, to_bob, bob = (core.open(name) for name in ("alice", "to alice", "to bob", "bob"))
    for port, peer in ((alice, to_alice), (to_alice, alice), (to_bob, bob), (bob, to_bob)):
        port.remote(Remote(peer.address, "ulaw", 0, 101))
    to_alice.bridge(to_bob)
    talkers = bound(core, segment, rows, alice, bob)
    for worker, hz in zip(talkers, (500, 900), strict=True):
        worker.speak(tone(hz, 1_000))
    for worker, hz in zip(talkers, (900, 500), strict=True):
        until(lambda w=worker: len(loud(w.heard())) > 13_000)  # type: ignore[misc]
        heard = worker.heard()
        assert abs(pitch_hz(heard[loud(heard)[0] + 800 :][:8_000], 16_000) - hz) < 5
    to_bob.close()
    with pytest.raises(MediaError, match="is closed"):
        to_alice.bridge(to_bob)

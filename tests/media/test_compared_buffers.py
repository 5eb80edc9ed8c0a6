"""The buffers that loadtest holds side by side, on networks small enough to know what must come out. NetEq, which runs
in real time, on two seconds of one."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from loadtest.served import ROOT

sys.path.insert(0, str(ROOT / "loadtest"))  # as the programs themselves are run

import jitter
import loss
import scores
import traces
import words
from buffers import Buffer, every
from buffers.neteq import NetEq
from buffers.stream import MS, PACKET, PACKET_MS, RATE_HZ, Stream, from_ulaw, to_ulaw

SECONDS = 6


def offline() -> list[Buffer]:
    return [buffer for buffer in every() if not buffer.real_time]


def present(buffer: Buffer) -> Buffer:
    if why := buffer.missing():
        pytest.skip(f"skipped: {why}")
    return buffer


def even(gone: frozenset[int] = frozenset()) -> Stream:
    """A voice over a line that takes 30 ms, without the packets `gone`."""
    count = SECONDS * 1000 // PACKET_MS
    return traces.stream("even", [None if n in gone else (n * PACKET_MS + 30) * MS for n in range(count)])


def shown(stream: Stream) -> np.ndarray:
    return from_ulaw(b"".join(stream.payload(number) for number in range(stream.sent)))


def test_mu_law_is_the_codecs_own_grid() -> None:
    every_code = bytes(range(256))
    values = from_ulaw(every_code)
    assert sorted({*values.tolist()})[0] == -32124 and values.max() == 32124
    again = from_ulaw(to_ulaw(values))
    assert np.array_equal(again, values)
    wave = (np.sin(np.arange(8000) / 7) * 8000).astype(np.int16)
    assert np.abs(from_ulaw(to_ulaw(wave)) - wave).max() <= 256


@pytest.mark.parametrize("buffer", offline(), ids=lambda buffer: buffer.name)
def test_on_an_even_line_a_buffer_plays_everything_as_it_was_said(buffer: Buffer) -> None:
    stream = even()
    (played,) = present(buffer).play([stream])
    assert played.unplayed == 0
    assert played.made_up_percent < 1
    assert 0 <= played.mean_delay_ms <= 100
    said = shown(stream)[2 * RATE_HZ : 4 * RATE_HZ]
    heard = scores.cut(said, played.sound, 2 * RATE_HZ + int((30 * MS - played.begin_ns) * RATE_HZ / 1e9))
    assert np.corrcoef(said, heard)[0, 1] > 0.99


@pytest.mark.parametrize("buffer", offline(), ids=lambda buffer: buffer.name)
def test_what_is_lost_is_made_up_and_nothing_else(buffer: Buffer) -> None:
    gone = frozenset(range(100, 290, 10))
    (played,) = present(buffer).play([even(gone)])
    share = 100 * len(gone) / (SECONDS * 1000 / PACKET_MS)
    if buffer.name == "aiortc":  # it lets go of what waits behind a gap only when it is full
        assert played.made_up_percent >= share / 2
        assert played.delay_ms(0.95) > 150
    else:
        assert played.unplayed == 0
        assert played.made_up_percent == pytest.approx(share, abs=1.5)


@pytest.mark.parametrize("name", ["listening", "aiortc", "repetition", "spandsp"])
def test_packets_in_another_order_are_put_right(name: str) -> None:
    buffer = next(buffer for buffer in every() if buffer.name == name)
    count = SECONDS * 1000 // PACKET_MS
    moments = [(n * PACKET_MS + 30 + (25 if n % 50 == 30 else 0)) * MS for n in range(count)]
    (played,) = present(buffer).play([traces.stream("reordered", moments)])
    assert played.unplayed == 0
    assert played.made_up_percent < 1


def test_a_fixed_buffer_loses_what_is_later_than_it_waits() -> None:
    count = SECONDS * 1000 // PACKET_MS
    late = {60, 120, 180}
    moments = [(n * PACKET_MS + 30 + (61 if n in late else 0)) * MS for n in range(count)]
    stream = Stream.of("late", moments, bytes([0xFF]) * PACKET)
    repetition = next(buffer for buffer in every() if buffer.name == "repetition")
    (played,) = repetition.play([stream])
    assert played.unplayed == len(late)
    assert played.mean_delay_ms == pytest.approx(60, abs=1)


def test_after_a_stall_the_time_to_return_is_measured() -> None:
    stream = traces.stream(jitter.SPIKE, traces.spike(seconds=20, at_s=12))
    ours = next(buffer for buffer in every() if buffer.name == "offhook")
    (played,) = present(ours).play([stream])
    back = jitter.back_s(played, at_s=12)
    assert back is not None and back <= 2
    longest = played.runs[-1]
    longest.delays[longest.delays[:, 0] > 13e9, 1] += 50  # as if it had stayed away, once
    assert jitter.back_s(played, at_s=12) is None


def test_neteq_hears_our_packets_and_speaks_of_its_buffer() -> None:
    neteq = present(NetEq())
    moments = [(n * PACKET_MS + 30) * MS for n in range(100)]
    lost = [None if n in (40, 41, 60) else at for n, at in enumerate(moments)]
    (played,) = neteq.play([traces.stream("two seconds", lost)])
    assert played.arrived == 97
    assert played.more["packetsLost"] == 3
    assert played.made_up_percent > 0
    assert len(played.delays) > 5 and 0 < played.mean_delay_ms < 500
    assert len(played.sound) > RATE_HZ and np.abs(played.sound).max() > 1_000


@pytest.mark.parametrize("pattern", loss.PATTERNS)
@pytest.mark.parametrize("percent", [1, 5, 20])
def test_as_many_packets_are_lost_as_was_asked_for(pattern: str, percent: float) -> None:
    lost = loss.lost(pattern, percent, 10_000)
    assert 100 * lost.mean() == pytest.approx(percent, rel=0.05)
    together = (lost[1:] & lost[:-1]).sum() / max(1, lost.sum())
    assert (together > 0.4) == (pattern == "bursty")
    assert np.array_equal(lost, loss.lost(pattern, percent, 10_000))


def test_words_missed_and_words_too_many_are_told_apart() -> None:
    said = "four one seven two".split()
    assert words.plain("4-1 7, two.") == said
    assert words.wrong(said, said) == (0, 0)
    assert words.wrong(said, words.plain("4172 4172")) == (0, 4)
    assert words.wrong(said, words.plain("for nine two")) == (2, 0)
    assert words.wrong(said, []) == (4, 0)


def test_speech_scores_lower_with_pieces_missing() -> None:
    if why := scores.missing():
        pytest.skip(f"skipped: {why}")
    import soundfile

    said, _ = soundfile.read(ROOT / "loadtest" / "speech" / "slt-4-return-something.flac", dtype="int16")
    holes = said.copy()
    for begin in range(800, len(holes), 1_600):
        holes[begin : begin + PACKET] = 0
    whole, broken = scores.score(said, said), scores.score(said, holes)
    assert whole.pesq is not None and broken.pesq is not None
    assert whole.pesq > 4.4 > broken.pesq + 0.5
    assert whole.plcmos > broken.plcmos + 0.5

"""Turn taking is decided frame by frame; time here is counted in frames, not waited for."""

from __future__ import annotations

import pytest

from offhook.speech.turns import Speech, TurnClock, TurnOptions, is_backchannel
from offhook.speech.voiceactivity import FRAME_MS, FRAME_SAMPLES


def frames(clock: TurnClock, probability: float, count: int, missing: float = 0.0) -> list[Speech]:
    return [clock.frame(probability, missing) for _ in range(count)]


def test_a_click_of_one_frame_is_no_turn() -> None:
    clock = TurnClock(TurnOptions())
    frames(clock, 0.8, 1)
    frames(clock, 0.1, 1)
    assert not clock.in_turn


def test_a_turn_begins_where_the_speech_began_not_where_it_was_noticed() -> None:
    clock = TurnClock(TurnOptions())
    frames(clock, 0.0, 10)
    assert Speech.BEGAN in frames(clock, 0.8, 3)
    assert clock.turn_start == 10 * FRAME_SAMPLES


def test_speech_over_the_agent_is_noticed_sooner_and_at_once_where_it_is_sure() -> None:
    quiet, over = TurnClock(TurnOptions()), TurnClock(TurnOptions())
    assert [quiet.frame(0.6) for _ in range(2)][-1] is Speech.NOTHING
    assert [over.frame(0.6, agent_speaks=True) for _ in range(2)][-1] is Speech.BEGAN
    assert TurnClock(TurnOptions()).frame(0.8, agent_speaks=True) is Speech.BEGAN


def test_unsure_activity_neither_begins_speech_nor_ends_it() -> None:
    clock = TurnClock(TurnOptions())
    frames(clock, 0.45, 20)
    assert not clock.in_turn
    frames(clock, 0.8, 5)
    frames(clock, 0.45, 5)
    assert clock.silence == 0


def test_silence_is_counted_from_the_last_speech_and_anew_after_a_pause() -> None:
    clock = TurnClock(TurnOptions())
    frames(clock, 0.9, 5)
    frames(clock, 0.0, 4)
    assert clock.silence_ms == 4 * FRAME_MS and clock.speech_end == 5 * FRAME_SAMPLES
    assert frames(clock, 0.9, 1) == [Speech.RESUMED]
    assert clock.silence == 0


def test_missing_packets_are_not_silence() -> None:
    clock = TurnClock(TurnOptions())
    frames(clock, 0.9, 5)
    frames(clock, 0.0, 50, missing=1.0)
    assert clock.silence == 0
    frames(clock, 0.0, 2, missing=0.5)
    assert clock.silence_ms == FRAME_MS


def test_a_phone_that_stopped_sending_is_silent_after_a_while() -> None:
    clock = TurnClock(TurnOptions(no_packets_ms=3_000))
    frames(clock, 0.9, 5)
    frames(clock, 0.0, 3_000 // FRAME_MS + 20, missing=1.0)
    assert clock.silence_ms >= 15 * FRAME_MS


@pytest.mark.parametrize(
    ("complete", "wait_ms"), [(1.0, 250), (0.75, 425), (0.5, 600), (0.25, 1_000), (0.0, 1_400), (7.0, 250), (-1, 1_400)]
)
def test_the_more_complete_the_words_the_shorter_the_wait(complete: float, wait_ms: float) -> None:
    assert TurnOptions().wait_ms(complete) == wait_ms


def test_no_turn_waits_longer_than_the_longest() -> None:
    assert TurnOptions(incomplete_ms=9_000).wait_ms(0.0) == 2_000


@pytest.mark.parametrize("words", ["Okay.", "Uh-huh.", "mm-hmm", "Yes, yes.", "I see.", "Oh, okay, great."])
def test_listening_sounds_are_backchannels(words: str) -> None:
    assert is_backchannel(words)


@pytest.mark.parametrize("words", ["", "4172", "No.", "Stop.", "Yes, but I want my money back.", "Okay " * 9, "?!"])
def test_what_asks_for_the_floor_is_not(words: str) -> None:
    assert not is_backchannel(words)


def test_a_phone_that_stops_sending_in_silence_has_ended_its_turn() -> None:
    clock = TurnClock(TurnOptions())
    frames(clock, 0.9, 20)
    frames(clock, 0.0, 4)  # the sound dies away, then silence suppression
    frames(clock, 0.0, 20, missing=1.0)
    assert clock.silence_ms == pytest.approx(24 * FRAME_MS)


def test_a_phone_that_stops_sending_in_mid_word_has_not() -> None:
    clock = TurnClock(TurnOptions())
    frames(clock, 0.9, 20)
    frames(clock, 0.0, 20, missing=1.0)
    assert clock.silence_ms == 0


def test_a_sound_that_outlasts_its_turn_begins_no_other_before_it_pauses_and_the_caller_is_quiet_meanwhile() -> None:
    clock = TurnClock(TurnOptions())
    frames(clock, 0.9, 200)
    clock.end_turn()
    assert Speech.BEGAN not in frames(clock, 0.9, 200) and clock.quiet_ms == 200 * FRAME_MS
    frames(clock, 0.1, 1)
    assert Speech.BEGAN in frames(clock, 0.9, 3)


def test_a_turn_does_not_reach_back_into_the_one_before() -> None:
    clock = TurnClock(TurnOptions())
    frames(clock, 0.9, 100)
    clock.end_turn()
    over = clock.now
    assert Speech.BEGAN in frames(clock, 0.9, 3) and clock.turn_start == over


def test_who_only_makes_noises_has_been_quiet_all_the_while() -> None:
    clock = TurnClock(TurnOptions())
    frames(clock, 0.1, 20)
    frames(clock, 0.9, 10)
    frames(clock, 0.1, 10)
    clock.end_turn(spoken=False)
    assert clock.quiet_ms == 40 * FRAME_MS

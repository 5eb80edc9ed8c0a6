"""A turn as the duplex model learns it: cut where the clock stops, laid out as serving lays it out."""

from __future__ import annotations

import numpy as np
import pytest
from models.duplex.data.line import Line
from models.duplex.data.shards import Utterance
from models.duplex.turns import (
    BACKCHANNEL,
    ENDED,
    EOS,
    GIST_,
    HOPS,
    INTERRUPTED,
    LISTEN,
    MEANING_,
    SPEAKING_,
    WORDS_,
    Turn,
    Window,
    cut,
    lay_out,
    make,
)

from offhook.speech.contract import HOP_SAMPLES

VOICE = 16_000
"""Samples of every test utterance's two pieces, half a second of silence between them."""


def said(kind: str = "request", speaking: bool = False) -> Utterance:
    pieces = ((0, VOICE), (VOICE + 8_000, 2 * VOICE + 8_000))
    return Utterance(
        "one", 0, pieces[-1][1], pieces, "voice", "where is 4173", "4173", "where is it", "hello", kind, speaking,
        "any", "pattern", "train",
    )  # fmt: skip


def sound(of: Utterance) -> np.ndarray:
    audio = np.zeros(of.samples, np.float32)
    for first, end in of.pieces:
        audio[first:end] = 0.25
    return audio


def windows(of: Utterance, early: bool = True, count: int = 200) -> list[Window]:
    rng = np.random.default_rng(3)
    return [cut(of, sound(of), rng, early) for _ in range(count)]


def test_a_window_is_of_whole_hops_and_never_longer_than_the_ear_hears() -> None:
    for window in windows(said()):
        assert len(window.audio) % HOP_SAMPLES == 0
        assert 2 <= len(window.audio) // HOP_SAMPLES <= HOPS


def test_a_turn_has_ended_only_in_windows_that_hold_every_sample_of_it() -> None:
    of = said()
    for window in windows(of):
        heard = int((window.audio != 0).sum())
        assert window.whole == (heard == 2 * VOICE)
        assert window.state == (ENDED if window.whole else LISTEN)


def test_windows_that_stop_in_a_pause_stop_before_speech_goes_on() -> None:
    stopped = [window for window in windows(said()) if (window.audio != 0).sum() == VOICE]
    assert len(stopped) > 50
    for window in stopped:
        assert window.state == LISTEN
        assert window.audio[-1] == 0


def test_the_end_of_a_turn_counts_less_in_the_hop_in_which_it_comes() -> None:
    weights = {window.weight for window in windows(said(), early=False)}
    assert weights == {0.5, 1.0}


@pytest.mark.parametrize(
    ("kind", "speaking", "states"),
    [
        ("backchannel", True, {BACKCHANNEL}),
        ("aside", False, {LISTEN}),
        ("interruption", True, {INTERRUPTED, ENDED}),
        ("answer", False, {LISTEN, ENDED}),
    ],
)
def test_each_kind_of_saying_has_its_states(kind: str, speaking: bool, states: set[int]) -> None:
    assert {window.state for window in windows(said(kind, speaking))} == states


def turn(**changes: object) -> Turn:
    values: dict[str, object] = {
        "audio": np.zeros(5 * HOP_SAMPLES, np.float32), "state": ENDED, "state_weight": 1.0, "whole": True,
        "asked": [11, 12], "words": [21, 22, 23], "gist": [31], "speaking": True, "meaning": np.zeros(384, np.float32),
    }  # fmt: skip
    return Turn(**(values | changes))  # type: ignore[arg-type]


def test_both_branches_go_on_from_the_meaning_and_end_in_the_end_token() -> None:
    laid = lay_out(turn(), hops=5)
    assert laid.specials[laid.meaning_at] == MEANING_
    assert laid.specials[1] == SPEAKING_
    assert (laid.audio >= 0).sum() == 3, "five hops are two and a half positions"
    for branch, special, text in ((1, GIST_, [31]), (2, WORDS_, [21, 22, 23])):
        at = np.flatnonzero(laid.branch == branch)
        assert laid.specials[at[0]] == special
        assert laid.tokens[at[1:]].tolist() == text
        assert laid.labels[at].tolist() == [*text, EOS]
        assert laid.positions[at].tolist() == list(range(laid.meaning_at + 1, laid.meaning_at + 1 + len(at)))


def test_what_was_cut_off_is_not_learnt() -> None:
    laid = lay_out(turn(whole=False), hops=5)
    assert (laid.labels == -1).all()
    assert laid.meaning_at == len(laid.tokens) - 1


def test_as_text_the_words_stand_where_the_audio_stood() -> None:
    laid = lay_out(turn(), hops=None)
    assert (laid.audio == -1).all()
    assert laid.tokens[laid.meaning_at - 3 : laid.meaning_at].tolist() == [21, 22, 23]


def test_the_same_generator_makes_the_same_turn() -> None:
    of, meaning = said(), np.ones(384, np.float32)

    def once() -> Turn:
        rng = np.random.default_rng(9)
        return make(of, sound(of), meaning, Line.sample(rng), lambda text: [len(text)], rng)

    one, two = once(), once()
    assert np.array_equal(one.audio, two.audio)
    assert (one.state, one.asked, one.whole) == (two.state, two.asked, two.whole)
    assert np.abs(one.audio).max() <= 1.0

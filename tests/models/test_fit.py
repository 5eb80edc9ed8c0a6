"""What fitting counts, on silences small enough to be counted by hand."""

from __future__ import annotations

import dataclasses

import pytest
from models.duplex.evaluate.systems import Moment
from models.duplex.fit import Ended, Outcome, asides_below, best, ends_tried, outcome

from offhook.speech.duplex.turns import EndOptions

PLAIN = EndOptions(
    soonest_ms=160, sure=0.8, patient_ms=161, doubtful=0.8, longest_ms=800, aside=0.03, complete_adds=0.0,
    incomplete_takes=0.0, keeps=0.0,
)  # fmt: skip


def silence(ends_turn: bool, *ended: float) -> Ended:
    """One in which the model thinks so at 80, 160, 240 ms and so on, of words that are complete."""
    at = tuple(80.0 * number for number in range(1, len(ended) + 1))
    moments = (Moment(one, 1.0, ms) for one, ms in zip(ended, at, strict=True))
    return Ended(ends_turn, at, tuple(moments))


def test_the_policy_acts_where_it_would_on_a_call() -> None:
    assert silence(True, 0.9, 0.9).acts_ms(PLAIN) == 160
    assert silence(True, 0.1, 0.1, 0.1, 0.9).acts_ms(PLAIN) == 320
    assert silence(False, 0.1, 0.1, 0.1).acts_ms(PLAIN) is None
    assert silence(True, *[0.1] * 12).acts_ms(PLAIN) == 800


def test_nothing_is_answered_before_the_mind_has_seen_it() -> None:
    unseen = Ended(True, (80.0, 160.0, 240.0), tuple(Moment(1.0, None, ms) for ms in (80.0, 160.0, 240.0)))
    assert unseen.acts_ms(PLAIN) is None


def test_what_was_heard_at_the_beginning_of_a_silence_is_kept() -> None:
    fading = silence(True, 0.9, 0.1, 0.1)
    assert fading.acts_ms(PLAIN) is None
    assert fading.acts_ms(dataclasses.replace(PLAIN, keeps=0.95)) == 160


def test_a_pause_acted_in_is_cut_off_and_an_end_not_acted_in_waits_to_the_last() -> None:
    holds = [silence(False, 0.9, 0.9), silence(False, 0.1, 0.1)]
    ends = [silence(True, 0.9, 0.9), silence(True, 0.1, 0.1, 0.1)]
    assert outcome([*holds, *ends], PLAIN) == Outcome(0.5, 200.0)


def test_pauses_alone_cannot_be_fitted_to() -> None:
    with pytest.raises(ValueError, match="1 pauses and 0 ends"):
        outcome([silence(False, 0.9)], PLAIN)


def test_the_soonest_within_the_budget_is_the_best() -> None:
    tried = [(Outcome(0.3, 200.0), PLAIN), (Outcome(0.1, 600.0), PLAIN), (Outcome(0.05, 700.0), PLAIN)]
    assert best(tried, 0.1) == tried[1]
    assert best(tried, 0.01) is None


def test_every_combination_is_tried_once_and_the_rest_stays() -> None:
    tried = list(ends_tried(PLAIN))
    assert len({dataclasses.astuple(one) for one in tried}) == len(tried) > 1_000
    assert {one.aside for one in tried} == {PLAIN.aside}


def test_few_real_ends_lie_below_the_bound_of_asides() -> None:
    ends = [silence(True, *[0.2 + 0.01 * number] * 12) for number in range(50)]
    assert asides_below(ends, PLAIN) == pytest.approx(0.21, abs=0.005)

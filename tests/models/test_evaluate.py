"""What evaluation counts, on cases small enough to be counted by hand."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from models.duplex.data.line import Line
from models.duplex.data.shards import Shard, Utterance
from models.duplex.evaluate import desks, turntaking
from models.duplex.evaluate.clock import times
from models.duplex.evaluate.endpointing import Policy, Span, acts_ms, cut_off_at, frontier, latency_at, measured
from models.duplex.evaluate.plots import draw
from models.duplex.evaluate.rates import Rate, word_errors
from models.duplex.evaluate.report import BEGIN, END, Report, put_into
from models.duplex.evaluate.scenes import LEAD_HOPS, Scene, Silence, scene, turns
from models.duplex.evaluate.systems import Silero
from models.duplex.evaluate.understanding import READ, Reading, Tally, score, scored
from models.duplex.evaluate.virtual import REPLY, Course

from offhook.agents.embedding import EmbeddingUnavailable, check_embedding
from offhook.speech.contract import HOP_SAMPLES, Decide, Finish, Interrupted, Say, SpeechStarted
from offhook.speech.voiceactivity import FRAME_SAMPLES, VoiceActivity

GRID = (100.0, 200.0, 300.0, 400.0, 500.0, 600.0, 700.0, 800.0)


def hold(lasts_ms: float, *scores: float) -> Span:
    at = GRID[: len(scores)]
    return Span(False, lasts_ms, at, scores)


def end(*scores: float) -> Span:
    return Span(True, 2_000.0, GRID[: len(scores)], scores)


def utterance(pattern: str, kind: str = "answer", agent: str = "any", **other: object) -> Utterance:
    fields: dict[str, object] = {
        "id": "u", "offset": 0, "samples": 0, "pieces": (), "voice": "v", "words": "", "gist": "", "meaning": "",
        "asked": "", "kind": kind, "agent_speaking": False, "agent": agent, "pattern": pattern, "split": "test",
    }  # fmt: skip
    return Utterance(**{**fields, **other})  # type: ignore[arg-type]


# --- ends of turns


def test_a_policy_acts_at_the_first_score_from_its_threshold_on() -> None:
    span = end(0.1, 0.4, 0.8, 0.9)
    assert acts_ms(span, Policy(0.8, 0.0, 5_000)) == 300


def test_a_policy_waits_for_its_delay_however_sure_it_is() -> None:
    assert acts_ms(end(0.9, 0.9, 0.9, 0.9), Policy(0.5, 300.0, 5_000)) == 300


def test_a_policy_acts_at_its_time_out_where_the_score_never_comes() -> None:
    assert acts_ms(end(0.1, 0.1), Policy(0.5, 0.0, 1_200)) == 1_200
    assert acts_ms(end(0.1, 0.1, 0.9), Policy(0.5, 0.0, 150)) == 150


def test_a_pause_is_cut_off_when_it_is_acted_on_before_speech_goes_on() -> None:
    spans = [hold(450, 0.1, 0.1, 0.9), hold(450, 0.1, 0.1, 0.1, 0.1), end(0.1, 0.9), end(0.1, 0.1, 0.1, 0.9)]
    point = measured(spans, Policy(0.5, 0.0, 1_000))
    assert point.cut_off == 0.5 and point.latency_ms == 300
    assert measured(spans, Policy(0.5, 0.0, 449)).cut_off == 1.0
    assert measured(spans, Policy(0.95, 0.0, 450)).cut_off == 0.0


def test_pauses_shorter_than_200_ms_and_longer_than_5_s_do_not_count() -> None:
    spans = [hold(150, 0.9), hold(6_000, 0.9), hold(250, 0.1), end(0.9)]
    assert measured(spans, Policy(0.5, 0.0, 1_000)).cut_off == 0.0


def test_a_perfect_score_has_no_cut_off_at_the_first_look() -> None:
    spans = [hold(700, *[0.0] * 7), hold(500, *[0.0] * 5), end(*[1.0] * 8), end(*[1.0] * 8)]
    points = frontier(spans)
    assert latency_at(points, 0.0) == 100
    assert cut_off_at(points, 300.0) == 0.0


def test_silence_alone_has_to_outwait_the_pauses() -> None:
    spans = [hold(400, *[0.0] * 4), hold(700, *[0.0] * 7), end(*[0.0] * 8)]
    points = frontier(spans)
    assert latency_at(points, 0.5) == 400  # a pause is over when it has lasted that long
    assert latency_at(points, 0.0) == 700
    assert cut_off_at(points, 300.0) == 1.0
    assert cut_off_at(points, 50.0) is None


def test_the_frontier_is_never_worse_further_on() -> None:
    rng = np.random.default_rng(3)
    spans = [hold(float(rng.uniform(200, 800)), *rng.random(8)) for _ in range(30)]
    spans += [end(*rng.random(8)) for _ in range(20)]
    points = frontier(spans)
    assert all(a.latency_ms < b.latency_ms and a.cut_off > b.cut_off for a, b in itertools.pairwise(points))
    for point in points[:: max(1, len(points) // 5)]:  # the quick way and the plain one agree
        again = measured(spans, point.policy)
        assert math.isclose(again.cut_off, point.cut_off) and math.isclose(again.latency_ms, point.latency_ms)


def test_pauses_without_an_end_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="both are needed"):
        measured([hold(400, 0.1)], Policy(0.5, 0.0, 1_000))


# --- scenes


def shard_of(*said: Utterance, samples: int) -> Shard:
    rng = np.random.default_rng(1)
    return Shard("shard-0001", said, rng.integers(-4_000, 4_000, samples).astype(np.int16))


def test_pauses_and_the_end_lie_where_the_pieces_do() -> None:
    said = utterance("x: y", samples=32_000, pieces=((320, 8_000), (16_000, 31_360)))
    made = scene(shard_of(said, samples=32_000), said, Line(), seed=1)
    lead = LEAD_HOPS * HOP_SAMPLES
    assert made.silences[0] == Silence(lead + 8_000, lead + 16_000, False)
    assert made.silences[1].first == lead + 31_360 and made.silences[1].ends_turn
    assert len(made.audio) % HOP_SAMPLES == 0
    pause, last = made.spans(np.arange(len(made.audio) // HOP_SAMPLES, dtype=np.float64))
    assert pause.lasts_ms == 500 and not pause.ends_turn and last.ends_turn
    for span, silence in ((pause, made.silences[0]), (last, made.silences[1])):
        assert all(0 < at <= span.lasts_ms for at in span.at_ms)
        # The score of a hop is known when the hop is over, not before.
        ends = [(hop + 1) * HOP_SAMPLES - silence.first for hop in span.scores]
        assert [at * 16 for at in span.at_ms] == pytest.approx(ends)


def test_turns_that_pause_come_first_by_turns() -> None:
    short = [utterance("a: b", samples=9, pieces=((0, 9),), id=f"s{i}") for i in range(4)]
    paused = [utterance("a: b", samples=9, pieces=((0, 3), (6, 9)), id=f"p{i}") for i in range(2)]
    aside = utterance("a: b", "aside", samples=9, pieces=((0, 9),))
    shard = shard_of(*short, *paused, aside, samples=9)
    assert [one.id for _, one in turns([shard], ("answer",), 5)] == ["p0", "s0", "p1", "s1", "s2"]


class _Loud(VoiceActivity):
    """Voice activity by loudness: for scenes made of noise and nothing."""

    def __init__(self) -> None:
        pass

    def hear(self, ear: object, audio: np.ndarray) -> list[float]:  # type: ignore[type-arg,override]
        frames = np.abs(audio[: len(audio) // FRAME_SAMPLES * FRAME_SAMPLES].astype(np.int32))
        return [float(frame.mean() > 300) for frame in frames.reshape(-1, FRAME_SAMPLES)]


def test_silence_by_voice_activity_grows_while_nothing_is_said() -> None:
    audio = np.zeros(30 * HOP_SAMPLES, np.int16)
    audio[6 * HOP_SAMPLES : 14 * HOP_SAMPLES] = 3_000
    said = utterance("a: b")
    one = Scene(said, audio, (Silence(14 * HOP_SAMPLES, len(audio), True),), (6 * HOP_SAMPLES, 14 * HOP_SAMPLES))
    (scores,) = Silero(_Loud()).scores(one).values()
    assert not scores[:14].any()
    assert all(a < b for a, b in itertools.pairwise(scores[14:]))


# --- who takes the floor


def kept(kind: str, speech: tuple[int, int], course: Course, pauses: bool = False) -> tuple[turntaking.Floors, bool]:
    silences = (Silence(0, 1, False),) if pauses else ()
    record = turntaking.Floors("x")
    one = Scene(utterance("a: b", kind), np.zeros(0, np.int16), (*silences, Silence(speech[1], 0, True)), speech)
    return record, turntaking.tally(record, one, course)


def answered(*at: int) -> Course:
    return Course([(each, SpeechStarted(0, 1, REPLY, 0)) for each in at])


def test_an_answer_within_a_turn_is_a_takeover_in_a_pause() -> None:
    record, right = kept("request", (16_000, 48_000), answered(32_000, 50_000), pauses=True)
    assert record.pauses == [True] and not right and not record.end_ms
    record, right = kept("request", (16_000, 48_000), answered(56_000), pauses=True)
    assert record.pauses == [False] and record.ends == [True] and right and record.end_ms == [500.0]


def test_a_backchannel_is_not_to_be_answered_nor_to_break_the_agent_off() -> None:
    record, right = kept("backchannel", (16_000, 24_000), Course())
    assert record.backchannels == [False] and record.carried_on == [True] and right
    broken = Course([(30_000, Interrupted(0, 0, 16_000, "heard", "unsaid"))])
    record, right = kept("backchannel", (16_000, 24_000), broken)
    assert record.carried_on == [False] and not right


def test_an_interruption_is_to_silence_the_agent_and_to_be_answered() -> None:
    course = answered(64_000)
    course.cut = 16_000 + 3_200
    record, right = kept("interruption", (16_000, 56_000), course)
    assert right and record.interruption_ms == [500.0] and record.silent_ms == [200.0]
    record, right = kept("interruption", (16_000, 56_000), Course())
    assert not right and record.interruptions == [False]


def test_words_to_somebody_else_are_not_to_be_answered() -> None:
    assert kept("aside", (16_000, 56_000), Course())[1]
    assert not kept("aside", (16_000, 56_000), answered(64_000))[1]


# --- understanding


def test_a_rate_says_how_sure_it_is() -> None:
    assert str(Rate(3, 4)) == "75.0 % (3/4)" and str(Rate(0, 0)) == "-"
    low, high = Rate(50, 100).interval
    assert low == pytest.approx(0.404, abs=0.001) and high == pytest.approx(0.596, abs=0.001)
    assert Rate(0, 10).interval[0] == 0.0 and Rate(10, 10).interval[1] == 1.0


def test_word_errors_are_the_fewest_changes() -> None:
    assert word_errors("where is my order".split(), "where is my order".split()) == 0
    assert word_errors("where is my order".split(), "wear is order please".split()) == 3
    assert word_errors([], "a b".split()) == 2


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("make it 1:20", ["1:20"]),
        ("any time after 6 pm", ["6:00 pm"]),
        ("half past 3 in the afternoon", ["3:30 pm"]),
        ("a quarter to 9", ["8:45"]),
        ("quarter to 9", ["8:45"]),
        ("at noon", ["12:00 pm"]),
        ("9.15 am", ["9:15 am"]),
        ("in the morning", ["morning"]),
        ("whenever you like", []),
    ],
)
def test_times_are_compared_by_the_clock(words: str, found: list[str]) -> None:
    assert times(words) == found


def test_what_is_right_stands_in_the_pattern() -> None:
    wish = desks.wanted(utterance("order-desk return: I want to return it", "request", "order-desk"))
    assert (wish.agent, wish.skill, wish.kind) == ("order-desk", "return", "")
    number = desks.wanted(utterance("hotel booking: answer digits: it's / {digits}", agent="hotel"))
    assert number.agent == "hotel" and number.kind == "digits" and number.fact is not None
    assert number.fact.lengths == desks.agent("hotel").skills["look-up"].needs["booking"].lengths
    assert desks.wanted(utterance("answer time: make it {time}")).kind == "time"
    assert desks.wanted(utterance("answer yes: yes / of course")).kind == "yes/no"
    assert desks.wanted(utterance("person: a human please", "request")).skill == "person"
    nothing = desks.wanted(utterance("everyday: I already paid the {bill}", "request"))
    assert nothing.skill is None and not nothing.kind


def test_what_a_mind_took_a_turn_for_is_read_off_its_acts() -> None:
    assert desks.decided([Decide("skill", "return"), Say("What's the number?")]) == "return"
    assert desks.decided([Decide("hand-over"), Finish("human", "asked")]) == "person"
    assert desks.decided([Decide("hand-over"), Finish("human", "topic: payment")]) == "payment"
    assert desks.decided([Decide("small-talk", None, {"about": "robot"})]) == "robot"
    assert desks.decided([Decide("not-understood"), Say("Sorry?")]) == desks.NOTHING


def test_reading_the_words_themselves_finds_the_facts_in_them() -> None:
    try:
        check_embedding()
    except EmbeddingUnavailable as missing:
        pytest.skip(f"skipped: no weights ({missing})")
    said = [
        utterance("answer digits: it's / {digits}", words="it's 4173", asked="what's your order number"),
        utterance("answer time: make it {time}", words="make it 1:20"),
        utterance("answer name: {full}", words="anna miller", asked="what's your name"),
        utterance("order-desk return: I want to return it", "request", "order-desk", words="i want to return it"),
    ]
    shard = shard_of(*said, samples=0)
    (found,) = score([shard], [Reading()], {"clean": Line()}, None, most=10)
    assert found.reader == READ and str(found.skills) == "100.0 % (1/1)"
    assert found.facts == {"digits": Rate(1, 1), "names": Rate(1, 1), "time": Rate(1, 1)}
    assert found.word_error == 0.0 and found.cosine is None


# --- the record


def test_a_report_is_json_that_anything_reads_and_tables(tmp_path: Path) -> None:
    tally = Tally(skills=[True, False], errors=1, words=10)
    report = Report("here", understanding=[scored("duplex", "clean", tally)])
    spans = [hold(700, *[0.0] * 7), end(*[1.0] * 8)]
    report.endpointing = [turntaking.figures(turntaking.ENDED, "clean", spans)]
    again = json.loads(report.as_json(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert again["understanding"][0]["skills"] == {"right": 1, "of": 2}
    assert "| clean | duplex | 50.0 % (1/2) |" in report.as_markdown()
    assert [file.name for file in draw(report, tmp_path)] == ["understanding.png", "turns.png"]
    assert all(file.stat().st_size > 1_000 for file in tmp_path.iterdir())


def test_tables_take_the_place_of_older_ones() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert put_into(page, "new") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert put_into(put_into(page, "new"), "newer").count("new") == 1
    with pytest.raises(ValueError, match="no lines"):
        put_into("nothing", "new")

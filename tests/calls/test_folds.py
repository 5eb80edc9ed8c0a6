"""What follows from a timeline."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from offhook.calls import folds
from offhook.calls.explain import explain
from offhook.calls.folds import Turn, Who
from offhook.calls.timeline import (
    CallEnded,
    CallStarted,
    Entry,
    Interrupted,
    PromptStarted,
    RecordingFailed,
    RecordingStarted,
    SpeechStarted,
    TalkBegan,
    TalkEnded,
    TurnEnded,
    TurnStarted,
    WordsHeard,
    WordsSpoken,
    read_timeline,
)
from tests.calls.written import ORDER_CALL, entries, write


def test_turns_carry_words_times_responses_and_interruptions() -> None:
    assert folds.turns(entries(*ORDER_CALL)) == [
        Turn(Who.PROMPT, "You are talking to an AI. This call is recorded.", 40, 3_040),
        Turn(Who.AGENT, "Hello, this is the order desk.", 3_200, 5_200),
        Turn(Who.CALLER, "Where is my order four one seven two", 6_000, 7_800),
        Turn(
            Who.AGENT,
            "Order 4 1 7 2 was shipped. Is there anything",
            8_400,
            11_150,
            response_ms=600,
            interrupted=True,
            unsaid="else I can help you with?",
        ),
        Turn(Who.CALLER, "No, thanks, bye", 11_000, 11_900),
        Turn(Who.AGENT, "Goodbye.", 12_700, 13_300, response_ms=800),
        Turn(Who.KEYS, "1#", 13_500, 13_600),
    ]


def test_a_timeline_read_back_from_disk_gives_the_same(tmp_path: Path) -> None:
    written = write(tmp_path / "timeline.jsonl", ORDER_CALL)
    read = read_timeline(tmp_path / "timeline.jsonl")
    assert folds.turns(read) == folds.turns(written)
    assert folds.summary(read) == folds.summary(written)
    assert explain(read) == explain(written)


def test_what_the_media_core_reports_may_be_written_late() -> None:
    """The worker's and the core's events reach the timeline on their own roads: each in order, not the two together."""
    core = [(t, event) for t, event in ORDER_CALL if isinstance(event, TalkBegan | TalkEnded)]
    rest = [(t, event) for t, event in ORDER_CALL if not isinstance(event, TalkBegan | TalkEnded)]
    assert folds.turns(entries(*rest, *core)) == folds.turns(entries(*ORDER_CALL))
    assert folds.turns(entries(*core, *rest)) == folds.turns(entries(*ORDER_CALL))


def test_an_interruption_placed_before_the_utterance_it_cut_is_still_its_own() -> None:
    """`interrupted` is placed where the caller began, which may be before the agent's words were on their way."""
    turns = folds.turns(
        entries(
            (1_050, SpeechStarted(1, "Hello.")),
            (1_060, TalkBegan()),
            (1_000, Interrupted(1, "", "Hello.")),
            (1_200, TalkEnded()),
            (1_210, WordsSpoken(1, "")),
        )
    )
    assert turns == [Turn(Who.AGENT, "", 1_060, 1_200, interrupted=True, unsaid="Hello.")]


def test_the_summary_says_what_the_call_came_to() -> None:
    summary = folds.summary(entries(*ORDER_CALL))
    assert (summary.call, summary.caller, summary.dialled, summary.trunk) == ("k3fwq2", "+15550199", "100", "local")
    assert (summary.duration_ms, summary.answered_ms, summary.ended_by, summary.cause) == (13_700, 20, "caller", "BYE")
    assert summary.agent == "order-desk@1"
    assert [(left.step, left.exit) for left in summary.exits] == [
        ("disclose", "done"),
        ("record", "recording"),
        ("agent", "resolved"),
    ]
    assert summary.outcomes == ("order-status",)
    assert (summary.keys, summary.turns, summary.interruptions, summary.keep) == ("1#", 5, 1, "30d")
    assert summary.responses_ms == (600, 800)
    assert (summary.response_p50_ms, summary.response_p95_ms) == (700, 790)
    assert summary.media["lost"] == 3


def test_an_empty_timeline_gives_an_empty_call() -> None:
    summary = folds.summary([])
    assert (summary.call, summary.duration_ms, summary.ended_by, summary.response_p50_ms) == ("", 0.0, None, None)
    assert folds.turns([]) == [] and folds.recording_marks([]) == [] and folds.transcript([]) == ""


def test_a_turn_the_caller_takes_up_again_is_answered_once_from_its_last_end() -> None:
    turns = folds.turns(
        entries(
            (1_000, TurnStarted()),
            (2_000, WordsHeard("it is four one", 1_000, 1_900)),
            (2_200, TurnEnded(1_900, "silence")),
            (2_400, TurnStarted()),
            (3_000, WordsHeard("seven two", 2_400, 2_900)),
            (3_150, TurnEnded(2_900, "complete")),
            (3_300, SpeechStarted(1, "Thank you.")),
            (3_500, TalkBegan()),
            (4_000, TalkEnded()),
            (4_000, WordsSpoken(1, "Thank you.")),
        )
    )
    assert [turn.response_ms for turn in turns if turn.who is Who.AGENT] == [600]


def test_talk_that_goes_on_through_the_callers_uh_huh_is_no_response() -> None:
    turns = folds.turns(
        entries(
            (100, SpeechStarted(1, "Your order was shipped on Monday and will come on Wednesday.")),
            (200, TalkBegan()),
            (1_000, TurnStarted()),
            (1_300, WordsHeard("uh-huh", 1_000, 1_250)),
            (1_500, TurnEnded(1_250, "silence")),
            (4_000, TalkEnded()),
            (4_000, WordsSpoken(1, "Your order was shipped on Monday and will come on Wednesday.")),
            (10_000, SpeechStarted(2, "Are you still there?")),
            (10_050, TalkBegan()),
            (11_000, TalkEnded()),
            (11_000, WordsSpoken(2, "Are you still there?")),
        )
    )
    # The talk at 10,050 is the first to begin after the turn's end, and yet no answer to it.
    assert [turn.response_ms for turn in turns if turn.who is Who.AGENT] == [None, None]


def test_an_agent_speaking_again_after_a_silence_is_another_turn() -> None:
    turns = folds.turns(
        entries(
            (0, SpeechStarted(1, "Hello.")),
            (10, TalkBegan()),
            (900, TalkEnded()),
            (900, WordsSpoken(1, "Hello.")),
            (6_900, SpeechStarted(2, "Are you still there?")),
            (6_950, TalkBegan()),
            (8_000, TalkEnded()),
            (8_000, WordsSpoken(2, "Are you still there?")),
        )
    )
    assert [turn.text for turn in turns] == ["Hello.", "Are you still there?"]


def test_words_reported_after_the_turns_end_still_belong_to_it() -> None:
    turns = folds.turns(
        entries((1_000, TurnStarted()), (2_200, TurnEnded(2_000, "silence")), (2_300, WordsHeard("yes", 1_000, 2_000)))
    )
    assert turns == [Turn(Who.CALLER, "yes", 1_000, 2_000)]


def test_a_noise_that_came_to_nothing_is_no_turn_and_does_not_lengthen_the_next() -> None:
    noise = (1_000, TurnStarted())
    assert folds.turns(entries(noise)) == []
    turns = folds.turns(entries(noise, (9_000, TurnStarted()), (9_800, TurnEnded(9_500, "the ear says so"))))
    assert turns == [Turn(Who.CALLER, "", 9_000, 9_500)]


def test_a_fresh_worker_that_counts_utterances_from_the_start_does_not_overwrite_the_old_ones() -> None:
    turns = folds.turns(
        entries(
            (0, SpeechStarted(1, "Hello.")),
            (10, TalkBegan()),
            (900, TalkEnded()),
            (900, WordsSpoken(1, "Hello.")),
            (5_000, SpeechStarted(1, "I am back.")),
            (5_010, TalkBegan()),
            (6_000, TalkEnded()),
            (6_000, WordsSpoken(1, "I am back.")),
        )
    )
    assert [turn.text for turn in turns] == ["Hello.", "I am back."]


def test_an_utterance_nothing_of_which_was_sent_has_no_length() -> None:
    turns = folds.turns(entries((500, SpeechStarted(1, "Hello.")), (520, Interrupted(1, "", "Hello."))))
    assert turns == [Turn(Who.AGENT, "", 500, 500, interrupted=True, unsaid="Hello.")]


def test_a_live_calls_prompt_lasts_until_now() -> None:
    turns = folds.turns(entries((0, PromptStarted("Welcome.")), (700, RecordingStarted(["a"], "30d"))))
    assert turns == [Turn(Who.PROMPT, "Welcome.", 0, 700, interrupted=True)]


def test_recording_marks_say_from_when_to_when_and_what_the_disk_said() -> None:
    marks = folds.recording_marks(
        entries(
            (0, RecordingStarted(["caller.wav"], "30d")),
            (2_000, RecordingFailed("no space left on device")),
            (9_000, CallEnded("us", "done")),
        )
    )
    assert marks == [folds.RecordingMark(0, 9_000, ("caller.wav",), "30d", "no space left on device")]


def test_percentiles_lie_between_neighbours() -> None:
    assert folds.percentile([], 50) is None
    assert folds.percentile([3.0], 95) == 3.0
    assert folds.percentile([4.0, 1.0, 3.0, 2.0], 50) == 2.5


def test_the_transcript_is_a_line_a_turn() -> None:
    assert folds.transcript(entries(*ORDER_CALL)).splitlines()[1:3] == [
        "agent: Hello, this is the order desk.",
        "caller: Where is my order four one seven two",
    ]


@given(st.lists(st.tuples(st.floats(0, 1e7), st.sampled_from([event for _, event in ORDER_CALL])), max_size=60))
def test_any_heap_of_events_can_be_folded(happenings: list[tuple[float, object]]) -> None:
    heap = [Entry(t, event) for t, event in happenings]  # type: ignore[arg-type]
    for turn in folds.turns(heap):
        assert turn.end_ms >= turn.start_ms
        assert turn.response_ms is None or turn.response_ms >= 0
    folds.summary(heap)
    folds.recording_marks(heap)
    explain(heap)


def test_explain_says_why_the_call_went_as_it_did() -> None:
    assert explain(entries(*ORDER_CALL)) == [
        "0:00.0  +15550199 rang 100 over trunk local, under dial plan 3f2a9c01d2e4.",
        '0:00.0  front-door.yaml:9 asked `call.from in lists.blocked`: no, with call.from = "+15550199".',
        "0:00.0  Flow front-door began: number 100.",
        "0:00.0  Answered, with ulaw in packets of 20 ms.",
        "0:00.0  Step disclose (front-door.yaml:14): ai, recording.",
        "0:03.0  The caller was told of: ai, recording (in en-US).",
        "0:03.0  Step disclose left by exit done.",
        "0:03.0  Step record (front-door.yaml:15): keep 30d.",
        "0:03.0  Recording began, to be kept 30d.",
        "0:03.0  Step record left by exit recording.",
        "0:03.1  Step agent (front-door.yaml:17): order-desk@1.",
        "0:03.1  Agent order-desk@1 joined (model cascade, slot 2).",
        "0:08.1  The caller's turn was taken to be over 300 ms after their speech: the order number is complete.",
        '0:08.1  Decided on "Where is my order four one seven two": skill order-status, with order_number = "4172" '
        "(similarity 0.83, next 0.41).",
        '0:08.1  Tool shop.order was called with order_number = "4172".',
        '0:08.1  The tool answered in 12 ms: {"status": "shipped"}.',
        '0:10.0  Outcome order-status was reached, on order_number = "4172".',
        '0:11.2  The caller cut the agent off after "Is there anything"; unsaid: "else I can help you with?".',
        "0:12.2  The caller's turn was taken to be over 300 ms after their speech: silence of 300 ms.",
        '0:12.2  Decided on "No, thanks, bye": small-talk.',
        "0:13.4  The agent left with exit resolved: the caller said goodbye.",
        "0:13.4  Step agent left by exit resolved, outcome order-status, tag wismo.",
        "0:13.5  The caller pressed 1.",
        "0:13.6  The caller pressed #.",
        "0:13.7  Recording ended: the call ended.",
        "0:13.7  Ended by the caller: BYE.",
    ]


def test_a_timeline_with_garbage_and_odd_line_breaks_in_it_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "timeline.jsonl"
    write(path, [(0, CallStarted("a", "b", "c", "d", "e", "f")), (5, WordsHeard("one\u2028two\x85three", 0, 1))])
    with path.open("ab") as file:
        file.write(b"\xff\xfe\x00\n" + b"[" * 100_000 + b'\n{"t": 1, "kind": "no such"}\n{"t": 9, "kind": "call.en')
    read = read_timeline(path)
    assert [entry.event.kind for entry in read] == ["call.started", "words.heard"]
    assert read[1].event == WordsHeard("one\u2028two\x85three", 0, 1)

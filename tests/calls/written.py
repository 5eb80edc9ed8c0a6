"""A call as its timeline has it, written by the calls that the server makes."""

from __future__ import annotations

from pathlib import Path

from offhook.calls.timeline import (
    AgentJoined,
    AgentLeft,
    CallAnswered,
    CallEnded,
    CallStarted,
    Decided,
    Disclosed,
    Entry,
    FlowEntered,
    Happening,
    Interrupted,
    KeyPressed,
    MediaCounted,
    OutcomeReached,
    PromptEnded,
    PromptStarted,
    RecordingEnded,
    RecordingStarted,
    SpeechStarted,
    StepBegan,
    StepLeft,
    TalkBegan,
    TalkEnded,
    Tested,
    Timeline,
    ToolAnswered,
    ToolWanted,
    TurnEnded,
    TurnStarted,
    WordsHeard,
    WordsSpoken,
)

PLAN = "3f2a9c01d2e4" + "0" * 52

ORDER_CALL: list[tuple[float, Happening]] = [
    (0, CallStarted("k3fwq2", "+15550199", "100", "local", "2026-05-01T09:00:00+00:00", PLAN)),
    (0, Tested("front-door.yaml:9", "call.from in lists.blocked", False, {"call.from": "+15550199"})),
    (0, FlowEntered("front-door", "number 100")),
    (20, CallAnswered("ulaw", 20)),
    (20, StepBegan("disclose", "front-door.yaml:14", "ai, recording")),
    (40, PromptStarted("You are talking to an AI. This call is recorded.")),
    (3_040, PromptEnded(3_000, True)),
    (3_040, Disclosed(["ai", "recording"], "You are talking to an AI. This call is recorded.", "en-US")),
    (3_040, StepLeft("disclose", "done")),
    (3_050, StepBegan("record", "front-door.yaml:15", "keep 30d")),
    (3_050, RecordingStarted(["caller.wav", "agent.wav"], "30d")),
    (3_050, StepLeft("record", "recording")),
    (3_060, StepBegan("agent", "front-door.yaml:17", "order-desk@1")),
    (3_100, AgentJoined("order-desk@1", "cascade", 2)),
    (3_150, SpeechStarted(1, "Hello, this is the order desk.")),
    (3_200, TalkBegan()),
    (5_200, TalkEnded()),
    (5_210, WordsSpoken(1, "Hello, this is the order desk.")),
    (6_000, TurnStarted()),
    (7_400, WordsHeard("Where is my order", 6_000, 7_000)),
    (7_900, WordsHeard("four one seven two", 7_050, 7_800)),
    (8_100, TurnEnded(7_800, "the order number is complete")),
    (
        8_110,
        Decided(
            "skill",
            "Where is my order four one seven two",
            "order-status",
            {"order_number": "4172"},
            {"similarity": 0.83, "next": 0.41},
        ),
    ),
    (8_120, ToolWanted("t1", "shop.order", {"order_number": "4172"})),
    (8_132, ToolAnswered("t1", True, 12.0, {"status": "shipped"})),
    (8_140, SpeechStarted(2, "Order 4 1 7 2 was shipped.")),
    (8_400, TalkBegan()),
    (10_000, WordsSpoken(2, "Order 4 1 7 2 was shipped.")),
    (10_000, OutcomeReached("order-status", {"order_number": "4172"})),
    (10_010, SpeechStarted(3, "Is there anything else I can help you with?")),
    (11_000, TurnStarted()),
    (11_150, TalkEnded()),
    (11_160, Interrupted(3, "Is there anything", "else I can help you with?")),
    (11_160, WordsSpoken(3, "Is there anything")),
    (11_900, WordsHeard("No, thanks, bye", 11_000, 11_900)),
    (12_200, TurnEnded(11_900, "silence of 300 ms")),
    (12_210, Decided("small-talk", "No, thanks, bye", None, {}, {})),
    (12_220, SpeechStarted(4, "Goodbye.")),
    (12_700, TalkBegan()),
    (13_300, TalkEnded()),
    (13_310, WordsSpoken(4, "Goodbye.")),
    (13_400, AgentLeft("resolved", "the caller said goodbye")),
    (13_400, StepLeft("agent", "resolved", go=None, outcome="order-status", tag="wismo")),
    (13_500, KeyPressed("1", "rfc4733")),
    (13_600, KeyPressed("#", "rfc4733")),
    (13_700, RecordingEnded("the call ended")),
    (13_700, CallEnded("caller", "BYE")),
    (13_700, MediaCounted({"packets_in": 684, "packets_out": 684, "lost": 3, "late": 1, "concealed_ms": 60.0})),
]


def write(path: Path, happenings: list[tuple[float, Happening]]) -> list[Entry]:
    """Write a timeline to `path`, and give its entries."""
    timeline = Timeline(path, lambda: 0.0)
    for t, event in happenings:
        timeline.append(event, t)
    timeline.close()
    return timeline.entries


def entries(*happenings: tuple[float, Happening]) -> list[Entry]:
    """Entries of a timeline that is on no disk."""
    return [Entry(t, event) for t, event in happenings]

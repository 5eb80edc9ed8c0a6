"""A call is led through its plan, and its timeline tells how.

The other side of the `Verbs` contract is a script here: each verb is written down and left by the exit the test names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from offhook.calls.timeline import FlowEntered, Happening, OutcomeReached, StepBegan, StepLeft, Timeline
from offhook.calls.timeline import Tested as Asked  # pytest would take the name for a test class
from offhook.calls.verbs import (
    AgentExit,
    AgentExitName,
    CallFacts,
    CallOver,
    DialExit,
    DialExitName,
    RecordExit,
    Verbs,
    VoicemailExit,
)
from offhook.dialplan import Plan, run
from offhook.dialplan.lint import check_text
from tests.dialplan.plans import AGENTS, SOUND

MONDAY = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
SUNDAY = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


class Script:
    """Verbs that do nothing but what the test says; `said` is what was asked of them, in order."""

    def __init__(
        self,
        folder: Path,
        agent: AgentExitName = "resolved",
        dial: DialExitName = "answered",
        record: RecordExit = "recording",
        gone_at: str = "",
        broken_at: str = "",
    ) -> None:
        self.timeline = Timeline(folder / "timeline.jsonl", lambda: 0.0)
        self.said: list[str] = []
        self.known: Mapping[str, str] = {}
        self._agent, self._dial, self._record = agent, dial, record
        self._gone_at, self._broken_at = gone_at, broken_at

    def _do(self, verb: str, detail: str = "") -> None:
        self.said.append(f"{verb} {detail}".strip())
        if verb == self._gone_at:
            raise CallOver
        if verb == self._broken_at:
            raise OSError("a part of the server is broken")

    async def reject(self, status: int, reason: str) -> None:
        self._do("reject", f"{status} {reason}")

    async def ring(self) -> None:
        self._do("ring")

    async def answer(self) -> None:
        self._do("answer")

    async def say(self, text: str, language: str, voice: str | None) -> None:
        self._do("say", f"{text} ({language}, {voice})")

    async def disclose(self, what: Sequence[str], text: str, language: str) -> None:
        self._do("disclose", f"{'+'.join(what)}: {text} ({language})")

    async def record(self, keep: str) -> RecordExit:
        self._do("record", keep)
        return self._record

    async def agent(self, name: str, limit_s: float, known: Mapping[str, str]) -> AgentExit:
        self.known = known
        self._do("agent", f"{name} {limit_s:g}")
        return AgentExit(self._agent, "as told")

    async def dial(self, uri: str, ring_s: float, limit_s: float | None) -> DialExit:
        self._do("dial", f"{uri} {ring_s:g} {limit_s}")
        return DialExit(self._dial, "as told")

    async def voicemail(self, text: str, language: str, max_s: float, keep: str) -> VoicemailExit:
        self._do("voicemail", f"{text} {max_s:g} {keep}")
        return "left"

    async def hang_up(self, cause: str) -> None:
        self._do("hang_up", cause)

    def events(self, *kinds: type[Happening]) -> list[Happening]:
        return [entry.event for entry in self.timeline.of(*kinds)]

    def verbs(self) -> list[str]:
        return [line.split()[0] for line in self.said if line != "answer"]


def plan_of(text: str = SOUND) -> Plan:
    report = check_text(text.encode(), "plans/main.yaml", AGENTS)
    assert report.plan is not None, [str(fault) for fault in report.faults]
    return report.plan


def line_of(text: str) -> str:
    return f"main.yaml:{SOUND[: SOUND.index(text)].count(chr(10)) + 1}"


async def lead(
    script: Script, text: str = SOUND, dialled: str = "100", caller: str = "+491701234567", at: datetime = MONDAY
) -> None:
    verbs: Verbs = script
    await run(plan_of(text), verbs, CallFacts("c1", caller, dialled, "local"), lambda: at)


async def test_a_call_goes_through_its_flow_in_order(tmp_path: Path) -> None:
    script = Script(tmp_path)
    await lead(script, dialled="+442079460000")
    assert script.said == [
        "answer",
        "disclose ai+recording: You are speaking with an AI assistant. This call is recorded. (en)",
        "answer",
        "record 30d",
        "answer",
        "agent reception@3 600",
        "answer",
        "say Thank you. (en, None)",
        "hang_up normal",
    ]
    assert script.known == {
        "caller": "+491701234567",
        "dialled": "+442079460000",
        "now": "2026-11-23T10:00:00+00:00",
        "language": "en",
    }


async def test_the_timeline_tells_why_the_call_went_as_it_did(tmp_path: Path) -> None:
    script = Script(tmp_path, agent="failed", dial="no-answer")
    plan = plan_of()
    await lead(script)
    where = {name: line_of(name) for name in ("if: call.from", "disclose:", "record:", "agent:", "if: closed", "dial:")}
    assert script.events(FlowEntered, Asked, StepBegan, StepLeft)[:13] == [
        Asked(
            where["if: call.from"],
            "call.from in lists.blocked",
            False,
            {"call.from": "+491701234567"},
        ),
        FlowEntered("front", "number 100"),
        StepBegan("disclose", where["disclose:"], "ai, recording"),
        StepLeft("disclose", "done"),
        StepBegan("record", where["record:"], "keep 30d"),
        StepLeft("record", "recording"),
        StepBegan("agent", where["agent:"], "reception@3, at most 10m"),
        StepLeft("agent", "failed", go="people", tag="no-model"),
        FlowEntered("people", "agent failed"),
        StepBegan("if", where["if: closed"], 'closed("office")'),
        Asked(where["if: closed"], 'closed("office")', False, {'open("office")': True}),
        StepLeft("if", "false"),
        StepBegan("dial", where["dial:"], "sip:support@192.0.2.10, ring 20s"),
    ]
    assert script.verbs()[-4:] == ["ring", "dial", "voicemail", "hang_up"]
    assert plan.sha256 and all(entry.t == 0.0 for entry in script.timeline.entries)


@pytest.mark.parametrize(
    ("agent", "dial", "expected"),
    [
        ("resolved", "answered", ["say", "hang_up"]),
        ("human", "answered", ["ring", "dial", "say", "hang_up"]),
        ("busy", "busy", ["ring", "dial", "voicemail", "hang_up"]),
        ("timeout", "failed", ["ring", "dial", "voicemail", "hang_up"]),
        ("failed", "no-answer", ["ring", "dial", "voicemail", "hang_up"]),
    ],
)
async def test_every_exit_leads_where_the_plan_says(
    tmp_path: Path, agent: AgentExitName, dial: DialExitName, expected: list[str]
) -> None:
    script = Script(tmp_path, agent=agent, dial=dial)
    await lead(script)
    assert script.verbs() == ["disclose", "record", "agent", *expected]


async def test_an_outcome_is_on_record_with_its_evidence(tmp_path: Path) -> None:
    script = Script(tmp_path)
    await lead(script)
    (outcome,) = script.events(OutcomeReached)
    assert outcome == OutcomeReached(
        "self-served",
        {
            "plan": plan_of().sha256,
            "where": line_of("resolved:"),
            "step": "agent",
            "exit": "resolved",
        },
    )


async def test_after_hours_nobody_is_rung(tmp_path: Path) -> None:
    script = Script(tmp_path, agent="human")
    await lead(script, at=SUNDAY)
    assert script.verbs() == ["disclose", "record", "agent", "voicemail", "hang_up"]


async def test_a_recording_that_fails_does_not_stop_the_call(tmp_path: Path) -> None:
    script = Script(tmp_path, record="failed")
    await lead(script)
    assert script.verbs() == ["disclose", "record", "agent", "say", "hang_up"]
    assert StepLeft("record", "failed") in script.events(StepLeft)


async def test_a_number_that_is_not_in_the_plan_is_refused_unanswered_and_on_record(tmp_path: Path) -> None:
    script = Script(tmp_path)
    await lead(script, dialled="999123")
    assert script.said == ["reject 404 Not Found"]
    assert Asked("main.yaml:1", "call.to in numbers", False, {"call.to": "999123", "call.trunk": "local"}) in (
        script.events(Asked)
    )


@pytest.mark.parametrize("dialled", ["+442079460000", "442079460000", "00442079460000", "+44 (20) 7946-0000"])
async def test_a_number_is_found_however_the_trunk_writes_it(tmp_path: Path, dialled: str) -> None:
    script = Script(tmp_path)
    await lead(script, dialled=dialled)
    assert FlowEntered("front", "number +442079460000") in script.events(FlowEntered)


async def test_a_number_bound_to_a_trunk_is_reached_by_that_trunk_alone(tmp_path: Path) -> None:
    script = Script(tmp_path)
    await lead(script, SOUND.replace("lang: en-GB", "lang: en-GB, trunk: bt"))
    assert script.said == ["reject 404 Not Found"]


async def test_a_guard_rejects_before_the_call_is_answered(tmp_path: Path) -> None:
    script = Script(tmp_path)
    await lead(script, caller="+442079461111")
    assert script.said == ["reject 603 Decline"]


async def test_a_guard_can_lead_to_a_flow_and_the_first_that_holds_decides(tmp_path: Path) -> None:
    text = SOUND.replace("guards:\n", "guards:\n  - if: caller.anonymous\n    go: bye\n")
    script = Script(tmp_path)
    await lead(script, text, caller="")
    assert script.verbs() == ["say", "hang_up"]
    assert script.events(FlowEntered) == [FlowEntered("bye", "guard main.yaml:13")]


async def test_an_emergency_call_is_put_through_before_everything_else(tmp_path: Path) -> None:
    text = SOUND.replace(
        "guards:\n", "guards:\n  - if: call.to in lists.emergency\n    dial: sip:112@192.0.2.1;transport=tcp\n"
    ).replace("lists:\n", 'lists:\n  emergency: ["112"]\n')
    script = Script(tmp_path)
    await lead(script, text, dialled="112")
    assert script.said == ["ring", "dial sip:112@192.0.2.1;transport=tcp 30 None", "hang_up normal"]


async def test_what_the_agent_said_decides_what_follows(tmp_path: Path) -> None:
    text = SOUND.replace('if: closed("office")', "if: agent.exit == 'busy' && agent.reason.contains('told')")
    script = Script(tmp_path, agent="busy")
    await lead(script, text)
    assert script.verbs()[-2:] == ["voicemail", "hang_up"]
    tested = script.events(Asked)[-1]
    assert isinstance(tested, Asked)
    assert tested.facts == {"agent.exit": "busy", "agent.reason": "as told"}


async def test_a_flow_that_dials_first_is_not_answered_by_us(tmp_path: Path) -> None:
    script = Script(tmp_path)
    await lead(script, SOUND.replace('"100": {flow: front,', '"100": {flow: people,'))
    assert script.said[:2] == ["ring", "dial sip:support@192.0.2.10 20 None"]


async def test_a_caller_who_hangs_up_ends_it_quietly(tmp_path: Path) -> None:
    script = Script(tmp_path, gone_at="agent")
    await lead(script)
    assert script.verbs() == ["disclose", "record", "agent"]
    assert script.events(StepLeft)[-1] == StepLeft("record", "recording")


async def test_a_fault_of_ours_does_not_leave_the_caller_in_silence(tmp_path: Path) -> None:
    script = Script(tmp_path, broken_at="agent")
    with pytest.raises(OSError, match="broken"):
        await lead(script)
    assert script.said[-1] == "hang_up server error"


async def test_a_call_that_goes_round_for_ever_is_ended(tmp_path: Path) -> None:
    text = SOUND.replace("- hangup: normal", "- go: bye")
    script = Script(tmp_path)
    await lead(script, text)
    assert script.said[-1] == "hang_up too many steps"
    assert len(script.events(StepBegan)) == 1_000


async def test_prompts_are_spoken_in_the_language_of_the_number(tmp_path: Path) -> None:
    text = SOUND.replace("lang: en-GB", "lang: de, voice: eva").replace(
        "thanks: {en: Thank you.}", "thanks: {en: Thank you., de: Danke.}"
    )
    text = text.replace("leave-it: {en: Please speak after the tone.}", "leave-it: Bitte sprechen Sie.")
    script = Script(tmp_path)
    await lead(script, text)
    assert "say Danke. (de, eva)" in script.said
    assert any(line.startswith("disclose ai+recording: Sie sprechen mit") for line in script.said)

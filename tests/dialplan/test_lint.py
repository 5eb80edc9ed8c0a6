"""Every kind of fault a plan can have is found, and found at its very place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from offhook.dialplan.codes import Code
from offhook.dialplan.lint import check, check_text, load_plan
from offhook.faults import FileFaults, Severity
from tests.dialplan.plans import AGENTS, SOUND, broken, marked

CASES = [
    ("DP001", "dialplan: 1", "dialplan: ▶2"),
    ("DP002", "Europe/London", "▶Europe/Londn"),
    ("DP003", '"100"', '▶"02079460000"'),
    ("DP003", '["+442079461111"]', '[▶"+0123"]'),
    ("DP004", '"100"', '▶"+44 20 7946 0000"'),
    ("DP005", "lang: en-GB", "lang: ▶english"),
    ("DP006", '"100": {flow: front,', '"100": {flow: ▶fornt,'),
    ("DP006", "human: {go: people}", "human: {go: ▶poeple}"),
    ("DP006", "- go: message", "- go: ▶massage"),
    ("DP007", "- say: thanks", "- say: ▶thank"),
    ("DP008", "- say: thanks", "- ▶say: in-german"),
    ("DP009", "use: reception@3", "use: ▶reception@4"),
    ("DP010", 'closed("office")', 'closed(▶"offce")'),
    ("DP010", 'closed("office")', "closed(▶call.from)"),
    ("DP011", "call.from in lists.blocked", "call.from in ▶lists.blokced"),
    ("DP012", "call.from in lists.blocked", "call.from in lists.blocked ▶and now.hour > 3"),
    ("DP012", "call.from in lists.blocked", "call.from ==▶"),
    ("DP013", "call.from in lists.blocked", "▶call.form in lists.blocked"),
    ("DP013", "call.from in lists.blocked", '"now.hour > 3 && ▶cal.from in lists.blocked"'),
    ("DP013", "call.from in lists.blocked", "|\n      now.hour > 3 &&\n        ▶cal.from == 'x'"),
    ("DP014", "call.from in lists.blocked", "call.from ▶> 3"),
    ("DP014", "call.from in lists.blocked", "▶call.from"),
    ("DP015", "call.from in lists.blocked", "agent.exit == 'human'"),
    ("DP015", 'if: closed("office")', "if: dial.exit == 'busy'"),
    ("DP016", "sat 10:00-14:00", "▶sat 10-14"),
    ("DP016", "sat 10:00-14:00", "▶sun 25:00-26:00"),
    ("DP016", "sat 10:00-14:00", "▶sat 10:00-10:00"),
    ("DP016", "sat 10:00-14:00", "▶sut 10:00-14:00"),
    ("DP017", "open: [mon-fri 09:00-18:00, sat 10:00-14:00]", "▶open: []"),
    ("DP018", "2026-08-31", "▶2026-02-30"),
    ("DP018", "2026-08-31", "▶2026-09-02..2026-09-01"),
    ("DP018", "2026-08-31", "▶31 August"),
    ("DP019", "- hangup: normal", "- ▶hang-up: normal"),
    ("DP019", "- say: thanks", "- say: thanks\n      ▶disclose: ai"),
    ("DP019", '- if: closed("office")\n      go: message', '- ▶if: closed("office")'),
    ("DP019", "- hangup: normal", "- ▶hangup"),
    (
        "DP020",
        "use: reception@3\n        max: 10m\n        exits:\n          resolved: {outcome: self-served, go: bye}",
        "▶use: reception@3\n        exits:",
    ),
    (
        "DP020",
        "ring: 20s\n        exits: {answered: {go: bye}, busy: {go: message}, no-answer: next, failed: next}",
        "exits: {answered: next}",
    ),
    ("DP021", "timeout: {go: people}", "timeout: {go: people}\n          ▶gone: {go: people}"),
    ("DP022", "no-answer: next", "no-answer: ▶message"),
    ("DP022", "no-answer: next", "no-answer: ▶{}"),
    ("DP023", "to: sip:support@192.0.2.10", "to: ▶support@192.0.2.10"),
    ("DP023", "to: sip:support@192.0.2.10", 'to: ▶"sip:a@b\\nVia: x"'),
    ("DP024", "prompts:", "  lost:\n    ▶- hangup: normal\nprompts:"),
    ("DP025", "- hangup: normal", "- hangup: normal\n    - ▶say: thanks"),
    ("DP025", "- go: message", "- go: message\n    - ▶hangup: busy"),
    ("DP026", "    - voicemail: {say: leave-it, max: 1m, keep: 30d}", "    - ▶if: now.hour > 3\n      go: message"),
    ("DP027", "disclose: [ai, recording]", "disclose: [ai]"),
    ("DP028", "disclose: [ai, recording]", "disclose: [recording]"),
    ("DP029", "record: {keep: 30d}", "record: ▶{}"),
    ("DP029", ", max: 1m, keep: 30d}", ", max: 1m}"),
    ("DP030", "human: {go: people}", "human: ▶{go: bye}"),
    ("DP031", "    reject: 603", "    reject: 603\n  - ▶if: call.from in lists.blocked\n    reject: 404"),
    ("DP032", "    reject: 603", "    reject: 603\n    ▶go: people"),
    ("DP032", "  - if: call.from in lists.blocked\n    reject: 603", "  - ▶if: call.from in lists.blocked"),
    ("DP033", "if: call.from in lists.blocked", "▶if: 1 < 2"),
    ("DP034", 'blocked: ["+442079461111"]', 'blocked: ["+442079461111"]\n  emergency: ["112"]'),
    ("DP035", '"100"', '▶"112"'),
    ("DP036", "numbers:", "numbers: ▶{}\nignored:"),
    ("DP037", "  bye:\n", "  ▶Bye:\n    - hangup: normal\n  bye:\n"),
    ("DP037", "blocked: [", "▶bad-ones: []\n  blocked: ["),
    ("DP037", "tag: no-model", "tag: ▶No model"),
    ("DP038", "disclose: [ai, recording]", "disclose: [ai, ▶robot, recording]"),
    ("DP039", "reject: 603", "reject: ▶200"),
    ("DP040", "  bye:\n", "  empty: ▶[]\n  bye:\n"),
    ("Y008", "  bye:\n", "  bye: []\n  ▶bye:\n"),
    ("Y023", "max: 10m", "▶maximum: 10m"),
    ("Y024", "to: sip:support@192.0.2.10\n        ring: 20s", "▶ring: 20s"),
    ("Y027", "ring: 20s", "ring: ▶20"),
    ("Y027", "ring: 20s", "ring: ▶20h"),
    ("Y006", '["+442079461111"]', "[▶*9]"),
    ("Y025", "- hangup: normal", "- hangup: ▶angry"),
]

MORE = {"- ▶say: in-german": "prompts:\n  in-german: {de: Guten Tag.}\n"}


@pytest.mark.parametrize(
    ("code", "old", "new"), CASES, ids=[f"{case[0]}-{number}" for number, case in enumerate(CASES)]
)
def test_each_fault_is_found_at_its_place(code: str, old: str, new: str) -> None:
    if "▶" in new:
        text, line, column = broken(old, new)
    else:
        text, line, column = SOUND.replace(old, new).encode(), 0, 0
    text = text.replace(b"prompts:\n", MORE.get(new, "prompts:\n").encode())
    report = check_text(text, "plan.yaml", AGENTS)
    found = [(fault.line, fault.column) for fault in report.faults if fault.code == code]
    assert found, f"{code} is not among: {[str(fault) for fault in report.faults]}"
    if line:
        assert (line, column) in found, [str(fault) for fault in report.faults]
    for fault in report.faults:
        assert re.fullmatch(r"plan\.yaml:\d+:\d+ (DP|Y)\d{3} (warning: )?\S[^\n]* - \S[^\n]*", str(fault)), str(fault)
    refused = any(fault.severity is Severity.ERROR for fault in report.faults)
    assert (report.plan is None) == refused


def test_there_is_a_failing_plan_for_every_code() -> None:
    assert {code.code for code in Code} <= {case[0] for case in CASES}


def test_a_code_is_given_out_once() -> None:
    assert len({code.code for code in Code}) == len(list(Code))


def test_a_sound_plan_has_no_faults() -> None:
    report = check_text(SOUND.encode(), "plan.yaml", AGENTS)
    assert report.faults == ()
    assert report.plan is not None


def test_all_faults_are_told_at_once() -> None:
    text = SOUND.replace("lang: en-GB", "lang: english").replace("reject: 603", "reject: 99").replace("20s", "soon")
    report = check_text(text.encode(), "plan.yaml", AGENTS)
    assert [fault.code for fault in report.faults] == ["DP005", "DP039", "Y027"]


def test_a_misspelt_name_is_answered_with_the_right_one() -> None:
    for old, new, guess in (
        ("- say: thanks", "- say: thnaks▶", "thanks"),
        ("human: {go: people}", "human: {go: poeple▶}", "people"),
        ("use: reception@3", "use: receptoin@3▶", "reception@3"),
        ("call.from in lists.blocked", "call.form == 'x'▶", "call.from"),
        ('closed("office")', 'closed("ofice")▶', "office"),
    ):
        report = check_text(broken(old, new)[0], "plan.yaml", AGENTS)
        assert f"did you mean {guess}?" in report.faults[0].mend


def test_recording_on_one_way_without_being_told_is_found() -> None:
    # Calls of the second number come to `record` past the disclosure.
    text, line, column = marked(
        SOUND.replace("- disclose: [ai, recording]\n", "- disclose: [ai, recording]\n    - go: taped\n  taped:\n")
        .replace("- record:", "- ▶record:")
        .replace('"100": {flow: front,', '"100": {flow: taped,')
    )
    codes = {fault.code: (fault.line, fault.column) for fault in check_text(text, "plan.yaml", AGENTS).faults}
    assert codes["DP027"] == (line, column)
    assert "DP028" in codes


def test_an_agent_that_is_busy_for_ever_is_a_circle_in_which_nothing_is_heard() -> None:
    text, line, column = marked(
        SOUND.replace("busy: {go: people}", "busy: {go: again}").replace(
            "  people:\n",
            "  again:\n    - ▶agent: {use: reception@3, exits: {resolved: {go: bye}, human: {go: people}, "
            "failed: {go: people}, busy: {go: again}, timeout: {go: people}}}\n  people:\n",
        )
    )
    faults = check_text(text, "plan.yaml", AGENTS).faults
    assert [(fault.code, fault.line, fault.column) for fault in faults] == [("DP026", line, column)]


def test_a_circle_in_which_something_is_said_is_allowed() -> None:
    text = SOUND.replace("- go: message", "- say: One more moment, please.\n    - go: people")
    assert check_text(text.encode(), "plan.yaml", AGENTS).faults == ()


def test_a_fact_of_the_agent_may_be_read_after_it() -> None:
    text = SOUND.replace('if: closed("office")', "if: agent.exit == 'human' && agent.reason != ''")
    assert check_text(text.encode(), "plan.yaml", AGENTS).faults == ()


def test_warnings_do_not_refuse_a_plan(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(SOUND.replace("human: {go: people}", "human: {go: bye}"), encoding="utf-8")
    plan = load_plan(path, AGENTS)
    assert plan.file == str(path)
    assert [fault.severity for fault in check(path, AGENTS).faults] == [Severity.WARNING]


def test_warnings_beyond_count_do_not_hide_an_error() -> None:
    flows = "".join(f"  lost-{number}: [say: thanks]\n" for number in range(150))
    text = SOUND.replace("prompts:\n", flows + "prompts:\n").replace("disclose: [ai, recording]", "disclose: ai")
    report = check_text(text.encode(), "plan.yaml", AGENTS)
    assert "DP027" in {fault.code for fault in report.faults}
    assert report.plan is None


def test_a_refused_plan_raises_with_every_error(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(SOUND.replace("reject: 603", "reject: 99"), encoding="utf-8")
    with pytest.raises(FileFaults) as raised:
        load_plan(path, AGENTS)
    assert str(raised.value).startswith(f"{path}:14:13 DP039 ")


def test_a_plan_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    report = check(tmp_path / "none.yaml", AGENTS)
    assert [fault.code for fault in report.faults] == ["Y001"]


def test_what_was_written_without_quotes_stays_what_was_written() -> None:
    text = """\
dialplan: 1
timezone: UTC
numbers:
  +442079460000: {flow: on, lang: no}
  010: {flow: on, lang: no}
hours:
  no: {open: [mon 9:00-17:30]}
lists:
  on: [+15550100, 0044 20 7946 0001]
flows:
  on:
    - say: "1.10"
    - say: Nr. 1.10
prompts:
  "on": {no: på}
"""
    report = check_text(text.encode(), "plan.yaml", AGENTS)
    assert report.plan is not None, [str(fault) for fault in report.faults]
    assert set(report.plan.numbers) == {"+442079460000", "010"}
    assert report.plan.numbers["010"].language == "no"
    assert report.plan.lists["on"] == ("+15550100", "+442079460001")
    assert report.plan.hours["no"].openings[0].end_min == 17 * 60 + 30

"""An agent's file: ten lines are enough, and every fault is named with file, line, column and what would mend it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.agents.job import Agent, FactType
from offhook.agents.schema import find_agents, lint_agent, load_agent
from offhook.faults import FileFaults, Severity
from tests.agents.conftest import ORDER_DESK

TEN_LINES = """\
agent: doorman@1
job: Tells callers who is in the office.
greeting: Good day, the office. Who are you looking for?
skills:
  who-is-in:
    when: The caller asks whether somebody is in.
    examples: [is anybody there, is Jane in the office, who is working today]
    needs: {who: {type: choice, ask: Whom do you want?, options: {jane: [Jane], tom: [Tom, Thomas]}}}
    say: "{who} is in until five."
    outcome: told
"""


def written(tmp_path: Path, text: str, name: str = "agent.yaml") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_ten_lines_make_an_agent(tmp_path: Path) -> None:
    agent = load_agent(written(tmp_path, TEN_LINES))
    assert (agent.name, agent.version, agent.language) == ("doorman", 1, "en-US")
    assert agent.skills["who-is-in"].needs["who"].type is FactType.CHOICE
    assert agent.outcomes() == {"told"}


def test_the_shipped_agent_has_no_fault() -> None:
    assert lint_agent(ORDER_DESK) == []
    assert find_agents([ORDER_DESK.parents[1]])["order-desk@1"] == ORDER_DESK


def test_an_agent_travels_as_json_and_is_the_same_agent_there(order_desk: Agent) -> None:
    persona = order_desk.persona({"caller": "+4420"})
    there = Agent.from_document(persona.document)
    assert there.document() == order_desk.document()
    assert persona.mind == "offhook.agents.mind:skill_mind" and persona.name == "order-desk@1"


SKILL = "agent: a@1\njob: p\ngreeting: hi\nskills:\n  s:\n    when: w\n    examples: [x, y]\n"
TOOL = "tools:\n  t:\n    python: shop:f\n"

FAULTS = [
    ("no greeting", "agent: a@1\njob: p\nskills: {s: {when: w, say: x}}\n", 1, 1, "AG001"),
    ("unknown key", "agent: a@1\njob: p\ngreting: hi\ngreeting: hi\nskills: {s: {when: w, say: x}}\n", 3, 1, "AG002"),
    ("no version", "agent: desk\njob: p\ngreeting: hi\nskills: {s: {when: w, say: x}}\n", 1, 8, "AG003"),
    ("bad fact type", SKILL + "    needs:\n      o: {type: digit, ask: q}\n    say: z\n", 9, 17, "AG003"),
    ("bad name", SKILL + "    say: z\n  Bad Name:\n    when: w\n    say: z\n", 9, 3, "AG003"),
    ("skill without when", "agent: a@1\njob: p\ngreeting: hi\nskills:\n  s:\n    say: z\n", 6, 5, "AG001"),
    ("unknown tool", SKILL + "    tool: lookup\n    say: z\n", 8, 11, "AG010"),
    ("no reply for the rest", SKILL + "    say:\n      found: z\n", 9, 7, "AG011"),
    ("unknown place", SKILL + "    say: Order {ordre} is here.\n", 8, 10, "AG012"),
    ("result without a tool", SKILL + "    say: It is {result.day}.\n", 8, 10, "AG012"),
    (
        "place in the greeting",
        "agent: a@1\njob: p\ngreeting: hi {name}\nskills: {s: {when: w, say: x}}\n",
        3,
        11,
        "AG012",
    ),
    ("digits of what length", SKILL + "    needs:\n      o: {type: digits, ask: q}\n    say: z\n", 9, 10, "AG013"),
    (
        "length too long",
        SKILL + "    needs:\n      o: {type: digits, ask: q, length: 99}\n    say: z\n",
        9,
        41,
        "AG013",
    ),
    ("choice of what", SKILL + "    needs:\n      o: {type: choice, ask: q}\n    say: z\n", 9, 10, "AG014"),
    ("no such module", SKILL + "    tool: t\n    say: z\n" + TOOL.replace("shop", "no_such_shop"), 12, 13, "AG015"),
    (
        "two ways to a tool",
        SKILL + "    tool: t\n    say: z\n" + TOOL + "    http: {url: 'http://x'}\n",
        12,
        5,
        "AG003",
    ),
    ("not a schema", SKILL + "    tool: t\n    say: z\n" + TOOL + "    input: {type: objekt}\n", 13, 12, "AG016"),
    (
        "input nobody fills",
        SKILL + "    tool: t\n    say: z\n" + TOOL + "    input: {type: object, required: [order]}\n",
        8,
        11,
        "AG017",
    ),
    ("example twice", SKILL + "    say: z\n  r:\n    when: v\n    examples: [q, x]\n    say: z\n", 11, 19, "AG018"),
    ("ask for what", SKILL + "    say:\n      other: {say: z, ask: ordr}\n", 9, 28, "AG019"),
    ("nothing to do", "agent: a@1\njob: p\ngreeting: hi\n", 1, 1, "AG020"),
    ("small talk about what", SKILL + "    say: z\nsmall-talk: {robbot: hi}\n", 9, 22, "AG023"),
    ("time without unit", SKILL + "    tool: t\n    say: z\n" + TOOL + "    timeout: soon\n", 13, 14, "AG003"),
    ("two of a key", "agent: a@1\nagent: b@1\n", 2, 1, "Y008"),
    ("a tab", "agent: a@1\n\tjob: p\n", 2, 1, "Y005"),
]


@pytest.mark.parametrize(("text", "line", "column", "code"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_each_fault_is_placed(tmp_path: Path, text: str, line: int, column: int, code: str) -> None:
    written(tmp_path, "def f(order): return {}\n", "shop.py")
    path = written(tmp_path, text)
    with pytest.raises(FileFaults) as refused:
        load_agent(path)
    found = [(fault.line, fault.column, fault.code) for fault in refused.value.faults]
    assert (line, column, code) in found
    assert all(fault.what and fault.mend and fault.file == str(path) for fault in refused.value.faults)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    text = SKILL + "    tool: lookup\n    say: '{ordre}'\n    needs: {o: {type: digits, ask: q}}\n"
    codes = [fault.code for fault in lint_agent(written(tmp_path, text))]
    assert codes == ["AG010", "AG012", "AG013"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (SKILL + "    says: z\n", "`says` is not a key that may stand here - use when, examples,"),
        (SKILL + "    says: z\n", "(did you mean say?)"),
        ("agent: a@1\njob: p\ngreeting: hi\nskill: {}\n", "(did you mean skills?)"),
        (SKILL + "    say: {other: {say: z, ast: o}}\n", "- use say, outcome, ask, exit"),
        (SKILL + "    needs: {o: {type: digits, ask: q, leng: 4}}\n    say: z\n", "(did you mean length?)"),
        (SKILL + "    needs: {o: {type: digits, ask: q, length: four}}\n    say: z\n", "as `4` or as `4-8`"),
        (SKILL.replace("[x, y]", "x") + "    say: z\n", "it must be a list - write it as [one, two]"),
        (SKILL + "    say: z\nhand-over: a librarian\n", "`hand-over` cannot be so: it must have keys of its own"),
        ("agent: library\njob: p\ngreeting: hi\n", "write name and version, as in `library@1`"),
    ],
)
def test_what_is_said_is_for_people_who_know_no_python(tmp_path: Path, text: str, says: str) -> None:
    told = "\n".join(f"{fault.what} - {fault.mend}" for fault in lint_agent(written(tmp_path, text)))
    assert says in told
    assert not any(word in told for word in ("tuple", "dictionary", "instance", "pattern", "Input"))


def test_a_voice_or_language_that_is_not_there_is_a_warning(tmp_path: Path) -> None:
    found = lint_agent(written(tmp_path, SKILL + "    say: z\nvoice: jo\nlanguage: fr-FR\n"))
    assert [(fault.code, fault.line, fault.severity) for fault in found] == [
        ("AG024", 9, Severity.WARNING),
        ("AG025", 10, Severity.WARNING),
    ]
    assert "did you mean joe?" in found[0].mend


def test_a_misspelled_name_is_guessed(tmp_path: Path) -> None:
    text = SKILL + "    needs: {order: {type: digits, length: 4, ask: q}}\n    say: '{ordr}'\n"
    assert "did you mean order?" in str(lint_agent(written(tmp_path, text))[0])


def test_a_warning_refuses_nothing(tmp_path: Path) -> None:
    written(tmp_path, "async def f(): return {}\n", "shop.py")
    path = written(tmp_path, SKILL + "    say: z\n" + TOOL)
    assert [fault.severity for fault in lint_agent(path)] == [Severity.WARNING]
    assert load_agent(path).tools["t"].python == "shop:f"


def test_scalars_of_a_schema_are_what_their_keywords_call_for(tmp_path: Path) -> None:
    written(tmp_path, "def f(n): return {}\n", "shop.py")
    text = (
        SKILL + "    tool: t\n    say: z\n    needs: {n: {type: digits, length: 4, ask: q}}\n" + TOOL + "    input:\n"
        "      type: object\n      additionalProperties: no\n"
        "      properties: {n: {type: string, maxLength: 4, pattern: '1.10'}}\n"
    )
    schema = load_agent(written(tmp_path, text)).tools["t"].input
    assert schema == {
        "type": "object",
        "additionalProperties": False,
        "properties": {"n": {"type": "string", "maxLength": 4, "pattern": "1.10"}},
    }


@given(cut=st.integers(0, 2_000), garble=st.text(max_size=20))
@settings(max_examples=120, deadline=None)
def test_a_file_broken_anywhere_gives_faults_and_never_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, cut: int, garble: str
) -> None:
    text = ORDER_DESK.read_text(encoding="utf-8")
    path = tmp_path_factory.getbasetemp() / "broken.yaml"
    path.write_bytes((text[:cut] + garble + text[cut + len(garble) :]).encode("utf-8", "surrogatepass"))
    lint_agent(path)

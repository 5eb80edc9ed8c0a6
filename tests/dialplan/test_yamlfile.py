"""Files are text with places: nothing in them is guessed, and nothing in them breaks the reader."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from offhook.dialplan.lint import check_text
from offhook.faults import FileFaults
from offhook.yamlfile import MAX_BYTES, Mapping, Node, Scalar, load, parse
from tests.dialplan.plans import AGENTS, SOUND, marked


def refused(text: str | bytes) -> list[str]:
    with pytest.raises(FileFaults) as raised:
        parse(text.encode() if isinstance(text, str) else text, "f.yaml")
    return [f"{fault.line}:{fault.column} {fault.code}" for fault in raised.value.faults]


def test_every_scalar_is_what_was_written() -> None:
    text = (
        'a: +442079460000\nb: 17:30\nc: 9:00\non: no\nd: 1.10\ne: 010\nf: ~\ng: 0x1F\nh: "*9"\ni: 2026-12-25\nj: .inf\n'
    )
    assert parse(text.encode(), "f.yaml").plain() == {
        "a": "+442079460000",
        "b": "17:30",
        "c": "9:00",
        "on": "no",
        "d": "1.10",
        "e": "010",
        "f": "~",
        "g": "0x1F",
        "h": "*9",
        "i": "2026-12-25",
        "j": ".inf",
    }


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("Y004", "a: ▶\x01"),
        ("Y004", 'a: ▶"\\ud800"'),
        ("Y005", "a:\n▶\tb: 1"),
        ("Y005", "a:▶ b: c".replace("▶ b", " b▶")),
        ("Y005", 'a: ▶"never closed\nb: c\n'),
        ("Y005", "{a: a ? b ▶: c}"),
        ("Y005", 'a: "\\▶q"'),
        ("Y005", 'a: !open(▶"x")'),
        ("Y006", "a: ▶*9"),
        ("Y006", "a: ▶&x 1"),
        ("Y006", "a: 1\n▶<<: {b: c}"),
        ("Y007", "a: ▶!!int 3"),
        ("Y008", "a: 1\nb: 2\n▶a: 3"),
        ("Y009", "a: 1\n▶---\nb: 2\n"),
        ("Y010", "[" * 24 + "▶" + "[" * 5000),
        ("Y010", "{a: " * 24 + "▶" + "{a: " * 5000),
        ("Y010", "- " * 24 + "▶" + "- " * 5000 + "x"),
        ("Y011", "? ▶[a]\n: b"),
        ("Y012", "%YAML 1.1\n▶---\na: 1"),
        ("Y013", "▶"),
        ("Y013", "▶# only this\n"),
    ],
)
def test_what_is_refused_is_refused_at_its_place(code: str, text: str) -> None:
    raw, line, column = marked(text)
    assert refused(raw) == [f"{line}:{column} {code}"]


def test_bytes_that_are_no_text_are_found_where_they_stand() -> None:
    assert refused(b"a: b\nc: \xc3\xa4\xff") == ["2:5 Y003"]


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm() -> None:
    root = parse(b"\xef\xbb\xbfa: 1\r\nb: x\r\n", "f.yaml")
    assert root.plain() == {"a": "1", "b": "x"}


def test_a_file_that_is_too_large_or_not_there_is_one_fault(tmp_path: Path) -> None:
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (MAX_BYTES + 1))
    for path, code in ((large, "Y002"), (tmp_path / "none.yaml", "Y001"), (tmp_path, "Y001")):
        with pytest.raises(FileFaults) as raised:
            load(path)
        assert [fault.code for fault in raised.value.faults] == [code]


def test_several_faults_are_told_in_one_pass() -> None:
    assert refused("a: 1\na: 2\nb: *x\nc: &y z\n") == ["2:1 Y008", "3:4 Y006", "4:4 Y006"]


def test_a_place_within_a_text_is_found_in_every_style() -> None:
    root = parse(
        b'plain: abc\nquoted: "abc"\nblock: |\n  first\n    abc\nescaped: "a\\tbc"\nfolded: >\n  abc\n', "f.yaml"
    )
    assert isinstance(root, Mapping)

    def place(name: str, line: int, column: int) -> tuple[int, int]:
        scalar = root.get(name)
        assert isinstance(scalar, Scalar)
        return scalar.place(line, column)

    assert place("plain", 1, 2) == (1, 9)
    assert place("quoted", 1, 2) == (2, 11)
    assert place("block", 2, 3) == (5, 5)
    assert place("escaped", 1, 3) == (6, 10)
    assert place("folded", 1, 1) == (7, 9)


def test_a_node_that_is_something_else_says_what_it_should_be() -> None:
    root = parse(b"a: [x]\nb: {c: d}\ne:\nf: 3x\ng: 5m\n", "f.yaml")
    assert isinstance(root, Mapping)

    def node(name: str) -> Node:
        found = root.get(name)
        assert found is not None
        return found

    assert node("a").as_text("the name") is None
    assert node("b").as_sequence("the list") is None
    assert node("e").as_text("the voice") is None
    assert node("f").as_int("the count", 0, 9) is None
    assert node("g").as_seconds("the time", 1, 3600) == 300
    assert node("f").as_mapping("the part") is None
    codes = [(fault.line, fault.column, fault.code) for fault in root.source.faults.found]
    assert codes == [(1, 4, "Y022"), (2, 4, "Y021"), (3, 1, "Y028"), (4, 4, "Y026"), (4, 4, "Y020")]


@pytest.mark.parametrize("text", ["[a, " * 60_000, "a\n" * 100_000, "'" * 200_000, "- a\n" * 60_000, "!" * 200_000])
def test_a_hostile_file_is_refused_in_a_few_seconds(text: str) -> None:
    began = time.process_time()
    try:
        parse(text.encode(), "f.yaml")
    except FileFaults as faults:
        assert len(faults.faults) <= 100
    assert time.process_time() - began < 15


PIECES = [
    *SOUND.split("\n"),
    "- ",
    "  ",
    "\n",
    ": ",
    "{",
    "}",
    "[",
    "]",
    '"',
    "'",
    "|",
    ">",
    "&a",
    "*a",
    "!",
    "\t",
    "#",
]


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=300), st.lists(st.sampled_from(PIECES), max_size=40).map("\n".join)))
@example('"\\UFFFFFFFF"')
@example("%TAG ! tag:x,2000:\n---\n!a b")
def test_no_text_breaks_the_loader(text: str) -> None:
    check_text(text.encode("utf-8", "surrogatepass"), "f.yaml", AGENTS)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_damage_to_a_sound_plan_breaks_the_loader(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(SOUND)))
    end = data.draw(st.integers(start, min(len(SOUND), start + 60)))
    patch = data.draw(st.one_of(st.sampled_from(PIECES), st.text(max_size=20)))
    report = check_text((SOUND[:start] + patch + SOUND[end:]).encode("utf-8", "surrogatepass"), "f.yaml", AGENTS)
    assert all(fault.line >= 1 and fault.column >= 1 for fault in report.faults)

"""The texts the duplex model learns from: how they are written, what their gist keeps, and what is held out."""

from __future__ import annotations

import datetime
import random
from collections import Counter

import pytest
from models.duplex.data.answers_said import SORTS
from models.duplex.data.draft import split_of
from models.duplex.data.gist import gist
from models.duplex.data.grammar import PatternError, expand
from models.duplex.data.jobs_said import HELD_OUT, jobs
from models.duplex.data.people import names_of
from models.duplex.data.public import WEIGHTS
from models.duplex.data.texts import Said, sayings
from models.duplex.data.written import written

from offhook.agents.answers import yes_or_no
from offhook.agents.courtesies import EXAMPLES
from offhook.agents.facts import Found, Hearing, find
from offhook.agents.job import Fact, FactType

TODAY = datetime.date(2026, 11, 22)
SAME = 0.97
"""The share of answers whose fact must be the same in the gist as in all the words. It cannot be all: where the words
mislead (`the one I was given is 4173` as a 1), the gist finds the better fact."""
FACTS = {
    "digits": Fact(type=FactType.DIGITS, ask="?", length=(3, 12)),
    "phone": Fact(type=FactType.DIGITS, ask="?", length=(7, 12)),
    "card": Fact(type=FactType.DIGITS, ask="?", length=(16, 16)),
    "correction": Fact(type=FactType.DIGITS, ask="?", length=(3, 12)),
    "date": Fact(type=FactType.DATE, ask="?"),
    "amount": Fact(type=FactType.MONEY, ask="?"),
    "count": Fact(type=FactType.NUMBER, ask="?", least=1, most=40),
    "name": Fact(type=FactType.NAME, ask="?"),
}


@pytest.fixture(scope="module")
def heard() -> list[Said]:
    return list(sayings(7, "train", 4000))


@pytest.mark.parametrize(
    ("said", "words", "kept"),
    [
        ("Um, four one seven three please.", "4173 please", "4173"),
        ("forty-one seventy-three", "4173", "4173"),
        ("four thousand one hundred and seventy three", "4173", "4173"),
        ("double seven oh five", "7705", "7705"),
        ("um yes please", "yes please", "yes"),
        ("No, not 4173, I meant 4174!", "no not 4173 i meant 4174", "no not 4173 i meant 4174"),
        ("my name is Anna Miller", "my name is anna miller", "name is anna miller"),
        ("next Tuesday at three P.M. would be great", "next tuesday at 3 pm would be great", "next tuesday at 3 pm"),
        ("where is my order, it's four one seven three", "where is my order it's 4173", "4173"),
        ("Where is my order?", "where is my order", ""),
        ("the twenty sixth of July", "the twenty sixth of july", "twenty sixth july"),
        ("I was charged $12.50 on May 3rd", "i was charged $12.50 on may 3rd", "$12.50 may 3rd"),
        ("it's S for sugar M as in mother I T H", "it's s for sugar m as in mother i t h", "s m i t h"),
        ("J for juliet O N as in november", "j for juliet o n as in november", "j o n"),
        ("the booking is under Bob Fleming", "the booking is under bob fleming", "under bob fleming"),
        ("please do", "please do", "please do"),
        ("the wrong one", "the wrong one", "wrong"),
        ("uh-huh", "uh huh", "uh huh"),
        ("good morning, where is my parcel", "good morning where is my parcel", ""),
        ("wait a second", "wait a second", ""),
        ("order 4173 and the postcode 90210", "order 4173 and the postcode 90210", "4173 postcode 90210"),
        ("", "", ""),
    ],
)
def test_words_and_gist_of_what_people_say(said: str, words: str, kept: str) -> None:
    assert written(said) == words
    assert gist(words) == kept


@pytest.mark.parametrize("text", ["<<~>~<" * 50, "\x00" * 40, "a" * 9000, "<one~>", "½ ² 🙂 ١٢٣", "one " * 900, "$:.'"])
def test_no_text_is_too_odd_to_write_down(text: str) -> None:
    assert len(written(text)) <= 600
    gist(written(text))


def test_the_gist_answers_the_question_asked_as_the_words_do(heard: list[Said]) -> None:
    same: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for said in heard:
        sort = said.pattern.removeprefix("answer ").split(":")[0]
        if said.kind != "answer" or sort not in SORTS:
            continue
        in_words, in_gist = _answer(sort, said.words), _answer(sort, said.gist)
        if in_words is not None:
            seen[sort] += 1
            same[sort] += in_words == in_gist
    assert set(FACTS) | {"yes", "no"} <= set(seen)
    assert sum(same.values()) >= SAME * sum(seen.values()), {sort: (same[sort], seen[sort]) for sort in seen}


def _answer(sort: str, words: str) -> object:
    if sort in ("yes", "no"):
        return yes_or_no(words)
    found: Found | None = find(FACTS[sort], words, Hearing(asked=True, today=TODAY)) if sort in FACTS else None
    return found.value if found else None


def test_the_same_seed_gives_the_same_sayings_and_another_gives_others() -> None:
    once, again, other = (list(sayings(seed, "dev", 200)) for seed in (3, 3, 4))
    assert once == again
    assert {said.words for said in once} != {said.words for said in other}


def test_no_pattern_of_test_or_dev_is_trained_on_but_yes_no_and_sounds_of_listening(heard: list[Said]) -> None:
    trained = {said.pattern for said in heard}
    for split in ("dev", "test"):
        common = ("backchannel", "answer yes", "answer no")
        held = {said.pattern for said in sayings(1, split, 600) if said.pattern.split(":")[0] not in common}
        shared = {pattern for pattern in held & trained if split_of(pattern) != split}
        few = {pattern for pattern in shared if pattern.split(":")[0].split()[0] in _few()}
        assert shared <= few, sorted(shared - few)[:5]


def _few() -> set[str]:
    """Where lists are short: those of fewer than six examples are shared by all splits."""
    return {job.name for job in jobs("train")} | {kind.value for kind, lines in EXAMPLES.items() if len(lines) < 6}


def test_public_lines_stay_in_their_split(heard: list[Said]) -> None:
    for said in (*heard, *sayings(2, "test", 500)):
        source, _, line = said.pattern.partition(": ")
        if source in WEIGHTS and said.split == "train":
            assert split_of(line) == "train"


def test_one_agent_and_some_names_are_for_the_test_alone(heard: list[Said]) -> None:
    assert HELD_OUT not in {said.agent for said in heard}
    assert not set(names_of("test")) & set(names_of("train"))
    assert not set(names_of("test", last=True)) & set(names_of("train", last=True))


def test_every_record_can_be_spoken_and_written(heard: list[Said]) -> None:
    for said in heard:
        assert said.words and said.words == said.words.lower()
        assert said.pieces[-1].pause_ms == 0 and all(300 <= piece.pause_ms <= 1500 for piece in said.pieces[:-1])
        for piece in said.pieces:
            assert not set(piece.text) & set("<>~/{}[]|0123456789"), said
        assert set(said.gist.split()) <= set(said.words.split())
        assert said.agent_speaking or said.kind not in ("backchannel", "interruption")


def test_a_third_or_so_of_the_sayings_has_a_stop_inside(heard: list[Said]) -> None:
    held = sum(len(said.pieces) > 1 for said in heard) / len(heard)
    assert 0.2 < held < 0.5


def test_kinds_come_in_the_shares_that_calls_have_them(heard: list[Said]) -> None:
    shares = {kind: n / len(heard) for kind, n in Counter(said.kind for said in heard).items()}
    assert 0.45 < shares["request"] < 0.65 and 0.2 < shares["answer"] < 0.45
    assert all(0.02 < shares[kind] < 0.1 for kind in ("backchannel", "interruption", "aside"))


def test_sayings_are_broad(heard: list[Said]) -> None:
    words = {word for said in heard for word in said.words.split() if word.isalpha()}
    assert len({said.words for said in heard}) > 0.75 * len(heard)
    assert len(words) > 1800


@pytest.mark.parametrize("pattern", ["(a|b", "a)", "[a", "{a", "{nobody}", "{again}"])
def test_a_pattern_that_cannot_be_read_says_what_is_wrong(pattern: str) -> None:
    with pytest.raises(PatternError, match=r"lacks|many|nothing fills|for ever"):
        expand(pattern, random.Random(1), {"again": lambda _: "{again}"})

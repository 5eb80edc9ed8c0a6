"""The voice says what is written, at level, cut at clauses; nothing on the way to it breaks on odd text."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook import weights
from offhook.speech.contract import RATE_HZ
from offhook.speech.phonemes import Phonemes
from offhook.speech.resample import resample
from offhook.speech.saying import as_spoken, clauses
from offhook.speech.voice import Voice


@pytest.fixture(scope="module")
def voice() -> Voice:
    try:
        return Voice("joe", weights.path("joe"))
    except weights.WeightsMissing as missing:
        pytest.skip(f"skipped: {missing}")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Order 4 1 7 2 is here.", "Order four one seven two is here."),
        ("It costs $12.50.", "It costs twelve dollars and fifty cents."),
        ("That is £1,200.01!", "That is one thousand two hundred pounds and one penny!"),
        ("$1", "one dollar"),
        ("Open from 9:30 am to 6 pm.", "Open from nine thirty A M to six P M."),
        ("At 14:05 or 10:00.", "At fourteen oh five or ten o'clock."),
        ("December 3rd, 2026", "December third twenty twenty six"),
        ("2026-12-03", "December third, twenty twenty six"),
        ("the 21st time", "the twenty first time"),
        ("Room 12, floor 3", "Room twelve, floor three"),
        ("Call 0800 123456", "Call zero eight zero zero one two three four five six"),
        ("100% of 3.14", "one hundred percent of three point one four"),
        ("1,234,567 parcels", "one million two hundred thirty four thousand five hundred sixty seven parcels"),
        ("You & me", "You and me"),
        ("2026-99-99", "two thousand twenty six ninety nine ninety nine"),
    ],
)
def test_figures_are_said_as_people_say_them(written: str, said: str) -> None:
    assert as_spoken(written) == said


def test_a_long_sentence_is_cut_at_its_commas_and_a_short_one_is_not() -> None:
    assert clauses("Yes. Your order 4 1 7 2 is on its way, and it should arrive on Thursday.") == [
        "Yes.",
        "Your order 4 1 7 2 is on its way,",
        "and it should arrive on Thursday.",
    ]
    assert clauses("Red, green, blue.") == ["Red, green, blue."]
    assert clauses("Ask Dr. Smith. He knows.") == ["Ask Dr. Smith.", "He knows."]
    assert clauses("  ") == []


@given(st.text(max_size=400))
@settings(max_examples=200, deadline=None)
def test_clauses_lose_no_word_of_any_text(text: str) -> None:
    assert " ".join(clauses(text)).split() == text.split()


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_text_can_be_put_in_words(text: str) -> None:
    assert not any(letter in "0123456789" for letter in as_spoken(text))


def test_hostile_text_is_put_in_words_in_no_time() -> None:
    began = time.perf_counter()
    for text in ("1," * 5_000, "$" * 9_000, "1:" * 5_000, "9" * 10_000, "1 " * 5_000, ", " * 5_000, "- " * 5_000):
        as_spoken(text)
        clauses(text)
    assert time.perf_counter() - began < 1.0


def test_resampling_keeps_a_tone_and_removes_what_would_fold() -> None:
    at = np.arange(22_050) / 22_050
    low, high = np.sin(2 * np.pi * 1_000 * at), np.sin(2 * np.pi * 9_500 * at)
    kept = resample(low.astype(np.float32), 22_050, RATE_HZ)
    gone = resample(high.astype(np.float32), 22_050, RATE_HZ)
    assert len(kept) == RATE_HZ
    wanted = np.sin(2 * np.pi * 1_000 * np.arange(RATE_HZ) / RATE_HZ)
    inner = slice(200, -200)
    assert np.abs(kept - wanted)[inner].max() < 1e-3
    assert np.abs(gone)[inner].max() < 1e-3


def test_a_language_without_a_lexicon_is_a_sentence() -> None:
    with pytest.raises(ValueError, match="no pronunciation lexicon for 'tlh'"):
        Phonemes("tlh")


def test_words_unknown_to_the_lexicon_are_sounded_out() -> None:
    assert len(Phonemes().of("Please ask for Mrs Zwyndlegorph.").split()) == 5


def test_speech_is_at_level_without_clipping_or_clicks(voice: Voice) -> None:
    audio = voice.render("Your order is on its way to you.")
    assert 1.0 < len(audio) / RATE_HZ < 4.0
    frames = np.sqrt((audio[: len(audio) // 160 * 160].reshape(-1, 160).astype(float) ** 2).mean(axis=1))
    speech = frames[frames > frames.max() * 0.1]
    level_db = 20 * np.log10(np.sqrt((speech**2).mean()) / 32768)
    assert -22 < level_db < -17
    assert np.abs(audio).max() < 32_700
    assert abs(int(audio[0])) < 50 and abs(int(audio[-1])) < 50


def test_the_first_clause_comes_before_the_second_is_made(voice: Voice) -> None:
    pieces = voice.speak("This is the first part, and this is another part that comes later.")
    first = next(pieces)
    assert first.text == "This is the first part," and len(first.audio)
    assert next(pieces).text == "and this is another part that comes later."


def test_what_was_said_before_is_the_same_sound_again(voice: Voice) -> None:
    assert voice.clause("Once more, please.").audio is voice.clause("Once more, please.").audio


def test_prepared_phrases_outlive_the_process(tmp_path: Path) -> None:
    try:
        folder = weights.path("joe")
    except weights.WeightsMissing as missing:
        pytest.skip(f"skipped: {missing}")
    first = Voice("joe", folder, keep=tmp_path)
    first.prepare("How can I help you?")
    made = first.clause("How can I help you?").audio
    (kept,) = tmp_path.iterdir()
    assert np.array_equal(Voice("joe", folder, keep=tmp_path).clause("How can I help you?").audio, made)
    kept.write_bytes(b"broken")
    assert len(Voice("joe", folder, keep=tmp_path).clause("How can I help you?").audio)


def test_text_without_a_word_is_no_sound(voice: Voice) -> None:
    assert len(voice.render("... !")) == 0
    assert len(voice.render("")) == 0

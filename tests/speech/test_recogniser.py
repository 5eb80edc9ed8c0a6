"""The recogniser on a telephone line: what short turns are heard as, and how long that takes."""

from __future__ import annotations

import time

import numpy as np
import pytest

from offhook import weights
from offhook.speech.contract import RATE_HZ
from offhook.speech.recogniser import Recogniser
from tests.speech.voices import over_g711, spoken

SENTENCES = (
    ("Where is my order?", ("where order",)),
    ("Four one seven two.", ("4172",)),
    ("The order number is nine oh three five.", ("9035",)),
    ("Can I speak to a person please?", ("person",)),
    ("I'd like to return my headphones because they are broken.", ("return headphones",)),
    ("Yes.", ("yes", "yeah")),
    ("What are your opening hours on Saturday?", ("opening saturday",)),
    ("It was the third of December.", ("december",)),
    ("I ordered two weeks ago and nothing has arrived.", ("weeks ago nothing",)),
    ("Could you tell me when it will be delivered?", ("when delivered",)),
)


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    try:
        return Recogniser.load()
    except weights.WeightsMissing as missing:
        pytest.skip(f"skipped: {missing}")


def has(text: str, wanted: tuple[str, ...]) -> bool:
    flat = text.lower().replace("-", "").replace(",", "")
    together = "".join(flat.split())
    return any(all(word in flat or word in together for word in words.split()) for words in wanted)


@pytest.mark.parametrize(("voice", "least"), [("joe", 9), ("flite", 8), ("espeak-ng", 4)])
def test_sentences_over_g711_are_understood(recogniser: Recogniser, voice: str, least: int) -> None:
    right, times = 0, []
    for words, wanted in SENTENCES:
        audio = over_g711(spoken(words, voice))
        began = time.perf_counter()
        text = recogniser.transcribe(audio, "en-US")
        times.append((time.perf_counter() - began) * 1000)
        right += has(text, wanted)
        if not has(text, wanted):
            print(f"{voice}: {words!r} heard as {text!r}")
    print(f"{voice}: {right} of {len(SENTENCES)} right, {np.median(times):.0f} ms a turn (median)")
    assert right >= least


@pytest.mark.parametrize("words", ["Yes.", "Okay.", "Hello?", "Where is my order?", "Could you tell me when?"])
def test_a_short_turn_comes_out_once(recogniser: Recogniser, words: str) -> None:
    text = recogniser.transcribe(over_g711(spoken(words)))
    assert 0 < len(text.split()) <= len(words.split()) + 1


@pytest.mark.parametrize("seconds", [0.0, 0.3, 2.0, 31.0])
def test_silence_and_noise_hold_no_words(recogniser: Recogniser, seconds: float) -> None:
    silence = np.zeros(int(seconds * RATE_HZ), np.int16)
    assert recogniser.transcribe(silence) == ""
    noise = np.random.default_rng(3).normal(0, 200, len(silence)).astype(np.int16)
    assert recogniser.transcribe(noise) == ""


def test_expected_words_are_found_sooner(recogniser: Recogniser) -> None:
    audio = over_g711(spoken("I have a question about my Zwyndle."))
    assert "Zwyndle" in recogniser.transcribe(audio, "en", ["Zwyndle"])


def test_a_language_nobody_speaks_is_a_sentence(recogniser: Recogniser) -> None:
    with pytest.raises(ValueError, match="does not know the language 'tlh'"):
        recogniser.check_language("tlh")
    recogniser.check_language("de-DE")

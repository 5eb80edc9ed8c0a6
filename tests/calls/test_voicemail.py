"""Messages in the caller's track, whatever rate the call had: whether something was said, and cutting them out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from offhook.calls import voicemail
from offhook.calls.timeline import Entry, VoicemailLeft


@pytest.fixture(params=[8_000, 16_000])
def rate_hz(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def write(folder: Path, rate_hz: int, *parts: tuple[float, int]) -> Path:
    """A caller's track of parts, each so many seconds of noise of a level."""
    rng = np.random.default_rng(1)
    sound = [rng.integers(-peak - 1, peak + 1, int(s * rate_hz)).astype(np.int16) for s, peak in parts]
    track = folder / "caller.wav"
    soundfile.write(track, np.concatenate(sound), rate_hz, subtype="PCM_16")
    return track


def test_words_in_the_last_seconds_are_found_and_older_ones_are_not(tmp_path: Path, rate_hz: int) -> None:
    track = write(tmp_path, rate_hz, (2.0, 0), (1.0, 3_000), (3.0, 0))
    assert voicemail.spoken(track, 5.0)
    assert voicemail.spoken(track, 3.5)
    assert not voicemail.spoken(track, 2.9)


def test_a_click_is_no_word(tmp_path: Path, rate_hz: int) -> None:
    track = write(tmp_path, rate_hz, (2.0, 0), (0.15, 3_000), (1.0, 0))
    assert not voicemail.spoken(track, 3.0)
    assert not voicemail.spoken(tmp_path / "none.wav", 3.0)


def test_a_message_is_cut_out_at_its_place(tmp_path: Path, rate_hz: int) -> None:
    track = write(tmp_path, rate_hz, (2.0, 0), (1.0, 3_000), (2.0, 0))
    assert voicemail.cut_messages(tmp_path, [Entry(3_500.0, VoicemailLeft("voicemail-1.wav", 2_000.0))]) == []
    whole, _ = soundfile.read(track, dtype="int16")
    message, rate = soundfile.read(tmp_path / "voicemail-1.wav", dtype="int16")
    assert rate == rate_hz
    assert np.array_equal(message, whole[int(1.5 * rate_hz) : int(3.5 * rate_hz)])


def test_a_message_that_cannot_be_cut_out_is_told_of(tmp_path: Path) -> None:
    faults = voicemail.cut_messages(tmp_path, [Entry(3_500.0, VoicemailLeft("voicemail-1.wav", 2_000.0))])
    assert len(faults) == 1 and "cannot be cut out" in faults[0]
    assert not (tmp_path / "voicemail-1.wav").exists()

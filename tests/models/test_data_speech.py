"""Speech for training: shards keep what goes in, pauses lie where they were meant, lines do as lines do."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from models.duplex.data.__main__ import main
from models.duplex.data.line import Law, Line, Noise
from models.duplex.data.making import spoken_shard
from models.duplex.data.shards import (
    Samples,
    ShardError,
    Utterance,
    read_shard,
    read_shards,
    shard_numbers,
    write_shard,
)
from models.duplex.data.speech import LONGEST_S, Manner, TooLong, manner, speak
from models.duplex.data.texts import Piece, Said
from models.duplex.data.voices import RATE_HZ, SHARES, Floats, Voice, VoiceError


def _hum(text: str, rate: float) -> Floats:
    """Stands for a voice: 100 ms a word with silence around it, so that lengths can be foretold."""
    samples = round(len(text.split()) * RATE_HZ / 10 / rate)
    tone = 0.3 * np.sin(np.arange(samples) * 0.1)
    return np.pad(tone, (700, 2500)).astype(np.float32)


def _voice(name: str = "kokoro-x", held_out: bool = False) -> Voice:
    return Voice(name, name.split("-")[0], held_out, _hum)


def _said(*pieces: tuple[str, int], split: str = "train", id: str = "one") -> Said:
    return Said(
        id=id,
        pieces=tuple(Piece(text, pause_ms) for text, pause_ms in pieces),
        words="my number is 4173",
        gist="4173",
        meaning="my number is",
        asked="what is your number",
        kind="answer",
        agent_speaking=False,
        agent="order-desk",
        pattern="digits",
        split=split,
    )


def _utterance(id: str = "one", pieces: tuple[tuple[int, int], ...] = ((10, 20),)) -> Utterance:
    return Utterance(id, 0, 0, pieces, "joe", "wörds", "", "", "", "answer", True, "any", "p", "train")


def _noise(samples: int) -> Samples:
    return np.random.default_rng(samples).integers(-9000, 9000, samples).astype(np.int16)


def test_a_pause_lies_where_it_was_meant_and_is_as_long() -> None:
    spoken = speak(_said(("my order number is", 900), ("four one seven three", 0)), Manner(_voice(), 1.0, 20))
    (first, hold), (again, end) = spoken.pieces
    assert abs((again - hold) / RATE_HZ - 0.9) < 0.03
    assert abs((hold - first) / RATE_HZ - 0.4) < 0.03
    assert not spoken.audio[hold + 700 : again - 400].any()
    assert len(spoken.audio) - end <= 0.06 * RATE_HZ


def test_another_size_changes_the_pitch_and_not_how_long_it_takes() -> None:
    usual, small = (speak(_said(("one two three four", 0)), Manner(_voice(), 1.0, size)) for size in (20, 24))
    assert abs(len(usual.audio) - len(small.audio)) < 0.05 * RATE_HZ
    crossings = [int((np.diff(np.sign(one.audio[1000:5000])) != 0).sum()) for one in (usual, small)]
    assert crossings[1] / crossings[0] == pytest.approx(1.2, abs=0.03)


def test_speech_longer_than_a_turn_is_refused() -> None:
    with pytest.raises(TooLong, match=str(LONGEST_S)):
        speak(_said(("word " * 170, 0)), Manner(_voice(), 1.0, 20))


def test_a_voice_that_says_nothing_is_named() -> None:
    silent = Voice("mute", "flite", False, lambda text, rate: np.zeros(800, np.float32))
    with pytest.raises(VoiceError, match="mute says nothing"):
        silent.speak("hello")


def test_held_out_voices_speak_in_dev_and_test_only() -> None:
    said_by = [_voice("kokoro-a"), _voice("kokoro-b", held_out=True), _voice("joe")]
    for number in range(50):
        assert not manner(_said(("hello", 0), id=f"{number}"), said_by, 1).voice.held_out
        assert manner(_said(("hello", 0), split="test", id=f"{number}"), said_by, 1).voice.name == "kokoro-b"


def test_the_same_seed_gives_the_same_voice_and_manner() -> None:
    said_by = [_voice(f"kokoro-{at}") for at in range(9)]
    drawn = [[manner(_said(("hello", 0), id=f"{at}"), said_by, seed) for at in range(20)] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_robots_speak_at_most_a_third_of_the_training_data() -> None:
    assert SHARES["espeak"] / sum(SHARES.values()) <= 0.35


def test_a_shard_comes_back_as_it_was_written(tmp_path: Path) -> None:
    given = [(_utterance("one"), _noise(400)), (_utterance("two", ((0, 30), (50, 300))), _noise(300))]
    write_shard(tmp_path, "train", 7, given)
    shard = read_shard(tmp_path, "train", 7)
    assert [said.id for said in shard.utterances] == ["one", "two"]
    assert shard.utterances[1] == dataclasses.replace(given[1][0], offset=400, samples=300)
    assert all((shard.of(said) == audio).all() for said, (_, audio) in zip(shard.utterances, given, strict=True))
    assert [one.name for one in read_shards(tmp_path, "train")] == ["shard-0007"]


def test_a_shard_that_is_being_written_is_not_seen(tmp_path: Path) -> None:
    seen = []

    def said() -> object:
        for at in range(3):
            yield _utterance(f"{at}"), _noise(100)
            seen.append(shard_numbers(tmp_path, "train"))

    write_shard(tmp_path, "train", 1, said())  # type: ignore[arg-type]
    assert seen == [[], [], []]
    assert shard_numbers(tmp_path, "train") == [1]
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda line: line[:-5],
        lambda line: "[]",
        lambda line: line.replace('"words"', '"wrods"'),
        lambda line: line.replace('"samples": 400', '"samples": "400"'),
        lambda line: line.replace('"samples": 400', '"samples": 401'),
        lambda line: line.replace("[[10, 20]]", "[[10, 500]]"),
        lambda line: line.replace("[[10, 20]]", "[10, 20]"),
        lambda line: line.replace('"offset": 0', '"offset": -1'),
        lambda line: line.replace('"agent_speaking": true', '"agent_speaking": 1'),
    ],
)
def test_a_spoilt_line_is_refused_with_a_sentence(tmp_path: Path, spoilt: Callable[[str], str]) -> None:
    write_shard(tmp_path, "train", 1, [(_utterance(), _noise(400))])
    file = tmp_path / "train" / "shard-0001.jsonl"
    before = file.read_text("utf-8")
    file.write_text(spoilt(before), "utf-8")
    assert file.read_text("utf-8") != before
    with pytest.raises(ShardError, match="shard-0001"):
        read_shard(tmp_path, "train", 1)


def test_a_shard_leaves_out_what_cannot_be_said(capsys: pytest.CaptureFixture[str]) -> None:
    def fails(text: str, rate: float) -> Floats:
        raise OSError("no such program")

    assert not list(spoken_shard([Voice("kokoro-broken", "kokoro", False, fails)], "train", 1, 1, 5))
    assert "kokoro-broken cannot say" in capsys.readouterr().err
    made = list(spoken_shard([_voice()], "train", 1, 1, 5))
    assert made
    assert all(said.voice == "kokoro-x" and said.pieces[-1][1] <= len(audio) for said, audio in made)


@pytest.mark.parametrize("seed", range(40))
def test_every_line_gives_back_as_much_as_it_takes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    line = Line.sample(rng)
    others = [rng.standard_normal(5000).astype(np.float32) * 0.1, np.zeros(0, np.float32)]
    for samples in (0, 1, 159, 12_345):
        sound = (0.1 * np.sin(np.arange(samples) * 0.2)).astype(np.float32)
        arrived = line.apply(sound, rng, others if seed % 2 else ())
        assert arrived.shape == sound.shape
        assert arrived.dtype == np.float32
        assert np.isfinite(arrived).all()
        assert np.abs(arrived).max(initial=0.0) < 2


def test_a_good_line_keeps_speech_in_its_band_in_step_and_removes_the_rest() -> None:
    rng = np.random.default_rng(1)
    time_s = np.arange(RATE_HZ, dtype=np.float32) / RATE_HZ
    low, speech, high = (np.sin(2 * np.pi * hz * time_s).astype(np.float32) * 0.2 for hz in (60, 1000, 5000))
    arrived = Line().apply(low + speech + high, rng)
    assert np.corrcoef(arrived[1000:-1000], speech[1000:-1000])[0, 1] > 0.995


def test_noise_is_as_loud_as_the_line_says() -> None:
    sound = np.zeros(4 * RATE_HZ, np.float32)
    sound[RATE_HZ : 3 * RATE_HZ] = 0.2 * np.sin(np.arange(2 * RATE_HZ) * 0.4)
    for noise in (Noise.WHITE, Noise.PINK, Noise.HUM, Noise.MUSIC):
        line = Line(noise=noise, snr_db=10, law=Law.WIDE, low_hz=1, high_hz=7900)
        arrived = line.apply(sound, np.random.default_rng(3))
        quiet = arrived[: RATE_HZ // 2], arrived[-RATE_HZ // 2 :]
        got_db = 10 * np.log10(0.02 / np.mean([np.mean(part**2) for part in quiet]))
        assert got_db == pytest.approx(10, abs=3), noise


def test_g711_is_what_others_make_of_it() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        audioop = pytest.importorskip("audioop")
    from models.duplex.data import line

    values = np.arange(-32768, 32768).astype(np.int16)
    theirs = np.frombuffer(audioop.alaw2lin(audioop.lin2alaw(values.tobytes(), 2), 2), np.int16)
    assert (line._table(Law.A) == theirs).all()
    theirs = np.frombuffer(audioop.ulaw2lin(audioop.lin2ulaw(values.tobytes(), 2), 2), np.int16)
    # audioop rounds negative samples down before it codes them: it differs at the very border of a step.
    assert (line._table(Law.MU) == theirs).mean() > 0.99


def test_lost_packets_of_a_steady_tone_are_made_up_for() -> None:
    tone = (0.2 * np.sin(2 * np.pi * 200 * np.arange(2 * RATE_HZ) / RATE_HZ)).astype(np.float32)
    rng = np.random.default_rng(5)
    whole = Line(low_hz=50).apply(tone, rng)
    patched = Line(low_hz=50, loss=0.05).apply(tone, rng)
    differs = np.abs(whole - patched) > 0.01
    assert differs.any()  # packets were lost
    assert np.sqrt(np.mean((whole - patched) ** 2)) < 0.35 * np.sqrt(np.mean(whole**2))


def test_the_card_tells_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    public = dataclasses.replace(_utterance("two"), pattern="clinc150: how are you")
    write_shard(tmp_path, "train", 1, [(_utterance(), _noise(16_000)), (public, _noise(16_000))])
    assert main(["--out", str(tmp_path), "--card"]) == 0
    told = capsys.readouterr().out
    assert "| train | 2 | 0.00 |" in told
    assert "Voices in train (1): joe." in told
    assert "- joe: Piper en_US-joe-medium, CC0-1.0" in told
    assert "- clinc150: 1 utterances, CC BY 3.0" in told

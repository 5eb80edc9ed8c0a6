"""The voice in pieces: what is cut joins without a seam, however it is cut, and begins long before it is all there."""

from __future__ import annotations

import functools
import os
import queue
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.utils import Extractor

from offhook import weights
from offhook.speech.contract import RATE_HZ, Pcm
from offhook.speech.mouth.graphs import (
    DECODE,
    FLOW_REACH,
    FRAME_SAMPLES,
    SOURCE,
    STAMP,
    Decoding,
    Frames,
    MouthGraphs,
    MouthUnfit,
    Sound,
)
from offhook.speech.mouth.level import Leveller
from offhook.speech.mouth.place import Split, split_of, stamped
from offhook.speech.mouth.split import cut, split_voice
from offhook.speech.playout import Playout, Utterance
from offhook.speech.resample import Resampler, resample
from offhook.speech.uttering import Mouths
from offhook.speech.voice import Clause, Voice

SENTENCE = "I can see the parcel left our warehouse this morning."
LATENT, SOUND = "/Mul_7_output_0", "output"


@functools.cache
def joe() -> Path:
    try:
        return weights.path("joe")
    except weights.WeightsMissing as missing:
        pytest.skip(f"skipped: {missing}")


@functools.cache
def graphs() -> MouthGraphs:
    return MouthGraphs(split_of(joe(), "joe").folder)


@functools.cache
def voice() -> Voice:
    return Voice("joe", joe(), threads=1)


@functools.cache
def spoken() -> tuple[Frames, Sound]:
    """A sentence's latent frames, and what the voice's own decoder, uncut, makes of them."""
    made = voice()
    spelled = made._spelling.spell(SENTENCE)
    assert spelled is not None
    latent = graphs().flow(graphs().encode(spelled.ids, made._spelling.scales).prior)
    decoder = Extractor(onnx.load(os.fspath(joe() / SOURCE))).extract_model([LATENT], [SOUND])
    session = ort.InferenceSession(decoder.SerializeToString(), providers=["CPUExecutionProvider"])
    return latent, session.run([SOUND], {LATENT: latent[None]})[0].reshape(-1)


def decoded(latent: Frames, sizes: Sequence[int]) -> Sound:
    """`latent` decoded in pieces of these sizes, over and over."""
    decoding = graphs().decoding(latent.shape[1])
    sounds, number = [], 0
    while not decoding.over:
        sounds += graphs().decode([decoding], [piece(latent, decoding, sizes[number % len(sizes)])])
        number += 1
    return np.concatenate(sounds)


def piece(latent: Frames, decoding: Decoding, size: int) -> Frames:
    known = latent[:, decoding.fed : decoding.fed + size]
    return np.pad(known, ((0, 0), (0, size - known.shape[1])))


@pytest.mark.parametrize("sizes", [(7,), (1, 2, 5), (24,), (400,), (6, 9, 13, 19, 24, 24, 24, 24, 24)])
def test_pieces_joined_are_what_the_uncut_voice_says(sizes: tuple[int, ...]) -> None:
    latent, whole = spoken()
    joined = decoded(latent, sizes)
    assert len(joined) == len(whole) == latent.shape[1] * FRAME_SAMPLES
    assert np.abs(joined - whole).max() < 1e-5


def test_a_clause_of_three_frames_has_all_its_samples() -> None:
    latent, _ = spoken()
    assert len(decoded(latent[:, :3], (8,))) == 3 * FRAME_SAMPLES


def test_what_is_decoded_together_is_what_each_would_be_alone() -> None:
    latent, _ = spoken()
    parts = [latent[:, :40], latent[:, 40:130], latent[:, 90:93]]
    alone = [decoded(part, (12,)) for part in parts]
    together = graphs()
    decodings = [together.decoding(part.shape[1]) for part in parts]
    sounds: list[list[Sound]] = [[] for _ in parts]
    for _ in range(30):
        if all(each.over for each in decodings):
            break
        going = [number for number, each in enumerate(decodings) if not each.over]
        pieces = [piece(parts[number], decodings[number], 12) for number in going]
        for number, sound in zip(going, together.decode([decodings[n] for n in going], pieces), strict=True):
            sounds[number].append(sound)
    for one, many in zip(alone, sounds, strict=True):
        joined = np.concatenate(many)
        assert len(joined) == len(one) and np.abs(joined - one).max() < 1e-5


def test_the_flow_of_a_part_is_the_part_of_the_flow() -> None:
    made = voice()
    spelled = made._spelling.spell(SENTENCE)
    assert spelled is not None
    prior = graphs().encode(spelled.ids, made._spelling.scales).prior
    part = graphs().flow(prior[:, 60 - FLOW_REACH : 80 + FLOW_REACH])
    assert np.abs(part[:, FLOW_REACH:-FLOW_REACH] - graphs().flow(prior)[:, 60:80]).max() < 1e-3


def test_the_same_words_are_the_same_sound_in_another_process_or_voice() -> None:
    first, second = (Voice("joe", joe(), threads=1).clause("Just a moment.").audio for _ in range(2))
    assert len(first) and np.array_equal(first, second)


def test_a_clause_begins_before_it_is_there_and_grows_to_what_was_foretold() -> None:
    making = Voice("joe", joe(), threads=1).begin(SENTENCE)
    clause = making.clause
    assert not clause.whole and 0 < len(clause.audio) < RATE_HZ // 4
    foretold, begun = clause.samples, clause.audio.copy()
    while voice().more(making):
        pass
    assert clause.whole and clause.samples == len(clause.audio)
    assert abs(clause.samples - foretold) < RATE_HZ // 10
    assert np.array_equal(clause.audio[: len(begun)], begun)
    assert np.array_equal(clause.audio, voice().clause(SENTENCE).audio)


def test_who_wants_the_same_words_shares_them_while_they_are_made() -> None:
    fresh = Voice("joe", joe(), threads=1)
    first, second = fresh.begin("We are open until six."), fresh.begin("We are open until six.")
    assert first is second
    fresh.advance([first, second])
    while fresh.more(second):
        pass
    assert fresh.clause("We are open until six.").audio is first.clause.audio


def test_several_clauses_advance_in_one_call() -> None:
    fresh = Voice("joe", joe(), threads=1)
    texts = ["Good morning.", "Your parcel is on its way.", "Goodbye now."]
    makings = [fresh.begin(text) for text in texts]
    for _ in range(60):
        fresh.advance(makings)
    for text, making in zip(texts, makings, strict=True):
        assert making.clause.whole and np.array_equal(making.clause.audio, voice().clause(text).audio)


def test_in_pieces_of_one_length_and_batches_filled_up_it_is_the_same_sound() -> None:
    fresh = Voice("joe", joe(), threads=1)
    fresh._graphs.fixed = True  # as on a GPU
    texts = ["Good morning.", "Your parcel is on its way.", "Goodbye now."]
    makings = [fresh.begin(text) for text in texts]
    for _ in range(40):
        fresh.advance(makings)
    for text, making in zip(texts, makings, strict=True):
        assert making.clause.whole
        apart = making.clause.audio.astype(int) - voice().clause(text).audio
        assert np.abs(apart).max() <= 3


def test_the_split_is_made_once_and_anew_for_another_voice(tmp_path: Path) -> None:
    target = tmp_path / "mouth"
    made = split_voice(joe(), target)
    assert stamped(target) == made and 0.01 < made.level < 1
    before = (target / DECODE).stat().st_mtime_ns
    assert split_voice(joe(), target) == made and (target / DECODE).stat().st_mtime_ns == before
    (target / STAMP).write_text((target / STAMP).read_text().replace(made.source_sha256, "0" * 64))
    assert split_voice(joe(), target) == made and stamped(target) == made
    (target / STAMP).write_text("{")
    assert stamped(target) is None
    assert split_voice(joe(), target) == Split(target, made.source_sha256, made.level)
    assert [each.name for each in tmp_path.iterdir()] == ["mouth"]


def test_a_graph_that_is_no_such_voice_is_refused_with_a_sentence() -> None:
    values = [
        onnx.helper.make_tensor_value_info(name, 1, ["n"]) for name in ("input", "input_lengths", "scales", "sid")
    ]
    copy = onnx.helper.make_node("Identity", ["input"], ["output"], name="copy")
    output = onnx.helper.make_tensor_value_info("output", 1, ["n"])
    several = onnx.helper.make_model(onnx.helper.make_graph([copy], "voice", values, [output]))
    with pytest.raises(MouthUnfit, match="voices of several speakers are not supported"):
        cut(several)
    other = onnx.helper.make_model(onnx.helper.make_graph([copy], "voice", values[:3], [output]))
    with pytest.raises(MouthUnfit, match="not built like a Piper voice"):
        cut(other, "bob.onnx")


@given(
    st.sampled_from([(22_050, 16_000), (16_000, 8_000), (24_000, 16_000)]), st.lists(st.integers(0, 900), max_size=12)
)
@settings(deadline=None, max_examples=50)
def test_resampled_in_pieces_is_resampled_whole(rates: tuple[int, int], sizes: list[int]) -> None:
    signal = np.random.default_rng(1).normal(size=sum(sizes)).astype(np.float32)
    resampler, at = Resampler(*rates), 0
    pieces = []
    for size in sizes:
        pieces.append(resampler.feed(signal[at : at + size]))
        at += size
        assert sum(len(each) for each in pieces) >= (at - 70) * rates[1] // rates[0]
    joined = np.concatenate([*pieces, resampler.end()])
    whole = resample(signal, *rates)
    assert len(joined) == len(whole) and np.allclose(joined, whole, atol=1e-5)


@given(st.lists(st.integers(0, 3_000), min_size=1, max_size=8), st.lists(st.booleans(), min_size=1, max_size=30))
@settings(deadline=None, max_examples=60)
def test_levelled_in_pieces_is_levelled_whole(sizes: list[int], loud: list[bool]) -> None:
    rng = np.random.default_rng(3)
    sound = np.concatenate([rng.normal(0, 0.1 if each else 1e-4, 400) for each in loud]).astype(np.float32)
    whole = Leveller(0.1).push(sound, last=True)
    pieces, leveller, at = [], Leveller(0.1), 0
    for size in sizes:
        pieces.append(leveller.push(sound[at : at + size]))
        at += size
    pieces.append(leveller.push(sound[at:], last=True))
    assert np.array_equal(np.concatenate(pieces), whole)
    assert bool(len(whole)) == any(loud)


class Call:
    """Collects what `Mouths.utter` tells of one utterance."""

    def __init__(self, text: str) -> None:
        self.utterance = Utterance(0, text)
        self.told: queue.Queue[Clause | Exception | None] = queue.Queue()
        self.over = threading.Event()

    def made(self, clause: Clause | None, last: bool) -> None:
        self.told.put(clause)
        if last:
            self.over.set()


def test_an_utterance_is_told_clause_by_clause_as_each_begins() -> None:
    mouths, call = Mouths(), Call("This comes first, and this is what comes after it.")
    try:
        mouths.utter(call.utterance, Voice("joe", joe(), threads=1), call.made, call.told.put)
        assert call.over.wait(20)
        first, second = call.told.get(timeout=1), call.told.get(timeout=1)
        assert isinstance(first, Clause) and isinstance(second, Clause)
        assert first.whole and (first.text, second.text) == ("This comes first,", "and this is what comes after it.")
    finally:
        mouths.close()


def test_a_second_caller_does_not_wait_for_the_sentence_of_the_first() -> None:
    class Slow(Voice):
        """Makes the first caller's clause wait for the second caller's."""

        asked = threading.Event()

        def advance(self, makings: Sequence[object]) -> None:
            assert self.asked.wait(20)
            super().advance(makings)  # type: ignore[arg-type]

    mouths, long, short = Mouths(), Call(SENTENCE), Call("Yes.")
    slow = Slow("joe", joe(), threads=1)
    try:
        mouths.utter(long.utterance, slow, long.made, long.told.put)
        mouths.utter(short.utterance, slow, short.made, short.told.put)
        slow.asked.set()
        assert short.over.wait(20)
        first = long.told.get(timeout=20)
        assert isinstance(first, Clause) and not first.whole
    finally:
        long.utterance.dropped = short.utterance.dropped = True
        mouths.close()


def test_what_cannot_be_made_is_told_and_nobody_waits_for_its_end() -> None:
    class Torn(Voice):
        begun = False

        def advance(self, makings: Sequence[object]) -> None:
            if self.begun:
                self._graphs = None  # type: ignore[assignment]
            self.begun = True
            super().advance(makings)  # type: ignore[arg-type]

    mouths, call = Mouths(), Call(SENTENCE)
    failed: queue.Queue[Exception] = queue.Queue()
    try:
        mouths.utter(call.utterance, Torn("joe", joe(), threads=1), call.made, failed.put)
        clause = call.told.get(timeout=20)
        assert isinstance(failed.get(timeout=20), AttributeError)
        assert isinstance(clause, Clause) and clause.whole and 0 < len(clause.audio) < RATE_HZ
    finally:
        mouths.close()


def test_a_growing_clause_is_played_as_it_comes_and_a_late_piece_is_a_gap_without_a_click() -> None:
    playout, said = Playout(3_840), Utterance(0, "a long word", whole=True)
    clause = Clause.growing("a long word", 800, most=8_000, expected=6_400)
    playout.say(said)
    said.clauses.append(clause)
    heard: Pcm = np.zeros(0, np.int16)
    queued: Pcm = np.zeros(0, np.int16)

    def tick() -> None:
        nonlocal heard, queued
        room = np.zeros(3_840, np.int16)
        count, _ = playout.advance(len(heard), room)
        queued = np.concatenate([queued, room[:count]])
        heard, queued = np.concatenate([heard, queued[:320]]), queued[320:]

    clause.append(np.full(1_600, 1_000, np.int16))
    for _ in range(9):
        tick()
    assert playout.late == 1 and playout.speaking and len(heard) == 1_600
    assert abs(int(heard[-1])) < 20 and np.abs(np.diff(heard.astype(int))).max() < 20
    clause.append(np.full(1_600, 1_000, np.int16))
    clause.append(np.full(1_600, 1_000, np.int16), last=True)
    for _ in range(12):
        tick()
    assert playout.late == 1 and not playout.pending and len(heard) == 4_800
    assert np.abs(np.diff(heard.astype(int))).max() < 20


def test_words_of_a_clause_cut_while_it_grows_are_split_by_its_foretold_length() -> None:
    playout, said = Playout(3_840), Utterance(0, "one two three four", whole=True)
    clause = Clause.growing("one two three four", 800, most=20_000, expected=16_000)
    clause.append(np.ones(9_000, np.int16))
    playout.say(said)
    said.clauses.append(clause)
    for played in (0, 3_840, 7_680, 8_000):
        playout.advance(played, np.zeros(3_840, np.int16))
    playout.hold()
    playout.advance(8_000, np.zeros(0, np.int16))
    broken = playout.abandon()
    assert broken is not None and (broken.heard, broken.unsaid) == ("one two", "three four")


def test_a_clause_cut_while_it_grew_is_said_again_from_its_beginning() -> None:
    playout, said = Playout(3_840), Utterance(0, "one two", whole=True)
    clause = Clause.growing("one two", 800, most=8_000, expected=6_000)
    clause.append(np.full(2_000, 5, np.int16))
    playout.say(said)
    said.clauses.append(clause)
    playout.advance(0, np.zeros(3_840, np.int16))
    playout.hold()
    playout.advance(960, np.zeros(3_840, np.int16))
    playout.resume()
    clause.append(np.full(4_000, 5, np.int16), last=True)
    sent, position = 0, 960
    for _ in range(10):
        count, _ = playout.advance(position, np.zeros(3_840, np.int16))
        position += count
        sent += count
    assert sent == 6_000 and not playout.pending

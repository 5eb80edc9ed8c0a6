"""The duplex model's graphs and what runs them: held to the torch implementation, and to themselves.

Weights are random: what is computed is checked, not what it is good for. Six layers stand for eighteen.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from offhook import weights
from offhook.speech.duplex.build import BuildError, Outcome, build
from offhook.speech.duplex.built import STAMP, DuplexUnavailable, check_built, load_duplex
from offhook.speech.duplex.earing import ear_graph
from offhook.speech.duplex.graph import Precision
from offhook.speech.duplex.layout import BEGIN, CALLER, CONTEXT, FIRST_TOKEN, GIST, MEANING, NOTHING, SILENT, blocks_of
from offhook.speech.duplex.listening import Listening, Opening, Writing
from offhook.speech.duplex.minding import mind_graph
from offhook.speech.duplex.onboard import OnboardEar, OnboardMind, OnboardUnfit
from offhook.speech.duplex.runtime import DuplexRuntime
from offhook.speech.duplex.sessions import Ear, Feed, Mind, Thoughts
from offhook.speech.duplex.tokenizer import Tokenizer
from tests.speech import duplexparts as parts

Pcm = npt.NDArray[np.int16]

GOLDEN = json.loads(parts.GOLDEN.read_text())
ALLOWED = {"": np.zeros(parts.KEPT, np.float32), "digits": np.full(parts.KEPT, -1e4, np.float32)}
ALLOWED["digits"][:12] = 0
NONE = np.zeros((0, 640), np.float32)
PREFIX = [BEGIN, SILENT, *(FIRST_TOKEN + i for i in parts.ASKED), CALLER]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The graphs of the small parts at every precision."""
    place = tmp_path_factory.mktemp("duplex")
    for precision in Precision:
        ear = ear_graph(parts.ear_weights(), parts.adapter_tensors(), precision)
        onnx.save(ear, place / f"ear-{precision.value}.onnx")
        onboard = precision is Precision.HALF
        mind = mind_graph(parts.mind_weights(), parts.adapter_tensors(), precision, onboard=onboard)
        onnx.save(mind, place / f"mind-{precision.value}.onnx")
    return place


@pytest.fixture
def mind(folder: Path) -> Mind:
    return Mind(folder / "mind-float.onnx", 3, ALLOWED)


@pytest.fixture
def runtimes(folder: Path) -> Iterator[Callable[[], DuplexRuntime]]:
    """Makes runtimes of three slots that share nothing but their ear, which remembers nothing."""
    ear = Ear(folder / "ear-float.onnx")

    def make() -> DuplexRuntime:
        return DuplexRuntime(3, ear, Mind(folder / "mind-float.onnx", 3, ALLOWED), Tokenizer(*parts.tokens()))

    yield make


def _caller(hops: int, seed: int = 0) -> Pcm:
    return np.random.default_rng(seed).integers(-8000, 8000, (hops, 1280)).astype(np.int16)


def _hears(listening: Listening, slot: int, caller: Pcm, every: int = 1, back: int = 1) -> Thoughts:
    """A whole turn in one slot, taken in `every` so many hops."""
    for hop in range(back):
        listening.hear([slot], caller[hop : hop + 1])
    listening.begin([slot], [Opening("ab 1 9", True, back)])
    for hop in range(back, len(caller)):
        listening.hear([slot], caller[hop : hop + 1])
        if (hop + 1) % every == 0 or hop + 1 == len(caller):
            states, meanings = listening.listen([slot])
    return Thoughts(states, meanings, np.zeros((0, 0), np.int64), np.zeros((0, 0), np.float32))


def _written(branch: Callable[[Sequence[int]], Sequence[Writing]], slot: int, most: int = 200) -> Writing:
    for _ in range(most):
        writing = branch([slot])[0]
        if writing.over:
            break
    return writing


# --- against the torch implementation ------------------------------------------------------------------------------


def _ear_error(folder: Path, precision: Precision) -> float:
    mel, frames = parts.windows()
    count = blocks_of(parts.HOPS[0])
    wanted = np.full((2, count), -1, np.int64)
    for row, hops in enumerate(parts.HOPS):
        wanted[row, : blocks_of(hops)] = range(blocks_of(hops))
    made = Ear(folder / f"ear-{precision.value}.onnx").sounds(mel, frames, wanted)
    assert not made[1, blocks_of(parts.HOPS[1]) :].any()  # blocks nobody asked for
    theirs = [np.array(rows) for rows in GOLDEN["sounds"]]
    ours = [made[row, : len(rows), ::80] for row, rows in enumerate(theirs)]
    apart = np.concatenate([(a - b).ravel() for a, b in zip(ours, theirs, strict=True)])
    return float(np.sqrt(np.mean(apart**2)) / np.sqrt(np.mean(np.concatenate([b.ravel() for b in theirs]) ** 2)))


@pytest.mark.parametrize(
    ("precision", "most"), [(Precision.FLOAT, 1e-4), (Precision.HALF, 0.01), (Precision.INT8, 0.05)]
)
def test_the_ear_hears_what_the_torch_implementation_hears(folder: Path, precision: Precision, most: float) -> None:
    assert _ear_error(folder, precision) < most


def test_the_mind_thinks_what_the_torch_implementation_thinks(mind: Mind) -> None:
    for turn, blocks in zip(GOLDEN["turns"], (11, 6), strict=True):
        thoughts = mind.run([_whole_turn(0, blocks)])
        assert np.allclose(thoughts.states[0], turn["states"], atol=1e-4)
        assert np.allclose(thoughts.meanings[0, :24], turn["meaning"], atol=1e-4)
        assert int(thoughts.tokens[0, 0]) == turn["token"]
        assert float(thoughts.chances[0, 0]) == pytest.approx(turn["chance"], abs=1e-4)


def test_a_mind_in_bytes_thinks_nearly_the_same(folder: Path) -> None:
    rough = Mind(folder / "mind-int8.onnx", 1, ALLOWED)
    for turn, blocks in zip(GOLDEN["turns"], (11, 6), strict=True):
        thoughts = rough.run([_whole_turn(0, blocks)])
        assert np.allclose(thoughts.states[0], turn["states"], atol=0.03)
        likeness = float(thoughts.meanings[0, :24] @ turn["meaning"]) / float(np.square(turn["meaning"]).sum())
        assert likeness == pytest.approx(1, abs=0.05)


def test_the_golden_numbers_are_what_torch_says() -> None:
    pytest.importorskip("torch", reason="skipped: no PyTorch")
    for made, kept in zip(parts.golden()["turns"], GOLDEN["turns"], strict=True):  # type: ignore[call-overload]
        assert np.allclose(made["states"], kept["states"], atol=1e-4)
        assert np.allclose(made["meaning"], kept["meaning"], atol=1e-4)


def _whole_turn(row: int, blocks: int) -> Feed:
    ids = [*PREFIX, *[NOTHING] * blocks, MEANING, GIST]
    return Feed(row, 0, ids, parts.sounds(blocks), len(ids) - 2, (len(ids) - 1,))


# --- what a row remembers, and what it must not ---------------------------------------------------------------------


def test_a_turn_fed_piece_by_piece_is_the_turn_fed_at_once(mind: Mind) -> None:
    made = parts.sounds(11)
    whole = mind.run([_whole_turn(0, 11)])
    mind.run([Feed(1, 0, PREFIX, NONE)])
    at = len(PREFIX)
    for first, last in ((0, 2), (0, 3), (1, 5), (3, 9), (5, 10), (7, 11)):  # the last few are fed again and again
        ids = [*[NOTHING] * (last - first), MEANING, GIST]
        pieces = mind.run([Feed(1, at + first, ids, made[first:last], len(ids) - 2, (len(ids) - 1,))])
    assert np.allclose(pieces.states, whole.states, atol=1e-5)
    assert np.allclose(pieces.meanings, whole.meanings, atol=1e-5)
    assert np.allclose(pieces.chances, whole.chances, atol=1e-4)


def test_rows_of_a_batch_do_not_touch_each_other(mind: Mind, folder: Path) -> None:
    alone = [mind.run([_whole_turn(0, blocks)]) for blocks in (11, 6, 3)]
    fresh = Mind(folder / "mind-float.onnx", 3, ALLOWED)
    fresh.run([Feed(row, 0, [CALLER] * 9, NONE) for row in (0, 2)])  # what they held before is written over
    together = fresh.run([_whole_turn(row, blocks) for row, blocks in ((2, 11), (0, 6), (1, 3))])
    for i, one in enumerate(alone):
        assert np.allclose(together.states[i], one.states[0], atol=1e-5)
        assert np.allclose(together.meanings[i], one.meanings[0], atol=1e-5)
        assert together.tokens[i, 0] == one.tokens[0, 0]


def test_a_mind_whose_memory_stays_on_its_device_remembers_alike(folder: Path, mind: Mind) -> None:
    onboard = OnboardMind(folder / "mind-half.onnx", 3, ALLOWED, "CPUExecutionProvider")
    made = parts.sounds(11)
    for each in (mind, onboard):
        each.run([Feed(2, 0, PREFIX, NONE), Feed(0, 0, [*PREFIX, MEANING], NONE)])
        at = len(PREFIX)
        for first, last in ((0, 3), (1, 6), (4, 11)):
            ids = [*[NOTHING] * (last - first), MEANING, GIST]
            thoughts = each.run([Feed(2, at + first, ids, made[first:last], len(ids) - 2, (len(ids) - 1,))])
            each.run([Feed(1, 0, [CALLER] * (last + 3), NONE)])  # a neighbour, fed in between
        written = each.run([Feed(2, at + 12, [GIST, FIRST_TOKEN + 20], NONE, 0, (0, 1), "digits")])
        if each is mind:
            expected = thoughts, written
    assert np.allclose(thoughts.states, expected[0].states, atol=0.01)
    assert float(thoughts.meanings[0] @ expected[0].meanings[0]) > 0.999
    assert np.array_equal(written.tokens, expected[1].tokens)
    with pytest.raises(OnboardUnfit, match="onnxruntime-gpu"):
        OnboardMind(folder / "mind-half.onnx", 3, ALLOWED, "NoSuchProvider")


def test_a_window_heard_alone_needs_nothing_hidden(folder: Path, tmp_path: Path) -> None:
    onnx.save(
        ear_graph(parts.ear_weights(), parts.adapter_tensors(), Precision.FLOAT, alone=True), tmp_path / "ear.onnx"
    )
    mel, frames = parts.windows()
    for row, count in enumerate(frames):
        window = mel[row : row + 1, :, :count]
        wanted = np.arange(2, 6)[None]
        ours = Ear(tmp_path / "ear.onnx").sounds(window, [count], wanted)
        assert np.allclose(ours, Ear(folder / "ear-float.onnx").sounds(window, [count], wanted), atol=1e-4)


def test_windows_padded_for_a_device_are_heard_as_if_alone(folder: Path) -> None:
    mel, frames = parts.windows()
    blocks = np.arange(6)[None].repeat(2, axis=0)
    onboard = OnboardEar(folder / "ear-half.onnx", "CPUExecutionProvider").sounds(mel, frames, blocks)
    plain = Ear(folder / "ear-float.onnx").sounds(mel, frames, blocks)
    assert np.sqrt(np.mean((onboard - plain) ** 2)) < 0.01 * np.sqrt(np.mean(plain**2))


def test_windows_of_unlike_length_are_heard_as_if_alone(folder: Path) -> None:
    ear = Ear(folder / "ear-float.onnx")
    mel, frames = parts.windows()
    blocks = np.arange(6)[None]
    together = ear.sounds(mel, frames, np.repeat(blocks, 2, axis=0))
    alone = ear.sounds(mel[1:, :, : frames[1]], frames[1:], blocks)
    assert np.allclose(together[1:], alone, atol=1e-5)


def test_only_allowed_tokens_are_written(mind: Mind) -> None:
    mind.run([_whole_turn(row, 6) for row in (0, 1)])
    at = len(PREFIX) + 8
    ids = [FIRST_TOKEN + i for i in range(20, 30)]
    feeds = [Feed(row, at, ids, NONE, 0, range(10), name) for row, name in ((0, "digits"), (1, ""))]
    thoughts = mind.run(feeds)
    assert (thoughts.tokens[0] < 12).all() and (thoughts.tokens[1] >= 12).any()


def test_a_full_row_is_refused(mind: Mind) -> None:
    with pytest.raises(ValueError, match=f"{CONTEXT} positions"):
        mind.run([Feed(1, CONTEXT - 1, [GIST, FIRST_TOKEN], NONE)])


# --- turns ------------------------------------------------------------------------------------------------------------


def test_how_often_one_listens_changes_little(runtimes: Callable[[], DuplexRuntime]) -> None:
    caller = _caller(31)
    each, other = _hears(runtimes(), 0, caller), _hears(runtimes(), 0, caller, every=2)
    assert np.allclose(each.states, other.states, atol=0.03)
    assert float(each.meanings[0] @ other.meanings[0]) > 0.99


def test_slots_listened_to_together_hear_what_each_hears_alone(runtimes: Callable[[], DuplexRuntime]) -> None:
    callers = [_caller(25, seed) for seed in range(3)]
    alone = [_hears(runtimes(), 0, caller, every=2) for caller in callers]
    together = runtimes()
    together.hear([0, 1, 2], np.stack([caller[0] for caller in callers]))
    together.begin([0, 1, 2], [Opening("ab 1 9", True, 1)] * 3)
    for hop in range(1, 25):
        together.hear([0, 1, 2], np.stack([caller[hop] for caller in callers]))
        if (hop + 1) % 2 == 0 or hop == 24:
            states, meanings = together.listen([2, 0, 1])
    for row, slot in enumerate((2, 0, 1)):
        assert np.allclose(states[row], alone[slot].states[0], atol=1e-4)
        assert np.allclose(meanings[row], alone[slot].meanings[0], atol=1e-4)


def test_a_recycled_slot_hears_nothing_of_the_call_before(runtimes: Callable[[], DuplexRuntime]) -> None:
    used, fresh = runtimes(), runtimes()
    _hears(used, 1, _caller(40, 7), every=5)
    _written(used.gist, 1, 5)
    used.forget(1)
    with pytest.raises(ValueError, match="no turn was begun in slot 1"):
        used.listen([1])
    first, second = (_hears(each, 1, _caller(21, 8), every=3) for each in (used, fresh))
    assert np.array_equal(first.states, second.states) and np.array_equal(first.meanings, second.meanings)
    assert _written(used.gist, 1, 8) == _written(fresh.gist, 1, 8)
    assert _written(used.words, 1, 8) == _written(fresh.words, 1, 8)


def test_a_draft_changes_no_word_of_a_gist_and_saves_runs(runtimes: Callable[[], DuplexRuntime]) -> None:
    caller = _caller(16, 3)
    drafted, plain = runtimes(), runtimes()
    _hears(drafted, 0, caller, every=4)
    _written(drafted.gist, 0, 12)  # what the next hop has as its draft
    _hears(plain, 0, caller, every=4)
    for each in (drafted, plain):
        each.hear([0], caller[:1])
        each.listen([0])
    runs = drafted.costs.writing.runs
    short = _written(plain.gist, 0, 12)
    long = _written(drafted.gist, 0, 6)
    assert long.text.startswith(short.text) or short.text.startswith(long.text)
    assert len(long.text) >= len(short.text) // 2 > 0
    assert drafted.costs.writing.runs - runs <= 6


def test_a_gist_goes_on_where_it_was_after_words_were_written(runtimes: Callable[[], DuplexRuntime]) -> None:
    straight, torn = runtimes(), runtimes()
    for each in (straight, torn):
        _hears(each, 0, _caller(18, 5), every=6)
    for _ in range(4):
        torn.gist([0])
    words = _written(torn.words, 0, 6)
    assert _written(torn.gist, 0, 8).text == _written(straight.gist, 0, 12).text
    again = _written(straight.words, 0, 6)
    assert words.text == again.text


def test_writing_ends_where_a_row_is_full(runtimes: Callable[[], DuplexRuntime]) -> None:
    runtime = runtimes()
    _hears(runtime, 0, _caller(10))
    writing = _written(runtime.words, 0, CONTEXT)
    assert writing.over
    assert runtime.words([0]) == [writing]


def test_a_turn_longer_than_the_ears_window_is_still_heard_to_its_end(runtimes: Callable[[], DuplexRuntime]) -> None:
    runtime = runtimes()
    caller = _caller(runtime.most_hops + 1)
    thoughts = _hears(runtime, 0, caller[:-1], every=10)
    assert np.isfinite(thoughts.states).all()
    runtime.hear([0], caller[-1:])
    with pytest.raises(ValueError, match="0 more"):
        runtime.listen([0])


def test_what_waited_is_taken_in_at_one_go(runtimes: Callable[[], DuplexRuntime]) -> None:
    runtime = runtimes()
    states = _hears(runtime, 0, _caller(100), every=100).states
    assert np.isfinite(states).all() and runtime.costs.mind.runs > 1


def test_listening_to_nothing_new_is_refused(runtimes: Callable[[], DuplexRuntime]) -> None:
    runtime = runtimes()
    _hears(runtime, 0, _caller(4))
    with pytest.raises(ValueError, match="slot 0 has taken in 4 hops"):
        runtime.listen([0])
    runtime.begin([0], [Opening("", False, 3)])
    with pytest.raises(ValueError, match="listened to nothing"):
        runtime.gist([0])


def test_the_same_opening_is_fed_once(runtimes: Callable[[], DuplexRuntime]) -> None:
    again, fresh = runtimes(), runtimes()
    _hears(again, 0, _caller(9, 1))
    caller = _caller(14, 2)
    repeated, once = (_hears(each, 0, caller, back=0) for each in (again, fresh))
    assert np.allclose(repeated.states[0].sum(), 1, atol=1e-5)
    # The spectrum's first frames reach back into what was said before; all else is alike.
    assert np.allclose(repeated.meanings, once.meanings, atol=0.05)


# --- building ---------------------------------------------------------------------------------------------------------


def test_a_model_that_was_not_built_says_how_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFHOOK_HOME", str(tmp_path))
    with pytest.raises(DuplexUnavailable, match="run `offhook models build`"):
        check_built()
    with pytest.raises(DuplexUnavailable, match="run `offhook models build --device cuda`"):
        load_duplex(1, device="cuda")
    with pytest.raises(DuplexUnavailable, match="cpu or cuda"):
        check_built("tpu")
    with pytest.raises(BuildError, match="run `offhook models pull duplex`"):
        build(target=tmp_path / "built")
    (tmp_path / "built").mkdir()
    (tmp_path / "built" / STAMP).write_text("{")
    with pytest.raises(DuplexUnavailable, match="cannot be loaded"):
        load_duplex(1, folder=tmp_path / "built")


def test_the_whole_model_is_built_from_the_weights_that_are_here(tmp_path: Path) -> None:
    try:
        weights.path("gemma-3-270m")
        weights.path("whisper-base")
    except weights.WeightsMissing:
        pytest.skip("skipped: no weights")
    trained, target = tmp_path / "trained", tmp_path / "built"
    parts.write_adapter(trained, [1, *range(500, 560)], change=0.01)
    assert build(adapter=trained, target=target) is Outcome.BUILT
    assert build(adapter=trained, target=target) is Outcome.PRESENT
    runtime = load_duplex(2, folder=target)
    thoughts = _hears(runtime, 1, _caller(9))
    assert thoughts.states.sum() == pytest.approx(1, abs=1e-3)
    assert np.linalg.norm(thoughts.meanings) == pytest.approx(1, abs=1e-3)
    before = sorted((path.name, path.stat().st_mtime_ns) for path in target.iterdir())
    (trained / "adapter.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(BuildError, match=r"adapter\.safetensors cannot be read"):
        build(adapter=trained, target=target)
    assert sorted((path.name, path.stat().st_mtime_ns) for path in target.iterdir()) == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".built")] == []

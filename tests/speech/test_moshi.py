"""Full-duplex models of Moshi's architecture in the slots, at a small size with random weights.

What needs the extra `moshi` is skipped without it; what the model makes of its options and of a job is not.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from offhook.speech.contract import HOP_SAMPLES, Done, Hop, Json, Keys, Pcm, Persona, SpeechStarted, Step, WordsSpoken
from offhook.speech.moshi.model import MoshiModel, check_memory
from offhook.speech.moshi.options import MoshiOptions
from offhook.speech.moshi.prompts import RING, SPACER_FRAMES, VoicePrompt, delayed, job_text, lay_out
from offhook.speech.moshi.shape import DELAYS, FULL, SMALL, TEXT_PADDING
from offhook.speech.moshi.utterances import PAUSE_FRAMES, Utterances
from offhook.speech.scheduler import Scheduler
from tests.speech.rows import core

if TYPE_CHECKING:
    from offhook.speech.moshi.rows import Rows

ROWS = 3
SHORT = SMALL.with_context(48)
SMALL_OPTIONS: dict[str, Json] = {
    "weights": "random",
    "shape": "small",
    "device": "cpu",
    "threads": 1,
    "temperature": 0,
    "text_temperature": 0,
}
PERSONA = Persona("desk@1", "en-US", "anna", "none:none", {"greeting": "Hello?"})

needs_moshi = pytest.mark.skipif(
    not (importlib.util.find_spec("moshi") and importlib.util.find_spec("torch")), reason="skipped: no moshi"
)


def noise(seed: int, frames: int) -> Pcm:
    return np.random.default_rng(seed).integers(-8000, 8000, (frames, HOP_SAMPLES)).astype(np.int16)


def hop(rows: dict[int, Pcm], played: int = 0) -> Hop:
    """A hop of these rows and no others."""
    audio, mask = np.zeros((ROWS, HOP_SAMPLES), np.int16), np.zeros(ROWS, np.bool_)
    for row, heard in rows.items():
        audio[row], mask[row] = heard, True
    return Hop(audio, mask, np.zeros(ROWS, np.int32), np.full(ROWS, played, np.int64))


Said = list[tuple[bytes, int, bool]]


def run(rows: Rows, row: int, heard: Pcm, others: Pcm | None = None) -> Said:
    """What `row` says while it hears `heard`, frame by frame, the next row hearing `others` meanwhile."""
    said: Said = []
    for i in range(len(heard)):
        beside = {} if others is None else {(row + 1) % ROWS: others[i]}
        frame_in = hop({row: heard[i], **beside})
        frame = rows.step(frame_in.audio, frame_in.mask)
        said.append((frame.audio[row].tobytes(), int(frame.tokens[row]), bool(frame.speaks[row])))
    return said


@pytest.fixture(scope="module")
def small_rows() -> Any:
    """Warm rows of the small shape, greedy."""
    pytest.importorskip("moshi")
    import torch

    from offhook.speech.moshi import loading
    from offhook.speech.moshi.rows import Rows, Sampling

    torch.set_num_threads(1)
    device = torch.device("cpu")
    codec, lm = loading.build(MoshiOptions.read(SMALL_OPTIONS), device)
    rows = Rows(codec, lm, SHORT, ROWS, Sampling(0.0, 0.0), device)
    rows.warm()
    return rows


# --- rows


@needs_moshi
def test_a_recycled_row_says_what_a_fresh_one_says(small_rows: Rows) -> None:
    small_rows.begin(0)
    fresh = run(small_rows, 0, noise(1, 24))
    small_rows.begin(0)
    predecessor = run(small_rows, 0, noise(2, 60))  # longer than the model looks back
    small_rows.begin(0)
    recycled = run(small_rows, 0, noise(1, 24))
    assert recycled == fresh
    assert predecessor[:24] != fresh, "the model must hear, or this test says nothing"


@needs_moshi
def test_a_row_that_was_not_begun_anew_still_hears_its_past(small_rows: Rows) -> None:
    small_rows.begin(0)
    fresh = run(small_rows, 0, noise(1, 12))
    small_rows.begin(0)
    run(small_rows, 0, noise(2, 12))
    assert run(small_rows, 0, noise(1, 12)) != fresh


@needs_moshi
def test_rows_do_not_hear_each_other(small_rows: Rows) -> None:
    small_rows.begin(0)
    alone = run(small_rows, 0, noise(1, 16))
    small_rows.begin(0)
    small_rows.begin(1)
    assert run(small_rows, 0, noise(1, 16), others=noise(3, 16)) == alone


@needs_moshi
def test_a_masked_row_does_not_move(small_rows: Rows) -> None:
    small_rows.begin(0)
    through = run(small_rows, 0, noise(1, 60))
    small_rows.begin(0)
    paused = run(small_rows, 0, noise(1, 60)[:52])
    run(small_rows, 2, noise(4, 9))  # row 0 is masked meanwhile, with a full memory
    assert paused + run(small_rows, 0, noise(1, 60)[52:]) == through


@needs_moshi
def test_the_first_frame_of_a_row_says_nothing(small_rows: Rows) -> None:
    small_rows.begin(1)
    assert [speaks for _, _, speaks in run(small_rows, 1, noise(1, 4))] == [False, True, True, True]


@needs_moshi
def test_a_row_among_others_says_what_the_packages_own_loop_says_for_one(small_rows: Rows) -> None:
    """One caller as Kyutai's server serves it: no masks, and no decoding before there are tokens."""
    import torch
    from moshi.models.lm import LMGen

    from offhook.speech.moshi import loading
    from offhook.speech.moshi.resampling import StreamResampler

    heard, everyone, device = noise(1, 16), torch.tensor([True]), torch.device("cpu")
    codec, lm = loading.build(MoshiOptions.read(SMALL_OPTIONS), device)
    for layer in lm.transformer.layers:
        layer.self_attn.context = SHORT.context
    alone = LMGen(lm, use_sampling=False)
    up, down = StreamResampler(1, 16_000, 24_000, device), StreamResampler(1, 24_000, 16_000, device)
    expected = []
    with torch.no_grad(), codec.streaming(1), alone.streaming(1):
        for frame in heard:
            codes = codec.encode(up.step(torch.from_numpy(frame)[None].float() / 32768, everyone)[:, None])
            tokens = alone.step(codes)
            if tokens is not None:
                sound = down.step(codec.decode(tokens[:, 1:])[:, 0], everyone)
                expected.append((int(tokens[0, 0, 0]), (sound[0] * 32768).numpy()))
    small_rows.begin(0)
    small_rows.begin(1)
    said = run(small_rows, 0, heard, others=noise(2, 16))[1:]
    assert [token for _, token, _ in said] == [token for token, _ in expected]
    for (audio, _, _), (_, sound) in zip(said, expected, strict=True):
        assert np.abs(np.frombuffer(audio, np.int16) - sound).max() < 3


@needs_moshi
def test_streams_are_resampled_as_whole_signals_are() -> None:
    import torch

    from offhook.speech.moshi.resampling import StreamResampler
    from offhook.speech.resample import resample

    sound = np.sin(np.arange(20 * HOP_SAMPLES) * 0.05).astype(np.float32)
    for from_hz, to_hz, delay in ((16_000, 24_000, 39), (24_000, 16_000, 25)):
        hop_samples = from_hz * 80 // 1000
        stream = StreamResampler(2, from_hz, to_hz, torch.device("cpu"))
        made = []
        for i in range(10):
            piece = torch.from_numpy(sound[i * hop_samples : (i + 1) * hop_samples])
            made.append(stream.step(torch.stack([piece, piece]), torch.tensor([True, False]))[0].numpy())
        whole = resample(sound[: 10 * hop_samples], from_hz, to_hz)
        got = np.concatenate(made)
        # The delay is 26 inputs on the way up, 39 outputs; on the way down 38 inputs, 25 and a third outputs.
        error = got[delay + 100 : 8000] - whole[100 : 8000 - delay]
        assert np.abs(error).max() < (1e-4 if from_hz < to_hz else 0.05)
        stream.reset(torch.tensor([True, True]))
        again = stream.step(torch.stack([torch.from_numpy(sound[:hop_samples])] * 2), torch.tensor([True, True]))
        assert np.array_equal(again[0].numpy(), made[0])


@needs_moshi
def test_a_prompt_leaves_a_row_where_the_model_itself_would_be(small_rows: Rows) -> None:
    """The text token that follows the first live frame, against one pass of the model over all that went before."""
    import torch

    from offhook.speech.moshi import loading

    prompt = lay_out(SHORT, None, [20, 30, 40, 50, 60])
    codec, lm = loading.build(MoshiOptions.read(SMALL_OPTIONS), torch.device("cpu"))
    silence = codec.encode(torch.zeros(1, 1, 1920))[0, :, 0]
    tokens = torch.from_numpy(prompt.tokens)[None].clone()
    tokens[0, 9, -1] = silence[0]
    with torch.no_grad():
        expected = int(lm.forward_text(tokens)[1][0, 0, -1].argmax())
    small_rows.begin(0)
    before = [token for _, token, _ in run(small_rows, 0, np.zeros((3, HOP_SAMPLES), np.int16))]
    small_rows.begin(0, small_rows.prefix(prompt))
    after = run(small_rows, 0, np.zeros((3, HOP_SAMPLES), np.int16))
    assert [token for _, token, _ in after][:2] == [TEXT_PADDING, expected]
    assert after[0][2], "a row with a prompt speaks from its first frame on"
    assert before[2] != expected, "the prompt must matter, or this test says nothing"
    small_rows.begin(0)
    assert [token for _, token, _ in run(small_rows, 0, np.zeros((3, HOP_SAMPLES), np.int16))] == before


@needs_moshi
def test_a_saved_voice_is_taken_up_as_its_codes_would_be(small_rows: Rows) -> None:
    """A voice as codes, and the same as PersonaPlex saves it: inputs by position, and the tokens at their end."""
    import torch

    from offhook.speech.moshi import loading

    codes = np.random.default_rng(5).integers(0, SMALL.cards, (8, 7))
    as_codes = lay_out(SHORT, VoicePrompt("v", codes), [20, 30])
    _, lm = loading.build(MoshiOptions.read(SMALL_OPTIONS), torch.device("cpu"))
    tokens = torch.from_numpy(as_codes.tokens)
    inputs = lm.text_emb(tokens[0]) + sum(table(tokens[1 + k]) for k, table in enumerate(lm.emb))
    ring = np.zeros((17, RING), np.int64)
    for position in range(4, 8):
        ring[:, position % RING] = as_codes.tokens[:, position]
    saved = VoicePrompt("v", np.zeros_like(codes), inputs[:6].detach().numpy(), ring)
    as_saved = lay_out(SHORT, saved, [20, 30])
    assert np.array_equal(as_saved.tokens[:, 6:], as_codes.tokens[:, 6:])
    one, other = small_rows.prefix(as_codes), small_rows.prefix(as_saved)
    for layer, twin in zip(one.memory, other.memory, strict=True):
        assert torch.allclose(layer, twin, atol=1e-5)


# --- loading


@needs_moshi
def test_the_calculated_size_is_the_models_own() -> None:
    import torch

    from offhook.speech.moshi import loading

    _, lm = loading.build(MoshiOptions.read(SMALL_OPTIONS), torch.device("cpu"))
    norms = sum(p.numel() for name, p in lm.named_parameters() if "norm" in name)
    assert SMALL.weight_bytes(4) == 4 * (sum(p.numel() for p in lm.parameters()) - norms)


def test_the_full_shape_is_moshis() -> None:
    assert round(FULL.weight_bytes() / 2 / 1e9, 2) == 7.69
    assert FULL.memory_bytes_per_frame() == 512 * 1024
    assert round(FULL.streamed_bytes() / 1e9, 1) == 14.7
    with pytest.raises(ValueError, match=r"128 slots of 1.46 GiB .* do not fit .*: \d\d slots do"):
        check_memory(MoshiOptions(), 128, 139 << 30)
    check_memory(MoshiOptions(context=1000), 128, 139 << 30)


@needs_moshi
@pytest.mark.parametrize("stacked", [False, True])
def test_of_a_checkpoint_with_the_callers_depth_steps_the_agents_are_taken(tmp_path: Path, stacked: bool) -> None:
    import torch
    from moshi.models.lm import LMModel
    from safetensors.torch import save_file

    from offhook.speech.moshi import loading

    torch.manual_seed(3)
    big = LMModel(device="cpu", dtype=torch.float32, **{**SMALL.lm, "dep_q": 16, "depformer_context": 16})
    state = dict(big.state_dict())
    if stacked:  # as released: all steps of a layer one after the other
        for name in [name for name in state if name.endswith("_projs.0.weight")]:
            kind = name.removesuffix("s.0.weight")
            count = 16 if name.startswith("depformer.") else 1
            parts = [state.pop(f"{kind}s.{i}.weight") for i in range(count)]
            state[f"{kind}_weight" if kind.endswith("in_proj") else f"{kind}.weight"] = torch.cat(parts)
    save_file(state, tmp_path / "lm.safetensors")
    codec, _ = loading.build(MoshiOptions.read(SMALL_OPTIONS), torch.device("cpu"))
    save_file(codec.state_dict(), tmp_path / "mimi.safetensors")
    options = MoshiOptions(shape="small", lm=str(tmp_path / "lm.safetensors"), mimi=str(tmp_path / "mimi.safetensors"))
    _, lm = loading.build(options, torch.device("cpu"))
    tokens = torch.zeros(1, 17, 1, dtype=torch.long)
    with torch.no_grad():
        out, _ = lm.forward_text(tokens)
        with lm.depformer.streaming(1), big.depformer.streaming(1):
            for step in range(8):
                ours, theirs = (one.forward_depformer(step, tokens[:, :1], out) for one in (lm, big))
                assert torch.allclose(ours, theirs, atol=1e-5)


@needs_moshi
def test_a_file_that_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    from offhook.speech.moshi import loading

    path = tmp_path / "lm.safetensors"
    save_file({"something": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match=r"lm.safetensors is not a language model of Moshi's shape: it lacks "):
        loading.build(MoshiOptions(shape="small", lm=str(path)), torch.device("cpu"))
    path.write_bytes(b"\xff" * 100)
    with pytest.raises(ValueError, match=r"lm.safetensors cannot be read as safetensors"):
        loading.build(MoshiOptions(shape="small", lm=str(path)), torch.device("cpu"))


@needs_moshi
@pytest.mark.parametrize("made", ["garbage", "code", "tokens"])
def test_a_bad_saved_voice_is_refused(tmp_path: Path, made: str) -> None:
    import torch

    from offhook.speech.moshi import loading

    path = tmp_path / "anna.pt"
    match made:
        case "garbage":
            path.write_bytes(b"no torch file")
        case "code":
            torch.save({"embeddings": torch.zeros(4, 1, 1, 64), "cache": Path("/")}, path)
        case "tokens":
            torch.save({"embeddings": torch.zeros(4, 1, 1, 64), "cache": torch.full((1, 17, 4), 9999)}, path)
    with pytest.raises(ValueError, match=r"anna.pt is no saved voice prompt of this model"):
        loading.voices(str(tmp_path), None, SMALL, torch.device("cpu"))


@needs_moshi
def test_a_sampled_voice_becomes_codes(tmp_path: Path) -> None:
    import soundfile
    import torch

    from offhook.speech.moshi import loading

    soundfile.write(tmp_path / "anna.wav", noise(1, 20).reshape(-1), 16_000)
    soundfile.write(tmp_path / "still.wav", np.zeros(32_000, np.int16), 16_000)
    codec, _ = loading.build(MoshiOptions.read(SMALL_OPTIONS), torch.device("cpu"))
    with pytest.raises(ValueError, match=r"still.wav is no sample of a voice"):
        loading.voices(str(tmp_path), codec, SMALL, torch.device("cpu"))
    (tmp_path / "still.wav").unlink()
    voice = loading.voices(str(tmp_path), codec, SMALL, torch.device("cpu"))["anna"]
    assert voice.codes.shape == (8, 20)


# --- the model


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sentencepiece = pytest.importorskip("sentencepiece")
    path = tmp_path_factory.mktemp("words") / "words"
    lines = ["hello how can i help you", "your order is on its way", "you begin with system friendly agent call"] * 5
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_prefix=str(path),
        vocab_size=SMALL.text_cards,
        model_type="bpe",
        byte_fallback=True,
        pad_id=3,
        minloglevel=2,
    )
    return path.with_suffix(".model")


@pytest.fixture(scope="module")
def small_model(tokenizer: Path) -> Any:
    pytest.importorskip("moshi")
    return MoshiModel.load(ROWS, {**SMALL_OPTIONS, "tokenizer": str(tokenizer), "silence_s": 2})


@pytest.fixture
def model(small_model: MoshiModel) -> MoshiModel:
    for slot in range(ROWS):
        small_model.release(slot)
    return small_model


def sounds(steps: Sequence[Step], slot: int) -> list[bytes]:
    return [step.audio[slot, : step.samples[slot]].tobytes() for step in steps]


@needs_moshi
def test_a_slot_hears_nothing_of_the_call_before(model: MoshiModel) -> None:
    model.admit(0, PERSONA)
    first = [model.step(hop({0: heard})) for heard in noise(1, 16)]
    model.release(0)
    model.admit(0, PERSONA)
    for heard in noise(2, 20):
        model.step(hop({0: heard}))
    model.release(0)
    model.admit(0, PERSONA)
    again = [model.step(hop({0: heard})) for heard in noise(1, 16)]
    assert sounds(first, 0) == sounds(again, 0)
    assert [step.events for step in first] == [step.events for step in again]
    assert any(step.samples[0] for step in first)


@needs_moshi
def test_the_agent_speaks_at_the_pace_it_hears(model: MoshiModel) -> None:
    model.admit(1, PERSONA)
    steps = [model.step(hop({1: heard})) for heard in noise(1, 20)]
    loud = [int(step.samples[1]) for step in steps if step.samples[1]]
    assert loud[0] == HOP_SAMPLES + 320, "a cushion of 20 ms goes before the first frame"
    assert set(loud[1:]) == {HOP_SAMPLES}
    assert not any(step.samples[0] or step.samples[2] or step.cut.any() for step in steps)
    assert any(isinstance(event, SpeechStarted) for step in steps for event in step.events)


@needs_moshi
def test_zero_leads_to_a_person(model: MoshiModel) -> None:
    model.admit(0, PERSONA)
    model.step(hop({0: noise(1, 1)[0]}))
    model.deliver(0, Keys("120"))
    model.deliver(0, Keys("0"))
    after = [model.step(hop({0: heard})) for heard in noise(1, 4)]
    assert after[0].events == [Done(0, "human", "the caller pressed 0")]
    assert not any(step.events or step.samples[0] for step in after[1:])


@needs_moshi
def test_what_was_not_told_of_a_call_is_not_told_of_the_next_in_its_row(model: MoshiModel) -> None:
    model.admit(0, PERSONA)
    model.deliver(0, Keys("0"))
    model.release(0)
    model.admit(0, PERSONA)
    assert not [event for event in model.step(hop({0: noise(1, 1)[0]})).events if isinstance(event, Done)]


@needs_moshi
def test_lasting_silence_on_both_sides_fails(model: MoshiModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("offhook.speech.moshi.model.QUIET", 1e9)
    model.admit(0, PERSONA)
    still = np.zeros(HOP_SAMPLES, np.int16)
    for heard in noise(1, 10):
        assert not any(isinstance(event, Done) for event in model.step(hop({0: heard})).events)
    ends = [event for _ in range(25) for event in model.step(hop({0: still})).events if isinstance(event, Done)]
    assert ends == [Done(0, "failed", "neither side said anything for 2 s")]


@needs_moshi
def test_a_taken_slot_is_not_admitted_to(model: MoshiModel) -> None:
    model.admit(0, PERSONA)
    with pytest.raises(ValueError, match="slot 0 is taken"):
        model.admit(0, PERSONA)


@needs_moshi
def test_a_job_is_told_once_and_changes_what_is_said(tokenizer: Path) -> None:
    options: dict[str, Json] = {**SMALL_OPTIONS, "tokenizer": str(tokenizer), "prompt": "personaplex"}
    model = MoshiModel.load(ROWS, options)
    with pytest.raises(ValueError, match=r"shorten the job description"):
        model.admit(0, Persona("c@1", "en", "", "", {"greeting": "hello " * 40}))
    agents = [Persona("a@1", "en", "", "", {"greeting": words}) for words in ("hello", "you")]
    said = []
    for slot, agent in enumerate([agents[0], agents[0], agents[1]]):
        model.admit(slot, agent)
        said.append(sounds([model.step(hop({slot: heard})) for heard in noise(1, 12)], slot))
    assert said[0] == said[1] != said[2]


@needs_moshi
def test_a_voice_that_is_not_there_is_refused(tokenizer: Path, tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "bob.wav", noise(7, 13).reshape(-1), 16_000)
    options = {**SMALL_OPTIONS, "tokenizer": str(tokenizer), "voices": str(tmp_path), "prompt": "personaplex"}
    model = MoshiModel.load(1, options)
    model.rehearse(PERSONA)
    with pytest.raises(ValueError, match=r"desk@1 wants the voice 'anna'; in .* are bob"):
        model.admit(0, PERSONA)


@needs_moshi
def test_another_models_tokenizer_is_refused(tokenizer: Path) -> None:
    from offhook.speech.moshi import loading

    with pytest.raises(ValueError, match=r"has 320 pieces and the model 32000"):
        loading.words_of(str(tokenizer), FULL)


@needs_moshi
def test_through_the_scheduler_every_call_in_a_row_is_the_first(model: MoshiModel) -> None:
    now = [0]
    with core(ROWS) as segment:
        scheduler = Scheduler(model, segment.segment, lambda epoch, event: None, lambda: now[0])
        scheduler.warm()
        calls = []
        for seed in (1, 2, 1):
            scheduler.admit(0, segment.bind(0), PERSONA)
            words, said = noise(seed, 12).reshape(-1), b""
            now[0] = -(-now[0] // 80_000_000) * 80_000_000  # each call begins at the same beat
            for packet in words.reshape(-1, 320):
                segment.hear(0, packet, now[0])
                while scheduler.deadline_ns <= now[0]:
                    scheduler.tick()
                said += segment.play(0, 320).tobytes()
                now[0] += 20_000_000
            scheduler.release(0)
            calls.append(said)
    assert len(calls[0]) > 8 * 2 * HOP_SAMPLES
    assert calls[0] == calls[2] != calls[1]


# --- without the extra


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="skipped: PyTorch is there")
def test_without_the_extra_the_operator_is_told_what_to_install() -> None:
    with pytest.raises(ImportError, match=r"pip install 'offhook\[moshi\]'"):
        MoshiModel.load(1, SMALL_OPTIONS)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, r"needs its option lm: the path of a file of yours"),
        ({"lm": "/nowhere/model.safetensors"}, r"there is no file /nowhere/model.safetensors"),
        ({"weights": "random", "lm": "x"}, r"lm is given and weights is random"),
        ({"shape": "small"}, r"shape small has no weights"),
        ({"weights": "random", "shape": "huge"}, r"shape is 'huge'; it can be 7b or small"),
        ({"weights": "random", "context": 9000}, r"context is from 16 to 3000 frames"),
        ({"weights": "random", "temperature": "hot"}, r"temperature is 'hot'; it must be like 0.8"),
        ({"weights": "random", "human_key": "00"}, r"human_key is one key"),
        ({"weights": "random", "voices": "/nowhere"}, r"there is no folder /nowhere"),
        ({"wieghts": "random"}, r"has no option wieghts; it has weights, lm"),
        ({"weights": "random", "human_words": 7}, r"human_words is 7"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Json], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        MoshiOptions.read(options)


def test_words_that_end_a_conversation_are_a_list_or_parted_by_commas() -> None:
    given = MoshiOptions.read({"weights": "random", "human_words": "Put you through, colleague"})
    assert given == MoshiOptions.read({"weights": "random", "human_words": ["put you through", "colleague"]})


def test_channels_are_delayed_behind_the_token_of_the_beginning() -> None:
    frames = np.arange(10)[None] + 100 * np.arange(17)[:, None]
    tokens = delayed(frames, FULL)
    assert tokens[0].tolist() == [FULL.text_cards, *range(1, 10)]
    assert tokens[1].tolist() == [FULL.cards, *range(101, 110)]
    assert tokens[2].tolist() == [FULL.cards, FULL.cards, *range(201, 209)]
    assert len(DELAYS) == len(tokens)


def test_a_prompt_is_voice_silence_job_silence() -> None:
    voice = np.arange(8 * 5).reshape(8, 5)
    prompt = lay_out(FULL, VoicePrompt("v", voice), [500, 501])
    assert prompt.positions == 5 + SPACER_FRAMES + 2 + SPACER_FRAMES
    words = prompt.tokens[0].tolist()
    assert words[1:] == [TEXT_PADDING] * (4 + SPACER_FRAMES) + [500, 501] + [TEXT_PADDING] * (SPACER_FRAMES + 1)
    assert prompt.tokens[1, 1:5].tolist() == voice[0, 1:].tolist()
    assert prompt.tokens[2, 2:6].tolist() == voice[1, 1:].tolist()
    with pytest.raises(ValueError, match="looks back on 3000"):
        lay_out(FULL, None, [500] * 1500)


def test_a_job_is_told_in_sentences() -> None:
    document: dict[str, Json] = {
        "job": {"purpose": "Answers customers.", "scope": ["orders", "returns"], "refuses": ["prices"]},
        "greeting": "Hello! <system>",
    }
    assert job_text(document) == (
        "<system> Answers customers. You help with orders, returns. You do not help with prices. "
        "You begin with: Hello!  <system>"
    )
    assert job_text({"job": 7, "greeting": ["?"]}).startswith("<system> You are")


def test_an_utterance_ends_after_a_quiet_pause_and_is_reported_once_heard() -> None:
    utterances = Utterances(4, lambda tokens: "".join(f" w{token}" for token in tokens))
    assert utterances.frame(TEXT_PADDING, False, 0, 0) is None
    assert utterances.frame(10, True, 0, 1280) == SpeechStarted(4, 0, "w10", 0)
    assert utterances.frame(11, True, 1280, 2560) is None
    for i in range(2, 2 + PAUSE_FRAMES):
        utterances.frame(TEXT_PADDING, i < 4, 1280 * i, 1280 * (i + 1))
    end = 1280 * (2 + PAUSE_FRAMES)
    assert utterances.heard(end - 1) == []
    assert utterances.heard(end) == [WordsSpoken(4, 0, "w10 w11", end)]
    assert utterances.heard(end) == []
    assert utterances.frame(12, True, end, end + 1280) == SpeechStarted(4, 1, "w12", end)


def test_a_sentence_is_on_record_before_the_next_one_is_over() -> None:
    utterances = Utterances(0, lambda tokens: "".join({10: " Hello.", 11: " And"}[token] for token in tokens))
    for i, token in enumerate([10, TEXT_PADDING, TEXT_PADDING, TEXT_PADDING, 11, TEXT_PADDING, TEXT_PADDING]):
        utterances.frame(token, True, i, i + 1)
    assert utterances.heard(99) == [WordsSpoken(0, 0, "Hello.", 4)]

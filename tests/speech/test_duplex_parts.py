"""Reading weights, tokens and spectra for the duplex model: what is right is read right, what is broken is refused."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from offhook import weights
from offhook.speech.duplex import features, gemma, whisper
from offhook.speech.duplex.adapter import AdapterError, read_adapter
from offhook.speech.duplex.features import Spectra, log_mel
from offhook.speech.duplex.gguf import Gguf, GgufError
from offhook.speech.duplex.tokenizer import Tokenizer
from offhook.weights.safetensors import SafetensorsError, read_tensors
from tests.speech import duplexparts as parts

rng = np.random.default_rng(11)


def _pcm(hops: int, rows: int = 1) -> np.ndarray:
    return rng.integers(-9000, 9000, (rows, hops * 1280)).astype(np.int16)


# --- GGUF ---------------------------------------------------------------------------------------------------------


def test_blocks_of_every_kind_become_the_numbers_they_stand_for(tmp_path: Path) -> None:
    one = np.float16(0.5).tobytes()
    two = np.float16(2).tobytes()
    plain = np.array([[1.5, -2.0]], np.float32)
    q8 = one + np.arange(-16, 16, dtype=np.int8).tobytes()
    # the fifth bit is set on values 0 and 31; low nibbles count 0..15, high nibbles 15..0
    q5 = one + struct.pack("<I", 1 | 1 << 31) + bytes(j | (15 - j) << 4 for j in range(16))
    # scale 1 and minimum 2 of the first part, 60 and 33 of the last; all nibbles 3 low, 5 high
    scales = [1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 60 & 15 | (33 & 15) << 4]
    scales[3] |= 60 >> 4 << 6
    scales[7] |= 33 >> 4 << 6
    q4k = one + two + bytes(scales) + bytes([3 | 5 << 4] * 128)
    # low nibbles 7, high bits 2 of the first quarter only: 39 - 32 = 7 there, 7 - 32 = -25 elsewhere
    q6k = bytes([7 | 7 << 4] * 128) + bytes([2] * 64) + np.arange(16, dtype=np.int8).tobytes() + one
    file = tmp_path / "all.gguf"
    parts.write_gguf(
        file,
        {"general.architecture": "none"},
        {
            "f32": ((1, 2), 0, plain.tobytes()),
            "f16": ((2,), 1, plain.astype(np.float16).tobytes()),
            "q8_0": ((1, 32), 8, q8),
            "q5_0": ((1, 32), 6, q5),
            "q4_k": ((1, 256), 12, q4k),
            "q6_k": ((1, 256), 14, q6k),
        },
    )
    read = Gguf(file)
    assert read.tensor("f32").tolist() == [[1.5, -2.0]]
    assert read.tensor("f16").tolist() == [1.5, -2.0]
    assert read.tensor("q8_0")[0].tolist() == [i / 2 for i in range(-16, 16)]
    q5_0 = read.tensor("q5_0")[0]
    assert (q5_0[0], q5_0[1], q5_0[15], q5_0[16], q5_0[31]) == (0.0, -7.5, -0.5, -0.5, 0.0)
    q4_k = read.tensor("q4_k")[0]
    assert (q4_k[0], q4_k[31], q4_k[32]) == (0.5 * 3 - 2 * 2, 0.5 * 3 - 2 * 2, 0.0)
    assert (q4_k[223], q4_k[224], q4_k[255]) == (0.0, 0.5 * 60 * 5 - 2 * 33, 0.5 * 60 * 5 - 2 * 33)
    q6_k = read.tensor("q6_k")[0]
    assert (q6_k[0], q6_k[16], q6_k[32], q6_k[127]) == (0.0, 0.5 * 7, -0.5 * 2 * 25, -0.5 * 7 * 25)
    assert (q6_k[128], q6_k[255]) == (0.5 * 8 * 7, -0.5 * 15 * 25)


def test_rows_can_be_read_alone_and_in_any_order(tmp_path: Path) -> None:
    table = rng.standard_normal((9, 4)).astype(np.float32)
    file = tmp_path / "table.gguf"
    parts.write_gguf(file, {}, {"t": ((9, 4), 0, table.tobytes())})
    assert np.array_equal(Gguf(file).tensor("t", [7, 0, 7]), table[[7, 0, 7]])
    with pytest.raises(GgufError, match="rows 0 to 8"):
        Gguf(file).tensor("t", [9])


def test_a_broken_gguf_is_refused_with_its_name(tmp_path: Path) -> None:
    file = tmp_path / "broken.gguf"
    parts.write_gguf(file, {"a": "b", "list": ["x", "y"]}, {"t": ((4, 4), 0, b"\0" * 64)})
    whole = file.read_bytes()
    Gguf(file).tensor("t")
    for cut in range(0, len(whole) - 64, 3):
        file.write_bytes(whole[:cut])
        with pytest.raises(GgufError, match=r"broken\.gguf"):
            Gguf(file).tensor("t")
    for at in range(4, len(whole) - 64):  # whatever a byte of the head says, it is read or refused, and takes no room
        file.write_bytes(whole[:at] + b"\xff" + whole[at + 1 :])
        try:
            read = Gguf(file)
            for name in read.names:
                read.tensor(name)
        except GgufError:
            pass


def test_a_gguf_of_another_model_is_no_mind(tmp_path: Path) -> None:
    file = tmp_path / "other.gguf"
    parts.write_gguf(file, {"general.architecture": "llama"}, {"t": ((1,), 0, b"\0" * 4)})
    with pytest.raises(GgufError, match="not gemma3"):
        gemma.weights(file)
    with pytest.raises(GgufError, match="no list"):
        gemma.vocabulary(file)


# --- CTranslate2 and safetensors ----------------------------------------------------------------------------------


def test_a_broken_whisper_is_refused_with_its_name(tmp_path: Path) -> None:
    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    head = struct.pack("<I", 6) + text("WhisperSpec") + struct.pack("<II", 3, 1)
    one = text("encoder/conv1/bias") + struct.pack("<BIBI", 1, 512, 4, 1024) + b"\0" * 1024
    for raw in (
        b"",
        b"\6\0",
        head,
        head + one[:40],
        head + one,
        struct.pack("<I", 5),
        head.replace(b"Whisper", b"Smaller"),
    ):
        (tmp_path / "model.bin").write_bytes(raw)
        with pytest.raises(whisper.WhisperError, match=r"model\.bin"):
            whisper.encoder_weights(tmp_path)
    with pytest.raises(whisper.WhisperError, match="cannot be read"):
        whisper.encoder_weights(tmp_path / "nowhere")


def test_safetensors_of_every_kind_are_read_and_broken_ones_refused(tmp_path: Path) -> None:
    file = tmp_path / "t.safetensors"
    stored = {
        "a": np.arange(6, dtype=np.float16).reshape(2, 3),
        "b": np.array([-3, 4], np.int8),
        "c": np.array([7], np.int32),
        "d": np.array(1.5, np.float32),
    }
    parts.write_safetensors(file, stored)
    read = read_tensors(file)
    assert set(read) == set(stored)
    assert all(np.array_equal(read[name], stored[name]) and read[name].dtype == stored[name].dtype for name in stored)
    whole = file.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    broken = [whole[:4], whole[:20], (10**18).to_bytes(8, "little") + whole[8:], whole[: 8 + length + 2]]
    for entry in ('{"a": 3}', "[1]", '{"a":{"dtype":"F16","shape":[2,-3],"data_offsets":[0,12]}}', "{" * 5000, "\xff"):
        head = entry.encode("latin-1")
        broken.append(len(head).to_bytes(8, "little") + head + b"\0" * 20)
    shape = json.dumps({"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 12]}}).encode()
    broken.append(len(shape).to_bytes(8, "little") + shape + b"\0" * 20)
    for raw in broken:
        file.write_bytes(raw)
        with pytest.raises(SafetensorsError, match=r"t\.safetensors"):
            read_tensors(file)


def test_a_trained_model_is_read_and_one_that_lacks_a_part_is_refused(tmp_path: Path) -> None:
    parts.write_adapter(tmp_path, [1, 5, 9], change=0.1)
    adapter = read_adapter(tmp_path)
    assert adapter.vocabulary == (1, 5, 9)
    wanted = parts.adapter_tensors()
    for name, tensor in adapter.tensors.items():
        assert np.abs(tensor - wanted[name]).max() < 0.02 * np.abs(wanted[name]).max(), name
    mind = {f"layers.{layer}.q": np.zeros((1024, 640), np.float32) for layer in (0, 17)}
    only = {name: change for name, change in adapter.changes.items() if name.endswith(".q")}
    changed = type(adapter)(adapter.tensors, adapter.vocabulary, only).changed(mind)
    stored = read_tensors(tmp_path / "adapter.safetensors")
    b, a = (stored[f"lora.17.q.{side}"].astype(np.float32) for side in "ba")
    assert np.allclose(changed["layers.17.q"], 2 * b @ a, atol=1e-5)  # alpha is twice the rank
    with pytest.raises(AdapterError, match="does not fit"):
        adapter.changed({"layers.0.q": np.zeros((3, 3), np.float32)})
    for missing in ("specials", "state.w1", "vocabulary", "lora.0.k.b", "projector.gate.weight.scale"):
        parts.write_safetensors(
            tmp_path / "adapter.safetensors", {name: tensor for name, tensor in stored.items() if name != missing}
        )
        with pytest.raises(AdapterError, match=missing.removesuffix(".scale")):
            read_adapter(tmp_path)
    parts.write_safetensors(tmp_path / "adapter.safetensors", stored | {"state.b1": np.full(256, np.nan, np.float16)})
    with pytest.raises(AdapterError, match=r"state\.b1.*not finite"):
        read_adapter(tmp_path)


# --- tokens -------------------------------------------------------------------------------------------------------


def test_the_best_pair_is_joined_first_and_what_no_token_covers_is_bytes() -> None:
    texts = ["<eos>", "▁", "a", "b", "c", "▁a", "ab", "▁ab", "bc", "<0xC3>", "<0xA9>", "▁▁"]
    tokenizer = Tokenizer(texts, [0, 0, 0, 0, 0, -5, -1, -9, -2, 0, 0, -3], [3] + [1] * 8 + [6, 6, 1])
    assert [texts[i] for i in tokenizer.encode("ab  c")] == ["▁ab", "▁", "c"]
    assert [texts[i] for i in tokenizer.encode("abc")] == ["▁ab", "c"]  # ab before bc
    assert [texts[i] for i in tokenizer.encode("aé")] == ["▁a", "<0xC3>", "<0xA9>"]
    assert tokenizer.encode("") == tokenizer.encode("   ") == []
    assert tokenizer.encode("☃") == [1]  # its bytes are not among the tokens
    assert tokenizer.decode(tokenizer.encode("abc aé a")) == "abc aé a"
    assert tokenizer.decode([0, 9, 5, 99, -1]) == "\ufffd a"
    assert len(tokenizer.encode("c" * 1000)) == 1001


def test_a_kept_vocabulary_writes_what_it_was_kept_for_as_the_whole_does() -> None:
    texts = ["<pad>", "<eos>", "▁", *"abcde", "de", "cde", "▁a", "ab", "▁ab", "abcde", "▁abcde"]
    whole = Tokenizer(texts, [-float(i) for i in range(len(texts))], [3, 3] + [1] * 13)
    kept = [1, *sorted(whole.needed(["abcde cab", "a"]))]
    part = whole.kept(kept)
    for text in ("abcde cab", "a", "cde a"):
        assert [kept[i] for i in part.encode(text)] == whole.encode(text)
    with pytest.raises(ValueError, match="does not fit"):
        Tokenizer(texts, [0.0], [1])


# --- spectra ------------------------------------------------------------------------------------------------------


def test_a_window_put_together_hop_by_hop_is_the_window_computed_at_once() -> None:
    audio = _pcm(150, rows=2)
    spectra = Spectra(3)
    for hop in range(150):
        spectra.hear([2, 0], audio[:, hop * 1280 : (hop + 1) * 1280])
    asked = [(0, 50, 150), (2, 51, 150), (2, 149, 150), (0, 60, 73)]
    made, frames = spectra.windows(*([each[i] for each in asked] for i in range(3)))
    for row, (slot, start, end) in enumerate(asked):
        alone = log_mel(audio[0 if slot == 2 else 1, start * 1280 : end * 1280].astype(np.float32) / 32768)
        assert frames[row] == 8 * (end - start) - 1 == alone.shape[1]
        assert np.allclose(made[row, :, : frames[row]], alone, atol=1e-5)
        assert not made[row, :, frames[row] :].any()


def test_a_window_that_is_not_kept_is_refused() -> None:
    spectra = Spectra(1)
    for _ in range(140):
        spectra.hear([0], _pcm(1))
    for start, end in ((0, 50), (139, 139), (139, 141), (20, 140)):
        with pytest.raises(ValueError, match="there is no window"):
            spectra.windows([0], [start], [end])


def test_a_forgotten_stream_leaves_nothing_in_the_next() -> None:
    first, second = _pcm(5), _pcm(5)
    used, fresh = Spectra(1), Spectra(1)
    for hop in range(5):
        used.hear([0], first[:, hop * 1280 : (hop + 1) * 1280])
    used.forget(0)
    for hop in range(5):
        for spectra in (used, fresh):
            spectra.hear([0], second[:, hop * 1280 : (hop + 1) * 1280])
    assert np.array_equal(used.windows([0], [0], [5])[0], fresh.windows([0], [0], [5])[0])


def test_the_bands_are_those_that_whisper_was_trained_with() -> None:
    from faster_whisper.feature_extractor import FeatureExtractor

    audio = _pcm(20)[0].astype(np.float32) / 32768
    theirs, ours = FeatureExtractor()(audio), log_mel(audio)
    inside = slice(2, ours.shape[1] - 1)  # they mirror the ends, ours are preceded by silence
    assert np.allclose(theirs[:, inside], ours[:, inside], atol=1e-4)
    assert features.BANDS == len(ours)


# --- the weights themselves, where they are -----------------------------------------------------------------------


def _weight(name: str) -> Path:
    try:
        return weights.path(name)
    except weights.WeightsMissing:
        pytest.skip(f"skipped: no weight {name}")


def test_gemma_reads_as_gemma_and_its_tokens_say_words() -> None:
    path = _weight("gemma-3-270m") / "gemma-3-270m-q4_k_m.gguf"
    mind = gemma.weights(path, [1, 506])
    assert mind["table"].shape == (2, 640) and sum(name.endswith(".q") for name in mind) == gemma.LAYERS
    assert all(np.isfinite(value).all() and value.any() for value in mind.values())
    tokenizer = Tokenizer(*gemma.vocabulary(path))
    said = tokenizer.encode("where is my order 4173 at 3:30")
    assert [tokenizer.tokens[i] for i in said[:5]] == ["▁where", "▁is", "▁my", "▁order", "▁"]
    assert tokenizer.decode(said) == "where is my order 4173 at 3:30"


def test_whisper_reads_as_whisper() -> None:
    ear = whisper.encoder_weights(_weight("whisper-base"))
    angles = np.arange(1500)[:, None] * np.exp(-np.arange(256) * np.log(10000) / 255)
    assert np.allclose(ear["positions"], np.concatenate([np.sin(angles), np.cos(angles)], axis=1), atol=2e-3)
    assert sum(name.endswith(".up.weight") for name in ear) == whisper.LAYERS

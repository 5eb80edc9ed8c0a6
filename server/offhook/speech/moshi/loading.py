"""Builds the language model and the codec on a device: from the operator's files, or with random numbers in them.

Files are read with safetensors alone (a voice prompt's `.pt` with PyTorch's loader for plain tensors), so that none can
bring code. A checkpoint with a depth transformer for sixteen codebooks, as PersonaPlex's, loses the eight of the
caller's side: what they would make is always overridden by what the caller said, and nothing of the agent's follows
them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from offhook.speech.moshi.options import MoshiOptions
from offhook.speech.moshi.prompts import RING, VoicePrompt
from offhook.speech.moshi.shape import AGENT_CODEBOOKS, FRAME_SAMPLES, RATE_HZ, Shape
from offhook.speech.resample import resample

SEED: Final = 20_240_917
"""Of random weights: every process has the same."""
RANDOM_LOUDNESS: Final = 0.02
"""Of the noise that random weights say: well within full scale."""
LONGEST_VOICE_S: Final = 30
VOICES_LIMIT: Final = 64
VOICE_LEVEL: Final = 10 ** (-24 / 20)
"""A voice sample is brought to this level, -24 dB of full scale where it is not silent."""

_STEP: Final = re.compile(
    r"(?:^linears|^depformer_in|^depformer_emb|^depformer\..*\.(?:gating|in_projs|out_projs))\.(\d+)\."
)
"""A weight of one step of the depth transformer."""
_STEPS: Final = re.compile(r"^depformer\..*self_attn\.(?:in|out)_proj(?:_weight|\.weight)$")
"""A weight that has those of all steps, one after the other."""


def device_for(wanted: str) -> torch.device:
    """The device of the option `device`. Raises ValueError where it is not there."""
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise ValueError("the moshi model's device is cuda, and PyTorch finds no GPU here; set it to cpu or auto")
    return torch.device("cuda" if there and wanted != "cpu" else "cpu")


def build(options: MoshiOptions, device: torch.device) -> tuple[Any, Any]:
    """The codec (float32) and the language model (bfloat16 on a GPU, float32 elsewhere), for reading only. Raises
    ValueError naming the file that is not what it should be."""
    shape = options.chosen_shape
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    if options.weights == "random":
        return _random(shape, device, dtype)
    lm = _lm(shape, torch.device("meta"), dtype)
    state = _read(options.lm, device, dtype)
    _assign(lm, _agent_side(state), options.lm, "a language model of Moshi's shape")
    codec = _codec(shape, torch.device("cpu"))
    _assign(codec, _read(options.mimi, torch.device("cpu"), torch.float32), options.mimi, "the codec Mimi")
    return codec.to(device), lm


def voices(folder: str, codec: Any, shape: Shape, device: torch.device) -> dict[str, VoicePrompt]:
    """The voice prompts in a folder by name. To be read before the codec streams. Raises ValueError."""
    found: dict[str, VoicePrompt] = {}
    paths = sorted(path for path in Path(folder).expanduser().iterdir() if path.suffix in (".pt", ".wav"))
    if not paths:
        raise ValueError(f"the moshi model's voices: there is no .pt or .wav file in {folder}")
    for path in paths[:VOICES_LIMIT]:
        read = _saved_voice if path.suffix == ".pt" else _sampled_voice
        found.setdefault(path.stem, read(path, codec, shape, device))
    return found


def words_of(path: str, shape: Shape) -> tuple[Callable[[str], list[int]], Callable[[Sequence[int]], str]]:
    """How a tokenizer's file makes tokens of a text, and a text of tokens. Raises ValueError."""
    import sentencepiece

    try:
        pieces = sentencepiece.SentencePieceProcessor(model_file=str(Path(path).expanduser()))
    except (RuntimeError, OSError) as error:
        raise ValueError(f"the moshi model's tokenizer: {path} is no SentencePiece model ({error})") from error
    if pieces.vocab_size() != shape.text_cards:
        raise ValueError(
            f"the moshi model's tokenizer: {path} has {pieces.vocab_size()} pieces and the model {shape.text_cards}; "
            "it is another model's"
        )
    return (lambda text: list(pieces.encode(text))), (lambda tokens: str(pieces.decode(list(tokens))))


# --- weights


def _lm(shape: Shape, device: torch.device, dtype: torch.dtype) -> Any:
    from moshi.models.lm import LMModel

    lm = LMModel(device=device, dtype=dtype, **shape.lm)
    lm.eval()
    return lm.requires_grad_(False)


def _codec(shape: Shape, device: torch.device) -> Any:
    from moshi.models.loaders import get_mimi

    return get_mimi(None, shape.codec, device=device, num_codebooks=AGENT_CODEBOOKS).requires_grad_(False)


def _random(shape: Shape, device: torch.device, dtype: torch.dtype) -> tuple[Any, Any]:
    with torch.no_grad(), torch.random.fork_rng(devices=[torch.cuda.current_device()] if device.type == "cuda" else []):
        torch.manual_seed(SEED)
        codec, lm = _codec(shape, device), _lm(shape, device, dtype)
        # As they come, a fresh codec's convolutions let sound die out layer by layer, and all its codes are the same.
        convolutions = [one for one in codec.modules() if isinstance(one, torch.nn.Conv1d | torch.nn.ConvTranspose1d)]
        for convolution in convolutions:
            torch.nn.init.kaiming_normal_(convolution.weight)
            if convolution.bias is not None:
                torch.nn.init.zeros_(convolution.bias)
        last = [one for one in codec.decoder.modules() if isinstance(one, torch.nn.Conv1d)][-1]
        last.weight.mul_(RANDOM_LOUDNESS)
        for name, buffer in codec.named_buffers():
            if name.endswith("embedding_sum"):
                buffer.normal_()
    return codec, lm


def _read(path: str, device: torch.device, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = load_file(Path(path).expanduser(), device=str(device))
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} cannot be read as safetensors: {error}") from error
    return {name: value.to(dtype) if value.is_floating_point() else value for name, value in state.items()}


def _agent_side(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Without the depth transformer's steps past the agent's codebooks, where there are any."""
    if f"linears.{2 * AGENT_CODEBOOKS - 1}.weight" not in state:
        return dict(state)
    kept: dict[str, torch.Tensor] = {}
    for name, value in state.items():
        step = _STEP.search(name)
        # No audio token goes into the first step, so that the tables of those that do are one fewer.
        steps = AGENT_CODEBOOKS - 1 if name.startswith("depformer_emb.") else AGENT_CODEBOOKS
        if step is None or int(step[1]) < steps:
            kept[name] = value[: len(value) // 2].clone() if _STEPS.match(name) else value
    return kept


def _assign(model: Any, state: dict[str, torch.Tensor], path: str, what: str) -> None:
    try:
        answer = model.load_state_dict(state, strict=False, assign=True)
    except RuntimeError as error:
        lines = str(error).splitlines()
        raise ValueError(f"{path} is not {what}: {lines[min(1, len(lines) - 1)].strip()}") from error
    missing = [name for name in answer.missing_keys if not name.endswith("_initialized")]
    if missing or answer.unexpected_keys:
        odd = f"it lacks {missing[0]}" if missing else f"it has {answer.unexpected_keys[0]}, which is no part of it"
        raise ValueError(f"{path} is not {what}: {odd}")


# --- voices


def _saved_voice(path: Path, codec: Any, shape: Shape, device: torch.device) -> VoicePrompt:
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        inputs = saved["embeddings"].float().reshape(-1, shape.dim).numpy()
        ring = saved["cache"].reshape(-1, RING).long().numpy()
    except Exception as error:
        why = str(error).splitlines()[0][:200]
        raise ValueError(f"{path} is no saved voice prompt of this model: {type(error).__name__}: {why}") from error
    if len(ring) != 1 + 2 * AGENT_CODEBOOKS or not 2 <= len(inputs) <= shape.context:
        raise ValueError(f"{path} is no saved voice prompt of this model: it has {len(inputs)} positions")
    highest = np.full(len(ring), shape.cards)
    highest[0] = shape.text_cards
    if ((ring < 0) | (ring > highest[:, None])).any():
        raise ValueError(f"{path} is no saved voice prompt of this model: it has tokens that the model has not")
    return VoicePrompt(path.stem, np.zeros((AGENT_CODEBOOKS, len(inputs) + 1), np.int64), inputs, ring)


def _sampled_voice(path: Path, codec: Any, shape: Shape, device: torch.device) -> VoicePrompt:
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            sound = file.read(LONGEST_VOICE_S * file.samplerate, dtype="float32", always_2d=True).mean(axis=1)
            sound = resample(sound, file.samplerate, RATE_HZ)
    except (soundfile.LibsndfileError, OSError) as error:
        raise ValueError(f"{path} cannot be read as sound: {error}") from error
    sound = sound[: len(sound) // FRAME_SAMPLES * FRAME_SAMPLES]
    loud = np.abs(sound) > 0.05 * np.abs(sound).max(initial=1e-9)
    if len(sound) < RATE_HZ or not loud.any():
        raise ValueError(f"{path} is no sample of a voice: it must be at least a second long and not silent")
    sound = np.clip(sound * (VOICE_LEVEL / np.sqrt(np.mean(sound[loud] ** 2))), -1, 1)
    with torch.no_grad():
        codes = codec.encode(torch.from_numpy(np.ascontiguousarray(sound, np.float32)).to(device)[None, None])
    return VoicePrompt(path.stem, codes[0].cpu().numpy())

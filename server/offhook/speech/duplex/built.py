"""The duplex model as `offhook models build` left it: where it lies, whether it is whole, and loading it to serve.

Needs neither the weights it was built from nor what builds it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from offhook import weights
from offhook.speech.duplex.onboard import OnboardEar, OnboardMind, OnboardUnfit
from offhook.speech.duplex.runtime import DuplexRuntime
from offhook.speech.duplex.sessions import Ear, Hearing, Mind, Thinking
from offhook.speech.duplex.tokenizer import BLANK, Tokenizer

EAR, MIND, TOKENS, STAMP = "ear.onnx", "mind.onnx", "tokens.json", "built.json"
DEVICES = ("cpu", "cuda")
DIGITS = "digits"
"""Name of the tokens that write digits; see `DuplexRuntime.gist`."""
_BARRED = -1e4
_MAKERS = ("adapter.py", "earing.py", "gemma.py", "gguf.py", "graph.py", "layout.py", "minding.py", "whisper.py")


class DuplexUnavailable(ValueError):
    """The duplex model is not built here; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a build was made of: equal stamps mean equal builds."""

    makers: str
    """Digest of the code that wrote the graphs."""
    inputs: tuple[tuple[str, str], ...]
    """Name and SHA-256 of every file that went in."""


def built_folder(device: str) -> Path:
    """Where the model for `device` lies once it is built."""
    return weights.folder("duplex-built") / device


def makers() -> str:
    """Digest of the code that writes the graphs: what it built before it was changed is not what it builds now."""
    digest = hashlib.sha256()
    for name in _MAKERS:
        digest.update((Path(__file__).parent / name).read_bytes())
    return digest.hexdigest()


def read_stamp(folder: Path) -> Stamp | None:
    """The stamp of what is built in `folder`; None where it is not whole."""
    try:
        stored = json.loads((folder / STAMP).read_text(encoding="utf-8"))
        if not all((folder / name).stat().st_size for name in (EAR, MIND, TOKENS)):
            return None
        return Stamp(str(stored["makers"]), tuple((str(name), str(sha256)) for name, sha256 in stored["inputs"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def check_built(device: str = "cpu") -> Path:
    """The folder of the model for `device`, without loading it. Raises DuplexUnavailable."""
    if device not in DEVICES:
        raise DuplexUnavailable(f"the duplex model runs on {' or '.join(DEVICES)}, not on {device!r}")
    command = "offhook models build" + (f" --device {device}" if device != "cpu" else "")
    folder = built_folder(device)
    stamp = read_stamp(folder)
    if stamp is None:
        raise DuplexUnavailable(f"the duplex model is not built in {folder}; run `{command}`")
    if stamp.makers != makers():
        raise DuplexUnavailable(f"the duplex model in {folder} was built by another version; run `{command}`")
    return folder


def load_duplex(slots: int, *, device: str = "cpu", threads: int = 1, folder: Path | None = None) -> DuplexRuntime:
    """The built model, ready to hear `slots` callers. `folder`: another than where it is built.

    Raises DuplexUnavailable where it is not there or cannot be loaded."""
    place = folder or check_built(device)
    try:
        stored = json.loads((place / TOKENS).read_text(encoding="utf-8"))
        tokens = Tokenizer(stored["tokens"], stored["scores"], stored["types"])
        ear: Hearing = OnboardEar(place / EAR) if device == "cuda" else Ear(place / EAR, threads)
        allowed = _allowed(tokens)
        mind: Thinking = (
            OnboardMind(place / MIND, slots, allowed)
            if device == "cuda"
            else Mind(place / MIND, slots, allowed, threads)
        )
    except OnboardUnfit as error:
        raise DuplexUnavailable(str(error)) from error
    except Exception as error:  # onnxruntime raises its own, of no common class
        raise DuplexUnavailable(f"the duplex model in {place} cannot be loaded ({error}); build it again") from error
    return DuplexRuntime(slots, ear, mind, tokens)


def _allowed(tokens: Tokenizer) -> dict[str, npt.NDArray[np.float32]]:
    digits = [i for i, token in enumerate(tokens.tokens) if i == 0 or set(token) <= set(f"0123456789{BLANK}")]
    return {"": np.zeros(len(tokens), np.float32), DIGITS: _only(digits, len(tokens))}


def _only(ids: Sequence[int], size: int) -> npt.NDArray[np.float32]:
    mask = np.full(size, _BARRED, np.float32)
    mask[list(ids)] = 0
    return mask

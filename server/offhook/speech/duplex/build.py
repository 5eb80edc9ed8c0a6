"""Puts the duplex model together, without PyTorch: frozen weights and what was trained in, graphs for one device out.

Takes seconds, at most 3 GB of memory, and nothing from the network. What stands in the folder is whole or is not there.
What is served is loaded by `built`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path

import numpy as np
import onnx

from offhook import weights
from offhook.speech.duplex import gemma, whisper
from offhook.speech.duplex.adapter import CONFIG, TENSORS, AdapterError, read_adapter
from offhook.speech.duplex.built import (
    DEVICES,
    EAR,
    MIND,
    STAMP,
    TOKENS,
    DuplexUnavailable,
    Stamp,
    built_folder,
    load_duplex,
    makers,
    read_stamp,
)
from offhook.speech.duplex.earing import ear_graph
from offhook.speech.duplex.gguf import GgufError
from offhook.speech.duplex.graph import Precision
from offhook.speech.duplex.listening import Opening
from offhook.speech.duplex.minding import mind_graph

GEMMA = "gemma-3-270m"
GEMMA_FILE = "gemma-3-270m-q4_k_m.gguf"
WHISPER = "whisper-base"
ADAPTER = "duplex"

Progress = Callable[[str], None]
"""Told what is being done."""


class BuildError(RuntimeError):
    """The model cannot be built; the message says what is missing and what to do."""


class Outcome(Enum):
    """What a build found or did."""

    PRESENT = "present"
    BUILT = "built"


def build(
    device: str = "cpu",
    *,
    adapter: Path | None = None,
    target: Path | None = None,
    force: bool = False,
    precision: Precision | None = None,
    progress: Progress = lambda what: None,
) -> Outcome:
    """See that the duplex model for `device` lies in `target` (by default `built_folder(device)`), made of the weights
    that are here now. `adapter`: the folder of what was trained, by default the weight `duplex`. Raises BuildError."""
    if device not in DEVICES:
        raise BuildError(f"the duplex model can be built for {' or '.join(DEVICES)}, not for {device!r}")
    precision = precision or (Precision.HALF if device == "cuda" else Precision.INT8)
    target = target or built_folder(device)
    try:
        trained = adapter or weights.path(ADAPTER)
        frozen = weights.path(WHISPER), weights.path(GEMMA)
        stamp = _stamp(trained, precision)
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target.parent / ".build.lock"):
            if not force and read_stamp(target) == stamp:
                return Outcome.PRESENT
            with _in_one_move(target) as part:
                _make(trained, *frozen, part, precision, progress)
                (part / STAMP).write_text(json.dumps({"makers": stamp.makers, "inputs": stamp.inputs}) + "\n")
                if precision is not Precision.HALF:  # what is for a GPU need not run here
                    progress("trying it")
                    _try(part)
    except (weights.WeightsMissing, weights.RegistryError, AdapterError, GgufError, whisper.WhisperError) as error:
        raise BuildError(str(error)) from error
    except OSError as error:
        raise BuildError(
            f"{error.filename or target}: {error.strerror or error}; mend it and run this again"
        ) from error
    return Outcome.BUILT


def _make(trained: Path, ear: Path, mind: Path, part: Path, precision: Precision, progress: Progress) -> None:
    progress("reading what was trained")
    adapter = read_adapter(trained)
    progress("the ear")
    onboard = precision is Precision.HALF
    ear_model = ear_graph(whisper.encoder_weights(ear), adapter.tensors, precision, alone=not onboard)
    onnx.save(ear_model, os.fspath(part / EAR))
    progress("the mind")
    path = mind / GEMMA_FILE
    tokens, scores, types = gemma.vocabulary(path)
    if max(adapter.vocabulary) >= len(tokens):
        raise AdapterError(f"{trained} keeps token {max(adapter.vocabulary)}; {path} has {len(tokens)}")
    changed = adapter.changed(gemma.weights(path, adapter.vocabulary))
    mind_model = mind_graph(changed, adapter.tensors, precision, onboard=onboard)
    onnx.save(mind_model, os.fspath(part / MIND))
    kept = {
        "tokens": [tokens[i] for i in adapter.vocabulary],
        "scores": [scores[i] for i in adapter.vocabulary],
        "types": [types[i] for i in adapter.vocabulary],
    }
    (part / TOKENS).write_text(json.dumps(kept), encoding="utf-8")


def _try(folder: Path) -> None:
    """Have it hear half a second of noise. Raises BuildError where what comes out are no numbers."""
    try:
        runtime = load_duplex(1, folder=folder)
    except DuplexUnavailable as error:
        raise BuildError(str(error)) from error
    rng = np.random.default_rng(1)
    for _ in range(6):
        runtime.hear([0], rng.integers(-3000, 3000, (1, 1280)).astype(np.int16))
    runtime.begin([0], [Opening("", False, 5)])
    states, meanings = runtime.listen([0])
    if not np.isfinite(states).all() or not np.isfinite(meanings).all():
        raise BuildError("the model that was built answers with numbers that are none; what was trained is broken")


def _stamp(trained: Path, precision: Precision) -> Stamp:
    """What the build is made of. Files of the registry were verified when they were fetched."""
    inputs = [(name, weights.sha256(trained / name)) for name in (TENSORS, CONFIG)]
    for name in (WHISPER, GEMMA):
        inputs += [(f"{name}/{file.name}", file.sha256) for file in weights.read_registry()[name].files]
    return Stamp(makers(), (*inputs, ("precision", precision.value)))


@contextlib.contextmanager
def _in_one_move(target: Path) -> Iterator[Path]:
    """A folder to write to that becomes `target` at the end, or is gone where something failed."""
    part = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield part
        part.chmod(0o755)
        if target.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{target.name}-old-", dir=target.parent))
            os.replace(target, old / target.name)
            os.replace(part, target)
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.replace(part, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One build at a time; a second waits and then finds the work done."""
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield

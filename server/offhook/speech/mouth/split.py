"""Cuts a Piper voice's graph in three, once and for all: `split_voice(weights/joe, weights/mouth-joe)`.

    encode.onnx   symbols -> how long each lasts, and a first draft of the latent frames (256 samples each)
    flow.onnx     a run of drafted frames -> the same frames as the decoder wants them
    decode.onnx   the next frames of several clauses, and what is remembered of those before -> their samples

The flow looks but some frames to each side (`FLOW_REACH`), so it can work on any part of a clause; the decoder carries
on from piece to piece (see `carrying`). Two things differ from the voice's own graph. Its noise is a fixed table
instead of chance, so that the same words are always the same sound, however they are cut. And its convolutions have a
second dimension, of one, because onnxruntime has its fast kernels for images only (a fifth less time for the same
numbers). Needs `onnx`, never PyTorch; training, quantising and playing are not its business.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.utils import Extractor

from offhook.speech.mouth.carrying import carry_on
from offhook.speech.mouth.graphs import (
    DECODE,
    DURATIONS,
    ENCODE,
    FLOW,
    FRAME_SAMPLES,
    LATE,
    LATENT,
    MADE_AS,
    MASK,
    PRIOR,
    SAMPLES,
    SOURCE,
    STAMP,
    MouthGraphs,
    MouthUnfit,
)
from offhook.speech.mouth.level import powers_of
from offhook.speech.mouth.place import Split, digest, stamped
from offhook.speech.mouth.spelling import Spelling

_NOISE_FRAMES = 2_048  # 24 s; a longer clause hears the same noise again
_FIRST_OF_DECODER = "/dec/conv_pre/Conv"
_LAST_OF_DURATIONS = "/Ceil"
_SENTENCES = (
    "Thank you.",
    "How can I help you today?",
    "Your order is on its way to you.",
    "I am sorry to hear that, let me have a look.",
    "No, the office is closed on Sundays.",
    "Could you spell the name for me, please?",
)
_INPUTS = ["input", "input_lengths", "scales"]


def split_voice(source: Path, target: Path) -> Split:
    """Write the three graphs of the voice in the folder `source` to the folder `target`, which appears whole or not at
    all. Does nothing where they are there already. Takes a second or two.

    Raises MouthUnfit where the voice's graph is none that can be cut, OSError where `target` cannot be written."""
    voice = source / SOURCE
    sha256 = digest(voice)
    found = stamped(target)
    if found is not None and found.source_sha256 == sha256:
        return found
    graphs = cut(onnx.load(os.fspath(voice)), voice.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        for name, graph in graphs.items():
            onnx.save(graph, os.fspath(part / name))
        made = Split(target, sha256, round(_level(source, part), 5))
        stamp = {"made_as": MADE_AS, "source_sha256": sha256, "level": made.level}
        (part / STAMP).write_text(json.dumps(stamp) + "\n", encoding="utf-8")
        part.chmod(0o755)
        _put(part, made)
        return made
    finally:
        shutil.rmtree(part, ignore_errors=True)


def cut(voice: ModelProto, name: str = "the voice") -> dict[str, ModelProto]:
    """The three graphs of a Piper voice by file name; `name` is for messages. `voice` is used up."""
    graph = voice.graph
    if [each.name for each in graph.input] != _INPUTS:
        raise MouthUnfit(
            f"{name} takes {', '.join(each.name for each in graph.input)} where a Piper voice of one speaker takes "
            f"{', '.join(_INPUTS)}; voices of several speakers are not supported"
        )
    nodes = {node.name: node for node in graph.node}
    makers = {output: node for node in graph.node for output in node.output}
    try:
        latent = nodes[_FIRST_OF_DECODER].input[0]
        durations = nodes[_LAST_OF_DURATIONS].output[0]
        first_of_flow = next(node for node in graph.node if node.name.startswith("/flow/"))
        prior = first_of_flow.input[0]
        masked = makers[latent]
        (mask,) = (each for each in masked.input if not makers[each].name.startswith("/flow/"))
    except (KeyError, StopIteration, ValueError) as error:
        raise MouthUnfit(f"{name} is not built like a Piper voice: its decoder or its flow is not found") from error
    channels = _shape(graph, nodes[_FIRST_OF_DECODER].input[1])[1]
    _still(graph, channels)
    extractor = Extractor(voice)
    sound = graph.output[0].name
    encode = extractor.extract_model(_INPUTS, [prior, mask, durations])
    flow = extractor.extract_model([prior, mask], [latent])
    decode = extractor.extract_model([latent], [sound])
    _widen(decode.graph, latent, sound, channels)
    late = carry_on(decode)
    helper.set_model_props(decode, {LATE: str(late)})
    names = {prior: PRIOR, mask: MASK, durations: DURATIONS, latent: LATENT}
    shapes: dict[str, list[str | int | None]] = {
        PRIOR: ["clauses", channels, "frames"],
        MASK: ["clauses", 1, "frames"],
        DURATIONS: ["clauses", 1, "symbols"],
        LATENT: ["clauses", channels, "frames"],
    }
    for model in (encode, flow):
        _rename(model.graph, names)
        for value in (*model.graph.input, *model.graph.output):
            if value.name in shapes:
                value.CopyFrom(helper.make_tensor_value_info(value.name, TensorProto.FLOAT, shapes[value.name]))
    for model in (encode, flow, decode):
        del model.graph.value_info[:]
        onnx.checker.check_model(model)
    return {ENCODE: encode, FLOW: flow, DECODE: decode}


def _still(graph: GraphProto, latent_channels: int) -> None:
    """Noise from a table in place of chance: [channels, frames], read by the frame's number."""
    chance = [node for node in graph.node if node.op_type == "RandomNormalLike"]
    if len(chance) != 2:
        raise MouthUnfit(f"a Piper voice draws noise twice, this one {len(chance)} times")
    rng = np.random.default_rng(20_260_101)
    for constant, value in (("still.zero", 0), ("still.one", 1), ("still.frames", _NOISE_FRAMES), ("still.axis", 2)):
        graph.initializer.append(numpy_helper.from_array(np.array(value, np.int64), constant))
    for node in chance:
        channels = 2 if node.name.startswith("/dp/") else latent_channels
        name = f"still{node.name}"
        table = rng.standard_normal((channels, _NOISE_FRAMES)).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(table, f"{name}.table"))
        steps = [
            helper.make_node("Shape", [node.input[0]], [f"{name}.shape"]),
            helper.make_node("Gather", [f"{name}.shape", "still.axis"], [f"{name}.length"]),
            helper.make_node("Range", ["still.zero", f"{name}.length", "still.one"], [f"{name}.numbers"]),
            helper.make_node("Mod", [f"{name}.numbers", "still.frames"], [f"{name}.places"]),
            helper.make_node("Gather", [f"{name}.table", f"{name}.places"], [f"{name}.drawn"], axis=1),
            helper.make_node("Expand", [f"{name}.drawn", f"{name}.shape"], [node.output[0]]),
        ]
        for step in steps:
            step.name = step.output[0]
        _replace(graph, node, steps)


def _widen(graph: GraphProto, latent: str, sound: str, channels: int) -> None:
    """Convolutions over [n, channels, 1, frames]; in comes [n, channels, frames], out goes [n, samples]."""
    weights = {node.input[1] for node in graph.node if node.op_type in ("Conv", "ConvTranspose")}
    for tensor in graph.initializer:
        if tensor.name in weights:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor)[:, :, None, :], tensor.name))
    for node in graph.node:
        if node.op_type in ("Conv", "ConvTranspose"):
            _widen_node(node)
    last = next(node for node in graph.node if sound in node.output)
    if last.op_type != "Unsqueeze":
        raise MouthUnfit(f"a Piper voice's graph ends in Unsqueeze, this one in {last.op_type}")
    narrow = last.input[0]
    for node in graph.node:
        node.input[:] = ["wide" if each == latent else each for each in node.input]
    widen = helper.make_node("Unsqueeze", [LATENT, "wide.axis"], ["wide"], name="widen")
    flatten = helper.make_node("Reshape", [narrow, "flat.shape"], [SAMPLES], name="flatten")
    graph.initializer.append(numpy_helper.from_array(np.array([2], np.int64), "wide.axis"))
    graph.initializer.append(numpy_helper.from_array(np.array([0, -1], np.int64), "flat.shape"))
    kept = [widen, *(node for node in graph.node if node is not last), flatten]
    made = helper.make_graph(
        kept,
        "decode",
        [helper.make_tensor_value_info(LATENT, TensorProto.FLOAT, ["clauses", channels, "frames"])],
        [helper.make_tensor_value_info(SAMPLES, TensorProto.FLOAT, ["clauses", "samples"])],
        list(graph.initializer),
    )
    graph.CopyFrom(made)
    strides = [node for node in graph.node if node.op_type == "ConvTranspose"]
    frame = int(
        np.prod([attribute.ints[1] for node in strides for attribute in node.attribute if attribute.name == "strides"])
    )
    if frame != FRAME_SAMPLES:
        raise MouthUnfit(f"a frame of this voice is {frame} samples, not {FRAME_SAMPLES}")


def _widen_node(node: NodeProto) -> None:
    for attribute in node.attribute:
        if attribute.name in ("dilations", "kernel_shape", "strides"):
            attribute.ints[:] = [1, attribute.ints[0]]
        elif attribute.name == "pads":
            attribute.ints[:] = [0, attribute.ints[0], 0, attribute.ints[1]]
        elif attribute.name == "output_padding":
            attribute.ints[:] = [0, attribute.ints[0]]


def _rename(graph: GraphProto, names: dict[str, str]) -> None:
    for node in graph.node:
        node.input[:] = [names.get(each, each) for each in node.input]
        node.output[:] = [names.get(each, each) for each in node.output]
    for value in (*graph.input, *graph.output):
        value.name = names.get(value.name, value.name)


def _replace(graph: GraphProto, old: NodeProto, steps: Iterable[NodeProto]) -> None:
    kept: list[NodeProto] = []
    for node in graph.node:
        kept += steps if node.name == old.name else [node]
    copies = [NodeProto.FromString(node.SerializeToString()) for node in kept]
    del graph.node[:]
    graph.node.extend(copies)


def _shape(graph: GraphProto, name: str) -> list[int]:
    return next(list(tensor.dims) for tensor in graph.initializer if tensor.name == name)


def _level(source: Path, split: Path) -> float:
    """How loud this voice speaks: RMS of its speech in a few sentences, full scale being 1. Its clauses differ from
    that by 1.5 dB (standard deviation)."""
    spelling, graphs = Spelling(source), MouthGraphs(split)
    powers: list[float] = []
    for sentence in _SENTENCES:
        spelled = spelling.spell(sentence)
        if spelled is None:
            continue
        latent = graphs.flow(graphs.encode(spelled.ids, spelling.scales).prior)
        frames = latent.shape[1]
        ahead = np.zeros((len(latent), -(-graphs.late // FRAME_SAMPLES)), np.float32)
        (sound,) = graphs.decode([graphs.decoding(frames)], [np.concatenate([latent, ahead], axis=1)])
        power = powers_of(sound, spelling.rate_hz // 100)
        powers.append(float((power[power > power.max() * 0.1] ** 2).mean()))
    return float(np.sqrt(np.median(powers)))


def _put(part: Path, made: Split) -> None:
    """Rename `part` to where it belongs. What is there and stale goes; what another process has just put there is as
    good."""
    target = made.folder
    for _ in range(3):
        try:
            part.rename(target)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            if stamped(target) == made:
                return
            away = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
            with contextlib.suppress(FileNotFoundError):
                target.rename(away / "stale")
            shutil.rmtree(away, ignore_errors=True)
    part.rename(target)

"""Kokoro-82M as published in 8-bit ONNX, rewritten so that a CPU speaks it several times faster.

Whole-number convolutions are slow in onnxruntime; here their weights are turned back into floats, and the sine of the
vocoder's activations into a polynomial, which OpenVINO then runs in bfloat16 on matrix units. Needs the `onnx` package.
Only training data is made with it.
"""

from __future__ import annotations

import math
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, helper, numpy_helper

Floats = npt.NDArray[np.float32]


def as_floats(source: Path, target: Path) -> None:
    """Write `source` with float convolutions to `target`. Raises ValueError where the graph is not Kokoro's."""
    model = onnx.load(str(source))
    graph = model.graph
    tables = {table.name: table for table in graph.initializer}
    maker = {name: node for node in graph.node for name in node.output}
    users: defaultdict[str, list[NodeProto]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            users[name].append(node)
    instead: dict[str, list[NodeProto]] = {}
    gone: set[str] = set()

    def value(name: str) -> npt.NDArray[np.generic]:
        return numpy_helper.to_array(tables[name])

    def only(nodes: list[NodeProto], kind: str) -> NodeProto:
        if len(nodes) != 1 or nodes[0].op_type != kind:
            raise ValueError(f"{source}: expected one {kind}, found {[node.op_type for node in nodes]}")
        return nodes[0]

    for node in graph.node:
        if node.op_type == "Sin" and [user.op_type for user in users[node.output[0]]] == ["Pow"]:
            instead[node.name] = _sine(node, tables)
        if node.op_type != "ConvInteger":
            continue
        after, bias = users[node.output[0]][0], ""
        gone.add(node.name)
        if after.op_type == "Add":
            name = next(name for name in after.input if name != node.output[0])
            while maker[name].op_type != "Div":
                name = maker[name].input[0]
            bias = maker[name].input[0]
            gone.add(after.name)
            after = users[after.output[0]][0]
        scaled = only(users[only([after], "Cast").output[0]], "Mul")
        gone |= {after.name, scaled.name}
        scale = next(name for name in scaled.input if name != after.output[0])
        step = next(name for name in maker[scale].input if name in tables)
        name = f"{node.input[1]}_float"
        if name not in tables:
            weight = _floats(value(node.input[1]), value(node.input[3]), value(step))
            tables[name] = numpy_helper.from_array(weight, name)
        inputs = [maker[node.input[0]].input[0], name, *([bias] if bias else [])]
        conv = helper.make_node("Conv", inputs, [scaled.output[0]], name=f"{node.name}_float")
        conv.attribute.extend(node.attribute)
        instead[node.name] = [conv]
    nodes = [n for node in graph.node for n in instead.get(node.name, [] if node.name in gone else [node])]
    _store(model, nodes, tables, target)


def _floats(whole: npt.NDArray[np.generic], zero: npt.NDArray[np.generic], step: npt.NDArray[np.generic]) -> Floats:
    def across(values: npt.NDArray[np.generic]) -> Floats:
        shape = (-1, *(1,) * (whole.ndim - 1)) if values.size > 1 else ()
        return values.astype(np.float32).reshape(shape)

    floats: Floats = ((whole.astype(np.float32) - across(zero)) * across(step)).astype(np.float32)
    return floats


def _sine(node: NodeProto, tables: dict[str, onnx.TensorProto]) -> list[NodeProto]:
    """sin(z) up to its sign (it is squared afterwards): z less the next multiple of pi, then Taylor's 7th power."""
    constants = {"pi": math.pi, "by_pi": 1 / math.pi, "c3": -1 / 6, "c5": 1 / 120, "c7": -1 / 5040, "one": 1.0}
    for name, number in constants.items():
        tables.setdefault(f"sine_{name}", numpy_helper.from_array(np.array([number], np.float32), f"sine_{name}"))
    made: list[NodeProto] = []

    def do(kind: str, *inputs: str, out: str = "") -> str:
        out = out or f"{node.name}_{len(made)}"
        made.append(helper.make_node(kind, list(inputs), [out], name=f"{node.name}_sine_{len(made)}"))
        return out

    turns = do("Round", do("Mul", node.input[0], "sine_by_pi"))
    rest = do("Sub", node.input[0], do("Mul", turns, "sine_pi"))
    square = do("Mul", rest, rest)
    total = do("Add", do("Mul", square, "sine_c7"), "sine_c5")
    total = do("Add", do("Mul", total, square), "sine_c3")
    total = do("Add", do("Mul", total, square), "sine_one")
    do("Mul", total, rest, out=node.output[0])
    return made


def _store(model: onnx.ModelProto, nodes: list[NodeProto], tables: dict[str, onnx.TensorProto], target: Path) -> None:
    graph = model.graph
    wanted = {output.name for output in graph.output}
    live: list[NodeProto] = []
    maker = {name: node for node in nodes for name in node.output}
    seen: set[str] = set()
    stack = [(name, False) for name in wanted]
    while stack:  # depth first: what a node needs stands before it, what nobody needs does not stand at all
        name, ready = stack.pop()
        node = maker.get(name)
        if node is None:
            continue
        if ready:
            if node.output[0] not in seen:
                seen.update(node.output)
                live.append(node)
        elif name not in seen:
            stack.append((name, True))
            stack.extend((needed, False) for needed in node.input)
    used = {name for node in live for name in node.input}
    del graph.node[:]
    graph.node.extend(live)
    del graph.initializer[:]
    graph.initializer.extend(table for name, table in tables.items() if name in used)
    part = target.with_suffix(".part")
    onnx.save(model, str(part))
    os.replace(part, target)

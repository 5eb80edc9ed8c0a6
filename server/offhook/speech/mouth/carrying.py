"""Makes of the decoder one that carries on: fed a few frames at a time, it remembers what it needs of those before.

The decoder is a row of stages, each at a higher rate than the one before, and a stage looks some way to both sides.
Here each stage is given, in front of what comes, the end of what came before (an input of the graph, `carry.N`, and,
moved on, an output, `carried.N`), and gives only what it can know. So it is late by what it looks ahead, and nothing
is computed twice but a stage's edges. The samples are those of the whole clause decoded at once: what lies before its
beginning (`start`: frames fed before) and behind its end (`total`) is zero in every layer, as it is there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from offhook.speech.mouth.graphs import CARRIED, CARRY, LATENT, START, TOTAL, MouthUnfit

_POINTWISE = ("LeakyRelu", "Tanh", "Div", "Add", "Unsqueeze", "Reshape")


def carry_on(decode: ModelProto) -> int:
    """Rewrite `decode` (latent [n, channels, frames] to samples [n, samples], widened first) so that it carries on;
    answers how many samples late it then is. Raises MouthUnfit for a layer it does not know."""
    return _Carrying(decode.graph).rewrite()


class _Carrying:
    def __init__(self, graph: GraphProto) -> None:
        self._graph = graph
        self._weights = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
        self._nodes: list[NodeProto] = []
        self._carried: list[tuple[int, int]] = []  # channels, samples
        self._rate = 1  # of the stage in progress: samples a frame
        self._late = 0  # samples behind what was fed, where the stage begins
        self._channels = 0

    def rewrite(self) -> int:
        """See `carry_on`."""
        graph = self._graph
        self._channels = graph.input[0].type.tensor_type.shape.dim[1].dim_value
        self._add("Shape", [LATENT], "frames.shape")
        self._add("Gather", ["frames.shape", self._constant("two", 2)], "frames")
        widen, *layers = graph.node
        self._nodes.append(widen)
        stages = _stages(layers)
        for number, (raising, nodes) in enumerate(stages):
            self._stage(number, raising, nodes, last=number == len(stages) - 1)
        inputs, outputs = [graph.input[0]], [graph.output[0]]
        inputs += [helper.make_tensor_value_info(name, TensorProto.INT64, ["clauses"]) for name in (START, TOTAL)]
        for number, (channels, samples) in enumerate(self._carried):
            shape: list[str | int | None] = ["clauses", channels, 1, samples]
            inputs.append(helper.make_tensor_value_info(f"{CARRY}{number}", TensorProto.FLOAT, shape))
            outputs.append(helper.make_tensor_value_info(f"{CARRIED}{number}", TensorProto.FLOAT, shape))
        graph.CopyFrom(helper.make_graph(self._nodes, "decode", inputs, outputs, list(graph.initializer)))
        return self._late

    def _stage(self, number: int, raising: NodeProto | None, nodes: Sequence[NodeProto], last: bool) -> None:
        """The layers at one rate, and `raising`, which leads to the next one."""
        reach = _reach(nodes)
        # One more, as a sample of the next rate lies between two of this one.
        carried = 2 * reach + (0 if raising is None else 1)
        self._carried.append((self._channels, carried))
        mask = self._mask(f"inside.{number}", carried)
        entry = nodes[0].input[0]
        joined = self._add("Concat", [f"{CARRY}{number}", entry], f"joined.{number}", axis=3)
        self._slice(joined, -carried, None, f"{CARRIED}{number}")
        begun = self._add("Mul", [joined, mask], f"begun.{number}")
        zero_outside = {begun}  # so is what a LeakyRelu makes of it
        masked: dict[str, str] = {}
        count = self._add("Mul", ["frames", self._constant(f"rate.{self._rate}", [self._rate])], f"count.{number}")
        for node in nodes:
            node.input[:] = [begun if name == entry else name for name in node.input]
            name = node.input[0]
            if node.op_type == "LeakyRelu" and name in zero_outside:
                zero_outside.add(node.output[0])
            elif node.op_type == "Conv":
                if name not in zero_outside and name not in masked:
                    masked[name] = self._add("Mul", [name, mask], f"{name}.inside")
                node.input[0] = masked.get(name, name)
            if last and node.op_type == "Reshape":
                node.input[0] = self._cut(node.input[0], reach, count, 0, f"known.{number}")
            self._nodes.append(node)
        self._late += reach
        if raising is not None:
            self._raise_rate(number, raising, reach, count, mask)

    def _raise_rate(self, number: int, node: NodeProto, reach: int, count: str, mask: str) -> None:
        options = _options(node)
        stride, kernel, pad = options["strides"][1], options["kernel_shape"][1], options["pads"][1]
        known = (
            kernel == 2 * stride
            and pad == options["pads"][3] == stride // 2
            and not any(options.get("output_padding", ()))
        )
        if not known:
            raise MouthUnfit(f"the decoder's layer {node.name} raises the rate in a way that is not known")
        inside = self._add("Mul", [node.input[0], mask], f"raised.{number}.inside")
        node.input[0] = self._cut(inside, reach, count, 1, f"known.{number}")
        for attribute in node.attribute:
            if attribute.name == "pads":
                attribute.ints[:] = [0, stride, 0, stride]
        self._nodes.append(node)
        self._late = self._late * stride + pad
        self._rate *= stride
        self._channels = self._weights[node.input[1]][1]

    def _mask(self, name: str, carried: int) -> str:
        """1 where the clause is, for what is carried and what comes at this stage: [clauses, 1, 1, samples]."""
        zero, one, rate = (
            self._constant("0", 0),
            self._constant("1", 1),
            self._constant(f"times.{self._rate}", self._rate),
        )
        side, sides = self._constant("at.1", [1]), self._constant("at.1.2", [1, 2])
        before = self._constant(f"before.{name}", self._late + carried)
        count = self._add("Mul", ["frames", rate], f"{name}.count")
        all_count = self._add("Add", [count, self._constant(f"carried.{name}", carried)], f"{name}.all")
        steps = self._add("Range", [zero, all_count, one], f"{name}.steps")
        begin = self._add("Sub", [self._add("Mul", [START, rate], f"{name}.fed"), before], f"{name}.begin")
        places = self._add("Add", [self._add("Unsqueeze", [begin, side], f"{name}.first"), steps], f"{name}.places")
        end = self._add("Unsqueeze", [self._add("Mul", [TOTAL, rate], f"{name}.length"), side], f"{name}.end")
        begun = self._add("Not", [self._add("Less", [places, zero], f"{name}.early")], f"{name}.begun")
        both = self._add("And", [begun, self._add("Less", [places, end], f"{name}.until")], f"{name}.both")
        number = self._add("Cast", [both], f"{name}.number", to=TensorProto.FLOAT)
        return self._add("Unsqueeze", [number, sides], name)

    def _cut(self, name: str, start: int, count: str, more: int, output: str) -> str:
        """`count` and `more` samples of `name` from `start` on."""
        until = self._add("Add", [count, self._constant(f"until.{output}", [start + more])], f"{output}.until")
        return self._slice(name, start, until, output)

    def _slice(self, name: str, start: int, end: str | None, output: str) -> str:
        end = end or self._constant("end", [2**31])
        return self._add(
            "Slice", [name, self._constant(f"from.{start}", [start]), end, self._constant("at.3", [3])], output
        )

    def _add(self, kind: str, inputs: list[str], output: str, **options: int) -> str:
        node = helper.make_node(kind, inputs, [output], name=output)
        node.attribute.extend(helper.make_attribute(name, value) for name, value in options.items())
        self._nodes.append(node)
        return output

    def _constant(self, name: str, value: int | list[int]) -> str:
        name = f"carrying.{name}"
        if name not in self._weights:
            tensor = numpy_helper.from_array(np.array(value, np.int64), name)
            self._graph.initializer.append(tensor)
            self._weights[name] = list(tensor.dims)
        return name


def _stages(nodes: Sequence[NodeProto]) -> list[tuple[NodeProto | None, list[NodeProto]]]:
    """The layers by rate, each with the layer that leads to the next."""
    stages: list[tuple[NodeProto | None, list[NodeProto]]] = []
    stage: list[NodeProto] = []
    for node in nodes:
        if node.op_type == "ConvTranspose":
            stages.append((node, stage))
            stage = []
        elif node.op_type == "Conv" or node.op_type in _POINTWISE:
            stage.append(node)
        else:
            raise MouthUnfit(f"the decoder has a layer {node.name} ({node.op_type}) that cannot be fed in pieces")
    return [*stages, (None, stage)]


def _reach(nodes: Sequence[NodeProto]) -> int:
    """How many samples to each side a stage looks."""
    reaches: dict[str, int] = {}
    for node in nodes:
        reach = max(reaches.get(name, 0) for name in node.input)
        if node.op_type == "Conv":
            options = _options(node)
            side = (options["kernel_shape"][1] - 1) * options["dilations"][1] // 2
            if options["pads"][1] != side or options["pads"][3] != side or options["strides"][1] != 1:
                raise MouthUnfit(f"the decoder's layer {node.name} does not keep the length of what it is given")
            reach += side
        reaches[node.output[0]] = reach
    return max(reaches.values())


def _options(node: NodeProto) -> dict[str, list[int]]:
    return {attribute.name: list(attribute.ints) for attribute in node.attribute}

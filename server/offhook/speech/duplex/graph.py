"""Writes ONNX graphs by hand: names nodes, keeps constants once, and does matrix products at the chosen precision.

Nothing is exported from a training framework: what a graph computes is what stands in `earing` and `minding`, line by
line. Knows no model. Precisions:

    FLOAT   float32 throughout: the reference, and what tests compare with
    INT8    weights of matrices as int8, a scale for each output; activations quantised row by row as they come, so
            that no row's numbers depend on its neighbours in the batch
    HALF    float16 for CUDA; what `wide` was called on stays float32
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Floats = npt.NDArray[np.float32]

_MICROSOFT = "com.microsoft"
_OPSET = 21
_STEPS = 127
"""An activation's steps either side of zero in one byte."""
_FINER = 254
"""How many times finer the second byte of an activation is."""


class Precision(Enum):
    """How a graph computes."""

    FLOAT = "float"
    INT8 = "int8"
    HALF = "half"


class Graph:
    """A graph in the making. A value is the name of a tensor."""

    def __init__(self, name: str, precision: Precision) -> None:
        self.precision = precision
        self._name = name
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._small: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._count = 0

    @property
    def real(self) -> npt.DTypeLike:
        """The type of what is narrow: float16 in a HALF graph, float32 elsewhere."""
        return np.float16 if self.precision is Precision.HALF else np.float32

    def input(self, name: str, dtype: npt.DTypeLike, shape: Sequence[int | str]) -> str:
        """An input; a dimension is a number or a name."""
        self._inputs.append(helper.make_tensor_value_info(name, _kind(dtype), list(shape)))
        return name

    def output(self, value: str, name: str, dtype: npt.DTypeLike, shape: Sequence[int | str]) -> None:
        """Give `value`, which no node has taken in, out under `name`."""
        for node in reversed(self._nodes):
            if value in node.output:
                node.output[list(node.output).index(value)] = name
                break
        self._outputs.append(helper.make_tensor_value_info(name, _kind(dtype), list(shape)))

    def constant(self, value: npt.NDArray[np.generic]) -> str:
        """A constant; small ones that are alike are kept once."""
        key = (value.dtype.str, value.shape, value.tobytes()) if value.size <= 64 else None
        if key is not None and key in self._small:
            return self._small[key]
        name = f"c{len(self._constants)}"
        self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name)
        if key is not None:
            self._small[key] = name
        return name

    def number(self, value: float) -> str:
        """A narrow constant number."""
        return self.constant(np.asarray(value, self.real))

    def whole(self, *values: int) -> str:
        """A constant list of whole numbers: axes, shapes, positions."""
        return self.constant(np.asarray(values, np.int64))

    def op(self, kind: str, *inputs: str, ours: bool = False, **attributes: Any) -> str:
        """One node with one output; `ours` for onnxruntime's own operators (com.microsoft)."""
        return self.ops(kind, 1, *inputs, ours=ours, **attributes)[0]

    def ops(self, kind: str, outputs: int, *inputs: str, ours: bool = False, **attributes: Any) -> list[str]:
        """One node with several outputs."""
        names = [f"v{self._count + i}" for i in range(outputs)]
        self._count += outputs
        domain = _MICROSOFT if ours else ""
        self._nodes.append(helper.make_node(kind, list(inputs), names, domain=domain, **attributes))
        return names

    def reshape(self, x: str, *shape: int) -> str:
        """0 keeps a dimension, -1 is what is left."""
        return self.op("Reshape", x, self.whole(*shape))

    def wide(self, x: str) -> str:
        """`x` as float32."""
        return self.op("Cast", x, to=TensorProto.FLOAT) if self.precision is Precision.HALF else x

    def narrow(self, x: str) -> str:
        """`x` at the graph's own precision."""
        return self.op("Cast", x, to=TensorProto.FLOAT16) if self.precision is Precision.HALF else x

    def rms(self, x: str, weight: Floats, epsilon: float) -> str:
        """Scaled to a root mean square of one, times `weight`; `x` is wide and so is the result."""
        return self.op("SimplifiedLayerNormalization", x, self.constant(weight), axis=-1, epsilon=epsilon)

    def linear(self, x: str, weight: Floats, bias: Floats | None = None, *, fine: bool = False) -> str:
        """`x` [b, t, in] times `weight` [out, in], and `bias`; `x` is narrow and so is the result.

        `fine`: in an INT8 graph two bytes an activation instead of one, for inputs of which a few are very large. It
        costs little while a batch has few rows, for then reading the weights is what takes the time."""
        if self.precision is Precision.INT8:
            y = self._product_in_bytes(x, weight, fine)
        else:
            y = self.op("MatMul", x, self.constant(weight.T.astype(self.real)))
        return y if bias is None else self.op("Add", y, self.constant(bias.astype(self.real)))

    def model(self) -> onnx.ModelProto:
        """The graph as a model."""
        graph = helper.make_graph(self._nodes, self._name, self._inputs, self._outputs, list(self._constants.values()))
        versions = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=versions, ir_version=10, producer_name="offhook")

    def _product_in_bytes(self, x: str, weight: Floats, fine: bool) -> str:
        scale = np.maximum(np.abs(weight).max(axis=1), 1e-12) / 127
        matrix = self.constant(np.rint(weight / scale[:, None]).astype(np.int8).T)
        scales = self.constant(scale.astype(np.float32))
        step = self.constant(np.asarray(1 / _STEPS, np.float32))
        middle = self.constant(np.asarray(128, np.uint8))
        # Each row is divided by its largest number first: then one scale, known beforehand, serves every row.
        largest = self.op("ReduceMax", self.op("Abs", x), self.whole(-1))
        largest = self.op("Add", largest, self.constant(np.asarray(1e-20, np.float32)))
        x = self.op("Div", x, largest)
        coarse = self.op("QuantizeLinear", x, step, middle)
        if not fine:
            y = self.op("MatMulIntegerToFloat", coarse, matrix, step, scales, middle, ours=True)
            return self.op("Mul", y, largest)
        rest = self.op("Sub", x, self.op("DequantizeLinear", coarse, step, middle))
        finer = self.constant(np.asarray(1 / _STEPS / _FINER, np.float32))
        both = self.op("Concat", coarse, self.op("QuantizeLinear", rest, finer, middle), axis=1)
        y = self.op("MatMulIntegerToFloat", both, matrix, step, scales, middle, ours=True)
        high, low = self.ops("Split", 2, y, axis=1, num_outputs=2)
        low = self.op("Mul", low, self.constant(np.asarray(1 / _FINER, np.float32)))
        return self.op("Mul", self.op("Add", high, low), largest)


def _kind(dtype: npt.DTypeLike) -> int:
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

"""Reads GGUF, the container in which language models are passed on, and turns its quantised blocks into float32.

Reads only what Offhook's weights use: version 3, the types F32, F16, Q5_0, Q8_0, Q4_K and Q6_K. Writes nothing and
knows no model; `gemma` gives the tensors their meaning. Format: github.com/ggml-org/ggml, docs/gguf.md.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Value = bool | int | float | str | Sequence["Value"]

_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_TEXT, _LIST = 8, 9
_MOST_TENSORS = 100_000
_MOST_VALUES = 10_000_000


class GgufError(ValueError):
    """The file is not GGUF, is cut short, or uses what is not read here; the message names the file."""


@dataclass(frozen=True, slots=True)
class _Tensor:
    shape: tuple[int, ...]  # slowest first, as NumPy has it; the file has it the other way round
    kind: int
    start: int


class Gguf:
    """One file: its key-values in `values`, its tensors by name. The file is mapped, not read."""

    def __init__(self, path: Path) -> None:
        """Raises GgufError where `path` cannot be read."""
        self._path = path
        try:
            self._data: Bytes = np.memmap(path, np.uint8, "r")
            self.values, self._tensors = _Header(self._data).read()
        except (OSError, ValueError, struct.error, UnicodeDecodeError, OverflowError) as error:
            raise GgufError(f"{path} cannot be read as GGUF: {error}; fetch it again") from error

    @property
    def names(self) -> Sequence[str]:
        """The names of all tensors, in the file's order."""
        return list(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor, slowest dimension first. Raises GgufError where there is none of this name."""
        return self._tensor(name).shape

    def tensor(self, name: str, rows: Sequence[int] | None = None) -> Floats:
        """The tensor as float32; of a matrix only `rows`, where named. Raises GgufError."""
        tensor = self._tensor(name)
        if tensor.kind not in _KINDS:
            raise GgufError(f"{self._path}: {name} is of type {tensor.kind}, which is not read here")
        kind = _KINDS[tensor.kind]
        width = tensor.shape[-1]
        if width % kind.values:
            raise GgufError(f"{self._path}: rows of {name} are {width} long, no multiple of {kind.values}")
        row = width // kind.values * kind.bytes
        count = math.prod(tensor.shape[:-1])
        end = tensor.start + count * row
        if end > len(self._data):
            raise GgufError(f"{self._path}: {name} reaches beyond the end of the file; fetch it again")
        raw = self._data[tensor.start : end].reshape(count, row)
        if rows is None:
            return kind.values_of(raw.reshape(-1, kind.bytes)).reshape(tensor.shape)
        if rows and not 0 <= min(rows) <= max(rows) < count:
            raise GgufError(f"{self._path}: {name} has rows 0 to {count - 1}, asked were {min(rows)} to {max(rows)}")
        taken = raw[np.asarray(rows, np.int64)]
        return kind.values_of(taken.reshape(-1, kind.bytes)).reshape(len(rows), width)

    def _tensor(self, name: str) -> _Tensor:
        if name not in self._tensors:
            raise GgufError(f"{self._path} has no tensor {name}")
        return self._tensors[name]


class _Header:
    """Walks the file's head: counts, key-values, tensor list."""

    def __init__(self, data: Bytes) -> None:
        self._raw: memoryview[int] = data.data
        self._at = 0

    def read(self) -> tuple[Mapping[str, Value], Mapping[str, _Tensor]]:
        if bytes(self._raw[:4]) != b"GGUF":
            raise ValueError("it does not begin with GGUF")
        self._at = 4
        version = self._number("<I")
        if version != 3:
            raise ValueError(f"it is of version {version}; version 3 is read here")
        tensors, values = self._count(_MOST_TENSORS), self._count(_MOST_TENSORS)
        found: dict[str, Value] = {}
        for _ in range(values):
            key = self._text()
            found[key] = self._value(self._number("<I"))
        places = [self._place() for _ in range(tensors)]
        grain = found.get("general.alignment", 32)
        if not isinstance(grain, int) or grain < 1:
            raise ValueError("general.alignment is no positive whole number")
        start = -(-self._at // grain) * grain
        return found, {name: _Tensor(shape, kind, start + offset) for name, shape, kind, offset in places}

    def _place(self) -> tuple[str, tuple[int, ...], int, int]:
        name = self._text()
        dimensions = self._number("<I")
        if not 1 <= dimensions <= 4:
            raise ValueError(f"tensor {name} has {dimensions} dimensions")
        shape = tuple(self._count(1 << 32) for _ in range(dimensions))
        return name, shape[::-1], self._number("<I"), self._number("<Q")

    def _number(self, form: str) -> int:
        value = struct.unpack_from(form, self._raw, self._at)[0]
        self._at += struct.calcsize(form)
        return int(value)

    def _count(self, most: int) -> int:
        count = self._number("<Q")
        if count > most:
            raise ValueError(f"it counts {count} where {most} is the most")
        return count

    def _text(self) -> str:
        length = self._number("<Q")
        if length > len(self._raw) - self._at:
            raise ValueError("a text reaches beyond its end")
        self._at += length
        return str(self._raw[self._at - length : self._at], "utf-8")

    def _value(self, kind: int, depth: int = 0) -> Value:
        if kind == _TEXT:
            return self._text()
        if kind in _SCALARS:
            form = _SCALARS[kind]
            value: bool | int | float = struct.unpack_from(form, self._raw, self._at)[0]
            self._at += struct.calcsize(form)
            return value
        if kind != _LIST or depth > 2:
            raise ValueError(f"a value is of type {kind}")
        inner, count = self._number("<I"), self._count(_MOST_VALUES)
        if inner in _SCALARS:
            form = f"<{count}{_SCALARS[inner][1]}"
            values = struct.unpack_from(form, self._raw, self._at)
            self._at += struct.calcsize(form)
            return values
        return [self._value(inner, depth + 1) for _ in range(count)]


# --- quantised blocks to numbers: each function takes [blocks, bytes] and gives [blocks, values] ----------------------


@dataclass(frozen=True, slots=True)
class _Kind:
    values: int
    bytes: int
    values_of: Callable[[Bytes], Floats]


def _halves(raw: Bytes) -> Floats:
    return np.ascontiguousarray(raw).view(np.float16).astype(np.float32)


def _f32(raw: Bytes) -> Floats:
    return raw.copy().view(np.float32)


def _q8_0(raw: Bytes) -> Floats:
    """A scale and 32 signed bytes."""
    return _halves(raw[:, :2]) * raw[:, 2:].view(np.int8)


def _q5_0(raw: Bytes) -> Floats:
    """A scale, the fifth bits of 32 values, then their low four bits: values 0-15 low nibbles, 16-31 high nibbles."""
    fifth = np.unpackbits(raw[:, 2:6], axis=1, bitorder="little")
    low = np.concatenate([raw[:, 6:] & 15, raw[:, 6:] >> 4], axis=1)
    out: Floats = _halves(raw[:, :2]) * ((low | fifth << 4).astype(np.int8) - 16)
    return out


def _q4_k(raw: Bytes) -> Floats:
    """Scale and minimum of 256 values, eight 6-bit pairs of both for its 32-value parts, then the nibbles."""
    packed = raw[:, 4:16]
    first, second, third = packed[:, :4], packed[:, 4:8], packed[:, 8:]
    scale = np.concatenate([first & 63, third & 15 | first >> 6 << 4], axis=1)
    least = np.concatenate([second & 63, third >> 4 | second >> 6 << 4], axis=1)
    nibbles = raw[:, 16:].reshape(-1, 4, 1, 32)
    values = np.concatenate([nibbles & 15, nibbles >> 4], axis=2).reshape(-1, 8, 32)
    scales, leasts = _halves(raw[:, :2]) * scale, _halves(raw[:, 2:4]) * least
    out: Floats = (scales[:, :, None] * values - leasts[:, :, None]).reshape(-1, 256)
    return out


def _q6_k(raw: Bytes) -> Floats:
    """Low nibbles of 256 values, their two high bits, sixteen signed scales of 16 values each, a scale for all."""
    low = raw[:, :128].reshape(-1, 2, 1, 64)
    low = np.concatenate([low & 15, low >> 4], axis=2).reshape(-1, 2, 4, 32)
    high = raw[:, 128:192].reshape(-1, 2, 1, 32) >> np.array([0, 2, 4, 6], np.uint8).reshape(1, 1, 4, 1) & 3
    values = ((low | high << 4).astype(np.int8) - 32).reshape(-1, 16, 16)
    scales = _halves(raw[:, 208:210]) * raw[:, 192:208].view(np.int8)
    out: Floats = (scales[:, :, None] * values).reshape(-1, 256)
    return out


_KINDS = {
    0: _Kind(1, 4, _f32),
    1: _Kind(1, 2, _halves),
    6: _Kind(32, 22, _q5_0),
    8: _Kind(32, 34, _q8_0),
    12: _Kind(256, 144, _q4_k),
    14: _Kind(256, 210, _q6_k),
}

"""Reads safetensors files: named arrays behind a JSON header. Writes none, and runs no code that a file could carry.

Format: 8 bytes of header length (little endian), the header, the data; github.com/huggingface/safetensors.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TypeGuard

import numpy as np
import numpy.typing as npt

_TYPES: dict[str, np.dtype[np.generic]] = {
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "I8": np.dtype("i1"),
    "I32": np.dtype("<i4"),
}
_LONGEST_HEADER = 10_000_000


class SafetensorsError(ValueError):
    """The file is not what it should be; the message names it."""


def read_tensors(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    """Every tensor of float32, float16, int8 or int32 by name. Raises SafetensorsError."""
    try:
        raw = np.fromfile(path, np.uint8)  # not mapped: a file cut short later would end the process
        length = int.from_bytes(raw[:8].tobytes(), "little")
        if length > min(len(raw) - 8, _LONGEST_HEADER):
            raise ValueError("it is cut short")
        header = json.loads(raw[8 : 8 + length].tobytes())
        data = raw[8 + length :]
        if not isinstance(header, dict):
            raise ValueError("its header is no table")
        return {
            name: _tensor(data, name, entry)
            for name, entry in header.items()
            if name != "__metadata__" and entry["dtype"] in _TYPES
        }
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise SafetensorsError(f"{path} cannot be read as safetensors: {error}") from error


def _tensor(data: npt.NDArray[np.uint8], name: str, entry: dict[str, object]) -> npt.NDArray[np.generic]:
    offsets, shape, kind = entry["data_offsets"], entry["shape"], _TYPES[str(entry["dtype"])]
    if not _counts(offsets) or not _counts(shape) or len(offsets) != 2:
        raise ValueError(f"{name} has offsets {offsets!r} and shape {shape!r}")
    start, end = offsets
    if not start <= end <= len(data) or end - start != math.prod(shape) * kind.itemsize:
        raise ValueError(f"{name} is of shape {shape}, but bytes {start} to {end} are its own")
    return data[start:end].view(kind).reshape(shape)


def _counts(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(isinstance(item, int) and item >= 0 for item in value)

"""Reading a model's options, as they come from settings, into its dataclass of defaults.

A group of options is a dataclass within it: given as a table, `turns: {ask_ms: 4000}`, or dotted, `turns.ask_ms`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar, cast

from offhook.speech.contract import Json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Options = TypeVar("Options", bound="DataclassInstance")


def read_options(model: str, defaults: Options, options: Mapping[str, Json]) -> Options:
    """`defaults` with what `options` sets; lists of names may be text parted by commas. Raises ValueError naming the
    option of `model` ("the cascade") that is wrong."""
    return _read(model, defaults, options, "")


def _read(model: str, defaults: Options, options: Mapping[str, object], prefix: str) -> Options:
    tables: dict[str, dict[str, object]] = {}
    values: dict[str, object] = {}
    for name, value in options.items():
        table, dot, rest = name.partition(".")
        default = getattr(defaults, table, None)
        if not dataclasses.is_dataclass(default):
            values[name] = _checked(model, prefix + name, getattr(defaults, name, None), value)
        elif dot:
            tables.setdefault(table, {})[rest] = value
        elif isinstance(value, Mapping):
            tables.setdefault(table, {}).update(value)
        else:
            raise ValueError(f"{model}'s option {prefix}{table} must be a table")
    for table, inside in tables.items():
        group = cast("DataclassInstance", getattr(defaults, table))
        values[table] = _read(model, group, inside, f"{prefix}{table}.")
    return dataclasses.replace(defaults, **values)


def _checked(model: str, name: str, default: object, value: object) -> object:
    """`value` where it is of the default's type."""
    if isinstance(default, tuple):
        if isinstance(value, str):
            value = value.split(",")
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"{model}'s option {name} must be a list of names")
        return tuple(str(each).strip() for each in value)
    if not isinstance(default, (int, float, str)):
        raise ValueError(f"{model} has no option {name}")
    if isinstance(default, float) and isinstance(value, int):
        value = float(value)
    if type(value) is not type(default) or (not isinstance(value, str) and not 0 <= cast(float, value) < math.inf):
        raise ValueError(f"{model}'s option {name} is {value!r}; it must be like {default!r}")
    return value

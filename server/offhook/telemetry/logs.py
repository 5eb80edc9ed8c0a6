"""Logging: one line a state change, as `key=value` for people or JSON for machines, with secrets masked.

`configure` once, in each process; then `structlog.get_logger()` anywhere, and `on_call(call_id)` around what is done
for a call, so that the ID is in each of its lines. What libraries log through the standard library comes out the same
way. A caller can put what they like into a SIP header, so values are escaped: one event stays one line, and nothing
reaches the terminal as a control sequence.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import AbstractContextManager
from typing import Any, TextIO

import structlog
from structlog.contextvars import bound_contextvars
from structlog.stdlib import ProcessorFormatter

MASK = "***"

MAX_VALUE = 2_000
"""Characters of one value on a terminal's line."""

MAX_TEXT = 20_000
"""Characters of one value that are looked at, and that a JSON line carries."""

_SECRET_NAME = re.compile(
    r"(^|[_-])(authorization|password|passwd|passphrase|secret|token|apikey|api[_-]key|access[_-]key|private[_-]key|"
    r"credential|credentials|cookie|ha1|session[_-]key)$",
    re.IGNORECASE,
)

_SECRET_TEXT = (
    # A header with its scheme: everything to the line's end, for a digest's parts are secrets together.
    re.compile(r"((?:proxy-)?authorization\s*[:=]\s*)[^\r\n]+", re.IGNORECASE),
    re.compile(r"(\b(?:bearer|basic)\s+)[A-Za-z0-9+/._~=-]{6,}", re.IGNORECASE),
    # name=value and "name": "value", in queries, headers and JSON.
    re.compile(
        r"""(\b[\w-]{0,40}(?:password|passwd|secret|token|api[_-]?key)["']?\s*[:=]\s*)("[^"]*"|'[^']*'|[^\s&,;"'}]+)""",
        re.IGNORECASE,
    ),
    # user:password@ of an address.
    re.compile(r"(\b[a-z][a-z0-9+.-]{0,20}:(?://)?[^\s:/@]{1,64}:)[^\s@/]{1,128}(?=@)", re.IGNORECASE),
)

# As structlog types what passes between its processors.
EventDict = MutableMapping[str, Any]


def configure(level: str = "info", *, as_json: bool | None = None, stream: TextIO | None = None) -> None:
    """Set logging up for this process: `level` and above, to `stream` (standard error where None).

    JSON where `as_json`, or where it is None and $OFFHOOK_LOG is `json`. May be called again; the last call holds.
    Raises ValueError with a sentence for an unknown level."""
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ValueError(f"{level!r} is no log level: use debug, info, warning or error")
    if as_json is None:
        as_json = os.environ.get("OFFHOOK_LOG", "").lower() == "json"
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_logger_name,
            *shared,
            ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    formatter = ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
        processors=[
            ProcessorFormatter.remove_processors_meta,
            mask_secrets,
            json_line if as_json else key_value_line,
        ],
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    # These say at `info` what is news to nobody but their own developers.
    for chatty in (
        "httpx",
        "httpcore",
        "alembic",
        "uvicorn",
        "uvicorn.access",
        "faster_whisper",
        "asyncio",
        "websockets",
    ):
        logging.getLogger(chatty).setLevel(max(number, logging.WARNING))


def on_call(call_id: str) -> AbstractContextManager[object]:
    """Within the block, and in the tasks begun there, each line carries the call's ID as `call`."""
    return bound_contextvars(call=call_id)


def mask_secrets(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Mask values whose name says they are secret, and secrets within texts."""
    return {name: MASK if _SECRET_NAME.search(str(name)) else _masked(value) for name, value in event.items()}


def key_value_line(_logger: object, _method: str, event: EventDict) -> str:
    """`2026-05-01T09:00:00.000Z info  call answered  call=k3f codec=ulaw`; a traceback follows on lines of its own."""
    at = str(event.pop("timestamp", ""))
    level = str(event.pop("level", ""))
    what = _printable(event.pop("event", ""), quote=False)
    exception = event.pop("exception", None)
    stack = event.pop("stack", None)
    event.pop("logger", None)
    call = {"call": event.pop("call")} if "call" in event else {}
    pairs = " ".join(f"{_printable(name)}={_printable(value)}" for name, value in {**call, **event}.items())
    line = f"{at} {level:7} {what}{'  ' + pairs if pairs else ''}"
    for trace in (exception, stack):
        if trace:
            shown = (_printable(row, quote=False) for row in str(trace).splitlines())
            line += "\n" + "\n".join(f"    {row}" for row in shown)
    return line


def json_line(_logger: object, _method: str, event: EventDict) -> str:
    """The event as one JSON object a line, ASCII."""
    first = {name: event.pop(name) for name in ("timestamp", "level", "event", "call") if name in event}
    return json.dumps({**first, **event}, default=str)


def _masked(value: object, depth: int = 0) -> object:
    if isinstance(value, str):
        text = value if len(value) <= MAX_TEXT else value[:MAX_TEXT] + "…"
        for pattern in _SECRET_TEXT:
            text = pattern.sub(rf"\g<1>{MASK}", text)
        return text
    if depth < 6 and isinstance(value, Mapping):
        return {
            name: MASK if _SECRET_NAME.search(str(name)) else _masked(inner, depth + 1) for name, inner in value.items()
        }
    if depth < 6 and isinstance(value, list | tuple):
        return [_masked(inner, depth + 1) for inner in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _masked(str(value), depth)


def _printable(value: object, *, quote: bool = True) -> str:
    """As text on a terminal's line: quoted where it could be read as something else."""
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    if len(text) > MAX_VALUE:
        text = text[:MAX_VALUE] + "…"
    if not text.isprintable():
        escaped = json.dumps(text)
        return escaped if quote else escaped[1:-1]
    if quote and isinstance(value, str) and (not text or any(mark in text for mark in ' "=')):
        return json.dumps(text, ensure_ascii=False)
    return text

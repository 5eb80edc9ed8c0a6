"""What the far end says: one message of JSON as a typed event, the GA and the older beta names alike.

The message is a stranger's. What is not known is passed over; what is known and not of its shape is a `NotProtocol`
with a sentence that says where. Nothing is acted upon here.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

LONGEST_ID = 128
LONGEST_TEXT = 20_000
LONGEST_ARGUMENTS = 64 * 1024
MOST_ITEMS = 64


class NotProtocol(Exception):
    """A message that is none of this protocol's; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class SessionReady:
    """`session.created` (`updated` False), `session.updated`."""

    updated: bool


@dataclass(frozen=True, slots=True)
class SpeechBegan:
    """`input_audio_buffer.speech_started`: `at_ms` of the sound sent on this connection."""

    item: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class SpeechOver:
    """`input_audio_buffer.speech_stopped`."""

    item: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Committed:
    """`input_audio_buffer.committed`: the turn is an item of the conversation now."""

    item: str


@dataclass(frozen=True, slots=True)
class Transcribed:
    """`conversation.item.input_audio_transcription.delta` and `.completed`: the caller's words; `text` is what is new
    where not `whole`. `.failed` is a whole one without words."""

    item: str
    text: str
    whole: bool


@dataclass(frozen=True, slots=True)
class AnswerBegan:
    """`response.created`."""

    response: str


@dataclass(frozen=True, slots=True)
class Sound:
    """`response.output_audio.delta`, `response.audio.delta`."""

    response: str
    item: str
    octets: bytes


@dataclass(frozen=True, slots=True)
class SoundOver:
    """`response.output_audio.done`, `response.audio.done`."""

    response: str
    item: str


@dataclass(frozen=True, slots=True)
class Words:
    """`response.output_audio_transcript.delta` and `.done` (and the beta's): the agent's words; `text` is what is new
    where not `whole`."""

    response: str
    item: str
    text: str
    whole: bool


@dataclass(frozen=True, slots=True)
class Called:
    """A function call, whole: of `response.function_call_arguments.done`, `response.output_item.done` or
    `response.done`, which all tell of the same one."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class CallMade:
    """See `Called`; `name` is empty where only a later message has it."""

    response: str
    call: Called


@dataclass(frozen=True, slots=True)
class AnswerOver:
    """`response.done`; `status` is `completed`, `cancelled`, `incomplete` or `failed`, with `why`."""

    response: str
    status: str
    why: str
    calls: tuple[Called, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """`rate_limits.updated`: the least share (0..1) left of any limit."""

    left: float


@dataclass(frozen=True, slots=True)
class Retrieved:
    """`conversation.item.retrieved`: an item of the caller's as the far end has it, with its words, if it has any."""

    item: str
    text: str


@dataclass(frozen=True, slots=True)
class Complaint:
    """`error`."""

    kind: str
    code: str
    message: str


Incoming = (
    SessionReady
    | SpeechBegan
    | SpeechOver
    | Committed
    | Transcribed
    | AnswerBegan
    | Sound
    | SoundOver
    | Words
    | CallMade
    | AnswerOver
    | Limits
    | Retrieved
    | Complaint
)

_Object = Mapping[str, object]


def understood(message: str | bytes) -> Incoming | None:
    """The event in `message`; None for one that means nothing here. Raises NotProtocol."""
    if isinstance(message, bytes):
        raise NotProtocol("it sent a binary message; this protocol has only text")
    try:
        raw = json.loads(message)
    except (ValueError, RecursionError):
        raise NotProtocol("it sent a message that is not JSON") from None
    if not isinstance(raw, dict):
        raise NotProtocol("it sent JSON that is not an object")
    kind = _text(raw, "type", "a message", LONGEST_ID)
    read = _KINDS.get(kind)
    return read(raw, kind) if read is not None else None


# --- fields


def _text(raw: _Object, name: str, where: str, limit: int, default: str | None = None) -> str:
    value = raw.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise NotProtocol(f"`{name}` of {where} is {_kind(value)}, not a text")
    if len(value) > limit:
        raise NotProtocol(f"`{name}` of {where} is {len(value)} characters long, over the limit of {limit}")
    return value


def _ms(raw: _Object, name: str, where: str) -> int:
    value = raw.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise NotProtocol(f"`{name}` of {where} is no time in milliseconds")
    return int(value)


def _object(raw: _Object, name: str, where: str) -> _Object:
    value = raw.get(name)
    if not isinstance(value, dict):
        raise NotProtocol(f"`{name}` of {where} is {_kind(value)}, not an object")
    return value


def _kind(value: object) -> str:
    if value is None:
        return "missing"
    return {bool: "a flag", int: "a number", float: "a number", str: "a text", list: "a list"}.get(
        type(value), "an object"
    )


def _id(raw: _Object, name: str, where: str) -> str:
    return _text(raw, name, where, LONGEST_ID, default="")


# --- kinds


def _sound(raw: _Object, kind: str) -> Incoming:
    coded = raw.get("delta")
    if not isinstance(coded, str):
        raise NotProtocol(f"`delta` of {kind} is {_kind(coded)}, not a text")
    try:
        octets = base64.b64decode(coded, validate=True)
    except (binascii.Error, ValueError):
        raise NotProtocol(f"`delta` of {kind} is not base64") from None
    return Sound(_id(raw, "response_id", kind), _id(raw, "item_id", kind), octets)


def _words(raw: _Object, kind: str) -> Incoming:
    whole = kind.endswith(".done")
    text = _text(raw, "transcript" if whole else "delta", kind, LONGEST_TEXT)
    return Words(_id(raw, "response_id", kind), _id(raw, "item_id", kind), text, whole)


def _transcribed(raw: _Object, kind: str) -> Incoming:
    item = _id(raw, "item_id", kind)
    if kind.endswith(".failed"):
        return Transcribed(item, "", True)
    whole = kind.endswith(".completed")
    return Transcribed(item, _text(raw, "transcript" if whole else "delta", kind, LONGEST_TEXT, default=""), whole)


def _retrieved(raw: _Object, kind: str) -> Incoming:
    item = _object(raw, "item", kind)
    parts = item.get("content") or []
    if not isinstance(parts, list) or len(parts) > MOST_ITEMS:
        raise NotProtocol(f"`content` of {kind} is no list of at most {MOST_ITEMS} parts")
    said = [part.get("transcript") for part in parts if isinstance(part, dict)]
    text = " ".join(words for words in said if isinstance(words, str))
    return Retrieved(_id(item, "id", kind), text[:LONGEST_TEXT])


def _call(raw: _Object, where: str) -> Called:
    id = _text(raw, "call_id", where, LONGEST_ID)
    name = _text(raw, "name", where, LONGEST_ID, default="")
    return Called(id, name, _text(raw, "arguments", where, LONGEST_ARGUMENTS, default=""))


def _arguments(raw: _Object, kind: str) -> Incoming:
    return CallMade(_id(raw, "response_id", kind), _call(raw, kind))


def _item_over(raw: _Object, kind: str) -> Incoming | None:
    item = _object(raw, "item", kind)
    if item.get("type") != "function_call":
        return None
    return CallMade(_id(raw, "response_id", kind), _call(item, f"`item` of {kind}"))


def _answer_over(raw: _Object, kind: str) -> Incoming:
    response = _object(raw, "response", kind)
    status = _text(response, "status", kind, LONGEST_ID, default="completed")
    output = response.get("output") or []
    if not isinstance(output, list) or len(output) > MOST_ITEMS:
        raise NotProtocol(f"`output` of {kind} is no list of at most {MOST_ITEMS} items")
    calls = []
    for item in output:
        if not isinstance(item, dict):
            raise NotProtocol(f"an item of `output` of {kind} is {_kind(item)}, not an object")
        if item.get("type") == "function_call" and item.get("status", "completed") == "completed":
            calls.append(_call(item, f"an item of {kind}"))
    return AnswerOver(_id(response, "id", kind), status, _why(response), tuple(calls))


def _why(response: _Object) -> str:
    """The reason in `status_details`, which is for people: whatever shape it has, it makes no fault."""
    details = response.get("status_details")
    if not isinstance(details, dict):
        return ""
    error = details.get("error")
    told = [error.get("code"), error.get("message")] if isinstance(error, dict) else [details.get("reason")]
    return ": ".join(part for part in told if isinstance(part, str))[:500]


def _limits(raw: _Object, kind: str) -> Incoming:
    limits = raw.get("rate_limits")
    if not isinstance(limits, list):
        raise NotProtocol(f"`rate_limits` of {kind} is {_kind(limits)}, not a list")
    left = 1.0
    for one in limits[:MOST_ITEMS]:
        most, remaining = (one.get("limit"), one.get("remaining")) if isinstance(one, dict) else (None, None)
        if isinstance(most, int | float) and isinstance(remaining, int | float) and most > 0:
            with contextlib.suppress(OverflowError):  # whole numbers of JSON may be longer than any share
                left = min(left, max(0.0, remaining / most))
    return Limits(left)


def _complaint(raw: _Object, kind: str) -> Incoming:
    error = raw.get("error")
    if not isinstance(error, dict):
        return Complaint("", "", str(error)[:500])
    parts = [str(error.get(name) or "")[:500] for name in ("type", "code", "message")]
    return Complaint(*parts)


_KINDS: Mapping[str, Callable[[_Object, str], Incoming | None]] = {
    "session.created": lambda raw, kind: SessionReady(False),
    "session.updated": lambda raw, kind: SessionReady(True),
    "input_audio_buffer.speech_started": lambda raw, kind: SpeechBegan(
        _id(raw, "item_id", kind), _ms(raw, "audio_start_ms", kind)
    ),
    "input_audio_buffer.speech_stopped": lambda raw, kind: SpeechOver(
        _id(raw, "item_id", kind), _ms(raw, "audio_end_ms", kind)
    ),
    "input_audio_buffer.committed": lambda raw, kind: Committed(_id(raw, "item_id", kind)),
    "conversation.item.input_audio_transcription.delta": _transcribed,
    "conversation.item.input_audio_transcription.completed": _transcribed,
    "conversation.item.input_audio_transcription.failed": _transcribed,
    "conversation.item.retrieved": _retrieved,
    "response.created": lambda raw, kind: AnswerBegan(_id(_object(raw, "response", kind), "id", kind)),
    "response.output_audio.delta": _sound,
    "response.audio.delta": _sound,
    "response.output_audio.done": lambda raw, kind: SoundOver(_id(raw, "response_id", kind), _id(raw, "item_id", kind)),
    "response.audio.done": lambda raw, kind: SoundOver(_id(raw, "response_id", kind), _id(raw, "item_id", kind)),
    "response.output_audio_transcript.delta": _words,
    "response.output_audio_transcript.done": _words,
    "response.audio_transcript.delta": _words,
    "response.audio_transcript.done": _words,
    "response.function_call_arguments.done": _arguments,
    "response.output_item.done": _item_over,
    "response.done": _answer_over,
    "rate_limits.updated": _limits,
    "error": _complaint,
}

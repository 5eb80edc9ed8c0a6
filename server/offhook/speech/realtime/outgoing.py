"""What we say to the far end: each message as a line of JSON, in the edition of the protocol that it speaks."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from offhook.speech.contract import Json
from offhook.speech.realtime.briefing import Briefing
from offhook.speech.realtime.codec import Format
from offhook.speech.realtime.options import Dialect, RealtimeOptions, Turns


def session(options: RealtimeOptions, briefing: Briefing, language: str) -> str:
    """`session.update`: who the far end is to be, in what sound, and who takes the turns."""
    tools: list[Json] = [dict(tool) for tool in briefing.tools]
    make = _ga_session if options.dialect is Dialect.GA else _beta_session
    wanted = make(options, language)
    wanted |= {"instructions": briefing.instructions, "tools": tools, "tool_choice": "auto" if tools else "none"}
    return _message("session.update", {"session": wanted})


def sound(octets: bytes) -> str:
    """`input_audio_buffer.append`."""
    return _message("input_audio_buffer.append", {"audio": base64.b64encode(octets).decode("ascii")})


def commit() -> str:
    """`input_audio_buffer.commit`: the caller's turn is over."""
    return _message("input_audio_buffer.commit", {})


def clear() -> str:
    """`input_audio_buffer.clear`: what was heard since the last turn was none."""
    return _message("input_audio_buffer.clear", {})


def answer(instructions: str = "", use_tools: bool = True) -> str:
    """`response.create`; with `instructions` for this one answer only, in place of the session's."""
    wanted: dict[str, Json] = {}
    if instructions:
        wanted["instructions"] = instructions
    if not use_tools:
        wanted["tool_choice"] = "none"
    return _message("response.create", {"response": wanted} if wanted else {})


def cancel(response: str) -> str:
    """`response.cancel`."""
    return _message("response.cancel", {"response_id": response} if response else {})


def truncate(item: str, heard_ms: int) -> str:
    """`conversation.item.truncate`: of this item of the agent's the caller heard `heard_ms`, which is more than 0 and
    at most what was sent; far ends refuse anything else."""
    return _message("conversation.item.truncate", {"item_id": item, "content_index": 0, "audio_end_ms": heard_ms})


def forget(item: str) -> str:
    """`conversation.item.delete`: of this item the caller heard nothing."""
    return _message("conversation.item.delete", {"item_id": item})


def retrieve(item: str) -> str:
    """`conversation.item.retrieve`."""
    return _message("conversation.item.retrieve", {"item_id": item})


def said(options: RealtimeOptions, by: str, text: str) -> str:
    """`conversation.item.create`: words of the `caller`, the `agent`, or of the `house`, which is to be obeyed."""
    role = {"caller": "user", "agent": "assistant", "house": "system"}[by]
    spoken = "output_text" if options.dialect is Dialect.GA else "text"
    content: Json = [{"type": spoken if by == "agent" else "input_text", "text": text}]
    return _item({"type": "message", "role": role, "content": content})


def called(id: str, name: str, arguments: str) -> str:
    """`conversation.item.create`: a function call of an earlier connection."""
    return _item({"type": "function_call", "call_id": id, "name": name, "arguments": arguments})


def result(id: str, output: str) -> str:
    """`conversation.item.create`: what a function call came to."""
    return _item({"type": "function_call_output", "call_id": id, "output": output})


def _ga_session(options: RealtimeOptions, language: str) -> dict[str, Json]:
    output: dict[str, Json] = {"format": _format(options.format)}
    if options.voice:
        output["voice"] = options.voice
    heard: dict[str, Json] = {"format": _format(options.format), "turn_detection": _turns(options)}
    if options.transcribe:
        heard["transcription"] = _transcription(options, language)
    return {"type": "realtime", "output_modalities": ["audio"], "audio": {"input": heard, "output": output}}


def _beta_session(options: RealtimeOptions, language: str) -> dict[str, Json]:
    format = "g711_ulaw" if options.format is Format.PCMU else "pcm16"
    wanted: dict[str, Json] = {
        "modalities": ["text", "audio"],
        "input_audio_format": format,
        "output_audio_format": format,
        "turn_detection": _turns(options),
    }
    if options.voice:
        wanted["voice"] = options.voice
    if options.transcribe:
        wanted["input_audio_transcription"] = _transcription(options, language)
    return wanted


def _format(format: Format) -> Json:
    return {"type": format.value, "rate": format.rate_hz} if format is Format.PCM else {"type": format.value}


def _turns(options: RealtimeOptions) -> Json:
    if options.turns is Turns.LOCAL:
        return None
    wanted: dict[str, Json] = {"type": options.turns.value, "create_response": True, "interrupt_response": True}
    if options.turns is Turns.SEMANTIC:
        return wanted | {"eagerness": options.eagerness}
    return wanted | {"silence_duration_ms": options.silence_ms}


def _transcription(options: RealtimeOptions, language: str) -> Json:
    return {"model": options.transcribe, "language": language.split("-")[0]}


def _item(item: Mapping[str, Json]) -> str:
    return _message("conversation.item.create", {"item": item})


def _message(kind: str, fields: Mapping[str, Json]) -> str:
    return json.dumps({"type": kind, **fields}, separators=(",", ":"))

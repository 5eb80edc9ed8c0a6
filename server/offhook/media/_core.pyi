"""The C extension module `native/python`: thin, positional, spoken to by `core.py` and `port.py` alone.

Ports, prompts and segments are numbers. Every call that the core refuses raises `offhook.media.errors.MediaError`.
"""

from typing import final

ULAW: int
ALAW: int
OPUS: int
HEARD_BY_ALL: int
HEARD_BY_NOBODY: int
HEARD_BY_LINE: int
HEARD_BY_SLOT: int
DIGIT: int
DIGITS_SENT: int
PROMPT_DONE: int
TALK: int
MEDIA_STARTED: int
MEDIA_LOST: int
MEDIA_BACK: int
RECORD_FAILED: int
RECORD_RESUMED: int
RECORD_CLOSED: int
QUALITY: int

RawSide = tuple[float, float, float, float, float, float, float, float, float, float, int]
"""struct oh_quality_side in its order; what is negative is not known."""
RawQuality = tuple[RawSide, RawSide, float, float]
"""heard, reported, round trip, delay: struct oh_quality in its order."""
RawEvent = tuple[int, int, int, int, int, int, str | RawQuality]
"""kind, port, media clock (8 kHz samples), three numbers and a text whose meaning the kind gives; a QUALITY has
figures in place of the text."""

RawDatagram = tuple[int, str, int, bytes, int]
"""port, where from (IP address, port), the datagram, CLOCK_MONOTONIC at its arrival"""

@final
class Core:
    def __init__(self, address: str, low: int, high: int, first: int = 1, step: int = 1, /) -> None: ...
    def fileno(self) -> int: ...
    def events(self) -> list[RawEvent]: ...
    def datagrams(self) -> list[RawDatagram]: ...
    def counters(self) -> tuple[int, int, int, float, float, float, int, int, int, int, int, str]: ...
    def close(self) -> None: ...
    def attach(self, fd: int, /) -> int: ...
    def load_prompt(self, prompt: int, pcm: bytes, rate_hz: int, /) -> None: ...
    def drop_prompt(self, prompt: int, /) -> None: ...
    def open(self) -> tuple[int, int, int]: ...
    def close_port(self, port: int, /) -> None: ...
    def remote(
        self,
        port: int,
        host: str,
        rtp_port: int,
        rtcp_port: int,
        codec: int,
        payload_type: int,
        digits_payload_type: int,
        digits_rate_hz: int,
        packet_ms: int,
        send: bool,
        receive: bool,
        rtcp_mux: bool,
        dtx: bool,
        secure: bool,
        /,
    ) -> None: ...
    def keys(self, port: int, suite: int, send: bytes, receive: bytes, /) -> None: ...
    def forget_keys(self, port: int, /) -> None: ...
    def ice(self, port: int, on: bool, /) -> None: ...
    def select(self, port: int, host: str, rtp_port: int, /) -> None: ...
    def post(self, port: int, host: str, rtp_port: int, data: bytes, /) -> None: ...
    def bind(self, port: int, segment: int, slot: int, /) -> int: ...
    def unbind(self, port: int, /) -> None: ...
    def bridge(self, port: int, other: int, /) -> None: ...
    def leave(self, port: int, /) -> None: ...
    def room(self) -> int: ...
    def close_room(self, room: int, /) -> None: ...
    def enter(self, room: int, port: int, heard: int, by: int, /) -> None: ...
    def heard(self, port: int, heard: int, by: int, /) -> None: ...
    def play(self, port: int, prompt: int, loop: bool, /) -> int: ...
    def stop(self, port: int, /) -> None: ...
    def flush(self, port: int, /) -> int: ...
    def send_digits(self, port: int, digits: str, press_ms: int, /) -> None: ...
    def record(self, port: int, caller: str, agent: str, /) -> None: ...
    def pause(self, port: int, paused: bool, /) -> None: ...
    def stop_recording(self, port: int, /) -> None: ...
    def port_counters(
        self, port: int, /
    ) -> tuple[
        int,
        int,
        int,
        int,
        int,
        int,
        int,
        int,
        float,
        float,
        int,
        int,
        int,
        int,
        float,
        float,
        float,
        float,
        int,
        int,
        int,
        int,
        int,
        int,
        float,
        float,
        float,
        float,
        float,
        float,
    ]: ...

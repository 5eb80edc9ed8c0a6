"""What the engine's tests hold against the media core: a bare RTP telephone on a socket, waiting for conditions, WAV
files as arrays, and a speech worker's half of a slot."""

from __future__ import annotations

import ctypes
import select
import socket
import struct
import time
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self, TypeVar

import numpy as np
import numpy.typing as npt

from offhook.media import MediaCore, MediaEvent, Port, Remote
from offhook.speech.slots import RING_SAMPLES, Segment

Pcm = npt.NDArray[np.int16]
E = TypeVar("E")
PATIENCE_S = 10.0
LOUD = bytes([0x00, 0x80] * 80)
"""20 ms of a full-scale square wave in mu-law."""


def until(condition: Callable[[], bool], limit_s: float = PATIENCE_S) -> None:
    """Wait until it holds; fails the test where it does not in time."""
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)


class Ears:
    """Gathers a core's events, and waits for one of a kind."""

    def __init__(self, core: MediaCore) -> None:
        self._core = core
        self.heard: list[MediaEvent] = []

    def listen(self) -> list[MediaEvent]:
        """All events so far."""
        self.heard += self._core.events()
        return self.heard

    def wait(self, kind: type[E], port: Port, count: int = 1, limit_s: float = PATIENCE_S) -> E:
        """The `count`-th event of this kind on this port; waits on the core's descriptor for it."""
        end = time.monotonic() + limit_s
        while True:
            found = [event for event in self.listen() if isinstance(event, kind) and event.port == port.number]
            if len(found) >= count:
                return found[count - 1]
            left = end - time.monotonic()
            assert left > 0, f"no {kind.__name__} number {count} on {port} in time; heard {self.heard}"
            select.select([self._core.fileno()], [], [], left)


@dataclass(frozen=True)
class Rtp:
    """One packet."""

    payload_type: int
    seq: int
    timestamp: int
    ssrc: int
    marker: bool
    payload: bytes

    def pack(self) -> bytes:
        second = self.payload_type | (0x80 if self.marker else 0)
        return struct.pack("!BBHII", 0x80, second, self.seq, self.timestamp, self.ssrc) + self.payload

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        first, second, seq, timestamp, ssrc = struct.unpack_from("!BBHII", data)
        assert first == 0x80
        return cls(second & 0x7F, seq, timestamp, ssrc, bool(second & 0x80), data[12:])


class Telephone:
    """A UDP socket that speaks RTP by hand."""

    def __init__(self, host: str = "127.0.0.1", ssrc: int = 0x1234) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.address: tuple[str, int] = self.socket.getsockname()
        self.ssrc = ssrc
        self.seq = 65_530  # so that it wraps soon
        self.timestamp = 2**32 - 1_000

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def say(self, to: Port, payload: bytes = b"\xff" * 160, payload_type: int = 0, port: int | None = None) -> None:
        """One packet, in sequence."""
        packet = Rtp(payload_type, self.seq, self.timestamp, self.ssrc, False, payload)
        self.socket.sendto(packet.pack(), (to.address[0], port or to.address[1]))
        self.seq = (self.seq + 1) % 2**16
        self.timestamp = (self.timestamp + len(payload)) % 2**32

    def hear(self, limit_s: float = PATIENCE_S) -> Rtp:
        """The next packet."""
        self.socket.settimeout(limit_s)
        return Rtp.unpack(self.socket.recv(2048))

    def silent_for(self, s: float) -> bool:
        """True where no packet comes in this time."""
        return not select.select([self.socket], [], [], s)[0]

    def drain(self) -> int:
        """Throw away what has come; how many packets that was."""
        n = 0
        while select.select([self.socket], [], [], 0)[0]:
            self.socket.recv(2048)
            n += 1
        return n

    def remote(self, **changes: object) -> Remote:
        """What signalling would say of this telephone."""
        return Remote(self.address, "ulaw", 0, 101, **changes)  # type: ignore[arg-type]


class Opus:
    """libopus by its own functions, at 48 kHz as a browser has it: an encoder and a decoder, mono."""

    RATE_HZ = 48_000
    FRAME = 960
    _VOIP = 2_048
    _SETTINGS: ClassVar = {"bitrate": 4_002, "fec": 4_012, "loss_percent": 4_014, "dtx": 4_016}

    def __init__(self, **settings: int) -> None:
        self._lib = ctypes.CDLL("libopus.so.0")
        self._lib.opus_strerror.restype = ctypes.c_char_p
        self._encoder = self._state("encoder", self.RATE_HZ, 1, self._VOIP)
        self._decoder = self._state("decoder", self.RATE_HZ, 1)
        for name, value in settings.items():
            self._check(
                self._lib.opus_encoder_ctl(self._encoder, ctypes.c_int(self._SETTINGS[name]), ctypes.c_int(value))
            )

    def encode(self, pcm: Pcm) -> bytes:
        """20 ms; where the encoder would send nothing (DTX) that is b""."""
        out = (ctypes.c_ubyte * 1_275)()
        assert len(pcm) == self.FRAME
        n = self._check(self._lib.opus_encode(self._encoder, self._samples(pcm), self.FRAME, out, len(out)))
        return bytes(out[:n]) if n > 2 else b""

    def decode(self, payload: bytes) -> Pcm:
        pcm = np.zeros(6 * self.FRAME, np.int16)
        n = self._lib.opus_decode(self._decoder, payload, len(payload), self._samples(pcm), len(pcm), 0)
        return pcm[: self._check(n)]

    @staticmethod
    def carries_a_copy(payload: bytes) -> bool:
        """Whether a packet of one 20 ms frame brings the one before it once more (RFC 6716 section 4.2.4)."""
        return payload[0] < 128 and bool(payload[1] & 0x40)

    def _state(self, kind: str, *arguments: int) -> ctypes.Array[ctypes.c_char]:
        channels = arguments[1]
        made = ctypes.create_string_buffer(getattr(self._lib, f"opus_{kind}_get_size")(channels))
        self._check(getattr(self._lib, f"opus_{kind}_init")(made, *arguments))
        return made

    @staticmethod
    def _samples(pcm: Pcm) -> ctypes.c_void_p:
        return ctypes.c_void_p(pcm.ctypes.data)

    def _check(self, answer: int) -> int:
        assert answer >= 0, self._lib.opus_strerror(answer)
        return answer


class OpusTelephone(Telephone):
    """A telephone that speaks Opus, as a browser does."""

    PAYLOAD_TYPE = 111

    def __init__(self, **settings: int) -> None:
        super().__init__()
        self.codec = Opus(**settings)

    def speak(self, to: Port, pcm: Pcm, lose: Callable[[int], bool] = lambda n: False, paced: bool = False) -> None:
        """Say what is at 48 kHz: all at once, as if it had been on its way since, or each packet when its time has
        come. Of the packets, those that `lose` names are lost on the way."""
        began = time.monotonic()
        for n in range(len(pcm) // Opus.FRAME):
            if paced:
                time.sleep(max(0.0, began + 0.02 * (n + 1) - time.monotonic()))
            payload = self.codec.encode(np.ascontiguousarray(pcm[n * Opus.FRAME : (n + 1) * Opus.FRAME]))
            packet = Rtp(self.PAYLOAD_TYPE, self.seq, self.timestamp, self.ssrc, False, payload)
            self.timestamp = (self.timestamp + Opus.FRAME) % 2**32
            if not payload:
                continue
            self.seq = (self.seq + 1) % 2**16
            if not lose(n):
                self.socket.sendto(packet.pack(), to.address)

    def remote(self, **changes: object) -> Remote:
        return Remote(self.address, "opus", self.PAYLOAD_TYPE, 101, **changes)  # type: ignore[arg-type]


class Worker:
    """A speech worker's half of one slot."""

    def __init__(self, rows: Segment, slot: int, epoch: int) -> None:
        self.rows, self.slot = rows, slot
        rows.speak_epoch[slot] = epoch

    def speak(self, audio: Pcm, more: bool = False) -> None:
        rows, slot = self.rows, self.slot
        at = int(rows.spoken[slot])
        rows.play[slot, (at + np.arange(len(audio))) % RING_SAMPLES] = audio
        rows.speaking[slot] = 1
        rows.fence()
        rows.spoken[slot] = at + len(audio)
        rows.fence()
        rows.speaking[slot] = int(more)

    def cut(self) -> None:
        self.rows.cut(np.array([self.slot]))

    @property
    def played(self) -> int:
        return int(self.rows.played[self.slot])

    def heard(self) -> Pcm:
        """All that is in the listen ring, up to its size."""
        n = int(self.rows.heard[self.slot])
        at = np.arange(max(0, n - RING_SAMPLES), n) % RING_SAMPLES
        said: Pcm = self.rows.listen[self.slot, at].copy()
        return said


def tone(hz: float, ms: float, rate_hz: int = 16_000, peak: int = 8_000) -> Pcm:
    t = np.arange(int(ms * rate_hz / 1000)) / rate_hz
    return (peak * np.sin(2 * np.pi * hz * t)).astype(np.int16)


def voice(ms: float, rate_hz: int) -> Pcm:
    """Something that a speech coder takes for a voice: harmonics of a wandering pitch, in syllables."""
    t = np.arange(int(ms * rate_hz / 1000)) / rate_hz
    phase = 2 * np.pi * (140 * t - 30 / (2 * np.pi * 0.7) * np.cos(2 * np.pi * 0.7 * t))
    sound = sum(np.sin(k * phase) / k for k in range(1, 13))
    said: Pcm = (4_000 * np.sin(np.pi * 3.1 * t) ** 2 * sound).astype(np.int16)
    return said


def pitch_hz(pcm: Pcm, rate_hz: int) -> float:
    """The strongest frequency."""
    spectrum = np.abs(np.fft.rfft(pcm * np.hanning(len(pcm))))
    return float(np.argmax(spectrum)) * rate_hz / len(pcm)


def level(pcm: Pcm) -> float:
    """RMS."""
    return float(np.sqrt(np.mean(pcm.astype(np.float64) ** 2))) if len(pcm) else 0.0


def loud(pcm: Pcm, above: int = 1_000) -> npt.NDArray[np.intp]:
    """Where it is louder than a line's noise."""
    return np.flatnonzero(np.abs(pcm.astype(np.int32)) > above)


def track(path: Path, rate_hz: int = 8_000) -> Pcm:
    """A WAV file, checked to be what a track is."""
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, rate_hz)
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)

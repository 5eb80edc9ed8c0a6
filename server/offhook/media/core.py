"""The media core as Python sees it: starts its threads, opens ports, holds prompts and slots segments, hands over
events. It knows no call and no event loop: `fileno()` becomes readable when `events()` has something to tell."""

from __future__ import annotations

import ipaddress
from types import TracebackType

import numpy as np
import numpy.typing as npt

from offhook.media import _core
from offhook.media.counters import CoreCounters
from offhook.media.errors import MediaError
from offhook.media.events import (
    Digit,
    DigitsSent,
    MediaBack,
    MediaEvent,
    MediaLost,
    MediaStarted,
    PromptDone,
    RecordClosed,
    RecordFailed,
    RecordResumed,
    Talk,
)
from offhook.media.port import Datagram, Port, Segment
from offhook.media.room import Room
from offhook.media.slots import SlotSegment, check

PROMPT_RATES_HZ = (8_000, 16_000)


class MediaCore:
    """One media core: a thread for all ports' packets, a thread for all their tracks. Also a context manager."""

    def __init__(
        self, address: str = "127.0.0.1", ports: tuple[int, int] = (20_000, 29_999), advertise: str | None = None
    ) -> None:
        """Start the threads.

        `address`: the IPv4 address of this machine to listen on. `ports`: the lowest and highest UDP port to use, two
        for each leg, taken at random. `advertise`: the address to tell far ends where it is another one (behind NAT).
        Raises MediaError where a value makes no sense or a thread cannot be started.
        """
        low, high = ports
        for what, host in (("address", address), ("advertise", advertise)):
            if host is not None and not _is_ipv4(host):
                raise MediaError(f"media core: {what} {host!r} is no IPv4 address: write it as four numbers")
        if not 1_024 <= low < high <= 65_535 or high - low < 1 + (low & 1):
            raise MediaError(f"media core: ports {low} to {high} hold no pair for a leg: give 1024 to 65535")
        self._advertise = advertise or address
        self._core = _core.Core(address, low, high)

    def fileno(self) -> int:
        """A descriptor that is readable while events or datagrams wait, for `loop.add_reader` or `select`."""
        return self._core.fileno()

    def events(self) -> list[MediaEvent]:
        """What has happened since the last call, oldest first; never waits."""
        return [_event(raw) for raw in self._core.events()]

    def datagrams(self) -> list[Datagram]:
        """What has come for the ICE and DTLS agents of ports in their hands (`Port.ice`) since the last call, oldest
        first; never waits. Who has such ports must take them, or `fileno()` stays readable."""
        return [Datagram(port, (host, number), data, at) for port, host, number, data, at in self._core.datagrams()]

    def open(self, label: str = "") -> Port:
        """A new port, which listens at once and says nothing until it has a `remote`. `label` is for people: the
        call's id. Raises MediaError where no pair of UDP ports is free."""
        number, rtp_port, opened_ns = self._core.open()
        return Port(self._core, number, (self._advertise, rtp_port), opened_ns, label)

    def room(self) -> Room:
        """A room with nobody in it."""
        return Room(self._core, self._core.room())

    def attach(self, slots: SlotSegment | int) -> Segment:
        """Map a slots segment, given as such or by its file descriptor (which stays the caller's). It stays mapped
        until `close`. Raises MediaError where it is none, of another layout, or not sealed against shrinking."""
        fd = slots if isinstance(slots, int) else slots.fd
        count = check(fd)
        return Segment(self._core.attach(fd), count)

    def load_prompt(self, pcm: npt.NDArray[np.int16], rate_hz: int) -> int:
        """Keep a sound to be played by any number of ports at once: `pcm` is int16 [n], at 8 or 16 kHz. Answers its
        number. Raises MediaError where it is of another kind, empty, or longer than an hour."""
        if pcm.dtype != np.int16 or pcm.ndim != 1:
            raise MediaError(f"a prompt is a row of 16-bit samples, not {pcm.dtype} of {pcm.ndim} dimensions")
        if rate_hz not in PROMPT_RATES_HZ:
            raise MediaError(f"a prompt of {rate_hz} samples a second cannot be loaded: make it 8000 or 16000")
        if not 0 < pcm.shape[0] <= 3_600 * rate_hz:
            raise MediaError(f"a prompt of {pcm.shape[0]} samples cannot be loaded: it is 1 sample to an hour long")
        return self._core.load_prompt(np.ascontiguousarray(pcm).tobytes(), rate_hz)

    def drop_prompt(self, prompt: int) -> None:
        """Forget a prompt; ports that play it play it to its end. One that is not known is no fault."""
        self._core.drop_prompt(prompt)

    def counters(self) -> CoreCounters:
        """What has been counted so far."""
        return CoreCounters(*self._core.counters())

    def close(self) -> None:
        """Close all ports, finish their tracks, stop the threads; waits for the disk. Closing twice is fine."""
        self._core.close()

    def __enter__(self) -> MediaCore:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _is_ipv4(host: str) -> bool:
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True


def _event(raw: _core.RawEvent) -> MediaEvent:
    kind, port, clock, a, b, c, text = raw
    clock_ms = clock / 8
    if kind == _core.DIGIT:
        return Digit(port, chr(a), b / 8, clock_ms)
    if kind == _core.DIGITS_SENT:
        return DigitsSent(port, clock_ms)
    if kind == _core.PROMPT_DONE:
        return PromptDone(port, a, b / 8, bool(c), clock_ms)
    if kind == _core.TALK:
        return Talk(port, bool(a), clock_ms, b)
    if kind == _core.MEDIA_STARTED:
        return MediaStarted(port, (text, a), clock_ms)
    if kind == _core.MEDIA_LOST:
        return MediaLost(port, clock_ms)
    if kind == _core.MEDIA_BACK:
        return MediaBack(port, clock_ms)
    if kind == _core.RECORD_FAILED:
        return RecordFailed(port, text, clock_ms)
    if kind == _core.RECORD_RESUMED:
        return RecordResumed(port, clock_ms)
    assert kind == _core.RECORD_CLOSED
    return RecordClosed(port, clock_ms)

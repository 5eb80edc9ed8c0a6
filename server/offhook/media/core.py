"""The media core as Python sees it: starts its threads, opens ports, holds prompts and slots segments, hands over
events. It knows no call and no event loop: `fileno()` becomes readable when `events()` has something to tell.

Where it has several threads, each is a core of its own (`native/include/oh_core.h`), with its own sockets, clock, rings
and disk thread; they share nothing, and a port lives its life on one of them."""

from __future__ import annotations

import ipaddress
import itertools
import select
from types import TracebackType

import numpy as np
import numpy.typing as npt

from offhook.media import _core
from offhook.media.counters import CoreCounters, together
from offhook.media.errors import MediaError
from offhook.media.events import (
    Digit,
    DigitsSent,
    Heard,
    MediaBack,
    MediaEvent,
    MediaLost,
    MediaStarted,
    PromptDone,
    Quality,
    RecordClosed,
    RecordFailed,
    RecordResumed,
    Talk,
)
from offhook.media.port import Datagram, Port, Segment, Shard
from offhook.media.room import Room
from offhook.media.slots import SlotSegment, check

PROMPT_RATES_HZ = (8_000, 16_000)
MOST_THREADS = 64


class MediaCore:
    """The media core: threads for ports' packets, and as many for their tracks. Also a context manager."""

    def __init__(
        self,
        address: str = "127.0.0.1",
        ports: tuple[int, int] = (20_000, 29_999),
        advertise: str | None = None,
        threads: int = 1,
    ) -> None:
        """Start the threads.

        `address`: the IPv4 address of this machine to listen on. `ports`: the lowest and highest UDP port to use, two
        for each leg, taken at random. `advertise`: the address to tell far ends where it is another one (behind NAT).
        `threads`: media threads; one is enough for thousands of legs.
        Raises MediaError where a value makes no sense or a thread cannot be started.
        """
        low, high = ports
        for what, host in (("address", address), ("advertise", advertise)):
            if host is not None and not _is_ipv4(host):
                raise MediaError(f"media core: {what} {host!r} is no IPv4 address: write it as four numbers")
        if not 1_024 <= low < high <= 65_535 or high - low < 1 + (low & 1):
            raise MediaError(f"media core: ports {low} to {high} hold no pair for a leg: give 1024 to 65535")
        if not 1 <= threads <= MOST_THREADS:
            raise MediaError(f"media core: {threads} media threads cannot be had: give 1 to {MOST_THREADS}")
        self._advertise = advertise or address
        self._prompts = itertools.count(1)
        self._shards: list[Shard] = []
        self._ready: select.epoll | None = None
        try:
            for index in range(threads):
                self._shards.append(Shard(_core.Core(address, low, high, index + 1, threads)))
        except MediaError:
            self.close()
            raise
        if threads > 1:
            self._ready = select.epoll()
            for shard in self._shards:
                self._ready.register(shard.core.fileno(), select.EPOLLIN)

    def fileno(self) -> int:
        """A descriptor that is readable while events or datagrams wait, for `loop.add_reader` or `select`."""
        return self._shards[0].core.fileno() if self._ready is None else self._ready.fileno()

    def events(self) -> list[MediaEvent]:
        """What has happened since the last call, oldest first on each port; never waits."""
        return [_event(raw) for shard in self._shards for raw in shard.core.events()]

    def datagrams(self) -> list[Datagram]:
        """What has come for the ICE and DTLS agents of ports in their hands (`Port.ice`) since the last call, oldest
        first; never waits. Who has such ports must take them, or `fileno()` stays readable."""
        return [
            Datagram(port, (host, number), data, at)
            for shard in self._shards
            for port, host, number, data, at in shard.core.datagrams()
        ]

    def open(self, label: str = "", beside: Port | None = None) -> Port:
        """A new port, which listens at once and says nothing until it has a `remote`. `label` is for people: the
        call's id. `beside`: another port, which it may have to be bridged to or share a room with. Raises MediaError
        where no pair of UDP ports is free."""
        shard = self._shard(beside)
        number, rtp_port, opened_ns = shard.core.open()
        return Port(shard, number, (self._advertise, rtp_port), opened_ns, label)

    def room(self, beside: Port | None = None) -> Room:
        """A room with nobody in it, for `beside` and ports opened beside it."""
        core = self._shard(beside).core
        return Room(core, core.room())

    def attach(self, slots: SlotSegment | int) -> Segment:
        """Map a slots segment, given as such or by its file descriptor (which stays the caller's). It stays mapped
        until `close`. Raises MediaError where it is none, of another layout, or not sealed against shrinking."""
        fd = slots if isinstance(slots, int) else slots.fd
        count = check(fd)
        # Each core counts its segments for itself, and all are given the same ones.
        (number,) = {shard.core.attach(fd) for shard in self._shards}
        return Segment(number, count)

    def load_prompt(self, pcm: npt.NDArray[np.int16], rate_hz: int) -> int:
        """Keep a sound to be played by any number of ports at once: `pcm` is int16 [n], at 8 or 16 kHz. Answers its
        number. Raises MediaError where it is of another kind, empty, or longer than an hour."""
        if pcm.dtype != np.int16 or pcm.ndim != 1:
            raise MediaError(f"a prompt is a row of 16-bit samples, not {pcm.dtype} of {pcm.ndim} dimensions")
        if rate_hz not in PROMPT_RATES_HZ:
            raise MediaError(f"a prompt of {rate_hz} samples a second cannot be loaded: make it 8000 or 16000")
        if not 0 < pcm.shape[0] <= 3_600 * rate_hz:
            raise MediaError(f"a prompt of {pcm.shape[0]} samples cannot be loaded: it is 1 sample to an hour long")
        prompt, samples = next(self._prompts), np.ascontiguousarray(pcm).tobytes()
        try:
            for shard in self._shards:
                shard.core.load_prompt(prompt, samples, rate_hz)
        except MediaError:
            self.drop_prompt(prompt)
            raise
        return prompt

    def drop_prompt(self, prompt: int) -> None:
        """Forget a prompt; ports that play it play it to its end. One that is not known is no fault."""
        for shard in self._shards:
            shard.core.drop_prompt(prompt)

    def counters(self) -> CoreCounters:
        """What has been counted so far."""
        return together([CoreCounters(*shard.core.counters()) for shard in self._shards])

    def close(self) -> None:
        """Close all ports, finish their tracks, stop the threads; waits for the disk. Closing twice is fine."""
        for shard in self._shards:
            shard.core.close()
        if self._ready is not None:
            self._ready.close()

    def _shard(self, beside: Port | None) -> Shard:
        return beside.shard if beside is not None else min(self._shards, key=lambda shard: shard.ports)

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


def _known(figure: float) -> float | None:
    return None if figure < 0 else figure


def _heard(side: _core.RawSide) -> Heard | None:
    r, mos_lq, mos_cq, lost, discarded, burst_density, burst_ms, jitter_ms, said_mos_lq, said_mos_cq, packets = side
    if packets == 0 or r < 0:
        return None
    return Heard(
        packets,
        r,
        mos_lq,
        _known(mos_cq),
        lost,
        _known(discarded),
        _known(burst_density),
        _known(burst_ms),
        jitter_ms,
        _known(said_mos_lq),
        _known(said_mos_cq),
    )


def _event(raw: _core.RawEvent) -> MediaEvent:
    kind, port, clock, a, b, c, text = raw
    clock_ms = clock / 8
    if not isinstance(text, str):
        heard, reported, rtt_ms, delay_ms = text
        return Quality(port, _heard(heard), _heard(reported), _known(rtt_ms), delay_ms, float(a), clock_ms)
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

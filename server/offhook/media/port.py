"""A leg's end in the media core, as Python sees it: where it listens, whom it talks to, what it plays and records.

A `Port` decides nothing and holds no audio; each method is one command to the core's thread, which carries it out
within microseconds. Methods raise `MediaError` with a sentence once the port is closed, and may be called from any
thread.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import Literal

from offhook.media import _core
from offhook.media.counters import PortCounters
from offhook.media.errors import MediaError

Codec = Literal["ulaw", "alaw", "opus"]
CODECS: dict[Codec, int] = {"ulaw": _core.ULAW, "alaw": _core.ALAW, "opus": _core.OPUS}
PACKET_TIMES_MS = (10, 20, 30, 40, 60)
DIGITS_RATES_HZ = (8_000, 48_000)
DATAGRAM_BYTES = 1_500

Suite = Literal["AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32", "AEAD_AES_128_GCM", "AEAD_AES_256_GCM"]
"""What SRTP is sealed with, by its names in RFC 4568 6.2, RFC 5764 4.1.2 and RFC 7714 14."""
_SUITES = {  # number in oh_srtp.h, bytes of a master key and its salt
    "AES_CM_128_HMAC_SHA1_80": (1, 30),
    "AES_CM_128_HMAC_SHA1_32": (2, 30),
    "AEAD_AES_128_GCM": (3, 28),
    "AEAD_AES_256_GCM": (4, 44),
}


@dataclass(frozen=True, slots=True)
class Remote:
    """The far end as signalling describes it (SDP, RFC 8866, after offer and answer)."""

    address: tuple[str, int]
    """IPv4 address and RTP port. Packets are taken from this IP address whatever their port; from another one only
    after four in sequence of one stream, and only until this one speaks."""
    codec: Codec
    """ulaw and alaw (G.711) carry 8 kHz, opus 16 kHz (RFC 7587; its RTP clock is 48 kHz whatever it carries)."""
    payload_type: int
    """0 for ulaw, 8 for alaw, 96 to 127 for opus, as a rule."""
    digits_payload_type: int | None = None
    """Of telephone-event (RFC 4733); None: none were agreed."""
    packet_ms: int = 20
    """Length of the packets we send: 10, 20, 30 (not in opus), 40 or 60. What comes in may be of any length."""
    send: bool = True
    """False while the far end holds us (it said `sendonly` or `inactive`). Playing waits, and a bound slot hears
    nothing, not even silence; the media clock goes on."""
    receive: bool = True
    """False while we hold the far end."""
    rtcp_mux: bool = False
    """RTCP on the RTP port (RFC 5761)."""
    rtcp_port: int | None = None
    """The far end's RTCP port where it is not the next one (RFC 3605)."""
    digits_rate_hz: int = 8_000
    """The clock agreed for telephone-event: 8000, or 48000 beside opus."""
    dtx: bool = False
    """Opus alone: send next to nothing while nothing is said. Off, because gaps in what leaves make some networks and
    telephones think that the call is over."""
    secure: bool = False
    """SRTP and SRTCP (RFC 3711) with the keys of `Port.keys`, and nothing else: until there are keys nothing is taken,
    and nothing sent, as on hold."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What SRTP is sealed and opened with (RFC 4568, RFC 5764). Its text shows no key."""

    suite: Suite
    send: bytes = field(repr=False)
    """Master key and salt, one behind the other, of what we send: 16 + 14 bytes, with GCM 16 + 12 or 32 + 12. One that
    was replaced must not come back in the same call."""
    receive: bytes = field(repr=False)
    """Likewise of what the far end sends."""


@dataclass(frozen=True, slots=True)
class Datagram:
    """What came to a port's RTP socket and is no media (RFC 7983): STUN from anywhere, DTLS from whom ICE selected."""

    port: int
    """`Port.number`."""
    source: tuple[str, int]
    data: bytes
    arrived_ns: int = 0
    """CLOCK_MONOTONIC, as `time.monotonic_ns` has it."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A slots segment that a core has mapped; what `Port.bind` wants."""

    number: int
    slots: int


@dataclass(slots=True)
class Shard:
    """One media thread and the ports on it."""

    core: _core.Core
    ports: int = 0
    """Open now."""


class Port:
    """One leg's media. Made by `MediaCore.open`; close it when the leg is over."""

    __slots__ = ("_closed", "_opened_ns", "address", "label", "number", "shard")

    number: int
    """This port's number, as events carry it. Never used twice."""
    address: tuple[str, int]
    """Where the far end has to send to: the advertised IP address and the RTP port (even; RTCP is the next one)."""
    label: str

    def __init__(self, shard: Shard, number: int, address: tuple[str, int], opened_ns: int, label: str) -> None:
        shard.ports += 1
        self.shard = shard
        self._closed = False
        self._opened_ns = opened_ns
        self.number = number
        self.address = address
        self.label = label

    def __repr__(self) -> str:
        return f"<Port {self.number} {self.label!r} at {self.address[0]}:{self.address[1]}>"

    @property
    def clock_ms(self) -> float:
        """The media clock: milliseconds since the port opened, on CLOCK_MONOTONIC. Goes on after `close`."""
        return (time.monotonic_ns() - self._opened_ns) / 1e6

    @property
    def opened_ns(self) -> int:
        """CLOCK_MONOTONIC at media clock zero; with it `oh_slot_row.heard_ns` is a place on the media clock."""
        return self._opened_ns

    @property
    def closed(self) -> bool:
        return self._closed

    # --- the far end

    def remote(self, remote: Remote) -> None:
        """Send to this far end from now on, and take packets from it. Signalling spoke anew: what was learned of
        another address is forgotten. Raises MediaError where a value makes no sense."""
        if remote.codec not in CODECS:
            raise self._refused(f"codec {remote.codec!r} is not known: it is 'ulaw', 'alaw' or 'opus'")
        if remote.packet_ms not in PACKET_TIMES_MS:
            raise self._refused(f"a packet of {remote.packet_ms} ms cannot be sent: it is 10, 20, 30, 40 or 60 ms")
        if remote.codec == "opus" and remote.packet_ms == 30:
            raise self._refused("opus has no packets of 30 ms: they are 10, 20, 40 or 60 ms")
        if remote.digits_rate_hz not in DIGITS_RATES_HZ:
            raise self._refused(f"telephone-event has no clock of {remote.digits_rate_hz} Hz here: 8000 or 48000")
        for what, number in (("payload type", remote.payload_type), ("digits", remote.digits_payload_type)):
            if number is not None and not 0 <= number <= 127:
                raise self._refused(f"{what} {number} is no RTP payload type: it is 0 to 127")
        host, rtp_port = remote.address
        rtcp_port = rtp_port + 1 if remote.rtcp_port is None else remote.rtcp_port
        if not 0 < rtp_port < 65_536 or not 0 <= rtcp_port <= 65_536:
            raise self._refused(f"{host}:{rtp_port} is no address to send to: the port is 1 to 65535")
        self._live().remote(
            self.number,
            host,
            rtp_port,
            rtcp_port if rtcp_port < 65_536 else 0,
            CODECS[remote.codec],
            remote.payload_type,
            -1 if remote.digits_payload_type is None else remote.digits_payload_type,
            remote.digits_rate_hz,
            remote.packet_ms,
            remote.send,
            remote.receive,
            remote.rtcp_mux,
            remote.dtx,
            remote.secure,
        )

    def keys(self, keys: Keys | None) -> None:
        """Seal and open with these from now on, where the remote is `secure`; None: forget the keys.

        Keys that are the same as before, in either direction, go on with their counters. Where what the far end sends
        has another key, what is on its way with the one before is taken until a second after the first packet with the
        new one. Our stream gets another SSRC where a new key would leave its roll-over counter in doubt. Raises
        MediaError where a key is not as long as the suite wants it."""
        if keys is None:
            self._live().forget_keys(self.number)
            return
        if keys.suite not in _SUITES:
            raise self._refused(f"suite {keys.suite!r} is not known: it is one of {', '.join(_SUITES)}")
        number, length = _SUITES[keys.suite]
        if len(keys.send) != length or len(keys.receive) != length:
            raise self._refused(f"{keys.suite} wants {length} bytes of key and salt each way")
        self._live().keys(self.number, number, keys.send, keys.receive)

    # --- in the hands of ICE (RFC 8445)

    def ice(self, on: bool) -> None:
        """Let ICE say whom this port talks to (True), or `remote` again (False). `MediaCore.datagrams` then has what
        comes for the agents; media flows once an address is selected, and `Remote.address` says nothing any more. RTCP
        is on the RTP port from then on; after False there are reports only where the remote has `rtcp_mux`."""
        self._live().ice(self.number, on)

    def select(self, address: tuple[str, int] | None) -> None:
        """Send to this address and take media and DTLS from it alone, at once and with the same stream as before; for
        a second media that was on its way from the address before is taken too. None: to and from nobody. Raises
        MediaError where the port is not in the hands of ICE."""
        host, number = address or ("0.0.0.0", 0)
        if address is not None and not 0 < number < 65_536:
            raise self._refused(f"{host}:{number} is no address to select: the port is 1 to 65535")
        self._live().select(self.number, host, number)

    def post(self, data: bytes, address: tuple[str, int]) -> None:
        """Send a datagram of ICE's or DTLS's from the RTP socket, after what was asked of the port before. Does not
        wait, and like any datagram it may be lost. Raises MediaError where it is empty or longer than 1500 bytes."""
        host, number = address
        if not 0 < number < 65_536:
            raise self._refused(f"{host}:{number} is no address to send to: the port is 1 to 65535")
        if not 0 < len(data) <= DATAGRAM_BYTES:
            raise self._refused(f"a datagram of {len(data)} bytes cannot be sent: it is 1 to {DATAGRAM_BYTES}")
        self._live().post(self.number, host, number, data)

    # --- whom it is connected to

    def bind(self, segment: Segment, slot: int) -> int:
        """Connect to a slot of a speech worker: what the far end says goes to the slot's listen ring, what the
        worker writes to its play ring is said. Answers the epoch of this binding, which the worker has to know
        before anything of it is heard. A binding the port had before is undone. Raises MediaError where there is
        no such slot, another port holds it, or the port is in a room that has no place for one voice more."""
        return self._live().bind(self.number, segment.number, slot)

    def unbind(self) -> None:
        """Leave the slot; nothing of it is heard any more. Without a slot this does nothing."""
        self._live().unbind(self.number)

    def bridge(self, other: Port) -> None:
        """Let both far ends hear each other, through playout buffers that adapt to each line. A bridge or room that
        either port was in is left."""
        if other is self:
            raise self._refused("cannot be bridged to itself")
        self.meets(other)
        self._live().bridge(self.number, other.number)

    def unbridge(self) -> None:
        """Undo the bridge, or leave the room; without either this does nothing."""
        self._live().leave(self.number)

    # --- what it says

    def play(self, prompt: int, loop: bool = False) -> int:
        """Play what `MediaCore.load_prompt` answered, from its beginning, over bridge and slot; `PromptDone` follows
        with the number answered here. A prompt that is being played is cut."""
        return self._live().play(self.number, prompt, loop)

    def stop(self) -> None:
        """Cut the prompt that is being played; without one this does nothing."""
        self._live().stop(self.number)

    def flush(self) -> int:
        """Cut what the slot has said and has not been sent, with a fade of 5 ms. Answers the 16 kHz samples of this
        binding that reach the wire, the fade counted: the slot's `played`."""
        return self._live().flush(self.number)

    def send_digits(self, digits: str, press_ms: int = 100) -> None:
        """Press keys (RFC 4733), each `press_ms` long with a pause between; `DigitsSent` follows. Nothing else is
        heard meanwhile. Raises MediaError where the far end agreed to no digits or a key does not exist."""
        wrong = [digit for digit in digits if digit.upper() not in "0123456789*#ABCD"]
        if wrong or not digits:
            raise self._refused(f"cannot press {digits!r}: keys are 0 to 9, *, # and A to D")
        if not 40 <= press_ms <= 5_000:
            raise self._refused(f"cannot press a key for {press_ms} ms: it is 40 to 5000 ms")
        self._live().send_digits(self.number, digits.upper(), press_ms)

    # --- recording

    def record(self, caller: str | os.PathLike[str], agent: str | os.PathLike[str]) -> None:
        """Write two tracks (WAV, mono, 16 bit) while the port lives: what came in, and what went out. Both have the
        rate that the port's codec has now, 8 or 16 kHz, and keep it whatever signalling says later.

        Sample 0 of both is media clock zero, whenever recording starts. A packet's samples end in `caller` where it
        arrived and begin in `agent` where it left, so that the distance between the two is the response time as the
        wire had it. Raises MediaError where a file cannot be made or the port records already."""
        self._live().record(self.number, os.fspath(caller), os.fspath(agent))

    def pause_recording(self) -> None:
        """Leave a hole in both tracks from now on."""
        self._live().pause(self.number, True)

    def resume_recording(self) -> None:
        self._live().pause(self.number, False)

    def stop_recording(self) -> None:
        """Finish both tracks; `RecordClosed` follows when they are on the disk. Without a recording: nothing."""
        self._live().stop_recording(self.number)

    # --- the rest

    def counters(self) -> PortCounters:
        """What has been counted so far."""
        return PortCounters(*self._live().port_counters(self.number))

    def close(self) -> None:
        """Say goodbye (RTCP BYE), finish the tracks, leave slot and bridge. The port's number on the network stays
        taken for a moment, so that late packets reach nobody else. Closing twice is fine."""
        if not self._closed:
            self._closed = True
            self.shard.ports -= 1
            self.shard.core.close_port(self.number)

    def _live(self) -> _core.Core:
        if self._closed:
            raise self._refused("is closed: open another one")
        return self.shard.core

    def meets(self, other: Port) -> None:
        """Raises MediaError where the two cannot hear each other: one is closed, or they are on different threads."""
        self._live()
        if other._live() is not self.shard.core:
            raise self._refused(f"is on another media thread than {other.label}: open one beside the other")

    def _refused(self, what: str) -> MediaError:
        return MediaError(f"port {self.number} ({self.label}): {what}")

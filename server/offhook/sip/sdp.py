"""Session descriptions (RFC 8866) and offer/answer (RFC 3264) for one stream of telephone audio.

PCMU, PCMA, telephone-event and comfort noise; every other stream of an offer is answered with port 0. The parser is
strict where a mistake would send audio to the wrong place, tolerant where phones differ, and bounded everywhere. It
opens no socket: addresses and ports are handed in, and what was agreed is handed out as one frozen fact.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum


class Direction(Enum):
    """RFC 8866 6.7, from the view of whoever says it."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"


@dataclass(frozen=True, slots=True)
class Codec:
    """`name` in capitals as in `CODECS`; `payload_type` 0 to 127."""

    name: str
    payload_type: int


@dataclass(frozen=True, slots=True)
class LocalMedia:
    """What we offer or answer with: where our port listens and what it takes, best first."""

    address: str
    port: int
    codecs: tuple[str, ...] = ("PCMU", "PCMA")
    digits: bool = True
    """Take RFC 4733 telephone events."""
    packet_ms: int = 20
    rtcp_mux: bool = True


@dataclass(frozen=True, slots=True)
class Media:
    """What the peer's description says of its audio stream."""

    address: str
    """IP literal; 0.0.0.0 is the old way to hold."""
    port: int
    rtcp: tuple[str, int]
    """Where it takes RTCP, where that is not multiplexed."""
    codecs: tuple[Codec, ...]
    """The ones we know, in its order of preference."""
    digits: int | None
    """Payload type of telephone-event at 8 kHz, None where it takes none."""
    comfort_noise: int | None
    packet_ms: int
    """The ptime it asks for; 20 where it does not say."""
    max_packet_ms: int | None
    direction: Direction
    """From the peer's view."""
    rtcp_mux: bool


@dataclass(frozen=True, slots=True)
class Agreed:
    """What both sides hold to from now on; all a media port needs to know."""

    codec: Codec
    remote: tuple[str, int]
    """Where our RTP goes: IP literal and port. Port 9 or address 0.0.0.0 never appear where `send` is True."""
    rtcp: tuple[str, int]
    """Where our RTCP goes; equals `remote` where multiplexed."""
    rtcp_mux: bool
    digits: int | None
    comfort_noise: int | None
    packet_ms: int
    """Audio per packet that we are to send: 10, 20, 30, 40 or 60."""
    send: bool
    """The peer wants to hear us; False while it holds us."""
    receive: bool
    """We want to hear the peer."""


class NotAcceptable(ValueError):
    """A description that is broken or holds no audio we can take; the text says which."""


MAX_LENGTH = 16_384
MAX_LINES = 400
MAX_STREAMS = 16
MAX_FORMATS = 64
STATIC = {0: ("PCMU", 8000), 8: ("PCMA", 8000), 13: ("CN", 8000)}
"""RFC 3551 6: what these numbers mean where no rtpmap says so."""
CODECS = {"PCMU": 0, "PCMA": 8}
DIGITS_TYPE = 101
"""The payload type we propose for telephone-event; an answer takes over the peer's."""
PACKET_MS = (10, 20, 30, 40, 60)

_NUMBER = re.compile(r"[0-9]{1,10}\Z")


@dataclass(slots=True)
class Stream:
    """One m= section."""

    kind: str
    port: int
    protocol: str
    formats: list[str]
    address: str | None = None
    attributes: list[tuple[str, str]] = field(default_factory=list)

    def get(self, name: str) -> str | None:
        return next((value for key, value in self.attributes if key == name), None)


@dataclass(slots=True)
class Description:
    """A parsed session description."""

    origin: str
    """The o= line; the same line twice means that nothing changed."""
    streams: list[Stream]
    attributes: list[tuple[str, str]]
    audio: int
    """Index of the stream that `media` describes."""
    media: Media


def parse(body: bytes) -> Description:
    """Raises NotAcceptable where the text is no session description or has no audio stream we can take."""
    if len(body) > MAX_LENGTH:
        raise NotAcceptable(f"the description is longer than {MAX_LENGTH} bytes")
    lines = body.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    if len(lines) > MAX_LINES:
        raise NotAcceptable(f"the description has more than {MAX_LINES} lines")
    if lines[0].strip() != "v=0":
        raise NotAcceptable("the description does not begin with v=0")
    origin, address = "", None
    attributes: list[tuple[str, str]] = []
    streams: list[Stream] = []
    for line in lines[1:]:
        kind, equals, value = line.partition("=")
        if not line.strip():
            continue
        if not equals or len(kind) != 1:
            raise NotAcceptable(f"{line[:40]!r} is not a line of a description")
        value = value.strip()
        if kind == "o" and not streams:
            origin = value
        elif kind == "m":
            streams.append(_stream(value))
            if len(streams) > MAX_STREAMS:
                raise NotAcceptable(f"the description has more than {MAX_STREAMS} streams")
        elif kind == "c" and streams:
            streams[-1].address = _address(value)
        elif kind == "c":
            address = _address(value)
        elif kind == "a":
            name, _, rest = value.partition(":")
            (streams[-1].attributes if streams else attributes).append((name.strip().lower(), rest.strip()))
    if len(origin.split()) != 6:
        raise NotAcceptable("the description has no usable o= line")
    for index, stream in enumerate(streams):
        media = _media(stream, address, attributes)
        if media is not None:
            return Description(origin, streams, attributes, index, media)
    raise NotAcceptable("the description has no RTP/AVP audio stream in PCMU or PCMA")


def _stream(value: str) -> Stream:
    parts = value.split()
    if len(parts) < 4 or len(parts) > 3 + MAX_FORMATS:
        raise NotAcceptable(f"m={value[:40]} is not a stream")
    port, slash, count = parts[1].partition("/")
    if not _NUMBER.match(port) or int(port) > 65535 or (slash and count != "1"):
        raise NotAcceptable(f"m={value[:40]} has no usable port")
    return Stream(parts[0].lower(), int(port), parts[2].upper(), parts[3:])


def _address(value: str) -> str:
    """The unicast IP literal of a c= line. A host name is refused: whom it means may change between two looks."""
    parts = value.split()
    if len(parts) != 3 or parts[0].upper() != "IN" or parts[1].upper() not in ("IP4", "IP6"):
        raise NotAcceptable(f"c={value[:60]} is not IN IP4 or IN IP6 with an address")
    try:
        address = ipaddress.ip_address(parts[2])
    except ValueError:
        raise NotAcceptable(f"c={value[:60]} is not an IP address") from None
    if address.is_multicast:
        raise NotAcceptable(f"c={value[:60]} is a multicast address")
    return str(address)


def _media(stream: Stream, address: str | None, session: list[tuple[str, str]]) -> Media | None:
    if stream.kind != "audio" or stream.port == 0 or stream.protocol != "RTP/AVP":
        return None
    address = stream.address or address
    if address is None:
        raise NotAcceptable("no c= line says where the audio goes")
    names = _payload_names(stream)
    codecs = tuple(Codec(name, number) for number, (name, rate) in names.items() if name in CODECS and rate == 8000)
    if not codecs:
        return None
    by_name = {name: number for number, (name, rate) in reversed(names.items()) if rate == 8000}
    rtcp = (stream.get("rtcp") or "").split()
    rtcp_port = int(rtcp[0]) if rtcp and _NUMBER.match(rtcp[0]) and 0 < int(rtcp[0]) <= 65535 else stream.port + 1
    rtcp_address = _address(" ".join(rtcp[1:4])) if len(rtcp) >= 4 else address
    return Media(
        address=address,
        port=stream.port,
        rtcp=(rtcp_address, min(rtcp_port, 65535)),
        codecs=codecs,
        digits=by_name.get("TELEPHONE-EVENT"),
        comfort_noise=by_name.get("CN"),
        packet_ms=_milliseconds(stream, "ptime") or 20,
        max_packet_ms=_milliseconds(stream, "maxptime"),
        direction=_direction(stream.attributes) or _direction(session) or Direction.SENDRECV,
        rtcp_mux=stream.get("rtcp-mux") is not None,
    )


def _payload_names(stream: Stream) -> dict[int, tuple[str, int]]:
    """What each format number of the stream means, in the stream's order."""
    mapped: dict[int, tuple[str, int]] = {}
    for key, value in stream.attributes:
        if key != "rtpmap":
            continue
        number, _, encoding = value.partition(" ")
        name, _, rate = encoding.strip().partition("/")
        rate, _, channels = rate.partition("/")
        if _NUMBER.match(number) and _NUMBER.match(rate) and channels in ("", "1"):
            mapped[int(number)] = (name.upper(), int(rate))
    names: dict[int, tuple[str, int]] = {}
    for kind in (int(text) for text in stream.formats if _NUMBER.match(text)):
        meaning = mapped.get(kind) or STATIC.get(kind)
        if kind < 128 and meaning is not None:
            names.setdefault(kind, meaning)
    return names


def _milliseconds(stream: Stream, name: str) -> int | None:
    text = (stream.get(name) or "").partition(".")[0]
    return min(int(text), 200) if _NUMBER.match(text) and int(text) > 0 else None


def _direction(attributes: Sequence[tuple[str, str]]) -> Direction | None:
    return next((Direction(name) for name, _ in attributes if name in Direction._value2member_map_), None)


# --- offer and answer ----------------------------------------------------------------------------------------------


def agree(
    theirs: Media, ours: LocalMedia, hold: bool = False, keep: Agreed | None = None, proposed_mux: bool = True
) -> Agreed:
    """What holds between `theirs` and `ours` (RFC 3264 6.1, 7). `hold`: we do not want to hear the peer now.

    `keep` is what holds now; its codec is kept where it is still possible. `proposed_mux` is False where `theirs`
    answers an offer of ours without rtcp-mux. Raises NotAcceptable where no codec is common."""
    possible = [codec for codec in theirs.codecs if codec.name in ours.codecs]
    if not possible:
        raise NotAcceptable(f"none of {', '.join(codec.name for codec in theirs.codecs)} is taken here")
    codec = next((codec for codec in possible if keep is not None and codec.name == keep.codec.name), possible[0])
    # RFC 3264 8.4: c=0.0.0.0 is how RFC 2543 held a call.
    hears = theirs.direction in (Direction.SENDRECV, Direction.RECVONLY) and not _unspecified(theirs.address)
    talks = theirs.direction in (Direction.SENDRECV, Direction.SENDONLY)
    mux = theirs.rtcp_mux and ours.rtcp_mux and proposed_mux
    remote = (theirs.address, theirs.port)
    return Agreed(
        codec=codec,
        remote=remote,
        rtcp=remote if mux else theirs.rtcp,
        rtcp_mux=mux,
        digits=theirs.digits if ours.digits else None,
        comfort_noise=theirs.comfort_noise,
        packet_ms=_packet_ms(theirs),
        send=hears,
        receive=talks and not hold,
    )


def _packet_ms(theirs: Media) -> int:
    limit = min(theirs.packet_ms, theirs.max_packet_ms or theirs.packet_ms)
    return max((ms for ms in PACKET_MS if ms <= limit), default=PACKET_MS[0])


def _unspecified(address: str) -> bool:
    return ipaddress.ip_address(address).is_unspecified


def direction_of(agreed: Agreed) -> Direction:
    """What was agreed, from our view, as our description says it."""
    if agreed.send:
        return Direction.SENDRECV if agreed.receive else Direction.SENDONLY
    return Direction.RECVONLY if agreed.receive else Direction.INACTIVE


def write_answer(offer: Description, ours: LocalMedia, agreed: Agreed, origin: Origin) -> bytes:
    """Our answer: the agreed codec alone, under the offer's payload types; its other streams refused (RFC 3264 6)."""
    formats = [(agreed.codec.payload_type, f"{agreed.codec.name}/8000")]
    if agreed.comfort_noise is not None:
        formats.append((agreed.comfort_noise, "CN/8000"))
    audio = _audio_lines(ours, formats, agreed.digits, direction_of(agreed), agreed.packet_ms, agreed.rtcp_mux)
    return origin.stamp(ours.address, _in_place(offer, audio))


def write_offer(
    ours: LocalMedia,
    direction: Direction,
    origin: Origin,
    keep: Agreed | None = None,
    before: Description | None = None,
) -> bytes:
    """Our offer. In a call that stands, `keep` puts the codec in use first and keeps its payload types, and the streams
    of the peer's description `before` stay where they are, refused ones too (RFC 3264 8)."""
    names = [name for name in ours.codecs if name in CODECS]
    types = dict(CODECS)
    digits = DIGITS_TYPE
    if keep is not None:
        types[keep.codec.name] = keep.codec.payload_type
        names.sort(key=lambda name: name != keep.codec.name)
        digits = keep.digits if keep.digits is not None else digits
    formats = [(types[name], f"{name}/8000") for name in names]
    audio = _audio_lines(ours, formats, digits if ours.digits else None, direction, ours.packet_ms, ours.rtcp_mux)
    return origin.stamp(ours.address, _in_place(before, audio))


def _in_place(theirs: Description | None, audio: list[str]) -> list[str]:
    """Our audio where their audio stands, all other streams with port 0."""
    if theirs is None:
        return audio
    lines: list[str] = []
    for index, stream in enumerate(theirs.streams):
        refused = f"m={stream.kind} 0 {stream.protocol} {' '.join(stream.formats)}"
        lines += audio if index == theirs.audio else [refused]
    return lines


def _audio_lines(
    ours: LocalMedia,
    formats: list[tuple[int, str]],
    digits: int | None,
    direction: Direction,
    packet_ms: int,
    mux: bool,
) -> list[str]:
    numbers = [number for number, _ in formats] + ([digits] if digits is not None else [])
    lines = [f"m=audio {ours.port} RTP/AVP {' '.join(str(number) for number in numbers)}"]
    lines += [f"a=rtpmap:{number} {encoding}" for number, encoding in formats]
    if digits is not None:
        lines += [f"a=rtpmap:{digits} telephone-event/8000", f"a=fmtp:{digits} 0-15"]
    lines += [f"a=ptime:{packet_ms}", f"a={direction.value}"]
    return [*lines, "a=rtcp-mux"] if mux else lines


@dataclass(slots=True)
class Origin:
    """Our o= line: one session id a call, and a version that grows when the description changes (RFC 3264 8)."""

    session_id: int
    version: int = 0
    _last: tuple[str, ...] = ()

    def stamp(self, address: str, lines: list[str]) -> bytes:
        family = "IP6" if ":" in address else "IP4"
        rest = ("s=-", f"c=IN {family} {address}", "t=0 0", *lines)
        if rest != self._last:
            self.version, self._last = self.version + 1, rest
        head = ("v=0", f"o=- {self.session_id} {self.version} IN {family} {address}")
        return ("\r\n".join((*head, *rest)) + "\r\n").encode()

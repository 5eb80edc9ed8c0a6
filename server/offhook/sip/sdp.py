"""Session descriptions (RFC 8866) read: what the peer's telephone audio is, of SIP phones and of browsers alike.

Opus, PCMU, PCMA, telephone-event and comfort noise; plain, with keys in the description (`sdes`) or by DTLS
(`icedtls`). The parser is strict where a mistake would send audio to the wrong place or in the clear, tolerant where
phones differ, and bounded everywhere; what it does not know it leaves aside. What is answered to it is
`offeranswer`'s. No text of an exception holds what a key might stand in.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from offhook.sip import icedtls, sdes
from offhook.sip.icedtls import Dtls, Ice
from offhook.sip.sdes import Crypto


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

    @property
    def clock_hz(self) -> int:
        """The rate of its RTP clock."""
        return CODECS[self.name].clock_hz


@dataclass(frozen=True, slots=True)
class Encoding:
    """A codec as an rtpmap names it."""

    payload_type: int
    """What we propose; its own where it has one."""
    rtpmap: str
    clock_hz: int
    channels: int


@dataclass(frozen=True, slots=True)
class OpusWishes:
    """How the peer would like Opus sent to it (RFC 7587 6.1). Wishes: what it gets must still be Opus."""

    fec: bool = False
    """It can use in-band error correction."""
    dtx: bool = False
    """It would rather have nothing sent in silence."""
    playback_hz: int = 48_000
    """It plays no more than this; more would be wasted."""
    bitrate: int | None = None
    """Bits a second at most, where it says."""


@dataclass(frozen=True, slots=True)
class Media:
    """What the peer's description says of one audio stream."""

    stream: int
    """Its place in the description, from 0."""
    protocol: str
    """In capitals; one of `PROFILES`."""
    address: str
    """IP literal; 0.0.0.0 is the old way to hold, or, with ICE, says nothing."""
    port: int
    rtcp: tuple[str, int]
    """Where it takes RTCP, where that is not multiplexed."""
    codecs: tuple[Codec, ...]
    """The ones we know, in its order of preference."""
    digits: Mapping[int, int]
    """Payload type of telephone-event by its clock, in hertz; empty where it takes none."""
    comfort_noise: int | None
    """Payload type at 8 kHz."""
    opus: OpusWishes
    packet_ms: int
    """The ptime it asks for; 20 where it does not say."""
    max_packet_ms: int | None
    direction: Direction
    """From the peer's view."""
    rtcp_mux: bool
    crypto: tuple[Crypto, ...] = ()
    """The keys it offers or answers with that we can use, in its order of preference (RFC 4568)."""
    crypto_fault: str = ""
    """What is wrong with the first of its keys that we cannot use."""
    dtls: Dtls | None = None
    ice: Ice | None = None
    mid: str | None = None
    bundled: bool = False
    """It is named in a BUNDLE group (RFC 9143)."""

    @property
    def wants_security(self) -> bool:
        """The profile does not allow plain RTP."""
        return PROFILES[self.protocol]


class NotAcceptable(ValueError):
    """A description that is broken or holds no audio we can take; the text says which."""


MAX_LENGTH = 16_384
MAX_LINES = 400
MAX_STREAMS = 16
MAX_FORMATS = 64
STATIC = {0: ("PCMU", 8000, 1), 8: ("PCMA", 8000, 1), 13: ("CN", 8000, 1)}
"""RFC 3551 6: what these numbers mean where no rtpmap says so."""
CODECS: Mapping[str, Encoding] = {
    "OPUS": Encoding(111, "opus/48000/2", 48_000, 2),  # RFC 7587 4.1: always so, whatever is sent
    "PCMU": Encoding(0, "PCMU/8000", 8_000, 1),
    "PCMA": Encoding(8, "PCMA/8000", 8_000, 1),
}
PROFILES: Mapping[str, bool] = {
    "RTP/AVP": False,
    "RTP/AVPF": False,
    "RTP/SAVP": True,
    "RTP/SAVPF": True,
    "UDP/TLS/RTP/SAVP": True,
    "UDP/TLS/RTP/SAVPF": True,
}
"""The profiles that are taken, and whether they are secure (RFC 3551, 4585, 3711, 5124, 5764)."""

_NUMBER = re.compile(r"[0-9]{1,10}\Z")
_MID = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]{1,32}\Z")
_NAME = re.compile(r"[A-Za-z0-9/.+-]{1,40}\Z")


@dataclass(slots=True)
class Stream:
    """One m= section."""

    kind: str
    port: int
    protocol: str
    formats: list[str]
    address: str | None = None
    attributes: list[tuple[str, str]] = field(default_factory=list, repr=False)

    def get(self, name: str) -> str | None:
        return next((value for key, value in self.attributes if key == name), None)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.attributes if key == name]


@dataclass(slots=True)
class Description:
    """A parsed session description."""

    origin: str
    """The o= line; the same line twice means that nothing changed."""
    streams: list[Stream]
    attributes: list[tuple[str, str]] = field(repr=False)
    audio: tuple[Media, ...]
    """The streams of audio that could be taken, in their order; at least one."""

    @property
    def media(self) -> Media:
        """The first of them."""
        return self.audio[0]


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
    for number, line in enumerate(lines[1:], 2):
        kind, equals, value = line.partition("=")
        if not line.strip():
            continue
        if not equals or len(kind) != 1:
            raise NotAcceptable(f"line {number} is not a line of a description")
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
    found = (_media(index, stream, address, attributes) for index, stream in enumerate(streams))
    audio = tuple(media for media in found if media is not None)
    if not audio:
        raise NotAcceptable(f"the description has no audio stream that can be taken: {_instead(streams)}")
    return Description(origin, streams, attributes, audio)


def _instead(streams: Sequence[Stream]) -> str:
    """What it has, for the people at the other end."""
    audio = [stream for stream in streams if stream.kind == "audio" and stream.port != 0]
    if not audio:
        return "it has no audio"
    unknown = [stream.protocol for stream in audio if stream.protocol not in PROFILES]
    if unknown:
        return f"{unknown[0]} is not taken" if _NAME.match(unknown[0]) else "its profile is not taken"
    return "it has none of " + ", ".join(CODECS)


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
        address = ipaddress.ip_address(parts[2].partition("/")[0])
    except ValueError:
        raise NotAcceptable(f"c={value[:60]} is not an IP address") from None
    if address.is_multicast:
        raise NotAcceptable(f"c={value[:60]} is a multicast address")
    return str(address)


def _media(index: int, stream: Stream, address: str | None, session: list[tuple[str, str]]) -> Media | None:
    if stream.kind != "audio" or stream.port == 0 or stream.protocol not in PROFILES:
        return None
    address = stream.address or address
    if address is None:
        raise NotAcceptable("no c= line says where the audio goes")
    names = _payload_names(stream)
    codecs = tuple(Codec(name, number) for number, (name, *rest) in names.items() if _is_codec(name, *rest))
    if not codecs:
        return None
    crypto, fault = sdes.read_all(stream.all("crypto"))
    get, mid = _getter(stream, session), stream.get("mid")
    return Media(
        stream=index,
        protocol=stream.protocol,
        address=address,
        port=stream.port,
        rtcp=_rtcp(stream, address),
        codecs=codecs,
        digits={rate: number for number, (name, rate, _) in reversed(names.items()) if name == "TELEPHONE-EVENT"},
        comfort_noise=next((number for number, (name, rate, _) in names.items() if (name, rate) == ("CN", 8000)), None),
        opus=_opus(stream, codecs),
        packet_ms=_milliseconds(stream, "ptime") or 20,
        max_packet_ms=_milliseconds(stream, "maxptime"),
        direction=_direction(stream.attributes) or _direction(session) or Direction.SENDRECV,
        rtcp_mux=stream.get("rtcp-mux") is not None or stream.get("rtcp-mux-only") is not None,
        crypto=crypto,
        crypto_fault=fault,
        dtls=icedtls.read_dtls(get, stream.all("fingerprint") or _all(session, "fingerprint")),
        ice=icedtls.read_ice(get, stream.all("candidate")),
        mid=mid if mid is not None and _MID.match(mid) else None,
        bundled=any(mid in value.split()[1:] for value in _all(session, "group") if value.startswith("BUNDLE ")),
    )


def _is_codec(name: str, rate: int, channels: int) -> bool:
    known = CODECS.get(name)
    return known is not None and (rate, channels) == (known.clock_hz, known.channels)


def _payload_names(stream: Stream) -> dict[int, tuple[str, int, int]]:
    """What each format number of the stream means, with its clock and channels, in the stream's order."""
    mapped: dict[int, tuple[str, int, int]] = {}
    for value in stream.all("rtpmap"):
        number, _, encoding = value.partition(" ")
        name, _, rate = encoding.strip().partition("/")
        rate, _, channels = rate.partition("/")
        if _NUMBER.match(number) and _NUMBER.match(rate) and channels in ("", "1", "2"):
            mapped[int(number)] = (name.upper(), int(rate), int(channels or 1))
    names: dict[int, tuple[str, int, int]] = {}
    for kind in (int(text) for text in stream.formats if _NUMBER.match(text)):
        meaning = mapped.get(kind) or STATIC.get(kind)
        if kind < 128 and meaning is not None:
            names.setdefault(kind, meaning)
    return names


def _opus(stream: Stream, codecs: Sequence[Codec]) -> OpusWishes:
    number = next((codec.payload_type for codec in codecs if codec.name == "OPUS"), None)
    said: dict[str, str] = {}
    for value in stream.all("fmtp"):
        kind, _, text = value.partition(" ")
        if number is not None and kind == str(number):
            pairs = (part.partition("=") for part in text.split(";")[:32])
            said = {name.strip().lower(): setting.strip() for name, _, setting in pairs}
    playback, bitrate = said.get("maxplaybackrate", ""), said.get("maxaveragebitrate", "")
    return OpusWishes(
        fec=said.get("useinbandfec") == "1",
        dtx=said.get("usedtx") == "1",
        playback_hz=min(max(int(playback), 8_000), 48_000) if _NUMBER.match(playback) else 48_000,
        bitrate=min(max(int(bitrate), 6_000), 510_000) if _NUMBER.match(bitrate) else None,
    )


def _rtcp(stream: Stream, address: str) -> tuple[str, int]:
    """Where the peer takes RTCP (RFC 3605)."""
    rtcp = (stream.get("rtcp") or "").split()
    port = int(rtcp[0]) if rtcp and _NUMBER.match(rtcp[0]) and 0 < int(rtcp[0]) <= 65535 else stream.port + 1
    return _address(" ".join(rtcp[1:4])) if len(rtcp) >= 4 else address, min(port, 65535)


def _getter(stream: Stream, session: Sequence[tuple[str, str]]) -> Callable[[str], str | None]:
    def get(name: str) -> str | None:
        own = stream.get(name)
        return own if own is not None else next(iter(_all(session, name)), None)

    return get


def _all(attributes: Sequence[tuple[str, str]], name: str) -> list[str]:
    return [value for key, value in attributes if key == name]


def _milliseconds(stream: Stream, name: str) -> int | None:
    text = (stream.get(name) or "").partition(".")[0]
    return min(int(text), 200) if _NUMBER.match(text) and int(text) > 0 else None


def _direction(attributes: Sequence[tuple[str, str]]) -> Direction | None:
    return next((Direction(name) for name, _ in attributes if name in Direction._value2member_map_), None)

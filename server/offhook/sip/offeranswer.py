"""Offer and answer (RFC 3264) for one stream of telephone audio: what is agreed, how it is secured, and how it is said.

    talks = Negotiation()                           # one a call: our o= line, our SRTP keys
    offer = sdp.parse(body)                         # theirs
    agreed = talks.agree(offer, ours)               # NotAcceptable says what is wrong with it
    answer = talks.write_answer(offer, ours, agreed)

    body = talks.write_offer(ours)                  # or ours first
    agreed = talks.take_answer(sdp.parse(answer), ours)

The same for SIP and for browsers: `LocalMedia.dtls` says that DTLS-SRTP (with ICE, where an agent runs) can be done,
`Agreed.dtls` what the peer brought to it. A profile that asks for security is never answered without.
"""

from __future__ import annotations

import ipaddress
import secrets
from dataclasses import dataclass, field, replace
from enum import Enum

from offhook.sip import icedtls, sdes
from offhook.sip.icedtls import AgreedDtls, LocalDtls, Setup
from offhook.sip.sdes import Crypto
from offhook.sip.sdp import CODECS, Codec, Description, Direction, Media, NotAcceptable, OpusWishes


class Srtp(Enum):
    """What we make of secured audio."""

    NEVER = "never"
    """Neither offered nor taken."""
    OFFERED = "offered"
    """Taken wherever the peer offers it, beside a plain profile too; offered by us, with the choice left to the peer,
    where signalling is private (RFC 4568 8.3: a key that anyone can read protects nothing)."""
    REQUIRED = "required"
    """No call without it."""


@dataclass(frozen=True, slots=True)
class LocalMedia:
    """What we offer or answer with: where our port listens and what it takes, best first."""

    address: str
    port: int
    codecs: tuple[str, ...] = ("PCMU", "PCMA")
    """Of `sdp.CODECS`. An answer takes the first of the peer's that is among them."""
    digits: bool = True
    """Take RFC 4733 telephone events."""
    packet_ms: int = 20
    rtcp_mux: bool = True
    srtp: Srtp = Srtp.OFFERED
    dtls: LocalDtls | None = None
    """We can do DTLS-SRTP, and offer nothing else."""


@dataclass(frozen=True, slots=True)
class SrtpKeys:
    """What RFC 4568 agreed: the suite, and each side's master key and salt."""

    ours: Crypto
    """What we send with."""
    theirs: Crypto

    @property
    def suite(self) -> str:
        return self.ours.suite


@dataclass(frozen=True, slots=True)
class Agreed:
    """What both sides hold to from now on; all a media port needs to know."""

    codec: Codec
    remote: tuple[str, int]
    """Where our RTP goes: IP literal and port. Port 9 or address 0.0.0.0 never appear where `send` is True, but with
    ICE (`dtls.ice`), where the agent finds the way."""
    rtcp: tuple[str, int]
    """Where our RTCP goes; equals `remote` where multiplexed."""
    rtcp_mux: bool
    digits: int | None
    """Payload type of telephone-event."""
    comfort_noise: int | None
    packet_ms: int
    """Audio per packet that we are to send: 10, 20, 30, 40 or 60."""
    send: bool
    """The peer wants to hear us; False while it holds us."""
    receive: bool
    """We want to hear the peer."""
    digits_rate_hz: int = 8_000
    """Clock of the telephone events: the codec's, or 8 kHz where the peer has only that."""
    opus: OpusWishes | None = None
    """How the peer wants its Opus, where that is the codec."""
    keys: SrtpKeys | None = None
    """SRTP with these. Other keys than before: the media must be keyed anew; the same: it must not be."""
    dtls: AgreedDtls | None = None
    """SRTP with keys from DTLS."""
    protocol: str = "RTP/AVP"
    """The profile, as the m= line has it."""
    stream: int = 0
    """Which stream of the peer's description this is."""

    @property
    def secure(self) -> bool:
        """Nothing may be sent or taken in the clear."""
        return self.keys is not None or self.dtls is not None


DIGITS_TYPES = {8_000: 101, 48_000: 110}
"""The payload types we propose for telephone-event; an answer takes over the peer's."""
PACKET_MS = (10, 20, 30, 40, 60)
OPUS_PACKET_MS = (10, 20, 40, 60)
"""RFC 6716 2.1.4: Opus has no frame of 30 ms."""
OPUS_FMTP = "useinbandfec=1;maxplaybackrate=16000;sprop-maxcapturerate=16000;stereo=0;sprop-stereo=0;usedtx=0"
"""What suits us (RFC 7587 6.1): audio is 16 kHz and mono here, and speech models want no holes in it."""


class Negotiation:
    """One call's offers and answers: its o= line, and its SRTP keys, which stay while nothing asks for new ones."""

    def __init__(self) -> None:
        self._origin = Origin(secrets.randbelow(2**53))
        self._offered: tuple[Crypto, ...] = ()
        """The keys of our last offer."""
        self._offer: tuple[str, bool] = ("RTP/AVP", True)
        """Its profile, and whether it had rtcp-mux."""
        self._insists = False
        self._answered: SrtpKeys | None = None
        """The keys of the peer's last offer and ours beside them: an offer looked at twice gets one answer."""

    # --- theirs, answered by us

    def agree(self, theirs: Description, ours: LocalMedia, hold: bool = False, keep: Agreed | None = None) -> Agreed:
        """What holds between the peer's offer and `ours` (RFC 3264 6.1). `hold`: we do not want to hear the peer now.

        `keep` is what holds now; its codec is kept where it is still possible, and its keys where theirs did not
        change. Raises NotAcceptable where no codec is common or the audio cannot be secured as it must be."""
        fault: NotAcceptable | None = None
        for media in theirs.audio:
            try:
                keys, dtls = self._secured(media, ours, keep)
                return _agreed(media, ours, hold, keep, keys, dtls, media.rtcp_mux and ours.rtcp_mux)
            except NotAcceptable as why:
                fault = fault or why
        assert fault is not None, "a description has audio"
        raise fault

    def write_answer(self, offer: Description, ours: LocalMedia, agreed: Agreed) -> bytes:
        """Our answer: the agreed codec alone, under the offer's payload types; its other streams refused
        (RFC 3264 6)."""
        media = next(media for media in offer.audio if media.stream == agreed.stream)
        formats = [(agreed.codec.payload_type, CODECS[agreed.codec.name].rtpmap)]
        if agreed.comfort_noise is not None:
            formats.append((agreed.comfort_noise, "CN/8000"))
        digits = {} if agreed.digits is None else {agreed.digits_rate_hz: agreed.digits}
        audio = _audio_lines(ours, agreed.protocol, formats, digits, direction_of(agreed), agreed.packet_ms)
        if agreed.rtcp_mux:
            audio.append("a=rtcp-mux")
        if agreed.keys is not None:
            audio.append(f"a=crypto:{agreed.keys.ours.attribute()}")
        session: list[str] = []
        if agreed.dtls is not None and ours.dtls is not None:
            setup = Setup.ACTIVE if agreed.dtls.active else Setup.PASSIVE
            audio += icedtls.lines(ours.dtls, setup, with_ice=agreed.dtls.ice is not None)
            session = _session_lines(ours.dtls, with_ice=agreed.dtls.ice is not None)
        if media.mid is not None:
            audio.append(f"a=mid:{media.mid}")
            session += [f"a=group:BUNDLE {media.mid}"] if media.bundled else []
        return self._origin.stamp(ours.address, session, _in_place(offer, agreed.stream, audio))

    # --- ours, answered by them

    def write_offer(
        self,
        ours: LocalMedia,
        direction: Direction = Direction.SENDRECV,
        keep: Agreed | None = None,
        before: Description | None = None,
        private: bool = False,
    ) -> bytes:
        """Our offer. In a call that stands, `keep` puts the codec in use first and keeps its payload types, its profile
        and our keys, and the streams of the peer's description `before` stay where they are, refused ones too
        (RFC 3264 8). `private`: nobody on the way can read what we write here."""
        names = [name for name in ours.codecs if name in CODECS]
        types = {name: CODECS[name].payload_type for name in names}
        digits = {rate: DIGITS_TYPES[rate] for rate in sorted({CODECS[name].clock_hz for name in names})}
        if keep is not None:
            types[keep.codec.name] = keep.codec.payload_type
            names = [keep.codec.name, *(name for name in names if name != keep.codec.name)]
            if keep.digits is not None:
                digits[keep.digits_rate_hz] = keep.digits
        protocol, self._offered = self._profile(ours, keep, private)
        formats = [(types[name], CODECS[name].rtpmap) for name in names]
        audio = _audio_lines(ours, protocol, formats, digits if ours.digits else {}, direction, ours.packet_ms)
        audio += ["a=rtcp-mux"] if ours.rtcp_mux else []
        audio += [f"a=crypto:{crypto.attribute()}" for crypto in self._offered]
        session: list[str] = []
        if ours.dtls is not None:
            with_ice = ours.dtls.ice is not None
            audio += icedtls.lines(ours.dtls, Setup.ACTPASS, with_ice)
            session = _session_lines(ours.dtls, with_ice)
            mid = before.audio[0].mid if before is not None else "0"
            if mid is not None:
                audio.append(f"a=mid:{mid}")
                session.append(f"a=group:BUNDLE {mid}")
        self._offer = (protocol, ours.rtcp_mux)
        return self._origin.stamp(ours.address, session, _in_place(before, keep.stream if keep else 0, audio))

    def insist(self) -> bool:
        """Our offer left the choice between plain and encrypted, as not every phone understands, and was refused: the
        next one is for encrypted audio alone. False where that would be nothing new."""
        before, self._insists = self._insists, self._offer[0] == "RTP/AVP" and bool(self._offered)
        return self._insists and not before

    def take_answer(
        self, theirs: Description, ours: LocalMedia, hold: bool = False, keep: Agreed | None = None
    ) -> Agreed:
        """What holds once the peer has answered our last offer (RFC 3264 7). Raises NotAcceptable as `agree`."""
        media = theirs.media
        protocol, mux = self._offer
        keys, dtls = None, None
        if ours.dtls is not None:
            dtls = _dtls(media, ours.dtls, offered=True)
        elif media.crypto and self._offered:
            keys = self._chosen(media)
        elif media.wants_security or protocol == "RTP/SAVP" or self._must_be_secure(ours, keep):
            raise NotAcceptable(f"the answer does not secure its audio; {media.crypto_fault or 'it brings no key'}")
        return _agreed(media, ours, hold, keep, keys, dtls, media.rtcp_mux and mux)

    # --- keys

    def _secured(
        self, media: Media, ours: LocalMedia, keep: Agreed | None
    ) -> tuple[SrtpKeys | None, AgreedDtls | None]:
        """How the peer's offer is to be secured. Raises NotAcceptable where it cannot be and must."""
        if media.protocol.startswith("UDP/TLS/") or (media.wants_security and not media.crypto and media.dtls):
            if ours.srtp is Srtp.NEVER or ours.dtls is None:
                raise NotAcceptable(f"{media.protocol} (DTLS-SRTP) is not taken here")
            return None, _dtls(media, ours.dtls, offered=False)
        if media.crypto and ours.srtp is not Srtp.NEVER:
            return self._answering(media.crypto[0], keep), None
        if media.wants_security:
            why = "is not taken here" if ours.srtp is Srtp.NEVER else media.crypto_fault or "it brings no key"
            raise NotAcceptable(f"{media.protocol} cannot be answered: {why}")
        if self._must_be_secure(ours, keep):
            raise NotAcceptable("plain RTP is not taken here: offer RTP/SAVP with a=crypto")
        return None, None

    def _must_be_secure(self, ours: LocalMedia, keep: Agreed | None) -> bool:
        """A call that was secured stays so."""
        return ours.srtp is Srtp.REQUIRED or (keep is not None and keep.secure)

    def _answering(self, theirs: Crypto, keep: Agreed | None) -> SrtpKeys:
        """Our key beside theirs. Where theirs is another one, ours is as well: each pair is one beginning."""
        for known in (keep.keys if keep is not None else None, self._answered):
            if known is not None and (known.theirs.suite, known.theirs.key) == (theirs.suite, theirs.key):
                return SrtpKeys(replace(known.ours, tag=theirs.tag), theirs)
        self._answered = SrtpKeys(sdes.fresh(theirs.suite, theirs.tag), theirs)
        return self._answered

    def _profile(self, ours: LocalMedia, keep: Agreed | None, private: bool) -> tuple[str, tuple[Crypto, ...]]:
        """The profile of an offer of ours, and the keys in it."""
        if ours.dtls is not None:
            return keep.protocol if keep is not None else "UDP/TLS/RTP/SAVPF", ()
        if keep is not None:
            return keep.protocol, () if keep.keys is None else (keep.keys.ours,)
        required = ours.srtp is Srtp.REQUIRED or self._insists
        if not required and not (ours.srtp is Srtp.OFFERED and private):
            return "RTP/AVP", ()
        offered = self._offered or tuple(sdes.fresh(suite, tag) for tag, suite in enumerate(sdes.OFFERED, 1))
        return "RTP/SAVP" if required else "RTP/AVP", offered

    def _chosen(self, media: Media) -> SrtpKeys:
        """Which of our keys the answer took (RFC 4568 6.1.2): its tag says so."""
        theirs = media.crypto[0]
        ours = next((c for c in self._offered if (c.tag, c.suite) == (theirs.tag, theirs.suite)), None)
        if ours is None:
            raise NotAcceptable("the answer's crypto line has a tag and suite that were not offered")
        return SrtpKeys(ours, theirs)


def _dtls(media: Media, ours: LocalDtls, offered: bool) -> AgreedDtls:
    if media.dtls is None:
        raise NotAcceptable(f"{media.protocol} without an a=fingerprint (sha-256 or better) and an a=setup of use")
    agreed = icedtls.agree(media.dtls, media.ice, ours, offered)
    if agreed is None:
        raise NotAcceptable("the a=setup leaves nobody, or both, to open DTLS")
    return agreed


def _agreed(
    theirs: Media,
    ours: LocalMedia,
    hold: bool,
    keep: Agreed | None,
    keys: SrtpKeys | None,
    dtls: AgreedDtls | None,
    mux: bool,
) -> Agreed:
    possible = [codec for codec in theirs.codecs if codec.name in ours.codecs]
    if not possible:
        raise NotAcceptable(f"none of {', '.join(codec.name for codec in theirs.codecs)} is taken here")
    codec = next((codec for codec in possible if keep is not None and codec.name == keep.codec.name), possible[0])
    digits_rate_hz = codec.clock_hz if codec.clock_hz in theirs.digits else 8_000
    # RFC 3264 8.4: c=0.0.0.0 is how RFC 2543 held a call; with ICE it is how RFC 8839 4.4.1.1 says nothing.
    with_ice = dtls is not None and dtls.ice is not None
    if not with_ice and (":" in theirs.address) != (":" in ours.address):
        raise NotAcceptable(
            f"audio for {theirs.address} cannot be sent from {ours.address}: another family of addresses"
        )
    placed = with_ice or not ipaddress.ip_address(theirs.address).is_unspecified
    hears = theirs.direction in (Direction.SENDRECV, Direction.RECVONLY) and placed
    talks = theirs.direction in (Direction.SENDRECV, Direction.SENDONLY)
    remote = (theirs.address, theirs.port)
    return Agreed(
        codec=codec,
        remote=remote,
        rtcp=remote if mux else theirs.rtcp,
        rtcp_mux=mux,
        digits=theirs.digits.get(digits_rate_hz) if ours.digits else None,
        comfort_noise=theirs.comfort_noise if codec.clock_hz == 8_000 else None,
        packet_ms=_packet_ms(theirs, codec),
        send=hears,
        receive=talks and not hold,
        digits_rate_hz=digits_rate_hz,
        opus=theirs.opus if codec.name == "OPUS" else None,
        keys=keys,
        dtls=dtls,
        protocol=theirs.protocol,
        stream=theirs.stream,
    )


def _packet_ms(theirs: Media, codec: Codec) -> int:
    limit = min(theirs.packet_ms, theirs.max_packet_ms or theirs.packet_ms)
    lengths = OPUS_PACKET_MS if codec.name == "OPUS" else PACKET_MS
    return max((ms for ms in lengths if ms <= limit), default=lengths[0])


def direction_of(agreed: Agreed) -> Direction:
    """What was agreed, from our view, as our description says it."""
    if agreed.send:
        return Direction.SENDRECV if agreed.receive else Direction.SENDONLY
    return Direction.RECVONLY if agreed.receive else Direction.INACTIVE


def _in_place(theirs: Description | None, place: int, audio: list[str]) -> list[str]:
    """Our audio where their audio stands, all other streams with port 0."""
    if theirs is None:
        return audio
    lines: list[str] = []
    for index, stream in enumerate(theirs.streams):
        refused = f"m={stream.kind} 0 {stream.protocol} {' '.join(stream.formats)}"
        lines += audio if index == place else [refused]
    return lines


def _session_lines(ours: LocalDtls, with_ice: bool) -> list[str]:
    """What RFC 8839 5.3 wants above all streams."""
    return ["a=ice-lite"] if with_ice and ours.ice is not None and ours.ice.lite else []


def _audio_lines(
    ours: LocalMedia,
    protocol: str,
    formats: list[tuple[int, str]],
    digits: dict[int, int],
    direction: Direction,
    packet_ms: int,
) -> list[str]:
    numbers = [*(number for number, _ in formats), *digits.values()]
    lines = [f"m=audio {ours.port} {protocol} {' '.join(str(number) for number in numbers)}"]
    for number, rtpmap in formats:
        lines.append(f"a=rtpmap:{number} {rtpmap}")
        if rtpmap == CODECS["OPUS"].rtpmap:
            lines.append(f"a=fmtp:{number} {OPUS_FMTP}")
    for rate, number in digits.items():
        lines += [f"a=rtpmap:{number} telephone-event/{rate}", f"a=fmtp:{number} 0-15"]
    return [*lines, f"a=ptime:{packet_ms}", f"a={direction.value}"]


@dataclass(slots=True)
class Origin:
    """Our o= line: one session id a call, and a version that grows when the description changes (RFC 3264 8)."""

    session_id: int
    version: int = 0
    _last: tuple[str, ...] = field(default=(), repr=False)

    def stamp(self, address: str, session: list[str], lines: list[str]) -> bytes:
        family = "IP6" if ":" in address else "IP4"
        rest = ("s=-", f"c=IN {family} {address}", "t=0 0", *session, *lines)
        if rest != self._last:
            self.version, self._last = self.version + 1, rest
        head = ("v=0", f"o=- {self.session_id} {self.version} IN {family} {address}")
        return ("\r\n".join((*head, *rest)) + "\r\n").encode()

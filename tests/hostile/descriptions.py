"""What session descriptions are made of, as targets: the whole with our answer to it, keys, and ICE's attributes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace

from offhook.sip import icedtls, sdes
from offhook.sip.icedtls import LocalDtls, Setup
from offhook.sip.offeranswer import LocalMedia, Negotiation, Srtp
from offhook.sip.sdp import MAX_LENGTH, NotAcceptable, parse
from tests.hostile.running import Target
from tests.sip.test_offeranswer import BROWSER, CERTIFICATE, GCM, HEAD, ICE, SHA1_80, crypto, key

PLAIN = LocalMedia("198.51.100.1", 20_000, ("OPUS", "PCMU", "PCMA"))
OURS = (
    PLAIN,
    replace(PLAIN, srtp=Srtp.REQUIRED),
    replace(PLAIN, srtp=Srtp.NEVER, address="2001:db8::1"),
    replace(PLAIN, srtp=Srtp.REQUIRED, dtls=LocalDtls(CERTIFICATE, ICE)),
    replace(PLAIN, dtls=LocalDtls(CERTIFICATE, None, Setup.ACTIVE)),
)
OFFERS = (
    f"{HEAD}m=audio 4000 RTP/AVP 0 8 101 13\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\na=sendonly\r\n",
    f"{HEAD}{BROWSER}",
    HEAD + crypto(SHA1_80, GCM) + "m=audio 4004 RTP/AVP 8 96\r\na=rtcp:4444 IN IP4 192.0.2.12\r\na=maxptime:40\r\n"
    "a=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1;usedtx=1;maxplaybackrate=16000;maxaveragebitrate=24000\r\n",
    f"{HEAD}a=inactive\r\nm=audio 5 RTP/SAVPF 0\r\nc=IN IP6 2001:db8::5\r\na=setup:active\r\n"
    f"a=fingerprint:{CERTIFICATE}\r\na=crypto:1 {GCM} inline:{key(GCM)}|2^31 WSH=64\r\na=rtcp-mux\r\na=ice-lite\r\n",
)
PIECES = [
    *(b"m=audio 9 ", b"m=video 0 ", b"RTP/AVP", b"RTP/SAVP", b"RTP/SAVPF", b"UDP/TLS/RTP/SAVPF", b"c=IN IP4 "),
    *(b"c=IN IP6 ", b"a=crypto:1 ", b"inline:", b"|2^48", b"|1:4", b"a=ice-ufrag:", b"a=ice-pwd:", b"a=candidate:"),
    *(b"a=fingerprint:", b"a=setup:", b"active", b"passive", b"actpass", b"holdconn", b"a=mid:", b"a=group:BUNDLE "),
    *(b"a=rtcp-mux", b"a=rtcp:", b"v=0", b"o="),
    *(b"a=rtpmap:", b"opus/48000/2", b"PCMU/8000", b"CN/8000", b"telephone-event/48000", b"a=fmtp:", b"a=ptime:"),
    *(b"a=inactive", b"a=sendrecv", b"a=ice-lite", b"maxplaybackrate=", b"maxaveragebitrate="),
]  # fmt: skip


@contextlib.contextmanager
def _description() -> Iterator[Callable[[bytes], None]]:
    def take(data: bytes) -> None:
        for ours in OURS:
            answered(data, ours)

    yield take


def answered(data: bytes, ours: LocalMedia) -> None:
    """As an offer and as an answer. Whatever of theirs is agreed to, our answer is one that we would take, for as many
    streams as were offered, and never in the clear where they wanted otherwise."""
    theirs = parse(data)
    taking, talks = Negotiation(), Negotiation()
    taking.write_offer(ours, private=True)
    with contextlib.suppress(NotAcceptable):
        taking.take_answer(theirs, ours)
    try:
        agreed = talks.agree(theirs, ours)
    except NotAcceptable:
        return
    media = next(media for media in theirs.audio if media.stream == agreed.stream)
    assert agreed.secure or not (media.wants_security or ours.srtp is Srtp.REQUIRED)
    again = talks.agree(theirs, ours, keep=agreed)
    assert (again.keys, again.codec) == (agreed.keys, agreed.codec)
    said = parse(talks.write_answer(theirs, ours, agreed))
    assert [stream.port for stream in said.streams] == [
        ours.port if place == agreed.stream else 0 for place in range(len(theirs.streams))
    ]
    talks.write_offer(ours, keep=agreed, before=theirs)


@contextlib.contextmanager
def _crypto() -> Iterator[Callable[[bytes], None]]:
    def take(data: bytes) -> None:
        found = sdes.read(data.decode("utf-8", "replace"))
        assert len(found.key) == sdes.SUITES[found.suite]
        assert sdes.read(found.attribute()) == found

    yield take


@contextlib.contextmanager
def _ice() -> Iterator[Callable[[bytes], None]]:
    def take(data: bytes) -> None:
        pairs = [line.partition(":") for line in data.decode("utf-8", "replace").split("\n")]
        said = {name.strip(): value.strip() for name, _, value in pairs}
        lines = [value.strip() for _, _, value in pairs]
        ice, dtls = icedtls.read_ice(said.get, lines), icedtls.read_dtls(said.get, lines)
        if dtls is None:
            return
        for ours in (LocalDtls(CERTIFICATE, ICE), LocalDtls(CERTIFICATE, None, Setup.ACTIVE)):
            for offered in (True, False):
                icedtls.agree(dtls, ice, ours, offered)
        if ice is not None:
            # What was read, written again, is what was read.
            again = icedtls.lines(LocalDtls(dtls.fingerprints[0], ice), dtls.setup, with_ice=True)
            assert all("\r" not in line and "\n" not in line for line in again)

    yield take


TARGETS = {
    "sdp": Target(
        _description, [text.encode() for text in OFFERS], (NotAcceptable,), PIECES, longest=MAX_LENGTH + 2_000
    ),
    "crypto": Target(
        _crypto,
        [f"{tag} {suite} inline:{key(suite)}{rest}".encode()
         for tag, (suite, rest) in enumerate([(SHA1_80, ""), (GCM, "|2^31"), (SHA1_80, "|2^20|1:4 KDR=1"),
                                              (GCM, " WSH=64 -x=y UNENCRYPTED_SRTCP")], 1)],
        (sdes.UnusableCrypto,),
        PIECES,
    ),
    "ice-attributes": Target(
        _ice,
        [
            b"ice-ufrag:abcd\nice-pwd:abcdefghijklmnopqrstuvwx\nice-options:trickle ice2\nsetup:actpass\n"
            b"candidate:1 1 udp 2113937151 7f0f3c1e.local 50000 typ host generation 0\n"
            b"candidate:842163049 1 tcp 1677729535 203.0.113.7 9 typ srflx raddr 10.0.0.1 rport 9 tcptype active\n"
            b"fingerprint:" + str(CERTIFICATE).encode(),
            b"ice-lite\nice-ufrag:" + b"u" * 256 + b"\nice-pwd:" + b"p" * 256 + b"\nsetup:passive\nfingerprint:sha-512 "
            + b":".join([b"AB"] * 64),
        ],
        (),
        PIECES,
    ),
}  # fmt: skip

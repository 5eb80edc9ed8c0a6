"""What SIP's sockets bring, as targets: messages, what stands in them, streams of them, WebSocket frames, and a user
agent in the midst of a call."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterator

from offhook.sip import IncomingCall
from offhook.sip.digest import Answerer, Challenger, Credentials, Verdict, user_of
from offhook.sip.dtmf import read_digits
from offhook.sip.framing import StreamFramer
from offhook.sip.grammar import Malformed
from offhook.sip.message import MAX_MESSAGE, Request, parse
from offhook.sip.multipart import UnsupportedBody, description_of
from offhook.sip.websocket import WebSocketFramer
from tests.hostile.running import Target
from tests.sip.lab import SDP, Caller, Lab, standing_call
from tests.sip.test_torture import PIECES as SIP_PIECES
from tests.sip.test_torture import SEEDS, WELCOME

MULTIPART = Caller(Lab()).text(
    "INVITE",
    body=f"--b\r\nContent-Type: application/sdp\r\n\r\n{SDP}\r\n--b\r\nContent-Type: text/plain\r\n\r\nhi\r\n--b--\r\n",
    kind='multipart/mixed;boundary="b"',
)
DIGEST = (
    'Digest username="alice", realm="offhook", nonce="x", uri="sip:a@b", response="0", qop=auth, nc=00000001, '
    'cnonce="c", algorithm=MD5'
)
MESSAGES = [*(seed.encode() for seed in SEEDS), MULTIPART.encode()]
PIECES = [
    *SIP_PIECES,
    b"boundary=",
    b"--b\r\n",
    b"Content-Type: application/sdp",
    b"Contact: *",
    b"Content-Encoding: x",
]


@contextlib.contextmanager
def _message() -> Iterator[Callable[[bytes], None]]:
    def take(data: bytes) -> None:
        message = parse(data)
        again = parse(message.to_bytes())
        assert (again.call_id, again.body, again.via.branch) == (message.call_id, message.body, message.via.branch)
        with contextlib.suppress(Malformed):
            message.contacts()
        message.seconds("Session-Expires")
        read_digits(message.content_type(), message.body)
        if isinstance(message, Request):
            parse(message.response(486, to_tag="t").to_bytes())
            with contextlib.suppress(UnsupportedBody):
                description_of(message)

    yield take


@contextlib.contextmanager
def _digest() -> Iterator[Callable[[bytes], None]]:
    challenger = Challenger()

    def take(data: bytes) -> None:
        text = data.decode("utf-8", "surrogateescape")
        user_of([text], "offhook")
        nonce = challenger.challenge("offhook", 1.0)[0].partition('nonce="')[2].partition('"')[0]
        for value in (text, text.replace('nonce="x"', f'nonce="{nonce}"')):
            said = challenger.verify([value], "offhook", {"alice": "wonder"}, "INVITE", "sip:a@b", 2.0)
            assert said is Verdict.BAD  # nobody guesses a password
        answerer = Answerer(Credentials("alice", "wonder"))
        if answerer.take([text], proxy=False):
            assert answerer.header("INVITE", "sip:a@b") is not None

    yield take


@contextlib.contextmanager
def _stream() -> Iterator[Callable[[bytes], None]]:
    def take(data: bytes) -> None:
        """The same messages whether it comes whole or in pieces, and none longer than may be."""
        whole, cut, found = StreamFramer(), StreamFramer(), list[bytes]()
        messages = whole.feed(data)
        for at in range(0, len(data), 61):
            found += cut.feed(data[at : at + 61])
        assert found == messages and bool(cut.broken) == bool(whole.broken)
        assert all(len(message) <= MAX_MESSAGE for message in messages)

    yield take


# --- WebSocket

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: sip\r\n\r\n"
)


def frame(payload: bytes, first: int = 0x81) -> bytes:
    """A client's, with the mask of zeros, which masks nothing."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack("!H", size)
    return bytes([first]) + length + bytes(4) + payload


@contextlib.contextmanager
def _websocket() -> Iterator[Callable[[bytes], None]]:
    def take(data: bytes) -> None:
        for begun in (b"", HANDSHAKE):
            framer = WebSocketFramer()
            for at in range(0, len(begun + data), 200):
                messages = framer.feed((begun + data)[at : at + 200])
                assert all(len(message) <= MAX_MESSAGE for message in messages)
                assert not (framer.broken and framer.feed(data))
            framer.replies()
            framer.ping()
            framer.wrap(b"\xff" + data[:100])

    yield take


# --- a user agent in a call


@contextlib.contextmanager
def _agent() -> Iterator[Callable[[bytes], None]]:
    def take(data: bytes) -> None:
        lab = Lab(WELCOME)
        standing_call(lab)
        for message in data.split(BETWEEN)[:8]:
            lab.hear(message)
            lab.wait(0.6)
        for event in lab.told(IncomingCall):
            event.session.hang_up()
        lab.wait(200)
        assert lab.agent.next_due() is None and not lab.agent.sessions

    yield take


BETWEEN = b"\n===\n"


TARGETS = {
    "sip": Target(_message, MESSAGES, (Malformed,), PIECES, longest=MAX_MESSAGE + 100),
    "digest": Target(
        _digest,
        [DIGEST.encode(), Challenger().challenge("offhook", 1.0)[0].encode()],
        (),
        [b"Digest ", b"username=", b"nonce=", b"uri=", b"qop=auth-int", b"algorithm=SHA-256", b"stale=true"],
        longest=8_192,
    ),
    "stream": Target(
        _stream,
        [b"".join(MESSAGES), b"\r\n\r\n" + MESSAGES[1], MESSAGES[4].replace(b"Content-Length", b"l")],
        pieces=PIECES,
        longest=MAX_MESSAGE * 2,
    ),
    "websocket": Target(
        _websocket,
        [
            frame(MESSAGES[1]) + frame(b"\r\n\r\n") + frame(b"", 0x89),
            frame(MESSAGES[0][:300], 0x01) + frame(MESSAGES[0][300:], 0x80) + frame(struct.pack("!H", 1000), 0x88),
            frame(b"\xff\xfe", 0x82) + frame(b"x" * 200, 0xC1),
            HANDSHAKE,
            HANDSHAKE.replace(b"sip", b"sip, permessage-deflate").replace(b"Host", b"Origin: https://x\r\nHost"),
        ],
        pieces=[
            *(*PIECES, b"\x81\x80\0\0\0\0", b"\x01\xff\0\0\0\0\0\0\0\0", b"\x88\x82"),
            b"Sec-WebSocket-Extensions: permessage-deflate\r\n",
        ],
        longest=MAX_MESSAGE + 1_000,
    ),
    "agent": Target(
        _agent,
        [*MESSAGES, BETWEEN.join([MESSAGES[1], MESSAGES[4], MESSAGES[0]]), BETWEEN.join(MESSAGES[:3])],
        pieces=[*PIECES, BETWEEN, b"alice", b"c1@peer"],
        longest=20_000,
    ),
}  # fmt: skip

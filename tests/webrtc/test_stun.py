"""STUN's grammar against the RFC's own vectors, another implementation (aioice), and whatever bytes there are."""

from __future__ import annotations

import struct
import zlib

import pytest
from aioice import stun as other
from hypothesis import given
from hypothesis import strategies as st

from offhook.webrtc import stun

PASSWORD = "VOkJxbRl1RmTxUk/WvJxBt"
HEAD = "2112a442b7e7a701bc34d686fa87dfae"
REQUEST = bytes.fromhex(
    f"00010058{HEAD}"
    "802200105354554e207465737420636c69656e74"
    "002400046e0001ff"
    "80290008932ff9b151263b36"
    "000600096576746a3a68367659202020"
    "000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2"
    "80280004e57a3bcf"
)
"""RFC 5769 2.1."""
RESPONSE_V4 = bytes.fromhex(
    f"0101003c{HEAD}"
    "8022000b7465737420766563746f7220"
    "002000080001a147e112a643"
    "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7"
    "80280004c07d4c96"
)
"""RFC 5769 2.2."""
RESPONSE_V6 = bytes.fromhex(
    f"01010048{HEAD}"
    "8022000b7465737420766563746f7220"
    "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
    "00080014a382954e4be67bf11784c97c8292c275bfe3ed41"
    "80280004c8fb0b4c"
)
"""RFC 5769 2.3."""


def with_fingerprint(message: bytes) -> bytes:
    """`message` with its length put right and a right FINGERPRINT, as somebody without the password can make it."""
    head = message[:2] + struct.pack("!H", len(message) - 20 + 8) + message[4:]
    return head + struct.pack("!HHI", 0x8028, 4, zlib.crc32(head) ^ 0x5354554E)


def test_the_rfcs_request_is_read() -> None:
    request = stun.parse(REQUEST)
    assert request.kind == stun.BINDING_REQUEST
    assert request.attributes[stun.USERNAME] == b"evtj:h6vY"
    assert request.attributes[stun.PRIORITY] == bytes.fromhex("6e0001ff")
    assert request.is_authentic(PASSWORD)
    assert not request.is_authentic(PASSWORD[:-1])


@pytest.mark.parametrize(
    ("recorded", "source"),
    [
        (RESPONSE_V4, ("192.0.2.1", 32853)),
        (RESPONSE_V6, ("2001:db8:1234:5678:11:2233:4455:6677", 32853)),
    ],
)
def test_answers_say_the_source_as_the_rfcs_do(recorded: bytes, source: tuple[str, int]) -> None:
    theirs = stun.parse(recorded)
    assert theirs.is_authentic(PASSWORD)
    ours = stun.parse(stun.success(stun.parse(REQUEST), source, PASSWORD))
    assert ours.kind == theirs.kind and ours.transaction == theirs.transaction
    assert ours.attributes[stun.XOR_MAPPED_ADDRESS] == theirs.attributes[stun.XOR_MAPPED_ADDRESS]
    assert ours.is_authentic(PASSWORD)


def test_another_implementation_reads_our_answers() -> None:
    request = stun.parse(REQUEST)
    success = other.parse_message(stun.success(request, ("192.0.2.9", 4711), PASSWORD))
    assert success.attributes["XOR-MAPPED-ADDRESS"] == ("192.0.2.9", 4711)
    assert success.check_message_integrity(PASSWORD.encode())
    refusal = other.parse_message(stun.error(request, 420, PASSWORD, [0x7777, 0x0021, 0x0003]))
    assert refusal.error_code == 420 and refusal.check_message_integrity(PASSWORD.encode())


def test_an_answer_is_no_longer_than_its_request() -> None:
    """Who forges a source gains nothing by it, even who knows a password."""
    least = other.Message(other.Method.BINDING, other.Class.REQUEST, attributes={"USERNAME": "abcd:efgh"})
    least.add_message_integrity(PASSWORD.encode())
    request = bytes(least)
    assert len(stun.success(stun.parse(request), ("192.0.2.1", 1), PASSWORD)) <= len(request)
    assert len(stun.error(stun.parse(request), 487, PASSWORD)) <= len(request) + 8


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(REQUEST[:19], id="no whole header"),
        pytest.param(REQUEST[:-8], id="no fingerprint"),
        pytest.param(REQUEST[:-1] + b"\xce", id="a wrong fingerprint"),
        pytest.param(REQUEST[:-4], id="cut in the fingerprint"),
        pytest.param(REQUEST + bytes(4), id="more than it says"),
        pytest.param(REQUEST[:3] + b"\x5c" + REQUEST[4:], id="a length that is not its own"),
        pytest.param(b"\x80" + REQUEST[1:], id="RTP's first byte"),
        pytest.param(with_fingerprint(REQUEST[:4] + bytes(4) + REQUEST[8:-8]), id="another cookie"),
        pytest.param(with_fingerprint(REQUEST[:20] + struct.pack("!HH", 6, 60_000)), id="an attribute past the end"),
        pytest.param(with_fingerprint(REQUEST[:-8]) + b"\x80\x28\x00\x04aaaa", id="a fingerprint before the end"),
        pytest.param(REQUEST[:2] + b"\x05\x00" + REQUEST[4:20] + bytes(0x500), id="larger than any"),
    ],
)
def test_what_is_not_whole_is_no_message(wrong: bytes) -> None:
    with pytest.raises(stun.NotStun):
        stun.parse(wrong)


def test_what_stands_behind_the_integrity_is_not_believed() -> None:
    smuggled = stun.parse(with_fingerprint(REQUEST[:-8] + struct.pack("!HH", stun.USE_CANDIDATE, 0)))
    assert smuggled.is_authentic(PASSWORD)
    assert stun.USE_CANDIDATE not in smuggled.attributes


def test_the_first_of_two_attributes_counts() -> None:
    twice = REQUEST[:20] + struct.pack("!HH4sHH4s", 6, 4, b"aaaa", 6, 4, b"bbbb")
    assert stun.parse(with_fingerprint(twice)).attributes[stun.USERNAME] == b"aaaa"


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_none(data: bytes) -> None:
    for datagram in (data, with_fingerprint(REQUEST[:20] + data + bytes(-len(data) % 4))):
        try:
            message = stun.parse(datagram)
        except stun.NotStun:
            continue
        assert not message.is_authentic(PASSWORD)


@given(st.lists(st.tuples(st.integers(0, len(REQUEST) - 9), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_request_that_was_tampered_with_is_not_authentic(changes: list[tuple[int, int]]) -> None:
    changed = bytearray(REQUEST[:-8])
    for at, value in changes:
        changed[at] = value
    if changed == REQUEST[:-8]:
        return
    try:
        message = stun.parse(with_fingerprint(bytes(changed)))
    except stun.NotStun:
        return
    # The length is put right by `with_fingerprint`, and whoever verifies takes its own: it can have been changed.
    assert not message.is_authentic(PASSWORD) or changed[:2] + changed[4:] == REQUEST[:2] + REQUEST[4:-8]

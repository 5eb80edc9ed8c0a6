"""Messages meant to hurt: RFC 4475's, and mutations of good ones. Nothing may raise, hang, or be answered wrongly."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.sip import IncomingCall, SipSettings, Trunk
from offhook.sip.framing import StreamFramer
from offhook.sip.grammar import Malformed
from offhook.sip.message import Response, parse
from tests.data import data
from tests.sip.lab import OURS, SDP, Caller, Lab, standing_call

WELCOME = SipSettings(trunks=(Trunk("all", ("0.0.0.0/0",)),), rate_hz=1e9, burst=1e9)

# What a user agent that takes calls and nothing else should answer (RFC 4475 3): a status, silence (None), or a call.
EXPECTED: dict[str, int | str | None] = {
    # 3.1.1, valid messages
    "wsinv": 481, "intmeth": 501, "esc01": "call", "escnull": 405, "esc02": 501, "lwsdisp": 200, "longreq": "call",
    "dblreq": 405, "semiuri": 200, "transports": 200, "mpart01": 405, "unreason": None, "noreason": None,
    # 3.1.2, invalid messages
    "badinv01": None, "clerr": 400, "ncl": 400, "scalar02": 400, "scalarlg": None, "quotbal": 400, "ltgtruri": 400,
    "lwsruri": 400, "lwsstart": 400, "trws": 400, "escruri": 400, "baddate": "call", "regbadct": 405, "badaspec": 400,
    "baddn": None, "badvers": None, "mismatch01": 400, "mismatch02": 400, "bigcode": None,
    # 3.2 to 3.4
    "badbranch": 200, "insuf": None, "unkscm": 416, "novelsc": 416, "unksm2": 405, "bext01": 420, "invut": 415,
    "regaut01": 405, "multi01": 400, "mcl01": 400, "bcast": None, "zeromf": 200, "cparam01": 405, "cparam02": 405,
    "regescrt": 405, "sdp01": 406, "inv2543": "call",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_torture_message_of_rfc_4475_is_answered_sensibly(name: str) -> None:
    lab = Lab(WELCOME)
    lab.hear(data("sip", "rfc4475", f"{name}.dat").read_bytes())
    statuses, wanted = lab.statuses(), EXPECTED[name]
    if wanted == "call":
        lab.one(IncomingCall)
        assert statuses == [100]
        lab.session.accept(OURS)
        assert lab.statuses() == [200]
    else:
        assert lab.told(IncomingCall) == []
        assert statuses == ([wanted] if wanted else [])


def test_every_torture_file_is_accounted_for() -> None:
    names = {path.stem for path in data("sip", "rfc4475").glob("*.dat")}
    assert names - set(EXPECTED) == {"test"}  # resiprocate's own, without any Via


SEEDS = [
    Caller(Lab()).text("INVITE", "Supported: timer\nSession-Expires: 120\nRecord-Route: <sip:192.0.2.1;lr>", SDP),
    Caller(Lab()).text("OPTIONS", "Accept: application/sdp;q=0.5"),
    Caller(Lab()).text("BYE", to_tag="x"),
    Caller(Lab()).text("CANCEL"),
    Caller(Lab()).text("INFO", body="Signal=5\r\nDuration=160", kind="application/dtmf-relay"),
    "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bKq\r\nFrom: <sip:a@b>;tag=1\r\n"
    "To: <sip:a@b>;tag=2\r\nCall-ID: q\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n",
]  # fmt: skip
PIECES = [b"\r\n", b"\r\n\r\n", b";", b",", b'"', b"\\", b"<", b">", b"=", b"\x00", b"%", b"@", b"[", b"]", b"SIP/2.0",
          b";tag=", b";self=1", b"Via: ", b"To: ", b"\xff\xfe", b" ", b":", b"9" * 30, b"-1", b"\r\n "]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    text = bytearray(draw(st.sampled_from(SEEDS)).encode())
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(text)))
        length = draw(st.integers(0, 20))
        match draw(st.integers(0, 3)):
            case 0:
                text[at:at] = draw(st.sampled_from(PIECES))
            case 1:
                del text[at : at + length]
            case 2:
                text[at : at + length] = draw(st.binary(max_size=20))
            case _:
                text[at:at] = text[at : at + length] * 3
    return bytes(text)


@settings(max_examples=300, deadline=None)
@given(st.lists(mutated(), max_size=4))
def test_no_mutation_raises_or_leaves_anything_behind(messages: list[bytes]) -> None:
    lab = Lab(WELCOME)
    caller = standing_call(lab)
    for message in messages:
        lab.hear(message)
    for event in lab.told(IncomingCall):
        event.session.hang_up()
    lab.wait(200)
    assert all(session is lab.told(IncomingCall)[0].session for session in lab.agent.sessions)
    if lab.agent.sessions:  # no mutation can end another's call but by a whole BYE
        lab.said()
        caller.cseq = 100
        assert [m.status for m in caller.request("BYE") if isinstance(m, Response)]
    lab.wait(200)
    assert lab.agent.next_due() is None and not lab.agent.sessions


@settings(max_examples=200, deadline=None)
@given(mutated())
def test_what_parses_writes_back_and_parses_again(message: bytes) -> None:
    try:
        first = parse(message)
    except Malformed:
        return
    second = parse(first.to_bytes())
    assert second.call_id == first.call_id and second.body == first.body
    assert second.via.branch == first.via.branch


@pytest.mark.parametrize(
    "hostile",
    [
        "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKa" + ";a=b" * 2000 + "\r\n",
        "INVITE sip:a@b SIP/2.0\r\nVia: " + ",".join(["SIP/2.0/UDP h"] * 5000) + "\r\n",
        "INVITE sip:" + "a" * 60_000 + "@b SIP/2.0\r\n",
        "INVITE sip:" + "%41" * 2000 + " SIP/2.0\r\nVia: SIP/2.0/UDP h\r\n",
        "INVITE sip:a@b SIP/2.0\r\n" + "X: y\r\n" * 9000,
        "INVITE sip:a@b SIP/2.0\r\nFrom: " + '"\\' * 4000 + "\r\n",
        "INVITE sip:a@b SIP/2.0\r\nFrom: " + "a " * 4000 + "<sip:a@b>\r\n",
        "INVITE sip:a@b SIP/2.0\r\nTo: <sip:" + "a-" * 4000 + ">\r\n",
        "INVITE sip:a@b SIP/2.0\r\nVia:" + "\r\n " * 20_000 + "x\r\n",
    ],
)
def test_long_lists_and_long_words_cost_little(hostile: str) -> None:
    lab = Lab(WELCOME)
    for _ in range(20):
        lab.hear(hostile + "\r\n")  # a quadratic reader would need minutes for this
    assert lab.told(IncomingCall) == []


# --- streams

SHORT = re.sub(r"Content-Length: (\d+)\r\n", "", SEEDS[4]).replace("CSeq:", "l : 22 \r\nCSeq:")
"""Its length in the midst of its headers, under its short name."""


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([*SEEDS, SHORT]), min_size=1, max_size=5), st.lists(st.integers(1, 200), min_size=1))
def test_a_stream_gives_the_same_messages_however_it_is_cut(seeds: list[str], cuts: list[int]) -> None:
    stream, framer, out = "".join(seeds).encode(), StreamFramer(), []
    while stream:
        for cut in cuts:
            out += framer.feed(stream[:cut])
            stream = stream[cut:]
    assert out == [seed.encode() for seed in seeds]
    assert not framer.waiting


def test_pings_on_a_stream_are_counted_even_in_halves() -> None:
    framer = StreamFramer()
    assert framer.feed(b"\r\n") == [] and framer.pings == 0
    assert framer.feed(b"\r\n") == [] and framer.pings == 1
    assert framer.feed(b"\r\n\r\n" + SEEDS[1].encode()) == [SEEDS[1].encode()]
    assert framer.pings == 1


@pytest.mark.parametrize("length", ["x", "-1", "99999999", "5\r\nContent-Length: 6"])
def test_a_stream_whose_lengths_lie_is_given_up(length: str) -> None:
    framer = StreamFramer()
    text = re.sub(r"Content-Length: \d+", f"Content-Length: {length}", SEEDS[1])
    messages = framer.feed(text.encode() + SEEDS[1].encode())
    assert len(messages) == 1 and framer.broken
    assert framer.feed(SEEDS[1].encode()) == []


@pytest.mark.parametrize("piece", [1_200, 100_000])
def test_headers_that_end_too_late_are_given_up(piece: int) -> None:
    framer, stream = StreamFramer(), b"X: y\r\n" * 16_000 + b"\r\n"
    assert not any(framer.feed(stream[at : at + piece]) for at in range(0, len(stream), piece))
    assert framer.broken

"""Session descriptions: what is understood, what is refused, what we say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.sip import Agreed, Codec, Direction, LocalMedia, Media, Negotiation, NotAcceptable
from offhook.sip.offeranswer import direction_of
from offhook.sip.sdp import parse

HEAD = "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n"
OURS = LocalMedia("198.51.100.1", 20_000)


def media(lines: str, head: str = HEAD) -> Media:
    return parse((head + lines).encode()).media


def agree(lines: str, ours: LocalMedia = OURS, hold: bool = False) -> Agreed:
    return Negotiation().agree(parse((HEAD + lines).encode()), ours, hold)


def test_static_types_need_no_rtpmap_and_dynamic_ones_do() -> None:
    m = media("m=audio 4000 RTP/AVP 96 8 13 97\r\na=rtpmap:96 pcmu/8000/1\r\na=rtpmap:97 telephone-event/8000\r\n")
    assert m.codecs == (Codec("PCMU", 96), Codec("PCMA", 8))
    assert (m.digits, m.comfort_noise) == ({8000: 97}, 13)


def test_events_at_another_rate_are_not_ours() -> None:
    assert agree("m=audio 4000 RTP/AVP 0 97\r\na=rtpmap:97 telephone-event/48000\r\n").digits is None


def test_the_stream_overrides_the_session() -> None:
    m = media("a=inactive\r\nm=audio 4000 RTP/AVP 0\r\nc=IN IP4 192.0.2.11\r\na=sendonly\r\n")
    assert (m.address, m.direction) == ("192.0.2.11", Direction.SENDONLY)
    assert media("a=inactive\r\nm=audio 4000 RTP/AVP 0\r\n").direction is Direction.INACTIVE


@pytest.mark.parametrize(
    ("lines", "packet_ms"),
    [("", 20), ("a=ptime:30\r\n", 30), ("a=ptime:20\r\na=maxptime:10\r\n", 10), ("a=ptime:35\r\n", 30),
     ("a=ptime:999999999\r\n", 60), ("a=ptime:1\r\n", 10), ("a=ptime:20.0\r\n", 20), ("a=ptime:x\r\n", 20)],
)  # fmt: skip
def test_packet_times_are_met_as_far_as_they_can_be(lines: str, packet_ms: int) -> None:
    assert agree(f"m=audio 4000 RTP/AVP 0\r\n{lines}").packet_ms == packet_ms


def test_rtcp_goes_where_it_is_said_to_go() -> None:
    assert media("m=audio 4000 RTP/AVP 0\r\n").rtcp == ("192.0.2.10", 4001)
    assert media("m=audio 4000 RTP/AVP 0\r\na=rtcp:4444 IN IP4 192.0.2.12\r\n").rtcp == ("192.0.2.12", 4444)
    both = agree("m=audio 4000 RTP/AVP 0\r\na=rtcp-mux\r\n")
    assert both.rtcp_mux and both.rtcp == both.remote


def test_rtcp_is_not_multiplexed_where_our_offer_did_not_propose_it() -> None:
    talks, ours = Negotiation(), LocalMedia("198.51.100.1", 20_000, rtcp_mux=False)
    talks.write_offer(ours)
    answer = parse((HEAD + "m=audio 4000 RTP/AVP 0\r\na=rtcp-mux\r\n").encode())
    assert not talks.take_answer(answer, ours).rtcp_mux


def test_the_first_usable_audio_stream_is_taken_and_the_rest_answered_with_port_0() -> None:
    offer = parse((HEAD + "m=audio 4000 RTP/FAST 0\r\nm=video 4002 RTP/AVP 31\r\nm=audio 4004 RTP/AVP 0\r\n").encode())
    assert offer.media.port == 4004
    talks = Negotiation()
    answer = talks.write_answer(offer, OURS, talks.agree(offer, OURS)).decode()
    ports = [line.split()[1] for line in answer.splitlines() if line.startswith("m=")]
    assert ports == ["0", "0", "20000"]


@pytest.mark.parametrize(
    ("offered", "hold", "answered"),
    [("sendrecv", False, "sendrecv"), ("sendonly", False, "recvonly"), ("recvonly", False, "sendonly"),
     ("inactive", False, "inactive"), ("sendrecv", True, "sendonly"), ("sendonly", True, "inactive")],
)  # fmt: skip
def test_directions_are_answered_as_rfc_3264_section_6_1_has_it(offered: str, hold: bool, answered: str) -> None:
    agreed = agree(f"m=audio 4000 RTP/AVP 0\r\na={offered}\r\n", hold=hold)
    assert direction_of(agreed).value == answered


def test_the_version_grows_only_with_a_change() -> None:
    talks = Negotiation()
    first = talks.write_offer(OURS)
    assert talks.write_offer(OURS) == first and b" 1 IN IP4 " in first
    assert b" 2 IN IP4 " in talks.write_offer(OURS, Direction.SENDONLY)


def test_our_offer_reads_back_as_what_we_meant() -> None:
    m = parse(Negotiation().write_offer(LocalMedia("2001:db8::1", 20_000))).media
    assert (m.address, m.port, m.digits, m.rtcp_mux) == ("2001:db8::1", 20_000, {8000: 101}, True)
    assert [c.name for c in m.codecs] == ["PCMU", "PCMA"]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "hello",
        "v=1\r\n",
        HEAD,
        HEAD + "m=audio 0 RTP/AVP 0\r\n",
        HEAD + "m=audio 70000 RTP/AVP 0\r\n",
        HEAD + "m=audio x RTP/AVP 0\r\n",
        HEAD + "m=audio 4000/2 RTP/AVP 0\r\n",
        HEAD + "m=audio 4000 RTP/AVP 18\r\n",
        HEAD + "m=audio 4000 RTP/FAST 0\r\n",
        HEAD + "m=audio 4000\r\n",
        HEAD.replace("c=IN IP4 192.0.2.10", "c=IN IP4 evil.example.com") + "m=audio 4000 RTP/AVP 0\r\n",
        HEAD.replace("c=IN IP4 192.0.2.10", "c=IN IP4 224.0.0.1") + "m=audio 4000 RTP/AVP 0\r\n",
        HEAD.replace("c=IN IP4 192.0.2.10\r\n", "") + "m=audio 4000 RTP/AVP 0\r\n",
        HEAD.replace("o=- 1 1 IN IP4 192.0.2.10", "o=-") + "m=audio 4000 RTP/AVP 0\r\n",
        HEAD + "m=audio 4000 RTP/AVP " + " ".join(["0"] * 100),
        HEAD + "m=video 1 RTP/AVP 31\r\n" * 20,
        HEAD + "a=x\r\n" * 1000,
        HEAD + "a=" + "x" * 20_000,
    ],
)
def test_what_is_broken_or_too_big_is_refused_with_a_sentence(body: str) -> None:
    with pytest.raises(NotAcceptable, match=r"description|stream|[cm]="):
        parse(body.encode())


@given(st.binary(max_size=400))
def test_no_bytes_after_a_good_beginning_raise_anything_else(tail: bytes) -> None:
    try:
        offer = parse((HEAD + "m=audio 4000 RTP/AVP 0 8\r\na=").encode() + tail)
    except NotAcceptable:
        return
    talks = Negotiation()
    talks.write_answer(offer, OURS, talks.agree(offer, OURS)).decode()

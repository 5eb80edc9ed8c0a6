"""Offer and answer: Opus and its clocks, keys in the description, DTLS and ICE, and what is never agreed to."""

from __future__ import annotations

import base64
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.sip import (
    Agreed,
    Fingerprint,
    Ice,
    LocalDtls,
    LocalMedia,
    Negotiation,
    NotAcceptable,
    Setup,
    Srtp,
)
from offhook.sip.sdes import SUITES, Crypto, UnusableCrypto, read
from offhook.sip.sdp import Description, parse

HEAD = "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n"
OURS = LocalMedia("198.51.100.1", 20_000, ("OPUS", "PCMU", "PCMA"))
SHA1_80, GCM = "AES_CM_128_HMAC_SHA1_80", "AEAD_AES_128_GCM"
FINGERPRINT = "sha-256 " + ":".join(f"{n:02X}" for n in range(32))
CERTIFICATE = Fingerprint("sha-256", ":".join(["CD"] * 32))
ICE = Ice("ours", "p" * 24, lite=True, candidates=("1 1 udp 2130706431 198.51.100.1 20000 typ host",))
BROWSER = (
    "a=group:BUNDLE 0 1\r\na=extmap-allow-mixed\r\n"
    "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 0 8 110 126\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n"
    "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=ice-options:trickle\r\n"
    f"a=fingerprint:{FINGERPRINT}\r\na=setup:actpass\r\na=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\n"
    "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\na=rtcp-fb:111 transport-cc\r\n"
    "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:63 red/48000/2\r\n"
    "a=rtpmap:110 telephone-event/48000\r\na=rtpmap:126 telephone-event/8000\r\n"
    "a=candidate:1 1 udp 2113937151 7f0f3c1e.local 50000 typ host generation 0\r\n"
    "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=rtpmap:96 VP8/90000\r\n"
)


def description(lines: str) -> Description:
    return parse((HEAD + lines).encode())


def key(suite: str = SHA1_80, fill: int = 7) -> str:
    return base64.b64encode(bytes([fill]) * SUITES[suite]).decode()


def crypto(*suites: str, profile: str = "RTP/SAVP", fill: int = 7) -> str:
    lines = [f"a=crypto:{tag} {suite} inline:{key(suite, fill)}\r\n" for tag, suite in enumerate(suites, 1)]
    return f"m=audio 4000 {profile} 0 8\r\n" + "".join(lines)


def answered(lines: str, ours: LocalMedia = OURS) -> tuple[Agreed, str]:
    talks, offer = Negotiation(), description(lines)
    agreed = talks.agree(offer, ours)
    return agreed, talks.write_answer(offer, ours, agreed).decode()


def lines_of(text: str, name: str) -> list[str]:
    return [line.partition(":")[2] for line in text.splitlines() if line.startswith(f"a={name}:")]


def test_audio_for_an_address_of_another_family_is_refused_and_not_answered_in_vain() -> None:
    with pytest.raises(NotAcceptable, match="2001:db8::1"):
        answered("m=audio 4000 RTP/AVP 0\r\nc=IN IP6 2001:db8::1\r\n")
    agreed, _ = answered("m=audio 4000 RTP/AVP 0\r\nc=IN IP6 2001:db8::1\r\n", replace(OURS, address="2001:db8::2"))
    assert agreed.remote == ("2001:db8::1", 4000)


# --- Opus and keys


def test_opus_is_answered_with_its_own_clock_and_what_suits_us() -> None:
    agreed, answer = answered(
        "m=audio 4000 RTP/AVP 96 0 97 101\r\na=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1; usedtx=1;"
        "maxplaybackrate=16000;maxaveragebitrate=24000\r\na=rtpmap:97 telephone-event/48000\r\n"
        "a=rtpmap:101 telephone-event/8000\r\na=ptime:30\r\n"
    )
    assert (agreed.codec.name, agreed.codec.payload_type, agreed.packet_ms) == ("OPUS", 96, 20)
    assert (agreed.digits, agreed.digits_rate_hz, agreed.comfort_noise) == (97, 48_000, None)
    wishes = agreed.opus
    assert wishes is not None and (wishes.fec, wishes.dtx, wishes.playback_hz, wishes.bitrate) == (
        True, True, 16_000, 24_000,
    )  # fmt: skip
    assert "m=audio 20000 RTP/AVP 96 97\r\n" in answer
    assert lines_of(answer, "rtpmap") == ["96 opus/48000/2", "97 telephone-event/48000"]
    assert "useinbandfec=1" in answer and "stereo=0" in answer


def test_the_clock_of_the_keys_follows_the_codec() -> None:
    both = "a=rtpmap:96 opus/48000/2\r\na=rtpmap:97 telephone-event/48000\r\na=rtpmap:98 telephone-event/8000\r\n"
    agreed, _ = answered("m=audio 4000 RTP/AVP 0 96 97 98\r\n" + both)
    assert (agreed.codec.name, agreed.digits, agreed.digits_rate_hz) == ("PCMU", 98, 8_000)
    old, answer = answered(
        "m=audio 4000 RTP/AVP 96 98\r\n" + both.replace("/48000\r\na=rtpmap:98", "/1\r\na=rtpmap:98")
    )
    assert (old.codec.name, old.digits, old.digits_rate_hz) == ("OPUS", 98, 8_000), "phones that know only 8 kHz"
    assert "98 telephone-event/8000" in answer


@pytest.mark.parametrize("rtpmap", ["opus/48000", "opus/48000/1", "opus/16000/2"])
def test_what_is_not_opus_as_its_rfc_has_it_is_not_taken_for_it(rtpmap: str) -> None:
    with pytest.raises(NotAcceptable, match="none of OPUS, PCMU, PCMA"):
        description(f"m=audio 4000 RTP/AVP 96\r\na=rtpmap:96 {rtpmap}\r\n")


def test_our_offer_of_opus_reads_back() -> None:
    media = parse(Negotiation().write_offer(OURS)).media
    assert [codec.name for codec in media.codecs] == ["OPUS", "PCMU", "PCMA"]
    assert media.digits == {8_000: 101, 48_000: 110} and media.opus.playback_hz == 16_000


# --- RFC 4568


def test_the_first_suite_that_is_known_is_taken_with_a_fresh_key() -> None:
    offer = (
        f"m=audio 4000 RTP/SAVP 0\r\na=crypto:1 F8_128_HMAC_SHA1_80 inline:{key()}\r\n"
        f"a=crypto:7 {GCM} inline:{key(GCM)}|2^31\r\na=crypto:8 {SHA1_80} inline:{key()}\r\n"
    )
    agreed, answer = answered(offer)
    assert agreed.keys is not None and agreed.secure
    assert agreed.keys.suite == GCM and agreed.keys.theirs.key == bytes([7]) * 28
    (line,) = lines_of(answer, "crypto")
    assert read(line) == agreed.keys.ours and agreed.keys.ours.tag == 7
    assert agreed.keys.ours.key != agreed.keys.theirs.key and "m=audio 20000 RTP/SAVP 0\r\n" in answer
    assert answered(offer)[0].keys != agreed.keys, "every call has keys of its own"


def test_a_re_offer_with_the_same_key_keeps_ours_and_one_with_another_does_not() -> None:
    talks, offer = Negotiation(), description(crypto(SHA1_80))
    first = talks.agree(offer, OURS)
    again = talks.agree(offer, OURS, keep=first)
    assert again.keys == first.keys
    moved = talks.agree(description(crypto(SHA1_80, fill=9)), OURS, keep=again)
    assert moved.keys is not None and first.keys is not None
    assert moved.keys.theirs.key == bytes([9]) * 30 and moved.keys.ours.key != first.keys.ours.key
    looked_at_twice = talks.agree(description(crypto(SHA1_80, fill=9)), OURS, keep=again)
    assert looked_at_twice.keys == moved.keys


def test_our_own_re_offer_keeps_the_profile_and_the_key() -> None:
    talks, offer = Negotiation(), description(crypto(SHA1_80))
    first = talks.agree(offer, OURS)
    talks.write_answer(offer, OURS, first)
    body = talks.write_offer(OURS, keep=first, before=offer)
    media = parse(body).media
    assert first.keys is not None and media.protocol == "RTP/SAVP" and media.crypto == (first.keys.ours,)
    held = talks.take_answer(description(crypto(SHA1_80)), OURS, keep=first)
    assert held.keys == first.keys
    with pytest.raises(NotAcceptable, match="does not secure"):
        talks.take_answer(description("m=audio 4000 RTP/AVP 0\r\n"), OURS, keep=first)


def test_best_effort_is_answered_securely_unless_settings_say_never() -> None:
    offer = crypto(SHA1_80, profile="RTP/AVP")
    agreed, answer = answered(offer)
    assert agreed.secure and "m=audio 20000 RTP/AVP 0\r\n" in answer and lines_of(answer, "crypto")
    plain, answer = answered(offer, replace(OURS, srtp=Srtp.NEVER))
    assert not plain.secure and not lines_of(answer, "crypto")


def test_of_two_streams_the_one_that_settings_allow_is_taken() -> None:
    both = crypto(SHA1_80) + "m=audio 4002 RTP/AVP 0\r\n"
    agreed, answer = answered(both, replace(OURS, srtp=Srtp.NEVER))
    assert (agreed.stream, agreed.secure) == (1, False)
    assert [line.split()[1] for line in answer.splitlines() if line.startswith("m=")] == ["0", "20000"]
    other_way = "m=audio 4002 RTP/AVP 0\r\n" + crypto(SHA1_80)
    assert answered(other_way, replace(OURS, srtp=Srtp.REQUIRED))[0].stream == 1


@pytest.mark.parametrize(
    ("lines", "srtp", "told"),
    [
        ("m=audio 4000 RTP/SAVP 0\r\n", Srtp.OFFERED, "brings no key"),
        (crypto(SHA1_80), Srtp.NEVER, "not taken here"),
        ("m=audio 4000 RTP/SAVP 0\r\na=crypto:1 NULL_HMAC_SHA1_80 inline:abc\r\n", Srtp.OFFERED, "NULL_HMAC_SHA1_80"),
        ("m=audio 4000 RTP/AVP 0\r\n", Srtp.REQUIRED, "plain RTP is not taken"),
        (BROWSER, Srtp.OFFERED, "DTLS-SRTP"),
        (BROWSER.replace("a=fingerprint:" + FINGERPRINT, "a=x:y"), Srtp.OFFERED, "DTLS-SRTP"),
    ],
)  # fmt: skip
def test_a_profile_that_asks_for_security_never_falls_to_plain(lines: str, srtp: Srtp, told: str) -> None:
    with pytest.raises(NotAcceptable, match=told):
        answered(lines, replace(OURS, srtp=srtp))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("1 AES_CM_128_HMAC_SHA1_80", "tag, a suite and a key"),
        ("x AES_CM_128_HMAC_SHA1_80 inline:KEY", "tag, a suite and a key"),
        ("1 AES_CM_128_HMAC_SHA1_80 https:KEY", "another method"),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:SHORT", "base64|bytes"),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:!!!", "not base64"),
        ("1 AEAD_AES_256_GCM inline:KEY", "30 bytes stands where the suite wants 44"),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:KEY|2^31|1:4", "MKI is not taken"),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:KEY|1:4", "MKI is not taken"),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:KEY|2^20|1:4;inline:KEY|2^20|2:4", "several"),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:KEY|2^10", "too short"),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:KEY|2^99999", "too short|none"),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:KEY UNENCRYPTED_SRTP", "UNENCRYPTED_SRTP is not taken"),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:KEY UNAUTHENTICATED_SRTP", "UNAUTHENTICATED_SRTP is not taken"),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:KEY KDR=5", "not taken"),
    ],
)
def test_keys_that_cannot_be_held_to_are_refused_without_being_told(line: str, told: str) -> None:
    with pytest.raises(UnusableCrypto, match=told) as refused:
        read(line.replace("KEY", key()))
    assert key()[:8] not in str(refused.value)


def test_of_keys_with_an_mki_and_without_the_first_without_is_taken() -> None:
    """Some exchanges offer each suite both ways."""
    with_mki = f"a=crypto:1 {SHA1_80} inline:{key()}|2^31|1:4\r\n"
    offer = f"m=audio 4000 RTP/SAVP 0\r\n{with_mki}a=crypto:2 {SHA1_80} inline:{key()}|2^31\r\n"
    agreed, answer = answered(offer)
    assert agreed.keys is not None and agreed.keys.theirs.tag == 2
    (line,) = lines_of(answer, "crypto")
    assert line.startswith(f"2 {SHA1_80} inline:") and "|" not in line
    with pytest.raises(NotAcceptable, match="an SRTP MKI is not taken"):
        answered("m=audio 4000 RTP/SAVP 0\r\n" + with_mki)


@pytest.mark.parametrize("tail", ["", "|2^31", "|2147483648", "|2^48", " WSH=128", " KDR=0", " -EXTRA=1"])
def test_lifetimes_hints_and_optional_parameters_are_taken(tail: str) -> None:
    assert read(f"1 {SHA1_80} inline:{key()}{tail}").key == bytes([7]) * 30
    assert read(f"2 {GCM} inline:{key(GCM).rstrip('=')}{tail}").key == bytes([7]) * 28, "without its padding"


def test_keys_are_offered_where_signalling_is_private_and_demanded_where_settings_say_so() -> None:
    plain = parse(Negotiation().write_offer(OURS)).media
    assert (plain.protocol, plain.crypto) == ("RTP/AVP", ())
    offered = parse(Negotiation().write_offer(OURS, private=True)).media
    assert offered.protocol == "RTP/AVP" and len(offered.crypto) == 2
    required = parse(Negotiation().write_offer(replace(OURS, srtp=Srtp.REQUIRED))).media
    assert required.protocol == "RTP/SAVP" and len({c.key for c in required.crypto}) == 2
    assert parse(Negotiation().write_offer(replace(OURS, srtp=Srtp.NEVER), private=True)).media.crypto == ()


def test_the_answers_tag_says_which_of_our_keys_it_took() -> None:
    ours, talks = replace(OURS, srtp=Srtp.REQUIRED), Negotiation()
    offer = parse(talks.write_offer(ours)).media
    second = offer.crypto[1]
    answer = f"m=audio 4000 RTP/SAVP 0\r\na=crypto:{second.tag} {second.suite} inline:{key(second.suite)}\r\n"
    agreed = talks.take_answer(description(answer), ours)
    assert agreed.keys is not None and agreed.keys.ours == second and agreed.keys.theirs.key == bytes([7]) * 30
    for wrong in (
        answer.replace(f"crypto:{second.tag} ", "crypto:9 "),
        answer.replace("SAVP", "AVP").partition("a=")[0],
    ):
        with pytest.raises(NotAcceptable):
            talks.take_answer(description(wrong), ours)
    assert talks.write_offer(ours) == talks.write_offer(ours), "the same offer again, after a challenge"


def test_who_does_not_understand_best_effort_is_offered_encryption_alone_once() -> None:
    talks = Negotiation()
    first = parse(talks.write_offer(OURS, private=True)).media
    assert talks.insist()
    second = parse(talks.write_offer(OURS, private=True)).media
    assert (second.protocol, second.crypto) == ("RTP/SAVP", first.crypto)
    assert not talks.insist()
    with pytest.raises(NotAcceptable, match="does not secure"):
        talks.take_answer(description("m=audio 4000 RTP/AVP 0\r\n"), OURS)
    plain = Negotiation()
    plain.write_offer(OURS)
    assert not plain.insist()


def test_best_effort_answered_without_a_key_is_plain() -> None:
    talks = Negotiation()
    talks.write_offer(OURS, private=True)
    assert not talks.take_answer(description("m=audio 4000 RTP/AVP 0\r\n"), OURS).secure


def test_no_key_shows_in_a_repr() -> None:
    agreed, _ = answered(crypto(SHA1_80))
    offer = description(crypto(SHA1_80))
    assert agreed.keys is not None
    shown = repr(agreed) + repr(offer) + repr(offer.streams) + str(agreed.keys.ours) + repr(ICE)
    for secret in (agreed.keys.ours.key, agreed.keys.theirs.key):
        assert repr(secret)[2:-1] not in shown and base64.b64encode(secret).decode()[:10] not in shown
    assert ICE.pwd not in shown


# --- browsers


def browser(**more: object) -> LocalMedia:
    return replace(OURS, dtls=LocalDtls(CERTIFICATE, ICE), **more)  # type: ignore[arg-type]


def test_a_browsers_offer_is_answered_for_its_first_audio_in_its_bundle() -> None:
    agreed, answer = answered(BROWSER, browser())
    assert agreed.codec.name == "OPUS" and agreed.digits == 110 and agreed.rtcp_mux and agreed.send and agreed.receive
    dtls = agreed.dtls
    assert dtls is not None and not dtls.active and str(dtls.fingerprints[0]) == FINGERPRINT
    assert dtls.ice is not None and (dtls.ice.ufrag, dtls.ice.pwd) == ("abcd", "abcdefghijklmnopqrstuvwx")
    assert dtls.ice.trickle and not dtls.ice.lite and len(dtls.ice.candidates) == 1
    session, _, stream = answer.partition("m=audio")
    assert "a=ice-lite" in session and "a=group:BUNDLE 0\r\n" in session
    assert stream.startswith(" 20000 UDP/TLS/RTP/SAVPF 111 110\r\n") and "m=video 0 UDP/TLS/RTP/SAVPF 96" in stream
    assert lines_of(answer, "setup") == ["passive"] and lines_of(answer, "ice-ufrag") == ["ours"]
    assert lines_of(answer, "fingerprint") == [str(CERTIFICATE)] and lines_of(answer, "mid") == ["0"]
    assert lines_of(answer, "candidate") == list(ICE.candidates) and "a=end-of-candidates" in answer
    assert "rtcp-fb" not in answer and "extmap" not in answer and "crypto" not in answer


def test_an_ice_restart_shows_in_what_is_agreed() -> None:
    talks, first = Negotiation(), description(BROWSER)
    before = talks.agree(first, browser())
    after = talks.agree(description(BROWSER.replace("ice-ufrag:abcd", "ice-ufrag:efgh")), browser(), keep=before)
    assert before.dtls is not None and after.dtls is not None and before.dtls.ice != after.dtls.ice
    assert before.dtls.fingerprints == after.dtls.fingerprints


@pytest.mark.parametrize(
    ("setup", "active", "said"),
    [("active", False, "passive"), ("passive", True, "active"), ("actpass", False, "passive")],
)
def test_who_opens_dtls_is_left_to_nobodys_guess(setup: str, active: bool, said: str) -> None:
    agreed, answer = answered(BROWSER.replace("setup:actpass", f"setup:{setup}"), browser())
    assert agreed.dtls is not None and agreed.dtls.active is active and lines_of(answer, "setup") == [said]


def test_our_offer_to_a_browser_reads_back_and_its_answer_is_taken() -> None:
    talks, ours = Negotiation(), browser()
    body = talks.write_offer(ours)
    media = parse(body).media
    assert media.protocol == "UDP/TLS/RTP/SAVPF" and media.mid == "0" and media.bundled
    assert media.dtls is not None and media.dtls.setup is Setup.ACTPASS and media.ice is not None and media.ice.lite
    answer = BROWSER.replace("setup:actpass", "setup:active").partition("m=video")[0]
    agreed = talks.take_answer(description(answer), ours)
    assert agreed.dtls is not None and not agreed.dtls.active
    for wrong in (BROWSER, BROWSER.replace(FINGERPRINT, "sha-1 00:11"), crypto(SHA1_80), "m=audio 4000 RTP/AVP 0\r\n"):
        with pytest.raises(NotAcceptable):
            talks.take_answer(description(wrong), ours)


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("a=fingerprint:sha-256", "a=fingerprint:sha-1"),
        ("a=fingerprint:sha-256", "a=fingerprint:md5"),
        ("1D:1E:1F", "1D:1E"),
        ("a=setup:actpass", "a=setup:holdconn"),
        ("a=setup:actpass", "a=setup:whatever"),
    ],
)
def test_dtls_that_proves_nothing_is_refused(was: str, becomes: str) -> None:
    assert was in BROWSER
    with pytest.raises(NotAcceptable, match="fingerprint"):
        answered(BROWSER.replace(was, becomes), browser())


def test_ice_without_usable_credentials_is_no_ice() -> None:
    media = description(BROWSER.replace("ice-pwd:abcdefghijklmnopqrstuvwx", "ice-pwd:short")).media
    assert media.ice is None
    agreed, answer = answered(BROWSER.replace("ice-pwd:abcdefghijklmnopqrstuvwx", "ice-pwd:short"), browser())
    assert (
        agreed.dtls is not None and agreed.dtls.ice is None and "ice-lite" not in answer and "candidate" not in answer
    )


# --- anything at all

WHOLE = (BROWSER, crypto(SHA1_80, GCM), crypto(GCM, profile="RTP/AVP"), BROWSER + crypto(GCM))
OFFERS = [text.splitlines() for text in WHOLE]
STRAY = [
    *dict.fromkeys(line for lines in OFFERS for line in lines),
    *("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:", "a=crypto:", "a=fingerprint:", "a=setup:", "a=ice-lite", "a=mid:"),
    *(
        "a=candidate:",
        "a=fmtp:111 =;;=",
        "a=group:BUNDLE",
        "a=maxptime:0",
        "a=rtcp-mux-only",
        "c=IN IP6 ::",
        "a=rtcp:0",
    ),
]
EDITS = st.tuples(st.sampled_from(["drop", "put", "cut"]), st.integers(0, 60), st.sampled_from(STRAY))


def edited(lines: list[str], edits: list[tuple[str, int, str]]) -> str:
    lines = list(lines)
    for what, number, stray in edits:
        at = number % (len(lines) + 1)
        if what == "put":
            lines.insert(at, stray)
        elif at < len(lines):
            lines[at : at + 1] = [lines[at][: number % 11]] if what == "cut" else []
    return "".join(line + "\r\n" for line in lines)


@given(st.sampled_from(OFFERS), st.lists(EDITS, max_size=12), st.sampled_from(list(Srtp)), st.booleans())
def test_no_mixture_of_lines_leads_anywhere_but_to_an_agreement_or_a_sentence(
    lines: list[str], edits: list[tuple[str, int, str]], srtp: Srtp, dtls: bool
) -> None:
    text = edited(lines, edits)
    ours = replace(browser() if dtls else OURS, srtp=srtp)
    talks = Negotiation()
    try:
        offer = description(text)
        agreed = talks.agree(offer, ours)
    except NotAcceptable as why:
        assert re.search(r"\w", str(why)) and key()[:8] not in str(why)
        return
    media = next(m for m in offer.audio if m.stream == agreed.stream)
    assert agreed.secure or not media.wants_security, "a secure profile must not be answered in the clear"
    assert agreed.secure or srtp is not Srtp.REQUIRED
    assert not agreed.secure or srtp is not Srtp.NEVER
    answer = parse(talks.write_answer(offer, ours, agreed))
    assert len(answer.streams) == len(offer.streams) and len(answer.audio) == 1
    assert answer.media.protocol == media.protocol


@given(st.binary(max_size=80), st.sampled_from(sorted(SUITES)), st.text(alphabet="|:;2^1 WSH=KDR-", max_size=12))
def test_any_key_is_of_the_right_length_or_refused(data: bytes, suite: str, tail: str) -> None:
    try:
        crypto = read(f"1 {suite} inline:{base64.b64encode(data).decode()}{tail}")
    except UnusableCrypto:
        return
    assert crypto == Crypto(1, suite, data) and len(data) == SUITES[suite]

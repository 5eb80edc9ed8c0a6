"""Digest authentication against the RFC's own figures, and against those who would get around it."""

from __future__ import annotations

import pytest

from offhook.sip import Cause, Credentials, IncomingCall, Refused, SipSettings, Trunk
from offhook.sip.digest import ALGORITHMS, NONCE_LIFE_S, Answerer, Challenger, Verdict, parse_parameters, response_of
from offhook.sip.message import Response
from tests.sip.lab import SDP, Caller, Lab

URI = "sip:100@198.51.100.1"
USERS = {"bob": "secret", 'we"ird, one': "p:w"}


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_responses_are_those_of_rfc_7616_section_3_9_1(algorithm: str, expected: str) -> None:
    response = response_of(
        ALGORITHMS[algorithm],
        "Mufasa",
        "http-auth@example.org",
        "Circle of Life",
        "GET",
        "/dir/index.html",
        "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        "00000001",
        "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        "auth",
    )
    assert response == expected


def test_the_form_without_qop_is_that_of_rfc_2069_as_corrected() -> None:
    nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093"
    args = ("Mufasa", "testrealm@host.com", "CircleOfLife", "GET", "/dir/index.html", nonce)
    assert response_of(ALGORITHMS["MD5"], *args) == "1949323746fe6a43ef61f9606e7febea"


def answer(challenges: list[str], user: str = "bob", password: str = "secret", uri: str = URI) -> str:
    answerer = Answerer(Credentials(user, password))
    assert answerer.take(challenges, proxy=False)
    header = answerer.header("INVITE", uri)
    assert header is not None
    return header[1]


@pytest.mark.parametrize("user", list(USERS))
@pytest.mark.parametrize("which", [0, 1])
def test_both_sides_agree_on_every_algorithm(user: str, which: int) -> None:
    challenger = Challenger()
    given = answer([challenger.challenge("pbx", 0.0)[which]], user, USERS[user])
    assert challenger.verify([given], "pbx", USERS, "INVITE", URI, 1.0) is Verdict.GOOD


def test_what_is_proven_once_is_stale_the_second_time() -> None:
    challenger = Challenger()
    given = answer(challenger.challenge("pbx", 0.0))
    assert challenger.verify([given], "pbx", USERS, "INVITE", URI, 1.0) is Verdict.GOOD
    assert challenger.verify([given], "pbx", USERS, "INVITE", URI, 2.0) is Verdict.STALE


def test_a_growing_count_goes_on_with_the_same_nonce() -> None:
    challenger, answerer = Challenger(), Answerer(Credentials("bob", "secret"))
    answerer.take(challenger.challenge("pbx", 0.0), proxy=False)
    for _ in range(3):
        header = answerer.header("INVITE", URI)
        assert header and challenger.verify([header[1]], "pbx", USERS, "INVITE", URI, 1.0) is Verdict.GOOD


def test_an_old_or_foreign_nonce_is_stale_for_who_knows_the_password_and_bad_for_who_does_not() -> None:
    challenger = Challenger()
    challenges = challenger.challenge("pbx", 0.0)
    late = NONCE_LIFE_S + 1
    assert challenger.verify([answer(challenges)], "pbx", USERS, "INVITE", URI, late) is Verdict.STALE
    assert challenger.verify([answer(challenges, "bob", "no")], "pbx", USERS, "INVITE", URI, late) is Verdict.BAD
    foreign = answer(Challenger().challenge("pbx", 0.0))
    assert challenger.verify([foreign], "pbx", USERS, "INVITE", URI, 1.0) is Verdict.STALE


def test_a_proof_for_one_number_or_realm_is_none_for_another() -> None:
    challenger = Challenger()
    given = answer(challenger.challenge("pbx", 0.0))
    assert challenger.verify([given], "pbx", USERS, "INVITE", "sip:900@198.51.100.1", 1.0) is Verdict.BAD
    assert challenger.verify([given], "other", USERS, "INVITE", URI, 1.0) is Verdict.BAD
    assert challenger.verify([given], "pbx", USERS, "BYE", URI, 1.0) is Verdict.BAD


@pytest.mark.parametrize(
    "given",
    ["", "Digest", "Basic Ym9iOnNlY3JldA==", 'Digest realm="pbx"', 'Digest realm="pbx", realm="pbx"', "Digest ====",
     'Digest realm="pbx", username="bob", nonce="%%%", uri="sip:100@198.51.100.1", response="\u0660", algorithm=MD5',
     'Digest realm="pbx", username="bob", nonce="x", uri="sip:100@198.51.100.1", response="0", algorithm=ROT13'],
)  # fmt: skip
def test_nonsense_proves_nothing(given: str) -> None:
    assert Challenger().verify([given], "pbx", USERS, "INVITE", URI, 1.0) is Verdict.BAD


def test_unknown_algorithms_are_passed_over_and_unknown_schemes_too() -> None:
    answerer = Answerer(Credentials("bob", "secret"))
    assert not answerer.take(['Digest realm="x", nonce="n", algorithm=ROT13', "Bearer x"], proxy=False)
    assert answerer.take(['Digest realm="x", nonce="n", algorithm=ROT13', 'Digest realm="x", nonce="n"'], proxy=False)
    header = answerer.header("INVITE", URI)
    assert header and parse_parameters(header[1])["algorithm"] == "MD5"


# --- at the door


def guarded() -> Lab:
    return Lab(SipSettings(trunks=(Trunk("phones", ("192.0.2.0/24",), realm="offhook", users={"bob": "secret"}),)))


def challenge_of(message: object) -> list[str]:
    assert isinstance(message, Response) and message.status == 401
    return message.headers.all("WWW-Authenticate")


def test_a_guarded_trunk_asks_first_and_lets_in_whoever_answers() -> None:
    lab = guarded()
    caller = Caller(lab)
    (refusal,) = caller.invite()
    assert lab.told(Refused) == []  # to be asked is no failure
    caller.to_tag, caller.cseq = "", 2
    said = caller.invite(f"Authorization: {answer(challenge_of(refusal))}")
    assert [m.status for m in said if isinstance(m, Response)] == [100]
    call = lab.one(IncomingCall)
    assert "authorization" not in call.headers


def test_an_unknown_user_and_a_wrong_password_get_the_same_answer() -> None:
    lab = guarded()
    shapes = []
    for number, (user, password) in enumerate([("bob", "wrong"), ("nobody", "secret")]):
        caller = Caller(lab, f"c{number}@x")
        (first,) = caller.invite()
        caller.to_tag, caller.cseq = "", 2
        (second,) = caller.invite(f"Authorization: {answer(challenge_of(first), user, password)}")
        assert "stale" not in "".join(challenge_of(second))
        shapes.append([(name, len(value)) for name, value in second.headers])
    assert shapes[0] == shapes[1]
    assert [refused.cause for refused in lab.told(Refused)] == [Cause.AUTH, Cause.AUTH]


def test_a_stale_nonce_is_told_so_and_costs_nothing_but_another_round() -> None:
    lab = guarded()
    caller = Caller(lab)
    (first,) = caller.invite()
    proof = answer(challenge_of(first))
    lab.wait(NONCE_LIFE_S + 1)
    caller.to_tag, caller.cseq = "", 2
    (second,) = caller.invite(f"Authorization: {proof}")
    assert "stale=true" in challenge_of(second)[0]
    assert lab.told(Refused) == []


def test_who_authenticates_cannot_assert_another_identity() -> None:
    lab = guarded()
    caller = Caller(lab)
    (first,) = caller.invite()
    caller.to_tag, caller.cseq = "", 2
    caller.invite(f"P-Asserted-Identity: <tel:+15550100>\nAuthorization: {answer(challenge_of(first))}", SDP)
    assert lab.one(IncomingCall).caller == "alice"

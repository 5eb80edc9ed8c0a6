"""Calls that go out: answered, challenged, forked, given up, never answered. The test is the called side."""

from __future__ import annotations

import pytest

from offhook.sip import Answered, By, Credentials, Ended, Failed, OutgoingSession, Progress, SipSettings, State
from offhook.sip.digest import Challenger, Verdict, parse_parameters
from offhook.sip.grammar import Malformed
from offhook.sip.message import Request
from offhook.sip.transaction import Flow
from tests.sip.lab import OURS, SDP, Caller, Lab


class Called(Caller):
    """The called side: answers what the user agent sends."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab)
        self.contact = "<sip:bob@192.0.2.10:5060>"

    def request_of_ours(self, method: str) -> Request:
        (found,) = [m for m in self.lab.said() if isinstance(m, Request) and m.method == method]
        return found

    def dialog(self, invite: Request, tag: str) -> None:
        """From here on, `text` speaks as the called side within the dialog."""
        self.call_id = invite.call_id
        self.to_tag = str(invite.sender.tag)
        self.cseq = 50


def calling(lab: Lab, auth: Credentials | None = None) -> tuple[OutgoingSession, Called, Request]:
    session = lab.agent.call("sip:bob@192.0.2.10", OURS, '"Us" <sip:us@198.51.100.1>', auth)
    called = Called(lab)
    return session, called, called.request_of_ours("INVITE")


def test_ringing_and_an_answer_make_a_call_that_we_end() -> None:
    lab = Lab()
    session, called, invite = calling(lab)
    assert invite.uri_text == "sip:bob@192.0.2.10" and b"m=audio 20000 RTP/AVP 0 8 101" in invite.body
    called.answer(invite, 100)
    called.answer(invite, 180, tag="b1")
    assert [p.status for p in lab.told(Progress)] == [180]
    called.answer(invite, 200, body=SDP, tag="b1")
    ack = called.request_of_ours("ACK")
    assert ack.uri_text == "sip:bob@192.0.2.10:5060" and ack.target.tag == "b1"
    assert ack.cseq.number == invite.cseq.number and ack.via.branch != invite.via.branch
    assert lab.one(Answered).agreed.remote == ("192.0.2.10", 4000)
    session.hang_up()
    called.answer(called.request_of_ours("BYE"), 200)
    assert lab.one(Ended).by is By.US
    lab.wait(40)
    assert lab.agent.next_due() is None and not lab.agent.sessions


def test_early_media_is_told_with_the_progress() -> None:
    lab = Lab()
    _, called, invite = calling(lab)
    called.answer(invite, 183, body=SDP, tag="b1")
    early = lab.one(Progress).early
    assert early is not None and early.remote == ("192.0.2.10", 4000)


def test_a_repeated_200_gets_its_ack_again_and_nothing_else() -> None:
    lab = Lab()
    _, called, invite = calling(lab)
    called.answer(invite, 200, body=SDP, tag="b1")
    first = called.request_of_ours("ACK")
    called.answer(invite, 200, body=SDP, tag="b1")
    assert called.request_of_ours("ACK").to_bytes() == first.to_bytes()
    lab.one(Answered)


def test_another_branch_that_answers_is_acknowledged_and_told_goodbye() -> None:
    lab = Lab()
    session, called, invite = calling(lab)
    called.answer(invite, 200, body=SDP, tag="b1")
    lab.said()
    called.answer(invite, 200, body=SDP, tag="b2")
    said = [m for m in lab.said() if isinstance(m, Request)]
    assert [(m.method, m.target.tag) for m in said] == [("ACK", "b2"), ("BYE", "b2")]
    called.answer(invite, 200, body=SDP, tag="b2")
    assert lab.methods() == ["ACK"]
    assert session.state is State.CONFIRMED


def test_the_peer_hangs_up() -> None:
    lab = Lab()
    _, called, invite = calling(lab)
    called.answer(invite, 200, body=SDP, tag="b1")
    lab.said()
    called.dialog(invite, "b1")
    bye = called.text("BYE").replace("tag=alice", "tag=b1")
    called.send(bye)
    assert lab.one(Ended).by is By.PEER


# --- giving up


def test_giving_up_before_any_response_waits_for_one_before_cancel() -> None:
    lab = Lab()
    session, called, invite = calling(lab)
    session.hang_up()
    lab.wait(0.1)
    assert lab.methods() == []
    called.answer(invite, 100)
    cancel = called.request_of_ours("CANCEL")
    assert cancel.via.branch == invite.via.branch and cancel.cseq.number == invite.cseq.number
    called.answer(cancel, 200)
    called.answer(invite, 487, tag="b1")
    assert lab.methods() == ["ACK"]
    assert lab.one(Failed).status == 487


def test_an_answer_that_crosses_our_cancel_is_acknowledged_and_ended() -> None:
    lab = Lab()
    session, called, invite = calling(lab)
    called.answer(invite, 180, tag="b1")
    session.hang_up()
    called.answer(called.request_of_ours("CANCEL"), 200)
    called.answer(invite, 200, body=SDP, tag="b1")
    assert lab.methods() == ["ACK", "BYE"]
    assert lab.one(Failed).status == 487 and lab.told(Answered) == []


def test_a_cancel_that_nobody_answers_is_over_after_64_t1() -> None:
    lab = Lab()
    session, called, invite = calling(lab)
    called.answer(invite, 180, tag="b1")
    session.hang_up()
    lab.wait(33)
    assert lab.one(Failed).status == 487


def test_nobody_there_is_408_after_seven_attempts() -> None:
    lab = Lab()
    calling(lab)
    lab.wait(33)
    assert lab.methods() == ["INVITE"] * 6
    assert lab.one(Failed).status == 408


def test_a_place_that_cannot_be_reached_is_503_at_once() -> None:
    lab = Lab()
    calling(lab)
    lab.agent.unreachable(Flow("udp", "192.0.2.10", 5060), "no route")
    failed = lab.one(Failed)
    assert (failed.status, failed.reason) == (503, "no route")


def test_a_redirect_is_told_and_not_followed() -> None:
    lab = Lab()
    _, called, invite = calling(lab)
    called.answer(invite, 302, "Contact: <sip:carol@203.0.113.9>", tag="b1")
    assert lab.methods() == ["ACK"]
    assert lab.one(Failed).contacts == ("sip:carol@203.0.113.9",)


def test_a_refusal_is_acknowledged_and_told_once_however_often_it_comes() -> None:
    lab = Lab()
    _, called, invite = calling(lab)
    called.answer(invite, 486, tag="b1")
    called.answer(invite, 486, tag="b1")
    assert lab.methods() == ["ACK", "ACK"]
    assert lab.one(Failed).status == 486


def test_an_answer_without_usable_audio_is_acknowledged_and_ended() -> None:
    lab = Lab()
    _, called, invite = calling(lab)
    called.answer(invite, 200, body=SDP.replace("RTP/AVP 0 8 101", "RTP/AVP 18"), tag="b1")
    assert lab.methods() == ["ACK", "BYE"]
    assert lab.one(Failed).status == 488


# --- challenges


def test_a_challenge_is_answered_once_with_the_strongest_algorithm() -> None:
    lab = Lab()
    _, called, invite = calling(lab, Credentials("bob", "secret"))
    challenger = Challenger()
    offered = "\n".join(f"WWW-Authenticate: {value}" for value in challenger.challenge("pbx", lab.now))
    called.answer(invite, 401, offered, tag="x")
    ack, again = [m for m in lab.said() if isinstance(m, Request)]
    assert ack.method == "ACK" and again.method == "INVITE"
    assert again.cseq.number == invite.cseq.number + 1 and again.via.branch != invite.via.branch
    given = again.headers.all("Authorization")
    assert parse_parameters(given[0])["algorithm"] == "SHA-256"
    users = {"bob": "secret"}
    verdict = challenger.verify(given, "pbx", users, "INVITE", again.uri_text, lab.now)
    assert verdict is Verdict.GOOD
    called.answer(again, 401, offered, tag="x")  # not stale: the password is wrong
    assert lab.methods() == ["ACK"]
    assert lab.one(Failed).status == 401


def test_the_ack_of_an_answer_shows_the_credentials_of_its_invite() -> None:
    lab = Lab()
    _, called, invite = calling(lab, Credentials("bob", "secret"))
    called.answer(invite, 407, 'Proxy-Authenticate: Digest realm="pbx", nonce="n", qop="auth", algorithm=MD5', tag="x")
    again = called.request_of_ours("INVITE")
    called.answer(again, 200, body=SDP, tag="b1")
    ack = called.request_of_ours("ACK")
    assert ack.headers.get("Proxy-Authorization") == again.headers.get("Proxy-Authorization") is not None


def test_a_proxy_that_asks_about_bye_is_answered_too() -> None:
    lab = Lab()
    session, called, invite = calling(lab, Credentials("bob", "secret"))
    called.answer(invite, 200, body=SDP, tag="b1")
    lab.said()
    session.hang_up()
    bye = called.request_of_ours("BYE")
    called.answer(bye, 407, 'Proxy-Authenticate: Digest realm="pbx", nonce="n", qop="auth", algorithm=MD5')
    again = called.request_of_ours("BYE")
    assert again.cseq.number == bye.cseq.number + 1 and "Proxy-Authorization" in again.headers


def test_without_credentials_a_challenge_is_a_refusal() -> None:
    lab = Lab()
    _, called, invite = calling(lab)
    called.answer(invite, 401, 'WWW-Authenticate: Digest realm="pbx", nonce="n"', tag="x")
    assert lab.one(Failed).status == 401


def test_an_interval_too_small_is_asked_for_again_with_theirs() -> None:
    lab = Lab(SipSettings(session_expires_s=100))
    _, called, invite = calling(lab)
    called.answer(invite, 422, "Min-SE: 600", tag="x")
    again = [m for m in lab.said() if isinstance(m, Request)][-1]
    assert again.headers.get("Min-SE") == "600" and again.headers.get("Session-Expires") == "600"


def test_the_called_sides_refresher_is_obeyed() -> None:
    lab = Lab()
    _, called, invite = calling(lab)
    called.answer(invite, 200, "Session-Expires: 100;refresher=uac\nAllow: UPDATE", SDP, tag="b1")
    lab.said()
    lab.wait(51)
    assert "UPDATE" in lab.methods()


@pytest.mark.parametrize("uri", ["bob", "sips:bob@192.0.2.10", "sip:bob@192.0.2.10;transport=sctp", "tel:+15550100"])
def test_what_cannot_be_called_is_said_at_once(uri: str) -> None:
    lab = Lab()
    with pytest.raises(Malformed):
        lab.agent.call(uri, OURS, "sip:us@198.51.100.1")
    assert not lab.agent.sessions


@pytest.mark.parametrize(("caller", "headers"), [("nobody at all", ()), ("sip:us@198.51.100.1", (("To", "x"),) * 9)])
def test_a_call_that_cannot_even_be_written_leaves_nothing_behind(
    caller: str, headers: tuple[tuple[str, str], ...]
) -> None:
    lab = Lab()
    with pytest.raises(Malformed):
        lab.agent.call("sip:bob@192.0.2.10", OURS, caller, headers=headers)
    assert not lab.agent.sessions and not lab.agent.busy and lab.said() == []


def test_responses_that_belong_to_nobody_are_dropped() -> None:
    lab = Lab()
    _, called, invite = calling(lab)
    forged = Request(invite.headers, method="INVITE", uri_text=invite.uri_text)
    called.answer(forged, 200, body=SDP, tag="b1")
    lab.said()
    assert len(lab.told(Answered)) == 1  # the true one
    lab.hear("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP x;branch=z9hG4bKno\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\n"
             "Call-ID: q\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n")  # fmt: skip
    assert lab.said() == []

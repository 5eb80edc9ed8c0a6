"""Changing a call that stands: hold, resume, move, glare, late re-offers, and the session timer."""

from __future__ import annotations

import pytest

from offhook.sip import By, Ended, LocalMedia, Reagreed, Reoffered, State
from offhook.sip.message import Request, Response
from tests.sip.lab import OURS, SDP, Caller, Lab, standing_call

HOLD = SDP.replace("a=sendrecv", "a=sendonly").replace("o=- 1 1", "o=- 1 2")
MOVED = SDP.replace("audio 4000", "audio 4400").replace("o=- 1 1", "o=- 1 2")
OLD_HOLD = SDP.replace("c=IN IP4 192.0.2.10", "c=IN IP4 0.0.0.0").replace("o=- 1 1", "o=- 1 2")
INACTIVE = SDP.replace("a=sendrecv", "a=inactive").replace("o=- 1 1", "o=- 1 2")


def final(messages: list[Request | Response]) -> Response:
    (found,) = [m for m in messages if isinstance(m, Response) and m.status >= 200]
    return found


def sent_request(lab: Lab, method: str) -> Request:
    """The request of ours that was sent, however often it was repeated."""
    found = {m.via.branch: m for m in lab.said() if isinstance(m, Request) and m.method == method}
    assert len(found) == 1
    return found.popitem()[1]


@pytest.mark.parametrize(
    ("offer", "answered"), [(HOLD, b"a=recvonly"), (INACTIVE, b"a=inactive"), (OLD_HOLD, b"a=recvonly")]
)
def test_a_peer_that_holds_is_told_of_and_answered_in_kind(offer: str, answered: bytes) -> None:
    lab = Lab()
    caller = standing_call(lab)
    caller.request("INVITE", body=offer)
    reoffered = lab.one(Reoffered)
    assert reoffered.hold and not reoffered.agreed.send
    agreed = reoffered.session.accept_reoffer()
    answer = final(lab.said())
    assert answer.status == 200 and answered in answer.body
    assert agreed == reoffered.agreed and lab.session.agreed == agreed


def test_resuming_and_moving_keep_the_codec_and_raise_our_version() -> None:
    lab = Lab()
    caller = standing_call(lab, body=SDP.replace("0 8 101", "8 0 101"))
    caller.request("INVITE", body=HOLD)
    lab.session.accept_reoffer()
    first = final(lab.said())
    caller.ack()
    caller.request("INVITE", body=MOVED.replace("o=- 1 2", "o=- 1 3"))
    agreed = lab.session.accept_reoffer()
    second = final(lab.said())
    assert agreed is not None and agreed.send and agreed.remote == ("192.0.2.10", 4400)
    assert agreed.codec.name == "PCMA"  # the new offer prefers PCMU, the call speaks PCMA
    assert int(second.body.split()[3]) == int(first.body.split()[3]) + 1


def test_the_same_description_again_is_answered_without_asking_anyone() -> None:
    lab = Lab()
    caller = standing_call(lab)
    answer = final(caller.request("INVITE", body=SDP))
    assert answer.status == 200 and lab.told(Reoffered) == []
    caller.ack()
    lab.wait(40)
    assert lab.said() == [] and lab.session.state is State.CONFIRMED


def test_an_unacceptable_re_offer_gets_488_and_the_call_goes_on_as_it_was() -> None:
    lab = Lab()
    caller = standing_call(lab)
    before = lab.session.agreed
    answer = final(caller.request("INVITE", body=SDP.replace("RTP/AVP 0 8 101", "RTP/AVP 18")))
    assert answer.status == 488
    assert lab.session.agreed == before and lab.session.state is State.CONFIRMED


def test_a_re_offer_nobody_answers_is_refused_in_time() -> None:
    lab = Lab()
    caller = standing_call(lab)
    caller.request("INVITE", body=MOVED)
    lab.said()
    lab.wait(21)
    assert 500 in lab.statuses()
    assert lab.session.accept_reoffer() is None


def test_a_cancelled_re_invite_gets_487_and_the_call_goes_on() -> None:
    lab = Lab()
    caller = standing_call(lab)
    caller.request("INVITE", body=MOVED, branch="z9hG4bKre")
    said = caller.send(caller.text("CANCEL", branch="z9hG4bKre"))
    assert sorted(m.status for m in said if isinstance(m, Response)) == [200, 487]
    assert lab.told(Ended) == [] and lab.session.state is State.CONFIRMED


def test_a_re_invite_without_an_offer_gets_ours_and_the_ack_answers_it() -> None:
    lab = Lab()
    caller = standing_call(lab)
    offer = final(caller.request("INVITE"))
    assert offer.status == 200 and b"m=audio 20000" in offer.body
    caller.ack(body=MOVED)
    assert lab.one(Reagreed).agreed.remote == ("192.0.2.10", 4400)


def test_other_streams_are_refused_and_stay_refused_in_our_own_offers() -> None:
    lab = Lab()
    video = SDP.replace("m=audio", "m=video 5000 RTP/AVP 96\r\nm=audio")
    standing_call(lab, body=video)
    lab.session.reoffer(hold=True)
    body = sent_request(lab, "INVITE").body
    assert body.index(b"m=video 0 RTP/AVP 96") < body.index(b"m=audio 20000")


def test_we_hold_and_resume_and_say_how_it_went() -> None:
    lab = Lab()
    caller = standing_call(lab)
    lab.session.reoffer(hold=True)
    invite = sent_request(lab, "INVITE")
    assert b"a=sendonly" in invite.body
    caller.answer(invite, 200, body=SDP.replace("a=sendrecv", "a=recvonly"))
    assert [m.method for m in lab.said() if isinstance(m, Request)] == ["ACK"]
    assert lab.told(Reagreed)[-1].agreed.receive is False
    lab.session.reoffer(LocalMedia("198.51.100.1", 30_000))
    invite = sent_request(lab, "INVITE")
    assert b"m=audio 30000" in invite.body and b"a=sendrecv" in invite.body
    caller.answer(invite, 200, body=SDP)
    assert lab.told(Reagreed)[-1].agreed.receive is True


def test_a_peer_that_refuses_our_offer_leaves_things_as_they_were() -> None:
    lab = Lab()
    caller = standing_call(lab)
    before = lab.session.agreed
    lab.session.reoffer(hold=True)
    caller.answer(sent_request(lab, "INVITE"), 488)
    told = lab.one(Reagreed)
    assert (told.status, told.agreed) == (488, before)


def test_a_repeated_200_to_our_re_invite_gets_the_same_ack_again() -> None:
    lab = Lab()
    caller = standing_call(lab)
    lab.session.reoffer(hold=True)
    invite = sent_request(lab, "INVITE")
    caller.answer(invite, 200, body=SDP)
    (first,) = lab.said()
    caller.answer(invite, 200, body=SDP)
    (second,) = lab.said()
    assert first.to_bytes() == second.to_bytes()
    lab.one(Reagreed)


# --- glare


def test_the_peers_offer_while_ours_is_out_gets_491() -> None:
    lab = Lab()
    caller = standing_call(lab)
    lab.session.reoffer(hold=True)
    lab.said()
    assert final(caller.request("INVITE", body=MOVED)).status == 491
    assert final(caller.request("UPDATE", body=MOVED)).status == 491
    assert lab.told(Reoffered) == []


def test_our_offer_that_met_491_is_made_again_within_two_seconds() -> None:
    lab = Lab()
    caller = standing_call(lab)
    lab.session.reoffer(hold=True)
    caller.answer(sent_request(lab, "INVITE"), 491)
    assert [m.method for m in lab.said() if isinstance(m, Request)] == ["ACK"]
    lab.wait(2.01)
    again = sent_request(lab, "INVITE")
    caller.answer(again, 200, body=SDP)
    assert lab.one(Reagreed).status == 200


def test_the_peers_second_offer_while_the_first_waits_gets_500_with_retry_after() -> None:
    lab = Lab()
    caller = standing_call(lab)
    caller.request("INVITE", body=MOVED)
    answer = final(caller.request("INVITE", body=MOVED))
    assert answer.status == 500 and answer.headers.get("Retry-After")


def test_our_offer_waits_while_the_peers_is_open() -> None:
    lab = Lab()
    caller = standing_call(lab)
    caller.request("INVITE", body=MOVED)
    lab.said()
    lab.session.reoffer(hold=True)
    assert lab.methods() == []
    lab.session.accept_reoffer()
    lab.said()
    assert [m.method for m in caller.ack() if isinstance(m, Request)] == ["INVITE"]


def test_an_update_with_an_offer_is_answered_without_an_ack() -> None:
    lab = Lab()
    caller = standing_call(lab)
    caller.request("UPDATE", body=HOLD)
    lab.session.accept_reoffer()
    assert final(lab.said()).status == 200
    lab.wait(40)
    assert lab.said() == []


# --- session timers, RFC 4028


def test_a_caller_that_refreshes_itself_is_let_and_dropped_when_it_stops() -> None:
    lab = Lab()
    caller = Caller(lab)
    caller.invite("Supported: timer\nSession-Expires: 120;refresher=uac")
    lab.session.accept(OURS)
    answer = final(lab.said())
    assert answer.headers.get("Session-Expires") == "120;refresher=uac"
    assert answer.headers.get("Require") == "timer"
    caller.learn([answer])
    caller.ack()
    lab.wait(60)
    assert final(caller.request("UPDATE", "Supported: timer\nSession-Expires: 120;refresher=uac")).status == 200
    lab.wait(80)  # 140 s after the answer, 80 after the refresh
    assert lab.said() == [] and lab.told(Ended) == []
    lab.wait(20)  # 120 - 32 s after the refresh
    assert set(lab.methods()) == {"BYE"}
    assert lab.one(Ended).by is By.TIMEOUT


def test_we_refresh_by_update_where_the_peer_takes_it() -> None:
    lab = Lab()
    caller = standing_call(lab, "Supported: timer\nSession-Expires: 120;refresher=uas\nAllow: INVITE, UPDATE")
    for _ in range(3):
        lab.wait(60.4)
        update = sent_request(lab, "UPDATE")
        assert update.headers.get("Session-Expires") == "120;refresher=uac" and update.body == b""
        caller.answer(update, 200, "Session-Expires: 120;refresher=uac")
    assert lab.told(Ended) == []


def test_we_refresh_by_a_re_invite_that_changes_nothing_where_the_peer_does_not() -> None:
    lab = Lab()
    caller = standing_call(lab, "Supported: timer\nSession-Expires: 120;refresher=uas\nAllow: INVITE")
    lab.wait(60.4)
    caller.answer(sent_request(lab, "INVITE"), 200, "Session-Expires: 120;refresher=uac", SDP)
    assert lab.methods() == ["ACK"]
    assert lab.told(Reagreed) == []
    lab.wait(61)
    assert "INVITE" in lab.methods()


def test_a_refresh_nobody_answers_ends_the_call() -> None:
    lab = Lab()
    standing_call(lab, "Supported: timer\nSession-Expires: 120;refresher=uas\nAllow: INVITE, UPDATE")
    lab.wait(60 + 33)
    assert lab.one(Ended).by is By.TIMEOUT


def test_a_refresh_the_peer_cannot_place_ends_the_call() -> None:
    lab = Lab()
    caller = standing_call(lab, "Supported: timer\nSession-Expires: 120;refresher=uas\nAllow: UPDATE")
    lab.wait(60.4)
    caller.answer(sent_request(lab, "UPDATE"), 481)
    assert lab.one(Ended).status == 481


def test_a_refresh_whose_interval_is_too_small_is_made_again_with_a_longer_one() -> None:
    lab = Lab()
    caller = standing_call(lab, "Supported: timer\nSession-Expires: 120;refresher=uas\nAllow: UPDATE")
    lab.wait(60.4)
    caller.answer(sent_request(lab, "UPDATE"), 422, "Min-SE: 600")
    lab.wait(1)
    update = sent_request(lab, "UPDATE")
    assert (update.headers.get("Session-Expires") or "").startswith("600")


def test_a_caller_that_knows_no_timers_gets_none() -> None:
    lab = Lab()
    caller = Caller(lab)
    caller.invite()
    lab.session.accept(OURS)
    answer = final(lab.said())
    assert answer.headers.get("Session-Expires") is None
    caller.learn([answer])
    caller.ack()
    lab.wait(100_000)
    assert lab.said() == [] and lab.told(Ended) == []


def test_options_within_a_call_tell_what_we_can() -> None:
    lab = Lab()
    caller = standing_call(lab)
    answer = final(caller.request("OPTIONS"))
    assert answer.status == 200 and "UPDATE" in (answer.headers.get("Allow") or "")

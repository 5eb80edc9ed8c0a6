"""Calls that come in: answered, repeated, cancelled, refused. A virtual clock, and the test as the caller."""

from __future__ import annotations

import pytest

from offhook.sip import (
    Answered,
    By,
    Cancelled,
    Cause,
    Confirmed,
    Digits,
    Ended,
    IncomingCall,
    Refusal,
    Refused,
    SipSettings,
    State,
    Trunk,
)
from offhook.sip.message import Request, Response
from offhook.sip.transaction import Source
from tests.sip.lab import OURS, PEER, SDP, Caller, Lab, standing_call


def test_an_invite_gets_100_at_once_and_is_told_with_what_the_caller_dialled() -> None:
    lab = Lab()
    said = Caller(lab).invite("P-Asserted-Identity: <tel:+1-555-0100>\nX-Queue: gold")
    assert [m.status for m in said if isinstance(m, Response)] == [100]
    assert said[0].target.tag is None  # 8.2.6.2
    call = lab.one(IncomingCall)
    assert (call.caller, call.dialled, call.trunk, call.source) == ("+15550100", "100", "pbx", ("192.0.2.10", 5060))
    assert call.headers["x-queue"] == ("gold",)
    assert call.offer is not None and [c.name for c in call.offer.codecs] == ["PCMU", "PCMA"]


def test_ringing_answering_and_acknowledging_makes_a_call_that_bye_ends() -> None:
    lab = Lab()
    caller = Caller(lab)
    caller.invite()
    lab.session.ring()
    assert lab.statuses() == [180]
    agreed = lab.session.accept(OURS)
    assert agreed is not None and agreed.remote == ("192.0.2.10", 4000) and agreed.digits == 101
    (answer,) = lab.said()
    assert isinstance(answer, Response) and answer.status == 200 and b"m=audio 20000 RTP/AVP 0 101" in answer.body
    caller.learn([answer])
    caller.ack()
    assert lab.one(Confirmed).session.state is State.CONFIRMED
    (ok,) = caller.request("BYE")
    assert isinstance(ok, Response) and ok.status == 200
    assert lab.one(Ended).by is By.PEER
    assert not lab.agent.sessions


def test_a_200_is_repeated_at_t1_doubling_to_t2_until_the_ack() -> None:
    lab = Lab()
    caller = Caller(lab)
    caller.invite()
    lab.session.accept(OURS)
    start = lab.now
    caller.learn(lab.said())
    lab.wait(12.0)
    assert [round(at - start, 3) for at, _, _ in lab.sent] == [0.5, 1.5, 3.5, 7.5, 11.5]
    lab.said()
    caller.ack()
    lab.wait(60.0)
    assert lab.said() == []


def test_a_200_that_is_never_acknowledged_ends_with_bye_after_64_t1() -> None:
    lab = Lab()
    Caller(lab).invite()
    lab.session.accept(OURS)
    lab.wait(31.9)
    lab.said()
    assert not lab.told(Ended)
    lab.wait(0.2)
    assert "BYE" in lab.methods()
    ended = lab.one(Ended)
    assert (ended.by, ended.status) == (By.TIMEOUT, 408)


def test_a_repeated_invite_gets_the_last_response_and_no_second_call() -> None:
    lab = Lab()
    caller = Caller(lab)
    caller.invite()
    lab.session.ring()
    lab.said()
    assert [m.status for m in caller.send(caller.invite_text) if isinstance(m, Response)] == [180]
    lab.one(IncomingCall)


def test_a_repeated_invite_after_the_200_is_swallowed_as_rfc_6026_wants() -> None:
    lab = Lab()
    caller = Caller(lab)
    caller.invite()
    lab.session.accept(OURS)
    lab.said()
    assert caller.send(caller.invite_text) == []
    assert lab.told(Refused) == []


def test_a_late_offer_is_made_in_the_200_and_answered_in_the_ack() -> None:
    lab = Lab()
    caller = Caller(lab)
    caller.invite(body="")
    assert lab.one(IncomingCall).offer is None
    assert lab.session.accept(OURS) is None
    (answer,) = lab.said()
    assert b"m=audio 20000 RTP/AVP 0 8 101" in answer.body
    caller.learn([answer])
    caller.ack(body=SDP.replace("RTP/AVP 0 8 101", "RTP/AVP 8 101"))
    assert lab.one(Answered).agreed.codec.name == "PCMA"
    lab.one(Confirmed)


def test_an_ack_without_the_answer_it_owes_ends_the_call() -> None:
    lab = Lab()
    caller = Caller(lab)
    caller.invite(body="")
    lab.session.accept(OURS)
    caller.learn(lab.said())
    said = caller.ack()
    assert [m.method for m in said if isinstance(m, Request)] == ["BYE"]
    assert lab.one(Ended).by is By.US
    assert lab.told(Confirmed) == []


# --- the races of CANCEL


def cancel(caller: Caller) -> list[int]:
    branch = caller.invite_text.split("branch=")[1].split(";")[0]
    said = caller.send(caller.text("CANCEL", branch=branch, to_tag=""))
    return [m.status for m in said if isinstance(m, Response)]


def test_cancel_before_an_answer_gets_200_and_the_invite_487() -> None:
    lab = Lab()
    caller = Caller(lab)
    caller.invite()
    lab.session.ring()
    lab.said()
    assert cancel(caller) == [200, 487]
    lab.one(Cancelled)
    assert lab.told(Ended) == []
    assert lab.session.accept(OURS) is None  # too late: nothing happens
    assert lab.said() == []


def test_a_caller_who_gives_up_leaves_no_timer_behind_once_the_transaction_is_over() -> None:
    lab = Lab()
    caller = Caller(lab)
    caller.invite()
    lab.session.ring()
    lab.said()
    cancel(caller)
    lab.wait(33.0)
    assert lab.agent.next_due() is None, "a call that is over would be kept for the next 180"


def test_cancel_after_the_200_gets_200_and_the_call_stays() -> None:
    lab = Lab()
    caller = Caller(lab)
    caller.invite()
    lab.session.accept(OURS)
    caller.learn(lab.said())
    assert cancel(caller) == [200]
    caller.ack()
    lab.one(Confirmed)
    assert lab.told(Cancelled) == [] and lab.told(Ended) == []


def test_cancel_after_a_refusal_changes_nothing() -> None:
    lab = Lab()
    caller = Caller(lab)
    caller.invite()
    lab.session.reject(486)
    lab.said()
    assert cancel(caller) == [200]
    assert lab.one(Ended).status == 486


def test_cancel_of_nothing_gets_481() -> None:
    lab = Lab()
    caller = Caller(lab)
    said = caller.send(caller.text("CANCEL"))
    assert [m.status for m in said if isinstance(m, Response)] == [481]


def test_a_487_is_repeated_until_its_ack_and_then_no_more() -> None:
    lab = Lab()
    caller = Caller(lab)
    caller.invite()
    lab.session.ring()
    lab.said()
    cancel(caller)
    lab.wait(1.6)
    assert lab.statuses() == [487, 487]
    branch = caller.invite_text.split("branch=")[1].split(";")[0]
    caller.send(caller.text("ACK", branch=branch))
    lab.wait(60.0)
    assert lab.said() == []


def test_bye_on_a_ringing_call_ends_it_and_the_invite_gets_487() -> None:
    lab = Lab()
    caller = Caller(lab)
    caller.invite()
    lab.session.ring()
    caller.learn(lab.said())
    assert sorted(m.status for m in caller.request("BYE") if isinstance(m, Response)) == [200, 487]
    assert lab.one(Ended).by is By.PEER


def test_hanging_up_before_the_ack_waits_for_it_before_bye() -> None:
    lab = Lab()
    caller = Caller(lab)
    caller.invite()
    lab.session.accept(OURS)
    caller.learn(lab.said())
    lab.session.hang_up()
    assert lab.said() == [] and lab.one(Ended).by is By.US
    said = caller.ack()
    assert [m.method for m in said if isinstance(m, Request)] == ["BYE"]
    assert lab.told(Confirmed) == []


def test_hanging_up_an_unanswered_call_refuses_it() -> None:
    lab = Lab()
    Caller(lab).invite()
    lab.session.hang_up()
    assert lab.statuses() == [100, 480][1:]
    lab.one(Ended)


def test_a_call_that_rings_for_long_is_told_so_every_minute() -> None:
    lab = Lab()
    Caller(lab).invite()
    lab.session.ring()
    lab.said()
    lab.wait(181)
    assert lab.statuses() == [180, 180, 180]


def test_early_media_is_answered_in_183_and_again_in_the_200() -> None:
    lab = Lab()
    Caller(lab).invite()
    early = lab.session.ring(OURS)
    (progress,) = lab.said()
    assert isinstance(progress, Response) and progress.status == 183
    assert lab.session.accept(OURS) == early
    (answer,) = lab.said()
    assert answer.body == progress.body


# --- whom it turns away, and how


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("INVITE", "Require: precondition", 420),
        ("INVITE", "Accept: text/plain", 406),
        ("INVITE", "Session-Expires: 60\nSupported: timer", 422),
        ("INVITE", "Contact: <sips:alice@192.0.2.10>", 400),
        ("REGISTER", "", 405),
        ("SUBSCRIBE", "", 405),
        ("UPDATE", "", 481),
        ("BYE", "", 481),
        ("FROBNICATE", "", 501),
    ],
)
def test_what_is_not_supported_is_refused_with_its_own_status(method: str, headers: str, status: int) -> None:
    lab = Lab()
    caller = Caller(lab)
    body = SDP if method == "INVITE" else ""
    said = caller.send(caller.text(method, headers, body))
    assert [m.status for m in said if isinstance(m, Response)] == [status]
    assert lab.told(IncomingCall) == []
    assert lab.one(Refused).status == status
    lab.wait(100)
    assert lab.said() == []  # refused without state


def test_420_names_what_is_not_supported_and_422_the_smallest_interval() -> None:
    lab = Lab()
    (refusal,) = Caller(lab, "a@x").send(Caller(lab, "a@x").text("INVITE", "Require: precondition, timer", SDP))
    assert refusal.headers.get("Unsupported") == "precondition"
    (refusal,) = Caller(lab, "b@x").invite("Session-Expires: 60\nSupported: timer")
    assert refusal.headers.get("Min-SE") == "90"


def test_other_bodies_get_415_and_other_schemes_416() -> None:
    lab = Lab()
    caller = Caller(lab)
    (refusal,) = caller.send(caller.text("INVITE", body="<a/>", kind="application/xml"))
    assert isinstance(refusal, Response) and refusal.status == 415
    assert refusal.headers.get("Accept") == "application/sdp"
    (refusal,) = caller.send(caller.text("INVITE", body=SDP, uri="mailto:a@example.com"))
    assert isinstance(refusal, Response) and refusal.status == 416


def test_an_offer_without_a_codec_of_ours_gets_488() -> None:
    lab = Lab()
    (refusal,) = Caller(lab).invite(body=SDP.replace("RTP/AVP 0 8 101", "RTP/AVP 18 101"))
    assert isinstance(refusal, Response) and refusal.status == 488
    assert lab.one(Refused).cause is Cause.NO_CODEC


def test_a_description_among_other_parts_is_found() -> None:
    lab = Lab()
    isup = "Content-Type: application/isup\r\n\r\n\x01\x02"
    parts = f"--x\r\n{isup}\r\n--x\r\nContent-Type: application/sdp\r\n\r\n{SDP}\r\n--x--\r\n"
    Caller(lab).invite(body=parts, kind="multipart/mixed;boundary=x")
    assert lab.one(IncomingCall).offer is not None


def test_the_same_request_by_another_way_is_merged_with_482() -> None:
    lab = Lab()
    caller = Caller(lab)
    caller.invite()
    said = caller.send(caller.text("INVITE", body=SDP, branch="z9hG4bKotherway"))
    assert [m.status for m in said if isinstance(m, Response)] == [482]
    lab.one(IncomingCall)


def test_a_full_server_says_503_and_when_to_come_back_and_says_so_to_options_too() -> None:
    lab = Lab()
    lab.agent.refuse = Refusal(503, retry_after_s=7)
    caller = Caller(lab)
    (refusal,) = caller.invite()
    assert isinstance(refusal, Response) and refusal.status == 503 and refusal.headers.get("Retry-After") == "7"
    (refusal,) = caller.send(caller.text("OPTIONS", to_tag=""))
    assert isinstance(refusal, Response) and refusal.status == 503
    lab.agent.refuse = None
    (ok,) = caller.send(caller.text("OPTIONS", to_tag=""))
    assert isinstance(ok, Response) and ok.status == 200 and "INVITE" in (ok.headers.get("Allow") or "")


def test_a_trunk_takes_no_more_calls_than_it_may() -> None:
    lab = Lab(SipSettings(trunks=(Trunk("pbx", ("192.0.2.0/24",), max_calls=1),)))
    first = Caller(lab, "one@x")
    first.invite()
    (refusal,) = Caller(lab, "two@x").invite()
    assert isinstance(refusal, Response) and refusal.status == 503
    lab.session.reject(486)
    lab.said()
    assert [m.status for m in Caller(lab, "three@x").invite() if isinstance(m, Response)] == [100]


def test_a_source_that_no_trunk_allows_gets_silence() -> None:
    lab = Lab()
    stranger = Source("udp", "203.0.113.5", 5060)
    caller = Caller(lab, source=stranger)
    assert caller.invite() == []
    assert caller.send(caller.text("OPTIONS")) == []
    assert caller.send("garbage\r\n\r\n") == []
    assert {refused.cause for refused in lab.told(Refused)} == {Cause.UNKNOWN_SOURCE}
    assert all(refused.status is None for refused in lab.told(Refused))


def test_a_stranger_cannot_reach_calls_while_we_call_out() -> None:
    lab = Lab()
    lab.agent.call("sip:bob@192.0.2.20", OURS, "sip:us@198.51.100.1")
    lab.said()
    stranger = Caller(lab, source=Source("udp", "203.0.113.5", 5060))
    assert stranger.invite() == []
    assert stranger.send(stranger.text("BYE", to_tag="guess")) == []
    assert stranger.send("INVITE\r\n\r\n") == []


def test_a_source_that_floods_is_dropped_unread_and_recovers() -> None:
    lab = Lab(SipSettings(trunks=(Trunk("pbx", ("192.0.2.0/24",)),), rate_hz=10, burst=5))
    caller = Caller(lab)
    statuses = [len(caller.send(caller.text("OPTIONS"))) for _ in range(8)]
    assert statuses == [1, 1, 1, 1, 1, 0, 0, 0]
    assert [refused.cause for refused in lab.told(Refused)] == [Cause.RATE] * 3
    lab.wait(0.2)
    assert len(caller.send(caller.text("OPTIONS"))) == 1


def test_responses_go_to_the_source_port_only_where_rport_asks() -> None:
    lab = Lab()
    nat = Source("udp", "192.0.2.10", 61_000)
    with_rport = Caller(lab, source=PEER).text("OPTIONS")
    lab.hear(with_rport, nat)
    lab.hear(with_rport.replace(";rport", "").replace("OPTIONS1", "x"), nat)
    (_, first, ok), (_, second, _) = lab.sent
    assert (first.host, first.port) == ("192.0.2.10", 61_000)
    assert ok.via.get("rport") == "61000" and ok.via.get("received") == "192.0.2.10"
    assert (second.host, second.port) == ("192.0.2.10", 5060)


def test_a_via_cannot_send_responses_to_someone_else() -> None:
    lab = Lab()
    text = Caller(lab).text("OPTIONS").replace("UDP 192.0.2.10:5060", "UDP 203.0.113.66:9;maddr=203.0.113.66")
    lab.hear(text.replace(";rport", ""))
    ((_, flow, _),) = lab.sent
    assert flow.host == "192.0.2.10"


def test_digits_come_by_info_in_both_dialects() -> None:
    lab = Lab()
    caller = standing_call(lab)
    said = caller.request("INFO", body="Signal=5\r\nDuration=240\r\n", kind="application/dtmf-relay")
    said += caller.request("INFO", body="#", kind="application/dtmf")
    said += caller.request("INFO", body="Signal=10", kind="application/dtmf-relay")
    assert [m.status for m in said if isinstance(m, Response)] == [200, 200, 200]
    assert [(d.digits, d.duration_ms) for d in lab.told(Digits)] == [("5", 240), ("#", 160), ("*", 160)]
    (refusal,) = caller.request("INFO", body="?", kind="application/dtmf-relay")
    assert isinstance(refusal, Response) and refusal.status == 415


def test_an_old_cseq_in_a_dialog_gets_500_and_an_unknown_dialog_481() -> None:
    lab = Lab()
    caller = standing_call(lab)
    (refusal,) = caller.send(caller.text("INFO", cseq=1))
    assert isinstance(refusal, Response) and refusal.status == 500
    (refusal,) = caller.send(caller.text("BYE", cseq=9, to_tag="wrong"))
    assert isinstance(refusal, Response) and refusal.status == 481
    assert lab.told(Ended) == []


def test_bye_goes_through_the_recorded_route_to_the_callers_contact() -> None:
    lab = Lab()
    caller = Caller(lab)
    caller.invite("Record-Route: <sip:192.0.2.1:5070;lr>, <sip:192.0.2.2;lr>")
    lab.session.accept(OURS)
    (answer,) = lab.said()
    assert answer.headers.get("Record-Route") == "<sip:192.0.2.1:5070;lr>, <sip:192.0.2.2;lr>"
    caller.learn([answer])
    caller.ack()
    lab.session.hang_up()
    lab.settle()
    ((_, flow, bye),) = lab.sent
    assert isinstance(bye, Request) and bye.uri_text == "sip:alice@192.0.2.10:5060"
    assert bye.headers.all("Route") == ["<sip:192.0.2.1:5070;lr>", "<sip:192.0.2.2;lr>"]
    assert (flow.host, flow.port) == ("192.0.2.1", 5070)


def test_a_strict_router_gets_its_own_address_in_the_request_line() -> None:
    lab = Lab()
    standing_call(lab, "Record-Route: <sip:192.0.2.1>")
    lab.session.hang_up()
    (bye,) = lab.said()
    assert isinstance(bye, Request) and bye.uri_text == "sip:192.0.2.1"
    assert bye.headers.all("Route") == ["<sip:alice@192.0.2.10:5060>"]


def test_an_ack_on_the_invites_own_branch_counts_for_callers_that_do_so() -> None:
    lab = Lab()
    caller = Caller(lab)
    caller.invite()
    lab.session.accept(OURS)
    caller.learn(lab.said())
    branch = caller.invite_text.split("branch=")[1].split(";")[0]
    caller.send(caller.text("ACK", branch=branch))
    lab.one(Confirmed)


def test_a_withheld_caller_is_anonymous_whoever_asserts_it() -> None:
    lab = Lab()
    Caller(lab).invite("P-Asserted-Identity: <tel:+15550100>\nPrivacy: id")
    assert lab.one(IncomingCall).caller == "anonymous"


def test_nothing_is_left_behind_when_a_call_is_over() -> None:
    lab = Lab()
    caller = standing_call(lab)
    caller.request("BYE")
    lab.wait(40)
    assert lab.agent.next_due() is None and not lab.agent.sessions and not lab.agent.busy


def test_a_refusal_outside_the_final_statuses_is_a_mistake_of_ours() -> None:
    lab = Lab()
    Caller(lab).invite()
    with pytest.raises(ValueError, match="300 to 699"):
        lab.session.reject(200)


def test_what_we_say_cannot_break_out_of_its_line() -> None:
    lab = Lab()
    Caller(lab).invite()
    lab.session.reject(486, "Busy\r\nEvil: 1", [("Reason", "a\r\nContact: <sip:evil@x>")])
    refusal = lab.said()[-1]
    assert "Evil" not in refusal.headers and "Contact" not in refusal.headers


# --- provisional responses that are acknowledged, RFC 3262


def reliable(lab: Lab) -> tuple[Caller, Response]:
    """A call by someone who requires 100rel, ringing with early media."""
    caller = Caller(lab)
    caller.invite("Require: 100rel")
    lab.session.ring(OURS)
    (progress,) = lab.said()
    assert isinstance(progress, Response) and progress.status == 183
    caller.learn([progress])
    return caller, progress


def test_a_caller_that_requires_it_gets_reliable_provisional_responses_until_it_says_prack() -> None:
    lab = Lab()
    caller, progress = reliable(lab)
    assert progress.headers.get("Require") == "100rel"
    lab.wait(3.6)
    assert lab.statuses() == [183, 183, 183]
    rack = f"RAck: {progress.headers.get('RSeq')} 1 INVITE"
    (refusal,) = caller.request("PRACK", "RAck: 1 1 INVITE")
    assert isinstance(refusal, Response) and refusal.status == 481
    (ok,) = caller.request("PRACK", rack)
    assert isinstance(ok, Response) and ok.status == 200
    lab.wait(30)
    assert lab.said() == []
    lab.session.accept(OURS)
    assert lab.statuses() == [200]


def test_an_answer_waits_for_the_prack_of_an_early_description() -> None:
    lab = Lab()
    caller, progress = reliable(lab)
    assert lab.session.accept(OURS) is not None
    assert lab.said() == []
    said = caller.request("PRACK", f"RAck: {progress.headers.get('RSeq')} 1 INVITE")
    assert [(m.status, m.cseq.method) for m in said if isinstance(m, Response)] == [(200, "PRACK"), (200, "INVITE")]
    caller.cseq = 1
    caller.ack()
    lab.one(Confirmed)


def test_a_provisional_response_that_is_never_acknowledged_ends_the_attempt() -> None:
    lab = Lab()
    reliable(lab)
    lab.wait(33)
    assert 504 in lab.statuses()
    assert lab.one(Ended).by is By.TIMEOUT

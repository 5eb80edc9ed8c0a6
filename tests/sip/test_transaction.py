"""The four machines by themselves: which message leaves when, and when they are done (RFC 3261 17, RFC 6026)."""

from __future__ import annotations

import pytest

from offhook.sip.message import Request, Response, parse
from offhook.sip.transaction import (
    Flow,
    InviteClient,
    InviteServer,
    NonInviteClient,
    NonInviteServer,
    Output,
    Received,
    Send,
    State,
    Transaction,
    Trouble,
    server_key,
)

UDP = Flow("udp", "192.0.2.1", 5060)
TCP = Flow("tcp", "192.0.2.1", 5060, 7)


def request(method: str, branch: str = "z9hG4bKx") -> Request:
    message = parse(
        (
            f"{method} sip:b@x SIP/2.0\r\nVia: SIP/2.0/UDP h:5060;branch={branch}\r\nFrom: <sip:a@x>;tag=1\r\n"
            f"To: <sip:b@x>\r\nCall-ID: c\r\nCSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
        ).encode()
    )
    assert isinstance(message, Request)
    return message


def response(to: Request, status: int) -> Response:
    message = parse(to.response(status, to_tag="t").to_bytes())
    assert isinstance(message, Response)
    return message


def play(transaction: Transaction, until: float) -> list[tuple[float, Output]]:
    """Fire the timers of `transaction` in order up to `until`."""
    out: list[tuple[float, Output]] = []
    while (due := transaction.due) is not None and due <= until:
        timer = next(t for t, at in transaction.timers.items() if at == due)
        out += [(due, output) for output in transaction.fire(due, timer)]
    return out


def test_an_invite_is_repeated_at_doubling_intervals_until_timer_b() -> None:
    client = InviteClient(request("INVITE"), UDP)
    client.start(0.0)
    out = play(client, 100.0)
    assert [at for at, o in out if isinstance(o, Send)] == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert out[-1] == (32.0, Trouble.TIMEOUT) and client.over


def test_a_provisional_response_stops_repeating_and_timing_out() -> None:
    client = InviteClient(request("INVITE"), UDP)
    client.start(0.0)
    client.receive(0.2, response(client.request, 100))
    assert client.state is State.PROCEEDING and play(client, 1000.0) == []


def test_a_2xx_is_passed_up_each_time_for_64_t1() -> None:
    client = InviteClient(request("INVITE"), UDP)
    client.start(0.0)
    ok = response(client.request, 200)
    assert client.receive(1.0, ok) == [Received(ok)] and client.state is State.ACCEPTED
    assert client.receive(2.0, ok) == [Received(ok)]
    assert client.receive(2.0, response(client.request, 486)) == []
    assert play(client, 33.0) == [] and client.over
    assert client.receive(34.0, ok) == []


def test_a_refusal_is_acknowledged_with_the_invites_branch_for_32_s_on_udp_and_once_on_tcp() -> None:
    client = InviteClient(request("INVITE"), UDP)
    client.start(0.0)
    busy = response(client.request, 486)
    send, up = client.receive(1.0, busy)
    assert isinstance(send, Send) and up == Received(busy)
    ack = parse(send.data)
    assert isinstance(ack, Request) and ack.method == "ACK"
    assert ack.via.branch == client.request.via.branch and ack.target.tag == "t"
    assert client.receive(2.0, busy) == [send]
    play(client, 33.0)
    assert client.over
    client = InviteClient(request("INVITE"), TCP)
    client.start(0.0)
    client.receive(1.0, busy)
    assert client.over


def test_other_requests_repeat_up_to_t2_and_every_t2_after_a_provisional() -> None:
    client = NonInviteClient(request("BYE"), UDP)
    client.start(0.0)
    out = play(client, 100.0)
    assert [at for at, o in out if isinstance(o, Send)] == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert out[-1] == (32.0, Trouble.TIMEOUT)
    client = NonInviteClient(request("BYE"), UDP)
    client.start(0.0)
    client.receive(0.1, response(client.request, 100))
    assert [at for at, o in play(client, 10.0) if isinstance(o, Send)] == [0.5, 4.5, 8.5]


def test_nothing_is_repeated_on_a_reliable_transport() -> None:
    for client in (InviteClient(request("INVITE"), TCP), NonInviteClient(request("BYE"), TCP)):
        client.start(0.0)
        assert play(client, 31.9) == []
        assert play(client, 32.0) == [(32.0, Trouble.TIMEOUT)]


def test_a_refusal_is_repeated_until_its_ack_and_given_up_at_timer_h() -> None:
    server = InviteServer(request("INVITE"), UDP)
    server.respond(0.0, response(server.request, 486))
    sends = [at for at, o in play(server, 12.0) if isinstance(o, Send)]
    assert sends == [0.5, 1.5, 3.5, 7.5, 11.5]
    assert play(server, 40.0)[-1] == (32.0, Trouble.NO_ACK) and server.over


def test_an_ack_confirms_and_late_repetitions_stay_quiet() -> None:
    server = InviteServer(request("INVITE"), UDP)
    server.respond(0.0, response(server.request, 486))
    server.receive(0.1, request("ACK"))
    assert server.state is State.CONFIRMED
    assert server.receive(0.2, request("INVITE")) == []
    assert play(server, 6.0) == [] and server.over


def test_a_2xx_moves_to_accepted_and_no_refusal_may_follow() -> None:
    server = InviteServer(request("INVITE"), UDP)
    server.respond(0.0, response(server.request, 200))
    assert server.state is State.ACCEPTED
    assert server.receive(0.1, request("INVITE")) == []
    assert server.respond(0.2, response(server.request, 486)) == []
    assert len(server.respond(0.2, response(server.request, 200))) == 1
    play(server, 33.0)
    assert server.over


def test_a_repeated_request_gets_its_response_again_for_timer_j() -> None:
    server = NonInviteServer(request("OPTIONS"), UDP)
    assert server.receive(0.0, server.request) == []  # nothing to say yet
    (sent,) = server.respond(0.0, response(server.request, 200))
    assert server.receive(10.0, server.request) == [sent]
    play(server, 33.0)
    assert server.over


@pytest.mark.parametrize("branch", ["z9hG4bKabc", "", "z9hG4bK", "old"])
def test_an_ack_and_a_cancel_find_their_invite_with_or_without_a_unique_branch(branch: str) -> None:
    invite, ack, cancel = (request(method, branch or "x") for method in ("INVITE", "ACK", "CANCEL"))
    assert server_key(invite) == server_key(ack) == server_key(cancel, "INVITE")
    assert server_key(cancel) != server_key(invite)

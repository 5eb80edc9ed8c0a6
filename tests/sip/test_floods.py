"""Callers who begin more than they finish: what is kept of them is bounded, and calls that stand go on."""

from __future__ import annotations

import gc

import pytest

from offhook.sip import By, Cause, Ended, IncomingCall, Refused, SipSettings, Trunk
from offhook.sip.events import SipEvent
from offhook.sip.message import Response
from offhook.sip.transaction import InviteServer, NonInviteServer
from tests.sip.lab import Caller, Lab, standing_call

MOST = 200


@pytest.fixture(autouse=True)
def a_small_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many transactions as the server takes would keep a test busy for a minute."""
    monkeypatch.setattr("offhook.sip.transactions.MOST_SERVED", MOST)


OPEN = SipSettings(trunks=(Trunk("pbx", ("192.0.2.0/24",)),), rate_hz=1e9, burst=1e9)
"""As where a flood comes from many addresses: each for itself is within what one may send."""


def flooded(lab: Lab, invites: int) -> list[Response]:
    """So many INVITEs to a number that is not there, none of their refusals acknowledged; the last answers."""

    def refuse(event: SipEvent) -> None:
        if isinstance(event, IncomingCall):
            event.session.reject(404)

    lab.on_event = refuse
    said: list[Response] = []
    for number in range(invites):
        answers = Caller(lab, f"flood{number}@peer").invite()
        said = [message for message in answers if isinstance(message, Response)]
    return said


def remembered(lab: Lab) -> int:
    """The transactions that the user agent still has."""
    lab.events.clear()
    lab.sent.clear()
    gc.collect()
    return sum(isinstance(one, InviteServer | NonInviteServer) for one in gc.get_objects())


def test_invites_that_are_never_acknowledged_are_refused_without_memory_from_some_point_on() -> None:
    lab, before = Lab(OPEN), remembered(Lab(OPEN))
    last = flooded(lab, MOST + 50)
    assert [answer.status for answer in last] == [503]
    assert last[0].headers.get("Retry-After") == "30"
    assert [event.cause for event in lab.told(Refused)] == [Cause.FLOOD] * 50
    assert remembered(lab) - before == MOST


def test_a_flood_leaves_nothing_once_it_is_over_and_calls_are_taken_again() -> None:
    lab, before = Lab(OPEN), remembered(Lab(OPEN))
    flooded(lab, MOST + 10)
    lab.wait(33.0)
    assert remembered(lab) == before
    assert [answer.status for answer in flooded(lab, 1)] == [100, 404]


def test_a_call_that_stands_can_end_in_a_flood() -> None:
    lab = Lab(OPEN)
    caller = standing_call(lab)
    flooded(lab, MOST + 10)
    assert [answer.status for answer in caller.request("INFO") if isinstance(answer, Response)] == [503]
    assert [answer.status for answer in caller.request("BYE") if isinstance(answer, Response)] == [200]
    assert lab.told(Ended)[-1].by is By.PEER

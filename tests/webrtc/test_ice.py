"""The ICE-lite agent: what it answers, whom it selects, when consent is lost, and a restart; checks are written by
another implementation (aioice), whose whole agent it also meets over loopback."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import aioice
from aioice import stun as other
from hypothesis import given
from hypothesis import strategies as st

from offhook.webrtc.ice import (
    CONSENT_S,
    MOST_PAIRS,
    NOMINATION_HOLD_S,
    ConsentLost,
    Credentials,
    IceLite,
    Reply,
    Selected,
)
from offhook.webrtc.stun import Address

PEER = Credentials("peer", "a-password-of-the-peer")
HOME, OFFICE = ("192.0.2.1", 4000), ("198.51.100.7", 5000)


def check(agent: IceLite, nominate: bool = False, peer: str = PEER.fragment, **more: Any) -> bytes:
    """A check as the peer would send it to `agent`; in `more` attributes, and `password` to sign by another."""
    password = more.pop("password", agent.local.password)
    attributes = {
        "USERNAME": f"{agent.local.fragment}:{peer}",
        "PRIORITY": 1_845_501_695,
        "ICE-CONTROLLING": 7,
        **({"USE-CANDIDATE": None} if nominate else {}),
        **{name.replace("_", "-"): value for name, value in more.items() if value is not ...},
    }
    message = other.Message(
        other.Method.BINDING,
        other.Class.REQUEST,
        attributes={name: value for name, value in attributes.items() if more.get(name.replace("-", "_")) is not ...},
    )
    message.add_message_integrity(password.encode())
    return bytes(message)


def answer(events: list[Any], to: Address) -> other.Message:
    reply = events[0]
    assert isinstance(reply, Reply) and reply.to == to
    return other.parse_message(reply.data)


def test_a_check_is_answered_and_a_nominated_address_selected() -> None:
    agent = IceLite(PEER)
    events = agent.receive(check(agent), HOME, 0.0)
    said = answer(events, HOME)
    assert said.message_class is other.Class.RESPONSE and said.attributes["XOR-MAPPED-ADDRESS"] == HOME
    assert said.check_message_integrity(agent.local.password.encode())
    assert len(events) == 1 and agent.selected is None
    assert agent.receive(check(agent, nominate=True), HOME, 0.1)[1:] == [Selected(HOME)]
    assert agent.selected == HOME
    assert len(agent.receive(check(agent, nominate=True), HOME, 0.2)) == 1  # nothing new


def test_strangers_get_silence_and_leave_nothing() -> None:
    agent = IceLite(PEER)
    before = repr(agent._generation)
    for wrong in (
        check(agent, nominate=True, password="guessed"),
        check(agent, nominate=True, peer="other"),
        check(IceLite(PEER), nominate=True),
        check(agent, nominate=True, USERNAME=...),
        check(agent, nominate=True, USERNAME=agent.local.fragment),
        check(agent)[:-32],
        b"\x00" * 20,
    ):
        assert agent.receive(wrong, HOME, 0.0) == []
    assert repr(agent._generation) == before and agent.selected is None


def test_responses_and_indications_are_passed_over() -> None:
    agent = IceLite(PEER)
    for kind in (other.Class.RESPONSE, other.Class.ERROR, other.Class.INDICATION):
        message = other.Message(other.Method.BINDING, kind, attributes={"USERNAME": f"{agent.local.fragment}:peer"})
        message.add_message_integrity(agent.local.password.encode())
        assert agent.receive(bytes(message), HOME, 0.0) == []


def test_whoever_thinks_it_is_controlled_is_told_of_the_conflict() -> None:
    agent = IceLite(PEER)
    for tie_breaker in (0, 2**64 - 1):
        conflict = check(agent, nominate=True, ICE_CONTROLLING=..., ICE_CONTROLLED=tie_breaker)
        events = agent.receive(conflict, HOME, 0.0)
        assert answer(events, HOME).error_code == 487 and len(events) == 1
    assert agent.selected is None


def test_an_attribute_that_must_be_understood_and_is_not_is_refused() -> None:
    agent = IceLite(PEER)
    events = agent.receive(check(agent, nominate=True, REALM="example"), HOME, 0.0)
    assert answer(events, HOME).error_code == 420 and agent.selected is None


def test_before_the_peers_credentials_are_known_its_checks_are_answered() -> None:
    agent = IceLite()
    assert agent.receive(check(agent, nominate=True, peer="anything"), HOME, 0.0)[1:] == [Selected(HOME)]
    agent.answered(PEER)
    assert agent.receive(check(agent, peer="anything"), HOME, 1.0) == []
    assert len(agent.receive(check(agent), HOME, 1.0)) == 1


def test_the_latest_nomination_counts() -> None:
    agent = IceLite(PEER)
    agent.receive(check(agent, nominate=True), HOME, 0.0)
    assert agent.receive(check(agent, nominate=True), OFFICE, 1.0)[1:] == [Selected(OFFICE)]
    assert agent.receive(check(agent), HOME, 1.1)[1:] == []
    assert agent.selected == OFFICE


def test_aggressive_nomination_settles_on_the_highest_priority() -> None:
    agent = IceLite(PEER)
    selected = []
    for step in range(10):
        at = step * 0.05
        selected += agent.receive(check(agent, nominate=True, PRIORITY=100), HOME, at)[1:]
        selected += agent.receive(check(agent, nominate=True, PRIORITY=200), OFFICE, at)[1:]
    assert selected == [Selected(HOME), Selected(OFFICE)]


def test_a_lower_priority_takes_over_once_the_higher_is_nominated_no_more() -> None:
    """A browser that walks out of its wireless network goes on over the mobile one."""
    agent = IceLite(PEER)
    agent.receive(check(agent, nominate=True, PRIORITY=200), HOME, 0.0)
    for at in (0.1, 1.0, 2.9):
        assert agent.receive(check(agent, nominate=True, PRIORITY=100), OFFICE, at)[1:] == []
        agent.receive(check(agent, PRIORITY=200), HOME, at)
    at = NOMINATION_HOLD_S
    assert agent.receive(check(agent, nominate=True, PRIORITY=100), OFFICE, at)[1:] == [Selected(OFFICE)]


def test_consent_is_lost_without_checks_and_given_again_by_one() -> None:
    agent = IceLite(PEER)
    assert agent.due() is None
    agent.receive(check(agent, nominate=True), HOME, 0.0)
    agent.receive(check(agent), HOME, 5.0)
    agent.receive(check(agent), OFFICE, 20.0)  # another way to the same peer says nothing of this one
    assert agent.due() == 5.0 + CONSENT_S
    assert agent.expire(34.9) == []
    assert agent.expire(35.0) == [ConsentLost()]
    assert agent.selected is None and agent.due() is None and agent.expire(99.0) == []
    assert agent.receive(check(agent, password="guessed"), HOME, 100.0) == []
    assert agent.receive(check(agent), HOME, 101.0)[1:] == [Selected(HOME)]
    assert agent.due() == 101.0 + CONSENT_S


def test_after_a_restart_the_old_pair_goes_on_until_a_new_one_is_nominated() -> None:
    agent = IceLite(PEER)
    old = agent.local
    agent.receive(check(agent, nominate=True), HOME, 0.0)
    old_check = check(agent)
    again = Credentials("again", "another-password-of-the-peer")
    fresh = agent.restart(again)
    assert fresh != old and agent.local == fresh and agent.selected == HOME
    assert len(agent.receive(old_check, HOME, 10.0)) == 1
    assert agent.due() == 10.0 + CONSENT_S
    assert agent.receive(check(agent), HOME, 11.0) == []  # the old fragment with the new password
    assert len(agent.receive(check(agent, peer="again"), OFFICE, 11.0)) == 1
    assert agent.selected == HOME
    assert agent.receive(check(agent, nominate=True, peer="again"), OFFICE, 12.0)[1:] == [Selected(OFFICE)]
    assert agent.receive(old_check, HOME, 13.0) == []
    assert agent.selected == OFFICE and agent.due() == 12.0 + CONSENT_S


def test_a_restart_on_the_same_address_changes_only_the_credentials() -> None:
    agent = IceLite(PEER)
    agent.receive(check(agent, nominate=True), HOME, 0.0)
    old_check = check(agent)
    agent.restart(PEER)
    agent.restart(PEER)  # the peer may change its mind before anything came of the first
    assert len(agent.receive(old_check, HOME, 1.0)) == 1
    assert agent.receive(check(agent, nominate=True), HOME, 2.0)[1:] == []
    assert agent.selected == HOME
    assert agent.receive(old_check, HOME, 3.0) == []


def test_a_restart_brings_back_a_peer_that_was_lost() -> None:
    agent = IceLite(PEER)
    agent.receive(check(agent, nominate=True), HOME, 0.0)
    agent.expire(CONSENT_S)
    agent.restart(PEER)
    assert agent.receive(check(agent, nominate=True), HOME, 40.0)[1:] == [Selected(HOME)]


def test_a_peer_with_many_addresses_is_remembered_in_part() -> None:
    agent = IceLite(PEER)
    agent.receive(check(agent, nominate=True), HOME, 0.0)
    for port in range(1024, 1224):
        agent.receive(check(agent), ("198.51.100.7", port), port / 1000)
    assert len(agent._generation.pairs) <= MOST_PAIRS and agent.due() == CONSENT_S


@given(st.lists(st.tuples(st.binary(max_size=120), st.booleans()), max_size=8))
def test_no_bytes_select_anything(datagrams: list[tuple[bytes, bool]]) -> None:
    agent = IceLite(PEER)
    real = check(agent, nominate=True)
    for data, mixed in datagrams:
        datagram = real[: len(real) - len(data)] + data if mixed else data
        if datagram != real:
            assert agent.receive(datagram, HOME, 0.0) == []
    assert agent.selected is None


class Socket(asyncio.DatagramProtocol):
    """Our agent on a socket, for a peer that has one."""

    def __init__(self, agent: IceLite) -> None:
        self.agent = agent
        self.selected: asyncio.Future[Address] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        for event in self.agent.receive(data, addr, asyncio.get_running_loop().time()):
            if isinstance(event, Reply):
                self.transport.sendto(event.data, event.to)
            elif isinstance(event, Selected) and not self.selected.done():
                self.selected.set_result(event.address)


async def test_another_implementations_agent_connects() -> None:
    peer = aioice.Connection(ice_controlling=True)
    await peer.gather_candidates()
    agent = IceLite(Credentials(peer.local_username, peer.local_password))
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Socket(agent), local_addr=("0.0.0.0", 0)
    )
    port = transport.get_extra_info("sockname")[1]
    host = next(candidate.host for candidate in peer.local_candidates if ":" not in candidate.host)
    peer.remote_username, peer.remote_password = agent.local.fragment, agent.local.password
    peer.remote_is_lite = True
    await peer.add_remote_candidate(aioice.Candidate("1", 1, "udp", 2_130_706_431, host, port, "host"))
    await peer.add_remote_candidate(None)
    try:
        async with asyncio.timeout(20):
            await peer.connect()
            selected = await protocol.selected
        assert selected in {(candidate.host, candidate.port) for candidate in peer.local_candidates}
    finally:
        await peer.close()
        transport.close()

"""Phones that register, and calls that reach them by the way they came."""

from __future__ import annotations

import pytest

from offhook.sip import Credentials, Failed, LocalMedia, SipSettings, Srtp, Trunk
from offhook.sip.digest import Answerer
from offhook.sip.message import Request, Response
from offhook.sip.registrar import LONGEST_S, MAX_CONTACTS
from offhook.sip.transaction import Flow, Source
from tests.sip.lab import OURS, SDP, Caller, Lab

DESK = Trunk("desk", ("192.0.2.0/24",), realm="offhook", users={"alice": "wonder", "bob": "builder"}, codecs=("PCMA",))
UDP = Source("udp", "192.0.2.10", 40_000)
WEB = Source("ws", "192.0.2.20", 51_000, connection=7)


def lab(**more: object) -> Lab:
    return Lab(SipSettings(bind=("198.51.100.1", 5060), trunks=(DESK,), domain="phones.example.com", **more))  # type: ignore[arg-type]


class SoftPhone(Caller):
    """Registers as one of the desk's users, answering what it is asked to prove."""

    def __init__(self, lab: Lab, user: str = "alice", password: str = "", source: Source = UDP) -> None:
        super().__init__(lab, f"reg-{user}-{source.port}@phone", source)
        self.user = user
        self.answerer = Answerer(Credentials(user, password or dict(DESK.users).get(user, "guess")))
        host = "df7jal23ls0d.invalid;transport=ws" if source.transport == "ws" else f"{source.address}:5099"
        self.contact = f"<sip:{user}@{host}>"

    def message(self, headers: str, to: str, contact: str) -> str:
        proof = self.answerer.header("REGISTER", "sip:phones.example.com")
        text = self.text(
            "REGISTER",
            (f"Contact: {contact}\n" if contact else "") + headers + ("\n" + ": ".join(proof) if proof else ""),
            uri="sip:phones.example.com",
        )
        return text.replace("sip:100@example.com", f"sip:{to or self.user}@phones.example.com")

    def register(self, headers: str = "", to: str = "", contact: str | None = None) -> Response:
        contact = self.contact if contact is None else contact
        for _ in range(2):
            self.cseq += 1
            (answer,) = self.send(self.message(headers, to, contact))
            assert isinstance(answer, Response)
            if answer.status != 401:
                return answer
            if not self.answerer.take(answer.headers.all("WWW-Authenticate"), proxy=False):
                return answer
        return answer


def contacts(response: Response) -> list[str]:
    assert response.status == 200
    return response.headers.all("Contact")


def called(lab: Lab, uri: str) -> tuple[Flow, Request] | None:
    """Where the INVITE of a call to `uri` goes; None where none goes anywhere."""
    lab.said()
    lab.agent.call(uri, OURS, "sip:us@198.51.100.1")
    lab.settle()
    sent = [(flow, message) for _, flow, message in lab.sent if isinstance(message, Request)]
    return sent[-1] if sent else None


def test_a_phone_that_proves_itself_is_registered_and_called_where_it_came_from() -> None:
    here = lab()
    phone = SoftPhone(here)
    assert contacts(phone.register("Expires: 600")) == ["<sip:alice@192.0.2.10:5099>;expires=600"]
    assert here.agent.registered("alice")
    flow, invite = called(here, "sip:alice@phones.example.com") or pytest.fail("nobody was called")
    assert (flow.transport, flow.host, flow.port) == ("udp", "192.0.2.10", 40_000), "where its packets come from"
    assert invite.uri_text == "sip:alice@192.0.2.10:5099"
    assert str(invite.target.uri) == "sip:alice@phones.example.com"


@pytest.mark.parametrize(
    "uri", ["sip:alice@198.51.100.1", "sip:alice@198.51.100.1:5060", "sip:alice@Phones.Example.Com"]
)
def test_our_own_addresses_mean_our_users(uri: str) -> None:
    here = lab()
    SoftPhone(here).register()
    assert (called(here, uri) or pytest.fail("nobody was called"))[1].uri_text.startswith("sip:alice@192.0.2.10")


@pytest.mark.parametrize("uri", ["sip:alice@198.51.100.1:5070", "sip:100@198.51.100.1", "sip:alice@192.0.2.99"])
def test_other_places_and_other_names_are_called_as_they_are(uri: str) -> None:
    here = lab()
    SoftPhone(here).register()
    assert (called(here, uri) or pytest.fail("nobody was called"))[1].uri_text == uri


def test_who_has_not_registered_is_unavailable_and_who_does_not_exist_is_not_found() -> None:
    here = lab()
    assert called(here, "sip:bob@phones.example.com") is None
    assert called(here, "sip:carol@phones.example.com") is None
    assert [(failed.status, "bob" in failed.reason) for failed in here.told(Failed)] == [(480, True), (404, False)]
    assert not here.agent.sessions


def test_wrong_passwords_and_other_peoples_addresses_are_refused() -> None:
    here = lab()
    assert SoftPhone(here, "alice", "guess").register().status == 401
    assert SoftPhone(here, "mallory", "guess").register().status == 401
    assert SoftPhone(here, "bob").register(to="alice").status == 403
    assert not here.agent.registered("alice")


def test_a_trunk_without_users_registers_nobody() -> None:
    here = Lab()
    (answer,) = Caller(here).send(Caller(here).text("REGISTER", "Contact: <sip:a@192.0.2.10>"))
    assert isinstance(answer, Response) and answer.status == 405


def test_a_registration_ends_with_its_time_or_when_it_is_taken_back() -> None:
    here = lab()
    phone = SoftPhone(here)
    phone.register("Expires: 60")
    here.wait(59)
    assert here.agent.registered("alice")
    here.wait(2)
    assert not here.agent.registered("alice")
    phone.register()
    assert contacts(phone.register("Expires: 0")) == []
    assert not here.agent.registered("alice")
    phone.register()
    assert contacts(phone.register("Expires: 0", contact="*")) == []
    assert phone.register("Expires: 60", contact="*").status == 400


def test_times_are_bounded_both_ways() -> None:
    here = lab()
    phone = SoftPhone(here)
    short = phone.register("Expires: 5")
    assert short.status == 423 and short.headers.get("Min-Expires") == "60"
    assert contacts(phone.register("Expires: 999999"))[0].endswith(f"expires={LONGEST_S}")
    assert contacts(phone.register("", contact=f"{phone.contact};expires=120"))[0].endswith("expires=120")


def test_a_user_has_so_many_phones_and_the_newest_rings() -> None:
    here = lab()
    for number in range(MAX_CONTACTS + 2):
        listed = SoftPhone(here, source=Source("udp", "192.0.2.10", 41_000 + number)).register(
            contact=f"<sip:alice@192.0.2.10:{6000 + number}>"
        )
    assert len(contacts(listed)) == MAX_CONTACTS and "6000" not in "".join(contacts(listed))
    flow, _ = called(here, "sip:alice@phones.example.com") or pytest.fail("nobody was called")
    assert flow.port == 41_000 + MAX_CONTACTS + 1


def test_an_old_register_that_comes_late_changes_nothing() -> None:
    here = lab()
    phone = SoftPhone(here)
    phone.register()
    phone.cseq -= 2
    assert phone.register("Expires: 0").status == 500
    assert here.agent.registered("alice")


def test_the_same_register_again_gets_the_same_answer() -> None:
    here = lab()
    phone = SoftPhone(here)
    phone.register()
    phone.cseq += 1
    text = phone.message("", "", phone.contact)
    first, again = phone.send(text), phone.send(text)
    assert [m.status for m in first + again if isinstance(m, Response)] == [200, 200]


def test_a_browser_is_called_down_its_own_websocket_until_that_is_gone() -> None:
    here = lab()
    SoftPhone(here, source=WEB).register()
    terms = here.agent.terms("sip:alice@phones.example.com")
    assert terms.web and terms.offer("198.51.100.1", 20_000) == LocalMedia("198.51.100.1", 20_000, ("PCMA",))
    flow, invite = called(here, "sip:alice@phones.example.com") or pytest.fail("nobody was called")
    assert (flow.transport, flow.connection) == ("ws", 7)
    assert invite.uri_text == "sip:alice@df7jal23ls0d.invalid;transport=ws" and invite.via.transport == "WS"
    here.agent.lost(7)
    assert (here.one(Failed).status, here.agent.registered("alice")) == (503, False)


def test_a_browser_that_comes_back_over_another_websocket_keeps_its_call() -> None:
    here = lab()
    phone = SoftPhone(here, source=WEB)
    phone.register()
    session = here.agent.call("sip:alice@phones.example.com", OURS, "sip:us@198.51.100.1")
    (invite,) = [message for message in here.said() if isinstance(message, Request)]
    phone.answer(invite, 200, body=SDP, tag="web")
    here.said()
    here.agent.lost(7)
    back = SoftPhone(here, source=Source("ws", "192.0.2.21", 52_000, connection=9))
    back.register()
    here.said()
    session.hang_up()
    here.settle()
    (goodbye,) = [(flow, m.method) for _, flow, m in here.sent if isinstance(m, Request)]
    assert goodbye[0].connection == 9 and goodbye[1] == "BYE"


def test_terms_are_the_trunks() -> None:
    strict = Trunk("strict", ("203.0.113.0/24",), srtp=Srtp.REQUIRED)
    here = Lab(SipSettings(trunks=(DESK, strict)))
    assert here.agent.terms("sip:x@203.0.113.9").offer("192.0.2.1", 4000).srtp is Srtp.REQUIRED
    assert here.agent.terms("sip:x@elsewhere.example.com").offer("192.0.2.1", 4000).codecs == ("PCMU", "PCMA")
    phone = Caller(here, source=Source("udp", "203.0.113.9", 5060))
    phone.invite(body=SDP)
    assert here.session.terms.answer("192.0.2.1", 4000).srtp is Srtp.REQUIRED
    assert here.session.accept(here.session.terms.answer("192.0.2.1", 4000)) is None
    assert 488 in here.statuses(), "plain audio is not taken on a trunk that requires SRTP"

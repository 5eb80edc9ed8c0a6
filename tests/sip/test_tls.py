"""SIP over TLS between two endpoints on loopback: a call, and the certificates that stop one."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from offhook.sip import Answered, Ended, Failed, IncomingCall, SipEndpoint, SipSettings, Trunk
from offhook.sip.tls import CertificateError, client_context, server_context
from tests.sip.certificates import self_signed
from tests.sip.test_endpoint import LOOPBACK, OURS, THEIRS, Phone


@asynccontextmanager
async def endpoints(folder: Path, names: tuple[str, ...], trusted: bool = True) -> AsyncIterator[tuple[Phone, Phone]]:
    certificate, key = self_signed(folder, *names)
    server = Phone(
        SipSettings(
            bind=("127.0.0.1", 0), tls_port=0, transports=frozenset({"udp", "tls"}), trunks=(LOOPBACK,),
            certificate=certificate, key=key,
        )
    )  # fmt: skip
    caller = Phone(
        SipSettings(bind=("127.0.0.1", 0), transports=frozenset({"tls"}), authorities=certificate if trusted else None)
    )
    await server.endpoint.start()
    await caller.endpoint.start()
    try:
        yield server, caller
    finally:
        await caller.endpoint.stop()
        await server.endpoint.stop()


def uri(server: Phone, host: str = "127.0.0.1") -> str:
    return f"sip:100@{host}:{server.endpoint.ports['tls']};transport=tls"


async def test_a_call_over_tls_is_answered_offered_keys_and_hung_up_from_the_other_end(tmp_path: Path) -> None:
    async with endpoints(tmp_path, ("127.0.0.1",)) as (server, caller):
        caller.endpoint.call(uri(server), THEIRS)
        incoming = await server.next(IncomingCall)
        assert incoming.offer is not None and incoming.offer.crypto, "where nobody can read along, keys are offered"
        incoming.session.accept(OURS)
        agreed = (await caller.next(Answered)).agreed
        theirs = incoming.session.agreed
        assert agreed.keys is not None and theirs is not None and theirs.keys is not None
        assert (agreed.keys.ours.key, agreed.keys.theirs.key) == (theirs.keys.theirs.key, theirs.keys.ours.key)
        incoming.session.hang_up()  # goes back over the caller's own connection: it listens nowhere
        await caller.next(Ended)


@pytest.mark.parametrize("names", [("192.0.2.1",), ("elsewhere.example.com",)])
async def test_a_certificate_for_somebody_else_stops_the_call(tmp_path: Path, names: tuple[str, ...]) -> None:
    async with endpoints(tmp_path, names) as (server, caller):
        caller.endpoint.call(uri(server), THEIRS)
        failed = await caller.next(Failed)
        assert failed.status == 503 and "certificate" in failed.reason, failed


async def test_a_certificate_that_nobody_vouches_for_stops_the_call(tmp_path: Path) -> None:
    async with endpoints(tmp_path, ("127.0.0.1",), trusted=False) as (server, caller):
        caller.endpoint.call(uri(server), THEIRS)
        failed = await caller.next(Failed)
        assert failed.status == 503 and "certificate" in failed.reason, failed


async def test_a_name_is_proven_by_the_certificate_not_its_address(tmp_path: Path) -> None:
    async with endpoints(tmp_path, ("localhost",)) as (server, caller):
        caller.endpoint.call(uri(server, "localhost"), THEIRS)
        (await server.next(IncomingCall)).session.reject(486)
        assert (await caller.next(Failed)).status == 486
        caller.endpoint.call(uri(server, "127.0.0.1"), THEIRS)
        failed = await caller.next(Failed)
        assert failed.status == 503, "the connection to the name proves nothing about the address"


async def test_strangers_are_turned_away_before_the_handshake(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, "127.0.0.1")
    server = SipEndpoint(
        SipSettings(
            bind=("127.0.0.1", 0), tls_port=0, transports=frozenset({"tls"}), certificate=certificate, key=key,
            trunks=(Trunk("elsewhere", ("192.0.2.0/24",)),),
        ),
        lambda event: None,
    )  # fmt: skip
    await server.start()
    try:
        context = client_context(certificate)
        with pytest.raises((OSError, ssl.SSLError)):
            await asyncio.open_connection("127.0.0.1", server.ports["tls"], ssl=context)
    finally:
        await server.stop()


async def test_what_is_no_tls_is_closed_and_others_go_on(tmp_path: Path) -> None:
    async with endpoints(tmp_path, ("127.0.0.1",)) as (server, caller):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.endpoint.ports["tls"])
        writer.write(b"OPTIONS sip:a@b SIP/2.0\r\n\r\n")
        await asyncio.wait_for(reader.read(), 5)  # an alert, or nothing, and the end
        writer.close()
        caller.endpoint.call(uri(server), THEIRS)
        await server.next(IncomingCall)


def test_files_that_are_no_certificate_are_named(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, "localhost")
    with pytest.raises(CertificateError, match=str(tmp_path / "missing.pem")):
        server_context(tmp_path / "missing.pem", key)
    with pytest.raises(CertificateError, match="certificate"):
        server_context(certificate, certificate)
    with pytest.raises(CertificateError, match="no certificates to trust"):
        client_context(key)

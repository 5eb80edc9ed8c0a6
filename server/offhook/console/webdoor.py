"""Where calls from web pages come in: which numbers they may call, how many at once, and whose call a page that comes
back may take up. It makes legs of them; what a call does then is the dial plan's, as of any other."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from offhook.calls.channel import ChannelAdapter
from offhook.calls.exchange import Exchange
from offhook.calls.narration import Narration
from offhook.calls.timeline import CallEnded, Entry, Timeline
from offhook.calls.webleg import WebLeg
from offhook.console.callpage import IceServer, Turned, WebCall
from offhook.dialplan import Plan, normal_number
from offhook.settings import IceServerSettings, WebSettings

log = structlog.get_logger("offhook.console")

TRUNK = "web"
"""What calls from pages came in by, for dial plans and records."""
CREDENTIAL_S = 86_400
"""How long a TURN credential made for a visitor lasts."""

FULL = "All lines are busy. Please call again in a while."
CLOSING = "This service is about to be restarted. Please call again in a minute."


class Reception(Protocol):
    """The server, as far as calls that come in concern it."""

    plan: Plan
    hall: Exchange

    def refusal(self) -> str | None:
        """Why no new call is taken now: `draining` or `full`; None: it is."""

    def take(self, leg: Callable[[str], ChannelAdapter], caller: str, dialled: str, trunk: str) -> tuple[str, Timeline]:
        """Begin a call with the leg that is made for its id; its id and timeline. Raises RefusedCall."""

    def refused(self, why: str) -> None:
        """A call was refused; for the figures."""


class RefusedCall(Exception):
    """The server has no room for a call: no port, or a disk that takes nothing. The text is for its operator."""


@dataclass(slots=True)
class _Known:
    leg: WebLeg
    narration: Narration


class WebDoor:
    """Implements `callpage.Door`."""

    def __init__(self, settings: WebSettings, server: Reception) -> None:
        self._settings = settings
        self._server = server
        self._known: dict[str, _Known] = {}

    def numbers(self) -> Sequence[str]:
        plan = self._server.plan
        wanted = plan.numbers if self._settings.to is None else self._settings.to
        return [entry.number for number in wanted if (entry := plan.number(number, TRUNK)) is not None]

    def ice_servers(self) -> Sequence[IceServer]:
        return [_ice_server(each, time.time()) for each in self._settings.ice_servers]

    def call(self, to: str, caller: str, offer: str, source: str) -> WebCall:
        dialled = normal_number(to)
        why = self._server.refusal()
        if why is None and self._settings.max_calls is not None and len(self._live()) >= self._settings.max_calls:
            why = "full"
        if why is not None:
            self._server.refused(why)
            raise Turned(CLOSING if why == "draining" else FULL)
        if not self._offered(dialled):
            log.info("unknown number", dialled=to, trunk=TRUNK, source=source)
            self._server.refused("unknown-number")
            raise Turned(f"There is no number {to} here.")
        legs: list[WebLeg] = []

        def make(call_id: str) -> WebLeg:
            legs.append(self._server.hall.web(offer, call_id, self._settings.away_s))
            return legs[0]

        try:
            call_id, timeline = self._server.take(make, normal_number(caller), dialled, TRUNK)
        except RefusedCall:
            raise Turned(FULL) from None
        known = self._known[call_id] = _Known(legs[0], Narration(legs[0].tell))

        def take(entry: Entry) -> None:
            known.narration.take(entry)
            if isinstance(entry.event, CallEnded):
                self._known.pop(call_id, None)

        timeline.listen(take)
        return WebCall(call_id, legs[0])

    def resume(self, call: str, token: str) -> WebCall:
        known = self._live().get(call)
        if known is None or not hmac.compare_digest(known.leg.token.encode(), token.encode()):
            raise Turned("The call has ended.")
        return WebCall(call, known.leg)

    def welcome_back(self, call: str) -> None:
        if (known := self._known.get(call)) is not None:
            known.narration.again()

    def _offered(self, dialled: str) -> bool:
        entry = self._server.plan.number(dialled, TRUNK)
        return entry is not None and (self._settings.to is None or entry.number in self.numbers())

    def _live(self) -> dict[str, _Known]:
        """Those whose caller is there, or may come back: of some others the end has not been written down yet."""
        return {call: known for call, known in self._known.items() if known.leg.available}


def _ice_server(settings: IceServerSettings, now_s: float) -> IceServer:
    if settings.secret is not None:
        # The convention of TURN servers for credentials that run out: the time is the name, its HMAC the password.
        username = str(int(now_s) + CREDENTIAL_S)
        digest = hmac.new(settings.secret.get_secret_value().encode(), username.encode(), hashlib.sha1).digest()
        return IceServer(settings.urls, username, base64.b64encode(digest).decode())
    credential = settings.credential.get_secret_value() if settings.credential else None
    return IceServer(settings.urls, settings.username, credential)

"""Connecting the caller with somebody else: ring them, then join both ports until one side hangs up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import quote

import structlog

from offhook.calls.channel import ChannelGone, Gone, LegEvent
from offhook.calls.linewatch import LineWatch
from offhook.calls.sipleg import SipLeg
from offhook.calls.timeline import DialAnswered, DialEnded, DialStarted
from offhook.calls.verbs import CallOver, DialExit
from offhook.media import MediaError

if TYPE_CHECKING:
    from offhook.calls.call import Call

log = structlog.get_logger("offhook.calls")

USER_CHARACTERS = "-_.!~*'()&=+$,;?/"
"""Besides letters and digits, what stands in a SIP URI's user part unescaped (RFC 3261 25.1)."""
BUSY = {486, 600, 603}
NO_ANSWER = {408, 480, 487}


async def connect(call: Call, uri: str, ring_s: float, limit_s: float | None) -> DialExit:
    """Ring `uri` and talk; see `verbs.Verbs.dial`."""
    call.timeline.append(DialStarted(uri))
    try:
        how = await _connected(call, uri, ring_s, limit_s)
    except (asyncio.CancelledError, CallOver):
        call.timeline.append(DialEnded(uri, "over", "the call ended"))
        raise
    call.timeline.append(DialEnded(uri, how.exit, how.cause))
    return how


async def _connected(call: Call, uri: str, ring_s: float, limit_s: float | None) -> DialExit:
    host, port = call.hall.sip.local
    # Whatever the caller is called: a name that is no user part as it stands must not keep them from a person.
    caller = f"sip:{quote(call.facts.caller or 'anonymous', safe=USER_CHARACTERS)}@{host}:{port}"
    try:
        leg = call.hall.outgoing(uri, caller, call.facts.id, beside=call.leg.port)
    except (MediaError, ValueError) as error:
        log.error("dial failed", target=uri, why=str(error))
        return DialExit("failed", str(error))
    line = LineWatch(uri, call.facts.trunk, call.timeline, call.hall.metrics)
    call.hall.watch(leg.port, line.on_media)
    try:
        refused = await _rung(call, leg, ring_s)
        if refused is not None:
            return refused
        call.timeline.append(DialAnswered(uri))
        log.info("connected", target=uri)
        await call.answer()
        call.quiet()
        return await _talked(call, leg, limit_s)
    finally:
        call.quiet()
        if not call.leg.port.closed:
            call.leg.port.unbridge()
        call.hall.forget(leg)
        line.over()


async def _rung(call: Call, leg: SipLeg, ring_s: float) -> DialExit | None:
    """Wait for the far end; None where it answered."""
    if call.answered:
        call.start(call.hall.prompts.tone("ringing"), loop=True)
    else:
        await call.ring()
    try:
        async with asyncio.timeout(ring_s):
            await leg.answered()
    except TimeoutError:
        leg.hang_up("nobody answered")
        return DialExit("no-answer", f"nobody answered within {ring_s:g} s")
    except ChannelGone as gone:
        status = leg.failed.status if leg.failed else 0
        if status in BUSY:
            return DialExit("busy", str(gone))
        return DialExit("no-answer" if status in NO_ANSWER else "failed", str(gone))
    return None


async def _talked(call: Call, leg: SipLeg, limit_s: float | None) -> DialExit:
    over: asyncio.Future[Gone] = asyncio.get_running_loop().create_future()

    def heard(event: LegEvent) -> None:
        if isinstance(event, Gone) and not over.done():
            over.set_result(event)

    leg.listen(heard)
    if not leg.available:
        return DialExit("answered", "the far end hung up at once")
    call.leg.port.bridge(leg.port)
    call.on_keys = lambda digit: _press(leg, digit)
    try:
        gone = await asyncio.wait_for(over, limit_s)
    except TimeoutError:
        leg.hang_up("limit reached")
        return DialExit("answered", f"the limit of {limit_s:g} s ran out")
    finally:
        call.on_keys = None
    return DialExit("answered", gone.cause)


def _press(leg: SipLeg, digit: str) -> None:
    """Pass a key on: the far end may be a menu."""
    try:
        leg.port.send_digits(digit)
    except MediaError as error:
        log.warning("key not passed on", why=str(error))

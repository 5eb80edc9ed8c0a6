"""What the media core reports, taken to the leg it is about. Nothing is decided, but for this: what goes wrong with one
line's event ends that line and no other, and a datagram that goes wrong, which anybody may have sent, is lost."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from offhook.calls.sipleg import SipLeg
from offhook.calls.webleg import WebLeg
from offhook.media import Datagram, MediaCore, MediaEvent, Port

log = structlog.get_logger("offhook.calls")

FAULT = "a fault of the program"
"""Why a line was ended, as its record has it."""


class MediaDispatch:
    """Events and datagrams of one core's ports, on their way."""

    def __init__(self, core: MediaCore) -> None:
        self._core = core
        self._handlers: dict[int, Callable[[MediaEvent], None]] = {}
        self._legs: dict[int, SipLeg | WebLeg] = {}
        self._ended: set[int] = set()
        """Ports whose line was ended. They are still told what happens, for tracks have to be finished."""
        self._confused: set[int] = set()
        """Ports of which it was said that a datagram went wrong."""

    def add(self, leg: SipLeg | WebLeg) -> None:
        """Take what is for ICE and DTLS to this leg; and end it where an event of its port goes wrong."""
        self._legs[leg.port.number] = leg

    def watch(self, port: Port, handler: Callable[[MediaEvent], None]) -> None:
        """Call `handler` with the events of `port` until `drop`."""
        self._handlers[port.number] = handler

    def drop(self, port: Port) -> None:
        """Nothing of `port` is for anybody any more."""
        self._handlers.pop(port.number, None)
        self._legs.pop(port.number, None)
        self._ended.discard(port.number)
        self._confused.discard(port.number)

    def deliver(self) -> None:
        """Hand out what has come; for `loop.add_reader(core.fileno(), ...)`."""
        for event in self._core.events():
            try:
                if (handler := self._handlers.get(event.port)) is not None:
                    handler(event)
            except Exception:
                self._end(event)
        for datagram in self._core.datagrams():
            try:
                leg = self._legs.get(datagram.port)
                if leg is not None and leg.line is not None:
                    leg.line.receive(datagram)
            except Exception:
                self._lose(datagram)

    def _end(self, event: MediaEvent) -> None:
        """Within `except`: end the event's line, and say so once."""
        port = event.port
        if port in self._ended:
            return
        self._ended.add(port)
        kind = type(event).__name__
        log.exception("an event went wrong: its line is ended, the others go on", port=port, media_event=kind)
        try:
            if (leg := self._legs.get(port)) is not None:
                leg.hang_up(FAULT)
        except Exception:
            log.exception("a line could not be ended", port=port)

    def _lose(self, datagram: Datagram) -> None:
        """Within `except`: say once for each line that a datagram was lost."""
        if datagram.port not in self._confused:
            self._confused.add(datagram.port)
            log.exception("a datagram went wrong and is lost", port=datagram.port, source=datagram.source[0])

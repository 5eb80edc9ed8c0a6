"""pyVoIP calls: greeted, asks, is answered, hangs up first, and last. It has no way to send digits or to hold."""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
from loadtest.served import Served, free_port
from pyVoIP.VoIP.VoIP import CallState, VoIPCall, VoIPPhone

from tests.peers.record import kept


class Phone(VoIPPhone):  # type: ignore[misc]  # ships no types
    """pyVoIP as a telephone without a registrar: it knows only servers that it can register with, and we are none."""

    def __init__(self, server: Served, user: str) -> None:
        import socket

        super().__init__(
            "127.0.0.1",
            server.sip_port,
            user,
            "unused",
            myIP="127.0.0.1",
            sipPort=free_port(socket.SOCK_DGRAM),
            rtpPortLow=31000,
            rtpPortHigh=31998,
        )
        self.sip.register = lambda: True
        self.sip.deregister = lambda: True


def wait_for(call: VoIPCall, state: CallState, limit_s: float) -> None:
    end = time.monotonic() + limit_s
    while call.state != state:
        assert time.monotonic() < end, f"the call is {call.state}, not {state}"
        time.sleep(0.02)


SPEECH = 4.0
"""RMS of 8-bit samples that only speech has."""


def hear(call: VoIPCall, seconds: float, enough: float = 128.0) -> float:
    """The loudest 20 ms of what comes in, as RMS of 8-bit samples; returns early where it is `enough`."""
    loudest, end = 0.0, time.monotonic() + seconds
    while time.monotonic() < end and loudest < enough and call.state == CallState.ANSWERED:
        frame = np.frombuffer(call.read_audio(160, blocking=True), dtype=np.uint8).astype(float) - 128
        loudest = max(loudest, float(np.sqrt((frame**2).mean())))
    return loudest


def eight_bit(path: Path) -> bytes:
    """As pyVoIP takes sound: 8 kHz, unsigned 8-bit, linear."""
    pcm, rate_hz = soundfile.read(path, dtype="int16")
    assert rate_hz == 8000
    data: bytes = ((pcm.astype(int) >> 8) + 128).astype(np.uint8).tobytes()
    return data


@pytest.fixture
def quiet() -> None:
    warnings.simplefilter("ignore")


def test_pyvoip_asks_is_answered_and_hangs_up(server: Served, speech: Path, quiet: None) -> None:
    phone = Phone(server, "pyvoip")
    phone.start()
    try:
        call = phone.call("100")
        wait_for(call, CallState.ANSWERED, 10)
        assert hear(call, 12.0) > SPEECH, "no greeting was heard"
        question = eight_bit(speech / "slt-3-opening-hours.flac")
        call.write_audio(question)
        hear(call, len(question) / 8000)  # what comes in while the caller speaks is no answer
        assert hear(call, 20.0, enough=SPEECH) >= SPEECH, "no answer was heard"
        call.hangup()
    finally:
        phone.stop()
    record = kept(server, "pyvoip")
    assert any("open" in turn.text.lower() for turn in record.turns if turn.who.value == "agent"), record.turns
    assert record.ended.by == "caller"


def test_pyvoip_is_hung_up_on(server: Served, quiet: None) -> None:
    phone = Phone(server, "pyvoip-last")
    phone.start()
    try:
        call = phone.call("600")
        wait_for(call, CallState.ANSWERED, 10)
        wait_for(call, CallState.ENDED, 30)
    finally:
        phone.stop()
    assert kept(server, "pyvoip-last").ended.by == "us"

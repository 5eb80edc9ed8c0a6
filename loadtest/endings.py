"""The ways a call can go and end, as scenarios for SIPp: each a list of steps, written out as SIPp's XML.

SIPp counts a call as failed that did not go as its scenario has it; so these are also what the server must do.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import itertools
import random
import shutil
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from served import LOOPBACK

SOUND = "sound.ulaw"
"""What callers say; in the folder that SIPp runs in."""

AGAIN_MS = 500
"""RFC 3261's T1."""
ATTEMPTS = 5
PORT_TAKEN = 254
"""SIPp's status where it could not have its sockets."""
MEDIA_PORTS = (10_000, 19_900)
"""Where SIPp's sound comes from: not where the kernel takes ports for others, nor where our servers have theirs."""
PATIENCE_S = 180.0
"""How much longer than planned calls may take."""


def _sdp(version: int = 1, way: str = "sendrecv") -> str:
    return f"""v=0
o=sipp 53655765 {version} IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [rtpstream_audio_port] RTP/AVP 0 101
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a={way}"""


def _message(first: str, headers: str, body: str = "", again: bool = False) -> str:
    content = f"Content-Type: application/sdp\nContent-Length: [len]\n\n{body}" if body else "Content-Length: 0\n"
    repeats = f' retrans="{AGAIN_MS}"' if again else ""
    return f"<send{repeats}><![CDATA[\n{first}\n{headers}\n{content}\n]]></send>"


def _request(method: str, cseq: int, body: str = "", more: str = "", branch: str = "branch=[branch]") -> str:
    """Of the caller: the first INVITE, or a request within its dialog."""
    first = cseq == 1 and method == "INVITE"
    uri = "sip:[service]@[remote_ip]:[remote_port]" if first else "[next_url]"
    to = "" if first else "[peer_tag_param]"
    via = f"Via: SIP/2.0/[transport] [local_ip]:[local_port];{branch}\n"
    headers = f"""{via}From: <sip:[call_number]@[local_ip]:[local_port]>;tag=[pid]t[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>{to}
Call-ID: [call_id]
CSeq: {cseq} {method}
Contact: <sip:[call_number]@[local_ip]:[local_port];transport=[transport]>
Max-Forwards: 70{more}"""
    return _message(f"{method} {uri} SIP/2.0", headers, body, again=method != "ACK")


def _of_the_invite(method: str, to: str) -> str:
    """CANCEL, or the ACK of a refusal: they go by the INVITE's own Via (RFC 3261 9.1, 17.1.1.3)."""
    headers = f"""[last_Via:]
From: <sip:[call_number]@[local_ip]:[local_port]>;tag=[pid]t[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>{to}
Call-ID: [call_id]
CSeq: 1 {method}
Max-Forwards: 70"""
    uri = "sip:[service]@[remote_ip]:[remote_port]"
    return _message(f"{method} {uri} SIP/2.0", headers, again=method != "ACK")


def _answer(status: str, body: str = "", tag: str = "", more: str = "", cseq: str = "[last_CSeq:]") -> str:
    headers = f"[last_Via:]\n[last_From:]\n[last_To:]{tag}\n[last_Call-ID:]\n{cseq}{more}"
    return _message(f"SIP/2.0 {status}", headers, body, again=status[0] != "1" and "INVITE" in cseq)


def _comes(what: str, more: str = "") -> str:
    kind = "response" if what.isdigit() else "request"
    return f'<recv {kind}="{what}" {more}/>'


def _waits(least_ms: int, most_ms: int) -> str:
    return f'<pause distribution="uniform" min="{least_ms}" max="{most_ms}"/>'


def _written(steps: Sequence[str]) -> str:
    head = '<?xml version="1.0" encoding="ISO-8859-1" ?>\n<scenario name="soak">\n'
    return head + "\n".join(steps) + "\n</scenario>\n"


_PROVISIONAL = [_comes(status, 'optional="true"') for status in ("100", "180")]
_CALLS = [_request("INVITE", 1, _sdp()), *_PROVISIONAL, _comes("200", 'rrs="true"')]
_TIMED = [_request("INVITE", 1, _sdp(), "\nSupported: timer\nSession-Expires: 1800"), *_CALLS[1:]]
_IS_ANSWERED = [*_CALLS, _request("ACK", 1)]
_SPEAKS = [f'<nop><action><exec rtp_stream="{SOUND},1,0"/></action></nop>']
_HANGS_UP = [_request("BYE", 90), _comes("200")]
_IS_HUNG_UP_ON = [_comes("BYE", 'timeout="60000"'), _answer("200 OK")]


def _holds(cseq: int, version: int, way: str) -> list[str]:
    return [
        _request("INVITE", cseq, _sdp(version, way)),
        _comes("100", 'optional="true"'),
        _comes("200"),
        _request("ACK", cseq),
        _waits(100, 400),
    ]


def _is_refused(status: str) -> list[str]:
    return [*_CALLS[:-1], _comes(status), _of_the_invite("ACK", "[peer_tag_param]")]


_TAG = ";tag=[pid]f[call_number]"
_CONTACT = "\nContact: <sip:far@[local_ip]:[local_port];transport=[transport]>"
_RINGS = [_comes("INVITE"), _answer("180 Ringing", tag=_TAG, more=_CONTACT)]

CALLERS = {
    "hangs up": _written([*_IS_ANSWERED, *_SPEAKS, _waits(300, 1500), *_HANGS_UP]),
    "is hung up on": _written([*_IS_ANSWERED, *_SPEAKS, *_IS_HUNG_UP_ON]),
    "holds": _written(
        [
            *_TIMED,
            _request("ACK", 1),
            *_SPEAKS,
            _waits(300, 900),
            *_holds(2, 2, "sendonly"),
            *_holds(3, 3, "sendrecv"),
            *_HANGS_UP,
        ]
    ),
    "gives up": _written(
        [
            _CALLS[0],
            _comes("100", 'optional="true"'),
            _comes("180"),
            _waits(50, 300),
            _of_the_invite("CANCEL", ""),
            _comes("200"),
            _comes("487"),
            _of_the_invite("ACK", "[peer_tag_param]"),
        ]
    ),
    "is told busy": _written(_is_refused("486")),
    "rings nobody": _written(_is_refused("404")),
    "vanishes": _written([*_IS_ANSWERED, *_SPEAKS, _waits(200, 600)]),
    "never acknowledges": _written([*_CALLS, _waits(100, 200)]),
}
"""Who calls the server."""

FAR_ENDS = {
    "answers": _written(
        [
            *_RINGS,
            _answer("200 OK", _sdp().replace("[rtpstream_audio_port]", "[media_port]"), _TAG, _CONTACT),
            _comes("ACK"),
            *_IS_HUNG_UP_ON,
        ]
    ),
    "only rings": _written(
        [
            *_RINGS,
            _comes("CANCEL"),
            _answer("200 OK", tag=_TAG),
            _answer("487 Request Terminated", tag=_TAG, cseq="CSeq: 1 INVITE"),
            _comes("ACK"),
        ]
    ),
}
"""Whom the server calls."""


class SippError(Exception):
    """SIPp did not do its work; the text holds what it said."""


class Sipps:
    """SIPps that run, each by a scenario; those that still do are ended with the block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count()
        self._running: list[asyncio.subprocess.Process] = []

    async def __aenter__(self) -> Sipps:
        if shutil.which("sipp") is None:
            raise SippError("SIPp is not installed: apt-get install sip-tester")
        t = np.arange(4_000) / 8_000
        with soundfile.SoundFile(self._folder / SOUND, "w", 8_000, 1, "ULAW", format="RAW") as out:
            out.write((6_000 * np.sin(2 * np.pi * 440 * t)).astype(np.int16))
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in self._running:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def answer(self, how: str, port: int) -> None:
        """Take calls at `port` as `FAR_ENDS` says, until the end."""
        await self._start(FAR_ENDS[how], "-p", str(port), "-rtp_echo")

    async def call(self, how: str, server: str, number: str, calls: int, seconds: float, tcp: bool) -> tuple[int, int]:
        """Make so many calls as `CALLERS` says, spread over `seconds`; how many went so, and how many did not. Raises
        SippError."""
        every_ms = max(1, round(1000 * seconds / calls))
        for _ in range(ATTEMPTS):
            process, folder = await self._start(
                CALLERS[how],
                *(server, "-s", number, "-m", str(calls), "-r", "1", "-rp", str(every_ms)),
                *("-t", "t1" if tcp else "u1", "-trace_stat", "-fd", "1"),
            )
            try:
                async with asyncio.timeout(seconds + PATIENCE_S):
                    status = await process.wait()
            except TimeoutError:
                raise SippError(f"sipp, {how}: did not end") from None
            if status != PORT_TAKEN:
                break
        if status not in (0, 1):
            told = (folder / "said").read_text(errors="replace")
            raise SippError(f"sipp, {how}: ended with {status}: {told[-2000:]}")
        with next(folder.glob("*_.csv")).open(encoding="ascii") as lines:
            *_, last = csv.DictReader(lines, delimiter=";")
        if status == 1:
            errors = "".join(each.read_text(errors="replace") for each in folder.glob("*_errors.log"))
            print(f"sipp, {how}: the last of what went wrong: {errors[-1500:]}", file=sys.stderr, flush=True)
        return int(last["SuccessfulCall(C)"]), int(last["FailedCall(C)"])

    async def _start(self, scenario: str, *arguments: str) -> tuple[asyncio.subprocess.Process, Path]:
        folder = self._folder / str(next(self._numbers))
        folder.mkdir()
        (folder / SOUND).symlink_to(self._folder / SOUND)
        (folder / "scenario.xml").write_text(scenario, encoding="ascii")
        with (folder / "said").open("wb") as out:
            process = await asyncio.create_subprocess_exec(
                *("sipp", "-sf", "scenario.xml", "-i", LOOPBACK, "-mi", LOOPBACK, "-mp", str(_media_port())),
                *("-nostdin", "-trace_err", *arguments),
                cwd=folder,
                stdout=out,
                stderr=out,
            )
        self._running.append(process)
        return process, folder


def _media_port() -> int:
    """An even port that was free a moment ago, as is the next but one, which SIPp takes for video."""
    while True:
        port = random.randrange(*MEDIA_PORTS, 2)
        with contextlib.suppress(OSError), contextlib.ExitStack() as probes:
            for number in (port, port + 1, port + 2, port + 3):
                probe = probes.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                probe.bind((LOOPBACK, number))
            return port

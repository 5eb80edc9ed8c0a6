"""NetEq, libwebrtc's buffer, as browsers run it: real peer connections of `wrtc` (libwebrtc for Python, BSD) that are
sent our own packets over DTLS-SRTP on this machine, through aiortc's transport, at the moments that the stream says.

It runs on the machine's clock, so streams are played side by side, as long as they last, each as often as asked: no
two runs are quite alike. How punctually they were sent stands with the figures. What it says of itself (getStats) is
asked every 100 ms: its delay runs from a packet's arrival to its decoding, and leaves out what still waits in its
output, so it is told a little better than it is. Late are the packets it says it discarded. The sound is what its track
gives.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import json
import os
import re
import struct
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from offhook.speech.resample import resample

from .stream import MS, PACKET, RATE_HZ, Played, Sound, Stream, together

ASKED_EVERY_MS = 100
AFTER_MS = 500
"""Goes on so long after a stream's last packet, so that its end is heard."""
CONNECTING_S = 20.0
_SAID_BY = (
    "packetsReceived packetsDiscarded packetsLost totalSamplesReceived concealedSamples silentConcealedSamples "
    "concealmentEvents insertedSamplesForDeceleration removedSamplesForAcceleration jitterBufferDelay "
    "jitterBufferTargetDelay jitterBufferEmittedCount jitterBufferFlushes"
).split()
_NOT_JSON = re.compile(r"(?<=:)-?(?:inf|nan)\b")


class NetEqError(Exception):
    """Could not be measured; the text says why."""


@dataclass(slots=True)
class _Line:
    """One stream on its way: a sender, a receiver, and what the receiver said of itself."""

    stream: Stream
    send: Callable[[bytes], Awaitable[None]]
    ssrc: int
    receiver: Any
    sound: Any
    close: Callable[[], Awaitable[None]]
    said: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    sent_late_ns: list[int] = field(default_factory=list)


class NetEq:
    """The buffer."""

    name = "neteq"
    about = "NetEq of libwebrtc, real peer connections"
    real_time = True

    def __init__(self, tell: Callable[[str], None] = lambda text: None, times: int = 1) -> None:
        self._tell, self._times = tell, times

    def missing(self) -> str | None:
        try:
            import aiortc  # noqa: F401
            import wrtc  # noqa: F401
        except ImportError as error:
            return f"{error.name} is not installed (loadtest/requirements.txt)"
        return None

    def play(self, streams: Sequence[Stream]) -> list[Played]:
        longest_s = max(stream.packets[-1].arrival_ns for stream in streams) / 1e9
        runs = []
        for time_now in range(1, self._times + 1):
            again = f", time {time_now} of {self._times}" if self._times > 1 else ""
            self._tell(f"neteq runs in real time: {len(streams)} streams side by side, {longest_s:.0f} s{again}")
            with _first_in_line():
                runs.append(asyncio.run(_play(streams)))
        return [together(alike) for alike in zip(*runs, strict=True)]


@contextlib.contextmanager
def _first_in_line() -> Iterator[None]:
    """Where it may, this process goes before others: what else runs here is not to disturb NetEq's clock."""
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, usual)


async def _play(streams: Sequence[Stream]) -> list[Played]:
    lines: list[_Line] = []
    longest_ns = max(stream.packets[-1].arrival_ns for stream in streams)
    room = min(65_535, longest_ns // (10 * MS) + 100 * len(streams) + 500)  # 10 ms of sound each
    try:
        for stream in streams:
            lines.append(await asyncio.wait_for(_line(stream, room), CONNECTING_S))
        load = os.getloadavg()[0]
        start_ns = time.monotonic_ns() + 300 * MS
        asking = [asyncio.create_task(_ask(line, start_ns)) for line in lines]
        try:
            await _send(lines, start_ns)
            await asyncio.gather(*asking)
        finally:
            for task in asking:
                task.cancel()
        load = max(load, os.getloadavg()[0])
        return [_played(line, start_ns, load) for line in lines]
    except TimeoutError:
        raise NetEqError("the peers did not connect: is loopback up?") from None
    finally:
        for line in lines:
            await line.close()


async def _line(stream: Stream, room: int) -> _Line:
    """Connects a sender of aiortc's with a receiver of libwebrtc's, PCMU agreed, both in this process."""
    import aiortc
    import wrtc

    import webrtc

    near, far = aiortc.RTCPeerConnection(), webrtc.RTCPeerConnection()
    sending = near.addTransceiver("audio", direction="sendonly")
    codecs = aiortc.RTCRtpSender.getCapabilities("audio").codecs
    sending.setCodecPreferences([codec for codec in codecs if codec.mimeType == "audio/PCMU"])
    tracks: asyncio.Queue[Any] = asyncio.Queue()
    far.on("track", lambda event: tracks.put_nowait(event))
    await near.setLocalDescription(await near.createOffer())
    offer = webrtc.RTCSessionDescriptionInit("offer", near.localDescription.sdp)
    await far.set_remote_description(webrtc.RTCSessionDescription(offer))
    await far.set_local_description(await far.create_answer())
    gathered, connected = asyncio.Event(), asyncio.Event()
    far.on("icegatheringstatechange", lambda *_: far.ice_gathering_state == "complete" and gathered.set())
    near.on("connectionstatechange", lambda: near.connectionState == "connected" and connected.set())
    await gathered.wait()
    await near.setRemoteDescription(aiortc.RTCSessionDescription(far.local_description.sdp, "answer"))
    await connected.wait()
    event = await tracks.get()

    async def close() -> None:
        await near.close()
        far.close()

    return _Line(
        stream,
        sending.sender.transport._send_rtp,  # encrypts and sends a packet of any making
        sending.sender._ssrc,
        event.receiver,
        wrtc.MediaStreamTrackProcessor(event.track._native_obj, room),
        close,
    )


async def _send(lines: Sequence[_Line], start_ns: int) -> None:
    """Sends every stream's packets at their moments."""
    flights = [[(start_ns + p.arrival_ns, i, p.number) for p in line.stream.packets] for i, line in enumerate(lines)]
    for due_ns, i, number in heapq.merge(*flights):
        await asyncio.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
        line = lines[i]
        header = struct.pack("!BBHII", 0x80, 0, number & 0xFFFF, number * PACKET & 0xFFFFFFFF, line.ssrc)
        await line.send(header + line.stream.payload(number))
        line.sent_late_ns.append(time.monotonic_ns() - due_ns)


async def _ask(line: _Line, start_ns: int) -> None:
    """Asks for the receiver's statistics until its stream is over."""
    end_ns = start_ns + line.stream.packets[-1].arrival_ns + AFTER_MS * MS
    asked_ns = start_ns + line.stream.packets[0].arrival_ns
    while asked_ns < end_ns:
        await asyncio.sleep(max(0.0, (asked_ns - time.monotonic_ns()) / 1e9))
        if said := await _statistics(line):
            line.said.append((time.monotonic_ns() - start_ns, said))
        asked_ns = max(asked_ns + ASKED_EVERY_MS * MS, time.monotonic_ns())


async def _statistics(line: _Line) -> dict[str, float] | None:
    from webrtc.utils.loops import call_native

    # Its own reader of these fails on the -inf that stands for a time not known yet.
    text = str(await call_native(line.receiver._native_obj.getStats))
    for entry in json.loads(_NOT_JSON.sub("null", text) or "[]"):
        if entry.get("type") == "inbound-rtp" and "jitterBufferDelay" in entry:
            return {name: float(entry.get(name) or 0) for name in _SAID_BY}
    return None


def _played(line: _Line, start_ns: int, load: float) -> Played:
    last_ns = line.stream.packets[-1].arrival_ns
    said = [one for one in line.said if one[0] <= last_ns + ASKED_EVERY_MS * MS] or line.said
    if not said:
        raise NetEqError(f"{line.stream.name}: nothing arrived")
    at_ns = np.array([at for at, _ in said], np.float64)
    emitted = np.array([one["jitterBufferEmittedCount"] for _, one in said])
    waited_ms = 1000 * np.array([one["jitterBufferDelay"] for _, one in said])
    more, longer = np.diff(emitted, prepend=0), np.diff(waited_ms, prepend=0)
    gave = more > 0
    end = said[-1][1]
    late_ms = np.sort(np.array(line.sent_late_ns)) / MS
    sound, begin_ns = _heard(line.sound, start_ns)
    return Played(
        arrived=int(end["packetsReceived"]),
        unplayed=int(line.said[-1][1]["packetsDiscarded"]),
        made_up_percent=100 * end["concealedSamples"] / max(1.0, end["totalSamplesReceived"]),
        delays=np.column_stack([at_ns[gave], longer[gave] / more[gave], more[gave]]),
        sound=sound,
        begin_ns=begin_ns,
        more={
            **{name: end[name] for name in _SAID_BY},
            "mean_target_ms": 1000 * end["jitterBufferTargetDelay"] / max(1.0, end["jitterBufferEmittedCount"]),
            "sent_late_p99_ms": round(float(late_ms[int(0.99 * (len(late_ms) - 1))]), 2),
            "sent_late_max_ms": round(float(late_ms[-1]), 2),
            "load": round(load, 2),
        },
    )


def _heard(track: Any, start_ns: int) -> tuple[Sound, int]:
    """What the track gave, 10 ms at a time, at 8 kHz; and when that began. Its rate changes when the stream begins."""
    frames: list[tuple[int, Sound]] = []
    begin_ns = 0
    while (frame := track.read()) is not None:
        data, bits, rate_hz, channels, _, at_us = frame
        if bits != 16:
            raise NetEqError(f"samples of {bits} bits came from its track, not of 16")
        if not frames:
            begin_ns = at_us * 1000 - start_ns
        frames.append((rate_hz, np.frombuffer(data, np.int16)[::channels]))
    parts = [
        resample(np.concatenate([sound for _, sound in alike]).astype(np.float32), rate_hz, RATE_HZ)
        for rate_hz, alike in itertools.groupby(frames, key=lambda frame: frame[0])
    ]
    narrow = np.concatenate([np.zeros(0, np.float32), *parts])
    return np.clip(np.round(narrow), -32768, 32767).astype(np.int16), begin_ns

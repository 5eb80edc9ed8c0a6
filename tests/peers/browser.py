"""A browser's half of a call, none of it ours: aiortc's peer connection (ICE, DTLS, SRTP, Opus, G.711), a microphone
that says what it is told, and an ear that tells pitches."""

from __future__ import annotations

import asyncio
import contextlib
import fractions
import time
from collections.abc import AsyncIterator, Callable

import av
import numpy as np
import numpy.typing as npt
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack

Pcm = npt.NDArray[np.int16]

RATE_HZ = 16_000
FRAME = RATE_HZ // 50
LIMIT_S = 30.0
LOUD = 500.0
"""RMS of a frame that is no silence."""


def tone(hz: float, ms: float, peak: int = 8_000) -> Pcm:
    wave: Pcm = (peak * np.sin(2 * np.pi * hz / RATE_HZ * np.arange(int(RATE_HZ * ms / 1000)))).astype(np.int16)
    return wave


class Voice(MediaStreamTrack):
    """The microphone: silence, and what it is told to say."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._queue = np.zeros(0, np.int16)
        self._began: float | None = None
        self._sent = 0

    def say(self, pcm: Pcm) -> None:
        self._queue = np.concatenate([self._queue, pcm])

    async def recv(self) -> av.AudioFrame:
        now = time.monotonic()
        self._began = self._began or now
        # A clock of its own: a stall of this machine delays a frame and no later one.
        await asyncio.sleep(max(0.0, self._began + self._sent / RATE_HZ - now))
        samples, self._queue = self._queue[:FRAME], self._queue[FRAME:]
        frame = av.AudioFrame.from_ndarray(np.pad(samples, (0, FRAME - len(samples)))[None], layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, self._sent, fractions.Fraction(1, RATE_HZ)
        self._sent += FRAME
        return frame


class Ear:
    """What the browser would play: how loud it is, and what pitch it has."""

    def __init__(self) -> None:
        self._heard = asyncio.Event()
        self._recent: list[npt.NDArray[np.float64]] = []
        self.rate_hz = 0
        self.frames = 0

    async def listen(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(Exception):  # the end of a track is told by an exception
            while True:
                frame = await track.recv()
                assert isinstance(frame, av.AudioFrame)
                pcm = frame.to_ndarray().reshape(-1, len(frame.layout.channels)).mean(axis=1)
                self.rate_hz, self.frames = frame.sample_rate, self.frames + 1
                self._recent = [*self._recent[-9:], pcm]
                self._heard.set()

    def loudness(self) -> float:
        """RMS of the newest frame."""
        return float(np.sqrt((self._recent[-1] ** 2).mean())) if self._recent else 0.0

    def pitch_hz(self) -> float:
        """The strongest pitch of the last 200 ms; 0.0 in silence."""
        if len(self._recent) < 10 or self.loudness() < LOUD:
            return 0.0
        pcm = np.concatenate(self._recent)
        spectrum = np.abs(np.fft.rfft(pcm * np.hanning(len(pcm))))
        return float(spectrum.argmax() * self.rate_hz / len(pcm))

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not condition():
                self._heard.clear()
                try:
                    await self._heard.wait()
                except asyncio.CancelledError:
                    raise AssertionError(f"not heard: {what}; {self.frames} frames came") from None

    async def hears(self, hz: float) -> None:
        await self.until(lambda: abs(self.pitch_hz() - hz) < 12, f"{hz:g} Hz")

    async def silence(self) -> None:
        quiet = 0

        def look() -> bool:
            nonlocal quiet
            quiet = quiet + 1 if self.loudness() < LOUD else 0
            return quiet > 20

        await self.until(look, "silence")


class Browser:
    """A peer connection that speaks `codec` alone, both ways. One that `echoes` says back what it hears."""

    def __init__(self, codec: str = "PCMU", echoes: bool = False) -> None:
        self.voice, self.ear = Voice(), Ear()
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._listening: asyncio.Task[None] | None = None
        transceiver = self.connection.addTransceiver(self.voice, direction="sendrecv")
        codecs = RTCRtpSender.getCapabilities("audio").codecs
        transceiver.setCodecPreferences([each for each in codecs if each.mimeType.lower() == f"audio/{codec.lower()}"])
        self.connection.on("track", transceiver.sender.replaceTrack if echoes else self._listen)

    async def offer(self) -> str:
        """Its offer, made once."""
        if self.connection.localDescription is None:
            await self.connection.setLocalDescription(await self.connection.createOffer())
        return str(self.connection.localDescription.sdp)

    async def take(self, answer: str) -> None:
        """The answer to it; another answer to the same offer changes nothing."""
        if self.connection.signalingState != "stable":
            await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def answer(self, offer: str) -> str:
        """Its answer to somebody else's offer."""
        await self.connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await self.connection.setLocalDescription(await self.connection.createAnswer())
        return str(self.connection.localDescription.sdp)

    async def close(self) -> None:
        await self.connection.close()
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait({self._listening})

    def _listen(self, track: MediaStreamTrack) -> None:
        self._listening = asyncio.ensure_future(self.ear.listen(track))


@contextlib.asynccontextmanager
async def browsing(codec: str = "PCMU", echoes: bool = False) -> AsyncIterator[Browser]:
    """A browser that is closed when the block is left."""
    browser = Browser(codec, echoes)
    try:
        yield browser
    finally:
        await browser.close()

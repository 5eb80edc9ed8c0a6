"""aiortc's jitter buffer (PyPI, BSD): its class as its receiver makes it for sound, packet by packet.

It has no clock: a packet comes out when enough later ones have come in, and goes to whoever reads the track. It makes
nothing up: where a packet is missing its listeners get nothing, here silence of its length in its place.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .stream import MS, PACKET, Played, Stream, from_ulaw

CAPACITY, PREFETCH = 16, 4
"""As aiortc's RTCRtpReceiver has them for audio."""


class Aiortc:
    """The buffer."""

    name = "aiortc"
    about = "aiortc's JitterBuffer; no clock, silence for what is missing"
    real_time = False

    def missing(self) -> str | None:
        try:
            import aiortc.jitterbuffer  # noqa: F401
        except ImportError:
            return "aiortc is not installed (loadtest/requirements.txt)"
        return None

    def play(self, streams: Sequence[Stream]) -> list[Played]:
        return [self._play(stream) for stream in streams]

    def _play(self, stream: Stream) -> Played:
        from aiortc.jitterbuffer import JitterBuffer
        from aiortc.rtp import RtpPacket

        buffer = JitterBuffer(capacity=CAPACITY, prefetch=PREFETCH)
        arrived = {packet.number: packet.arrival_ns for packet in stream.packets}
        sound = np.zeros(stream.sent * PACKET, np.int16)
        delays = []
        for packet in stream.packets:
            rtp = RtpPacket(payload_type=0, sequence_number=packet.number & 0xFFFF, timestamp=packet.number * PACKET)
            rtp.payload = rtp._data = stream.payload(packet.number)  # the depacketised payload, as its receiver sets it
            _, frame = buffer.add(rtp)
            if frame is not None:
                number = frame.timestamp // PACKET
                delays.append((packet.arrival_ns, (packet.arrival_ns - arrived[number]) / MS, PACKET))
                sound[frame.timestamp : frame.timestamp + PACKET] = from_ulaw(frame.data)
        waiting = sum(packet is not None for packet in buffer._packets)
        given = len(delays)
        return Played(
            arrived=len(stream.packets),
            unplayed=len(stream.packets) - given - waiting,
            made_up_percent=100 * (1 - given / max(1, stream.sent - waiting)),
            delays=np.array(delays).reshape(-1, 3),
            sound=sound,
            begin_ns=stream.packets[0].arrival_ns,
        )

"""The Speex jitter buffer (Debian's libspeexdsp1, BSD, called as it is), asked every 20 ms as its example does.

It adapts by leaving packets out and by asking for made-up ones, and leaves making them up to the codec. G.711 has
nothing for that, so what is heard for a missing packet is the one before once more.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence

import numpy as np

from .fixed import Repetition
from .stream import MS, PACKET, PHASES_NS, Played, Stream, from_ulaw, ticks, together

_OK = 0


class _Packet(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_char_p),
        ("len", ctypes.c_uint32),
        ("timestamp", ctypes.c_uint32),
        ("span", ctypes.c_uint32),
        ("sequence", ctypes.c_uint16),
        ("user_data", ctypes.c_uint32),
    )


@functools.cache
def _library() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL("libspeexdsp.so.1")
    except OSError:
        return None
    packet = ctypes.POINTER(_Packet)
    library.jitter_buffer_init.restype = ctypes.c_void_p
    library.jitter_buffer_init.argtypes = [ctypes.c_int]
    library.jitter_buffer_destroy.argtypes = [ctypes.c_void_p]
    library.jitter_buffer_put.argtypes = [ctypes.c_void_p, packet]
    library.jitter_buffer_get.argtypes = [ctypes.c_void_p, packet, ctypes.c_int32, ctypes.POINTER(ctypes.c_int32)]
    library.jitter_buffer_tick.argtypes = [ctypes.c_void_p]
    return library


class Speex:
    """The buffer."""

    name = "speex"
    about = "Speex jitter buffer; the last packet once more"
    real_time = False

    def missing(self) -> str | None:
        return None if _library() else "libspeexdsp.so.1 is not here (Debian: libspeexdsp1)"

    def play(self, streams: Sequence[Stream]) -> list[Played]:
        return [together([self._play(stream, phase_ns) for phase_ns in PHASES_NS]) for stream in streams]

    def _play(self, stream: Stream, phase_ns: int) -> Played:
        library = _library()
        assert library is not None
        buffer = library.jitter_buffer_init(PACKET)
        arrived = {packet.number: packet.arrival_ns for packet in stream.packets}
        room = ctypes.create_string_buffer(PACKET)
        conceal, sound, delays, begin_ns = Repetition(), [], [], -1
        made_up = asked = 0
        for at_ns, came in ticks(stream, phase_ns):
            for packet in came:
                put = _Packet(
                    stream.payload(packet.number), PACKET, packet.number * PACKET, PACKET, packet.number & 0xFFFF, 0
                )
                library.jitter_buffer_put(buffer, put)
            if begin_ns < 0:
                if not came:
                    continue
                begin_ns = at_ns
            counts = at_ns <= stream.packets[-1].arrival_ns
            asked += counts
            got = _Packet(ctypes.cast(room, ctypes.c_char_p), PACKET)
            if library.jitter_buffer_get(buffer, got, PACKET, None) == _OK:
                number = got.timestamp // PACKET
                sound.append(conceal.heard(from_ulaw(room.raw)))
                delays.append((at_ns, (at_ns - arrived[number]) / MS, PACKET))
            else:
                sound.append(conceal.made_up())
                made_up += counts
            library.jitter_buffer_tick(buffer)
        library.jitter_buffer_destroy(buffer)
        return Played(
            arrived=len(stream.packets),
            unplayed=len(stream.packets) - len(delays),
            made_up_percent=100 * made_up / max(1, asked),
            delays=np.array(delays).reshape(-1, 3),
            sound=np.concatenate(sound),
            begin_ns=begin_ns,
        )

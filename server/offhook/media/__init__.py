"""The Python face of the C media core: ports, prompts, slots segments, events and counters; never audio.

    core = MediaCore(address="127.0.0.1", ports=(20_000, 29_999))
    loop.add_reader(core.fileno(), lambda: [handle(event) for event in core.events()])
    port = core.open("call 17")
    port.remote(Remote(("192.0.2.7", 40_000), codec="ulaw", payload_type=0, digits_payload_type=101))
    epoch = port.bind(core.attach(slots.create(8)), slot=0)

What the core does with packets is told in `native/include/oh_core.h`.
"""

from offhook.media import slots
from offhook.media.core import MediaCore
from offhook.media.counters import CoreCounters, PortCounters
from offhook.media.errors import MediaError
from offhook.media.events import (
    Digit,
    DigitsSent,
    Heard,
    MediaBack,
    MediaEvent,
    MediaLost,
    MediaStarted,
    PromptDone,
    Quality,
    RecordClosed,
    RecordFailed,
    RecordResumed,
    Talk,
)
from offhook.media.port import Codec, Datagram, Keys, Port, Remote, Segment, Suite
from offhook.media.room import HeardBy, Room
from offhook.media.slots import SlotSegment

__all__ = [
    "Codec",
    "CoreCounters",
    "Datagram",
    "Digit",
    "DigitsSent",
    "Heard",
    "HeardBy",
    "Keys",
    "MediaBack",
    "MediaCore",
    "MediaError",
    "MediaEvent",
    "MediaLost",
    "MediaStarted",
    "Port",
    "PortCounters",
    "PromptDone",
    "Quality",
    "RecordClosed",
    "RecordFailed",
    "RecordResumed",
    "Remote",
    "Room",
    "Segment",
    "SlotSegment",
    "Suite",
    "Talk",
    "slots",
]

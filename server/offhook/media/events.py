"""What the media core reports: one frozen dataclass for each thing that happens on a port.

Events are facts for whoever runs the call; they carry no audio and decide nothing. `port` is the number of the port
(`Port.number`), which is never used again in one core, so an event that is read after its port was closed harms
nobody. `clock_ms` is the port's media clock (see `Port.clock_ms`), exact to the sample where audio is concerned.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Digit:
    """The far end pressed a key (RFC 4733): one report a press, when it is released or its end was lost."""

    port: int
    digit: str
    """One of `0123456789*#ABCD`."""
    duration_ms: float
    clock_ms: float


@dataclass(frozen=True, slots=True)
class DigitsSent:
    """All digits asked for have left, or will not any more because new signalling agreed to none."""

    port: int
    clock_ms: float


@dataclass(frozen=True, slots=True)
class PromptDone:
    """A prompt is over: `whole` where it was played to its end, else it was stopped, replaced or its port closed."""

    port: int
    play: int
    """What `Port.play` answered."""
    played_ms: float
    whole: bool
    clock_ms: float


@dataclass(frozen=True, slots=True)
class Talk:
    """Audio from the bound slot began to leave, or the utterance is over.

    `clock_ms` is the place of its first sample, or of the end of its last; `cursor` the slot's `played` cursor
    (16 kHz samples since it was bound) at that place. Silence inside an utterance, because the worker was late, is
    no end unless it lasts a second.
    """

    port: int
    began: bool
    clock_ms: float
    cursor: int


@dataclass(frozen=True, slots=True)
class MediaStarted:
    """The port took this address for the far end's: the first packets came from it, or it moved there."""

    port: int
    address: tuple[str, int]
    clock_ms: float


@dataclass(frozen=True, slots=True)
class MediaLost:
    """No packet has come for a second; for ten where the far end said it would send no silence, or where none ever came
    since signalling named it. Never while we hold the far end."""

    port: int
    clock_ms: float


@dataclass(frozen=True, slots=True)
class MediaBack:
    """Packets come again after `MediaLost`."""

    port: int
    clock_ms: float


@dataclass(frozen=True, slots=True)
class RecordFailed:
    """The disk would not take the tracks, and says why; once for each fault. The call is not touched by it."""

    port: int
    why: str
    clock_ms: float


@dataclass(frozen=True, slots=True)
class RecordResumed:
    """The disk takes the tracks again; what fell in between is a hole."""

    port: int
    clock_ms: float


@dataclass(frozen=True, slots=True)
class RecordClosed:
    """Both tracks are written and closed: the files are whole and belong to whoever wants them."""

    port: int
    clock_ms: float


@dataclass(frozen=True, slots=True)
class Heard:
    """How one side heard the other for a few seconds. None: not known."""

    packets: int
    """That this is about; more than none."""
    r: float
    """Transmission rating (ITU-T G.107), 0 to 100; the delay is in it where it is known."""
    mos_lq: float
    """Listening quality, 1 to 4.5."""
    mos_cq: float | None
    """Conversational quality, 1 to 4.5: how it is to talk with the delay there is."""
    lost: float
    """0..1 of the packets never came."""
    discarded: float | None
    """0..1 came too late to be heard."""
    burst_density: float | None
    """0..1 of the packets in bursts (RFC 3611 4.7.2) were lost or came too late."""
    burst_ms: float | None
    """Mean length of bursts; 0: there was none."""
    jitter_ms: float
    """Interarrival jitter (RFC 3550 6.4.1)."""
    said_mos_lq: float | None = None
    """What the far end itself says it comes to (RTCP XR), since its beginning."""
    said_mos_cq: float | None = None


@dataclass(frozen=True, slots=True)
class Quality:
    """How the last seconds of a call were heard at either end; about every five seconds, where anything was."""

    port: int
    heard: Heard | None
    """What we heard of the far end."""
    reported: Heard | None
    """What the far end reports hearing of us. Of late packets and bursts only RTCP XR tells, and only since its
    beginning: they are not in this direction's R and MOS."""
    rtt_ms: float | None
    delay_ms: float
    """How long a packet that comes on time waits here before it is heard."""
    over_ms: float
    """What time this is about, up to `clock_ms`."""
    clock_ms: float


MediaEvent = (
    Digit
    | DigitsSent
    | PromptDone
    | Talk
    | MediaStarted
    | MediaLost
    | MediaBack
    | RecordFailed
    | RecordResumed
    | RecordClosed
    | Quality
)

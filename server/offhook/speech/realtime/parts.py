"""What the conversations of one model share, and what is counted over all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from offhook.speech.realtime.connection import Network
from offhook.speech.realtime.options import RealtimeOptions
from offhook.speech.voiceactivity import VoiceActivity


@dataclass(slots=True)
class Counts:
    """What went otherwise than it should, over all conversations of a model."""

    connections: int = 0
    lost: int = 0
    """Connections that ended before their call."""
    dropped_samples: int = 0
    """The caller's, that a far end did not take in time."""
    complaints: int = 0
    """Errors that far ends reported."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the conversations of one model share."""

    options: RealtimeOptions
    activity: VoiceActivity
    network: Network
    clock: Callable[[], float]
    """Seconds, of no matter when."""
    counts: Counts

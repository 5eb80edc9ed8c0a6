"""Buffers that put a stream of packets back into sound, side by side: ours, and those that others play through.

One file a peer, one interface (`stream.Buffer`); each plays the same packets at the same moments. None of them is
changed or imitated: libraries are called as their distributions bring them.
"""

from __future__ import annotations

from collections.abc import Callable

from .aiortcs import Aiortc
from .fixed import REPETITION, ZEROS
from .listening import Listening
from .neteq import NetEq
from .ours import Ours
from .spandsp import SPANDSP
from .speex import Speex
from .stream import Buffer, Played, Stream

__all__ = ["Buffer", "Played", "Stream", "every"]


def every(tell: Callable[[str], None] = lambda text: None, times: int = 1) -> list[Buffer]:
    """All of them, in the order of the tables; `tell` is told what takes long, `times` is how often that is done."""
    return [Listening(), Ours(), NetEq(tell, times), Speex(), SPANDSP, Aiortc(), REPETITION, ZEROS]

"""Who hears whom: ports in a room, mixed for each without its own voice, and the shapes of supervision as switches."""

from __future__ import annotations

from enum import Enum

from offhook.media import _core
from offhook.media.errors import MediaError
from offhook.media.port import Port


class HeardBy(Enum):
    """Who in a room hears a port's far end. It hears all the others in each case."""

    ALL = _core.HEARD_BY_ALL
    """A party of the conversation; of a supervisor: barging in."""
    NOBODY = _core.HEARD_BY_NOBODY
    """Listening in."""
    LINE = _core.HEARD_BY_LINE
    """By the far end of one other port alone: a whisper to a person."""
    AGENT = _core.HEARD_BY_SLOT
    """By the AI agent in one port's slot alone: a whisper to the agent."""


class Room:
    """Ports that hear each other. Made by `MediaCore.room`; close it when nobody is left.

    A port in a room plays the mix of all others, not its slot alone; the AI agent in its slot, where it is bound to
    one, is a party too: heard by all, and hearing all. What each far end hears is on its own port's agent track, what
    it says on its caller track, as ever."""

    __slots__ = ("_closed", "_core", "number")

    number: int

    def __init__(self, core: _core.Core, number: int) -> None:
        self._core = core
        self._closed = False
        self.number = number

    def enter(self, port: Port, heard: HeardBy = HeardBy.ALL, by: Port | None = None) -> None:
        """Bring a port in; from another room it comes over. `by` is whose line or agent hears it, for the two whispers.
        Raises MediaError where the room is full (16 voices, an agent in the port's slot counted) or `by` is missing."""
        if port.shard.core is not self._live():
            raise MediaError(
                f"room {self.number}: {port.label} is on another media thread: open it beside who is in here"
            )
        self._live().enter(self.number, port.number, *_whom(heard, by))

    def leave(self, port: Port) -> None:
        """Take a port out; what it hears is its slot again. Not in a room: nothing."""
        self._live().leave(port.number)

    def heard(self, port: Port, heard: HeardBy, by: Port | None = None) -> None:
        """Change by whom a port in this room is heard, without a click. Raises MediaError where it is not in a room."""
        self._live().heard(port.number, *_whom(heard, by))

    def close(self) -> None:
        """All leave. Closing twice is fine."""
        if not self._closed:
            self._closed = True
            self._core.close_room(self.number)

    def _live(self) -> _core.Core:
        if self._closed:
            raise MediaError(f"room {self.number}: is closed: open another one")
        return self._core


def _whom(heard: HeardBy, by: Port | None) -> tuple[int, int]:
    needed = heard in (HeardBy.LINE, HeardBy.AGENT)
    if needed and by is None:
        raise MediaError(f"heard by {heard.name}: say by whom: the port whose line or agent is to hear it")
    return heard.value, by.number if needed and by is not None else 0

"""The far end's answers: which one is under way, which one is wanted next, and whether it is late.

The far end refuses a second answer while one is under way, so that what is wanted waits for its end.
"""

from __future__ import annotations

from collections.abc import Callable

from offhook.speech.realtime import outgoing


class Answers:
    """One connection's."""

    def __init__(self, send: Callable[[str], None], clock: Callable[[], float]) -> None:
        self.sounds = False
        """The answer under way has sound."""
        self.about_tools = False
        """Tools have answered, and the far end has not spoken about it yet."""
        self.quiet_errand = False
        """Calls were answered that leave nothing to be said, unless nothing was said at all."""
        self.failures = 0
        """Answers in a row that failed."""
        self.instructions = ""
        """Of the answer that was last wanted."""
        self._send, self._clock = send, clock
        self._active = ""  # the answer under way; "?" where its name is not known yet
        self._wanted: tuple[str, bool] | None = None
        self._since: float | None = None  # waiting for the far end since
        self._open = False
        self._unwanted = 0  # asked for, cut off before they had a name

    @property
    def active(self) -> bool:
        """One is under way, asked for, or to be expected."""
        return bool(self._active) or self._wanted is not None or self._since is not None

    @property
    def owed(self) -> bool:
        """The caller waits for the far end."""
        return self.active or self.about_tools

    def opened(self) -> None:
        """The session is there: from now on the far end can be late."""
        self._open = True
        if self._since is not None:
            self._since = self._clock()

    def want(self, instructions: str = "", use_tools: bool = True) -> None:
        """Have the far end answer, by these instructions where there are any; after the answer under way."""
        if self._active:
            if self._wanted is None or instructions:
                self._wanted = (instructions, use_tools)
            return
        self.instructions = instructions
        self._reset()
        self._active = "?"
        self._since = self._clock()
        self._send(outgoing.answer(instructions, use_tools))

    def expect(self) -> None:
        """The far end answers by itself: the caller's turn is over."""
        self._unwanted = 0
        self._since = self._clock()

    def began(self, response: str) -> bool:
        """One began. False where nobody wants it any more: it is to be cancelled."""
        if self._unwanted:
            self._unwanted -= 1
            return False
        self.sounds = False
        self._reset()
        self._active = response or "?"
        self._since = self._clock()
        return True

    def goes_on(self, response: str) -> None:
        """More of an answer has come."""
        if self._since is not None and (not response or self._active in (response, "?")):
            self._since = self._clock()

    def is_current(self, response: str) -> bool:
        """Whether that is the one under way."""
        return not response or self._active in (response, "?")

    def over(self, status: str) -> None:
        """The one under way ended."""
        self.failures = self.failures + 1 if status == "failed" else 0
        self._active, self._since, self.sounds = "", None, False
        if self._wanted is not None:
            wanted, self._wanted = self._wanted, None
            self.want(*wanted)

    def cancelled(self) -> str:
        """The caller has cut in: nothing of what is under way or wanted is to be heard. The answer that is to be
        cancelled, if one is."""
        response = self._active
        self._active, self._wanted, self._since = "", None, None
        self._reset()
        self._unwanted += response == "?"
        return "" if response == "?" else response

    def late(self, limit_s: float) -> bool:
        """Whether the far end owes a word for longer than `limit_s`."""
        return self._open and self._since is not None and self._clock() - self._since > limit_s

    def _reset(self) -> None:
        self.about_tools = self.quiet_errand = False

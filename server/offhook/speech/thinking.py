"""Calls one conversation's mind: one call at a time, in order, away from the thread that steps.

Acts are handed on as the mind yields them, so that speaking can begin before it is done. What they mean for the call
is `floor`'s business.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar

import structlog

from offhook.speech.contract import Act, Expected, Json, Mind, MindFactory, Persona, Reading, Say, UnderstandingMind

T = TypeVar("T")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class MindReady:
    """The mind was made; what it would have the recogniser and the voice know."""

    vocabulary: tuple[str, ...]
    phrases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ActMade:
    """The mind wants something. `answer` is the number under which it was asked, `words` what it was asked about."""

    answer: int
    words: str
    act: Act


@dataclass(frozen=True, slots=True)
class Thought:
    """One call is over; `memo` is the mind's state after it, and `expected` what it waits for (None where it is not
    one to say)."""

    memo: Mapping[str, Json]
    expected: Expected | None


@dataclass(frozen=True, slots=True)
class MindFailed:
    """The mind raised; the conversation cannot go on. `why` is for the record."""

    why: str


Call = Callable[[Mind], Iterable[Act] | None]
Result = MindReady | ActMade | Thought | MindFailed


class Thinking:
    """One mind and the calls that wait for it."""

    def __init__(
        self,
        persona: Persona,
        factory: MindFactory,
        executor: Executor,
        post: Callable[[Result], None],
        void: Callable[[int], bool] = lambda answer: False,
    ) -> None:
        """`post` and `void` are called from a thread of `executor`; `void`: whether what is said to an answer of that
        number is not said any more. Every `ask` ends in one `Thought` or one `MindFailed`."""
        self._persona = persona
        self._factory = factory
        self._executor = executor
        self._post = post
        self._void = void
        self._mind: Mind | None = None
        self._waiting: deque[tuple[int, str, Call]] = deque()
        self._running = False
        self._closed = False
        self._lock = threading.Lock()
        self._one_call = threading.Lock()

    def ask(self, answer: int, words: str, call: Call) -> None:
        """Have `call` made after those asked before."""
        with self._lock:
            self._waiting.append((answer, words, call))
            if self._running:
                return
            self._running = True
        self._executor.submit(self._work)

    def read(self, words: str, patience_s: float = 0.05) -> Reading | None:
        """What the mind makes of `words` so far; None where it is busy or fails. From any thread."""
        return self.look(lambda mind: mind.read(words), patience_s)

    def look(self, call: Callable[[Mind], T], patience_s: float = 0.05) -> T | None:
        """What a pure `call` finds in the mind; None where it is busy or fails. From any thread."""
        if not self._one_call.acquire(timeout=patience_s):
            return None
        try:
            return call(self._mind) if self._mind is not None else None
        except Exception:
            _log.exception("reading a partial turn failed", agent=self._persona.name)
            return None
        finally:
            self._one_call.release()

    def close(self) -> None:
        """Make no further call, and hand on nothing of the one in progress."""
        with self._lock:
            self._closed = True
            self._waiting.clear()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting or self._closed:
                    self._running = False
                    return
                answer, words, call = self._waiting.popleft()
            try:
                with self._one_call:
                    self._think(answer, words, call)
            except Exception as error:
                _log.exception("the mind failed", agent=self._persona.name)
                self._tell(MindFailed(f"the mind of {self._persona.name} failed: {type(error).__name__}: {error}"))

    def _think(self, answer: int, words: str, call: Call) -> None:
        if self._mind is None:
            self._mind = self._factory(self._persona)
            self._tell(MindReady(_texts(self._mind.vocabulary()), _texts(self._mind.phrases())))
        unheard: list[str] = []
        for act in call(self._mind) or ():
            if self._closed:
                return
            _check(act)
            if isinstance(act, Say) and self._void(answer):
                unheard.append(act.text)
            self._tell(ActMade(answer, words, act))
        if unheard:
            # The caller has spoken on meanwhile. What was said before that, and how far it was heard, the floor tells.
            self._mind.interrupted("", " ".join(unheard))
        expected = self._mind.expected() if isinstance(self._mind, UnderstandingMind) else None
        self._tell(Thought(self._mind.memo(), expected))

    def _tell(self, result: Result) -> None:
        if not self._closed:
            self._post(result)


def _check(act: object) -> None:
    """Raises TypeError for what is no act: a mind's mistake is to end its own call, and no other."""
    if not isinstance(act, Act) or (isinstance(act, Say) and not isinstance(act.text, str)):
        raise TypeError(f"{act!r:.200} is no act of a mind")


def _texts(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(word) for word in words)

"""The threads that give the agents their voices: utterances of all calls, a piece at a time, the most pressing first.

A clause is made in short jobs, so that the first sound of one call never waits for the whole sentence of another, and
what nobody waits for yet gives way to what is being said. Playing is `playout`'s business.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from offhook.speech.crew import Crew
from offhook.speech.playout import Utterance
from offhook.speech.saying import clauses
from offhook.speech.voice import Clause, Making, Voice

_FIRST, _LATER, _SOON, _AHEAD = 0, 1, 2, 9  # urgency: a caller waits; hears already; may ask next; some day


@dataclass(frozen=True, slots=True)
class _Growing:
    making: Making
    utterance: Utterance
    then: Callable[[], None]
    failed: Callable[[Exception], None]


class Mouths(Crew):
    """See `crew.Crew`; its jobs here are pieces of speech."""

    def __init__(self, threads: int = 1) -> None:
        super().__init__("mouth", threads)
        self._growing: dict[Voice, deque[_Growing]] = {}
        self._adding = threading.Lock()

    def utter(
        self,
        utterance: Utterance,
        voice: Voice,
        made: Callable[[Clause | None, bool], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Say `utterance` by `voice`: `made(clause, last)` is called from a thread of the crew for each clause in
        order, as soon as its first sound is there (None where a clause has none), unless the utterance was dropped
        meanwhile. Where a clause cannot be made `failed` is called, and nothing after it is made."""
        parts = clauses(utterance.text)
        if not parts:
            made(None, True)
            return

        def begin(number: int) -> None:
            if utterance.dropped:
                return
            try:
                making = voice.begin(parts[number])
            except Exception as error:
                failed(error)
                raise
            last = number == len(parts) - 1
            made(making.clause if len(making.clause.audio) else None, last)

            def then() -> None:
                if not making.clause.whole:
                    self._grow(voice, _Growing(making, utterance, then, failed))
                elif not last:
                    self.do(partial(begin, number + 1), _LATER)

            then()

        self.do(partial(begin, 0), _FIRST)

    def _grow(self, voice: Voice, growing: _Growing) -> None:
        with self._adding:
            self._growing.setdefault(voice, deque()).append(growing)
        self.do(partial(self._round, voice), _LATER)

    def _round(self, voice: Voice) -> None:
        """One more piece for those whose turn it is: as many at once as the voice can make in one run."""
        with self._adding:
            waiting = self._growing[voice]
            turn = [waiting.popleft() for _ in range(min(voice.batch, len(waiting)))]
        turn = [each for each in turn if not each.utterance.dropped]
        if not turn:
            return
        try:
            voice.advance([each.making for each in turn])
        except Exception as error:
            for each in turn:
                each.failed(error)
            raise
        for each in turn:
            each.then()

    def foresee(self, text: str, voice: Voice) -> None:
        """`text` may be said next: have its first sound made."""

        def job() -> None:
            for first in clauses(text)[:1]:
                voice.begin(first)

        self.do(job, _SOON)

    def prepare(self, text: str, voice: Voice) -> None:
        """`text` is said often: have all of it made, when there is time, and kept."""
        parts = deque(clauses(text))

        def job(making: Making | None) -> None:
            if making is not None and not making.clause.whole:
                voice.more(making)
            elif parts:
                making = voice.begin(parts.popleft())
            else:
                voice.prepare(text)
                return
            self.do(partial(job, making), _AHEAD)

        self.do(partial(job, None), _AHEAD)

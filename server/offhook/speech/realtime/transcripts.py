"""The caller's words as the far end writes them down: later than they were heard, in pieces, or not at all.

It is for the record, and for another far end after a lost connection; nothing is decided by it.
"""

from __future__ import annotations

from dataclasses import dataclass

from offhook.speech.contract import WordsHeard
from offhook.speech.realtime.incoming import LONGEST_TEXT
from offhook.speech.realtime.memory import LONGEST, Entry, Memory

PATIENCE_S = 4.0
"""Words that have not come by then are asked for."""


@dataclass(slots=True)
class _Turn:
    """Where a turn lies in the caller's stream, its place in the memory, and its words so far."""

    start: int
    end: int
    entry: Entry
    ask_s: float
    text: str = ""
    answered: bool = False


class Transcripts:
    """One connection's turns that have no words yet."""

    def __init__(self, slot: int, memory: Memory) -> None:
        self._slot, self._memory = slot, memory
        self._turns: dict[str, _Turn] = {}
        self._nameless: _Turn | None = None

    def ended(self, item: str, start: int, end: int, now_s: float) -> None:
        """A turn ended; `item` is the far end's name for it, empty where `named` will tell."""
        turn = _Turn(start, end, self._memory.note("caller", ""), now_s + PATIENCE_S)
        if item:
            self._turns[item] = turn
        else:
            self._nameless = turn

    def named(self, item: str) -> None:
        """The far end names the turn that ended last."""
        if self._nameless is not None and item:
            self._turns[item], self._nameless = self._nameless, None

    def told(self, item: str, text: str, whole: bool) -> WordsHeard | None:
        """Words of a turn: all of them, or the next. None where there are none, or nobody knows the turn."""
        turn = self._turns.get(item)
        if turn is None:
            return None
        turn.text = text if whole else (turn.text + text)[:LONGEST_TEXT]
        words = " ".join(turn.text.split())
        if whole:
            del self._turns[item]
            turn.entry.text = words[:LONGEST]
        return WordsHeard(self._slot, words, turn.start, turn.end, whole) if words else None

    def overdue(self, now_s: float) -> list[str]:
        """Items whose words are to be asked for, each once."""
        late = [item for item, turn in self._turns.items() if now_s > turn.ask_s]
        for item in late:
            self._turns[item].ask_s = float("inf")
        return late

    def answered(self) -> None:
        """The agent has answered all turns so far."""
        for turn in self._turns.values():
            turn.answered = True

    def unheard(self) -> int | None:
        """Where the first turn begins that has neither words nor an answer."""
        turns = [*self._turns.values(), *([self._nameless] if self._nameless else [])]
        return min((turn.start for turn in turns if not turn.answered), default=None)

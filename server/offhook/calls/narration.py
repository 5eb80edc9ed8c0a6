"""A call told while it goes on: words as they come, response times, hold, from the entries of its timeline.

What `folds` computes from a whole timeline, here follows entry by entry, for a page that shows it. It decides nothing;
where the two differ (a word reported late), the fold is right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from offhook.calls.timeline import (
    CallHeld,
    CallResumed,
    Entry,
    Interrupted,
    PromptEnded,
    PromptStarted,
    SpeechStarted,
    TalkBegan,
    TalkEnded,
    TurnEnded,
    TurnStarted,
    WordsHeard,
    WordsSpoken,
)

Message = Mapping[str, str | int | float | bool]
"""What a page is told: a JSON object with a `type`."""

MOST_TURNS = 60
"""So many turns can be told again to a page that comes back."""


@dataclass(slots=True)
class _Turn:
    number: int
    who: str
    text: str = ""
    final: bool = False


class Narration:
    """For one call: `timeline.listen(narration.take)`. Each of the caller's turns, each utterance of an agent and each
    prompt is a turn with a number of its own; its text is told whole each time, and replaces what was told before."""

    def __init__(self, tell: Callable[[Message], None]) -> None:
        self._tell = tell
        self._turns: list[_Turn] = []
        self._count = 0
        self._caller: _Turn | None = None
        """The caller's turn that is going on."""
        self._last_heard: tuple[_Turn, float] | None = None
        """The caller's turn before it, and where its speech ended (ms)."""
        self._utterances: dict[int, _Turn] = {}
        self._prompt: _Turn | None = None
        self._unanswered_ms: float | None = None
        """Where the speech ended that no answer has begun to yet."""
        self._talking = False
        self._held = False
        self._answered_ms: float | None = None
        """A response time whose utterance has not been reported yet."""

    def again(self) -> None:
        """Tell a page that came back where the call is."""
        for turn in self._turns:
            if turn.text:
                self._say(turn)
        if self._held:
            self._tell({"type": "held"})

    def take(self, entry: Entry) -> None:
        """The call's timeline has another entry."""
        match entry.event:
            case TurnStarted():
                self._caller = self._caller or self._turn("caller")
            case WordsHeard(text=text, start=start):
                self._heard(text, start)
            case TurnEnded(speech_end=speech_end):
                self._ended(speech_end)
            case SpeechStarted(utterance=number, text=text):
                self._speech(number, text)
            case WordsSpoken(utterance=number, text=text) | Interrupted(utterance=number, heard=text):
                if (turn := self._utterances.get(number)) is not None:
                    turn.text, turn.final = text.strip(), True
                    self._say(turn)
            case PromptStarted(text=text):
                self._close_prompt()
                self._prompt = self._turn("agent", text)
                self._say(self._prompt)
            case PromptEnded():
                self._close_prompt()
            case TalkBegan():
                self._talk(entry.t)
            case TalkEnded():
                self._talking = False
            case CallHeld() | CallResumed():
                self._held = isinstance(entry.event, CallHeld)
                self._tell({"type": "held" if self._held else "resumed"})

    # --- the caller

    def _heard(self, text: str, start: float) -> None:
        turn = self._caller
        if turn is None and self._last_heard is not None and start < self._last_heard[1]:
            turn = self._last_heard[0]  # recognised late: it belongs before the end that was told
        if turn is None:
            turn = self._caller = self._turn("caller")
        turn.text = f"{turn.text} {text.strip()}".strip()
        self._say(turn)

    def _ended(self, speech_end: float) -> None:
        turn, self._caller = self._caller, None
        if turn is not None:
            turn.final = True
            self._last_heard = (turn, speech_end)
            if turn.text:
                self._say(turn)
        self._answered_ms = None
        self._unanswered_ms = None if self._talking else speech_end

    # --- the agent

    def _speech(self, number: int, text: str) -> None:
        turn = self._utterances[number] = self._turn("agent", text)
        if len(self._utterances) > MOST_TURNS:
            del self._utterances[next(iter(self._utterances))]
        self._say(turn)
        if self._answered_ms is not None:
            self._respond(turn, self._answered_ms)

    def _talk(self, at_ms: float) -> None:
        """The agent is heard. Whether its words were reported before or come after is a matter of roads."""
        self._talking = True
        if self._unanswered_ms is None:
            return
        took_ms, self._unanswered_ms = at_ms - self._unanswered_ms, None
        newest = self._turns[-1] if self._turns else None
        if newest is not None and newest.who == "agent" and newest is not self._prompt and not newest.final:
            self._respond(newest, took_ms)
        else:
            self._answered_ms = took_ms

    def _respond(self, turn: _Turn, took_ms: float) -> None:
        self._answered_ms = None
        self._tell({"type": "response", "turn": turn.number, "ms": round(took_ms)})

    # --- telling

    def _close_prompt(self) -> None:
        if self._prompt is not None:
            self._prompt.final = True
            self._say(self._prompt)
            self._prompt = None

    def _turn(self, who: str, text: str = "") -> _Turn:
        self._count += 1
        turn = _Turn(self._count, who, text.strip())
        self._turns.append(turn)
        del self._turns[:-MOST_TURNS]
        return turn

    def _say(self, turn: _Turn) -> None:
        self._tell({"type": "words", "who": turn.who, "text": turn.text, "turn": turn.number, "final": turn.final})

"""What one agent has to say, what of it is on its way, and how far the caller has heard it.

Positions are samples of the agent's own stream as the wire has it: what was cut never was. It makes no sound itself;
clauses come from the voice, and what really left is told by `played`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from offhook.speech.contract import RATE_HZ, Pcm
from offhook.speech.voice import Clause

_FADING = RATE_HZ * 100 // 1000  # cut off this little before its end, a clause was heard
_EASE = RATE_HZ * 5 // 1000  # where a clause stops for want of sound it fades out over this much, and in again
_TICK = RATE_HZ // 50  # the wire takes this much at a time


@dataclass(slots=True)
class Utterance:
    """One `Say` of the mind."""

    number: int
    text: str
    clauses: list[Clause] = field(default_factory=list)
    """Those that are made; they joined are `text`."""
    whole: bool = False
    """All of them are there, though the last may still be growing."""
    dropped: bool = False
    """Nobody will hear more of it: do not go on making it."""
    begun: bool = False
    """`Began` was told."""
    starts: list[int] = field(default_factory=list)
    """Where the clauses sent so far lie in the agent's stream."""
    sent: int = 0
    """Clauses sent to their end."""


@dataclass(frozen=True, slots=True)
class Began:
    """The first sample of an utterance was queued for position `at`."""

    utterance: Utterance
    at: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The caller has heard an utterance to its end, at `end`."""

    utterance: Utterance
    end: int


@dataclass(frozen=True, slots=True)
class Broken:
    """The caller cut in at `end`: what was heard, and what was not, later utterances with it."""

    utterance: Utterance
    heard: str
    unsaid: str
    end: int
    begun: tuple[Utterance, ...] = ()
    """Later ones that `Began` was told of, as they were queued already; nothing of them was heard."""


class Playout:
    """The agent's mouth in one slot."""

    def __init__(self, lead: int) -> None:
        """`lead`: samples kept queued ahead of what is played."""
        self.late = 0
        """How often a clause stopped in the middle because its sound was not made in time; the caller heard a gap."""
        self._lead = lead
        self._stopped = False  # the clause being sent did so
        self._utterances: deque[Utterance] = deque()
        self._offset = 0  # samples of the clause being sent that are sent
        self._pause = 0  # samples of silence due before the next
        self._sent = 0
        self._played = 0
        self._held = False
        self._settling = False

    @property
    def audible(self) -> bool:
        """The agent is in the middle of saying something."""
        return not self._held and bool(self._utterances) and bool(self._utterances[0].starts)

    @property
    def held(self) -> bool:
        """Stopped by `hold`, neither resumed nor abandoned yet."""
        return self._held

    @property
    def pending(self) -> bool:
        """There are words that the caller has not heard to their end."""
        return bool(self._utterances)

    def say(self, utterance: Utterance) -> None:
        """Add an utterance; its clauses and `whole` may come later."""
        self._utterances.append(utterance)

    def hold(self) -> bool:
        """Send no more: the caller speaks. True where something is on its way, which must then be cut."""
        self._held = True
        self._settling = True
        return self._sent > self._played

    def asking(self) -> bool:
        """Whether what the caller heard last, or was just hearing, is a question."""
        if not self._utterances:
            return False
        first = self._utterances[0]
        return any("?" in clause.text for clause in first.clauses[: len(first.starts)])

    def resume(self) -> None:
        """Go on after `hold`, from the beginning of the clause that was cut."""
        self._held = self._stopped = False
        self._offset = self._pause = 0
        for utterance in self._utterances:
            begun = zip(utterance.starts, utterance.clauses, strict=False)
            utterance.sent = sum(clause.whole and start + clause.samples <= self._played for start, clause in begun)
            del utterance.starts[utterance.sent :]

    def abandon(self) -> Broken | None:
        """Give up everything unsaid after `hold`; None where there was nothing. The mouth is free then."""
        self._held = self._stopped = False
        self._offset = self._pause = 0
        if not self._utterances:
            return None
        first, *later = self._utterances
        heard, unsaid = self._split(first)
        for utterance in self._utterances:
            utterance.dropped = True
        self._utterances.clear()
        unsaid = " ".join(filter(None, [unsaid, *(each.text for each in later)]))
        return Broken(first, heard, unsaid, self._played, tuple(each for each in later if each.begun))

    def advance(self, played: int, room: Pcm) -> tuple[int, list[Began | Ended]]:
        """`played` samples have reached the wire. Fills `room` with what is to be queued now; answers how many
        samples that is, and what began or ended."""
        happened: list[Began | Ended] = []
        self._played = played
        if self._settling or played > self._sent:
            # What was cut is off the books once the wire has told how far it got.
            self._sent = played
        self._retire(happened)
        if self._held:
            return 0, happened
        count = self._fill(room[: max(0, self._lead - (self._sent - played))], happened)
        if count:
            self._settling = False
        return count, happened

    @property
    def speaking(self) -> bool:
        """More audio of what is being said will follow."""
        return not self._held and any(self._unsent(utterance) for utterance in self._utterances)

    def _unsent(self, utterance: Utterance) -> bool:
        return not utterance.whole or utterance.sent < len(utterance.clauses)

    def _retire(self, happened: list[Began | Ended]) -> None:
        while self._utterances and not self._unsent(self._utterances[0]):
            first = self._utterances[0]
            end = first.starts[-1] + first.clauses[-1].samples if first.starts else self._played
            if end > self._played:
                return
            self._utterances.popleft()
            if first.begun:
                happened.append(Ended(first, end))

    def _fill(self, room: Pcm, happened: list[Began | Ended]) -> int:
        count = 0
        while count < len(room):
            utterance = next((each for each in self._utterances if self._unsent(each)), None)
            if utterance is None:
                break
            if self._pause:
                silence = min(self._pause, len(room) - count)
                room[count : count + silence] = 0
                count += silence
                self._pause -= silence
                continue
            if utterance.sent == len(utterance.clauses):
                break  # its next clause is still being made
            clause = utterance.clauses[utterance.sent]
            whole = clause.whole  # before its sound is looked at: what is whole then is all there
            part = self._part(clause, whole, room[count:], self._sent + count)
            if len(part) and not utterance.begun:
                utterance.begun = True
                happened.append(Began(utterance, self._sent + count))
            if (len(part) or whole) and len(utterance.starts) == utterance.sent:
                utterance.starts.append(self._sent + count)
            room[count : count + len(part)] = part
            count += len(part)
            self._offset += len(part)
            if whole and self._offset == clause.samples:
                utterance.sent += 1
                self._offset = 0
                self._stopped = False
                self._pause = clause.pause if clause.samples else 0
            elif not len(part):
                break  # its next sound is still being made
        self._sent += count
        if not self._utterances or not self.speaking:
            self._pause = 0
        return count

    def _part(self, clause: Clause, whole: bool, room: Pcm, at: int) -> Pcm:
        """What to send of `clause` next, to go to position `at`. Of one that still grows the last bit is kept back: if
        nothing more comes in time, that bit can fade."""
        audio = clause.audio
        end = len(audio) if whole else max(self._offset, len(audio) - _EASE)
        part = audio[self._offset : min(end, self._offset + len(room))]
        if len(part) and self._stopped:
            part = part.copy()
            ease = min(_EASE, len(part))
            part[:ease] = part[:ease] * np.linspace(0, 1, ease)
            self._stopped = False
        elif not len(part) and not whole and self._offset and not self._stopped and at - self._played < _TICK:
            part = audio[self._offset : self._offset + len(room)]
            part = (part * np.linspace(1, 0, len(part))).astype(np.int16)
            self._stopped = True
            self.late += 1
        return part

    def _split(self, utterance: Utterance) -> tuple[str, str]:
        """The words of `utterance` that were heard, and those that were not: each clause's words by their letters'
        share of its length, a word counting as heard when it was heard to its end."""
        heard = 0
        for start, clause in zip(utterance.starts, utterance.clauses, strict=False):
            left = start + clause.samples - self._played
            share = 1.0 if left <= _FADING else 1.0 - left / clause.samples
            words = clause.text.split()
            letters = sum(len(word) for word in words)
            spoken = 0
            for word in words:
                spoken += len(word)
                if spoken > share * letters:
                    break
                heard += 1
        words = utterance.text.split()
        return " ".join(words[:heard]), " ".join(words[heard:])

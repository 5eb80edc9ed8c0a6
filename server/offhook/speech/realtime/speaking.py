"""What the agent says: its sound on the way to the caller, its words in the memory, and what is left when cut off.

An answer or an item that was cut off is void: whatever still comes of it goes nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from offhook.speech.contract import RATE_HZ, Event, Interrupted, Pcm, SpeechStarted, WordsSpoken
from offhook.speech.realtime import outgoing
from offhook.speech.realtime.incoming import LONGEST_TEXT
from offhook.speech.realtime.memory import CUT_OFF, LONGEST, Entry, Memory
from offhook.speech.realtime.mouth import Began, Broken, Mouth


@dataclass(slots=True)
class Cut:
    """What an interruption leads to."""

    events: list[Event] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    """That have the far end know what was heard, and no more."""
    queued: bool = False
    """Something may be queued for playing, and must be cut."""


class Speaking:
    """One conversation's, whatever its connections."""

    def __init__(self, slot: int, memory: Memory, lead: int) -> None:
        """`lead`: samples kept queued ahead of what is played."""
        self.mouth = Mouth(lead)
        self._slot, self._memory = slot, memory
        self._void: set[str] = set()
        self._entries: dict[int, Entry] = {}  # by utterance

    def void(self, response: str) -> None:
        """Nobody is to hear anything of this answer any more."""
        self._void.add(response)

    def is_void(self, response: str, item: str = "") -> bool:
        return (bool(response) and response in self._void) or (bool(item) and item in self._void)

    def sound(self, item: str, audio: Pcm) -> None:
        """More of `item`'s sound. Raises TooMuch."""
        self.mouth.sound(item, audio)
        self._note(item)

    def words(self, item: str, text: str, whole: bool) -> None:
        """All of `item`'s words, or the next. Raises TooMuch."""
        utterance = self.mouth.say(item)
        utterance.text = (text if whole else utterance.text + text)[:LONGEST_TEXT]
        utterance.worded |= whole
        self._note(item)

    def advance(self, played: int, room: Pcm) -> tuple[int, list[Event]]:
        """`played` samples have reached the wire. Fills `room` with what is to be queued now; answers how many
        samples that is, and what is to be told of it."""
        count, happened = self.mouth.advance(played, room)
        events: list[Event] = []
        for change in happened:
            number, text = change.utterance.number, " ".join(change.utterance.text.split())
            if isinstance(change, Began):
                events.append(SpeechStarted(self._slot, number, text, change.at))
            else:
                events.append(WordsSpoken(self._slot, number, text, change.end))
                self._entries.pop(number, None)
        return count, events

    def cut(self, at: int) -> Cut:
        """The caller takes the floor at `at` of their stream: what the agent still had to say is void."""
        broken = self.mouth.abandon()
        cut = Cut(queued=any(one.utterance.sent for one in broken))
        for one in broken:
            self._void.add(one.utterance.item)
            cut.messages += self._broken(one)
        begun = [one for one in broken if one.utterance.begun]
        if begun and (unsaid := " ".join(filter(None, [one.unsaid for one in broken]))):
            cut.events.append(Interrupted(self._slot, begun[0].utterance.number, at, begun[0].heard, unsaid))
        cut.events += [WordsSpoken(self._slot, one.utterance.number, one.heard, one.end) for one in begun]
        return cut

    def _broken(self, broken: Broken) -> list[str]:
        utterance = broken.utterance
        entry = self._entries.pop(utterance.number, None)
        if utterance.whole and broken.samples >= utterance.samples:
            return []
        if entry is not None:
            entry.text = f"{broken.heard} {CUT_OFF}" if broken.heard else ""
        if heard_ms := broken.samples * 1000 // RATE_HZ:
            return [outgoing.truncate(utterance.item, heard_ms)]
        return [outgoing.forget(utterance.item)] if utterance.samples else []

    def _note(self, item: str) -> None:
        utterance = self.mouth.say(item)
        if utterance.number not in self._entries:
            self._entries[utterance.number] = self._memory.note("agent", "")
        self._entries[utterance.number].text = " ".join(utterance.text.split())[:LONGEST]

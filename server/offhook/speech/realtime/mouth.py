"""What the far end has said for one caller, what of it is on its way, and how far the caller has heard it.

Positions are samples of the agent's own stream as the wire has it: what was cut never was. Sound comes faster than it
is played and is kept here, so that cutting in costs nothing, and after an interruption that was none it goes on.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from offhook.speech.contract import RATE_HZ, Pcm

LONGEST = 300 * RATE_HZ
"""Samples of one caller's kept; nobody listens to more, and a far end must not fill our memory."""
MOST = 200
"""Utterances that may wait to be heard."""
_FADING = RATE_HZ * 100 // 1000  # cut off this little before its end, it was heard
_LETTERS_S = 14.0  # letters that a brisk voice says in a second


class TooMuch(Exception):
    """The far end sends more sound than anybody would listen to."""


@dataclass(slots=True)
class Utterance:
    """One item of the far end's: sound, and its words as far as they are told."""

    number: int
    item: str
    pieces: deque[Pcm] = field(default_factory=deque)
    """The sound, in pieces; all of it is kept until the utterance is over, for it may have to be said again."""
    samples: int = 0
    """Of the sound that has come."""
    text: str = ""
    whole: bool = False
    """No more sound comes."""
    worded: bool = False
    """No more words come."""
    start: int | None = None
    """Where it lies in the agent's stream; None before its first sample is queued."""
    sent: int = 0
    """Samples queued for playing."""
    begun: bool = False
    """`Began` was told."""


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
    """An utterance that the caller will hear no more of: `samples` of it were heard, which is these words; and not
    those. `end` is where it was cut."""

    utterance: Utterance
    samples: int
    heard: str
    unsaid: str
    end: int


class Mouth:
    """The agent's mouth in one slot."""

    def __init__(self, lead: int) -> None:
        """`lead`: samples kept queued ahead of what is played."""
        self._lead = lead
        self._utterances: deque[Utterance] = deque()
        self._made = 0
        self._kept = 0
        self._sent = 0
        self._played = 0
        self._held = False
        self._settling = False

    @property
    def audible(self) -> bool:
        """The agent is in the middle of saying something."""
        return not self._held and any(utterance.sent for utterance in self._utterances)

    @property
    def held(self) -> bool:
        """Stopped by `hold`, neither resumed nor abandoned yet."""
        return self._held

    @property
    def pending(self) -> bool:
        """There is something that the caller has not heard to its end."""
        return bool(self._utterances)

    @property
    def speaking(self) -> bool:
        """More audio of what is being said will follow."""
        return not self._held and any(not one.whole or one.sent < one.samples for one in self._utterances)

    def say(self, item: str) -> Utterance:
        """The utterance that `item` is, made anew where it is not known. Raises TooMuch."""
        for utterance in self._utterances:
            if utterance.item == item:
                return utterance
        if len(self._utterances) >= MOST:
            raise TooMuch(f"sent over {MOST} utterances that nobody has heard yet")
        utterance = Utterance(self._made, item)
        self._made += 1
        self._utterances.append(utterance)
        return utterance

    def sound(self, item: str, audio: Pcm) -> None:
        """More of `item`'s sound. Raises TooMuch."""
        utterance = self.say(item)
        if len(audio):
            utterance.pieces.append(audio)
            utterance.samples += len(audio)
            self._kept += len(audio)
        if self._kept > LONGEST:
            raise TooMuch(f"sent over {LONGEST // RATE_HZ} s of speech that nobody has heard yet")

    def whole(self) -> None:
        """All that there will be of everything said so far has come."""
        for utterance in self._utterances:
            utterance.whole = utterance.worded = True

    def hold(self) -> bool:
        """Send no more: the caller speaks. True where something is on its way, which must then be cut."""
        self._held = True
        self._settling = True
        return self._sent > self._played

    def resume(self) -> None:
        """Go on after `hold` from where the caller stopped hearing it."""
        self._held = False
        for utterance in self._utterances:
            if utterance.start is not None:
                utterance.sent = min(utterance.sent, max(0, self._played - utterance.start))
                if not utterance.sent:
                    utterance.start = None

    def abandon(self) -> list[Broken]:
        """Give up all that is not said, and be free for what comes next. Whatever is queued must be cut."""
        broken = []
        for utterance in self._utterances:
            heard = 0 if utterance.start is None else min(utterance.samples, max(0, self._played - utterance.start))
            words = _split(utterance, heard)
            broken.append(Broken(utterance, heard, *words, self._played))
        self._utterances.clear()
        self._kept = 0
        self._held = False
        self._settling = True
        return broken

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

    def _retire(self, happened: list[Began | Ended]) -> None:
        while self._utterances:
            first = self._utterances[0]
            if not (first.whole and first.worded) or first.sent < first.samples:
                return
            end = self._played if first.start is None else first.start + first.samples
            if end > self._played:
                return
            self._utterances.popleft()
            self._kept -= first.samples
            if first.begun:
                happened.append(Ended(first, end))

    def _fill(self, room: Pcm, happened: list[Began | Ended]) -> int:
        count = 0
        for utterance in self._utterances:
            if utterance.sent < utterance.samples and count < len(room):
                if utterance.start is None:
                    utterance.start = self._sent + count
                    if not utterance.begun:
                        utterance.begun = True
                        happened.append(Began(utterance, utterance.start))
                part = _part(utterance, utterance.sent, len(room) - count)
                room[count : count + len(part)] = part
                count += len(part)
                utterance.sent += len(part)
            if utterance.sent < utterance.samples or not utterance.whole:
                break  # what comes after it waits
        self._sent += count
        return count


def _part(utterance: Utterance, start: int, most: int) -> Pcm:
    """At most `most` samples of the sound from `start` on, from within one piece."""
    for piece in utterance.pieces:
        if start < len(piece):
            return piece[start : start + most]
        start -= len(piece)
    raise AssertionError("a sample that has not come is to be played")


def _split(utterance: Utterance, heard: int) -> tuple[str, str]:
    """The words that lie in the first `heard` samples, each counting as heard when it was heard to its end, and the
    others: by their letters' share of the sound, for nothing says where each word lies. While both are still coming,
    words come sooner than their sound, and no more of them are believed than a voice can say."""
    words = utterance.text.split()
    if utterance.samples - heard <= _FADING and utterance.whole and heard:
        return " ".join(words), ""
    letters = sum(map(len, words)) * (heard / utterance.samples if utterance.samples else 0.0)
    if not utterance.whole:
        letters = min(letters, heard / RATE_HZ * _LETTERS_S)
    count, spoken = 0, 0
    for word in words:
        spoken += len(word)
        if spoken > letters:
            break
        count += 1
    return " ".join(words[:count]), " ".join(words[count:])

"""What a full-duplex model has said in one slot, put together from a text token a frame.

Such a model does not know beforehand what it will say, so an utterance begins with its first word, and its text is
whole once it is over: when no word has come for a while and the voice has gone quiet. It is reported as spoken when the
caller has heard its end. Interruptions need no report of their own: the model hears the caller and stops by itself, and
what it has said until then is all there was of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from offhook.speech.contract import SpeechStarted, WordsSpoken
from offhook.speech.moshi.shape import TEXT_SILENT

PAUSE_FRAMES: Final = 8
"""Frames without a word, the last of them quiet, after which an utterance is over."""
SENTENCE_FRAMES: Final = 3
"""Likewise after the end of a sentence, loud or quiet: should the call end in the next one, this one is on record."""
LONGEST_FRAMES: Final = 375
"""An utterance without a pause is parted after so long (30 s)."""

Decode = Callable[[Sequence[int]], str]


class Utterances:
    """The utterances of one slot. Positions are samples of the agent's own stream."""

    def __init__(self, slot: int, decode: Decode) -> None:
        """`decode` makes words of text tokens."""
        self._slot, self._decode = slot, decode
        self._number = 0
        self._tokens: list[int] = []
        self._frames = 0  # since the utterance began
        self._pause = 0  # frames since its last word
        self._over: deque[WordsSpoken] = deque()

    def frame(self, token: int, loud: bool, begins: int, ends: int) -> SpeechStarted | None:
        """A frame with this text token was made; it lies from `begins` to `ends`, and can be heard where `loud`."""
        word = token not in TEXT_SILENT
        started = None
        if word and not self._tokens:
            self._frames = 0
            started = SpeechStarted(self._slot, self._number, self._decode([token]).strip(), begins)
        if word:
            self._tokens.append(token)
        self._pause = 0 if word else self._pause + 1
        self._frames += 1
        if self._tokens and self._is_over(loud):
            self._over.append(WordsSpoken(self._slot, self._number, self._text(), ends))
            self._number += 1
            self._tokens = []
        return started

    def _is_over(self, loud: bool) -> bool:
        paused = self._pause >= PAUSE_FRAMES and not loud
        sentence = self._pause == SENTENCE_FRAMES and self._text().endswith((".", "?", "!"))
        return paused or sentence or self._frames >= LONGEST_FRAMES

    def _text(self) -> str:
        return " ".join(self._decode(self._tokens).split())

    def heard(self, played: int) -> list[WordsSpoken]:
        """The utterances whose end the caller has heard, now that `played` samples were played."""
        done: list[WordsSpoken] = []
        while self._over and self._over[0].end <= played:
            done.append(self._over.popleft())
        return done

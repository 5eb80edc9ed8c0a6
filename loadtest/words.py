"""How many words a speech model gets wrong of what it hears over a bad line: the cascade's recogniser behind the
listening path, on utterances whose words are known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from buffers.stream import RATE_HZ, Sound
from offhook import weights
from offhook.speech.contract import RATE_HZ as MODEL_HZ
from offhook.speech.recogniser import Recogniser
from offhook.speech.resample import resample
from utterances import WORDS

_SAME = {"oh": "zero", "o": "zero", "won": "one", "to": "two", "too": "two", "for": "four", "ate": "eight"}
"""What sounds the same where only digits are said."""


class WordsError(Exception):
    """Words cannot be counted; the text says why."""


def recogniser() -> Recogniser:
    """The cascade's. Raises WordsError."""
    try:
        return Recogniser.load()
    except weights.WeightsMissing as error:
        raise WordsError(str(error)) from None


def heard(model: Recogniser, sound: Sound) -> str:
    """The words of `sound` at 8 kHz, with the silence around it that ends a turn."""
    quiet = np.zeros(RATE_HZ * 3 // 10, np.float32)
    wide = resample(np.concatenate([quiet, sound.astype(np.float32), quiet]), RATE_HZ, MODEL_HZ)
    return model.transcribe(np.clip(np.round(wide), -32768, 32767).astype(np.int16), "en-US")


def plain(text: str) -> list[str]:
    """`text` as spoken digits: 4-1 7 is "four", "one", "seven"."""
    spaced = re.sub(r"\d", lambda found: f" {WORDS[int(found[0])]} ", text.lower())
    return [_SAME.get(word, word) for word in re.findall(r"[a-z']+", spaced)]


def wrong(said: Sequence[str], got: Sequence[str]) -> tuple[int, int]:
    """How many words of `said` are not in `got`, or other ones, and how many are there too many: by the fewest changes
    (Levenshtein). A recogniser that lost its place repeats itself, so the two are told apart."""
    row = [(n, 0, n) for n in range(len(got) + 1)]  # changes, of them missed, of them too many
    for i, word in enumerate(said, 1):
        left = (i, i, 0)
        out = [left]
        for j, other in enumerate(got, 1):
            differs = int(word != other)
            kept, missed, more = row[j - 1], row[j], left
            left = min(
                (kept[0] + differs, kept[1] + differs, kept[2]),
                (missed[0] + 1, missed[1] + 1, missed[2]),
                (more[0] + 1, more[1], more[2] + 1),
            )
            out.append(left)
        row = out
    return row[-1][1], row[-1][2]

"""Text as the numbers a Piper voice reads: a start, each phoneme with a blank behind it, an end.

It knows no sound. See `phonemes` for how words are pronounced and `saying` for how figures become words.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from offhook.speech.phonemes import Phonemes
from offhook.speech.saying import as_spoken

SETTINGS = "voice.onnx.json"


@dataclass(frozen=True, slots=True)
class Spelled:
    """One clause in symbols."""

    ids: npt.NDArray[np.int64]
    """[symbols]."""
    silent_before: int
    """Symbols before the first sound."""
    silent_after: int
    """Symbols behind the last sound: marks, blanks and the end."""


class Spelling:
    """The symbols of one voice. Safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        """`folder` holds the voice's settings. Raises ValueError for settings that are not a Piper voice's."""
        try:
            settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
            inference = settings["inference"]
            self.rate_hz = int(settings["audio"]["sample_rate"])
            self.scales = np.array(
                [inference["noise_scale"], inference["length_scale"], inference["noise_w"]], np.float32
            )
            self._ids: dict[str, list[int]] = settings["phoneme_id_map"]
            self._start, self._blank, self._end = (list(self._ids[mark]) for mark in "^_$")
            language = str(settings["espeak"]["voice"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{folder / SETTINGS} is not the settings of a Piper voice: {error!r}") from error
        self._phonemes = Phonemes(language)

    def spell(self, text: str) -> Spelled | None:
        """`text` in symbols; None where there is nothing in it to pronounce."""
        sounds = self._phonemes.of(as_spoken(text))
        if not any(symbol.isalpha() for symbol in sounds):
            return None
        known = [symbol for symbol in sounds if symbol in self._ids]
        ids = [*self._start, *self._blank]
        last = len(ids)
        for symbol in known:
            ids += [*self._ids[symbol], *self._blank]
            if symbol.isalpha():
                last = len(ids)
        ids += self._end
        row = np.array(ids, np.int64)
        return Spelled(row, len(self._start) + len(self._blank), len(ids) - last)

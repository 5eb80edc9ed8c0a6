"""Words to phonemes (IPA as Piper's English voices were trained on), by gruut's lexicon and its grapheme model.

gruut looks every word up by reading the whole lexicon from disk (20 ms a word); here the lexicon is loaded once into
an indexed table in memory, after which a sentence takes about 2 ms. Nothing of espeak-ng is involved.
"""

from __future__ import annotations

import sqlite3
import threading
from typing import Any

from gruut.text_processor import TextProcessor

_LANGUAGES = {"en-us": "en-us", "en": "en-us"}
_PAUSES = {"|": ",", "‖": "."}


class Phonemes:
    """Turns text into IPA; safe to use from several threads, one at a time inside."""

    def __init__(self, language: str = "en-us") -> None:
        """Raises ValueError with a sentence where there is no lexicon for `language`."""
        if language.lower() not in _LANGUAGES:
            raise ValueError(f"no pronunciation lexicon for {language!r}; there is one for {', '.join(_LANGUAGES)}")
        self._language = _LANGUAGES[language.lower()]
        self._lock = threading.Lock()
        self._gruut: Any = TextProcessor(default_lang=self._language, model_prefix="espeak")
        self.of("hello")  # opens gruut's lexicon, so that it can be exchanged
        lookup: Any = self._gruut.get_settings(self._language).lookup_phonemes
        lookup.phonemizer.db_conn = _in_memory(str(lookup.db_path))
        self.of("Welcome, qwyx.")  # loads the tagger and the grapheme model

    def of(self, text: str) -> str:
        """The phonemes of `text`, words parted by blanks, with its commas and stops."""
        with self._lock:
            graph, root = self._gruut(text, lang=self._language)
            sentences = list(self._gruut.sentences(graph, root))
        said: list[str] = []
        for sentence in sentences:
            for word in sentence:
                sound = "".join(word.phonemes or ())
                if word.is_major_break or word.is_minor_break or sound in _PAUSES:
                    mark = word.text if word.text in ",.?!;:" else _PAUSES.get(sound, ",")
                    if said:
                        said[-1] += mark
                elif sound:
                    said.append(sound)
        return " ".join(said)


def _in_memory(lexicon: str) -> sqlite3.Connection:
    memory = sqlite3.connect(":memory:", check_same_thread=False)
    disk = sqlite3.connect(f"file:{lexicon}?mode=ro", uri=True)
    try:
        memory.execute("CREATE TABLE word_phonemes (word TEXT, role TEXT, phonemes TEXT, pron_order INTEGER)")
        memory.executemany(
            "INSERT INTO word_phonemes VALUES (?, ?, ?, ?)",
            disk.execute("SELECT word, role, phonemes, pron_order FROM word_phonemes"),
        )
        memory.execute("CREATE INDEX by_word ON word_phonemes (word)")
    finally:
        disk.close()
    return memory

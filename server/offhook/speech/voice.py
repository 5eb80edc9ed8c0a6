"""A Piper voice on onnxruntime: words in, 16 kHz speech out, clause by clause and each clause piece by piece, so that
the first sound comes early.

Clauses are kept, in memory and on disk, by voice and words; a sentence said before costs nothing. Playing, cutting
and knowing what was heard are not its business.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from offhook import weights
from offhook.speech.contract import RATE_HZ, Pcm
from offhook.speech.mouth.graphs import BUCKETS, MouthGraphs
from offhook.speech.mouth.place import split_of
from offhook.speech.mouth.rendering import Rendering, advance
from offhook.speech.mouth.spelling import Spelling
from offhook.speech.saying import clauses

_PAUSE_MS = {",": 120, ";": 160, ":": 160, ".": 260, "?": 260, "!": 260}
_MADE_AS = 5  # goes up when the same words would come out otherwise: what is on disk is then made anew
_MOST_BEGUN = 32  # clauses kept that nobody has finished


class Clause:
    """A piece of speech: the words as written, their sound (16 kHz int16), and the pause due before the next piece.

    Its sound may still be growing: one thread appends to it while others read what there is."""

    __slots__ = ("_buffer", "_made", "pause", "samples", "text", "whole")

    def __init__(self, text: str, audio: Pcm, pause: int) -> None:
        """A clause that is all there; `pause` in samples."""
        self.text = text
        self.pause = pause
        self.samples = len(audio)
        """Its length: what is expected until it is `whole`, then what it is."""
        self.whole = True
        """No sound will be added."""
        self._buffer = audio
        self._made = len(audio)

    @classmethod
    def growing(cls, text: str, pause: int, most: int, expected: int) -> Clause:
        """A clause without sound yet; there will be at most `most` samples of it, and probably `expected`."""
        clause = cls(text, np.zeros(most, np.int16), pause)
        clause.samples, clause.whole, clause._made = expected, False, 0
        return clause

    @property
    def audio(self) -> Pcm:
        """What there is of its sound. Where `whole` was True before it was read, that is all."""
        buffer, made = self._buffer, self._made
        return buffer if made == len(buffer) else buffer[:made]

    def append(self, sound: Pcm, last: bool = False) -> None:
        """Add `sound`; with `last` the clause is then whole. For one thread."""
        end = self._made + len(sound)
        self._buffer[self._made : end] = sound
        self._made = end
        self.samples = max(self.samples, end)
        if last:
            self._buffer = self._buffer[:end].copy()
            self._buffer.flags.writeable = False
            self.samples = end
            self.whole = True


class Making:
    """A clause that a voice is at work on; the same for all who want the same words. Safe to use from several threads.

    `Voice.begin` hands it out with its first sound, `more` adds to it until `clause.whole`."""

    def __init__(self, clause: Clause, key: str, rendering: Rendering | None) -> None:
        self.clause = clause
        self.key = key
        self.rendering = rendering
        """What is left to do; None where the clause is whole."""
        self.lock = threading.Lock()


class Voice:
    """One voice. Safe to use from several threads."""

    def __init__(
        self,
        name: str,
        folder: Path,
        threads: int = 2,
        memory: int = 512,
        keep: Path | None = None,
        device: str = "cpu",
    ) -> None:
        """`memory` clauses are kept in memory; on disk as many as are asked for, in `keep` (None: nowhere). Run on
        `threads` cores, or on `cuda`.

        The voice's graph is split first where that was not done before (a second or two, see `mouth.split`). Raises
        MouthUnfit where it cannot be."""
        split = split_of(folder, name)
        self.name = name
        self.batch = BUCKETS[-1] if device == "cuda" else 1
        """Clauses that `advance` is best given at once; on a processor one after the other is as quick."""
        self._spelling = Spelling(folder)
        self._graphs = MouthGraphs(split.folder, threads, device)
        self._level = split.level
        self._kept: OrderedDict[str, Pcm] = OrderedDict()
        self._begun: OrderedDict[str, Making] = OrderedDict()
        self._memory = memory
        self._keep = keep
        self._lock = threading.Lock()

    @classmethod
    def load(cls, name: str = "joe", threads: int = 2, device: str = "cpu") -> Voice:
        """The voice `name` of the weights registry, run on `threads` cores, warmed up.

        Raises `WeightsMissing` where it was not pulled."""
        voice = cls(name, weights.path(name), threads, keep=weights.cache() / "speech" / name, device=device)
        making = voice._making("Ready.", "")
        while making.rendering is not None:
            voice.advance([making])
        return voice

    def speak(self, text: str) -> Iterator[Clause]:
        """`text` as speech, one whole clause after the other, each as soon as it is there."""
        for words in clauses(text):
            clause = self.clause(words)
            if len(clause.audio):
                yield clause

    def render(self, text: str) -> Pcm:
        """`text` as speech in one piece."""
        said = list(self.speak(text))
        pieces: list[Pcm] = []
        for clause in said:
            pieces += [clause.audio, np.zeros(clause.pause, np.int16)]
        return np.concatenate(pieces[:-1]) if pieces else np.zeros(0, np.int16)

    def clause(self, text: str) -> Clause:
        """One whole clause as speech, from what is kept or made now (about 1/15 of its length on an idle core)."""
        making = self.begin(text)
        while self.more(making):
            pass
        return making.clause

    def begin(self, text: str) -> Making:
        """One clause with its first sound, or whole where it was said before: to be finished with `more`, by whoever
        and whenever. Takes about 30 ms on an idle core, however long the clause."""
        key = self._key(text)
        with self._lock:
            making = self._begun.get(key)
        if making is None:
            audio = self._remembered(key)
            if audio is None and (audio := self._from_disk(key)) is not None:
                self._remember(key, audio)
            making = (
                Making(Clause(text, audio, _pause(text)), key, None) if audio is not None else self._making(text, key)
            )
            if making.rendering is not None:
                with self._lock:
                    making = self._begun.setdefault(key, making)
                    while len(self._begun) > _MOST_BEGUN:
                        self._begun.popitem(last=False)
        while not len(making.clause.audio) and self.more(making):
            pass
        return making

    def more(self, making: Making) -> bool:
        """Add the next piece to a clause begun here; False where it is whole."""
        self.advance([making])
        return making.rendering is not None

    def advance(self, makings: Sequence[Making]) -> None:
        """Add the next piece to each of several clauses begun here, decoded in one run."""
        # One that another thread is at work on gets its piece there.
        mine = {id(making): making for making in makings if making.lock.acquire(blocking=len(makings) == 1)}
        try:
            going = [(making, making.rendering) for making in mine.values() if making.rendering is not None]
            try:
                pieces = advance(self._graphs, [rendering for _, rendering in going])
            except Exception:
                for making, _ in going:  # nobody should wait for the rest
                    making.rendering = None
                    making.clause.append(np.zeros(0, np.int16), last=True)
                    self._forget(making)
                raise
            for (making, rendering), piece in zip(going, pieces, strict=True):
                making.clause.append(piece, last=rendering.over)
                if rendering.over:
                    making.rendering = None
                    self._finished(making)
        finally:
            for making in mine.values():
                making.lock.release()

    def prepare(self, text: str) -> None:
        """Make `text` now and keep it on disk too: for what is said in every call."""
        for clause in clauses(text):
            self._to_disk(self._key(clause), self.clause(clause).audio)

    def _making(self, text: str, key: str) -> Making:
        spelled = self._spelling.spell(text)
        if spelled is None:
            return Making(Clause(text, np.zeros(0, np.int16), _pause(text)), key, None)
        draft = self._graphs.encode(spelled.ids, self._spelling.scales)
        rendering = Rendering(self._graphs, spelled, draft, self._spelling.rate_hz, self._level)
        return Making(Clause.growing(text, _pause(text), rendering.most, rendering.expected), key, rendering)

    def _finished(self, making: Making) -> None:
        if making.key:
            self._remember(making.key, making.clause.audio)
        self._forget(making)

    def _forget(self, making: Making) -> None:
        with self._lock:
            if self._begun.get(making.key) is making:
                del self._begun[making.key]

    def _key(self, text: str) -> str:
        return hashlib.sha256(f"{_MADE_AS}\0{self.name}\0{text}".encode()).hexdigest()

    def _remember(self, key: str, audio: Pcm) -> None:
        audio.flags.writeable = False
        with self._lock:
            self._kept[key] = audio
            while len(self._kept) > self._memory:
                self._kept.popitem(last=False)

    def _remembered(self, key: str) -> Pcm | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def _from_disk(self, key: str) -> Pcm | None:
        if self._keep is None:
            return None
        try:
            kept: Pcm = np.load(self._keep / f"{key}.npy", allow_pickle=False).astype(np.int16, copy=False)
            return kept
        except (OSError, ValueError):
            return None

    def _to_disk(self, key: str, audio: Pcm) -> None:
        if self._keep is None or (self._keep / f"{key}.npy").exists():
            return
        try:
            self._keep.mkdir(parents=True, exist_ok=True)
            handle, part = tempfile.mkstemp(dir=self._keep, suffix=".part")
            with os.fdopen(handle, "wb") as stream:
                np.save(stream, audio)
            os.replace(part, self._keep / f"{key}.npy")
        except OSError:
            return  # a full or read-only disk costs time at the next start, nothing else


def _pause(text: str) -> int:
    """Samples of silence due behind a clause."""
    return RATE_HZ * _PAUSE_MS.get(text.rstrip("\"')")[-1:], 60) // 1000

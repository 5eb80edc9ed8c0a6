"""The hearing half of the duplex model for many slots: spectra, ear and mind tied together into turns.

A turn in a slot is a prefix (what the agent said last), the caller's speech so far in blocks of 160 ms, and MEANING;
GIST stands right behind it, so that the first word of the gist is known with the state, at no cost. The last four
blocks are heard again each time, for what follows changes them; older ones stay. What the gist was a moment ago is put
forward as a draft, and as much of it as still holds is taken over in one run (Leviathan et al. 2023, arXiv
2211.17192). Decides nothing about turns: see `listener`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from offhook.speech.contract import Pcm, Vector
from offhook.speech.duplex.features import MOST_HOPS, Spectra
from offhook.speech.duplex.layout import (
    BEGIN,
    CALLER,
    CONTEXT,
    END,
    FIRST_TOKEN,
    GIST,
    MEANING,
    MEANING_SIZE,
    MOST_BLOCKS,
    NOTHING,
    PREFIX_TOKENS,
    PROVISIONAL,
    SILENT,
    SPEAKING,
    STATES,
    WORDS,
    blocks_of,
)
from offhook.speech.duplex.listening import Opening, Writing
from offhook.speech.duplex.sessions import Feed, Hearing, Thinking
from offhook.speech.duplex.tokenizer import Tokenizer

Floats = npt.NDArray[np.float32]

_DRAFT = 7  # tokens of a draft put forward at once
_NO_SOUNDS = np.zeros((0, 1), np.float32)


@dataclass(slots=True)
class Cost:
    """What one part of the work has cost so far."""

    runs: int = 0
    rows: int = 0
    seconds: float = 0.0
    longest_s: float = 0.0

    @property
    def mean_ms(self) -> float:
        """Of a run."""
        return self.seconds / max(1, self.runs) * 1000


@dataclass(slots=True)
class Costs:
    """What listening has cost since it was loaded, by part."""

    spectrum: Cost = field(default_factory=Cost)
    ear: Cost = field(default_factory=Cost)
    mind: Cost = field(default_factory=Cost)
    writing: Cost = field(default_factory=Cost)


@dataclass(slots=True)
class _Branch:
    """A text in the making, behind MEANING."""

    marker: int
    tokens: list[int] = field(default_factory=list)
    chance: float = 1.0
    over: bool = False
    fed: int = 0  # of the marker and the tokens, how many the mind remembers
    shown: int = 0
    draft: list[int] = field(default_factory=list)

    def take(self, token: int, chance: float) -> None:
        self.chance = min(self.chance, chance)
        if token == END:
            self.over = True
        else:
            self.tokens.append(token)


@dataclass(slots=True)
class _Turn:
    """One row's turn."""

    start: int  # the hop of the slot's stream that it begins with
    prefix: list[int]
    prefixed: bool  # the mind remembers the prefix
    hops: int = 0  # taken in
    after: int = 0  # the position behind MEANING; 0 where nothing was taken in
    gist: _Branch = field(default_factory=lambda: _Branch(GIST))
    words: _Branch = field(default_factory=lambda: _Branch(WORDS))


class DuplexRuntime:
    """See `listening.Listening`. One thread calls it."""

    most_hops = 2 * MOST_BLOCKS

    def __init__(self, slots: int, ear: Hearing, mind: Thinking, tokens: Tokenizer, *, most_new: int = 24) -> None:
        """`most_new`: blocks that one run of the mind takes in; with all else at most MOST_STEPS positions."""
        self.costs = Costs()
        self._spectra = Spectra(slots)
        self._ear, self._mind, self._tokens, self._most_new = ear, mind, tokens, most_new
        self._turns: list[_Turn | None] = [None] * slots

    def hear(self, slots: Sequence[int], audio: Pcm) -> None:
        """One hop more of each of `slots`, [len(slots), 1280]."""
        with _timed(self.costs.spectrum, len(slots)):
            self._spectra.hear(slots, audio)

    def begin(self, slots: Sequence[int], openings: Sequence[Opening]) -> None:
        """Begin a turn in each of `slots`, forgetting the turn before."""
        for slot, opening in zip(slots, openings, strict=True):
            said = self._tokens.encode(opening.said)[-PREFIX_TOKENS:]
            prefix = [BEGIN, SPEAKING if opening.speaking else SILENT, *(FIRST_TOKEN + i for i in said), CALLER]
            before = self._turns[slot]
            known = before is not None and before.prefixed and before.prefix == prefix
            heard = self._spectra.heard(slot)
            back = min(opening.back, heard, MOST_HOPS)
            self._turns[slot] = _Turn(heard - back, prefix, known)

    def listen(self, slots: Sequence[int]) -> tuple[Floats, Vector]:
        """Take in all that was heard since: states [n, 4] and meanings [n, 384]. Raises ValueError where nothing was,
        where no turn was begun, or where the turn is longer than `most_hops`."""
        turns = [self._turn(slot) for slot in slots]
        due = [self._spectra.heard(slot) - turn.start for slot, turn in zip(slots, turns, strict=True)]
        for slot, turn, hops in zip(slots, turns, due, strict=True):
            if not turn.hops < hops <= self.most_hops:
                raise ValueError(
                    f"slot {slot} has taken in {turn.hops} hops of its turn and is to take in {hops}; it can be one to "
                    f"{self.most_hops - turn.hops} more"
                )
        states, meanings = np.zeros((len(slots), STATES), np.float32), np.zeros((len(slots), MEANING_SIZE), np.float32)
        waiting = list(range(len(slots)))
        while waiting:
            until = [min(due[i], 2 * (blocks_of(turns[i].hops) + self._most_new)) for i in waiting]
            thoughts = self._take_in([slots[i] for i in waiting], [turns[i] for i in waiting], until)
            states[waiting], meanings[waiting] = thoughts
            waiting = [i for i in waiting if turns[i].hops < due[i]]
        return states, meanings

    def gist(self, slots: Sequence[int], allowed: Sequence[str] | None = None) -> list[Writing]:
        """One token more of each row's gist, or several where they were foreseen. `allowed`: by row, the name of the
        tokens that may be written, "" for all."""
        return self._write([(slot, self._turn(slot).gist) for slot in slots], allowed or [""] * len(slots))

    def words(self, slots: Sequence[int]) -> list[Writing]:
        """One token more of each row's transcript."""
        return self._write([(slot, self._turn(slot).words) for slot in slots], [""] * len(slots))

    def forget(self, slot: int) -> None:
        """The call is over: nothing of it stays."""
        self._turns[slot] = None
        self._spectra.forget(slot)
        self._mind.wipe(slot)

    def _turn(self, slot: int) -> _Turn:
        turn = self._turns[slot]
        if turn is None:
            raise ValueError(f"no turn was begun in slot {slot}")
        return turn

    def _take_in(self, slots: Sequence[int], turns: Sequence[_Turn], until: Sequence[int]) -> tuple[Floats, Floats]:
        feeds = []
        heard = self._hear_blocks(slots, turns, until)
        for slot, turn, sounds in zip(slots, turns, heard, strict=True):
            start = len(turn.prefix) + _first_block(turn)
            ids = [*[NOTHING] * len(sounds), MEANING, GIST]
            if not turn.prefixed:
                start, ids = 0, [*turn.prefix, *ids]
            feeds.append(Feed(slot, start, ids, sounds, len(ids) - 2, (len(ids) - 1,)))
        with _timed(self.costs.mind, len(feeds)):
            thoughts = self._mind.run(feeds)
        for i, (turn, hops, feed) in enumerate(zip(turns, until, feeds, strict=True)):
            turn.hops, turn.prefixed, turn.after = hops, True, feed.start + len(feed.ids) - 1
            drafted = max((turn.gist.tokens, turn.gist.draft), key=len)
            turn.gist, turn.words = _Branch(GIST, fed=1), _Branch(WORDS)
            turn.gist.take(int(thoughts.tokens[i, 0]), float(thoughts.chances[i, 0]))
            turn.gist.draft = drafted
        return thoughts.states, thoughts.meanings

    def _hear_blocks(self, slots: Sequence[int], turns: Sequence[_Turn], until: Sequence[int]) -> list[Floats]:
        """Each turn's blocks from the first that is not settled to `until` hops: what the ear makes of at most the last
        100 hops. In one run where that is worth its padding, for windows differ in length."""
        out: list[Floats] = []
        group = len(slots) if self._ear.together else 1
        for i in range(0, len(slots), group):
            some = list(zip(slots, turns, until, strict=True))[i : i + group]
            behind = [max(0, hops - MOST_HOPS + 1) // 2 * 2 for _, _, hops in some]  # a window begins with a block
            starts = [turn.start + back for (_, turn, _), back in zip(some, behind, strict=True)]
            mel, frames = self._spectra.windows(
                [slot for slot, _, _ in some], starts, [turn.start + hops for _, turn, hops in some]
            )
            counts = [blocks_of(hops) - _first_block(turn) for _, turn, hops in some]
            wanted = np.full((len(some), max(counts)), -1, np.int64)
            for row, ((_, turn, _), back, count) in enumerate(zip(some, behind, counts, strict=True)):
                wanted[row, :count] = np.arange(count) + _first_block(turn) - back // 2
            with _timed(self.costs.ear, len(some)):
                sounds = self._ear.sounds(mel, frames, wanted)
            out += [sounds[row, :count] for row, count in enumerate(counts)]
        return out

    def _write(self, branches: Sequence[tuple[int, _Branch]], allowed: Sequence[str]) -> list[Writing]:
        feeds: list[Feed] = []
        fed: list[_Branch] = []
        for (slot, branch), name in zip(branches, allowed, strict=True):
            if branch.over or branch.shown < len(branch.tokens):
                continue
            feed = self._branch_feed(slot, self._turn(slot), branch, name)
            if feed is None:
                branch.over = True
            else:
                feeds.append(feed)
                fed.append(branch)
        if feeds:
            with _timed(self.costs.writing, len(feeds)):
                thoughts = self._mind.run(feeds)
            for i, (branch, feed) in enumerate(zip(fed, feeds, strict=True)):
                made = thoughts.tokens[i, : len(feed.writes)], thoughts.chances[i, : len(feed.writes)]
                _accept(branch, [int(token) for token in made[0]], [float(chance) for chance in made[1]])
        for _, branch in branches:
            branch.shown = len(branch.tokens)
        return [Writing(self._tokens.decode(branch.tokens), branch.over, branch.chance) for _, branch in branches]

    def _branch_feed(self, slot: int, turn: _Turn, branch: _Branch, allowed: str) -> Feed | None:
        """What is to be fed next: what the mind does not remember of the branch, and a draft of how it goes on."""
        if not turn.after:
            raise ValueError(f"slot {slot} has listened to nothing yet")
        other = turn.words if branch is turn.gist else turn.gist
        other.fed = 0  # both branches stand in the same place
        known = [branch.marker, *(FIRST_TOKEN + token for token in branch.tokens)]
        start = turn.after + branch.fed
        new = known[branch.fed :]
        count = len(branch.tokens)
        draft = branch.draft[count:] if branch.draft[:count] == branch.tokens else []
        draft = draft[: max(0, min(_DRAFT + 1 - len(new), CONTEXT - start - len(new)))]
        branch.draft = branch.tokens + draft
        if start + len(new) > CONTEXT:
            return None
        ids = new + [FIRST_TOKEN + token for token in draft]
        return Feed(slot, start, ids, _NO_SOUNDS, 0, range(len(new) - 1, len(ids)), allowed)


def _first_block(turn: _Turn) -> int:
    """The first block that is heard anew."""
    return max(0, blocks_of(turn.hops) - PROVISIONAL)


def _accept(branch: _Branch, tokens: Sequence[int], chances: Sequence[float]) -> None:
    """Take what was written after the branch's end, and after as much of the draft as it confirms."""
    draft = branch.draft[len(branch.tokens) :]
    branch.fed = 1 + len(branch.tokens)
    for i, (token, chance) in enumerate(zip(tokens, chances, strict=True)):
        branch.take(token, chance)
        if branch.over or i >= len(draft) or draft[i] != token:
            return
        branch.fed += 1


@contextmanager
def _timed(cost: Cost, rows: int) -> Iterator[None]:
    before = time.perf_counter()
    yield
    took = time.perf_counter() - before
    cost.runs += 1
    cost.rows += rows
    cost.seconds += took
    cost.longest_s = max(cost.longest_s, took)

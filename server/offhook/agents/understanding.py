"""What a caller wants, from their words: the nearest examples in meaning, helped by words in common.

An utterance, and where it has several clauses each of them, is compared with every example of the agent's skills,
topics and courtesies. Words that merely sound like the agent's own (`wear is my odor`) are read as those too. Where a
model gives the meaning of speech without words, that alone is compared. Pure and cached: the same words give the same
answer. What to do about it is the mind's business.
"""

from __future__ import annotations

import math
import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from offhook.agents.courtesies import EXAMPLES, OUTSIDE, Courtesy
from offhook.agents.embedding import Embedding, Vectors
from offhook.agents.job import Agent
from offhook.agents.numbers import FILLERS, MOST_CHARACTERS, TEENS, TENS, UNITS, tokens
from offhook.agents.sounds import likeness, sound

LIKELY = 0.425
"""From this score on, an utterance is taken to mean an intent; set on held-out phrases, see tests/agents."""
SURE = 0.585
"""From this score on, it is taken so even where something else was asked."""
CLEAR = 0.03
"""How much better than the nearest thing outside the agent's work it has to be."""
CACHED = 512


class Kind(Enum):
    """What sort of thing is meant."""

    SKILL = "skill"
    TOPIC = "topic"
    COURTESY = "courtesy"
    TALK = "talk"
    OUTSIDE = "outside"


@dataclass(frozen=True, slots=True)
class Intent:
    """Something that may be meant: a skill, a topic, a courtesy, an answer of the file's small talk."""

    kind: Kind
    name: str


@dataclass(frozen=True, slots=True)
class Meaning:
    """What words mean: the intents that are likely, best first, and what was next best.

    `also`: skills meant besides the first, each in a clause of its own, in the order said."""

    best: Intent | None
    score: float
    margin: float
    also: tuple[Intent, ...]
    scores: dict[str, float]
    """The three nearest, by name."""
    skill: Intent | None = None
    """The likeliest skill, where one is likely; not always the best."""


_LIGHT = frozenset(
    Intent(Kind.COURTESY, courtesy.value) for courtesy in (Courtesy.HELLO, Courtesy.THANKS, Courtesy.HOW_ARE_YOU)
)
"""What is only meant where nothing else is."""
NOTHING = Meaning(None, 0.0, 0.0, (), {})


class Understanding:
    """One agent's intents, ready to be compared with. Safe to share between threads."""

    def __init__(self, agent: Agent, embedding: Embedding) -> None:
        self._embedding = embedding
        self._intents: list[Intent] = []
        self._examples: list[str] = []
        self._owner: list[int] = []
        for name, skill in agent.skills.items():
            self._add(Intent(Kind.SKILL, name), (*skill.examples, skill.when))
        for name, topic in agent.hand_over.topics.items():
            self._add(Intent(Kind.TOPIC, name), topic.examples)
        for courtesy, examples in EXAMPLES.items():
            own = agent.small_talk.get(courtesy.value)
            self._add(Intent(Kind.COURTESY, courtesy.value), (*examples, *(own.examples if own else ())))
        for name, talk in agent.small_talk.items():
            if talk.examples and Intent(Kind.COURTESY, name) not in self._intents:
                self._add(Intent(Kind.TALK, name), talk.examples)
        self._add(Intent(Kind.OUTSIDE, "outside"), OUTSIDE)
        self._vectors = embedding.of([_clean(example) for example in self._examples])
        owner = np.array(self._owner)
        self._rows = [np.flatnonzero(owner == index) for index in range(len(self._intents))]
        self._bags = [_bag(example) for example in self._examples]
        counts: dict[str, int] = {}
        for bag in self._bags:
            for word in bag:
                counts[word] = counts.get(word, 0) + 1
        self._weight = {word: math.log(1 + len(self._bags) / count) for word, count in counts.items()}
        self._unknown = math.log(1 + len(self._bags))
        own_words = [t.text for example in self._examples for t in tokens(example)]
        self._words = frozenset(own_words)
        self._by_sound: dict[str, str] = {}
        for word in own_words:
            if len(word) >= 3 and len(sound(word)) >= 2:
                self._by_sound.setdefault(sound(word), word)
        self._cache: OrderedDict[str, Meaning] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, words: str) -> Meaning:
        """What `words` mean. Some milliseconds the first time, nothing afterwards."""
        key = _clean(words)
        with self._lock:
            known = self._cache.get(key)
        if known is not None:
            return known
        meaning = self._compare(key, words)
        with self._lock:
            self._cache[key] = meaning
            while len(self._cache) > CACHED:
                self._cache.popitem(last=False)
        return meaning

    def judge(self, meaning: Vectors, likely: float, sure: float) -> Meaning:
        """What was meant by speech whose meaning, [384] of length 1, lies there: the whole of it, without its words.

        `likely` and `sure` are cosines; scores are stretched so that they come out as `LIKELY` and `SURE`, and what
        decides by those need not know where a meaning came from."""
        near = self._vectors @ meaning.astype(np.float32, copy=False)
        whole = np.array([_of_the_best(near[rows], 0.8, 0.2) for rows in self._rows], np.float32)
        stretched = LIKELY + (whole - likely) * ((SURE - LIKELY) / max(sure - likely, 0.01))
        return self._settled(np.clip(stretched, 0.0, 1.0), ())

    def near(self, text: str, others: Sequence[str]) -> list[float]:
        """How near `text` is in meaning to each of `others`, 0..1."""
        clean = _clean(text)
        if len(clean) < 2 or not others:
            return [0.0] * len(others)
        return self.near_to(self._embedding.of([clean])[0], others)

    def near_to(self, meaning: Vectors, others: Sequence[str]) -> list[float]:
        """How near a meaning, [384] of length 1, is to each of `others`, 0..1."""
        if not others:
            return []
        vectors = self._embedding.of([_clean(other) for other in others])
        return [max(0.0, float(score)) for score in vectors @ meaning]

    def _add(self, intent: Intent, examples: Sequence[str]) -> None:
        index = len(self._intents)
        self._intents.append(intent)
        for example in examples:
            self._examples.append(example)
            self._owner.append(index)

    def _compare(self, clean: str, words: str) -> Meaning:
        if not clean:
            return NOTHING
        clauses = _clauses(words)
        texts = [clean, *clauses]
        mended = [self._mended(text) for text in texts]
        distinct = list(dict.fromkeys([*texts, *mended]))
        scores = dict(zip(distinct, self._scores(distinct), strict=True))
        rows = [np.maximum(scores[t], 0.98 * scores[m]) for t, m in zip(texts, mended, strict=True)]
        whole = rows[0].copy()
        for row in rows[1:]:  # a long turn says what it wants in one of its clauses
            whole = np.maximum(whole, 0.96 * row)
        return self._settled(whole, rows[1:])

    def _settled(self, whole: Vectors, clauses: Sequence[Vectors]) -> Meaning:
        """What is meant, from a score per intent of the whole turn and of each of its clauses."""
        order = np.argsort(-whole)
        best = int(order[0])
        if self._intents[best] in _LIGHT:  # `good morning, where is my order`
            best = next((int(i) for i in order if whole[i] >= LIKELY and self._intents[int(i)] not in _LIGHT), best)
        outside = len(self._intents) - 1
        likely = best != outside and whole[best] >= LIKELY and whole[best] - whole[outside] >= CLEAR
        if not likely:
            named = {self._intents[i].name: round(float(whole[i]), 3) for i in order[:3]}
            return Meaning(None, float(whole[best]), 0.0, (), named)
        said = [best]
        for row in clauses:
            index = int(np.argmax(row))
            if row[index] >= SURE and index not in said and self._intents[index].kind is Kind.SKILL:
                said.append(index)
        first = next((int(np.argmax(r)) for r in clauses if int(np.argmax(r)) in said and r.max() >= SURE), best)
        if len(said) > 1 and first != best and self._intents[best].kind is Kind.SKILL:
            said.remove(first)
            said.insert(0, first)
        return Meaning(
            best=self._intents[said[0]],
            score=float(whole[said[0]]),
            margin=float(whole[best] - whole[int(order[1])]),
            also=tuple(self._intents[i] for i in said[1:]),
            scores={self._intents[i].name: round(float(whole[i]), 3) for i in order[:3]},
            skill=next(
                (self._intents[i] for i in order if self._intents[i].kind is Kind.SKILL and whole[i] >= LIKELY), None
            ),
        )

    def _scores(self, texts: Sequence[str]) -> list[Vectors]:
        """For each text a score per intent: the best example's meaning, some of the next, and words in common."""
        near = self._embedding.of(texts) @ self._vectors.T
        rows = []
        for text, similar in zip(texts, near, strict=True):
            bag = _bag(text)
            row = np.zeros(len(self._intents), np.float32)
            common = np.array([self._overlap(bag, other) for other in self._bags], np.float32)
            for i, mine in enumerate(self._rows):
                row[i] = _of_the_best(similar[mine], 0.64, 0.15) + 0.21 * float(common[mine].max())
            rows.append(row)
        return rows

    def _overlap(self, a: frozenset[str], b: frozenset[str]) -> float:
        """Weighted words in common, as a share of both (Dice)."""
        if not a or not b:
            return 0.0
        shared = sum(self._weight.get(word, self._unknown) for word in a & b)
        total = sum(self._weight.get(word, self._unknown) for word in a) + sum(self._weight[word] for word in b)
        return 2 * shared / total

    def _mended(self, text: str) -> str:
        """`text` with words that the agent's examples do not have replaced by those that sound alike and they do."""
        out = []
        for word in text.split():
            alike = self._by_sound.get(sound(word)) if word not in self._words and len(word) >= 3 else None
            out.append(alike if alike is not None and likeness(word, alike) >= 0.6 else word)
        return " ".join(out)


def _of_the_best(near: Vectors, first: float, mean: float) -> float:
    """The best example's nearness, and some of the next two's."""
    top = np.sort(near)[::-1][:3]
    return first * float(top[0]) + mean * float(top.mean())


_FILLED = re.compile(
    r"\b(?:um+|uh+|er+m?|hmm?|you know|i mean|please|well|actually|basically|like|hi there|okay so|so)\b"
)
_GREETED = re.compile(
    r"^(?:hello|hi|hey|good (?:morning|afternoon|evening)|yes|yeah|okay|ok|no)\b[\s,.!]*(?=\S+\s+\S+)"
)


def _clean(words: str) -> str:
    """What carries meaning: lower case, no fillers, no greeting before more, no digits."""
    text = words[:MOST_CHARACTERS].lower().replace("’", "'").strip()
    text = _GREETED.sub("", _GREETED.sub("", text))
    stripped = re.sub(r"\s+", " ", re.sub(r"[^\w' ]+", " ", _FILLED.sub(" ", text))).strip()
    kept = [word for word in stripped.split() if not _is_number(word)]
    return " ".join(kept) if kept else ("" if any(map(_is_number, stripped.split())) else text.strip(" .,!?"))


def _is_number(word: str) -> bool:
    return word.isdecimal() or (word in UNITS and word != "o") or word in TEENS or word in TENS


def _clauses(words: str) -> list[str]:
    """The clauses of a turn that has several, cleaned, those of at least two words; at most six."""
    pieces = re.split(r"[.;?!,]+|\b(?:and|also|but|because)\b", words[:MOST_CHARACTERS].lower())
    clean = [_clean(piece) for piece in pieces]
    kept = [piece for piece in clean if len(piece.split()) >= 2]
    return kept[:6] if len(kept) > 1 or (kept and kept[0] != _clean(words)) else []


_STOP = FILLERS | frozenset("the a an is am are was i it of to for my me you your that this do does did be can".split())
_ENDINGS = re.compile(r"(?:'s|ing|ed|es|s)$")


def _bag(text: str) -> frozenset[str]:
    """The words of `text` without the commonest, cut to their stems."""
    words = (token.text for token in tokens(text))
    return frozenset(_ENDINGS.sub("", word) if len(word) > 4 else word for word in words if word not in _STOP)

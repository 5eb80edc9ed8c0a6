"""What callers say, as records to be spoken and learnt from: `sayings` makes them without end from a seed.

The sources are the agents' own files, public texts where the data folder has them, a grammar of answers and one of
everyday speech; whole patterns, public lines, names and one agent are kept out of training. Making audio of a record
is the business of others.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from models.duplex.data import answers_said, jobs_said, turns
from models.duplex.data.draft import Draft
from models.duplex.data.everyday import everyday, everyday_fills
from models.duplex.data.gist import gist
from models.duplex.data.grammar import Fill
from models.duplex.data.public import public
from models.duplex.data.written import spoken, written
from offhook.agents.understanding import _clean

MOST_WORDS = 40
"""A saying with more is left out: it would outlast the model's memory."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of speech without a stop in it."""

    text: str
    """As to be spoken; numbers are written as the words spoken."""
    pause_ms: int
    """Silence after it; 0 for the last."""


@dataclass(frozen=True, slots=True)
class Said:
    """Something a caller says, and everything that is to be learnt from it."""

    id: str
    pieces: tuple[Piece, ...]
    words: str
    """The transcript: lower case, digits as digits, no punctuation."""
    gist: str
    meaning: str
    """The clean text whose embedding is the meaning; may be empty where nothing but a number is said."""
    asked: str
    """The agent's last words, in the same spelling as `words`; may be empty."""
    kind: str
    """`request`, `answer`, `backchannel`, `interruption`, `aside` (not meant for the agent)."""
    agent_speaking: bool
    agent: str
    """The agent it is said to; `any` where that does not matter."""
    pattern: str
    """What it was made from: whole patterns are kept out of training."""
    split: str
    """`train`, `dev` or `test`."""


def sayings(seed: int, split: str, count: int) -> Iterator[Said]:
    """`count` records of `split`, the same for the same arguments and files."""
    rng = random.Random(f"offhook {seed} {split}")
    places = everyday_fills(answers_said.fills(split))
    made = 0
    while made < count:
        draft = _draft(rng, split, places)
        said = _said(draft, rng, split, places, f"{split}-{seed}-{made:06d}") if draft else None
        if said is not None:
            yield said
            made += 1


Source = Callable[[random.Random, str, Mapping[str, Fill]], Draft | None]

_REQUESTS: tuple[tuple[Source, float], ...] = (
    (jobs_said.wish, 0.15),
    (lambda rng, split, places: public(rng, split) or everyday(rng, split, places), 0.26),
    (lambda rng, split, _: turns.courtesy(rng, split), 0.04),
    (everyday, 0.12),
)
_ANSWERS: tuple[tuple[Source, float], ...] = ((answers_said.answer, 0.2), (jobs_said.reply, 0.09))
_SOURCES: tuple[tuple[Source, float], ...] = (
    *_REQUESTS,
    *_ANSWERS,
    (lambda rng, _split, _places: turns.backchannel(rng), 0.04),
    (turns.stop, 0.015),
    (lambda rng, split, places: _cutting_in(rng, split, places), 0.04),
    (turns.aside, 0.045),
)
_AGENT_SAYS = (
    "We're open Monday to Friday from nine to six, and Saturdays from ten to two.",
    "Your return is registered. The label comes by mail.",
    "Order 4 1 7 2 is on its way. It should arrive on Thursday.",
    "I'm an AI agent, not a person.",
    "I'll put you through to a colleague. One moment, please.",
    "I'm sorry, I can't look at the orders right now.",
    "How can I help you?",
    "Is there anything else I can do for you?",
    "You're welcome.",
    "",
)


def _draft(rng: random.Random, split: str, places: Mapping[str, Fill]) -> Draft | None:
    return _one_of(_SOURCES, rng, split, places)


def _one_of(
    sources: tuple[tuple[Source, float], ...], rng: random.Random, split: str, places: Mapping[str, Fill]
) -> Draft | None:
    source = rng.choices([one for one, _ in sources], [weight for _, weight in sources])[0]
    return source(rng, split, places)


def _cutting_in(rng: random.Random, split: str, places: Mapping[str, Fill]) -> Draft | None:
    """A request or an answer said while the agent speaks."""
    draft = _one_of(_REQUESTS if rng.random() < 0.7 else _ANSWERS, rng, split, places)
    return replace(draft, kind="interruption", agent_speaking=True) if draft else None


def _said(draft: Draft, rng: random.Random, split: str, places: Mapping[str, Fill], name: str) -> Said | None:
    text = turns.dressed(draft, rng, split, places)
    words = written(text)
    pieces = _pieces(text, rng)
    if (
        not words
        or not pieces
        or len(words.split()) > MOST_WORDS
        or sum(len(p.text.split()) for p in pieces) > MOST_WORDS
    ):
        return None
    return Said(
        id=name,
        pieces=pieces,
        words=words,
        gist=gist(words, jobs_said.choice_words()),
        meaning=_clean(written(draft.text)),
        asked=written(_asked(draft, rng)),
        kind=draft.kind,
        agent_speaking=draft.agent_speaking,
        agent=draft.agent,
        pattern=draft.pattern,
        split=split,
    )


def _asked(draft: Draft, rng: random.Random) -> str:
    """The agent's last words: fitting, mostly; none, or some others, now and then, so that they are no crutch."""
    fate = rng.random()
    if draft.agent_speaking or (not draft.asked and fate < 0.6):
        return rng.choice(_AGENT_SAYS)
    if fate < 0.08:
        return ""
    if fate < 0.13:
        return rng.choice(answers_said.SORTS[rng.choice(list(answers_said.SORTS))].asks)
    return draft.asked


def _pieces(text: str, rng: random.Random) -> tuple[Piece, ...]:
    """What is spoken, cut at some of the places where a speaker may stop."""
    parts = [""]
    thoughtful = rng.random() < 0.65
    text = spoken(text)
    if thoughtful and rng.random() < 0.5:
        text = _with_a_stop(text, rng)
    for part in text.split("/"):
        clean = part.strip()
        if not re.search(r"\w", clean):
            continue
        if thoughtful and parts[-1] and rng.random() < 0.75:
            parts.append(clean)
        else:
            parts[-1] = f"{parts[-1]} {clean}".strip()
    if not parts[-1]:
        return ()
    stops = [rng.choice((rng.randint(300, 700), rng.randint(300, 1500))) for _ in parts[1:]]
    return tuple(Piece(part.strip(" ,") or part, pause) for part, pause in zip(parts, [*stops, 0], strict=True))


def _with_a_stop(text: str, rng: random.Random) -> str:
    """`text` with one more place to stop: behind a comma or a short word that makes one expect more, else anywhere."""
    words = text.split()
    likely = [i for i in range(1, len(words)) if words[i - 1].endswith(",") or words[i - 1].lower() in _EXPECTANT]
    anywhere = list(range(2, len(words) - 1)) if rng.random() < 0.3 else []
    places = likely or anywhere
    if not places:
        return text
    at = rng.choice(places)
    return " ".join([*words[:at], "/", *words[at:]])


_EXPECTANT = frozenset("is and for to about the my because that of with on at a in if but or so it's was".split())

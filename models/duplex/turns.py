"""From an utterance on disk to one turn as serving sees it: placed on a line, cut at some hop, laid out for the mind.

What is cut off is never seen: a turn that stops in the middle of a word, in a pause between two words, or some time
after the last one, each with the state it is in then. Deterministic from its generator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from models.duplex.data.line import Line
from models.duplex.data.shards import Utterance
from offhook.speech.contract import HOP_SAMPLES, RATE_HZ
from offhook.speech.duplex import layout
from offhook.speech.duplex.features import MOST_HOPS
from offhook.speech.duplex.listening import Heard

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]

LISTEN, ENDED, BACKCHANNEL, INTERRUPTED = Heard
BEGIN_, SILENT_, SPEAKING_, CALLER_, MEANING_, GIST_, WORDS_ = range(layout.SPECIALS)
"""Learnt vectors that stand between the words of a turn, in the order of `layout`'s ids; see `model`."""
STACK = 8
"""Ear frames in one audio position: 160 ms."""
HOPS = MOST_HOPS
"""The ear's window at its longest, 8 s."""
EOS = layout.END
PREFIX = layout.PREFIX_TOKENS
"""Tokens of the agent's last words that the mind reads."""
NOTHING = 0.03
"""Share of turns in which nobody says anything: what rings in the ear there is the line."""
SURE = 16 * 80
"""Samples after the last one from which the end of a turn counts in full: 80 ms."""
IN_A_PAUSE, IN_SPEECH = 0.5, 0.15
"""Shares of windows that stop early: of sayings with a pause those in one (about as often as a caller's silence is a
pause and not the end), of all the rest those in the middle of speech."""
AFTER_S, LONGEST_AFTER_S = 0.5, 2.5
"""Silence after the end: the mean, and the most. As long as pauses are, or length alone would tell them apart."""


@dataclass(slots=True)
class Window:
    """What was heard when the clock stopped."""

    audio: Floats
    """16 kHz, whole hops."""
    state: int
    weight: float
    """How much the state counts: little where nobody could know it yet."""
    whole: bool
    """Everything was said."""


@dataclass(slots=True)
class Turn:
    """One row of a batch."""

    audio: Floats
    """16 kHz, whole hops."""
    state: int
    state_weight: float
    whole: bool
    """All was said: words, gist and meaning can be learnt."""
    asked: list[int]
    words: list[int]
    gist: list[int]
    speaking: bool
    meaning: Floats


def cut(spoken: Utterance, audio: Floats, rng: np.random.Generator, early: bool) -> Window:
    """A window on one utterance, of whole hops: silence, then `audio` as far as it goes, then silence again.

    `early`: some stop before the end, in a pause or in the middle of speech."""
    lead = int(rng.integers(1_600, 7_200))
    end = lead + len(audio)
    holds = [(lead + a[1], lead + b[0]) for a, b in zip(spoken.pieces, spoken.pieces[1:], strict=False)]
    if early and holds and rng.random() < IN_A_PAUSE:
        begin, resume = holds[int(rng.integers(len(holds)))]
        hops = int(begin + rng.uniform(0.2, 1.0) * (resume - begin)) // HOP_SAMPLES
    elif early and rng.random() < IN_SPEECH:
        hops = int(lead + len(audio) * rng.uniform(0.15, 0.95)) // HOP_SAMPLES
    else:
        after_s = min(rng.exponential(AFTER_S), LONGEST_AFTER_S)
        hops = -(-(end + int(after_s * RATE_HZ)) // HOP_SAMPLES)
    hops = min(max(hops, 2), HOPS)
    signal = np.zeros(max(hops * HOP_SAMPLES, end), np.float32)
    signal[lead:end] = audio
    after = hops * HOP_SAMPLES - end
    said = min(hops * HOP_SAMPLES - lead, len(audio))
    state, weight = (ENDED, 1.0 if after >= SURE else 0.5) if after >= 0 else (LISTEN, 1.0)
    if spoken.kind == "aside":
        state, weight = LISTEN, 1.0
    elif spoken.kind == "backchannel":
        state, weight = BACKCHANNEL, 1.0 if 2 * said >= len(audio) else 0.3
    elif spoken.agent_speaking and state == LISTEN:
        state, weight = INTERRUPTED, 1.0 if said >= RATE_HZ // 4 else 0.3
    return Window(signal[: hops * HOP_SAMPLES], state, weight, after >= 0)


def _nothing(rng: np.random.Generator) -> Window:
    hops = int(rng.integers(4, 25))
    return Window(np.zeros(hops * HOP_SAMPLES, np.float32), LISTEN, 1.0, False)


def _another(spoken: Utterance, audio: Floats, pace: float) -> tuple[Utterance, Floats]:
    """The same as another person would say it: `pace` times as fast, and as high, throat and all."""
    count = int(len(audio) / pace)
    faster = np.interp(np.arange(count) * pace, np.arange(len(audio)), audio).astype(np.float32)
    pieces = tuple((int(first / pace), int(end / pace)) for first, end in spoken.pieces)
    return replace(spoken, pieces=pieces, samples=count), faster


def make(
    spoken: Utterance,
    audio: Floats,
    meaning: Floats,
    line: Line,
    encode: Callable[[str], list[int]],
    rng: np.random.Generator,
    *,
    early: bool = True,
) -> Turn:
    """One turn of an utterance over `line`."""
    if rng.random() < 0.6:
        spoken, audio = _another(spoken, audio, float(rng.uniform(0.88, 1.13)))
    window = cut(spoken, audio, rng, early) if rng.random() >= NOTHING else _nothing(rng)
    heard = line.apply(window.audio, rng)
    asked = "" if rng.random() < 0.12 else spoken.asked
    return Turn(
        audio=np.round(np.clip(heard, -1, 1) * 32767).astype(np.float32) / np.float32(32768),
        state=window.state,
        state_weight=window.weight,
        whole=window.whole,
        asked=encode(asked)[-PREFIX:],
        words=encode(spoken.words),
        gist=encode(spoken.gist),
        speaking=spoken.agent_speaking,
        meaning=meaning if window.whole else np.zeros_like(meaning),
    )


@dataclass(slots=True)
class Layout:
    """The positions of one turn; see `model.Batch`."""

    tokens: Ids
    specials: Ids
    audio: Ids
    positions: Ids
    branch: Ids
    labels: Ids
    meaning_at: int


def lay_out(turn: Turn, hops: int | None) -> Layout:
    """The positions of `turn` with its audio of `hops` hops, or, with None, with its words in place of audio."""
    rows: list[tuple[int, int, int, int, int, int]] = []  # token, special, audio, position, branch, label
    place = 0

    def add(branch: int, label: int = -1, token: int = -1, special: int = -1, audio: int = -1) -> None:
        nonlocal place
        rows.append((token, special, audio, place, branch, label))
        place += 1

    add(0, special=BEGIN_)
    add(0, special=SPEAKING_ if turn.speaking else SILENT_)
    for token in turn.asked:
        add(0, token=token)
    add(0, special=CALLER_)
    if hops is None:
        for token in turn.words:
            add(0, token=token)
    else:
        for index in range(-(-hops * 4 // STACK)):
            add(0, audio=index)
    add(0, special=MEANING_)
    meaning_at, after = len(rows) - 1, place
    if turn.whole:
        for branch, special, text in ((1, GIST_, turn.gist), (2, WORDS_, turn.words)):
            place = after
            add(branch, special=special, label=text[0] if text else EOS)
            for i, token in enumerate(text):
                add(branch, token=token, label=text[i + 1] if i + 1 < len(text) else EOS)
    tokens, specials, heard, positions, branches, labels = np.array(rows, np.int64).T
    return Layout(tokens, specials, heard, positions, branches, labels, meaning_at)

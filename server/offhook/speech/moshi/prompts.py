"""What a PersonaPlex model is told before a conversation begins: a voice, then who it is and what its job is.

The prompt (NVIDIA, PersonaPlex-7B-v1) is a stretch of frames whose tokens are all given: the agent speaks a sample of
the voice; half a second of silence; the text of the job, one token a frame, while the agent is silent; half a second of
silence again; and all the while a tone comes from the caller's side. Here those frames are laid out as numbers; what
they do to a model is `rows`' business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from offhook.speech.contract import Json
from offhook.speech.moshi.shape import AGENT_CODEBOOKS, DELAYS, TEXT_PADDING, Shape

SILENCE: Final = (948, 243, 1178, 546, 1736, 1030, 1978, 2008)
"""Mimi's codes of a frame of silence."""
TONE: Final = (430, 1268, 381, 1611, 1095, 1495, 56, 472)
"""Mimi's codes of a frame of the 440 Hz tone that stands for 'no caller yet'."""
SPACER_FRAMES: Final = 6
RING: Final = 4
"""Frames of tokens that a saved voice prompt keeps at its end."""
LONGEST_TEXT: Final = 4000

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class VoicePrompt:
    """A sample of a voice, as codes or as PersonaPlex's own files keep it."""

    name: str
    codes: Codes
    """[8, frames] of the agent's audio. Where there is `inputs`, what is not known of them is zero."""
    inputs: npt.NDArray[np.float32] | None = None
    """[frames - 1, dim]: what the model is given at each position, known where the codes are not."""
    ring: Codes | None = None
    """[17, 4]: the tokens of the last positions, position p in column p % 4; goes with `inputs`."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A whole prompt, position by position."""

    tokens: Codes
    """[17, positions + 1], delays applied; the last column goes with the first live frame."""
    inputs: npt.NDArray[np.float32] | None = None
    """[n, dim]: given for the first n positions in place of the embeddings of their tokens."""

    @property
    def positions(self) -> int:
        return int(self.tokens.shape[1]) - 1


def lay_out(shape: Shape, voice: VoicePrompt | None, text: Sequence[int]) -> Prompt:
    """The prompt of a voice and the tokens of a text. Raises ValueError where it takes over half of what the model can
    look back on."""
    silence = np.array(SILENCE)[:, None] % shape.cards
    tone = np.array(TONE)[:, None] % shape.cards
    agent = [np.zeros((AGENT_CODEBOOKS, 0), np.int64)]
    if voice is not None:
        agent += [voice.codes, np.repeat(silence, SPACER_FRAMES, axis=1)]
    # The frame after the last one stands where the first live one will: the model is to be silent in it as well.
    agent.append(np.repeat(silence, len(text) + SPACER_FRAMES + 1, axis=1))
    audio = np.concatenate(agent, axis=1)
    frames = audio.shape[1]
    if 2 * frames > shape.context:
        raise ValueError(
            f"voice and job of the agent take {frames} frames of 80 ms to tell, and the model looks back on "
            f"{shape.context}: shorten the job description or the voice prompt"
        )
    words = np.full(frames, TEXT_PADDING)
    words[frames - SPACER_FRAMES - 1 - len(text) : frames - SPACER_FRAMES - 1] = text
    channels = np.concatenate([words[None], audio, np.repeat(tone, frames, axis=1)])
    tokens = delayed(channels, shape)
    if voice is None or voice.inputs is None or voice.ring is None:
        return Prompt(tokens)
    last = voice.codes.shape[1] - 1
    tokens[:, last] = voice.ring[:, last % RING]
    behind = np.array(DELAYS) > 0
    tokens[behind, last + 1] = voice.ring[behind, (last + 1) % RING]
    return Prompt(tokens, voice.inputs)


def delayed(frames: Codes, shape: Shape) -> Codes:
    """[17, n] tokens by frame as [17, n] tokens by position: each channel moved by its delay, and what comes before its
    first frame, that frame too, is the token of the beginning."""
    tokens = np.full_like(frames, shape.cards)
    tokens[0] = shape.text_cards
    for channel, delay in enumerate(DELAYS):
        tokens[channel, delay + 1 :] = frames[channel, 1 : frames.shape[1] - delay]
    return tokens


def job_text(document: Mapping[str, Json]) -> str:
    """The job description of an agent's file as the sentences a PersonaPlex model takes, within its `<system>` tags."""
    job = document.get("job")
    told: list[str] = []
    if isinstance(job, Mapping):
        if isinstance(purpose := job.get("purpose"), str) and purpose.strip():
            told.append(purpose.strip())
        told += [f"You help with {said}." for said in _listed(job.get("scope"))]
        told += [f"You do not help with {said}." for said in _listed(job.get("refuses"))]
    if isinstance(greeting := document.get("greeting"), str) and greeting.strip():
        told.append(f"You begin with: {greeting.strip()}")
    text = " ".join(told) or "You are a friendly agent of a call centre."
    return f"<system> {text[:LONGEST_TEXT].replace('<system>', '')} <system>"


def _listed(said: Json) -> list[str]:
    if isinstance(said, str) or not isinstance(said, Sequence):
        return []
    items = [item for item in said if isinstance(item, str)]
    return [", ".join(items)] if items else []

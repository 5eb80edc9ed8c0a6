"""Moshi and PersonaPlex as a speech model: they hear while they speak, and there is no turn to be taken.

Every frame of the caller's goes in and a frame of the agent's comes out, for all slots in one step. What follows from
that, and differs from a cascade:

- `cut` is never set and `Interrupted` never reported. The model stops by itself when it is spoken over, a few frames
  after it heard that.
- `TurnStarted`, `TurnEnded` and `WordsHeard` are not reported: the caller's words are known to nobody, the model
  included. The agent's own are (`SpeechStarted`, `WordsSpoken`).
- It calls no tools and cannot hand over. What a dial plan's exits can hang on: `human` when the caller presses the key
  of `human_key` or the agent says one of `human_words`, `resolved` when it says one of `resolved_words`, `failed` when
  neither side has said anything for `silence_s`.
- There is no memo: after a worker's death the conversation begins anew.

Samples that no packet brought are heard as the media core conceals them, so that the model's clock goes on; a row
without a hop does not move. Frames in which the agent is quiet are not sent, so that nothing queues up behind a pause.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np
import numpy.typing as npt

from offhook.speech.contract import (
    HOP_MS,
    HOP_SAMPLES,
    RATE_HZ,
    Delivery,
    Done,
    Event,
    Hop,
    Json,
    Keys,
    Pcm,
    Persona,
    Step,
)
from offhook.speech.moshi.options import MoshiOptions
from offhook.speech.moshi.prompts import VoicePrompt, job_text, lay_out
from offhook.speech.moshi.utterances import Utterances

if TYPE_CHECKING:
    from offhook.speech.moshi.rows import Prefix, Rows

log = logging.getLogger(__name__)

QUIET: Final = 33.0
"""Root mean square below which a frame of the agent's is nothing to be heard (-60 dB of full scale)."""
CALLER_QUIET: Final = 184.0
"""Likewise of the caller's, whose line has noise (-45 dB)."""
HANGOVER_FRAMES: Final = 3
"""Quiet frames that are still sent after loud ones."""
GIB: Final = 1 << 30
PROMPTS_BYTES: Final = GIB
"""Of prompts gone through that are kept, the newest always: an agent's takes some 80 MiB."""
SPARE_BYTES: Final = 3 * GIB
"""GPU memory for the codec, one step's own numbers, its graphs and the prompts kept."""

RANDOM_LABEL: Final = "random weights: shows what serving costs, says nothing of quality"

Flags = npt.NDArray[np.bool_]


@dataclass(slots=True)
class _Conversation:
    """One slot's."""

    utterances: Utterances
    said: int = 0
    """Samples sent."""
    quiet: int = HANGOVER_FRAMES
    """Frames since the agent was last to be heard."""
    idle: int = 0
    """Frames since either side was."""
    done: bool = False


class MoshiModel:
    """Serves `slots` conversations with one full-duplex model. See `contract.SpeechModel`."""

    phases = 1
    """Every step computes all rows, whoever is in them: they are stepped together, once a hop."""

    def __init__(
        self,
        rows: Rows,
        options: MoshiOptions,
        voices: Mapping[str, VoicePrompt],
        encode: Callable[[str], list[int]] | None,
        decode: Callable[[Sequence[int]], str] | None,
    ) -> None:
        """`encode` and `decode` make tokens of a text and a text of tokens; without them the agent's words are not
        reported, and its job cannot be told."""
        self.slots = rows.rows
        self._rows, self._options, self._voices = rows, options, voices
        self._encode, self._decode = encode, decode
        self._conversations: list[_Conversation | None] = [None] * self.slots
        self._prefixes: OrderedDict[tuple[str, str], Prefix] = OrderedDict()
        self._cushion = RATE_HZ * options.cushion_ms // 1000
        self._idle_limit = round(1000 * options.silence_s / HOP_MS)
        self._events: list[Event] = []

    @classmethod
    def load(cls, slots: int, options: Mapping[str, Json]) -> Self:
        """Load the weights, allocate all slots and warm up. Raises ValueError for a wrong option or file, ImportError
        where the extra is not installed."""
        chosen = MoshiOptions.read(options)
        try:
            import moshi.models  # noqa: F401 -- used by what is loaded below; here to say so where it lacks
            import torch
        except ImportError as error:
            raise ImportError(
                f"the moshi model needs PyTorch and Kyutai's package ({error}): pip install 'offhook[moshi]'"
            ) from error
        from offhook.speech.moshi import loading
        from offhook.speech.moshi.rows import Rows, Sampling

        if chosen.threads:
            torch.set_num_threads(chosen.threads)
        device = loading.device_for(chosen.device)
        shape = chosen.chosen_shape
        if device.type == "cuda":
            check_memory(chosen, slots, torch.cuda.mem_get_info(device)[0])
        if chosen.weights == "random":
            log.warning("moshi %s: %s", shape.name, RANDOM_LABEL)
        codec, lm = loading.build(chosen, device)
        voices = loading.voices(chosen.voices, codec, shape, device) if chosen.voices else {}
        encode, decode = loading.words_of(chosen.tokenizer, shape) if chosen.tokenizer else (None, None)
        sampling = Sampling(chosen.temperature, chosen.text_temperature, chosen.top_k, chosen.top_k_text)
        rows = Rows(codec, lm, shape, slots, sampling, device)
        rows.warm()
        return cls(rows, chosen, voices, encode, decode)

    def admit(self, slot: int, persona: Persona) -> None:
        """Begin a conversation. The first with a persona takes one pass over its prompt; `rehearse` does that ahead."""
        if self._conversations[slot] is not None:
            raise ValueError(f"slot {slot} is taken; release it first")
        self._rows.begin(slot, self._prefix(persona))
        self._conversations[slot] = _Conversation(Utterances(slot, self._decode or (lambda tokens: "")))

    def rehearse(self, persona: Persona) -> None:
        """Have the persona's prompt ready before its first call. One that cannot be served says so when admitted."""
        try:
            self._prefix(persona)
        except ValueError as error:
            log.warning("%s is not rehearsed: %s", persona.name, error)

    def deliver(self, slot: int, delivery: Delivery) -> None:
        """The key for a person ends the conversation; anything else is nothing the model could take in."""
        conversation = self._conversations[slot]
        key = self._options.human_key
        if conversation is not None and isinstance(delivery, Keys) and key and key in delivery.digits:
            self._end(slot, conversation, "human", f"the caller pressed {key}")

    def step(self, hop: Hop) -> Step:
        """Hear one frame in the rows of the mask, and say one."""
        held = np.array([one is not None and not one.done for one in self._conversations], np.bool_)
        frame = self._rows.step(hop.audio, hop.mask & held)
        step = Step(
            audio=np.zeros((self.slots, self._cushion + HOP_SAMPLES), np.int16),
            samples=np.zeros(self.slots, np.int32),
            cut=np.zeros(self.slots, np.bool_),
            speaking=np.zeros(self.slots, np.bool_),
        )
        caller_loud = _loudness(hop.audio) >= CALLER_QUIET
        loud = frame.speaks & (_loudness(frame.audio) >= QUIET)
        for slot in np.flatnonzero(held & hop.mask):
            conversation = self._conversations[slot]
            assert conversation is not None
            heard = bool(caller_loud[slot]) and int(hop.missing[slot]) < HOP_SAMPLES
            conversation.idle = 0 if heard or loud[slot] else conversation.idle + 1
            begins = conversation.said
            if frame.speaks[slot]:
                step.samples[slot] = self._say(conversation, bool(loud[slot]), frame.audio[slot], step.audio[slot])
                if self._decode is not None:
                    token = int(frame.tokens[slot])
                    started = conversation.utterances.frame(token, bool(loud[slot]), begins, conversation.said)
                    if started is not None:
                        self._events.append(started)
            step.speaking[slot] = step.samples[slot] > 0
            self._listen_to_itself(int(slot), conversation, int(hop.played[slot]))
            if self._idle_limit and conversation.idle >= self._idle_limit:
                self._end(
                    int(slot), conversation, "failed", f"neither side said anything for {self._options.silence_s:g} s"
                )
        step.events, self._events = self._events, []
        return step

    def release(self, slot: int) -> None:
        """Forget the conversation; its row is cleared before anybody else's first frame."""
        self._conversations[slot] = None
        self._events = [event for event in self._events if event.slot != slot]

    def _say(self, conversation: _Conversation, loud: bool, audio: Pcm, room: Pcm) -> int:
        """Put the frame into `room` where it is to be sent; answers how many samples that makes."""
        resting = conversation.quiet >= HANGOVER_FRAMES
        conversation.quiet = 0 if loud else conversation.quiet + 1
        if resting and not loud:
            return 0
        before = self._cushion if resting else 0
        room[before : before + HOP_SAMPLES] = audio
        conversation.said += before + HOP_SAMPLES
        return before + HOP_SAMPLES

    def _listen_to_itself(self, slot: int, conversation: _Conversation, played: int) -> None:
        for spoken in conversation.utterances.heard(played):
            self._events.append(spoken)
            said = spoken.text.lower()
            for exit, words in (("human", self._options.human_words), ("resolved", self._options.resolved_words)):
                if found := next((one for one in words if one in said), None):
                    self._end(slot, conversation, exit, f"the agent said '{found}'")
                    break

    def _end(self, slot: int, conversation: _Conversation, exit: str, reason: str) -> None:
        if not conversation.done:
            conversation.done = True
            self._events.append(Done(slot, exit, reason))

    def _prefix(self, persona: Persona) -> Prefix | None:
        """What a row of this persona begins with. Raises ValueError where that cannot be had."""
        if self._options.prompt == "none":
            return None
        if self._encode is None:
            raise ValueError(f"{persona.name} cannot be told its job: the moshi model has no `tokenizer`")
        if self._voices and persona.voice not in self._voices:
            raise ValueError(
                f"{persona.name} wants the voice {persona.voice!r}; in {self._options.voices} are "
                f"{', '.join(self._voices)}"
            )
        text = job_text(persona.document)
        key = (persona.voice, text)
        if key in self._prefixes:
            self._prefixes.move_to_end(key)
        else:
            prompt = lay_out(self._options.chosen_shape, self._voices.get(persona.voice), self._encode(text))
            self._prefixes[key] = self._rows.prefix(prompt)
            while len(self._prefixes) > 1 and sum(one.bytes for one in self._prefixes.values()) > PROMPTS_BYTES:
                self._prefixes.popitem(last=False)
        return self._prefixes[key]


def check_memory(options: MoshiOptions, slots: int, free_bytes: int) -> None:
    """Raises ValueError where `slots` rows do not fit into a GPU's free memory, with what would."""
    shape = options.chosen_shape
    row = shape.memory_bytes_per_row()
    fixed = shape.weight_bytes() + SPARE_BYTES
    if fixed + slots * row > free_bytes:
        fit = max(0, (free_bytes - fixed) // row)
        raise ValueError(
            f"{slots} slots of {row / GIB:.2f} GiB and {fixed / GIB:.1f} GiB of weights and working memory do not fit "
            f"into the GPU's free {free_bytes / GIB:.1f} GiB: {fit} slots do; a smaller `context` (now {shape.context} "
            "frames) makes a slot smaller"
        )


def _loudness(audio: Pcm) -> npt.NDArray[np.float32]:
    """[rows, n] -> [rows]: root mean square."""
    loudness: npt.NDArray[np.float32] = np.sqrt(np.mean(np.square(audio.astype(np.float32)), axis=1))
    return loudness

"""Many conversations in one batch: codec, language model and codec again, one 80 ms frame a step for every row at once.

Every row has its own clock: a row that does not take part in a step computes rubbish, and its state does not move. The
shapes never change, so that on a GPU the step is replayed from CUDA graphs; one copy goes to the device a step and one
comes back. Which caller is in which row, and what tokens mean, is not known here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from offhook.speech.contract import HOP_SAMPLES, RATE_HZ, Pcm
from offhook.speech.moshi import shape as shapes
from offhook.speech.moshi.prompts import Prompt
from offhook.speech.moshi.resampling import StreamResampler
from offhook.speech.moshi.shape import AGENT_CODEBOOKS, DELAYS, Shape

WARM_STEPS: Final = 4
"""The first runs as it is written, the second is recorded as graphs, the others replay them."""

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn; a temperature of 0 takes the likeliest."""

    temperature: float = 0.8
    text_temperature: float = 0.7
    top_k: int = 250
    top_k_text: int = 25


@dataclass(frozen=True, slots=True)
class Prefix:
    """What a row's state is after a prompt: the keys and values of its positions, and the tokens that come next."""

    positions: int
    memory: tuple[torch.Tensor, ...]
    """For each layer [2, heads, positions, size of a head]."""
    tokens: torch.Tensor
    """[17] of the first live position."""

    @property
    def bytes(self) -> int:
        return sum(layer.numel() * layer.element_size() for layer in self.memory)


@dataclass(frozen=True, slots=True)
class Frame:
    """What one step made, in arrays that the next step fills anew. Rows whose `speaks` is False hold nothing meant."""

    audio: Pcm
    """[rows, 1280] int16, 16 kHz."""
    tokens: npt.NDArray[np.int16]
    """[rows]: the text token of the frame."""
    speaks: Flags
    """[rows]: the row took part, and is past the delay of the first frame."""


class Rows:
    """`rows` streams through one codec and one language model."""

    def __init__(self, codec: Any, lm: Any, shape: Shape, rows: int, sampling: Sampling, device: torch.device) -> None:
        """Allocates the state of all rows, and takes both models for itself."""
        from moshi.models.lm import LMGen

        self.rows, self._shape, self._device = rows, shape, device
        self._codec, self._lm = codec, lm
        for layer in lm.transformer.layers:
            layer.self_attn.context = shape.context
        self._gen: Any = LMGen(
            lm,
            use_sampling=sampling.temperature > 0 or sampling.text_temperature > 0,
            temp=sampling.temperature,
            temp_text=sampling.text_temperature,
            top_k=sampling.top_k,
            top_k_text=sampling.top_k_text,
            support_out_of_sync=True,
        )
        try:
            with torch.no_grad():
                codec.streaming_forever(rows)
                self._gen.streaming_forever(rows)
        except torch.OutOfMemoryError:
            self.close()
            raise
        self._up = StreamResampler(rows, RATE_HZ, shapes.RATE_HZ, device)
        self._down = StreamResampler(rows, shapes.RATE_HZ, RATE_HZ, device)
        pinned = device.type == "cuda"
        # Behind a row's samples come its two flags on the way in, and its text token on the way out.
        self._inbox = torch.zeros(rows, HOP_SAMPLES + 2, dtype=torch.int16, pin_memory=pinned)
        self._outbox = torch.zeros(rows, HOP_SAMPLES + 1, dtype=torch.int16, pin_memory=pinned)
        self._given = torch.zeros_like(self._inbox, device=device, pin_memory=False)
        self._clock = np.zeros(rows, np.int64)  # positions each row has gone through
        self._fresh: dict[int, Prefix | None] = {}
        self.mark: Callable[[str], None] = _unmarked
        """Called with the name of each stage of a step when it has been handed to the device; for measurements."""

    def begin(self, row: int, prefix: Prefix | None = None) -> None:
        """The row is somebody else's from the next step on, who hears nothing of whoever had it before."""
        self._fresh[row] = prefix

    def step(self, audio: Pcm, hears: Flags) -> Frame:
        """One frame of the rows in `hears`: `audio` [rows, 1280] of 16 kHz. Takes the same time whoever takes part."""
        with torch.no_grad():
            self._renew()
            speaks = hears & (self._clock >= max(DELAYS))
            inbox = self._inbox.numpy()
            inbox[:, :HOP_SAMPLES] = audio
            inbox[:, HOP_SAMPLES] = hears
            inbox[:, HOP_SAMPLES + 1] = speaks
            self._given.copy_(self._inbox, non_blocking=True)
            self._outbox.copy_(self._made(bool((hears != speaks).any())), non_blocking=True)
            if self._device.type == "cuda":
                torch.cuda.current_stream().synchronize()
        self._clock += hears
        out = self._outbox.numpy()
        return Frame(out[:, :HOP_SAMPLES], out[:, HOP_SAMPLES], speaks)

    def prefix(self, prompt: Prompt) -> Prefix:
        """The state after a prompt, made in one pass over all its positions, beside the rows."""
        from moshi.utils.compile import no_compile

        lm, stack = self._lm, self._lm.transformer
        tokens = torch.from_numpy(prompt.tokens).to(self._device)
        attentions = [layer.self_attn for layer in stack.layers]
        with torch.no_grad():
            inputs = lm.text_emb(tokens[None, 0, :-1])
            for channel, table in enumerate(lm.emb):
                inputs = inputs + table(tokens[None, 1 + channel, :-1])
            if prompt.inputs is not None:
                given = torch.from_numpy(prompt.inputs).to(inputs)
                inputs[0, : len(given)] = given
            # The rows' state is put aside for the pass, which has one row, as long as the prompt.
            aside = stack.get_streaming_state()
            try:
                stack.set_streaming_state(dict.fromkeys(aside))
                for attention in attentions:
                    attention.context = prompt.positions
                # Prompts differ in length, and compiling anew for a length takes seconds that callers do not have.
                with stack.streaming(1), no_compile():
                    stack(inputs)
                    memory = tuple(one._streaming_state.kv_cache.cache[:, 0].clone() for one in attentions)
            finally:
                for attention in attentions:
                    attention.context = self._shape.context
                stack.set_streaming_state(aside)
        return Prefix(prompt.positions, memory, tokens[:, -1].clone())

    def warm(self) -> None:
        """Step until the graphs are recorded, then forget it all."""
        everyone = np.ones(self.rows, np.bool_)
        noise = np.random.default_rng(1).integers(-3000, 3000, (self.rows, HOP_SAMPLES)).astype(np.int16)
        for _ in range(WARM_STEPS):
            self.step(noise, everyone)
        for row in range(self.rows):
            self.begin(row)

    def close(self) -> None:
        """Let go of all rows' state; the models can be taken by other rows then."""
        for streaming in (self._codec, self._lm, self._gen):
            streaming.set_streaming_state(dict.fromkeys(streaming.get_streaming_state()))

    # --- on the device

    def _made(self, differ: bool) -> torch.Tensor:
        """From what was given to [rows, 1281] int16: audio, and behind it the text token."""
        hears = self._given[:, HOP_SAMPLES] != 0
        speaks = self._given[:, HOP_SAMPLES + 1] != 0
        heard = self._up.step(self._given[:, :HOP_SAMPLES].float() / 32768, hears)
        self.mark("in")
        self._codec.set_exec_mask(hears)
        codes = self._codec.encode(heard[:, None])
        self.mark("encode")
        self._gen.set_exec_mask(hears)
        tokens = self._gen.step(codes)
        self.mark("think")
        if differ:  # a row's first frame has no sound yet: what will make it must not have moved by then
            self._codec.set_exec_mask(speaks)
        said = self._codec.decode(tokens[:, 1 : 1 + AGENT_CODEBOOKS].clamp(min=0))[:, 0]
        self.mark("decode")
        said = torch.nan_to_num(self._down.step(said.float(), speaks) * 32768)
        return torch.cat([said.round().clamp(-32768, 32767).to(torch.int16), tokens[:, 0].to(torch.int16)], dim=1)

    def _renew(self) -> None:
        """Clear the rows that were begun, all in one go, and set those with a prefix to what comes after it."""
        if not self._fresh:
            return
        fresh, self._fresh = self._fresh, {}
        flags = np.zeros(self.rows, np.bool_)
        flags[list(fresh)] = True
        mask = torch.from_numpy(flags).to(self._device)
        self._codec.reset_streaming(mask)
        self._gen.reset_streaming(mask)
        self._up.reset(mask)
        self._down.reset(mask)
        self._clock[flags] = 0
        for row, prefix in fresh.items():
            if prefix is not None:
                self._resume(row, prefix)

    def _resume(self, row: int, prefix: Prefix) -> None:
        n = prefix.positions
        stack = self._lm.transformer
        for layer, memory in zip(stack.layers, prefix.memory, strict=True):
            state = layer.self_attn._streaming_state
            state.kv_cache.cache[:, row, :, :n] = memory
            state.kv_cache.end_offset[row] = n
            state.offset[row] = n
        stack._streaming_state.offsets[row] = n
        generating = self._gen._streaming_state
        generating.offsets[row] = n
        generating.cache[row, :, n % generating.cache.shape[2]] = prefix.tokens
        self._clock[row] = n


def _unmarked(stage: str) -> None:
    pass

"""Changes the sampling rate of many streams at once, a hop at a time, on the device where they lie.

The filter is the one that whole signals go through (`offhook.speech.resample`), with its look-ahead turned into delay:
26 samples of 16 kHz on the way up to 24 kHz and 38 of 24 kHz on the way down, 3.2 ms both ways together.
"""

from __future__ import annotations

import torch

from offhook.speech.resample import polyphase


class StreamResampler:
    """`rows` independent streams from `from_hz` to `to_hz`, each with its own past."""

    def __init__(self, rows: int, from_hz: int, to_hz: int, device: torch.device) -> None:
        matrix, self._stride, reach = polyphase(from_hz, to_hz)
        self._matrix = torch.from_numpy(matrix).to(device)
        self._past = torch.zeros(rows, 2 * reach, device=device)

    def step(self, signal: torch.Tensor, moves: torch.Tensor) -> torch.Tensor:
        """`signal` [rows, n] float32, n whole periods of the two rates, as [rows, n * to_hz / from_hz]. The past of
        rows whose `moves` ([rows] bool) is False stays as it is, and what comes out for them is not meant."""
        heard = torch.cat([self._past, signal], dim=1)
        self._past.copy_(torch.where(moves[:, None], heard[:, -self._past.shape[1] :], self._past))
        frames = heard.unfold(1, self._matrix.shape[0], self._stride)
        return (frames @ self._matrix).flatten(1)

    def reset(self, rows: torch.Tensor) -> None:
        """Forget the past of the rows whose flag ([rows] bool) is set."""
        self._past.masked_fill_(rows[:, None], 0.0)

"""Networks to send a stream of 20 ms packets over: recorded ones, and made ones with a single disturbance."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from buffers.stream import MS, PACKET, PACKET_MS, Stream, to_ulaw

DATA = Path(os.environ.get("OFFHOOK_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
"""Recorded data, as the tests find it."""

SPIKE_AT_S = 30
SPIKE_MS = 300
SPIKE_FOR_S = 75
SKEW_PPM = 100
SKEW_FOR_S = 200
BASE_MS = 30
MEMORYLESS: dict[str, Callable[[np.random.Generator], float]] = {
    "memoryless-normal": lambda rng: rng.normal(30, 20),
    "memoryless-uniform": lambda rng: rng.uniform(0, 60),
}
"""Made jitter in which no packet's delay tells anything of the next one's, and each may overtake others: what Linux's
netem makes of `delay 30ms 20ms distribution normal` and `delay 30ms 30ms`, in ms. No recorded network is like that."""
MEMORYLESS_FOR_S = 200

Arrivals = list[int | None]
"""Of each packet, in ns since the first one left; None where it was lost."""


def recorded() -> list[str]:
    """The names of the recorded ones; empty without the data."""
    folder = DATA / "traces"
    starlink = [f"starlink-{way}" for way in ("uplink", "downlink") if (folder / f"starlink_{way}_delay.txt").exists()]
    mobile = sorted(file.name[len("mahimahi_") : -len(".txt")] for file in folder.glob("mahimahi_*.txt"))
    lossy = ["opus-high-loss"] if (folder / "opus_high_is_lost.txt").exists() else []
    return starlink + mobile + lossy


def arrivals(name: str, seconds: float) -> Arrivals:
    """The first `seconds` of the recorded one `name`."""
    folder, most = DATA / "traces", int(seconds * 1000 / PACKET_MS)
    if name.startswith("starlink-"):
        way, step = name.removeprefix("starlink-"), PACKET_MS // 10
        delays_ns = np.loadtxt(folder / f"starlink_{way}_delay.txt")[::step][:most]
        lost = np.loadtxt(folder / f"starlink_{way}_loss.txt")[::step][:most]
        return _sent(delays_ns, lost)
    if name == "opus-high-loss":
        lost = np.loadtxt(folder / "opus_high_is_lost.txt")[:most]
        return _sent(np.full(len(lost), BASE_MS * MS), lost)
    moments_ms = np.loadtxt(folder / f"mahimahi_{name}.txt", dtype=np.int64)
    return _queued_behind((moments_ms - moments_ms[0]).tolist(), most)


def spike(seconds: float = SPIKE_FOR_S, at_s: float = SPIKE_AT_S) -> Arrivals:
    """A good line that stalls once: what is sent within 300 ms comes together, at their end."""
    rng = np.random.default_rng(1)
    out: Arrivals = []
    for number in range(int(seconds * 1000 / PACKET_MS)):
        sent_ns = number * PACKET_MS * MS
        normal_ns = sent_ns + BASE_MS * MS + int(rng.uniform(0, 5) * MS)
        held = at_s * 1000 <= number * PACKET_MS < at_s * 1000 + SPIKE_MS
        out.append(max(normal_ns, int((at_s * 1000 + SPIKE_MS + BASE_MS) * MS)) if held else normal_ns)
    return out


def skewed(ppm: float, seconds: float = SKEW_FOR_S) -> Arrivals:
    """A good line from a sender whose clock is faster than ours by `ppm` millionths."""
    rng = np.random.default_rng(2)
    step_ns = PACKET_MS * MS / (1 + ppm / 1e6)
    return [int(n * step_ns + (BASE_MS + rng.uniform(0, 5)) * MS) for n in range(int(seconds * 1000 / PACKET_MS))]


def memoryless(name: str, seconds: float = MEMORYLESS_FOR_S) -> Arrivals:
    """The made jitter `name` of MEMORYLESS."""
    rng, delay_ms = np.random.default_rng(4), MEMORYLESS[name]
    return [int((n * PACKET_MS + max(0.0, delay_ms(rng))) * MS) for n in range(int(seconds * 1000 / PACKET_MS))]


def stream(name: str, moments: Sequence[int | None]) -> Stream:
    """Packets that carry something like a voice, for a buffer that looks at what it stretches: 2 s of syllables on a
    moving pitch with pauses, over and over."""
    at = np.arange(100 * PACKET) / 8000
    pitch_hz = 120 + 25 * np.sin(2 * np.pi * 0.7 * at)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / 8000
    voice = sum(np.sin(k * phase) / k for k in range(1, 20))
    loud = np.clip(np.sin(2 * np.pi * 2.5 * at), 0, 1) * (at % 2 < 1.4)
    noise = np.random.default_rng(3).standard_normal(len(at)) * 20
    return Stream.of(name, moments, to_ulaw(np.round(6_000 * voice * loud + noise).astype(np.int16)))


def _sent(delays_ns: np.ndarray, lost: np.ndarray) -> Arrivals:
    pairs = enumerate(zip(delays_ns, lost, strict=True))
    return [None if gone else number * PACKET_MS * MS + int(delay_ns) for number, (delay_ns, gone) in pairs]


def _queued_behind(moments_ms: Sequence[int], most: int) -> Arrivals:
    """A flow of 50 packets a second behind a link that delivers one at each of these moments, from the first on."""
    out: Arrivals = []
    for moment_ms in moments_ms:
        if len(out) == most:
            break
        if moment_ms >= len(out) * PACKET_MS:
            out.append(moment_ms * MS)
    return out

"""What serving a full-duplex model of Moshi's 7B shape costs: step times against slots, beside the least they can be.

    PYTHONPATH=server python3 loadtest/gpu_moshi.py                  8 to 128 slots on the GPU
    PYTHONPATH=server python3 loadtest/gpu_moshi.py --shape small    on the CPU, under a minute

The weights are random numbers: a step takes as long with them as with trained ones, and what is said means nothing.
Every step is one that the scheduler would ask for: 16 kHz sound in host memory to 16 kHz sound in host memory, through
resampling, codec, language model and codec, all slots speaking. Memory of a slot is allocated whole and read whole in
every step, so that a fresh call costs what an old one does. The limits beside are arithmetic: bytes that a step must
read by the memory's bandwidth, and operations by the processor's rate; the codec is not in them.

Needs PyTorch and the package `moshi` (0.2.13; `pip install 'offhook[moshi]'`, or its wheel alone where torch, einops,
sentencepiece, safetensors and huggingface_hub are there). Writes `moshi.json` and, where there is matplotlib,
`moshi.png` to $OUT or the folder of `--out`, the former after every point. Ends by itself when `--budget-s` is over.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from offhook.speech.capacity import BUSY
from offhook.speech.contract import HOP_MS, HOP_SAMPLES, Pcm
from offhook.speech.moshi import loading
from offhook.speech.moshi.model import GIB, RANDOM_LABEL, SPARE_BYTES
from offhook.speech.moshi.options import MoshiOptions
from offhook.speech.moshi.prompts import lay_out
from offhook.speech.moshi.rows import Rows, Sampling
from offhook.speech.moshi.shape import SHAPES, Shape

SLOTS = {"7b": (8, 16, 24, 32, 48, 64, 80, 96, 128), "small": (2, 4, 8)}
CONTEXTS = {"7b": (3000, 1500, 750), "small": (128,)}
STEPS = {"7b": 100, "small": 25}
PROMPT_TOKENS = {"7b": 130, "small": 20}
SETTLING_STEPS = 3
ADMISSIONS = 3
RATES = {"H200": (4.8e12, 790e12), "H100": (3.35e12, 790e12), "A100": (2.0e12, 312e12), "L40S": (0.86e12, 362e12)}
"""Bytes and bfloat16 operations a second of known GPUs, as their makers say or as seen."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a point takes at least, by arithmetic; None for a device of unknown rates."""

    row_gib: float
    """Memory of a slot."""
    bytes_ms: float | None
    """A step, by what it must read."""
    operations_ms: float | None
    """A step, by what it must compute."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one point, in milliseconds."""

    p50: float
    p99: float
    longest: float
    stages: dict[str, float]
    """Medians of steps that stop after each stage, and so take longer than a step that does not."""
    prompt: float
    """One pass over a prompt, done once for an agent."""
    admission: float
    """A step in which one slot is cleared and set behind that prompt."""
    memory_gib: float | None

    @property
    def in_time(self) -> bool:
        return self.p99 <= BUSY * HOP_MS


@dataclass(frozen=True, slots=True)
class Point:
    """So many slots with so long a memory, in frames."""

    slots: int
    context: int
    limits: Limits
    measured: Measured | None
    why: str = ""
    """It was not measured because of this."""


@dataclass(slots=True)
class Results:
    """Of one run; what is written."""

    label: str
    shape: str
    device: str
    torch: str
    weights_gib: float
    bandwidth: float | None
    flops: float | None
    ended: str = "running"
    points: list[Point] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        whole = folder / "moshi.json.part"
        whole.write_text(json.dumps(asdict(self), indent=1) + "\n")
        whole.replace(folder / "moshi.json")


class Bench:
    """One model, tried with one number of slots after the other."""

    def __init__(self, shape: Shape, device: torch.device, steps: int, prompt_tokens: int) -> None:
        self.shape, self.device, self._steps, self._prompt_tokens = shape, device, steps, prompt_tokens
        options = MoshiOptions(weights="random", shape=next(name for name, one in SHAPES.items() if one is shape))
        self._codec, self._lm = loading.build(options, device)

    def point(self, slots: int, context: int, bandwidth: float | None, flops: float | None) -> Point:
        """Measure; a point that does not fit into the memory says so."""
        shape = self.shape.with_context(context)
        bytes_each = 2 if self.device.type == "cuda" else 4
        row_bytes = shape.memory_bytes_per_row(bytes_each)
        read = shape.streamed_bytes(bytes_each) + slots * row_bytes
        limits = Limits(
            row_gib=row_bytes / GIB,
            bytes_ms=1000 * read / bandwidth if bandwidth else None,
            operations_ms=1000 * slots * shape.flops_per_frame / flops if flops else None,
        )
        self._tidy()
        if self.device.type == "cuda":
            free = torch.cuda.mem_get_info()[0]
            if slots * row_bytes + SPARE_BYTES > free:
                why = f"{slots * row_bytes / GIB:.0f} GiB of slots, {free / GIB:.0f} GiB free"
                return Point(slots, context, limits, None, why)
        try:
            return Point(slots, context, limits, self._measured(shape, slots))
        except torch.OutOfMemoryError as error:
            return Point(slots, context, limits, None, str(error).splitlines()[0])
        finally:
            self._tidy()

    def _measured(self, shape: Shape, slots: int) -> Measured:
        rows = Rows(self._codec, self._lm, shape, slots, Sampling(), self.device)
        try:
            rows.warm()
            noise = np.random.default_rng(3).integers(-3000, 3000, (slots, HOP_SAMPLES)).astype(np.int16)
            everyone = np.ones(slots, np.bool_)

            def step() -> object:
                return rows.step(noise, everyone)

            for _ in range(SETTLING_STEPS):
                step()
            gc.collect()
            gc.disable()
            times = [_ms(step) for _ in range(self._steps)]
            gc.enable()
            prompt = lay_out(shape, None, [5] * self._prompt_tokens)
            passes = [_ms(lambda: self._settled(rows.prefix(prompt))) for _ in range(ADMISSIONS)]
            prefix = rows.prefix(prompt)
            admissions = []
            for row in range(min(ADMISSIONS, slots)):
                rows.begin(row, prefix)
                admissions.append(_ms(step))
            stages = self._stages(rows, noise, everyone)
            memory = torch.cuda.max_memory_allocated() / GIB if self.device.type == "cuda" else None
        finally:
            gc.enable()
            rows.close()
        p50, p99 = (float(np.percentile(times, share)) for share in (50, 99))
        return Measured(p50, p99, max(times), stages, min(passes), float(np.median(admissions)), memory)

    def _stages(self, rows: Rows, noise: Pcm, everyone: npt.NDArray[np.bool_]) -> dict[str, float]:
        """What a step consists of: `in`, `encode`, `think`, `decode`, `out`."""
        times: dict[str, list[float]] = {}
        last = [0.0]

        def mark(stage: str) -> None:
            self._settled(None)
            now = time.perf_counter()
            times.setdefault(stage, []).append(1000 * (now - last[0]))
            last[0] = now

        rows.mark = mark
        for _ in range(max(5, self._steps // 5)):
            last[0] = time.perf_counter()
            rows.step(noise, everyone)
            mark("out")
        return {stage: float(np.median(taken)) for stage, taken in times.items()}

    def _settled(self, made: object) -> object:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return made

    def _tidy(self) -> None:
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()


def _ms(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


def run(chosen: argparse.Namespace, folder: Path) -> Results:
    """Measure all points that fit, in the time there is."""
    began = time.monotonic()
    shape = SHAPES[chosen.shape]
    device = loading.device_for("cpu" if chosen.shape == "small" and not chosen.device else chosen.device or "auto")
    if device.type == "cpu":
        torch.set_num_threads(chosen.threads)
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {chosen.threads} threads"
    known = next((rates for card, rates in RATES.items() if card in name), (None, None))
    results = Results(
        label=f"{shape.name}, {RANDOM_LABEL}",
        shape=shape.name,
        device=name,
        torch=torch.__version__,
        weights_gib=shape.weight_bytes(2 if device.type == "cuda" else 4) / GIB,
        bandwidth=chosen.bandwidth or known[0],
        flops=chosen.flops or known[1],
    )
    watch = threading.Timer(chosen.budget_s, _out_of_time, (results, folder, chosen.json))
    watch.daemon = True
    watch.start()
    print(f"{results.label}\n{name}, PyTorch {torch.__version__}\n{_HEAD}", flush=True)
    bench = Bench(shape, device, STEPS[chosen.shape], PROMPT_TOKENS[chosen.shape])
    for context in chosen.contexts or CONTEXTS[chosen.shape]:
        for slots in chosen.slots or SLOTS[chosen.shape]:
            if time.monotonic() - began > 0.9 * chosen.budget_s:
                results.ended = "out of time"
                break
            point = bench.point(slots, context, results.bandwidth, results.flops)
            results.points.append(point)
            results.write(folder)
            print(_line(point), flush=True)
            if point.measured is not None and point.measured.p50 > 4 * HOP_MS:
                break  # more slots only take longer still
    watch.cancel()
    results.ended = "done" if results.ended == "running" else results.ended
    return results


def finish(results: Results, folder: Path, as_json: bool) -> None:
    """The last words: which numbers of slots are served in time, the plot and the object."""
    for context in sorted({point.context for point in results.points}, reverse=True):
        points = [point for point in results.points if point.context == context]
        held = [point.slots for point in points if point.measured is not None and point.measured.in_time]
        most = f"{max(held)} slots" if held else "no number of slots tried"
        print(f"context {context}: {most} with p99 within {BUSY * HOP_MS:.0f} ms of the hop's {HOP_MS}")
    results.write(folder)
    try:
        plot(results, folder / "moshi.png")
    except ImportError:
        print("no matplotlib here, so no plot")
    if as_json:
        print(json.dumps(asdict(results)), flush=True)


def plot(results: Results, path: Path) -> None:
    """Step times against slots. Raises ImportError where there is no matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for number, context in enumerate(sorted({point.context for point in results.points}, reverse=True)):
        points = [point for point in results.points if point.context == context]
        times = [(point.slots, point.measured) for point in points if point.measured is not None]
        slots, colour = [slots for slots, _ in times], f"C{number}"
        axes.plot(slots, [one.p50 for _, one in times], "o-", color=colour, label=f"{context} frames, p50")
        axes.plot(slots, [one.p99 for _, one in times], "^--", color=colour, label=f"{context} frames, p99")
        least = [max(point.limits.bytes_ms or 0, point.limits.operations_ms or 0) for point in points]
        if any(least):
            tried = [point.slots for point in points]
            axes.plot(tried, least, ":", color=colour, label=f"{context} frames, least by arithmetic")
    axes.axhline(HOP_MS, color="black", linewidth=0.8)
    axes.axhline(BUSY * HOP_MS, color="grey", linewidth=0.8)
    axes.set(xlabel="slots", ylabel="ms a step", ylim=(0, None))
    axes.set_title(f"{results.label}\n{results.device}, PyTorch {results.torch}", fontsize=10)
    if results.points:
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=110)


def _out_of_time(results: Results, folder: Path, as_json: bool) -> None:
    results.ended = "out of time, in the middle of a point"
    finish(results, folder, as_json)
    sys.stdout.flush()
    os._exit(0)


_HEAD = "context slots     p50     p99  longest  limit: bytes   ops   prompt  admit   GiB  stages"


def _line(point: Point) -> str:
    limits, one = point.limits, point.measured
    if one is None:
        return f"{point.context:7d} {point.slots:5d}  does not fit: {point.why}"
    stages = ", ".join(f"{name} {taken:.1f}" for name, taken in one.stages.items())
    return (
        f"{point.context:7d} {point.slots:5d} {one.p50:7.1f} {one.p99:7.1f} {one.longest:8.1f} "
        f"{_number(limits.bytes_ms):>13} {_number(limits.operations_ms):>5} {one.prompt:8.1f} {one.admission:6.1f} "
        f"{_number(one.memory_gib):>5}  {stages}"
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=tuple(SHAPES), default="7b")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="")
    parser.add_argument("--slots", type=_numbers, help="numbers of slots, parted by commas")
    parser.add_argument("--contexts", type=_numbers, help="frames to look back on, parted by commas")
    parser.add_argument("--budget-s", type=float, default=500.0, help="seconds after which it ends, finished or not")
    parser.add_argument("--threads", type=int, default=1, help="cores, on the CPU")
    parser.add_argument("--bandwidth", type=float, help="bytes a second of the device's memory, for the limits")
    parser.add_argument("--flops", type=float, help="operations a second of the device, for the limits")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", ".")))
    parser.add_argument("--json", action="store_true", help="one object as the last line")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    finish(run(chosen, chosen.out), chosen.out, chosen.json)


if __name__ == "__main__":
    main()

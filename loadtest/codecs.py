"""What a packet of 20 ms costs in each codec: through the listening path, coded, and made up where it is missing.

    python loadtest/codecs.py [--json]

Builds `native/tests/codec_speed.c` as it would ship and gives it the speech beside this file, brought to 16 kHz. One
thread, processor time; what a codec costs a leg is a packet heard and a packet said, fifty times a second."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent / "build" / "speed"
Figures = dict[str, str]


def build() -> Path:
    """The measuring program."""
    options = ["-DOH_TESTS=ON", "-DOH_MODULE=OFF", "-DCMAKE_BUILD_TYPE=Release"]
    quiet = {"check": True, "stdout": subprocess.DEVNULL}
    subprocess.run(["cmake", "-S", str(HERE.parent), "-B", str(BUILD), *options], **quiet)  # type: ignore[call-overload]
    subprocess.run(["cmake", "--build", str(BUILD), "--target", "codec_speed"], **quiet)  # type: ignore[call-overload]
    return BUILD / "native" / "tests" / "codec_speed"


def speech() -> np.ndarray:
    """All sentences, one after the other, as 16-bit samples at 16 kHz."""
    parts = []
    for path in sorted((HERE / "speech").glob("*.flac")):
        pcm, rate_hz = soundfile.read(path, dtype="float32")
        assert rate_hz == 8_000, path
        spectrum = np.fft.rfft(pcm)
        parts.append(np.fft.irfft(np.append(2 * spectrum, np.zeros(len(pcm) + 1 - len(spectrum))), 2 * len(pcm)))
    return (np.clip(np.concatenate(parts), -1, 1) * 32_767).astype("<i2")


def measure() -> list[Figures]:
    """The program's lines, each as its figures by name."""
    program = build()
    with tempfile.NamedTemporaryFile(suffix=".pcm") as file:
        file.write(speech().tobytes())
        file.flush()
        done = subprocess.run([str(program), file.name], check=True, capture_output=True, text=True)
    return [dict(pair.split("=") for pair in line.split()) for line in done.stdout.splitlines()]


def show(lines: list[Figures]) -> None:
    """A table for people."""
    table = Table(title="a packet of 20 ms")
    for column in ("what", "codec", "complexity", "loss told", "µs", "kbit/s", "of a core"):
        table.add_column(column, justify="left" if column in ("what", "codec") else "right")
    for line in lines:
        ns = float(line["ns"])
        complexity = line.get("complexity", "-1")
        table.add_row(
            line["what"].replace("_", " "),
            line["codec"],
            "" if complexity == "-1" else complexity,
            f"{line['loss_percent']} %" if "loss_percent" in line else "",
            f"{ns / 1e3:.2f}",
            line.get("kbit_s", ""),
            f"{ns / 20e6:.3%}",
        )
    Console().print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="one object as the last line")
    arguments = parser.parse_args()
    lines = measure()
    show(lines)
    if arguments.json:
        print(json.dumps({"packets": lines}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

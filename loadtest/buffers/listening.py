"""The listening path (native/include/oh_listen.h): what a speech model hears. Nobody plays it, so it has no clock to
wait for: what counts is how long a packet that has arrived is held back.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from . import native
from .stream import PACKET_MS, Played, Stream


class Listening:
    """The buffer."""

    name = "listening"
    about = "offhook's path to the speech model; not for playing"
    real_time = False

    def missing(self) -> str | None:
        return native.why_not("listen_trace")

    def play(self, streams: Sequence[Stream]) -> list[Played]:
        return [self._play(stream) for stream in streams]

    def _play(self, stream: Stream) -> Played:
        arrival_ns = {packet.number: packet.arrival_ns for packet in stream.packets}
        numbers = range(stream.sent)
        delays = [arrival_ns[n] - n * PACKET_MS * 1_000_000 if n in arrival_ns else 0 for n in numbers]
        with tempfile.TemporaryDirectory(prefix="offhook-") as folder:
            home = Path(folder)
            (home / "sound").write_bytes(stream.sound)
            (home / "delays").write_text("\n".join(map(str, delays)), encoding="ascii")
            (home / "lost").write_text("\n".join(str(int(n not in arrival_ns)) for n in numbers), encoding="ascii")
            files = [home / "delays", PACKET_MS, home / "lost", home / "sound", home / "pcm", home / "held"]
            command = [str(native.program("listen_trace")), *map(str, files)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            sound = np.fromfile(home / "pcm", np.int16)
            held = np.loadtxt(home / "held", ndmin=2).reshape(-1, 2)
        figures = {name: float(value) for name, value in (pair.split("=") for pair in done.stdout.split())}
        return Played(
            arrived=len(stream.packets),
            unplayed=int(len(stream.packets) - figures["heard"]),
            made_up_percent=figures["made_up_percent"],
            delays=np.column_stack([held[:, 0], held[:, 1] / 1e6, np.ones(len(held))]),
            sound=sound,
            begin_ns=stream.packets[0].arrival_ns,
            more=figures,
        )

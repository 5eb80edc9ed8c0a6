"""The bridge path's playout buffer (native/include/oh_playout.h), asked every 20 ms as the engine does."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from . import native
from .stream import AFTER_NS, MS, PACKET, PACKET_MS, PHASES_NS, Played, Stream, together


class Ours:
    """The buffer."""

    name = "offhook"
    about = "the bridge path's buffer"
    real_time = False

    def missing(self) -> str | None:
        return native.why_not("playout_trace")

    def play(self, streams: Sequence[Stream]) -> list[Played]:
        return [together([self._play(stream, phase_ns) for phase_ns in PHASES_NS]) for stream in streams]

    def _play(self, stream: Stream, phase_ns: int) -> Played:
        with tempfile.TemporaryDirectory(prefix="offhook-") as folder:
            home = Path(folder)
            (home / "sound").write_bytes(stream.sound)
            (home / "packets").write_text("".join(_lines(stream)), encoding="ascii")
            command = [
                native.program("playout_trace"),
                "-p",
                str(PACKET_MS),
                "-b",
                str(phase_ns),
                "-e",
                str(AFTER_NS // MS),
            ]
            files = ["-a", home / "sound", "-w", home / "pcm", "-l", home / "log", home / "packets"]
            done = subprocess.run(list(map(str, command + files)), check=True, capture_output=True, text=True)
            log = np.loadtxt(home / "log", ndmin=2)
            sound = np.fromfile(home / "pcm", np.int16)
        figures = json.loads(done.stdout)
        at_ns, delay_us, concealed = log[:, 0], log[:, 1], log[:, 4]
        first_ns, last_ns = stream.packets[0].arrival_ns, stream.packets[-1].arrival_ns
        while_it_lasted = (at_ns >= first_ns) & (at_ns <= last_ns)
        heard = delay_us > 0
        return Played(
            arrived=len(stream.packets),
            unplayed=figures["late"] + figures["discarded"],
            made_up_percent=100 * float(concealed[while_it_lasted].max(initial=0)) / (PACKET * while_it_lasted.sum()),
            delays=np.column_stack([at_ns[heard], delay_us[heard] / 1000, np.full(heard.sum(), PACKET)]),
            sound=sound,
            begin_ns=phase_ns,
            more=figures,
        )


def _lines(stream: Stream) -> list[str]:
    length = len(stream.sound)
    return [
        f"{packet.arrival_ns} {packet.number} {packet.number * PACKET} a @{packet.number * PACKET % length}:{PACKET}\n"
        for packet in stream.packets
    ]

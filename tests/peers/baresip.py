"""baresip as a telephone that a test can drive: its own process, steered through its JSON control port (ctrl_tcp)."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from loadtest.served import free_port

MODULES = Path("/usr/lib/baresip/modules")

CONFIG = """\
poll_method epoll
sip_listen 127.0.0.1:{sip}
{authority}module_path {modules}
module g711.so
module aufile.so
{more}module_app account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{control}
audio_source aufile,{source}
audio_player aufile,{heard}
audio_alert aufile,{heard}
audio_path {folder}
snd_path {folder}
rtp_ports 30200-30990
rtcp_mux {mux}
call_local_timeout 60
call_max_calls 2
"""


class Baresip:
    """One telephone. `source` is what it says from the moment a call is answered on, `heard` what it hears."""

    def __init__(
        self,
        folder: Path,
        user: str,
        source: Path,
        account: str = ";regint=0",
        codec: str = "PCMU/8000/1",
        modules: Sequence[str] = (),
        authority: Path | None = None,
        port: int | None = None,
        one_port: bool = False,
    ) -> None:
        """`account` is what stands behind its address; with `port`, its server is there, over TLS, and proven by a
        certificate of `authority`. `one_port`: RTCP on the port of the audio."""
        self.heard = folder / "heard.wav"
        self.log = folder / "baresip.log"
        self._control = free_port(socket.SOCK_STREAM)
        (folder / "config").write_text(
            CONFIG.format(
                sip=free_port(socket.SOCK_DGRAM),
                modules=MODULES,
                mux="yes" if one_port else "no",
                control=self._control,
                source=source,
                heard=self.heard,
                folder=folder,
                authority=f"sip_cafile {authority}\n" if authority is not None else "",
                more="".join(f"module {name}.so\n" for name in modules),
            )
        )
        host = "127.0.0.1" if port is None else f"127.0.0.1:{port};transport=tls"
        (folder / "accounts").write_text(f"<sip:{user}@{host}>{account};audio_codecs={codec}\n")
        (folder / "contacts").write_text("")
        with self.log.open("w") as log:
            self.process = subprocess.Popen(["baresip", "-f", folder], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self._socket = self._connected()
        self._socket.settimeout(0.1)
        self._received = b""
        self.events: list[dict[str, object]] = []

    def _connected(self) -> socket.socket:
        end = time.monotonic() + 10
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self._control))
            except OSError:
                assert time.monotonic() < end, self.log.read_text()
                time.sleep(0.05)

    def command(self, name: str, parameters: str = "") -> None:
        """Give one command, as a netstring of JSON."""
        text = json.dumps({"command": name, "params": parameters}).encode()
        self._socket.sendall(b"%d:%s," % (len(text), text))

    def wait(self, kind: str, limit_s: float) -> dict[str, object]:
        """The next event of this type (`CALL_ESTABLISHED`, `CALL_CLOSED`, ...)."""
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            for event in self.events:
                if event.get("type") == kind:
                    self.events.remove(event)
                    return event
            self._read()
        raise AssertionError(f"no {kind} within {limit_s:g} s: {self.events}\n{self.log.read_text()[-3000:]}")

    def close(self) -> None:
        """End the process."""
        self.command("quit")
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._socket.close()

    def _read(self) -> None:
        try:
            self._received += self._socket.recv(65536)
        except TimeoutError:
            return
        while b":" in self._received:
            length, _, rest = self._received.partition(b":")
            if len(rest) <= int(length):
                return
            self.events.append(json.loads(rest[: int(length)]))
            self._received = rest[int(length) + 1 :]


def heard_in(folder: Path) -> Path:
    """What a telephone with the module `sndfile` wrote down of its call: all that it heard, decrypted and decoded."""
    (written,) = folder.glob("dump-*-dec.wav")
    return written


def one_file(target: Path, *parts: float | Path) -> Path:
    """A WAV of 8 kHz made of silences (seconds) and sentences."""
    pieces = []
    for part in parts:
        if isinstance(part, Path):
            pcm, rate_hz = soundfile.read(part, dtype="int16")
            assert rate_hz == 8000
            pieces.append(pcm)
        else:
            pieces.append(np.zeros(int(part * 8000), dtype=np.int16))
    soundfile.write(target, np.concatenate(pieces), 8000, subtype="PCM_16")
    return target

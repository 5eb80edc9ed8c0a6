"""A server of our own to call: `offhook run` as a process, with a home, ports and settings of its own.

For programs that measure and for tests; it is the product as it ships, started as a user would start it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


LOOPBACK = "127.0.0.1"

_asked = itertools.count()
"""How many ports this process has looked at."""
_given_for_good: set[int] = set()


class ServerError(Exception):
    """The server did not come up; the text holds what it said."""


class Served:
    """A running server. Make it with `served`."""

    def __init__(
        self,
        home: Path,
        settings: Mapping[str, Any],
        host: str = LOOPBACK,
        program: Sequence[str | Path] = ("-m", "offhook"),
    ) -> None:
        self.home, self.host = home, host
        self._program = program
        self.sip_port, self.console_port = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_STREAM)
        self.log = home / "server.log"
        self._settings = home / "offhook.toml"
        self._settings.write_text(_toml(self._whole(settings)), encoding="utf-8")
        self.process: subprocess.Popen[bytes]

    def start(self, limit_s: float = 60.0) -> None:
        """Start it and wait until it takes calls. Raises ServerError."""
        environment = {name: value for name, value in os.environ.items() if name != "OFFHOOK_HOME"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self._program, "run", "--settings", self._settings],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=environment,
            )
        try:
            self._wait_ready(limit_s)
        except BaseException:
            self.kill()
            raise

    def _wait_ready(self, limit_s: float) -> None:
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise ServerError(f"the server ended with {self.process.returncode}:\n{self.said()[-4000:]}")
            try:
                with urllib.request.urlopen(f"{self.console}/healthz", timeout=1) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.05)
        raise ServerError(f"the server was not ready within {limit_s:g} s:\n{self.said()[-4000:]}")

    @property
    def console(self) -> str:
        return f"http://{self.host}:{self.console_port}"

    def uri(self, number: str, transport: str = "udp") -> str:
        suffix = ";transport=tcp" if transport == "tcp" else ""
        return f"sip:{number}@{self.host}:{self.sip_port}{suffix}"

    def said(self) -> str:
        """Everything it has logged."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def get(self, path: str) -> Any:
        """The JSON at `path` of its web side."""
        with urllib.request.urlopen(f"{self.console}{path}", timeout=5) as answer:
            return json.load(answer)

    def metrics(self) -> dict[str, float]:
        """Its figures by name and labels, as Prometheus reads them."""
        with urllib.request.urlopen(f"{self.console}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    @property
    def worker_pid(self) -> int:
        return int(self.get("/status")["worker"]["pid"])

    def wait_idle(self, limit_s: float = 20.0) -> None:
        """Wait until no call is live and all are filed."""
        end = time.monotonic() + limit_s
        while self.get("/status")["calls"]:
            if time.monotonic() > end:
                raise ServerError("calls are still live")
            time.sleep(0.05)

    def stop(self, limit_s: float = 45.0) -> int:
        """Ask it to end, as Ctrl-C does; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerError(f"the server did not stop within {limit_s:g} s") from None

    def kill(self) -> None:
        """SIGKILL: what a crash or the OOM killer does."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()

    def _whole(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        # A media range per server, so that several can run on one machine.
        low = 20000 + (os.getpid() * 64 + self.sip_port) % 300 * 32
        whole: dict[str, Any] = {
            "home": str(self.home),
            "sip": {"host": self.host, "port": self.sip_port},
            "console": {"host": self.host, "port": self.console_port},
            "media": {"ports": [low, 29999]},
        }
        for name, value in settings.items():
            whole[name] = {**whole.get(name, {}), **value} if isinstance(value, Mapping) else value
        return whole


@contextlib.contextmanager
def served(
    home: Path, host: str = LOOPBACK, program: Sequence[str | Path] = ("-m", "offhook"), **settings: Any
) -> Iterator[Served]:
    """A server with `settings` on top of `host`, an address of this machine, and free ports; stopped when the block is
    left. `program`: what Python is to run."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # the server ends with whoever started it
    home.mkdir(parents=True, exist_ok=True)
    server = Served(home, settings, host, program)
    server.start()
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


@contextlib.contextmanager
def plainly() -> Iterator[None]:
    """For programs: where there is no server to measure, a sentence says so, and no traceback."""
    try:
        yield
    except ServerError as error:
        raise SystemExit(str(error)) from None


def free_port(kind: socket.SocketKind, for_good: bool = False) -> int:
    """A port of 127.0.0.1 that was free a moment ago. One for datagrams is free for TCP as well, because SIP has both
    at one port, and so are the three behind it, because telephones take up to four for a call's media.

    Nobody else takes it before whoever asked does: it is below those that the system gives out, and each process goes
    round in a range of its own, so that several may start servers at the same moment. `for_good`: in this process it is
    not given again, even where nobody listens at it."""
    first = 10_000 + os.getpid() % 50 * 200
    for number in itertools.islice(_asked, 50):
        port = first + number % 50 * 4
        wanted = {(port, kind), (port, socket.SOCK_STREAM)}
        if kind is socket.SOCK_DGRAM:
            wanted |= {(port + behind, kind) for behind in (1, 2, 3)}
        if port not in _given_for_good and all(_is_free(*each) for each in wanted):
            if for_good:
                _given_for_good.add(port)
            return port
    raise ServerError(f"no port of {LOOPBACK} is free between {first} and {first + 199}")


def _is_free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind is socket.SOCK_STREAM:  # as servers listen: what is left of closed connections is in nobody's way
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def _toml(value: Mapping[str, Any], prefix: str = "") -> str:
    plain = {name: item for name, item in value.items() if not isinstance(item, Mapping) and not _is_tables(item)}
    lines = [f"{name} = {json.dumps(item)}" for name, item in plain.items()]
    for name, item in value.items():
        if isinstance(item, Mapping):
            lines += [f"[{prefix}{name}]", _toml(item, f"{prefix}{name}.")]
        elif _is_tables(item):
            for one in item:
                lines += [f"[[{prefix}{name}]]", _toml(one, f"{prefix}{name}.")]
    return "\n".join(lines)


def _is_tables(item: Any) -> bool:
    return isinstance(item, list) and bool(item) and all(isinstance(one, Mapping) for one in item)

"""One speech worker process as the edge holds it: started, spoken to, watched, ended.

Watched means three things: the process has ended, no sign of life has come for a while, or signs come but its
scheduler's thread has stood still for too long. In the last two cases it is killed; what follows from a death is not
decided here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections import deque
from collections.abc import Callable, Mapping

import structlog

from offhook.speech.contract import Json
from offhook.speech.wire import (
    LINE_LIMIT,
    Beat,
    Command,
    LoadFailed,
    Ready,
    Report,
    Stop,
    WireError,
    decode_report,
    encode,
)

log = structlog.get_logger(__name__)

ADMIT_SILENCE_S = 15.0
"""How long the scheduler's thread may be at one admission; everything else has the worker's `silence_limit_s`."""
STOP_LIMIT_S = 3.0
STDERR_LINES_KEPT = 12


class SpeechUnavailable(Exception):
    """No speech worker could be started; the sentence says why and what its last words were."""


class WorkerProcess:
    """A worker that is ready, until `ended()` answers why it no longer is. Made by `spawn`."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        on_report: Callable[[WorkerProcess, Report], None],
        silence_limit_s: float,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.pid = process.pid
        self.load_ms = 0.0
        self.capacity = 0
        self._process, self._reader, self._writer = process, reader, writer
        self._on_report, self._silence_limit_s = on_report, silence_limit_s
        self._ready: asyncio.Future[float] = loop.create_future()
        self._why = ""  # why it was killed, where that was decided here
        self._last_words: deque[str] = deque(maxlen=STDERR_LINES_KEPT)
        self._last_sign = loop.time()
        self._life = asyncio.create_task(self._live(), name=f"speech-worker-{self.pid}")

    @classmethod
    async def spawn(
        cls,
        *,
        model: str,
        slots: int,
        options: Mapping[str, Json],
        segment_fd: int,
        python: str,
        on_report: Callable[[WorkerProcess, Report], None],
        ready_limit_s: float,
        silence_limit_s: float,
    ) -> WorkerProcess:
        """Start a worker and return once its model is loaded. Raises SpeechUnavailable."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *(python, "-m", "offhook.speech.worker"),
                    *("--fd", str(segment_fd), "--control-fd", str(theirs.fileno())),
                    *("--model", model, "--slots", str(slots), "--options", json.dumps(dict(options))),
                    *("--parent", str(os.getpid())),
                    pass_fds=(segment_fd, theirs.fileno()),
                    # A model brings its own threads; BLAS's would take the cores from them. Read when NumPy is loaded.
                    env={"OPENBLAS_NUM_THREADS": "1", **os.environ},
                    stdin=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.PIPE,
                )
            reader, writer = await asyncio.open_unix_connection(sock=ours, limit=2 * LINE_LIMIT)
        except BaseException as error:
            ours.close()  # should the process be there already, it ends by this
            if isinstance(error, OSError):
                raise SpeechUnavailable(f"the speech worker could not be started with {python}: {error}") from None
            raise
        worker = cls(process, reader, writer, on_report, silence_limit_s)
        try:
            worker.load_ms = await asyncio.wait_for(asyncio.shield(worker._ready), ready_limit_s)
        except TimeoutError:
            await worker._abandon(f"its model `{model}` was not loaded within {ready_limit_s:.0f} s")
            raise SpeechUnavailable(f"the speech worker was given up: {await worker.ended()}") from None
        except asyncio.CancelledError:
            await worker._abandon("no longer wanted")
            raise
        return worker

    @property
    def alive(self) -> bool:
        return not self._life.done() and not self._why

    def send(self, command: Command) -> None:
        """Put a command on its way; lost where the process is ending. Raises WireError where it cannot be said."""
        line = encode(command)
        if not self._writer.is_closing():
            self._writer.write(line)

    async def ended(self) -> str:
        """Wait until the process is gone; why, in words."""
        return await asyncio.shield(self._life)

    async def stop(self) -> None:
        """Ask it to end, kill it if it does not."""
        self.send(Stop())
        try:
            await asyncio.wait_for(self.ended(), STOP_LIMIT_S)
        except TimeoutError:
            await self._abandon(f"it did not stop within {STOP_LIMIT_S:.0f} s")

    async def _abandon(self, why: str) -> None:
        self._kill(why)
        await self.ended()

    def _kill(self, why: str) -> None:
        self._why = self._why or why
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)

    async def _live(self) -> str:
        """The process's whole life: ends with it, and answers why it ended."""
        chores = [asyncio.create_task(chore) for chore in (self._read_reports(), self._watch(), self._read_stderr())]
        code = await self._process.wait()
        # What it still said before it died is read to the end, unless a child of its own holds the pipes open.
        await asyncio.wait([chores[0], chores[2]], timeout=1.0)
        for chore in chores:
            chore.cancel()
        await asyncio.gather(*chores, return_exceptions=True)
        self._writer.close()
        why = self._why or _death(code)
        if not self._ready.done():
            if self._last_words and not self._why:
                why += "; its last words: " + " | ".join(self._last_words)
            self._ready.set_exception(SpeechUnavailable(f"the speech worker ended before it was ready: {why}"))
            self._ready.exception()  # retrieved: nobody may be waiting any more
        return why

    async def _read_reports(self) -> None:
        while True:
            try:
                line = await self._reader.readline()
                report = decode_report(line) if line else None
            except (WireError, ValueError) as error:
                self._kill(f"it sent what is no report: {error}")
                return
            except OSError:
                return
            if report is None:
                return
            self._last_sign = asyncio.get_running_loop().time()
            match report:
                case Ready(load_ms, capacity):
                    self.capacity = capacity
                    if not self._ready.done():
                        self._ready.set_result(load_ms)
                case LoadFailed(why):
                    self._why = why
                case Beat(idle_ms, doing):
                    limit_s = ADMIT_SILENCE_S if doing == "admit" else self._silence_limit_s
                    if self._ready.done() and idle_ms > 1000 * limit_s:
                        self._kill(f"its scheduler has been at `{doing}` for {idle_ms / 1000:.1f} s")
                case _:
                    self._on_report(self, report)

    async def _watch(self) -> None:
        """Kill the process when no sign of life has come for a while. Loading has its own limit, see `spawn`."""
        loop = asyncio.get_running_loop()
        period_s = self._silence_limit_s / 8
        await asyncio.wait([self._ready])
        self._last_sign = loop.time()
        while True:
            asleep = loop.time()
            await asyncio.sleep(period_s)
            # An event loop that was itself held up has not had the chance to read the signs: that time is its own.
            self._last_sign += max(0.0, loop.time() - asleep - 2 * period_s)
            silent_s = loop.time() - self._last_sign
            if silent_s > self._silence_limit_s:
                self._kill(f"it gave no sign of life for {silent_s:.1f} s")
                return

    async def _read_stderr(self) -> None:
        stream = self._process.stderr
        assert stream is not None
        while True:
            try:
                raw = await stream.readline()
            except ValueError:  # a line longer than the stream's limit; the rest of it follows
                continue
            if not raw:
                return
            line = raw.decode("utf-8", "replace").rstrip()[:2000]
            if line:
                level, _, words = line.partition(": ")
                known = level in _LEVELS
                self._last_words.append(line)
                log.log(_LEVELS.get(level, 30), "speech worker says", pid=self.pid, line=words if known else line)


_LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}


def _death(code: int) -> str:
    if code >= 0:
        return f"it ended with status {code}"
    try:
        return f"it was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"it was ended by signal {-code}"

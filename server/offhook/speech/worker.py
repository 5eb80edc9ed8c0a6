"""The speech worker: a process of its own that holds one model and serves a segment's slots with it.

Its main thread is the scheduler's: it ticks, and carries out what the edge asks for in the time that is left until
the next tick, live calls before new ones. Two more threads read commands from the edge and write reports to it, so
that an edge that is busy never holds up a step. It decides nothing about calls, and ends when the edge does. Run by
`offhook.speech.process`, not by people.
"""

from __future__ import annotations

import argparse
import ctypes
import faulthandler
import gc
import importlib
import json
import logging
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Final, Protocol, cast

from offhook.speech.contract import Event, Json, SpeechModel
from offhook.speech.lateness import Cause, ProcessorWait
from offhook.speech.scheduler import ModelBroken, NotServed, Scheduler
from offhook.speech.slots import Segment, SegmentFault
from offhook.speech.wire import (
    LINE_LIMIT,
    Admit,
    Admitted,
    Beat,
    Command,
    Counted,
    Deliver,
    Happened,
    LoadFailed,
    Ping,
    Pong,
    Ready,
    Refused,
    Rehearse,
    Release,
    Report,
    Stop,
    WireError,
    decode_command,
    encode,
)

log = logging.getLogger("offhook.speech.worker")

MODELS: Final[Mapping[str, str]] = {
    "echo": "offhook.speech.echo:EchoModel",
    "cascade": "offhook.speech.cascade:CascadeModel",
    "duplex": "offhook.speech.duplex.model:DuplexModel",
    "moshi": "offhook.speech.moshi.model:MoshiModel",
    "realtime": "offhook.speech.realtime.model:RealtimeModel",
}
"""Models by name; any other is named by where it lies, `package.module:Class`."""

BEAT_S: Final = 0.25
STATS_NS: Final = 1_000_000_000
PATIENCE_NS: Final = 1_000_000_000
"""How long a new call waits for a moment in which the live ones do not need the thread."""
LAST_WORDS_S: Final = 1.0
"""How long the edge may take to read what is left to tell when the worker ends."""
REPORTS_LIMIT: Final = 50_000
"""Reports that may wait for an edge that does not read them; past that it is no edge any more."""


class ModelClass(Protocol):
    """What a model's name leads to."""

    def load(self, slots: int, options: Mapping[str, Json]) -> SpeechModel:
        """The model, ready to serve. Raises with a sentence for the operator where it cannot be loaded."""


class Worker:
    """The main thread's loop, and the two threads that feed it and speak for it."""

    def __init__(self, model: SpeechModel, segment: Segment, control: socket.socket) -> None:
        self._model = model
        self._control = control
        self._commands: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self._reports: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._scheduler = Scheduler(model, segment, self._happened, processor_wait_ns=ProcessorWait())
        self._later: deque[tuple[int, Admit | Rehearse]] = deque()
        """What takes the thread for longer and can wait, with when it was asked for."""
        self._took_ns: dict[type[Command], int] = {}
        """How long such a thing took lately."""
        self._collecting_ns = 0
        self._doing = "warm"
        self._since_ns = time.monotonic_ns()

    def run(self, load_ms: float) -> None:
        """Serve until told to stop or the edge is gone. Raises ModelBroken."""
        scheduler = self._scheduler
        scheduler.warm()
        writing = threading.Thread(target=self._write_reports, name="reports", daemon=True)
        threading.Thread(target=self._read_commands, name="commands", daemon=True).start()
        writing.start()
        # What was loaded stays: the collector need not go through it again while a hop is waiting.
        gc.collect()
        gc.freeze()
        self._say(Ready(load_ms, scheduler.limit))
        gc.callbacks.append(self._collected)
        try:
            self._serve(scheduler)
        finally:
            # What the last ticks had to tell (a memo, what a call wants of a tool) is told before the process is gone.
            self._reports.put(b"")
            writing.join(LAST_WORDS_S)

    def _serve(self, scheduler: Scheduler) -> None:
        count_at_ns = 0
        while self._obey():
            self._done("tick")
            if scheduler.in_use and time.monotonic_ns() >= scheduler.deadline_ns:
                scheduler.tick()
            if time.monotonic_ns() >= count_at_ns:
                count_at_ns = time.monotonic_ns() + STATS_NS
                scheduler.review()
                self._say(Counted(scheduler.stats()))

    def _obey(self) -> bool:
        """Until the next tick is due (or for a while, where nobody is there to be served), carry out what is asked.
        False when the end has come."""
        idle_until_ns = time.monotonic_ns() + int(BEAT_S * 1e9)
        while True:
            scheduler = self._scheduler
            until_ns = scheduler.deadline_ns if scheduler.in_use else idle_until_ns
            slack_ns = until_ns - time.monotonic_ns()
            at_once = slack_ns <= 0 or self._next_fits(slack_ns)
            self._done("wait")
            try:
                command = self._commands.get(block=not at_once, timeout=None if at_once else slack_ns / 1e9)
            except queue.Empty:
                if not at_once or not self._later or (slack_ns <= 0 and not self._overdue()):
                    return True
                self._carry_out(self._later.popleft()[1])
                if slack_ns <= 0:  # one at a time, where ticks are always late; the tick comes first again
                    return True
                continue
            match command:
                case None | Stop():
                    return False
                case Admit() | Rehearse():
                    self._later.append((time.monotonic_ns(), command))
                case Release(slot, epoch):
                    for asked in [asked for asked in self._later if _is_of(asked[1], slot, epoch)]:
                        self._later.remove(asked)
                    self._carry_out(command)
                case _:
                    self._carry_out(command)

    def _next_fits(self, slack_ns: int) -> bool:
        """Whether the next thing that can wait is to be done now: it fits, nobody is disturbed, or it has waited long
        enough."""
        if not self._later:
            return False
        if not self._scheduler.in_use or self._overdue():
            return True
        return self._took_ns.get(type(self._later[0][1]), 0) < slack_ns

    def _overdue(self) -> bool:
        return time.monotonic_ns() - self._later[0][0] > PATIENCE_NS

    def _carry_out(self, command: Command) -> None:
        scheduler = self._scheduler
        began_ns = time.monotonic_ns()
        match command:
            case Admit(ask, slot, epoch, persona, again):
                self._done("admit")
                try:
                    scheduler.admit(slot, epoch, persona, again)
                except NotServed as refusal:
                    self._say(Refused(ask, refusal.reason, str(refusal)))
                else:
                    self._say(Admitted(ask))
            case Deliver(slot, epoch, delivery):
                self._done("deliver")
                scheduler.deliver(slot, epoch, delivery)
            case Release(slot, epoch):
                self._done("release")
                scheduler.release(slot, epoch=epoch)
            case Rehearse(persona):
                self._done("rehearse")
                if hasattr(self._model, "rehearse"):
                    self._model.rehearse(persona)
            case Ping(ask):
                self._say(Pong(ask))
        ended_ns = time.monotonic_ns()
        scheduler.ledger.spent(Cause.ADMISSION, began_ns, ended_ns)
        # The longest of late, forgotten by and by.
        kind = type(command)
        self._took_ns[kind] = max(ended_ns - began_ns, self._took_ns.get(kind, 0) * 7 // 8)

    def _collected(self, phase: str, _info: object) -> None:
        """Python's collector begins or ends (`gc.callbacks`)."""
        if phase == "start":
            self._collecting_ns = time.monotonic_ns()
        else:
            self._scheduler.ledger.spent(Cause.COLLECTION, self._collecting_ns, time.monotonic_ns())

    def _happened(self, epoch: int, event: Event) -> None:
        try:
            self._say(Happened(epoch, event))
        except WireError as error:
            log.error("slot %d: an event of the model's cannot be reported: %s", event.slot, error)

    def _say(self, report: Report) -> None:
        self._reports.put(encode(report))

    def _done(self, next_thing: str) -> None:
        self._doing, self._since_ns = next_thing, time.monotonic_ns()

    # --- the other two threads

    def _read_commands(self) -> None:
        with self._control.makefile("rb") as lines:
            try:
                while line := lines.readline(2 * LINE_LIMIT):
                    try:
                        self._commands.put(decode_command(line))
                    except WireError as error:
                        log.error("a command was not understood: %s", error)
            except OSError:
                pass
        self._commands.put(None)

    def _write_reports(self) -> None:
        """Reports in order, with a sign of life among them that tells how long the main thread has been at what."""
        beat_at = time.monotonic()
        while True:
            try:
                line = self._reports.get(timeout=max(0.0, beat_at - time.monotonic()))
                if not line:
                    return
                self._control.sendall(line)
                if self._reports.qsize() > REPORTS_LIMIT:
                    raise OSError(f"{REPORTS_LIMIT} reports wait unread")
            except queue.Empty:
                pass
            except OSError as error:
                log.error("the edge no longer listens: %s", error)
                self._commands.put(None)
                return
            if time.monotonic() >= beat_at:
                beat_at = time.monotonic() + BEAT_S
                self._say(Beat((time.monotonic_ns() - self._since_ns) / 1e6, self._doing))


def _is_of(command: Admit | Rehearse, slot: int, epoch: int) -> bool:
    return isinstance(command, Admit) and (command.slot, command.epoch) == (slot, epoch)


def model_class(name: str) -> ModelClass:
    """The class behind a model's name. Raises ValueError or ImportError with what is wrong."""
    module, _, attribute = MODELS.get(name, name).partition(":")
    if not attribute:
        known = ", ".join(MODELS)
        raise ValueError(f"there is no speech model `{name}`; known are {known}, others are named package.module:Class")
    found = getattr(importlib.import_module(module), attribute, None)
    if not hasattr(found, "load"):
        raise ValueError(f"`{name}` leads to no class with a method `load(slots, options)`")
    return cast(ModelClass, found)


def main(arguments: list[str] | None = None) -> int:
    """The process: 0 where it was told to end, 2 where the model does not load, 3 where it broke down later."""
    parser = argparse.ArgumentParser(prog="offhook.speech.worker", description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="descriptor of the slots segment")
    parser.add_argument("--control-fd", type=int, required=True, help="descriptor of the socket to the edge")
    parser.add_argument("--model", required=True, help=f"one of {', '.join(MODELS)}, or package.module:Class")
    parser.add_argument("--slots", type=int, required=True, help="conversations at once")
    parser.add_argument("--options", type=json.loads, default={}, help="the model's own, a JSON object")
    parser.add_argument("--parent", type=int, default=0, help="process that this one shall not outlive")
    chosen = parser.parse_args(arguments)
    _die_with(chosen.parent)
    # Ctrl-C and a service manager's SIGTERM reach the whole group: the edge drains, and then ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    faulthandler.enable()
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine("%(levelname)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    # A model's own threads may be at Python code when a tick is due: have them give way sooner than after 5 ms.
    sys.setswitchinterval(0.001)
    control = socket.socket(fileno=chosen.control_fd)
    began = time.monotonic()
    try:
        segment = Segment(chosen.fd)
        if segment.slots < chosen.slots:
            raise SegmentFault(f"{chosen.slots} slots are wanted and the segment has rows for {segment.slots}")
        model = model_class(chosen.model).load(chosen.slots, chosen.options)
        worker = Worker(model, segment, control)
    except Exception as error:
        if not isinstance(error, ValueError | ImportError | OSError):
            log.exception("loading `%s` failed", chosen.model)
        control.sendall(encode(LoadFailed(f"its model `{chosen.model}` does not load: {error}"[:4000])))
        return 2
    try:
        worker.run(1000 * (time.monotonic() - began))
    except ModelBroken as error:
        log.critical("%s", error)
        return 3
    return 0


class _OneLine(logging.Formatter):
    """A record with its traceback as the one line that the edge logs."""

    def format(self, record: logging.LogRecord) -> str:
        return " | ".join(super().format(record).splitlines())


def _die_with(parent: int) -> None:
    """Have the kernel end this process when its parent does, however that ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    pr_set_pdeathsig = 1
    libc.prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)
    if parent and os.getppid() != parent:  # it was gone before this line
        os._exit(0)


if __name__ == "__main__":
    # Threads of a model's (pools of libraries) may still be at work and are waited for at an orderly end: do not.
    status = main()
    logging.shutdown()
    os._exit(status)

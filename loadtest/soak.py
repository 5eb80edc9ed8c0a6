"""Ten thousand whole calls through the server as it ships, set up, heard, recorded, and ended in every way a call can
end: memory, descriptors and threads of its processes stand, and nothing of a call stays alive.

    python loadtest/soak.py --calls 10000             a table; ends with 1 where something grew
    python loadtest/soak.py --calls 10000 --json      the last line is one object

SIPp calls, over UDP and TCP, and is called (`endings` has how calls go); our telephone calls over TLS with SRTP; aiortc
calls as a web page does. After a warm-up the server's memory is fitted against the calls that are over. Where the last
transaction is over too, what lives in the server is counted by type, and compared with what lived there after the
warm-up (`insides`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from endings import FAR_ENDS, SippError, Sipps
from insides import Insides, look
from offhook.calls.caller import CallerError, Phone
from offhook.sip import Srtp, Terms
from offhook.telemetry import logs
from served import LOOPBACK, Served, ServerError, free_port, plainly, served
from webpeer import WebPeerError, web_call

MIX = {
    "hangs up": 0.30,
    "hangs up over TCP": 0.08,
    "is hung up on": 0.16,
    "holds": 0.09,
    "gives up": 0.08,
    "is put through": 0.06,
    "is told busy": 0.06,
    "rings nobody": 0.05,
    "vanishes": 0.04,
    "never acknowledges": 0.02,
    "is encrypted": 0.03,
    "calls from a page": 0.03,
}
"""What the caller does, and in which share of the calls."""

NUMBERS = {
    "is hung up on": "400",
    "gives up": "201",
    "is put through": "200",
    "is told busy": "486",
    "rings nobody": "999",
}
"""What is dialled, where it is not 100."""

PLAN = """\
dialplan: 1
timezone: UTC
numbers:
  "100": {{flow: talk}}
  "200": {{flow: person}}
  "201": {{flow: rings}}
  "400": {{flow: line-test}}
  "486": {{flow: all-busy}}
flows:
  talk:
    - disclose: [ai, recording]
    - record: {{keep: 1d}}
    - agent:
        use: order-desk@1
        max: 60m
        exits: {{resolved: next, human: next, failed: next, busy: next, timeout: next}}
    - hangup: normal
  person:
    - disclose: recording
    - record: {{keep: 1d}}
    - dial: {{to: "{answers}", ring: 20s, max: 1s, exits: {exits}}}
    - hangup: normal
  rings:
    - dial: {{to: "{rings}", ring: 60s, exits: {exits}}}
    - hangup: unavailable
  line-test:
    - disclose: recording
    - record: {{keep: 1d}}
    - say: line-test
    - hangup: normal
  all-busy: [hangup: busy]
prompts:
  disclose-ai: {{en: "Hi."}}
  disclose-recording: {{en: "Kept."}}
  line-test: {{en: "One."}}
"""

FarEnds = Mapping[str, int]
"""Where the telephones listen that the plan dials, by what they do."""

OVER = ("offhook_calls_total", "offhook_refusals_total")
"""The server's figures that count calls which are over."""

SLOTS = 64
DRAINED_S = 68.0
"""After the last call: an ACK that does not come is waited for for 32 s, and then the answer to a BYE (RFC 3261 17)."""
DRAINED_SOONER_S = 36.0
"""Where all calls are acknowledged, as they are where nothing is to be warm: that is for who is in a hurry."""
SAMPLE_S = 2.0
STRETCHES = 12
KEPT_S = 60.0
"""How long the files of a call that is over lie on the disk."""
PATIENCE_S = 120.0

GROWTH_BYTES = 400.0
"""Private memory a call may add to a process: what is kept of a call in the least is several kB."""
GROWTH_DESCRIPTORS = 16
"""The database's pool opens its five connections, of three files each, as they come to be needed."""
GROWTH_THREADS = 8
"""So do the pools of threads, where the disk is worked with."""
LEFT_SHARE = 0.02
"""Objects of a type there may be more at the end by so many for each call: one for every fiftieth."""
EXPECTED = {"weakref.ReferenceType", "offhook.console.callpage.Rate"}
"""Python's sqlite3 forgets the cursors of a connection that are gone two hundred at a time; of pages the last 4,096
addresses are remembered."""
OWN = ("offhook.", "task ", "OpenSSL.")
"""Whose objects are judged where nothing was warm."""
FAILED_SHARE = 0.02
"""Of the calls that are to go some way so many may not: the machine may be busy."""


@dataclass(slots=True)
class Process:
    """One of the server's processes. Pairs are after the warm-up and at the end, with nobody on the line."""

    private_mib: tuple[float, float] = (0.0, 0.0)
    """The median of the first third of the calls, and of the last."""
    idle_private_mib: tuple[float, float] = (0.0, 0.0)
    rss_mib: tuple[float, float] = (0.0, 0.0)
    private_mib_by_stretch: list[float] = field(default_factory=list)
    """Medians, from the warm-up to the end."""
    bytes_a_call: float = 0.0
    """Private memory fitted against the calls that were over, in the last third: by then threads and the database's
    connections are as many as they become, and these have filled their page caches, 2 MiB each."""
    bytes_a_call_error: float = 0.0
    """Its standard error."""
    idle_bytes_a_call: float = 0.0
    """From `idle_private_mib`."""
    descriptors: dict[str, tuple[int, int]] = field(default_factory=dict)
    most_descriptors: int = 0
    threads: tuple[int, int] = (0, 0)


@dataclass(slots=True)
class Found:
    calls: int = 0
    minutes: float = 0.0
    calls_a_second: float = 0.0
    most_live: int = 0
    went: dict[str, int] = field(default_factory=dict)
    """Calls in which the caller did as they were to."""
    failed: dict[str, int] = field(default_factory=dict)
    ended_by: dict[str, int] = field(default_factory=dict)
    """As the server counts."""
    packets_in: int = 0
    edge: Process = field(default_factory=Process)
    worker: Process = field(default_factory=Process)
    database_bytes_a_call: float = 0.0
    objects: tuple[int, int] = (0, 0)
    """Alive in the edge, as far as Python's collector knows."""
    left: dict[str, int] = field(default_factory=dict)
    """Types of which there are more at the end."""
    long: list[str] = field(default_factory=list)
    """The longest containers at the end."""
    violations: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Weight:
    """A process at one moment."""

    calls: int
    """That were over by then."""
    private: int
    """Bytes that it has written itself. What it merely reads of a file is its own or shared as others come and go."""
    rss: int
    descriptors: Counter[str]
    """By kind."""
    threads: int


@dataclass(frozen=True, slots=True)
class Idle:
    """The server with nobody on the line and nothing pending."""

    insides: Insides
    processes: dict[str, Weight]
    database: int
    ended_by: dict[str, int]


class Soak:
    """The run: who calls, and what is watched meanwhile."""

    def __init__(self, server: Served, window: Path, folder: Path, certificate: Path, far_ends: FarEnds) -> None:
        self.server = server
        self.found = Found()
        self._window, self._folder, self._certificate, self._far_ends = window, folder, certificate, far_ends
        self._dice = random.Random(1)
        self._went: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._weights: list[dict[str, Weight]] = []
        self._pids = {"edge": server.process.pid, "worker": server.worker_pid}
        tls = next(each for each in server.get("/status")["sip"] if each.startswith("tls"))
        self._tls_port = int(tls.rpartition(":")[2])

    async def run(self, calls: int, warm: int, a_second: float) -> None:
        """Warm up, look, make the rest of the calls, look again, judge."""
        began = time.monotonic()
        beside = [asyncio.create_task(self._weigh()), asyncio.create_task(self._sweep())]
        try:
            if warm:
                await self._calls(warm, a_second)
            before = await self._idle(DRAINED_S if warm else 0.0)
            self._weights.clear()
            calling = time.monotonic()
            await self._calls(calls - warm, a_second, "" if warm else "never acknowledges")
            self.found.calls_a_second = round((calls - warm) / (time.monotonic() - calling), 2)
            after = await self._idle(DRAINED_S if warm else DRAINED_SOONER_S)
        finally:
            for task in beside:
                task.cancel()
        self.found.calls = calls
        self.found.minutes = round((time.monotonic() - began) / 60, 1)
        self.found.ended_by = after.ended_by
        self.found.database_bytes_a_call = round((after.database - before.database) / (calls - warm), 1)
        self._judge_calls()
        for name, process in (("edge", self.found.edge), ("worker", self.found.worker)):
            self._weigh_up(process, name, before, after)
            if warm:
                self._judge_process(process, name)
        self._judge_insides(calls - warm, before.insides, after.insides, ("",) if warm else OWN)

    # --- calls

    async def _calls(self, calls: int, a_second: float, left_out: str = "") -> None:
        """So many calls, in all ways at once."""
        counts = {way: round(calls * share) for way, share in MIX.items() if way != left_out}
        counts["hangs up"] += calls - sum(counts.values())
        seconds = calls / a_second
        terms = Terms(srtp=Srtp.REQUIRED)
        folder = self._folder / f"sipp-{time.monotonic_ns()}"
        folder.mkdir()
        async with Sipps(folder) as sipps:
            for how, port in self._far_ends.items():
                await sipps.answer(how, port)
            async with Phone.plugged_in(16, transport="tls", terms=terms, authorities=self._certificate) as phone:
                sound = phone.core.load_prompt(_sound(), 16_000)
                own: dict[str, Callable[[], Awaitable[None]]] = {
                    "is encrypted": lambda: self._encrypted(phone, sound),
                    "calls from a page": self._from_a_page,
                }
                async with asyncio.TaskGroup() as tasks:
                    for way, count in counts.items():
                        if way in own:
                            tasks.create_task(self._spread(way, count, seconds, own[way]))
                        elif count:
                            tasks.create_task(self._sipp(sipps, way, count, seconds))

    async def _sipp(self, sipps: Sipps, way: str, count: int, seconds: float) -> None:
        how, _, over = way.partition(" over ")
        number = NUMBERS.get(how, "100")
        to = f"{LOOPBACK}:{self.server.sip_port}"
        how = "is hung up on" if how == "is put through" else how
        went, failed = await sipps.call(how, to, number, count, seconds, over == "TCP")
        self._went[way] += went
        self._failed[way] += failed

    async def _spread(self, way: str, count: int, seconds: float, one: Callable[[], Awaitable[None]]) -> None:
        """`count` calls of ours, spread over `seconds`."""

        async def call() -> None:
            try:
                await one()
                self._went[way] += 1
            except (CallerError, WebPeerError, OSError) as error:
                self._failed[way] += 1
                print(f"{way}: {error}", file=sys.stderr, flush=True)

        began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for number in range(count):
                await asyncio.sleep(max(0.0, began + number * seconds / count - time.monotonic()))
                tasks.create_task(call())

    async def _encrypted(self, phone: Phone, sound: int) -> None:
        async with phone.ring(f"sip:100@{LOOPBACK}:{self._tls_port};transport=tls") as line:
            if line.leg.agreed is None or not line.leg.agreed.secure:
                raise CallerError("the call is not encrypted")
            line.port.play(sound)
            await asyncio.sleep(self._dice.uniform(0.3, 1.5))

    async def _from_a_page(self) -> None:
        # From one of many addresses: the server bounds what may come from each.
        source = f"127.0.0.{self._dice.randrange(20, 52)}"
        await web_call(self.server.console, "100", source, self._dice.uniform(0.3, 1.5), self._dice.random() < 0.8)

    # --- looking

    async def _weigh(self) -> None:
        while True:
            await asyncio.sleep(SAMPLE_S)
            with contextlib.suppress(OSError):
                self._weights.append(await asyncio.to_thread(self._weighed))

    def _weighed(self) -> dict[str, Weight]:
        figures = self.server.metrics()
        self.found.most_live = max(self.found.most_live, int(figures["offhook_calls_live"]))
        over = sum(count for name, count in figures.items() if name.startswith(OVER))
        return {name: _weight(pid, int(over)) for name, pid in self._pids.items()}

    async def _idle(self, drained_s: float) -> Idle:
        """Wait until nobody is on the line and all transactions are forgotten, and look."""
        await asyncio.to_thread(self.server.wait_idle, PATIENCE_S)
        await asyncio.sleep(drained_s)
        if self.server.worker_pid != self._pids["worker"]:
            raise ServerError("the speech worker was replaced: memory cannot be compared")
        status = await asyncio.to_thread(self.server.get, "/status")
        if status["worker"]["slots_used"] or status["calls"]:
            self._violated(f"with nobody on the line {status['worker']['slots_used']} slots are held")
        insides = await asyncio.to_thread(look, self._window)
        figures = await asyncio.to_thread(self.server.metrics)
        self.found.packets_in = int(figures.get('offhook_packets_total{direction="in"}', 0))
        ended = {name.removeprefix(OVER[0]): int(n) for name, n in figures.items() if name.startswith(OVER)}
        database = sum(file.stat().st_size for file in self.server.home.glob("offhook.db*"))
        return Idle(insides, await asyncio.to_thread(self._weighed), database, ended)

    async def _sweep(self) -> None:
        """The files of calls that are over would fill the disk."""
        while True:
            await asyncio.to_thread(self._swept, time.time() - KEPT_S)
            await asyncio.sleep(KEPT_S / 4)

    def _swept(self, before: float) -> None:
        for folder in (self.server.home / "calls").glob("*/*"):
            with contextlib.suppress(FileNotFoundError):
                if (folder / "timeline.jsonl").stat().st_mtime < before:
                    shutil.rmtree(folder, ignore_errors=True)

    # --- judging

    def _judge_calls(self) -> None:
        self.found.went = dict(self._went)
        self.found.failed = {way: count for way, count in self._failed.items() if count}
        for way, count in self.found.failed.items():
            if count > max(2, FAILED_SHARE * (count + self._went[way])):
                self._violated(f"{count} of {count + self._went[way]} calls failed of those where the caller {way}")
        trouble = Counter(
            word for word in ("Traceback", "ended by an error", "was never awaited") if word in self.server.said()
        )
        for word in trouble:
            self._violated(f"the server's log has a `{word}`")

    def _weigh_up(self, process: Process, name: str, before: Idle, after: Idle) -> None:
        warm, last = before.processes[name], after.processes[name]
        weights = [each[name] for each in self._weights]
        live = [each for each in weights if each.calls < last.calls]
        third = max(1, len(live) // 3)
        process.private_mib = _mib(live[:third]), _mib(live[-third:])
        process.idle_private_mib = _mib([warm]), _mib([last])
        process.rss_mib = round(warm.rss / 2**20, 2), round(last.rss / 2**20, 2)
        process.private_mib_by_stretch = [round(mib, 1) for mib in _stretches(live)[1] / 2**20]
        process.bytes_a_call, process.bytes_a_call_error = _slope(live[-third:])
        process.idle_bytes_a_call = round((last.private - warm.private) / max(1, last.calls - warm.calls), 1)
        kinds = sorted({*warm.descriptors, *last.descriptors})
        process.descriptors = {kind: (warm.descriptors[kind], last.descriptors[kind]) for kind in kinds}
        process.most_descriptors = max(each.descriptors.total() for each in weights)
        process.threads = warm.threads, last.threads

    def _judge_process(self, process: Process, name: str) -> None:
        if process.bytes_a_call - 2 * process.bytes_a_call_error > GROWTH_BYTES:
            self._violated(f"the {name} grew by {process.bytes_a_call:g} bytes a call")
        warm, last = (sum(count[at] for count in process.descriptors.values()) for at in (0, 1))
        if last > warm + GROWTH_DESCRIPTORS:
            self._violated(f"the {name} holds descriptors of calls that are over: {process.descriptors}")
        if process.threads[1] > process.threads[0] + GROWTH_THREADS:
            self._violated(f"the {name} had {process.threads[0]} threads and has {process.threads[1]}")

    def _judge_insides(self, calls: int, before: Insides, after: Insides, packages: tuple[str, ...]) -> None:
        self.found.objects = sum(before.objects.values()), sum(after.objects.values())
        self.found.long = after.long
        more = Counter(after.objects)
        more.subtract(before.objects)
        self.found.left = {
            kind: count
            for kind, count in more.most_common()
            if count > LEFT_SHARE * calls and kind.startswith(packages) and kind not in EXPECTED
        }
        if self.found.left:
            self._violated(f"of calls that are over there is still alive: {self.found.left}")

    def _violated(self, what: str) -> None:
        self.found.violations.append(what)
        print(f"VIOLATION: {what}", file=sys.stderr, flush=True)


def _mib(weights: Sequence[Weight]) -> float:
    return round(statistics.median(each.private for each in weights) / 2**20, 2)


def _weight(pid: int, calls: int) -> Weight:
    """What proc(5) says of a process."""
    at = Path(f"/proc/{pid}")
    rollup = dict(line.split(":", 1) for line in (at / "smaps_rollup").read_text(encoding="ascii").splitlines()[1:])
    kib = {name: int(value.split()[0]) for name, value in rollup.items()}
    kinds: Counter[str] = Counter()
    for descriptor in (at / "fd").iterdir():
        with contextlib.suppress(OSError):
            kind, inside, rest = os.readlink(descriptor).partition(":")
            kinds[(rest if kind == "anon_inode" else kind) if inside else "file"] += 1
    threads = len(os.listdir(at / "task"))
    return Weight(calls, 1024 * kib["Private_Dirty"], 1024 * kib["Rss"], kinds, threads)


def _stretches(weights: Sequence[Weight]) -> npt.NDArray[np.float64]:
    """Calls and private bytes, [2, STRETCHES]: medians over equal stretches. Samples that follow each other are not
    independent."""
    parts = np.array_split(np.array([(each.calls, each.private) for each in weights], float), STRETCHES)
    return np.array([np.median(part, axis=0) for part in parts if len(part)]).T


def _slope(weights: Sequence[Weight]) -> tuple[float, float]:
    """Bytes a call, and the standard error of that, by least squares; nothing where there is too little to go by."""
    if len(weights) < 3 * STRETCHES:
        return 0.0, 0.0
    calls, private = _stretches(weights)
    around = calls - calls.mean()
    slope = float((around * private).sum() / (around**2).sum())
    rest = private - private.mean() - slope * around
    error = float(np.sqrt((rest**2).sum() / (STRETCHES - 2) / (around**2).sum()))
    return round(slope, 1), round(error, 1)


def _sound() -> npt.NDArray[np.int16]:
    return (6_000 * np.sin(2 * np.pi * 440 / 16_000 * np.arange(8_000))).astype(np.int16)


def _certificate(folder: Path) -> tuple[Path, Path]:
    """One for this machine, which is its own authority, and its key."""
    paths = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=soak", "-addext", f"subjectAltName=IP:{LOOPBACK}"),
            *("-out", paths[0], "-keyout", paths[1]),
        ],
        check=True,
        capture_output=True,
    )
    return paths


def soak(calls: int, warm: int, a_second: float) -> Found:
    """Run it against a server of its own."""
    far_ends = {how: free_port(socket.SOCK_DGRAM, for_good=True) for how in FAR_ENDS}
    with tempfile.TemporaryDirectory(prefix="offhook-") as folder:
        home = Path(folder) / "home"
        home.mkdir()
        certificate, key = _certificate(Path(folder))
        answers, rings = (f"sip:far@{LOOPBACK}:{far_ends[how]}" for how in ("answers", "only rings"))
        exits = "{answered: next, no-answer: next, busy: next, failed: next}"
        plan = Path(folder) / "plan.yaml"
        plan.write_text(PLAN.format(answers=answers, rings=rings, exits=exits), encoding="utf-8")
        window = Path(folder) / "window"
        sip = {"certificate": str(certificate), "key": str(key), "tls_port": 0, "transports": ["udp", "tcp", "tls"]}
        with served(
            home,
            program=(Path(__file__).with_name("insides.py"), window),
            dialplan=str(plan),
            sip=sip,
            speech={"model": "echo", "slots": SLOTS},
            limits={"calls": 4 * SLOTS, "no_media_s": 1.0},
            web={"away_s": 2.0},
        ) as server:
            run = Soak(server, window, Path(folder), certificate, far_ends)
            asyncio.run(run.run(calls, warm, a_second))
            return run.found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--warm", type=int, help="of them before anything is compared; a tenth; 0: objects alone are")
    parser.add_argument("--rate", type=float, default=10.0, help="calls a second")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    logs.configure("error")
    found = None
    try:
        warm = arguments.calls // 10 if arguments.warm is None else arguments.warm
        found = soak(arguments.calls, warm, arguments.rate)
    except* SippError as group:
        print(*group.exceptions, sep="\n", file=sys.stderr)
    if found is None:
        sys.exit(1)
    if arguments.json:
        print(json.dumps(asdict(found)))
    else:
        for name, value in asdict(found).items():
            print(f"{name.replace('_', ' '):24} {value}")
    sys.exit(1 if found.violations else 0)


if __name__ == "__main__":
    with plainly():
        main()

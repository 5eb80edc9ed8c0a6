"""What a call costs: many calls at once for a minute, with a model that only echoes.

    python loadtest/calls.py --calls 50            a table
    python loadtest/calls.py --calls 50 --json     the last line is one object

Starts a server of its own and the callers in this process, each sending 50 packets of speech a second and listening to
its echo. CPU and memory are the server's processes' alone (the edge with the media core, and the speech worker), read
from /proc over the time in which all calls are up; the callers' cost is shown beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from offhook.calls.caller import CallerError, Line, Phone
from offhook.speech.contract import RATE_HZ
from offhook.telemetry import logs
from served import Served, plainly, served

TICK_HZ = os.sysconf("SC_CLK_TCK")

PLAN = """\
dialplan: 1
timezone: UTC
numbers:
  "600": {flow: echo}
flows:
  echo:
    - disclose: [ai, recording]
    - agent:
        use: order-desk@1
        max: 60m
        exits: {resolved: next, human: next, failed: next, busy: next, timeout: next}
    - hangup: normal
prompts:
  disclose-ai: {en: "Echo."}
  disclose-recording: {en: "Test."}
"""


@dataclass(frozen=True, slots=True)
class Usage:
    cpu_s: float
    rss_mib: float


@dataclass(frozen=True, slots=True)
class Result:
    """CPU in percent of one core; memory in MiB."""

    calls: int
    held: int
    """Calls that were up to the end and heard their echo."""
    seconds: float
    cpu_per_call_percent: float
    cpu_edge_percent: float
    cpu_worker_percent: float
    cpu_callers_percent: float
    memory_per_call_mib: float
    hop_lateness_p50_ms: float
    hop_lateness_p99_ms: float
    late_hops: int
    hops: int
    pacing_p99_ms: float
    """The server's packets against its clock."""
    packets_dropped: int
    """By the server's listening path, by its kernel sockets, and on the way back to the callers."""
    packets_heard: int


def usage(pid: int) -> Usage:
    """CPU seconds and resident memory of one process so far (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return Usage((int(fields[11]) + int(fields[12])) / TICK_HZ, int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / 2**20)


async def hold(server: Served, calls: int, seconds: float) -> Result:
    """Bring `calls` calls up, hold them for `seconds`, and look."""
    idle = sum(usage(pid).rss_mib for pid in (server.process.pid, server.worker_pid))
    async with Phone.plugged_in(lines=calls) as phone, contextlib.AsyncExitStack() as up:
        speech = phone.core.load_prompt(_speech(), RATE_HZ)
        lines: list[Line] = []
        for _ in range(calls):
            line = await up.enter_async_context(phone.ring(server.uri("600")))
            line.port.play(speech, loop=True)
            lines.append(line)
        await asyncio.sleep(5)  # the greeting of the last one is over, every echo runs
        for line in lines:
            line.ear.forget()
        before = {pid: usage(pid) for pid in (server.process.pid, server.worker_pid, os.getpid())}
        counted, began = server.get("/status"), time.monotonic()
        figures_before = server.metrics()
        await asyncio.sleep(seconds)
        lasted = time.monotonic() - began
        after = {pid: usage(pid) for pid in before}
        server.get("/status")
        figures = server.metrics()
        for line in lines:
            line.ear.listen()
        held = sum(line.gone is None and line.ear.first_ms is not None for line in lines)
        counters = [line.port.counters() for line in lines]
        kernel_drops = phone.core.counters().kernel_drops
    server.wait_idle()
    ended = server.metrics()
    cpu = {pid: (after[pid].cpu_s - before[pid].cpu_s) / lasted * 100 for pid in before}
    edge, worker, own = cpu[server.process.pid], cpu[counted["worker"]["pid"]], cpu[os.getpid()]
    rss = sum(after[pid].rss_mib for pid in (server.process.pid, counted["worker"]["pid"]))
    lost = sum(one.lost + one.late for one in counters) + kernel_drops
    server_lost = ended.get("offhook_packets_lost_total", 0) + ended.get("offhook_packets_late_total", 0)
    return Result(
        calls=calls,
        held=held,
        seconds=round(lasted, 1),
        cpu_per_call_percent=round((edge + worker) / calls, 4),
        cpu_edge_percent=round(edge, 2),
        cpu_worker_percent=round(worker, 2),
        cpu_callers_percent=round(own, 2),
        memory_per_call_mib=round((rss - idle) / calls, 3),
        hop_lateness_p50_ms=round(figures['offhook_hop_lateness_seconds{quantile="0.5"}'] * 1000, 2),
        hop_lateness_p99_ms=round(figures['offhook_hop_lateness_seconds{quantile="0.99"}'] * 1000, 2),
        late_hops=int(figures["offhook_late_hops_total"] - figures_before["offhook_late_hops_total"]),
        hops=int(figures["offhook_hops_total"] - figures_before["offhook_hops_total"]),
        pacing_p99_ms=round(figures['offhook_pacing_error_seconds{quantile="0.99"}'] * 1000, 3),
        packets_dropped=int(lost + server_lost),
        packets_heard=sum(one.packets_in for one in counters),
    )


def _speech() -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    """Ten seconds that are loud and silent by turns, as speech is."""
    t = np.arange(10 * RATE_HZ) / RATE_HZ
    tone = np.sin(2 * np.pi * 220 * t) + 0.5 * np.sin(2 * np.pi * 440 * t)
    return (tone * 6000 * (np.sin(2 * np.pi * 1.5 * t) > 0)).astype(np.int16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    logs.configure("warning")
    with tempfile.TemporaryDirectory(prefix="offhook-") as home:
        plan = Path(home) / "plan.yaml"
        plan.write_text(PLAN, encoding="utf-8")
        with served(
            Path(home),
            dialplan=str(plan),
            speech={"model": "echo", "slots": arguments.calls},
            limits={"calls": arguments.calls + 1},
        ) as server:
            try:
                result = asyncio.run(hold(server, arguments.calls, arguments.seconds))
            except CallerError as error:
                raise SystemExit(f"the calls could not be placed: {error}") from None
    if arguments.json:
        print(json.dumps(asdict(result)))
    else:
        for name, value in asdict(result).items():
            print(f"{name.replace('_', ' '):24} {value}")
    sys.exit(0 if result.held == result.calls else 1)


if __name__ == "__main__":
    with plainly():
        main()

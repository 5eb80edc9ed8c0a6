"""Calls held on time against calls offered, past the limit too: what a speech model can take, and what becomes of the
call that is one too many.

    python loadtest/capacity.py --model echo --offered 8,64,128       real SIP calls to a server of its own
    python loadtest/capacity.py --model costly:Costly --option row_ms=5 --offered 4,8,12,16
    python loadtest/capacity.py --model duplex --slots-only --offered 64,128,256,512,1024,2048
                                the scheduler and the model in this process, for a machine without telephony

--json prints one object as the last line, --plot FILE.png draws it; with $OUT set, both are kept there as
capacity-MODEL.json and .png, anew after each number of calls. Ends by itself within --limit-s.
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
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import slots_only
from slots_only import Served

if TYPE_CHECKING:
    from served import Served as Server

from offhook.speech.contract import RATE_HZ, Json, Pcm, Persona

HERE = Path(__file__).resolve().parent

PLAN = """\
dialplan: 1
timezone: UTC
numbers:
  "600": {flow: talk}
flows:
  talk:
    - disclose: [ai, recording]
    - agent:
        use: order-desk@1
        max: 60m
        exits: {resolved: next, human: next, failed: next, busy: next, timeout: next}
    - hangup: normal
prompts:
  disclose-ai: {en: "Hello."}
  disclose-recording: {en: "Test."}
"""


def speech(seconds: float = 30.0) -> Pcm:
    """What a caller says: the recorded sentences with pauses between them, or loud and silent by turns without them."""
    try:
        import soundfile
    except ImportError:
        soundfile = None
    parts: list[Pcm] = []
    for path in sorted((HERE / "speech").glob("*.flac")) if soundfile else ():
        pcm, rate_hz = soundfile.read(path, dtype="int16")
        # Nearest neighbour does: nobody is understood here, a load is made.
        pcm = pcm[np.arange(0, len(pcm) * RATE_HZ // rate_hz) * rate_hz // RATE_HZ]
        parts += [pcm, np.zeros(3 * RATE_HZ, np.int16)]
    if not parts:
        t = np.arange(10 * RATE_HZ) / RATE_HZ
        parts = [(6000 * np.sin(2 * np.pi * 220 * t) * (np.sin(2 * np.pi * 0.3 * t) > 0)).astype(np.int16)]
    whole = np.concatenate(parts)
    return whole[: int(seconds * RATE_HZ) // slots_only.PACKET * slots_only.PACKET]


def in_process(arguments: argparse.Namespace, options: Mapping[str, Json]) -> Generator[Served, None, None]:
    """The scheduler and the model here, for each number of calls."""
    try:
        model = slots_only.load(arguments.model, arguments.slots, options)
        persona = _persona(arguments.agent)
    except (ValueError, ImportError, AttributeError, OSError, RuntimeError) as error:
        raise SystemExit(f"{arguments.model} does not load: {error}") from None
    said = speech()
    for offered in arguments.offered:
        yield slots_only.serve(model, persona, offered, arguments.seconds, said)


def over_sip(arguments: argparse.Namespace, options: Mapping[str, Json]) -> Generator[Served, None, None]:
    """A server of our own, and real calls to it."""
    from offhook.calls.caller import CallerError
    from offhook.telemetry import logs
    from served import plainly, served

    logs.configure("warning")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    with tempfile.TemporaryDirectory(prefix="offhook-") as home:
        plan = Path(home) / "plan.yaml"
        plan.write_text(PLAN, encoding="utf-8")
        with (
            plainly(),
            served(
                Path(home),
                dialplan=str(plan),
                speech={"model": arguments.model, "slots": arguments.slots, "options": dict(options)},
                limits={"calls": max(arguments.offered) + 1},
            ) as server,
        ):
            for offered in arguments.offered:
                try:
                    one = asyncio.run(ring(server, offered, arguments.seconds))
                except CallerError as error:
                    raise SystemExit(f"the calls could not be placed: {error}") from None
                yield one
                server.wait_idle()


async def ring(server: Server, offered: int, seconds: float) -> Served:
    """Bring so many calls up, one after the other, hold those that are taken for `seconds`, and look."""
    from offhook.calls.caller import Phone

    before = await asyncio.to_thread(server.metrics)
    async with Phone.plugged_in(lines=offered) as phone, contextlib.AsyncExitStack() as up:
        prompt = phone.core.load_prompt(speech(), RATE_HZ)
        lines = []
        for _ in range(offered):
            line = await up.enter_async_context(phone.ring(server.uri("600")))
            line.port.play(prompt, loop=True)
            lines.append(line)
            await asyncio.sleep(0.05)
        await asyncio.sleep(3.0)  # those that are refused have been told so and are gone
        settled = await asyncio.to_thread(server.metrics)
        await asyncio.sleep(seconds)
        after = await asyncio.to_thread(server.metrics)
        admitted = int((await asyncio.to_thread(server.get, "/status"))["worker"]["slots_used"])
        refused = sum(line.gone is not None for line in lines)

    def grown(name: str, since: Mapping[str, float] = settled) -> float:
        return after.get(name, 0.0) - since.get(name, 0.0)

    label = 'offhook_hops_late_by_cause_total{cause="'
    causes = {name[len(label) : -2]: int(grown(name)) for name in after if name.startswith(label)}
    return Served(
        offered=offered,
        admitted=admitted,
        refused=refused,
        hops=int(grown("offhook_hops_total")),
        late=int(grown("offhook_late_hops_total")) - causes.get("unfed", 0),
        late_by={cause: count for cause, count in causes.items() if count},
        step_p50_ms=round(after['offhook_step_seconds{quantile="0.5"}'] * 1000, 3),
        step_p99_ms=round(after['offhook_step_seconds{quantile="0.99"}'] * 1000, 3),
        lateness_p99_ms=round(after['offhook_hop_lateness_seconds{quantile="0.99"}'] * 1000, 3),
        skipped_ms=round(grown("offhook_skipped_seconds_total", before) * 1000, 1),
        phases=int(after["offhook_phase_groups"]),
        capacity=int(after["offhook_capacity"]),
    )


def plot(results: Sequence[Served], title: str, file: Path) -> None:
    """Calls admitted against calls offered, and the step's p99 beside its limit."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    offered = [one.offered for one in results]
    figure, (held, steps) = pyplot.subplots(1, 2, figsize=(10, 4))
    held.plot(offered, offered, color="lightgrey", label="offered")
    held.plot(offered, [one.admitted for one in results], marker="o", label="admitted")
    held.plot(offered, [one.admitted if one.in_time else 0 for one in results], "x", label="in time (99 %)")
    held.set_xlabel("calls offered")
    held.set_ylabel("calls")
    held.legend()
    steps.plot([one.admitted for one in results], [one.step_p50_ms for one in results], "o", label="step p50")
    steps.plot([one.admitted for one in results], [one.step_p99_ms for one in results], "s", label="step p99")
    steps.axhline(80, color="lightgrey", label="a hop")
    steps.set_xlabel("calls held")
    steps.set_ylabel("ms")
    steps.legend()
    figure.suptitle(title)
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    pyplot.close(figure)


def _persona(agent: Path | None) -> Persona:
    if agent is None:
        return Persona("load@1", "en-US", "joe", "none:none", {})
    from offhook.agents.schema import load_agent

    return load_agent(agent).persona()


def _option(text: str) -> tuple[str, Json]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _counts(text: str) -> list[int]:
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers such as 1,2,4") from None
    if not counts or min(counts) < 1:
        raise argparse.ArgumentTypeError("numbers of calls begin at 1")
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="echo", help="echo, cascade, duplex ..., or module:Class")
    parser.add_argument("--offered", type=_counts, default=[1, 2, 4, 8, 16], help="calls at once, one run each")
    parser.add_argument("--slots", type=int, help="rows of the model; as many as the most calls offered")
    parser.add_argument("--option", type=_option, action="append", default=[], help="of the model, NAME=JSON")
    parser.add_argument("--seconds", type=float, default=15.0, help="how long each number of calls is held")
    parser.add_argument("--slots-only", action="store_true", help="scheduler and model in this process, no telephony")
    parser.add_argument("--agent", type=Path, help="an agent's file, for a model that reads it (with --slots-only)")
    parser.add_argument("--limit-s", type=float, default=540.0, help="no run is begun that would go on past this")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    arguments.slots = arguments.slots or max(arguments.offered)
    began, results = time.monotonic(), list[Served]()
    runs = (in_process if arguments.slots_only else over_sip)(arguments, dict(arguments.option))
    out = Path(os.environ["OUT"]) if "OUT" in os.environ else None
    name = arguments.model.replace(":", "-").replace("/", "-")
    print("offered  admitted  refused     hops   late  step p50     p99  lateness p99  groups  could hold", flush=True)
    with contextlib.closing(runs):
        for one in runs:
            results.append(one)
            print(
                f"{one.offered:7}  {one.admitted:8}  {one.refused:7}  {one.hops:7}  {one.late:5}  "
                f"{one.step_p50_ms:8.2f}  {one.step_p99_ms:6.2f}  {one.lateness_p99_ms:12.2f}  {one.phases:6}  "
                f"{one.capacity:10}{'' if one.in_time else '   not in time'}",
                flush=True,
            )
            told: dict[str, Any] = {
                "model": arguments.model,
                "slots_only": arguments.slots_only,
                "held_in_time": max((each.admitted for each in results if each.in_time), default=0),
                "runs": [{**asdict(each), "in_time": each.in_time} for each in results],
            }
            for file in [arguments.plot, out and out / f"capacity-{name}.png"]:
                if file is not None:
                    with contextlib.suppress(ImportError):
                        plot(results, f"{arguments.model}: calls held on time", file)
            if out is not None:
                (out / f"capacity-{name}.json").write_text(json.dumps(told, indent=1), encoding="utf-8")
            if time.monotonic() - began + arguments.seconds + 30 > arguments.limit_s:
                print(f"the time of {arguments.limit_s:.0f} s is used up", file=sys.stderr)
                break
    if arguments.json:
        print(json.dumps(told))
    unharmed = all(one.in_time for one in results if one.admitted) and any(one.admitted for one in results)
    exact = all(one.admitted + one.refused == one.offered for one in results)
    sys.exit(0 if unharmed and exact else 1)


if __name__ == "__main__":
    main()

"""How long a caller waits for an answer: thirty turns over real SIP calls, measured on RTP at the caller's end.

    python loadtest/response.py            a table of turns, then p50 and p95
    python loadtest/response.py --json     the last line is one object: p50_ms, p95_ms, turns
    python loadtest/response.py --interrupt    speaks over each answer: how soon the agent falls silent
    python loadtest/response.py --compare duplex,cascade [--plot FILE]
                                           the same turns with both, call by call in turn: ratio, and what it is made of

Starts a server of its own, with the shipped dial plan and agent, and calls it from a telephone in this process; both
share this machine's cores, as caller and server do not in life. Response time runs from the departure of the packet
with the caller's last speech sample to the arrival of the packet with the agent's first one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from pathlib import Path

import sidebyside
from offhook.calls.caller import Phone, Report, Saying, Script, Turn, converse
from offhook.telemetry import logs
from served import Served, plainly, served

SPEECH = Path(__file__).resolve().parent / "speech"


def conversations() -> list[list[Path]]:
    """What each caller says, one list a call: `speech/<voice>-<turn>-<words>.flac`."""
    voices = sorted({path.name.split("-")[0] for path in SPEECH.glob("*.flac")})
    return [sorted(SPEECH.glob(f"{voice}-*.flac")) for voice in voices]


INTERRUPT_AFTER_S = 0.6
"""With --interrupt, the caller speaks up when an answer has lasted this long."""


async def measure(server: Served, turns: int, quiet: bool, interrupt: bool = False) -> list[Report]:
    """Call after call, until `turns` were said."""
    reports: list[Report] = []
    said = 0
    async with Phone.plugged_in() as phone:
        while said < turns:
            paths = conversations()[len(reports) % len(conversations())][: turns - said]
            script = Script(
                say=[Saying.read(path) for path in paths],
                interrupt_after_s=INTERRUPT_AFTER_S if interrupt else None,
            )

            def tell(turn: Turn) -> None:
                shown = "no answer" if turn.response_ms is None else f"{turn.response_ms:6.0f} ms"
                silent = "" if turn.silence_ms is None else f"  (agent silent after {turn.silence_ms:.0f} ms)"
                if not quiet:
                    print(f"{shown}  {turn.said}{silent}", flush=True)

            report = await converse(phone, server.uri("100"), script, tell)
            reports.append(report)
            said += len(paths)
            if report.failure:
                print(f"call failed: {report.failure}", file=sys.stderr)
    return reports


def figures(reports: list[Report]) -> dict[str, float | int]:
    """p50 and p95 of the turns that were answered; how many were not."""
    answered = sorted(turn.response_ms for report in reports for turn in report.turns if turn.response_ms is not None)
    asked = sum(len(report.turns) for report in reports)
    silences = sorted(turn.silence_ms for report in reports for turn in report.turns if turn.silence_ms is not None)
    if len(answered) < 2:
        raise SystemExit("too few turns were answered to say anything")
    return {
        "p50_ms": round(statistics.median(answered), 1),
        "p95_ms": round(statistics.quantiles(answered, n=20, method="inclusive")[-1], 1),
        "turns": len(answered),
        "unanswered": asked - len(answered),
        "failed_calls": sum(not report.ok for report in reports),
    } | (
        {"interruptions": len(silences), "silent_p50_ms": statistics.median(silences), "silent_max_ms": silences[-1]}
        if silences
        else {}
    )


def _compare(arguments: argparse.Namespace) -> int:
    models = [name.strip() for name in arguments.compare.split(",") if name.strip()]
    found = asyncio.run(sidebyside.compare(models, conversations(), arguments.turns, arguments.json))
    print(json.dumps(found.as_json()) if arguments.json else sidebyside.table(found))
    if arguments.plot is not None:
        sidebyside.plot(found, arguments.plot)
    return 1 if any(side.failed_calls for side in found.sides) else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--turns", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--interrupt", action="store_true", help="speak over each answer")
    parser.add_argument("--model", default="cascade", help="the speech model that serves")
    parser.add_argument("--compare", metavar="MODEL,MODEL", help="several models on the same calls")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="with --compare: a picture of what answers wait for")
    arguments = parser.parse_args()
    logs.configure("warning")
    if arguments.compare:
        sys.exit(_compare(arguments))
    with tempfile.TemporaryDirectory(prefix="offhook-") as home:
        with served(Path(home), speech={"model": arguments.model, "slots": 4}) as server:
            reports = asyncio.run(measure(server, arguments.turns, arguments.json, arguments.interrupt))
    result = figures(reports)
    if arguments.json:
        print(json.dumps(result))
    else:
        print(
            f"response time p50 {result['p50_ms']:.0f} ms, p95 {result['p95_ms']:.0f} ms over {result['turns']} turns "
            f"({result['unanswered']} unanswered, {result['failed_calls']} calls failed)"
        )
        if "interruptions" in result:
            print(
                f"agent silent p50 {result['silent_p50_ms']:.0f} ms, at most {result['silent_max_ms']:.0f} ms after "
                f"the caller began to speak over it, {result['interruptions']} times"
            )
    sys.exit(1 if result["failed_calls"] else 0)


if __name__ == "__main__":
    with plainly():
        main()

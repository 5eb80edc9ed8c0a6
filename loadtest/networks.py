"""The same call over networks that are bad in known ways, from a telephone and from a browser.

    python loadtest/networks.py                     all networks: a table for each way that was looked at
    python loadtest/networks.py --network loss --network jitter
    python loadtest/networks.py --bridged           two people put through to each other instead of the AI agent
    python loadtest/networks.py --json --plot FILE.png

Caller and server are two ends of one cable with Linux's netem in it, the same both ways (`network.py`; needs root).
For each network one call by SIP and one by a headless Chromium with `offhook.js`: what was understood, how fast it was
answered, what our port counted of the packets, and beside it what Chromium's getStats says of its NetEq on the way
back. What was counted as lost is held against what netem was told to lose; the exit status is 1 where chance does not
explain the difference, or a call was not answered. Progress goes to standard error, a line a call.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import difflib
import json
import statistics
import sys
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import bridged
import neteqplot
from comparing import tell
from conditions import CONDITIONS, Condition, Losses, counted, losses, newest, stalling, timelines
from neteqplot import Pair
from network import Carried, Network, NetworkError, network
from offhook.calls.caller import CallerError, Phone, Report, Saying, Script, converse
from offhook.calls.folds import Who, turns
from offhook.calls.timeline import Entry, LineMeasured, TalkBegan, TalkEnded, WordsHeard
from offhook.telemetry import logs
from served import Served, plainly, served
from webcaller import Heard, calling

SPEECH = Path(__file__).resolve().parent / "speech"
SAYINGS = ("slt-1-where-is-my-order", "slt-2-four-one-seven-two", "slt-3-opening-hours")
SAID = "where is my order 4172 what are your opening hours"
SETTLED_MS = 1_200.0
PATIENCE_S = 15.0
WAIT_IDLE_S = 60.0
"""A call whose page died is given up by the server after a while."""


@dataclass(frozen=True, slots=True)
class Talked:
    """One call with the AI agent over one network."""

    network: str
    by: str
    """`sip` or `browser`."""
    answered: bool
    failure: str | None
    words: float
    """0..1 of what was said was understood."""
    response_ms: float | None
    """Median over the turns: at the caller's end by SIP, where the agent's packets left from a browser."""
    turns_answered: int
    losses: Losses
    netem: Carried
    """On the way to the server, all kinds of packets."""
    counters: dict[str, float]
    """Our port's (`media.PortCounters`)."""
    waited_ms: float
    """What listening added, on average, to a packet."""
    mos: float | None
    """Of the way to us, the mean of the timeline's `line.measured`."""
    neteq: Heard | None
    """What Chromium says of what it heard of us."""

    @property
    def concealed_percent(self) -> float:
        return 100 * self.counters["concealed_ms"] / (20 * max(1.0, self.counters["packets_in"]))


def measure(server: Served, net: Network, condition: Condition, by: str) -> Talked:
    before = timelines(server)
    net.condition(condition.words, condition.words)
    with stalling(net, condition):
        if by == "sip":
            report = net.in_there(lambda: _by_sip(server, net, f"{condition.name}-sip"))
            heard, failure = None, report.failure
        else:
            heard, failure = asyncio.run(_by_browser(server, net))
            report = None
    carried = net.carried("near")
    net.condition()
    server.wait_idle(WAIT_IDLE_S)
    return _looked_at(condition, by, newest(server, before), report, heard, failure, carried)


def _looked_at(
    condition: Condition,
    by: str,
    entries: Sequence[Entry],
    report: Report | None,
    heard: Heard | None,
    failure: str | None,
    carried: Carried,
) -> Talked:
    counters = counted(entries)
    responses = [turn.response_ms for turn in turns(entries) if turn.who is Who.AGENT and turn.response_ms is not None]
    if report is not None:
        responses = [turn.response_ms for turn in report.turns if turn.response_ms is not None]
    sent = report.packets_sent if report else heard.sent if heard else 0
    back_never_came = report.packets_lost if report else heard.lost if heard else 0
    return Talked(
        network=condition.name,
        by=by,
        answered=failure is None,
        failure=failure,
        words=understood(entries),
        response_ms=round(statistics.median(responses), 0) if responses else None,
        turns_answered=len(responses),
        losses=losses(condition, sent, counters, back_never_came),
        netem=carried,
        counters=counters,
        waited_ms=round(counters["waited_ms"] / max(1.0, counters["packets_in"]), 3),
        mos=mos(entries),
        neteq=heard,
    )


async def _by_sip(server: Served, net: Network, name: str) -> Report:
    async with Phone.plugged_in(host=net.far, name=name) as phone:
        script = Script(say=[Saying.read(SPEECH / f"{saying}.flac") for saying in SAYINGS], patience_s=PATIENCE_S)
        return await converse(phone, server.uri("100"), script)


async def _by_browser(server: Served, net: Network) -> tuple[Heard | None, str | None]:
    """One call; why it failed, where it did."""
    sayings = [Saying.read(SPEECH / f"{saying}.flac") for saying in SAYINGS]
    others = timelines(server)
    heard: Heard | None = None
    try:
        async with calling(server.console, "100", net.there) as caller:
            told = await _answered(server, others, 0)
            for saying in sayings:
                if told is None or await caller.ended() is not None:
                    return heard, f"no answer before {saying.name}"
                await caller.say(saying)
                told = await _answered(server, others, told)
            heard = await caller.hang_up()
    except CallerError as error:
        return heard, str(error)
    return heard, None if told is not None else "no answer to the last words"


async def _answered(server: Served, others: Collection[Path], before: int) -> int | None:
    """Wait until the agent has said something more and is done; how often it has spoken by now. None: it has not.
    `others`: the timelines of other calls."""
    end = asyncio.get_running_loop().time() + PATIENCE_S + 45
    while asyncio.get_running_loop().time() < end:
        entries = await asyncio.to_thread(newest, server, others)
        began = [entry for entry in entries if isinstance(entry.event, TalkBegan)]
        done = [entry.t for entry in entries if isinstance(entry.event, TalkEnded)]
        if len(began) > before and len(done) == len(began):
            await asyncio.sleep(SETTLED_MS / 1000)
            again = await asyncio.to_thread(newest, server, others)
            if sum(isinstance(entry.event, TalkBegan) for entry in again) == len(began):
                return len(began)
        await asyncio.sleep(0.1)
    return None


# --- what the server kept


def mos(entries: Sequence[Entry]) -> float | None:
    found = [
        entry.event.mos_lq
        for entry in entries
        if isinstance(entry.event, LineMeasured) and entry.event.party == "caller" and entry.event.direction == "in"
    ]
    return round(statistics.mean(found), 2) if found else None


def understood(entries: Sequence[Entry]) -> float:
    """0..1 of the words said, and no others, in their order."""
    heard = " ".join(entry.event.text for entry in entries if isinstance(entry.event, WordsHeard)).lower()
    for digit, word in enumerate("zero one two three four five six seven eight nine".split()):
        heard = heard.replace(word, str(digit))
    plain = "".join(one if one.isalnum() else " " for one in heard)
    while (closer := _digits_together(plain)) != plain:
        plain = closer
    return round(difflib.SequenceMatcher(None, SAID.split(), plain.split()).ratio(), 3)


def _digits_together(text: str) -> str:
    words = text.split()
    for index in range(len(words) - 1):
        if words[index].isdigit() and words[index + 1].isdigit():
            return " ".join([*words[:index], words[index] + words[index + 1], *words[index + 2 :]])
    return " ".join(words)


# --- what is shown


def table(results: Sequence[Talked]) -> str:
    lines = [
        f"{'network':10}{'by':9}{'words':>6}{'answer':>9}{'sent':>6}{'never':>7}{'set':>7}{'late':>6}{'re-':>6}"
        f"{'dupl.':>6}{'made up':>9}{'waited':>8}{'MOS':>6}  | back:{'never':>6}{'NetEq':>8}{'made up':>9}{'trip':>7}",
        f"{'':10}{'':9}{'%':>6}{'ms':>9}{'':>6}{'came':>7}{'%':>7}{'':>6}{'order':>6}{'':>6}{'%':>9}{'ms':>8}{'':>6}"
        f"  |      {'came':>6}{'ms':>8}{'%':>9}{'ms':>7}",
    ]
    shares = {condition.name: condition.loss for condition in CONDITIONS}
    for one in results:
        counters, lost, neteq = one.counters, one.losses, one.neteq
        lines.append(
            f"{one.network:10}{one.by:9}{100 * one.words:6.0f}"
            f"{_shown(one.response_ms, '9.0f')}{lost.sent:6}{lost.never_came:7}{100 * shares[one.network]:7.1f}"
            f"{counters['late']:6.0f}{counters['reordered']:6.0f}{counters['duplicate'] + counters['replayed']:6.0f}"
            f"{one.concealed_percent:9.2f}{one.waited_ms:8.2f}{_shown(one.mos, '6.2f')}"
            f"  |      {lost.back_never_came:6}"
            + (
                f"{neteq.buffer_ms:8.0f}{neteq.concealed_percent:9.2f}{_shown(neteq.round_trip_ms, '7.0f')}"
                if neteq
                else ""
            )
            + ("" if one.answered else f"  {one.failure}")
            + ("" if lost.explained and lost.back_explained else "  LOSS NOT EXPLAINED")
        )
    return "\n".join(lines)


def _shown(value: float | None, form: str) -> str:
    return f"{value:{form}}" if value is not None else f"{'-':>{form.split('.')[0]}}"


def plot(results: Sequence[Talked], file: Path) -> None:
    """Of the calls by browser."""
    pairs = [
        Pair(one.network, one.waited_ms, one.neteq.buffer_ms, one.concealed_percent, one.neteq.concealed_percent)
        for one in results
        if one.neteq is not None
    ]
    neteqplot.plot(pairs, "Offhook's listening path, to the agent", file)


# --- the program


def _agent_calls(net: Network, home: Path, conditions: Sequence[Condition]) -> list[Talked]:
    results: list[Talked] = []
    with served(
        home,
        host=net.near,
        trunks=[{"name": "far", "sources": [net.sources]}],
        speech={"model": "cascade", "slots": 2},
        web={"enabled": True},
    ) as server:
        for condition in conditions:
            for by in ("sip", "browser"):
                results.append(measure(server, net, condition, by))
                tell(table(results[-1:]).splitlines()[-1])
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    names = [condition.name for condition in CONDITIONS]
    parser.add_argument("--network", action="append", choices=names, help="this one alone, or with others named")
    parser.add_argument("--bridged", action="store_true", help="two people put through to each other")
    parser.add_argument("--seconds", type=float, default=30.0, help="with --bridged: how long each call lasts")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--plot", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    logs.configure("warning")
    conditions = [one for one in CONDITIONS if arguments.network is None or one.name in arguments.network]
    results: Sequence[Any]
    with tempfile.TemporaryDirectory(prefix="offhook-") as home, contextlib.ExitStack() as stack:
        try:
            net = stack.enter_context(network())
        except NetworkError as error:
            print(f"skipped: {error}", file=sys.stderr)
            return
        if arguments.bridged:
            results = bridged.measured(net, Path(home), conditions, arguments.seconds)
            shown, draw = bridged.table(results), bridged.plot
        else:
            results = _agent_calls(net, Path(home), conditions)
            shown, draw = table(results), plot
    print(json.dumps([asdict(one) for one in results]) if arguments.json else shown)
    if arguments.plot is not None:
        draw(results, arguments.plot)
    sys.exit(0 if all(one.answered and one.losses.explained and one.losses.back_explained for one in results) else 1)


if __name__ == "__main__":
    with plainly():
        main()

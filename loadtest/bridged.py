"""Two people put through to each other by the plan's `dial`, one of them over a bad network: our playout buffer on the
way from them, Chromium's NetEq on the way to them, in the same call. Used by `networks.py --bridged`.

The caller is at the far end of the network and speaks without a pause, as does the person who is rung, a telephone of
ours at the near end that no packet is lost to. From mouth to ear is measured by SIP, on the two telephones' recordings:
from a packet's departure at the caller's to the arrival of the packet with the same sound at the person's.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

import neteqplot
from comparing import tell
from conditions import CONDITIONS, Condition, Losses, counted, losses, newest, stalling, timelines
from neteqplot import Pair
from network import Network
from offhook.calls.caller import CallerError, Phone, Saying
from offhook.calls.sipleg import SipLeg
from offhook.calls.timeline import LineMeasured
from offhook.media import MediaCore
from offhook.sip import IncomingCall, SipEndpoint, SipEvent, SipSettings, Terms, Trunk
from offhook.speech.contract import RATE_HZ
from served import Served, served
from webcaller import ON_THEIR_WAY_S, Heard, calling

SPEECH = Path(__file__).resolve().parent / "speech"
WINDOW_S, LONGEST_S = 1.0, 1.2
TRACK_HZ = 8_000
PACKET_MS = 20.0
ALIKE = 0.5
"""Correlation from which on two windows hold the same sound."""
WAIT_IDLE_S = 60.0
"""A call whose page died is given up by the server after a while."""

PLAN = """\
dialplan: 1
timezone: UTC
numbers:
  "200": {{flow: person}}
flows:
  person:
    - disclose: recording
    - dial: {{to: "{person}", ring: 20s, exits: {{answered: next, no-answer: next, busy: next, failed: next}}}}
    - hangup: normal
prompts:
  disclose-recording: {{en: "Test."}}
"""


@dataclass(frozen=True, slots=True)
class Bridged:
    """One call of two people. `ours` is what our buffer did with what the caller said."""

    network: str
    by: str
    answered: bool
    failure: str | None
    ours_ms: float
    """How long sound waited in our buffer, on average."""
    ours_concealed_percent: float
    jitter_ms: float
    losses: Losses
    mouth_to_ear_ms: float | None
    """Median over windows of a second; by SIP."""
    mouth_to_ear_p95_ms: float | None
    neteq: Heard | None


class Person:
    """A telephone that answers whoever rings, speaks without a pause, and keeps what it hears."""

    def __init__(self, core: MediaCore, folder: Path) -> None:
        self.core, self._folder = core, folder
        self.sip: SipEndpoint
        self.calls: list[SipLeg] = []
        self.heard: list[Path] = []
        self._prompt = core.load_prompt(speech("rms").pcm, RATE_HZ)
        self._answering: set[asyncio.Task[None]] = set()
        self._closed: set[int] = set()

    def on_sip(self, event: SipEvent) -> None:
        if isinstance(event, IncomingCall):
            leg = SipLeg(event.session, self.core.open("person"))
            self.calls.append(leg)
            task = asyncio.get_running_loop().create_task(self._answer(leg))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
            return
        for leg in self.calls:
            if getattr(event, "session", None) is leg.session:
                leg.handle(event)

    async def _answer(self, leg: SipLeg) -> None:
        await leg.answer()
        heard = self._folder / f"person-{len(self.calls)}.wav"
        self.heard.append(heard)
        leg.port.record(heard, heard.with_suffix(".said.wav"))
        leg.port.play(self._prompt, loop=True)


@contextlib.contextmanager
def person(host: str, folder: Path) -> Iterator[tuple[Person, str]]:
    """Somebody at `host`, in a thread of their own, and the address to ring."""
    ready, over = threading.Event(), threading.Event()
    made: list[tuple[Person, str]] = []

    async def live() -> None:
        with MediaCore(host, (40000, 42999)) as core:
            someone = Person(core, folder)
            someone.sip = SipEndpoint(SipSettings(bind=(host, 0), trunks=(Trunk("server", (host,)),)), someone.on_sip)
            await someone.sip.start()
            asyncio.get_running_loop().add_reader(core.fileno(), core.events)
            made.append((someone, f"sip:person@{host}:{someone.sip.local[1]}"))
            ready.set()
            await asyncio.to_thread(over.wait)
            await someone.sip.stop()

    thread = threading.Thread(target=lambda: asyncio.run(live()))
    thread.start()
    try:
        if not ready.wait(20):
            raise CallerError("the person to be rung has no telephone")
        yield made[0]
    finally:
        over.set()
        thread.join()


def measured(net: Network, home: Path, conditions: Sequence[Condition], seconds: float) -> list[Bridged]:
    with person(net.near, home) as (someone, uri):
        plan = home / "plan.yaml"
        plan.write_text(PLAN.format(person=uri), encoding="utf-8")
        with served(
            home,
            host=net.near,
            dialplan=str(plan),
            trunks=[{"name": "far", "sources": [net.sources]}],
            speech={"model": "echo", "slots": 1},
            web={"enabled": True},
        ) as server:
            results: list[Bridged] = []
            for condition in conditions:
                for by in ("sip", "browser"):
                    results.append(_measured(server, net, someone, condition, by, seconds, home))
                    tell(table(results[-1:]).splitlines()[-1])
            return results


def _measured(
    server: Served, net: Network, someone: Person, condition: Condition, by: str, seconds: float, folder: Path
) -> Bridged:
    before, rung = timelines(server), len(someone.calls)
    net.condition(condition.words, condition.words)
    spoken: Spoken | None = None
    neteq: Heard | None = None
    failure: str | None = None
    said = folder / f"caller-{condition.name}.wav"
    try:
        with stalling(net, condition):
            if by == "sip":
                spoken = net.in_there(lambda: _speak(server, net, said, seconds))
            else:
                neteq = asyncio.run(_browse(server, net, seconds))
    except (CallerError, TimeoutError) as error:
        failure = str(error) or "the call did not go as planned"
    net.condition()
    server.wait_idle(WAIT_IDLE_S)
    if failure is None and len(someone.calls) == rung:
        failure = "nobody was rung"
    lags: list[float] = []
    if spoken is not None and failure is None:
        lags = mouth_to_ear(said, spoken.opened_ns, someone.heard[-1], someone.calls[-1].port.opened_ns)
    entries = newest(server, before)
    counters = counted(entries)
    jitters = [
        entry.event.jitter_ms
        for entry in entries
        if isinstance(entry.event, LineMeasured) and (entry.event.party, entry.event.direction) == ("caller", "in")
    ]
    sent = spoken.sent if spoken else neteq.sent if neteq else 0
    at_the_end_ms = 1000 * ON_THEIR_WAY_S if neteq else 0.0  # it sent nothing, and of that our buffer made something
    concealed_ms = max(0.0, counters["bridged_concealed_ms"] - at_the_end_ms)
    return Bridged(
        network=condition.name,
        by=by,
        answered=failure is None,
        failure=failure,
        ours_ms=round(counters["bridged_delay_ms"], 1),
        ours_concealed_percent=round(100 * concealed_ms / max(1.0, counters["bridged_ms"] - at_the_end_ms), 2),
        jitter_ms=round(float(np.mean(jitters)), 1) if jitters else 0.0,
        losses=losses(condition, sent, counters, spoken.lost if spoken else neteq.lost if neteq else 0),
        mouth_to_ear_ms=round(float(np.median(lags)), 1) if lags else None,
        mouth_to_ear_p95_ms=round(float(np.percentile(lags, 95)), 1) if lags else None,
        neteq=neteq,
    )


@dataclass(frozen=True, slots=True)
class Spoken:
    """The caller's own side of a call by SIP."""

    opened_ns: int
    """When its port was."""
    sent: int
    lost: int


async def _speak(server: Served, net: Network, said: Path, seconds: float) -> Spoken:
    """Call by SIP from the far end and speak; keep it."""
    async with Phone.plugged_in(host=net.far, name="speaker", terms=Terms(codecs=("PCMU",))) as phone:
        async with phone.ring(server.uri("200")) as line:
            line.port.record(said.with_suffix(".heard.wav"), said)
            line.port.play(phone.core.load_prompt(speech("slt").pcm, RATE_HZ), loop=True)
            await line.until(lambda: line.gone is not None, seconds)
            if line.gone is not None:
                raise CallerError(f"the call ended early: {line.gone.cause}")
            await line.stop_recording()
            counters = line.port.counters()
            return Spoken(line.port.opened_ns, counters.packets_out, counters.lost)


async def _browse(server: Served, net: Network, seconds: float) -> Heard:
    async with calling(server.console, "200", net.there) as caller:
        await caller.say(speech("slt"), loop=True)
        await asyncio.sleep(seconds)
        if (said := await caller.ended()) is not None:
            raise CallerError(f"the call ended early: {said}")
        return await caller.hang_up()


# --- from mouth to ear


def speech(voice: str) -> Saying:
    """All that a voice says, one sentence right after the other."""
    parts = [Saying.read(path) for path in sorted(SPEECH.glob(f"{voice}-*.flac"))]
    cut = []
    for part in parts:
        first_ms, last_ms = part.speech_ms()
        cut.append(part.pcm[int(first_ms * RATE_HZ / 1000) : int(last_ms * RATE_HZ / 1000)])
    return Saying(voice, np.concatenate(cut))


def mouth_to_ear(said: Path, said_ns: int, heard: Path, heard_ns: int) -> list[float]:
    """For each second of what was said that is found in what was heard: how much later it arrived, in ms. `said_ns` and
    `heard_ns`: when the ports were opened whose tracks these are."""
    spoken, _ = soundfile.read(said, dtype="float32")
    received, _ = soundfile.read(heard, dtype="float32")
    ahead_s = (said_ns - heard_ns) / 1e9  # what was said at s is at s + ahead on the other clock
    window, reach = int(WINDOW_S * TRACK_HZ), int(LONGEST_S * TRACK_HZ)
    lags = []
    for start in range(0, len(spoken) - window, window):
        piece = spoken[start : start + window]
        at = start + int(ahead_s * TRACK_HZ)
        if at < 0 or at + window + reach > len(received) or np.sqrt(np.mean(piece**2)) < 0.01:
            continue
        lag, alike = _lag(piece, received[at : at + window + reach])
        if alike >= ALIKE:
            lags.append(lag * 1000 / TRACK_HZ + PACKET_MS)
    return lags


def _lag(piece: npt.NDArray[np.float32], within: npt.NDArray[np.float32]) -> tuple[int, float]:
    """Where `piece` lies in `within` (samples), and how alike the two are there (0..1)."""
    size = 1 << (len(within) + len(piece)).bit_length()
    product = np.fft.irfft(np.fft.rfft(within, size) * np.conj(np.fft.rfft(piece, size)), size)
    product = product[: len(within) - len(piece) + 1]
    power = np.cumsum(np.concatenate([[0.0], within.astype(np.float64) ** 2]))
    energy = np.sqrt(np.maximum(power[len(piece) :] - power[: -len(piece)], 1e-9))[: len(product)]
    alike = product / energy / np.sqrt(np.sum(piece.astype(np.float64) ** 2) + 1e-9)
    best = int(np.argmax(alike))
    return best, float(alike[best])


# --- what is shown


def table(results: Sequence[Bridged]) -> str:
    lines = [
        f"{'network':10}{'by':9}{'jitter':>8}{'sent':>6}{'never':>7}{'set':>6}  | ours:{'delay':>8}{'made up':>9}"
        f"{'mouth to ear':>14}{'p95':>7}  | back:{'never':>6}  NetEq:{'delay':>8}{'made up':>9}",
        f"{'':10}{'':9}{'ms':>8}{'':>6}{'came':>7}{'%':>6}  |      {'ms':>8}{'%':>9}{'ms':>14}{'ms':>7}"
        f"  |      {'came':>6}        {'ms':>8}{'%':>9}",
    ]
    shares = {condition.name: condition.loss for condition in CONDITIONS}
    for one in results:
        lost = one.losses
        ear = f"{one.mouth_to_ear_ms:14.0f}{one.mouth_to_ear_p95_ms:7.0f}" if one.mouth_to_ear_ms else " " * 21
        theirs = f"{one.neteq.buffer_ms:8.0f}{one.neteq.concealed_percent:9.2f}" if one.neteq else ""
        lines.append(
            f"{one.network:10}{one.by:9}{one.jitter_ms:8.1f}{lost.sent:6}{lost.never_came:7}"
            f"{100 * shares[one.network]:6.1f}  |      {one.ours_ms:8.1f}{one.ours_concealed_percent:9.2f}{ear}"
            f"  |      {lost.back_never_came:6}        {theirs}"
            + ("" if one.answered else f"  {one.failure}")
            + ("" if lost.explained and lost.back_explained else "  LOSS NOT EXPLAINED")
        )
    return "\n".join(lines)


def plot(results: Sequence[Bridged], file: Path) -> None:
    """Of the calls by browser."""
    pairs = [
        Pair(one.network, one.ours_ms, one.neteq.buffer_ms, one.ours_concealed_percent, one.neteq.concealed_percent)
        for one in results
        if one.neteq is not None
    ]
    neteqplot.plot(pairs, "Offhook's bridge, from the caller", file)

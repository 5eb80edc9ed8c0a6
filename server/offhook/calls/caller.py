"""A caller that measures: rings a SIP address, says sound files in turn, listens for the answers, and times both.

Response time as DESIGN has it, on RTP at the caller's end: from the departure of the packet with the caller's last
speech sample to the arrival of the packet with the agent's first. It is a telephone, not part of a server: it has its
own media core and SIP endpoint, and reads what it hears from a slots segment of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from offhook.calls.channel import ChannelGone, Gone, LegEvent
from offhook.calls.dispatch import MediaDispatch
from offhook.calls.sipleg import SipLeg
from offhook.media import DigitsSent, MediaCore, MediaError, MediaEvent, PromptDone, RecordClosed
from offhook.media import slots as media_slots
from offhook.sip import Credentials, SipEndpoint, SipEvent, SipSettings, Terms
from offhook.speech.contract import RATE_HZ
from offhook.speech.slots import RING_SAMPLES, Segment

Pcm = npt.NDArray[np.int16]

FRAME = RATE_HZ // 50
"""20 ms."""
SPEECH_RMS = 180.0
"""A frame of 16-bit samples at or above this is speech (-45 dBFS); comfort noise lies 20 dB below."""
SPEECH_PEAK = 300
POLL_S = 0.005
CONFIRM_FRAMES = 3
"""So many of five frames in a row must be speech, or a click would count as an answer."""


class CallerError(Exception):
    """The caller cannot do what was asked of it; the text says why."""


@dataclass(frozen=True, slots=True)
class Saying:
    """Something to say: 16 kHz int16 and what it is called in the report."""

    name: str
    pcm: Pcm

    @classmethod
    def read(cls, path: Path) -> Saying:
        """A sound file of 8, 16, 24, 32 or 48 kHz; the first channel of several. Raises CallerError."""
        try:
            pcm, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        except (OSError, soundfile.SoundFileError) as error:
            raise CallerError(f"{path}: cannot be read as a sound file ({error})") from None
        if not len(pcm):
            raise CallerError(f"{path}: holds no sound")
        if len(pcm) / rate_hz > 120:
            raise CallerError(f"{path}: is longer than two minutes; say it in parts")
        return cls(path.name, _at_16_khz(pcm[:, 0], rate_hz))

    def speech_ms(self) -> tuple[float, float]:
        """Where in the sound speech begins and ends. Raises CallerError where it is silent."""
        loud = np.flatnonzero(np.abs(self.pcm.astype(np.int32)) > SPEECH_PEAK)
        if not len(loud):
            raise CallerError(f"{self.name}: is silent; there is nothing to measure from")
        return float(loud[0]) / (RATE_HZ / 1000), float(loud[-1]) / (RATE_HZ / 1000)


@dataclass(frozen=True, slots=True)
class Turn:
    """One thing said and what came back. Milliseconds; `at_ms` since the call was answered."""

    said: str
    at_ms: float
    response_ms: float | None
    """None: no answer came."""
    answer_ms: float
    """Length of the agent's speech, from its first sample to its last."""
    interrupting: bool
    silence_ms: float | None
    """Where this turn interrupted the agent: from the caller's first speech sample until the agent was silent."""


@dataclass(slots=True)
class Report:
    """How a call went."""

    uri: str
    failure: str | None = None
    """In a sentence, where the call failed."""
    answered_ms: float | None = None
    """From INVITE to 200."""
    greeting_ms: float | None = None
    """From 200 to the first sample heard."""
    turns: list[Turn] = field(default_factory=list)
    ended_by: str = ""
    packets_received: int = 0
    packets_lost: int = 0
    packets_late: int = 0
    packets_sent: int = 0
    jitter_ms: float = 0.0
    kernel_drops: int = 0

    @property
    def ok(self) -> bool:
        return self.failure is None


@dataclass(frozen=True, slots=True)
class Script:
    """What a caller does once answered."""

    say: Sequence[Saying] = ()
    keys: str = ""
    """Pressed after everything was said."""
    interrupt_after_s: float | None = None
    """Say the next thing when the answer has lasted this long, instead of waiting for its end."""
    settled_s: float = 1.2
    """Silence after which the agent counts as done."""
    patience_s: float = 12.0
    """How long to wait for an answer to begin."""
    credentials: Credentials | None = None
    record: Path | None = None
    """Where what is heard is kept: WAV, 8 kHz."""


class Phone:
    """One telephone with room for several calls at once. Make it with `Phone.plugged_in`."""

    def __init__(self, core: MediaCore, segment: media_slots.SlotSegment, name: str, terms: Terms) -> None:
        self.core = core
        self.name = name
        self.terms = terms
        self.mapped = core.attach(segment)
        self.rows = Segment(segment.fd)
        self.free = list(range(segment.slots))
        self.sip: SipEndpoint
        self._legs: dict[object, SipLeg] = {}
        self._media = MediaDispatch(core)

    @classmethod
    @contextlib.asynccontextmanager
    async def plugged_in(
        cls,
        lines: int = 1,
        host: str = "127.0.0.1",
        ports: tuple[int, int] = (30000, 39999),
        transport: str = "udp",
        name: str = "caller",
        terms: Terms = Terms(),  # noqa: B008  it never changes
        authorities: Path | None = None,
    ) -> AsyncIterator[Phone]:
        """A telephone on `host` for `lines` calls at once, unplugged when the block is left. `name` is the user part
        of the address it calls from, `terms` are its codecs and whether it encrypts its audio; over `tls` it believes
        those in `authorities`, a PEM file, besides whom this machine trusts."""
        loop = asyncio.get_running_loop()
        with MediaCore(host, ports) as core, contextlib.closing(media_slots.create(lines)) as segment:
            phone = cls(core, segment, name, terms)
            phone.sip = SipEndpoint(
                SipSettings(bind=(host, 0), transports=frozenset({transport}), authorities=authorities),
                phone._on_sip,
            )
            await phone.sip.start()
            loop.add_reader(core.fileno(), phone._media.deliver)
            try:
                yield phone
            finally:
                loop.remove_reader(core.fileno())
                for leg in phone._legs.values():
                    leg.hang_up("the telephone was unplugged")
                await phone.sip.stop()

    @contextlib.asynccontextmanager
    async def ring(self, uri: str, credentials: Credentials | None = None) -> AsyncIterator[Line]:
        """Ring `uri`; the block begins when it is answered, and hangs up when it is left. Raises CallerError where it
        is not answered."""
        if not self.free:
            raise CallerError("all lines of this telephone are in use")
        row = self.free.pop()
        port = self.core.open(uri)
        try:
            host, own = self.sip.local
            media = self.terms.offer(*port.address)
            session = self.sip.call(uri, media, caller=f"sip:{self.name}@{host}:{own}", auth=credentials)
            session.terms = self.terms
        except ValueError as error:
            self.free.append(row)
            port.close()
            raise CallerError(f"{uri}: {error}") from None
        leg = SipLeg(session, port)
        line = Line(self, leg, row)
        self._legs[session] = leg
        self._media.add(leg)
        self._media.watch(port, line.on_media)
        try:
            port.bind(self.mapped, row)
            await line.answered()
            yield line
        finally:
            leg.hang_up("the caller is done")
            self._legs.pop(session, None)
            self._media.drop(port)
            if not port.closed:
                port.unbind()
            port.close()
            self.free.append(row)

    def _on_sip(self, event: SipEvent) -> None:
        session = getattr(event, "session", None)
        if session is not None and session in self._legs:
            self._legs[session].handle(event)


class Line:
    """One call of a telephone."""

    def __init__(self, phone: Phone, leg: SipLeg, row: int) -> None:
        self.leg = leg
        self.port = leg.port
        self.row = row
        """Of the telephone's segment: what is heard lies in its listen ring."""
        self.ear = Ear(phone.rows, row, leg.port.opened_ns)
        self.answered_at_ms = 0.0
        self.rung_at_ms = leg.port.clock_ms
        self._core = phone.core
        self._gone: asyncio.Future[Gone] = asyncio.get_running_loop().create_future()
        self._done: dict[int, asyncio.Future[PromptDone]] = {}
        self._pressed = asyncio.Event()
        self._recorded = asyncio.Event()
        leg.listen(self._on_leg)

    async def answered(self) -> None:
        try:
            await self.leg.answered()
        except ChannelGone as gone:
            raise CallerError(f"the call was not answered: {gone}") from None
        self.answered_at_ms = self.port.clock_ms

    @property
    def gone(self) -> Gone | None:
        """How the far end hung up, where it did."""
        return self._gone.result() if self._gone.done() else None

    async def far_end_hangs_up(self, limit_s: float) -> Gone:
        """Wait for it. Raises TimeoutError."""
        return await asyncio.wait_for(asyncio.shield(self._gone), limit_s)

    async def say(self, saying: Saying) -> tuple[float, float]:
        """Say it; returns when it was said, with the departure (ms, port clock) of the packets with its first and
        its last speech sample. Raises CallerError where the far end hangs up meanwhile."""
        first_ms, last_ms = saying.speech_ms()
        prompt = self._core.load_prompt(saying.pcm, RATE_HZ)
        try:
            done: asyncio.Future[PromptDone] = asyncio.get_running_loop().create_future()
            self._done[self.port.play(prompt)] = done
            either: set[asyncio.Future[Any]] = {done, self._gone}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not done.done():
                raise CallerError("the far end hung up while the caller spoke")
            played = done.result()
        finally:
            self._core.drop_prompt(prompt)
        packet_ms = self.leg.agreed.packet_ms if self.leg.agreed else 20
        began_ms = played.clock_ms - played.played_ms
        return began_ms + first_ms // packet_ms * packet_ms, began_ms + last_ms // packet_ms * packet_ms

    async def press(self, keys: str) -> None:
        """Press keys; returns when they have left."""
        self._pressed.clear()
        self.port.send_digits(keys)
        await asyncio.wait_for(self._pressed.wait(), 1.0 + 0.5 * len(keys))

    async def stop_recording(self, limit_s: float = 10.0) -> None:
        """Finish the tracks of `port.record`; returns when both files are whole. Raises TimeoutError."""
        self._recorded.clear()
        self.port.stop_recording()
        await asyncio.wait_for(self._recorded.wait(), limit_s)

    async def until(self, condition: Callable[[], bool], limit_s: float) -> bool:
        """Listen until `condition` holds; False where the time runs out or the far end hangs up first."""
        end = time.monotonic() + limit_s
        while True:
            self.ear.listen()
            if condition():
                return True
            if self._gone.done() or time.monotonic() > end:
                return False
            await asyncio.sleep(POLL_S)

    def on_media(self, event: MediaEvent) -> None:
        if isinstance(event, PromptDone) and event.play in self._done:
            self._done.pop(event.play).set_result(event)
        elif isinstance(event, DigitsSent):
            self._pressed.set()
        elif isinstance(event, RecordClosed):
            self._recorded.set()

    def _on_leg(self, event: LegEvent) -> None:
        if isinstance(event, Gone) and not self._gone.done():
            self._gone.set_result(event)


class Ear:
    """Tells speech from silence in what a line hears, and when it arrived (ms of the port's clock)."""

    def __init__(self, rows: Segment, row: int, opened_ns: int) -> None:
        self._rows, self._row, self._opened_ns = rows, row, opened_ns
        self._read = 0
        self._recent: list[bool] = [False] * 5
        self.first_ms: float | None = None
        """Arrival of the first speech since `forget`."""
        self.last_ms: float = 0.0
        """Arrival of the newest speech."""
        self.now_ms: float = 0.0
        """Arrival of the newest sample."""
        self._began_ms: float | None = None

    def forget(self) -> None:
        """Begin anew: what comes from now on is the answer."""
        self.listen()
        self.first_ms = self._began_ms = None
        self._recent = [False] * 5

    def listen(self) -> None:
        """Take in what has arrived."""
        heard = int(self._rows.heard[self._row])
        at_ms = (int(self._rows.heard_ns[self._row]) - self._opened_ns) / 1e6
        if heard - self._read > RING_SAMPLES // 2:
            self._read = heard - RING_SAMPLES // 2
        while heard - self._read >= FRAME:
            at = (self._read + np.arange(FRAME)) % RING_SAMPLES
            frame = self._rows.listen[self._row, at].astype(np.float32)
            self._read += FRAME
            # Frames that came in one go, behind a gap, arrived together.
            self._frame(bool(np.sqrt((frame**2).mean()) >= SPEECH_RMS), at_ms)

    def silent_for_ms(self) -> float:
        return self.now_ms - self.last_ms

    def speaking_for_ms(self) -> float:
        """Since the first speech since `forget`."""
        return 0.0 if self.first_ms is None else self.now_ms - self.first_ms

    def _frame(self, loud: bool, at_ms: float) -> None:
        self.now_ms = at_ms
        self._recent = [*self._recent[1:], loud]
        if loud and self._began_ms is None:
            self._began_ms = at_ms
        if sum(self._recent) >= CONFIRM_FRAMES and loud:
            self.last_ms = at_ms
            if self.first_ms is None:
                self.first_ms = self._began_ms
        if not any(self._recent):
            self._began_ms = None


async def converse(phone: Phone, uri: str, script: Script, tell: Callable[[Turn], None] = lambda turn: None) -> Report:
    """Place one call and go through `script`. Never raises for a call that fails: the report says so."""
    report = Report(uri)
    try:
        async with phone.ring(uri, script.credentials) as line:
            report.answered_ms = round(line.answered_at_ms - line.rung_at_ms, 1)
            if script.record is not None:
                script.record.parent.mkdir(parents=True, exist_ok=True)
                line.port.record(script.record, script.record.with_suffix(".said.wav"))
            try:
                await _go_through(line, script, report, tell)
            finally:
                _count(line, phone.core, report)
    except (CallerError, MediaError, OSError, TimeoutError) as error:
        report.failure = str(error) or "the call did not go as planned"
    return report


async def _go_through(line: Line, script: Script, report: Report, tell: Callable[[Turn], None]) -> None:
    settled = script.settled_s * 1000
    interrupt_ms = (script.interrupt_after_s or 0.0) * 1000

    def done() -> bool:
        return line.ear.first_ms is not None and line.ear.silent_for_ms() >= settled

    if not await line.until(lambda: line.ear.first_ms is not None, script.patience_s):
        raise CallerError("nothing was heard after the call was answered")
    assert line.ear.first_ms is not None
    report.greeting_ms = round(line.ear.first_ms - line.answered_at_ms, 1)
    await line.until(done, 60.0)
    talking = False  # the agent is still speaking, and is about to be interrupted
    for number, saying in enumerate(script.say):
        if line.gone is not None:
            raise CallerError(f"the far end hung up before {saying.name} was said: {line.gone.cause}")
        silence_ms = None
        if talking:
            saying_task = asyncio.create_task(line.say(saying))
            await line.until(lambda: line.ear.silent_for_ms() >= 300, 5.0)
            stopped_ms = line.ear.last_ms
            first_ms, last_ms = await saying_task
            silence_ms = round(max(0.0, stopped_ms - first_ms), 1)
        else:
            first_ms, last_ms = await line.say(saying)
        line.ear.forget()
        answered = await line.until(lambda: line.ear.first_ms is not None, script.patience_s)
        first_heard = line.ear.first_ms
        last_one = number == len(script.say) - 1
        talking = False
        if answered and script.interrupt_after_s is not None and not last_one:
            await line.until(lambda: done() or line.ear.speaking_for_ms() >= interrupt_ms, 60.0)
            talking = not done()
        elif answered:
            await line.until(done, 60.0)
        turn = Turn(
            said=saying.name,
            at_ms=round(first_ms - line.answered_at_ms, 1),
            response_ms=None if first_heard is None else round(first_heard - last_ms, 1),
            answer_ms=0.0 if first_heard is None else round(line.ear.last_ms - first_heard, 1),
            interrupting=silence_ms is not None,
            silence_ms=silence_ms,
        )
        report.turns.append(turn)
        tell(turn)
    if script.keys and line.gone is None:
        line.ear.forget()
        await line.press(script.keys)
        await line.until(lambda: line.ear.first_ms is not None, script.patience_s)
        await line.until(done, 60.0)


def _count(line: Line, core: MediaCore, report: Report) -> None:
    report.ended_by = "far end" if line.gone is not None else "caller"
    counters = line.port.counters()
    report.packets_received = counters.packets_in
    report.packets_sent = counters.packets_out
    report.packets_lost = counters.lost
    report.packets_late = counters.late
    report.jitter_ms = round(counters.jitter_ms, 2)
    report.kernel_drops = core.counters().kernel_drops


def report_json(report: Report) -> dict[str, object]:
    """A report as plain JSON types."""
    return {**dataclasses.asdict(report), "ok": report.ok}


def _at_16_khz(pcm: npt.NDArray[np.float32], rate_hz: int) -> Pcm:
    """Bring a sound to 16 kHz by a windowed-sinc filter (test material, not the call path)."""
    if rate_hz == RATE_HZ:
        out = pcm
    else:
        if rate_hz not in (8000, 11025, 22050, 24000, 32000, 44100, 48000):
            raise CallerError(f"a sound of {rate_hz} samples a second is not supported; convert it to 16000")
        count = int(len(pcm) * RATE_HZ / rate_hz)
        cut = min(1.0, RATE_HZ / rate_hz)
        taps = np.arange(-24, 25)
        where = np.arange(count) * (rate_hz / RATE_HZ)
        base = np.floor(where).astype(np.int64)
        out = np.zeros(count, dtype=np.float32)
        padded = np.pad(pcm, (25, 26))
        for tap in taps:
            distance = where - base - tap
            window = 0.5 + 0.5 * np.cos(np.pi * np.clip(distance / 25, -1, 1))
            out += (padded[base + tap + 25] * np.sinc(distance * cut) * cut * window).astype(np.float32)
    return np.clip(out * 32767, -32768, 32767).astype(np.int16)

"""Call: one conversation from ring to hang-up, with the verbs a dial plan speaks and one timeline.

A thin object: it holds the caller's leg, writes down what happens, and waits. How an AI agent is put on the line is
`conversation`'s business, how two parties are connected `bridging`'s, how a message is taken `voicemail`'s.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import structlog

from offhook.calls import bridging, conversation, voicemail
from offhook.calls.channel import ChannelAdapter, ChannelGone, Gone, Held, LegEvent, Moved, Pressed, Resumed
from offhook.calls.exchange import Exchange
from offhook.calls.linewatch import LineWatch
from offhook.calls.timeline import (
    CallAnswered,
    CallEnded,
    CallHeld,
    CallMoved,
    CallResumed,
    Disclosed,
    KeyPressed,
    MediaBack,
    MediaCounted,
    MediaLost,
    MediaStarted,
    PromptEnded,
    PromptStarted,
    RecordingEnded,
    RecordingFailed,
    RecordingStarted,
    TalkBegan,
    TalkEnded,
    Timeline,
)
from offhook.calls.verbs import AgentExit, CallFacts, CallOver, DialExit, RecordExit, VoicemailExit
from offhook.media import (
    Digit,
    MediaError,
    MediaEvent,
    PromptDone,
    Quality,
    RecordClosed,
    RecordFailed,
    RecordResumed,
    Talk,
)
from offhook.media import MediaBack as PacketsBack
from offhook.media import MediaLost as PacketsLost
from offhook.media import MediaStarted as PacketsStarted
from offhook.telemetry.metrics import packet_figures
from offhook.weights import WeightsMissing

log = structlog.get_logger("offhook.calls")

T = TypeVar("T")

CLOSING_S = 5.0
"""How long the end of a call waits for the disk to finish its tracks."""

FAREWELL_S = 6.0

REFUSALS = {"busy": 486, "declined": 603}
"""How a call that was never answered is refused, by the dial plan's word for it; 480 for the others."""

PARTY = {"peer": "caller", "us": "us", "timeout": "caller"}
"""Who ended a call, from how the caller's leg ended."""


class Call:
    """Implements `verbs.Verbs` over one leg. For one task at a time; `hang_up` and `end` may come from any."""

    def __init__(self, facts: CallFacts, leg: ChannelAdapter, timeline: Timeline, folder: Path, hall: Exchange) -> None:
        self.facts = facts
        self.leg = leg
        self.timeline = timeline
        self.folder = folder
        self.hall = hall
        self.agent_name: str | None = None
        """The AI agent on the line now."""
        self.keep: str | None = None
        """How long what is recorded is kept; None where nothing is recorded."""
        self.ended_by = ""
        """Who ended it, once it is closed; as `CallEnded` has it."""
        self.on_keys: Callable[[str], None] | None = None
        """Whoever takes the caller's keys now."""
        self.on_talk: Callable[[bool, float], None] | None = None
        """Told when the agent's speech begins (True) and ends at the caller's ear, with the time in ms."""
        self._answered = False
        self._over: asyncio.Future[Gone] = asyncio.get_running_loop().create_future()
        self._plays: dict[int, asyncio.Future[PromptDone]] = {}
        self._tracks_closed = asyncio.Event()
        self._lost = self._held = False
        self._silence: asyncio.TimerHandle | None = None
        self._recording = False
        self._by_server = False
        self._line = LineWatch("caller", facts.trunk, timeline, hall.metrics)
        self._leaving = False  # goodbye is being said: the plan may begin nothing more
        leg.listen(self._on_leg)
        hall.watch(leg.port, self._on_media)

    @property
    def over(self) -> bool:
        return self._over.done()

    @property
    def answered(self) -> bool:
        return self._answered

    # --- verbs

    async def reject(self, status: int, reason: str) -> None:
        self.leg.reject(status, reason)

    async def ring(self) -> None:
        self.leg.ring()

    async def answer(self) -> None:
        await self._may_go_on()
        if self._answered:
            return
        try:
            answer = await self.until_over(self.leg.answer())
        except ChannelGone:
            raise CallOver from None
        self._answered = True
        self.timeline.append(CallAnswered(answer.codec, answer.packet_ms))
        log.info("answered", codec=answer.codec, packet_ms=answer.packet_ms)

    async def say(self, text: str, language: str, voice: str | None) -> None:
        try:
            prompt = await self.until_over(self.hall.prompts.words(text, voice))
        except WeightsMissing as error:
            log.error("prompt cannot be spoken", text=text, why=str(error))
            return
        self.timeline.append(PromptStarted(text))
        done = await self.play(prompt)
        self.timeline.append(PromptEnded(round(done.played_ms, 1), done.whole), done.clock_ms)

    async def disclose(self, what: Sequence[str], text: str, language: str) -> None:
        await self.say(text, language, None)
        self.timeline.append(Disclosed(list(what), text, language))

    async def record(self, keep: str) -> RecordExit:
        await self._may_go_on()
        self.keep = keep
        if self._recording:
            return "recording"
        caller, agent = self.folder / "caller.wav", self.folder / "agent.wav"
        try:
            self.leg.port.record(caller, agent)
        except MediaError as error:
            self._record_failed(str(error), self.leg.port.clock_ms)
            return "failed"
        self._recording = True
        self.timeline.append(RecordingStarted([caller.name, agent.name], keep))
        return "recording"

    async def agent(self, name: str, limit_s: float, known: Mapping[str, str]) -> AgentExit:
        await self._may_go_on()
        return await self.until_over(conversation.hold(self, name, limit_s, known))

    async def dial(self, uri: str, ring_s: float, limit_s: float | None) -> DialExit:
        await self._may_go_on()
        return await self.until_over(bridging.connect(self, uri, ring_s, limit_s))

    async def voicemail(self, text: str, language: str, max_s: float, keep: str) -> VoicemailExit:
        await self._may_go_on()
        return await voicemail.take(self, text, language, max_s, keep)

    async def hang_up(self, cause: str) -> None:
        if self._leaving:
            await self._may_go_on()
        if self._answered:
            self.leg.hang_up(cause)
        else:
            self.leg.reject(REFUSALS.get(cause, 480), "")

    # --- what the verbs are made of

    async def until_over(self, doing: Coroutine[Any, Any, T]) -> T:
        """What `doing` gives; where the call ends first it is cancelled, waited for, and CallOver is raised."""
        task = asyncio.ensure_future(doing)
        try:
            either: set[asyncio.Future[Any]] = {task, self._over}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
        if task.cancelled():
            raise CallOver
        return task.result()

    async def play(self, prompt: int) -> PromptDone:
        """Play a prompt to its end."""
        await self._may_go_on()
        done = await self._played(prompt)
        await self._may_go_on()
        return done

    async def _played(self, prompt: int) -> PromptDone:
        done: asyncio.Future[PromptDone] = asyncio.get_running_loop().create_future()
        number = self.leg.port.play(prompt)
        self._plays[number] = done

        async def finished() -> PromptDone:
            return await done

        try:
            return await self.until_over(finished())
        finally:
            self._plays.pop(number, None)
            if not done.done():
                self.quiet()

    def start(self, prompt: int, loop: bool = False) -> None:
        """Begin to play a prompt, once or over and over until `quiet`, and do not wait for it."""
        if not self.over and not self._leaving:
            self.leg.port.play(prompt, loop)

    def quiet(self) -> None:
        """Stop what is being played."""
        if not self.over and not self._leaving:
            self.leg.port.stop()

    async def close(self) -> None:
        """The call is over: end the leg where it still stands, finish the tracks, write the last entries."""
        try:
            await self._close()
        finally:
            self.hall.forget(self.leg)

    async def _close(self) -> None:
        self.leg.hang_up("the dial plan ended")
        gone = await self._over
        port = self.leg.port
        if self._recording:
            port.stop_recording()
            try:
                await asyncio.wait_for(self._tracks_closed.wait(), CLOSING_S)
                self.timeline.append(RecordingEnded("the call ended"))
            except TimeoutError:
                self._record_failed("the disk did not finish the tracks in time", port.clock_ms)
        counters = dataclasses.asdict(port.counters())
        self.timeline.append(MediaCounted(counters))
        self._line.over()
        self.hall.metrics.packets(packet_figures(counters))
        self.ended_by = "server" if self._by_server else PARTY.get(gone.by, gone.by)
        self.timeline.append(CallEnded(self.ended_by, gone.cause))
        log.info("ended", by=self.ended_by, cause=gone.cause)
        self.timeline.close()
        if self.timeline.fault is not None:
            self.hall.metrics.timeline_failed()
            log.error("timeline not written whole", why=str(self.timeline.fault))

    async def farewell(self, prompt: int) -> None:
        """Say goodbye over whatever goes on, then end the call: the server is going down. From here on the dial plan
        waits for the end; its next step would cut the goodbye short."""
        self._leaving = True
        if self._answered and not self.over:
            try:
                await asyncio.wait_for(self._played(prompt), FAREWELL_S)
            except (TimeoutError, CallOver, MediaError):
                pass
        self.end("the server went down")

    def end(self, cause: str) -> None:
        """The server ends the call."""
        if not self.over:
            self._by_server = True
            self.leg.hang_up(cause)

    async def _may_go_on(self) -> None:
        """Return where the dial plan may begin something. Raises CallOver where it may not, once the call is over."""
        if self._leaving:
            await asyncio.shield(self._over)
        if self.over:
            raise CallOver

    # --- what happens on the leg

    def _on_leg(self, event: LegEvent) -> None:
        match event:
            case Held():
                self._held = True
                self._mind_the_line()
                self.timeline.append(CallHeld())
                log.info("held")
            case Resumed():
                self._held = False
                self._mind_the_line()
                self.timeline.append(CallResumed())
                log.info("resumed")
            case Moved(address):
                self.timeline.append(CallMoved(address))
                log.info("moved", address=address)
            case Pressed(digits, via):
                for digit in digits:
                    self._pressed(digit, via, self.leg.port.clock_ms)
            case Gone():
                if not self._over.done():
                    self._over.set_result(event)
                self._mind_the_line()

    def _on_media(self, event: MediaEvent) -> None:
        match event:
            case PromptDone(play=play):
                if (done := self._plays.get(play)) is not None and not done.done():
                    done.set_result(event)
            case Talk(began=began, clock_ms=at):
                self.timeline.append(TalkBegan() if began else TalkEnded(), at)
                if self.on_talk is not None:
                    self.on_talk(began, at)
            case Quality(clock_ms=at):
                self._line.on_quality(event, at)
            case Digit(digit=digit, clock_ms=at):
                self._pressed(digit, "rfc4733", at)
            case PacketsStarted(address=address, clock_ms=at):
                self.timeline.append(MediaStarted(f"{address[0]}:{address[1]}"), at)
            case PacketsLost(clock_ms=at):
                self.timeline.append(MediaLost(), at)
                log.warning("no packets from the caller")
                self._lost = True
                self._mind_the_line()
            case PacketsBack(clock_ms=at):
                self.timeline.append(MediaBack(), at)
                self._lost = False
                self._mind_the_line()
            case RecordFailed(why=why, clock_ms=at):
                self._record_failed(why, at)
            case RecordResumed(clock_ms=at):
                self.timeline.append(RecordingStarted(["caller.wav", "agent.wav"], self.keep or ""), at)
            case RecordClosed():
                self._tracks_closed.set()

    def _mind_the_line(self) -> None:
        """Give a line without packets some time, then end the call: nobody may be there any more. Who holds us need
        not send."""
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None
        if self._lost and not self._held and not self.over:
            limit_s = self.hall.no_media_s
            why = f"no packet from the caller for {limit_s:g} s"
            self._silence = asyncio.get_running_loop().call_later(limit_s, self.leg.hang_up, why)

    def _pressed(self, digit: str, via: str, at: float) -> None:
        # What is pressed may be a secret (a card, a PIN): it belongs on the call's record, not in the server's log.
        self.timeline.append(KeyPressed(digit, via), at)
        if self.on_keys is not None:
            self.on_keys(digit)

    def _record_failed(self, why: str, at: float) -> None:
        self.timeline.append(RecordingFailed(why), at)
        self.hall.metrics.recording_failed()
        log.error("recording failed, the call goes on", why=why)

"""The edge's face of a speech worker: reserve a slot, admit a conversation to it, hear its events, give it back.

    speech = SpeechWorker("cascade", slots=8, segment_fd=segment.fd)
    await speech.start()
    slot = speech.reserve()                          # None: speech.refusal says "full", "too slow" or "down"
    epoch = port.bind(segment, slot.number)
    await slot.admit(persona, epoch)                 # NotAdmitted has the reason
    async for event in slot.events():
        match event:
            case Lost():                             # play a hold phrase; the slot stays ours
            case Restored():                         # bind the port again, admit again with the last memo
            ...
    slot.release()

The process itself is watched here: one that ends, hangs or falls silent is killed and replaced, and `reload` has one
with other options take over. Audio never comes by: it travels through the segment's rings. Everything is for one event
loop and one thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from offhook.speech.contract import Delivery, Event, Json, Persona, ToolResult
from offhook.speech.process import SpeechUnavailable, WorkerProcess
from offhook.speech.stats import SchedulerStats
from offhook.speech.wire import (
    Admit,
    Admitted,
    Counted,
    Deliver,
    Happened,
    Refused,
    Rehearse,
    Release,
    Report,
    WireError,
    encode,
)

__all__ = ["Lost", "NotAdmitted", "Restored", "Slot", "SlotEvent", "SpeechUnavailable", "SpeechWorker"]

log = structlog.get_logger(__name__)

ADMIT_LIMIT_S = 20.0
"""How long an admission may take: a mind that loads and words that are synthesised ahead."""
LONGEST_BACK_OFF_S = 30.0


@dataclass(frozen=True, slots=True)
class Lost:
    """The worker died or stopped answering; nothing more is heard from the slot until `Restored`."""

    why: str


@dataclass(frozen=True, slots=True)
class Restored:
    """A fresh worker is ready: bind the port again for a new epoch, then `admit` again with the last memo. Should that
    be refused with `down`, the worker was lost once more, and another `Restored` will come. Without a `Lost` before it:
    the worker was replaced by plan, within a moment."""


SlotEvent = Event | Lost | Restored


class NotAdmitted(Exception):
    """A slot would not take the conversation. `reason` is one of `full` (capacity of the model reached), `too slow`
    (one more could not be served on time), `down` (no worker), `unbound` (the row's epoch is not the one named: bind
    the port first) or `unfit` (the persona cannot be served: its voice or mind does not load)."""

    def __init__(self, reason: str, why: str) -> None:
        super().__init__(why)
        self.reason = reason


class Slot:
    """One row of the worker's batch, held by one call until `release`."""

    def __init__(self, worker: SpeechWorker, number: int) -> None:
        self.number = number
        """The row in the segment, to bind the port to."""
        self._worker = worker
        self._epoch = 0
        self._admitted = False
        self._astray = False  # its conversation went with a worker and was not admitted again yet
        self._held = True
        self._queue: asyncio.Queue[SlotEvent | None] = asyncio.Queue()

    async def admit(self, persona: Persona, epoch: int) -> None:
        """Begin `persona`'s conversation (or go on with it, where it has a memo) in the row bound as `epoch`. Raises
        NotAdmitted; the slot stays reserved then, to be tried again or released."""
        if not self._held:
            raise RuntimeError(f"slot {self.number} was released; reserve another")
        self._epoch = epoch
        self._admitted = False
        await self._worker._admit(self, persona, epoch)

    async def events(self) -> AsyncIterator[SlotEvent]:
        """What the model reports of this conversation, and the fate of its worker, in order, until `release`. For one
        reader. Positions of the caller's stream in these events are cursors of the row's listen ring, those of the
        agent's stream cursors of its play ring: 16 kHz samples since the port was bound."""
        while (event := await self._queue.get()) is not None:
            if isinstance(event, Restored) and not self._astray:
                continue  # of a worker before the one that the conversation was admitted to meanwhile
            yield event

    def deliver(self, delivery: Delivery) -> None:
        """Hand a tool's answer or pressed keys to the conversation. Dropped where there is none (the worker is being
        replaced; the conversation then goes on from its memo). An answer too large or too deep to be handed on
        arrives as a failed one that says so."""
        if self._held and self._admitted:
            self._worker._send(Deliver(self.number, self._epoch, _sendable(delivery)))

    def release(self) -> None:
        """Give the slot back and end `events`. May be called twice."""
        if not self._held:
            return
        self._held = False
        if self._epoch:
            self._worker._send(Release(self.number, self._epoch))
        self._queue.put_nowait(None)
        self._worker._freed(self)

    def _happened(self, epoch: int, event: Event) -> None:
        if self._held and epoch == self._epoch:
            self._queue.put_nowait(event)

    def _accepted(self) -> None:
        self._admitted, self._astray = True, False

    def _lost(self, why: str | None) -> None:
        """The worker is gone, and the conversation, if there was one, with it; by plan where no reason is given."""
        if self._admitted:
            self._admitted, self._astray = False, True
            if why is not None:
                self._queue.put_nowait(Lost(why))

    def _restored(self) -> None:
        if self._astray:
            self._queue.put_nowait(Restored())


class SpeechWorker:
    """One worker process that serves `slots` conversations, kept alive.

    `model` is a name of the worker's registry (`cascade`, `echo`) or `module:Class`; `options` are the model's own.
    `segment_fd` is the shared memory with at least `slots` rows; it stays the caller's and is not closed here.
    `on_stats` is called with every new `SchedulerStats`, about once a second. With `standby` a second process waits
    with its model loaded and takes over at once, for the price of its memory. `personas` are those that calls will
    want: each new worker prepares for them before it is asked, so that the first caller is greeted like the others.
    """

    def __init__(
        self,
        model: str,
        slots: int,
        segment_fd: int,
        options: Mapping[str, Json] | None = None,
        *,
        on_stats: Callable[[SchedulerStats], None] | None = None,
        standby: bool = False,
        personas: Sequence[Persona] = (),
        ready_limit_s: float = 60.0,
        silence_limit_s: float = 2.0,
        python: str = sys.executable,
    ) -> None:
        self.stats = SchedulerStats(slots=slots)
        """The newest figures; counters include those of workers that were replaced."""
        self.refusal = "down"
        """Why the last `reserve` answered None: `full`, `too slow`, `down`."""
        self._model, self._slots, self._segment_fd = model, slots, segment_fd
        self._options = dict(options or {})
        self._on_stats = on_stats
        self._with_standby = standby
        self._personas = tuple(personas)
        self._ready_limit_s, self._silence_limit_s, self._python = ready_limit_s, silence_limit_s, python
        self._free = deque(range(slots))
        self._held: dict[int, Slot] = {}
        self._asked: dict[int, tuple[Slot, asyncio.Future[None]]] = {}
        self._asks = 0
        self._before = SchedulerStats()  # what replaced workers had counted, and what was refused here
        self._restarts = 0
        self._process: WorkerProcess | None = None
        self._spare: asyncio.Task[WorkerProcess] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._fresh: WorkerProcess | None = None  # is to follow the present one
        self._reloading = asyncio.Lock()
        self._open = asyncio.Event()  # clear while one worker hands over to another
        self._open.set()
        self._up = asyncio.Event()  # set while there is a worker

    @property
    def up(self) -> bool:
        """A worker is there and answers."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """The present worker's process, 0 where there is none."""
        return self._process.pid if self._process else 0

    @property
    def capacity(self) -> int:
        """Conversations the worker could hold on time as things are; 0 while there is none."""
        return min(self._most, self.stats.capacity)

    @property
    def free(self) -> int:
        """How many slots could be reserved now."""
        return max(0, self.capacity - len(self._held))

    @property
    def _most(self) -> int:
        """Conversations the worker takes however fast it is."""
        return min(self._slots, self._process.capacity) if self._process else 0

    async def start(self) -> None:
        """Return when the model is loaded. Raises SpeechUnavailable with a sentence where it does not load in time."""
        process = await self._spawned()
        self._install(process)
        self._keeper = asyncio.create_task(self._keep(process), name="speech-worker")

    async def stop(self) -> None:
        """End the worker; slots still held see `Lost`."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
        await self._stop_spare()
        process, self._process = self._process, None
        if process is not None:
            self._tell_lost("the server stops its speech worker")
            await process.stop()
        fresh, self._fresh = self._fresh, None
        if fresh is not None:
            await fresh.stop()
        self._open.set()
        self._up.set()

    async def reload(self, model: str, options: Mapping[str, Json]) -> None:
        """Have a worker with this model and these options take over all conversations; also with the present ones, to
        load weights that have changed. It is loaded beside the present one, which then ends; slots see `Restored`.
        Raises SpeechUnavailable where it does not load: then the present one serves on."""
        async with self._reloading:
            before = self._model, self._options
            self._model, self._options = model, dict(options)
            try:
                fresh = await self._spawned()
                if self._keeper is None:
                    await fresh.stop()
                    raise SpeechUnavailable("the server has stopped its speech worker")
                self._fresh = fresh  # from here on it is stopped with the rest
                await self._stop_spare()
                await self._hand_over(fresh)
            except BaseException:
                self._model, self._options = before
                self._keep_spare()
                raise

    async def _hand_over(self, fresh: WorkerProcess) -> None:
        """End the present worker, and any that the keeper was already at putting in its place, until `fresh` serves.
        Raises SpeechUnavailable where it died before it could."""
        while self._fresh is fresh:
            await self._up.wait()
            self._open.clear()  # who comes now waits for the fresh one, and who was asking gets an answer
            try:
                while self._asked:
                    await asyncio.wait([answer for _, answer in self._asked.values()])
                    await asyncio.sleep(0)
                if self._fresh is not fresh:
                    return
                if not fresh.alive:
                    self._fresh = None
                    raise SpeechUnavailable(f"the fresh speech worker did not last: {await fresh.ended()}")
                if self._process is not None:
                    await self._process.stop()
                    await self._open.wait()
            finally:
                self._open.set()

    async def _stop_spare(self) -> None:
        spare, self._spare = self._spare, None
        if spare is not None:
            spare.cancel()
            (left,) = await asyncio.gather(spare, return_exceptions=True)
            if isinstance(left, WorkerProcess):
                await left.stop()

    def reserve(self) -> Slot | None:
        """A free slot, or None with `refusal` saying why not. The slot longest unused comes first."""
        if self._process is None and self._open.is_set():
            self.refusal = "down"
        elif not self._free or (self._process and len(self._held) >= self._most):
            self.refusal = "full"
        elif self._process and len(self._held) >= self.capacity:
            self.refusal = "too slow"
        else:
            slot = Slot(self, self._free.popleft())
            self._held[slot.number] = slot
            return slot
        # Counted with those the worker refuses; now, for it may not live to report once more.
        self._before, self.stats = (_refused_once_more(stats, self.refusal) for stats in (self._before, self.stats))
        return None

    # --- what slots ask for

    async def _admit(self, slot: Slot, persona: Persona, epoch: int) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ADMIT_LIMIT_S):
                await self._open.wait()
        if self._process is None or not self._open.is_set():
            raise NotAdmitted("down", "the speech worker is being replaced")
        self._asks += 1
        ask, answer = self._asks, asyncio.get_running_loop().create_future()
        try:
            self._process.send(Admit(ask, slot.number, epoch, persona, slot._astray))
        except WireError as error:
            raise NotAdmitted("unfit", f"persona {persona.name} cannot be handed to the worker: {error}") from None
        self._asked[ask] = slot, answer
        try:
            async with asyncio.timeout(ADMIT_LIMIT_S):
                await answer
        except (TimeoutError, asyncio.CancelledError) as error:
            self._send(Release(slot.number, epoch))
            if isinstance(error, asyncio.CancelledError):
                raise
            why = f"persona {persona.name} was not admitted to slot {slot.number} within {ADMIT_LIMIT_S:.0f} s"
            raise NotAdmitted("too slow", why) from None
        finally:
            self._asked.pop(ask, None)

    def _send(self, command: Deliver | Release) -> None:
        if self._process is not None:
            self._process.send(command)

    def _freed(self, slot: Slot) -> None:
        del self._held[slot.number]
        self._free.append(slot.number)

    # --- what the worker reports

    def _reported(self, process: WorkerProcess, report: Report) -> None:
        if process is not self._process:
            return
        match report:
            case Happened(epoch, event):
                slot = self._held.get(event.slot)
                if slot is not None:
                    slot._happened(epoch, event)
            case Admitted(ask):
                if asked := self._asked.pop(ask, None):
                    asked[0]._accepted()  # here and not when `admit` resumes: the worker may be lost before that
                    if not asked[1].done():  # it is where whoever asked was cancelled in this moment
                        asked[1].set_result(None)
            case Refused(ask, reason, why):
                if (asked := self._asked.pop(ask, None)) and not asked[1].done():
                    asked[1].set_exception(NotAdmitted(reason, why))
            case Counted(stats):
                self._counted(process, stats)

    def _counted(self, process: WorkerProcess, stats: SchedulerStats) -> None:
        self.stats = dataclasses.replace(
            stats.on_top_of(self._before), pid=process.pid, restarts=self._restarts, load_ms=process.load_ms
        )
        if self._on_stats is not None:
            self._on_stats(self.stats)

    # --- keeping it alive

    async def _keep(self, process: WorkerProcess) -> None:
        """Replace the worker whenever it ends; the first time at once, then ever more slowly until one lasts."""
        loop = asyncio.get_running_loop()
        back_off_s, began = 0.0, loop.time()
        while True:
            why = await process.ended()
            self._process = None
            self._up.clear()
            self._before = dataclasses.replace(self.stats, in_use=0)
            if not self._open.is_set() and self._fresh is not None and self._fresh.alive:
                log.info("speech worker hands over", pid=process.pid, calls=len(self._held))
                process, self._fresh = self._fresh, None
                self._tell_lost(None)
                self._install(process)
                for slot in list(self._held.values()):
                    slot._restored()
                continue
            log.error("speech worker lost", pid=process.pid, why=why, calls=len(self._held))
            self._tell_lost(why)
            self._open.set()  # nobody waits for a worker that may take its time
            if loop.time() - began > LONGEST_BACK_OFF_S:
                back_off_s = 0.0
            while True:
                if self._spare is None and back_off_s:
                    await asyncio.sleep(back_off_s)
                back_off_s = min(max(0.5, 2 * back_off_s), LONGEST_BACK_OFF_S)
                try:
                    process = await self._successor()
                    break
                except SpeechUnavailable as error:
                    log.error("speech worker not replaced", why=str(error), next_try_s=back_off_s)
            began = loop.time()
            self._restarts += 1
            self._install(process)
            log.info("speech worker replaced", pid=process.pid, load_ms=round(process.load_ms))
            for slot in list(self._held.values()):
                slot._restored()

    def _install(self, process: WorkerProcess) -> None:
        self._process = process
        self._open.set()
        self._up.set()
        for persona in self._personas:
            process.send(Rehearse(persona))
        self._counted(process, SchedulerStats(slots=self._slots, capacity=process.capacity))
        self._keep_spare()

    def _keep_spare(self) -> None:
        if self._with_standby and self._spare is None and self._process is not None:
            self._spare = asyncio.create_task(self._spawned(), name="speech-worker-standby")

    async def _successor(self) -> WorkerProcess:
        fresh, self._fresh = self._fresh, None
        if fresh is not None and fresh.alive:
            return fresh
        spare, self._spare = self._spare, None
        if spare is not None:
            try:
                process = await spare
            except SpeechUnavailable as error:
                log.warning("standby speech worker had not started", why=str(error))
            else:
                if process.alive:
                    return process
        return await self._spawned()

    async def _spawned(self) -> WorkerProcess:
        return await WorkerProcess.spawn(
            model=self._model,
            slots=self._slots,
            options=self._options,
            segment_fd=self._segment_fd,
            python=self._python,
            on_report=self._reported,
            ready_limit_s=self._ready_limit_s,
            silence_limit_s=self._silence_limit_s,
        )

    def _tell_lost(self, why: str | None) -> None:
        """Fail what was asked of the dead worker, and tell the slots whose conversations went with it; those of one
        that was replaced by plan have no reason to be told."""
        asked, self._asked = self._asked, {}
        for _, answer in asked.values():
            if not answer.done():
                answer.set_exception(NotAdmitted("down", f"the speech worker was lost: {why or 'it is replaced'}"))
        for slot in self._held.values():
            slot._lost(why)


def _refused_once_more(stats: SchedulerStats, reason: str) -> SchedulerStats:
    return dataclasses.replace(stats, refused={**stats.refused, reason: stats.refused.get(reason, 0) + 1})


def _sendable(delivery: Delivery) -> Delivery:
    try:
        encode(delivery)
    except WireError as error:
        if isinstance(delivery, ToolResult):
            return ToolResult(delivery.id, False, None, f"the tool's answer could not be handed on: {error}")
        raise
    return delivery

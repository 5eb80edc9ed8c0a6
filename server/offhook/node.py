"""Builds one server from its settings: what starts in which order, how calls come in, how it drains and stops.

Each part is whole without this module; here they meet. What a call does is decided by the dial plan, not here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

import structlog

from offhook.agents.schema import find_agents, load_agent
from offhook.agents.tools import Toolbox
from offhook.calls import archive, conversation, voicemail
from offhook.calls.call import Call
from offhook.calls.channel import ChannelAdapter
from offhook.calls.exchange import Employee, Exchange
from offhook.calls.prompts import Prompts
from offhook.calls.timeline import CallStarted, Timeline
from offhook.calls.verbs import CallFacts, CallOver
from offhook.console.app import make_app, serving
from offhook.console.status import LiveCall, NodeState, NodeStatus, WorkerStatus
from offhook.console.webdoor import RefusedCall, WebDoor
from offhook.dialplan import Plan, load_plan, normal_number, run
from offhook.dialplan.plan import Disclose, Say, Voicemail
from offhook.media import CoreCounters, MediaCore, MediaError
from offhook.media import slots as media_slots
from offhook.settings import Settings, TrunkSettings
from offhook.sip import Cause, IncomingCall, Refusal, Refused, SipEndpoint, SipEvent, SipSettings, Srtp, Trunk
from offhook.speech.contract import RATE_HZ
from offhook.speech.slots import Segment as Rows
from offhook.speech.stats import SchedulerStats
from offhook.speech.workers import SpeechWorker
from offhook.store import Store, StoreError
from offhook.telemetry.logs import on_call
from offhook.telemetry.metrics import CoreFigures, Metrics, WorkerFigures
from offhook.webrtc import Certificate, DtlsIdentity
from offhook.weights import cache

log = structlog.get_logger("offhook.node")

GOODBYE = "We are sorry, this call has to end now. Please call again. Goodbye."
RETRY_AFTER_S = 30
EXPIRE_EVERY_S = 3600.0
FILE_AGAIN_S = 5.0
"""How long after a disk or database would not take what is left of a call it is tried again; then twice as long."""
FILE_AGAIN_AT_MOST_S = 300.0
CLOSE_S = 10.0
"""How long ended calls may take to close their files when the server stops."""


class NodeError(Exception):
    """The server cannot start; the text says why and what to do."""


@dataclass(slots=True)
class _Live:
    call: Call
    began: datetime
    task: asyncio.Task[None]


class Node:
    """One server. `start`, then `drain`, then `stop`; for one event loop."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.state = NodeState.STARTING
        self.started_at = datetime.now(UTC)
        self.metrics = Metrics()
        self.plan: Plan
        self.hall: Exchange
        self.console = ""
        """Where the web side is, once started."""
        self._live: dict[str, _Live] = {}
        self._amiss = 0
        """Faults of the media core's own that have been told of."""
        self._unfiled: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._open = contextlib.AsyncExitStack()

    # --- life

    async def start(self) -> None:
        """Everything up and listening. Raises an exception with a sentence where something is in the way: a plan or
        agent that does not lint (FileFaults), a port that is taken, weights that were not pulled."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        settings, loop = self.settings, asyncio.get_running_loop()
        agents = {name: load_agent(path) for name, path in find_agents(settings.agents).items()}
        self.plan = load_plan(settings.dialplan, agents)
        self._open.enter_context(archive.claimed(settings.home))
        store = Store.open(settings.database_url)
        self._open.callback(store.close)
        for swept in await asyncio.to_thread(archive.sweep, settings.calls_folder, store):
            log.warning("call was cut when the server last stopped", call=swept.call_id, faults=list(swept.faults))

        sip, media = settings.sip, settings.media
        core = MediaCore(
            media.host or sip.host,
            media.ports,
            media.advertise or sip.advertise or (sip.host if sip.host != "0.0.0.0" else None),
            media.threads,
        )
        self._open.callback(core.close)
        segment = media_slots.create(settings.speech.slots)
        self._open.callback(segment.close)
        speech = SpeechWorker(
            settings.speech.model,
            settings.speech.slots,
            segment.fd,
            settings.speech.options,
            on_stats=self._worker_reported,
            standby=settings.speech.standby,
            personas=[agent.persona() for agent in agents.values()],
        )
        self._open.push_async_callback(speech.stop)
        employees = {name: Employee(agent, Toolbox(agent, settings.home)) for name, agent in agents.items()}
        for employee in employees.values():
            self._open.push_async_callback(employee.tools.close)
        self.hall = Exchange(
            core=core,
            segment=core.attach(segment),
            rows=Rows(segment.fd),
            speech=speech,
            model=settings.speech.model,
            sip=SipEndpoint(
                SipSettings(
                    bind=(sip.host, sip.port),
                    advertise=sip.advertise,
                    transports=frozenset(sip.transports),
                    tls_port=sip.tls_port,
                    ws_port=sip.ws_port,
                    wss_port=sip.wss_port,
                    certificate=sip.certificate,
                    key=sip.key,
                    authorities=sip.authorities,
                    ws_origins=tuple(sip.ws_origins),
                    domain=sip.domain,
                    trunks=tuple(_trunk(trunk) for trunk in settings.trunks),
                ),
                self._on_sip,
            ),
            prompts=Prompts(core, cache() / "prompts"),
            employees=employees,
            store=store,
            metrics=self.metrics,
            folder=settings.calls_folder,
            no_media_s=settings.limits.no_media_s,
            identity=DtlsIdentity(Certificate.make()),
        )
        loop.add_reader(core.fileno(), self.hall.on_media)
        self._open.callback(loop.remove_reader, core.fileno())
        await asyncio.gather(speech.start(), self._prepare_prompts())

        door = WebDoor(settings.web, self) if settings.takes_web_calls else None
        app = make_app(self.status, store, self.metrics, door, settings.web.origins)
        self.console = await self._open.enter_async_context(
            serving(app, settings.console.host, settings.console.port, settings.console.tls)
        )
        await self.hall.sip.start()
        self._open.push_async_callback(self.hall.sip.stop)
        expiry = asyncio.create_task(self._expire())
        self._open.push_async_callback(_ended, expiry)
        self.state = NodeState.READY
        log.info("ready", sip=self.hall.sip.local, plan=self.plan.file, model=settings.speech.model)

    async def reload(self, settings: Settings) -> None:
        """Have a fresh speech worker take over, with the model, options and weights that `settings` name now; calls go
        on. Of the settings only `speech.model` and `speech.options` are heeded. Raises SpeechUnavailable; then the
        present worker serves on."""
        speech = settings.speech
        await self.hall.speech.reload(speech.model, speech.options)
        self.settings = self.settings.model_copy(
            update={
                "speech": self.settings.speech.model_copy(update={"model": speech.model, "options": speech.options})
            }
        )
        self.hall.model = speech.model
        log.info("speech worker reloaded", model=speech.model, pid=self.hall.speech.pid)

    async def drain(self, limit_s: float) -> None:
        """Refuse new calls; let live ones finish for `limit_s`, then tell them goodbye."""
        self.state = NodeState.DRAINING
        self.hall.sip.refuse = Refusal(503, RETRY_AFTER_S)
        log.info("draining", calls=len(self._live), limit_s=limit_s)
        try:
            await asyncio.wait_for(self._idle.wait(), limit_s)
            return
        except TimeoutError:
            log.info("telling live calls goodbye", calls=len(self._live))
        goodbye = await self.hall.prompts.words(GOODBYE)
        await asyncio.gather(*(live.call.farewell(goodbye) for live in self._live.values()))
        if self._live:
            await asyncio.wait([live.task for live in self._live.values()], timeout=CLOSE_S)

    def cut(self) -> None:
        """End all live calls now."""
        for live in self._live.values():
            live.call.end("the server was stopped")

    async def stop(self) -> None:
        """Everything down; calls still live are ended and their files closed."""
        self.cut()
        if self._live:
            await asyncio.wait([live.task for live in self._live.values()], timeout=CLOSE_S)
        for task in list(self._unfiled):
            await _ended(task)
        await self._open.aclose()

    def status(self) -> NodeStatus:
        """How it is doing at this moment."""
        now, stats = datetime.now(UTC), self.hall.speech.stats
        host, ports = self.hall.sip.local[0], self.hall.sip.ports
        return NodeStatus(
            version=version("offhook"),
            started_at=self.started_at,
            state=self.state,
            calls=tuple(
                LiveCall(
                    live.call.facts.id,
                    live.call.facts.caller,
                    live.call.facts.dialled,
                    live.call.agent_name,
                    (now - live.began).total_seconds(),
                )
                for live in self._live.values()
            ),
            max_calls=self.settings.limits.calls,
            worker=WorkerStatus(
                self.settings.speech.model,
                self.hall.speech.pid or None,
                stats.restarts,
                stats.slots,
                stats.in_use,
                stats.late,
                stats.lateness_p99_ms,
            ),
            plan=self.settings.dialplan,
            plan_sha=self.plan.sha256,
            numbers=tuple(self.plan.numbers),
            sip=tuple(f"{transport} {host}:{port}" for transport, port in ports.items()),
            recordings=self.settings.calls_folder,
        )

    # --- calls

    def _on_sip(self, event: SipEvent) -> None:
        if self.hall.on_sip(event):
            return
        if isinstance(event, IncomingCall):
            self._incoming(event)
        elif isinstance(event, Refused):
            draining = event.cause is Cause.FULL and self.state is NodeState.DRAINING
            self.metrics.refused("draining" if draining else event.cause.value)

    def _incoming(self, event: IncomingCall) -> None:
        dialled = normal_number(event.dialled)
        if self.plan.number(dialled, event.trunk) is None:
            # Scanners try thousands: nothing is kept of them but a count and a line.
            log.info("unknown number", dialled=event.dialled, trunk=event.trunk, source=event.source)
            self.metrics.refused("unknown-number")
            event.session.reject(404)
            return
        caller = "" if event.caller == "anonymous" else normal_number(event.caller)
        try:
            self.take(lambda call_id: self.hall.incoming(event.session, call_id), caller, dialled, event.trunk)
        except RefusedCall:
            event.session.reject(503, headers=(("Retry-After", str(RETRY_AFTER_S)),))

    def take(self, leg: Callable[[str], ChannelAdapter], caller: str, dialled: str, trunk: str) -> tuple[str, Timeline]:
        """Begin a call, whatever network it came by, with the leg that is made for its id; its id and timeline. Raises
        RefusedCall where there is no room for it, and what `leg` raises besides."""
        facts = CallFacts(id=archive.new_call_id(), caller=caller, dialled=dialled, trunk=trunk)
        try:
            call, began = self._begin(leg(facts.id), facts)
        except (MediaError, archive.ArchiveError, StoreError, OSError) as error:
            log.error("call refused", call=facts.id, why=str(error))
            self.metrics.refused("no-resources")
            raise RefusedCall(str(error)) from error
        with on_call(facts.id):
            log.info("call came in", caller=facts.caller, dialled=facts.dialled, trunk=facts.trunk)
            task = asyncio.create_task(self._run(call), name=f"call {facts.id}")
        self._live[facts.id] = _Live(call, began, task)
        self._idle.clear()
        self.metrics.call_started()
        self._mind_the_limit()
        return facts.id, call.timeline

    def refusal(self) -> str | None:
        """Why no new call is taken now: `draining` or `full`; None: it is. For those that come in by the web; SIP's are
        turned away by its endpoint."""
        if self.state is not NodeState.READY:
            return "draining"
        return "full" if len(self._live) >= self.settings.limits.calls else None

    def refused(self, why: str) -> None:
        self.metrics.refused(why)

    def _begin(self, leg: ChannelAdapter, facts: CallFacts) -> tuple[Call, datetime]:
        began = datetime.now(UTC)
        try:
            folder = archive.create(self.settings.calls_folder, facts.id, began)
            timeline = Timeline(folder.timeline, lambda: leg.port.clock_ms)
            timeline.append(
                CallStarted(facts.id, facts.caller, facts.dialled, facts.trunk, began.isoformat(), self.plan.sha256)
            )
            self.hall.store.begin(
                facts.id,
                started_at=began,
                caller=facts.caller,
                dialled=facts.dialled,
                trunk=facts.trunk,
                plan_sha=self.plan.sha256,
                folder=folder.path,
            )
        except BaseException:
            leg.port.close()
            self.hall.unlist(leg)
            raise
        return Call(facts, leg, timeline, folder.path, self.hall), began

    async def _run(self, call: Call) -> None:
        plan = self.plan  # a call keeps the plan it began with
        try:
            await run(plan, call, call.facts)
        except CallOver:
            pass
        except Exception:
            # A fault of ours must not leave a caller in silence, nor the server without the others.
            log.exception("call ended by an error")
            call.end("an internal error")
        ended_by = "error"
        try:
            await call.close()
            ended_by = call.ended_by
            if not await self._filed(call):
                task = asyncio.create_task(self._file_later(call), name=f"file {call.facts.id}")
                self._unfiled.add(task)
                task.add_done_callback(self._unfiled.discard)
        except Exception:
            log.exception("call not closed properly")
        finally:
            self.metrics.call_ended(call.facts.trunk, ended_by)
            del self._live[call.facts.id]
            if not self._live:
                self._idle.set()
            self._mind_the_limit()

    async def _filed(self, call: Call) -> bool:
        """Make what is made of a call that is over: its messages, `call.flac`, its row. False where the disk or the
        database would not take something that it may take later."""
        await asyncio.to_thread(call.timeline.close)
        for fault in await asyncio.to_thread(voicemail.cut_messages, call.folder, call.timeline.entries):
            log.error("voicemail not kept as a file", why=fault)
        try:
            _, unmade = await asyncio.to_thread(
                archive.close, archive.CallFolder(call.folder), self.hall.store, call.facts.id, call.timeline.entries
            )
        except StoreError as error:
            log.error("call not filed, will be tried again", why=str(error))
            return False
        if unmade:
            log.error("call.flac not made", why=unmade)
        return call.timeline.fault is None

    async def _file_later(self, call: Call) -> None:
        """Try again until it is filed. What is not filed when the server stops, the next start puts right."""
        wait_s = FILE_AGAIN_S
        while True:
            await asyncio.sleep(wait_s)
            if await self._filed(call):
                log.info("filed at last")
                return
            wait_s = min(2 * wait_s, FILE_AGAIN_AT_MOST_S)

    def _mind_the_limit(self) -> None:
        if self.state is NodeState.READY:
            full = len(self._live) >= self.settings.limits.calls
            self.hall.sip.refuse = Refusal(503, RETRY_AFTER_S) if full else None

    # --- beside the calls

    async def _prepare_prompts(self) -> None:
        """Render what will be said for sure, so that no caller waits for it."""
        for voice in {employee.agent.voice for employee in self.hall.employees.values()}:
            await self.hall.prompts.words(conversation.HOLD_PHRASE, voice, conversation.HOLD_PAUSE_S)
        await self.hall.prompts.words(GOODBYE)
        for text, voice_or_default in sorted(_said(self.plan), key=str):
            await self.hall.prompts.words(text, voice_or_default)

    def _worker_reported(self, stats: SchedulerStats) -> None:
        """Once a second: the worker's figures, and the media core's with them."""
        self._core_reported(self.hall.core.counters())
        self.metrics.worker(
            WorkerFigures(
                restarts=stats.restarts,
                hops=stats.hops,
                late_hops=stats.late,
                lateness_p50_ms=stats.lateness_p50_ms,
                lateness_p99_ms=stats.lateness_p99_ms,
                step_p50_ms=stats.step_p50_ms,
                step_p99_ms=stats.step_p99_ms,
                slots_used=stats.in_use,
                slots=stats.slots,
                capacity=stats.capacity,
                phases=stats.phases,
                late_by=stats.late_by,
                overruns=stats.overruns,
                skipped_ms=stats.skipped_samples * 1000 / RATE_HZ,
                clipped_ms=stats.clipped_samples * 1000 / RATE_HZ,
                starved_ms=stats.starved_samples * 1000 / RATE_HZ,
                refused=stats.refused,
                stage_runs=stats.stage_runs,
                stage_ms=stats.stage_ms,
            )
        )

    def _core_reported(self, counted: CoreCounters) -> None:
        self.metrics.pacing(counted.pacing_p50_us / 1000, counted.pacing_p99_us / 1000, counted.pacing_max_us / 1000)
        self.metrics.core(
            CoreFigures(
                counted.kernel_drops, counted.disk_drops, counted.events_dropped, counted.ticks_overrun, counted.amiss
            )
        )
        if counted.amiss > self._amiss:
            times, self._amiss = counted.amiss - self._amiss, counted.amiss
            log.error(
                "a fault of this program in the media core, mended: the calls go on, please report it",
                where=counted.amiss_where,
                times=times,
            )

    async def _expire(self) -> None:
        """Delete audio that is past its time."""
        while True:
            now = datetime.now(UTC)
            try:
                for record in await asyncio.to_thread(archive.expire, self.settings.calls_folder, self.hall.store, now):
                    log.info("audio deleted, its time is over", call=record.id, keep_until=str(record.keep_until))
            except StoreError as error:
                log.error("audio past its time not deleted", why=str(error))
            await asyncio.sleep(EXPIRE_EVERY_S)


def _said(plan: Plan) -> set[tuple[str, str | None]]:
    """What the plan may say, each with its voice."""
    said: set[tuple[str, str | None]] = set()
    for number in plan.numbers.values():
        for step in (step for flow in plan.flows.values() for step in flow.steps):
            match step:
                case Say(text=text):
                    said.add((plan.prompts.spoken(text, number.language), number.voice))
                case Voicemail(say=text):
                    said.add((plan.prompts.spoken(text, number.language), None))
                case Disclose(what=what):
                    said.add((plan.prompts.disclosure(what, number.language), None))
    return said


def _trunk(settings: TrunkSettings) -> Trunk:
    return Trunk(
        name=settings.name,
        sources=tuple(settings.sources),
        realm=settings.realm,
        users={name: secret.get_secret_value() for name, secret in settings.users.items()},
        max_calls=settings.max_calls,
        digest=tuple(name.upper() for name in settings.digest),
        srtp=Srtp(settings.srtp),
        codecs=tuple(name.upper() for name in settings.codecs) if settings.codecs else None,
    )


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

"""An AI agent that finds no place on the line: the plan learns it, and the call's record says why."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path

from offhook.agents.schema import load_agent
from offhook.agents.tools import Toolbox
from offhook.calls.call import Call
from offhook.calls.exchange import Employee, Exchange
from offhook.calls.explain import explain
from offhook.calls.prompts import Prompts
from offhook.calls.timeline import AgentJoined, AgentRefused, Timeline, read_timeline
from offhook.calls.verbs import CallFacts
from offhook.media import slots
from offhook.sip import SipEndpoint, SipSettings
from offhook.speech.slots import Segment
from offhook.speech.workers import SpeechWorker
from offhook.store import Store
from offhook.telemetry.metrics import Metrics
from tests.calls.channels import WebDesk, desk_of

AGENT = Path(__file__).resolve().parents[2] / "dialplans" / "order-desk" / "agent.yaml"
SLOTS = 1


@asynccontextmanager
async def calling(folder: Path) -> AsyncIterator[Call]:
    """A call from a browser that nothing was done with yet, and a speech worker that echoes."""
    async with AsyncExitStack() as stack:
        desk = await stack.enter_async_context(desk_of("web"))
        assert isinstance(desk, WebDesk)
        await stack.enter_async_context(desk.party())
        leg = await desk.came.get()
        segment = stack.enter_context(closing(slots.create(SLOTS)))
        speech = SpeechWorker("echo", SLOTS, segment.fd, {})
        await speech.start()
        stack.push_async_callback(speech.stop)
        agent = load_agent(AGENT)
        hall = Exchange(
            core=desk.core,
            segment=desk.core.attach(segment),
            rows=Segment(segment.fd),
            speech=speech,
            model="echo",
            sip=SipEndpoint(SipSettings(bind=("127.0.0.1", 0)), lambda event: None),
            prompts=Prompts(desk.core, folder),
            employees={agent.agent: Employee(agent, Toolbox(agent, folder))},
            store=Store.open(f"sqlite:///{folder / 'offhook.db'}"),
            metrics=Metrics(),
            folder=folder,
            no_media_s=30.0,
            identity=desk.identity,
        )
        timeline = Timeline(folder / "timeline.jsonl", lambda: leg.port.clock_ms)
        stack.callback(timeline.close)
        yield Call(CallFacts("c1", "", "100", "web"), leg, timeline, folder, hall)


async def test_in_a_full_room_the_plan_goes_on_without_the_agent_and_the_record_says_why(tmp_path: Path) -> None:
    async with calling(tmp_path) as call:
        (name,) = call.hall.employees
        room = call.hall.core.room()
        room.enter(call.leg.port)
        others = [call.hall.core.open(f"{number}") for number in range(15)]
        for port in others:
            room.enter(port)
        left = await call.agent(name, 60.0, {})
        assert left.exit == "failed" and "16 voices" in left.reason
        (refused,) = call.timeline.of(AgentRefused)
        assert refused.event == AgentRefused(name, "failed", left.reason)
        assert explain(read_timeline(call.timeline.path))[-1].endswith(f"could not join, exit failed: {left.reason}.")
        assert call.agent_name is None and not list(call.timeline.of(AgentJoined))
        # Its slot is free again, for another call and for this one when there is place.
        slot = call.hall.speech.reserve()
        assert slot is not None
        left = await call.agent(name, 60.0, {})
        assert (left.exit, left.reason) == ("busy", "full")
        assert [entry.event.reason for entry in call.timeline.of(AgentRefused)][1:] == ["full"]
        slot.release()
        room.leave(others[0])
        left = await call.agent(name, 0.5, {})
        assert left.exit == "timeout" and len(list(call.timeline.of(AgentJoined))) == 1

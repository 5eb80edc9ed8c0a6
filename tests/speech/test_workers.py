"""The speech worker as the edge has it: a real process, real shared memory, real deaths."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from offhook.speech import contract
from offhook.speech.contract import HOP_SAMPLES, Done, Json, Keys, Memo, Persona, ToolResult
from offhook.speech.stats import SchedulerStats
from offhook.speech.wire import Admitted
from offhook.speech.workers import Lost, NotAdmitted, Restored, Slot, SlotEvent, SpeechUnavailable, SpeechWorker
from tests.speech.rows import PERSONA, Core, core, noise

OBEDIENT = "tests.speech.models:Obedient"
LIMIT_S = 20.0

E = TypeVar("E")


@pytest.fixture
def media() -> Iterator[Core]:
    with core(64) as made:
        yield made


@pytest.fixture(autouse=True)
def the_worker_finds_our_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).resolve().parents[2]
    monkeypatch.setenv("PYTHONPATH", f"{root}{os.pathsep}{root / 'server'}")


@asynccontextmanager
async def serving(
    media: Core, model: str = "echo", slots: int = 8, standby: bool = False, **options: Json
) -> AsyncIterator[SpeechWorker]:
    speech = SpeechWorker(model, slots, media.fd, options, standby=standby, ready_limit_s=LIMIT_S)
    await speech.start()
    try:
        yield speech
    finally:
        await speech.stop()


def reserved(speech: SpeechWorker) -> Slot:
    slot = speech.reserve()
    assert slot is not None, speech.refusal
    return slot


async def admitted(speech: SpeechWorker, media: Core, persona: Persona = PERSONA) -> Slot:
    slot = reserved(speech)
    await slot.admit(persona, media.bind(slot.number))
    return slot


async def until(slot: Slot, kind: type[E]) -> E:
    """The slot's next event of this kind."""
    async with asyncio.timeout(LIMIT_S):
        async for event in slot.events():
            if isinstance(event, kind):
                return event
    raise AssertionError("the slot was released")


async def seen(condition: Callable[[], bool]) -> None:
    """Wait until this holds."""
    for _ in range(round(LIMIT_S / 0.02)):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come to pass")


async def talk(media: Core, slots: list[int], seconds: float) -> dict[int, np.ndarray]:
    """Speak into the slots' rows in real time, each its own noise, 20 ms at a time; what came back to each."""
    said = {slot: [np.zeros(0, np.int16)] for slot in slots}
    voices = {slot: noise(slot, round(seconds * 16_000) + 320) for slot in slots}
    begin = time.monotonic()
    for packet in range(round(seconds * 50)):
        wait_s = begin + packet / 50 - time.monotonic()
        begin -= min(0.0, wait_s)  # where this process was held up, so is the talk
        await asyncio.sleep(max(0.0, wait_s))
        for slot in slots:
            media.hear(slot, voices[slot][packet * 320 :][:320], time.monotonic_ns())
            said[slot].append(media.play(slot, 320))
    return {slot: np.concatenate(parts) for slot, parts in said.items()}


def is_echo(heard: np.ndarray, of: int) -> bool:
    """Whether this is a stretch of what the slot's caller said, without a gap."""
    voice = noise(of, len(heard) + 48_000)
    windows = np.lib.stride_tricks.sliding_window_view(voice, 16)
    places = np.flatnonzero((windows == heard[:16]).all(axis=1))
    return any((voice[place : place + len(heard)] == heard).all() for place in places)


async def echoes(speech: SpeechWorker, heard: np.ndarray, of: int) -> bool:
    """Whether it is one, or the machine stood still and hops were skipped, which is not the worker's doing."""
    if is_echo(heard, of):
        return True
    await asyncio.sleep(1.2)  # until the worker has told its newest figures
    return speech.stats.skipped_samples > 0


def counted(stats: SchedulerStats) -> str:
    return (
        f"{stats.in_use} slots, {stats.hops} hops, {stats.late} late {dict(stats.late_by)}, "
        f"lateness p50 {stats.lateness_p50_ms:.2f} p99 {stats.lateness_p99_ms:.2f} ms, "
        f"step p50 {stats.step_p50_ms:.2f} p99 {stats.step_p99_ms:.2f} ms"
    )


async def test_a_marker_in_one_rows_listen_ring_is_found_in_its_play_ring_and_in_no_other(media: Core) -> None:
    async with serving(media) as speech:
        slots = [await admitted(speech, media) for _ in range(8)]
        marked = slots[5].number
        for slot in slots:
            media.hear(slot.number, np.zeros(4 * HOP_SAMPLES, np.int16), time.monotonic_ns())
        media.hear(marked, np.full(HOP_SAMPLES, 12_345, np.int16), time.monotonic_ns())
        await seen(lambda: bool((media.segment.play == 12_345).any()))
        rings = {int(row) for row in np.flatnonzero((media.segment.play == 12_345).any(axis=1))}
        assert rings == {marked}
        assert media.segment.speak_epoch[marked] == media.segment.epoch[marked]


@pytest.mark.figures
async def test_64_slots_are_served_in_time_and_each_hears_itself(media: Core) -> None:
    async with serving(media, slots=64) as speech:
        slots = [await admitted(speech, media) for _ in range(64)]
        assert speech.reserve() is None and speech.refusal == "full"
        said = await talk(media, [slot.number for slot in slots], 4.0)
        await asyncio.sleep(1.2)
        print("\n64 slots:", counted(speech.stats))
        assert speech.stats.in_use == 64 and speech.stats.hops >= 64 * 40
        assert speech.stats.step_p50_ms < 20
        assert speech.stats.clipped_samples == 0
        if speech.stats.skipped_samples == 0:  # a machine that stood still for 160 ms is not the worker's doing
            assert all(is_echo(heard, slot) for slot, heard in said.items())


@pytest.mark.figures
async def test_a_killed_worker_is_replaced_and_the_conversation_goes_on(media: Core) -> None:
    async with serving(media) as speech:
        slot = await admitted(speech, media)
        other = await admitted(speech, media)
        idle = reserved(speech)
        first = speech.pid
        assert len((await talk(media, [slot.number], 0.5))[slot.number])
        began = time.monotonic()
        os.kill(first, signal.SIGKILL)
        assert "SIGKILL" in (await until(slot, Lost)).why
        assert speech.reserve() is None and speech.refusal == "down"
        with pytest.raises(NotAdmitted) as refusal:
            await idle.admit(PERSONA, media.bind(idle.number))
        assert refusal.value.reason == "down"
        await until(slot, Restored)
        await until(other, Restored)
        print(f"\ngap of the echo worker: {1000 * (time.monotonic() - began):.0f} ms")
        assert speech.pid not in (0, first) and speech.stats.restarts == 1
        await slot.admit(PERSONA, media.bind(slot.number))
        said = (await talk(media, [slot.number], 1.0))[slot.number]
        assert len(said) > 4000 and await echoes(speech, said, slot.number)
        await asyncio.sleep(1.2)
        assert speech.stats.hops > speech.stats.in_use * 5


@pytest.mark.figures
async def test_with_a_standby_the_gap_is_short(media: Core) -> None:
    async with serving(media, standby=True) as speech:
        slot = await admitted(speech, media)
        await seen(lambda: len(_workers()) == 2)
        await asyncio.sleep(1.0)
        began = time.monotonic()
        os.kill(speech.pid, signal.SIGKILL)
        await until(slot, Restored)
        gap_ms = 1000 * (time.monotonic() - began)
        await slot.admit(PERSONA, media.bind(slot.number))
        print(f"\ngap with a standby: {gap_ms:.0f} ms")
    assert not _workers()


async def test_a_worker_that_stands_still_is_killed_and_replaced(media: Core) -> None:
    async with serving(media) as speech:
        slot = await admitted(speech, media)
        began = time.monotonic()
        os.kill(speech.pid, signal.SIGSTOP)
        assert "no sign of life" in (await until(slot, Lost)).why
        assert time.monotonic() - began < 6
        await until(slot, Restored)
        await slot.admit(PERSONA, media.bind(slot.number))


async def test_a_model_that_hangs_is_killed_and_replaced(media: Core) -> None:
    async with serving(media, OBEDIENT) as speech:
        slot = await admitted(speech, media)
        slot.deliver(Keys("2"))
        speaking = asyncio.create_task(talk(media, [slot.number], 3.0))
        assert "has been at `tick`" in (await until(slot, Lost)).why
        await until(slot, Restored)
        await speaking


async def test_a_model_that_brings_its_process_down_twice_is_replaced_twice(media: Core) -> None:
    async with serving(media, OBEDIENT) as speech:
        slot = await admitted(speech, media)
        for restarts in (1, 2):
            slot.deliver(Keys("4"))
            speaking = asyncio.create_task(talk(media, [slot.number], 0.5))
            assert (await until(slot, Lost)).why == "it was ended by SIGABRT"
            await until(slot, Restored)
            await speaking
            assert speech.stats.restarts == restarts
            await slot.admit(PERSONA, media.bind(slot.number))


async def test_a_worker_with_other_options_takes_over_and_no_conversation_is_lost(media: Core) -> None:
    async with serving(media) as speech:
        talking = [await admitted(speech, media) for _ in range(3)]
        idle = reserved(speech)
        first = speech.pid
        before = await talk(media, [slot.number for slot in talking], 0.5)
        for number, heard in before.items():
            assert await echoes(speech, heard, number)
        reloading = asyncio.create_task(speech.reload("echo", {"cushion_ms": 40}))
        for slot in talking:
            assert isinstance(await anext(slot.events()), Restored), "a planned change is no loss"
            await slot.admit(PERSONA, media.bind(slot.number))
        await reloading
        await idle.admit(PERSONA, media.bind(idle.number))
        assert speech.pid not in (0, first) and _workers() == {speech.pid}
        said = await talk(media, [slot.number for slot in (*talking, idle)], 1.0)
        for number, heard in said.items():
            assert not heard[:640].any(), "the new option holds"
            assert len(heard) > 4000 and await echoes(speech, heard[640:], number)
        assert speech.stats.restarts == 0


async def test_a_call_that_comes_while_one_worker_hands_over_to_another_is_taken_by_the_other(media: Core) -> None:
    async with serving(media) as speech:
        first, taken = speech.pid, 0
        reloading = asyncio.create_task(speech.reload("echo", {}))
        while not reloading.done():
            slot = await admitted(speech, media)
            taken += 1
            slot.release()
            await asyncio.sleep(0.001)
        assert taken > 10 and speech.pid != first
        await reloading


async def test_where_the_new_worker_does_not_load_the_present_one_serves_on(media: Core) -> None:
    async with serving(media, OBEDIENT) as speech:
        slot = await admitted(speech, media)
        first = speech.pid
        with pytest.raises(SpeechUnavailable, match="run `offhook models pull`"):
            await speech.reload(OBEDIENT, {"broken": True})
        assert speech.pid == first
        assert len((await talk(media, [slot.number], 0.5))[slot.number])
        os.kill(first, signal.SIGKILL)
        await until(slot, Restored)  # and what replaces it has the options that work


async def test_a_reload_with_a_standby_leaves_no_worker_of_the_old_kind_behind(media: Core) -> None:
    async with serving(media, standby=True) as speech:
        await seen(lambda: len(_workers()) == 2)
        before = _workers()
        await speech.reload("echo", {"cushion_ms": 40})
        await seen(lambda: len(_workers()) == 2 and not before & _workers())


async def test_what_was_said_before_a_planned_change_is_told_to_the_last_word(media: Core) -> None:
    async with serving(media, "tests.speech.models:Talkative") as speech:
        slot = await admitted(speech, media)
        reloading = asyncio.create_task(speech.reload("echo", {}))
        speaking = asyncio.create_task(talk(media, [slot.number], 3.0))
        told = []
        async for event in slot.events():
            if isinstance(event, Restored):
                break
            assert isinstance(event, Memo)
            told.append(event.memo["line"])
        speaking.cancel()
        await reloading
        assert told == [*range(5)] * (len(told) // 5) and told


async def test_a_stop_in_the_middle_of_a_reload_leaves_no_worker_behind(media: Core) -> None:
    async with serving(media) as speech:
        reloading = asyncio.create_task(speech.reload("echo", {}))
        await seen(lambda: len(_workers()) == 2)
        await speech.stop()
        with pytest.raises(SpeechUnavailable, match="has stopped"):
            await asyncio.wait_for(reloading, LIMIT_S)
    assert not _workers()


async def test_a_reload_while_a_lost_worker_is_being_replaced_ends_with_the_new_kind(media: Core) -> None:
    async with serving(media, standby=True) as speech:
        slot = await admitted(speech, media)
        os.kill(speech.pid, signal.SIGKILL)
        await until(slot, Lost)
        async with asyncio.timeout(LIMIT_S):
            await speech.reload("echo", {"cushion_ms": 40})
        await until(slot, Restored)
        await slot.admit(PERSONA, media.bind(slot.number))
        (said,) = (await talk(media, [slot.number], 1.0)).values()
        assert not said[:640].any() and len(said) > 4000 and await echoes(speech, said[640:], slot.number)
        await seen(lambda: len(_workers()) == 2)
    assert not _workers()


async def test_an_admission_given_up_in_the_moment_it_is_answered_harms_nobody(media: Core) -> None:
    async with serving(media) as speech:
        other = await admitted(speech, media)
        slot = reserved(speech)
        asking = asyncio.create_task(slot.admit(PERSONA, media.bind(slot.number)))
        await asyncio.sleep(0)
        asking.cancel()
        process, ask = speech._process, speech._asks
        assert process is not None
        speech._reported(process, Admitted(ask))
        with pytest.raises(asyncio.CancelledError):
            await asking
        slot.release()
        pid = speech.pid
        assert len((await talk(media, [other.number], 0.5))[other.number]) and speech.pid == pid


async def test_a_caller_is_told_soon_where_no_step_is_over_in_time(media: Core) -> None:
    async with serving(media, "tests.speech.models:Sluggish") as speech:
        slot, late = await admitted(speech, media), reserved(speech)
        speaking = asyncio.create_task(talk(media, [slot.number], 6.0))
        await asyncio.sleep(2.0)
        with pytest.raises(NotAdmitted) as refusal:
            async with asyncio.timeout(4.0):
                await late.admit(PERSONA, media.bind(late.number))
        assert refusal.value.reason == "too slow"
        speaking.cancel()


async def test_a_worker_lost_again_before_the_call_is_admitted_brings_another_restored(media: Core) -> None:
    async with serving(media) as speech:
        slot = await admitted(speech, media)
        os.kill(speech.pid, signal.SIGKILL)
        await until(slot, Restored)
        # The worker dies between `Restored` and the call's second admission, which therefore fails with "down".
        os.kill(speech.pid, signal.SIGKILL)
        await seen(lambda: not speech.up)
        with pytest.raises(NotAdmitted) as refusal:
            await slot.admit(PERSONA, media.bind(slot.number))
        assert refusal.value.reason == "down"
        await until(slot, Restored)
        await slot.admit(PERSONA, media.bind(slot.number))


async def test_a_models_capacity_is_the_workers(media: Core) -> None:
    async with serving(media, "tests.speech.models:Small") as speech:
        assert (speech.capacity, speech.free) == (2, 2)
        one, _ = reserved(speech), reserved(speech)
        assert speech.free == 0
        assert speech.reserve() is None and speech.refusal == "full"
        one.release()
        assert speech.free == 1 and reserved(speech).number not in (one.number, 1)


async def test_a_long_admission_is_not_taken_for_a_hang(media: Core) -> None:
    async with serving(media, OBEDIENT) as speech:
        pid = speech.pid
        slot = await admitted(speech, media, Persona("heavy", "en-US", "joe", "none:none", {}))
        assert speech.pid == pid and speech.stats.restarts == 0
        slot.release()


async def test_events_reach_their_slot_alone_and_end_with_its_release(media: Core) -> None:
    async with serving(media, OBEDIENT) as speech:
        one, two = await admitted(speech, media), await admitted(speech, media)
        seen: list[SlotEvent] = []

        async def listen() -> None:
            async for event in two.events():
                seen.append(event)

        listening = asyncio.create_task(listen())
        one.deliver(Keys("1"))
        await talk(media, [one.number, two.number], 0.5)
        assert await until(one, Memo) == Memo(one.number, {"digits": "1"})
        assert await until(one, Done) == Done(one.number, "resolved", f"key on slot {one.number}")
        two.release()
        two.release()
        async with asyncio.timeout(LIMIT_S):
            await listening
        assert seen == []


async def test_a_model_that_raises_for_one_slot_ends_that_slot_and_no_other(media: Core) -> None:
    async with serving(media, OBEDIENT) as speech:
        pid = speech.pid
        one, two = await admitted(speech, media), await admitted(speech, media)
        one.deliver(Keys("3"))
        done = await until(one, Done)
        assert done.exit == "failed" and "key 3 was pressed" in done.reason
        said = await talk(media, [two.number], 0.5)
        assert len(said[two.number]) and speech.pid == pid


async def test_an_event_that_cannot_be_said_is_left_out_and_the_next_one_comes(media: Core) -> None:
    async with serving(media, OBEDIENT) as speech:
        slot = await admitted(speech, media)
        slot.deliver(Keys("5"))
        speaking = asyncio.create_task(talk(media, [slot.number], 0.5))
        async with asyncio.timeout(LIMIT_S):
            async for event in slot.events():
                assert event == Done(slot.number, "resolved", "after it")
                break
        await speaking


async def test_a_persona_that_does_not_fit_is_refused_with_the_models_own_words(media: Core) -> None:
    async with serving(media, OBEDIENT) as speech:
        slot = reserved(speech)
        with pytest.raises(NotAdmitted, match="no voice `nobody`") as refusal:
            await slot.admit(Persona("nobody", "en-US", "x", "none:none", {}), media.bind(slot.number))
        assert refusal.value.reason == "unfit"
        await slot.admit(PERSONA, media.bind(slot.number))


async def test_admission_to_a_row_that_no_port_is_bound_to_is_refused(media: Core) -> None:
    async with serving(media) as speech:
        slot = reserved(speech)
        with pytest.raises(NotAdmitted, match="bind it first") as refusal:
            await slot.admit(PERSONA, 1)
        assert refusal.value.reason == "unbound"


async def test_slots_given_back_are_lent_again_and_the_longest_unused_first(media: Core) -> None:
    async with serving(media, slots=2) as speech:
        one, two = reserved(speech), reserved(speech)
        assert speech.reserve() is None and speech.refusal == "full"
        two.release()
        one.release()
        assert [reserved(speech).number, reserved(speech).number] == [two.number, one.number]
        with pytest.raises(RuntimeError, match="released"):
            await one.admit(PERSONA, 1)


async def test_an_answer_too_large_to_hand_on_arrives_as_a_failed_one(media: Core) -> None:
    async with serving(media) as speech:
        slot = await admitted(speech, media)
        slot.deliver(ToolResult("t", True, "x" * 3_000_000))
        await asyncio.sleep(0)
        assert (await talk(media, [slot.number], 0.4))[slot.number].size


async def test_a_model_that_does_not_load_is_said_so_by_name(media: Core) -> None:
    for model, options, said in (
        ("nothing", {}, "no speech model `nothing`; known are echo, cascade"),
        ("no.such.module:Model", {}, "No module named 'no'"),
        ("tests.speech.models:Unkind", {}, "no class with a method"),
        ("echo", {"volume": 3}, "no option `volume`"),
        (OBEDIENT, {"broken": True}, "run `offhook models pull`"),
    ):
        speech = SpeechWorker(model, 8, media.fd, options)
        with pytest.raises(SpeechUnavailable, match=said):
            await speech.start()
        assert not speech.up


async def test_a_model_that_takes_too_long_to_load_is_given_up(media: Core) -> None:
    speech = SpeechWorker(OBEDIENT, 8, media.fd, {"slow": True}, ready_limit_s=2.0)
    with pytest.raises(SpeechUnavailable, match="not loaded within 2 s"):
        await speech.start()
    assert not _workers()


async def test_more_slots_than_rows_are_refused(media: Core) -> None:
    with pytest.raises(SpeechUnavailable, match="65 slots are wanted and the segment has rows for 64"):
        await SpeechWorker("echo", 65, media.fd).start()


async def test_the_figures_come_about_once_a_second(media: Core) -> None:
    came: list[SchedulerStats] = []
    speech = SpeechWorker("echo", 4, media.fd, on_stats=came.append)
    await speech.start()
    try:
        slot = await admitted(speech, media)
        await talk(media, [slot.number], 2.5)
        assert came[-1].in_use == 1 and came[-1].hops > 10 and came[-1].pid == speech.pid and came[-1].load_ms > 0
        assert sum(came[-1].lateness_counts) == came[-1].hops
        assert 3 <= len(came) <= 6
    finally:
        await speech.stop()


async def test_a_ctrl_c_to_the_whole_group_leaves_the_worker_serving(media: Core) -> None:
    async with serving(media) as speech:
        slot = await admitted(speech, media)
        os.kill(speech.pid, signal.SIGINT)
        os.kill(speech.pid, signal.SIGTERM)
        assert len((await talk(media, [slot.number], 0.5))[slot.number])


async def test_stopping_ends_the_process_and_tells_those_who_still_hold_slots(media: Core) -> None:
    async with serving(media) as speech:
        slot = await admitted(speech, media)
        pid = speech.pid
    assert isinstance(await until(slot, Lost), Lost)
    assert pid not in _workers() and not speech.up
    slot.release()


async def test_a_worker_does_not_outlive_the_edge(media: Core, tmp_path: Path) -> None:
    program = tmp_path / "edge.py"
    program.write_text(
        "import asyncio, os\nfrom offhook.speech.slots import create_segment\n"
        "from offhook.speech.workers import SpeechWorker\n"
        "async def main():\n    speech = SpeechWorker('echo', 2, create_segment(2))\n    await speech.start()\n"
        "    print(speech.pid, flush=True)\n    await asyncio.sleep(60)\nasyncio.run(main())\n"
    )
    edge = await asyncio.create_subprocess_exec(sys.executable, program, stdout=asyncio.subprocess.PIPE)
    assert edge.stdout is not None
    worker = int(await edge.stdout.readline())
    assert _alive(worker)
    edge.kill()
    await edge.wait()
    await seen(lambda: not _alive(worker))


async def test_the_face_works_on_uvloop_as_well(media: Core) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def call() -> int:
        async with serving(media) as speech:
            slot = await admitted(speech, media)
            said = await talk(media, [slot.number], 0.5)
            os.kill(speech.pid, signal.SIGKILL)
            await until(slot, Lost)
            await until(slot, Restored)
            return len(said[slot.number])

    def run() -> int:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(call())

    assert await asyncio.to_thread(run) > 0


def test_positions_of_every_event_that_has_them_are_known() -> None:
    """Should the contract gain an event with a position, the scheduler has to place it."""
    placed = {"TurnStarted", "Interrupted", "WordsHeard", "TurnEnded"}
    agents_own = {"SpeechStarted", "WordsSpoken"}
    with_positions = {
        event.__name__
        for event in contract.Event.__args__
        if {"at", "start", "end", "decided_at"} & set(event.__dataclass_fields__)
    }
    assert with_positions == placed | agents_own


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def _workers() -> set[int]:
    """The speech workers that this process has; other tests' servers are its children too."""
    children = map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())
    return {
        pid for pid in children if _alive(pid) and b"offhook.speech.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    }

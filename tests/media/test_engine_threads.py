"""Several media threads behind one core: each port on one of them, and events, counters and sounds for all."""

from __future__ import annotations

import select
from collections.abc import Iterator

import pytest

from offhook.media import CoreCounters, MediaCore, MediaError, MediaStarted, Port, PromptDone, Remote, SlotSegment, Talk
from offhook.media.counters import together
from offhook.speech.slots import Segment
from tests.media.telephone import Ears, Telephone, Worker, level, tone, until


@pytest.fixture
def core() -> Iterator[MediaCore]:
    with MediaCore("127.0.0.1", (20_000, 29_999), threads=3) as made:
        yield made


def talking(core: MediaCore, *names: str) -> list[tuple[Port, Telephone]]:
    """Ports, each with a telephone of its own at the other end."""
    found = []
    for name in names:
        port, phone = core.open(name), Telephone()
        port.remote(phone.remote())
        found.append((port, phone))
    return found


def test_ports_are_spread_and_none_shares_its_number(core: MediaCore) -> None:
    ports = [core.open(f"{n}") for n in range(9)]
    assert len({port.number for port in ports}) == 9
    assert sorted(shard.ports for shard in {id(port.shard): port.shard for port in ports}.values()) == [3, 3, 3]
    assert core.counters().ports == 9
    for port in ports[:8]:
        port.close()
    beside = core.open("beside", ports[8])
    assert beside.shard is ports[8].shard
    assert core.counters().ports == 2


def test_one_of_many_threads_holds_as_many_ports_as_one_alone() -> None:
    """Numbers that are 64 apart, as the threads share them out, must not come back to the same few places."""
    with MediaCore("127.0.0.1", (20_000, 29_999), threads=64) as core:
        first = core.open("first")
        ports = [first, *(core.open(f"{n}", first) for n in range(300))]
        assert len({port.number for port in ports}) == 301
        assert core.counters().ports == 301
        assert ports[256].counters().packets_in == first.counters().packets_in == 0


def test_events_of_all_threads_come_through_one_descriptor(core: MediaCore) -> None:
    ears = Ears(core)
    prompt = core.load_prompt(tone(700, 60), 16_000)
    for port, phone in talking(core, "one", "two", "three"):
        assert not select.select([core.fileno()], [], [], 0)[0] or ears.listen() is not None
        phone.say(port)
        assert ears.wait(MediaStarted, port).address == phone.address
        played = port.play(prompt)
        assert ears.wait(PromptDone, port).play == played
        phone.socket.close()
    core.drop_prompt(prompt)


def test_slots_are_for_ports_of_any_thread(core: MediaCore, segment: SlotSegment, rows: Segment) -> None:
    ears, mapped = Ears(core), core.attach(segment)
    for slot, (port, phone) in enumerate(talking(core, "one", "two", "three")):
        worker = Worker(rows, slot, port.bind(mapped, slot))
        worker.speak(tone(440, 100))
        ears.wait(Talk, port, count=2)
        for _ in range(20):
            phone.say(port, b"\x10" * 160)
        until(lambda w=worker: level(w.heard()) > 1_000)  # type: ignore[misc]
        phone.socket.close()


def test_who_is_to_meet_is_opened_beside(core: MediaCore) -> None:
    one, elsewhere = core.open("one"), core.open("elsewhere")
    beside = core.open("beside", one)
    for port in (one, beside, elsewhere):
        port.remote(Remote(("127.0.0.1", 9), "ulaw", 0))
    one.bridge(beside)
    with pytest.raises(MediaError, match="open one beside the other"):
        one.bridge(elsewhere)
    room = core.room(one)
    room.enter(beside)
    with pytest.raises(MediaError, match="another media thread"):
        room.enter(elsewhere)
    room.close()


def test_what_threads_count_is_added_up_but_for_what_is_the_process_s() -> None:
    one = CoreCounters(1, 10, 20, 1.0, 2.0, 3.0, 0, 0, 0, 4, 5, "sound.c:1: n == 0")
    other = CoreCounters(2, 30, 40, 0.5, 7.0, 3.5, 0, 0, 1, 0, 5, "sound.c:1: n == 0")
    assert together([one, other]) == CoreCounters(3, 40, 60, 1.0, 7.0, 3.5, 0, 0, 1, 4, 5, "sound.c:1: n == 0")


@pytest.mark.parametrize("threads", [0, 65])
def test_a_number_of_threads_that_makes_no_sense_is_refused(threads: int) -> None:
    with pytest.raises(MediaError, match="1 to 64"):
        MediaCore(threads=threads)

"""What makes a hop late, what becomes of it, and what the scheduler concludes from it; on a clock moved by hand."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from offhook.speech.contract import HOP_SAMPLES, Hop, Step
from offhook.speech.hints import hints_of
from offhook.speech.lateness import Cause, Ledger, ProcessorWait
from offhook.speech.scheduler import NotServed
from tests.speech.room import MS, Listener, Locked, Room, place
from tests.speech.rows import PERSONA, Core, core, noise


@pytest.fixture
def media() -> Iterator[Core]:
    with core(32) as made:
        yield made


class Priced(Listener):
    """A model whose step takes `row_ms` for each row in it, on the room's clock."""

    row_ms = 5.0
    room: Room

    def step(self, hop: Hop) -> Step:
        self.rehearsal(int(hop.mask.sum()))
        return super().step(hop)

    def rehearsal(self, rows: int) -> None:
        self.room.clock.now += int(rows * self.row_ms * MS)


def priced(media: Core, row_ms: float = 5.0) -> tuple[Room, Priced]:
    model = Priced(32)
    room = model.room = Room(media, model)
    model.row_ms = row_ms
    room.scheduler.warm()
    return room, model


def join_all_that_are_taken(room: Room) -> int:
    """Let calls come until one is refused; how many were taken."""
    for slot in range(room.scheduler.in_use, 32):
        try:
            room.join(slot)
        except NotServed as refusal:
            assert refusal.reason == "too slow"
            room.said.pop(slot, None)
            break
        room.pass_ms(100)
    return room.scheduler.in_use


def test_a_step_that_took_too_long_is_to_blame_for_the_hops_behind_it(media: Core) -> None:
    room = Room(media, model := Listener(8))
    for slot in range(4):
        room.join(slot)
    room.pass_ms(400)
    model.on_step = lambda hop, step: setattr(room.clock, "now", room.clock.now + 70 * MS)
    room.pass_ms(20)
    model.on_step = lambda hop, step: None
    room.pass_ms(200)
    stats = room.scheduler.stats()
    assert set(stats.late_by) == {"step"} and stats.late == sum(stats.late_by.values()) >= 2
    assert stats.skipped_samples == 0


@pytest.mark.parametrize("cause", [Cause.ADMISSION, Cause.COLLECTION])
def test_what_else_the_thread_was_at_is_to_blame_where_it_noted_it(media: Core, cause: Cause) -> None:
    room = Room(media, Listener(8))
    room.join(0)
    room.pass_ms(400)
    began_ns = room.clock.now
    room.stalled_ms(90)
    room.scheduler.ledger.spent(cause, began_ns, room.clock.now)
    room.pass_ms(100)
    assert set(room.scheduler.stats().late_by) == {cause.value}


def test_a_stall_that_nobody_accounts_for_is_the_machines(media: Core) -> None:
    room = Room(media, Listener(8))
    room.join(0)
    room.pass_ms(400)
    room.stalled_ms(90)
    room.pass_ms(100)
    assert set(room.scheduler.stats().late_by) == {"descheduled"}


def test_a_collection_within_a_step_is_a_collection_and_not_the_step() -> None:
    ledger = Ledger()
    ledger.spent(Cause.COLLECTION, 20, 90)
    ledger.spent(Cause.STEP, 0, 100)
    assert ledger.blame(10, 100) is Cause.COLLECTION
    assert ledger.blame(90, 100) is Cause.STEP


def test_a_collection_in_another_thread_may_be_noted_while_blame_is_sought() -> None:
    class Noting(int):
        def __lt__(self, other: int) -> bool:
            ledger.spent(Cause.COLLECTION, 0, 1)
            return int.__lt__(self, other)

        def __gt__(self, other: int) -> bool:
            ledger.spent(Cause.COLLECTION, 0, 1)
            return int.__gt__(self, other)

    ledger = Ledger()
    for _ in range(2):
        ledger.spent(Cause.STEP, Noting(0), Noting(100))
    assert ledger.blame(10, 100) is Cause.STEP


def test_a_step_that_stood_in_the_queue_for_a_processor_did_not_take_long_by_itself() -> None:
    ledger = Ledger()
    ledger.spent(Cause.STEP, 0, 100)
    assert ledger.blame(10, 100, waited_ns=80) is Cause.DESCHEDULED


def test_the_kernel_is_asked_for_what_the_thread_waited() -> None:
    wait = ProcessorWait()
    assert wait() >= 0
    wait.close()
    assert wait() == 0


def test_a_row_that_does_not_catch_up_by_itself_goes_on_with_its_newest_hop(media: Core) -> None:
    """A model in lock step serves one hop a hop: one that was missed would be waited behind for ever."""
    room = Room(media, model := Locked(8))
    room.join(1)
    room.pass_ms(800)
    room.stalled_ms(200)
    room.pass_ms(1200)
    stats = room.scheduler.stats()
    assert 0 < stats.skipped_samples <= 2 * HOP_SAMPLES
    newest = model.hops[-1].audio[1]
    heard = int(media.segment.heard[1])
    assert heard - (place(noise(1, heard), newest) + HOP_SAMPLES) < 2 * HOP_SAMPLES, "it is not left a hop behind"


def test_silence_amid_an_utterance_is_counted_until_the_last(media: Core) -> None:
    room = Room(media, Listener(8))
    epoch = room.join(0)
    room.pass_ms(200)
    media.segment.starved[0] = 480
    assert room.scheduler.stats().starved_samples == 480
    media.segment.starved[0] = 800
    room.scheduler.release(0, epoch=epoch)
    assert room.scheduler.stats().starved_samples == 800


def test_the_groups_change_while_calls_are_served_and_no_hop_is_lost(media: Core) -> None:
    room = Room(media, model := Listener(8))
    for slot in range(8):
        room.join(slot)
    seen = []
    for step_ms in (1, 30, 1, 18, 1):
        model.on_step = lambda hop, step, ms=step_ms: setattr(room.clock, "now", room.clock.now + ms * MS)  # type: ignore[misc]
        for _ in range(22):
            room.pass_ms(1000)
            room.scheduler.review()
        seen.append(room.scheduler.phases)
    assert seen == [4, 1, 4, 2, 4]
    assert room.scheduler.stats().skipped_samples == 0
    for slot in range(8):
        heard = model.heard(slot)
        said = noise(slot, int(media.segment.heard[slot]))
        begin = place(said[:8000], heard)
        assert (heard == said[begin : begin + len(heard)]).all(), "what was heard is what was said, without a gap"
        assert len(said) - begin - len(heard) < 2 * HOP_SAMPLES, "no row waits longer than it did"


def test_a_rehearsal_says_before_the_first_call_how_many_there_can_be(media: Core) -> None:
    room, _ = priced(media, row_ms=5.0)
    assert room.scheduler.capacity == 12, "12 rows take 60 ms of 80"
    assert join_all_that_are_taken(room) == 12
    assert room.scheduler.stats().skipped_samples == 0


def test_calls_are_refused_while_something_else_has_the_machine_and_taken_again_afterwards(media: Core) -> None:
    room, model = priced(media)
    for slot in range(4):
        room.join(slot)
    room.pass_ms(3000)
    model.row_ms = 10.0
    for _ in range(12):
        room.pass_ms(1000)
        room.scheduler.review()
    assert room.scheduler.capacity == 6 == join_all_that_are_taken(room)
    model.row_ms = 5.0
    for _ in range(12):
        room.pass_ms(1000)
        room.scheduler.review()
    assert room.scheduler.capacity == 12 == join_all_that_are_taken(room)


def test_steps_without_work_and_work_that_could_wait_say_nothing_of_the_price_of_a_call(media: Core) -> None:
    room, model = priced(media, row_ms=15.0)
    assert room.scheduler.capacity == 4
    room.join(0)

    def seldom(hop: Hop, step: Step) -> None:
        working = len(model.hops) % 4 == 0  # a caller who mostly listens, and an agent who writes at leisure
        room.clock.now += (40 if working else -14) * MS
        step.rows, step.spare_ms = (1, 40.0) if working else (0, 0.0)

    model.on_step = seldom
    for _ in range(5):
        room.pass_ms(1000)
        room.scheduler.review()
    assert room.scheduler.capacity == 4 == join_all_that_are_taken(room)


def test_after_calls_that_were_late_one_is_taken_again_where_the_rehearsal_promised_one(media: Core) -> None:
    room, model = priced(media)
    room.join(0)
    model.row_ms = 200.0
    room.pass_ms(3000)
    assert room.scheduler.can_admit() == "too slow"
    room.scheduler.release(0, "hung up")
    assert room.scheduler.capacity == 1 and room.scheduler.can_admit() == ""


def test_one_step_that_was_held_up_does_not_turn_the_next_caller_away(media: Core) -> None:
    room, model = priced(media)
    room.join(0)
    room.pass_ms(300)
    model.on_step = lambda hop, step: setattr(room.clock, "now", room.clock.now + 70 * MS)
    room.pass_ms(90)
    model.on_step = lambda hop, step: None
    room.pass_ms(300)
    assert room.scheduler.can_admit() == ""


def test_the_first_step_after_a_rest_may_take_long_without_turning_the_next_caller_away(media: Core) -> None:
    for rehearsed in (True, False):
        room, model = priced(media)
        if not rehearsed:
            room = Room(media, model := Listener(32))  # type: ignore[assignment]
            room.scheduler.warm()
        room.join(0)
        model.on_step = lambda hop, step, room=room: setattr(room.clock, "now", room.clock.now + 70 * MS)  # type: ignore[misc]
        while not any(hop.mask.any() for hop in model.hops):
            room.pass_ms(1)
        assert room.scheduler.can_admit() == ""


def test_one_stall_right_after_calls_came_does_not_turn_the_next_caller_away(media: Core) -> None:
    room, _ = priced(media, row_ms=1.0)
    for slot in range(8):
        room.join(slot)
    room.pass_ms(1000)
    room.stalled_ms(300)
    for _ in range(100):
        room.pass_ms(10)
        assert room.scheduler.can_admit() == ""


def test_what_steps_cost_is_not_forgotten_when_the_groups_change(media: Core) -> None:
    class Dear(Listener):
        def step(self, hop: Hop) -> Step:
            room.clock.now += 16 * int(hop.mask.sum()) * MS
            return super().step(hop)

    room = Room(media, Dear(32))
    room.scheduler.warm()
    for slot in range(3):
        room.join(slot)
        room.pass_ms(700)
    while room.scheduler.phases == 4:
        room.pass_ms(100)
        room.scheduler.review()
        assert room.scheduler.capacity == 3


def test_a_machine_that_is_slow_is_rehearsed_for_a_moment_only_and_ever_more_seldom(media: Core) -> None:
    room, _ = priced(media, row_ms=40.0)
    assert room.scheduler.capacity == 1
    times = []
    for _ in range(600):
        room.clock.now += 1000 * MS
        began_ns = room.clock.now
        room.scheduler.review()
        if room.clock.now > began_ns:
            times.append((room.clock.now - began_ns) / MS)
    assert 3 <= len(times) <= 7 and max(times) < 1500, times


def test_a_conversation_that_goes_on_is_not_too_slow_but_a_full_house_is_full(media: Core) -> None:
    room, _ = priced(media, row_ms=100.0)
    with pytest.raises(NotServed, match="one more is too many"):
        room.scheduler.admit(0, media.bind(0), PERSONA)
    for slot in range(32):
        room.scheduler.admit(slot, media.bind(slot), PERSONA, again=True)
    assert room.scheduler.in_use == 32 and room.scheduler.can_admit() == "full"


def test_a_rehearsal_that_went_badly_is_held_again_when_nobody_is_there(media: Core) -> None:
    room, model = priced(media, row_ms=100.0)
    assert room.scheduler.capacity == 0
    model.row_ms = 5.0
    room.clock.now += 11_000 * MS
    room.scheduler.review()
    assert room.scheduler.capacity == 12


def test_without_a_rehearsal_the_price_of_a_row_is_learnt_from_calls(media: Core) -> None:
    class Silent(Listener):
        def step(self, hop: Hop) -> Step:
            room.clock.now += (4 + 2 * int(hop.mask.sum())) * MS
            return super().step(hop)

    room = Room(media, Silent(32))
    room.scheduler.warm()
    for slot in range(8):
        room.join(slot)
        room.pass_ms(500)
    for _ in range(12):
        room.pass_ms(1000)
        room.scheduler.review()
    assert room.scheduler.capacity == 28, "4 ms and 2 for each row: 28 rows in 60 ms"


def test_a_model_says_how_many_groups_it_can_be_parted_in(media: Core) -> None:
    class Odd(Listener):
        phases = 3

    with pytest.raises(ValueError, match="phase groups are 4, 2 or 1"):
        Room(media, Odd(8))
    assert hints_of(Locked(8)).phases == 1 and hints_of(Listener(8)).capacity is None
    room = Room(media, model := Locked(8))
    for slot in range(8):
        room.join(slot)
    room.pass_ms(2000)
    room.scheduler.review()
    assert room.scheduler.phases == 1, "however short its steps are"
    assert all(hop.mask.sum() in (0, 8) for hop in model.hops[2:])


def test_refusals_are_counted_and_those_who_are_there_are_served(media: Core) -> None:
    room, model = priced(media, row_ms=10.0)
    taken = join_all_that_are_taken(room)
    for slot in range(taken, taken + 5):
        with pytest.raises(NotServed):
            room.scheduler.admit(slot, media.bind(slot), PERSONA)
    before = room.scheduler.stats()
    room.pass_ms(4000)
    after = room.scheduler.stats()
    assert after.refused == {"too slow": 6} and after.in_use == taken == 6
    assert after.hops - before.hops >= 6 * 48 and after.late == before.late
    assert np.array([hop.mask.sum() for hop in model.hops]).max() <= 6

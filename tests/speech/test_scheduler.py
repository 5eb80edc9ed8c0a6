"""The scheduler on a clock that a test moves by hand, over real shared memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from offhook.speech.capacity import calls_held, cost_of, phases_for
from offhook.speech.contract import (
    HOP_SAMPLES,
    Done,
    Hop,
    Keys,
    Persona,
    Step,
    TurnEnded,
    TurnStarted,
)
from offhook.speech.echo import EchoModel
from offhook.speech.scheduler import ModelBroken, NotServed, Scheduler
from offhook.speech.slots import RING_SAMPLES
from tests.speech.room import MS, Clock, Listener, Locked, Room, place
from tests.speech.rows import PERSONA, Core, core, noise


@pytest.fixture
def media() -> Iterator[Core]:
    with core(8) as made:
        yield made


def test_a_row_is_stepped_once_every_80_ms_with_the_samples_that_follow_the_last(media: Core) -> None:
    room = Room(media, model := Listener(8))
    room.join(3)
    room.pass_ms(2000)
    hops = len(model.hops)
    assert 22 <= hops <= 25
    heard = model.heard(3)
    begin = place(noise(3, 5000), heard)
    assert (heard == noise(3, begin + len(heard))[begin:]).all()
    stats = room.scheduler.stats()
    assert (stats.hops, stats.late, stats.skipped_samples) == (hops, 0, 0)
    assert stats.lateness_p99_ms <= 1


def test_rows_are_spread_over_the_phases(media: Core) -> None:
    room = Room(media, model := Listener(8))
    for slot in range(8):
        room.join(slot)
    room.pass_ms(1000)
    first = len(model.hops)
    room.pass_ms(80)
    rows = [tuple(np.flatnonzero(hop.mask)) for hop in model.hops[first:]]
    assert [len(row) for row in rows] == [2, 2, 2, 2]
    assert sorted(slot for row in rows for slot in row) == list(range(8))
    assert room.scheduler.stats().late == 0
    assert room.scheduler.stats().lateness_p99_ms <= 1
    for slot in range(8):
        newest = next(hop for hop in reversed(model.hops) if hop.mask[slot]).audio[slot]
        heard = int(media.segment.heard[slot])
        end = place(noise(slot, heard), newest) + HOP_SAMPLES
        assert heard - end < HOP_SAMPLES, "what lay ready at its tick was taken"


def test_with_one_phase_group_all_rows_go_in_one_step(media: Core) -> None:
    room = Room(media, model := Listener(8))
    model.on_step = lambda hop, step: setattr(room.clock, "now", room.clock.now + 30 * MS)
    room.scheduler.warm()
    model.hops.clear()
    assert room.scheduler.phases == 1
    for slot in range(8):
        room.join(slot)
    room.pass_ms(1000)
    assert all(hop.mask.all() for hop in model.hops[1:])
    assert room.scheduler.stats().lateness_p99_ms <= 1


def test_a_row_whose_packet_is_late_is_served_at_the_next_tick_and_keeps_its_phase(media: Core) -> None:
    room = Room(media, model := Listener(8))
    room.join(0)
    room.pass_ms(400)
    before = len(model.hops)
    room.pass_ms(40, silent=(0,))  # two packets do not come ...
    room.core.hear(0, room.packet(0), room.clock.now)
    room.core.hear(0, room.packet(0), room.clock.now)  # ... until now
    room.pass_ms(40)
    stats = room.scheduler.stats()
    assert len(model.hops) > before
    room.pass_ms(800)
    later = room.scheduler.stats()
    assert later.late == stats.late <= 1 and later.late_by.get("unfed", 0) == stats.late
    assert later.skipped_samples == 0
    assert later.lateness_p99_ms <= 1, "lateness of the network is not the scheduler's"


def test_a_short_stall_is_caught_up_with_and_nothing_is_skipped(media: Core) -> None:
    room = Room(media, model := Listener(8))
    room.join(1)
    room.pass_ms(400)
    room.stalled_ms(120)
    room.pass_ms(200)
    stats = room.scheduler.stats()
    assert stats.skipped_samples == 0 and stats.late >= 1 and stats.overruns >= 5
    heard = model.heard(1)
    begin = place(noise(1, 5000), heard)
    assert (heard == noise(1, begin + len(heard))[begin:]).all()
    assert int(media.segment.heard[1]) - begin - len(heard) < 2 * HOP_SAMPLES - 320, "it is not left a hop behind"


def test_a_row_more_than_two_hops_behind_goes_on_with_its_newest_hop(media: Core) -> None:
    room = Room(media, model := Listener(8))
    room.join(1)
    room.pass_ms(400)
    before = len(model.heard(1))
    room.stalled_ms(600)
    room.pass_ms(100)
    assert room.scheduler.stats().skipped_samples >= 3 * HOP_SAMPLES
    newest = model.heard(1)[before : before + HOP_SAMPLES]
    end = int(media.segment.heard[1])
    assert end - place(noise(1, end), newest) <= HOP_SAMPLES + 100 * 16 + 320


def test_positions_in_events_are_ring_cursors_also_behind_a_skip(media: Core) -> None:
    def tell_end(hop: Hop, step: Step) -> None:
        if hop.mask[2]:
            position = len(model.heard(2))
            step.events.append(TurnEnded(2, position - 1, position, "test"))
            marks.append((int(hop.audio[2, -1]), position))

    marks: list[tuple[int, int]] = []
    room = Room(media, model := Listener(8, tell_end))
    epoch = media.bind(2)
    media.hear(2, noise(2, 4096))  # was heard before anybody was admitted
    room.scheduler.admit(2, epoch, PERSONA)
    room.said[2] = []
    room.pass_ms(300)
    room.stalled_ms(600)
    room.pass_ms(300)
    said = noise(2, int(media.segment.heard[2]))
    ends = [event for _, event in room.events if isinstance(event, TurnEnded)]
    assert room.scheduler.stats().skipped_samples > 0 and len(ends) == len(marks) > 5
    for event, (last_sample, _) in zip(ends, marks, strict=True):
        assert said[event.at] == last_sample
        assert event.decided_at == event.at + 1


def test_missing_samples_are_told_to_the_model_once(media: Core) -> None:
    room = Room(media, model := Listener(8))
    room.join(0)
    room.pass_ms(300)
    media.segment.missing[0] += 2000
    room.pass_ms(400)
    told = [int(hop.missing[0]) for hop in model.hops]
    assert sum(told) == 2000 and max(told) == HOP_SAMPLES


def test_played_is_what_reached_the_wire(media: Core) -> None:
    def say(hop: Hop, step: Step) -> None:
        step.samples[hop.mask] = 1000

    room = Room(media, model := Listener(8, say))
    room.join(0)
    room.pass_ms(400)
    played = [int(hop.played[0]) for hop in model.hops]
    assert played == sorted(played) and played[-1] > 1000 and played[-1] <= int(media.segment.played[0])


def test_what_a_caller_says_comes_back_to_that_caller_alone(media: Core) -> None:
    room = Room(media, EchoModel(8))
    for slot in (0, 4, 7):
        room.join(slot)
    room.pass_ms(1500)
    for slot in (0, 4, 7):
        echo = room.heard_by(slot)
        begin = place(noise(slot, 5000), echo)
        assert len(echo) > 16_000
        assert (echo == noise(slot, begin + len(echo))[begin:]).all()
    assert not media.segment.play[[1, 2, 3, 5, 6]].any()


def test_a_row_bound_anew_hears_nothing_of_its_predecessor(media: Core) -> None:
    room = Room(media, EchoModel(8))
    room.join(5)
    room.pass_ms(500)
    epoch = media.bind(5)  # a new call, before anyone told the scheduler
    room.said[5] = []
    room.pass_ms(300)
    assert len(room.heard_by(5)) == 0, "nobody was admitted to the new epoch"
    assert room.scheduler.stats().released == {"rebound": 1}
    room.scheduler.admit(5, epoch, PERSONA)
    media.hear(5, np.full(3200, 7, np.int16), room.clock.now)
    room.pass_ms(100, silent=(5,))
    assert set(room.heard_by(5)) == {7}


def test_a_row_rebound_while_the_model_was_at_it_is_not_written_to(media: Core) -> None:
    def rebind(hop: Hop, step: Step) -> None:
        if hop.mask[0] and len(model.hops) > 4 and media.segment.epoch[0] == epoch:
            media.bind(0)
        step.samples[:] = 800

    room = Room(media, model := Listener(8, rebind))
    epoch = room.join(0)
    room.join(1)
    while media.segment.epoch[0] == epoch:
        room.pass_ms(1)
    assert int(media.segment.spoken[0]) == 0
    assert int(media.segment.spoken[1]) > 0


def test_admission_without_a_fresh_binding_is_refused(media: Core) -> None:
    room = Room(media, Listener(8))
    epoch = media.bind(0)
    for wrong in (0, epoch + 1):
        with pytest.raises(NotServed) as refusal:
            room.scheduler.admit(0, wrong, PERSONA)
        assert refusal.value.reason == "unbound"
    media.unbind(0)
    with pytest.raises(NotServed, match="bind it first"):
        room.scheduler.admit(0, epoch, PERSONA)
    with pytest.raises(NotServed, match="no slot 8"):
        room.scheduler.admit(8, 1, PERSONA)


def test_a_port_that_leaves_frees_its_row(media: Core) -> None:
    room = Room(media, model := Listener(8))
    room.join(0)
    room.join(1)
    room.pass_ms(100)
    media.unbind(0)
    room.pass_ms(80)
    assert model.held == {1} and room.scheduler.in_use == 1
    assert room.scheduler.stats().released == {"unbound": 1}


def test_a_release_of_an_earlier_epoch_does_not_end_the_present_conversation(media: Core) -> None:
    room = Room(media, model := Listener(8))
    first = room.join(0)
    second = room.join(0)
    room.scheduler.release(0, epoch=first)
    room.scheduler.deliver(0, first, Keys("1"))
    room.scheduler.deliver(0, second, Keys("2"))
    assert model.held == {0} and model.delivered == [Keys("2")]
    room.scheduler.release(0, epoch=second)
    assert model.held == set()


def test_nothing_queued_is_heard_after_a_release(media: Core) -> None:
    def say(hop: Hop, step: Step) -> None:
        step.samples[hop.mask] = 4000

    room = Room(media, Listener(8, say))
    epoch = room.join(0)
    room.pass_ms(200)
    room.scheduler.release(0, epoch=epoch)
    assert len(media.play(0)) == 0
    assert media.segment.speaking[0] == 0


def test_a_cut_comes_before_the_audio_of_its_step(media: Core) -> None:
    def say(hop: Hop, step: Step) -> None:
        step.audio[0] = len(model.hops)
        step.samples[hop.mask] = 4000
        step.speaking[hop.mask] = True
        step.cut[hop.mask] = len(model.hops) == 2

    room = Room(media, model := Listener(8, say))
    room.join(0)
    while len(model.hops) < 2:
        room.pass_ms(1)
    assert set(media.play(0)) == {2}
    assert media.segment.speaking[0] == 1
    assert room.scheduler.stats().cuts == 1


def test_a_model_that_runs_ahead_never_overruns_the_ring(media: Core) -> None:
    def flood(hop: Hop, step: Step) -> None:
        step.audio[:] = len(model.hops)
        step.samples[hop.mask] = 4000

    room = Room(media, model := Listener(8, flood))
    epoch = media.bind(0)
    room.scheduler.admit(0, epoch, PERSONA)
    for _ in range(200):
        media.hear(0, noise(0, 320), room.clock.now)
        room.clock.now += 20 * MS
        room.scheduler.tick()
    assert int(media.segment.spoken[0]) == RING_SAMPLES
    assert room.scheduler.stats().clipped_samples == 4000 * len(model.hops) - RING_SAMPLES
    queued = media.play(0)
    assert queued[0] == 1, "what was queued first was not written over"
    assert (np.diff(queued) >= 0).all()


def test_one_failing_slot_ends_alone(media: Core) -> None:
    def fail(hop: Hop, step: Step) -> None:
        if hop.mask[1] and len(model.hops) > 8:
            raise RuntimeError("no more of slot 1")
        step.samples[hop.mask] = 100

    room = Room(media, model := Locked(8, fail))
    epochs = [room.join(slot) for slot in range(3)]
    room.pass_ms(1500)
    assert [(epoch, event.slot) for epoch, event in room.events] == [(epochs[1], 1)]
    (done,) = [event for _, event in room.events]
    assert isinstance(done, Done) and done.exit == "failed" and "no more of slot 1" in done.reason
    assert model.held == {0, 2} and room.scheduler.in_use == 2
    assert len(room.heard_by(0)) and len(room.heard_by(2))


def test_a_model_that_fails_with_everyone_is_broken(media: Core) -> None:
    def fail(hop: Hop, step: Step) -> None:
        raise RuntimeError("device lost")

    room = Room(media, Locked(8, fail))
    room.join(0)
    room.join(1)
    with pytest.raises(ModelBroken, match="every slot"):
        room.pass_ms(500)
    assert room.events == [] and room.scheduler.in_use == 2, "no call is given up that another worker can take over"


def test_a_persona_the_model_refuses_is_unfit_and_the_slot_stays_free(media: Core) -> None:
    class Picky(Listener):
        def admit(self, slot: int, persona: Persona) -> None:
            raise ValueError("there is no voice `nobody`")

    room = Room(media, Picky(8))
    with pytest.raises(NotServed, match="no voice `nobody`") as refusal:
        room.scheduler.admit(0, media.bind(0), PERSONA)
    assert refusal.value.reason == "unfit"
    assert room.scheduler.in_use == 0


def test_events_of_a_slot_nobody_holds_are_not_reported(media: Core) -> None:
    room = Room(media, model := Listener(8))
    model.on_step = lambda hop, step: step.events.extend(TurnStarted(slot, 5) for slot in (0, 1, 99))
    epoch = room.join(0)
    room.pass_ms(200)
    assert {(e, event.slot) for e, event in room.events} == {(epoch, 0)}


def test_a_model_that_asks_for_it_is_stepped_at_every_tick(media: Core) -> None:
    class Eager(Listener):
        every_tick = True

    room = Room(media, model := Eager(8))
    room.join(0)
    room.pass_ms(800)
    assert 38 <= len(model.hops) <= 41
    assert 8 <= sum(bool(hop.mask.any()) for hop in model.hops) <= 10


def test_a_full_house_and_a_models_capacity_are_said_as_full(media: Core) -> None:
    room = Room(media, model := Listener(8))
    for slot in range(8):
        room.join(slot)
    assert room.scheduler.can_admit() == "full"

    class Small(Listener):
        capacity = 1

    room = Room(media, Small(8))
    assert room.scheduler.can_admit() == ""
    room.join(0)
    assert room.scheduler.can_admit() == "full"
    with pytest.raises(NotServed) as refusal:
        room.scheduler.admit(1, media.bind(1), PERSONA)
    assert refusal.value.reason == "full"
    assert room.scheduler.stats().refused == {"full": 1}
    del model


def test_a_model_whose_steps_grow_with_its_rows_is_refused_one_too_many(media: Core) -> None:
    room = Room(media, model := Listener(8))

    def work(hop: Hop, step: Step) -> None:
        room.clock.now += int(hop.mask.sum()) * 13 * MS

    model.on_step = work
    room.scheduler.warm()
    admitted = 0
    for slot in range(8):
        if room.scheduler.can_admit():
            break
        room.join(slot)
        admitted += 1
        room.pass_ms(3000)
        room.scheduler.review()
    assert room.scheduler.can_admit() == "too slow"
    assert admitted == 4, "four rows take 52 ms of 80; a fifth would take 65"
    assert room.scheduler.stats().skipped_samples == 0


def test_phases_follow_the_step_time_and_do_not_flap() -> None:
    assert [phases_for(step_ms, 4) for step_ms in (1, 11, 13, 23, 25, 70)] == [4, 4, 2, 2, 1, 1]
    assert [phases_for(11, present) for present in (4, 2, 1)] == [4, 2, 2]


def test_a_model_of_fixed_shape_takes_as_many_calls_as_it_has_rows_once_it_fits() -> None:
    assert calls_held(cost_of([(0, 40.0)], np.full(50, 60.0), np.full(50, 40.0)), 1000) == 1000
    assert calls_held(cost_of([(0, 61.0)], np.zeros(0), np.zeros(0)), 1000) == 0


def test_a_model_that_works_row_by_row_holds_what_fits_in_the_best_grouping() -> None:
    steps = np.ones(50), np.full(50, 14.0)
    assert calls_held(cost_of([(0, 0.0)], *steps), 100) == 4, "in one group four rows take 56 ms of 80, five take 70"
    assert calls_held(cost_of([(0, 0.0)], *steps), 3) == 3


def test_what_a_rehearsal_promised_is_corrected_by_what_is_measured() -> None:
    rehearsed = [(0, 5.0), (1, 6.0), (2, 7.0), (4, 9.0), (8, 13.0)]
    none = np.zeros(0), np.zeros(0)
    assert calls_held(cost_of(rehearsed, *none), 1000) == 55, "5 ms and 1 for each row: 55 rows in 60 ms"
    twice = np.full(50, 4.0), np.full(50, 18.0)
    assert calls_held(cost_of(rehearsed, *twice), 1000) == 25, "something else has half of the machine"
    seldom = np.full(1000, 4.0), np.where(np.arange(1000) % 50, 9.0, 29.0)
    assert calls_held(cost_of(rehearsed, *seldom), 1000) == 35, "one step in fifty is held up by 20 ms"


@pytest.mark.parametrize("packet_us", [19_900, 20_100])
def test_a_row_follows_its_callers_clock(media: Core, packet_us: int) -> None:
    """A caller's clock half a percent off (a hundred times what is usual) drifts by 100 ms in 20 s, further than a hop
    is long: the row's phase has to go with it, or it is late at every hop, or further and further behind."""
    model = Listener(8)
    clock = Clock()
    scheduler = Scheduler(model, media.segment, lambda epoch, event: None, clock)
    scheduler.admit(0, media.bind(0), PERSONA)
    begin_ns, packets, waits = clock.now, 0, []
    while clock.now < begin_ns + 20_000 * MS:
        clock.now += MS // 2
        while begin_ns + packets * packet_us * 1000 <= clock.now:
            media.hear(0, np.zeros(320, np.int16), begin_ns + packets * packet_us * 1000)
            packets += 1
        if clock.now >= scheduler.deadline_ns:
            before = len(model.hops)
            scheduler.tick()
            if len(model.hops) > before:
                waits.append(packets * 320 - len(model.hops) * HOP_SAMPLES)
    stats = scheduler.stats()
    assert stats.skipped_samples == 0
    assert stats.late < 0.6 * stats.hops
    behind = np.array(waits) - waits[0]
    assert behind.max() <= 3 * 320, "what lies unheard after a hop does not grow"

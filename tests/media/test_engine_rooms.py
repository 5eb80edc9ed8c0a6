"""Ports in a room: what each party's track then holds, who hears a supervisor, and that nothing clicks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from offhook.media import HeardBy, MediaCore, MediaError, Port, RecordClosed, Remote, SlotSegment, slots
from offhook.media.port import Codec
from offhook.speech.slots import Segment
from tests.media.telephone import Ears, Pcm, Worker, tone, track, until

RATE_HZ = 8_000
LOUD = 1_500
"""Half of what a party hums with."""
HUSH = 60


@pytest.fixture
def segment() -> Iterator[SlotSegment]:
    made = slots.create(8)
    yield made
    made.close()


@dataclass
class Party:
    """Somebody who hums at one pitch at the end of a line: `there` is their telephone, `port` the leg's end here."""

    hz: float
    there: Port
    port: Port
    hum: Worker
    heard: Path
    said: Path

    def strength(self, other: Party | Agent, path: Path | None = None, last_ms: int = 400) -> float:
        """How loudly the other is heard on this party's agent track, in its last so many milliseconds."""
        return strength(track(path or self.heard)[-last_ms * RATE_HZ // 1000 :], other.hz, RATE_HZ)


@dataclass
class Agent:
    hz: float
    voice: Worker


def strength(pcm: Pcm, hz: float, rate_hz: int) -> float:
    """Amplitude of a tone in a sound."""
    turn = np.exp(-2j * np.pi * hz * np.arange(len(pcm)) / rate_hz)
    return float(2 * np.abs(np.mean(pcm * turn)))


class House:
    """Parties on one core, each with a pitch of their own."""

    def __init__(self, core: MediaCore, ears: Ears, segment: SlotSegment, folder: Path) -> None:
        self.core, self.ears, self.folder = core, ears, folder
        self.rows = Segment(segment.fd)
        self.slots = core.attach(segment)
        self.taken = 0
        self.parties: list[Party] = []

    def worker(self, port: Port) -> Worker:
        slot, self.taken = self.taken, self.taken + 1
        return Worker(self.rows, slot, port.bind(self.slots, slot))

    def party(self, name: str, hz: float, codec: Codec = "ulaw", hum_ms: int = 3_500) -> Party:
        """Rings: hums from now on, and is recorded."""
        there, port = self.core.open(f"{name}'s telephone"), self.core.open(name)
        payload_type = {"ulaw": 0, "alaw": 8, "opus": 111}[codec]
        for one, other in ((there, port), (port, there)):
            one.remote(Remote(other.address, codec, payload_type))
        hum = self.worker(there)
        hum.speak(tone(hz, hum_ms, peak=2 * LOUD))
        paths = [self.folder / f"{name}-{side}.wav" for side in ("heard", "said")]
        port.record(paths[1], paths[0])
        self.parties.append(Party(hz, there, port, hum, *paths))
        return self.parties[-1]

    def agent(self, party: Party, hz: float, hum_ms: int = 3_500) -> Agent:
        """An AI agent in the slot of a party's port."""
        voice = self.worker(party.port)
        voice.speak(tone(hz, hum_ms, peak=2 * LOUD))
        return Agent(hz, voice)

    def go_on(self, ms: float) -> None:
        """Let so much media time pass on every port."""
        start = self._clocks()
        until(lambda: all(now - then >= ms for now, then in zip(self._clocks(), start, strict=True)))

    def _clocks(self) -> list[float]:
        return [party.port.clock_ms for party in self.parties]

    def stop(self) -> None:
        """End the recordings; their files are whole after this."""
        for party in self.parties:
            party.port.stop_recording()
        for party in self.parties:
            self.ears.wait(RecordClosed, party.port)


@pytest.fixture
def house(core: MediaCore, ears: Ears, segment: SlotSegment, tmp_path: Path) -> House:
    return House(core, ears, segment, tmp_path)


def test_each_of_three_hears_the_others_and_not_themselves(core: MediaCore, house: House) -> None:
    parties = [house.party(name, hz) for name, hz in (("ann", 400), ("ben", 650), ("cas", 1_100))]
    room = core.room()
    for party in parties:
        room.enter(party.port)
    house.go_on(1_200)
    house.stop()
    for party in parties:
        for other in parties:
            if other is party:
                assert party.strength(other) < HUSH
            else:
                assert party.strength(other) > LOUD
        # What they said is on the other track, and nothing of what they heard.
        assert party.strength(party, party.said) > LOUD
        assert all(party.strength(other, party.said) < HUSH for other in parties if other is not party)
    room.close()


def test_a_port_tells_what_its_playout_buffer_did_for_others_even_when_it_has_left(
    core: MediaCore, house: House
) -> None:
    parties = [house.party(name, hz) for name, hz in (("ann", 400), ("ben", 650))]
    ann = parties[0].port
    assert ann.counters().bridged_ms == 0
    room = core.room()
    for party in parties:
        room.enter(party.port)
    house.go_on(500)
    during = ann.counters()
    assert 300 < during.bridged_ms
    assert 0 < during.bridged_delay_ms < 100
    assert during.bridged_concealed_ms < during.bridged_ms / 2
    room.leave(ann)
    left = ann.counters()
    assert left.bridged_ms >= during.bridged_ms
    house.go_on(200)
    assert ann.counters().bridged_ms == left.bridged_ms, "nothing is given to others outside a room"
    house.stop()
    room.close()


def test_who_listens_in_hears_all_and_is_heard_by_nobody(core: MediaCore, house: House) -> None:
    caller, human, boss = (house.party(name, hz) for name, hz in (("caller", 400), ("human", 650), ("boss", 1_100)))
    room = core.room()
    room.enter(caller.port)
    room.enter(human.port)
    room.enter(boss.port, HeardBy.NOBODY)
    house.go_on(1_200)
    house.stop()
    assert boss.strength(caller) > LOUD
    assert boss.strength(human) > LOUD
    assert caller.strength(human) > LOUD
    assert caller.strength(boss) < HUSH
    assert human.strength(boss) < HUSH


def test_a_whisper_reaches_one_party_and_barging_in_all(core: MediaCore, house: House) -> None:
    caller, human, boss = (
        house.party(name, hz, hum_ms=4_000) for name, hz in (("caller", 400), ("human", 650), ("boss", 1_100))
    )
    room = core.room()
    for party in (caller, human):
        room.enter(party.port)
    room.enter(boss.port, HeardBy.LINE, human.port)
    house.go_on(1_000)
    whispered = [int(party.port.clock_ms * RATE_HZ / 1000) for party in (caller, human)]
    room.heard(boss.port, HeardBy.ALL)
    house.go_on(1_000)
    room.heard(boss.port, HeardBy.NOBODY)
    house.go_on(600)
    house.stop()
    part = 300 * RATE_HZ // 1000
    at_whisper = [track(p.heard)[n - part : n] for p, n in zip((caller, human), whispered, strict=True)]
    assert strength(at_whisper[0], boss.hz, RATE_HZ) < HUSH
    assert strength(at_whisper[1], boss.hz, RATE_HZ) > LOUD
    for party, n in zip((caller, human), whispered, strict=True):
        assert strength(track(party.heard)[n + 2 * part : n + 3 * part], boss.hz, RATE_HZ) > LOUD
        assert party.strength(boss, last_ms=200) < HUSH


def test_an_agent_is_a_party_and_can_be_whispered_to(core: MediaCore, house: House) -> None:
    caller, human, boss = (house.party(name, hz) for name, hz in (("caller", 400), ("human", 650), ("boss", 1_100)))
    agent = house.agent(caller, 1_700)
    room = core.room()
    for party in (caller, human):
        room.enter(party.port)
    room.enter(boss.port, HeardBy.AGENT, caller.port)
    house.go_on(1_500)
    heard = agent.voice.heard()[-6_400:]
    house.stop()
    assert all(party.strength(agent) > LOUD for party in (caller, human, boss))
    assert caller.strength(boss) < HUSH
    assert human.strength(boss) < HUSH
    assert all(strength(heard, party.hz, 16_000) > LOUD for party in (caller, human, boss))
    assert strength(heard, agent.hz, 16_000) < HUSH


def test_narrow_and_wide_lines_meet(core: MediaCore, house: House) -> None:
    narrow, law, wide = house.party("narrow", 400), house.party("law", 650, "alaw"), house.party("wide", 1_100, "opus")
    room = core.room()
    for party in (narrow, law):
        room.enter(party.port)
    house.go_on(500)
    room.enter(wide.port)
    house.go_on(1_300)
    house.stop()
    assert narrow.strength(wide) > LOUD
    assert law.strength(wide) > LOUD
    assert narrow.strength(law) > LOUD
    heard = track(wide.heard, 16_000)[-6_400:]
    assert strength(heard, narrow.hz, 16_000) > LOUD
    assert strength(heard, law.hz, 16_000) > LOUD


def test_coming_going_and_switching_do_not_click(core: MediaCore, house: House) -> None:
    """The sum of three hums is never steeper than its parts, whenever somebody comes or goes amid it."""
    caller, human, boss = (
        house.party(name, hz, hum_ms=4_000) for name, hz in (("caller", 300), ("human", 350), ("boss", 400))
    )
    room = core.room()
    for party in (caller, human):
        room.enter(party.port)
    house.go_on(600)
    for _ in range(5):
        room.enter(boss.port)
        house.go_on(77)
        room.heard(boss.port, HeardBy.NOBODY)
        house.go_on(33)
        room.heard(boss.port, HeardBy.ALL)
        house.go_on(61)
        room.leave(boss.port)
        house.go_on(53)
    house.stop()
    steepest = 2 * LOUD * 2 * np.pi * (human.hz + boss.hz) / RATE_HZ
    heard = track(caller.heard)[-RATE_HZ:].astype(np.int32)
    assert np.max(np.abs(np.diff(heard))) < 1.25 * steepest


def test_a_room_may_lose_anyone_at_any_moment(core: MediaCore, house: House) -> None:
    caller, human, boss = (house.party(name, hz) for name, hz in (("caller", 400), ("human", 650), ("boss", 1_100)))
    room = core.room()
    for party in (caller, human, boss):
        room.enter(party.port)
    house.go_on(200)
    human.port.stop_recording()
    human.port.close()
    house.parties.remove(human)
    with pytest.raises(MediaError, match="or the port is closed"):
        room.enter(human.port)
    house.go_on(600)
    caller.port.bridge(boss.port)  # out of the room, into one of their own
    house.go_on(600)
    room.leave(caller.port)
    with pytest.raises(MediaError, match="in no room"):
        room.heard(boss.port, HeardBy.ALL)
    house.go_on(200)
    house.stop()
    heard = track(caller.heard)
    assert strength(heard[-700 * 8 : -400 * 8], boss.hz, RATE_HZ) > LOUD
    assert caller.strength(boss, last_ms=150) < HUSH
    room.close()
    room.close()
    with pytest.raises(MediaError, match="is closed"):
        room.enter(caller.port)


def test_an_agent_that_has_no_place_in_a_room_is_refused_and_not_silent_in_there(core: MediaCore, house: House) -> None:
    """It would be heard by nobody, not even by its own caller, and nobody would know."""
    ann, ben = house.party("ann", 400), house.party("ben", 650)
    room = core.room()
    others = [core.open(f"{n}") for n in range(14)]
    for port in (ann.port, *others):
        room.enter(port)
    agent = house.agent(ann, 1_100)
    with pytest.raises(MediaError, match="16 voices"):
        room.enter(ben.port)
    room.leave(others[0])
    room.enter(ben.port)  # 16: ann, her agent, ben, and thirteen more
    with pytest.raises(MediaError, match="heard by nobody"):
        ben.port.bind(house.slots, 6)
    ann.port.bind(house.slots, agent.voice.slot)  # anew: its place is there
    room.leave(others[1])
    spare = core.open("spare")
    spare.bind(house.slots, 7)
    with pytest.raises(MediaError, match="agents of its ports"):
        room.enter(spare)  # one place is free, and it needs two
    spare.unbind()
    room.enter(spare)
    room.leave(spare)
    louder = house.agent(ben, 900)
    house.go_on(1_200)
    house.stop()
    assert ann.strength(louder) > LOUD and ben.strength(louder) > LOUD
    room.close()


def test_what_makes_no_sense_is_refused_in_a_sentence(core: MediaCore) -> None:
    room = core.room()
    ports = [core.open(f"{n}") for n in range(17)]
    for port in ports[:16]:
        room.enter(port)
    with pytest.raises(MediaError, match="16 voices"):
        room.enter(ports[16])
    elsewhere = core.room()
    elsewhere.enter(ports[16])
    with pytest.raises(MediaError, match="16 voices"):
        room.enter(ports[16])
    elsewhere.heard(ports[16], HeardBy.ALL)  # refused there, it has not left this one
    with pytest.raises(MediaError, match="say by whom"):
        room.heard(ports[0], HeardBy.LINE)
    room.leave(ports[3])
    room.enter(ports[16])
    room.enter(ports[16], HeardBy.NOBODY)  # twice is a change of mind


def test_who_enters_where_it_is_already_may_be_taken_out_by_others_meanwhile(core: MediaCore) -> None:
    """The race: one thread brings a port into the room that it is in, another takes it out, in between the question
    whether it is there and the word by whom it is heard. Both get what they asked for, in either order."""
    room, port = core.room(), core.open()
    entered = threading.Event()

    def take_out() -> None:
        while not entered.is_set():
            room.leave(port)

    other = threading.Thread(target=take_out)
    other.start()
    try:
        for _ in range(3_000):
            room.enter(port)
            room.enter(port, HeardBy.NOBODY)
    finally:
        entered.set()
        other.join(10)

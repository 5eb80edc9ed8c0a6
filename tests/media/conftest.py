"""Cores, segments and pairs of ports for the tests of the media core."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from offhook.media import MediaCore, Port, Remote, SlotSegment, slots
from offhook.speech.slots import Segment
from tests.media.telephone import Ears, Telephone


@pytest.fixture
def core() -> Iterator[MediaCore]:
    with MediaCore("127.0.0.1", (20_000, 29_999)) as made:
        yield made


@pytest.fixture
def ears(core: MediaCore) -> Ears:
    return Ears(core)


@pytest.fixture
def segment() -> Iterator[SlotSegment]:
    made = slots.create(4)
    yield made
    made.close()


@pytest.fixture
def rows(segment: SlotSegment) -> Segment:
    return Segment(segment.fd)


@pytest.fixture
def phone() -> Iterator[Telephone]:
    with Telephone() as made:
        yield made


@pytest.fixture
def pair(core: MediaCore) -> tuple[Port, Port]:
    """Two ports that talk to each other."""
    one, other = core.open("one"), core.open("other")
    one.remote(Remote(other.address, "ulaw", 0, 101))
    other.remote(Remote(one.address, "ulaw", 0, 101))
    return one, other

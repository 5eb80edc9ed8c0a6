"""The NumPy mirror of the slots segment against the C header, and the moving of audio through its rings."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from offhook.media import slots as media_slots
from offhook.speech.contract import HOP_SAMPLES
from offhook.speech.slots import (
    HEADER,
    HEADER_BYTES,
    MAGIC,
    RING_SAMPLES,
    ROW,
    VERSION,
    Segment,
    SegmentFault,
    create_segment,
)
from tests.speech.rows import core, noise

HEADER_FILE = Path(__file__).resolve().parents[2] / "native" / "include" / "oh_slots.h"


def test_every_field_lies_where_the_c_header_has_it(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("skipped: no C compiler")
    places = [("struct oh_slots_header", name) for name in HEADER.names or ()]
    places += [("struct oh_slot_row", name) for name in ROW.names or ()]
    lines = [f'printf("%zu %zu\\n", offsetof({of}, {name}), sizeof((({of} *)0)->{name}));' for of, name in places]
    source = tmp_path / "offsets.c"
    source.write_text(
        "#include <stddef.h>\n#include <stdio.h>\n#include <oh_slots.h>\nint main(void) {\n"
        + "\n".join(lines)
        + '\nprintf("%zu %zu\\n", sizeof(struct oh_slots_header), sizeof(struct oh_slot_row));'
        + '\nprintf("%llu %u\\n", (unsigned long long)OH_SLOTS_MAGIC, OH_SLOTS_VERSION);'
        + '\nprintf("%u %u\\n", OH_RING_SAMPLES, OH_HOP_SAMPLES);\nreturn 0; }\n'
    )
    program = tmp_path / "offsets"
    subprocess.run([compiler, "-std=c11", f"-I{HEADER_FILE.parent}", source, "-o", program], check=True)
    said = [tuple(map(int, line.split())) for line in subprocess.check_output([program], text=True).splitlines()]

    mirrored = [dtype.fields[name] for dtype in (HEADER, ROW) if dtype.fields for name in dtype.names or ()]
    assert said[:-3] == [(offset, dtype.itemsize) for dtype, offset, *_ in mirrored]
    assert said[-3:] == [(HEADER_BYTES, ROW.itemsize), (MAGIC, VERSION), (RING_SAMPLES, HOP_SAMPLES)]


@pytest.mark.parametrize(
    ("offset", "field", "word"),
    [(0, struct.pack("<Q", 7), "magic"), (8, struct.pack("<I", 9), "version"), (16, struct.pack("<Q", 64), "stride")],
)
def test_a_segment_of_another_build_is_refused_by_name_of_what_differs(offset: int, field: bytes, word: str) -> None:
    fd = create_segment(2)
    os.pwrite(fd, field, offset)
    with pytest.raises(SegmentFault, match=word):
        Segment(fd)
    os.close(fd)


@pytest.mark.parametrize("claimed", [0, 3, 2**32 - 1])
def test_a_segment_that_claims_rows_it_has_no_memory_for_is_refused(claimed: int) -> None:
    fd = create_segment(2)
    os.pwrite(fd, struct.pack("<I", claimed), 12)
    with pytest.raises(SegmentFault, match="rows"):
        Segment(fd)
    os.close(fd)


def test_a_file_too_short_for_a_header_is_refused() -> None:
    fd = os.memfd_create("short")
    os.ftruncate(fd, 100)
    with pytest.raises(SegmentFault, match="header"):
        Segment(fd)
    os.close(fd)


def test_hops_are_gathered_from_many_rows_also_where_they_wrap() -> None:
    with core(4) as media:
        cursors = [0, RING_SAMPLES - HOP_SAMPLES, RING_SAMPLES - 1, 5 * RING_SAMPLES + 70]
        hops = [noise(seed, HOP_SAMPLES) for seed in range(4)]
        for slot, (cursor, hop) in enumerate(zip(cursors, hops, strict=True)):
            media.segment.heard[slot] = cursor
            media.hear(slot, hop)
        into = np.full((4, HOP_SAMPLES), 99, np.int16)
        Segment(media.fd).gather([0, 1, 2], cursors[:3], into)
        assert (into[:3] == hops[:3]).all()
        assert (into[3] == 99).all(), "a row that was not asked for is left alone"
        Segment(media.fd).gather([3], cursors[3:], into)
        assert (into[3] == hops[3]).all()


@pytest.mark.parametrize("lengths", [[1280, 1280, 1280], [1280, 7, 3000], [500, 500, 500]])
def test_what_is_scattered_is_what_the_core_plays_also_where_it_wraps(lengths: list[int]) -> None:
    with core(3) as media:
        for slot, cursor in enumerate([0, RING_SAMPLES - 3, 3 * RING_SAMPLES - 1280]):
            media.bind(slot)
            media.segment.spoken[slot] = media.segment.taken[slot] = cursor
            media.segment.speak_epoch[slot] = media.segment.epoch[slot]
        audio = np.stack([noise(seed, 3000) for seed in range(3)])
        Segment(media.fd).scatter([0, 1, 2], audio, lengths)
        for slot, length in enumerate(lengths):
            assert (media.play(slot) == audio[slot, :length]).all()


def test_a_cut_drops_what_was_queued_and_nothing_that_is_said_after_it() -> None:
    with core(1) as media:
        media.bind(0)
        media.segment.speak_epoch[0] = media.segment.epoch[0]
        worker = Segment(media.fd)
        worker.scatter([0], noise(1, 2000)[None], [2000])
        media.play(0, 300)
        worker.cut(0)
        after = noise(2, 400)
        worker.scatter([0], after[None], [400])
        assert (media.play(0) == after).all()
        assert int(media.segment.played[0]) == 700
        assert int(media.segment.cut_played[0]) == 300


def test_the_segment_that_the_media_core_makes_is_one_we_map() -> None:
    segment = media_slots.create(3)
    rows = Segment(segment.fd)
    segment.close()
    assert rows.slots == 3
    assert not rows.live.any() and rows.listen.shape == (3, RING_SAMPLES)

"""The shared memory between the media core and a speech worker, as NumPy sees it: the mirror of `oh_slots.h`.

`Segment` maps the rows and gives every field as an array over all slots, and moves audio for many rows at once. It
knows the layout and who may write what; when a row is due, or what an epoch means for a conversation, the scheduler
decides.
"""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from offhook.speech.contract import HOP_SAMPLES, RATE_HZ, Pcm

MAGIC: Final = 0x31544F4C53484F
VERSION: Final = 1
RING_SAMPLES: Final = 65_536
HEADER_BYTES: Final = 4096
MAX_SLOTS: Final = 65_536

HEADER: Final = np.dtype(
    {
        "names": ["magic", "version", "slots", "stride", "ring_samples", "rate_hz"],
        "formats": ["<u8", "<u4", "<u4", "<u8", "<u4", "<u4"],
        "offsets": [0, 8, 12, 16, 24, 28],
        "itemsize": HEADER_BYTES,
    }
)
"""`struct oh_slots_header`."""

ROW: Final = np.dtype(
    {
        "names": [
            *("epoch", "live", "bound_at"),
            *("heard", "concealed", "missing", "heard_ns"),
            *("taken", "played", "starved", "cut_done", "cut_played"),
            *("spoken", "speak_epoch", "speaking", "cut_before", "cut_seq"),
            *("listen", "play"),
        ],
        "formats": [
            *("<u4", "<u4", "<u8"),
            *("<u8",) * 4,
            *("<u8",) * 5,
            *("<u8", "<u4", "<u4", "<u8", "<u8"),
            *(("<i2", RING_SAMPLES),) * 2,
        ],
        "offsets": [
            *(0, 4, 8),
            *(64, 72, 80, 88),
            *(128, 136, 144, 152, 160),
            *(192, 200, 204, 208, 216),
            *(256, 256 + 2 * RING_SAMPLES),
        ],
        "itemsize": 256 + 4 * RING_SAMPLES,
    }
)
"""`struct oh_slot_row`."""

HEAD: Final = np.dtype(
    {
        "names": ["binding", "heard", "missing", "heard_ns", "taken", "played", "spoken"],
        "formats": ["<i8"] * 7,
        "offsets": [0, 64, 80, 88, 128, 136, 192],
        "itemsize": 256,
    }
)
"""A row's cursors as a scheduler reads them, all at once. `binding` is `epoch` and `live` in one, see `binding_of`."""

Cursors = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.intp]


def binding_of(epoch: int) -> int:
    """What `HEAD`'s `binding` says while a port is bound to the row as `epoch`."""
    return epoch | 1 << 32


class SegmentFault(ValueError):
    """The memory handed over is no segment of this layout; the sentence says what differs."""


class Segment:
    """The rows of one segment.

    Cursor arrays are live views ([slots], strided over the shared rows): read them once and go on with the copy. The
    core writes `epoch` to `cut_played`, the worker `spoken` to `cut_seq`.
    """

    def __init__(self, fd: int) -> None:
        """Map the segment behind `fd`, which may be closed afterwards. Raises SegmentFault."""
        size = os.fstat(fd).st_size
        if size < HEADER_BYTES:
            raise SegmentFault(
                f"a slots segment begins with {HEADER_BYTES} bytes of header; descriptor {fd} has {size}"
            )
        self._map = mmap.mmap(fd, size)
        header = np.frombuffer(self._map, HEADER, 1)[0]
        self.slots = int(header["slots"])
        _check(header, size)
        rows = np.frombuffer(self._map, ROW, self.slots, HEADER_BYTES)
        self.epoch: npt.NDArray[np.uint32] = rows["epoch"]
        self.live: npt.NDArray[np.uint32] = rows["live"]
        self.bound_at: Cursors = rows["bound_at"]
        self.heard: Cursors = rows["heard"]
        self.concealed: Cursors = rows["concealed"]
        self.missing: Cursors = rows["missing"]
        self.heard_ns: Cursors = rows["heard_ns"]
        self.taken: Cursors = rows["taken"]
        self.played: Cursors = rows["played"]
        self.starved: Cursors = rows["starved"]
        self.cut_done: Cursors = rows["cut_done"]
        self.cut_played: Cursors = rows["cut_played"]
        self.spoken: Cursors = rows["spoken"]
        self.speak_epoch: npt.NDArray[np.uint32] = rows["speak_epoch"]
        self.speaking: npt.NDArray[np.uint32] = rows["speaking"]
        self.cut_before: Cursors = rows["cut_before"]
        self.cut_seq: Cursors = rows["cut_seq"]
        self.listen: Pcm = rows["listen"]
        """[slots, RING_SAMPLES] int16."""
        self.play: Pcm = rows["play"]
        """[slots, RING_SAMPLES] int16."""
        self.heads: npt.NDArray[np.void] = np.ndarray(self.slots, HEAD, self._map, HEADER_BYTES, (ROW.itemsize,))
        """[slots] of `HEAD`: a live view, to be copied for many rows with one index."""
        self._listen_at = _windows(self.listen, HOP_SAMPLES)
        self._play_at: dict[int, Pcm] = {HOP_SAMPLES: _windows(self.play, HOP_SAMPLES)}
        self._ordering = threading.Lock()
        self._ordering.acquire()

    def gather(self, rows: Sequence[int], cursors: Sequence[int], into: Pcm) -> None:
        """Copy the hop that begins at `cursors[i]` of row `rows[i]`'s listen ring to `into[rows[i]]` ([slots, 1280]).
        The caller has seen, through `heard`, that those samples are there."""
        at = [cursor % RING_SAMPLES for cursor in cursors]
        if max(at, default=0) <= RING_SAMPLES - HOP_SAMPLES:
            into[rows] = self._listen_at[rows, at]
            return
        for row, start in zip(rows, at, strict=True):
            head = min(HOP_SAMPLES, RING_SAMPLES - start)
            into[row, :head] = self.listen[row, start : start + head]
            into[row, head:] = self.listen[row, : HOP_SAMPLES - head]

    def scatter(self, rows: Sequence[int], audio: Pcm, samples: Sequence[int]) -> None:
        """Append `audio[rows[i], :samples[i]]` to the play ring of row `rows[i]` and move its cursor. The caller has
        seen that there is room. For the worker alone."""
        if not rows:
            return
        spoken = self.spoken[rows].tolist()
        at = [cursor % RING_SAMPLES for cursor in spoken]
        same = samples[0]
        windows = self._play_at.get(same)
        if windows is not None and all(n == same for n in samples) and max(at) <= RING_SAMPLES - same:
            windows[rows, at] = audio[rows, :same]
        else:
            for row, start, n in zip(rows, at, samples, strict=True):
                head = min(n, RING_SAMPLES - start)
                self.play[row, start : start + head] = audio[row, :head]
                self.play[row, : n - head] = audio[row, head:n]
        self.fence()
        self.spoken[rows] = [cursor + n for cursor, n in zip(spoken, samples, strict=True)]

    def cut(self, row: int) -> None:
        """Have the core drop what is queued in this row and not yet played. For the worker alone."""
        self.cut_before[row] = self.spoken[row]
        self.fence()
        self.cut_seq[row] += np.uint64(1)

    def fence(self) -> None:
        """Order memory: what was stored before is seen before what is stored after, and likewise for loads. (A lock
        released and taken again is a full barrier on every machine this runs on; NumPy has none of its own.)"""
        self._ordering.release()
        self._ordering.acquire()


def create_segment(slots: int, name: str = "offhook-slots") -> int:
    """A fresh segment of `slots` rows as a memory file; the descriptor is the caller's. For programs without the media
    core, such as tests of a model: a server's segments are made by the core."""
    if not 0 < slots <= MAX_SLOTS:
        raise ValueError(f"a segment has 1 to {MAX_SLOTS} slots, not {slots}")
    header = np.zeros(1, HEADER)
    header[["magic", "version", "slots", "stride", "ring_samples", "rate_hz"]] = (
        *(MAGIC, VERSION, slots),
        *(ROW.itemsize, RING_SAMPLES, RATE_HZ),
    )
    fd = os.memfd_create(name)
    os.ftruncate(fd, HEADER_BYTES + slots * ROW.itemsize)
    os.pwrite(fd, header.tobytes(), 0)
    return fd


def _check(header: np.void, size: int) -> None:
    expected = (("magic", MAGIC), ("version", VERSION), ("stride", ROW.itemsize))
    for name, value in (*expected, ("ring_samples", RING_SAMPLES), ("rate_hz", RATE_HZ)):
        if header[name] != value:
            raise SegmentFault(
                f"the slots segment has {name} {int(header[name]):#x}, this program expects {value:#x}: "
                "the media core and the speech worker are not of the same build"
            )
    slots = int(header["slots"])
    if not 0 < slots <= MAX_SLOTS or size < HEADER_BYTES + slots * ROW.itemsize:
        raise SegmentFault(f"the slots segment says it has {slots} rows, and has {size} bytes")


def _windows(rings: Pcm, width: int) -> Pcm:
    """[slots, RING_SAMPLES - width + 1, width]: every stretch of `width` samples that does not wrap, without a copy.
    Indexed by rows and starts it copies stretches whole, several times faster than sample by sample."""
    slots, ring = rings.shape
    shape = (slots, ring - width + 1, width)
    return np.lib.stride_tricks.as_strided(rings, shape, (*rings.strides, rings.strides[1]))

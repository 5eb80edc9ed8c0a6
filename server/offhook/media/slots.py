"""The shared-memory segment of a speech worker's slots: made, opened and checked here, never read or written.

The layout is `native/include/oh_slots.h`. The edge makes the segment (`create`), hands its file descriptor to the
media core (`MediaCore.attach`) and to a worker process. Mapping its rows with NumPy is the speech package's business.
"""

from __future__ import annotations

import fcntl
import os
import struct
from dataclasses import dataclass

from offhook.media.errors import MediaError

MAGIC = 0x31544F4C53484F
VERSION = 1
HEADER_BYTES = 4096
RING_SAMPLES = 65_536
ROW_BYTES = 256 + 4 * RING_SAMPLES
RATE_HZ = 16_000
MOST_SLOTS = 65_536

_HEADER = struct.Struct("<QIIQII")


@dataclass(slots=True)
class SlotSegment:
    """One segment. Owns `fd` until `close`; whoever mapped it keeps their mapping."""

    fd: int
    slots: int

    @property
    def size(self) -> int:
        """Bytes of the whole segment."""
        return HEADER_BYTES + self.slots * ROW_BYTES

    def close(self) -> None:
        """Give the descriptor back. Closing twice is fine."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def create(slots: int) -> SlotSegment:
    """A fresh segment of `slots` rows, all of them unbound, in memory that no file system sees (memfd).

    The descriptor is inheritable by `subprocess` only where it is passed on purpose. Raises MediaError where the
    number makes no sense or the memory is not to be had.
    """
    if not 1 <= slots <= MOST_SLOTS:
        raise MediaError(f"a slots segment holds 1 to {MOST_SLOTS} slots, not {slots}: choose a number in that range")
    segment = SlotSegment(-1, slots)
    try:
        segment.fd = os.memfd_create("offhook-slots", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(segment.fd, segment.size)
        os.pwrite(segment.fd, _HEADER.pack(MAGIC, VERSION, slots, ROW_BYTES, RING_SAMPLES, RATE_HZ), 0)
        # Whoever gets the descriptor can write samples, but not take the memory away from under the core.
        fcntl.fcntl(segment.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    except OSError as error:
        segment.close()
        raise MediaError(
            f"no shared memory for {slots} slots ({segment.size >> 20} MiB): {error.strerror}; ask for fewer slots"
        ) from error
    return segment


def check(fd: int) -> int:
    """How many slots the segment behind `fd` holds. Raises MediaError where it is none, or of another layout."""
    try:
        head = os.pread(fd, _HEADER.size, 0)
        size = os.fstat(fd).st_size
    except OSError as error:
        raise MediaError(f"descriptor {fd} is no slots segment: {error.strerror}") from error
    if len(head) < _HEADER.size:
        raise MediaError(f"descriptor {fd} is no slots segment: it is {size} bytes long")
    magic, version, slots, stride, ring, rate = _HEADER.unpack(head)
    if magic != MAGIC:
        raise MediaError(f"descriptor {fd} is no slots segment: it does not begin with the segment's mark")
    if (version, stride, ring, rate) != (VERSION, ROW_BYTES, RING_SAMPLES, RATE_HZ):
        raise MediaError(
            f"the slots segment of descriptor {fd} has layout {version} ({stride} bytes a row), this program has "
            f"layout {VERSION} ({ROW_BYTES}): both sides have to be of one version"
        )
    if not 1 <= slots <= MOST_SLOTS or size < HEADER_BYTES + slots * ROW_BYTES:
        raise MediaError(f"the slots segment of descriptor {fd} says {slots} slots, which its {size} bytes cannot hold")
    return int(slots)

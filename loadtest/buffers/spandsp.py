"""Spandsp's concealment (Debian's libspandsp2, LGPL, called as it is) behind a fixed buffer: spandsp has no buffer."""

from __future__ import annotations

import ctypes
import functools

import numpy as np

from .fixed import DELAY_MS, Fixed
from .stream import PACKET, Sound

_SOUND = np.ctypeslib.ndpointer(np.int16, ndim=1, flags="C_CONTIGUOUS")


@functools.cache
def _library() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL("libspandsp.so.2")
    except OSError:
        return None
    library.plc_init.restype = ctypes.c_void_p
    library.plc_init.argtypes = [ctypes.c_void_p]
    library.plc_free.argtypes = [ctypes.c_void_p]
    for name in ("plc_rx", "plc_fillin"):
        getattr(library, name).argtypes = [ctypes.c_void_p, _SOUND, ctypes.c_int]
    return library


def _lacks() -> str | None:
    return None if _library() else "libspandsp.so.2 is not here (Debian: libspandsp2)"


class _Plc:
    """One stream's `plc_state_t`."""

    def __init__(self) -> None:
        library = _library()
        assert library is not None
        self._library, self._state = library, library.plc_init(None)

    def __del__(self) -> None:
        self._library.plc_free(self._state)

    def heard(self, sound: Sound) -> Sound:
        out = sound.copy()
        self._library.plc_rx(self._state, out, len(out))
        return out

    def made_up(self) -> Sound:
        out = np.zeros(PACKET, np.int16)
        self._library.plc_fillin(self._state, out, len(out))
        return out


SPANDSP = Fixed("spandsp", f"fixed {DELAY_MS} ms; spandsp's concealment", _Plc, _lacks)

"""Taking a message: say what to do, a tone, then keep what the caller says until they are done.

The message is a stretch of the caller's track; when the call is over the archive cuts it out as a file of its own.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from offhook.calls.timeline import Entry, VoicemailLeft
from offhook.calls.verbs import CallOver, VoicemailExit

if TYPE_CHECKING:
    from offhook.calls.call import Call

HEADER_BYTES = 44
"""Of a track, before its first sample (oh_track.h)."""
SILENCE_S = 5.0
"""A caller who has said nothing for so long is done."""
FIRST_WORD_S = 10.0
"""How long a caller may think before the first word."""
SHORTEST_S = 1.0
"""Less than this is no message."""
QUIET_RMS = 60.0
"""Level of 16-bit samples below which a tenth of a second counts as silence (-55 dBFS)."""
LOOK_S = 1.0
"""How often the track is looked at; it reaches the disk about that often."""


async def take(call: Call, text: str, language: str, max_s: float, keep: str) -> VoicemailExit:
    """Take a message; see `verbs.Verbs.voicemail`."""
    await call.say(text, language, None)
    await call.record(keep)
    await call.play(call.hall.prompts.tone("beep"))
    pressed = asyncio.Event()
    call.on_keys = lambda digit: pressed.set()
    began_ms = call.leg.port.clock_ms
    try:
        await call.until_over(_listen(call, pressed, began_ms, max_s))
    except CallOver:
        _left(call, began_ms)
        raise
    finally:
        call.on_keys = None
    return _left(call, began_ms)


async def _listen(call: Call, pressed: asyncio.Event, began_ms: float, max_s: float) -> None:
    """Return when a key is pressed, the caller has fallen silent, or the time is up."""
    track = call.folder / "caller.wav"
    end = asyncio.get_running_loop().time() + max_s
    while (left_s := end - asyncio.get_running_loop().time()) > 0:
        try:
            await asyncio.wait_for(pressed.wait(), min(LOOK_S, left_s))
            return
        except TimeoutError:
            pass
        so_far_s = (call.leg.port.clock_ms - began_ms) / 1000
        if so_far_s <= SILENCE_S or spoken(track, SILENCE_S):
            continue
        if so_far_s > FIRST_WORD_S or spoken(track, so_far_s):
            return


def _left(call: Call, began_ms: float) -> VoicemailExit:
    length_ms = call.leg.port.clock_ms - began_ms
    if length_ms < SHORTEST_S * 1000 or not spoken(call.folder / "caller.wav", length_ms / 1000 + LOOK_S):
        return "empty"
    number = sum(1 for _ in call.timeline.of(VoicemailLeft)) + 1
    call.timeline.append(VoicemailLeft(f"voicemail-{number}.wav", round(length_ms, 1)))
    return "left"


def cut_messages(folder: Path, entries: Iterable[Entry]) -> list[str]:
    """After hang-up: make each message on the timeline a file of its own, cut from the caller's track. Returns a
    sentence for each that could not be made; the track has it all the same. May take as long as the disk takes."""
    faults = []
    for entry in entries:
        if not isinstance(entry.event, VoicemailLeft):
            continue
        path = folder / entry.event.file
        try:
            with soundfile.SoundFile(folder / "caller.wav") as track:
                begin = int((entry.t - entry.event.length_ms) * track.samplerate / 1000)
                track.seek(max(0, begin))
                pcm = track.read(int(entry.event.length_ms * track.samplerate / 1000), dtype="int16")
                soundfile.write(path, pcm, track.samplerate, subtype="PCM_16")
        except (OSError, soundfile.SoundFileError) as error:
            path.unlink(missing_ok=True)
            faults.append(f"{path}: the message cannot be cut out ({error}); it is in caller.wav")
    return faults


def spoken(track: Path, seconds: float) -> bool:
    """Whether the last `seconds` of a track being written hold anything but silence. Without a track: no."""
    try:
        with track.open("rb") as file:
            rate_hz = int(struct.unpack("<I", file.read(HEADER_BYTES)[24:28])[0])  # as the media core writes a header
            size = file.seek(0, 2)
            wanted = 2 * int(seconds * rate_hz)
            file.seek(max(HEADER_BYTES, size - wanted) & ~1)
            pcm = np.frombuffer(file.read(wanted), dtype="<i2")
    except (OSError, ValueError, struct.error):
        return False
    block = rate_hz // 10
    blocks = pcm[: len(pcm) // block * block].reshape(-1, block).astype(np.float32)
    return bool(len(blocks)) and bool((np.sqrt((blocks**2).mean(axis=1)) > QUIET_RMS).sum() >= 3)

"""The cascade's listener: words by recognition, and patience by how complete the mind finds them.

Recognition is a job elsewhere; it is begun in a caller's pauses, and now and then while they speak.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from offhook.speech.contract import RATE_HZ, Pcm, Reading
from offhook.speech.crew import Crew
from offhook.speech.floor import Floor, JobFailed, ListenerJob
from offhook.speech.recogniser import Heard, Recogniser
from offhook.speech.tape import Tape
from offhook.speech.turns import is_backchannel

_BEFORE = RATE_HZ * 250 // 1000  # what is recognised begins this much before the voice was noticed
_SETTLED_MS = 200  # silence after which "no words" and "mhm" are believed
_LONG = RATE_HZ * 20  # a turn longer than this is recognised in parts
_UNREAD = Reading(0.5, None, {})
_PAUSE, _PARTIAL = 0, 1  # urgency of recognition


@dataclass(frozen=True, slots=True)
class Recognised:
    """The words between `start` and `end` of the caller's stream, and what the mind makes of all words so far."""

    start: int
    end: int
    heard: Heard
    reading: Reading


class RecognisingListener:
    """Hears one caller. See `conversation.Listener`."""

    def __init__(self, floor: Floor, recogniser: Recogniser, ears: Crew) -> None:
        self._floor = floor
        self._options = floor.parts.turns
        self._clock = floor.clock
        self._recogniser = recogniser
        self._ears = ears
        self._tape = Tape()
        # recognition of the turn in progress
        self._asked_end = 0  # how far the newest recognition reaches
        self._recognising = False
        self._newest: Recognised | None = None
        self._from = 0  # what is recognised next begins here; before it lies `_settled`
        self._settled: list[str] = []

    def hear(self, audio: Pcm) -> None:
        self._tape.write(audio)

    def began(self) -> None:
        self._newest, self._settled = None, []
        self._from = max(self._clock.turn_start - _BEFORE, 0)
        self._asked_end = self._clock.turn_start

    def consider(self) -> None:
        """Decide what the turn in progress needs: recognition, patience, or an end."""
        clock, options = self._clock, self._options
        if not clock.in_turn:
            return
        newest = self._newest
        if newest is not None and newest.end >= clock.speech_end and clock.silence:
            self._judge(newest)
        elif not self._recognising:
            if clock.silence_ms >= options.look_ms:
                self._recognise(_PAUSE)
            elif (clock.now - self._asked_end) * 1000 >= options.partial_ms * RATE_HZ and not clock.silence:
                self._recognise(_PARTIAL)

    def _judge(self, newest: Recognised) -> None:
        """All that was said is recognised and the caller pauses: is that all?"""
        floor, silence_ms, words = self._floor, self._clock.silence_ms, self._words(newest)
        if not words:
            if silence_ms >= _SETTLED_MS:
                floor.dismiss("no words")
        elif floor.playout.held and floor.turn.broke_in and not floor.turn.over_question and is_backchannel(words):
            if silence_ms >= _SETTLED_MS:
                floor.heard(words, self._clock.speech_end, final=True)
                floor.dismiss("backchannel")
        elif silence_ms >= self._options.wait_ms(newest.reading.complete):
            complete = newest.reading.complete
            self._end_turn(words, f"{silence_ms:.0f} ms of silence, words {complete:.0%} complete")

    def _end_turn(self, words: str, why: str) -> None:
        self._floor.heard(words, self._clock.speech_end, final=True)
        self._floor.end_turn(why, words, lambda mind: mind.hear(words))

    def _words(self, newest: Recognised) -> str:
        return " ".join([*self._settled, newest.heard.text]).strip()

    def _recognise(self, urgency: int) -> None:
        start, end = self._from, self._tape.end
        audio = self._tape.read(start, end)
        floor = self._floor
        before, vocabulary, times = " ".join(self._settled), floor.vocabulary, floor.parts.times
        self._recognising = True
        self._asked_end = end

        def job() -> None:
            began = time.perf_counter()
            try:
                heard = self._recogniser.recognise(
                    audio, floor.persona.language, vocabulary, thorough=urgency == _PAUSE
                )
            except Exception as error:
                floor.post(ListenerJob(self._failed))
                floor.post(JobFailed(f"recognition failed: {type(error).__name__}: {error}"))
                raise
            times.add("recognise", began)
            began = time.perf_counter()
            words = f"{before} {heard.text}".strip()
            reading = floor.thinking.read(words) if words else None
            times.add("read", began)
            brought = Recognised(start, end, heard, reading or _UNREAD)
            floor.post(ListenerJob(lambda: self._recognised(brought)))

        self._ears.do(job, urgency)

    def _failed(self) -> None:
        self._recognising = False

    def _recognised(self, result: Recognised) -> None:
        self._recognising = False
        clock, floor = self._clock, self._floor
        if not clock.in_turn or result.start != self._from:
            return  # of a turn that is over
        self._newest = result
        words = self._words(result)
        length_ms = (result.end - clock.turn_start) * 1000 / RATE_HZ
        if words and result.end < clock.speech_end:
            floor.heard(words, result.end, final=False)
        if words and floor.turn.noise:
            floor.listen_after_all()
        elif not words and length_ms >= self._options.noise_ms:
            floor.go_on()
        if length_ms >= self._options.longest_turn_ms:
            if words:
                self._end_turn(words, f"a turn of {self._options.longest_turn_ms} ms")
            else:
                floor.dismiss(f"no words in {self._options.longest_turn_ms} ms")
            return
        if result.end - result.start > _LONG and result.end < clock.speech_end:
            self._settled.append(result.heard.text)
            self._from = result.end
            self._newest = None
        self.consider()

"""One call with the far end: what of it is sent, what of it is played, and whose turn it is.

The far end decides that a turn began or ended. Our own ear is quicker to notice a voice, so that the agent falls silent
at once; where the far end then hears no turn, the agent goes on where it was. Its state moves only in the thread that
steps. It waits for nobody.
"""

from __future__ import annotations

import structlog

from offhook.speech import contract
from offhook.speech.contract import RATE_HZ, Event, Keys, Pcm, Persona, ToolResult
from offhook.speech.realtime import incoming, outgoing
from offhook.speech.realtime.answers import Answers
from offhook.speech.realtime.briefing import Briefing, word_for_word
from offhook.speech.realtime.connection import Arrival, Connection, Lost, Opened, Spoken
from offhook.speech.realtime.errands import Done, Errands
from offhook.speech.realtime.memory import Memory
from offhook.speech.realtime.mouth import TooMuch
from offhook.speech.realtime.options import Turns
from offhook.speech.realtime.parts import Parts
from offhook.speech.realtime.speaking import Speaking
from offhook.speech.realtime.transcripts import Transcripts
from offhook.speech.tape import Tape
from offhook.speech.turns import Speech, TurnClock, TurnOptions
from offhook.speech.voiceactivity import Ear

CONFIRM_MS = 700
"""Silence after a voice that the far end took for no turn, until the agent goes on."""
NOISE_MS = 2_500
"""A sound this long that the far end takes for no turn is noise: the agent goes on."""
SHORTEST_MS = 250
"""Speech that makes a turn where the far end leaves that to us."""
STEADY_S = 60.0
"""A connection that held so long may be lost without ending the call, again."""
FORGIVEN = frozenset({"response_cancel_not_active", "input_audio_buffer_commit_empty", "item_truncate_invalid"})
_AGAIN = RATE_HZ * 30  # samples that are said again to a fresh connection at most
_BEFORE = RATE_HZ * 300 // 1000  # what is said again to a fresh connection begins this much before the voice
_ASK = (
    "The caller has been silent for a while. In a few words, ask whether they are still there, and your last question."
)
_PICK_UP = (
    "The line broke off for a moment while you were with this caller. Say sorry in two words, and go on with what is "
    "open: what you were about to say, or your last question."
)

_log = structlog.get_logger(__name__)


class Talk:
    """The state of one slot."""

    def __init__(self, slot: int, persona: Persona, briefing: Briefing, parts: Parts) -> None:
        self.events: list[Event] = []
        """What happened since they were last taken."""
        self._slot, self._persona, self._briefing, self._parts = slot, persona, briefing, parts
        self._options = parts.options
        self._memory = Memory() if persona.memo is None else Memory.recalled(persona.memo)
        self._errands = Errands(slot, briefing, self._memory)
        self._speaking = Speaking(slot, self._memory, RATE_HZ * parts.options.lead_ms // 1000)
        self._mouth = self._speaking.mouth
        self._clock = TurnClock(TurnOptions())
        self._ear = Ear()
        self._tape = Tape()
        self._answers: Answers
        self._connection: Connection
        self._opened_s = 0.0
        self._connected = False
        self._losses = 0
        # whose turn
        self._told = False  # `TurnStarted` was, and not yet its end
        self._far_turn = False  # the far end hears one
        self._turn_start = 0
        self._noise = False
        self._transcripts: Transcripts
        # what the agent says
        self._farewell = False  # the last words were asked for
        self._ending_s = 0.0
        self._failed = ""
        self._keys, self._keys_at = "", 0
        self._cut = False
        self._done = False
        self._memo: object = None

    def begin(self) -> None:
        """Connect, and say the first words."""
        memory = self._memory
        fresh = self._persona.memo is None
        self._connect()
        if memory.end is not None:
            self._farewell = True
        elif fresh:
            self._greet()
        elif waiting := self._errands.again():
            self.events += waiting
        else:
            self._answers.want(_PICK_UP, use_tools=False)

    def close(self) -> None:
        """The slot is free: nothing more of this conversation is sent or played."""
        if not self._done:
            self._done = True
            self._hang_up()

    def _greet(self) -> None:
        self._answers.want(word_for_word(self._briefing.greeting), use_tools=False)

    # --- the connection

    def _connect(self) -> None:
        self._memory.connections += 1
        self._parts.counts.connections += 1
        self._opened_s = self._parts.clock()
        session = outgoing.session(self._options, self._briefing, self._persona.language)
        self._connection = Connection(self._parts.network, self._options, session)
        for message in self._memory.retold(self._options):
            self._connection.send(message)
        self._errands.connected()
        self._answers = Answers(self._connection.send, self._parts.clock)
        self._transcripts = Transcripts(self._slot, self._memory)
        self._connected = True

    def _hang_up(self) -> None:
        if not self._connected:
            return
        self._connected = False
        self._connection.close()
        if dropped := self._connection.dropped_samples:
            self._parts.counts.dropped_samples += dropped
            _log.warning("the far end did not take the caller's speech in time", dropped_ms=dropped * 1000 // RATE_HZ)

    def _lost(self, lost: Lost) -> None:
        """The connection is gone: once, another takes its place."""
        self._parts.counts.lost += 1
        self._hang_up()
        now = self._parts.clock()
        self._losses = 1 if now - self._opened_s >= STEADY_S else self._losses + 1
        _log.warning("realtime connection lost", far_end=self._options.place, why=lost.why, times=self._losses)
        if self._memory.end is not None:
            self._farewell = True  # what there was to do is done, and nobody is left to say goodbye
            self._answers = Answers(lambda message: None, self._parts.clock)
            self._mouth.whole()
            return
        if lost.final or self._losses > 1:
            self._fail(lost.why)
            return
        self._resume()

    def _resume(self) -> None:
        owed = self._answers.owed
        speaking = self._told or self._far_turn
        unheard = self._transcripts.unheard()
        start = unheard if unheard is not None else self._turn_start if speaking else None
        self._mouth.whole()
        self._far_turn = False
        self._connect()
        # What the lost far end heard and did not write down is said again.
        if start is not None:
            again = max(0, start - _BEFORE, self._tape.end - _AGAIN)
            self._connection.hear(again, self._tape.read(again, self._tape.end), kept=True)
        if speaking:
            return  # the end of the turn leads to the answer
        if unheard is not None and self._options.turns is Turns.LOCAL:
            self._connection.send(outgoing.commit())
            self._answers.want()
        elif unheard is not None:
            self._answers.expect()  # the far end finds the turn's end in what is said again
        elif owed and not self._memory.last("agent"):
            self._greet()
        elif owed and not self._memory.unanswered():
            self._answers.want(_PICK_UP)

    def _fail(self, why: str) -> None:
        """There is no going on: say what there is to say, and end."""
        self._failed = f"the realtime service at {self._options.place} {why}"
        self._mouth.whole()
        self._mouth.resume()
        self._hang_up()

    def take_in(self) -> None:
        """Act on what the far end has said since."""
        if self._done or self._failed:
            return
        connection = self._connection
        for arrival in connection.take():
            try:
                self._take(arrival)
            except TooMuch as error:
                self._mouth.abandon()
                self._cut = True
                self._fail(str(error))
            if connection is not self._connection or self._failed:
                return  # the rest is of a connection that is no more
        if self._answers.late(self._options.answer_ms / 1000) and not self._memory.unanswered():
            self._lost(Lost(f"did not answer within {self._options.answer_ms / 1000:g} s"))
        for item in self._transcripts.overdue(self._parts.clock()) if self._options.transcribe else ():
            self._connection.send(outgoing.retrieve(item))

    def _take(self, arrival: Arrival) -> None:
        match arrival:
            case Opened():
                self._answers.opened()
            case Lost():
                self._lost(arrival)
            case incoming.SpeechBegan(at_ms=at_ms):
                self._turn_begins(self._connection.position(at_ms))
            case incoming.SpeechOver(item, at_ms):
                self._turn_ends(self._connection.position(at_ms), "the far end heard the turn end", item)
                self._answers.expect()
            case incoming.Committed(item):
                self._transcripts.named(item)
            case incoming.Transcribed(item, text, whole):
                self._transcribed(item, text, whole)
            case incoming.Retrieved(item, text):
                if text:
                    self._transcribed(item, text, True)
            case incoming.AnswerBegan(response):
                if self._far_turn or not self._answers.began(response):
                    self._speaking.void(response)
                    self._connection.send(outgoing.cancel(response))
            case Spoken(response, item, audio):
                self._sound(response, item, audio)
            case incoming.SoundOver(response, item):
                if not self._speaking.is_void(response, item):
                    self._mouth.say(item).whole = True
            case incoming.Words(response, item, text, whole):
                self._words(response, item, text, whole)
            case incoming.CallMade(response, call):
                if not self._speaking.is_void(response):
                    self._run_errand(self._errands.called(call, self._memory.last("caller")))
            case incoming.AnswerOver():
                self._answer_over(arrival)
            case incoming.Complaint():
                self._complaint(arrival)
            case incoming.Limits(left):
                if left < 0.1:
                    _log.warning("a limit of the far end's is near", far_end=self._options.place, left=round(left, 3))

    def _complaint(self, complaint: incoming.Complaint) -> None:
        """Most errors leave the session as it was: who waits for an answer that does not come learns it in time."""
        self._parts.counts.complaints += 1
        if complaint.code in FORGIVEN:
            return
        why = self._options.without_key(f"{complaint.code} {complaint.message}")
        _log.warning("the far end reports an error", far_end=self._options.place, kind=complaint.kind, why=why)
        if complaint.code == "session_expired":
            self._lost(Lost(f"ended the session: {why}"))

    # --- the agent speaks

    def _sound(self, response: str, item: str, audio: Pcm) -> None:
        self._answers.goes_on(response)
        if not self._speaking.is_void(response, item):
            self._answers.sounds = True
            self._speaking.sound(item, audio)

    def _words(self, response: str, item: str, text: str, whole: bool) -> None:
        self._answers.goes_on(response)
        if not self._speaking.is_void(response, item):
            self._speaking.words(item, text, whole)

    def _answer_over(self, over: incoming.AnswerOver) -> None:
        void = self._speaking.is_void(over.response)
        if not void:
            for call in over.calls:
                self._run_errand(self._errands.called(call, self._memory.last("caller")))
        if void or not self._answers.is_current(over.response):
            return
        sounded = self._answers.sounds
        self._mouth.whole()
        if over.status != "failed":
            self._transcripts.answered()
        self._answers.over(over.status)
        if self._answers.failures > 1:
            self._fail(f"fails to answer: {self._options.without_key(over.why) or 'it does not say why'}")
            return
        if over.status == "failed":
            self._answers.want(self._answers.instructions)
        elif sounded:
            self.events.append(contract.Decided(self._slot, "chat", None, {}, {}, self._memory.last("caller")))
        if self._memory.end is not None and sounded:
            self._farewell = True
        self._go_on(sounded)
        self._remember()

    def _run_errand(self, done: Done) -> None:
        self.events += done.events
        for message in done.messages:
            self._connection.send(message)
        self._answers.about_tools |= done.to_say
        if done.messages:
            self._answers.quiet_errand = True

    def _go_on(self, sounded: bool) -> None:
        """After an answer of the far end's or of a tool: has it something left to say?"""
        answers, end = self._answers, self._memory.end
        if answers.active or self._memory.unanswered() or self._far_turn:
            return
        if end is not None:
            if not self._farewell:
                self._farewell = True
                last = self._briefing.handing_over if end[0] == "human" else self._briefing.goodbye
                answers.want(word_for_word(last), use_tools=False)
        elif answers.about_tools or (answers.quiet_errand and not sounded):
            answers.want()

    def speak(self, played: int, room: Pcm) -> tuple[int, bool, bool]:
        """`played` samples have reached the caller. Fills `room` with what is to be queued; answers how many samples
        that is, whether what was queued before must be cut, and whether more of the utterance follows."""
        if self._done:
            return 0, False, False
        doubtful = self._told and self._clock.in_turn and not (self._far_turn or self._noise or self._failed)
        if doubtful and not self._mouth.held:
            self._cut |= self._mouth.hold()
        count, events = self._speaking.advance(played, room)
        self.events += events
        cut, self._cut = self._cut, False
        self._consider_end()
        return count, cut, self._mouth.speaking

    def _consider_end(self) -> None:
        end = self._memory.end
        if not self._failed and end is None:
            self._ending_s = 0.0
            return
        now = self._parts.clock()
        self._ending_s = self._ending_s or now
        said = not self._mouth.pending and (self._failed or (self._farewell and not self._answers.active))
        # A far end that never gets its last words out must not keep the caller from a person.
        stuck = not self._mouth.pending and now - self._ending_s > self._options.answer_ms / 1000
        if not said and not stuck:
            return
        self._remember()
        self.close()
        exit, reason = ("failed", self._failed) if end is None else end
        self.events.append(contract.Done(self._slot, exit, reason))

    # --- the caller speaks

    def hear(self, audio: Pcm, missing: int) -> None:
        """One hop of the caller: [1280] int16, `missing` of its samples made up for packets that never came."""
        if self._done or self._failed:
            return
        self._connection.hear(self._tape.end, audio)
        self._tape.write(audio)
        for probability in self._parts.activity.hear(self._ear, audio):
            if self._clock.frame(probability, missing / len(audio), self._mouth.audible) is Speech.BEGAN:
                self._voice_begins()
        self._consider_voice()
        self._consider_keys()
        self._consider_silence()

    def _voice_begins(self) -> None:
        """Our ear hears a voice: fall silent, whatever it turns out to be."""
        self._noise = False
        if not self._told:
            self._tell_start(self._clock.turn_start)
        if self._mouth.audible:
            self._cut |= self._mouth.hold()

    def _consider_voice(self) -> None:
        """What our ear took for a turn: is it one?"""
        clock = self._clock
        if self._far_turn and clock.silence_ms > self._options.answer_ms:
            self._lost(Lost("did not notice that the caller's turn was over"))
        if not clock.in_turn or self._far_turn:
            return
        if self._options.turns is Turns.LOCAL:
            self._judge_voice()
        elif clock.silence_ms >= (CONFIRM_MS if self._mouth.held else 2 * CONFIRM_MS):
            self._dismiss("the far end heard no turn")
        elif self._mouth.held and (clock.now - clock.turn_start) * 1000 >= NOISE_MS * RATE_HZ:
            self._noise = True
            self._mouth.resume()

    def _judge_voice(self) -> None:
        clock = self._clock
        long_enough = (clock.speech_end - clock.turn_start) * 1000 >= SHORTEST_MS * RATE_HZ
        if long_enough and self._mouth.pending and self._mouth.held:
            self._take_floor(clock.turn_start)
        if clock.silence_ms < self._options.silence_ms:
            return
        if not long_enough:
            self._connection.send(outgoing.clear())
            self._dismiss("too short for a turn")
            return
        self._take_floor(clock.turn_start)
        self._connection.send(outgoing.commit())
        self._turn_ends(clock.speech_end, f"{clock.silence_ms:.0f} ms of silence", "")
        self._answers.want()

    def _dismiss(self, why: str) -> None:
        """It was no turn: the agent goes on where it was."""
        self._tell_end(self._clock.speech_end, why)
        self._clock.end_turn()
        if self._mouth.held:
            self._mouth.resume()

    def _turn_begins(self, at: int) -> None:
        """The far end hears a turn."""
        at = min(at, self._tape.end)
        self._far_turn = True
        if not self._told:
            self._tell_start(at)
        self._take_floor(self._turn_start)

    def _turn_ends(self, at: int, why: str, item: str) -> None:
        at = min(max(at, self._turn_start), self._tape.end)
        if not self._told:
            self._tell_start(at)
        self._tell_end(at, why)
        self._far_turn = False
        self._clock.end_turn()
        if self._mouth.held:
            self._mouth.resume()
        self._transcripts.ended(item, self._turn_start, at, self._parts.clock())

    def _transcribed(self, item: str, text: str, whole: bool) -> None:
        heard = self._transcripts.told(item, text, whole)
        if heard is not None:
            self.events.append(heard)
        if whole:
            self._remember()

    def _tell_start(self, at: int) -> None:
        self._told = True
        self._turn_start = at
        self.events.append(contract.TurnStarted(self._slot, at))

    def _tell_end(self, at: int, why: str) -> None:
        if self._told:
            self.events.append(contract.TurnEnded(self._slot, at, self._tape.end, why))
        self._told = False

    def _take_floor(self, at: int) -> None:
        """The caller has something to say: what the agent still had to say is void."""
        self._memory.silences = 0
        self._errands.heard()
        if self._memory.end is not None and self._memory.end[0] == "resolved":
            self._memory.end, self._farewell = None, False  # not done after all
        if response := self._answers.cancelled():
            self._speaking.void(response)
            self._connection.send(outgoing.cancel(response))
        cut = self._speaking.cut(at)
        self._cut |= cut.queued
        self.events += cut.events
        for message in cut.messages:
            self._connection.send(message)
        if cut.events:
            self._remember()

    # --- keys, tools, silence

    def deliver(self, delivery: contract.Delivery) -> None:
        """A tool's answer, or keys."""
        if self._done or self._failed:
            return
        if isinstance(delivery, ToolResult):
            self._run_errand(self._errands.came(delivery))
            self._go_on(sounded=False)
            self._remember()
        elif isinstance(delivery, Keys):
            self._keys = (self._keys + delivery.digits)[:64]
            self._keys_at = self._tape.end
            self._clock.hush()
            self._cut |= self._mouth.hold()
            if "#" in self._keys:
                self._press()

    def _consider_keys(self) -> None:
        gap = self._clock.options.key_gap_ms * RATE_HZ // 1000
        if self._keys and self._tape.end - self._keys_at >= gap:
            self._press()

    def _press(self) -> None:
        digits, self._keys = self._keys.rstrip("#") or "#", ""
        self._take_floor(self._keys_at)
        words = f"(pressed on the keypad: {digits})"
        self._memory.note("caller", words)
        self._connection.send(outgoing.clear())  # the keys' tones are no speech
        self._connection.send(outgoing.said(self._options, "caller", words))
        self._answers.want()

    def _consider_silence(self) -> None:
        waiting = self._answers.active or self._memory.unanswered() or self._memory.end
        if self._told or self._far_turn or self._mouth.pending or waiting or self._keys:
            self._clock.hush()
            return
        if self._clock.quiet_ms < self._options.ask_ms:
            return
        self._clock.hush()
        self._memory.silences += 1
        if self._memory.silences < 3:
            self._answers.want(_ASK, use_tools=False)
            return
        self._memory.end = ("resolved", "the caller said nothing any more")
        self._go_on(sounded=False)

    def _remember(self) -> None:
        memo = self._memory.memo()
        if memo != self._memo:
            self._memo = memo
            self.events.append(contract.Memo(self._slot, memo))

"""Systems that tell when a caller is done, each as a score for every hop of a scene: ours, and those beside it.

A score may use what was heard until then and nothing later. What it is compared with, and what follows, is
`endpointing`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime as ort
from faster_whisper.feature_extractor import FeatureExtractor

from models.duplex.evaluate import desks, hearing
from models.duplex.evaluate.scenes import Scene, Scores
from offhook import weights
from offhook.agents.mind import SkillMind
from offhook.speech.contract import HOP_SAMPLES, RATE_HZ, Pcm, Understood
from offhook.speech.duplex.listener import Scale
from offhook.speech.duplex.listening import Listening, Opening
from offhook.speech.duplex.speculation import understood
from offhook.speech.duplex.turns import EndOptions
from offhook.speech.recogniser import Recogniser
from offhook.speech.turns import Speech, TurnClock, TurnOptions
from offhook.speech.voiceactivity import Ear, VoiceActivity

SILENCE, SILERO, SMART_TURN, CASCADE = "silence time-out", "Silero VAD", "smart-turn v3.2", "cascade's policy"
ENDED, DUPLEX = "duplex, model alone", "duplex's policy"
SMART_TURN_FILE = "smart-turn-v3.2-cpu.onnx"
_BEFORE = 3  # hops that a row begins before its turn
_NEVER = -3.0
_HEARD_BEFORE = RATE_HZ * 250 // 1000  # what is recognised begins this much before the voice was noticed


class System(Protocol):
    """Scores scenes."""

    def scores(self, scene: Scene) -> Mapping[str, Scores]:
        """By name; one system may have several ways to score."""


class Caller:
    """Follows one caller's voice as a call does: Silero, and the clock that makes turns and silences of it."""

    def __init__(self, activity: VoiceActivity) -> None:
        self.clock = TurnClock(TurnOptions())
        self._activity = activity
        self._ear = Ear()

    def hear(self, hop: Pcm) -> bool:
        """One hop more; whether a turn began in it."""
        return Speech.BEGAN in [self.clock.frame(one) for one in self._activity.hear(self._ear, hop)]


class TimeOut:
    """Knows when the caller really is silent, and nothing else."""

    def scores(self, scene: Scene) -> Mapping[str, Scores]:
        return {SILENCE: np.zeros(len(scene.audio) // HOP_SAMPLES)}


class Silero:
    """Silence as voice activity has it: the score is how long it has lasted."""

    def __init__(self, activity: VoiceActivity) -> None:
        self._activity = activity

    def scores(self, scene: Scene) -> Mapping[str, Scores]:
        caller = Caller(self._activity)
        made = []
        for hop in hearing.hops(scene.audio):
            caller.hear(hop)
            made.append(caller.clock.silence_ms if caller.clock.in_turn else 0.0)
        return {SILERO: np.array(made)}


class SmartTurn:
    """Pipecat's smart-turn, asked at every hop of a silence; it hears the last 8 s, silence before what is shorter."""

    def __init__(self, file: Path, threads: int = 1) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self._features = FeatureExtractor(feature_size=80)

    @classmethod
    def load(cls, threads: int = 1) -> SmartTurn:
        """The weight `smart-turn`. Raises WeightsMissing where it was not pulled."""
        return cls(weights.path("smart-turn") / SMART_TURN_FILE, threads)

    def probability(self, audio: Pcm) -> float:
        """How likely the caller is done who has said `audio`, [n] int16 at 16 kHz."""
        whole = np.zeros(8 * RATE_HZ, np.float32)
        newest = audio[-len(whole) :]
        whole[len(whole) - len(newest) :] = newest.astype(np.float32) / 32768
        whole = (whole - whole.mean()) / np.sqrt(whole.var() + 1e-7)
        features = self._features(whole, padding=0)[:, :800].astype(np.float32)
        return float(np.asarray(self._session.run(None, {"input_features": features[None]})[0]).reshape(-1)[0])

    def scores(self, scene: Scene) -> Mapping[str, Scores]:
        made = np.zeros(len(scene.audio) // HOP_SAMPLES)
        begin = max(0, scene.speech[0] - RATE_HZ // 2)
        for silence in scene.silences:
            for hop in range(silence.first // HOP_SAMPLES, silence.end // HOP_SAMPLES):
                made[hop] = self.probability(scene.audio[begin : (hop + 1) * HOP_SAMPLES])
        return {SMART_TURN: made}


class Cascade:
    """The cascade's own policy: so much silence, the less the more complete the words are. The score is the silence
    against what it waits for; from 1 on, it answers. What recognition takes is not in it."""

    def __init__(self, activity: VoiceActivity, recogniser: Recogniser) -> None:
        self._activity, self._recogniser = activity, recogniser

    def scores(self, scene: Scene) -> Mapping[str, Scores]:
        caller, mind = Caller(self._activity), desks.mind(scene.said)
        clock = caller.clock
        made: list[float] = []
        heard_until, complete = -1, 0.0
        for number, hop in enumerate(hearing.hops(scene.audio), 1):
            caller.hear(hop)
            due = clock.in_turn and clock.silence_ms >= clock.options.look_ms
            if due and heard_until < clock.speech_end:
                first = max(0, clock.turn_start - _HEARD_BEFORE)
                words = self._recogniser.transcribe(scene.audio[first : number * HOP_SAMPLES], "en", mind.vocabulary())
                complete = mind.read(words).complete if words else -1.0
                heard_until = number * HOP_SAMPLES
            known = due and complete >= 0
            made.append(clock.silence_ms / clock.options.wait_ms(complete) if known else 0.0)
        return {CASCADE: np.array(made)}


@dataclass(slots=True)
class _Guess:
    until: int
    complete: float


@dataclass(frozen=True, slots=True)
class Moment:
    """What the duplex model has made of a caller when a hop has come."""

    ended: float
    """How likely it holds the turn to be over."""
    complete: float | None
    """How much of an answer the mind finds in what was said; None while nothing was written, or they speak."""
    silence_ms: float

    @property
    def silent(self) -> bool:
        """The caller is silent, within a turn."""
        return self.silence_ms > 0


class Duplex:
    """The duplex model: how likely it alone holds the turn to be over; and its policy, which weighs that with what the
    agent's logic finds complete, against the silence so far. From 0 on, that one answers."""

    def __init__(self, activity: VoiceActivity, model: Listening, options: EndOptions, scale: Scale) -> None:
        self._activity, self._model, self._options, self._scale = activity, model, options, scale

    def scores(self, scene: Scene) -> Mapping[str, Scores]:
        moments, options = self.moments(scene), self._options
        policy: list[float] = []
        for one, ended in zip(moments, kept(moments, options), strict=True):
            if one.complete is None:
                policy.append(_NEVER)
                continue
            over = options.evidence(ended, one.complete) - options.asked(one.silence_ms)
            late = one.silence_ms >= options.longest_ms and ended >= options.aside
            policy.append(max(over, 0.0) if late else over)
        return {ENDED: np.array([one.ended for one in moments]), DUPLEX: np.array(policy)}

    def moments(self, scene: Scene) -> list[Moment]:
        """The scene as it is heard, hop by hop."""
        model, options = self._model, self._options
        model.forget(0)
        caller, mind = Caller(self._activity), desks.mind(scene.said)
        clock, expected = caller.clock, mind.expected()
        row = fresh = 0  # hops in the row; of them, those not listened to
        meaning = np.zeros(384, np.float32)
        ended: float | None = None
        guess: _Guess | None = None
        out: list[Moment] = []
        for number, hop in enumerate(hearing.hops(scene.audio), 1):
            model.hear([0], hop[None])
            began = caller.hear(hop)
            if row:
                row, fresh = row + 1, fresh + 1
            elif began:
                spoken = -(-(number * HOP_SAMPLES - clock.turn_start) // HOP_SAMPLES)
                row = fresh = min(_BEFORE + spoken, number)
                model.begin([0], [Opening(scene.said.asked or expected.said, scene.said.agent_speaking, row)])
            if row and row <= model.most_hops and fresh >= (1 if clock.silence else 2):
                found = model.listen([0])
                meaning, fresh = found[1][0], 0
                ended = hearing.ended(found[0][0], expected.kind == "yes-no")
            if guess is not None and (clock.speech_end - guess.until) * 1000 > options.tail_ms * RATE_HZ:
                guess = None
            if ended is not None and guess is None and not fresh:
                likely = ended >= (options.guess if clock.silence else options.guess_speaking)
                if likely or clock.silence_ms >= options.guess_ms:
                    guess = _Guess(number * HOP_SAMPLES, self._complete(mind, ended, meaning))
            complete = guess.complete if guess is not None and clock.silence else None
            out.append(Moment(ended or 0.0, complete, clock.silence_ms))
        return out

    def _complete(self, mind: SkillMind, ended: float, meaning: hearing.Floats) -> float:
        gist = hearing.finished(lambda: self._model.gist([0])[0]).text
        reading = mind.weigh(Understood(gist, meaning, ended, self._scale.likely, self._scale.sure))
        if mind.expected().words or understood(reading):
            return reading.complete
        words = hearing.finished(lambda: self._model.words([0])[0]).text
        return mind.read(words).complete if words else 0.0


def kept(moments: Sequence[Moment], options: EndOptions) -> list[float]:
    """`ended` of every moment as the policy goes by it: through a silence, some of what was heard at its beginning."""
    out: list[float] = []
    for one in moments:
        out.append(options.kept(one.ended, out[-1]) if out and one.silent else one.ended)
    return out

"""Speech models that misbehave, for a worker process to be tested with."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from offhook.speech.contract import Delivery, Done, Hop, Json, Keys, Memo, Persona, Step
from offhook.speech.echo import EchoModel


class Obedient(EchoModel):
    """Echoes, and does at the press of a key what a test wants: `1` answers with events, `2` hangs, `3` raises for this
    slot, `4` kills its own process, `5` reports what cannot be said in JSON. The persona `heavy` takes 3 s to admit."""

    def __init__(self, slots: int) -> None:
        super().__init__(slots)
        self._pressed: list[tuple[int, str]] = []

    @classmethod
    def load(cls, slots: int, options: Mapping[str, Json]) -> Obedient:
        if options.get("broken"):
            raise ValueError("the weights of `obedient` are not there; run `offhook models pull`")
        if options.get("slow"):
            time.sleep(60)
        return cls(slots)

    def admit(self, slot: int, persona: Persona) -> None:
        if persona.name == "nobody":
            raise ValueError("there is no voice `nobody`")
        if persona.name == "heavy":
            time.sleep(3)
        super().admit(slot, persona)

    def deliver(self, slot: int, delivery: Delivery) -> None:
        match delivery:
            case Keys("3"):
                raise RuntimeError("key 3 was pressed")
            case Keys(digits):
                self._pressed.append((slot, digits))

    def step(self, hop: Hop) -> Step:
        step = super().step(hop)
        for slot, digits in self._pressed:
            match digits:
                case "1":
                    step.events += [Memo(slot, {"digits": digits}), Done(slot, "resolved", f"key on slot {slot}")]
                case "2":
                    time.sleep(60)
                case "4":
                    os.abort()
                case "5":
                    step.events += [Memo(slot, {"figure": float("nan")}), Done(slot, "resolved", "after it")]
        self._pressed.clear()
        return step


class Small(Obedient):
    """Serves two calls, however many rows there are."""

    capacity = 2


class Talkative(Obedient):
    """Says five long things after every step, and takes its time for it."""

    def step(self, hop: Hop) -> Step:
        step = super().step(hop)
        for slot in hop.mask.nonzero()[0].tolist():
            time.sleep(0.06)
            step.events += [Memo(slot, {"line": line, "text": "word " * 60_000}) for line in range(5)]
        return step


class Sluggish(Obedient):
    """No step of it, with anybody there, is over when the next one is due."""

    def step(self, hop: Hop) -> Step:
        time.sleep(0.1 if hop.mask.any() else 0.0)
        return super().step(hop)


class Unkind:
    """No model at all."""

"""Why a call went as it did: the timeline's decisions in plain sentences, a line each, in order of time.

For `offhook calls explain` and whoever has to answer for a call. Says what was tested with which facts, which step was
taken and how it was left, what an agent understood and on what figures, and what its tools answered. The words
themselves are in the turns (`folds`), and appear here only where something was decided on them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from offhook.calls.folds import in_order
from offhook.calls.lines import Line, bad_lines
from offhook.calls.timeline import (
    AgentJoined,
    AgentLeft,
    AgentRefused,
    CallAnswered,
    CallEnded,
    CallHeld,
    CallMoved,
    CallResumed,
    CallStarted,
    Decided,
    DialAnswered,
    DialEnded,
    DialStarted,
    Disclosed,
    Entry,
    FlowEntered,
    Happening,
    Interrupted,
    KeyPressed,
    MediaBack,
    MediaLost,
    OutcomeReached,
    RecordingEnded,
    RecordingFailed,
    RecordingStarted,
    StepBegan,
    StepLeft,
    Tested,
    ToolAnswered,
    ToolWanted,
    TurnEnded,
    VoicemailLeft,
    WorkerBack,
    WorkerLost,
)
from offhook.speech.contract import Json

SLOW_MS = 300.0
"""A round trip that is worth a word: above half of it people begin to talk into each other (ITU-T G.114)."""

MAX_VALUE = 200
"""Characters shown of a value that a tool or an agent gave."""


ENDERS = {"caller": "the caller", "us": "the dial plan", "server": "the server, which was stopping"}
"""Who ended a call, by what the timeline calls them."""


def explain(entries: Iterable[Entry]) -> list[str]:
    """The call in sentences, each after its time: `0:04.2  ...`."""
    written = list(entries)
    said = [(entry.t, sentence) for entry in in_order(written) if (sentence := sentence_of(entry.event, entry.t))]
    said += [(line.start_ms, of_a_bad_line(line)) for line in bad_lines(written)]
    return [f"{clock(t)}  {sentence}" for t, sentence in sorted(said, key=lambda one: one[0])]


def of_a_bad_line(line: Line) -> str:
    """From when to when a line was bad, for whom, and why as far as that was measured."""
    who = "the caller" if line.party == "caller" else line.party
    ear = f"we heard {who} badly" if line.direction == "in" else f"{who} heard us badly"
    why = [f"MOS {line.mos:.1f}"]
    if line.lost >= 0.005:
        why.append(f"{line.lost * 100:.0f} % lost{' in bursts' if line.bursts else ''}")
    if line.rtt_ms is not None and line.rtt_ms >= SLOW_MS:
        why.append(f"{line.rtt_ms:.0f} ms there and back")
    return f"The line was bad from {clock(line.start_ms)} to {clock(line.end_ms)}, {ear}: {', '.join(why)}."


def clock(t_ms: float) -> str:
    """Milliseconds as minutes, seconds and tenths: `1:02.3`."""
    tenths = max(0, round(t_ms / 100))
    return f"{tenths // 600}:{tenths % 600 // 10:02}.{tenths % 10}"


def sentence_of(event: Happening, t_ms: float) -> str | None:
    """What an event means for how the call went; None where it means nothing for that."""
    return _of_the_plan(event) or _of_the_agent(event, t_ms) or _of_the_call(event)


def _of_the_plan(event: Happening) -> str | None:
    match event:
        case FlowEntered(flow=flow, because=because):
            return f"Flow {flow} began: {because}."
        case Tested(where=where, expression=expression, value=value, facts=facts):
            known = f", with {_pairs(facts)}" if facts else ""
            return f"{where} asked `{expression}`: {'yes' if value else 'no'}{known}."
        case StepBegan(step=step, where=where, detail=detail):
            return f"Step {step} ({where}){': ' + detail if detail else ''}."
        case StepLeft(step=step, exit=exit, go=go, outcome=outcome, tag=tag):
            also = "".join(f", {name} {value}" for name, value in (("outcome", outcome), ("tag", tag)) if value)
            return f"Step {step} left by exit {exit}{also}{f', on to flow {go}' if go else ''}."
        case Disclosed(what=what, language=language):
            return f"The caller was told of: {', '.join(what)} (in {language})."
        case RecordingStarted(keep=keep):
            return f"Recording began, to be kept {keep}."
        case RecordingFailed(why=why):
            return f"Recording failed: {why}. The call went on."
        case RecordingEnded(why=why):
            return f"Recording ended: {why}."
        case VoicemailLeft(length_ms=length_ms):
            return f"A message of {length_ms / 1000:.1f} s was left."
        case DialStarted(target=target):
            return f"Dialled {target}."
        case DialAnswered(target=target):
            return f"{target} answered."
        case DialEnded(target=target, exit=exit, cause=cause):
            return f"Dialling {target} ended with {exit}{': ' + cause if cause else ''}."
    return None


def _of_the_agent(event: Happening, t_ms: float) -> str | None:
    match event:
        case AgentJoined(agent=agent, model=model, slot=slot):
            return f"Agent {agent} joined (model {model}, slot {slot})."
        case AgentRefused(agent=agent, exit=exit, reason=reason):
            return f"Agent {agent} could not join, exit {exit}: {reason}."
        case AgentLeft(exit=exit, reason=reason):
            return f"The agent left with exit {exit}{': ' + reason if reason else ''}."
        case WorkerLost(why=why):
            return f"The speech worker was lost: {why}. The caller heard the hold phrase."
        case WorkerBack(slot=slot):
            return f"Another speech worker took over, in slot {slot}."
        case TurnEnded(speech_end=speech_end, why=why):
            return f"The caller's turn was taken to be over {t_ms - speech_end:.0f} ms after their speech: {why}."
        case Decided(what=what, words=words, skill=skill, facts=facts, scores=scores):
            on = f' on "{words}"' if words else ""
            known = f", with {_pairs(facts)}" if facts else ""
            figures = f" ({', '.join(f'{name} {score:.2f}' for name, score in scores.items())})" if scores else ""
            return f"Decided{on}: {what}{f' {skill}' if skill else ''}{known}{figures}."
        case Interrupted(heard=heard, unsaid=unsaid):
            return f'The caller cut the agent off after "{heard}"; unsaid: "{unsaid}".'
        case ToolWanted(tool=tool, arguments=arguments):
            return f"Tool {tool} was called{' with ' + _pairs(arguments) if arguments else ''}."
        case ToolAnswered(ok=True, took_ms=took_ms, value=value):
            return f"The tool answered in {took_ms:.0f} ms: {_value(value)}."
        case ToolAnswered(took_ms=took_ms, error=error):
            return f"The tool failed after {took_ms:.0f} ms: {error or 'it did not say why'}."
        case OutcomeReached(outcome=outcome, evidence=evidence):
            shown = {name: value for name, value in evidence.items() if name != "plan" and value != {}}
            return f"Outcome {outcome} was reached{', on ' + _pairs(shown) if shown else ''}."
    return None


def _of_the_call(event: Happening) -> str | None:
    match event:
        case CallStarted(caller=caller, dialled=dialled, trunk=trunk, plan=plan):
            return f"{caller or 'An unknown caller'} rang {dialled} over trunk {trunk}, under dial plan {plan[:12]}."
        case CallAnswered(codec=codec, packet_ms=packet_ms):
            return f"Answered, with {codec} in packets of {packet_ms} ms."
        case CallHeld():
            return "The caller put the call on hold."
        case CallResumed():
            return "The caller came back from hold."
        case CallMoved(address=address):
            return f"The caller's audio moved to {address}."
        case MediaLost():
            return "The caller's packets stopped coming."
        case MediaBack():
            return "The caller's packets came again."
        case KeyPressed(digit=digit):
            return f"The caller pressed {digit}."
        case CallEnded(by=by, cause=cause):
            if by == "cut":
                return f"The call was cut: {cause}."
            return f"Ended by {ENDERS.get(by, by)}{': ' + cause if cause else ''}."
    return None


def _pairs(values: Mapping[str, Json]) -> str:
    return ", ".join(f"{name} = {_value(value)}" for name, value in values.items())


def _value(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 1] + "…"

"""How people talk: greetings, hesitations, false starts and closings around what they say; short sounds of listening,
cutting in while the agent speaks, and talk with somebody else in the room."""

from __future__ import annotations

import random
from collections.abc import Mapping

from models.duplex.data.draft import Draft, shared_out
from models.duplex.data.grammar import Fill, expand
from offhook.agents.courtesies import EXAMPLES, OUTSIDE, Courtesy

OPENINGS = (
    "(hello|hi|hey|hi there|good morning|good afternoon|good evening)[,]",
    "(yes|yeah|okay|well|so|right|all right|um|uh|er)[,]",
    "hello[, yes][,] um / ",
    "hi, / my name is {full} and",
    "hi, this is {full},",
    "yes hello, / ",
    "(I have|I've got) a (quick |)question,",
    "um / ",
    "good morning, / I hope you can help me,",
    "hi, I need (some |)help (please|with something),",
    "hello, can you hear me? / ",
    "okay so / ",
    "sorry, / ",
    "ah hello, / ",
    "oh hi, um / ",
    "hello, this is {first} calling,",
    "yes, listen, / ",
    "actually / ",
    "(I'm calling because|it's about this:) / ",
    "uh, hi / ",
    "let me see, / ",
    "could you help me, / ",
    "hey, quick question, / ",
    "finally, hello, / ",
    "well, you know, / ",
    "so, basically, / ",
    "excuse me, / ",
)
CLOSINGS = (
    "please",
    "thanks",
    "thank you",
    "if you can",
    "can you help me with that",
    "please and thank you",
    "if that's possible",
    "is that okay",
    "thank you very much",
    "that would be great",
    "would you",
    "could you check that",
    "you know",
    "or something like that",
    "I think",
    "right",
    "if you don't mind",
    "can you do that for me",
    "as soon as possible",
    "that's why I'm calling",
    "and that's it",
    "is what I wanted to know",
)
HESITATIONS = (
    "um",
    "uh",
    "er",
    "um / ",
    "uh / ",
    "hmm / ",
    "/ ",
    "like",
    "you know",
    "let me see / ",
    "well / ",
    "I mean",
)

BACKCHANNELS = (
    "uh-huh",
    "mm-hmm",
    "okay",
    "right",
    "yeah",
    "I see",
    "sure",
    "yeah okay",
    "ah okay",
    "mhm",
    "oh okay",
    "yes",
    "alright",
    "good",
    "ok",
    "got it",
    "aha",
    "yeah yeah",
    "okay okay",
    "mm",
    "yep",
    "oh",
    "really",
    "great",
    "of course",
    "uh-huh, okay",
    "yes, yes",
    "mm-hmm, yeah",
    "fine",
    "right, right",
    "cool",
    "I understand",
    "oh I see",
    "hm",
    "wow",
    "oh good",
    "okay good",
    "that's fine",
    "true",
    "ah",
    "nice",
)
STOPS = (
    "stop",
    "wait",
    "wait a (second|minute|moment)",
    "hold on",
    "no no no",
    "no, stop",
    "sorry, can I just say something",
    "excuse me",
    "hang on",
    "one moment",
    "wait wait wait",
    "no wait",
    "stop talking",
    "let me (finish|speak|say something)",
    "okay okay, stop",
    "sorry to interrupt, but",
    "that's not what I (asked|meant|said)",
    "I know that already",
    "skip that",
    "no, that's wrong",
    "just a second",
    "hold on, / that's not right",
    "wait, / I need to get a pen",
    "can I interrupt you",
    "hey, listen",
    "yes I know, I know",
    "can you stop for a moment",
    "never mind that",
    "not that one",
    "sorry, what was that",
    "too fast, slow down please",
)
ASIDES = (
    "honey, where did you put the {thing}",
    "be quiet (kids|please|you two), I'm on the phone",
    "just a minute, {first}, I'm on the phone",
    "turn (that|the {device}) down please",
    "{first}, can you (bring|hand|give) me the {thing}",
    "no, the {colour} one, {where}",
    "shh, I'm talking to (the bank|the shop|the clinic|them)",
    "put that down, {first}",
    "I'll be (there|with you) in a (minute|second)",
    "they put me on hold",
    "it's the (shop|bank|clinic|company), about the {thing}",
    "did you (feed|walk|see) the {animal}",
    "get off the {product}",
    "can you open the door, {first}",
    "what was the number again, {first}",
    "yes {first}, I'm asking them now",
    "don't touch the {product}",
    "I'm talking to some kind of robot",
    "he's asking for the {thing}",
    "she wants to know the {thing}",
    "{first}, do you know when we bought the {product}",
    "come here, {first}",
    "sit down",
    "close the window, please, {first}",
    "is dinner ready",
    "I said no, {first}",
    "there's somebody at the door",
    "what did you say, {first}",
    "where's my {thing}, {first}",
    "ask your (father|mother|brother|sister)",
    "not now, {first}",
    "wait for me in the {vehicle}",
    "who left the {food} on the {product}",
    "bless you",
    "good dog",
    "no, I'm still on the phone",
    "can you write this down, {first}",
    "look in the {room}",
    "it must be {where}, {first}",
    "how do you spell that, {first}",
    "{person} is on the other line",
    "I'll call you back later, {first}",
    "could you get me some {drink}",
    "the {food} is burning",
    "are you coming, {first}",
)


def backchannel(rng: random.Random) -> Draft:
    """A short sound of listening while the agent speaks. Every split has them all."""
    text = rng.choice(BACKCHANNELS)
    return Draft(text, "backchannel", f"backchannel: {text}", agent_speaking=True, dress=False)


def stop(rng: random.Random, split: str, places: Mapping[str, Fill]) -> Draft:
    """Cutting in, without more."""
    pattern = rng.choice(shared_out(STOPS, split))
    return Draft(expand(pattern, rng, places), "interruption", f"stop: {pattern}", agent_speaking=True, dress=False)


def aside(rng: random.Random, split: str, places: Mapping[str, Fill]) -> Draft:
    """Something said to somebody else."""
    pattern = rng.choice(shared_out(ASIDES, split))
    text = expand(pattern, rng, places)
    return Draft(text, "aside", f"aside: {pattern}", agent_speaking=rng.random() < 0.4, dress=False)


def courtesy(rng: random.Random, split: str) -> Draft:
    """What every caller may say to any agent; and what no agent does."""
    if rng.random() < 0.2:
        line, name = rng.choice(shared_out(OUTSIDE, split)), "outside"
    else:
        kind = rng.choice(list(Courtesy))
        line, name = rng.choice(shared_out(EXAMPLES[kind], split)), kind.value
    return Draft(line, "request", f"{name}: {line}", dress=rng.random() < 0.4)


def dressed(draft: Draft, rng: random.Random, split: str, places: Mapping[str, Fill]) -> str:
    """The saying's whole text: its core with greetings, hesitations, false starts and closings around."""
    text = draft.text
    if rng.random() < (0.14 if draft.dress else 0.06):
        text = _false_start(text, rng)
    if rng.random() < (0.16 if draft.dress else 0.08):
        text = _hesitating(text, rng)
    if draft.tail:
        text = f"{text}{rng.choice((' /', ', /', ',', ' ', ' um /'))} {draft.tail}"
    if not draft.dress:
        return text
    if rng.random() < 0.36:
        text = f"{expand(rng.choice(shared_out(OPENINGS, split)), rng, places)} {text}"
    if rng.random() < 0.16 and not text.rstrip().endswith("?"):
        text = f"{text.rstrip('.,! ')}{rng.choice((',', ''))} {rng.choice(shared_out(CLOSINGS, split))}"
    return text


def _false_start(text: str, rng: random.Random) -> str:
    """`I want to, / I want to return this`: the first words twice."""
    words = text.split()
    if len(words) < 5 or any("<" in word or "/" in word for word in words[:3]):
        return text
    again = rng.randint(1, 3)
    return f"{' '.join(words[:again]).rstrip(',.')}{rng.choice((',', ' /', ', um,', ' uh', ', /'))} {text}"


def _hesitating(text: str, rng: random.Random) -> str:
    words = text.split(" ")
    outside = [i for i in range(1, len(words)) if "<" not in " ".join(words[:i]).rpartition(">")[2]]
    if not outside:
        return text
    at = rng.choice(outside)
    return " ".join([*words[:at], rng.choice(HESITATIONS), *words[at:]])

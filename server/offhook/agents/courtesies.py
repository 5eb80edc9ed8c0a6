"""What every caller may say to any agent, whatever its skills: asking for a person, a repeat, whether it is a robot.

Each has examples to be understood by, and where the agent simply answers, an answer that the agent's file may replace
under `small-talk:`. `OUTSIDE` are things no agent here does: they are there to be nearer than a skill's examples.
"""

from __future__ import annotations

from enum import Enum


class Courtesy(Enum):
    """The kinds; the mind knows what to do about each."""

    PERSON = "person"
    ROBOT = "robot"
    IDENTITY = "identity"
    HELP = "help"
    REPEAT = "repeat"
    THANKS = "thanks"
    GOODBYE = "goodbye"
    WAIT = "wait"
    HELLO = "hello"
    HOW_ARE_YOU = "how-are-you"
    NEVER_MIND = "never-mind"
    HAVE_NOT = "have-not"


EXAMPLES: dict[Courtesy, tuple[str, ...]] = {
    Courtesy.PERSON: (
        "can I talk to a person",
        "a person please",
        "human",
        "I want to speak to a human",
        "let me speak to someone",
        "give me a representative",
        "put me through to an agent",
        "operator",
        "I'd like to talk to a real person",
        "can I speak to your manager",
        "connect me with customer service",
        "transfer me to a colleague",
        "I don't want to talk to a machine",
        "get me somebody who can help",
    ),
    Courtesy.ROBOT: (
        "are you a robot",
        "am I talking to a machine",
        "is this a real person",
        "are you human",
        "are you an AI",
        "is this a computer",
        "are you a bot",
        "is this a recording",
    ),
    Courtesy.IDENTITY: ("who are you", "who am I speaking to", "what's your name", "what company is this"),
    Courtesy.HELP: (
        "what can you do",
        "help",
        "what are my options",
        "what can I ask you",
        "how can you help me",
        "what do you do",
        "can you help me",
    ),
    Courtesy.REPEAT: (
        "can you repeat that",
        "what was that",
        "pardon",
        "sorry I didn't hear you",
        "say that again",
        "what did you say",
        "excuse me what",
        "I didn't catch that",
        "come again",
        "I didn't understand you",
    ),
    Courtesy.THANKS: ("thank you", "thanks a lot", "great thank you very much", "thanks for your help", "okay thanks"),
    Courtesy.GOODBYE: (
        "goodbye",
        "bye bye",
        "that's all",
        "have a nice day",
        "nothing else",
        "I'm done",
        "that was everything",
        "that's it for today",
        "no that's all thank you",
        "see you",
    ),
    Courtesy.WAIT: (
        "hold on",
        "one moment please",
        "let me look",
        "give me a second",
        "wait a minute I have to find it",
        "just a sec",
        "let me get the paper",
        "hang on let me check",
    ),
    Courtesy.HELLO: (
        "hello",
        "hi",
        "good morning",
        "hello are you there",
        "can you hear me",
        "is anybody there",
        "hey",
    ),
    Courtesy.HOW_ARE_YOU: ("how are you", "how are you doing today", "how's it going"),
    Courtesy.NEVER_MIND: (
        "never mind",
        "forget it",
        "let's start over",
        "that's not what I wanted",
        "I want something else",
        "leave it",
    ),
    Courtesy.HAVE_NOT: (
        "I don't have it",
        "I don't know the number",
        "I can't find it",
        "I lost it",
        "I don't remember",
        "I have no idea",
        "I don't have the number with me",
        "what number",
        "where do I find that",
    ),
}

ANSWERS: dict[Courtesy, str] = {
    Courtesy.ROBOT: "I'm an AI agent, not a person. If you'd rather talk to a person, just say so.",
    Courtesy.IDENTITY: "I'm an AI agent on this line.",
    Courtesy.THANKS: "You're welcome.",
    Courtesy.WAIT: "Take your time.",
    Courtesy.HELLO: "Yes, I'm here.",
    Courtesy.HOW_ARE_YOU: "I'm fine, thank you.",
}

OUTSIDE: tuple[str, ...] = (
    "what's the weather like",
    "tell me a joke",
    "what is the capital of France",
    "play some music",
    "who won the game last night",
    "I need a doctor",
    "book me a flight",
    "can you recommend a restaurant",
    "what time is it",
    "I love you",
    "my dog ate my shoes",
    "the traffic is bad today",
    "set an alarm for seven",
    "do you like football",
    "I'm thinking about buying a car",
    "what do you think about politics",
    "how old are you",
    "call my mother",
    "turn on the lights",
    "I want a pizza",
    "what is two plus two",
    "where do you live",
    "you're talking nonsense",
    "thanks for watching",
    "I'll see you in the next video",
)
"""The last two are what recognisers make of noise."""

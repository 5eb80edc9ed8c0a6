"""What callers say to the order desk, for saying it aloud: the words, the skill they mean and the facts they hold.

`ANSWERS` are said after the agent has asked for an order number; `WISHES` open a conversation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Said:
    words: str
    skill: str
    facts: Mapping[str, str] = field(default_factory=dict)


WISHES = (
    Said("Where is my order?", "order-status"),
    Said("I'd like to know where my order four one seven two is.", "order-status", {"order": "4172"}),
    Said("When will my package arrive?", "order-status"),
    Said("Can you tell me the status of order one zero two four?", "order-status", {"order": "1024"}),
    Said("I'm still waiting for my delivery.", "order-status"),
    Said("Hello, I ordered something last week and it hasn't come yet.", "order-status"),
    Said("Has order two two one one been shipped yet?", "order-status", {"order": "2211"}),
    Said("I'm calling about order number five one seven two.", "order-status", {"order": "5172"}),
    Said("Could you check on my order? The number is three five eight oh.", "order-status", {"order": "3580"}),
    Said("I want to return my order.", "return"),
    Said("I'd like to send something back, please.", "return"),
    Said("The lamp from order one one eight seven arrived broken.", "return", {"order": "1187", "reason": "damaged"}),
    Said("I'd like a refund.", "return"),
    Said(
        "I want to return order one four nine eight, it's too small.",
        "return",
        {"order": "1498", "reason": "wrong-size"},
    ),
    Said("You sent me the wrong item.", "return", {"reason": "wrong-item"}),
    Said("I changed my mind and I want to send it back.", "return", {"reason": "changed-mind"}),
    Said("I want to cancel my order.", "cancel"),
    Said("Please cancel order four one seven three.", "cancel", {"order": "4173"}),
    Said("Can I still cancel order number one nine zero three?", "cancel", {"order": "1903"}),
    Said("What are your opening hours?", "opening-hours"),
    Said("Are you open on Saturday?", "opening-hours"),
    Said("What time do you close today?", "opening-hours"),
    Said("Until when are you open tonight?", "opening-hours"),
    Said("Can I speak to a person, please?", "person"),
    Said("I'd like to talk to a human.", "person"),
    Said("Please put me through to somebody.", "person"),
    Said("Are you a robot?", "robot"),
    Said("I want to make a complaint.", "complaint"),
    Said("You charged my credit card twice.", "payment"),
    Said("What can you help me with?", "help"),
)
ANSWERS = (
    Said("Four one seven two.", "order-status", {"order": "4172"}),
    Said("It's nine nine one five.", "order-status", {"order": "9915"}),
    Said("Forty-one seventy-three.", "order-status", {"order": "4173"}),
    Said("My order number is two oh four eight.", "order-status", {"order": "2048"}),
    Said("Six two nine zero.", "order-status", {"order": "6290"}),
    Said("The number is three three double zero.", "order-status", {"order": "3300"}),
    Said("One zero two four, please.", "order-status", {"order": "1024"}),
    Said("Seven seven seven one.", "order-status", {"order": "7771"}),
    Said("Eight three four one.", "order-status", {"order": "8341"}),
    Said("It's fifty-six oh nine.", "order-status", {"order": "5609"}),
    Said("Two thousand four hundred and sixty-eight.", "order-status", {"order": "2468"}),
    Said("One five five five.", "order-status", {"order": "1555"}),
    Said("Two nine nine nine.", "order-status", {"order": "2999"}),
    Said("Uh, three one four one.", "order-status", {"order": "3141"}),
    Said("Four double zero five.", "order-status", {"order": "4005"}),
    Said("Twenty-five ninety.", "order-status", {"order": "2590"}),
    Said("I don't have the number.", "have-not"),
    Said("Hold on a second, I have to look.", "wait"),
)

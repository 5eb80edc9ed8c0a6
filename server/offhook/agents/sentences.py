"""The sentences an agent says of itself where its file has no words for the moment. In English.

Short first clauses: they are what a caller waits for.
"""

from __future__ import annotations

NOT_UNDERSTOOD = "Sorry, I didn't get that."
NOT_HEARD = "Sorry, I didn't hear anything."
STILL_THERE = "Are you still there?"
STILL_LOOKING = "One moment, I'm still looking."
WHAT_ELSE = "All right. What can I do for you?"
WHAT_ABOUT_IT = "All right. What would you like to know about it?"
LEFT_IT = "All right, I've left it."
WHAT_TO_CHANGE = "All right. What should I change?"
TRY_AGAIN = "Shall I try again?"
NOT_WITHOUT = "I can't go on without it. Shall I put you through to a colleague?"
TOOL_FAILED = "I'm sorry, that doesn't work right now."
NOTHING_SAID = "There is nothing to repeat yet."
BACK_AGAIN = "Sorry, I'm back."
YES_OR_NO = "Please say yes or no."

STOCK = (
    NOT_UNDERSTOOD,
    NOT_HEARD,
    STILL_THERE,
    STILL_LOOKING,
    WHAT_ELSE,
    WHAT_ABOUT_IT,
    LEFT_IT,
    WHAT_TO_CHANGE,
    TRY_AGAIN,
    NOT_WITHOUT,
    TOOL_FAILED,
    BACK_AGAIN,
    YES_OR_NO,
)


def listing(items: tuple[str, ...]) -> str:
    """`where your order is, returns, or our opening hours`."""
    if len(items) <= 1:
        return "".join(items)
    return f"{', '.join(items[:-1])}, or {items[-1]}"


def heard_so_far(digits: str) -> str:
    """`I have 4 1 7 so far. What comes next?`"""
    return f"I have {' '.join(digits)} so far. What comes next?"


def right(said: str) -> str:
    """`4 1 7 2, is that right?`"""
    return f"{said}, is that right?"

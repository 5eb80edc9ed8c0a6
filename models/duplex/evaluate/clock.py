"""Times of day in written words, for comparing what was understood with what was said. Pure; English."""

from __future__ import annotations

import re

_TIME = re.compile(
    r"(?:(?P<part>half past|quarter past|quarter to) )?\b(?P<hour>\d{1,2})(?:[:.]?(?P<minute>[0-5]\d))?\b"
    r"(?: o'clock)?(?: (?P<half>am|pm)\b)?"
)
_OF_DAY = {"morning": "am", "afternoon": "pm", "evening": "pm", "tonight": "pm"}
_NAMED = {"noon": "12:00 pm", "midday": "12:00 pm", "midnight": "12:00 am"}
_PARTS = {"half past": 30, "quarter past": 15, "quarter to": -15}


def times(words: str) -> list[str]:
    """The times in `words` (in the spelling of `written`), in order, as `3:30 pm`, or `3:30` where it does not say
    which half of the day. What stands in no number, as `in the morning`, counts by its name."""
    found = [_NAMED[word] for word in words.split() if word in _NAMED]
    half_said = next((_OF_DAY[word] for word in words.split() if word in _OF_DAY), "")
    for match in _TIME.finditer(words):
        minutes = int(match["hour"]) * 60 + int(match["minute"] or 0) + _PARTS.get(match["part"] or "", 0)
        if minutes < 24 * 60:
            half = match["half"] or half_said
            found.append(f"{minutes // 60 % 24}:{minutes % 60:02} {half}".strip())
    return found or [word for word in words.split() if word in _OF_DAY]

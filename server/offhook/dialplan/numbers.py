"""Telephone numbers as dial plans and calls write them, brought to one form so that they can be compared.

A number is `+` and 7 to 15 digits (ITU-T E.164), or an extension of 2 to 8 digits. National forms (`030 1234`) are not
guessed at: which country they belong to is the trunk's knowledge, not the plan's.
"""

from __future__ import annotations

import re
from collections.abc import Container

_SEPARATORS = str.maketrans("", "", " -.()/")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_EXTENSION = re.compile(r"[0-9]{2,8}")

EMERGENCY = frozenset({"112", "911", "999"})
"""What people dial for their lives nearly everywhere."""


def normal_number(text: str) -> str:
    """`text` without the separators people write in numbers, and with `+` for a leading `00`. What is no number comes
    back as it was, so that a test against it still says what the call brought."""
    if len(text) > 40:
        return text
    bare = text.translate(_SEPARATORS)
    if bare.startswith("00") and _E164.fullmatch("+" + bare[2:]):
        bare = "+" + bare[2:]
    return bare if is_number(bare) or bare.isdecimal() else text


def is_e164(text: str) -> bool:
    return _E164.fullmatch(text) is not None


def is_number(text: str) -> bool:
    """Whether `text` is E.164 with its plus, or an extension."""
    return is_e164(text) or _EXTENSION.fullmatch(text) is not None


def find_number(dialled: str, known: Container[str]) -> str | None:
    """Which of the `known` numbers was `dialled`: the same, or the same but for a plus that the trunk left off."""
    number = normal_number(dialled)
    for form in (number, "+" + number):
        if form in known:
            return form
    return None

"""The sentences a dial plan speaks, by name and language, and those that ship for telling callers the truth.

Names are one word in small letters, digits and hyphens; anything else in a `say` is the words themselves. A language is
found by its whole tag (`en-GB`) or, failing that, by its first part (`en`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

ANY = "*"
"""The language of a prompt that is the same in all."""

DISCLOSURES: Mapping[str, Mapping[str, str]] = {
    "disclose-ai": {
        "en": "You are speaking with an AI assistant.",
        "de": "Sie sprechen mit einer künstlichen Intelligenz.",
    },
    "disclose-recording": {
        "en": "This call is recorded.",
        "de": "Dieses Gespräch wird aufgezeichnet.",
    },
}
"""What is said for `disclose` where the plan has no prompt of this name in the call's language."""

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def is_name(text: str) -> bool:
    """Whether `text` is a name rather than words to speak."""
    return _NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Prompts:
    """`texts[name][language]`."""

    texts: Mapping[str, Mapping[str, str]]

    def find(self, name: str, language: str) -> str | None:
        """The text of the prompt `name` in `language`, the plan's own before those that ship."""
        for texts in (self.texts.get(name, {}), DISCLOSURES.get(name, {})):
            text = texts.get(language) or texts.get(language.split("-")[0]) or texts.get(ANY)
            if text is not None:
                return text
        return None

    def spoken(self, text_or_name: str, language: str) -> str:
        """The words for a `say`: the prompt where one is named, else what was written."""
        if not is_name(text_or_name):
            return text_or_name
        # A guard's flow can be entered for a number that is not in the plan, in a language no one wrote for.
        return self.find(text_or_name, language) or next(iter(self.texts.get(text_or_name, {}).values()), text_or_name)

    def disclosure(self, what: Iterable[str], language: str) -> str:
        """The words that disclose `what` (`ai`, `recording`)."""
        texts = (self.find(f"disclose-{thing}", language) or DISCLOSURES[f"disclose-{thing}"]["en"] for thing in what)
        return " ".join(texts)

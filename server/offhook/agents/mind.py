"""The mind of an agent that works by skills: decides what to say from what was said. Knows no audio and no clock."""

from __future__ import annotations

from offhook.speech.contract import Mind, Persona


def skill_mind(persona: Persona) -> Mind:
    """The mind of `persona.document` (an `Agent` as JSON), going on from `persona.memo` where there is one.

    Raises ValueError with a sentence where the document is no agent or the embedding's weights are missing."""
    raise RuntimeError(persona.name)

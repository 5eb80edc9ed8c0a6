"""What the media core refuses, in sentences. Nothing else lives here."""

from __future__ import annotations


class MediaError(Exception):
    """The media core could not do what was asked; the text says what, where and what would mend it."""

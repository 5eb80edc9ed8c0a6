"""All parsers that are written in Python and read what anybody may send."""

from __future__ import annotations

from collections.abc import Mapping

from tests.hostile import datagrams, descriptions, page, signalling
from tests.hostile.running import Target

TARGETS: Mapping[str, Target] = {
    **descriptions.TARGETS,
    **datagrams.TARGETS,
    **signalling.TARGETS,
    **page.TARGETS,
}

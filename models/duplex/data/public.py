"""Public texts that people really wrote or said to machines: bank and hotel customers, questions to assistants, orders.

From banking77 and NLU++ (CC BY 4.0), CLINC150 (CC BY 3.0) and Taskmaster-4 (CC BY 4.0), each where it is to be had:
`OFFHOOK_DATA` names the data folder, `OFFHOOK_TEXTS` (or else `var/texts`) a further one, with `clinc150.json` and
`taskmaster4/data_*.json`. What is missing is left out, and so are lines whose figures cannot be read aloud with
certainty.
"""

from __future__ import annotations

import csv
import json
import os
import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from models.duplex.data.draft import TEST, Draft, split_of
from models.duplex.data.written import UNSAYABLE, marked_up

MOST_WORDS = 26


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a public text, and what the other side had said, where that is known."""

    text: str
    source: str
    asked: str = ""
    common: int = 0
    """How many lines hold its rarest word."""


def public(rng: random.Random, split: str) -> Draft | None:
    """A line of `split`; None where there are no public texts."""
    sources = _by_source(split)
    if not sources:
        return None
    source = rng.choices(list(sources), [WEIGHTS[name] for name in sources])[0]
    lines = sources[source]
    line = rng.choice(lines)
    if rng.random() < 0.6:  # of a few, the one with the rarest word: breadth of words is what these texts are for
        line = min((rng.choice(lines) for _ in range(4)), key=lambda one: one.common)
    kind = "answer" if line.asked else "request"
    return Draft(marked_up(line.text, rng), kind, f"{source}: {line.text}", line.asked, dress=not line.asked)


WEIGHTS = {"banking77": 0.36, "nlupp": 0.2, "clinc150": 0.34, "taskmaster": 0.1}


def folders() -> tuple[Path, ...]:
    """Where public texts are looked for."""
    root = Path(__file__).resolve().parents[3]
    data = Path(os.environ.get("OFFHOOK_DATA") or root.parent / "shared" / "data")
    return data / "text", Path(os.environ.get("OFFHOOK_TEXTS") or root / "var" / "texts")


@lru_cache(maxsize=4)
def _by_source(split: str) -> dict[str, tuple[Line, ...]]:
    found: dict[str, list[Line]] = {}
    seen: set[str] = set()
    for line in _lines():
        text = " ".join(line.text.split())
        if (
            not text
            or text in seen
            or len(text.split()) > MOST_WORDS
            or UNSAYABLE.search(text)
            or not text.isprintable()
        ):
            continue
        seen.add(text)
        hotel = line.source == "nlupp hotels"  # the trade of the agent that training never sees
        if (TEST if hotel else split_of(text)) == split and not (
            split != TEST and re.search(r"\bhotel", text, re.IGNORECASE)
        ):
            source = line.source.split()[0]
            found.setdefault(source, []).append(Line(text, source, line.asked))
    counts = Counter(word for lines in found.values() for line in lines for word in _words(line.text))
    return {
        source: tuple(
            replace(line, common=min((counts[word] for word in _words(line.text)), default=0)) for line in lines
        )
        for source, lines in found.items()
    }


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z']{3,}", text.lower()))


def _lines() -> Iterator[Line]:
    for folder in folders():
        for file in sorted(folder.glob("banking77_*.csv")):
            with file.open(encoding="utf-8", newline="") as rows:
                yield from (Line(row["text"], "banking77") for row in csv.DictReader(rows))
        for file in sorted((folder / "nlupp").glob("*_fold*.json")):
            trade = "nlupp hotels" if file.name.startswith("hotels") else "nlupp"
            yield from (Line(row["text"], trade) for row in json.loads(file.read_text(encoding="utf-8")))
        for file in sorted(folder.glob("clinc150.json")):
            for rows in json.loads(file.read_text(encoding="utf-8")).values():
                yield from (Line(text, "clinc150") for text, _ in rows)
        for file in sorted((folder / "taskmaster4").glob("data_*.json")):
            for talk in json.loads(file.read_text(encoding="utf-8")):
                before = ""
                for turn in talk["utterances"]:
                    if turn["speaker"] == "user":
                        yield Line(turn["text"], "taskmaster", before)
                    before = turn["text"] if turn["speaker"] != "user" else ""

"""Everything that was measured as one record: as tables for people, and as JSON for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import cast

from models.duplex.evaluate.people import PeopleScore
from models.duplex.evaluate.rates import Rate
from models.duplex.evaluate.turntaking import Endpointing, FloorScore
from models.duplex.evaluate.understanding import Score
from offhook.speech.contract import Json


@dataclass(slots=True)
class Report:
    """What was measured; what is empty was not."""

    model: str
    """Which build of the model."""
    data: str = ""
    understanding: list[Score] = field(default_factory=list)
    people: list[PeopleScore] = field(default_factory=list)
    endpointing: list[Endpointing] = field(default_factory=list)
    floors: list[FloorScore] = field(default_factory=list)
    wrong_calls: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What was left out, and why."""

    def as_json(self) -> str:
        """One object; shares as `{"right": 3, "of": 4}`."""
        return json.dumps(_plain(cast(Json, asdict(self))), ensure_ascii=False)

    def as_markdown(self) -> str:
        """The tables of `models/README.md`."""
        parts = [f"Model: {self.model}. Data: {self.data or 'none'}."]
        if self.understanding:
            parts += ["### Understanding, held-out voices and patterns", _understanding(self.understanding)]
        for what, title in (("numbers", "Order numbers said by people"), ("sentences", "Sentences to the order desk")):
            if rows := [one for one in self.people if one.what == what]:
                parts += [f"### {title}", _people(rows)]
        if self.endpointing:
            parts += ["### Ends of turns", _endpointing(self.endpointing)]
        if self.floors:
            parts += ["### Who takes the floor", _floors(self.floors)]
        parts += [f"- {note}" for note in self.notes]
        return "\n\n".join(parts)


BEGIN, END = "<!-- evaluated -->", "<!-- /evaluated -->"


def put_into(page: str, tables: str) -> str:
    """`page` with `tables` between its marks instead of what stands there. Raises ValueError where it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"it has no lines `{BEGIN}` and `{END}` to put the tables between")
    return f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}"


def _understanding(scores: Sequence[Score]) -> str:
    kinds = sorted({kind for score in scores for kind in score.facts})
    rows = [
        [
            score.line,
            score.reader,
            str(score.skills),
            str(score.new_job),
            str(score.all_facts),
            *(str(score.facts.get(kind, Rate(0, 0))) for kind in kinds),
            str(score.names_alike),
            _share(score.word_error),
            "-" if score.cosine is None else f"{score.cosine:.3f}",
        ]
        for score in scores
    ]
    head = ["line", "by", "skills", "skills of a new job", "facts", *kinds, "names as they sound", "word error"]
    return _table([*head, "meaning"], rows)


def _people(scores: Sequence[PeopleScore]) -> str:
    rows = [[s.line, s.reader, str(s.skills), str(s.facts), str(s.digits)] for s in scores]
    return _table(["line", "by", "skills", "facts, whole", "digits"], rows)


def _endpointing(found: Sequence[Endpointing]) -> str:
    rows = [
        [
            one.line,
            one.system,
            *(_share(value) for value in one.cut_off.values()),
            *(_ms(value) for value in one.latency_ms.values()),
            f"{_share(one.shipped.cut_off)}, {_ms(one.shipped.latency_ms)}",
        ]
        for one in found
    ]
    head = ["line", "by"]
    head += [f"false cut-offs at {ms} ms" for ms in found[0].cut_off]
    head += [f"latency at {share} % cut-offs" for share in found[0].latency_ms]
    counted = f"{found[0].ends} ends of turns and {found[0].holds} pauses of 200 ms to 5 s."
    return f"{_table([*head, 'as it is set'], rows)}\n\n{counted}"


def _floors(found: Sequence[FloorScore]) -> str:
    rows = [
        [
            one.system,
            str(one.pauses),
            str(one.ends),
            _ms(one.end_p50_ms),
            str(one.backchannels),
            str(one.carried_on),
            str(one.interruptions),
            _ms(one.interruption_p50_ms),
            _ms(one.silent_p50_ms),
            str(one.asides),
        ]
        for one in found
    ]
    head = ["by", "in pauses (low)", "after the end (high)", "p50", "after backchannels (low)", "carries on (high)"]
    head += ["after interruptions (high)", "p50", "silent after, p50", "after asides (low)"]
    return _table(head, rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"


def _plain(value: Json) -> Json:
    """With None for what JSON has no number for."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value

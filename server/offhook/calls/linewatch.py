"""How well a leg is heard, onto the call's timeline and into the server's figures, every few seconds.

The media core measures (`media.Quality`); here its figures become events. What follows from them, such as from when to
when a line was bad, is in `lines`.
"""

from __future__ import annotations

from offhook.calls.lines import is_bad
from offhook.calls.timeline import LineMeasured, Timeline
from offhook.media import Heard, MediaEvent, Quality
from offhook.telemetry.metrics import Metrics


def measured(quality: Quality, party: str) -> list[LineMeasured]:
    """The events of one measurement: what we heard of `party`, and what it reports hearing of us, as far as known."""
    found = []
    if quality.heard is not None:
        found.append(_event(quality, quality.heard, party, "in"))
    if quality.reported is not None:
        found.append(_event(quality, quality.reported, party, "out"))
    return found


class LineWatch:
    """One leg's measurements, on their way. `over` when the leg is."""

    def __init__(self, party: str, trunk: str, timeline: Timeline, metrics: Metrics) -> None:
        self._party = party
        self._trunk = trunk
        self._timeline = timeline
        self._metrics = metrics
        self._bad: set[str] = set()
        """Directions that are bad now."""

    def on_media(self, event: MediaEvent) -> None:
        """Take what is about quality of what happens on a port whose clock is not the call's."""
        if isinstance(event, Quality):
            self.on_quality(event)

    def on_quality(self, quality: Quality, t: float | None = None) -> None:
        """Write it down as of `t` (ms of the call's clock; now where None)."""
        for event in measured(quality, self._party):
            self._timeline.append(event, t)
            self._metrics.line(
                event.direction, self._trunk, event.mos_lq, event.lost + (event.late or 0.0), event.jitter_ms
            )
            self._mark(event.direction, is_bad(event))
        if quality.rtt_ms is not None:
            self._metrics.round_trip(self._trunk, quality.rtt_ms)

    def over(self) -> None:
        """The leg is over: it is bad no more."""
        for direction in list(self._bad):
            self._mark(direction, False)

    def _mark(self, direction: str, bad: bool) -> None:
        if bad and direction not in self._bad:
            self._bad.add(direction)
            self._metrics.lines_bad(direction, +1)
        elif not bad and direction in self._bad:
            self._bad.discard(direction)
            self._metrics.lines_bad(direction, -1)


def _event(quality: Quality, heard: Heard, party: str, direction: str) -> LineMeasured:
    return LineMeasured(
        party=party,
        direction=direction,
        over_ms=quality.over_ms,
        r=round(heard.r, 1),
        mos_lq=round(heard.mos_lq, 2),
        mos_cq=_rounded(heard.mos_cq, 2),
        lost=round(heard.lost, 4),
        late=_rounded(heard.discarded, 4),
        burst_ms=_rounded(heard.burst_ms, 0),
        jitter_ms=round(heard.jitter_ms, 1),
        rtt_ms=_rounded(quality.rtt_ms, 1),
        delay_ms=_rounded(quality.delay_ms, 1) if direction == "in" else None,
        said_mos=_rounded(heard.said_mos_lq, 1),
    )


def _rounded(figure: float | None, places: int) -> float | None:
    return None if figure is None else round(figure, places)

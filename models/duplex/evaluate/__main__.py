"""Measures the duplex model as it is built here, beside the cascade and others: `python -m models.duplex.evaluate`.

    --data SHARDS       folder of the speech that `models.duplex.data` made (its split `test` is used)
    --only WHAT         understanding, turns or people; may be given several times
    --most N            utterances of each sort at most; calls are a third of that
    --json FILE         the whole record, misses and curves among it (`-`: as the last line on the screen)
    --into PAGE         puts the tables between the marks of a Markdown page (models/README.md)
    --plots DIR         pictures as PNG
    --run DIR           training run whose curves are put with them
    --build DIR         another build of the model than the one in the folder of weights
    --lines A,B         of clean, 20 dB, 10 dB, 3 % lost (by their beginnings)

Prints tables as they stand in models/README.md. No network but for `smart-turn`, which is compared with and is fetched
when it is wanted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from models.duplex.data.line import Line
from models.duplex.data.shards import Shard, ShardError, read_shards
from models.duplex.data.voices import voices
from models.duplex.evaluate import hearing, people, turntaking, understanding
from models.duplex.evaluate.progress import progress
from models.duplex.evaluate.report import Report, put_into
from models.duplex.evaluate.systems import SMART_TURN, Cascade, Duplex, Silero, SmartTurn, System, TimeOut
from models.duplex.evaluate.virtual import VirtualCalls
from offhook import weights
from offhook.agents.embedding import EmbeddingUnavailable, load_embedding
from offhook.speech.duplex.built import DuplexUnavailable, built_folder
from offhook.speech.duplex.listener import Scale
from offhook.speech.duplex.turns import EndOptions
from offhook.speech.recogniser import Recogniser
from offhook.speech.voice import Voice
from offhook.speech.voiceactivity import VoiceActivity
from offhook.weights.pull import PullError, pull

WHAT = ("understanding", "people", "turns")


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where everything was measured, 2 where it cannot be."""
    parser = argparse.ArgumentParser(
        prog="python -m models.duplex.evaluate", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--data", type=Path, help="folder of the speech that `models.duplex.data` made")
    parser.add_argument("--only", action="append", choices=WHAT, help="may be given several times")
    parser.add_argument("--most", type=int, default=400, metavar="N", help="utterances of each sort")
    parser.add_argument("--json", metavar="FILE", help="the whole record; `-` for the last line on the screen")
    parser.add_argument("--into", type=Path, metavar="PAGE", help="Markdown page that gets the tables")
    parser.add_argument("--plots", type=Path, metavar="DIR")
    parser.add_argument("--run", type=Path, metavar="DIR", help="training run whose curves go with the plots")
    parser.add_argument("--build", type=Path, metavar="DIR", help="another build of the model")
    parser.add_argument("--lines", default="", help="beginnings of the names of lines, parted by commas; else all")
    parser.add_argument("--threads", type=int, default=2, help="cores for one computation")
    given = parser.parse_args(arguments)
    if given.most < 1 or given.threads < 1:
        parser.error("--most and --threads cannot be below 1")
    wanted = given.only or list(WHAT)
    needs_shards = "understanding" in wanted or "turns" in wanted
    if needs_shards and given.data is None:
        parser.error("--data names the folder of shards to measure on; `python -m models.duplex.data` makes one")
    lines = _lines(given.lines)
    if not lines:
        parser.error(f"--lines fits none of {'; '.join(hearing.LINES)}")
    if given.json and given.json != "-" and not Path(given.json).absolute().parent.is_dir():
        parser.error(f"--json {given.json}: there is no such folder")
    if given.into is not None:
        try:
            put_into(given.into.read_text(encoding="utf-8"), "")
        except (OSError, ValueError) as error:
            parser.error(f"--into {given.into}: {error}")
    try:
        shards = list(read_shards(given.data, "test")) if needs_shards else []
        if needs_shards and not any(shard.utterances for shard in shards):
            raise ShardError(f"{given.data}/test holds no shard; make some with `python -m models.duplex.data`")
        report = Evaluation(given.build, given.threads, lines, given.most).measure(wanted, shards)
    except (DuplexUnavailable, EmbeddingUnavailable, weights.WeightsMissing, ShardError, OSError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    report.data = f"{sum(len(shard.utterances) for shard in shards)} utterances of the split `test`" if shards else ""
    print(report.as_markdown())
    if given.into is not None:
        given.into.write_text(put_into(given.into.read_text(encoding="utf-8"), report.as_markdown()), encoding="utf-8")
    if given.json == "-":
        print(report.as_json())
    elif given.json:
        Path(given.json).write_text(report.as_json() + "\n", encoding="utf-8")
    if given.plots is not None:
        from models.duplex.evaluate.plots import draw  # slow to import, and not wanted by most

        for file in draw(report, given.plots, given.run):
            print(f"\n{file}")
    return 0


class Evaluation:
    """One run: what it measures with, and how much."""

    def __init__(self, build: Path | None, threads: int, lines: dict[str, Line], most: int) -> None:
        """Raises DuplexUnavailable, EmbeddingUnavailable, WeightsMissing."""
        self._most, self._lines, self._threads = most, lines, threads
        self._embedding = load_embedding()
        self._model = hearing.duplex(build, threads)
        self._recogniser = Recogniser.load(threads=threads)
        self._scale, self._end = Scale(), EndOptions()
        self._report = Report(str(build or built_folder("cpu")))

    def measure(self, wanted: Sequence[str], shards: Sequence[Shard]) -> Report:
        """Measure what is wanted."""
        if "understanding" in wanted:
            self._understanding(shards)
        if "people" in wanted:
            self._people()
        if "turns" in wanted:
            self._turns(shards)
        return self._report

    def _readers(self) -> list[understanding.Reader]:
        duplex = understanding.Duplex(self._model, self._scale)
        return [understanding.Reading(), understanding.Recognising(self._recogniser), duplex]

    def _understanding(self, shards: Sequence[Shard]) -> None:
        told = progress("understanding")
        readers = self._readers()
        scores = understanding.score(shards, readers, self._lines, self._embedding, self._most, told)
        self._report.understanding = scores

    def _people(self) -> None:
        readers = self._readers()[1:]
        try:
            numbers = list(people.numbers(min(self._most, people.NUMBERS)))
            told = progress("people's numbers")
            self._report.people += people.score_numbers(numbers, readers, self._lines, told)
        except FileNotFoundError as missing:
            self._report.notes.append(f"skipped: no data ({missing})")
        speakers = [voice for voice in voices()[0] if voice.held_out]
        if speakers:
            told = progress("sentences")
            self._report.people += people.score_sentences(speakers, readers, self._lines, self._most, told)
        else:
            self._report.notes.append("sentences skipped: none of the test's voices is on this machine")

    def _turns(self, shards: Sequence[Shard]) -> None:
        activity = VoiceActivity.load()
        systems: list[System] = [TimeOut(), Silero(activity)]
        try:
            pull(weights.read_registry()["smart-turn"])
            systems.append(SmartTurn.load(self._threads))
        except (PullError, weights.WeightsMissing) as error:
            self._report.notes.append(f"{SMART_TURN} left out: {error}")
        systems += [Cascade(activity, self._recogniser), Duplex(activity, self._model, self._end, self._scale)]
        told = progress("ends of turns")
        try:
            self._report.endpointing = turntaking.endpoint(shards, systems, self._lines, self._most, told)
        except ValueError as too_few:
            self._report.notes.append(f"ends of turns left out: {too_few}")
        calls = VirtualCalls(activity, Voice.load())
        by_system: dict[str, turntaking.Call] = {
            "cascade": partial(calls.cascade, self._recogniser),
            "duplex": partial(calls.duplex, self._model, self._end, self._scale),
        }
        line = next(iter(self._lines.values()))
        found = turntaking.floors(shards, by_system, line, max(1, self._most // 3), progress("calls"))
        self._report.floors, self._report.wrong_calls = found


def _lines(beginnings: str) -> dict[str, Line]:
    wanted = [part.strip() for part in beginnings.split(",") if part.strip()]
    return {name: line for name, line in hearing.LINES.items() if not wanted or name.startswith(tuple(wanted))}


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    sys.exit(main())

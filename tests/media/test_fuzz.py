"""A minute of fuzzing for all parsers and buffers together; what each target holds is told in `native/fuzz`."""

from __future__ import annotations

import importlib.util
import re

import pytest

from tests.media.building import REPOSITORY, run

FUZZ = REPOSITORY / "native" / "fuzz"
MINUTE_S = 60
TARGETS = sorted(path.stem.removeprefix("fuzz_") for path in FUZZ.glob("fuzz_*.c"))


@pytest.mark.figures
def test_no_input_found_in_a_minute_breaks_a_target() -> None:
    said = run(FUZZ / "run.sh", str(MINUTE_S), timeout_s=600)
    runs = {name: int(count) for name, count in re.findall(r"^(\w+): (\d+) runs$", said, re.MULTILINE)}
    assert sorted(runs) == TARGETS
    assert all(count > 50 for count in runs.values())
    print(said)


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_starts_from_a_few_small_seeds(target: str) -> None:
    seeds = [path.read_bytes() for path in (FUZZ / "corpus" / target).iterdir()]
    assert 0 < len(seeds) <= 50
    assert all(len(seed) <= 2_048 for seed in seeds)


def test_the_seeds_are_what_their_script_writes() -> None:
    spec = importlib.util.spec_from_file_location("write", FUZZ / "corpus" / "write.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    for name, seeds in script.CORPORA.items():
        assert {path.name: path.read_bytes() for path in (FUZZ / "corpus" / name).iterdir()} == seeds

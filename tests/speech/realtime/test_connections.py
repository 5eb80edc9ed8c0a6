"""What becomes of a call when the far end refuses, breaks off, stalls, or talks nonsense."""

from __future__ import annotations

import json
import logging
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from offhook.speech.contract import RATE_HZ, Done, Memo, SpeechStarted, ToolResult, ToolWanted, WordsHeard, WordsSpoken
from offhook.speech.realtime import connection, outgoing
from offhook.speech.realtime.briefing import Briefing
from offhook.speech.realtime.model import RealtimeModel
from offhook.speech.realtime.options import RealtimeOptions
from tests.speech.line import Line
from tests.speech.realtime.conftest import KEY, Rings, burst, saying
from tests.speech.realtime.farend import Answer, far_end

BRIEFING = Briefing("Be brief.", (), frozenset(), "Hello.", "Bye.", "One moment.", frozenset(), ())


def failed(line: Line, limit_s: float = 20.0) -> str:
    """Wait for the conversation's end; why it failed, in words for people."""
    done = line.until(lambda e: isinstance(e, Done), limit_s)
    assert isinstance(done, Done) and done.exit == "failed", done
    assert done.reason.startswith("the realtime service at 127.0.0.1:"), done.reason
    return done.reason


def comes(line: Line, wanted: Callable[[], bool], limit_s: float = 20.0) -> None:
    """Run until `wanted`."""
    end = line.now + limit_s * RATE_HZ
    while not wanted():
        assert line.now < end
        line.run(0.1)


def greeted(line: Line) -> None:
    line.until(lambda e: isinstance(e, WordsSpoken))


def test_a_far_end_that_is_not_there_ends_the_call_with_a_reason(ring: Rings) -> None:
    with far_end() as far:
        pass
    assert "could not be reached" in failed(ring(far))


@pytest.mark.parametrize(
    ("status", "why"),
    [(401, "refused the key"), (302, "sends us elsewhere"), (404, "no realtime API"), (503, "HTTP status 503")],
)
def test_a_refusal_is_told_for_what_it_is(ring: Rings, status: int, why: str) -> None:
    with far_end(status=status) as far:
        line = ring(far)
        assert why in failed(line)
        assert len(far.headers) == 0, "nothing was sent anywhere else"


def test_a_session_that_is_refused_is_told_in_the_far_ends_words(ring: Rings) -> None:
    with far_end(dialect="beta") as far:
        line = ring(far)  # speaks the other edition
        assert "refused the session: unknown_parameter" in failed(line)
        assert len(far.headers) == 1, "asking again would be in vain"


def test_a_far_end_that_says_nothing_is_waited_for_only_so_long(ring: Rings) -> None:
    with far_end(dead=True) as far:
        reason = failed(ring(far, connect_ms=300))
        assert "did not take the session within 0.3 s" in reason or "could not be reached within 0.3 s" in reason


def test_a_connection_that_breaks_while_the_agent_speaks_is_taken_up_again(ring: Rings) -> None:
    story = Answer("one two three four five six seven eight", 4.0, 700.0, drop_at=2.0)
    rest = Answer("Sorry. Seven, eight.", 1.0, 900.0)
    with far_end(story, rest, heard=("tell me",)) as far:
        line = ring(far)
        greeted(line)
        line.say(saying("tell me about it"))
        line.until(lambda e: isinstance(e, WordsSpoken) and "Sorry" in e.text)
        assert abs(burst(700.0, line.agent()) - 2.0) < 0.15, "what had come was said to its end"
        assert len(far.headers) == 2 and not far.refused
        retold = [item["role"] for item in far.items("message")]
        assert retold == ["assistant", "user", "assistant"]
        assert isinstance(line.model, RealtimeModel) and line.model.counts.lost == 1


def test_a_second_break_ends_the_call(ring: Rings) -> None:
    breaks = Answer("one two three four", 3.0, 700.0, drop_at=0.5)
    with far_end(breaks, breaks, heard=("tell me",)) as far:
        line = ring(far)
        greeted(line)
        line.say(saying("tell me about it"))
        assert "connection" in failed(line)
        assert len(far.headers) == 2


def test_what_the_caller_was_saying_when_the_connection_broke_is_said_again(ring: Rings) -> None:
    silent = Answer(silent=True)
    with far_end(silent, Answer("Nine to six.", 0.6)) as far:
        line = ring(far, answer_ms=2_000, transcribe="")
        greeted(line)
        line.say(saying("when are you open"))
        line.until(lambda e: isinstance(e, WordsSpoken) and "Nine" in e.text)
        first, second = far.sound
        assert len(far.headers) == 2
        assert abs(second.astype(float)).max() > 3000 and len(second) < len(first) + 8000 * 4


def test_a_tool_that_is_running_when_the_connection_breaks_is_answered_on_the_next(ring: Rings) -> None:
    look = Answer(calls=(("order_status", {"order": "4172"}),))
    with far_end(look, Answer("It is packed.", 0.6), heard=("where is it",)) as far:
        line = ring(far)
        greeted(line)
        line.say(saying("where is my order"))
        wanted = line.until(lambda e: isinstance(e, ToolWanted))
        line.run(0.3)
        far.cut()
        comes(line, lambda: len(far.headers) == 2)
        assert isinstance(wanted, ToolWanted)
        line.model.deliver(0, ToolResult(wanted.id, True, {"status": "packing"}))
        line.until(lambda e: isinstance(e, WordsSpoken) and "packed" in e.text)
        assert len(line.of(ToolWanted)) == 1 and not far.refused


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ("{not json", "it sent a message that is not JSON"),
        ("[1, 2]", "JSON that is not an object"),
        (b"\x00\x01", "it sent a binary message"),
        (json.dumps({"type": "response.output_audio.delta", "delta": "%%%"}), "not base64"),
        (
            json.dumps({"type": "response.output_audio.delta", "delta": 7}),
            "`delta` of response.output_audio.delta is a",
        ),
        (json.dumps({"type": "response.done", "response": []}), "`response` of response.done is a list"),
        ("x" * (connection.MESSAGE_LIMIT + 1), "over the limit of 1024 KiB"),
        ("[" * 100_000, "not JSON"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_nonsense_ends_the_connection_and_says_what_was_wrong(ring: Rings, message: str | bytes, why: str) -> None:
    nonsense = Answer(raw=(message,))
    with far_end(nonsense, nonsense, nonsense) as far:
        line = ring(far)
        greeted(line)
        line.say(saying("when are you open"))
        assert why in failed(line)


def test_a_message_of_an_unknown_kind_is_passed_over(ring: Rings) -> None:
    odd = Answer(
        raw=(json.dumps({"type": "response.mood.delta", "delta": ["?"]}), '{"type": "error", "error": "what"}')
    )
    with far_end(odd) as far:
        line = ring(far)
        greeted(line)
        line.say(saying("when are you open"))
        line.run(1.0)
        assert not line.of(Done) and len(far.headers) == 1


def test_more_sound_than_anybody_would_hear_ends_the_call(ring: Rings) -> None:
    with far_end(Answer("one two", 320.0, 700.0)) as far:
        line = ring(far)
        greeted(line)
        line.say(saying("when are you open"))
        assert "speech that nobody has heard" in failed(line)


def test_an_answer_that_never_comes_ends_the_call_after_a_second_try(ring: Rings) -> None:
    silent = Answer(silent=True)
    with far_end(silent, silent, silent, heard=("when", "when")) as far:
        line = ring(far, answer_ms=2_000)
        greeted(line)
        line.say(saying("when are you open"))
        assert "did not answer within 2 s" in failed(line)
        assert len(far.headers) == 2


def test_a_turn_whose_end_the_far_end_does_not_notice_is_not_waited_for_without_end(ring: Rings) -> None:
    with far_end(endless=True) as far:
        line = ring(far, answer_ms=1500)
        greeted(line)
        line.say(saying("when are you open"))
        assert "did not notice that the caller's turn was over" in failed(line)
        assert len(far.headers) == 2


def test_an_answer_that_fails_is_asked_for_again_and_then_given_up(ring: Rings) -> None:
    bad = Answer(status="failed")
    with far_end(bad, Answer("Nine to six.", 0.5), bad, bad, heard=("when", "again")) as far:
        line = ring(far)
        greeted(line)
        line.say(saying("when are you open"))
        line.until(lambda e: isinstance(e, WordsSpoken) and "Nine" in e.text)
        line.say(saying("say that again"))
        assert "fails to answer: server_error: out of order" in failed(line)


def test_a_far_end_that_stalls_costs_the_oldest_of_what_the_caller_said_and_no_memory() -> None:
    second = np.zeros(RATE_HZ, np.int16)
    network = connection.Network()
    try:
        with far_end(deaf_after=2) as far:
            options = RealtimeOptions.read(
                {"url": far.address, "key_env": "", "backlog_ms": 2000, "format": "audio/pcm"}
            )
            session = outgoing.session(options, BRIEFING, "en-US")
            one = connection.Connection(network, options, session)
            while not any(isinstance(arrival, connection.Opened) for arrival in one.take()):
                time.sleep(0.01)
            # What the network's own buffers take counts as taken; they hold some minutes of speech.
            for at in range(1_000):
                one.hear(at * RATE_HZ, second)
                time.sleep(0.0005)
            assert one.dropped_samples > 100 * RATE_HZ
            one.close()
    finally:
        network.close()


def test_the_callers_words_that_do_not_come_are_asked_for(ring: Rings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("offhook.speech.realtime.transcripts.PATIENCE_S", 0.2)
    with far_end(Answer("Nine to six.", 0.5)) as far:
        line = ring(far)
        greeted(line)
        line.say(saying("when are you open"))
        line.until(lambda e: isinstance(e, SpeechStarted))
        far.heard.append("when are you open")
        heard = line.until(lambda e: isinstance(e, WordsHeard))
        assert isinstance(heard, WordsHeard) and heard.text == "when are you open" and heard.final
        assert len(far.of("conversation.item.retrieve")) == 1


def test_the_key_goes_to_the_far_end_and_nowhere_else(
    ring: Rings, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "key").write_text(KEY + "\n", encoding="utf-8")
    caplog.set_level(logging.DEBUG)
    with far_end(Answer(raw=(json.dumps(leak()),) * 2), key=KEY) as far:
        line = ring(far, key_file=str(tmp_path / "key"))
        greeted(line)
        assert far.headers[0]["Authorization"] == f"Bearer {KEY}"
        line.say(saying("when are you open"))
        comes(line, lambda: line.model.counts.complaints >= 2)
        far.status, far.key = 401, "another"
        far.cut()
        reason = failed(line)
        assert "refused the key" in reason
    out, err = capfd.readouterr()
    logged = " ".join(r.getMessage() for r in caplog.records if r.name != "websockets.server")  # that is the far end
    told = [reason, out, err, logged, repr(line.events), repr(line.model.__dict__)]
    assert "the far end reports an error" in out + err + logged
    assert not any(KEY in text or KEY[4:] in text for text in told)


def leak() -> object:
    message = f"Incorrect API key provided: {KEY}. Bearer {KEY}"
    return {"type": "error", "error": {"type": "invalid_request_error", "code": KEY, "message": message}}


def test_a_certificate_that_nobody_vouches_for_is_refused_and_a_named_one_is_taken(ring: Rings, tmp_path: Path) -> None:
    made = subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ),
            *("-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem", "-subj", "/CN=far end"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("skipped: openssl is not installed")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with far_end(tls=context) as far:
        assert "certificate that is not to be trusted" in failed(ring(far))
        line = ring(far, ca_file=str(tmp_path / "cert.pem"))
        greeted(line)


def test_handing_over_goes_through_though_the_connection_breaks(ring: Rings) -> None:
    gives = Answer("I'll put you through", 2.0, 700.0, calls=(("hand_over", {"reason": "asked for it"}),))
    with far_end(gives, heard=("a person",)) as far:
        line = ring(far)
        greeted(line)
        line.say(saying("a person please"))
        line.until(lambda e: isinstance(e, SpeechStarted))
        line.run(0.3)
        far.cut()
        done = line.until(lambda e: isinstance(e, Done))
        assert isinstance(done, Done) and (done.exit, done.reason) == ("human", "asked for it")
        assert abs(burst(700.0, line.agent()) - 2.0) < 0.15
        assert line.of(Memo)

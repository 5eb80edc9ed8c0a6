"""The parts below a conversation: messages, sound, options, the agent's words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.speech.contract import RATE_HZ, Json, Persona
from offhook.speech.realtime import incoming
from offhook.speech.realtime.briefing import brief
from offhook.speech.realtime.codec import Decoder, Encoder, Format, from_mu_law, to_mu_law
from offhook.speech.realtime.incoming import NotProtocol, understood
from offhook.speech.realtime.memory import MOST_ENTRIES, Memory
from offhook.speech.realtime.mouth import Began, Ended, Mouth
from offhook.speech.realtime.options import RealtimeOptions

LOCAL: dict[str, Json] = {"url": "ws://127.0.0.1:1/v1/realtime", "key_env": ""}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ["delta", "item_id", "response_id", "response", "item", "error", "transcript", "call_id", "name", "arguments"]
FIELDS += ["audio_start_ms", "audio_end_ms", "rate_limits", "output", "id", "type", "status", "content"]


@settings(max_examples=400, deadline=None)
@given(
    kind=st.sampled_from(sorted(incoming._KINDS)),
    fields=st.dictionaries(
        st.sampled_from(FIELDS),
        json_values | st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=4),
        max_size=6,
    ),
)
def test_whatever_stands_in_a_message_it_is_understood_or_refused_with_a_sentence(
    kind: str, fields: dict[str, object]
) -> None:
    try:
        understood(json.dumps({**fields, "type": kind}))
    except NotProtocol as refused:
        assert str(refused)


@pytest.mark.parametrize(("most", "remaining", "left"), [(10, 3, 0.3), (1, 10**400, 1.0), (10**400, 1, 0.0)])
def test_a_limit_is_read_however_long_its_figures_are(most: int, remaining: int, left: float) -> None:
    limits = understood(
        json.dumps({"type": "rate_limits.updated", "rate_limits": [{"limit": most, "remaining": remaining}]})
    )
    assert isinstance(limits, incoming.Limits) and limits.left == left


def test_mu_law_means_what_g711_says() -> None:
    assert from_mu_law(bytes([0x00, 0x80, 0x7F, 0xFF, 0x8F, 0x70])).tolist() == [-32124, 32124, 0, 0, 16764, -120]
    every = bytes(range(256))
    back = to_mu_law(from_mu_law(every))
    assert from_mu_law(back).tolist() == from_mu_law(every).tolist()


@pytest.mark.parametrize("format", list(Format))
@pytest.mark.parametrize("size", [1, 7, 320, 5000])
def test_a_sound_cut_into_pieces_is_the_same_sound_afterwards(format: Format, size: int) -> None:
    time = np.arange(RATE_HZ // 2) / RATE_HZ
    sound = (9000 * np.sin(2 * np.pi * 700 * time)).astype(np.int16)
    encoder, decoder = Encoder(format), Decoder(format)
    sent = b"".join(encoder.encode(sound[at : at + 1280]) for at in range(0, len(sound), 1280))
    heard = np.concatenate([*(decoder.decode(sent[at : at + size]) for at in range(0, len(sent), size)), decoder.end()])
    assert 0 <= len(sound) - len(heard) < RATE_HZ // 100, "a few milliseconds are still in the filters"
    middle = slice(500, len(heard) - 500)
    error = heard[middle].astype(float) - sound[middle]
    assert np.sqrt(np.mean(error**2)) < (350 if format is Format.PCMU else 20)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"key": "sk-1"}, "a key has no place in the settings"),
        ({"api_key": "sk-1"}, "a key has no place in the settings"),
        ({"colour": "red"}, "no option colour; it has url"),
        ({"turns": "psychic"}, "one of `semantic_vad`, `server_vad`, `local`"),
        ({"answer_ms": "soon"}, "answer_ms is 'soon'"),
        ({"answer_ms": 0}, "more than nothing"),
        ({"calls": -1}, "between 0 and 600000"),
        ({"url": "https://api.example"}, "wss://host/path"),
        ({"url": "ws://198.51.100.7/v1"}, "for anyone to listen in"),
        ({"url": "wss://me:secret@host/"}, "holds a password"),
        ({"url": "wss://[::1"}, "no address"),
        ({"key_env": "OFFHOOK_NO_SUCH_KEY"}, "the environment variable OFFHOOK_NO_SUCH_KEY, which is not set"),
        ({"key_file": "/nowhere/key"}, "/nowhere/key cannot be read"),
        ({"ca_file": "/nowhere/ca.pem"}, "where there is no file"),
        ({"eagerness": "very"}, "`low`, `medium`"),
    ],
    ids=str,
)
def test_a_wrong_option_is_told_by_name(options: dict[str, Json], why: str) -> None:
    with pytest.raises(ValueError) as refused:
        RealtimeOptions.read({**LOCAL, **options})
    assert why in str(refused.value) and "secret" not in str(refused.value)


def test_the_key_is_in_no_text_made_of_the_options(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("top-secret-1\n", encoding="utf-8")
    options = RealtimeOptions.read({**LOCAL, "key_file": str(tmp_path / "key")})
    assert options.key == "top-secret-1" and "top-secret-1" not in f"{options!r} {options}"
    assert "top-secret-1" not in options.without_key("you said\ntop-secret-1")


def test_the_model_is_named_in_the_address_unless_the_address_does() -> None:
    def address(url: str) -> str:
        return RealtimeOptions.read({"url": url, "key_env": "", "model": "gpt realtime"}).address

    assert address("wss://a.example/v1/realtime") == "wss://a.example/v1/realtime?model=gpt+realtime"
    assert address("wss://a.example/rt?api-version=1&deployment=mine").endswith("deployment=mine")


def test_a_tool_with_a_built_in_name_is_refused_before_the_first_call() -> None:
    document: dict[str, Json] = {"greeting": "Hello.", "tools": {"finish": {"python": "shop:finish"}}}
    with pytest.raises(ValueError, match="`finish` of shop@1 has the name of one that every agent has"):
        brief(Persona("shop@1", "en-US", "joe", "", document))


def test_places_in_the_greeting_are_filled_from_what_is_known() -> None:
    document: dict[str, Json] = {"greeting": "Hello {caller}, this is {nobody}."}
    assert brief(Persona("shop@1", "en-US", "joe", "", document, {"caller": "Anna"})).greeting == "Hello Anna, this is."


@settings(max_examples=200, deadline=None)
@given(json_values)
def test_any_memo_can_be_recalled(memo: object) -> None:
    Memory.recalled({"said": memo, "end": memo, "connections": memo})  # type: ignore[dict-item]


def test_a_memory_stays_bounded_and_begins_with_no_orphaned_result() -> None:
    memory = Memory()
    for number in range(200):
        memory.note("call", "{}", f"1.{number}", "look")
        memory.note("result", "x" * 10_000, f"1.{number}")
    assert len(memory.entries) <= MOST_ENTRIES and memory.entries[0].who == "call"
    assert len(json.dumps(memory.memo())) < 300_000
    assert Memory.recalled(memory.memo()).memo() == memory.memo()


def test_what_was_cut_and_is_taken_up_again_is_played_to_the_sample() -> None:
    mouth = Mouth(lead=640)
    sound = np.arange(1, 6401, dtype=np.int16)
    mouth.sound("a", sound[:4000])
    mouth.sound("a", sound[4000:])
    heard: list[int] = []
    queue: list[int] = []
    room = np.zeros(640, np.int16)
    ended = []
    for tick in range(100):
        if tick == 10 and mouth.hold():
            queue.clear()
        if tick == 15:
            mouth.resume()
        if tick == 30:
            mouth.whole()
        heard += queue[:160]
        del queue[:160]
        count, happened = mouth.advance(len(heard), room)
        queue += room[:count].tolist()
        ended += happened
    assert heard == sound.tolist()
    assert [type(change) for change in ended] == [Began, Ended] and not mouth.pending

"""What an operator may set for the model `realtime`: where the far end is, how it is spoken to, how long it may take.

The key is not among them: it stands in the environment or in a file of its own, and the options name which.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from urllib.parse import urlencode, urlsplit, urlunsplit

from offhook.speech.contract import Json
from offhook.speech.realtime.codec import Format

_SECRETS = ("key", "api_key", "api-key", "token", "password")


class Dialect(Enum):
    """Which edition of the protocol the far end speaks; what it says is understood in both."""

    GA = "ga"
    """`session.audio...`, `output_modalities`; since August 2025."""
    BETA = "beta"
    """`input_audio_format`, `modalities`, the header `OpenAI-Beta: realtime=v1`."""


class Turns(Enum):
    """Who decides that the caller's turn is over."""

    SEMANTIC = "semantic_vad"
    """The far end, by what was said."""
    SERVER = "server_vad"
    """The far end, by silence."""
    LOCAL = "local"
    """We do, by silence: for a far end that has no turn detection."""


@dataclass(frozen=True, slots=True)
class RealtimeOptions:
    """Names and defaults of the `options` of `RealtimeModel.load`. The key that `key_env` or `key_file` lead to is in
    `key`, and in no text made of this."""

    url: str = "wss://api.openai.com/v1/realtime"
    """`ws://` is taken for this machine only: speech and key would cross the network for anyone to read."""
    model: str = "gpt-realtime"
    """Sent as the query `model` where the address has none; empty: not sent."""
    key_env: str = "OPENAI_API_KEY"
    """The environment variable that holds the key. Empty, and no `key_file`: no key is sent."""
    key_file: str = ""
    """A file that holds the key, in place of the variable."""
    key_header: str = "authorization"
    """`authorization` (as a bearer token) or `api-key`."""
    ca_file: str = ""
    """Certificates (PEM) that vouch for the far end, in place of the system's: for a server of one's own."""
    dialect: Dialect = Dialect.GA
    format: Format = Format.PCMU
    """`audio/pcmu` is what the telephone brings, and a sixth of the bytes; `audio/pcm` where there is only that."""
    voice: str = "marin"
    """The far end's name for a voice; the agent file's voice is one of ours. Empty: the far end's own."""
    transcribe: str = "gpt-4o-mini-transcribe"
    """The far end's recogniser that writes down the caller's words for the record. Empty: they are not recorded."""
    turns: Turns = Turns.SEMANTIC
    eagerness: str = "auto"
    """`semantic_vad`: `low`, `medium`, `high` or `auto`."""
    silence_ms: int = 500
    """`server_vad` and `local`: silence that ends a turn."""
    calls: int = 0
    """Conversations at once, as the far end's contract allows; 0: as many as there are slots."""
    connect_ms: int = 8_000
    """For the connection and the far end's first word."""
    answer_ms: int = 10_000
    """For an answer to begin, and within it from one piece to the next."""
    send_ms: int = 5_000
    """For a message of ours to leave; a connection that takes longer is given up."""
    backlog_ms: int = 2_000
    """The caller's speech kept for a far end that does not take it; what is older is dropped and counted."""
    ask_ms: int = 8_000
    """Silence of both after which the agent asks whether the caller is still there."""
    lead_ms: int = 240
    """Agent speech kept ahead of what is played."""
    key: str = field(default="", repr=False, compare=False)

    @classmethod
    def read(cls, options: Mapping[str, Json]) -> RealtimeOptions:
        """Options as they come from settings, the key fetched. Raises ValueError naming the option that is wrong."""
        values = {name: _checked(name, value) for name, value in options.items()}
        chosen = cls(**values)  # type: ignore[arg-type]  # _checked compared its type
        _check_address(chosen.url)
        if chosen.key_header not in ("authorization", "api-key"):
            raise ValueError(_wrong("key_header", chosen.key_header, "`authorization` or `api-key`"))
        if chosen.eagerness not in ("low", "medium", "high", "auto"):
            raise ValueError(_wrong("eagerness", chosen.eagerness, "`low`, `medium`, `high` or `auto`"))
        if chosen.ca_file and not Path(chosen.ca_file).is_file():
            raise ValueError(f"the realtime model's option ca_file names {chosen.ca_file}, where there is no file")
        return dataclasses.replace(chosen, key=_key(chosen))

    @property
    def address(self) -> str:
        """The address to connect to."""
        parts = urlsplit(self.url)
        if not self.model or re.search(r"(^|&)(model|deployment)=", parts.query):
            return self.url
        query = "&".join(filter(None, [parts.query, urlencode({"model": self.model})]))
        return urlunsplit(parts._replace(query=query))

    @property
    def place(self) -> str:
        """The far end as people may read it: no query, which may hold anything."""
        return urlsplit(self.url).netloc

    @property
    def encrypted(self) -> bool:
        return urlsplit(self.url).scheme == "wss"

    def without_key(self, text: str) -> str:
        """`text`, which the far end or a library wrote, fit for a log: on one line, of bounded length, without key."""
        text = " ".join(text.split())
        if len(self.key) >= 4:
            text = text.replace(self.key, "(the key)")
        # Far ends quote the key back with its middle starred out; even so it stays here.
        text = re.sub(r"\b(?:sk|Bearer)[-_ ]\S{6,}", "(a key)", text)
        return text[:300]


def _checked(name: str, value: Json) -> object:
    defaults = {item.name: item.default for item in dataclasses.fields(RealtimeOptions) if item.name != "key"}
    if name.lower() in _SECRETS:
        raise ValueError(
            f"a key has no place in the settings: take the realtime model's option {name} out, and name an environment "
            "variable with key_env or a file with key_file"
        )
    if name not in defaults:
        raise ValueError(f"the realtime model has no option {name}; it has {', '.join(defaults)}")
    default = defaults[name]
    if isinstance(default, Enum):
        kinds = type(default)
        try:
            return kinds(value)
        except ValueError:
            one_of = ", ".join(f"`{kind.value}`" for kind in kinds)
            raise ValueError(_wrong(name, value, f"one of {one_of}")) from None
    if type(value) is not type(default):
        raise ValueError(_wrong(name, value, f"like {default!r}"))
    if isinstance(value, int) and not 0 <= value <= 600_000:
        raise ValueError(_wrong(name, value, "between 0 and 600000"))
    if isinstance(value, int) and value == 0 and name != "calls":
        raise ValueError(_wrong(name, value, "more than nothing"))
    return value


def _wrong(name: str, value: object, must: str) -> str:
    return f"the realtime model's option {name} is {value!r}; it must be {must}"


def _check_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        raise ValueError("the realtime model's option url is no address; write wss://host/path") from None
    if parts.scheme not in ("wss", "ws") or not host:
        raise ValueError("the realtime model's option url must be as wss://host/path")
    if parts.username or parts.password:
        raise ValueError("the realtime model's option url holds a password: take it out, and name a key with key_env")
    if parts.scheme == "ws" and not _is_here(host):
        raise ValueError(f"the realtime model's option url is ws:// to {host}, for anyone to listen in: use wss://")


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _key(options: RealtimeOptions) -> str:
    if options.key_file:
        try:
            key = Path(options.key_file).expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise ValueError(f"the realtime model's key_file {options.key_file} cannot be read: {why}") from None
        where = f"the file {options.key_file}"
    elif options.key_env:
        key = os.environ.get(options.key_env, "").strip()
        where = f"the environment variable {options.key_env}"
    else:
        return ""
    if not key:
        raise ValueError(f"the realtime model needs its key in {where}, which is not set or empty")
    if not re.fullmatch(r"[\x21-\x7e]{1,4096}", key):
        raise ValueError(f"what stands in {where} is no key: it must be one word of ASCII")
    return key

"""The one settings file, typed: where the server listens, whom it trusts, where it keeps things.

`offhook.toml`, read once at start. Everything has a default, so that no file at all means: on loopback, for callers
on this machine, with the shipped dial plan. What a call does is not here but in the dial plan; what an agent says is
in the agent's file.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    SecretStr,
    ValidationError,
    model_validator,
)

CHECKOUT = Path(__file__).resolve().parents[2]


class SettingsError(Exception):
    """The settings cannot be used; the text says which file and key, and what to do."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


ANY_ADDRESS = ("0.0.0.0", "::")


def _is_loopback(host: object) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return False


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise ValueError(f"{text!r} is not an IP address or network such as 192.0.2.10 or 192.0.2.0/24") from None


def _secret(text: str) -> str:
    """A secret stands in the environment or in a file of its own, so that the settings can be shown to anyone."""
    kind, _, rest = text.partition(":")
    if kind == "env":
        if rest not in os.environ:
            raise ValueError(f"the environment variable {rest} is not set")
        return os.environ[rest]
    if kind == "file":
        try:
            return Path(rest).expanduser().read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ValueError(f"cannot read the secret: {error}") from None
    raise ValueError("write a secret as env:NAME or file:/path, not in the settings file itself")


Network = Annotated[str, BeforeValidator(_network)]
Secret = Annotated[SecretStr, BeforeValidator(_secret)]


class TrunkSettings(_Section):
    """A carrier, a PBX or a softphone network that may call."""

    name: str
    sources: list[Network]
    """Addresses and networks its requests come from; others get no answer at all."""
    realm: str | None = None
    """Where set, callers must authenticate by digest (RFC 7616) as one of `users`."""
    users: dict[str, Secret] = {}
    """Who they are; with these a phone may also register, to be called as `sip:USER@` us."""
    digest: Annotated[list[Literal["sha-256", "md5"]], Field(min_length=1)] = ["sha-256", "md5"]
    """How they may prove it. Some phones (baresip before 2) give up where they are offered more than `md5`."""
    max_calls: int | None = None
    srtp: Literal["never", "offered", "required"] = "offered"
    """Encrypted audio. `offered`: wherever the caller offers it; to phones that we ring, where signalling is encrypted
    too. `required`: no call without it."""
    codecs: Annotated[list[Literal["opus", "pcmu", "pcma"]], Field(min_length=1)] | None = None
    """What is taken and offered, best first. Where left out: all of them are taken, by the caller's own preference;
    browsers are offered Opus first, telephones PCMU and PCMA."""

    @model_validator(mode="after")
    def _users_need_a_realm(self) -> TrunkSettings:
        if bool(self.users) != (self.realm is not None):
            raise ValueError(f"trunk {self.name!r}: `realm` and `users` belong together; give both or neither")
        return self


class SipSettings(_Section):
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 5060
    """Of UDP and TCP. 0 takes any free port, here and below."""
    transports: list[Literal["udp", "tcp", "tls", "ws", "wss"]] = ["udp", "tcp"]
    tls_port: Annotated[int, Field(ge=0, le=65535)] = 5061
    ws_port: Annotated[int, Field(ge=0, le=65535)] = 5062
    wss_port: Annotated[int, Field(ge=0, le=65535)] = 5063
    certificate: Path | None = None
    """PEM: our certificate for `tls` and `wss`, with those between it and its authority."""
    key: Path | None = None
    """PEM: its key, without a passphrase."""
    authorities: Path | None = None
    """PEM: certificates to trust in those whom we ring over TLS, besides those that this machine trusts."""
    ws_origins: list[str] = []
    """Pages that may connect by WebSocket, as `https://phones.example.com`; any, and softphones, where left out."""
    domain: str | None = None
    """What stands behind the @ of our users' addresses, besides our own address."""
    advertise: str | None = None
    """The address that callers reach us at, where that is not `host` (NAT, 0.0.0.0)."""

    @model_validator(mode="after")
    def _a_certificate_for_tls(self) -> SipSettings:
        if {"tls", "wss"} & set(self.transports) and not (self.certificate and self.key):
            raise ValueError(
                "`tls` and `wss` need `certificate` and `key`, two PEM files; name both, or leave them out"
            )
        return self


class MediaSettings(_Section):
    host: str | None = None
    """Address the RTP sockets bind to; `sip.host` where left out."""
    ports: tuple[int, int] = (20000, 29999)
    advertise: str | None = None
    """As `sip.advertise`, for RTP; `sip.advertise` where left out."""

    threads: Annotated[int, Field(ge=1, le=64)] = 1
    """Media threads. One carries thousands of legs; more where a machine has cores to spare for them."""

    @model_validator(mode="after")
    def _a_range(self) -> MediaSettings:
        low, high = self.ports
        if not 1024 <= low < high <= 65535:
            raise ValueError(f"media.ports = [{low}, {high}] is not a range of ports between 1024 and 65535")
        return self


class SpeechSettings(_Section):
    model: str = "cascade"
    slots: Annotated[int, Field(ge=1, le=4096)] = 8
    """Calls that can have an AI agent at once, at most; the scheduler may admit fewer."""
    standby: bool = False
    """Keep a second worker loaded that takes over at once when the first dies, for the price of its memory."""
    options: dict[str, JsonValue] = {}
    """The model's own options; see the model."""


class ConsoleSettings(_Section):
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    certificate: Path | None = None
    """PEM, with the chain behind it. Where given, the web side is https: browsers give a page from another machine the
    microphone only so."""
    key: Path | None = None
    """PEM, its private key."""

    @model_validator(mode="after")
    def _both_or_neither(self) -> ConsoleSettings:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("`certificate` and `key` belong together; give both or neither")
        return self

    @property
    def tls(self) -> tuple[Path, Path] | None:
        return None if self.certificate is None or self.key is None else (self.certificate, self.key)


class IceServerSettings(_Section):
    """A STUN or TURN server that pages are told of."""

    urls: list[str]
    """`stun:host:port`, `turn:host:port?transport=udp`, `turns:host:port`."""
    username: str | None = None
    credential: Secret | None = None
    secret: Secret | None = None
    """Instead of the two: what a TURN server shares with us, to make each visitor a credential that lasts a day
    (coturn's `use-auth-secret`)."""

    @model_validator(mode="after")
    def _sensible(self) -> IceServerSettings:
        wrong = [url for url in self.urls if url.partition(":")[0] not in ("stun", "stuns", "turn", "turns")]
        if wrong or not self.urls:
            raise ValueError(f"web.ice_servers: {wrong} is no STUN or TURN address such as turn:192.0.2.10:3478")
        if self.secret is not None and (self.username or self.credential):
            raise ValueError("web.ice_servers: give `secret`, or `username` and `credential`, not both")
        if (self.username is None) != (self.credential is None):
            raise ValueError("web.ice_servers: `username` and `credential` belong together; give both or neither")
        return self


class WebSettings(_Section):
    """Calls from web pages. They come in by a trunk called `web`, and nobody is asked who they are."""

    enabled: bool | None = None
    """Where left out: only while the console listens on loopback, or a proxy on this machine stands before it."""
    to: list[str] | None = None
    """The numbers that pages may call; where left out, all that the dial plan answers on the trunk `web`."""
    origins: list[str] = []
    """Sites besides this server's own whose pages may call: `https://shop.example`."""
    max_calls: Annotated[int, Field(ge=1)] | None = None
    """Calls from pages at once; `limits.calls` holds for all."""
    away_s: Annotated[float, Field(ge=0, le=3600)] = 15.0
    """How long a call waits for a page that lost its network."""
    ice_servers: list[IceServerSettings] = []


class LimitSettings(_Section):
    calls: Annotated[int, Field(ge=1)] = 200
    """Calls at once; the next one is refused with 503."""
    no_media_s: Annotated[float, Field(ge=1)] = 60.0
    """How long a call may go on without a single packet from the caller, who has not put us on hold: a phone that died
    says no goodbye."""
    drain_s: Annotated[float, Field(ge=0)] = 30.0
    """How long live calls may go on after the server was told to stop, before they are told goodbye."""


class Settings(_Section):
    home: Path = CHECKOUT / "var"
    """Recordings, database, caches."""
    dialplan: Path = CHECKOUT / "dialplans" / "front-door.yaml"
    agents: list[Path] = [CHECKOUT / "dialplans"]
    """Folders searched for agents' files."""
    database: str | None = None
    """SQLAlchemy URL; a SQLite file in `home` where left out."""
    sip: SipSettings = SipSettings()
    trunks: list[TrunkSettings]
    """Who may call. Where left out: this machine, and nobody else."""
    media: MediaSettings = MediaSettings()
    speech: SpeechSettings = SpeechSettings()
    console: ConsoleSettings = ConsoleSettings()
    web: WebSettings = WebSettings()
    limits: LimitSettings = LimitSettings()

    @model_validator(mode="before")
    @classmethod
    def _this_machine_may_call(cls, raw: object) -> object:
        """A phone on this machine may send from any of its addresses; to a socket on loopback nobody else can."""
        if not isinstance(raw, dict) or "trunks" in raw:
            return raw
        sip = raw.get("sip", {})
        host = sip.get("host", "127.0.0.1") if isinstance(sip, dict) else getattr(sip, "host", "")
        sources = ["0.0.0.0/0", "::/0"] if _is_loopback(host) else ["127.0.0.0/8", "::1/128"]
        return {**raw, "trunks": [{"name": "local", "sources": sources}]}

    @model_validator(mode="after")
    def _reachable(self) -> Settings:
        if self.sip.host in ANY_ADDRESS and self.sip.advertise is None:
            raise ValueError(
                f"sip.host = {self.sip.host!r} names no address: say in sip.advertise where phones reach us"
            )
        media = self.media.host or self.sip.host
        if media in ANY_ADDRESS and (self.media.advertise or self.sip.advertise) is None:
            raise ValueError(f"media.host = {media!r} names no address: say in media.advertise where audio is to go")
        return self

    @model_validator(mode="after")
    def _web_is_a_trunk(self) -> Settings:
        if any(trunk.name == "web" for trunk in self.trunks):
            raise ValueError("trunks: `web` is the name of calls from web pages; call the trunk something else")
        return self

    @property
    def takes_web_calls(self) -> bool:
        if self.web.enabled is None:
            return _is_loopback(self.console.host)
        return self.web.enabled

    @property
    def database_url(self) -> str:
        if self.database:
            return self.database
        # Quoted, for a home may hold what means something in a URL.
        return "sqlite:///" + quote(str(self.home / "offhook.db"))

    @property
    def calls_folder(self) -> Path:
        return self.home / "calls"


def load_settings(path: Path | None = None) -> Settings:
    """Read `path`, or $OFFHOOK_SETTINGS, or ./offhook.toml where there is one; else the defaults.

    $OFFHOOK_HOME takes the place of `home`. Relative paths in the file are relative to the file.
    Raises SettingsError with the file, the key and what is wrong."""
    named = path or (Path(os.environ["OFFHOOK_SETTINGS"]) if "OFFHOOK_SETTINGS" in os.environ else None)
    file = named or Path("offhook.toml")
    raw: dict[str, object] = {}
    if named is not None or file.exists():
        try:
            raw = tomllib.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise SettingsError(f"{file}: cannot be read ({error.strerror}); name another with --settings") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{file}: is not TOML: {error}") from None
    if "OFFHOOK_HOME" in os.environ:
        raw["home"] = os.environ["OFFHOOK_HOME"]
    try:
        return _against(file.resolve().parent, Settings.model_validate(raw))
    except ValidationError as error:
        faults = "\n".join(
            f"{file}: {'.'.join(str(part) for part in fault['loc']) or 'settings'}: "
            + _SENTENCES.get(fault["type"], fault["msg"].removeprefix("Value error, "))
            for fault in error.errors(include_input=False, include_url=False)
        )
        raise SettingsError(faults) from None


_SENTENCES = {
    "extra_forbidden": "there is no such key; take it out, or see how it is spelled in the README",
    "missing": "is missing",
}


def _against(folder: Path, settings: Settings) -> Settings:
    def absolute(path: Path) -> Path:
        return folder / path.expanduser()

    console = settings.console
    if console.tls is not None:
        certificate, key = (absolute(path) for path in console.tls)
        console = console.model_copy(update={"certificate": certificate, "key": key})

    return settings.model_copy(
        update={
            "home": absolute(settings.home),
            "dialplan": absolute(settings.dialplan),
            "agents": [absolute(path) for path in settings.agents],
            "console": console,
            "sip": settings.sip.model_copy(
                update={
                    name: absolute(path)
                    for name in ("certificate", "key", "authorities")
                    if (path := getattr(settings.sip, name)) is not None
                }
            ),
        }
    )

"""The settings file: what it refuses, in words for the person who wrote it, and what holds where it says nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from offhook.settings import SettingsError, load_settings
from offhook.speech.cascade import CascadeOptions


def written(folder: Path, text: str) -> Path:
    file = folder / "offhook.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_on_loopback_any_phone_of_this_machine_may_call(tmp_path: Path) -> None:
    (trunk,) = load_settings(written(tmp_path, "")).trunks
    assert trunk.sources == ["0.0.0.0/0", "::/0"]


def test_on_a_network_nobody_else_may_call_until_a_trunk_says_so(tmp_path: Path) -> None:
    (trunk,) = load_settings(written(tmp_path, '[sip]\nhost = "192.0.2.1"\n')).trunks
    assert trunk.sources == ["127.0.0.0/8", "::1/128"]


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    assert load_settings(written(tmp_path, 'home = "data"\n')).home == tmp_path / "data"


def test_a_secret_comes_from_the_environment_and_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESK", "open sesame")
    file = written(
        tmp_path, '[[trunks]]\nname = "a"\nsources = ["192.0.2.7"]\nrealm = "r"\nusers = {desk = "env:DESK"}\n'
    )
    settings = load_settings(file)
    assert settings.trunks[0].users["desk"].get_secret_value() == "open sesame"
    assert "sesame" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[sip]\nport = 'x'\n", "sip.port: "),
        ("[sip]\nprot = 5060\n", "sip.prot: there is no such key"),
        ("[[trunks]]\nname = 'a'\nsources = ['300.1.1.1']\n", "'300.1.1.1' is not an IP address or network"),
        ("[[trunks]]\nname = 'a'\nsources = ['192.0.2.7']\nusers = {b = 'hunter2'}\n", "env:NAME or file:/path"),
        ("[[trunks]]\nname = 'a'\nsources = ['192.0.2.7']\nrealm = 'r'\n", "`realm` and `users` belong together"),
        ("[sip]\nhost = '0.0.0.0'\n", "say in sip.advertise where phones reach us"),
        ("[media]\nhost = '0.0.0.0'\n", "say in media.advertise where audio is to go"),
        ("[media]\nports = [9, 10]\n", "is not a range of ports"),
        ("[console]\ncertificate = 'a.pem'\n", "`certificate` and `key` belong together"),
        ("[[trunks]]\nname = 'web'\nsources = ['192.0.2.7']\n", "`web` is the name of calls from web pages"),
        ("[[web.ice_servers]]\nurls = ['http://x']\n", "is no STUN or TURN address"),
        ("[[web.ice_servers]]\nurls = ['turn:x']\nusername = 'u'\n", "`username` and `credential` belong together"),
        ("[web]\naway_s = -1\n", "web.away_s: "),
        ("[sip]\ntransports = ['udp', 'tls']\n", "need `certificate` and `key`"),
        ("[[trunks]]\nname = 'a'\nsources = ['192.0.2.7']\nsrtp = 'maybe'\n", "trunks.0.srtp"),
        ("[[trunks]]\nname = 'a'\nsources = ['192.0.2.7']\ncodecs = ['g729']\n", "trunks.0.codecs"),
        ("[sip\n", "is not TOML"),
    ],
)
def test_what_cannot_be_is_refused_with_file_and_key(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings(written(tmp_path, text))
    assert "offhook.toml" in str(refused.value) and told in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_models_options_may_be_lists_and_tables(tmp_path: Path) -> None:
    text = '[speech.options]\nvoices = ["joe"]\n[speech.options.turns]\nask_ms = 8000\n'
    options = load_settings(written(tmp_path, text)).speech.options
    assert CascadeOptions.read(options).turns.ask_ms == 8000


def test_web_pages_may_call_where_only_this_machine_reaches_them_or_where_it_is_said(tmp_path: Path) -> None:
    assert load_settings(written(tmp_path, "")).takes_web_calls
    outside = '[console]\nhost = "0.0.0.0"\n'
    assert not load_settings(written(tmp_path, outside)).takes_web_calls
    assert load_settings(written(tmp_path, outside + "[web]\nenabled = true\n")).takes_web_calls
    assert not load_settings(written(tmp_path, "[web]\nenabled = false\n")).takes_web_calls


def test_the_consoles_certificate_lies_beside_the_file(tmp_path: Path) -> None:
    console = load_settings(written(tmp_path, "[console]\ncertificate = 'a.pem'\nkey = 'a.key'\n")).console
    assert console.tls == (tmp_path / "a.pem", tmp_path / "a.key")


def test_certificates_lie_beside_the_settings(tmp_path: Path) -> None:
    text = '[sip]\ntransports = ["tls"]\ncertificate = "phones.pem"\nkey = "/etc/phones.key"\n'
    sip = load_settings(written(tmp_path, text)).sip
    assert (sip.certificate, sip.key, sip.authorities) == (tmp_path / "phones.pem", Path("/etc/phones.key"), None)

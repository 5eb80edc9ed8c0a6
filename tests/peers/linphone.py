"""linphone as a telephone that a test can drive: `linphonec`, its own process, steered through its command line."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from loadtest.served import free_port

PROGRAM = shutil.which("linphonec")
LIMIT_S = 20.0

SETTINGS = """\
[sip]
sip_port=-1
sip_tcp_port=-1
sip_tls_port={sip}
media_encryption={encryption}
media_encryption_mandatory=1
use_ipv6=0
ipv6_migration_done=1
verify_server_cn=0
root_ca={authority}
default_proxy=0
[proxy_0]
reg_proxy=<sip:127.0.0.1:{server};transport=tls>
reg_identity=sip:{user}@127.0.0.1
reg_expires=60
reg_sendregister={register}
nat_policy_ref=ours
[auth_info_0]
username={user}
passwd={password}
realm={realm}
[net]
nat_policy_ref=ours
[nat_policy_0]
ref=ours
protocols={nat}
stun_server={stun}
[rtp]
audio_rtp_port={rtp}
rtcp_mux={mux}
[sound]
remote_ring=
"""

CODECS = """\
[audio_codec_{at}]
mime={name}
rate={rate}
channels={channels}
enabled={enabled}
"""

KNOWN = {"opus": (48_000, 2), "PCMU": (8_000, 1), "PCMA": (8_000, 1), "speex": (16_000, 1), "G729": (8_000, 1)}


class Linphone:
    """One telephone. Make it with `linphone`."""

    def __init__(self, process: asyncio.subprocess.Process, heard: Path) -> None:
        self.heard = heard
        """What it heard, at the rate of the codec."""
        self.said = ""
        """All that it has printed."""
        self._process = process
        self._news = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def tell(self, command: str) -> None:
        """Give it one command of linphonec's."""
        assert self._process.stdin is not None
        self._process.stdin.write(command.encode() + b"\n")
        await self._process.stdin.drain()

    async def until(self, text: str, after: int = 0) -> int:
        """Wait until it has printed `text`, behind the first `after` characters; how much it had printed by then."""
        async with asyncio.timeout(LIMIT_S):
            while (at := self.said.find(text, after)) < 0:
                self._news.clear()
                try:
                    await self._news.wait()
                except asyncio.CancelledError:
                    raise AssertionError(f"linphone did not say {text!r}:\n{self.said[-3000:]}") from None
        return at + len(text)

    async def close(self) -> None:
        """End the process."""
        with contextlib.suppress(OSError):
            await self.tell("quit")
        try:
            await asyncio.wait_for(self._process.wait(), 5.0)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reading

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while chunk := await self._process.stdout.read(4096):
            self.said += chunk.decode(errors="replace")
            self._news.set()


@contextlib.asynccontextmanager
async def linphone(
    folder: Path,
    server: int,
    authority: Path,
    says: Path,
    *,
    codec: str = "PCMU",
    encryption: str = "srtp",
    ice: bool = False,
    register: bool = False,
    login: Mapping[str, str],
) -> AsyncIterator[Linphone]:
    """A telephone with a home in `folder` whose server is at the port `server` of this machine, over TLS, proven by a
    certificate of `authority`. Into every call it says the WAV file `says`. `encryption`: `srtp`, `dtls` or `none`.
    `login`: `user`, `password` and `realm`."""
    heard = folder / "heard.wav"
    settings = SETTINGS.format(
        sip=free_port(socket.SOCK_STREAM), encryption=encryption, authority=authority, server=server,
        rtp=free_port(socket.SOCK_DGRAM) // 2 * 2, mux=int(encryption == "dtls"), nat="ice" if ice else "", stun="",
        register=int(register), **login,
    )  # fmt: skip
    for at, (name, (rate, channels)) in enumerate(KNOWN.items()):
        settings += CODECS.format(at=at, name=name, rate=rate, channels=channels, enabled=int(name == codec))
    (folder / "linphonerc").write_text(settings)
    (folder / ".local" / "share" / "linphone").mkdir(parents=True)
    assert PROGRAM is not None
    process = await asyncio.create_subprocess_exec(
        PROGRAM, "-S", "-c", folder / "linphonerc", "-d", "6", "-l", folder / "linphone.log",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin", "LANG": "C"},
    )  # fmt: skip
    phone = Linphone(process, heard)
    try:
        await phone.until("linphonec>")
        await phone.tell("soundcard use files")
        await phone.tell(f"play {says}")
        await phone.tell(f"record {heard}")
        yield phone
    finally:
        await phone.close()

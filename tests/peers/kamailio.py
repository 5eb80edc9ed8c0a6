"""Kamailio with rtpengine as it stands at the edge of a network, on this machine: a proxy that records its route, takes
the media of each call through rtpengine, hands calls to those servers that answer its OPTIONS, and those of a server's
to the telephones that have registered with it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

from loadtest.served import free_port

from tests.peers.processes import running

KAMAILIO, KAMCMD = shutil.which("kamailio") or "/usr/sbin/kamailio", shutil.which("kamcmd") or "/usr/sbin/kamcmd"
RTPENGINE = shutil.which("rtpengine")
MISSING = [name for name, path in (("kamailio", KAMAILIO), ("kamcmd", KAMCMD)) if not Path(path).exists()]
MISSING += ["rtpengine"] if RTPENGINE is None else []

MEDIA = range(30_000, 30_100)
"""The ports of rtpengine's."""
LIMIT_S = 20.0

CONFIG = """\
debug=2
log_stderror=yes
fork=yes
children=1
disable_tcp=yes
auto_aliases=no
listen=udp:{host}:{port}
loadmodule "jsonrpcs.so"
loadmodule "ctl.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "xlog.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "dispatcher.so"
loadmodule "rtpengine.so"
modparam("jsonrpcs", "transport", 0)
modparam("ctl", "binrpc", "unix:{folder}/ctl")
modparam("dispatcher", "list_file", "{folder}/dispatcher.list")
modparam("dispatcher", "ds_ping_interval", 1)
modparam("dispatcher", "ds_probing_mode", 1)
modparam("dispatcher", "ds_probing_threshold", 1)
modparam("dispatcher", "ds_inactive_threshold", 1)
modparam("rtpengine", "rtpengine_sock", "udp:127.0.0.1:{ng}")

request_route {{
    xlog("L_NOTICE", "route: $rm from $sp\\n");
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (is_method("CANCEL")) {{
        if (t_check_trans()) {{ rtpengine_delete(); t_relay(); }}
        exit;
    }}
    if (has_totag()) {{
        if (loose_route()) {{
            if (is_method("INVITE")) {{ route(MEDIA); }}
            if (is_method("BYE")) {{ rtpengine_delete(); }}
            t_relay();
        }}
        exit;
    }}
    t_check_trans();
    if (is_method("REGISTER")) {{ save("location"); exit; }}
    if (!is_method("INVITE")) {{ sl_send_reply("405", "Method Not Allowed"); exit; }}
    record_route();
    if ($sp == {server}) {{
        if (!lookup("location")) {{ sl_send_reply("404", "Not Registered"); exit; }}
    }} else if (!ds_select_dst("1", "4")) {{
        sl_send_reply("503", "No Server");
        exit;
    }}
    route(MEDIA);
    t_on_failure("OVER");
    t_relay();
}}

route[MEDIA] {{
    if (!has_body("application/sdp")) {{ return; }}
    if ($sp == {server}) {{
        rtpengine_offer("replace-origin replace-session-connection ICE=remove {to_callers}");
    }} else {{
        rtpengine_offer("replace-origin replace-session-connection ICE=remove {to_server}");
    }}
    t_on_reply("ANSWER");
}}

onreply_route[ANSWER] {{
    if (has_body("application/sdp")) {{ rtpengine_answer("replace-origin replace-session-connection ICE=remove"); }}
}}

failure_route[OVER] {{ rtpengine_delete(); }}
"""


class Kamailio:
    """The two, running. Make it with `kamailio`."""

    def __init__(self, folder: Path, host: str, port: int) -> None:
        self._folder = folder
        self.host, self.port = host, port
        self.log, self.media_log = folder / "kamailio.log", folder / "rtpengine.log"

    def came(self, method: str, port: int) -> bool:
        """A request of this method came from this port."""
        return f"route: {method} from {port}\n" in self.log.read_text()

    async def servers(self) -> str:
        """What it makes of the servers: `AP` (active) or `IP` (not to be used)."""
        text = await self._tells("dispatcher.list")
        return " ".join(line.split()[1] for line in text.splitlines() if "FLAGS:" in line)

    async def until_servers_are(self, state: str) -> None:
        async with asyncio.timeout(LIMIT_S):
            while await self.servers() != state:  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(0.1)

    async def until_registered(self, user: str) -> None:
        async with asyncio.timeout(LIMIT_S):
            while "Address: sip:" not in await self._tells("ul.lookup", "location", user):  # noqa: ASYNC110
                await asyncio.sleep(0.1)

    async def _tells(self, *about: str) -> str:
        process = await asyncio.create_subprocess_exec(
            KAMCMD, "-s", f"unix:{self._folder}/ctl", *about,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        text, _ = await process.communicate()
        return text.decode()


@contextlib.asynccontextmanager
async def kamailio(
    folder: Path, server: int, to_server: str, to_callers: str, host: str = "127.0.0.1", port: int | None = None
) -> AsyncIterator[Kamailio]:
    """The two in front of the server on the UDP port `server`; with the profile that offers get which go to it, and
    those which come from it. The server is not called before it has answered an OPTIONS."""
    proxy, ng = Kamailio(folder, host, port or free_port(socket.SOCK_DGRAM)), free_port(socket.SOCK_DGRAM)
    (folder / "dispatcher.list").write_text(f"1 sip:127.0.0.1:{server} 9\n")  # inactive, and probed
    (folder / "kamailio.cfg").write_text(
        CONFIG.format(
            host=host, port=proxy.port, folder=folder, ng=ng, server=server, to_server=to_server, to_callers=to_callers
        )
    )
    assert RTPENGINE is not None
    relay = [
        *(RTPENGINE, "--config-file=none", "--foreground", "--log-stderr", "--table=-1", "--interface=127.0.0.1"),
        *(f"--listen-ng=127.0.0.1:{ng}", f"--port-min={MEDIA.start}", f"--port-max={MEDIA.stop - 1}"),
        *("--num-threads=2", f"--pidfile={folder}/rtpengine.pid"),
    ]
    route = [KAMAILIO, "-f", folder / "kamailio.cfg", "-DD", "-w", folder, "-Y", folder, "-m", "32", "-M", "8"]
    async with running(relay, proxy.media_log), running(route, proxy.log):
        yield proxy

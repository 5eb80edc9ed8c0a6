"""A network of two ends on this machine, bad in ways that are known: for programs that measure calls and for tests.

The near end is this machine, where the server runs; the far end is a network namespace of its own, where the caller is.
Between them lies one cable, and what it does to packets is Linux's own netem, set apart for each direction in netem's
words (tc-netem(8)). Where this machine's kernel has no netem, a small virtual machine whose kernel does lies in the
cable (`netembox`); pulling the cable and changing addresses need neither.

Namespace, cable and virtual machine hang on processes that the kernel ends with this one, so that nothing is left
behind however it ends. Needs root.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

try:
    from loadtest import netembox
except ModuleNotFoundError:  # a program beside it was started
    import netembox  # type: ignore[no-redef]

T = TypeVar("T")

NOBODY = "02:00:00:00:00:01"
"""A link address that no device has: frames to it reach nobody."""
DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL")


class NetworkError(Exception):
    """There can be no such network here; the text says why in one line."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What one direction of the cable has done since its condition was last set."""

    packets: int
    """Of all kinds that came out at the other end, or wait to."""
    dropped: int


class Cable(Protocol):
    """What lies between the two ends."""

    near: str
    """The device at this end; it is in this machine's own namespace."""
    far: str
    """The device at the other end; whoever made the network brings it there."""

    def netem(self, end: str, words: str) -> None:
        """Let packets that leave for `end` (`near` or `far`) fare as netem's `words` have it; none: all is well."""

    def statistics(self, end: str) -> str:
        """What `tc -s qdisc show` says of that direction."""

    def close(self) -> None: ...


class Network:
    """Two ends and a cable. Make it with `network`."""

    def __init__(self, cable: Cable, holder: int, subnet: str) -> None:
        self.near, self.far = f"{subnet}.1", f"{subnet}.2"
        """Their addresses."""
        self.sources = f"{subnet}.0/24"
        self._cable = cable
        self._holder = holder
        self._subnet = subnet
        self._words = {"near": "", "far": ""}
        self._before = {"near": Carried(0, 0), "far": Carried(0, 0)}

    # --- being at the far end

    def there(self, *command: str) -> list[str]:
        """`command` as it is to be run at the far end."""
        return ["nsenter", f"--net=/proc/{self._holder}/ns/net", "--", *command]

    def in_there(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do `work` at the far end, in an event loop and a thread of its own; answers when it is done."""
        done: list[T] = []
        failed: list[BaseException] = []

        def enter() -> None:
            try:
                _enter(self._holder)
                done.append(asyncio.run(work()))
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=enter, name="far end")
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return done[0]

    # --- what the network does

    def condition(self, to_near: str = "", to_far: str = "") -> None:
        """How packets fare from now on, in netem's words."""
        for end, words in (("near", to_near), ("far", to_far)):
            self._cable.netem(end, words)
            self._words[end] = words
            self._before[end] = self._counted(end)

    def carried(self, end: str) -> Carried:
        """What befell the packets on their way to `end` since `condition`."""
        now, before = self._counted(end), self._before[end]
        return Carried(now.packets - before.packets, now.dropped - before.dropped)

    def stall(self, ms: int = 300) -> None:
        """Nothing gets through for so long, then all of it at once, as when a radio cell is changed; in order but where
        this machine is busy."""
        end = time.monotonic() + ms / 1000
        while (left_ms := int((end - time.monotonic()) * 1000)) > 0:
            for towards in ("near", "far"):
                self._cable.netem(towards, f"delay {left_ms}ms")
            time.sleep(0.004)  # packets lie further apart than two of these
        for towards, words in self._words.items():
            self._cable.netem(towards, words)

    def cut(self) -> None:
        """No packet gets through any more, and nobody is told: it broke somewhere on the way."""
        for run, device, other in self._both():
            run("neigh", "replace", other, "lladdr", NOBODY, "dev", device, "nud", "permanent")

    def mend(self) -> None:
        for run, device, other in self._both():
            run("neigh", "del", other, "dev", device)

    def move(self) -> str:
        """The far end is in another network from now on: it gets another address, and the one it had goes. Which."""
        device, last = self._cable.far, int(self.far.rsplit(".", 1)[1])
        before, self.far = self.far, f"{self._subnet}.{last + 1}"
        self._far_ip("addr", "del", f"{before}/24", "dev", device)
        self._far_ip("addr", "add", f"{self.far}/24", "dev", device)
        self._far_ip("route", "replace", "default", "via", self.near)
        return self.far

    def _both(self) -> list[tuple[Callable[..., None], str, str]]:
        """For each end: `ip` there, its device, and the other end's address."""
        return [(_ip, self._cable.near, self.far), (self._far_ip, self._cable.far, self.near)]

    def _counted(self, end: str) -> Carried:
        said = self._cable.statistics(end)
        found = re.search(r"Sent \d+ bytes (\d+) pkt \(dropped (\d+)", said)
        if found is None:
            raise NetworkError(f"tc tells nothing of packets: {said!r}")
        return Carried(int(found[1]), int(found[2]))

    def _far_ip(self, *words: str) -> None:
        _run(self.there("ip", *words))

    def arrange(self) -> None:
        """Give both ends their addresses."""
        _ip("addr", "add", f"{self.near}/24", "dev", self._cable.near)
        _ip("link", "set", self._cable.near, "up")
        _ip("link", "set", self._cable.far, "netns", str(self._holder))
        self._far_ip("link", "set", "lo", "up")
        self._far_ip("addr", "add", f"{self.far}/24", "dev", self._cable.far)
        self._far_ip("link", "set", self._cable.far, "up")
        self._far_ip("route", "replace", "default", "via", self.near)


class Veth:
    """A pair of virtual devices, with the netem of this machine's kernel at either end."""

    def __init__(self, near: str, far: str, holder: int) -> None:
        self.near, self.far = near, far
        self._there = ["nsenter", f"--net=/proc/{holder}/ns/net", "--"]
        _ip("link", "add", near, "type", "veth", "peer", "name", far)

    def netem(self, end: str, words: str) -> None:
        device, where = self._leaving_for(end)
        _run([*where, "tc", "qdisc", "replace", "dev", device, "root", *(netembox.in_words(words).split())])

    def statistics(self, end: str) -> str:
        device, where = self._leaving_for(end)
        return _run([*where, "tc", "-s", "qdisc", "show", "dev", device])

    def close(self) -> None:
        _ip("link", "del", self.near)

    def _leaving_for(self, end: str) -> tuple[str, Sequence[str]]:
        return (self.near, ()) if end == "far" else (self.far, self._there)


def missing(shaped: bool) -> str | None:
    """Why there can be no network here; None: there can. `shaped`: its cable is to lose and delay packets, too."""
    if os.geteuid() != 0:
        return "needs root for network namespaces"
    lacking = [name for name in ("ip", "nsenter", "setpriv", "unshare") if shutil.which(name) is None]
    if lacking:
        return f"needs {', '.join(lacking)} for network namespaces"
    if subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode != 0:
        return "needs root for network namespaces, and more than this machine grants it"
    if shaped and not has_netem():
        return netembox.missing()
    return None


def has_netem() -> bool:
    """Whether this machine's kernel has netem."""
    tried = ["unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "loss", "1%"]
    return shutil.which("tc") is not None and subprocess.run(tried, capture_output=True, check=False).returncode == 0


@contextlib.contextmanager
def network(shaped: bool = True) -> Iterator[Network]:
    """A network, until the block is left. `shaped`: `condition`, `carried` and `stall` are wanted. Raises
    NetworkError where there can be none."""
    if (why := missing(shaped)) is not None:
        raise NetworkError(why)
    subnet, number = _free_subnet()
    near, far = f"offhook{number}n", f"offhook{number}f"
    # Holds the namespace; asleep for a day at most.
    holder = subprocess.Popen([*DIES_WITH_US, "unshare", "--net", "sleep", "86400"], stdin=subprocess.DEVNULL)
    cable: Cable | None = None
    try:
        _wait_own_namespace(holder)
        cable = netembox.Box(near, far) if shaped and not has_netem() else Veth(near, far, holder.pid)
        made = Network(cable, holder.pid, subnet)
        made.arrange()
        yield made
    finally:
        if cable is not None:
            cable.close()
        holder.kill()
        holder.wait()


def _wait_own_namespace(holder: subprocess.Popen[bytes], limit_s: float = 10.0) -> None:
    end, ours = time.monotonic() + limit_s, os.readlink("/proc/self/ns/net")
    while holder.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{holder.pid}/ns/net") != ours:
                return
        time.sleep(0.01)
    raise NetworkError("needs root for network namespaces: `unshare --net` did not make one")


def _free_subnet() -> tuple[str, int]:
    taken = _run(["ip", "-4", "-o", "addr"])
    for attempt in range(250):
        number = (os.getpid() + attempt) % 250 + 1
        if f"10.213.{number}." not in taken:
            return f"10.213.{number}", number
    raise NetworkError("all of 10.213.0.0/16 is in use")


def _enter(holder: int) -> None:
    """Bring the thread that calls this to the far end (setns(2))."""
    place = os.open(f"/proc/{holder}/ns/net", os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(place, 0) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(place)


def _ip(*words: str) -> None:
    _run(["ip", *words])


def _run(command: Sequence[str]) -> str:
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    if ran.returncode != 0:
        raise NetworkError(f"{' '.join(command)}: {ran.stderr.strip() or ran.returncode}")
    return ran.stdout

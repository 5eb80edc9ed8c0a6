"""A cable with netem in it for machines whose own kernel has none: a virtual machine with two network devices.

It is Debian's kernel for the cloud in QEMU, with no disk and nothing in memory but busybox, tc and a few modules; what
comes in at one device goes out, frame by frame, at the other, through that device's netem. It adds a quarter of a
millisecond. Debian's packages are the source of all of it:

    apt-get install qemu-system-x86 busybox-static iproute2
    python loadtest/netembox.py           fetches the kernel's package and makes build/netembox from it, once
"""

from __future__ import annotations

import contextlib
import gzip
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[1] / "build" / "netembox"
KERNEL, MEMORY = HERE / "vmlinuz", HERE / "initrd.gz"

PACKAGE = "linux-image-cloud-amd64"
MODULES = (
    *("virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci"),
    *("failover", "net_failover", "virtio_net", "sch_netem", "cls_matchall", "act_mirred", "sch_ingress"),
)
"""What is to be loaded, each after those that it needs."""

QEMU = "qemu-system-x86_64"

INIT = """\
#!/bin/busybox sh
/bin/busybox mkdir -p /bin /proc /sys /dev
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for module in {modules}; do insmod /modules/$module.ko; done
for there in "eth0 eth1" "eth1 eth0"; do
	set -- $there
	ip link set $1 promisc on; ip link set $1 up
	/sbin/tc qdisc add dev $1 ingress
	/sbin/tc filter add dev $1 ingress matchall action mirred egress redirect dev $2
done
stty -echo
echo "box ready"
while read -r line; do eval "$line" 2>&1; echo "box done $?"; done
poweroff -f
"""

DEADLINE_S = 60.0


class BoxError(Exception):
    """The virtual machine did not do as it was told; the text holds what it said."""


def in_words(words: str) -> str:
    """A root qdisc in tc's words."""
    return f"netem limit 10000 {words}".strip()


def missing() -> str | None:
    """Why there is no box; None: there is one."""
    if shutil.which(QEMU) is None:
        return "needs netem, which this kernel lacks, or qemu-system-x86 for a box that has it (loadtest/netembox.py)"
    if not KERNEL.exists() or not MEMORY.exists():
        return "needs netem, which this kernel lacks, or a box that has it: python loadtest/netembox.py"
    return None


class Box:
    """The virtual machine as a cable (`network.Cable`): its two devices here are called `near` and `far`."""

    def __init__(self, near: str, far: str) -> None:
        self.near, self.far = near, far
        devices = [
            word
            for number, name in enumerate((near, far))
            for word in (
                *("-netdev", f"tap,id=n{number},ifname={name},script=no,downscript=no"),
                *("-device", f"virtio-net-pci,netdev=n{number},romfile="),
            )
        ]
        self._process = subprocess.Popen(
            [
                *("setpriv", "--pdeathsig", "KILL"),
                *(QEMU, "-M", "pc", "-accel", "tcg", "-nodefaults", "-no-reboot", "-display", "none", "-m", "96"),
                *("-kernel", KERNEL, "-initrd", MEMORY, "-append", "console=ttyS0 quiet panic=-1"),
                *("-serial", "stdio", *devices),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            self._until("box ready")
        except BaseException:
            self.close()
            raise

    def netem(self, end: str, words: str) -> None:
        self._tell(f"/sbin/tc qdisc replace dev {_leaving_for(end)} root {in_words(words)}")

    def statistics(self, end: str) -> str:
        return self._tell(f"/sbin/tc -s qdisc show dev {_leaving_for(end)} root")

    def close(self) -> None:
        """End it; its devices go with it."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()

    def _tell(self, command: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(command.encode() + b"\n")
        self._process.stdin.flush()
        said = self._until("box done ")
        text, _, status = said.rpartition("box done ")
        if status.strip() != "0":
            raise BoxError(f"{command}: {text.strip()}")
        return text

    def _until(self, mark: str) -> str:
        """What it says up to and with the line that begins with `mark`."""
        assert self._process.stdout is not None
        said, end, descriptor = b"", time.monotonic() + DEADLINE_S, self._process.stdout.fileno()
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while not (mark.encode() in said and said.endswith(b"\n")):
                if not selector.select(max(0.0, end - time.monotonic())) or not (more := os.read(descriptor, 4096)):
                    raise BoxError(f"the virtual machine ended or hangs; it said: {said.decode(errors='replace')}")
                said += more
        return said.decode(errors="replace").replace("\r\n", "\n")


def _leaving_for(end: str) -> str:
    """Its device by which packets leave for that end."""
    return "eth0" if end == "near" else "eth1"


# --- making it


def make() -> None:
    """Fetch the kernel's package, and make the two files that QEMU is given. Raises BoxError."""
    busybox, tc = shutil.which("busybox"), shutil.which("tc")
    if busybox is None or tc is None or shutil.which("dpkg") is None:
        raise BoxError("needs Debian's busybox-static and iproute2")
    with tempfile.TemporaryDirectory(prefix="offhook-") as folder:
        unpacked, root = Path(folder) / "package", Path(folder) / "root"
        package = _fetched(Path(folder))
        subprocess.run(["dpkg", "-x", package, unpacked], check=True)
        _fill(root, Path(busybox), Path(tc), unpacked)
        HERE.mkdir(parents=True, exist_ok=True)
        (kernel,) = (unpacked / "boot").glob("vmlinuz-*")
        shutil.copyfile(kernel, KERNEL)
        names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
        packed = subprocess.run(
            [busybox, "cpio", "-o", "-H", "newc"], input=names.encode(), cwd=root, capture_output=True, check=True
        )
        MEMORY.write_bytes(gzip.compress(packed.stdout, 6))


def _fetched(folder: Path) -> Path:
    """The package with the newest kernel that the meta package names."""
    told = subprocess.run(["apt-cache", "depends", PACKAGE], capture_output=True, text=True, check=False).stdout
    names = [line.split()[-1] for line in told.splitlines() if "Depends: linux-image-" in line]
    if not names:
        raise BoxError(f"apt knows no {PACKAGE}: apt-get update, on Debian for amd64")
    os.chmod(folder, 0o755)
    got = subprocess.run(
        ["apt-get", "download", "-qq", names[0]], cwd=folder, capture_output=True, text=True, check=False
    )
    packages = list(folder.glob("linux-image-*.deb"))
    if got.returncode != 0 or not packages:
        raise BoxError(f"apt-get download {names[0]}: {got.stderr.strip()}")
    return packages[0]


def _fill(root: Path, busybox: Path, tc: Path, unpacked: Path) -> None:
    """The virtual machine's whole system."""
    _install(busybox, root / "bin" / "busybox")
    _install(tc, root / "sbin" / "tc")
    for needed in _libraries(tc):
        _install(needed, root / needed.relative_to("/"))
    for table in Path("/usr/lib").glob("*/tc/normal.dist"):  # netem's normal distribution
        _install(table, root / table.relative_to("/"))
    found = {path.stem: path for path in (unpacked / "lib" / "modules").rglob("*.ko")}
    for name in MODULES:
        if name in found:  # else it is a part of the kernel itself
            _install(found[name], root / "modules" / f"{name}.ko")
    init = root / "init"
    init.write_text(INIT.format(modules=" ".join(name for name in MODULES if name in found)), encoding="ascii")
    init.chmod(0o755)


def _libraries(program: Path) -> list[Path]:
    told = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return [Path(word) for line in told.splitlines() for word in line.split() if word.startswith("/")]


def _install(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source.resolve(), target)


if __name__ == "__main__":
    try:
        make()
    except BoxError as error:
        sys.exit(str(error))
    print(f"{KERNEL.parent}: made")

"""The machine the labs run on: running its programs, locking, and what it lacks."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from quoracy.errors import QuoracyError

#: Program -> Debian package that holds it.
PROGRAMS = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "ssh": "openssh-client",
    "ip": "iproute2",
    "tc": "iproute2",
    "nft": "nftables",
    "nsenter": "util-linux",
    "setsid": "util-linux",
    "mount": "mount",
    "umount": "mount",
    "losetup": "mount",
    "mkfs.ext4": "e2fsprogs",
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
}
#: An idle host takes 13 MiB (measured); the rest is room for a member, its database and its cache.
MIB_PER_HOST = 160
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
_LEFT_RUNNING_S = 5.0
_CAP_NET_ADMIN = 12
_CAP_SYS_ADMIN = 21


def environment() -> dict[str, str]:
    """Return the environment for the machine's programs: this process's, plain C, with sbin."""
    path = f"{os.environ.get('PATH', '/usr/bin:/bin')}:{_SBIN}"
    return {**os.environ, "PATH": path, "LC_ALL": "C.UTF-8"}


def run(argv: tuple[str, ...], *, what: str, stdin: bytes = b"", timeout: float = 60.0) -> bytes:
    """Run a program of this machine and return its standard output.

    Raises:
        QuoracyError: It is missing, did not end in `timeout` seconds, or exited non-zero.
    """
    try:
        done = subprocess.run(
            argv, input=stdin, capture_output=True, timeout=timeout, env=environment(), check=False
        )
    except FileNotFoundError as error:
        package = PROGRAMS.get(argv[0], argv[0])
        raise QuoracyError(
            f"{what} needs the program {argv[0]}, which this machine lacks",
            next_step=f"install the Debian package {package}",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise QuoracyError(f"{what} did not end in {timeout:g} s: {' '.join(argv)}") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[-2000:]
        raise QuoracyError(f"{what} failed ({' '.join(argv)}, exit code {done.returncode}): {said}")
    return done.stdout


def until_it_works(take_away: Callable[[], None]) -> None:
    """Call what takes something away until it succeeds, for some seconds.

    What a killed process had begun, such as a mount or the start of a host, comes to its end meanwhile.
    """
    deadline = time.monotonic() + _LEFT_RUNNING_S
    while True:
        try:
            return take_away()
        except (OSError, QuoracyError):
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file; the kernel gives it back when the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def missing(hosts: int = 3) -> list[str]:
    """Say what this machine lacks for a lab of so many hosts; empty when nothing."""
    return [*_missing_rights(), *_missing_programs(), *_missing_kernel(), *_missing_memory(hosts)]


def _missing_rights() -> list[str]:
    if os.geteuid() != 0:
        return ["root: practice hosts need mounts and network namespaces"]
    status = Path("/proc/self/status").read_text()
    effective = int(status.split("CapEff:")[1].split()[0], 16)
    wanted = {"CAP_SYS_ADMIN": _CAP_SYS_ADMIN, "CAP_NET_ADMIN": _CAP_NET_ADMIN}
    return [
        f"{name}: this process is root without it (a container without --privileged?)"
        for name, bit in wanted.items()
        if not effective >> bit & 1
    ]


def _missing_programs() -> list[str]:
    path = environment()["PATH"]
    return [
        f"program {program} (Debian package {package})"
        for program, package in PROGRAMS.items()
        if shutil.which(program, path=path) is None
    ]


def _missing_kernel() -> list[str]:
    lacks = []
    if not Path("/dev/loop-control").exists():
        lacks.append("/dev/loop-control: loop devices, for the disks of the hosts")
    if " - cgroup2 " not in Path("/proc/self/mountinfo").read_text():
        lacks.append("a mounted cgroup2 file system, alone or beside version 1")
    return lacks


def _missing_memory(hosts: int) -> list[str]:
    info = Path("/proc/meminfo").read_text()
    available = int(info.split("MemAvailable:")[1].split()[0]) // 1024
    needed = hosts * MIB_PER_HOST
    if available >= needed:
        return []
    return [f"memory: {hosts} hosts need {needed} MiB, {available} MiB are available"]

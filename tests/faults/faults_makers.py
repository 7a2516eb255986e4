"""The faults: how each is made at a host or at the controller, how long it lasts, how it is taken back."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.lab import Lab
from lab.machine import run
from tests.faults.faults_rig import Rig

SSH_PORT = 22
STEPS = (
    "take-snapshot",
    "install-release",
    "stage-generation",
    "stop-member",
    "switch-generation",
    "start-member",
    "await-member",
)
_TMPFS = "size=24m,mode=0700"


@dataclass(frozen=True, slots=True)
class HostFault:
    """A fault of one host.

    Attributes:
        lasts_s: Seconds until it is taken back while the operation goes on; None: when it has ended.
    """

    name: str
    make: Callable[[Lab, str], None]
    lasts_s: float | None
    take_back: Callable[[Lab, str], None]


def _die(lab: Lab, host: str) -> None:
    """Silently, as by a power cut: nobody gets the last packets that a dying system sends."""
    lab.cut(host)
    lab.power_off(host)


def _power_on(lab: Lab, host: str) -> None:
    lab.heal(host)
    lab.power_on(host)
    lab.wait_for_ssh(host)


def _slow(lab: Lab, host: str) -> None:
    lab.slow(host, "4mbit")


def _cut_ssh(lab: Lab, host: str) -> None:
    lab.cut_port(host, SSH_PORT)


DIES = HostFault("host dies; back after the run", _die, None, _power_on)
CUT = HostFault("host loses its network; back after the run", Lab.cut, None, Lab.heal)
HOST_FAULTS = (
    DIES,
    HostFault("host pauses for 5 s", Lab.pause, 5.0, Lab.resume),
    HostFault("host pauses; goes on after the run", Lab.pause, None, Lab.resume),
    HostFault("host loses its network for 5 s", Lab.cut, 5.0, Lab.heal),
    CUT,
    HostFault("host's disk is full; freed after the run", Lab.fill_disk, None, Lab.free_disk),
    HostFault("host's network slows down to 4 Mbit/s", _slow, None, Lab.heal),
    HostFault("SSH cut in the middle of the script; back after the run", _cut_ssh, None, Lab.heal),
)
#: Made at a host that is not worked on; only five members can bear it.
BYSTANDER_FAULTS = (DIES, CUT)


@contextmanager
def small_disk(directory: Path) -> Iterator[None]:
    """Keep a directory on a file system of 24 MiB of its own while the block runs."""
    kept = directory.with_name(f"{directory.name}-kept")
    directory.mkdir(exist_ok=True)
    shutil.copytree(directory, kept)
    run(("mount", "-t", "tmpfs", "-o", _TMPFS, "quoracy-faults", str(directory)), what="mounting")
    try:
        shutil.copytree(kept, directory, dirs_exist_ok=True)
        yield
        shutil.rmtree(kept)
        shutil.copytree(directory, kept)
    finally:
        run(("umount", "--lazy", str(directory)), what="unmounting")
        shutil.copytree(kept, directory, dirs_exist_ok=True)
        shutil.rmtree(kept)


@contextmanager
def full(directory: Path) -> Iterator[None]:
    """Fill the file system of a directory to the last byte while the block runs."""
    filling = directory / "filling"
    with filling.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(64 * 1024))
    with filling.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0")
    try:
        yield
    finally:
        filling.unlink()


@contextmanager
def locked_database(rig: Rig) -> Iterator[None]:
    """Hold the database's write lock, as a program that hangs in a transaction does."""
    connection = sqlite3.connect(rig.home.path / "quoracy.db", isolation_level=None, timeout=60)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.rollback()
        connection.close()


def other_controller(rig: Rig, name: str) -> Path:
    """A second controller's home: the same cluster and CA, a database of its own without operations."""
    home = rig.place / name
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(rig.home.path, home, ignore=shutil.ignore_patterns("quoracy.db*"))
    source = sqlite3.connect(rig.home.path / "quoracy.db")
    copy = sqlite3.connect(home / "quoracy.db")
    source.backup(copy)
    for table in ("steps", "operations", "leases"):
        copy.execute(f"DELETE FROM {table}")
    copy.commit()
    source.close()
    copy.close()
    return home


def age_claim(rig: Rig, seconds: int) -> None:
    """Make the claim older, in the lease's row and on every host, as if so much time had passed.

    Under the host's lock: a script that still runs there notes the time once more at its end.
    """
    state = f"/var/lib/quoracy/{rig.name}"
    older = (
        f"read -r holder number at < {state}/fence; "
        f'echo "$holder $number $((at - {seconds}))" > {state}/fence.old; '
        f"mv {state}/fence.old {state}/fence"
    )
    rig.everywhere(f"flock {state}/lock sh -ec {shlex.quote(older)}")
    database = sqlite3.connect(rig.home.path / "quoracy.db", timeout=60)
    database.execute(
        "UPDATE leases SET heartbeat_at = strftime('%Y-%m-%d %H:%M:%f', heartbeat_at, ?)",
        (f"-{seconds} seconds",),
    )
    database.commit()
    database.close()

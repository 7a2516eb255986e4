"""Start and stop the containers that are the practice hosts; find the processes of one.

Each host has a cgroup of its own (`quoracy/HOST`) from before its first process on. Without that
all hosts would meet in one `payload` cgroup, and stopping a unit on one host would kill the unit of
that name on all: systemd-nspawn --keep-unit takes the cgroup it is started in.
"""

from __future__ import annotations

import time
from pathlib import Path

from lab.machine import run
from quoracy.errors import QuoracyError

#: Seconds a killed host may take until its last process is gone.
_DEATH_SECONDS = 10.0
#: Seconds a container may take until its init runs.
_BIRTH_SECONDS = 30.0
_POLL_SECONDS = 0.02

#: Joins the cgroups given before `--` itself, so that every process of the host is born in them.
#: systemd-nspawn --keep-unit ends with 133 when the host reboots itself (systemd-nspawn(1)).
_SUPERVISE = """\
console=$1; shift
while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs"; shift; done
shift
exec setsid --fork sh -c 'while :; do "$@"; [ $? -eq 133 ] || exit; done' sh "$@" \\
  < /dev/null >> "$console" 2>&1
"""


def _mount_points(kind: str, option: str = "") -> list[Path]:
    """Return where file systems of a kind are mounted; `option` must be a super option of them."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, after = line.split(" - ", 1)
        file_system, _, options = after.split(" ", 2)
        if file_system == kind and (not option or option in options.split(",")):
            found.append(Path(before.split()[4]))
    return found


def cgroup(host: str) -> Path:
    """Return the version 2 cgroup of a host; it alone can freeze and kill all processes at once.

    Raises:
        QuoracyError: This machine has no cgroup version 2.
    """
    roots = _mount_points("cgroup2")
    if not roots:
        raise QuoracyError("this machine has no cgroup2 file system mounted")
    return roots[0] / "quoracy" / host


def _cgroups(host: str) -> list[Path]:
    """Return all cgroups that a host's systemd builds on: version 2, and version 1's named one."""
    named = _mount_points("cgroup", "name=systemd")
    return [cgroup(host), *(place / "quoracy" / host for place in named)]


def start(host: str, root: Path, namespace: str, console: Path) -> None:
    """Boot a host and return once its init runs.

    Raises:
        QuoracyError: The container ended before that; the console says why.
    """
    groups = _cgroups(host)
    for group in groups:
        group.mkdir(parents=True, exist_ok=True)
    # A host that lost its power while paused would boot paused.
    (cgroup(host) / "cgroup.freeze").write_text("0")
    nspawn = (
        # /tmp on the host's disk, as on a server, and not in the memory of the machine.
        *("env", "SYSTEMD_NSPAWN_TMPFS_TMP=0"),
        *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot"),
        *(
            f"--directory={root}",
            f"--machine={host}",
            f"--network-namespace-path=/run/netns/{namespace}",
        ),
        *("--console=read-only", "--link-journal=no", "--resolv-conf=off", "--timezone=off"),
    )
    command = ("sh", "-ec", _SUPERVISE, "sh", str(console), *map(str, groups), "--", *nspawn)
    run(command, what=f"starting {host}")
    _wait_for_init(host, console)


def _wait_for_init(host: str, console: Path) -> None:
    deadline = time.monotonic() + _BIRTH_SECONDS
    while leader(host) is None:
        if not is_populated(host) or time.monotonic() > deadline:
            kill(host)
            tail = console.read_text(errors="replace")[-1000:]
            raise QuoracyError(f"the container did not start: {tail}", where=host)
        time.sleep(_POLL_SECONDS)


def leader(host: str) -> int | None:
    """Return the process id, on this machine, of the host's init; None when it is off.

    Asked every time, as a host that reboots itself gets another one.
    """
    payload = cgroup(host) / "payload"
    for group in (payload / "init.scope", payload):
        for pid in _processes(group):
            if _is_init(pid):
                return pid
    return None


def _processes(group: Path) -> list[int]:
    try:
        return [int(pid) for pid in (group / "cgroup.procs").read_text().split()]
    except OSError:
        return []  # not there, or removed while it was read: no processes either way


def _is_init(pid: int) -> bool:
    """Say whether a process is number 1 of a PID namespace below ours and already runs systemd."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    numbers = status.split("NSpid:")[1].split("\n")[0].split()
    return len(numbers) > 1 and numbers[-1] == "1" and status.startswith("Name:\tsystemd\n")


def is_populated(host: str) -> bool:
    """Say whether the host has any process, its supervisor on this machine included."""
    return _event(host, "populated")


def is_frozen(host: str) -> bool:
    """Say whether the host is paused."""
    return _event(host, "frozen")


def _event(host: str, name: str) -> bool:
    try:
        events = (cgroup(host) / "cgroup.events").read_text()
    except OSError:
        return False
    return f"{name} 1" in events.splitlines()


def freeze(host: str, frozen: bool) -> None:
    """Stop or continue all processes of a host at once, and return when they have."""
    if not is_populated(host):
        return
    (cgroup(host) / "cgroup.freeze").write_text("1" if frozen else "0")
    _wait_until(host, "frozen", frozen)


def kill(host: str) -> None:
    """Kill all processes of a host at once, as a power cut does, and return when they are gone."""
    if is_populated(host):
        (cgroup(host) / "cgroup.kill").write_text("1")
        _wait_until(host, "populated", False)


def _wait_until(host: str, event: str, state: bool) -> None:
    deadline = time.monotonic() + _DEATH_SECONDS
    while _event(host, event) is not state:
        if time.monotonic() > deadline:
            raise QuoracyError(f"the host is still not {event}={state:d}", where=host)
        time.sleep(_POLL_SECONDS)


def forget(host: str) -> None:
    """Remove the cgroups of a host that is off, and what systemd-nspawn left of it."""
    for top in _cgroups(host):
        for group in sorted(top.glob("**/"), key=lambda path: len(path.parts), reverse=True):
            group.rmdir()
    left = Path("/run/systemd/nspawn/propagate") / host
    if left.is_dir():
        left.rmdir()

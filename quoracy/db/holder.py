"""Which process holds a lease, and whether it still lives."""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import socket
from dataclasses import dataclass
from pathlib import Path

from quoracy.errors import UsageError

_PROC = Path("/proc")
_NO_LOGIN = 2**32 - 1
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9._@:-]")


@dataclass(frozen=True, slots=True)
class Holder:
    """One process, told from all others on all machines and boots.

    Args:
        id: For people and for the hosts' locks: user@host:pid:digest. It goes into scripts and
            files of words, so it holds nothing but letters, digits and ._@:-
        machine: Host name and PID namespace: containers of one machine share its boot, but a
            process ID means something else in each.
        boot_id: The kernel's random name of this boot.
        pid: Process ID in its own PID namespace.
        process_started: Clock ticks from boot to its start; tells it from a later process of
            the same ID (proc(5), /proc/pid/stat, field 22).
    """

    id: str
    machine: str
    boot_id: str
    pid: int
    process_started: int


def this_process() -> Holder:
    """Describe the calling process."""
    pid = os.getpid()
    try:
        boot_id = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        machine = f"{socket.gethostname()} {os.readlink(_PROC / 'self/ns/pid')}"  # noqa: PTH115
        started = _read_start(pid)
    except OSError as error:
        raise UsageError(
            f"this process cannot be told from others: {error}",
            next_step="run Quoracy on Linux, with /proc mounted",
        ) from error
    digest = hashlib.sha256(f"{boot_id} {machine} {pid} {started}".encode()).hexdigest()[:8]
    return Holder(
        id=_NOT_PLAIN.sub("_", f"{user_name()}@{socket.gethostname()}:{pid}:{digest}"),
        machine=machine,
        boot_id=boot_id,
        pid=pid,
        process_started=started,
    )


def is_gone(holder: Holder, here: Holder) -> bool:
    """Tell whether a process has certainly ended; of another machine or boot it is never certain."""
    if (holder.boot_id, holder.machine) != (here.boot_id, here.machine):
        return False
    try:
        # Not /proc: mounted with hidepid, it hides the living processes of other users.
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # it lives, and belongs to another user
    try:
        return _read_start(holder.pid) != holder.process_started
    except OSError:
        return False  # it cannot be seen, so it may live


def _read_start(pid: int) -> int:
    """Return when a process started; 0 when it has ended and its parent has not noticed yet."""
    text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    # The name before the last parenthesis may hold anything, spaces and parentheses included.
    fields = text.rpartition(")")[2].split()
    state, started = fields[0], int(fields[19])
    return 0 if state in ("Z", "X") else started


def user_name() -> str:
    """Return the login of this process; its number where it has no name, as in containers."""
    return _name_of(os.getuid())


def asking_user(loginuid: Path = _PROC / "self/loginuid") -> str:
    """Return who is at this terminal, for the journal: who has logged in, also behind sudo and su.

    The kernel keeps that number through both (proc(5)), and not everywhere: else it is the process's
    own user. Never a variable of the environment, which says whatever its user wants.
    """
    try:
        uid = int(loginuid.read_text())
    except (OSError, ValueError):
        return user_name()
    return user_name() if uid == _NO_LOGIN else _name_of(uid)


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)

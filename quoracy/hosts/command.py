"""How a script is put to a host: the command line around it, and what its exit code means."""

from __future__ import annotations

import math
import shlex

from quoracy.errors import CommandFailed, CommandTimeout, RemoteError
from quoracy.hosts.host import Result
from quoracy.hosts.limits import MIB

KILL_AFTER_SECONDS = 5
KILLED_BY_SIGNAL = -1
"""Stands for the exit code of a command that has none, since a signal ended it."""

TIMEOUT_EXIT_CODES = frozenset({124, 137, KILLED_BY_SIGNAL})
"""coreutils' `timeout` ends with 124 after SIGTERM. Its SIGKILL goes to its process group, so to itself: no exit
code, or 137 when a shell or sudo above it tells."""

LONGEST_ARGUMENT = 100_000
"""Bytes, with quotes. Linux takes 128 KiB (execve(2), MAX_ARG_STRLEN); the login shell gets the whole line as one."""


def command_line(user: str, timeout: float, *argv: str) -> str:
    """Quote a command for the login shell, run as root under a time limit of whole seconds.

    `timeout` runs inside sudo: as the login it could not kill what runs as root. It puts the command
    in a process group of its own and signals the group, so children die with the script.
    """
    become_root = () if user == "root" else ("sudo", "-n")
    limit = ("timeout", "-k", str(KILL_AFTER_SECONDS), str(whole_seconds(timeout)))
    return shlex.join((*become_root, *limit, *argv))


def whole_seconds(timeout: float) -> int:
    """Round a time limit up to at least one second: a limit of 0 means none to `timeout`."""
    return max(1, math.ceil(timeout))


def guarded(script: str) -> bytes:
    """Wrap a script so that `sh -s` runs all of it or nothing, and its commands read /dev/null.

    A shell executes a brace group only once it has read the closing brace, which comes last: when the
    connection is cut during the upload, what arrived is a syntax error. The leading `:` keeps
    an empty script valid; the line break keeps a final comment from hiding the brace.
    """
    return b"{ :\n" + script.encode() + b"\n} </dev/null\n"


def reading(script: str) -> tuple[tuple[str, ...], bytes]:
    """How a shell gets a script that reads standard input: its argv, and what goes before that input.

    A long script comes first on standard input. GNU head takes no byte more than it is told to; of one that
    was cut off nothing is run, see `guarded`.
    """
    if len(shlex.quote(script).encode()) <= LONGEST_ARGUMENT:
        return ("sh", "-c", script), b""
    text = b"{ :\n" + script.encode() + b"\n}\n"
    return ("sh", "-c", f'eval "$(head -c {len(text)})"'), text


def too_long(what: str, where: str, limit: int) -> RemoteError:
    """The error that tells of a script that printed more than it may; it was not read any further."""
    return RemoteError(
        f"{what}: it printed more than {limit // MIB} MiB, and was not read on; how it ended is unknown",
        where=where,
        next_step="look at what the host prints without end, and run the operation again",
    )


def judged(
    result: Result, *, what: str, where: str, timeout: float, elapsed: float, check: bool
) -> Result:
    """Return the result of a command, or raise what its exit code means.

    Args:
        result: What the command left behind.
        what: What it was for.
        where: The host's name.
        timeout: The limit it was given, in seconds.
        elapsed: Seconds it took as seen from the controller. A script can end in these ways by itself (an inner
            `timeout`, the kernel out of memory); only one that took the whole limit was stopped by it.
        check: Whether a non-zero exit code is an error.

    Raises:
        CommandTimeout: The host stopped the command at its limit.
        CommandFailed: The exit code is not zero and `check` is set.
    """
    # A tolerance for the two machines' clocks running at slightly different rates.
    took_the_limit = elapsed >= 0.95 * whole_seconds(timeout)
    if result.exit_code in TIMEOUT_EXIT_CODES and took_the_limit:
        raise CommandTimeout(
            f"{what} did not end within {whole_seconds(timeout)} s and was stopped",
            where=where,
            next_step="look at the host's load and logs, then run the operation again",
        )
    if check and result.exit_code != 0:
        stderr = result.stderr.decode(errors="replace")
        raise CommandFailed(what, where=where, exit_code_remote=result.exit_code, stderr=stderr)
    return result

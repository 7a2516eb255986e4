"""How something runs on a host that is not trusted with root: builds, hooks, installers. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping

from quoracy.hosts.script import Argv

KILL_AFTER_S = 5
PATH = "/usr/local/bin:/usr/bin:/bin"
# SIGKILL at once for what is left: were it asked to end and did not, the unit would count as failed,
# whatever the command itself said (systemd.kill(5)).
_TRANSIENT = (
    *("systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--same-dir"),
    "--property=KillSignal=SIGKILL",
)


def as_user(user: str, *argv: str) -> str:
    """Fragment that runs a command as the user, with no way back to root."""
    return f"{_become(user)} -- {shlex.join(argv)}"


def in_sandbox(
    user: str,
    directory: str,
    argv: Argv,
    timeout_s: int,
    *,
    what: str,
    variables: Mapping[str, str] | None = None,
    stdin: str = "/dev/null",
) -> str:
    """Fragment that runs a command as the user, with a home of its own, until a time limit.

    Both streams go to standard output. It runs in a transient unit: nothing of the script's environment
    is passed on, and when the command has ended systemd kills whatever it has left running, which could
    otherwise hold the streams open or write to a release.

    Args:
        what: The command in words, for the message when the time is over.
        variables: Added to its environment; they stand on the command line, so no secrets.
        stdin: A file, opened before root is given up.
    """
    words = _kept_whole(argv)
    told = _kept_whole(f"{name}={value}" for name, value in (variables or {}).items())
    over = shlex.quote(f"{what} did not end within {timeout_s} s and was stopped")
    unit = shlex.join((*_TRANSIENT, f"--description=Quoracy: {what}", "--"))
    return f"""code=0
(
    home=$(mktemp -d /tmp/quoracy.XXXXXX) && trap 'rm -rf "$home"' EXIT && chown {user}: "$home" \\
    && cd {shlex.quote(directory)} \\
    && {unit} \\
        timeout --foreground -k {KILL_AFTER_S} {timeout_s} {_become(user)} -- \\
        env -i HOME="$home" PATH={PATH} LANG=C.UTF-8 {told} {words}
) < {shlex.quote(stdin)} 2>&1 || code=$?
case $code in 0) ;; 124|137) echo {over}; exit $code ;; *) exit $code ;; esac"""


def _kept_whole(words: Iterable[str]) -> str:
    """Quoted for the shell and for systemd, which replaces $NAME in a unit's command (systemd.service(5))."""
    return shlex.join(word.replace("$", "$$") for word in words)


def _become(user: str) -> str:
    name = shlex.quote(user)
    return f'setpriv --reuid={name} --regid="$(id -g {name})" --init-groups --no-new-privs'

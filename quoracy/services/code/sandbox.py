"""What builds and installs on the controller runs behind a wall: as nobody, in a copy, for as long as it takes.

It is code of others. It sees the system and its own place; neither the user's home with its keys, nor
Quoracy's with its certificate authorities, nor what other programs listen at in /run. It writes to nothing
but its place and what is kept for the next build of the same service. The network is open to it.

bubblewrap makes the wall. Root makes it without user namespaces and becomes a user that owns nothing; any
other user stays itself, in a user namespace, without what is its own.
"""

from __future__ import annotations

import json
import os
import pwd
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from quoracy.errors import UsageError
from quoracy.services.code.tools import program

# Of no user and of no service: between systemd's dynamic users and nobody (systemd.io/UIDS-GIDS).
BUILDER = 65527
_TEMPORARY = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108  of the build's own
# Where /etc/resolv.conf may lead.
_RESOLVERS = ("/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager")
_APART = ("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--die-with-parent")
_DROP = ("--clear-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all")
_END_S = 10


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The wall around one build.

    Attributes:
        place: Its own directory: the copy, a home, temporary files.
        cache: What is kept for the next build of the same service.
        private: Quoracy's own directory.
    """

    place: Path
    cache: Path
    private: Path

    def command(self, argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> tuple[str, ...]:
        """The command line that runs a program behind the wall.

        Raises:
            UsageError: There is no bubblewrap.
        """
        hidden, own = _hidden(), (self.place, self.cache)
        walls = [program("bwrap"), "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
        walls += ["--perms", "1777", "--tmpfs", "/dev/shm"]  # noqa: S108  as /dev has it
        for place in hidden:
            mode = "1777" if place in _TEMPORARY else "0755"
            walls += ["--perms", mode, "--tmpfs", str(place)]
        for place in _seen(env, hidden):
            walls += [*_parents(place, hidden), "--ro-bind", str(place), str(place)]
        for resolver in _RESOLVERS:
            walls += ["--ro-bind-try", resolver, resolver]
        walls += [*_parents(self.private, hidden), "--perms", "0755", "--tmpfs", str(self.private)]
        for place in own:
            walls += [*_parents(place, (*hidden, self.private)), "--bind", str(place), str(place)]
        walls += ["--setenv", "TMPDIR", str(self.temporary), "--chdir", str(cwd), *_APART]
        walls += ["--", *_builder()] if _is_root() else ["--unshare-user", "--"]
        return (*walls, *argv)

    @contextmanager
    def handed_over(self) -> Iterator[None]:
        """The place belongs to what runs there while the block runs, and to nobody else before and afterwards."""
        if not _is_root():
            yield
            return
        _give(self.place, BUILDER)
        try:
            yield
        finally:
            _give(self.place, os.geteuid())

    @property
    def temporary(self) -> Path:
        """What becomes large lies on disk, and not in /tmp, which is memory there."""
        return self.place / "tmp"


class Inside:
    """What runs behind the wall, until all of it has ended."""

    def __init__(self, told: int) -> None:
        """Hear from bubblewrap which process is the first behind the wall; it says nothing when it fails."""
        with os.fdopen(told, "rb") as pipe:
            first = pipe.read()
        self._process = None
        if first:
            with suppress(ProcessLookupError):  # it has ended, and all others with it
                self._process = os.pidfd_open(json.loads(first)["child-pid"])

    def end(self) -> None:
        """Kill what is left; afterwards nothing there runs any more, and what it has made stays as it is.

        The kernel lets the first process of a PID namespace end when it has ended all others.
        """
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._process, signal.SIGKILL)
        ended = select.poll()
        ended.register(self._process, select.POLLIN)
        ended.poll(_END_S * 1000)
        os.close(self._process)


@contextmanager
def sandbox(place: Path, private: Path, service: str) -> Iterator[Sandbox]:
    """A wall around a directory, for what the block runs.

    Args:
        place: Of the caller's own; what is in it may be changed.
        private: Quoracy's own directory.
        service: Whose cache is used, below `builds` there.

    Raises:
        UsageError: No wall can be made here.
    """
    cache = private / "builds" / service
    cache.mkdir(mode=0o755, parents=True, exist_ok=True)
    made = Sandbox(place.resolve(), cache.resolve(), private.resolve())
    made.temporary.mkdir(mode=0o1777, exist_ok=True)
    made.temporary.chmod(0o1777)
    if _is_root():
        os.chown(made.cache, BUILDER, BUILDER)
    _try(made)
    yield made


def require_sandbox(private: Path, service: str) -> None:
    """Refuse what would have to run behind a wall when none can be made here.

    Raises:
        UsageError: It says what else there is.
    """
    with (
        TemporaryDirectory(prefix="quoracy-build-") as place,
        sandbox(Path(place), private, service),
    ):
        pass


def _try(made: Sandbox) -> None:
    env = {"PATH": os.defpath}
    trial = made.command(("true",), Path("/"), env)
    done = subprocess.run(
        trial, env=env, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        said = done.stderr.strip().partition("\n")[0] or f"exit code {done.returncode}"
        raise UsageError(
            f"this machine makes no wall around builds and installations: {said}",
            next_step="allow user namespaces here or run Quoracy as root, or let the host do it: "
            "redeploy.build_on: host and redeploy.dependencies_on: host",
        )


def _hidden() -> tuple[Path, ...]:
    """Directories that are empty behind the wall, but for what is named."""
    homes = (Path.home(), Path(pwd.getpwuid(os.geteuid()).pw_dir))
    found = dict.fromkeys(_existing((*homes, *_TEMPORARY, Path("/run"))))
    return tuple(one for one in found if not any(outer in one.parents for outer in found))


def _seen(env: Mapping[str, str], hidden: Sequence[Path]) -> Iterator[Path]:
    """What of the hidden directories programs need: they themselves, and what a variable names."""
    places = [Path(sys.prefix), Path(sys.base_prefix)]
    places += [_prefix(Path(one)) for one in env.get("PATH", "").split(os.pathsep) if one]
    places += [
        Path(value) for name, value in env.items() if name != "PATH" and value.startswith("/")
    ]
    seen = dict.fromkeys(_existing(places))
    # An outer one first: it would lie over what is in it.
    for path in sorted(seen, key=lambda one: len(one.parts)):
        if any(path.is_relative_to(one) for one in hidden):
            yield path


def _prefix(programs: Path) -> Path:
    """What belongs to programs in a directory: all that was installed with them, but never a home."""
    above = programs.parent
    home = Path.home()
    own = programs.name in ("bin", "sbin") and above not in (home, home / ".local")
    return above if own else programs


def _existing(paths: Sequence[Path]) -> Iterator[Path]:
    """Those that are there, by their own names; the root of all is none of them."""
    for path in paths:
        real = Path(os.path.realpath(path))
        if real != Path("/") and os.path.lexists(real):
            yield real


def _parents(path: Path, hidden: Sequence[Path]) -> tuple[str, ...]:
    """Make the directories above a path that lies in hidden ones, so that it can be reached."""
    below = [
        one
        for one in reversed(path.parents)
        if one not in hidden and any(one.is_relative_to(each) for each in hidden)
    ]
    return tuple(word for one in below for word in ("--perms", "0755", "--dir", str(one)))


def _builder() -> tuple[str, ...]:
    return (program("setpriv"), f"--reuid={BUILDER}", f"--regid={BUILDER}", *_DROP, "--")


def _is_root() -> bool:
    return os.geteuid() == 0


def _give(place: Path, owner: int) -> None:
    """Let everything in a directory be a user's; links themselves, not where they lead."""
    os.chown(place, owner, owner)
    for directory, directories, files in os.walk(place):
        for name in (*directories, *files):
            os.lchown(os.path.join(directory, name), owner, owner)  # noqa: PTH118  names may be any bytes

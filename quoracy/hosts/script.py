"""argv tuples to shell text: the one place where quoting happens on the way to a host. Pure."""

from __future__ import annotations

import base64
import shlex
import textwrap

Argv = tuple[str, ...]


def script(*parts: Argv | str) -> str:
    """A POSIX shell script that stops at the first failing part.

    Args:
        parts: argv tuples, quoted here, or fragments of shell made by this package.
    """
    lines = ["set -eu"]
    lines += [part if isinstance(part, str) else shlex.join(part) for part in parts]
    return "\n".join(lines) + "\n"


def write_file(path: str, content: bytes, *, mode: str, owner: str = "root:root") -> str:
    """Fragment that replaces a file as a whole: temporary name, fsync, rename.

    The content travels inside the script, which goes through standard input, so it may be secret.
    """
    temporary = shlex.quote(f"{path}.quoracy-new")
    encoded = "\n".join(textwrap.wrap(base64.b64encode(content).decode(), 76))
    return "\n".join(
        (
            f"(umask 077; base64 -d > {temporary} <<'QUORACY_END'",
            encoded,
            "QUORACY_END",
            ")",
            f"chown {owner} {temporary}",
            f"chmod {mode} {temporary}",
            f"sync {temporary}",
            f"mv -f -T {temporary} {shlex.quote(path)}",
        )
    )


def link(target: str, path: str) -> str:
    """Fragment that points a symbolic link elsewhere atomically (rename of a temporary link)."""
    temporary = shlex.quote(f"{path}.quoracy-new")
    return (
        f"ln -s -f -n {shlex.quote(target)} {temporary}\nmv -f -T {temporary} {shlex.quote(path)}"
    )

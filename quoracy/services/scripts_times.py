"""How files of a release that exists get other times, and its manifest says so. Pure."""

from __future__ import annotations

import base64
import shlex
import textwrap
from collections.abc import Iterable, Mapping

from quoracy.hosts.script import write_file
from quoracy.services.layout import release_path
from quoracy.services.manifest import Manifest
from quoracy.services.spec import Service


def touched(
    service: Service, release: str, changed: Mapping[int, list[str]], manifest: Manifest
) -> str:
    """Fragment that sets the times of some files.

    The inodes are shared with older releases that have the same file, and not with what serves.

    Args:
        changed: Paths by their new time.
        manifest: What the release is made of, with all its times.
    """
    path = release_path(service, release)
    parts = [_set(path, time, paths) for time, paths in changed.items()]
    parts.append(write_file(f"{path}/.quoracy/manifest", manifest.recorded.encode(), mode="0600"))
    return "\n".join(parts)


def all_touched(service: Service, release: str, time: int) -> str:
    """Fragment that gives all files of a release one time: nobody knows what they were made of."""
    return touch_all(release_path(service, release), time)


def touch_all(directory: str, time: int) -> str:
    """The same for a directory, whatever lies in it."""
    return shlex.join(
        ("find", directory, "-type", "f", "-exec", "touch", "-h", "-c", "-d", f"@{time}", "{}", "+")
    )


def _set(path: str, time: int, paths: Iterable[str]) -> str:
    names = b"".join(one.encode("utf-8", "surrogateescape") + b"\0" for one in paths)
    encoded = "\n".join(textwrap.wrap(base64.b64encode(names).decode(), 76))
    return (
        f"base64 -d <<'QUORACY_END' | (cd {path} && xargs -0 touch -h -c -d @{time} --)\n"
        f"{encoded}\nQUORACY_END"
    )

"""Which projects runs that come through Prefect's API may use: they are built and shipped as the runner's user.

Whoever may start runs may name any directory as `project`. So the owner of the controller lists those that
count, and nobody else may be able to put something in their place.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from quoracy.errors import Refused
from quoracy.home import Home
from quoracy.services.code.ignore import Ignore
from quoracy.services.code.scan import walk
from quoracy.services.project import LoadedService, project_root
from quoracy.specs.document import printed

_ROOT = 0
_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def require_listed(home: Home, project: str) -> None:
    """Refuse a project that the controller's config.toml does not list.

    Raises:
        Refused: It says what to add where.
    """
    if project_root(Path(project)) not in {project_root(one) for one in home.projects}:
        shown = printed(project)[:200]
        raise Refused(
            f"the project {shown} is none that a run through Prefect may use",
            where=str(home.config),
            next_step=f'if it may be built and shipped from here, add it there: projects = ["{shown}"]; '
            "what a terminal's --project names needs no entry",
        )


def require_own(loaded: LoadedService) -> None:
    """Refuse a service whose config or code somebody else could have put there.

    Raises:
        Refused: A directory on the way, or something in the code, belongs to another user, or others may
            write to it.
    """
    for path in (loaded.project, loaded.config, loaded.source):
        # As it is named and as it is found: links on the way count as well.
        for named in (path, Path(os.path.realpath(path))):
            for place in filter(os.path.lexists, (named, *named.parents)):
                _require_own(place, leaf=place == named)
    for place in _code(Path(os.path.realpath(loaded.source))):
        _require_own(place, leaf=True)


def _code(source: Path) -> Iterator[Path]:
    """What of the code may be shipped, and the directories that it lies in."""
    if not source.is_dir():
        return
    directories: set[bytes] = set()
    for found in walk(os.fsencode(source), Ignore.of(source)):
        above = found.path.rpartition(b"/")[0]
        while above and above not in directories:
            directories.add(above)
            yield source / os.fsdecode(above)
            above = above.rpartition(b"/")[0]
        yield source / os.fsdecode(found.path)


def _require_own(place: Path, *, leaf: bool) -> None:
    problem = next(_problems(place.lstat(), leaf=leaf), None)
    if problem:
        raise Refused(
            f"{problem}, so it is not certain whose code this is",
            where=str(place),
            next_step=f"let it belong to {_user(os.geteuid())}, who runs this, and be writable by nobody "
            "else, or run the command without --submit",
        )


def _problems(found: os.stat_result, *, leaf: bool) -> Iterator[str]:
    if found.st_uid not in (_ROOT, os.geteuid()):
        yield f"it belongs to {_user(found.st_uid)}"
    # In /tmp nobody takes away what is another's.
    kept = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX and not leaf
    if found.st_mode & _OTHERS and not stat.S_ISLNK(found.st_mode) and not kept:
        yield f"others may write to it (mode {stat.S_IMODE(found.st_mode):04o})"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"

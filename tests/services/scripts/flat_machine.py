"""A service of the original's layout on a host in a directory of the test."""

from __future__ import annotations

import os
import pwd

from quoracy.services.facts import ReleaseFacts, record_of
from tests.services.scripts.service_machine import USER, Machine, web

FLAT = record_of(ReleaseFacts("flat", "", "", "", "", 0, "op", "flat directory"))
NOBODY = pwd.getpwnam(USER)
UNIT = "[Service]\nWorkingDirectory=/opt/web\n"
SERVICE = web(redeploy={"shared": ["uploads", "data/db"]})


def lay_out(machine: Machine, uid: int = NOBODY.pw_uid, gid: int = NOBODY.pw_gid) -> None:
    """The app user's files in a directory of anybody's."""
    for name in ("index.js", "data/db", "uploads/a"):
        path = machine.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"old {name}")
    for path in (machine.dir, *machine.dir.rglob("*")):
        os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    os.chown(machine.dir, uid, gid)
    (machine.etc / "web.service").write_text(machine.text(UNIT))
    (machine.root / "active/web.service").touch()


def owner(machine: Machine) -> tuple[int, int, str]:
    """Owner, group and mode of the directory."""
    found = machine.dir.stat()
    return found.st_uid, found.st_gid, f"{found.st_mode & 0o7777:o}"

"""Services as a configuration gives them, and what the tests of code and builds share."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from quoracy.services.spec import Service


def service(kind: str, **redeploy: object) -> Service:
    """A service called "shop"; the rest is its `redeploy` block, but for `main_file`."""
    top: dict[str, object] = {
        "service_name": "shop",
        "service_type": kind,
        "app_port": 3000,
        "container_env": {"STAGE": "test"},
    }
    for key in ("app_main_file", "app_service_name"):
        if key in redeploy:
            top[key] = redeploy.pop(key)
    return Service.model_validate({**top, "redeploy": redeploy})


def tree(path: Path) -> dict[str, bytes | str]:
    """Every path below a directory with its mode and content: equal when nothing was changed."""
    found: dict[str, bytes | str] = {}
    for each in sorted(path.rglob("*")):
        name = f"{each.relative_to(path)} {oct(each.lstat().st_mode)}"
        if each.is_symlink():
            found[name] = str(each.readlink())
        else:
            found[name] = each.read_bytes() if each.is_file() else ""
    return found


def needs(name: str) -> str:
    """The path of a program, or the test is skipped and says so."""
    more = f"{Path(sys.executable).parent}:/usr/local/go/bin"
    found = shutil.which(name, path=f"{os.environ['PATH']}:{more}")
    if found is None:
        pytest.skip(f"this machine has no {name}")
    return found

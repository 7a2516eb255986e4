"""The example project: its services as configured, and the programs that start them here."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
import yaml

from quoracy.spec.service import Service

SHOP = Path(__file__).parents[2] / "examples/shop"


def configuration(name: str) -> dict[str, object]:
    found = yaml.safe_load((SHOP / f"deployments/{name}/service-config.yml").read_text())
    assert isinstance(found, dict)
    return found


def service(name: str) -> Service:
    known = {key: value for key, value in configuration(name).items() if key in keys()}
    return Service.model_validate(known)


def keys() -> set[str]:
    fields = Service.model_fields.items()
    return {name for name, _ in fields} | {field.alias for _, field in fields if field.alias}


def source(name: str) -> Path:
    return SHOP / "services" / name


def tree(path: Path) -> dict[str, bytes | str]:
    """Every path below a directory with its content, to see that nothing of it was changed."""
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
    more = f"{Path(sys.executable).parent}:/usr/local/go/bin:/usr/lib/go/bin"
    found = shutil.which(name, path=f"{os.environ['PATH']}:{more}")
    if found is None:
        pytest.skip(f"this machine has no {name}")
    return found


def caches() -> Path:
    """Where Go keeps what it has compiled, for all tests on this machine."""
    return Path(tempfile.gettempdir()) / f"quoracy-tests-{os.getuid()}"

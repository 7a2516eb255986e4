"""Dependencies made on the controller, once for each lock file, runtime and architecture.

What is made is laid over `<dir>/deps/<key>` on a host: for nodejs `node_modules`, for python what goes
into an environment (`lib/python3.11/site-packages`, `bin`). Nothing in it was run or compiled for the
controller: Python packages come as wheels for the host and npm's install scripts are left out, unless
`redeploy.install_scripts` allows strangers' code to run here.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from quoracy.durable import locked, sync_directory
from quoracy.errors import QuoracyError, UsageError
from quoracy.services.code.build import builds_on_host
from quoracy.services.code.install import (
    UV_FLAGS,
    Installation,
    has_hashes,
    install_node_modules,
    install_site_packages,
    npm_flags,
)
from quoracy.services.code.lockfiles import PACKAGE, PROJECT, REQUIREMENTS, UV_LOCK, pinned
from quoracy.services.code.sandbox import sandbox
from quoracy.services.code.shown import Log, Runner
from quoracy.services.code.tools import tool_environment
from quoracy.services.spec import Service, ServiceType

# Keys of package.json that change what `npm ci` makes.
_PACKAGE_KEYS = (
    "dependencies",
    "optionalDependencies",
    "peerDependencies",
    "peerDependenciesMeta",
    "bundleDependencies",
    "bundledDependencies",
    "overrides",
)
KEPT = 20
"""Directories of dependencies that stay on the controller, the last used first."""
_PROJECT_KEYS = ("requires-python", "dependencies")


def dependency_key(service: Service, source: Path, runtime: str, architecture: str) -> str:
    """Name the directory of dependencies that a release needs; "" when it needs none.

    Args:
        service: Of whose type and flags it depends.
        source: Its code.
        runtime: What the host's runtime says of its version. Node's major version counts, and Python's
            first two numbers: what is compiled for one of them fits all that follow.
        architecture: The host's, as `uname -m` says it.

    Raises:
        UsageError: The lock file is missing or out of step.
    """
    development = builds_on_host(service, source)
    files = pinned(service, source, development=development)
    if not files:
        return ""
    nodejs = service.type is ServiceType.NODEJS
    scripts = service.redeploy.install_scripts
    flags = npm_flags(development=development, scripts=scripts) if nodejs else UV_FLAGS
    told = [
        service.type.value,
        service.nodejs_runtime,
        _counting(service, runtime),
        architecture,
        service.redeploy.dependencies_on,
        *flags,
        *(part for name in sorted(files) for part in (name, _deciding(name, files[name]))),
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def python_version(runtime: str) -> str:
    """The two numbers that wheels are made for: "3.11" of "Python 3.11.2".

    Raises:
        UsageError: The host has no Python.
    """
    found = re.search(r"\d+\.\d+", runtime)
    if found is None:
        raise UsageError(
            "the host has no python3, so nothing can be installed for it",
            next_step="install python3 and python3-venv there",
        )
    return found[0]


def dependencies(
    service: Service,
    source: Path,
    key: str,
    home: Path,
    *,
    runtime: str,
    architecture: str,
    log: Log,
    timeout: float,
) -> Path:
    """The directory of dependencies of this key; made when the store has none, by one process.

    Args:
        home: Quoracy's own directory; they are kept in it.
        timeout: Seconds that an installation may take.

    Raises:
        StepFailed: The installer failed or did not end in time.
        UsageError: A program is missing, something can only be installed on the host, or no wall can be
            made around installers here.
        QuoracyError: The lock file is another one than that of the key.
    """
    if dependency_key(service, source, runtime, architecture) != key:
        raise QuoracyError(
            "the lock file was changed after the plan was made; nothing was touched",
            where=str(source),
            next_step="run again",
        )
    store = home / "dependencies"
    store.mkdir(mode=0o700, parents=True, exist_ok=True)
    final, lock = store / key, store / f"{key}.lock"
    with locked(lock):
        lock.touch()
        if not final.exists():
            for leftover in store.glob(f".{key}.*"):
                shutil.rmtree(leftover)
            with tempfile.TemporaryDirectory(prefix=f".{key}.", dir=store) as work:
                made = Path(work) / "tree"
                made.mkdir(mode=0o755)
                install_on_controller(
                    service,
                    source,
                    made,
                    runtime=runtime,
                    architecture=architecture,
                    home=home,
                    log=log,
                    timeout=timeout,
                )
                # A name that stands after a power cut must not stand for half of the files.
                os.sync()
                made.rename(final)
            sync_directory(store)
    _forget(store)
    return final


def install_on_controller(
    service: Service,
    source: Path,
    into: Path,
    *,
    runtime: str,
    architecture: str,
    home: Path,
    log: Log,
    timeout: float,
) -> None:
    """Fill an empty directory with what goes into `<dir>/deps/<key>`; the source is only read.

    Raises:
        StepFailed: The installer failed or did not end in time.
        UsageError: A program is missing, something can only be installed on the host, or no wall can be
            made around installers here.
    """
    development = builds_on_host(service, source)
    files = pinned(service, source, development=development)
    wanted = service.redeploy
    with tempfile.TemporaryDirectory(prefix=".", dir=into.parent) as workspace:
        work, made = Path(workspace, "work"), Path(workspace, "made")
        made.mkdir()
        for name, content in files.items():
            file = work / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        with sandbox(Path(workspace), home, service.name) as walls:
            own_home = walls.place / "home"
            one = Installation(
                walls.place / "work",
                walls.place / "made",
                architecture,
                development,
                scripts=wanted.install_scripts,
                environment=tool_environment(own_home, walls.cache, wanted.pass_variables),
                runner=Runner(log, timeout, walls),
            )
            if service.type is ServiceType.NODEJS:
                install_node_modules(one)
            else:
                install_site_packages(one, python_version(runtime))
        for found in made.iterdir():
            found.rename(into / found.name)


def host_command(service: Service, source: Path) -> tuple[str, dict[str, bytes]]:
    """How a host installs them itself: the command, and the files that it reads.

    There npm's install scripts run: they are the reason to install on the host.

    Raises:
        UsageError: The lock file is missing, out of step or of a kind that hosts cannot read.
    """
    development = builds_on_host(service, source)
    files = pinned(service, source, development=development)
    if service.type is ServiceType.NODEJS:
        which = "--include=dev" if development else "--omit=dev"
        return f"npm ci {which} --no-audit --no-fund", files
    if UV_LOCK in files:
        raise UsageError(
            f"{UV_LOCK} is read by uv, which hosts do not have",
            where=str(source / UV_LOCK),
            next_step=f"run uv export --no-dev --no-emit-project -o {REQUIREMENTS} and move "
            f"{UV_LOCK} away, or set redeploy.dependencies_on to controller",
        )
    hashes = "--require-hashes " if any(map(has_hashes, files.values())) else ""
    return f"python -m pip install --no-input {hashes}-r {REQUIREMENTS}", files


def _forget(store: Path) -> None:
    """Remove those that have not been used for longest; hosts have their own copies."""
    locks = sorted(store.glob("*.lock"), key=lambda lock: lock.stat().st_mtime_ns, reverse=True)
    for lock in locks[KEPT:]:
        with locked(lock):
            made = lock.with_suffix("")
            if made.is_dir():
                # Under a name that is taken for unfinished, whatever interrupts the removal.
                made = made.rename(store / f".{made.name}.forgotten")
                shutil.rmtree(made)


def _counting(service: Service, runtime: str) -> str:
    numbers = re.search(r"(\d+)\.(\d+)", runtime)
    if numbers is None:
        return ""
    return numbers[1] if service.type is ServiceType.NODEJS else numbers[0]


def _deciding(name: str, content: bytes) -> str:
    """The part of a file that changes what is installed."""
    if name == PACKAGE:
        return _part(json.loads(content), _PACKAGE_KEYS)
    if name == PROJECT:
        found = tomllib.loads(content.decode("utf-8", errors="replace"))
        return _part(found.get("project", {}), _PROJECT_KEYS)
    return hashlib.sha256(content).hexdigest()


def _part(found: dict[str, Any], keys: tuple[str, ...]) -> str:
    return json.dumps({key: found[key] for key in keys if key in found}, sort_keys=True)

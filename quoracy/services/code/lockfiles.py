"""What pins a service's dependencies: the files that an installer reads, checked before it runs."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path, PurePosixPath
from typing import Any

from quoracy.errors import UsageError
from quoracy.services.spec import Service, ServiceType

NODE_LOCKS = ("npm-shrinkwrap.json", "package-lock.json")  # npm looks for them in this order
PACKAGE, REQUIREMENTS, PROJECT, UV_LOCK = (
    "package.json",
    "requirements.txt",
    "pyproject.toml",
    "uv.lock",
)
ON_HOST = "set redeploy.dependencies_on to host"

_INSTALLED = ("dependencies", "optionalDependencies")
_DEVELOPMENT = "devDependencies"
_LOCAL = ("file:", "link:", "workspace:", ".", "/", "~")
_INCLUDE = re.compile(r"(?:-r|-c|--requirement|--constraint)(?:\s+|=)?(\S+)")
_LOCAL_REQUIREMENT = re.compile(r"-e\b|--editable\b|\.{0,2}/|\.(\s|\[|$)|file:|\S+\s*@\s*file:")


def pinned(service: Service, source: Path, *, development: bool) -> dict[str, bytes]:
    """The files that decide which dependencies a release gets, by their path in the source.

    Nothing when there are none to install: golang's are in the binary, and what a static service needs
    is needed by its build alone.

    Args:
        service: Of whose type it depends.
        source: Its code.
        development: Whether the release is built where they are, so that a nodejs service needs its
            development dependencies as well.

    Raises:
        UsageError: The lock file is missing or out of step, or something needs more than these files.
    """
    if service.type is ServiceType.NODEJS:
        files = node_files(source, development=development)
        if files:
            _check_alone(source)
            files[PACKAGE] = _without_scripts(source)
        return files
    if service.type is ServiceType.PYTHON:
        return _python_files(source)
    return {}


def node_files(source: Path, *, development: bool) -> dict[str, bytes]:
    """What `npm ci` reads; nothing when package.json names no dependency.

    Args:
        source: The service's code.
        development: Whether a build needs its development dependencies as well.

    Raises:
        UsageError: There is no lock file, or it knows nothing of a dependency.
    """
    package = read_package(source)
    groups = (*_INSTALLED, _DEVELOPMENT) if development else _INSTALLED
    wanted = {name: spec for group in groups for name, spec in _group(package, group).items()}
    if not wanted:
        return {}
    lock = next((name for name in NODE_LOCKS if (source / name).is_file()), None)
    if lock is None:
        raise UsageError(
            "there is no package-lock.json, and package.json has dependencies",
            where=str(source / PACKAGE),
            next_step="run npm install there, and keep package-lock.json with the code",
        )
    _check_in_step(source / lock, wanted)
    names = (PACKAGE, lock, ".npmrc")
    return {name: _read(source / name) for name in names if (source / name).is_file()}


def read_package(source: Path) -> dict[str, Any]:
    """The service's package.json; empty when it has none.

    Raises:
        UsageError: It is not JSON, or no object.
    """
    file = source / PACKAGE
    if not file.is_file():
        return {}
    return _json_object(file)


def check_go(source: Path) -> None:
    """Refuse a Go module whose build would have to write go.sum.

    Raises:
        UsageError: There is no go.mod, or no go.sum where one is needed.
    """
    module = source / "go.mod"
    if not module.is_file():
        raise UsageError(
            "there is no go.mod", where=str(source), next_step="run go mod init in the code"
        )
    # A module without requirements has no go.sum, and vendored ones are not looked up.
    needs = re.search(r"^\s*require\b", _read(module).decode(errors="replace"), re.MULTILINE)
    vendored = (source / "vendor/modules.txt").is_file()
    if needs and not vendored and not (source / "go.sum").is_file():
        raise UsageError(
            "there is no go.sum, and go.mod has requirements",
            where=str(module),
            next_step="run go mod tidy there, and keep go.sum with the code",
        )


def _group(package: dict[str, Any], group: str) -> dict[str, str]:
    found = package.get(group)
    return found if isinstance(found, dict) else {}


def _without_scripts(source: Path) -> bytes:
    """`npm ci` runs those of the service itself, too (postinstall, prepare), and its code is not there."""
    kept = {key: value for key, value in read_package(source).items() if key != "scripts"}
    return json.dumps(kept, indent=2).encode()


def _check_alone(source: Path) -> None:
    """Links to local packages would lead from the shared dependencies into no release."""
    package = read_package(source)
    wanted = {name: spec for group in _INSTALLED for name, spec in _group(package, group).items()}
    local = sorted(name for name, spec in wanted.items() if str(spec).startswith(_LOCAL))
    if "workspaces" in package or local:
        what = "workspaces" if "workspaces" in package else f"a local path for {local[0]}"
        raise UsageError(
            f"package.json has {what}, and dependencies are shared between releases",
            where=str(source / PACKAGE),
            next_step="publish or bundle it (redeploy.build), so that no local package is left",
        )


def _check_in_step(lock: Path, wanted: dict[str, str]) -> None:
    """What npm would say after asking its registry, said before anything is done."""
    locked = _json_object(lock)
    packages = locked.get("packages")
    if isinstance(packages, dict):  # lockfileVersion 2 and 3
        root = packages.get("", {})
        known = {name for group in (*_INSTALLED, _DEVELOPMENT) for name in _group(root, group)}
    else:
        known = set(_group(locked, "dependencies"))
    missing = sorted(set(wanted) - known)
    if missing:
        raise UsageError(
            f"it is out of step with {PACKAGE}: {', '.join(missing)} is not in it",
            where=str(lock),
            next_step="run npm install there, and keep the new lock file with the code",
        )


def _python_files(source: Path) -> dict[str, bytes]:
    if (source / UV_LOCK).is_file():
        if not _project(source):
            raise UsageError(
                f"there is no project in {PROJECT}, and {UV_LOCK} belongs to one",
                where=str(source),
                next_step=f"keep {PROJECT} with the code, or take {UV_LOCK} away",
            )
        return {name: _read(source / name) for name in (PROJECT, UV_LOCK)}
    if (source / REQUIREMENTS).is_file():
        found = _requirements(source, REQUIREMENTS, {})
        return found if any(_lines(content) for content in found.values()) else {}
    if _project(source).get("dependencies"):
        raise UsageError(
            f"there is neither {UV_LOCK} nor {REQUIREMENTS}, and {PROJECT} has dependencies",
            where=str(source / PROJECT),
            next_step=f"run uv lock, or uv pip compile --generate-hashes {PROJECT} -o {REQUIREMENTS}",
        )
    return {}


def _project(source: Path) -> dict[str, Any]:
    """The table `project` of pyproject.toml; empty when there is none."""
    file = source / PROJECT
    if not file.is_file():
        return {}
    try:
        found = tomllib.loads(_read(file).decode())
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError
        raise UsageError(f"it is not TOML: {error}", where=str(file)) from error
    project = found.get("project")
    return project if isinstance(project, dict) else {}


def _requirements(source: Path, name: str, found: dict[str, bytes]) -> dict[str, bytes]:
    """A file of requirements and those that it includes."""
    found[name] = _read(source / name)
    for line in _lines(found[name]):
        if _LOCAL_REQUIREMENT.match(line):
            raise UsageError(
                f"{line.split()[0]!r} installs something from the code itself",
                where=str(source / name),
                next_step="take it out: the code's own packages are found in its directory",
            )
        included = _INCLUDE.match(line)
        if included:
            _include(source, name, included[1], found)
    return found


def _include(source: Path, name: str, other: str, found: dict[str, bytes]) -> None:
    path = PurePosixPath(name).parent / other
    inside = not path.is_absolute() and ".." not in path.parts
    if not inside or not (source / path).is_file():
        raise UsageError(
            f"it includes {other!r}, which is no file of the code", where=str(source / name)
        )
    if str(path) not in found:
        _requirements(source, str(path), found)


def _lines(content: bytes) -> list[str]:
    lines = (line.strip() for line in content.decode("utf-8", errors="replace").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _json_object(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(_read(file))
    except ValueError as error:
        raise UsageError(f"it is not JSON: {error}", where=str(file)) from error
    if not isinstance(found, dict):
        raise UsageError("it is no JSON object", where=str(file))
    return found


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"it cannot be read: {error.strerror}", where=str(file)) from error

"""Installing dependencies for a host without running or compiling any of them on the controller."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quoracy.code.lockfiles import ON_HOST, REQUIREMENTS, UV_LOCK
from quoracy.code.shown import Runner
from quoracy.code.tools import architecture_of, program, tool_environment
from quoracy.errors import StepFailed

_NPM = ("ci", "--no-audit", "--no-fund", "--ignore-scripts", "--os=linux", "--libc=glibc")
UV_FLAGS = ("--only-binary", ":all:", "--link-mode", "copy", "--no-progress")

# As `uv venv --relocatable` writes it: /bin/sh runs the second line, Python reads it as a string. The
# controller's own interpreter, which uv names, is not on the host.
_HEADER = b"""#!/bin/sh
'''exec' "$(dirname -- "$(realpath -- "$0")")"/python "$0" "$@"
' '''
"""


@dataclass(frozen=True, slots=True)
class Installation:
    """One directory of dependencies to be made.

    Attributes:
        work: Directory with the files that the installer reads; the installer may write there.
        into: Empty directory that becomes what is laid over the host's.
        architecture: The host's, as `uname -m` says it.
        development: Whether a build on the host needs the development dependencies of a nodejs service.
        runner: Shows the installer's output and ends it in time.
    """

    work: Path
    into: Path
    architecture: str
    development: bool
    runner: Runner


def install_node_modules(one: Installation) -> None:
    """Make `node_modules` by `npm ci`; nothing of the packages is run.

    Raises:
        StepFailed: npm failed, or a package has to be compiled for the host.
        UsageError: There is no npm.
    """
    cpu = architecture_of(one.architecture).npm
    install = (program("npm"), *npm_flags(development=one.development), f"--cpu={cpu}")
    one.runner.run(install, "npm ci", one.work, tool_environment())
    modules = one.work / "node_modules"
    modules.mkdir(exist_ok=True)
    _check_architecture(one, cpu)
    _check_native(one)
    shutil.move(modules, one.into / "node_modules")


def install_site_packages(one: Installation, version: str) -> None:
    """Make `lib/python<version>/site-packages` and `bin` from wheels for the host.

    Raises:
        StepFailed: uv failed, for example as there is no wheel of a package.
        UsageError: There is no uv.
    """
    uv = program("uv")
    environment = tool_environment(UV_PYTHON_DOWNLOADS="never")
    python = ("--python", sys.executable)
    if (one.work / UV_LOCK).exists():
        export = (uv, "export", *python, "--frozen", "--no-dev", "--no-emit-project", "--quiet")
        one.runner.run((*export, "--output-file", REQUIREMENTS), "uv export", one.work, environment)
    packages = one.into / f"lib/python{version}/site-packages"
    packages.mkdir(parents=True)
    hashes = ("--require-hashes",) if has_hashes((one.work / REQUIREMENTS).read_bytes()) else ()
    wanted = (*hashes, "--requirement", REQUIREMENTS, "--target", str(packages))
    platform = architecture_of(one.architecture).wheels
    host = (*python, "--python-version", version, "--python-platform", platform)
    install = (uv, "pip", "install", *UV_FLAGS, *wanted, *host)
    one.runner.run(install, "uv pip install", one.work, environment)
    _move_scripts(packages, one.into)


def npm_flags(*, development: bool) -> tuple[str, ...]:
    """What npm is told on every architecture; NODE_ENV must not decide."""
    return (*_NPM, "--include=dev" if development else "--omit=dev")


def has_hashes(requirements: bytes) -> bool:
    """Whether a file of requirements pins what it installs by content."""
    return b"--hash=" in requirements


def _check_architecture(one: Installation, cpu: str) -> None:
    """npm 9 takes `--cpu` without a word and installs what fits the controller (tried with 9.2)."""
    for name, _, noted in _installed(one.work):
        wanted = noted.get("cpu", [])
        if cpu not in wanted and any(not each.startswith("!") for each in wanted):
            raise StepFailed(
                f"npm has installed {name}, which is for {', '.join(wanted)} and not for {cpu}",
                next_step="install npm 10 or later on the controller, or " + ON_HOST,
            )


def _check_native(one: Installation) -> None:
    """What has to be compiled was not: say it here, and not by a service that does not start."""
    for name, directory, noted in _installed(one.work):
        if not noted.get("hasInstallScript"):
            continue
        compiled = (directory / "binding.gyp").exists() and not (directory / "prebuilds").is_dir()
        if compiled and not noted.get("optional"):
            raise StepFailed(
                f"the package {name} has to be compiled for the host",
                next_step=f"{ON_HOST}, with npm and a compiler there",
            )
        one.runner.log(f"the install script of {name} is not run; if it must be, {ON_HOST}")


def _installed(work: Path) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    """Name and directory of each package, and what npm has noted of it."""
    file = work / "node_modules/.package-lock.json"
    packages = json.loads(file.read_bytes())["packages"] if file.exists() else {}
    for path, noted in packages.items():
        yield path.rpartition("node_modules/")[2], work / path, noted


def _move_scripts(packages: Path, into: Path) -> None:
    """Give the console scripts the place and the interpreter that they have on the host."""
    (packages / ".lock").unlink(missing_ok=True)  # uv's own
    if not (packages / "bin").is_dir():
        return
    for script in (packages / "bin").iterdir():
        first, _, rest = script.read_bytes().partition(b"\n")
        if first.startswith(b"#!") and b"python" in first:
            script.write_bytes(_HEADER + rest)
    shutil.move(packages / "bin", into / "bin")

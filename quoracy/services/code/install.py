"""Installing dependencies for a host; unless it is asked for, none of them is run on the controller."""

from __future__ import annotations

import json
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quoracy.errors import StepFailed, UsageError
from quoracy.services.code.lockfiles import ON_HOST, PACKAGE, REQUIREMENTS, UV_LOCK, read_package
from quoracy.services.code.shown import Log, Runner
from quoracy.services.code.tools import architecture_of, program

NPM_CI = ("ci", "--no-audit", "--no-fund")
NO_SCRIPTS = "--ignore-scripts"
_FOR_HOSTS = ("--os=linux", "--libc=glibc")
# Of package.json itself; `npm ci` runs them, too (docs.npmjs.com, "Life Cycle Operation Order").
_OWN_SCRIPTS = ("preinstall", "install", "postinstall", "preprepare", "prepare", "postprepare")
ALLOWED = "set redeploy.install_scripts to true"
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
        scripts: Whether npm may run install scripts, here, for the host.
        environment: What the installer gets.
        runner: Shows the installer's output and ends it in time.
    """

    work: Path
    into: Path
    architecture: str
    development: bool
    scripts: bool
    environment: Mapping[str, str]
    runner: Runner


def install_node_modules(one: Installation) -> None:
    """Make `node_modules` by `npm ci`; nothing of the packages is run unless `scripts` says so.

    Raises:
        StepFailed: npm failed, or a package has to be compiled for the host.
        UsageError: There is no npm, or scripts would make things for another architecture.
    """
    cpu = architecture_of(one.architecture).npm
    if one.scripts:
        _require_same(one.architecture)
    flags = npm_flags(development=one.development, scripts=one.scripts)
    install = (program("npm"), *flags, f"--cpu={cpu}")
    one.runner.run(install, "npm ci", one.work, one.environment)
    modules = one.work / "node_modules"
    modules.mkdir(exist_ok=True)
    _check_architecture(one, cpu)
    if not one.scripts:
        _check_native(one)
        say_left_out(one.work, one.runner.log)
    shutil.move(modules, one.into / "node_modules")


def install_site_packages(one: Installation, version: str) -> None:
    """Make `lib/python<version>/site-packages` and `bin` from wheels for the host.

    Raises:
        StepFailed: uv failed, for example as there is no wheel of a package.
        UsageError: There is no uv.
    """
    uv = program("uv")
    environment = {**one.environment, "UV_PYTHON_DOWNLOADS": "never"}
    python = ("--python", sys.executable)
    if (one.work / UV_LOCK).exists():
        export = (uv, "export", *python, "--frozen", "--no-dev", "--no-emit-project", "--quiet")
        one.runner.run((*export, "--output-file", REQUIREMENTS), "uv export", one.work, environment)
    packages = one.into / f"lib/python{version}/site-packages"
    packages.mkdir(parents=True)
    hashes = ("--require-hashes",) if has_hashes((one.work / REQUIREMENTS).read_bytes()) else ()
    wanted = (*hashes, "--requirement", REQUIREMENTS, "--target", str(packages))
    wheels = architecture_of(one.architecture).wheels
    host = (*python, "--python-version", version, "--python-platform", wheels)
    install = (uv, "pip", "install", *UV_FLAGS, *wanted, *host)
    one.runner.run(install, "uv pip install", one.work, environment)
    _move_scripts(packages, one.into)


def npm_flags(*, development: bool, scripts: bool) -> tuple[str, ...]:
    """What npm is told on every architecture; NODE_ENV must not decide."""
    without = () if scripts else (NO_SCRIPTS,)
    return (*NPM_CI, *without, *_FOR_HOSTS, "--include=dev" if development else "--omit=dev")


def say_left_out(work: Path, log: Log) -> None:
    """Name the install scripts that npm was kept from running in a directory; nothing when there are none."""
    scripts = read_package(work).get("scripts")
    own = [name for name in _OWN_SCRIPTS if isinstance(scripts, dict) and name in scripts]
    left_out = [name for name, _, noted in _installed(work) if noted.get("hasInstallScript")]
    left_out += [f"{PACKAGE} ({name})" for name in own]
    if left_out:
        log(f"install scripts were not run: {', '.join(left_out)}; {ALLOWED} if they must be")


def has_hashes(requirements: bytes) -> bool:
    """Whether a file of requirements pins what it installs by content."""
    return b"--hash=" in requirements


def _require_same(architecture: str) -> None:
    """A script makes or fetches what fits the machine that it runs on."""
    here = platform.machine()
    if architecture_of(here) != architecture_of(architecture):
        raise UsageError(
            f"install scripts run on the controller ({here}) make nothing for {architecture}",
            next_step=f"{ON_HOST}, or take redeploy.install_scripts away",
        )


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
                next_step=f"{ON_HOST}, with npm and a compiler there, or {ALLOWED}, with a compiler here",
            )


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

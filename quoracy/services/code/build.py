"""Builds on the controller: in a copy of the code, so that neither the code nor a host changes.

A failed build therefore leaves nothing behind; what it made is shipped like code that needs no build.
A build is code of others: it runs behind a wall (sandbox.py), gets few of the user's variables and a home of its
own, and npm's install scripts only run when `redeploy.install_scripts` allows it.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from quoracy.errors import UsageError
from quoracy.services.code.copy import copy_entries, copy_outputs
from quoracy.services.code.install import NO_SCRIPTS, NPM_CI, say_left_out
from quoracy.services.code.lockfiles import check_go, node_files, read_package
from quoracy.services.code.outputs import binary_name, keep_shipped, outputs
from quoracy.services.code.sandbox import sandbox
from quoracy.services.code.scan import Scanned
from quoracy.services.code.shown import Log, Runner
from quoracy.services.code.tools import architecture_of, program, tool_environment
from quoracy.services.spec import Service, ServiceType

_SCRIPTED = (ServiceType.NODEJS, ServiceType.STATIC)


def needs_build(service: Service, source: Path) -> bool:
    """Whether something has to be made of the code before it can run; skip_build is not asked.

    Raises:
        UsageError: package.json cannot be read.
    """
    if service.redeploy.build or service.type is ServiceType.GOLANG:
        return True
    return service.type in _SCRIPTED and _has_script(source)


def builds_on_host(service: Service, source: Path) -> bool:
    """Whether the host builds, with whatever dependencies its release has.

    Raises:
        UsageError: package.json cannot be read.
    """
    wanted = service.redeploy.build_on == "host" and not service.redeploy.skip_build
    return wanted and needs_build(service, source)


def check_build(service: Service, source: Path) -> None:
    """Refuse, before anything is touched, what no build can be made of.

    Raises:
        UsageError: A lock file is missing or out of step, or a name is taken.
    """
    if service.type in _SCRIPTED:
        node_files(source, development=True)
    if service.type is ServiceType.GOLANG:
        check_go(source)
        if (source / binary_name(service)).is_dir():
            raise UsageError(
                f"the binary is to be called {binary_name(service)}, and a directory is called so",
                where=str(source),
                next_step="set app_service_name to another name, or rename the directory",
            )


def host_build(service: Service, source: Path) -> str:
    """The command line of a build on the host, for its shell."""
    if service.redeploy.build:
        return service.redeploy.build
    if service.type is ServiceType.GOLANG:
        arguments = " ".join(_go_build(service, source))
        return f"CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS={_go_module_mode(source)} go {arguments}"
    if service.type is ServiceType.STATIC and node_files(source, development=True):
        return "npm ci --no-audit --no-fund && npm run build && rm -rf node_modules"
    return "npm run build"


def build_on_controller(
    service: Service,
    scanned: Scanned,
    workspace: Path,
    *,
    architecture: str,
    home: Path,
    log: Log,
    timeout: float,
) -> Path:
    """Build a copy of the code and return the tree to ship, which is to be scanned anew.

    Args:
        service: Says how to build, and what is shipped of it.
        scanned: The code; files that have changed since are noticed.
        workspace: An empty directory of the caller's.
        architecture: The host's, as `uname -m` says it.
        home: Quoracy's own directory, which builds do not see; what is kept for the next one is in it.
        log: Is handed each line of output.
        timeout: Seconds that each command may take.

    Raises:
        StepFailed: The build failed, did not end in time, or made nothing.
        UsageError: A lock file or a program is missing, or no wall can be made around builds here.
    """
    check_build(service, scanned.source)
    tree = copy_entries(scanned, workspace / "tree")
    with sandbox(workspace, home, service.name) as walls:
        build = _Build(service, walls.place / "tree", architecture, Runner(log, timeout, walls))
        if service.type in _SCRIPTED:
            build.scripted()
        elif service.type is ServiceType.GOLANG:
            build.golang()
        else:
            build.own_command()
    keep_shipped(service, tree)
    return tree


def unbuilt_tree(service: Service, scanned: Scanned, workspace: Path) -> Path:
    """The tree to ship without a build: the code and what an earlier build has left in it.

    Outputs come along although `.deployignore` names them. The caller's digest of the code has to be
    that of this tree, as its outputs are what counts.

    Raises:
        UsageError: There are no outputs.
    """
    tree = copy_entries(scanned, workspace / "tree")
    copy_outputs(scanned.source, tree, outputs(service))
    keep_shipped(service, tree)
    return tree


@dataclass(frozen=True, slots=True)
class _Build:
    service: Service
    tree: Path
    architecture: str
    runner: Runner

    def scripted(self) -> None:
        """All dependencies, those of the development too, and the build; none of them is shipped."""
        if node_files(self.tree, development=True):
            scripts = self.service.redeploy.install_scripts
            # NODE_ENV=production would leave the build's own tools out.
            flags = ("--include=dev", *(() if scripts else (NO_SCRIPTS,)))
            install = (program("npm"), *NPM_CI, *flags)
            self.runner.run(install, "npm ci", self.tree, self._tools())
            if not scripts:
                say_left_out(self.tree, self.runner.log)
        if self.service.redeploy.build:
            self.own_command()
        else:
            run = (program("npm"), "run", "build")
            self.runner.run(run, "npm run build", self.tree, self._environment())
        if (self.tree / "node_modules").is_dir():
            shutil.rmtree(self.tree / "node_modules")

    def golang(self) -> None:
        """One binary for the host that needs no library of it."""
        environment = self._environment(
            CGO_ENABLED="0",
            GOOS="linux",
            GOARCH=architecture_of(self.architecture).go,
            # Never another toolchain than this one, and never a change of go.mod or go.sum.
            GOTOOLCHAIN="local",
            GOFLAGS=f"{_go_module_mode(self.tree)} -modcacherw",
        )
        if self.service.redeploy.build:
            self._shell(self.service.redeploy.build, environment)
        else:
            build = (program("go"), *_go_build(self.service, self.tree))
            self.runner.run(build, "go build", self.tree, environment)

    def own_command(self) -> None:
        """The command of the configuration, with the programs of its dependencies at hand."""
        environment = self._environment()
        programs = str(self.tree / "node_modules/.bin")
        environment["PATH"] = os.pathsep.join((programs, environment["PATH"]))
        self._shell(self.service.redeploy.build or "", environment)

    def _shell(self, command: str, environment: dict[str, str]) -> None:
        self.runner.run(("sh", "-c", command), "the build", self.tree, environment)

    def _environment(self, **more: str) -> dict[str, str]:
        """With the service's own variables: a build may write them into what it makes."""
        own = {
            name: str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in self.service.environment.items()
        }
        return self._tools(**{**own, **more})

    def _tools(self, **more: str) -> dict[str, str]:
        passed = self.service.redeploy.pass_variables
        walls = self.runner.sandbox
        return tool_environment(walls.place / "home", walls.cache, passed, **more)


def _has_script(source: Path) -> bool:
    scripts = read_package(source).get("scripts")
    return isinstance(scripts, dict) and bool(scripts.get("build"))


def _go_build(service: Service, source: Path) -> tuple[str, ...]:
    main = f"./{service.main_file}" if service.main_file else "."
    flags = ("-trimpath", "-buildvcs=false", _go_module_mode(source))
    return ("build", *flags, "-o", binary_name(service), main)


def _go_module_mode(source: Path) -> str:
    vendored = (source / "vendor/modules.txt").is_file()
    return "-mod=vendor" if vendored else "-mod=readonly"

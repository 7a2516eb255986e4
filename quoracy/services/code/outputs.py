"""What of a built tree is shipped: outputs, and neither sources nor the build's own tools."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from quoracy.errors import StepFailed
from quoracy.services.code.copy import remove_empty
from quoracy.services.spec import Service, ServiceType

PUBLIC = ("dist", "build", "public", "_site")  # the original's, in its order
_NODE_OUTPUTS = ("dist", "build")
_GO_SOURCES = ("*.go", "go.mod", "go.sum", "go.work", "go.work.sum")


def binary_name(service: Service) -> str:
    """File name of a golang service's program in its release."""
    return service.unit.removesuffix(".service")


def public_directory(service: Service, tree: Path) -> str:
    """The directory in a static service's release that is served; "" is all of the release."""
    wanted = service.redeploy.public
    return wanted or next((name for name in PUBLIC if (tree / name).is_dir()), "")


def outputs(service: Service) -> tuple[str, ...]:
    """Files and directories that an earlier build may have left in the code."""
    if service.type is ServiceType.GOLANG:
        return (binary_name(service),)
    if service.type is ServiceType.STATIC:
        return (service.redeploy.public,) if service.redeploy.public else PUBLIC
    return _NODE_OUTPUTS if service.type is ServiceType.NODEJS else ()


def keep_shipped(service: Service, tree: Path) -> None:
    """Take away what served the build alone.

    Raises:
        StepFailed: There is no program, or nothing that could be served.
    """
    if service.type is ServiceType.GOLANG:
        _only_binary(service, tree)
    if service.type is ServiceType.STATIC:
        _only_public(service, tree)


def _only_binary(service: Service, tree: Path) -> None:
    binary = tree / binary_name(service)
    if not binary.is_file() or not os.access(binary, os.X_OK):
        raise StepFailed(
            f"there is no program {binary.name} to ship",
            next_step=f"let the build make it: go build -o {binary.name}",
        )
    for pattern in _GO_SOURCES:
        for file in [path for path in tree.rglob(pattern) if path.is_file()]:
            file.unlink()
    if (tree / "vendor/modules.txt").is_file():
        shutil.rmtree(tree / "vendor")
    remove_empty(tree)


def _only_public(service: Service, tree: Path) -> None:
    """The directory that is served, at its place, and the hooks, which nobody is served."""
    public = public_directory(service, tree)
    if not public or not (tree / public).is_dir():
        names = service.redeploy.public or ", ".join(PUBLIC)
        raise StepFailed(
            f"the build has made none of these directories: {names}",
            next_step="set redeploy.public to the directory that it makes",
        )
    hooks = (service.redeploy.pre_deploy_hook, service.redeploy.post_deploy_hook)
    kept = {public, *(hook for hook in hooks if hook)}
    for path in tree.rglob("*"):
        name = str(path.relative_to(tree))
        inside = any(name == keep or name.startswith(f"{keep}/") for keep in kept)
        if not inside and (path.is_symlink() or not path.is_dir()):
            path.unlink()
    remove_empty(tree)

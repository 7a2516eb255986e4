"""The programs that the controller installs and builds with, and the environment they get."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from quoracy.errors import UsageError

# Where go.dev's archive is unpacked, and what a service manager's PATH may lack.
MORE_PLACES = ("/usr/local/go/bin", "/usr/local/bin")
_PACKAGES = {
    "npm": "install Node.js with npm (Debian: npm)",
    "go": "install Go (Debian: golang-go)",
    "uv": "install uv (pip install uv)",
}
# The controller's own settings may hold a database's password or an API key; what installs and builds
# other people's code is not to see them.
_KEPT_BACK = ("QUORACY_", "PREFECT_")


@dataclass(frozen=True, slots=True)
class Architecture:
    """One processor architecture, in the words of each tool."""

    go: str
    npm: str
    wheels: str


_X86_64 = Architecture("amd64", "x64", "x86_64-unknown-linux-gnu")
_ARM64 = Architecture("arm64", "arm64", "aarch64-unknown-linux-gnu")
_ARCHITECTURES = {"x86_64": _X86_64, "amd64": _X86_64, "aarch64": _ARM64, "arm64": _ARM64}


def architecture_of(machine: str) -> Architecture:
    """The architecture that `uname -m` of a host names.

    Raises:
        UsageError: It is none that code can be made for here.
    """
    found = _ARCHITECTURES.get(machine)
    if found is None:
        raise UsageError(
            f"nothing can be made for the architecture {machine!r} on the controller",
            next_step="set redeploy.build_on and redeploy.dependencies_on to host",
        )
    return found


def program(name: str) -> str:
    """Absolute path of npm, uv or go on the controller.

    Raises:
        UsageError: It is not installed.
    """
    found = shutil.which(name, path=_path())
    if found is None:
        raise UsageError(
            f"the controller has no {name}, which this service needs",
            next_step=f"{_PACKAGES[name]}, or let the host do it: redeploy.build_on and "
            "redeploy.dependencies_on",
        )
    return found


def tool_environment(**more: str) -> dict[str, str]:
    """The environment of the controller without our own settings; its output is read line by line."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(_KEPT_BACK)}
    return {**kept, "PATH": _path(), "NO_COLOR": "1", "FORCE_COLOR": "0", **more}


def _path() -> str:
    own = str(
        Path(sys.executable).parent
    )  # uv lies in the environment that Quoracy is installed in
    return os.pathsep.join((os.environ.get("PATH", os.defpath), own, *MORE_PLACES))

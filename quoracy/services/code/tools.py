"""The programs that the controller installs and builds with, and the environment they get."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from quoracy.errors import UsageError

# Where go.dev's archive is unpacked, and what a service manager's PATH may lack.
MORE_PLACES = ("/usr/local/go/bin", "/usr/local/bin")
_PACKAGES = {
    "npm": "install Node.js with npm (Debian: npm)",
    "go": "install Go (Debian: golang-go)",
    "uv": "install uv (pip install uv)",
    "bwrap": "install bubblewrap (Debian: bubblewrap)",
    "setpriv": "install util-linux (Debian: util-linux)",
}
# fmt: off
_PASSED = frozenset({
    "LANG", "LANGUAGE", "TZ", "USER", "LOGNAME",
    "http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy",
    "HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO", "NODE_OPTIONS",
    # Not by their beginning: there is GOOGLE_APPLICATION_CREDENTIALS.
    "GOAUTH", "GOFLAGS", "GOINSECURE", "GONOPROXY", "GONOSUMDB", "GOPRIVATE", "GOPROXY", "GOROOT", "GOSUMDB",
    "GOTOOLCHAIN", "GOVCS",
    # Where the programs on PATH may be stand-ins that look for the real ones from HOME.
    "ASDF_DATA_DIR", "PYENV_ROOT", "RUSTUP_HOME", "VOLTA_HOME",
})
# fmt: on
_PASSED_FROM = ("LC_", "npm_config_", "NPM_CONFIG_", "PIP_", "UV_")
# What installers read in a home: by the variable that names its place, and where it is without.
_SETTINGS = (
    ("", "", (".npmrc", ".netrc", ".pip/pip.conf")),
    ("XDG_CONFIG_HOME", ".config", ("go/env", "pip/pip.conf", "uv/uv.toml")),
)


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


def tool_environment(
    home: Path, cache: Path, passed: Iterable[str] = (), **more: str
) -> dict[str, str]:
    """What builds and installers get of the controller's environment; their output is read line by line.

    They run code of others: no keys, no SSH agent and no settings of ours are in it.

    Args:
        home: A directory for them alone, which is made when it is not there. In it are copies of the
            installers' own settings, those of the user.
        cache: Where they keep what they have fetched and compiled.
        passed: Names of further variables that they may see.
        more: Variables with their values.
    """
    names = frozenset(passed)
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _PASSED or name in names or name.startswith(_PASSED_FROM)
    }
    _furnish(home)
    own = {"PATH": _path(), "NO_COLOR": "1", "FORCE_COLOR": "0"}
    kept = {name: value for name, value in kept.items() if name.lower() != "npm_config_cache"}
    return {"HOME": str(home), **kept, **own, **_caches(cache), **more}


def _caches(cache: Path) -> dict[str, str]:
    """Go has two: what is compiled, and what is fetched."""
    places = {"npm_config_cache": "npm", "UV_CACHE_DIR": "uv", "PIP_CACHE_DIR": "pip"}
    places |= {"GOCACHE": "go/build", "GOMODCACHE": "go/mod"}
    return {name: str(cache / place) for name, place in places.items()}


def _furnish(home: Path) -> None:
    """Copy what npm, uv, pip and Go read in the user's home, so that they find it as always."""
    home.mkdir(mode=0o700, exist_ok=True)
    for variable, directory, names in _SETTINGS:
        there = Path(os.environ.get(variable) or Path.home() / directory)
        for name in names:
            place = home / directory / name
            if os.access(there / name, os.R_OK) and not place.exists():
                place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                shutil.copy(there / name, place)


def _path() -> str:
    # uv lies in the environment that Quoracy is installed in.
    own = str(Path(sys.executable).parent)
    return os.pathsep.join((os.environ.get("PATH", os.defpath), own, *MORE_PLACES))

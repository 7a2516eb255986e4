"""Where Quoracy keeps its own files on the controller, and which database it uses.

Paths follow the XDG Base Directory Specification 0.8; `QUORACY_HOME` moves all but the cache.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quoracy.errors import UsageError

CONFIG = "config.toml"
_CONFIG_KEYS = ("database_url", "projects")


@dataclass(frozen=True, slots=True)
class Home:
    """The directories of one controller.

    Args:
        path: Absolute; exists, and only its owner may enter it when it was made here.
        cache: Absolute; holds what can be had again, may not exist yet.
        database_url: May hold a password, so it is left out of the representation.
        projects: What runs that come through Prefect's API may redeploy; absolute.
    """

    path: Path
    cache: Path
    database_url: str = field(repr=False)
    projects: tuple[Path, ...] = ()

    @property
    def config(self) -> Path:
        """The settings of this controller; it may not exist."""
        return self.path / CONFIG

    @property
    def known_hosts(self) -> Path:
        """The host keys that `quoracy host trust` has accepted."""
        return self.path / "known_hosts"

    @property
    def pki(self) -> Path:
        """Certificate authorities, one directory per cluster."""
        return self.path / "pki"

    @property
    def releases(self) -> Path:
        """Downloaded archives; their checksums are verified at each use."""
        return self.cache / "releases"

    @property
    def run(self) -> Path:
        """Pid files of the services that `quoracy up` has started."""
        return self.path / "run"

    @property
    def prefect(self) -> Path:
        """Prefect's own home: its database and profiles."""
        return self.path / "prefect"


def load_home(environ: Mapping[str, str] = os.environ) -> Home:
    """Find the home directory, make it (mode 0700) when it is missing, and read its config.toml.

    Raises:
        UsageError: The directory cannot be written, or its config.toml cannot be used.
    """
    path = _home_path(environ)
    _make_writable(path)
    configured = _read_config(path / CONFIG)
    return Home(
        path=path,
        cache=_xdg(environ, "XDG_CACHE_HOME", ".cache") / "quoracy",
        database_url=environ.get("QUORACY_DATABASE_URL")
        or configured.get("database_url")
        or f"sqlite:///{path / 'quoracy.db'}",
        projects=tuple(Path(project) for project in configured.get("projects", ())),
    )


def _home_path(environ: Mapping[str, str]) -> Path:
    chosen = environ.get("QUORACY_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    return _xdg(environ, "XDG_DATA_HOME", ".local/share") / "quoracy"


def _xdg(environ: Mapping[str, str], name: str, default: str) -> Path:
    # "All paths set in these environment variables must be absolute. If an implementation
    # encounters a relative path [...] it should consider the path invalid and ignore it."
    chosen = environ.get(name, "")
    if Path(chosen).is_absolute():
        return Path(chosen)
    return Path(environ.get("HOME") or Path.home()) / default


def _make_writable(path: Path) -> None:
    advice = "set QUORACY_HOME to a directory that you can write to"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"the home directory cannot be made: {error.strerror}",
            where=str(path),
            next_step=advice,
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise UsageError("the home directory cannot be written", where=str(path), next_step=advice)


def _read_config(file: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(
            f"it cannot be read: {error.strerror}",
            where=str(file),
            next_step="make it a file that you may read, or remove it",
        ) from error
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError
        raise UsageError(
            f"it is not TOML: {error}", where=str(file), next_step="correct the file"
        ) from error
    for key, value in found.items():
        _check_setting(file, key, value)
    return found


def _check_setting(file: Path, key: str, value: object) -> None:
    if key not in _CONFIG_KEYS:
        raise UsageError(
            f"unknown key {key!r}",
            where=str(file),
            next_step=f"remove it; known keys: {', '.join(_CONFIG_KEYS)}",
        )
    if key == "projects":
        _check_projects(file, value)
    elif not isinstance(value, str) or not value:
        raise UsageError(
            f"{key} must be a text that is not empty",
            where=str(file),
            next_step=f'write {key} = "postgresql://…", or remove it',
        )


def _check_projects(file: Path, value: object) -> None:
    listed = value if isinstance(value, list) else [None]
    if not all(isinstance(one, str) and Path(one).is_absolute() for one in listed):
        raise UsageError(
            "projects must be a list of directories, each named by its whole path",
            where=str(file),
            next_step='write projects = ["/srv/shop"], or remove it',
        )

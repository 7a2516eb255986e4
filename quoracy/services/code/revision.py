"""What a directory of code is called by its own version control, for people.

A repository's own configuration names programs that git runs even where it only looks: a file system
monitor, hooks, filters, what fetches missing objects. Whose repository it is nobody knows, so none is run.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

MAX_LENGTH = 60
_TIMEOUT_S = 5
_PASSED = ("PATH", "LANG", "SUDO_UID")  # by the last git knows whose repository root may use
_QUIET: Mapping[str, str] = {
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "protocol.allow": "never",
}
# Submodules have filters of their own; what they are at is not asked.
_DIFFERS = ("diff", "--quiet", "--no-ext-diff", "--no-textconv", "--ignore-submodules=all", "HEAD")


def revision_of(source: Path) -> str:
    """Git's short revision, with `-dirty` when something is not committed; "" without Git."""
    try:
        filters = _git(source, _QUIET, "config", "--null", "--name-only", "--get-regexp", "^filter")
        settings = {**_QUIET, **_switched_off(filters.stdout.split("\0"))}
        told = _git(source, settings, "describe", "--always", "--tags")
        dirty = _git(source, settings, *_DIFFERS, "--").returncode == 1
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return ""  # for people only: without it the release has its own name
    if told.returncode != 0:
        return ""
    return f"{told.stdout.strip()}{'-dirty' if dirty else ''}"[:MAX_LENGTH]


def _switched_off(keys: Iterable[str]) -> dict[str, str]:
    """Settings under which no filter of the repository runs, whatever it is called."""
    names = {key.removeprefix("filter.").rpartition(".")[0] for key in keys if key.count(".") > 1}
    off = {"clean": "", "smudge": "", "process": "", "required": "false"}
    return {f"filter.{name}.{key}": value for name in names for key, value in off.items()}


def _git(
    source: Path, settings: Mapping[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Git's answer under settings that count for more than the repository's; nobody else's are read."""
    environment = {name: os.environ[name] for name in _PASSED if name in os.environ}
    environment |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    environment |= {"GIT_CONFIG_COUNT": str(len(settings)), "GIT_NO_LAZY_FETCH": "1"}
    for number, (key, value) in enumerate(settings.items()):
        environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return subprocess.run(
        ("git", "--no-optional-locks", "--no-pager", "-C", str(source), *arguments),
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=_TIMEOUT_S,
    )

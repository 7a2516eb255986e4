"""Directories of the labs, each movable by an environment variable."""

from __future__ import annotations

import os
from pathlib import Path


def cache() -> Path:
    """Return the directory of the base system and the archives (QUORACY_LAB_CACHE)."""
    return Path(os.environ.get("QUORACY_LAB_CACHE", "/var/cache/quoracy"))


def labs() -> Path:
    """Return the directory that holds one directory per lab (QUORACY_LAB_DIR)."""
    return Path(os.environ.get("QUORACY_LAB_DIR", "/var/lib/quoracy/labs"))


def records() -> Path:
    """Return the directory of the records; it is gone after a reboot, as the labs are."""
    return Path("/run/quoracy/labs")

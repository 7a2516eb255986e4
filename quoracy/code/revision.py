"""What a directory of code is called by its own version control, for people."""

from __future__ import annotations

import subprocess
from pathlib import Path

MAX_LENGTH = 60


def revision_of(source: Path) -> str:
    """Git's short revision, with `-dirty` when something is not committed; "" without Git."""
    command = ("git", "-C", str(source), "describe", "--always", "--dirty", "--tags")
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return ""  # for people only: without it the release has its own name
    return told.stdout.strip()[:MAX_LENGTH] if told.returncode == 0 else ""

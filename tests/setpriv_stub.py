"""Stands for setpriv where tests need no root: runs the command as whoever it is, and notes what it was."""

from __future__ import annotations

from pathlib import Path

TEXT = """#!/bin/sh
while [ "$1" != -- ]; do shift; done
shift
echo "$*" >> NOTES
exec "$@"
"""


def put_setpriv(bin_directory: Path, notes: Path) -> None:
    """Put it into a directory of the PATH; it notes one command a line."""
    bin_directory.mkdir(parents=True, exist_ok=True)
    program = bin_directory / "setpriv"
    program.write_text(TEXT.replace("NOTES", str(notes)))
    program.chmod(0o755)
